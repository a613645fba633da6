//! How the mappings stand at a moment: permits, and whether they receive. Read when it is asked for, so that it costs the line
//! nothing. A mapping that has ended is not shown any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts};
use tokio::sync::watch;

use super::{LABELS, signed};
use crate::mapping::MappingStatus;
use crate::permits::Standing;
use crate::permits::Watcher;

/// How long the mapping waits before it asks a queue again that did not answer; 0 while it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff(Arc<AtomicU64>);

impl Backoff {
    pub(crate) fn set(&self, pause: Duration) {
        self.0.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

/// A mapping that is looked at.
#[derive(Debug)]
struct Watched {
    labels: [String; 3],
    permits: Watcher,
    status: watch::Receiver<MappingStatus>,
    backoff: Backoff,
}

/// Reads every running mapping.
#[derive(Debug, Clone)]
pub(super) struct Standings {
    watched: Arc<Mutex<Vec<Watched>>>,
    up: IntGaugeVec,
    backoff_seconds: GaugeVec,
    limit: IntGaugeVec,
    allowed: IntGaugeVec,
    in_use: IntGaugeVec,
    reserved: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl Standings {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &LABELS);
        Ok(Self {
            watched: Arc::default(),
            up: gauge(
                "wasmill_mapping_up",
                "1 while the mapping's queue answers; 0 before the first answer, or when it does not.",
            )?,
            backoff_seconds: GaugeVec::new(
                Opts::new(
                    "wasmill_mapping_receive_backoff_seconds",
                    "How long the mapping waits before it asks again a queue that did not answer; 0 while it does.",
                ),
                &LABELS,
            )?,
            limit: gauge(
                "wasmill_mapping_concurrency_limit",
                "Invocations at a time that the mapping may have at most.",
            )?,
            allowed: gauge(
                "wasmill_mapping_concurrency_allowed",
                "Invocations at a time that the mapping may have now: below its limit while the function fails.",
            )?,
            in_use: gauge(
                "wasmill_mapping_concurrency_in_use",
                "Permits in use: by invocations, and by receives for one.",
            )?,
            reserved: gauge(
                "wasmill_mapping_concurrency_reserved",
                "Permits set aside for a long poll, which whoever has work may take.",
            )?,
            waiting: gauge("wasmill_mapping_concurrency_waiting", "Batches and receives that wait for a permit.")?,
        })
    }

    pub(super) fn watch(
        &self,
        labels: [String; 3],
        permits: Watcher,
        status: watch::Receiver<MappingStatus>,
        backoff: Backoff,
    ) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|one| one.permits.read().is_some());
        watched.push(Watched { labels, permits, status, backoff });
    }

    fn gauges(&self) -> [&IntGaugeVec; 6] {
        [&self.up, &self.limit, &self.allowed, &self.in_use, &self.reserved, &self.waiting]
    }

    fn show(&self, one: &Watched, standing: Standing) {
        let labels = one.labels.each_ref().map(String::as_str);
        // A mapping that was changed is begun anew beside the old one: what they hold counts together, and how it stands is for the new
        // one to say.
        let add = |gauge: &IntGaugeVec, count: usize| gauge.with_label_values(&labels).add(signed(count));
        add(&self.in_use, standing.in_use);
        add(&self.reserved, standing.reserved);
        add(&self.waiting, standing.waiting);
        self.limit.with_label_values(&labels).set(signed(standing.limit));
        self.allowed.with_label_values(&labels).set(signed(standing.allowed));
        let is_up = *one.status.borrow() == MappingStatus::Polling;
        self.up.with_label_values(&labels).set(i64::from(is_up));
        self.backoff_seconds.with_label_values(&labels).set(one.backoff.seconds());
    }
}

impl Collector for Standings {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).chain(self.backoff_seconds.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end: two collectors at once would empty each other's gauges.
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges().into_iter().for_each(IntGaugeVec::reset);
        self.backoff_seconds.reset();
        for one in watched.iter() {
            if let Some(standing) = one.permits.read() {
                self.show(one, standing);
            }
        }
        self.gauges().into_iter().flat_map(Collector::collect).chain(self.backoff_seconds.collect()).collect()
    }
}
