//! What becomes of operations: they reach the disk, cannot be written, or are lost in a crash.

use super::disk::{queue_of_arn, queue_row, settings};
use super::naive::{KnownAttempt, KnownMessage, KnownOriginal, KnownTask, Life};
use super::receives::Turns;
use super::world::{World, saw};
use crate::effect::{DeliveryState, Effect, Move, MoveKind, Seq};
use crate::settled::Settled;

/// A number is never given twice, even after a crash: the store leaves more room than was used.
const NUMBERS_LEFT_OUT: Seq = 1000;

impl World {
    pub(super) fn commit(&mut self) {
        let Some(pending) = self.pending.pop_front() else { return };
        pending.effects.iter().for_each(|effect| self.disk.write(effect));
        let mut settled = Settled::default();
        for effect in &pending.effects {
            self.state.committed(effect, self.naive.now, &mut settled);
            self.learn(effect);
        }
        if let Some(changed) = pending.becomes {
            self.state.put_queue(&queue_row(&changed), settings(&changed), self.naive.now);
            let stored = super::naive::KnownQueue { last_purge_ms: None, ..changed };
            self.disk.queues.insert(changed.id, stored);
            self.naive.set(changed);
            self.turns.touch_all(changed.id);
        }
        self.receipts.extend(pending.receipts);
        for (queue, seq) in settled.orphans {
            self.disk.write(&Effect::Remove { queue, seq });
        }
        for seq in settled.gone {
            assert!(self.naive.message(seq).is_none(), "{seq} is said to be gone");
        }
    }

    /// What an effect that is durable means.
    fn learn(&mut self, effect: &Effect) {
        let naive = &mut self.naive;
        match effect {
            Effect::Insert(insert) => {
                let fifo_delay_s = naive.queue(insert.queue).filter(|queue| queue.is_fifo).map(|queue| queue.delay_s);
                let message = naive.message_mut(insert.seq).unwrap();
                message.life = Life::Here;
                if let Some(delay_s) = fifo_delay_s {
                    message.delivery.visible_tick_ms = message.enqueued_ms + u64::from(delay_s) * 1000;
                }
                naive
                    .originals
                    .iter_mut()
                    .filter(|known| known.seq == insert.seq)
                    .for_each(|known| known.is_durable = true);
            }
            Effect::Remove { seq, .. } => {
                self.deleted.extend(naive.message(*seq).map(|message| message.id));
                naive.messages.retain(|message| message.seq != *seq);
            }
            Effect::Move(step) => self.learn_move(step),
            Effect::DropQueue { queue } => {
                naive.queues.retain(|known| known.id != *queue);
                naive.messages.retain(|message| message.queue != *queue);
                naive.originals.retain(|known| known.queue != *queue);
                naive.attempts.retain(|known| known.queue != *queue);
                naive.tasks.retain(|known| known.source != *queue);
            }
            Effect::Delivery { seq, .. } => {
                self.unsure.remove(seq);
            }
            Effect::ForgetOriginals { queue, through } => {
                naive.originals.retain(|known| known.queue != *queue || known.seq > *through);
            }
            Effect::PutAttempt(row) => {
                let of_it =
                    |known: &&mut KnownAttempt| known.queue == row.queue && known.attempt.to_string() == row.attempt_id;
                for known in naive.attempts.iter_mut().filter(of_it) {
                    let stored = row.attempt.messages.iter().map(|one| (one.seq, one.issue, one.visible_tick_ms));
                    known.is_durable = stored.eq(known.messages.iter().copied());
                }
            }
            Effect::PutTask(task) => naive.tasks.push(KnownTask {
                id: task.id.clone(),
                source: task.source,
                destination: task.destination.as_ref().map(|arn| queue_of_arn(arn.as_str())),
                status: task.status,
                moved: 0,
                below: task.below,
            }),
            Effect::TaskProgress { id, moved } => {
                saw("a redrive");
                naive.tasks.iter_mut().filter(|task| task.id == *id).for_each(|task| task.moved = *moved);
            }
            Effect::TaskStatus { id, status, .. } => {
                let tasks = naive.tasks.iter_mut().filter(|task| task.id == *id && task.is_active());
                tasks.for_each(|task| task.status = *status);
            }
            Effect::DropTask { id } => naive.tasks.retain(|task| task.id != *id),
            Effect::ForgetAttempts { .. } | Effect::PutQueue(_) | Effect::Explain { .. } | Effect::Barrier => {}
        }
    }

