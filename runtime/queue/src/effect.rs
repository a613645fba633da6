//! What the state machine wants written: the vocabulary between the pure machine and the store.
//!
//! An effect says what is to become durable; it holds no decision. The store applies effects in the order the machine
//! made them. A `Delivery` may be lost in a crash (the message is then delivered once more, with its older count); all
//! others are durable before anyone is told or can see what they did.

use std::sync::Arc;

use crate::message::{MessageAttribute, MessageId};

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
    pub(crate) sequence_number: Option<String>,
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
}

/// A message changing queues: it keeps its number, id, attributes and count.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) seq: Seq,
    pub(crate) from: QueueId,
    pub(crate) to: QueueId,
    /// The ARN of `from`.
    pub(crate) source_arn: String,
    /// A verdict's reason; none when it was received too often.
    pub(crate) reason: Option<String>,
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
    /// Everything of the queue numbered below `below`.
    Purge {
        queue: QueueId,
        below: Seq,
    },
    PutQueue(QueueRow),
    DropQueue {
        queue: QueueId,
    },
}

/// A queue as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRow {
    pub(crate) id: QueueId,
    pub(crate) name: String,
    /// AWS names and texts.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) created_unix_s: u64,
    pub(crate) modified_unix_s: u64,
}

/// A message's row without its content, as the index is rebuilt from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexRow {
    pub(crate) seq: Seq,
    pub(crate) queue: QueueId,
    pub(crate) enqueued_tick_ms: u64,
    /// With `visible_tick_ms` of the send where it was never handed out.
    pub(crate) delivery: DeliveryState,
}
