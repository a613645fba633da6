//! The verbs other than receiving: each is done by the machine and, from the rules, by the naive queues.

use super::disk::{content, queue_name, queue_row, settings};
use super::naive::{KnownMessage, KnownOriginal, Life, TWELVE_HOURS_MS};
use super::ops::{Change, Entry};
use super::receives::removals;
use super::world::{Pending, World, saw};
use crate::duplicates;
use crate::effect::{DeliveryState, Effect, QueueId, Seq};
use crate::error::{PurgeError, QueueError};
use crate::receipt::Receipt;
use crate::state::{Expired, Outgoing, Planned};

impl World {
    pub(super) fn send(&mut self, queue: QueueId, entries: &[Entry]) {
        let known = self.naive.open(queue).copied();
        let is_fifo = self.naive.is_fifo(queue);
        let group_of = |entry: &Entry| Some(entry.group).filter(|group| is_fifo || *group > 0);
        let fifo = known.and_then(|known| settings(&known).fifo);
        let first_id = self.next_id;
        self.next_id += entries.len() as u128;
        let outgoing = entries.iter().zip(first_id..).map(|(entry, id)| Outgoing {
            content: content(id, group_of(entry)),
            delay_s: entry.delay_s,
            duplicate_key: fifo
                .map(|fifo| duplicates::key(fifo, &entry.group.to_string(), &entry.deduplication.to_string())),
        });
        let mut effects = Vec::new();
        let planned = self.state.send(queue, outgoing.collect(), self.naive.now, &mut effects);
        let Some(known) = known else {
            assert_eq!(planned.unwrap_err(), QueueError::NoSuchQueue);
            return;
        };
        let mut inserts = effects.iter();
        let mut must_wait = false;
        for ((entry, id), planned) in entries.iter().zip(first_id..).zip(planned.unwrap()) {
            let original = self.naive.original(&known, entry.group, entry.deduplication).filter(|_| is_fifo);
            if let Some(original) = original {
                saw("a duplicate");
                let Planned::Duplicate { original: told, is_durable } = planned else { panic!("{planned:?}") };
                assert_eq!((told.seq, is_durable), (original.seq, original.is_durable));
                must_wait |= !is_durable;
                continue;
            }
            let Some(Effect::Insert(insert)) = inserts.next() else { panic!("{effects:?}") };
            assert_eq!(planned, Planned::New { seq: insert.seq });
            let delay_s = entry.delay_s.filter(|_| !is_fifo).unwrap_or(known.delay_s);
            let now_ms = self.naive.now.tick_ms;
            assert_eq!(insert.visible_tick_ms, now_ms + u64::from(delay_s) * 1000);
            assert_eq!(insert.content.sent_unix_ms, self.naive.now.unix_ms);
            assert!(self.naive.messages.iter().all(|other| other.seq < insert.seq), "a number was given twice");
            let delivery = DeliveryState { visible_tick_ms: insert.visible_tick_ms, ..DeliveryState::default() };
            self.naive.messages.push(KnownMessage {
                seq: insert.seq,
                id,
                queue,
                group: group_of(entry),
                source: None,
                enqueued_ms: now_ms,
                delivery,
                held_back: false,
                life: Life::Coming,
            });
            if is_fifo {
                let group = known.per_group.then_some(entry.group);
                let (deduplication, seq) = (entry.deduplication, insert.seq);
                let original = KnownOriginal { queue, group, deduplication, seq, sent_ms: now_ms, is_durable: false };
                self.naive.originals.push(original);
            }
        }
        // Whoever repeats what is not on disk yet waits for it.
        assert_eq!(must_wait, matches!(inserts.next(), Some(Effect::Barrier)));
        assert!(inserts.next().is_none());
        self.submit_effects(effects);
    }

    /// A batch: all receipts are of one queue.
    pub(super) fn with_receipts(&mut self, ages: &[usize], mut verb: impl FnMut(&mut Self, Receipt, &mut Vec<Effect>)) {
        let receipts: Vec<Receipt> =
            ages.iter().filter_map(|age| self.receipts.iter().rev().nth(*age).copied()).collect();
        let Some(queue) = receipts.first().map(|receipt| receipt.queue) else { return };
        if self.naive.open(queue).is_none() {
            return;
        }
        let mut effects = Vec::new();
        for receipt in receipts.into_iter().filter(|receipt| receipt.queue == queue) {
            verb(self, receipt, &mut effects);
        }
        self.submit_effects(effects);
    }

