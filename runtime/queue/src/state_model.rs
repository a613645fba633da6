//! The state machine against a naive model of the same queues: random verbs, commits, failed writes and crashes.
//!
//! The model is one flat list that is searched from end to end. Beside it stands a toy disk, on which effects do what
//! their SQL does. After every step the machine, the model and the disk must agree.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::arn::Identity;
use crate::attributes::Settings;
use crate::clock::Now;
use crate::contract::RedrivePolicy;
use crate::effect::{Content, DeliveryState, Effect, IndexRow, QueueId, QueueRow, Seq};
use crate::error::{PurgeError, QueueError};
use crate::message::MessageId;
use crate::receipt::Receipt;
use crate::settled::Settled;
use crate::state::{Outgoing, Planned, Receiving, State};

/// Queue 1 gives up after two receives to queue 2, which does after three to queue 3.
const QUEUES: [QueueId; 3] = [1, 2, 3];
const MAX_RECEIVES: [Option<u32>; 3] = [Some(2), Some(3), None];
const RETENTION_S: [u32; 3] = [60, 90, 1_209_600];
const VISIBILITY_S: u32 = 5;
const TWELVE_HOURS_MS: u64 = 43_200_000;

#[derive(Debug, Clone)]
enum Op {
    Send {
        queue: QueueId,
        delays_s: Vec<u32>,
    },
    Receive {
        queue: QueueId,
        max: u32,
        visibility_s: Option<u32>,
    },
    /// Receipts are named by how long ago they were issued.
    Delete {
        receipt: usize,
    },
    ChangeVisibility {
        receipt: usize,
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
    Sweep {
        queue: QueueId,
    },
    Purge {
        queue: QueueId,
    },
    Drop {
        queue: QueueId,
    },
    /// The oldest operation on its way reaches the disk, or cannot be written.
    Commit,
    Abort,
    /// What is on its way is lost; the machine is rebuilt from the disk.
    Crash,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let queue = || prop_oneof![4 => Just(1), 2 => Just(2), 1 => Just(3)];
    let receipt = || 0usize..6;
    let seconds = || prop_oneof![Just(0u32), Just(1), Just(5), Just(20), Just(43_200)];
    let op = prop_oneof![
        12 => (queue(), prop::collection::vec(prop_oneof![3 => Just(0u32), 1 => 1u32..10], 1..4))
            .prop_map(|(queue, delays_s)| Op::Send { queue, delays_s }),
        14 => (queue(), 1u32..5, prop::option::of(prop_oneof![Just(0u32), Just(1), Just(5), Just(30)]))
            .prop_map(|(queue, max, visibility_s)| Op::Receive { queue, max, visibility_s }),
        8 => receipt().prop_map(|receipt| Op::Delete { receipt }),
        5 => (receipt(), seconds()).prop_map(|(receipt, seconds)| Op::ChangeVisibility { receipt, seconds }),
        4 => receipt().prop_map(|receipt| Op::Release { receipt }),
        3 => receipt().prop_map(|receipt| Op::DeadLetter { receipt }),
        10 => prop_oneof![Just(1u64), Just(999), Just(1000), Just(5000), Just(30_000)].prop_map(|ms| Op::Advance { ms }),
        2 => queue().prop_map(|queue| Op::Sweep { queue }),
        1 => queue().prop_map(|queue| Op::Purge { queue }),
        1 => (2u32..4).prop_map(|queue| Op::Drop { queue }),
        22 => Just(Op::Commit),
        3 => Just(Op::Abort),
        2 => Just(Op::Crash),
    ];
    prop::collection::vec(op, 1..150)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Its send is not on disk.
    Coming,
    Here,
    Removing,
    Moving,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    queue: QueueId,
    enqueued_ms: u64,
    delivery: DeliveryState,
    life: Life,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    queue: QueueId,
    enqueued_ms: u64,
    first_visible_ms: u64,
    delivery: Option<DeliveryState>,
}

struct World {
    state: State,
    known: BTreeMap<Seq, Known>,
    disk: BTreeMap<Seq, Row>,
    queues_on_disk: BTreeSet<QueueId>,
    dropping: BTreeSet<QueueId>,
    last_purge_ms: BTreeMap<QueueId, u64>,
    /// Operations on their way to disk, oldest first.
    pending: VecDeque<Vec<Effect>>,
    receipts: Vec<Receipt>,
    deletes_acknowledged: BTreeSet<Seq>,
    now_ms: u64,
}

fn index(queue: QueueId) -> usize {
    QUEUES.iter().position(|id| *id == queue).unwrap()
}

fn empty_state(queues: &BTreeSet<QueueId>, next_seq: Seq) -> State {
    let identity = Identity::default();
    let mut state = State::new(identity.clone(), next_seq);
    for id in queues {
        let redrive = MAX_RECEIVES[index(*id)].map(|max_receive_count| RedrivePolicy {
            dead_letter_target_arn: identity.arn(&format!("q{}", id + 1)),
            max_receive_count,
        });
        let settings = Settings {
            visibility_timeout_s: VISIBILITY_S,
            retention_s: RETENTION_S[index(*id)],
            redrive,
            ..Settings::default()
        };
        let row = QueueRow {
            id: *id,
            name: format!("q{id}"),
            settings: Vec::new(),
            tags: Vec::new(),
            created_unix_s: 0,
            modified_unix_s: 0,
        };
        state.put_queue(&row, settings, Now { tick_ms: 0, unix_ms: 0 });
    }
    state
}

fn content() -> Content {
    Content {
        id: MessageId::new("id"),
        body: "body".to_owned(),
        attributes: Vec::new(),
        sender_id: String::new(),
        sent_unix_ms: 0,
        trace_header: None,
        group_id: None,
        deduplication_id: None,
        dead_letter_source_arn: None,
        body_md5: [0; 16],
        dead_letter_reason: None,
    }
}

impl World {
    fn new() -> Self {
        let queues_on_disk = BTreeSet::from(QUEUES);
        Self {
            state: empty_state(&queues_on_disk, 1),
            known: BTreeMap::new(),
            disk: BTreeMap::new(),
            queues_on_disk,
            dropping: BTreeSet::new(),
            last_purge_ms: BTreeMap::new(),
            pending: VecDeque::new(),
            receipts: Vec::new(),
            deletes_acknowledged: BTreeSet::new(),
            now_ms: 1_000_000,
        }
    }

