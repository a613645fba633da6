//! What a handler sees and what it may answer: invocations, records, replies, faults.
//!
//! This crate mirrors `wit/handler.wit` and Lambda's SQS event. It has no dependency, no I/O, no async and no
//! clock: the mapping makes these values, the sandbox consumes them, and neither knows the other.

use std::sync::Arc;

mod account;
mod json;
mod record;
mod reply;
mod span;
mod trace;

pub use account::{Account, CodeName, Told};
pub use json::{LAMBDA_FRAME_BYTES, lambda_event, lambda_record_bytes};
pub use record::{AttributeValue, MessageAttribute, Record, SystemValue};
pub use reply::{Fault, FaultKind, Reply, Verdict};
pub use span::{
    About, BatchSpan, InvocationSpan, Link, Outcome, RequestSpan, SettlingSpan, Site, Span, Tracer, Verdicts,
};
pub use trace::{Producer, Trace, TraceContext};

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Unique per call: a version-4 UUID in text. Every log line of the call carries it.
    pub request_id: String,
    /// What the handler is handed.
    pub payload: Payload,
    /// What the handler is told of its trace, as X-Ray writes it: its own span if there are traces, else the producer's
    /// `AWSTraceHeader`, if the first record carried one.
    pub trace_id: Option<String>,
    /// Its span, if there are traces.
    pub trace: Option<Trace>,
    /// Where what runs the handler tells of the invocation.
    pub account: Account,
}

/// An invocation's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A batch of queue messages. Handlers that speak JSON get [`lambda_event`] of it.
    Batch {
        /// The messages, in the order they were received. Shared with the mapping, which settles them.
        records: Arc<Vec<Record>>,
        /// True when the mapping has a batching window: decides how an absent `md5OfMessageAttributes` is
        /// spelled (esm-semantics §3, detail 2).
        windowed: bool,
    },
    /// An event that somebody wrote by hand, passed on as it is (`wasmill invoke`).
    Json(String),
}
