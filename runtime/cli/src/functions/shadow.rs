//! A version that runs copies of a function's batches: what it answers is compared and counts for nothing else.
//!
//! A copy runs without a permit, when its batch has been judged, in a place that no batch waits for; where there is none it is
//! passed over. It reaches no host and shares no instance.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::Semaphore;
use tower::Service;
use wasmill_event::{Fault, Invocation, Reply};
use wasmill_mapping::{Comparison, Difference, Shadow};
use wasmill_sandbox::Function;

/// Differences that are kept to be shown.
const KEPT: usize = 100;
/// Differences that are logged of one batch.
const LOGGED_PER_BATCH: usize = 10;

/// What all shadows share.
#[derive(Debug, Clone)]
pub(crate) struct Shadows {
    batches: IntCounterVec,
    records: IntCounterVec,
    places: Arc<Semaphore>,
}

impl Shadows {
    /// Registers the metrics; so many copies run at a time.
    pub(crate) fn register(registry: &Registry, places: u32) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let vector = IntCounterVec::new(Opts::new(name, help), &["function", "outcome"])?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        Ok(Self {
            batches: counter(
                "wasmill_function_shadow_batches_total",
                "Batches by what became of their copy: same, different, or passed over for want of a place.",
            )?,
            records: counter(
                "wasmill_function_shadow_records_total",
                "Records of batches whose copies ran, by whether both versions judged them alike: same, different.",
            )?,
            places: Arc::new(Semaphore::new(places as usize)),
        })
    }

    /// Takes a function out of the metrics.
    pub(super) fn forget(&self, function: &str) {
        for (vector, outcomes) in
            [(&self.batches, &["same", "different", "passed_over"][..]), (&self.records, &["same", "different"])]
        {
            for outcome in outcomes {
                // It may never have had a shadow.
                let _ = vector.remove_label_values(&[function, outcome]);
            }
        }
    }
}

/// What was found, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) version: String,
    /// Batches whose copies ran.
    pub(crate) batches: u64,
    pub(crate) records: u64,
    /// Records that were judged otherwise.
    pub(crate) different: u64,
    /// Batches that were passed over.
    pub(crate) passed_over: u64,
    /// The latest, by mapping and request id, the latest last.
    pub(crate) latest: VecDeque<(String, String, Difference)>,
}

/// One version at work.
#[derive(Debug)]
pub(super) struct Shadowing {
    name: String,
    function: Function,
    shadows: Shadows,
    found: Mutex<Found>,
}

impl Shadowing {
    pub(super) fn new(function: &Function, version: &str, shadows: Shadows) -> Self {
        let found = Mutex::new(Found { version: version.to_owned(), ..Found::default() });
        Self { name: function.name().to_owned(), function: function.sealed(), shadows, found }
    }

    pub(super) fn found(&self) -> Found {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, outcome: &str, note: impl FnOnce(&mut Found)) {
        self.shadows.batches.with_label_values(&[self.name.as_str(), outcome]).inc();
        note(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shadow for Shadowing {
    fn begin(&self, invocation: &Invocation) -> Option<BoxFuture<'static, Result<Reply, Fault>>> {
        let place = Arc::clone(&self.shadows.places).try_acquire_owned().ok().filter(|_| self.function.has_room());
        let Some(place) = place else {
            self.note("passed_over", |found| found.passed_over += 1);
            return None;
        };
        let (mut function, invocation) = (self.function.clone(), invocation.clone());
        Some(Box::pin(async move {
            let answer = function.call(invocation).await;
            drop(place);
            answer
        }))
    }

    fn compared(&self, comparison: &Comparison) {
        let Comparison { mapping, request_id, records, differences } = comparison;
        let (records, different) = (*records as u64, differences.len() as u64);
        let outcome = if differences.is_empty() { "same" } else { "different" };
        self.note(outcome, |found| {
            found.batches += 1;
            found.records += records;
            found.different += different;
            let new = differences.iter().map(|one| (mapping.clone(), request_id.clone(), one.clone()));
            found.latest.extend(new);
            let surplus = found.latest.len().saturating_sub(KEPT);
            found.latest.drain(..surplus);
        });
        let count = |outcome, records| {
            self.shadows.records.with_label_values(&[self.name.as_str(), outcome]).inc_by(records);
        };
        count("same", records - different);
        count("different", different);
        let version = self.function.version();
        for Difference { message_id, verdict, shadow } in differences.iter().take(LOGGED_PER_BATCH) {
            let (function, message_id) = (&self.name, &**message_id);
            tracing::info!(
                function,
                version,
                mapping,
                request_id,
                message_id,
                verdict,
                shadow,
                "the shadow judges otherwise"
            );
        }
    }
}
