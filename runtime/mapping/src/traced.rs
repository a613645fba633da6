//! A batch's spans, begun and ended beside the line, which goes on as if there were none. Whatever happens to a batch, its
//! spans end: they are handed over when they are dropped.
//!
//! The batch's span is the root, and a trace of its own. Whoever sent its messages is linked to it, as they may be of many traces. A batch of one
//! message continues that message's trace instead, so that a trickle reads as one story; the link is there all the same.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use tokio::time::Instant;
use wasmill_event::{
    About, AttributeValue, BatchSpan, Fault, InvocationSpan, Link, Outcome, Producer, Record, SettlingSpan, Site, Span,
    Trace, TraceContext, Tracer, Verdict, Verdicts,
};

use crate::batch::{Batch, Held};
use crate::settle::Plan;

/// The most spans that a batch's is linked to: as many as OpenTelemetry's SDKs keep.
pub(crate) const LINKS_MAX: usize = 128;
/// The longest `tracestate` that W3C asks anybody to pass on.
const STATE_BYTES_MAX: usize = 512;

/// What begins a mapping's spans.
pub(crate) struct Tracing {
    pub(crate) tracer: Arc<dyn Tracer>,
    pub(crate) site: Arc<Site>,
    pub(crate) is_windowed: bool,
}

impl Tracing {
    /// A batch begins. It was there from its first receive on.
    pub(crate) fn begin(&self, batch: &Batch) -> BatchTrace {
        let clock = Anchor { wall: SystemTime::now(), at: Instant::now() };
        // Received on the mapping's timeline, of which parts may have been skipped; spans are told in real time.
        let age = batch.lease.terms(0).map(|terms| batch.lease.now().saturating_duration_since(terms.received_at));
        let only = match (&batch.records[..], &batch.held[..]) {
            ([record], [held]) => Some((record, held)),
            _ => None,
        };
        let parent = only.and_then(|(record, held)| producers(record, held).next());
        let context = self.tracer.root(parent.as_ref());
        let (links, links_left_out) = if context.is_sampled { links(batch) } else { (Vec::new(), 0) };
        let traced = BatchTrace {
            tracer: Arc::clone(&self.tracer),
            context,
            parent: parent.as_ref().map(|parent| parent.context.span_id),
            state: parent.and_then(|parent| parent.state),
            clock,
            began: age.and_then(|age| clock.at.checked_sub(age)).unwrap_or(clock.at),
            invocations: AtomicU32::new(0),
            span: BatchSpan {
                site: Arc::clone(&self.site),
                records: batch.len(),
                message_id: only.map(|(record, _)| Arc::clone(&record.message_id)),
                links,
                links_left_out,
                verdicts: Verdicts::default(),
                fault: None,
            },
        };
        if self.is_windowed && context.is_sampled {
            let about = About::Window { site: Arc::clone(&self.site), records: batch.len() };
            drop(Open::below(&traced, traced.began, about));
        }
        traced
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").field("site", &self.site).finish_non_exhaustive()
    }
}

/// A batch's span, until it is dropped.
pub(crate) struct BatchTrace {
    tracer: Arc<dyn Tracer>,
    context: TraceContext,
    parent: Option<[u8; 8]>,
    state: Option<Arc<str>>,
    clock: Anchor,
    began: Instant,
    invocations: AtomicU32,
    span: BatchSpan,
}

impl BatchTrace {
    /// The handler is called: its span, and what the handler's surroundings get of it.
    pub(crate) fn invocation(&self, request_id: &str, version: &Arc<str>, records: usize) -> (Trace, Option<Open>) {
        let bisect_step = self.invocations.fetch_add(1, Ordering::Relaxed);
        let open = self.context.is_sampled.then(|| {
            let about = About::Invocation(InvocationSpan {
                site: Arc::clone(&self.span.site),
                request_id: request_id.to_owned(),
                version: Arc::clone(version),
                records,
                bisect_step,
                outcome: Outcome::Abandoned,
            });
            Open::below(self, Instant::now(), about)
        });
        let context = open.as_ref().map_or_else(|| self.tracer.child(self.context), |open| open.context);
        (Trace { context, state: self.state.clone(), tracer: Arc::clone(&self.tracer) }, open)
    }

    /// How it was judged.
    pub(crate) fn judged(&mut self, verdicts: &[Verdict], fault: Option<&Fault>) {
        for verdict in verdicts {
            let count = match verdict {
                Verdict::Done => &mut self.span.verdicts.done,
                Verdict::Retry { .. } => &mut self.span.verdicts.retry,
                Verdict::DeadLetter { .. } => &mut self.span.verdicts.dead_letter,
                Verdict::Release => &mut self.span.verdicts.release,
            };
            *count += 1;
        }
        self.span.fault = fault.cloned();
    }

