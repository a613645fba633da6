//! Chance that can be repeated: a small generator of numbers, and the seed that a test prints.

use std::env;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Repeats a run: the seed that it printed.
pub const SEED_VARIABLE: &str = "WASMILL_TEST_SEED";

/// The seed of this run: what [`SEED_VARIABLE`] says, or else another each time. Printed in either case.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let fresh = since_epoch.as_secs() * 1000 + u64::from(since_epoch.subsec_millis());
    let seed = env::var(SEED_VARIABLE).ok().map_or(fresh, |text| text.parse().unwrap());
    // Not through the macros, whose output a passing test hides.
    let _ = writeln!(std::io::stderr(), "{test}: {SEED_VARIABLE}={seed} repeats this run");
    seed
}

/// A stream of numbers that looks random (splitmix64), the same for the same seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for somebody else.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number in `from..=to`.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
        let draw = |seed: u64| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| chance.within(3, 12)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((3..=12).all(|number| draw(7).contains(&number)));
    }
}
