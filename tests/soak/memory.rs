//! Whether a process's memory stays flat: samples of one uninterrupted life, its first part left out as warm-up.

/// A last third may be above the first by this share …
const GROWTH_PERCENT_MAX: u64 = 20;
/// … and this much.
const GROWTH_KIB_MAX: u64 = 10 << 10;
/// Fewer samples, warm-up included, say nothing.
const SAMPLES_MIN: usize = 15;

/// The medians of the first and the last third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trend {
    pub(crate) first_kib: u64,
    pub(crate) last_kib: u64,
}

impl Trend {
    /// Of samples at even intervals; none of too few. The first fifth is warm-up.
    pub(crate) fn of(samples_kib: &[u64]) -> Option<Self> {
        if samples_kib.len() < SAMPLES_MIN {
            return None;
        }
        let warm = &samples_kib[samples_kib.len() / 5..];
        let third = warm.len() / 3;
        Some(Self { first_kib: median(&warm[..third]), last_kib: median(&warm[warm.len() - third..]) })
    }

    /// Whether it grew no more than it may.
    pub(crate) fn is_flat(self) -> bool {
        self.last_kib <= self.first_kib * (100 + GROWTH_PERCENT_MAX) / 100 + GROWTH_KIB_MAX
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_and_peaks_do_not_count_and_a_leak_does() {
        let mut flat = vec![100_000; 100];
        flat[..20].fill(10_000);
        flat[90] = 900_000;
        let trend = Trend::of(&flat);
        assert_eq!(trend, Some(Trend { first_kib: 100_000, last_kib: 100_000 }));
        assert!(trend.is_some_and(Trend::is_flat));
        let leak: Vec<u64> = (0..100).map(|step| 100_000 + step * 1500).collect();
        assert!(Trend::of(&leak).is_some_and(|trend| !trend.is_flat()));
        assert_eq!(Trend::of(&[1; SAMPLES_MIN - 1]), None);
    }

    #[test]
    fn the_bound_is_a_fifth_and_ten_mib() {
        let last = |last_kib| Trend { first_kib: 100_000, last_kib }.is_flat();
        assert!(last(130_240) && !last(130_241));
    }
}
