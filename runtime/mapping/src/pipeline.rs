//! The trip of one batch on one screen, and the mapping's life around it: start, drain, stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use wasmill_event::{Invocation, Payload, Verdict};
use wasmill_queue::{Queue, QueueError};

use crate::batch::Batch;
use crate::invoke::{Handler, Judge, StackOptions, stack};
use crate::judge::{Judgement, Suspicion};
use crate::metrics::{MappingMetrics, Metrics};
use crate::permits::{Permit, Permits};
use crate::poll::{Polled, Poller};
use crate::report::{BatchReport, Observer, RecordReport};
use crate::settle;

/// What a mapping is made of.
pub struct MappingOptions {
    /// For logs and metrics; by custom `QUEUE/FUNCTION`.
    pub name: String,
    /// The function's name, for metrics.
    pub function_name: String,
    /// The function's version, kept beside dead letters.
    pub function_version: String,
    /// How long the function may run; the handler enforces it.
    pub function_timeout: Duration,
    /// 1–10 records per invocation.
    pub batch_size: u32,
    /// Whether `ReportBatchItemFailures` is set.
    pub reports_item_failures: bool,
    /// This mapping's cap below the function's permits.
    pub maximum_concurrency: Option<u32>,
    /// Where messages come from and go back to.
    pub queue: Arc<dyn Queue>,
    /// What runs the function.
    pub handler: Handler,
    /// The function's permits.
    pub permits: Permits,
    /// Where the metrics are.
    pub metrics: Metrics,
    /// Who is told of each batch.
    pub observer: Observer,
}

/// How a mapping is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingStatus {
    /// It has not heard from its queue yet.
    Starting,
    /// It receives.
    Polling,
    /// Its queue does not answer; it tries again by itself.
    Failing {
        /// What the queue or the network said last.
        reason: String,
    },
    /// It receives no more.
    Stopped,
}

/// A running mapping. Dropping it lets it run on: end it with [`Mapping::drain`].
#[derive(Debug)]
pub struct Mapping {
    name: String,
    stop: CancellationToken,
    abandon: CancellationToken,
    trips: TaskTracker,
    status: watch::Receiver<MappingStatus>,
}

/// What every trip of a mapping shares.
struct Line {
    name: String,
    function_version: String,
    queue: Arc<dyn Queue>,
    judge: Judge,
    metrics: MappingMetrics,
    observer: Observer,
    /// Cancelled when held messages must go back at once.
    abandon: CancellationToken,
}

/// Starts a mapping on the current tokio runtime.
#[must_use]
pub fn start(options: MappingOptions) -> Mapping {
    let metrics = options.metrics.of_mapping(&options.name, options.queue.arn().name(), &options.function_name);
    let stack_options = StackOptions {
        mapping: options.name.clone(),
        reports_item_failures: options.reports_item_failures,
        function_timeout: options.function_timeout,
        metrics: metrics.clone(),
    };
    let line = Arc::new(Line {
        name: options.name.clone(),
        function_version: options.function_version,
        queue: options.queue,
        judge: stack(options.handler, stack_options),
        metrics: metrics.clone(),
        observer: options.observer,
        abandon: CancellationToken::new(),
    });
    let permits = options.permits.of_mapping(options.maximum_concurrency);
    let poller = Poller::new(options.batch_size, permits, metrics);
    let (status_sender, status) = watch::channel(MappingStatus::Starting);
    let mapping = Mapping {
        name: options.name,
        stop: CancellationToken::new(),
        abandon: line.abandon.clone(),
        trips: TaskTracker::new(),
        status,
    };
    mapping.trips.spawn(receive_until_stopped(
        line,
        poller,
        status_sender,
        mapping.stop.clone(),
        mapping.trips.clone(),
    ));
    mapping
}

impl Mapping {
    /// For logs and status pages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is doing now.
    #[must_use]
    pub fn status(&self) -> MappingStatus {
        self.status.borrow().clone()
    }

    /// Tells of every change of how it is doing.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<MappingStatus> {
        self.status.clone()
    }

    /// Receives nothing more; what is held goes on. Returns at once.
    pub fn stop_receiving(&self) {
        self.stop.cancel();
        self.trips.close();
    }

    /// Stops receiving and waits until everything held is settled. After `grace` what still runs is stopped and its
    /// messages are made visible again at once. A receive that is under way is waited for in either case, because its
    /// messages would be gone until their visibility timeout.
    pub async fn drain(&self, grace: Duration) {
        self.stop_receiving();
        if tokio::time::timeout(grace, self.trips.wait()).await.is_err() {
            tracing::warn!(mapping = self.name, "the drain's grace is over: giving back what still runs");
            self.abandon.cancel();
            self.trips.wait().await;
        }
    }

    /// Cancel it to give back at once what still runs, without waiting for the grace of a drain that is under way.
    #[must_use]
    pub fn abandoner(&self) -> CancellationToken {
        self.abandon.clone()
    }
}