    fn learn_move(&mut self, step: &Move) {
        let now_ms = self.naive.now.tick_ms;
        let Some(target) = self.naive.queue(step.to).copied() else {
            self.naive.messages.retain(|message| message.seq != step.seq);
            return;
        };
        let Some(message) = self.naive.message_mut(step.seq) else { return };
        message.queue = step.to;
        message.life = Life::Here;
        message.delivery.visible_tick_ms = now_ms;
        if let Some(renewal) = step.renewal() {
            message.seq = renewal.seq;
            message.enqueued_ms = renewal.enqueued_tick_ms;
            if self.unsure.contains(&step.seq) {
                self.unsure.insert(renewal.seq);
            }
        }
        match &step.kind {
            MoveKind::DeadLetter { .. } => message.source = Some(step.from),
            MoveKind::Redrive { id, .. } => {
                message.id = uuid::Uuid::parse_str(id.as_str()).unwrap().as_u128();
                message.source = None;
                message.held_back = false;
                let delay_ms = if target.is_fifo { u64::from(target.delay_s) * 1000 } else { 0 };
                let visible_tick_ms = if target.is_fifo { message.enqueued_ms + delay_ms } else { now_ms };
                message.delivery = DeliveryState { visible_tick_ms, ..DeliveryState::default() };
                self.unsure.remove(&message.seq);
            }
        }
    }

    pub(super) fn abort(&mut self) {
        let Some(pending) = self.pending.pop_front() else { return };
        for effect in &pending.effects {
            self.state.aborted(effect, self.naive.now);
            match effect {
                Effect::Insert(insert) => {
                    self.naive.messages.retain(|message| message.seq != insert.seq);
                    self.naive.originals.retain(|known| known.seq != insert.seq);
                }
                Effect::Remove { seq, .. } => self.stay(*seq, Life::Removing),
                Effect::Move(step) => self.stay(step.seq, Life::Moving),
                Effect::DropQueue { queue } => {
                    self.naive.queue_mut(*queue).unwrap().is_dropping = false;
                    // Nobody looked at it meanwhile: what came, and whose timeout ran out, is found in any order.
                    self.turns.touch_all(*queue);
                }
                Effect::Delivery { seq, .. } => {
                    self.unsure.insert(*seq);
                }
                _ => {}
            }
        }
        if let Some(queue) = pending.purge_of {
            self.state.purge_failed(queue);
            if let Some(known) = self.naive.queue_mut(queue).filter(|queue| !queue.is_dropping) {
                known.last_purge_ms = None;
            }
        }
    }

    fn stay(&mut self, seq: Seq, life: Life) {
        saw("a leaving that could not be written");
        self.naive.stay(seq, life);
        self.unsure.insert(seq);
    }

    pub(super) fn crash(&mut self, away_ms: u64) {
        let touched = self.pending.iter().flat_map(|pending| &pending.effects).filter_map(|effect| match effect {
            Effect::Delivery { seq, .. } | Effect::Remove { seq, .. } => Some(*seq),
            Effect::Move(step) => Some(step.seq),
            _ => None,
        });
        self.unsure.extend(touched);
        self.check_nothing_is_forgotten();
        self.pending.clear();
        self.unsure.clear();
        self.turns = Turns::default();
        self.naive.now.tick_ms += away_ms;
        self.naive.now.unix_ms += away_ms;
        self.state = self.disk.open(self.state.next_seq() + NUMBERS_LEFT_OUT, self.naive.now);
        self.relearn();
    }