    fn now(&self) -> Now {
        Now { tick_ms: self.now_ms, unix_ms: self.now_ms }
    }

    fn is_open(&self, queue: QueueId) -> bool {
        self.queues_on_disk.contains(&queue) && !self.dropping.contains(&queue)
    }

    /// Where a queue's dead letters go, and after how many receives.
    fn target(&self, queue: QueueId) -> Option<(QueueId, u32)> {
        MAX_RECEIVES[index(queue)].map(|max| (queue + 1, max)).filter(|(target, _)| self.is_open(*target))
    }

    fn submit(&mut self, effects: Vec<Effect>) {
        if !effects.is_empty() {
            self.pending.push_back(effects);
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Send { queue, delays_s } => self.send(*queue, delays_s),
            Op::Receive { queue, max, visibility_s } => self.receive(*queue, *max, *visibility_s),
            Op::Delete { receipt } => self.with_receipt(*receipt, Self::delete),
            Op::ChangeVisibility { receipt, seconds } => {
                self.with_receipt(*receipt, |world, receipt| world.change_visibility(receipt, *seconds));
            }
            Op::Release { receipt } => self.with_receipt(*receipt, Self::release),
            Op::DeadLetter { receipt } => self.with_receipt(*receipt, Self::dead_letter),
            Op::Advance { ms } => self.now_ms += ms,
            Op::Sweep { queue } => {
                let expired = self.expire(*queue);
                let mut effects = Vec::new();
                self.state.sweep(*queue, self.now(), &mut effects);
                assert_eq!(removals(&effects), expired);
                self.submit(effects);
            }
            Op::Purge { queue } => self.purge(*queue),
            Op::Drop { queue } => {
                let planned = self.state.drop_queue(*queue);
                assert_eq!(planned.is_ok(), self.is_open(*queue));
                if let Ok(effect) = planned {
                    self.dropping.insert(*queue);
                    self.submit(vec![effect]);
                }
            }
            Op::Commit => {
                if let Some(effects) = self.pending.pop_front() {
                    self.commit(&effects);
                }
            }
            Op::Abort => {
                if let Some(effects) = self.pending.pop_front() {
                    self.abort(&effects);
                }
            }
            Op::Crash => self.crash(),
        }
        self.check();
    }

    // --- verbs

