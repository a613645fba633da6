//! The whole line under paused time: the real built-in queue in memory, a scripted handler.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Record, Reply, Verdict};
use wasmill_queue::{
    Broker, BrokerOptions, ChaosOptions, Clock, Durability, Identity, LocalQueue, OutgoingMessage, Queue, Timeline,
};

use crate::fifo::FifoOrder;
use crate::filter::Filters;
use crate::intake::OnFiltered;
use crate::invoke::Handler;
use crate::mapping::{Mapping, MappingOptions, MappingStatus, start};
use crate::metrics::Metrics;
use crate::permits::Permits;
use crate::report::Observer;
use crate::retry::RetryPolicy;
use crate::route::{Callee, Route};
use crate::witness::Witness;

pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) queue: LocalQueue,
    pub(crate) dead: LocalQueue,
    metrics: Metrics,
    registry: Registry,
}

/// What a handler was given, in order.
pub(crate) type Runs = Arc<Mutex<Vec<(Instant, Vec<String>)>>>;

impl Bench {
    /// A queue `q` with the given visibility timeout, and its dead-letter queue `d` after three receives.
    pub(crate) async fn new(visibility_s: u32) -> Self {
        Self::with_kind(false, visibility_s, 3).await
    }

    /// The same as FIFO queues.
    pub(crate) async fn fifo(visibility_s: u32) -> Self {
        Self::with_kind(true, visibility_s, 3).await
    }

    /// With so many receives before the dead-letter queue.
    pub(crate) async fn with_receives(visibility_s: u32, max_receive_count: u32) -> Self {
        Self::with_kind(false, visibility_s, max_receive_count).await
    }

    pub(crate) async fn with_kind(is_fifo: bool, visibility_s: u32, max_receive_count: u32) -> Self {
        Self::on((Timeline::real(), None), is_fifo, visibility_s, max_receive_count).await
    }

    /// On a timeline, and with faults.
    pub(crate) async fn on(
        (timeline, chaos): (Timeline, Option<ChaosOptions>),
        is_fifo: bool,
        visibility_s: u32,
        max_receive_count: u32,
    ) -> Self {
        let fifo = ("FifoQueue".to_owned(), "true".to_owned());
        let (suffix, kind) = if is_fifo { (".fifo", vec![fifo]) } else { ("", Vec::new()) };
        let options = BrokerOptions {
            data_dir: None,
            durability: Durability::Os,
            identity: Identity::default(),
            clock: Some(Clock::starting_at(1_000_000)),
            timeline,
            chaos,
            metrics: wasmill_queue::Metrics::register(&Registry::new()).unwrap(),
        };
        let broker = Broker::open(options).await.unwrap();
        let dead = broker.create_queue(&format!("d{suffix}"), &kind, &[]).await.unwrap();
        let redrive = serde_json::json!({
            "deadLetterTargetArn": dead.arn().as_str(),
            "maxReceiveCount": max_receive_count,
        });
        let mut attributes = vec![
            ("VisibilityTimeout".to_owned(), visibility_s.to_string()),
            ("RedrivePolicy".to_owned(), redrive.to_string()),
        ];
        attributes.extend(kind);
        let queue = broker.create_queue(&format!("q{suffix}"), &attributes, &[]).await.unwrap();
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        Self { broker, queue, dead, metrics, registry }
    }

