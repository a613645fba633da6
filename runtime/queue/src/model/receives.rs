//! A receive, judged: whose message it may hand out, in what order, and how long the others may wait for theirs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::disk::{queue_name, queue_of_arn};
use super::naive::{KnownAttempt, Life, Naive};
use super::ops::QUEUES;
use super::world::{Pending, World, saw};
use crate::effect::{DeliveryState, Effect, MoveKind, QueueId, Seq};
use crate::error::QueueError;
use crate::receipt::Receipt;
use crate::state::{HandedOut, Receiving};

type Group = Option<u8>;

/// The other tenants of a standard queue: there are four, one of them what has no group.
const OTHER_TENANTS: u64 = 3;

/// How long a tenant has waited.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Messages that others were handed since its own last one, or since it had something to hand out.
    others: u64,
    allowed: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { others: 0, allowed: 2 * OTHER_TENANTS }
    }
}

/// Whose turn it is, told by watching.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeMap<(QueueId, Group), Waiting>,
    /// Since which step a FIFO group has had something to receive without a break.
    open_since: BTreeMap<(QueueId, Group), u64>,
    /// Groups that lost their place in this step.
    touched: BTreeSet<(QueueId, Group)>,
    step: u64,
}

fn groups_of(naive: &Naive, queue: QueueId, seqs: &[Seq]) -> BTreeSet<Group> {
    let of_it = naive.of(queue).into_iter().filter(|message| seqs.contains(&message.seq));
    of_it.map(|message| message.group).collect()
}

impl Turns {
    /// The groups of a queue lost their places: its delay changed, or it was not deleted after all.
    pub(super) fn touch_all(&mut self, queue: QueueId) {
        let of_it: Vec<(QueueId, Group)> = self.open_since.keys().filter(|(of, _)| *of == queue).copied().collect();
        self.touched.extend(of_it);
    }

    /// The groups that time alone opened since the last step: behind all others.
    fn open_late(&mut self, queue: QueueId, open: &BTreeSet<Group>) {
        for group in open {
            self.open_since.entry((queue, *group)).or_insert(self.step + 1);
        }
    }

    /// A step is over.
    pub(super) fn look(&mut self, naive: &Naive) {
        self.step += 1;
        for queue in QUEUES {
            let open = groups_of(naive, queue, &naive.receivable(queue));
            if naive.is_fifo(queue) {
                self.open_since.retain(|(of, group), _| *of != queue || open.contains(group));
                for group in open {
                    let since = self.open_since.entry((queue, group)).or_insert(self.step);
                    if self.touched.contains(&(queue, group)) {
                        *since = self.step;
                    }
                }
            } else {
                let none_ready =
                    self.waiting.iter_mut().filter(|((of, group), _)| *of == queue && !open.contains(group));
                none_ready.for_each(|(_, waiting)| waiting.others = 0);
            }
        }
        self.touched.clear();
    }

    /// No tenant waits long: each other one may be handed two messages before it, and one more for each that the tenant
    /// itself had in flight when it was handed its last.
    fn judge_fair(&mut self, naive: &Naive, queue: QueueId, taken: &[(Seq, bool)], receivable: &[Seq]) {
        let mut left = receivable.to_vec();
        let mut held: BTreeMap<Group, u64> = BTreeMap::new();
        for message in naive.of(queue).into_iter().filter(|message| naive.is_in_flight(message)) {
            *held.entry(message.group).or_default() += 1;
        }
        for (seq, is_dead) in taken {
            left.retain(|other| other != seq);
            if *is_dead {
                continue;
            }
            let group = naive.message(*seq).unwrap().group;
            let own = held.entry(group).or_default();
            self.waiting.insert((queue, group), Waiting { others: 0, allowed: OTHER_TENANTS * (2 + *own) });
            *own += 1;
            let waiting = groups_of(naive, queue, &left);
            for other in [None, Some(1), Some(2), Some(3)].into_iter().filter(|other| *other != group) {
                let is_ready = waiting.contains(&other);
                let waiting = self.waiting.entry((queue, other)).or_default();
                waiting.others = if is_ready { waiting.others + 1 } else { 0 };
                assert!(waiting.others <= waiting.allowed, "tenant {other:?} of queue {queue} is starved: {waiting:?}");
            }
        }
    }

