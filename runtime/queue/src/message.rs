//! Messages on their way in and out of a queue, and the small types they are made of.
//!
//! Wire names, limits on what a sender may write and error texts are absent: they belong to `limits.rs` and to the
//! wire crate.

use std::fmt;
use std::sync::Arc;

/// A message's identity: UUID text, the same at every delivery. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Takes the text as it is: a remote service may use ids of its own shape.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, shared.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to settle one delivery of one message: opaque text, new at every receive.
///
/// Not `Clone` by accident but by need: a lease renews with it while the batch that owns the message still holds it.
/// Clones share the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(Arc<str>);

impl ReceiptHandle {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, shared.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One delivered message, with the receipt that settles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same at every delivery.
    pub id: MessageId,
    /// Settles this delivery.
    pub receipt: ReceiptHandle,
    /// Exactly the characters that were sent.
    pub body: String,
    /// Lower-case hex MD5 of the body's UTF-8 bytes.
    pub md5_of_body: String,
    /// What the queue knows of the message.
    pub system: SystemAttributes,
    /// What the sender attached, sorted by name.
    pub attributes: Vec<MessageAttribute>,
}

/// What the queue itself knows of a message (sqs-semantics §5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemAttributes {
    /// The sending principal, if the service tells.
    pub sender_id: Option<String>,
    /// Unix time of the send, in milliseconds.
    pub sent_unix_ms: u64,
    /// How often the message was received, this delivery included.
    pub receive_count: u32,
    /// Unix time of the first receive, in milliseconds.
    pub first_received_unix_ms: u64,
    /// The producer's `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// FIFO: the group. Standard: the tenant of a fair queue.
    pub group_id: Option<String>,
    /// FIFO only.
    pub deduplication_id: Option<String>,
    /// FIFO only: a decimal number, increasing within a group.
    pub sequence_number: Option<String>,
    /// The queue that gave the message up, once it sits in a dead-letter queue.
    pub dead_letter_source_arn: Option<String>,
}

/// A user attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageAttribute {
    /// 1–256 characters of `[A-Za-z0-9_.-]`.
    pub name: String,
    /// `String`, `Number` or `Binary`, with an optional `.custom` suffix.
    pub data_type: String,
    /// The value.
    pub value: AttributeValue,
}

/// A user attribute's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeValue {
    /// For the data types `String` and `Number`.
    Text(String),
    /// For the data type `Binary`.
    Binary(Vec<u8>),
}

impl AttributeValue {
    /// The bytes that count towards the message's size and its MD5.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// 1 byte to the queue's `MaximumMessageSize`, attributes included.
    pub body: String,
    /// Seconds until it may be received, 0–900; none: the queue's own delay.
    pub delay_seconds: Option<u32>,
    /// At most ten, any order, distinct names.
    pub attributes: Vec<MessageAttribute>,
    /// `AWSTraceHeader`, the one system attribute that senders may set.
    pub trace_header: Option<String>,
    /// FIFO: required. Standard: optional (fair queues).
    pub group_id: Option<String>,
    /// FIFO only.
    pub deduplication_id: Option<String>,
}

impl OutgoingMessage {
    /// The size that limits apply to: UTF-8 bytes of the body plus name, data type and value of every user
    /// attribute (sqs-semantics §4). System attributes do not count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let attribute_bytes: usize =
            self.attributes.iter().map(|a| a.name.len() + a.data_type.len() + a.value.as_bytes().len()).sum();
        self.body.len() + attribute_bytes
    }
}

/// The acknowledgement of one sent message: it is durable from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The id the queue gave it.
    pub id: MessageId,
    /// Lower-case hex.
    pub md5_of_body: String,
    /// Lower-case hex; none when there are no user attributes.
    pub md5_of_attributes: Option<String>,
    /// Lower-case hex; none when no system attribute was set.
    pub md5_of_system_attributes: Option<String>,
    /// FIFO only.
    pub sequence_number: Option<String>,
}