    /// The queue is told.
    pub(crate) fn settling(&self, plan: &Plan) -> Option<Open> {
        self.context.is_sampled.then(|| {
            let about = About::Settling(SettlingSpan {
                site: Arc::clone(&self.span.site),
                deleted: plan.delete.len(),
                returned: plan.untouched + plan.give_back.len(),
                dead_lettered: plan.dead_letter.len(),
                released: plan.release.len(),
                refused: 0,
            });
            Open::below(self, Instant::now(), about)
        })
    }
}

impl Drop for BatchTrace {
    fn drop(&mut self) {
        if !self.context.is_sampled {
            return;
        }
        let links = std::mem::take(&mut self.span.links);
        let span = BatchSpan { links, ..self.span.clone() };
        self.tracer.take(Span {
            context: self.context,
            parent: self.parent,
            state: self.state.clone(),
            began: self.clock.wall(self.began),
            ended: self.clock.wall(Instant::now()),
            about: About::Batch(span),
        });
    }
}

/// A span below a batch's, until it is dropped.
pub(crate) struct Open {
    tracer: Arc<dyn Tracer>,
    context: TraceContext,
    parent: [u8; 8],
    state: Option<Arc<str>>,
    clock: Anchor,
    began: Instant,
    /// None once it was handed over.
    about: Option<About>,
}

impl Open {
    fn below(batch: &BatchTrace, began: Instant, about: About) -> Self {
        Self {
            tracer: Arc::clone(&batch.tracer),
            context: batch.tracer.child(batch.context),
            parent: batch.context.span_id,
            state: batch.state.clone(),
            clock: batch.clock,
            began,
            about: Some(about),
        }
    }

    /// The handler has answered, or failed.
    pub(crate) fn invoked(mut self, fault: Option<&Fault>) {
        if let Some(About::Invocation(span)) = &mut self.about {
            span.outcome = fault.map_or(Outcome::Answered, |fault| Outcome::Failed(fault.clone()));
        }
    }

    /// The queue has taken what it was told, but for so many records.
    pub(crate) fn settled(mut self, not_taken: usize) {
        if let Some(About::Settling(span)) = &mut self.about {
            span.refused = not_taken;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(about) = self.about.take() else { return };
        self.tracer.take(Span {
            context: self.context,
            parent: Some(self.parent),
            state: self.state.take(),
            began: self.clock.wall(self.began),
            ended: self.clock.wall(Instant::now()),
            about,
        });
    }
}

/// One moment on both clocks: a batch's spans are told in wall time and measured in the other, so that none ends before it
/// began when the wall clock is set.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall: SystemTime,
    at: Instant,
}

impl Anchor {
    fn wall(&self, at: Instant) -> SystemTime {
        let shifted = match at.checked_duration_since(self.at) {
            Some(later) => self.wall.checked_add(later),
            None => self.wall.checked_sub(self.at.saturating_duration_since(at)),
        };
        shifted.unwrap_or(self.wall)
    }
}

/// Who sent the batch's messages, each once, and how many more there are than are kept.
fn links(batch: &Batch) -> (Vec<Link>, usize) {
    let (mut links, mut left_out, mut seen) = (Vec::new(), 0, HashSet::new());
    for (record, held) in batch.records.iter().zip(&batch.held) {
        for producer in producers(record, held) {
            let id = (producer.context.trace_id, producer.context.span_id);
            if links.len() < LINKS_MAX && seen.insert(id) {
                links.push(Link { producer, message_id: Arc::clone(&record.message_id) });
            } else if !seen.contains(&id) {
                left_out += 1;
            }
        }
    }
    (links, left_out)
}

/// Who sent a message: as W3C says, in its attributes `traceparent` and `tracestate`, and as X-Ray does, in its `AWSTraceHeader`. Either, both or
/// neither may be there. What cannot be read is nobody's.
fn producers(record: &Record, held: &Held) -> impl Iterator<Item = Producer> {
    let attribute = |name: &str| {
        let found = record.message_attributes.iter().find(|attribute| attribute.name == name);
        found.and_then(|attribute| match &attribute.value {
            AttributeValue::Text(text) => Some(text.as_str()),
            AttributeValue::Binary(_) => None,
        })
    };
    let read = |name: &'static str, text: &str, read: Option<Producer>| {
        if read.is_none() {
            let message_id = &*record.message_id;
            tracing::debug!(
                message_id,
                name,
                text = shortened(text),
                "it names no span that a trace could be linked to"
            );
        }
        read
    };
    let w3c = attribute("traceparent").and_then(|text| {
        let state = attribute("tracestate").filter(|state| state.len() <= STATE_BYTES_MAX);
        let context = TraceContext::from_traceparent(text);
        let state = state.map(Arc::from);
        read("traceparent", text, context.map(|context| Producer { context, is_decided: true, state }))
    });
    let header = held.system.trace_header.as_deref();
    let xray = header.and_then(|text| read("AWSTraceHeader", text, TraceContext::from_xray(text)));
    w3c.into_iter().chain(xray)
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
