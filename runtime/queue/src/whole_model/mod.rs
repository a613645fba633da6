//! The whole built-in queue on a real disk against a flat list: random verbs, reopened again and again.
//!
//! Beside `model/`, which has the machine alone and every failure, this has the real store, committer, handles and move
//! tasks. Time stands still but for jumps between two openings, so what a timeout hides stays hidden until then. After
//! every step a peek must show what the list says. Absent: crashes of the process (`disk_tests.rs` kills one).

mod verbs;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use world::{QUEUES, World};

/// As for `model/`: beside the sources, tried first in every run.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/whole_model.txt");
const CASES: u32 = 50;
const CASES_LONG: u32 = 2000;

#[derive(Debug, Clone)]
enum Op {
    Send {
        queue: usize,
        group: u8,
        deduplication: Vec<u8>,
    },
    Receive {
        queue: usize,
        max: u32,
        looks_only: bool,
    },
    /// Receipts are named by how long ago they were handed out.
    Delete {
        receipt: usize,
    },
    Hide {
        receipt: usize,
        seconds: u32,
    },
    Release {
        receipt: usize,
    },
    Bury {
        receipt: usize,
    },
    Purge {
        queue: usize,
    },
    /// Starts a move task; reopened at once, it goes on.
    Redrive {
        queue: usize,
        reopens: bool,
    },
    Reopen {
        in_order: bool,
        away_ms: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let queue = || 0usize..4;
    let receipt = || 0usize..5;
    let op = prop_oneof![
        8 => (prop_oneof![Just(0usize), Just(2)], 0u8..3, prop::collection::vec(0u8..20, 1..4))
            .prop_map(|(queue, group, deduplication)| Op::Send { queue, group, deduplication }),
        10 => (queue(), 1u32..5, prop::bool::weighted(0.3))
            .prop_map(|(queue, max, looks_only)| Op::Receive { queue, max, looks_only }),
        4 => receipt().prop_map(|receipt| Op::Delete { receipt }),
        4 => (receipt(), prop_oneof![3 => Just(0u32), 1 => Just(900)])
            .prop_map(|(receipt, seconds)| Op::Hide { receipt, seconds }),
        2 => receipt().prop_map(|receipt| Op::Release { receipt }),
        2 => receipt().prop_map(|receipt| Op::Bury { receipt }),
        1 => queue().prop_map(|queue| Op::Purge { queue }),
        1 => (prop_oneof![Just(1usize), Just(3)], any::<bool>())
            .prop_map(|(queue, reopens)| Op::Redrive { queue, reopens }),
        2 => (any::<bool>(), prop_oneof![2 => Just(0u64), 1 => Just(400_000), 1 => Just(700_000)])
            .prop_map(|(in_order, away_ms)| Op::Reopen { in_order, away_ms }),
    ];
    prop::collection::vec(op, 1..40)
}

#[test]
fn the_whole_queue_on_disk_does_what_a_flat_list_does() {
    let cases = if std::env::var_os("WASMILL_TEST_LONG").is_some() { CASES_LONG } else { CASES };
    let kept = FileFailurePersistence::Direct(SEEDS);
    let config =
        Config { cases, failure_persistence: Some(Box::new(kept)), max_shrink_iters: 200, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let outcome = TestRunner::new(config).run(&ops(), |ops| {
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in &ops {
                world.step(op).await;
            }
            world.step(&Op::Reopen { in_order: true, away_ms: 700_000 }).await;
            for queue in 0..QUEUES.len() {
                world.step(&Op::Receive { queue, max: 1000, looks_only: false }).await;
            }
            world.broker.close().await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
