//! The outbox under paused time, with exporters that take, refuse or hang.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use tokio::time::sleep;

use super::*;
use crate::config::{Protocol, Sampling};

fn span(links: usize) -> SpanData {
    let mut all = SpanLinks::default();
    all.links = vec![Link::new(SpanContext::NONE, Vec::new(), 0); links];
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "x".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: all,
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("x").build(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Manner {
    Takes,
    Refuses,
    Hangs,
}

#[derive(Debug)]
struct Fake {
    manner: Manner,
    exports: Arc<Mutex<Vec<(usize, Instant)>>>,
}

impl SpanExporter for Fake {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exports.lock().unwrap().push((batch.len(), Instant::now()));
        match self.manner {
            Manner::Takes => Ok(()),
            Manner::Refuses => Err(OTelSdkError::InternalFailure("no".to_owned())),
            Manner::Hangs => std::future::pending().await,
        }
    }
}

struct Bench {
    outbox: Arc<Outbox>,
    exporting: Exporting,
    exports: Arc<Mutex<Vec<(usize, Instant)>>>,
}

impl Bench {
    fn new(spans_max: usize, manner: Manner) -> Self {
        let outbox = Arc::new(Outbox::new(spans_max, &Registry::new()).unwrap());
        let exports = Arc::default();
        let config = Traces {
            endpoint: String::new(),
            protocol: Protocol::HttpProtobuf,
            headers: Default::default(),
            timeout: Duration::from_secs(10),
            resource: Default::default(),
            sampling: Sampling { follows_producers: true, ratio: 1.0 },
            max_queued_spans: 0,
        };
        let exporter = Fake { manner, exports: Arc::clone(&exports) };
        let exporting = Exporting::start(Arc::clone(&outbox), exporter, Trouble::default(), &config);
        Self { outbox, exporting, exports }
    }

    fn put(&self, spans: usize, links: usize) {
        (0..spans).for_each(|_| self.outbox.put(span(links)));
    }

    fn sizes(&self) -> Vec<usize> {
        self.exports.lock().unwrap().iter().map(|(len, _)| *len).collect()
    }

    /// Exported, dropped as too many waited, as they were refused, as it was the end.
    fn counts(outbox: &Outbox) -> [u64; 4] {
        [&outbox.exported, &outbox.queue_full, &outbox.export_failed, &outbox.shutdown].map(IntCounter::get)
    }
}

#[tokio::test(start_paused = true)]
async fn spans_go_together_after_a_second_or_when_there_are_enough() {
    let bench = Bench::new(2048, Manner::Takes);
    let begin = Instant::now();
    bench.put(3, 0);
    sleep(Duration::from_millis(1500)).await;
    let (len, at) = bench.exports.lock().unwrap()[0];
    assert_eq!((len, at.duration_since(begin)), (3, EXPORT_EVERY));
    bench.put(1200, 0);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.sizes(), [3, 512, 512], "the rest waits for more");
    bench.exporting.end(Duration::from_secs(5)).await;
    assert_eq!(bench.exports.lock().unwrap().iter().map(|(len, _)| len).sum::<usize>(), 1203);
    assert_eq!(Bench::counts(&bench.outbox), [1203, 0, 0, 0]);
    bench.outbox.put(span(0));
    assert_eq!(Bench::counts(&bench.outbox), [1203, 0, 0, 1], "after the end nothing is taken");
}

#[tokio::test(start_paused = true)]
async fn links_count_towards_what_waits_and_what_goes_at_once() {
    let bench = Bench::new(1024, Manner::Takes);
    // 16 links for each span that may wait.
    bench.put(1000, 128);
    assert_eq!(Bench::counts(&bench.outbox), [0, 1000 - 128, 0, 0]);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.sizes(), [64, 64]);
    assert_eq!(bench.outbox.waiting().links, 0);
    // One that is larger than all there may be goes nowhere, and holds nothing up.
    bench.put(1, 100_000);
    bench.put(1, 1);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.sizes(), [64, 64, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_refuses_is_dropped_and_the_next_are_tried() {
    let bench = Bench::new(100, Manner::Refuses);
    bench.put(150, 0);
    sleep(Duration::from_secs(2)).await;
    bench.put(7, 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((bench.sizes(), Bench::counts(&bench.outbox)), (vec![100, 7], [0, 50, 107, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_is_given_up_and_at_the_end_is_not_waited_for() {
    let bench = Bench::new(100, Manner::Hangs);
    bench.put(100, 0);
    sleep(Duration::from_secs(2)).await;
    bench.put(200, 0);
    assert_eq!(Bench::counts(&bench.outbox), [0, 100, 0, 0]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(Bench::counts(&bench.outbox), [0, 100, 100, 0], "the first hundred was given up after ten seconds");
    bench.put(60, 0);
    let begin = Instant::now();
    bench.exporting.end(Duration::from_secs(3)).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!(Bench::counts(&bench.outbox), [0, 100, 100, 160], "a hundred on their way, sixty that waited");
}
