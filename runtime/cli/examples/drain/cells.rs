//! The cells: the store alone, wasmtime alone, the sandbox alone, and the mapping that joins them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};
use wasmill_event::{Account, Fault, Invocation, Payload, Record, Reply, lambda_event};
use wasmill_mapping::{
    Callee, FifoOrder, Filters, Handler, Mapping, MappingOptions, Observer, OnFiltered, Permits, RetryPolicy, Route,
};
use wasmill_queue::{Broker, LocalQueue, OutgoingMessage, Queue, ReceiptHandle, ReceiveRequest, Timeline};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, Sandbox};

use crate::raw::Raw;
use crate::{BATCHES, Cost, Outcome, broker};

const BODY_BYTES: usize = 256;
/// Sent at a time when a queue is filled.
const FILL: usize = 1_000;
/// Long enough that nothing comes back meanwhile.
const VISIBILITY_SECONDS: &str = "600";
/// As many as a function has by default (`reserved_concurrent_executions`).
const PERMITS: u32 = 32;
/// A batch of more than ten needs a window (esm-semantics §4).
const WINDOW: Duration = Duration::from_secs(1);
/// Loops of receive and delete under way at once when the store is alone: as many as drain it fastest. Small batches share
/// commits; large ones would only push each other's bodies out of the store's read-ahead.
const fn store_loops(batch: u32) -> usize {
    if batch <= 10 { 8 } else { 2 }
}
const TIMEOUT: Duration = Duration::from_secs(30);
/// What is left to the store's housekeeping between a cell and the next.
const REST: Duration = Duration::from_millis(200);
/// Nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(300);
const FUNCTION: &str = "drain";

/// Everything that all cells use: one store, one sandbox, one loaded function.
pub(crate) struct Bench {
    broker: Broker,
    /// A queue without a store.
    memory: Broker,
    function: Function,
    raw: Arc<Raw>,
    messages: usize,
    mapping_metrics: wasmill_mapping::Metrics,
    /// Per batch size, a batch as the mapping handed it to its handler, and the event that is made of it.
    batches: Vec<HandedOver>,
}

struct HandedOver {
    records: Arc<Vec<Record>>,
    windowed: bool,
    event: Arc<str>,
}

impl Bench {
    pub(crate) async fn open(folder: &Path, handler: &Path, messages: usize) -> Outcome<Self> {
        let registry = prometheus::Registry::new();
        let broker = broker::open(Some(folder), &registry).await?;
        let memory = broker::open(None, &prometheus::Registry::new()).await?;
        let sandbox = Sandbox::new(EngineConfig::default(), wasmill_sandbox::Metrics::new(&registry)?)?;
        let spec = FunctionSpec { timeout: TIMEOUT, ..FunctionSpec::new(FUNCTION, Code::File(handler.to_owned())) };
        let function = tokio::task::spawn_blocking(move || sandbox.load(spec)).await??;
        let raw = Arc::new(Raw::load(&std::fs::read(handler)?)?);
        let mapping_metrics = wasmill_mapping::Metrics::register(&registry)?;
        let mut bench = Self { broker, memory, function, raw, messages, mapping_metrics, batches: Vec::new() };
        for batch in BATCHES {
            let handed_over = bench.hand_over(batch).await?;
            bench.batches.push(handed_over);
        }
        Ok(bench)
    }

    pub(crate) async fn close(self) {
        self.broker.close().await;
        self.memory.close().await;
    }

    pub(crate) const fn messages(&self) -> usize {
        self.messages
    }

    /// Receives and deletes all messages of a queue in memory.
    pub(crate) async fn state(&self, batch: u32) -> Outcome<Cost> {
        self.drained(&self.memory, batch).await
    }

    /// Receives and deletes all messages of a queue on disk.
    pub(crate) async fn store(&self, batch: u32) -> Outcome<Cost> {
        self.drained(&self.broker, batch).await
    }

