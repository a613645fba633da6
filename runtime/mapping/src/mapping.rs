//! A mapping's life: start, receive until told to stop, drain.
//!
//! Each batch goes its way in a task of its own (`pipeline.rs`), started by `receiving.rs`; this file owns those tasks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmill_event::{Site, Tracer};
use wasmill_queue::{Clock, Queue, Task, Timeline};

use crate::fifo::FifoOrder;
use crate::filter::Filters;
use crate::intake::{Intake, OnFiltered};
use crate::invoke::Judge;
use crate::metrics::Metrics;
use crate::permits::{Permit, Permits};
use crate::pipeline::Line;
use crate::poll::Source;
use crate::receiving::Receiving;
use crate::remember::Remembered;
use crate::renewal::{self, Leases};
use crate::report::Observer;
use crate::retry::RetryPolicy;
use crate::route::Route;
use crate::settle::Settling;
use crate::traced::Tracing;
use crate::witness::Witness;

/// How long a drain waits once everything was given back: the longest that one call to a remote queue takes.
const LAST_WAIT: Duration = Duration::from_secs(35);

/// What a mapping is made of.
pub struct MappingOptions {
    /// For logs and metrics; by custom `QUEUE/FUNCTION`.
    pub name: String,
    /// The function's name, for metrics.
    pub function_name: String,
    /// 1–10,000 records per invocation; over ten with a window only, and at most ten from a FIFO queue.
    pub batch_size: u32,
    /// How long a batch may gather; zero: a batch is what one receive brings. Zero for a FIFO queue.
    pub window: Duration,
    /// Which messages are for the function.
    pub filters: Filters,
    /// What becomes of the others.
    pub on_filtered: OnFiltered,
    /// When a failed message returns.
    pub retry_policy: RetryPolicy,
    /// Whether a message that failed at the last receive that its queue allows is moved to the dead-letter queue by the mapping, with
    /// the reason, instead of by the queue at the next receive, without.
    pub dead_letters_last_attempts: bool,
    /// Most further invocations to find the record that a handler crashes on; 0: the batch fails whole.
    pub bisect_max_invocations: u32,
    /// What comes after a failed record of a message group.
    pub fifo_order: FifoOrder,
    /// FIFO: a batch holds one message group.
    pub per_group: bool,
    /// This mapping's share of the function's permits while others want them, from 1.
    pub weight: u32,
    /// Never receives more than that, over time. Greater than 0.
    pub max_messages_per_second: Option<f64>,
    /// Whether `ReportBatchItemFailures` is set.
    pub reports_item_failures: bool,
    /// This mapping's cap below the function's permits.
    pub maximum_concurrency: Option<u32>,
    /// Where messages come from and go back to.
    pub queue: Arc<dyn Queue>,
    /// Whether that is a FIFO queue; it never changes.
    pub is_fifo: bool,
    /// What its windows, leases and rate go by: the queue's own, if it has one.
    pub timeline: Timeline,
    /// What leads to the function: asked for each batch.
    pub route: Route,
    /// The function's permits.
    pub permits: Permits,
    /// What tells a later process which messages were being handled when this one died.
    pub witness: Witness,
    /// Where the metrics are.
    pub metrics: Metrics,
    /// Who is told of each batch.
    pub observer: Observer,
    /// Who takes its spans; none: there are no traces.
    pub tracer: Option<Arc<dyn Tracer>>,
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
    #[cfg(test)]
    pub(crate) leases: Leases,
}

/// Starts a mapping on the current tokio runtime.
#[must_use]
pub fn start(options: MappingOptions) -> Mapping {
    let metrics = options.metrics.of_mapping(&options.name, options.queue.arn().name(), &options.function_name);
    let judge = Judge {
        mapping: options.name.clone(),
        reports_item_failures: options.reports_item_failures,
        metrics: metrics.clone(),
    };
    let (status_sender, status) = watch::channel(MappingStatus::Starting);
    let leases = Leases::new(options.timeline.clone());
    let mapping = Mapping {
        name: options.name.clone(),
        stop: CancellationToken::new(),
        abandon: CancellationToken::new(),
        trips: TaskTracker::new(),
        status,
        #[cfg(test)]
        leases: leases.clone(),
    };
    let permits = options.permits.of_mapping(options.maximum_concurrency, options.weight);
    metrics.watch(permits.watcher(), mapping.status.clone());
    let remembered = Arc::new(Remembered::default());
    let windowed = !options.window.is_zero();
    let tracing = options.tracer.map(|tracer| {
        let (mapping, function) = (options.name.clone(), options.function_name);
        let site = Site { mapping, queue: options.queue.arn().name().to_owned(), function };
        Tracing { tracer, site: Arc::new(site), is_windowed: windowed }
    });
    let line = Line {
        name: options.name,
        route: options.route,
        retry_policy: options.retry_policy,
        dead_letters_last_attempts: options.dead_letters_last_attempts,
        judge,
        windowed,
        reports_item_failures: options.reports_item_failures,
        bisect_max_invocations: options.bisect_max_invocations,
        fifo_order: options.fifo_order,
        is_fifo: options.is_fifo,
        settling: Settling::default(),
        permits: permits.clone(),
        remembered: Arc::clone(&remembered),
        witness: options.witness,
        metrics: metrics.clone(),
        observer: options.observer,
        tracing,
        clock: Clock::system(None).on(options.timeline.clone()),
        abandon: mapping.abandon.clone(),
    };
    // They are at work from here on, not from when they are first looked at.
    let [work, renewing] = [(); 2].map(|()| options.timeline.work(Task::Step));
    let source = Source::new(
        options.queue,
        options.timeline,
        metrics.clone(),
        status_sender.clone(),
        options.max_messages_per_second,
    );
    let renewals_end = CancellationToken::new();
    tokio::spawn(renewal::run(leases.clone(), source.shared_queue(), metrics.clone(), renewing, renewals_end.clone()));
    let intake = Intake { filters: options.filters, on_filtered: options.on_filtered, remembered, leases, metrics };
    let receiving = Receiving {
        line: Arc::new(line),
        source,
        intake,
        permits,
        batch_size: options.batch_size,
        window: options.window,
        per_group: options.per_group,
        stop: mapping.stop.clone(),
        trips: mapping.trips.clone(),
    };
    // Whoever may hold a lease is among the trips.
    let trips = mapping.trips.clone();
    tokio::spawn(async move {
        trips.wait().await;
        renewals_end.cancel();
    });
    mapping.trips.spawn(async move {
        Arc::new(receiving).run(work).await;
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

/// When a batch may run.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has its permit.
    Now(Permit),
    /// It has to get one.
    Waits,
    /// It came in while the mapping was told to stop: it goes back.
    Back,
}