    /// What was acknowledged is on disk as it is in memory: messages with their counts and times, the deduplication
    /// windows, attempts and tasks. `unsure` is what is on its way, or could not be written.
    fn check_nothing_is_forgotten(&self) {
        let now_ms = self.naive.now.tick_ms;
        let is_sure = |message: &&KnownMessage| message.life != Life::Coming && !self.unsure.contains(&message.seq);
        for message in self.naive.messages.iter().filter(is_sure) {
            let row = &self.disk.messages[&message.seq];
            let (stored, delivery) = (row.delivery(), message.delivery);
            let facts = (row.group, row.source, row.enqueued_ms);
            assert_eq!(facts, (message.group, message.source, message.enqueued_ms));
            let both_past = stored.visible_tick_ms <= now_ms && delivery.visible_tick_ms <= now_ms;
            // What a FIFO queue has not handed out yet follows the queue's delay, whatever is stored.
            let follows_delay = self.naive.is_fifo(message.queue) && delivery.issued == 0;
            let visible_tick_ms =
                if both_past || follows_delay { delivery.visible_tick_ms } else { stored.visible_tick_ms };
            assert_eq!(DeliveryState { visible_tick_ms, ..stored }, delivery, "{message:?}");
        }
        let is_kept = |known: &&KnownOriginal| known.is_durable && self.naive.is_remembered(known.sent_ms);
        let mut known: Vec<_> =
            self.naive.originals.iter().filter(is_kept).map(|known| (known.queue, known.seq)).collect();
        known.sort_unstable();
        let stored = self.disk.originals.iter().filter(|(_, row)| self.naive.is_remembered(row.original.sent_tick_ms));
        assert_eq!(stored.map(|(place, _)| *place).collect::<Vec<_>>(), known, "deduplication across a crash");
        let is_kept = |known: &&KnownAttempt| known.is_durable && self.naive.is_remembered(known.made_ms);
        for known in self.naive.attempts.iter().filter(is_kept) {
            let stored = &self.disk.attempts[&(known.queue, known.attempt.to_string())];
            let messages = stored.messages.iter().map(|one| (one.seq, one.issue, one.visible_tick_ms));
            assert!(stored.made_tick_ms == known.made_ms && messages.eq(known.messages.iter().copied()));
        }
        for known in &self.naive.tasks {
            let stored = &self.disk.tasks[&known.id];
            assert_eq!((stored.status, stored.moved), (known.status, known.moved));
        }
        assert_eq!(self.disk.tasks.len(), self.naive.tasks.len());
    }

    /// The naive queues as they stand on disk.
    fn relearn(&mut self) {
        let naive = &mut self.naive;
        naive.queues = self.disk.queues.values().copied().collect();
        naive.messages.clear();
        for (seq, row) in &self.disk.messages {
            let mut delivery = row.delivery();
            let queue = self.disk.queues[&row.queue];
            if queue.is_fifo && delivery.issued == 0 {
                delivery.visible_tick_ms = row.enqueued_ms + u64::from(queue.delay_s) * 1000;
            }
            naive.messages.push(KnownMessage {
                seq: *seq,
                id: row.id,
                queue: row.queue,
                group: row.group,
                source: row.source,
                enqueued_ms: row.enqueued_ms,
                delivery,
                held_back: false,
                life: Life::Here,
            });
        }
        naive.originals.retain(|known| self.disk.originals.contains_key(&(known.queue, known.seq)));
        naive.originals.iter_mut().for_each(|known| known.is_durable = true);
        naive.attempts.clear();
        for ((queue, attempt), stored) in &self.disk.attempts {
            let messages = stored.messages.iter().map(|one| (one.seq, one.issue, one.visible_tick_ms)).collect();
            let (queue, attempt, made_ms) = (*queue, attempt.parse().unwrap(), stored.made_tick_ms);
            naive.attempts.push(KnownAttempt { queue, attempt, made_ms, messages, is_durable: true });
        }
    }
}
