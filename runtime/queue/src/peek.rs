//! Looking into a queue without receiving: messages with their state, nothing changed by it.

use crate::history::FailedAttempt;
use crate::message::{MessageAttribute, MessageId, SystemAttributes};

/// What state a message is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// May be received.
    Visible,
    /// Handed out and hidden.
    InFlight,
    /// Waits for its first visibility.
    Delayed,
}

impl MessageState {
    /// One word, as the metrics and the API show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::InFlight => "in_flight",
            Self::Delayed => "delayed",
        }
    }
}

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeekRequest {
    /// The most messages to show; at most 1000 are.
    pub max_messages: u32,
    /// Only messages in this state; none: in any.
    pub state: Option<MessageState>,
    /// Only messages behind this position: [`Peeked::position`] of the last one seen.
    pub after: Option<u64>,
}

/// A message that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// Where it stands, increasing from the oldest message to the newest.
    pub position: u64,
    /// The same at every delivery.
    pub id: MessageId,
    /// What state it is in.
    pub state: MessageState,
    /// Milliseconds until it becomes visible; 0 when it is.
    pub visible_in_ms: u64,
    /// Exactly the characters that were sent.
    pub body: String,
    /// Lower-case hex MD5 of the body's UTF-8 bytes.
    pub md5_of_body: String,
    /// What the queue knows of the message; the receive count as it stands, 0 before the first receive.
    pub system: SystemAttributes,
    /// What the sender attached, sorted by name.
    pub attributes: Vec<MessageAttribute>,
    /// Why it was dead-lettered, when a verdict did it.
    pub dead_letter_reason: Option<String>,
    /// Why its attempts failed, the oldest first; the last ten at most.
    pub attempts: Vec<FailedAttempt>,
}
