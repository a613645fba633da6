//! What comes back from a handler: a reply, or the fault that took its place.

use std::fmt;

/// What a handler answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The JSON text of a Lambda response, not yet read. Empty text is an empty response.
    Json(String),
    /// The typed world's answer: one verdict per record, in order. The mapping checks the length.
    Verdicts(Vec<Verdict>),
}

/// What becomes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Delete it.
    Done,
    /// Let it return.
    Retry {
        /// Seconds from the verdict until it is visible again; none: as the mapping's retry policy says.
        after_seconds: Option<u32>,
    },
    /// Move it to the dead-letter queue now.
    DeadLetter {
        /// Kept beside the dead message.
        reason: String,
    },
    /// Make it visible again at once: this attempt did not run.
    Release,
}

/// Why an invocation gave no reply. The whole batch fails with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The class, for metrics and decisions.
    pub kind: FaultKind,
    /// One line for people: what happened, without the class.
    pub message: String,
}

/// The classes of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The handler said so: `err`, or a non-zero exit status.
    Handler,
    /// The guest trapped: a panic, an `unreachable`, an access out of bounds, a stack overflow.
    Trap,
    /// The function's timeout passed.
    Timeout,
    /// The guest asked for more memory than the function may have, and died of the denial.
    OutOfMemory,
    /// The reply was longer than the function may answer.
    ReplyTooLarge,
    /// The reply was there but broke the response contract (esm-semantics §6.2).
    BadReply,
    /// The runtime could not call the handler at all, through no fault of the handler.
    Host,
}

impl FaultKind {
    /// Every class.
    pub const ALL: [Self; 7] =
        [Self::Handler, Self::Trap, Self::Timeout, Self::OutOfMemory, Self::ReplyTooLarge, Self::BadReply, Self::Host];

    /// A stable snake_case word: the metric label and the log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler_error",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::ReplyTooLarge => "reply_too_large",
            Self::BadReply => "bad_reply",
            Self::Host => "host",
        }
    }
}

impl Fault {
    /// A fault of a class, with its line for people.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for Fault {}
