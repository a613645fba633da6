//! What the state machine wants written: the vocabulary between the pure machine and the store.
//!
//! An effect says what is to become durable; it holds no decision. The store applies effects in the order the machine
//! made them. A `Delivery` of a standard queue may be lost in a crash (the message is then delivered once more, with its
//! older count); all others are durable before anyone is told or can see what they did.

use std::sync::Arc;

use crate::arn::QueueArn;
use crate::attempts::Attempt;
use crate::duplicates::{DuplicateKey, Original};
use crate::history::FailedAttempt;
use crate::message::{MessageAttribute, MessageId};
use crate::move_task::MoveTaskStatus;

/// A queue's number: never used again after the queue is deleted.
pub(crate) type QueueId = u32;
/// A message's number: unique and increasing over all queues of a store.
pub(crate) type Seq = u64;

/// What never changes of a message, kept in the store and not in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) id: MessageId,
    pub(crate) body: String,
    /// Of the body's bytes; computed once, shown at every delivery.
    pub(crate) body_md5: [u8; 16],
    pub(crate) attributes: Vec<MessageAttribute>,
    pub(crate) sender_id: String,
    pub(crate) sent_unix_ms: u64,
    pub(crate) trace_header: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) deduplication_id: Option<String>,
    /// The queue that gave it up.
    pub(crate) dead_letter_source_arn: Option<String>,
    /// Why, when a verdict moved it.
    pub(crate) dead_letter_reason: Option<String>,
}

/// What changes with each delivery of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DeliveryState {
    /// How often it was handed out; numbers the receipts. Never goes back.
    pub(crate) issued: u32,
    /// `ApproximateReceiveCount`: like `issued`, less what was released.
    pub(crate) receive_count: u32,
    /// When it is visible again.
    pub(crate) visible_tick_ms: u64,
    /// When it was last handed out; 0 when that was taken back.
    pub(crate) received_tick_ms: u64,
    /// `ApproximateFirstReceiveTimestamp`; 0 before the first.
    pub(crate) first_received_unix_ms: u64,
}

/// A message entering a queue.
#[derive(Debug, Clone)]
pub(crate) struct Insert {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) enqueued_tick_ms: u64,
    pub(crate) visible_tick_ms: u64,
    pub(crate) content: Arc<Content>,
    /// FIFO: what the same message sent again would have.
    pub(crate) duplicate_key: Option<DuplicateKey>,
}

/// What a moved message gets anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// Its number from here on, which places it behind what the queue holds already.
    pub(crate) seq: Seq,
    pub(crate) enqueued_tick_ms: u64,
    pub(crate) sent_unix_ms: u64,
}

/// Why a message changes queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveKind {
    /// Its queue gave it up: it keeps its id, attributes and count. On a standard queue it keeps its number and times
    /// too; on a FIFO queue it is enqueued anew, and its id becomes its deduplication id (sqs-semantics §8).
    DeadLetter {
        /// The ARN of the queue that gave it up.
        source_arn: String,
        /// A verdict's reason; none when it was received too often.
        reason: Option<String>,
        renewal: Option<Renewal>,
    },
    /// A move task takes it out of a dead-letter queue: it is a new message with the old content.
    Redrive { id: MessageId, renewal: Renewal },
}

/// A message changing queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) seq: Seq,
    pub(crate) from: QueueId,
    pub(crate) to: QueueId,
    pub(crate) kind: MoveKind,
}

impl Move {
    pub(crate) fn renewal(&self) -> Option<Renewal> {
        match self.kind {
            MoveKind::DeadLetter { renewal, .. } => renewal,
            MoveKind::Redrive { renewal, .. } => Some(renewal),
        }
    }

    /// The message's content once it has moved.
    pub(crate) fn moved(&self, content: &Content) -> Content {
        let mut content = content.clone();
        match &self.kind {
            MoveKind::DeadLetter { source_arn, reason, renewal } => {
                content.dead_letter_source_arn = Some(source_arn.clone());
                content.dead_letter_reason.clone_from(reason);
                if let Some(renewal) = renewal {
                    content.sent_unix_ms = renewal.sent_unix_ms;
                    content.deduplication_id = Some(content.id.to_string());
                }
            }
            MoveKind::Redrive { id, renewal } => {
                content.id = id.clone();
                content.sent_unix_ms = renewal.sent_unix_ms;
                content.dead_letter_source_arn = None;
                content.dead_letter_reason = None;
            }
        }
        content
    }
}

/// One thing to be written.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Insert(Insert),
    Delivery {
        seq: Seq,
        state: DeliveryState,
    },
    Remove {
        queue: QueueId,
        seq: Seq,
    },
    Move(Move),
    /// FIFO: what was sent up to `through` is no longer known as a duplicate's original.
    ForgetOriginals {
        queue: QueueId,
        through: Seq,
    },
    /// FIFO: what a receive with an attempt id handed out.
    PutAttempt(AttemptRow),
    /// FIFO: attempts made up to `through_tick_ms` cannot be repeated any more.
    ForgetAttempts {
        queue: QueueId,
        through_tick_ms: u64,
    },
    /// A move task begins.
    PutTask(TaskRow),
    /// A move task has moved so many in all.
    TaskProgress {
        id: String,
        moved: u64,
    },
    /// A move task's status changes.
    TaskStatus {
        id: String,
        status: MoveTaskStatus,
        failure_reason: Option<String>,
    },
    /// A move task is forgotten.
    DropTask {
        id: String,
    },
    /// An attempt at a message failed: it is kept beside the message.
    Explain {
        seq: Seq,
        attempt: Arc<FailedAttempt>,
    },
    /// Nothing is written: whoever waits for it waits for what was queued before.
    Barrier,
    PutQueue(QueueRow),
    DropQueue {
        queue: QueueId,
    },
}

/// How many messages leave by these effects.
pub(crate) fn removals(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Remove { .. })).count()
}

/// A queue as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRow {
    pub(crate) id: QueueId,
    pub(crate) name: String,
    /// AWS names and texts, and what is internal.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) created_unix_s: u64,
    pub(crate) modified_unix_s: u64,
}

/// A message's row without its content, as the index is rebuilt from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexRow {
    pub(crate) seq: Seq,
    pub(crate) queue: QueueId,
    pub(crate) enqueued_tick_ms: u64,
    pub(crate) group: Option<String>,
    /// With `visible_tick_ms` of the send where it was never handed out.
    pub(crate) delivery: DeliveryState,
}

/// An original that a later duplicate is answered with, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginalRow {
    pub(crate) queue: QueueId,
    pub(crate) key: DuplicateKey,
    pub(crate) original: Original,
}

/// What a receive with an attempt id handed out, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    pub(crate) queue: QueueId,
    pub(crate) attempt_id: String,
    pub(crate) attempt: Attempt,
}

/// A move task, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskRow {
    pub(crate) id: String,
    pub(crate) source: QueueId,
    /// None: each message back to the queue that gave it up.
    pub(crate) destination: Option<QueueArn>,
    pub(crate) max_per_second: Option<u32>,
    pub(crate) status: MoveTaskStatus,
    pub(crate) moved: u64,
    pub(crate) to_move: u64,
    pub(crate) started_unix_ms: u64,
    /// Only messages numbered below it are moved: what comes back to the queue meanwhile is not moved again.
    pub(crate) below: Seq,
    pub(crate) failure_reason: Option<String>,
}

impl TaskRow {
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.status, MoveTaskStatus::Running | MoveTaskStatus::Cancelling)
    }
}
