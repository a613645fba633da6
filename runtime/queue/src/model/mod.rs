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

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use world::World;

/// Beside the sources, wherever the test is run from: a seed that is written here is committed with its mend.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/model.txt");
const FAIR_SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/fair_model.txt");

/// So many cases in every run, and twenty times as many where `WASMILL_TEST_LONG` is set.
const CASES: u32 = 10_000;
const FAIR_CASES: u32 = 200;
const LONG: u32 = 20;

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

fn run(cases: u32, seeds: &'static str, strategy: &impl Strategy<Value = Vec<ops::Op>>) {
    let cases = if std::env::var_os("WASMILL_TEST_LONG").is_some() { LONG * cases } else { cases };
    let kept = FileFailurePersistence::Direct(seeds);
    let config = Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() };
    let outcome = TestRunner::new(config).run(strategy, |ops| {
        let mut world = World::new();
        ops.iter().for_each(|op| world.step(op));
        world.come_to_rest();
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn the_machine_does_what_the_model_does() {
    run(CASES, SEEDS, &ops::ops());
    let seen = world::seen();
    for what in MUST_BE_SEEN {
        assert!(seen.contains_key(what), "{what} did not happen once: {seen:?}");
    }
}

#[test]
fn no_tenant_of_a_fair_queue_is_starved_by_others_that_come_and_go() {
    run(FAIR_CASES, FAIR_SEEDS, &ops::rounds());
}
