//! All queues of a store as one pure machine: verbs and the time in, outcomes and effects out.
//!
//! No clock, no I/O, no async, no randomness, ordered maps only: the same calls give the same effects. What must be
//! durable before it counts (a send, a delete, a move by verdict) happens in two steps: the verb plans it and names the
//! effects, and `committed` or `aborted` finishes it. So no message is handed out before it is safe on disk, and none
//! vanishes because its delete could not be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::arn::{Identity, QueueArn};
use crate::attributes::Settings;
use crate::clock::Now;
use crate::effect::{Content, DeliveryState, Effect, IndexRow, Insert, Move, QueueId, QueueRow, Seq};
use crate::error::{PurgeError, QueueError};
use crate::receipt::Receipt;
use crate::redrive;
use crate::shelf::{Counts, Leaving, Shelf, Standing};

/// SQS's limit for standard queues (sqs-semantics §5.2).
const IN_FLIGHT_MAX: u64 = 120_000;
const PURGE_INTERVAL_MS: u64 = 60_000;
/// A message whose leaving could not be written stays hidden so long, so that nobody tries again in a hot loop.
const STAY_HIDDEN_MS: u64 = 1000;

/// One queue: its settings and its messages.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) created_unix_s: u64,
    pub(crate) modified_unix_s: u64,
    shelf: Shelf,
    last_purge_tick_ms: Option<u64>,
    /// Its deletion is on the way to disk: for every verb it is not there any more.
    dropping: bool,
}

/// A message handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandedOut {
    pub(crate) receipt: Receipt,
    pub(crate) delivery: DeliveryState,
}

/// What came of effects that are durable now.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The queues that may have got something to receive.
    pub(crate) stirred: BTreeSet<QueueId>,
    /// The messages that left the store.
    pub(crate) gone: Vec<Seq>,
}

/// Every queue of the store.
#[derive(Debug)]
pub(crate) struct State {
    identity: Identity,
    queues: BTreeMap<QueueId, QueueState>,
    names: BTreeMap<String, QueueId>,
    next_seq: Seq,
}

impl State {
    /// An empty state whose first message will be numbered `next_seq`.
    pub(crate) fn new(identity: Identity, next_seq: Seq) -> Self {
        Self { identity, queues: BTreeMap::new(), names: BTreeMap::new(), next_seq }
    }

    /// Puts back a message that the store kept.
    pub(crate) fn restore(&mut self, row: IndexRow, now: Now) {
        if let Some(queue) = self.queues.get_mut(&row.queue) {
            queue.shelf.put(row.seq, row.enqueued_tick_ms, row.delivery, now.tick_ms);
        }
    }

    // --- queues

    pub(crate) fn find(&self, name: &str) -> Option<QueueId> {
        self.names.get(name).copied()
    }

    pub(crate) fn queue(&self, id: QueueId) -> Option<&QueueState> {
        self.queues.get(&id).filter(|queue| !queue.dropping)
    }