    fn send(&mut self, queue: QueueId, delays_s: &[u32]) {
        let outgoing = |delay_s: &u32| Outgoing { content: content(), delay_s: Some(*delay_s), duplicate_key: None };
        let mut effects = Vec::new();
        let planned = self.state.send(queue, delays_s.iter().map(outgoing).collect(), self.now(), &mut effects);
        if !self.is_open(queue) {
            assert_eq!(planned.unwrap_err(), QueueError::NoSuchQueue);
            return;
        }
        let planned = planned.unwrap();
        assert_eq!((planned.len(), effects.len()), (delays_s.len(), delays_s.len()));
        for ((effect, delay_s), planned) in effects.iter().zip(delays_s).zip(planned) {
            let Effect::Insert(insert) = effect else { panic!("{effect:?}") };
            assert_eq!(planned, Planned::New { seq: insert.seq });
            assert_eq!(insert.visible_tick_ms, self.now_ms + u64::from(*delay_s) * 1000);
            let delivery = DeliveryState { visible_tick_ms: insert.visible_tick_ms, ..DeliveryState::default() };
            let known = Known { queue, enqueued_ms: self.now_ms, delivery, life: Life::Coming };
            assert!(self.known.insert(insert.seq, known).is_none(), "a number was given twice");
        }
        self.submit(effects);
    }

    /// Which of the queue's messages are past its retention; they are on their way out from here on.
    fn expire(&mut self, queue: QueueId) -> Vec<Seq> {
        let retention_ms = u64::from(RETENTION_S[index(queue)]) * 1000;
        let (now_ms, open) = (self.now_ms, self.is_open(queue));
        let old = |known: &Known| known.queue == queue && known.enqueued_ms + retention_ms < now_ms;
        let expired: Vec<Seq> = self
            .known
            .iter()
            .filter_map(|(seq, known)| (open && known.life == Life::Here && old(known)).then_some(*seq))
            .collect();
        for seq in &expired {
            self.known.get_mut(seq).unwrap().life = Life::Removing;
        }
        expired
    }

    fn receive(&mut self, queue: QueueId, max: u32, visibility_s: Option<u32>) {
        let expired = self.expire(queue);
        let visible = self.visible(queue);
        let mut effects = Vec::new();
        let receiving = Receiving { max, visibility_s, attempt_id: None };
        let outcome = self.state.receive(queue, receiving, self.now(), &mut effects);
        if !self.is_open(queue) {
            assert_eq!(outcome.unwrap_err(), QueueError::NoSuchQueue);
            return;
        }
        let handed_out = outcome.unwrap();
        assert_eq!(removals(&effects), expired);
        let target = self.target(queue);
        let dead = |known: &Known| target.is_some_and(|(_, max)| known.delivery.receive_count >= max);

        let mut taken = BTreeSet::new();
        for effect in &effects {
            let Effect::Move(step) = effect else { continue };
            assert!(visible.contains(&step.seq) && taken.insert(step.seq), "moved, and not there to be received");
            assert!(dead(&self.known[&step.seq]), "moved before its time");
            assert_eq!((step.from, Some(step.to)), (queue, target.map(|(target, _)| target)));
            self.known.get_mut(&step.seq).unwrap().life = Life::Moving;
        }
        for one in &handed_out {
            let seq = one.receipt.seq;
            assert!(visible.contains(&seq), "handed out inside its visibility timeout");
            assert!(taken.insert(seq), "handed out twice");
            assert!(!dead(&self.known[&seq]), "handed out too often");
            let before = self.known[&seq].delivery;
            let expected = DeliveryState {
                issued: before.issued + 1,
                receive_count: before.receive_count + 1,
                visible_tick_ms: self.now_ms + u64::from(visibility_s.unwrap_or(VISIBILITY_S)) * 1000,
                received_tick_ms: self.now_ms,
                first_received_unix_ms: Some(before.first_received_unix_ms).filter(|ms| *ms > 0).unwrap_or(self.now_ms),
            };
            assert_eq!((one.delivery, one.receipt.issue), (expected, expected.issued));
            self.known.get_mut(&seq).unwrap().delivery = expected;
            self.receipts.push(one.receipt);
        }
        assert!(handed_out.len() <= max as usize);
        if handed_out.len() < max as usize {
            assert_eq!(taken, visible, "a short answer left something behind");
        }
        self.submit(effects);
    }

    fn with_receipt(&mut self, age: usize, verb: impl FnOnce(&mut Self, Receipt)) {
        let Some(receipt) = self.receipts.iter().rev().nth(age).copied() else { return };
        if self.is_open(receipt.queue) {
            verb(self, receipt);
        }
    }