async fn receive_until_stopped(
    line: Arc<Line>,
    mut poller: Poller,
    status: watch::Sender<MappingStatus>,
    stop: CancellationToken,
    trips: TaskTracker,
) {
    let mut queue = Arc::clone(&line.queue);
    loop {
        match poller.poll(&*queue, &stop).await {
            Polled::Batch(permit, batch) => {
                status.send_if_modified(|status| replace(status, MappingStatus::Polling));
                let trip = Arc::clone(&line).trip(Arc::clone(&queue), permit, batch, stop.is_cancelled());
                trips.spawn(trip);
            }
            Polled::Nothing => {
                status.send_if_modified(|status| replace(status, MappingStatus::Polling));
            }
            Polled::Failed(error, pause) => {
                let reason = error.to_string();
                let failing = MappingStatus::Failing { reason: reason.clone() };
                // Said once per reason: a queue that is away for an hour is one line, not a thousand.
                if status.send_if_modified(|status| replace(status, failing)) {
                    tracing::error!(mapping = line.name, error = reason, "receive failed, trying again with pauses");
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = sleep(pause) => {}
                }
                // One that was deleted may have been made again under its name.
                if error == QueueError::NoSuchQueue
                    && let Ok(again) = queue.reach(queue.arn()).await
                {
                    queue = again;
                }
            }
            Polled::Stopped => break,
        }
    }
    status.send_replace(MappingStatus::Stopped);
}

fn replace(status: &mut MappingStatus, next: MappingStatus) -> bool {
    let differs = *status != next;
    *status = next;
    differs
}

impl Line {
    /// One batch: invoked, judged, settled. `stopping`: it came in while the mapping was told to stop, and goes back.
    async fn trip(self: Arc<Self>, queue: Arc<dyn Queue>, permit: Permit, mut batch: Batch, stopping: bool) {
        let started = Instant::now();
        let records = batch.len();
        let invocation = invocation_of(&batch);
        let request_id = invocation.request_id.clone();
        let judgement = if stopping { None } else { self.invoke(&*queue, invocation, &mut batch).await };
        let plan = match judgement {
            Some(judgement) => {
                self.note(&request_id, started, &batch, &judgement);
                settle::plan(&batch, judgement.verdicts, &self.function_version)
            }
            None => settle::plan_release(&batch),
        };
        settle::apply(&*queue, plan, &mut batch.lease, &self.metrics).await;
        self.metrics.settled(records, started.elapsed());
        drop(permit);
    }

    /// Runs the handler with the lease beside it. None: the batch is to be given back, the handler was stopped.
    async fn invoke(&self, queue: &dyn Queue, invocation: Invocation, batch: &mut Batch) -> Option<Judgement> {
        tokio::select! {
            biased;
            () = self.abandon.cancelled() => None,
            Ok(judgement) = self.judge.clone().oneshot(invocation) => Some(judgement),
            never = batch.lease.keep(queue, &self.metrics) => match never {},
        }
    }

    /// Counts, logs and reports what was judged.
    fn note(&self, request_id: &str, started: Instant, batch: &Batch, judgement: &Judgement) {
        self.metrics.judged(&judgement.verdicts);
        if let Some(suspicion) = &judgement.suspicion {
            self.metrics.suspicious();
            match suspicion {
                Suspicion::FailuresIgnored { count } => tracing::error!(
                    mapping = self.name,
                    request_id,
                    count,
                    "the handler reported failures, but the mapping has no ReportBatchItemFailures: they are deleted"
                ),
                Suspicion::MisspeltKey { key } => tracing::warn!(
                    mapping = self.name,
                    request_id,
                    key,
                    "the response has no batchItemFailures but a key like it: the batch counts as success"
                ),
            }
        }
        let records: Vec<RecordReport> = batch
            .records
            .iter()
            .zip(&batch.held)
            .zip(&judgement.verdicts)
            .map(|((record, held), verdict)| RecordReport {
                message_id: record.message_id.clone(),
                receive_count: held.system.receive_count,
                sent_unix_ms: held.system.sent_unix_ms,
                verdict: verdict.clone(),
            })
            .collect();
        let done = judgement.verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count();
        let failed = records.len() - done;
        let duration = started.elapsed();
        match &judgement.fault {
            Some(fault) => tracing::warn!(
                mapping = self.name,
                request_id,
                records = records.len(),
                fault = fault.kind.as_str(),
                reason = fault.message,
                "batch failed"
            ),
            None if failed > 0 => {
                tracing::info!(mapping = self.name, request_id, done, failed, "batch partly failed");
            }
            None => tracing::debug!(mapping = self.name, request_id, done, "batch done"),
        }
        self.observer.tell(&BatchReport {
            mapping: self.name.clone(),
            request_id: request_id.to_owned(),
            duration,
            fault: judgement.fault.clone(),
            records,
        });
    }
}

fn invocation_of(batch: &Batch) -> Invocation {
    let trace_id = batch.held.first().and_then(|held| held.system.trace_header.clone());
    Invocation {
        request_id: uuid::Uuid::new_v4().to_string(),
        payload: Payload::Batch { records: Arc::clone(&batch.records), windowed: false },
        trace_id,
    }
}
