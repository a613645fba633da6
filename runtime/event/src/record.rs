//! One queue message as a handler sees it.

use std::borrow::Cow;
use std::sync::Arc;

/// A message of the batch, with the members of Lambda's SQS event record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// UUID text, the same at every delivery.
    pub message_id: Arc<str>,
    /// Opaque text, new at every delivery.
    pub receipt_handle: Arc<str>,
    /// Exactly the characters that were sent.
    pub body: String,
    /// System attributes (`ApproximateReceiveCount`, `SentTimestamp`, …) in the order they are to be written. Names are
    /// AWS's own, of letters only.
    pub attributes: Vec<(&'static str, SystemValue)>,
    /// User attributes in the order they are to be written.
    pub message_attributes: Vec<MessageAttribute>,
    /// Lower-case hex, none when the message has no user attributes.
    pub md5_of_message_attributes: Option<String>,
    /// Lower-case hex.
    pub md5_of_body: String,
    /// `arn:aws:sqs:REGION:ACCOUNT:NAME` of the queue it was received from.
    pub event_source_arn: Arc<str>,
    /// The region in that ARN.
    pub aws_region: Arc<str>,
}

/// A system attribute's value: text to whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemValue {
    /// A count or a time, in decimal digits.
    Number(u64),
    /// Anything else.
    Text(String),
}

impl SystemValue {
    /// As it is read.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// A user attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAttribute {
    /// 1–256 characters.
    pub name: String,
    /// `String`, `Number` or `Binary`, with an optional `.custom` suffix.
    pub data_type: String,
    /// The value.
    pub value: AttributeValue,
}

/// A user attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// For the data types `String` and `Number`.
    Text(String),
    /// For the data type `Binary`.
    Binary(Vec<u8>),
}