    /// A metric's value, summed over its labels but for those that hold `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let of_name = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        let of_label =
            of_name.filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label));
        of_label.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// Sends to message groups, in order: the group is what stands before the colon.
    pub(crate) async fn send_to_groups(&self, bodies: &[&str]) {
        let messages = bodies.iter().map(|body| OutgoingMessage {
            body: (*body).to_owned(),
            group_id: Some(body.split(':').next().unwrap().to_owned()),
            deduplication_id: Some((*body).to_owned()),
            ..OutgoingMessage::default()
        });
        for sent in self.queue.send(messages.collect()).await.unwrap() {
            sent.unwrap();
        }
    }

    pub(crate) async fn send(&self, bodies: impl IntoIterator<Item = String>) {
        let messages = bodies.into_iter().map(|body| OutgoingMessage { body, ..OutgoingMessage::default() });
        for sent in self.queue.send(messages.collect()).await.unwrap() {
            sent.unwrap();
        }
    }

    fn start(&self, permits: u32, handler: Handler) -> Mapping {
        self.start_on(Arc::new(self.queue.clone()), &Permits::new(permits), handler)
    }

    pub(crate) fn start_on(&self, queue: Arc<dyn Queue>, permits: &Permits, handler: Handler) -> Mapping {
        start(self.options(queue, permits, handler))
    }

    /// A plain mapping's options, to be changed.
    pub(crate) fn options(&self, queue: Arc<dyn Queue>, permits: &Permits, handler: Handler) -> MappingOptions {
        MappingOptions {
            name: "q/f".into(),
            function_name: "f".into(),
            batch_size: 10,
            window: Duration::ZERO,
            filters: Filters::default(),
            on_filtered: OnFiltered::Delete,
            retry_policy: RetryPolicy::Visibility,
            dead_letters_last_attempts: false,
            bisect_max_invocations: 16,
            fifo_order: FifoOrder::Enforce,
            per_group: false,
            weight: 1,
            max_messages_per_second: None,
            reports_item_failures: true,
            maximum_concurrency: None,
            is_fifo: queue.arn().name().ends_with(".fifo"),
            timeline: self.broker.timeline().clone(),
            queue,
            route: Route::fixed(Callee::new(handler, "$LATEST", Duration::from_secs(900))),
            permits: permits.clone(),
            witness: Witness::default(),
            metrics: self.metrics.clone(),
            observer: Observer::nobody(),
            tracer: None,
        }
    }

    /// Options on the built-in queue itself.
    pub(crate) fn local(&self, permits: u32, handler: Handler) -> MappingOptions {
        self.options(Arc::new(self.queue.clone()), &Permits::new(permits), handler)
    }

    /// Visible, in flight, delayed.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let description = self.queue.describe().unwrap();
        (description.visible, description.in_flight, description.delayed)
    }
}

pub(crate) fn handler<F, T>(answer: F) -> Handler
where
    F: Fn(Vec<Record>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let Payload::Batch { records, .. } = invocation.payload else { panic!("a mapping sends batches") };
        answer(records.to_vec())
    }))
}

/// A handler that notes what it is given, then does as `answer` says.
pub(crate) fn noting<F, T>(answer: F) -> (Runs, Handler)
where
    F: Fn(Vec<Record>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    let runs = Runs::default();
    let seen = Arc::clone(&runs);
    let handler = handler(move |records| {
        let bodies = records.iter().map(|record| record.body.clone()).collect();
        seen.lock().unwrap().push((Instant::now(), bodies));
        answer(records)
    });
    (runs, handler)
}

/// A handler that takes so long and succeeds.
pub(crate) fn succeeding(takes: Duration) -> (Runs, Handler) {
    noting(move |_| async move {
        sleep(takes).await;
        Ok(Reply::Json(String::new()))
    })
}

/// At which second each run began, and with how many records.
pub(crate) fn times(runs: &Runs, begin: Instant) -> Vec<(u64, usize)> {
    runs.lock().unwrap().iter().map(|(at, bodies)| (at.duration_since(begin).as_secs(), bodies.len())).collect()
}

/// Every body that ran, in order.
pub(crate) fn bodies(runs: &Runs) -> Vec<String> {
    runs.lock().unwrap().iter().flat_map(|(_, bodies)| bodies.clone()).collect()
}

/// Drains, and sees that nothing is kept: no lease on the wheel, no permit taken.
pub(crate) async fn drain(mapping: &Mapping, permits: &Permits, grace: Duration) {
    mapping.drain(grace).await;
    assert_eq!(mapping.leases.on_wheel(), 0, "leases left on the wheel");
    assert_eq!(permits.held(), 0, "permits left");
}

pub(crate) fn failing(records: &[Record], fails: impl Fn(&Record) -> bool) -> Reply {
    let failures: Vec<_> = records
        .iter()
        .filter(|record| fails(record))
        .map(|record| serde_json::json!({"itemIdentifier": &*record.message_id}))
        .collect();
    Reply::Json(serde_json::json!({ "batchItemFailures": failures }).to_string())
}

pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    for looks in 0.. {
        if done() {
            return;
        }
        sleep(Duration::from_millis(if looks < 200 { 1 } else { 20 })).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_with_three_failures_seven_go_and_three_return_when_their_visibility_counted_from_the_receive_ends() {
    let bench = Bench::new(30).await;
    bench.send((0..10).map(|n| n.to_string())).await;
    let runs: Arc<Mutex<Vec<(Instant, usize)>>> = Arc::default();
    let seen = Arc::clone(&runs);
    let started = Instant::now();
    let mapping = bench.start(
        1,
        handler(move |records| {
            seen.lock().unwrap().push((Instant::now(), records.len()));
            async move {
                sleep(Duration::from_secs(5)).await;
                Ok(failing(&records, |record| record.body.parse::<u32>().unwrap() < 3))
            }
        }),
    );
    until(|| runs.lock().unwrap().len() == 1).await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.counts(), (0, 3, 0));
    until(|| bench.dead.describe().unwrap().visible == 3).await;
    mapping.drain(Duration::from_secs(30)).await;
    let runs: Vec<(u64, usize)> =
        runs.lock().unwrap().iter().map(|(at, records)| (at.duration_since(started).as_secs(), *records)).collect();
    assert_eq!(runs, [(0, 10), (30, 3), (60, 3)], "three deliveries, then the dead-letter queue");
    assert_eq!(bench.counts(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_ten_times_the_visibility_timeout_runs_once() {
    for visibility_s in [0, 1, 2, 30] {
        let bench = Bench::new(visibility_s).await;
        bench.send(["slow".to_owned()]).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&runs);
        let mapping = bench.start(
            4,
            handler(move |_| {
                seen.fetch_add(1, Ordering::Relaxed);
                async move {
                    sleep(Duration::from_secs(u64::from(visibility_s.max(1)) * 10)).await;
                    Ok(Reply::Json(String::new()))
                }
            }),
        );
        until(|| runs.load(Ordering::Relaxed) > 0 && bench.counts() == (0, 0, 0)).await;
        mapping.drain(Duration::from_secs(1)).await;
        assert_eq!(runs.load(Ordering::Relaxed), 1, "visibility timeout {visibility_s}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_after_its_visibility_was_renewed_returns_when_lambdas_would() {
    let bench = Bench::new(30).await;
    bench.send(["x".to_owned()]).await;
    let starts: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&starts);
    let begin = Instant::now();
    let mapping = bench.start(
        1,
        handler(move |_| {
            let mut starts = seen.lock().unwrap();
            starts.push(begin.elapsed().as_secs());
            let run_s = if starts.len() == 1 { 20 } else { 50 };
            async move {
                sleep(Duration::from_secs(run_s)).await;
                Err(Fault::new(FaultKind::Handler, "no"))
            }
        }),
    );
    until(|| bench.dead.describe().unwrap().visible == 1).await;
    mapping.drain(Duration::from_secs(1)).await;
    // Fails at 20 s: back at 30 s. Fails at 80 s, past its timeout: back at once.
    assert_eq!(*starts.lock().unwrap(), [0, 30, 80]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_received_that_cannot_start() {
    let bench = Bench::new(30).await;
    bench.send((0..50).map(|n| n.to_string())).await;
    let running = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&running);
    let mapping = bench.start(
        2,
        handler(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_secs(300)).await;
                Ok(Reply::Json(String::new()))
            }
        }),
    );
    until(|| running.load(Ordering::Relaxed) == 2).await;
    sleep(Duration::from_secs(200)).await;
    assert_eq!(bench.counts(), (30, 20, 0), "two batches held, the rest never touched");
    mapping.drain(Duration::from_secs(600)).await;
    assert_eq!(bench.counts(), (30, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_runs_and_after_its_grace_gives_the_rest_back_uncounted() {
    let bench = Bench::new(900).await;
    bench.send(["short".to_owned()]).await;
    let started = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&started);
    let mapping = bench.start(
        4,
        handler(move |records| {
            seen.fetch_add(1, Ordering::Relaxed);
            let run_s = if records[0].body == "short" { 10 } else { 600 };
            async move {
                sleep(Duration::from_secs(run_s)).await;
                Ok(Reply::Json(String::new()))
            }
        }),
    );
    until(|| started.load(Ordering::Relaxed) == 1).await;
    bench.send(["long".to_owned()]).await;
    until(|| started.load(Ordering::Relaxed) == 2).await;
    let begin = Instant::now();
    mapping.drain(Duration::from_secs(30)).await;
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(mapping.status(), MappingStatus::Stopped);
    assert_eq!(bench.counts(), (1, 0, 0));
    let request = wasmill_queue::ReceiveRequest {
        max_messages: 10,
        wait: Duration::ZERO,
        visibility_timeout_seconds: None,
        attempt_id: None,
    };
    let back = bench.queue.receive(request).await.unwrap();
    assert_eq!((back[0].body.as_str(), back[0].system.receive_count), ("long", 1));
}

#[tokio::test(start_paused = true)]
async fn verdicts_go_where_they_say() {
    let bench = Bench::new(30).await;
    bench.send(["done", "later", "dead", "release"].map(str::to_owned)).await;
    let runs: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
    let seen = Arc::clone(&runs);
    let begin = Instant::now();
    let mapping = bench.start(
        1,
        handler(move |records| {
            let mut runs = seen.lock().unwrap();
            let first = runs.is_empty();
            let verdict = |record: &Record| match record.body.as_str() {
                "later" if first => Verdict::Retry { after_seconds: Some(100) },
                "dead" => Verdict::DeadLetter { reason: "not wanted".into() },
                "release" if first => Verdict::Release,
                _ => Verdict::Done,
            };
            let verdicts = records.iter().map(verdict).collect();
            runs.extend(records.iter().map(|record| (begin.elapsed().as_secs(), record.body.clone())));
            async move { Ok(Reply::Verdicts(verdicts)) }
        }),
    );
    until(|| bench.counts() == (0, 0, 0) && runs.lock().unwrap().len() == 6).await;
    mapping.drain(Duration::from_secs(1)).await;
    let later: Vec<(u64, String)> = runs.lock().unwrap()[4..].to_vec();
    assert_eq!(later, [(0, "release".to_owned()), (100, "later".to_owned())]);
    assert_eq!(bench.dead.describe().unwrap().visible, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_verdict_without_a_dead_letter_queue_is_a_retry_by_the_mappings_policy() {
    let policies = [(RetryPolicy::Visibility, 30), (RetryPolicy::Fixed { delay: Duration::from_secs(7) }, 7)];
    for (retry_policy, returns_after_seconds) in policies {
        let bench = Bench::new(30).await;
        bench.queue.set_attributes(&[("RedrivePolicy".into(), String::new())]).await.unwrap();
        bench.send(["x".to_owned()]).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&runs);
        let begin = Instant::now();
        let answer = handler(move |records| {
            let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
            let verdict = if first { Verdict::DeadLetter { reason: "r".into() } } else { Verdict::Done };
            async move { Ok(Reply::Verdicts(vec![verdict; records.len()])) }
        });
        let options = bench.options(Arc::new(bench.queue.clone()), &Permits::new(1), answer);
        let mapping = start(MappingOptions { retry_policy, ..options });
        until(|| runs.load(Ordering::Relaxed) == 2 && bench.counts() == (0, 0, 0)).await;
        assert_eq!(begin.elapsed().as_secs(), returns_after_seconds, "{retry_policy:?}");
        mapping.drain(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_queue_is_gone_says_so_and_recovers_by_itself_when_it_is_back() {
    let bench = Bench::new(30).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&runs);
    let mapping = bench.start(
        1,
        handler(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
            async move { Ok(Reply::Json(String::new())) }
        }),
    );
    until(|| mapping.status() == MappingStatus::Polling).await;
    bench.broker.delete_queue("q").await.unwrap();
    until(|| matches!(mapping.status(), MappingStatus::Failing { .. })).await;
    let again = bench.broker.create_queue("q", &[], &[]).await.unwrap();
    until(|| mapping.status() == MappingStatus::Polling).await;
    let message = OutgoingMessage { body: "x".into(), ..OutgoingMessage::default() };
    again.send(vec![message]).await.unwrap();
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    assert_eq!(mapping.status(), MappingStatus::Polling);
    mapping.drain(Duration::from_secs(1)).await;
}
