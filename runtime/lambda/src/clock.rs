//! The wall clock, and the text that functions' timestamps have.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-22T03:39:19.000+0000`: functions say their times in ISO 8601, mappings in seconds.
pub(crate) fn iso(unix_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (days, ms) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
    // Years that begin in March end with the leap day; the days are counted in eras of 400 such years from 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}+0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_lambda_writes_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000+0000"),
            (951_782_399_999, "2000-02-28T23:59:59.999+0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000+0000"),
            (951_868_800_000, "2000-03-01T00:00:00.000+0000"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000+0000"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001+0000"),
            (1_795_318_759_000, "2026-11-22T03:39:19.000+0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+0000"),
        ] {
            assert_eq!(iso(unix_ms), text);
        }
    }
}