    /// The message that a receipt is of, while it is in that queue.
    fn named(&self, receipt: Receipt) -> Option<&KnownMessage> {
        self.naive.message(receipt.seq).filter(|message| message.queue == receipt.queue)
    }

    /// The same, when the receipt may settle it: the latest delivery (a crash may have lost the count of it), not given
    /// back, and on a FIFO queue not run out.
    fn current(&self, receipt: Receipt) -> Option<KnownMessage> {
        let message = self.named(receipt).filter(|message| message.life == Life::Here)?;
        let DeliveryState { issued, received_tick_ms, .. } = message.delivery;
        let is_released = receipt.issue == issued && received_tick_ms == 0;
        let is_over = self.naive.is_fifo(receipt.queue) && self.naive.is_visible(message);
        (receipt.issue >= issued && !is_released && !is_over).then(|| message.clone())
    }

    pub(super) fn delete(&mut self, receipt: Receipt, effects: &mut Vec<Effect>) {
        let planned = self.state.delete(receipt, self.naive.now);
        let life = self.named(receipt).map(|message| message.life);
        let is_latest = self.named(receipt).is_some_and(|message| receipt.issue >= message.delivery.issued);
        let is_fifo = self.naive.is_fifo(receipt.queue);
        if life == Some(Life::Here) && is_fifo && self.current(receipt).is_none() {
            saw("an expired FIFO receipt");
            assert_eq!(planned.unwrap_err(), Expired);
            return;
        }
        let planned = planned.unwrap();
        let goes = life == Some(Life::Removing) || life == Some(Life::Here) && is_latest;
        assert_eq!(planned.is_some(), goes, "{receipt:?}");
        if let Some(effect) = planned {
            self.naive.message_mut(receipt.seq).unwrap().life = Life::Removing;
            effects.push(effect);
        } else if life.is_none() {
            let row = self.disk.messages.get(&receipt.seq);
            assert!(row.is_none_or(|row| row.queue != receipt.queue), "acknowledged, and a crash would bring it back");
        }
    }

    /// Counts the deliveries again that a crash lost and the receipt tells of.
    fn catch_up(&mut self, receipt: Receipt) {
        let now = self.naive.now;
        let Some(message) = self.naive.message_mut(receipt.seq) else { return };
        let delivery = &mut message.delivery;
        if receipt.issue > delivery.issued {
            saw("a delivery that a crash lost");
            delivery.receive_count += receipt.issue - delivery.issued;
            delivery.issued = receipt.issue;
            delivery.received_tick_ms = now.tick_ms;
            if delivery.first_received_unix_ms == 0 {
                delivery.first_received_unix_ms = now.unix_ms;
            }
            self.unsure.insert(receipt.seq);
        }
    }

    pub(super) fn change_visibility(&mut self, receipt: Receipt, seconds: u32, effects: &mut Vec<Effect>) {
        let changed = self.state.change_visibility(receipt, seconds, self.naive.now);
        // A standard queue takes an older receipt too, where somebody has the message.
        let is_older = self.named(receipt).is_some_and(|message| {
            let DeliveryState { issued, received_tick_ms, .. } = message.delivery;
            message.life == Life::Here && receipt.issue < issued && received_tick_ms > 0
        });
        let is_older = is_older && !self.naive.is_fifo(receipt.queue);
        if self.current(receipt).is_none() && !is_older {
            assert!(changed.unwrap().is_none());
            return;
        }
        self.catch_up(receipt);
        let until_ms = self.naive.now.tick_ms + u64::from(seconds) * 1000;
        let delivery = &mut self.naive.message_mut(receipt.seq).unwrap().delivery;
        if seconds > 0 && until_ms > delivery.received_tick_ms + TWELVE_HOURS_MS {
            assert_eq!(changed.unwrap_err(), QueueError::VisibilityOutOfRange { seconds });
            return;
        }
        delivery.visible_tick_ms = until_ms;
        let expected = *delivery;
        delivered(receipt.seq, changed.unwrap().as_ref(), expected, effects);
    }