    fn queue_mut(&mut self, id: QueueId) -> Option<&mut QueueState> {
        self.queues.get_mut(&id).filter(|queue| !queue.dropping)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The names of the queues whose redrive policy names `arn`, sorted.
    pub(crate) fn sources_of(&self, arn: &QueueArn) -> Vec<String> {
        let names_it = |queue: &QueueState| {
            queue.settings.redrive.as_ref().is_some_and(|redrive| redrive.dead_letter_target_arn == *arn)
        };
        let ids = self.names.iter().filter(|(_, id)| self.queues.get(id).is_some_and(names_it));
        ids.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Adds a queue or replaces its settings, once that is durable.
    pub(crate) fn put_queue(&mut self, row: &QueueRow, settings: Settings) {
        self.names.insert(row.name.clone(), row.id);
        if let Some(queue) = self.queues.get_mut(&row.id) {
            queue.settings = settings;
            queue.tags.clone_from(&row.tags);
            queue.modified_unix_s = row.modified_unix_s;
            return;
        }
        let queue = QueueState {
            name: row.name.clone(),
            settings,
            tags: row.tags.clone(),
            created_unix_s: row.created_unix_s,
            modified_unix_s: row.modified_unix_s,
            shelf: Shelf::default(),
            last_purge_tick_ms: None,
            dropping: false,
        };
        self.queues.insert(row.id, queue);
    }

    /// Plans the end of a queue and all its messages. From here on nothing enters it: what did would be acknowledged,
    /// written after the end, and lost.
    pub(crate) fn drop_queue(&mut self, id: QueueId) -> Result<Effect, QueueError> {
        let queue = self.queue_mut(id).ok_or(QueueError::NoSuchQueue)?;
        queue.dropping = true;
        let name = queue.name.clone();
        self.names.remove(&name);
        Ok(Effect::DropQueue { queue: id })
    }

    /// Exact at `now`.
    pub(crate) fn counts(&mut self, id: QueueId, now: Now) -> Result<Counts, QueueError> {
        let queue = self.queue_mut(id).ok_or(QueueError::NoSuchQueue)?;
        queue.shelf.advance(now.tick_ms);
        Ok(queue.shelf.counts())
    }

    /// The age of the oldest message in milliseconds; 0 for an empty queue.
    pub(crate) fn oldest_age_ms(&self, id: QueueId, now: Now) -> u64 {
        let oldest = self.queues.get(&id).and_then(|queue| queue.shelf.oldest_tick_ms());
        oldest.map_or(0, |tick_ms| now.tick_ms.saturating_sub(tick_ms))
    }

    /// Plans a purge of everything sent until now.
    pub(crate) fn purge(&mut self, id: QueueId, now: Now) -> Result<Effect, PurgeError> {
        let queue = self.queue_mut(id).ok_or(PurgeError::NoSuchQueue)?;
        let too_soon = |last_ms: u64| now.tick_ms.saturating_sub(last_ms) < PURGE_INTERVAL_MS;
        if queue.last_purge_tick_ms.is_some_and(too_soon) {
            return Err(PurgeError::InProgress);
        }
        queue.last_purge_tick_ms = Some(now.tick_ms);
        Ok(Effect::Purge { queue: id, below: self.next_seq })
    }

    // --- messages

    /// Plans sends: numbers them and names the effects. Nobody can receive them before `committed`.
    pub(crate) fn send(
        &mut self,
        id: QueueId,
        contents: Vec<(Arc<Content>, Option<u32>)>,
        now: Now,
    ) -> Result<Vec<Effect>, QueueError> {
        let queue_delay_s = self.queue(id).ok_or(QueueError::NoSuchQueue)?.settings.delay_s;
        let mut effects = Vec::with_capacity(contents.len());
        for (content, delay_s) in contents {
            let delay_ms = u64::from(delay_s.unwrap_or(queue_delay_s)) * 1000;
            effects.push(Effect::Insert(Insert {
                queue: id,
                seq: self.next_seq,
                enqueued_tick_ms: now.tick_ms,
                visible_tick_ms: now.tick_ms + delay_ms,
                content,
            }));
            self.next_seq += 1;
        }
        Ok(effects)
    }

    /// Hands out up to `max` messages. One that was received too often goes to the dead-letter queue instead.
    pub(crate) fn receive(
        &mut self,
        id: QueueId,
        max: u32,
        visibility_s: Option<u32>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<HandedOut>, QueueError> {
        self.sweep(id, now, effects);
        let queue = self.queue(id).ok_or(QueueError::NoSuchQueue)?;
        let target = redrive::target(&queue.settings, &self.identity, &self.names, id);
        let source_arn = target.map(|_| self.identity.arn(&queue.name).to_string()).unwrap_or_default();
        let visible_ms = u64::from(visibility_s.unwrap_or(queue.settings.visibility_timeout_s)) * 1000;
        let queue = self.queue_mut(id).ok_or(QueueError::NoSuchQueue)?;
        let mut handed_out = Vec::new();
        while handed_out.len() < max as usize {
            let Some((seq, delivery)) = queue.shelf.next_ready() else { break };
            if let Some(target) = target.filter(|target| delivery.receive_count >= target.max_receive_count) {
                queue.shelf.set_leaving(seq, Leaving::Moved);
                let source_arn = source_arn.clone();
                effects.push(Effect::Move(Move { seq, from: id, to: target.queue, source_arn, reason: None }));
                continue;
            }
            if queue.shelf.counts().in_flight >= IN_FLIGHT_MAX {
                if handed_out.is_empty() {
                    return Err(QueueError::OverLimit);
                }
                break;
            }
            let delivery = queue.shelf.hand_out(seq, now.tick_ms, now.unix_ms, now.tick_ms + visible_ms);
            effects.push(Effect::Delivery { seq, state: delivery });
            let receipt = Receipt { queue: id, seq, issue: delivery.issued };
            handed_out.push(HandedOut { receipt, delivery });
        }
        // With a visibility timeout of 0 they are visible again, but not to the receive that took them.
        queue.shelf.advance(now.tick_ms);
        Ok(handed_out)
    }

    /// Plans a delete. `None` means that there is nothing to do, which SQS answers with success.
    pub(crate) fn delete(&mut self, receipt: Receipt) -> Option<Effect> {
        let queue = self.queue_mut(receipt.queue)?;
        match queue.shelf.standing(receipt.seq, receipt.issue) {
            Standing::Current | Standing::Released => queue.shelf.set_leaving(receipt.seq, Leaving::Removed),
            // Who asks again must wait as the first one does: a success now could be revoked by a crash.
            Standing::Leaving => {}
            Standing::Superseded | Standing::Gone => return None,
        }
        Some(Effect::Remove { queue: receipt.queue, seq: receipt.seq })
    }

    /// Changes when a delivery becomes visible: `seconds` from now. `None` means that the delivery is over.
    pub(crate) fn change_visibility(
        &mut self,
        receipt: Receipt,
        seconds: u32,
        now: Now,
    ) -> Result<Option<Effect>, QueueError> {
        let queue = self.queue_mut(receipt.queue).ok_or(QueueError::NoSuchQueue)?;
        queue.shelf.advance(now.tick_ms);
        if queue.shelf.standing(receipt.seq, receipt.issue) != Standing::Current {
            return Ok(None);
        }
        queue.shelf.catch_up(receipt.seq, receipt.issue, now.tick_ms, now.unix_ms);
        let wanted_ms = u64::from(seconds) * 1000;
        if wanted_ms > queue.shelf.visibility_left_ms(receipt.seq, now.tick_ms) {
            return Err(QueueError::VisibilityOutOfRange { seconds });
        }
        let state = queue.shelf.set_visible_at(receipt.seq, now.tick_ms + wanted_ms, now.tick_ms);
        Ok(state.map(|state| Effect::Delivery { seq: receipt.seq, state }))
    }

    /// Gives a delivery back as if it had not been received. `None` means that the delivery is over.
    pub(crate) fn release(&mut self, receipt: Receipt, now: Now) -> Option<Effect> {
        let queue = self.queue_mut(receipt.queue)?;
        queue.shelf.advance(now.tick_ms);
        if queue.shelf.standing(receipt.seq, receipt.issue) != Standing::Current {
            return None;
        }
        queue.shelf.catch_up(receipt.seq, receipt.issue, now.tick_ms, now.unix_ms);
        let state = queue.shelf.release(receipt.seq, now.tick_ms)?;
        Some(Effect::Delivery { seq: receipt.seq, state })
    }

    /// Plans a move to the dead-letter queue by verdict.
    pub(crate) fn dead_letter(&mut self, receipt: Receipt, reason: String) -> Result<Option<Effect>, QueueError> {
        let queue = self.queue(receipt.queue).ok_or(QueueError::NoSuchQueue)?;
        let target = redrive::target(&queue.settings, &self.identity, &self.names, receipt.queue)
            .ok_or_else(|| QueueError::Unsupported("the queue has no dead-letter queue".to_owned()))?;
        let source_arn = self.identity.arn(&queue.name).to_string();
        let Some(queue) = self.queue_mut(receipt.queue) else { return Ok(None) };
        if queue.shelf.standing(receipt.seq, receipt.issue) != Standing::Current {
            return Ok(None);
        }
        queue.shelf.set_leaving(receipt.seq, Leaving::Moved);
        let step = Move { seq: receipt.seq, from: receipt.queue, to: target.queue, source_arn, reason: Some(reason) };
        Ok(Some(Effect::Move(step)))
    }

    /// Lets time pass on one queue: hidden messages appear, old ones go.
    pub(crate) fn sweep(&mut self, id: QueueId, now: Now, effects: &mut Vec<Effect>) {
        let Some(queue) = self.queue_mut(id) else { return };
        queue.shelf.advance(now.tick_ms);
        let retention_ms = u64::from(queue.settings.retention_s) * 1000;
        for seq in queue.shelf.expire(now.tick_ms.saturating_sub(retention_ms)) {
            effects.push(Effect::Remove { queue: id, seq });
        }
    }

    /// True when a receive would find something.
    pub(crate) fn is_ready(&self, id: QueueId) -> bool {
        self.queue(id).is_some_and(|queue| queue.shelf.is_ready() && queue.shelf.counts().in_flight < IN_FLIGHT_MAX)
    }

    /// When a hidden message of the queue may become visible.
    pub(crate) fn next_visible_tick_ms(&self, id: QueueId) -> Option<u64> {
        self.queue(id).and_then(|queue| queue.shelf.next_visible_tick_ms())
    }

    // --- the second step of what had to be durable

    /// An effect is on disk. False when it came to nothing, because the message or its queue left before.
    pub(crate) fn committed(&mut self, effect: &Effect, now: Now, settled: &mut Settled) -> bool {
        match effect {
            Effect::Insert(insert) => {
                let Some(queue) = self.queues.get_mut(&insert.queue) else { return false };
                let delivery = DeliveryState { visible_tick_ms: insert.visible_tick_ms, ..DeliveryState::default() };
                queue.shelf.put(insert.seq, insert.enqueued_tick_ms, delivery, now.tick_ms);
                settled.stirred.insert(insert.queue);
                true
            }
            Effect::Remove { queue: id, seq } => {
                settled.gone.push(*seq);
                // Where too many were in flight, one less makes the next receivable.
                settled.stirred.insert(*id);
                self.queues.get_mut(id).is_some_and(|queue| queue.shelf.take(*seq).is_some())
            }
            Effect::Move(step) => self.apply_move(step, now, settled),
            Effect::Purge { queue: id, below } => {
                let Some(queue) = self.queues.get_mut(id) else { return false };
                settled.gone.extend(queue.shelf.take_all_below(*below));
                settled.stirred.insert(*id);
                true
            }
            Effect::DropQueue { queue: id } => {
                let Some(mut queue) = self.queues.remove(id) else { return false };
                settled.gone.extend(queue.shelf.take_all_below(Seq::MAX));
                true
            }
            Effect::Delivery { .. } | Effect::PutQueue(_) => true,
        }
    }

    /// An effect could not be written: what it set aside stays. Tells whose messages those are.
    pub(crate) fn aborted(&mut self, effect: &Effect, now: Now) -> Option<QueueId> {
        match effect {
            Effect::Remove { queue: id, seq } => {
                self.queues.get_mut(id)?.shelf.stay(*seq, Leaving::Removed, now.tick_ms + STAY_HIDDEN_MS);
                Some(*id)
            }
            Effect::Move(Move { from: id, seq, .. }) => {
                self.queues.get_mut(id)?.shelf.stay(*seq, Leaving::Moved, now.tick_ms + STAY_HIDDEN_MS);
                Some(*id)
            }
            Effect::Purge { queue, .. } => {
                self.queues.get_mut(queue)?.last_purge_tick_ms = None;
                None
            }
            Effect::DropQueue { queue: id } => {
                let queue = self.queues.get_mut(id)?;
                queue.dropping = false;
                self.names.insert(queue.name.clone(), *id);
                Some(*id)
            }
            Effect::Insert(_) | Effect::Delivery { .. } | Effect::PutQueue(_) => None,
        }
    }

    fn apply_move(&mut self, step: &Move, now: Now, settled: &mut Settled) -> bool {
        let taken = self.queues.get_mut(&step.from).and_then(|queue| queue.shelf.take(step.seq));
        let Some((enqueued_tick_ms, delivery)) = taken else { return false };
        settled.stirred.insert(step.from);
        let Some(target) = self.queues.get_mut(&step.to) else {
            // The target was there when the move was decided; deleted since, its messages are gone with it.
            settled.gone.push(step.seq);
            return false;
        };
        let visible_now = DeliveryState { visible_tick_ms: now.tick_ms, ..delivery };
        target.shelf.put(step.seq, enqueued_tick_ms, visible_now, now.tick_ms);
        settled.stirred.insert(step.to);
        true
    }

    pub(crate) fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// How many messages all queues hold.
    pub(crate) fn message_count(&self) -> usize {
        self.queues.values().map(|queue| queue.shelf.len()).sum()
    }
}
