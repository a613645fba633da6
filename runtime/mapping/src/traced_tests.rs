//! A batch's spans through the whole line, under paused time: their order, their times, whom they are linked to.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tokio::time::sleep;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use wasmill_event::{
    About, BatchSpan, Fault, FaultKind, Invocation, Outcome, Producer, Reply, SettlingSpan, Span, TraceContext, Tracer,
    Verdicts,
};
use wasmill_queue::{Advance, AttributeValue, MessageAttribute, OutgoingMessage, Queue, Timeline};

use crate::door::{Door, Remote};
use crate::line_tests::{Bench, drain, handler, succeeding, until};
use crate::mapping::{MappingOptions, start};
use crate::permits::Permits;
use crate::traced::LINKS_MAX;

/// Keeps what it takes; ids count up from 1.
#[derive(Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    ids: AtomicU64,
    samples_none: bool,
}

impl Kept {
    fn span_id(&self) -> [u8; 8] {
        (self.ids.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes()
    }

    /// Those taken so far, as `words` tells them.
    fn told(&self) -> Vec<String> {
        self.spans.lock().unwrap().iter().map(words).collect()
    }

    /// The only batch's.
    fn batch(&self) -> (Span, BatchSpan) {
        let spans = self.spans.lock().unwrap();
        let mut batches = spans.iter().filter_map(|span| match &span.about {
            About::Batch(batch) => Some((span.clone(), batch.clone())),
            _ => None,
        });
        let only = batches.next().unwrap();
        assert!(batches.next().is_none(), "one batch");
        only
    }
}

impl Tracer for Kept {
    fn root(&self, producer: Option<&Producer>) -> TraceContext {
        let span_id = self.span_id();
        let trace_id = producer.map_or([7; 16], |producer| producer.context.trace_id);
        let decided = producer.filter(|producer| producer.is_decided).map(|producer| producer.context.is_sampled);
        TraceContext { trace_id, span_id, is_sampled: decided.unwrap_or(!self.samples_none) }
    }

    fn child(&self, parent: TraceContext) -> TraceContext {
        TraceContext { span_id: self.span_id(), ..parent }
    }