    /// A group is taken from its first message on, and whole before the next; those that wait longer go first.
    fn judge_fifo(&mut self, naive: &Naive, queue: QueueId, taken: &[(Seq, bool)], receivable: &[Seq], is_short: bool) {
        self.open_late(queue, &groups_of(naive, queue, receivable));
        let mut groups: BTreeMap<Group, VecDeque<Seq>> = BTreeMap::new();
        for seq in receivable {
            groups.entry(naive.message(*seq).unwrap().group).or_default().push_back(*seq);
        }
        let (mut current, mut latest) = (None, 0);
        for (seq, _) in taken {
            let group = naive.message(*seq).unwrap().group;
            if current != Some(group) {
                assert!(current.is_none_or(|current| groups[&current].is_empty()), "a group was left half taken");
                let since = self.open_since[&(queue, group)];
                assert!(since >= latest, "a group was taken before one that waits longer");
                (current, latest) = (Some(group), since);
                self.touched.insert((queue, group));
            }
            let next = groups.get_mut(&group).and_then(VecDeque::pop_front);
            assert_eq!(next, Some(*seq), "out of order, or past one that is held");
        }
        for (group, _) in groups.into_iter().filter(|(_, rest)| !rest.is_empty()) {
            assert!(!is_short, "a short answer left something behind");
            assert!(
                current == Some(group) || self.open_since[&(queue, group)] >= latest,
                "one that waits longer was passed"
            );
        }
    }
}

impl World {
    pub(super) fn receive(&mut self, queue: QueueId, max: u32, visibility_s: Option<u32>, attempt: Option<u8>) {
        let expired = self.naive.expire(queue);
        let attempt_id = attempt.map(|attempt| attempt.to_string());
        let mut effects = Vec::new();
        let receiving = Receiving { max, visibility_s, attempt_id: attempt_id.as_deref() };
        let outcome = self.state.receive(queue, receiving, self.naive.now, &mut effects);
        let Some(known) = self.naive.open(queue).copied() else {
            assert_eq!(outcome.unwrap_err(), QueueError::NoSuchQueue);
            return;
        };
        let handed_out = outcome.unwrap();
        self.check_swept(queue, &effects, &expired);
        let until_ms = self.naive.now.tick_ms + u64::from(visibility_s.unwrap_or(known.visibility_s)) * 1000;
        let attempt = attempt.filter(|_| known.is_fifo);
        if let Some(known) = attempt.and_then(|attempt| self.naive.repeatable(queue, attempt).cloned()) {
            saw("a receive attempt repeated");
            self.repeat(&known, &handed_out, until_ms);
        } else {
            let receivable = self.naive.receivable(queue);
            let taken = taken(&effects);
            let is_short = handed_out.len() < max as usize;
            assert!(handed_out.len() <= max as usize);
            let distinct: BTreeSet<Seq> = taken.iter().map(|(seq, _)| *seq).collect();
            assert_eq!(distinct.len(), taken.len(), "taken twice");
            assert!(
                distinct.iter().all(|seq| receivable.contains(seq)),
                "inside its visibility timeout, or out of order"
            );
            assert!(!is_short || distinct.len() == receivable.len(), "a short answer left something behind");
            if known.is_fifo {
                self.turns.judge_fifo(&self.naive, queue, &taken, &receivable, is_short);
            } else {
                self.turns.judge_fair(&self.naive, queue, &taken, &receivable);
            }
            self.take(queue, &effects, &handed_out, until_ms);
            if let Some(attempt) = attempt.filter(|_| !handed_out.is_empty()) {
                self.note_attempt(queue, attempt, self.naive.now.tick_ms, &handed_out);
            }
        }
        if !handed_out.is_empty() {
            saw("a receive");
        }
        let receipts: Vec<Receipt> = handed_out.iter().map(|one| one.receipt).collect();
        if known.is_fifo {
            // Nobody hears of a FIFO delivery before it is on disk.
            self.submit(Pending { effects, receipts, ..Pending::default() });
        } else {
            self.receipts.extend(receipts);
            self.submit_effects(effects);
        }
    }

