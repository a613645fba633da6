//! What the sandbox counts. Methods are named as events; labels are `function` and a bounded `kind`. What stands at a moment is
//! read when it is asked for (`metrics/scrape.rs`).

mod scrape;

use std::sync::Weak;
use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use wasmill_event::FaultKind;

use self::scrape::Scrape;
use crate::engine::SandboxShared;

/// How an invocation ended that had no fault.
const SUCCESS: &str = "success";
/// Its caller went away.
const CANCELLED: &str = "cancelled";
const MIB: f64 = 1_048_576.0;

/// The sandbox's metrics, registered once per process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    invocations: IntCounterVec,
    starts: IntCounterVec,
    running: IntGaugeVec,
    duration: HistogramVec,
    memory_peak: HistogramVec,
    output_dropped: IntCounterVec,
    loads: IntCounterVec,
    load_seconds: GaugeVec,
    scrape: Scrape,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When metrics of these names are in the registry already: make one `Metrics` per registry and clone it.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            invocations: IntCounterVec::new(
                Opts::new(
                    "wasmill_function_invocations_total",
                    "Invocations that ended, by how: success, cancelled, or the kind of fault.",
                ),
                &["function", "kind"],
            )?,
            starts: IntCounterVec::new(
                Opts::new(
                    "wasmill_function_starts_total",
                    "Invocations that began, by where: cold, in a fresh instance, or warm, in one that answered before.",
                ),
                &["function", "start"],
            )?,
            running: IntGaugeVec::new(
                Opts::new("wasmill_function_running", "Invocations that have a sandbox now."),
                &["function"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "wasmill_function_duration_seconds",
                    "Time from the start of the guest to its end, instantiation included.",
                )
                .buckets(vec![
                    0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0,
                    900.0,
                ]),
                &["function"],
            )?,
            memory_peak: HistogramVec::new(
                HistogramOpts::new("wasmill_function_memory_peak_bytes", "Most linear memory that an invocation had.")
                    .buckets((0..13).map(|power| MIB * f64::from(1 << power)).collect()),
                &["function"],
            )?,
            output_dropped: IntCounterVec::new(
                Opts::new(
                    "wasmill_function_output_dropped_bytes_total",
                    "Handler output beyond the log limit of an invocation.",
                ),
                &["function"],
            )?,
            loads: IntCounterVec::new(
                Opts::new(
                    "wasmill_function_loads_total",
                    "Modules loaded: compiled, or taken from the cache or from a function that has it.",
                ),
                &["function", "kind"],
            )?,
            load_seconds: GaugeVec::new(
                Opts::new("wasmill_function_load_seconds", "How long the latest load of the module took."),
                &["function"],
            )?,
            scrape: Scrape::new()?,
        };
        registry.register(Box::new(metrics.invocations.clone()))?;
        registry.register(Box::new(metrics.starts.clone()))?;
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.memory_peak.clone()))?;
        registry.register(Box::new(metrics.output_dropped.clone()))?;
        registry.register(Box::new(metrics.loads.clone()))?;
        registry.register(Box::new(metrics.load_seconds.clone()))?;
        registry.register(Box::new(metrics.scrape.clone()))?;
        Ok(metrics)
    }

    /// Reads what stands at a moment from this sandbox from now on.
    pub(crate) fn watch(&self, sandbox: Weak<SandboxShared>) {
        self.scrape.watch(sandbox);
    }

    pub(crate) fn module_loaded(&self, function: &str, cached: bool, took: Duration) {
        let kind = if cached { "cached" } else { "compiled" };
        self.loads.with_label_values(&[function, kind]).inc();
        self.load_seconds.with_label_values(&[function]).set(took.as_secs_f64());
    }

    /// The metrics of one function, with its label looked up once.
    pub(crate) fn for_function(&self, function: &str) -> FunctionMetrics {
        // What has not happened yet stands at 0: else its first time would be no increase.
        for kind in FaultKind::ALL.map(FaultKind::as_str).into_iter().chain([SUCCESS, CANCELLED]) {
            drop(self.invocations.with_label_values(&[function, kind]));
        }
        FunctionMetrics {
            function: function.to_owned(),
            invocations: self.invocations.clone(),
            cold: self.starts.with_label_values(&[function, Start::Cold.as_str()]),
            warm: self.starts.with_label_values(&[function, Start::Warm.as_str()]),
            running: self.running.with_label_values(&[function]),
            duration: self.duration.with_label_values(&[function]),
            memory_peak: self.memory_peak.with_label_values(&[function]),
            output_dropped: self.output_dropped.with_label_values(&[function]),
        }
    }
}

/// One function's metrics.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    function: String,
    invocations: IntCounterVec,
    cold: IntCounter,
    warm: IntCounter,
    running: IntGauge,
    duration: Histogram,
    memory_peak: Histogram,
    output_dropped: IntCounter,
}

/// Where an invocation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Cold,
    Warm,
}

impl Start {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

/// How much an invocation took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) duration: Duration,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) output_dropped_bytes: u64,
}

impl FunctionMetrics {
    /// The guest starts. Dropping what comes back without [`Running::ended`] counts as cancelled.
    pub(crate) fn invocation_started(&self, start: Start) -> Running<'_> {
        match start {
            Start::Cold => self.cold.inc(),
            Start::Warm => self.warm.inc(),
        }
        self.running.inc();
        Running { metrics: self, counted: false }
    }

    fn invocation_ended(&self, kind: &str) {
        self.invocations.with_label_values(&[self.function.as_str(), kind]).inc();
    }
}

/// An invocation under way.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    metrics: &'a FunctionMetrics,
    counted: bool,
}

impl Running<'_> {
    pub(crate) fn ended(mut self, fault: Option<FaultKind>, usage: Usage) {
        self.counted = true;
        self.metrics.invocation_ended(fault.map_or(SUCCESS, FaultKind::as_str));
        self.metrics.duration.observe(usage.duration.as_secs_f64());
        self.metrics.memory_peak.observe(usage.memory_peak_bytes as f64);
        self.metrics.output_dropped.inc_by(usage.output_dropped_bytes);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.running.dec();
        if !self.counted {
            let kind = if std::thread::panicking() { FaultKind::Host.as_str() } else { CANCELLED };
            self.metrics.invocation_ended(kind);
        }
    }
}
