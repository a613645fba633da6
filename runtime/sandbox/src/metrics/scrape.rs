//! What stands at a moment, read when it is asked for: instances that rest, and the pools' places.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::engine::SandboxShared;

/// Reads a sandbox.
#[derive(Clone)]
pub(super) struct Scrape {
    source: Arc<Mutex<Weak<SandboxShared>>>,
    resting: IntGaugeVec,
    places: IntGaugeVec,
}

impl Scrape {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let resting = Opts::new("wasmill_function_resting", "Instances that rest between two invocations.");
        let places = Opts::new(
            "wasmill_sandbox_places",
            "Places for instances, by engine and whether they are taken: by an invocation, or by one that rests.",
        );
        Ok(Self {
            source: Arc::default(),
            resting: IntGaugeVec::new(resting, &["function"])?,
            places: IntGaugeVec::new(places, &["engine", "state"])?,
        })
    }

    pub(super) fn watch(&self, sandbox: Weak<SandboxShared>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = sandbox;
    }
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.resting.desc().into_iter().chain(self.places.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end: two collectors at once would empty each other's gauges.
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        self.resting.reset();
        self.places.reset();
        if let Some(sandbox) = source.upgrade() {
            for (function, resting) in sandbox.resting() {
                // A function that was replaced may not have gone yet.
                self.resting.with_label_values(&[function.as_str()]).add(signed(resting));
            }
            for (engine, free, all) in sandbox.places_by_engine() {
                self.places.with_label_values(&[engine, "free"]).set(signed(free));
                self.places.with_label_values(&[engine, "taken"]).set(signed(all.saturating_sub(free)));
            }
        }
        self.resting.collect().into_iter().chain(self.places.collect()).collect()
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
