//! The naive queues: flat lists that are searched from end to end, and the rules of sqs-semantics §5–§8 said plainly.
//!
//! It shares no code with the machine. What the machine may choose (whose message goes next) is not predicted here but
//! judged, in `receives.rs`.

use super::ops::{Change, QUEUES};
use crate::clock::Now;
use crate::effect::{DeliveryState, QueueId, Seq};
use crate::move_task::MoveTaskStatus;

/// How long a send, and a receive attempt, is remembered.
pub(super) const FIVE_MINUTES_MS: u64 = 300_000;
pub(super) const TWELVE_HOURS_MS: u64 = 43_200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Its send is not on disk.
    Coming,
    Here,
    Removing,
    Moving,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownMessage {
    pub(super) seq: Seq,
    pub(super) id: u128,
    pub(super) queue: QueueId,
    pub(super) group: Option<u8>,
    /// The queue that gave it up.
    pub(super) source: Option<QueueId>,
    pub(super) enqueued_ms: u64,
    pub(super) delivery: DeliveryState,
    /// On a FIFO queue its removal failed: it holds its group until it is visible.
    pub(super) held_back: bool,
    pub(super) life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownQueue {
    pub(super) id: QueueId,
    pub(super) is_fifo: bool,
    /// Deduplication is within a group.
    pub(super) per_group: bool,
    pub(super) visibility_s: u32,
    pub(super) delay_s: u32,
    pub(super) retention_s: u32,
    pub(super) redrive: Option<(QueueId, u32)>,
    pub(super) is_dropping: bool,
    pub(super) last_purge_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownOriginal {
    pub(super) queue: QueueId,
    /// Where the queue deduplicates within groups.
    pub(super) group: Option<u8>,
    pub(super) deduplication: u8,
    pub(super) seq: Seq,
    pub(super) sent_ms: u64,
    pub(super) is_durable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownAttempt {
    pub(super) queue: QueueId,
    pub(super) attempt: u8,
    pub(super) made_ms: u64,
    /// Number, which delivery, hidden until when.
    pub(super) messages: Vec<(Seq, u32, u64)>,
    pub(super) is_durable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownTask {
    pub(super) id: String,
    pub(super) source: QueueId,
    pub(super) destination: Option<QueueId>,
    pub(super) status: MoveTaskStatus,
    pub(super) moved: u64,
    pub(super) below: Seq,
}

impl KnownTask {
    pub(super) fn is_active(&self) -> bool {
        matches!(self.status, MoveTaskStatus::Running | MoveTaskStatus::Cancelling)
    }
}

#[derive(Debug)]
pub(super) struct Naive {
    pub(super) messages: Vec<KnownMessage>,
    pub(super) queues: Vec<KnownQueue>,
    pub(super) originals: Vec<KnownOriginal>,
    pub(super) attempts: Vec<KnownAttempt>,
    pub(super) tasks: Vec<KnownTask>,
    pub(super) now: Now,
}

/// Queue 1 gives up after two receives to queue 2, which does after three to queue 3; 4 and 6 give up to 5.
pub(super) fn first_redrive(id: QueueId) -> Option<(QueueId, u32)> {
    [(1, (2, 2)), (2, (3, 3)), (4, (5, 2)), (6, (5, 1))].into_iter().find(|(of, _)| *of == id).map(|(_, to)| to)
}

impl Naive {
    pub(super) fn new() -> Self {
        let queue = |id: QueueId| KnownQueue {
            id,
            is_fifo: id > 3,
            per_group: id == 6,
            visibility_s: 5,
            delay_s: if id == 6 { 3 } else { 0 },
            retention_s: [60, 90, 1_209_600, 400, 1_209_600, 60][id as usize - 1],
            redrive: first_redrive(id),
            is_dropping: false,
            last_purge_ms: None,
        };
        Self {
            messages: Vec::new(),
            queues: QUEUES.map(queue).to_vec(),
            originals: Vec::new(),
            attempts: Vec::new(),
            tasks: Vec::new(),
            now: Now { tick_ms: 1_000_000, unix_ms: 9_000_000 },
        }
    }

    // --- queues

    pub(super) fn queue(&self, id: QueueId) -> Option<&KnownQueue> {
        self.queues.iter().find(|queue| queue.id == id)
    }

    /// The same, unless it is being deleted.
    pub(super) fn open(&self, id: QueueId) -> Option<&KnownQueue> {
        self.queue(id).filter(|queue| !queue.is_dropping)
    }

    pub(super) fn queue_mut(&mut self, id: QueueId) -> Option<&mut KnownQueue> {
        self.queues.iter_mut().find(|queue| queue.id == id)
    }

    pub(super) fn is_fifo(&self, id: QueueId) -> bool {
        self.queue(id).is_some_and(|queue| queue.is_fifo)
    }

    /// Where a queue's dead letters go by now, and after how many receives.
    pub(super) fn target(&self, id: QueueId) -> Option<(QueueId, u32)> {
        self.open(id).and_then(|queue| queue.redrive).filter(|(target, _)| self.open(*target).is_some())
    }

    /// The queue as a change of its attributes makes it.
    pub(super) fn changed(&self, id: QueueId, change: Change) -> Option<KnownQueue> {
        let mut queue = *self.open(id)?;
        match change {
            Change::Visibility(seconds) => queue.visibility_s = seconds,
            Change::Delay(seconds) => queue.delay_s = seconds,
            Change::Retention(seconds) => queue.retention_s = seconds,
            Change::Redrive(on) => queue.redrive = first_redrive(id).filter(|_| on),
        }
        Some(queue)
    }

    /// The change is made. A FIFO queue's delay is for all that was never received.
    pub(super) fn set(&mut self, changed: KnownQueue) {
        let Some(queue) = self.queue_mut(changed.id) else { return };
        let new_delay = queue.is_fifo && queue.delay_s != changed.delay_s;
        *queue = KnownQueue { is_dropping: queue.is_dropping, last_purge_ms: queue.last_purge_ms, ..changed };
        if !new_delay {
            return;
        }
        let of_it = |message: &&mut KnownMessage| message.queue == changed.id && message.life == Life::Here;
        for message in self.messages.iter_mut().filter(of_it).filter(|message| message.delivery.issued == 0) {
            message.delivery.visible_tick_ms = message.enqueued_ms + u64::from(changed.delay_s) * 1000;
            message.held_back = false;
        }
    }

    // --- messages

    pub(super) fn message(&self, seq: Seq) -> Option<&KnownMessage> {
        self.messages.iter().find(|message| message.seq == seq)
    }

    pub(super) fn message_mut(&mut self, seq: Seq) -> Option<&mut KnownMessage> {
        self.messages.iter_mut().find(|message| message.seq == seq)
    }

    /// A queue's messages, by number.
    pub(super) fn of(&self, queue: QueueId) -> Vec<&KnownMessage> {
        let mut all: Vec<&KnownMessage> = self.messages.iter().filter(|message| message.queue == queue).collect();
        all.sort_by_key(|message| message.seq);
        all
    }

    pub(super) fn is_visible(&self, message: &KnownMessage) -> bool {
        message.life == Life::Here && message.delivery.visible_tick_ms <= self.now.tick_ms
    }

    pub(super) fn is_in_flight(&self, message: &KnownMessage) -> bool {
        let was_received = message.delivery.issued > 0 || message.held_back;
        message.life == Life::Here && was_received && message.delivery.visible_tick_ms > self.now.tick_ms
    }

    pub(super) fn is_delayed(&self, message: &KnownMessage) -> bool {
        message.life == Life::Here && !self.is_visible(message) && !self.is_in_flight(message)
    }

    /// What holds a FIFO group: in flight, or leaving and not gone.
    fn holds(&self, message: &KnownMessage) -> bool {
        self.is_in_flight(message) || matches!(message.life, Life::Removing | Life::Moving)
    }

    pub(super) fn visible(&self, queue: QueueId) -> Vec<Seq> {
        self.of(queue).into_iter().filter(|message| self.is_visible(message)).map(|message| message.seq).collect()
    }

    /// What a receive may take: on a FIFO queue nothing of a group that stands behind a message somebody holds.
    pub(super) fn receivable(&self, queue: QueueId) -> Vec<Seq> {
        if !self.is_fifo(queue) {
            return self.visible(queue);
        }
        let all = self.of(queue);
        let is_free = |message: &&KnownMessage| {
            let before = all.iter().filter(|other| other.group == message.group && other.seq < message.seq);
            self.is_visible(message) && before.into_iter().all(|other| !self.holds(other))
        };
        all.iter().copied().filter(is_free).map(|message| message.seq).collect()
    }

    /// Which of the queue's messages are past its retention; they are on their way out from here on.
    pub(super) fn expire(&mut self, queue: QueueId) -> Vec<Seq> {
        let Some(retention_s) = self.open(queue).map(|queue| queue.retention_s) else { return Vec::new() };
        let (now_ms, retention_ms) = (self.now.tick_ms, u64::from(retention_s) * 1000);
        let mut expired = Vec::new();
        for message in self.messages.iter_mut().filter(|message| message.queue == queue && message.life == Life::Here) {
            if message.enqueued_ms + retention_ms < now_ms {
                message.life = Life::Removing;
                expired.push(message.seq);
            }
        }
        expired.sort_unstable();
        expired
    }

    /// Its leaving could not be written.
    pub(super) fn stay(&mut self, seq: Seq, life: Life) {
        let now_ms = self.now.tick_ms;
        let Some(message) = self.message(seq).filter(|message| message.life == life) else { return };
        let is_fifo = self.is_fifo(message.queue);
        let Some(message) = self.message_mut(seq) else { return };
        message.life = Life::Here;
        message.held_back = is_fifo;
        message.delivery.visible_tick_ms = message.delivery.visible_tick_ms.max(now_ms + 1000);
    }

    // --- what FIFO queues remember

    /// The send within five minutes that this one repeats.
    pub(super) fn original(&self, queue: &KnownQueue, group: u8, deduplication: u8) -> Option<&KnownOriginal> {
        let group = queue.per_group.then_some(group);
        let same = |known: &&KnownOriginal| {
            (known.queue, known.group, known.deduplication) == (queue.id, group, deduplication)
        };
        self.originals.iter().filter(same).find(|known| self.is_remembered(known.sent_ms))
    }

    pub(super) fn is_remembered(&self, since_ms: u64) -> bool {
        self.now.tick_ms < since_ms + FIVE_MINUTES_MS
    }

    /// The attempt that a receive repeats: made within five minutes, and each message as that receive left it.
    pub(super) fn repeatable(&self, queue: QueueId, attempt: u8) -> Option<&KnownAttempt> {
        let of_it = |known: &&KnownAttempt| known.queue == queue && known.attempt == attempt;
        let untouched = |(seq, issue, until_ms): &(Seq, u32, u64)| {
            self.message(*seq).is_some_and(|message| {
                let delivery = message.delivery;
                self.is_in_flight(message) && (delivery.issued, delivery.visible_tick_ms) == (*issue, *until_ms)
            })
        };
        let known = self.attempts.iter().filter(of_it).find(|known| self.is_remembered(known.made_ms))?;
        known.messages.iter().all(untouched).then_some(known)
    }

    pub(super) fn note_attempt(&mut self, noted: KnownAttempt) {
        self.attempts.retain(|known| (known.queue, known.attempt) != (noted.queue, noted.attempt));
        self.attempts.push(noted);
    }
}
