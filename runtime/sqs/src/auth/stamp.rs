//! The time of a signature, `YYYYMMDDTHHMMSSZ`.

use std::fmt;
use std::time::SystemTime;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

/// A second, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    text: String,
    time: SystemTime,
}

impl Stamp {
    /// Reads ISO 8601's basic form, in UTC and without fractions: the only one that AWS takes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits_at = |range: std::ops::Range<usize>| {
            text.get(range).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        };
        let (year, month, day) = (digits_at(0..4)?, digits_at(4..6)?, digits_at(6..8)?);
        let (hour, minute, second) = (digits_at(9..11)?, digits_at(11..13)?, digits_at(13..15)?);
        let is_framed = text.len() == 16 && text.get(8..9) == Some("T") && text.ends_with('Z');
        let extended = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        let parsed = DateTime::from_str(&extended, DateTimeFormat::DateTime).ok().filter(|_| is_framed)?;
        let time = SystemTime::try_from(parsed).ok()?;
        Some(Self { text: text.to_owned(), time })
    }

    /// A time, without its fraction.
    pub(super) fn of(time: SystemTime) -> Self {
        let seconds = DateTime::from(time).secs();
        let extended = DateTime::from_secs(seconds).fmt(DateTimeFormat::DateTime).unwrap_or_default();
        Self { text: extended.replace(['-', ':'], ""), time }
    }

    pub(super) fn time(&self) -> SystemTime {
        self.time
    }

    /// `YYYYMMDD`.
    pub(super) fn day(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_stamp_is_read_and_written_alike() {
        let stamp = Stamp::parse("20150830T123600Z").unwrap();
        assert_eq!(stamp.time(), UNIX_EPOCH + Duration::from_secs(1_440_938_160));
        assert_eq!(stamp.day(), "20150830");
        assert_eq!(Stamp::of(stamp.time() + Duration::from_millis(999)).to_string(), "20150830T123600Z");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "20150830",
            "2015-08-30T12:36:00Z",
            "Sun, 30 Aug 2015 12:36:00 GMT",
            "20150830T123600",
            "20150830T123600+",
            "20150830 123600Z",
            "20151330T123600Z",
            "20150230T123600Z",
            "20150830T253600Z",
            "2015083éT12360Z",
            "20150830T123600ZZ",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }
}