    /// The messages that were handed out, and those that were given up instead.
    fn take(&mut self, queue: QueueId, effects: &[Effect], handed_out: &[HandedOut], until_ms: u64) {
        let (now, target) = (self.naive.now, self.naive.target(queue));
        let mut handed_out = handed_out.iter();
        for effect in effects {
            match effect {
                Effect::Move(step) => {
                    let message = self.naive.message_mut(step.seq).unwrap();
                    assert!(target.is_some_and(|(_, max)| message.delivery.receive_count >= max), "before its time");
                    assert_eq!((step.from, Some(step.to)), (queue, target.map(|(target, _)| target)));
                    message.life = Life::Moving;
                    self.check_dead_letter(&step.kind, queue, None);
                }
                Effect::Delivery { seq, state } => {
                    let message = self.naive.message_mut(*seq).unwrap();
                    let before = message.delivery;
                    assert!(target.is_none_or(|(_, max)| before.receive_count < max), "handed out too often");
                    let first_ms =
                        if before.first_received_unix_ms == 0 { now.unix_ms } else { before.first_received_unix_ms };
                    message.delivery = DeliveryState {
                        issued: before.issued + 1,
                        receive_count: before.receive_count + 1,
                        visible_tick_ms: until_ms,
                        received_tick_ms: now.tick_ms,
                        first_received_unix_ms: first_ms,
                    };
                    message.held_back = false;
                    let receipt = Receipt { queue, seq: *seq, issue: message.delivery.issued };
                    assert_eq!(handed_out.next(), Some(&HandedOut { receipt, delivery: message.delivery }));
                    assert_eq!(*state, message.delivery);
                }
                _ => {}
            }
        }
        assert_eq!(handed_out.next(), None, "handed out, and not said to the disk");
    }

    pub(super) fn check_dead_letter(&self, kind: &MoveKind, from: QueueId, because: Option<&str>) {
        let MoveKind::DeadLetter { source_arn, reason, renewal } = kind else { panic!("{kind:?}") };
        let is_fifo = self.naive.is_fifo(from);
        saw(if is_fifo { "a FIFO dead letter" } else { "a dead letter" });
        assert_eq!((queue_of_arn(source_arn), reason.as_deref()), (from, because));
        assert!(source_arn.ends_with(&queue_name(from, is_fifo)));
        assert_eq!(renewal.is_some(), is_fifo);
        let now = self.naive.now;
        assert!(renewal.is_none_or(|new| (new.enqueued_tick_ms, new.sent_unix_ms) == (now.tick_ms, now.unix_ms)));
    }

    fn repeat(&mut self, known: &KnownAttempt, handed_out: &[HandedOut], until_ms: u64) {
        let given: Vec<(Seq, u32)> = handed_out.iter().map(|one| (one.receipt.seq, one.receipt.issue)).collect();
        let expected: Vec<(Seq, u32)> = known.messages.iter().map(|(seq, issue, _)| (*seq, *issue)).collect();
        assert_eq!(given, expected, "the same messages and handles");
        for one in handed_out {
            let message = self.naive.message_mut(one.receipt.seq).unwrap();
            message.delivery.visible_tick_ms = until_ms;
            assert_eq!(one.delivery, message.delivery);
        }
        self.note_attempt(known.queue, known.attempt, known.made_ms, handed_out);
    }

    fn note_attempt(&mut self, queue: QueueId, attempt: u8, made_ms: u64, handed_out: &[HandedOut]) {
        let messages = handed_out.iter().map(|one| (one.receipt.seq, one.receipt.issue, one.delivery.visible_tick_ms));
        let messages = messages.collect();
        self.naive.note_attempt(KnownAttempt { queue, attempt, made_ms, messages, is_durable: false });
    }

    pub(super) fn sweep(&mut self, queue: QueueId) {
        let expired = self.naive.expire(queue);
        let mut effects = Vec::new();
        self.state.sweep(queue, self.naive.now, &mut effects);
        self.check_swept(queue, &effects, &expired);
        self.submit_effects(effects);
    }

    /// What a look at the clock sent away: messages past their retention, and what is remembered for five minutes.
    fn check_swept(&self, queue: QueueId, effects: &[Effect], expired: &[Seq]) {
        assert_eq!(removals(effects), expired);
        for effect in effects {
            match effect {
                Effect::ForgetOriginals { queue: of, through } => {
                    let forgotten =
                        self.naive.originals.iter().filter(|known| known.queue == *of && known.seq <= *through);
                    assert!(
                        *of == queue && forgotten.into_iter().all(|known| !self.naive.is_remembered(known.sent_ms))
                    );
                }
                Effect::ForgetAttempts { queue: of, through_tick_ms } => {
                    assert!(*of == queue && !self.naive.is_remembered(*through_tick_ms));
                }
                _ => {}
            }
        }
    }
}

/// What a receive took, in order: handed out, or (true) given up.
fn taken(effects: &[Effect]) -> Vec<(Seq, bool)> {
    let each = effects.iter().filter_map(|effect| match effect {
        Effect::Delivery { seq, .. } => Some((*seq, false)),
        Effect::Move(step) => Some((step.seq, true)),
        _ => None,
    });
    each.collect()
}

/// The messages that are to be removed, in order.
pub(super) fn removals(effects: &[Effect]) -> Vec<Seq> {
    let each = effects.iter().filter_map(|effect| match effect {
        Effect::Remove { seq, .. } => Some(*seq),
        _ => None,
    });
    each.collect()
}
