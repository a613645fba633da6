//! Simulation: a mapping over the real built-in queue in memory, behind a door with seeded faults, under a handler with
//! seeded moods, for thousands of seeds. All randomness comes from the seed and time is paused, so that the same seed
//! gives the same trace.
//!
//! A run has two halves: trouble, with messages coming in, calls that fail or whose answers are lost, duplicate
//! deliveries, crashes and restarts; then everything is well until the queue is empty. What must hold is in `world.rs`.
//!
//! `WASMILL_SIM_SEED=n` runs one seed and prints its trace.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod profile;
mod rough;
mod run;
mod world;

use std::cell::Cell;

/// So many seeds in every run, and twenty times as many where `WASMILL_TEST_LONG` is set.
const SEEDS: u64 = 3000;
const LONG: u64 = 20;

thread_local! {
    static SHARES: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The line's own randomness, from the seed while a simulation runs on this thread.
pub(crate) fn random_share() -> Option<f64> {
    let mut rng = Rng(SHARES.get()?);
    let share = rng.below(1_000_000) as f64 / 1_000_000.0;
    SHARES.set(Some(rng.0));
    Some(share)
}

/// `SplitMix64`.
#[derive(Debug, Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True in so many of a hundred.
    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

/// Runs one seed; its trace, and what was wrong.
fn simulate(seed: u64) -> (Vec<String>, Vec<String>) {
    SHARES.set(Some(seed));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(run::run(seed));
    SHARES.set(None);
    outcome
}

#[test]
fn whatever_goes_wrong_messages_are_settled_as_judged_and_nothing_is_kept() {
    if let Ok(seed) = std::env::var("WASMILL_SIM_SEED") {
        let (trace, wrong) = simulate(seed.parse().unwrap());
        eprintln!("{}", trace.join("\n"));
        assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
        return;
    }
    let seeds = if std::env::var_os("WASMILL_TEST_LONG").is_some() { LONG * SEEDS } else { SEEDS };
    let mut failures = Vec::new();
    for seed in 0..seeds {
        let (_, wrong) = simulate(seed);
        if !wrong.is_empty() {
            failures.push(format!("WASMILL_SIM_SEED={seed}: {}", wrong.join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{} of {seeds} seeds:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1000..1020 {
        let (first, _) = simulate(seed);
        let (second, _) = simulate(seed);
        assert!(first.len() > 10);
        for (one, other) in first.iter().zip(&second) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
