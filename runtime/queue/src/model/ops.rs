//! What may happen to the queues of the model: random lists of it.

use proptest::prelude::*;

use crate::effect::QueueId;

/// Three standard queues and three FIFO queues; which leads where is in `naive.rs`.
pub(super) const QUEUES: [QueueId; 6] = [1, 2, 3, 4, 5, 6];

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// A FIFO queue has no heed for it.
    pub(super) delay_s: Option<u32>,
    /// 0 is none on a standard queue, and one more on a FIFO queue.
    pub(super) group: u8,
    /// On a FIFO queue.
    pub(super) deduplication: u8,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Visibility(u32),
    Delay(u32),
    Retention(u32),
    Redrive(bool),
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Send {
        queue: QueueId,
        entries: Vec<Entry>,
    },
    Receive {
        queue: QueueId,
        max: u32,
        visibility_s: Option<u32>,
        attempt: Option<u8>,
    },
    /// Receipts are named by how long ago they were handed to somebody.
    Delete {
        receipts: Vec<usize>,
    },
    ChangeVisibility {
        receipts: Vec<usize>,
        seconds: u32,
    },
    Release {
        receipt: usize,
    },
    DeadLetter {
        receipt: usize,
    },
    Advance {
        ms: u64,
    },
    /// The wall clock jumps ahead; the ticks do not.
    WallJump {
        ms: u64,
    },
    Sweep {
        queue: QueueId,
    },
    Purge {
        queue: QueueId,
    },
    Drop {
        queue: QueueId,
    },
    Set {
        queue: QueueId,
        change: Change,
    },
    StartTask {
        source: QueueId,
        destination: Option<QueueId>,
    },
    /// The oldest task that runs does its next step.
    StepTask {
        max: usize,
    },
    CancelTask,
    /// The oldest operation on its way reaches the disk, or cannot be written.
    Commit,
    Abort,
    /// What is on its way is lost; the machine is rebuilt from the disk, so much later.
    Crash {
        away_ms: u64,
    },
}

fn queue() -> impl Strategy<Value = QueueId> {
    prop_oneof![4 => Just(1), 2 => Just(2), 1 => Just(3), 4 => Just(4), 2 => Just(5), 2 => Just(6)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let delay_s = prop_oneof![6 => Just(None), 2 => Just(Some(0)), 1 => (1u32..10).prop_map(Some)];
    (delay_s, 0u8..4, 0u8..12).prop_map(|(delay_s, group, deduplication)| Entry { delay_s, group, deduplication })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop_oneof![Just(0u32), Just(1), Just(30)].prop_map(Change::Visibility),
        prop_oneof![Just(0u32), Just(2), Just(40)].prop_map(Change::Delay),
        prop_oneof![Just(60u32), Just(400)].prop_map(Change::Retention),
        any::<bool>().prop_map(Change::Redrive),
    ]
}

/// Weighted so that operations do not pile up, and most messages are received a few times.
fn op() -> impl Strategy<Value = Op> {
    let receipt = || 0usize..6;
    let receipts = || prop::collection::vec(0usize..6, 1..3);
    let seconds = prop_oneof![3 => Just(0u32), 1 => Just(1), 1 => Just(5), 1 => Just(20), 1 => Just(43_200)];
    let visibility_s = prop::option::of(prop_oneof![Just(0u32), Just(1), Just(5), Just(30)]);
    let attempt = prop_oneof![3 => Just(None), 2 => (0u8..3).prop_map(Some)];
    let passing_ms = prop_oneof![
        4 => Just(1u64), 4 => Just(999), 4 => Just(1000), 4 => Just(5000), 3 => Just(30_000), 1 => Just(299_000)
    ];
    let away_ms = prop_oneof![3 => Just(0u64), 1 => Just(20_000), 1 => Just(86_400_000)];
    prop_oneof![
        12 => (queue(), prop::collection::vec(entry(), 1..4)).prop_map(|(queue, entries)| Op::Send { queue, entries }),
        14 => (queue(), 1u32..5, visibility_s, attempt)
            .prop_map(|(queue, max, visibility_s, attempt)| Op::Receive { queue, max, visibility_s, attempt }),
        8 => receipts().prop_map(|receipts| Op::Delete { receipts }),
        5 => (receipts(), seconds).prop_map(|(receipts, seconds)| Op::ChangeVisibility { receipts, seconds }),
        4 => receipt().prop_map(|receipt| Op::Release { receipt }),
        3 => receipt().prop_map(|receipt| Op::DeadLetter { receipt }),
        10 => passing_ms.prop_map(|ms| Op::Advance { ms }),
        1 => Just(Op::WallJump { ms: 3_600_000 }),
        2 => queue().prop_map(|queue| Op::Sweep { queue }),
        1 => queue().prop_map(|queue| Op::Purge { queue }),
        1 => prop_oneof![Just(2), Just(3), Just(5)].prop_map(|queue| Op::Drop { queue }),
        2 => (queue(), change()).prop_map(|(queue, change)| Op::Set { queue, change }),
        2 => (queue(), prop::option::of(queue()))
            .prop_map(|(source, destination)| Op::StartTask { source, destination }),
        4 => (1usize..4).prop_map(|max| Op::StepTask { max }),
        1 => Just(Op::CancelTask),
        24 => Just(Op::Commit),
        3 => Just(Op::Abort),
        2 => away_ms.prop_map(|away_ms| Op::Crash { away_ms }),
    ]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..120)
}

/// Tenants that come and go beside one with a backlog, on a queue that gives nothing up: each round one message comes,
/// one is received, and mostly deleted at once.
pub(super) fn rounds() -> impl Strategy<Value = Vec<Op>> {
    const QUEUE: QueueId = 3;
    let send = |group: u8, count: usize| {
        let entries = vec![Entry { delay_s: None, group, deduplication: 0 }; count];
        [Op::Send { queue: QUEUE, entries }, Op::Commit]
    };
    let round = move |(group, is_deleted): (u8, bool)| {
        let mut ops = send(group, 1).to_vec();
        ops.extend([Op::Receive { queue: QUEUE, max: 1, visibility_s: None, attempt: None }, Op::Commit]);
        if is_deleted {
            ops.extend([Op::Delete { receipts: vec![0] }, Op::Commit]);
        }
        ops
    };
    prop::collection::vec((prop_oneof![Just(0u8), Just(2), Just(3)], prop::bool::weighted(0.8)), 1..40)
        .prop_map(move |rounds| send(1, 20).into_iter().chain(rounds.into_iter().flat_map(round)).collect())
}