    /// The message that a receipt names, if that is its latest delivery.
    fn latest(&self, receipt: Receipt) -> Option<Known> {
        let known = self.known.get(&receipt.seq)?;
        (known.queue == receipt.queue && receipt.issue >= known.delivery.issued).then_some(*known)
    }

    /// The same, if that was not given back.
    fn current(&self, receipt: Receipt) -> Option<Known> {
        let released = |known: &Known| known.delivery.received_tick_ms == 0 && known.delivery.issued == receipt.issue;
        self.latest(receipt).filter(|known| !released(known))
    }

    fn delete(&mut self, receipt: Receipt) {
        let planned = self.state.delete(receipt, self.now()).unwrap();
        let on_its_way_out =
            self.known.get(&receipt.seq).is_some_and(|k| k.queue == receipt.queue && k.life == Life::Removing);
        let here = self.latest(receipt).is_some_and(|known| known.life == Life::Here);
        assert_eq!(planned.is_some(), here || on_its_way_out, "{receipt:?}");
        if let Some(effect) = planned {
            self.known.get_mut(&receipt.seq).unwrap().life = Life::Removing;
            self.submit(vec![effect]);
            return;
        }
        // Acknowledged on the spot: then the message is gone for good, or was not this receipt's to delete.
        let moving = self.latest(receipt).is_some_and(|known| known.life == Life::Moving);
        if self.latest(receipt).is_some() && !moving {
            assert!(!self.disk.contains_key(&receipt.seq), "acknowledged, and a crash would bring it back");
        }
    }

    /// The message of a current receipt, with the deliveries that a crash lost counted again.
    fn caught_up(&mut self, receipt: Receipt) -> Option<Known> {
        let known = self.current(receipt).filter(|known| known.life == Life::Here)?;
        let (lost, now_ms) = (receipt.issue - known.delivery.issued, self.now_ms);
        let known_here = self.known.get_mut(&receipt.seq)?;
        let delivery = &mut known_here.delivery;
        if lost > 0 {
            delivery.receive_count += lost;
            delivery.issued = receipt.issue;
            delivery.received_tick_ms = now_ms;
            if delivery.first_received_unix_ms == 0 {
                delivery.first_received_unix_ms = now_ms;
            }
        }
        Some(*known_here)
    }

    fn change_visibility(&mut self, receipt: Receipt, seconds: u32) {
        let changed = self.state.change_visibility(receipt, seconds, self.now());
        // A standard queue takes an older receipt too, where somebody has the message.
        let newer = self.known.get(&receipt.seq).copied().filter(|known| {
            let is_older = known.queue == receipt.queue && receipt.issue < known.delivery.issued;
            is_older && known.life == Life::Here && known.delivery.received_tick_ms > 0
        });
        let Some(mut known) = self.caught_up(receipt).or(newer) else {
            assert!(changed.unwrap().is_none());
            return;
        };
        let delivery = &mut known.delivery;
        let until_ms = self.now_ms + u64::from(seconds) * 1000;
        if until_ms > delivery.received_tick_ms + TWELVE_HOURS_MS {
            assert_eq!(changed.unwrap_err(), QueueError::VisibilityOutOfRange { seconds });
        } else {
            delivery.visible_tick_ms = until_ms;
            self.delivered(receipt.seq, changed.unwrap(), *delivery);
        }
        self.known.insert(receipt.seq, known);
    }

    fn release(&mut self, receipt: Receipt) {
        let released = self.state.release(receipt, self.now());
        let now_ms = self.now_ms;
        let in_flight = |known: &Known| known.delivery.visible_tick_ms > now_ms;
        let Some(mut known) = self.caught_up(receipt).filter(in_flight) else {
            assert!(released.is_none());
            return;
        };
        known.delivery.receive_count -= 1;
        known.delivery.visible_tick_ms = self.now_ms;
        known.delivery.received_tick_ms = 0;
        self.known.insert(receipt.seq, known);
        self.delivered(receipt.seq, released, known.delivery);
    }

    fn delivered(&mut self, seq: Seq, effect: Option<Effect>, expected: DeliveryState) {
        let effects = Vec::from_iter(effect);
        let [Effect::Delivery { seq: of, state }] = effects[..] else { panic!("{effects:?}") };
        assert_eq!((of, state), (seq, expected));
        self.submit(effects);
    }

