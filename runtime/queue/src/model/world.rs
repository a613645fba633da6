//! The machine, the naive queues and the toy disk side by side. After every step they must agree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::disk::Disk;
use super::naive::{KnownQueue, Life, Naive};
use super::ops::{Op, QUEUES};
use super::receives::Turns;
use crate::effect::{Effect, QueueId, Seq};
use crate::receipt::Receipt;
use crate::state::State;

/// What happened in all cases together: a model whose cases never meet a thing proves nothing about it.
static SEEN: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

pub(super) fn saw(what: &'static str) {
    *SEEN.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
}

pub(super) fn seen() -> BTreeMap<&'static str, u64> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// An operation on its way to disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) effects: Vec<Effect>,
    /// What its caller is handed once it is durable.
    pub(super) receipts: Vec<Receipt>,
    /// What a queue is from then on.
    pub(super) becomes: Option<KnownQueue>,
    pub(super) purge_of: Option<QueueId>,
    pub(super) task: Option<String>,
    /// Management verbs run one at a time.
    pub(super) is_management: bool,
}

pub(super) struct World {
    pub(super) state: State,
    pub(super) naive: Naive,
    pub(super) disk: Disk,
    /// Oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// What somebody has in hand.
    pub(super) receipts: Vec<Receipt>,
    /// Messages that are otherwise on disk than in memory, because a write failed.
    pub(super) unsure: BTreeSet<Seq>,
    /// Whose delete is acknowledged.
    pub(super) deleted: BTreeSet<u128>,
    pub(super) turns: Turns,
    pub(super) next_id: u128,
}

impl World {
    pub(super) fn new() -> Self {
        let naive = Naive::new();
        let disk = Disk::new(&naive.queues);
        Self {
            state: disk.open(1, naive.now),
            naive,
            disk,
            pending: VecDeque::new(),
            receipts: Vec::new(),
            unsure: BTreeSet::new(),
            deleted: BTreeSet::new(),
            turns: Turns::default(),
            next_id: 1,
        }
    }

    pub(super) fn submit(&mut self, pending: Pending) {
        if !pending.effects.is_empty() {
            self.pending.push_back(pending);
        }
    }

    pub(super) fn submit_effects(&mut self, effects: Vec<Effect>) {
        self.submit(Pending { effects, ..Pending::default() });
    }

    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Send { queue, entries } => self.send(*queue, entries),
            Op::Receive { queue, max, visibility_s, attempt } => self.receive(*queue, *max, *visibility_s, *attempt),
            Op::Delete { receipts } => self.with_receipts(receipts, Self::delete),
            Op::ChangeVisibility { receipts, seconds } => {
                self.with_receipts(receipts, |world, receipt, effects| {
                    world.change_visibility(receipt, *seconds, effects);
                });
            }
            Op::Release { receipt } => self.with_receipts(&[*receipt], Self::release),
            Op::DeadLetter { receipt } => self.with_receipts(&[*receipt], Self::dead_letter),
            Op::Advance { ms } => {
                self.naive.now.tick_ms += ms;
                self.naive.now.unix_ms += ms;
            }
            Op::WallJump { ms } => self.naive.now.unix_ms += ms,
            Op::Sweep { queue } => self.sweep(*queue),
            Op::Purge { queue } => self.purge(*queue),
            Op::Drop { queue } => self.drop_queue(*queue),
            Op::Set { queue, change } => self.set(*queue, *change),
            Op::StartTask { source, destination } => self.start_task(*source, *destination),
            Op::StepTask { max } => self.step_task(*max),
            Op::CancelTask => self.cancel_task(),
            Op::Commit => self.commit(),
            Op::Abort => self.abort(),
            Op::Crash { away_ms } => self.crash(*away_ms),
        }
        // The machine is not told of the time before a verb needs it, as in a queue that nobody looks at.
        if !matches!(op, Op::Advance { .. } | Op::WallJump { .. }) {
            self.check();
        }
    }

    /// All that is on its way arrives; time passes; what can be received is.
    pub(super) fn come_to_rest(&mut self) {
        while !self.pending.is_empty() {
            self.step(&Op::Commit);
        }
        self.step(&Op::Advance { ms: 31_000 });
        for queue in QUEUES {
            self.step(&Op::Receive { queue, max: 1000, visibility_s: None, attempt: None });
        }
        self.step(&Op::Crash { away_ms: 0 });
    }

    // --- what must hold after every step

    fn check(&mut self) {
        let now = self.naive.now;
        for queue in QUEUES {
            let counts = self.state.counts(queue, now);
            assert_eq!(counts.is_ok(), self.naive.open(queue).is_some());
            let Ok(counts) = counts else { continue };
            let all = self.naive.of(queue);
            let visible = all.iter().filter(|message| self.naive.is_visible(message)).count();
            let in_flight = all.iter().filter(|message| self.naive.is_in_flight(message)).count();
            let delayed = all.iter().filter(|message| self.naive.is_delayed(message)).count();
            let shown = (counts.visible as usize, counts.in_flight as usize, counts.delayed as usize);
            assert_eq!(shown, (visible, in_flight, delayed), "the counters of queue {queue} are exact");
            let receivable = !self.naive.receivable(queue).is_empty();
            assert_eq!(
                self.state.is_ready(queue),
                receivable,
                "queue {queue} is ready when a receive would find something"
            );
            let hidden = all.iter().filter(|message| message.life == Life::Here && !self.naive.is_visible(message));
            let next_ms = hidden.map(|message| message.delivery.visible_tick_ms).min();
            let alarm_ms = self.state.next_visible_tick_ms(queue);
            assert!(next_ms.is_none_or(|next_ms| alarm_ms.is_some_and(|ms| ms <= next_ms)), "nobody would be woken");
        }
        self.turns.look(&self.naive);
        self.check_disk();
        self.check_tasks();
    }

    fn check_disk(&self) {
        let committed = self.naive.messages.iter().filter(|message| message.life != Life::Coming);
        let expected: BTreeMap<Seq, (QueueId, u128)> =
            committed.map(|message| (message.seq, (message.queue, message.id))).collect();
        let on_disk: BTreeMap<Seq, (QueueId, u128)> =
            self.disk.messages.iter().map(|(seq, row)| (*seq, (row.queue, row.id))).collect();
        assert_eq!(on_disk, expected, "each message is on disk, in one queue");
        assert_eq!(self.state.message_count(), expected.len());
        let ids: BTreeSet<u128> = expected.values().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), expected.len(), "a message is there twice");
        assert!(ids.is_disjoint(&self.deleted), "a deleted message is back");
    }
}