    fn take(&self, span: Span) {
        assert!(span.began <= span.ended && span.context.is_sampled, "{span:?}");
        self.spans.lock().unwrap().push(span);
    }
}

fn words(span: &Span) -> String {
    let took = span.ended.duration_since(span.began).unwrap().as_secs();
    let what = match &span.about {
        About::Window { records, .. } => format!("window of {records}"),
        About::Invocation(of) => match &of.outcome {
            Outcome::Answered => format!("step {}: {}", of.bisect_step, of.records),
            Outcome::Failed(fault) => format!("step {}: {} {}", of.bisect_step, of.records, fault.kind.as_str()),
            Outcome::Abandoned => format!("step {}: {} abandoned", of.bisect_step, of.records),
        },
        About::Settling(of) => format!("settling, {} refused", of.refused),
        About::Batch(of) => format!("batch of {}", of.records),
        About::Request(_) => "request".to_owned(),
    };
    format!("{what} ({took} s)")
}

fn text(name: &str, value: &str) -> MessageAttribute {
    MessageAttribute { name: name.into(), data_type: "String".into(), value: AttributeValue::Text(value.into()) }
}

fn traceparent(trace: u8, span: usize, flags: &str) -> String {
    format!("00-{:032x}-{span:016x}-{flags}", u128::from(trace))
}

fn by(attributes: Vec<MessageAttribute>, trace_header: Option<&str>) -> OutgoingMessage {
    OutgoingMessage {
        body: "b".into(),
        attributes,
        trace_header: trace_header.map(str::to_owned),
        ..OutgoingMessage::default()
    }
}

async fn send(bench: &Bench, messages: Vec<OutgoingMessage>) {
    for sent in bench.queue.send(messages).await.unwrap() {
        sent.unwrap();
    }
}

fn traced(options: MappingOptions, kept: &Arc<Kept>) -> MappingOptions {
    let tracer: Arc<dyn Tracer> = Arc::clone(kept) as _;
    MappingOptions { tracer: Some(tracer), ..options }
}

const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

#[tokio::test(start_paused = true)]
async fn a_batch_whose_handler_crashes_has_a_span_for_each_run_in_their_order() {
    let bench = Bench::new(60).await;
    bench.send((0..4).map(|n| n.to_string())).await;
    let crashing = handler(|records| async move {
        sleep(Duration::from_secs(1)).await;
        match records.iter().any(|record| record.body == "2") {
            true => Err(Fault::new(FaultKind::Trap, "boom")),
            false => Ok(Reply::Json(String::new())),
        }
    });
    let kept = Arc::new(Kept::default());
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, crashing);
    let mapping = start(traced(options, &kept));
    until(|| kept.told().iter().any(|told| told.starts_with("batch"))).await;
    assert_eq!(
        kept.told(),
        [
            "step 0: 4 trap (1 s)",
            "step 1: 2 (1 s)",
            "step 2: 1 trap (1 s)",
            "step 3: 1 (1 s)",
            "settling, 0 refused (0 s)",
            "batch of 4 (4 s)"
        ]
    );
    let (root, batch) = kept.batch();
    assert_eq!((root.parent, root.context.trace_id), (None, [7; 16]));
    assert_eq!(batch.verdicts, Verdicts { done: 3, retry: 1, ..Verdicts::default() });
    assert_eq!(batch.fault.map(|fault| fault.kind), Some(FaultKind::Trap));
    assert_eq!(
        (batch.site.mapping.as_str(), batch.site.queue.as_str(), batch.site.function.as_str()),
        ("q/f", "q", "f")
    );
    let spans = kept.spans.lock().unwrap().clone();
    let mut last = root.began;
    for span in spans.iter().filter(|span| **span != root) {
        assert_eq!((span.parent, span.context.trace_id), (Some(root.context.span_id), root.context.trace_id));
        assert!(last <= span.began && span.ended <= root.ended, "one after the other, within the batch's");
        last = span.ended;
        if let About::Settling(settling) = &span.about {
            let SettlingSpan { deleted, returned, dead_lettered, released, .. } = settling;
            assert_eq!((*deleted, *returned, *dead_lettered, *released), (3, 1, 0, 0));
        }
    }
    let ids: BTreeSet<[u8; 8]> = spans.iter().map(|span| span.context.span_id).collect();
    assert_eq!(ids.len(), spans.len());
    drain(&mapping, &permits, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_is_a_span_and_its_batch_is_linked_to_as_many_producers_as_a_span_may_have() {
    let bench = Bench::new(60).await;
    let kept = Arc::new(Kept::default());
    let (_, handler) = succeeding(Duration::from_secs(1));
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler);
    let mapping = start(traced(MappingOptions { batch_size: 1000, window: Duration::from_secs(5), ..options }, &kept));
    // Each span sends two messages.
    for begin in (0..200).step_by(10) {
        let spans = (begin..begin + 10).map(|n| traceparent(1, n / 2 + 1, "00"));
        send(&bench, spans.map(|parent| by(vec![text("traceparent", &parent)], None)).collect()).await;
    }
    for begin in (0..60).step_by(10) {
        let spans = (begin..begin + 10).map(|n| traceparent(2, n + 1, "01"));
        send(&bench, spans.map(|parent| by(vec![text("traceparent", &parent)], None)).collect()).await;
    }
    until(|| !kept.told().is_empty() && bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, Duration::from_secs(60)).await;
    let told = kept.told();
    let expected = ["window of 260 (5 s)", "step 0: 260 (1 s)", "settling, 0 refused (0 s)", "batch of 260 (6 s)"];
    assert_eq!(told, expected);
    let (_, batch) = kept.batch();
    assert_eq!((batch.links.len(), batch.links_left_out, batch.message_id), (LINKS_MAX, 160 - LINKS_MAX, None));
    let linked: BTreeSet<([u8; 16], [u8; 8])> =
        batch.links.iter().map(|link| (link.producer.context.trace_id, link.producer.context.span_id)).collect();
    assert_eq!(linked.len(), LINKS_MAX, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_window_whose_time_was_skipped_ends_after_it_began() {
    let bench = Bench::on((Timeline::steered(), None), false, 30, 3).await;
    let kept = Arc::new(Kept::default());
    let (_, handler) = succeeding(Duration::from_secs(1));
    let skip =
        |seconds| Advance { by: Duration::from_secs(seconds), until_idle: false, patience: Duration::from_secs(10) };
    // What was skipped before a receive is none of its batch's time.
    bench.broker.advance(skip(1000)).await.unwrap();
    let options = MappingOptions { batch_size: 25, window: Duration::from_secs(300), ..bench.local(1, handler) };
    let mapping = start(traced(options, &kept));
    bench.send(["a".into(), "b".into()]).await;
    assert!(bench.broker.advance(skip(300)).await.unwrap().is_settled);
    mapping.drain(Duration::from_secs(1)).await;
    let expected = ["window of 2 (300 s)", "step 0: 2 (1 s)", "settling, 0 refused (0 s)", "batch of 2 (301 s)"];
    assert_eq!(kept.told(), expected);
    let (root, _) = kept.batch();
    assert!(root.ended <= SystemTime::now() + Duration::from_secs(2), "its end is told in real time");
}

#[tokio::test(start_paused = true)]
async fn both_headers_are_links_and_what_cannot_be_read_is_none() {
    let bench = Bench::new(60).await;
    let parent = traceparent(1, 5, "01");
    let state = text("tracestate", "vendor=value");
    send(
        &bench,
        vec![
            by(vec![text("traceparent", &parent), state], Some(HEADER)),
            by(vec![text("traceparent", "rubbish")], Some("Root=1-5759e988-bd862e3fe1be46a994272793")),
            by(vec![text("Traceparent", &traceparent(1, 6, "01"))], Some("Parent=")),
            by(Vec::new(), None),
        ],
    )
    .await;
    let kept = Arc::new(Kept::default());
    let (_, handler) = succeeding(Duration::ZERO);
    let permits = Permits::new(1);
    let mapping = start(traced(bench.options(Arc::new(bench.queue.clone()), &permits, handler), &kept));
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, Duration::from_secs(60)).await;
    let (root, batch) = kept.batch();
    assert_eq!(root.parent, None, "a batch of several has a trace of its own");
    let links: Vec<_> =
        batch.links.iter().map(|link| (link.producer.context, link.producer.state.as_deref())).collect();
    let w3c = TraceContext::from_traceparent(&parent).unwrap();
    let xray = TraceContext::from_xray(HEADER).unwrap().context;
    assert_eq!(links, [(w3c, Some("vendor=value")), (xray, None)]);
    assert_eq!((batch.links[0].message_id.clone(), batch.links_left_out), (batch.links[1].message_id.clone(), 0));
}

/// What a handler was handed of its trace.
type Handed = Arc<Mutex<Vec<(Option<String>, Option<TraceContext>)>>>;

/// One message, and what becomes of it.
async fn alone(message: OutgoingMessage, kept: Option<&Arc<Kept>>) -> (Option<String>, Option<TraceContext>) {
    let bench = Bench::new(60).await;
    send(&bench, vec![message]).await;
    let handed = Handed::default();
    let seen = Arc::clone(&handed);
    let handler = BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let context = invocation.trace.as_ref().map(|trace| trace.context);
        seen.lock().unwrap().push((invocation.trace_id, context));
        std::future::ready(Ok(Reply::Json(String::new())))
    }));
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler);
    let mapping = start(match kept {
        Some(kept) => traced(options, kept),
        None => options,
    });
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, Duration::from_secs(60)).await;
    let handed = handed.lock().unwrap();
    let [only] = &handed[..] else { panic!("one call: {handed:?}") };
    only.clone()
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_continues_its_messages_trace_and_is_linked_all_the_same() {
    let kept = Arc::new(Kept::default());
    let parent = traceparent(9, 5, "01");
    let w3c = TraceContext::from_traceparent(&parent).unwrap();
    let (told, context) = alone(by(vec![text("traceparent", &parent)], Some(HEADER)), Some(&kept)).await;
    let (root, batch) = kept.batch();
    assert_eq!((root.context.trace_id, root.parent), (w3c.trace_id, Some(w3c.span_id)));
    assert!(batch.message_id.is_some() && batch.links.len() == 2, "{batch:?}");
    let invocation = kept.spans.lock().unwrap()[0].clone();
    assert!(matches!(invocation.about, About::Invocation(_)));
    assert_eq!((context, told), (Some(invocation.context), Some(invocation.context.xray())));
    assert_ne!(invocation.context.span_id, root.context.span_id);

    let kept = Arc::new(Kept::default());
    let (told, _) = alone(by(Vec::new(), Some(HEADER)), Some(&kept)).await;
    assert!(told.unwrap().starts_with("Root=1-5759e988-bd862e3fe1be46a994272793;Parent="), "X-Ray's is continued, too");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_is_not_kept_and_the_handler_is_told_so() {
    let kept = Arc::new(Kept::default());
    let (told, context) = alone(by(vec![text("traceparent", &traceparent(9, 5, "00"))], None), Some(&kept)).await;
    assert_eq!((kept.told(), context.map(|context| context.is_sampled)), (Vec::new(), Some(false)));
    assert!(told.unwrap().ends_with(";Sampled=0"));
    // A header that leaves it open, and nobody to take it up.
    let kept = Arc::new(Kept { samples_none: true, ..Kept::default() });
    let undecided = HEADER.replace(";Sampled=1", ";Sampled=?");
    let (told, _) = alone(by(Vec::new(), Some(&undecided)), Some(&kept)).await;
    assert_eq!((kept.told(), told.unwrap().ends_with(";Sampled=0")), (Vec::new(), true));
}

#[tokio::test(start_paused = true)]
async fn without_traces_the_handler_is_told_what_the_producer_said() {
    assert_eq!(alone(by(Vec::new(), Some("Root=1")), None).await, (Some("Root=1".to_owned()), None));
    assert_eq!(alone(by(vec![text("traceparent", &traceparent(1, 1, "01"))], None), None).await, (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_gives_up_ends_its_spans() {
    let bench = Bench::new(900).await;
    bench.send(["long".to_owned()]).await;
    let kept = Arc::new(Kept::default());
    let (runs, handler) = succeeding(Duration::from_secs(600));
    let permits = Permits::new(1);
    let mapping = start(traced(bench.options(Arc::new(bench.queue.clone()), &permits, handler), &kept));
    until(|| !runs.lock().unwrap().is_empty()).await;
    drain(&mapping, &permits, Duration::from_secs(30)).await;
    let told = kept.told();
    assert_eq!(told, ["step 0: 1 abandoned (30 s)", "settling, 0 refused (0 s)", "batch of 1 (30 s)"]);
    assert_eq!(kept.batch().1.verdicts, Verdicts { release: 1, ..Verdicts::default() });
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_did_not_take_stands_in_the_settlings_span() {
    let bench = Bench::new(60).await;
    bench.send((0..3).map(|n| n.to_string())).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().delete = Door::Refuses;
    let kept = Arc::new(Kept::default());
    let (_, handler) = succeeding(Duration::ZERO);
    let permits = Permits::new(1);
    let queue: Arc<dyn Queue> = Arc::clone(&remote) as _;
    let mapping = start(traced(bench.options(queue, &permits, handler), &kept));
    until(|| kept.told().len() == 3).await;
    assert_eq!(kept.told(), ["step 0: 3 (0 s)", "settling, 3 refused (0 s)", "batch of 3 (0 s)"]);
    remote.doors().delete = Door::Open;
    drain(&mapping, &permits, Duration::from_secs(60)).await;
}

proptest! {
    #[test]
    fn no_header_breaks_its_reader(text in "\\PC*", near in "[0-9a-fA-F;=?1\\- RotParenSmpled]{0,80}") {
        for text in [&text, &near] {
            let _ = (TraceContext::from_traceparent(text), TraceContext::from_xray(text));
        }
    }

    #[test]
    fn every_place_is_read_as_it_was_written(trace: [u8; 16], span: [u8; 8], is_sampled: bool) {
        let context = TraceContext { trace_id: trace, span_id: span, is_sampled };
        let expected = (trace != [0; 16] && span != [0; 8]).then_some(context);
        prop_assert_eq!(TraceContext::from_traceparent(&context.traceparent()), expected);
        let xray = TraceContext::from_xray(&context.xray());
        prop_assert_eq!(xray.map(|producer| (producer.context, producer.is_decided)), expected.map(|context| (context, true)));
    }
}