    fn dead_letter(&mut self, receipt: Receipt) {
        let planned = self.state.dead_letter(receipt, "why".to_owned(), self.now());
        let Some((target, _)) = self.target(receipt.queue) else {
            assert!(matches!(planned, Err(QueueError::Unsupported(_))));
            return;
        };
        let here = self.current(receipt).is_some_and(|known| known.life == Life::Here);
        let planned = planned.unwrap();
        assert_eq!(planned.is_some(), here);
        if let Some(effect) = planned {
            let Effect::Move(step) = &effect else { panic!("{effect:?}") };
            assert_eq!((step.seq, step.from, step.to), (receipt.seq, receipt.queue, target));
            self.known.get_mut(&receipt.seq).unwrap().life = Life::Moving;
            self.submit(vec![effect]);
        }
    }

    fn purge(&mut self, queue: QueueId) {
        let mut effects = Vec::new();
        let begun = self.state.begin_purge(queue, self.now(), &mut effects);
        let too_soon = self.last_purge_ms.get(&queue).is_some_and(|last_ms| self.now_ms - last_ms < 60_000);
        let below = match begun {
            Err(PurgeError::NoSuchQueue) => return assert!(!self.is_open(queue)),
            Err(PurgeError::InProgress) => return assert!(too_soon),
            Err(other) => panic!("{other}"),
            Ok(below) => below,
        };
        assert!(!too_soon && self.is_open(queue) && effects.is_empty());
        self.last_purge_ms.insert(queue, self.now_ms);
        let mut from = 0;
        while let Some(next) = self.state.purge_some(queue, from, below, &mut effects).unwrap() {
            from = next;
        }
        let here = |known: &Known| known.queue == queue && known.life == Life::Here;
        let expected: Vec<Seq> = self.known.iter().filter_map(|(seq, known)| here(known).then_some(*seq)).collect();
        assert_eq!(removals(&effects), expected, "in flight or not, all that is there");
        for seq in expected {
            self.known.get_mut(&seq).unwrap().life = Life::Removing;
        }
        self.submit(effects);
    }

    // --- what becomes of operations

