//! A mapping's metrics, as methods named for what happened. Labels: mapping, queue and function, never a message id; and the
//! versions of a function that batches may go to now, by function. What stands at a moment is read when it is asked for
//! (`metrics/standing.rs`).

mod standing;

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tokio::sync::watch;
use wasmill_event::{Fault, FaultKind, Verdict};

pub(crate) use self::standing::Backoff;
use self::standing::Standings;
use crate::mapping::MappingStatus;
use crate::permits::Watcher;

const LABELS: [&str; 3] = ["mapping", "queue", "function"];
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1000.0, 10_000.0];
const SECONDS_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];
/// The outcome of an invocation without a fault.
const OK: &str = "ok";
/// That of a batch or a record that failed.
const FAILED: &str = "failed";
const VERDICTS: [&str; 4] = ["done", "retry", "dead_letter", "release"];

/// All mappings' metrics on one registry. A cheap handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    received: IntCounterVec,
    empty_receives: IntCounterVec,
    receive_errors: IntCounterVec,
    batch_records: HistogramVec,
    invocations: IntCounterVec,
    invocation_seconds: HistogramVec,
    verdicts: IntCounterVec,
    settled_after_seconds: HistogramVec,
    done_after_seconds: HistogramVec,
    leases_renewed: IntCounterVec,
    leases_lost: IntCounterVec,
    settle_failures: IntCounterVec,
    suspicions: IntCounterVec,
    in_flight: IntGaugeVec,
    filtered: IntCounterVec,
    windows_closed: IntCounterVec,
    bisect_invocations: IntCounterVec,
    poison: IntCounterVec,
    version_batches: IntCounterVec,
    version_records: IntCounterVec,
    standings: Standings,
}

/// One mapping's metrics, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct MappingMetrics {
    all: Metrics,
    labels: [String; 3],
    received: IntCounter,
    empty_receives: IntCounter,
    receive_errors: IntCounter,
    batch_records: Histogram,
    invocation_seconds: Histogram,
    settled_after_seconds: Histogram,
    done_after_seconds: Histogram,
    leases_renewed: IntCounter,
    leases_lost: IntCounter,
    in_flight: IntGauge,
    backoff: Backoff,
}

/// What could not be done for a judged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettleStep {
    Delete,
    GiveBack,
    DeadLetter,
    Forward,
}

impl SettleStep {
    const ALL: [Self; 4] = [Self::Delete, Self::GiveBack, Self::DeadLetter, Self::Forward];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::GiveBack => "give_back",
            Self::DeadLetter => "dead_letter",
            Self::Forward => "forward",
        }
    }
}

/// Why a batch left its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It had as many records as it may have.
    Size,
    /// Its time was up.
    Window,
    /// One record more would have made the event 6 MiB.
    Bytes,
    /// The mapping stops, or its queue failed.
    Early,
}

