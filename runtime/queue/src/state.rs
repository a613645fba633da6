//! All queues of a store as one pure machine: verbs and the time in, outcomes and effects out.
//!
//! No clock, no I/O, no async, no randomness, ordered maps only: the same calls give the same effects. What must be
//! durable before it counts (a send, a delete, a move by verdict) happens in two steps: the verb plans it and names the
//! effects, and `committed` or `aborted` (in `settled.rs`) finishes it. So no message is handed out before it is safe on disk, and none
//! vanishes because its delete could not be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::arn::{Identity, QueueArn};
use crate::attempts::{Attempt, Attempted, Attempts};
use crate::attributes::Settings;
use crate::clock::Now;
use crate::duplicates::{DuplicateKey, Duplicates, Original};
use crate::effect::{
    AttemptRow, Content, DeliveryState, Effect, IndexRow, Insert, Move, MoveKind, OriginalRow, QueueId, QueueRow,
    Renewal, Seq, TaskRow,
};
use crate::error::{PurgeError, QueueError};
use crate::fifo::Walk;
use crate::history::FailedAttempt;
use crate::peek::PeekRequest;
use crate::receipt::Receipt;
use crate::redrive;
use crate::shelf::{Counts, Leaving, Seen, Shelf, Standing};

/// SQS's limit (sqs-semantics §5.2).
const IN_FLIGHT_MAX: u64 = 120_000;
const PURGE_INTERVAL_MS: u64 = 60_000;
/// So many messages a purge removes at a time, so that others get their turn.
const PURGE_STEP: usize = 4096;
/// So many messages one receive moves to the dead-letter queue; the next receive goes on.
const MOVES_MAX: u32 = 1000;

/// One queue: its settings and its messages.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) created_unix_s: u64,
    pub(crate) modified_unix_s: u64,
    pub(crate) shelf: Shelf,
    /// FIFO only, as `attempts` is.
    pub(crate) duplicates: Duplicates,
    pub(crate) attempts: Attempts,
    pub(crate) last_purge_tick_ms: Option<u64>,
    /// Its deletion is on the way to disk: for every verb it is not there any more.
    pub(crate) dropping: bool,
}

/// A message handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandedOut {
    pub(crate) receipt: Receipt,
    pub(crate) delivery: DeliveryState,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its send time is still to be stamped.
    pub(crate) content: Content,
    pub(crate) delay_s: Option<u32>,
    /// On a FIFO queue.
    pub(crate) duplicate_key: Option<DuplicateKey>,
}

/// What becomes of a send once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planned {
    New {
        seq: Seq,
    },
    /// It was sent before. Without `is_durable` that is still on its way, and may come to nothing.
    Duplicate {
        original: Original,
        is_durable: bool,
    },
}

/// What a receive asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiving<'a> {
    pub(crate) max: u32,
    pub(crate) visibility_s: Option<u32>,
    pub(crate) attempt_id: Option<&'a str>,
}

/// A FIFO delivery whose time ran out: its receipt settles nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

/// Every queue of the store.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) identity: Identity,
    pub(crate) queues: BTreeMap<QueueId, QueueState>,
    pub(crate) names: BTreeMap<String, QueueId>,
    pub(crate) next_seq: Seq,
    pub(crate) tasks: BTreeMap<String, TaskRow>,
}

impl State {
    /// An empty state whose first message will be numbered `next_seq`.
    pub(crate) fn new(identity: Identity, next_seq: Seq) -> Self {
        Self { identity, queues: BTreeMap::new(), names: BTreeMap::new(), next_seq, tasks: BTreeMap::new() }
    }

    /// Puts back a message that the store kept. False when it has no queue.
    pub(crate) fn restore(&mut self, mut row: IndexRow, now: Now) -> bool {
        let Some(queue) = self.queues.get_mut(&row.queue) else { return false };
        if queue.is_fifo() && row.delivery.issued == 0 {
            // The queue's delay may have changed since the send, and applies to what waits.
            row.delivery.visible_tick_ms = row.enqueued_tick_ms + u64::from(queue.settings.delay_s) * 1000;
        }
        queue.shelf.put(row.seq, row.enqueued_tick_ms, row.delivery, row.group.as_deref(), now.tick_ms);
        true
    }

    /// Puts back what the store kept of sends that may be repeated.
    pub(crate) fn restore_original(&mut self, row: &OriginalRow) {
        if let Some(queue) = self.queues.get_mut(&row.queue) {
            queue.duplicates.note(row.key, row.original, true);
        }
    }