    async fn drained(&self, broker: &Broker, batch: u32) -> Outcome<Cost> {
        let queue = filled(broker, "drained", self.messages).await?;
        let watch = Watch::start();
        let loops = (0..store_loops(batch)).map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { receive_and_delete(&queue, batch).await })
        });
        let loops: Vec<_> = loops.collect();
        let mut handled = 0;
        for one in loops {
            handled += one.await??;
        }
        let cost = watch.cost(handled);
        self.end(broker, "drained", handled).await?;
        Ok(cost)
    }

    /// Calls wasmtime once per batch, one call after the other on each core.
    pub(crate) async fn wasmtime(&self, batch: u32) -> Outcome<Cost> {
        let event = Arc::clone(&self.of(batch)?.event);
        self.on_each_core(batch, |calls| {
            let (raw, event) = (Arc::clone(&self.raw), Arc::clone(&event));
            async move {
                for _ in 0..calls {
                    check_reply(&raw.call(&event).await?)?;
                }
                Ok(())
            }
        })
        .await
    }

    /// Calls the function once per batch, one call after the other on each core.
    pub(crate) async fn sandbox(&self, batch: u32) -> Outcome<Cost> {
        let event = Arc::clone(&self.of(batch)?.event);
        self.on_each_core(batch, |calls| {
            let (function, event) = (self.function.clone(), Arc::clone(&event));
            async move {
                for _ in 0..calls {
                    let invocation = Invocation {
                        request_id: uuid::Uuid::new_v4().to_string(),
                        payload: Payload::Json(event.to_string()),
                        trace_id: None,
                        trace: None,
                        account: Account::default(),
                    };
                    match function.clone().oneshot(invocation).await {
                        Ok(Reply::Json(reply)) => check_reply(&reply)?,
                        other => return Err(format!("the handler answered {other:?}").into()),
                    }
                }
                Ok(())
            }
        })
        .await
    }

    /// Shares the calls for all messages among as many tasks as there are cores. A mapping has all cores work too, and where
    /// two of them write to fresh memory of one process they interrupt each other: that is part of the floor.
    async fn on_each_core<F>(&self, batch: u32, calls: impl Fn(usize) -> F) -> Outcome<Cost>
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        let all = self.messages.div_ceil(batch as usize);
        let cores = std::thread::available_parallelism()?.get();
        let watch = Watch::start();
        let running: Vec<_> = (0..cores).map(|core| tokio::spawn(calls((all + core) / cores))).collect();
        for one in running {
            one.await??;
        }
        Ok(watch.cost(all * batch as usize))
    }

    /// Lets a mapping handle all messages.
    pub(crate) async fn mapping(&self, batch: u32) -> Outcome<Cost> {
        let queue = filled(&self.broker, "mapping", self.messages).await?;
        let (told, mut end) = watch::channel(None);
        let (messages, handled) = (self.messages, AtomicUsize::new(0));
        // Whoever waits is woken at the end only: that is not what is measured.
        let observer = Observer::new(move |report| {
            let all = handled.fetch_add(report.records.len(), Ordering::Relaxed) + report.records.len();
            if let Some(fault) = &report.fault {
                told.send_replace(Some(Err(format!("{fault:?}"))));
            } else if all >= messages {
                told.send_if_modified(|end| end.is_none() && end.replace(Ok(all)).is_none());
            }
        });
        let watch = Watch::start();
        let handler = BoxCloneSyncService::new(self.function.clone());
        let mapping = self.start(queue, batch, handler, observer);
        let end = tokio::time::timeout(PATIENCE, end.wait_for(Option::is_some)).await??.clone();
        let all = end.unwrap_or(Ok(0))?;
        let cost = watch.cost(all);
        mapping.drain(Duration::from_secs(1)).await;
        self.end(&self.broker, "mapping", all).await?;
        Ok(cost)
    }

    /// Starts a mapping on a queue.
    pub(crate) fn start(&self, queue: LocalQueue, batch: u32, handler: Handler, observer: Observer) -> Mapping {
        wasmill_mapping::start(MappingOptions {
            name: format!("{}/{FUNCTION}", queue.name()),
            function_name: FUNCTION.to_owned(),
            batch_size: batch,
            window: if batch > 10 { WINDOW } else { Duration::ZERO },
            filters: Filters::default(),
            on_filtered: OnFiltered::default(),
            retry_policy: RetryPolicy::default(),
            dead_letters_last_attempts: false,
            bisect_max_invocations: 0,
            fifo_order: FifoOrder::default(),
            per_group: false,
            weight: 1,
            max_messages_per_second: None,
            reports_item_failures: true,
            maximum_concurrency: None,
            timeline: Timeline::real(),
            queue: Arc::new(queue),
            is_fifo: false,
            route: Route::fixed(Callee::new(handler, "$LATEST", TIMEOUT)),
            permits: Permits::new(PERMITS),
            witness: wasmill_mapping::Witness::default(),
            metrics: self.mapping_metrics.clone(),
            observer,
            tracer: None,
        })
    }

    pub(crate) fn function(&self) -> Function {
        self.function.clone()
    }

    /// A new queue on disk with so many messages in it.
    pub(crate) async fn filled(&self, name: &str, messages: usize) -> Outcome<LocalQueue> {
        filled(&self.broker, name, messages).await
    }

    /// Ends a cell: what was not handled would be a lie in its numbers.
    async fn end(&self, broker: &Broker, name: &str, handled: usize) -> Outcome<()> {
        broker.delete_queue(name).await?;
        tokio::time::sleep(REST).await;
        let expected = self.messages;
        if handled == expected { Ok(()) } else { Err(format!("{name}: {handled} handled of {expected}").into()) }
    }

    /// A full batch as a mapping hands it over.
    async fn hand_over(&self, batch: u32) -> Outcome<HandedOver> {
        let queue = filled(&self.broker, "event", batch as usize).await?;
        let seen = Arc::new(Mutex::new(None));
        let sink = Arc::clone(&seen);
        let handler = service_fn(move |invocation: Invocation| {
            *sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(invocation.payload);
            std::future::ready(Ok::<_, Fault>(Reply::Json(String::new())))
        });
        let (told, mut handled) = watch::channel(0);
        let observer = Observer::new(move |report| told.send_modify(|count| *count += report.records.len()));
        let mapping = self.start(queue, batch, BoxCloneSyncService::new(handler), observer);
        tokio::time::timeout(PATIENCE, handled.wait_for(|count| *count >= batch as usize)).await??;
        mapping.drain(Duration::from_secs(1)).await;
        self.broker.delete_queue("event").await?;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match seen {
            Some(Payload::Batch { records, windowed }) if records.len() == batch as usize => {
                let event = lambda_event(&records, windowed).into();
                Ok(HandedOver { records, windowed, event })
            }
            _ => Err(format!("no batch of {batch} came").into()),
        }
    }

    /// The records of a full batch, and whether a window gathered them.
    pub(crate) fn batch_of(&self, batch: u32) -> Outcome<(&[Record], bool)> {
        self.of(batch).map(|found| (found.records.as_slice(), found.windowed))
    }

    fn of(&self, batch: u32) -> Outcome<&HandedOver> {
        let found = self.batches.iter().find(|found| found.records.len() == batch as usize);
        found.ok_or_else(|| format!("no batch of {batch} was handed over").into())
    }
}