impl Closed {
    const ALL: [Self; 4] = [Self::Size, Self::Window, Self::Bytes, Self::Early];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Window => "window",
            Self::Bytes => "bytes",
            Self::Early => "early",
        }
    }
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, extra: &[&str]| {
            let labels: Vec<&str> = LABELS.iter().chain(extra).copied().collect();
            let vector = IntCounterVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let vector = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &LABELS)?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        let in_flight = IntGaugeVec::new(
            Opts::new("wasmill_mapping_in_flight_messages", "Messages received and not yet settled."),
            &LABELS,
        )?;
        registry.register(Box::new(in_flight.clone()))?;
        let standings = Standings::new()?;
        registry.register(Box::new(standings.clone()))?;
        let by_version = |name: &str, help: &str| {
            let vector = IntCounterVec::new(Opts::new(name, help), &["function", "version", "outcome"])?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        Ok(Self {
            version_batches: by_version(
                "wasmill_function_version_batches_total",
                "Batches by the function's version that ran them, and whether the batch failed as a whole; only of versions that \
                 $LATEST or an alias leads to.",
            )?,
            version_records: by_version(
                "wasmill_function_version_records_total",
                "Records by the function's version that ran them, and whether they were done; only of versions that $LATEST or an \
                 alias leads to.",
            )?,
            received: counter("wasmill_mapping_received_total", "Messages received from the queue.", &[])?,
            empty_receives: counter("wasmill_mapping_empty_receives_total", "Receives that found nothing.", &[])?,
            receive_errors: counter("wasmill_mapping_receive_errors_total", "Receives that failed.", &[])?,
            batch_records: histogram("wasmill_mapping_batch_records", "Records per batch.", &BATCH_BUCKETS)?,
            invocations: counter(
                "wasmill_mapping_invocations_total",
                "Invocations by outcome: ok, or the kind of fault.",
                &["outcome"],
            )?,
            invocation_seconds: histogram(
                "wasmill_mapping_invocation_seconds",
                "From the batch to its verdicts.",
                &SECONDS_BUCKETS,
            )?,
            verdicts: counter("wasmill_mapping_verdicts_total", "Records by verdict.", &["verdict"])?,
            settled_after_seconds: histogram(
                "wasmill_mapping_receive_to_settle_seconds",
                "From the receive of a message to the end of settling it, whatever its verdict.",
                &SECONDS_BUCKETS,
            )?,
            done_after_seconds: histogram(
                "wasmill_mapping_send_to_settle_seconds",
                "From the send of a message to its end: it was done, or dead-lettered by verdict.",
                &SECONDS_BUCKETS,
            )?,
            leases_renewed: counter("wasmill_mapping_leases_renewed_total", "Visibility renewals, by message.", &[])?,
            leases_lost: counter("wasmill_mapping_leases_lost_total", "Messages lost while held.", &[])?,
            settle_failures: counter(
                "wasmill_mapping_settle_failures_total",
                "Messages whose verdict could not be carried out.",
                &["step"],
            )?,
            suspicions: counter(
                "wasmill_mapping_suspicious_responses_total",
                "Responses that pass and look like a mistake of the handler.",
                &[],
            )?,
            in_flight,
            standings,
            filtered: counter(
                "wasmill_mapping_filter_matches_total",
                "Messages by the first filter that matched, or none.",
                &["filter"],
            )?,
            windows_closed: counter(
                "wasmill_mapping_windows_closed_total",
                "Batching windows by why they closed.",
                &["reason"],
            )?,
            bisect_invocations: counter(
                "wasmill_mapping_bisect_invocations_total",
                "Invocations made to find the record that a handler crashes on.",
                &[],
            )?,
            poison: counter(
                "wasmill_mapping_poison_messages_total",
                "Messages found to be what a handler crashes on.",
                &[],
            )?,
        })
    }

    /// What counts the batches of one version of a function.
    #[must_use]
    pub fn tally(&self, function: &str, version: &str) -> Tally {
        let of = |vector: &IntCounterVec, outcome| vector.with_label_values(&[function, version, outcome]);
        Tally {
            batches_ok: of(&self.version_batches, OK),
            batches_failed: of(&self.version_batches, FAILED),
            records_done: of(&self.version_records, OK),
            records_failed: of(&self.version_records, FAILED),
        }
    }

    /// Takes a version out of the metrics. Whoever counts it still counts for nobody.
    pub fn forget_version(&self, function: &str, version: &str) {
        for vector in [&self.version_batches, &self.version_records] {
            for outcome in [OK, FAILED] {
                // It may have been forgotten already.
                let _ = vector.remove_label_values(&[function, version, outcome]);
            }
        }
    }

    pub(crate) fn of_mapping(&self, mapping: &str, queue: &str, function: &str) -> MappingMetrics {
        let labels = [mapping, queue, function];
        // What has not happened yet stands at 0: else its first time would be no increase.
        let begin = |counter: &IntCounterVec, values: &mut dyn Iterator<Item = &'static str>| {
            values.for_each(|value| drop(counter.with_label_values(&[mapping, queue, function, value])));
        };
        begin(&self.verdicts, &mut VERDICTS.into_iter());
        begin(&self.invocations, &mut std::iter::once(OK).chain(FaultKind::ALL.map(FaultKind::as_str)));
        begin(&self.settle_failures, &mut SettleStep::ALL.map(SettleStep::as_str).into_iter());
        begin(&self.windows_closed, &mut Closed::ALL.map(Closed::as_str).into_iter());
        for counter in [&self.suspicions, &self.bisect_invocations, &self.poison] {
            drop(counter.with_label_values(&labels));
        }
        MappingMetrics {
            all: self.clone(),
            labels: labels.map(str::to_owned),
            received: self.received.with_label_values(&labels),
            empty_receives: self.empty_receives.with_label_values(&labels),
            receive_errors: self.receive_errors.with_label_values(&labels),
            batch_records: self.batch_records.with_label_values(&labels),
            invocation_seconds: self.invocation_seconds.with_label_values(&labels),
            settled_after_seconds: self.settled_after_seconds.with_label_values(&labels),
            done_after_seconds: self.done_after_seconds.with_label_values(&labels),
            leases_renewed: self.leases_renewed.with_label_values(&labels),
            leases_lost: self.leases_lost.with_label_values(&labels),
            in_flight: self.in_flight.with_label_values(&labels),
            backoff: Backoff::default(),
        }
    }
}

/// Counts what one version of a function made of its batches. Clones count together.
#[derive(Debug, Clone)]
pub struct Tally {
    batches_ok: IntCounter,
    batches_failed: IntCounter,
    records_done: IntCounter,
    records_failed: IntCounter,
}

/// What a [`Tally`] has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Batches that did not fail as a whole.
    pub batches_ok: u64,
    /// Batches that did: a function error, a timeout, a response that is none.
    pub batches_failed: u64,
    /// Records that were done.
    pub records_done: u64,
    /// Records that were not.
    pub records_failed: u64,
}

