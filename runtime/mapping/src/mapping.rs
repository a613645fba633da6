//! A mapping's life: start, receive until told to stop, drain.
//!
//! Each batch goes its way in a task of its own (`pipeline.rs`); this file owns those tasks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmill_queue::{Queue, QueueError};

use crate::batch::Batch;
use crate::invoke::{Handler, StackOptions, stack};
use crate::metrics::Metrics;
use crate::permits::{MappingPermits, Permit, Permits};
use crate::pipeline::Line;
use crate::poll::{Polled, Poller};
use crate::report::Observer;

/// How long a drain waits once everything was given back: the longest that one call to a remote queue takes.
const LAST_WAIT: Duration = Duration::from_secs(35);

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
    let (status_sender, status) = watch::channel(MappingStatus::Starting);
    let mapping = Mapping {
        name: options.name.clone(),
        stop: CancellationToken::new(),
        abandon: CancellationToken::new(),
        trips: TaskTracker::new(),
        status,
    };
    let line = Line {
        name: options.name,
        function_version: options.function_version,
        judge: stack(options.handler, stack_options),
        metrics: metrics.clone(),
        observer: options.observer,
        abandon: mapping.abandon.clone(),
    };
    let permits = options.permits.of_mapping(options.maximum_concurrency);
    let receiving = Receiving {
        line: Arc::new(line),
        poller: Poller::new(options.batch_size, permits, metrics, status_sender.clone()),
        stop: mapping.stop.clone(),
        trips: mapping.trips.clone(),
    };
    let queue = options.queue;
    mapping.trips.spawn(async move {
        receiving.run(queue).await;
        status_sender.send_replace(MappingStatus::Stopped);
    });
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
            tracing::warn!(mapping = self.name, "the drain's grace is over: giving back what is still held");
            self.abandon.cancel();
            if tokio::time::timeout(LAST_WAIT, self.trips.wait()).await.is_err() {
                tracing::error!(mapping = self.name, "the queue does not answer: what is held returns by its timeout");
            }
        }
    }

    /// Cancel it to give back at once what still runs, without waiting for the grace of a drain that is under way.
    #[must_use]
    pub fn abandoner(&self) -> CancellationToken {
        self.abandon.clone()
    }
}

/// The receiving half of a mapping.
struct Receiving {
    line: Arc<Line>,
    poller: Poller,
    stop: CancellationToken,
    trips: TaskTracker,
}

impl Receiving {
    async fn run(mut self, mut queue: Arc<dyn Queue>) {
        loop {
            match self.poller.poll(&*queue, &self.stop).await {
                Polled::Batches(permit, batches) => self.send_off(&queue, permit, batches),
                Polled::Nothing => {}
                Polled::Failed(error, pause) => {
                    // One that was deleted may have been made again under its name.
                    let look_again = async {
                        sleep(pause).await;
                        if error == QueueError::NoSuchQueue { queue.reach(queue.arn()).await.ok() } else { None }
                    };
                    let found = tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return,
                        found = look_again => found,
                    };
                    queue = found.unwrap_or(queue);
                }
                Polled::Stopped => return,
            }
        }
    }

    /// Starts the trips: the first batch has the receive's permit, one that was cut off by its size waits for its own.
    fn send_off(&self, queue: &Arc<dyn Queue>, permit: Permit, batches: Vec<Batch>) {
        let mut permit = Some(permit);
        for batch in batches {
            let turn = permit.take().map_or_else(|| Turn::Waits(self.poller.permits()), Turn::Now);
            let turn = if self.stop.is_cancelled() { Turn::Back } else { turn };
            let trip = Arc::clone(&self.line).trip(Arc::clone(queue), turn, batch);
            let name = self.line.name.clone();
            self.trips.spawn(async move {
                if AssertUnwindSafe(trip).catch_unwind().await.is_err() {
                    tracing::error!(mapping = name, "a batch's trip panicked: its messages return by their timeout");
                }
            });
        }
    }
}

/// When a batch may run.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has its permit.
    Now(Permit),
    /// It has to get one.
    Waits(MappingPermits),
    /// It came in while the mapping was told to stop: it goes back.
    Back,
}