    fn commit(&mut self, effects: &[Effect]) {
        let mut settled = Settled::default();
        for effect in effects {
            self.write(effect);
            self.state.committed(effect, self.now(), &mut settled);
            match effect {
                Effect::Insert(insert) => self.known.get_mut(&insert.seq).unwrap().life = Life::Here,
                Effect::Remove { seq, .. } => {
                    self.known.remove(seq);
                    self.deletes_acknowledged.insert(*seq);
                }
                Effect::Move(step) => {
                    if let Some(known) = self.known.get_mut(&step.seq) {
                        known.queue = step.to;
                        known.life = Life::Here;
                        known.delivery.visible_tick_ms = self.now_ms;
                    }
                }
                Effect::DropQueue { queue } => self.known.retain(|_, known| known.queue != *queue),
                Effect::Delivery { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        for (queue, seq) in settled.orphans {
            self.write(&Effect::Remove { queue, seq });
        }
        for seq in settled.gone {
            assert!(!self.known.contains_key(&seq), "{seq} is said to be gone");
        }
    }

    /// What the store's SQL does.
    fn write(&mut self, effect: &Effect) {
        match effect {
            Effect::Insert(insert) => {
                let row = Row {
                    queue: insert.queue,
                    enqueued_ms: insert.enqueued_tick_ms,
                    first_visible_ms: insert.visible_tick_ms,
                    delivery: None,
                };
                self.disk.insert(insert.seq, row);
            }
            Effect::Delivery { seq, state } => {
                if let Some(row) = self.disk.get_mut(seq) {
                    row.delivery = Some(*state);
                }
            }
            Effect::Remove { seq, .. } => {
                self.disk.remove(seq);
            }
            Effect::Move(step) => {
                if let Some(row) = self.disk.get_mut(&step.seq) {
                    row.queue = step.to;
                    row.delivery = row.delivery.map(|delivery| DeliveryState { visible_tick_ms: 0, ..delivery });
                }
            }
            // Its messages go as orphans.
            Effect::DropQueue { queue } => {
                self.queues_on_disk.remove(queue);
                self.dropping.remove(queue);
            }
            other => panic!("{other:?}"),
        }
    }

    fn abort(&mut self, effects: &[Effect]) {
        for effect in effects {
            self.state.aborted(effect, self.now());
            match effect {
                Effect::Insert(insert) => {
                    self.known.remove(&insert.seq);
                }
                Effect::Remove { seq, .. } => self.stay(*seq, Life::Removing),
                Effect::Move(step) => self.stay(step.seq, Life::Moving),
                Effect::DropQueue { queue } => {
                    self.dropping.remove(queue);
                }
                Effect::Delivery { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn stay(&mut self, seq: Seq, life: Life) {
        if let Some(known) = self.known.get_mut(&seq).filter(|known| known.life == life) {
            known.life = Life::Here;
            known.delivery.visible_tick_ms = known.delivery.visible_tick_ms.max(self.now_ms + 1000);
        }
    }

    fn crash(&mut self) {
        self.pending.clear();
        self.dropping.clear();
        self.last_purge_ms.clear();
        self.state = empty_state(&self.queues_on_disk, self.state.next_seq() + 1000);
        self.known.clear();
        let now = self.now();
        for (seq, row) in &self.disk {
            let never = DeliveryState { visible_tick_ms: row.first_visible_ms, ..DeliveryState::default() };
            let delivery = row.delivery.unwrap_or(never);
            let enqueued_tick_ms = row.enqueued_ms;
            let index = IndexRow { seq: *seq, queue: row.queue, enqueued_tick_ms, group: None, delivery };
            assert!(self.state.restore(index, now));
            let known = Known { queue: row.queue, enqueued_ms: row.enqueued_ms, delivery, life: Life::Here };
            self.known.insert(*seq, known);
        }
    }

    // --- what must hold after every step

    fn visible(&self, queue: QueueId) -> BTreeSet<Seq> {
        let visible = |known: &Known| {
            known.queue == queue && known.life == Life::Here && known.delivery.visible_tick_ms <= self.now_ms
        };
        self.known.iter().filter_map(|(seq, known)| visible(known).then_some(*seq)).collect()
    }

    fn check(&mut self) {
        let now = self.now();
        for queue in QUEUES {
            let counts = self.state.counts(queue, now);
            assert_eq!(counts.is_ok(), self.is_open(queue));
            let Ok(counts) = counts else { continue };
            let hidden: Vec<DeliveryState> = self
                .known
                .values()
                .filter(|known| known.queue == queue && known.life == Life::Here)
                .map(|known| known.delivery)
                .filter(|delivery| delivery.visible_tick_ms > self.now_ms)
                .collect();
            let delayed = hidden.iter().filter(|delivery| delivery.issued == 0).count();
            let recount = (self.visible(queue).len(), hidden.len() - delayed, delayed);
            assert_eq!((counts.visible as usize, counts.in_flight as usize, counts.delayed as usize), recount);
            assert_eq!(self.state.is_ready(queue), counts.visible > 0);
            let next_ms = hidden.iter().map(|delivery| delivery.visible_tick_ms).min();
            let alarm_ms = self.state.next_visible_tick_ms(queue);
            assert!(next_ms.is_none_or(|next_ms| alarm_ms.is_some_and(|ms| ms <= next_ms)), "nobody would be woken");
        }
        let held = self.known.values().filter(|known| known.life != Life::Coming).count();
        assert_eq!(self.state.message_count(), held);
        let on_disk: BTreeMap<Seq, QueueId> = self.disk.iter().map(|(seq, row)| (*seq, row.queue)).collect();
        let committed = self.known.iter().filter(|(_, known)| known.life != Life::Coming);
        let expected: BTreeMap<Seq, QueueId> = committed.map(|(seq, known)| (*seq, known.queue)).collect();
        assert_eq!(on_disk, expected, "each message is on disk, in one queue");
        assert!(self.deletes_acknowledged.iter().all(|seq| !self.disk.contains_key(seq)), "a deleted message is back");
    }
}

/// The messages that a sweep sent away, in order.
fn removals(effects: &[Effect]) -> Vec<Seq> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Remove { seq, .. } = effect { Some(*seq) } else { None })
        .collect()
}

#[test]
fn the_machine_does_what_the_model_does() {
    let cases = if std::env::var_os("WASMILL_TEST_LONG").is_some() { 200_000 } else { 3_000 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&ops(), |ops| {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        while let Some(effects) = world.pending.pop_front() {
            world.commit(&effects);
            world.check();
        }
        // Nothing is stuck: what is not hidden for hours can be received in the end.
        world.now_ms += 31_000;
        for queue in QUEUES {
            world.receive(queue, 1000, None);
            world.check();
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