    pub(super) fn release(&mut self, receipt: Receipt, effects: &mut Vec<Effect>) {
        let released = self.state.release(receipt, self.naive.now);
        if self.current(receipt).is_some() {
            self.catch_up(receipt);
        }
        let now_ms = self.naive.now.tick_ms;
        if !self.current(receipt).is_some_and(|message| self.naive.is_in_flight(&message)) {
            assert!(released.is_none());
            return;
        }
        let delivery = &mut self.naive.message_mut(receipt.seq).unwrap().delivery;
        delivery.receive_count -= 1;
        delivery.visible_tick_ms = now_ms;
        delivery.received_tick_ms = 0;
        let expected = *delivery;
        delivered(receipt.seq, released.as_ref(), expected, effects);
    }

    pub(super) fn dead_letter(&mut self, receipt: Receipt, effects: &mut Vec<Effect>) {
        let planned = self.state.dead_letter(receipt, "why".to_owned(), self.naive.now);
        let Some((target, _)) = self.naive.target(receipt.queue) else {
            assert!(matches!(planned, Err(QueueError::Unsupported(_))));
            return;
        };
        let planned = planned.unwrap();
        assert_eq!(planned.is_some(), self.current(receipt).is_some());
        let Some(effect) = planned else { return };
        let Effect::Move(step) = &effect else { panic!("{effect:?}") };
        assert_eq!((step.seq, step.from, step.to), (receipt.seq, receipt.queue, target));
        self.check_dead_letter(&step.kind, receipt.queue, Some("why"));
        self.naive.message_mut(receipt.seq).unwrap().life = Life::Moving;
        effects.push(effect);
    }

    // --- queues

    pub(super) fn purge(&mut self, queue: QueueId) {
        let now_ms = self.naive.now.tick_ms;
        let mut effects = Vec::new();
        let begun = self.state.begin_purge(queue, self.naive.now, &mut effects);
        let Some(known) = self.naive.open(queue).copied() else {
            assert!(matches!(begun, Err(PurgeError::NoSuchQueue)));
            return;
        };
        if known.last_purge_ms.is_some_and(|last_ms| now_ms - last_ms < 60_000) {
            assert!(matches!(begun, Err(PurgeError::InProgress)));
            return;
        }
        let below = begun.unwrap();
        let forgets = matches!(effects[..], [Effect::ForgetOriginals { through, .. }] if through == below - 1);
        assert!(if known.is_fifo { forgets } else { effects.is_empty() });
        self.naive.queue_mut(queue).unwrap().last_purge_ms = Some(now_ms);
        let mut from = 0;
        while let Some(next) = self.state.purge_some(queue, from, below, &mut effects).unwrap() {
            from = next;
        }
        let here = self.naive.of(queue).into_iter().filter(|message| message.life == Life::Here);
        let expected: Vec<Seq> = here.map(|message| message.seq).collect();
        assert_eq!(removals(&effects), expected, "in flight or not, all that is there");
        for seq in expected {
            self.naive.message_mut(seq).unwrap().life = Life::Removing;
        }
        self.submit(Pending { effects, purge_of: Some(queue), ..Pending::default() });
    }

    /// Whether a management verb may begin: they run one at a time, each to its end.
    pub(super) fn may_manage(&self) -> bool {
        self.pending.iter().all(|pending| !pending.is_management)
    }

    pub(super) fn drop_queue(&mut self, queue: QueueId) {
        if !self.may_manage() {
            return;
        }
        let planned = self.state.drop_queue(queue);
        assert_eq!(planned.is_ok(), self.naive.open(queue).is_some());
        let Ok(effect) = planned else { return };
        self.naive.queue_mut(queue).unwrap().is_dropping = true;
        let is_fifo = self.naive.is_fifo(queue);
        assert_eq!(self.state.find(&queue_name(queue, is_fifo)), None);
        self.submit(Pending { effects: vec![effect], is_management: true, ..Pending::default() });
    }

    pub(super) fn set(&mut self, queue: QueueId, change: Change) {
        let Some(changed) = self.naive.changed(queue, change).filter(|_| self.may_manage()) else { return };
        let effects = vec![Effect::PutQueue(queue_row(&changed))];
        self.submit(Pending { effects, becomes: Some(changed), is_management: true, ..Pending::default() });
    }
}

fn delivered(seq: Seq, effect: Option<&Effect>, expected: DeliveryState, effects: &mut Vec<Effect>) {
    let Some(Effect::Delivery { seq: of, state }) = effect else { panic!("{effect:?}") };
    assert_eq!((*of, *state), (seq, expected));
    effects.push(Effect::Delivery { seq, state: expected });
}
