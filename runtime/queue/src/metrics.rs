//! The built-in queues' metrics: events counted where they happen, depths read when they are asked for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::seam::Seam;
use crate::state::QueueState;

/// The built-in queues' metrics on one registry. A cheap handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    sent: IntCounterVec,
    received: IntCounterVec,
    deleted: IntCounterVec,
    depths: Depths,
}

/// One queue's counters, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    sent: IntCounter,
    received: IntCounter,
    deleted: IntCounter,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let vector = IntCounterVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        let metrics = Self {
            sent: counter("wasmill_queue_sent_total", "Messages stored in the built-in queue.")?,
            received: counter("wasmill_queue_received_total", "Deliveries by the built-in queue.")?,
            deleted: counter("wasmill_queue_deleted_total", "Messages deleted from the built-in queue by a receipt.")?,
            depths: Depths::new()?,
        };
        registry.register(Box::new(metrics.depths.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn of_queue(&self, queue: &str) -> QueueMetrics {
        QueueMetrics {
            sent: self.sent.with_label_values(&[queue]),
            received: self.received.with_label_values(&[queue]),
            deleted: self.deleted.with_label_values(&[queue]),
        }
    }

    /// Stops showing a queue that was deleted.
    pub(crate) fn forget(&self, queue: &str) {
        for vector in [&self.sent, &self.received, &self.deleted] {
            // It may never have counted anything.
            let _ = vector.remove_label_values(&[queue]);
        }
    }

    /// Reads depths from these queues from now on.
    pub(crate) fn watch(&self, inner: Weak<Seam>) {
        *self.depths.source.lock().unwrap_or_else(PoisonError::into_inner) = inner;
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
}

/// Reads every queue's depth when it is asked: exact, and free in between.
#[derive(Debug, Clone)]
struct Depths {
    source: Arc<Mutex<Weak<Seam>>>,
    messages: IntGaugeVec,
    oldest_seconds: GaugeVec,
    groups: IntGaugeVec,
}

impl Depths {
    fn new() -> Result<Self, prometheus::Error> {
        let messages = Opts::new("wasmill_queue_messages", "Messages in the built-in queue, by state.");
        let oldest = Opts::new("wasmill_queue_oldest_message_age_seconds", "Age of the queue's oldest message.");
        Ok(Self {
            source: Arc::new(Mutex::new(Weak::new())),
            messages: IntGaugeVec::new(messages, &["queue", "state"])?,
            oldest_seconds: GaugeVec::new(oldest, &["queue"])?,
            groups: IntGaugeVec::new(
                Opts::new("wasmill_queue_message_groups", "Message groups that have messages in the built-in queue."),
                &["queue"],
            )?,
        })
    }
}

impl Collector for Depths {
    fn desc(&self) -> Vec<&Desc> {
        let mut descriptions = self.messages.desc();
        descriptions.extend(self.oldest_seconds.desc());
        descriptions.extend(self.groups.desc());
        descriptions
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end: two collectors at once would empty each other's gauges.
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages.reset();
        self.oldest_seconds.reset();
        self.groups.reset();
        if let Some(inner) = source.upgrade() {
            let now = inner.clock.now();
            for queue in inner.all_queues() {
                let mut state = inner.lock_state();
                let Ok(counts) = state.counts(queue.id, now) else { continue };
                let oldest_ms = state.oldest_age_ms(queue.id, now);
                let groups = state.queue(queue.id).map_or(0, QueueState::group_count);
                drop(state);
                let name = queue.name.as_str();
                let by_state =
                    [("visible", counts.visible), ("in_flight", counts.in_flight), ("delayed", counts.delayed)];
                for (state, messages) in by_state {
                    let messages = i64::try_from(messages).unwrap_or(i64::MAX);
                    self.messages.with_label_values(&[name, state]).set(messages);
                }
                self.oldest_seconds.with_label_values(&[name]).set(oldest_ms as f64 / 1000.0);
                self.groups.with_label_values(&[name]).set(i64::try_from(groups).unwrap_or(i64::MAX));
            }
        }
        let mut families = self.messages.collect();
        families.extend(self.oldest_seconds.collect());
        families.extend(self.groups.collect());
        families
    }
}
