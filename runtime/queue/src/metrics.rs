//! The built-in queues' metrics: events counted where they happen, and what stands at a moment read when it is asked for
//! (`metrics/scrape.rs`).

mod scrape;

use std::sync::Weak;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use self::scrape::Scrape;
use crate::chaos::Fault;
use crate::effect::MoveKind;
use crate::seam::Seam;

const COMMIT_SECONDS_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
const COMMIT_OPERATIONS_BUCKETS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 100.0, 250.0, 1000.0, 4096.0];

/// The built-in queues' metrics on one registry. A cheap handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    sent: IntCounterVec,
    received: IntCounterVec,
    deleted: IntCounterVec,
    expired: IntCounterVec,
    purged: IntCounterVec,
    redriven: IntCounterVec,
    dead_lettered: IntCounterVec,
    injected: IntCounterVec,
    scrape: Scrape,
}

/// One queue's counters, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    sent: IntCounter,
    received: IntCounter,
    deleted: IntCounter,
    expired: IntCounter,
    purged: IntCounter,
    redriven: IntCounter,
    dead_lettered_by_count: IntCounter,
    dead_lettered_by_verdict: IntCounter,
}

/// What the committing thread tells. Shown only where there is a store.
#[derive(Debug, Clone)]
pub(crate) struct StoreMetrics {
    commit_seconds: Histogram,
    commit_operations: Histogram,
    refused: IntCounter,
}

/// Why a message went to the dead-letter queue, as the label says it.
const BY_COUNT: &str = "receive_count";
const BY_VERDICT: &str = "verdict";

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vector = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        let per_queue = |name: &str, help: &str| counter(name, help, &["queue"]);
        let metrics = Self {
            sent: per_queue("wasmill_queue_sent_total", "Messages stored in the built-in queue.")?,
            received: per_queue("wasmill_queue_received_total", "Deliveries by the built-in queue.")?,
            deleted: per_queue(
                "wasmill_queue_deleted_total",
                "Messages deleted from the built-in queue by a receipt.",
            )?,
            expired: per_queue("wasmill_queue_expired_total", "Messages older than the queue's retention period.")?,
            purged: per_queue("wasmill_queue_purged_total", "Messages removed by a purge.")?,
            redriven: per_queue("wasmill_queue_redriven_total", "Messages that a move task took out of the queue.")?,
            dead_lettered: counter(
                "wasmill_queue_dead_lettered_total",
                "Messages that the queue gave up, by why: received too often (receive_count), or a verdict.",
                &["queue", "cause"],
            )?,
            injected: counter(
                "wasmill_chaos_faults_total",
                "Faults that --chaos injected into the built-in queue.",
                &["queue", "fault"],
            )?,
            scrape: Scrape::new(StoreMetrics::new()?)?,
        };
        registry.register(Box::new(metrics.scrape.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn of_queue(&self, queue: &str) -> QueueMetrics {
        QueueMetrics {
            sent: self.sent.with_label_values(&[queue]),
            received: self.received.with_label_values(&[queue]),
            deleted: self.deleted.with_label_values(&[queue]),
            expired: self.expired.with_label_values(&[queue]),
            purged: self.purged.with_label_values(&[queue]),
            redriven: self.redriven.with_label_values(&[queue]),
            dead_lettered_by_count: self.dead_lettered.with_label_values(&[queue, BY_COUNT]),
            dead_lettered_by_verdict: self.dead_lettered.with_label_values(&[queue, BY_VERDICT]),
        }
    }

    /// Stops showing a queue that was deleted.
    pub(crate) fn forget(&self, queue: &str) {
        for vector in [&self.sent, &self.received, &self.deleted, &self.expired, &self.purged, &self.redriven] {
            // It may never have counted anything.
            let _ = vector.remove_label_values(&[queue]);
        }
        for cause in [BY_COUNT, BY_VERDICT] {
            let _ = self.dead_lettered.remove_label_values(&[queue, cause]);
        }
        for fault in Fault::ALL {
            let _ = self.injected.remove_label_values(&[queue, fault.as_str()]);
        }
    }

    /// A fault was injected: only then there is a counter.
    pub(crate) fn injected(&self, queue: &str, fault: Fault) {
        self.injected.with_label_values(&[queue, fault.as_str()]).inc();
    }

    /// Reads what stands at a moment from these queues from now on.
    pub(crate) fn watch(&self, inner: Weak<Seam>) {
        self.scrape.watch(inner);
    }

    /// For the thread that commits.
    pub(crate) fn of_store(&self) -> StoreMetrics {
        self.scrape.store().clone()
    }
}

impl QueueMetrics {
    pub(crate) fn sent(&self, messages: usize) {
        self.sent.inc_by(messages as u64);
    }

    pub(crate) fn received(&self, messages: usize) {
        self.received.inc_by(messages as u64);
    }

    pub(crate) fn deleted(&self, messages: usize) {
        self.deleted.inc_by(messages as u64);
    }

    pub(crate) fn expired(&self, messages: usize) {
        self.expired.inc_by(messages as u64);
    }

    pub(crate) fn purged(&self, messages: usize) {
        self.purged.inc_by(messages as u64);
    }

    /// A message has left for another queue.
    pub(crate) fn moved(&self, kind: &MoveKind) {
        match kind {
            MoveKind::DeadLetter { reason: None, .. } => self.dead_lettered_by_count.inc(),
            MoveKind::DeadLetter { reason: Some(_), .. } => self.dead_lettered_by_verdict.inc(),
            MoveKind::Redrive { .. } => self.redriven.inc(),
        }
    }
}

impl StoreMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("wasmill_store_commit_seconds", "How long a group commit took.");
        let operations =
            HistogramOpts::new("wasmill_store_commit_operations", "Calls that one group commit made durable together.");
        Ok(Self {
            commit_seconds: Histogram::with_opts(seconds.buckets(COMMIT_SECONDS_BUCKETS.to_vec()))?,
            commit_operations: Histogram::with_opts(operations.buckets(COMMIT_OPERATIONS_BUCKETS.to_vec()))?,
            refused: IntCounter::new(
                "wasmill_store_refused_total",
                "Calls with messages to store that were refused, as the disk had no room for them.",
            )?,
        })
    }

    pub(crate) fn committed(&self, operations: usize, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_operations.observe(operations as f64);
    }

    pub(crate) fn refused(&self, operations: usize) {
        self.refused.inc_by(operations as u64);
    }
}