    /// Puts back what the store kept of a receive that may be repeated.
    pub(crate) fn restore_attempt(&mut self, row: AttemptRow) {
        if let Some(queue) = self.queues.get_mut(&row.queue) {
            queue.attempts.note(row.attempt_id, row.attempt);
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
    pub(crate) fn put_queue(&mut self, row: &QueueRow, settings: Settings, now: Now) {
        self.names.insert(row.name.clone(), row.id);
        if let Some(queue) = self.queues.get_mut(&row.id) {
            // On a FIFO queue a new delay is for what waits too (sqs-semantics §5.4).
            if queue.is_fifo() && queue.settings.delay_s != settings.delay_s {
                queue.shelf.set_delay(u64::from(settings.delay_s) * 1000, now.tick_ms);
            }
            queue.settings = settings;
            queue.tags.clone_from(&row.tags);
            queue.modified_unix_s = row.modified_unix_s;
            return;
        }
        let queue = QueueState {
            name: row.name.clone(),
            shelf: if settings.fifo.is_some() { Shelf::fifo() } else { Shelf::standard() },
            settings,
            tags: row.tags.clone(),
            created_unix_s: row.created_unix_s,
            modified_unix_s: row.modified_unix_s,
            duplicates: Duplicates::default(),
            attempts: Attempts::default(),
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

    /// Begins a purge of everything sent until now: answers the number below which that is.
    pub(crate) fn begin_purge(&mut self, id: QueueId, now: Now, effects: &mut Vec<Effect>) -> Result<Seq, PurgeError> {
        let below = self.next_seq;
        let queue = self.queue_mut(id).ok_or(PurgeError::NoSuchQueue)?;
        let too_soon = |last_ms: u64| now.tick_ms.saturating_sub(last_ms) < PURGE_INTERVAL_MS;
        if queue.last_purge_tick_ms.is_some_and(too_soon) {
            return Err(PurgeError::InProgress);
        }
        queue.last_purge_tick_ms = Some(now.tick_ms);
        if queue.is_fifo() {
            effects.push(Effect::ForgetOriginals { queue: id, through: below - 1 });
        }
        Ok(below)
    }

    /// Plans the removal of the next messages of a purge, in flight or not. Answers where to go on; none at the end.
    pub(crate) fn purge_some(
        &mut self,
        id: QueueId,
        from: Seq,
        below: Seq,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Seq>, PurgeError> {
        let queue = self.queue_mut(id).ok_or(PurgeError::NoSuchQueue)?;
        let (cleared, last) = queue.shelf.clear_some(from, below, PURGE_STEP);
        effects.extend(cleared.into_iter().map(|seq| Effect::Remove { queue: id, seq }));
        Ok(last.map(|last| last + 1))
    }

    /// A purge came to nothing: the next need not wait.
    pub(crate) fn purge_failed(&mut self, id: QueueId) {
        if let Some(queue) = self.queue_mut(id) {
            queue.last_purge_tick_ms = None;
        }
    }

    // --- messages

    /// Plans sends: numbers them and names the effects. Nobody can receive them before `committed`.
    pub(crate) fn send(
        &mut self,
        id: QueueId,
        messages: Vec<Outgoing>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<Planned>, QueueError> {
        let Self { queues, next_seq, .. } = self;
        let queue = queues.get_mut(&id).filter(|queue| !queue.dropping).ok_or(QueueError::NoSuchQueue)?;
        let queue_delay_s = queue.settings.delay_s;
        let is_fifo = queue.is_fifo();
        let mut planned = Vec::with_capacity(messages.len());
        let mut must_wait = false;
        effects.reserve(messages.len());
        for Outgoing { mut content, delay_s, duplicate_key } in messages {
            let known = duplicate_key.and_then(|key| queue.duplicates.find(&key, now.tick_ms));
            if let Some((original, is_durable)) = known {
                must_wait |= !is_durable;
                planned.push(Planned::Duplicate { original, is_durable });
                continue;
            }
            let seq = *next_seq;
            *next_seq += 1;
            if let Some(key) = duplicate_key {
                let id = uuid::Uuid::parse_str(content.id.as_str()).unwrap_or_default().into_bytes();
                queue.duplicates.note(key, Original { seq, id, sent_tick_ms: now.tick_ms }, false);
            }
            // A FIFO queue's delay is for all its messages; a 0 of their own means just that (sqs-semantics §4).
            let delay_ms = u64::from(delay_s.filter(|_| !is_fifo).unwrap_or(queue_delay_s)) * 1000;
            content.sent_unix_ms = now.unix_ms;
            effects.push(Effect::Insert(Insert {
                queue: id,
                seq,
                enqueued_tick_ms: now.tick_ms,
                visible_tick_ms: now.tick_ms + delay_ms,
                content: Arc::new(content),
                duplicate_key,
            }));
            planned.push(Planned::New { seq });
        }
        if must_wait {
            effects.push(Effect::Barrier);
        }
        Ok(planned)
    }

    /// Whether a duplicate's original, which was not durable when it was found, came to be: it is known, or a purge came
    /// after it.
    pub(crate) fn stands(&self, id: QueueId, key: &DuplicateKey, seq: Seq, now: Now) -> bool {
        let Some(queue) = self.queue(id) else { return false };
        let found = queue.duplicates.find(key, now.tick_ms);
        let is_known = found.is_some_and(|(original, is_durable)| original.seq == seq && is_durable);
        is_known || queue.duplicates.was_forgotten(seq)
    }

    /// Hands out messages. One that was received too often goes to the dead-letter queue instead.
    pub(crate) fn receive(
        &mut self,
        id: QueueId,
        receiving: Receiving<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<HandedOut>, QueueError> {
        self.sweep(id, now, effects);
        let queue = self.queue(id).ok_or(QueueError::NoSuchQueue)?;
        let target = redrive::target(&queue.settings, &self.identity, &self.names, id);
        let source_arn = target.map(|_| self.identity.arn(&queue.name).to_string()).unwrap_or_default();
        let visibility_s = receiving.visibility_s.unwrap_or(queue.settings.visibility_timeout_s);
        let visible_tick_ms = now.tick_ms + u64::from(visibility_s) * 1000;
        let is_fifo = queue.is_fifo();
        let Self { queues, next_seq, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return Err(QueueError::NoSuchQueue) };
        let attempt_id = receiving.attempt_id.filter(|_| is_fifo);
        if let Some(attempt_id) = attempt_id
            && let Some(handed_out) = queue.repeat(id, attempt_id, visible_tick_ms, now, effects)
        {
            return Ok(handed_out);
        }
        let mut handed_out = Vec::new();
        let mut walk = Walk::default();
        let mut moves = 0;
        while handed_out.len() < receiving.max as usize && moves < MOVES_MAX {
            let Some((seq, delivery)) = queue.shelf.next_ready(&mut walk) else { break };
            if let Some(target) = target.filter(|target| delivery.receive_count >= target.max_receive_count) {
                queue.shelf.set_leaving(seq, Leaving::Moved);
                let kind = dead_letter(is_fifo, source_arn.clone(), None, next_seq, now);
                effects.push(Effect::Move(Move { seq, from: id, to: target.queue, kind }));
                moves += 1;
                continue;
            }
            if queue.shelf.counts().in_flight >= IN_FLIGHT_MAX {
                // A FIFO queue is silent about it (sqs-semantics §5.2).
                if handed_out.is_empty() && !is_fifo {
                    return Err(QueueError::OverLimit);
                }
                break;
            }
            let delivery = queue.shelf.hand_out(seq, now.tick_ms, now.unix_ms, visible_tick_ms);
            effects.push(Effect::Delivery { seq, state: delivery });
            let receipt = Receipt { queue: id, seq, issue: delivery.issued };
            handed_out.push(HandedOut { receipt, delivery });
        }
        if let Some(attempt_id) = attempt_id.filter(|_| !handed_out.is_empty()) {
            effects.push(queue.note_attempt(id, attempt_id, now.tick_ms, &handed_out));
        }
        // With a visibility timeout of 0 they are visible again, but not to the receive that took them.
        queue.shelf.advance(now.tick_ms);
        Ok(handed_out)
    }

    /// Plans a delete. `None` means that there is nothing to do, which SQS answers with success.
    pub(crate) fn delete(&mut self, receipt: Receipt, now: Now) -> Result<Option<Effect>, Expired> {
        let Some(queue) = self.queue_mut(receipt.queue) else { return Ok(None) };
        queue.shelf.advance(now.tick_ms);
        let standing = queue.shelf.standing(receipt.seq, receipt.issue);
        match standing {
            // Somebody else may hold the group by now (sqs-semantics §5.3).
            Standing::Expired | Standing::Released | Standing::Superseded if queue.is_fifo() => return Err(Expired),
            Standing::Current | Standing::Expired | Standing::Released => {
                queue.shelf.set_leaving(receipt.seq, Leaving::Removed);
            }
            // Who asks again must wait as the first one does: a success now could be revoked by a crash.
            Standing::Leaving => {}
            Standing::Superseded | Standing::Gone => return Ok(None),
        }
        Ok(Some(Effect::Remove { queue: receipt.queue, seq: receipt.seq }))
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
        if !queue.may_change(receipt) && !queue.may_change_anew(receipt) {
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
        if !queue.may_change(receipt) {
            return None;
        }
        queue.shelf.catch_up(receipt.seq, receipt.issue, now.tick_ms, now.unix_ms);
        let state = queue.shelf.release(receipt.seq, now.tick_ms)?;
        Some(Effect::Delivery { seq: receipt.seq, state })
    }

    /// Plans a move to the dead-letter queue by verdict.
    pub(crate) fn dead_letter(
        &mut self,
        receipt: Receipt,
        reason: String,
        now: Now,
    ) -> Result<Option<Effect>, QueueError> {
        let queue = self.queue(receipt.queue).ok_or(QueueError::NoSuchQueue)?;
        let target = redrive::target(&queue.settings, &self.identity, &self.names, receipt.queue)
            .ok_or_else(|| QueueError::Unsupported("the queue has no dead-letter queue".to_owned()))?;
        let source_arn = self.identity.arn(&queue.name).to_string();
        let Self { queues, next_seq, .. } = self;
        let Some(queue) = queues.get_mut(&receipt.queue) else { return Ok(None) };
        queue.shelf.advance(now.tick_ms);
        if !queue.may_change(receipt) {
            return Ok(None);
        }
        queue.shelf.set_leaving(receipt.seq, Leaving::Moved);
        let kind = dead_letter(queue.is_fifo(), source_arn, Some(reason), next_seq, now);
        Ok(Some(Effect::Move(Move { seq: receipt.seq, from: receipt.queue, to: target.queue, kind })))
    }

    /// Plans to keep why an attempt at a message failed. `None` when the message has left, or the delivery was given back.
    pub(crate) fn explain(&mut self, receipt: Receipt, attempt: FailedAttempt, now: Now) -> Option<Effect> {
        let queue = self.queue_mut(receipt.queue)?;
        queue.shelf.advance(now.tick_ms);
        match queue.shelf.standing(receipt.seq, receipt.issue) {
            Standing::Current | Standing::Expired | Standing::Superseded => {}
            Standing::Released | Standing::Leaving | Standing::Gone => return None,
        }
        let attempt = FailedAttempt { ended_unix_ms: now.unix_ms, ..attempt };
        Some(Effect::Explain { seq: receipt.seq, attempt: Arc::new(attempt) })
    }

    /// Whether this delivery is under way and another one would follow it.
    pub(crate) fn comes_again(&self, receipt: Receipt) -> bool {
        let Some(queue) = self.queue(receipt.queue) else { return false };
        let target = redrive::target(&queue.settings, &self.identity, &self.names, receipt.queue);
        let delivery = queue.shelf.in_flight(receipt.seq).filter(|delivery| delivery.issued == receipt.issue);
        delivery.is_some_and(|delivery| target.is_none_or(|target| delivery.receive_count < target.max_receive_count))
    }

    /// Whether the queue has a message of that number.
    pub(crate) fn has(&self, id: QueueId, seq: Seq) -> bool {
        self.queue(id).is_some_and(|queue| queue.shelf.has(seq))
    }

    /// Lets time pass on one queue: hidden messages appear, old ones go.
    pub(crate) fn sweep(&mut self, id: QueueId, now: Now, effects: &mut Vec<Effect>) {
        let Some(queue) = self.queue_mut(id) else { return };
        queue.shelf.advance(now.tick_ms);
        let retention_ms = u64::from(queue.settings.retention_s) * 1000;
        for seq in queue.shelf.expire(now.tick_ms.saturating_sub(retention_ms)) {
            effects.push(Effect::Remove { queue: id, seq });
        }
        if queue.is_fifo() {
            let through = queue.duplicates.expire(now.tick_ms);
            effects.extend(through.map(|through| Effect::ForgetOriginals { queue: id, through }));
            let through_tick_ms = queue.attempts.expire(now.tick_ms);
            effects
                .extend(through_tick_ms.map(|through_tick_ms| Effect::ForgetAttempts { queue: id, through_tick_ms }));
        }
    }

    /// Messages in the order they were sent, nothing changed but that time has passed.
    pub(crate) fn look(&mut self, id: QueueId, request: &PeekRequest, now: Now) -> Result<Vec<Seen>, QueueError> {
        let queue = self.queue_mut(id).ok_or(QueueError::NoSuchQueue)?;
        queue.shelf.advance(now.tick_ms);
        Ok(queue.shelf.look(request.after.unwrap_or(0), request.state, request.max_messages as usize))
    }

    /// Whether a message is in a queue, in whatever state.
    pub(crate) fn holds(&self, id: QueueId, seq: Seq) -> bool {
        self.queue(id).is_some_and(|queue| queue.shelf.holds(seq))
    }

    /// True when a receive would find something.
    pub(crate) fn is_ready(&self, id: QueueId) -> bool {
        self.queue(id).is_some_and(|queue| queue.shelf.is_ready() && queue.shelf.counts().in_flight < IN_FLIGHT_MAX)
    }

    /// When a hidden message of the queue may become visible.
    pub(crate) fn next_visible_tick_ms(&self, id: QueueId) -> Option<u64> {
        self.queue(id).and_then(|queue| queue.shelf.next_visible_tick_ms())
    }

    pub(crate) fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// How many messages all queues hold.
    pub(crate) fn message_count(&self) -> usize {
        self.queues.values().map(|queue| queue.shelf.len()).sum()
    }
}

impl QueueState {
    pub(crate) fn is_fifo(&self) -> bool {
        self.settings.fifo.is_some()
    }

    /// How many message groups have messages.
    pub(crate) fn group_count(&self) -> usize {
        self.shelf.group_count()
    }

    /// Whether a receipt may still change its message: on a standard queue also when its time ran out, as long as nobody
    /// else received the message (sqs-semantics §5.3).
    fn may_change(&self, receipt: Receipt) -> bool {
        match self.shelf.standing(receipt.seq, receipt.issue) {
            Standing::Current => true,
            Standing::Expired => !self.is_fifo(),
            Standing::Released | Standing::Superseded | Standing::Leaving | Standing::Gone => false,
        }
    }

    /// Whether an older receipt may change when the message that was received again since becomes visible: on a standard
    /// queue SQS was recorded to take it. Not where that delivery was given back: then nobody has the message.
    fn may_change_anew(&self, receipt: Receipt) -> bool {
        let superseded = self.shelf.standing(receipt.seq, receipt.issue) == Standing::Superseded;
        superseded && !self.is_fifo() && self.shelf.was_received(receipt.seq)
    }

    /// The messages of an earlier receive with the same attempt id, hidden anew. None when one of them was settled,
    /// changed or became visible since: then the attempt is as good as a new one.
    fn repeat(
        &mut self,
        id: QueueId,
        attempt_id: &str,
        visible_tick_ms: u64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<Vec<HandedOut>> {
        let attempt = self.attempts.find(attempt_id, now.tick_ms)?.clone();
        let untouched = |one: &Attempted| {
            let delivery = self.shelf.in_flight(one.seq);
            delivery.is_some_and(|d| d.issued == one.issue && d.visible_tick_ms == one.visible_tick_ms)
        };
        if !attempt.messages.iter().all(untouched) {
            return None;
        }
        let mut handed_out = Vec::with_capacity(attempt.messages.len());
        for one in &attempt.messages {
            let delivery = self.shelf.set_visible_at(one.seq, visible_tick_ms, now.tick_ms)?;
            effects.push(Effect::Delivery { seq: one.seq, state: delivery });
            let receipt = Receipt { queue: id, seq: one.seq, issue: one.issue };
            handed_out.push(HandedOut { receipt, delivery });
        }
        effects.push(self.note_attempt(id, attempt_id, attempt.made_tick_ms, &handed_out));
        Some(handed_out)
    }

    fn note_attempt(
        &mut self,
        queue: QueueId,
        attempt_id: &str,
        made_tick_ms: u64,
        handed_out: &[HandedOut],
    ) -> Effect {
        let messages = handed_out.iter().map(|one| Attempted {
            seq: one.receipt.seq,
            issue: one.receipt.issue,
            visible_tick_ms: one.delivery.visible_tick_ms,
        });
        let attempt = Attempt { made_tick_ms, messages: messages.collect() };
        self.attempts.note(attempt_id.to_owned(), attempt.clone());
        Effect::PutAttempt(AttemptRow { queue, attempt_id: attempt_id.to_owned(), attempt })
    }
}

/// A FIFO queue's dead letter is enqueued anew, behind what its dead-letter queue holds.
fn dead_letter(is_fifo: bool, source_arn: String, reason: Option<String>, next_seq: &mut Seq, now: Now) -> MoveKind {
    let renewal = is_fifo.then(|| renewal(next_seq, now));
    MoveKind::DeadLetter { source_arn, reason, renewal }
}

/// The next number, and the time.
pub(crate) fn renewal(next_seq: &mut Seq, now: Now) -> Renewal {
    let seq = *next_seq;
    *next_seq += 1;
    Renewal { seq, enqueued_tick_ms: now.tick_ms, sent_unix_ms: now.unix_ms }
}
