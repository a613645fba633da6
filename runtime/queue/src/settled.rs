//! The second step of the machine's verbs: what was planned is on disk, or could not be written. Pure.

use std::collections::BTreeSet;

use crate::clock::Now;
use crate::effect::{DeliveryState, Effect, Move, MoveKind, QueueId, Seq};
use crate::shelf::Leaving;
use crate::state::State;

/// A message whose leaving could not be written stays hidden so long, so that nobody tries again in a hot loop.
const STAY_HIDDEN_MS: u64 = 1000;

/// What came of effects that are durable now.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The queues that may have got something to receive.
    pub(crate) stirred: BTreeSet<QueueId>,
    /// The messages that left the store.
    pub(crate) gone: Vec<Seq>,
    /// Messages without a queue, still in the store.
    pub(crate) orphans: Vec<(QueueId, Seq)>,
}

impl State {
    /// An effect is on disk. False when it came to nothing, because the message or its queue left before.
    pub(crate) fn committed(&mut self, effect: &Effect, now: Now, settled: &mut Settled) -> bool {
        match effect {
            Effect::Insert(insert) => {
                let Some(queue) = self.queues.get_mut(&insert.queue) else { return false };
                if let Some(key) = &insert.duplicate_key {
                    queue.duplicates.confirm(key, insert.seq);
                }
                let visible_tick_ms = if queue.is_fifo() {
                    insert.enqueued_tick_ms + u64::from(queue.settings.delay_s) * 1000
                } else {
                    insert.visible_tick_ms
                };
                let delivery = DeliveryState { visible_tick_ms, ..DeliveryState::default() };
                let group = insert.content.group_id.as_deref();
                queue.shelf.put(insert.seq, insert.enqueued_tick_ms, delivery, group, now.tick_ms);
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
            Effect::DropQueue { queue: id } => {
                let Some(queue) = self.queues.remove(id) else { return false };
                settled.gone.extend(queue.shelf.seqs());
                settled.orphans.extend(queue.shelf.seqs().map(|seq| (*id, seq)));
                self.tasks.retain(|_, task| task.source != *id);
                true
            }
            Effect::ForgetOriginals { queue: id, through } => {
                // What expired is forgotten already; a purge forgets the rest.
                self.queues.get_mut(id).is_some_and(|queue| {
                    queue.duplicates.forget_through(*through);
                    true
                })
            }
            Effect::PutTask(task) => {
                self.tasks.insert(task.id.clone(), task.clone());
                true
            }
            Effect::TaskProgress { id, moved } => self.tasks.get_mut(id).is_some_and(|task| {
                task.moved = *moved;
                true
            }),
            // What is over stays as it ended, also when it was told to stop in the same moment.
            Effect::TaskStatus { id, status, failure_reason } => self.tasks.get_mut(id).is_some_and(|task| {
                let goes_on = task.is_active();
                if goes_on {
                    task.status = *status;
                    task.failure_reason.clone_from(failure_reason);
                }
                goes_on
            }),
            Effect::DropTask { id } => self.tasks.remove(id).is_some(),
            Effect::Delivery { .. }
            | Effect::Explain { .. }
            | Effect::PutQueue(_)
            | Effect::PutAttempt(_)
            | Effect::ForgetAttempts { .. }
            | Effect::Barrier => true,
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
            Effect::DropQueue { queue: id } => {
                let queue = self.queues.get_mut(id)?;
                queue.dropping = false;
                self.names.insert(queue.name.clone(), *id);
                Some(*id)
            }
            Effect::Insert(insert) => {
                if let Some(key) = &insert.duplicate_key {
                    self.queues.get_mut(&insert.queue)?.duplicates.withdraw(key, insert.seq);
                }
                None
            }
            _ => None,
        }
    }

    fn apply_move(&mut self, step: &Move, now: Now, settled: &mut Settled) -> bool {
        let Some(taken) = self.queues.get_mut(&step.from).and_then(|queue| queue.shelf.take(step.seq)) else {
            return false;
        };
        settled.stirred.insert(step.from);
        let renewal = step.renewal();
        let seq = renewal.map_or(step.seq, |renewal| renewal.seq);
        let enqueued_tick_ms = renewal.map_or(taken.enqueued_tick_ms, |renewal| renewal.enqueued_tick_ms);
        let Some(target) = self.queues.get_mut(&step.to) else {
            // The target was there when the move was decided; deleted since, its messages are gone with it.
            settled.gone.push(step.seq);
            settled.orphans.push((step.to, seq));
            return false;
        };
        let delivery = match step.kind {
            MoveKind::DeadLetter { .. } => DeliveryState { visible_tick_ms: now.tick_ms, ..taken.delivery },
            // A FIFO queue's delay is for whatever was not received yet, as it is when the queue is opened again.
            MoveKind::Redrive { .. } if target.is_fifo() => {
                let visible_tick_ms = enqueued_tick_ms + u64::from(target.settings.delay_s) * 1000;
                DeliveryState { visible_tick_ms, ..DeliveryState::default() }
            }
            MoveKind::Redrive { .. } => DeliveryState { visible_tick_ms: now.tick_ms, ..DeliveryState::default() },
        };
        target.shelf.put(seq, enqueued_tick_ms, delivery, taken.group.as_deref(), now.tick_ms);
        settled.stirred.insert(step.to);
        true
    }
}
