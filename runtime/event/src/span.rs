//! Spans of the line of a message, and who takes them. A span is no more than its id until it has ended: then it is handed over
//! whole. What their attributes are called elsewhere, and where they go, is the taker's to know.

use std::sync::Arc;
use std::time::SystemTime;

use crate::reply::Fault;
use crate::trace::{Producer, TraceContext};

/// Whoever draws ids and takes spans. It must not block.
pub trait Tracer: Send + Sync + 'static {
    /// A new span: in its producer's trace, or the first of a trace of its own. Decides whether it is kept.
    fn root(&self, producer: Option<&Producer>) -> TraceContext;

    /// A new span below another, in its trace, and kept if that is.
    fn child(&self, parent: TraceContext) -> TraceContext;

    /// Takes a span that has ended; only those that are sampled are to be handed over.
    fn take(&self, span: Span);
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its place.
    pub context: TraceContext,
    /// The span above it; that of another process only for a batch.
    pub parent: Option<[u8; 8]>,
    /// W3C's `tracestate` of its trace.
    pub state: Option<Arc<str>>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended: not before it began.
    pub ended: SystemTime,
    /// What it is of.
    pub about: About,
}

/// What a span is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A batch, from its first receive until it is settled: all else of it is below.
    Batch(BatchSpan),
    /// Gathering a batch in a window, from its first receive on.
    Window {
        /// Whose.
        site: Arc<Site>,
        /// How many records there were in the end.
        records: usize,
    },
    /// One call of the handler.
    Invocation(InvocationSpan),
    /// What became of the records, said to the queue.
    Settling(SettlingSpan),
    /// An HTTP request of the handler.
    Request(RequestSpan),
}

/// A mapping, by the names of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The mapping's.
    pub mapping: String,
    /// The queue's.
    pub queue: String,
    /// The function's.
    pub function: String,
}

/// See [`About::Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSpan {
    /// Whose.
    pub site: Arc<Site>,
    /// How many records it has.
    pub records: usize,
    /// Of a batch of one: the message's id.
    pub message_id: Option<Arc<str>>,
    /// Those who sent its messages, each once.
    pub links: Vec<Link>,
    /// How many more there are than a span may have.
    pub links_left_out: usize,
    /// How its records were judged.
    pub verdicts: Verdicts,
    /// Why it failed as a whole, if it did.
    pub fault: Option<Fault>,
}

/// A span that sent a message of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it stands.
    pub producer: Producer,
    /// The first message that named it.
    pub message_id: Arc<str>,
}

/// How many records of a batch were judged how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// To be deleted.
    pub done: usize,
    /// To return.
    pub retry: usize,
    /// To be moved to the dead-letter queue.
    pub dead_letter: usize,
    /// To be visible again at once.
    pub release: usize,
}

/// See [`About::Invocation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationSpan {
    /// Whose.
    pub site: Arc<Site>,
    /// The request id.
    pub request_id: String,
    /// The function's version.
    pub version: Arc<str>,
    /// How many records it was handed.
    pub records: usize,
    /// 0 for the batch's own; else the how-manieth to find what the handler crashed on.
    pub bisect_step: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a call of the handler ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It did not, or with what is no answer.
    Failed(Fault),
    /// It was given up, as the worker stops.
    Abandoned,
}

/// See [`About::Settling`]. Of each kind what the queue was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlingSpan {
    /// Whose.
    pub site: Arc<Site>,
    /// Deleted.
    pub deleted: usize,
    /// Given back, or left to return by themselves.
    pub returned: usize,
    /// Moved to the dead-letter queue.
    pub dead_lettered: usize,
    /// Made visible again at once.
    pub released: usize,
    /// Those of all these that the queue did not take.
    pub refused: usize,
}

/// See [`About::Request`]. Of the URL no more than where it leads: the rest may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSpan {
    /// None: not one that HTTP knows.
    pub method: Option<&'static str>,
    /// `http` or `https`.
    pub scheme: String,
    /// A name or an address.
    pub host: String,
    /// Also where it is the scheme's own.
    pub port: u16,
    /// The response's status, or in a word why there is none.
    pub answer: Result<u16, &'static str>,
}