async fn filled(broker: &Broker, name: &str, messages: usize) -> Outcome<LocalQueue> {
    let attributes = [("VisibilityTimeout".to_owned(), VISIBILITY_SECONDS.to_owned())];
    let queue = broker.create_queue(name, &attributes, &[]).await?;
    let mut left = messages;
    while left > 0 {
        let now = left.min(FILL);
        for sent in queue.send(vec![message(); now]).await? {
            sent?;
        }
        left -= now;
    }
    tokio::time::sleep(REST).await;
    Ok(queue)
}

/// One message: text that is no JSON.
pub(crate) fn message() -> OutgoingMessage {
    let body = "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(BODY_BYTES).collect();
    OutgoingMessage {
        body,
        delay_seconds: None,
        attributes: Vec::new(),
        trace_header: None,
        group_id: None,
        deduplication_id: None,
    }
}

async fn receive_and_delete(queue: &LocalQueue, batch: u32) -> Outcome<usize> {
    let mut handled = 0;
    loop {
        let request = ReceiveRequest {
            max_messages: batch,
            wait: Duration::ZERO,
            visibility_timeout_seconds: None,
            attempt_id: None,
        };
        let messages = queue.receive(request).await?;
        if messages.is_empty() {
            return Ok(handled);
        }
        let receipts: Vec<ReceiptHandle> = messages.into_iter().map(|message| message.receipt).collect();
        for deleted in queue.delete(&receipts).await? {
            deleted?;
        }
        handled += receipts.len();
    }
}

fn check_reply(reply: &str) -> Outcome<()> {
    if reply == r#"{"batchItemFailures":[]}"# { Ok(()) } else { Err(format!("the handler answered {reply}").into()) }
}

/// Elapsed and processor time, of all threads.
pub(crate) struct Watch {
    begun: Instant,
    cpu: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu(), begun: Instant::now() }
    }

    pub(crate) fn cost(&self, messages: usize) -> Cost {
        Cost { messages, elapsed: self.begun.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