impl Tally {
    /// What it has counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        Counted {
            batches_ok: self.batches_ok.get(),
            batches_failed: self.batches_failed.get(),
            records_done: self.records_done.get(),
            records_failed: self.records_failed.get(),
        }
    }

    /// Counts a batch that was judged.
    pub(crate) fn judged(&self, fault: Option<&Fault>, verdicts: &[Verdict]) {
        if fault.is_some() {
            self.batches_failed.inc();
        } else {
            self.batches_ok.inc();
        }
        // What is only given back, as it comes after a failed record of its group, says nothing of the version.
        let failed =
            verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Retry { .. } | Verdict::DeadLetter { .. }));
        self.records_failed.inc_by(failed.count() as u64);
        self.records_done.inc_by(verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count() as u64);
    }
}

impl MappingMetrics {
    /// The mapping's name.
    pub(crate) fn mapping(&self) -> &str {
        &self.labels[0]
    }

    /// The function's name.
    pub(crate) fn function(&self) -> &str {
        &self.labels[2]
    }

    fn with<'a>(&'a self, last: &'a str) -> [&'a str; 4] {
        let [mapping, queue, function] = &self.labels;
        [mapping, queue, function, last]
    }

    pub(crate) fn received(&self, messages: usize) {
        self.received.inc_by(messages as u64);
    }

    /// Counts a batch's messages as in flight until the guard is dropped.
    pub(crate) fn batch_began(&self, messages: usize) -> InFlight {
        self.batch_records.observe(messages as f64);
        self.in_flight.add(signed(messages));
        InFlight { gauge: self.in_flight.clone(), messages }
    }

    pub(crate) fn received_nothing(&self) {
        self.empty_receives.inc();
    }

    pub(crate) fn receive_failed(&self) {
        self.receive_errors.inc();
    }

    pub(crate) fn invoked(&self, duration: Duration, fault: Option<&Fault>) {
        let outcome = fault.map_or(OK, |fault| fault.kind.as_str());
        self.all.invocations.with_label_values(&self.with(outcome)).inc();
        self.invocation_seconds.observe(duration.as_secs_f64());
    }

    pub(crate) fn judged(&self, verdicts: &[Verdict]) {
        let count = |word: &str, is: fn(&Verdict) -> bool| {
            let records = verdicts.iter().filter(|verdict| is(verdict)).count();
            if records > 0 {
                self.all.verdicts.with_label_values(&self.with(word)).inc_by(records as u64);
            }
        };
        let [done, retry, dead_letter, release] = VERDICTS;
        count(done, |verdict| matches!(verdict, Verdict::Done));
        count(retry, |verdict| matches!(verdict, Verdict::Retry { .. }));
        count(dead_letter, |verdict| matches!(verdict, Verdict::DeadLetter { .. }));
        count(release, |verdict| matches!(verdict, Verdict::Release));
    }

    pub(crate) fn suspicious(&self) {
        self.all.suspicions.with_label_values(&self.labels.each_ref().map(String::as_str)).inc();
    }

    /// A message was settled.
    pub(crate) fn settled(&self, since_receive: Duration) {
        self.settled_after_seconds.observe(since_receive.as_secs_f64());
    }

    /// Messages have come to their end. A service's clock may be ahead of ours: then it took no time.
    pub(crate) fn ended(&self, unix_ms: u64, sent_unix_ms: impl Iterator<Item = u64>) {
        for sent in sent_unix_ms {
            self.done_after_seconds.observe(unix_ms.saturating_sub(sent) as f64 / 1000.0);
        }
    }

    pub(crate) fn settle_failed(&self, step: SettleStep, messages: usize) {
        self.all.settle_failures.with_label_values(&self.with(step.as_str())).inc_by(messages as u64);
    }

    /// Counts which filter each message matched first.
    pub(crate) fn matched(&self, matches: &[Option<usize>]) {
        for found in matches {
            let filter = found.map_or_else(|| "none".to_owned(), |index| index.to_string());
            self.all.filtered.with_label_values(&self.with(&filter)).inc();
        }
    }

    pub(crate) fn window_closed(&self, why: Closed) {
        self.all.windows_closed.with_label_values(&self.with(why.as_str())).inc();
    }

    pub(crate) fn bisected(&self, invocations: u32, culprits: usize) {
        let labels = self.labels.each_ref().map(String::as_str);
        self.all.bisect_invocations.with_label_values(&labels).inc_by(u64::from(invocations));
        self.all.poison.with_label_values(&labels).inc_by(culprits as u64);
    }

    /// Shows how a mapping stands for as long as it runs.
    pub(crate) fn watch(&self, permits: Watcher, status: watch::Receiver<MappingStatus>) {
        self.all.standings.watch(self.labels.clone(), permits, status, self.backoff.clone());
    }

    /// The queue is asked again after the pause; zero: it answers.
    pub(crate) fn backs_off(&self, pause: Duration) {
        self.backoff.set(pause);
    }

    pub(crate) fn lease_renewed(&self) {
        self.leases_renewed.inc();
    }

    pub(crate) fn lease_lost(&self) {
        self.leases_lost.inc();
    }
}

/// A batch's messages, in flight for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight {
    gauge: IntGauge,
    messages: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.sub(signed(self.messages));
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
