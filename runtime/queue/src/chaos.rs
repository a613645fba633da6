//! Faults that Amazon SQS is allowed to have, injected into standard queues for those who test their handlers.
//!
//! A message may be delivered twice, out of order, or again although its delete was answered. Nothing else: FIFO queues are
//! left alone, no message is lost, and none goes to a dead-letter queue because of a fault. Which call has which fault is drawn
//! from a seed, for each queue by itself: the same calls in the same order have the same faults.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bodies::Ahead;
use crate::effect::{Effect, QueueId, Seq};
use crate::local::LocalQueue;
use crate::receipt::Receipt;
use crate::state::{HandedOut, Receiving, State};

/// What a share is a part of.
const MILLION: u64 = 1_000_000;
/// Second deliveries that a queue may owe. Beyond it none is promised.
const OWED_MAX: usize = 10_000;

/// How often which fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChaosOptions {
    /// What the faults are drawn from.
    pub seed: u64,
    /// Of a million deliveries so many come a second time.
    pub duplicate: u32,
    /// Of a million deliveries so many are put off for a later one.
    pub reorder: u32,
    /// Of a million deletes so many are answered and not done.
    pub lost_ack: u32,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Duplicate,
    Reorder,
    LostAck,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Duplicate, Self::Reorder, Self::LostAck];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::LostAck => "lost_ack",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Duplicate => "chaos: this message is delivered a second time",
            Self::Reorder => "chaos: this message waits, and a later one goes first",
            Self::LostAck => {
                "chaos: the delete was answered and not done: the message returns by its visibility timeout"
            }
        }
    }
}

/// What was done to which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) fault: Fault,
    pub(crate) seq: Seq,
}

/// The faults of a process's queues.
#[derive(Debug)]
pub(crate) struct Chaos {
    options: ChaosOptions,
    queues: Mutex<BTreeMap<QueueId, Faults>>,
}

/// Those of one queue.
#[derive(Debug)]
struct Faults {
    dice: Dice,
    /// What is to be delivered once more, whoever deletes it before.
    owed: HashSet<Seq>,
}

impl Chaos {
    pub(crate) fn new(options: ChaosOptions) -> Self {
        Self { options, queues: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<QueueId, Faults>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue was deleted.
    pub(crate) fn forget(&self, queue: QueueId) {
        self.lock().remove(&queue);
    }

    /// Disturbs what one receive of a standard queue hands out.
    pub(crate) fn disturb(
        &self,
        (queue, name): (QueueId, &str),
        state: &mut State,
        receiving: Receiving<'_>,
        handed_out: &mut [HandedOut],
        (now, effects): (crate::clock::Now, &mut Vec<Effect>),
    ) -> Vec<Injected> {
        let mut queues = self.lock();
        let faults = queues.entry(queue).or_insert_with(|| Faults::new(self.options.seed, name));
        let mut injected = Vec::new();
        for index in 0..handed_out.len() {
            if !faults.dice.falls(self.options.reorder) {
                continue;
            }
            let first = handed_out[index].receipt;
            let another = state.receive(queue, Receiving { max: 1, ..receiving }, now, effects);
            let instead = another.ok().and_then(|mut another| another.pop());
            let behind = handed_out.len() - index - 1;
            match instead {
                Some(later) => {
                    effects.extend(state.release(first, now));
                    handed_out[index] = later;
                }
                None if behind > 0 => handed_out.swap(index, index + 1 + faults.dice.below(behind)),
                // There is no other.
                None => continue,
            }
            injected.push(Injected { fault: Fault::Reorder, seq: first.seq });
        }
        for HandedOut { receipt, .. } in handed_out {
            let is_the_second = faults.owed.remove(&receipt.seq);
            if is_the_second || !faults.dice.falls(self.options.duplicate) || !faults.has_room(queue, state) {
                continue;
            }
            // It is there for the next receive while this one has it. Not counted, so that no redrive policy sees it.
            if let Some(effect) = state.release(*receipt, now) {
                effects.push(effect);
                faults.owed.insert(receipt.seq);
                injected.push(Injected { fault: Fault::Duplicate, seq: receipt.seq });
            }
        }
        injected
    }

    /// Whether a delete is to be answered and not done, and for which fault if that is news.
    pub(crate) fn swallows(&self, name: &str, state: &State, receipt: Receipt) -> Option<Option<Injected>> {
        let mut queues = self.lock();
        let faults = queues.entry(receipt.queue).or_insert_with(|| Faults::new(self.options.seed, name));
        if faults.owed.contains(&receipt.seq) {
            return Some(None);
        }
        if faults.dice.falls(self.options.lost_ack) && state.comes_again(receipt) {
            return Some(Some(Injected { fault: Fault::LostAck, seq: receipt.seq }));
        }
        None
    }
}

impl Faults {
    fn new(seed: u64, name: &str) -> Self {
        Self { dice: Dice::of(seed, name), owed: HashSet::new() }
    }

    /// Makes room by forgetting what is gone for other reasons.
    fn has_room(&mut self, queue: QueueId, state: &State) -> bool {
        if self.owed.len() >= OWED_MAX {
            self.owed.retain(|seq| state.has(queue, *seq));
        }
        self.owed.len() < OWED_MAX
    }
}

impl LocalQueue {
    /// Counts and logs what was injected.
    pub(crate) async fn tell_of(&self, injected: &[Injected]) {
        if injected.is_empty() {
            return;
        }
        let seqs: Vec<Seq> = injected.iter().map(|one| one.seq).collect();
        let contents = self.inner.contents_of(self.shared.id, &seqs, Ahead::None).await.unwrap_or_default();
        for (index, Injected { fault, .. }) in injected.iter().enumerate() {
            self.inner.metrics.injected(self.name(), *fault);
            let message_id = contents.get(index).and_then(Option::as_ref).map(|content| content.id.to_string());
            tracing::info!(queue = self.name(), fault = fault.as_str(), message_id, "{}", fault.told());
        }
    }
}

/// SplitMix64: small, and good enough to throw dice with.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64, name: &str) -> Self {
        // FNV-1a: a queue's faults do not depend on what other queues there are.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn falls(&mut self, of_a_million: u32) -> bool {
        self.next() % MILLION < u64::from(of_a_million)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}
