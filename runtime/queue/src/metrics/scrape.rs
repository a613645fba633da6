//! What stands at a moment, read when it is asked for: exact, and free in between.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts};

use super::StoreMetrics;
use crate::room::Usage;
use crate::seam::{Seam, Storage};
use crate::state::QueueState;

/// Reads every queue's depth and the store's size.
#[derive(Debug, Clone)]
pub(super) struct Scrape {
    source: Arc<Mutex<Weak<Seam>>>,
    messages: IntGaugeVec,
    oldest_seconds: GaugeVec,
    retention_seconds: IntGaugeVec,
    groups: IntGaugeVec,
    store: StoreMetrics,
    store_failed: IntGauge,
    store_bytes: IntGaugeVec,
    disk_free_bytes: IntGauge,
}

impl Scrape {
    pub(super) fn new(store: StoreMetrics) -> Result<Self, prometheus::Error> {
        let per_queue = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["queue"]);
        let oldest = Opts::new("wasmill_queue_oldest_message_age_seconds", "Age of the queue's oldest message.");
        Ok(Self {
            source: Arc::new(Mutex::new(Weak::new())),
            messages: IntGaugeVec::new(
                Opts::new("wasmill_queue_messages", "Messages in the built-in queue, by state."),
                &["queue", "state"],
            )?,
            oldest_seconds: GaugeVec::new(oldest, &["queue"])?,
            retention_seconds: per_queue("wasmill_queue_retention_seconds", "How old a message of the queue may get.")?,
            groups: per_queue(
                "wasmill_queue_message_groups",
                "Message groups that have messages in the built-in queue.",
            )?,
            store,
            store_failed: IntGauge::new(
                "wasmill_store_failed",
                "1 once the store has failed: nothing is acknowledged until a restart.",
            )?,
            store_bytes: IntGaugeVec::new(
                Opts::new("wasmill_store_bytes", "Length of the store's file, and of the log beside it."),
                &["file"],
            )?,
            disk_free_bytes: IntGauge::new(
                "wasmill_store_disk_free_bytes",
                "What is free on the disk that the store is on.",
            )?,
        })
    }

    pub(super) fn store(&self) -> &StoreMetrics {
        &self.store
    }

    pub(super) fn watch(&self, inner: Weak<Seam>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = inner;
    }

    fn read_queues(&self, inner: &Seam) {
        let now = inner.clock.now();
        for queue in inner.all_queues() {
            let mut state = inner.lock_state();
            let Ok(counts) = state.counts(queue.id, now) else { continue };
            let oldest_ms = state.oldest_age_ms(queue.id, now);
            let groups = state.queue(queue.id).map_or(0, QueueState::group_count);
            let retention_s = state.queue(queue.id).map_or(0, |queue| queue.settings.retention_s);
            drop(state);
            let name = queue.name.as_str();
            let by_state = [("visible", counts.visible), ("in_flight", counts.in_flight), ("delayed", counts.delayed)];
            for (state, messages) in by_state {
                self.messages.with_label_values(&[name, state]).set(signed(messages));
            }
            self.oldest_seconds.with_label_values(&[name]).set(oldest_ms as f64 / 1000.0);
            self.retention_seconds.with_label_values(&[name]).set(i64::from(retention_s));
            self.groups.with_label_values(&[name]).set(signed(groups as u64));
        }
    }

    /// The families of the store, if there is one.
    fn read_store(&self, inner: &Seam) -> Vec<MetricFamily> {
        let Storage::Disk { committer, .. } = &inner.storage else { return Vec::new() };
        let usage = Usage::of(committer.file());
        self.store_failed.set(i64::from(committer.failure().is_some()));
        self.store_bytes.with_label_values(&["database"]).set(signed(usage.file_bytes));
        self.store_bytes.with_label_values(&["log"]).set(signed(usage.log_bytes));
        let mut families = self.store.commit_seconds.collect();
        families.extend(self.store.commit_operations.collect());
        families.extend(self.store.refused.collect());
        families.extend(self.store_failed.collect());
        families.extend(self.store_bytes.collect());
        if let Some(free_bytes) = usage.free_bytes {
            self.disk_free_bytes.set(signed(free_bytes));
            families.extend(self.disk_free_bytes.collect());
        }
        families
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        let all: [&dyn Collector; 10] = [
            &self.messages,
            &self.oldest_seconds,
            &self.retention_seconds,
            &self.groups,
            &self.store.commit_seconds,
            &self.store.commit_operations,
            &self.store.refused,
            &self.store_failed,
            &self.store_bytes,
            &self.disk_free_bytes,
        ];
        all.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end: two collectors at once would empty each other's gauges.
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages.reset();
        self.oldest_seconds.reset();
        self.retention_seconds.reset();
        self.groups.reset();
        let inner = source.upgrade();
        if let Some(inner) = &inner {
            self.read_queues(inner);
        }
        let mut families = self.messages.collect();
        families.extend(self.oldest_seconds.collect());
        families.extend(self.retention_seconds.collect());
        families.extend(self.groups.collect());
        families.extend(inner.map(|inner| self.read_store(&inner)).unwrap_or_default());
        families
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
