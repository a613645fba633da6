//! The state machine against a naive model of the same queues: random verbs, commits, failed writes and crashes.
//!
//! `naive.rs` says the rules over flat lists that are searched from end to end; `receives.rs` judges what the machine may
//! choose; `disk.rs` does with effects what their SQL does; `world.rs` holds the three side by side and compares them after
//! every step. What fails is shrunk, and its seed kept in `proptest-regressions/model.txt`, which every run tries first.
//! Absent: the store, the committer and the clock themselves; `whole_model.rs` has those.

#![expect(clippy::unwrap_used, reason = "tests")]

mod disk;
mod ends;
mod naive;
mod ops;
mod receives;
mod tasks;
mod verbs;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use world::World;

/// Beside the sources, wherever the test is run from: a seed that is written here is committed with its mend.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/model.txt");

/// More than this many cases are asked for with `WASMILL_TEST_LONG`.
const CASES: u32 = 10_000;
const CASES_LONG: u32 = 200_000;

/// What must have happened in that many cases, or they prove less than they seem to.
const MUST_BE_SEEN: [&str; 12] = [
    "a FIFO dead letter",
    "a dead letter",
    "a delivery that a crash lost",
    "a duplicate",
    "a leaving that could not be written",
    "a receive attempt repeated",
    "a redrive",
    "an expired FIFO receipt",
    "CANCELLED",
    "COMPLETED",
    "FAILED",
    "a receive",
];

#[test]
fn the_machine_does_what_the_model_does() {
    let cases = if std::env::var_os("WASMILL_TEST_LONG").is_some() { CASES_LONG } else { CASES };
    let kept = FileFailurePersistence::Direct(SEEDS);
    let config = Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() };
    let outcome = TestRunner::new(config).run(&ops::ops(), |ops| {
        let mut world = World::new();
        ops.iter().for_each(|op| world.step(op));
        world.come_to_rest();
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let seen = world::seen();
    for what in MUST_BE_SEEN {
        assert!(seen.contains_key(what), "{what} did not happen once: {seen:?}");
    }
}
