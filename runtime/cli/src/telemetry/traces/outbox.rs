//! Spans that wait to be exported, and who exports them. Their number is bounded: what finds no place is dropped and counted, and nobody
//! waits for a collector.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Traces;
use crate::telemetry::traces::collector::Trouble;

/// The most spans of one export.
const EXPORT_SPANS_MAX: usize = 512;
/// The most links of one export: at a hundred bytes each they stay far below the 4 MiB that a collector takes at once.
const EXPORT_LINKS_MAX: usize = 8192;
/// How long a span waits for others to go with.
const EXPORT_EVERY: Duration = Duration::from_secs(1);
/// How often it is said that spans are lost.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Where spans wait.
pub(super) struct Outbox {
    spans_max: usize,
    waiting: Mutex<Waiting>,
    /// There is enough to export, or it is the end.
    due: Notify,
    exported: IntCounter,
    queue_full: IntCounter,
    export_failed: IntCounter,
    shutdown: IntCounter,
}

#[derive(Default)]
struct Waiting {
    spans: VecDeque<SpanData>,
    links: usize,
    is_closed: bool,
}

impl Outbox {
    pub(super) fn new(spans_max: usize, registry: &Registry) -> Result<Self, prometheus::Error> {
        let exported =
            IntCounter::new("wasmill_traces_exported_spans_total", "Spans that the collector of traces has taken.")?;
        registry.register(Box::new(exported.clone()))?;
        let options = Opts::new(
            "wasmill_traces_dropped_spans_total",
            "Spans that were not exported: too many waited, the collector did not take them, or the worker ended first.",
        );
        let dropped = IntCounterVec::new(options, &["reason"])?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self {
            spans_max,
            waiting: Mutex::default(),
            due: Notify::new(),
            exported,
            queue_full: dropped.with_label_values(&["queue_full"]),
            export_failed: dropped.with_label_values(&["export_failed"]),
            shutdown: dropped.with_label_values(&["shutdown"]),
        })
    }

    /// Takes a span, if there is a place for it.
    pub(super) fn put(&self, span: SpanData) {
        let links = span.links.len();
        let is_due = {
            let mut waiting = self.waiting();
            let is_full = waiting.spans.len() >= self.spans_max || waiting.links + links > self.links_max();
            if is_full || waiting.is_closed {
                if waiting.is_closed {
                    self.shutdown.inc();
                } else {
                    self.queue_full.inc();
                }
                return;
            }
            waiting.links += links;
            waiting.spans.push_back(span);
            self.is_enough(&waiting)
        };
        if is_due {
            self.due.notify_one();
        }
    }

    fn is_enough(&self, waiting: &Waiting) -> bool {
        waiting.spans.len() >= EXPORT_SPANS_MAX.min(self.spans_max) || waiting.links >= EXPORT_LINKS_MAX
    }

    fn is_due(&self) -> bool {
        let waiting = self.waiting();
        waiting.is_closed || self.is_enough(&waiting)
    }

    /// A batch's span may have a hundred links: they are what memory goes by then.
    fn links_max(&self) -> usize {
        EXPORT_LINKS_MAX.max(self.spans_max.saturating_mul(EXPORT_LINKS_MAX / EXPORT_SPANS_MAX))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what one export may have. The first goes in any case.
    fn take(&self) -> Vec<SpanData> {
        let mut waiting = self.waiting();
        let mut links = 0;
        let fitting = waiting.spans.iter().take(EXPORT_SPANS_MAX).take_while(|span| {
            links += span.links.len();
            links <= EXPORT_LINKS_MAX
        });
        let count = fitting.count().max(1).min(waiting.spans.len());
        let spans: Vec<SpanData> = waiting.spans.drain(..count).collect();
        waiting.links -= spans.iter().map(|span| span.links.len()).sum::<usize>();
        spans
    }

    /// What is to be exported next, when it is time; none at the end.
    async fn next(&self) -> Option<Vec<SpanData>> {
        loop {
            let latest = Instant::now() + EXPORT_EVERY;
            while !self.is_due() && timeout_at(latest, self.due.notified()).await.is_ok() {}
            let spans = self.take();
            if !spans.is_empty() {
                return Some(spans);
            }
            if self.waiting().is_closed {
                return None;
            }
        }
    }

    /// From here on nothing is taken any more.
    fn close(&self) {
        self.waiting().is_closed = true;
        self.due.notify_one();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("spans_max", &self.spans_max).finish_non_exhaustive()
    }
}

/// The task that exports.
#[derive(Debug)]
pub(super) struct Exporting {
    outbox: Arc<Outbox>,
    task: JoinHandle<()>,
    under_way: Arc<Mutex<usize>>,
}

impl Exporting {
    pub(super) fn start(
        outbox: Arc<Outbox>,
        exporter: impl SpanExporter + 'static,
        trouble: Trouble,
        config: &Traces,
    ) -> Self {
        let under_way = Arc::new(Mutex::new(0));
        let (source, count, longest) = (Arc::clone(&outbox), Arc::clone(&under_way), config.timeout);
        let task = tokio::spawn(async move {
            let mut said = Said::default();
            while let Some(spans) = source.next().await {
                let len = spans.len();
                *count.lock().unwrap_or_else(PoisonError::into_inner) = len;
                let failure = match timeout(longest, exporter.export(spans)).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(trouble.explain(&error.to_string())),
                    Err(_) => Some(format!("the collector did not answer within {} s", longest.as_secs_f64())),
                };
                *count.lock().unwrap_or_else(PoisonError::into_inner) = 0;
                match &failure {
                    None => source.exported.inc_by(len as u64),
                    Some(_) => source.export_failed.inc_by(len as u64),
                }
                said.note(failure);
                if said.is_long_ago() {
                    said.say(&source);
                }
            }
            said.say(&source);
        });
        Self { outbox, task, under_way }
    }

    /// Exports what is left, as far as that takes no longer.
    pub(super) async fn end(self, within: Duration) {
        self.outbox.close();
        let mut task = self.task;
        if timeout(within, &mut task).await.is_ok() {
            return;
        }
        task.abort();
        let waiting = self.outbox.waiting().spans.len();
        let left = waiting + *self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.outbox.shutdown.inc_by(left as u64);
        tracing::warn!(spans = left, "the collector of traces did not take the last spans in time: they are lost");
    }
}

/// What was said of lost spans, so that it is not said all the time.
#[derive(Default)]
struct Said {
    at: Option<Instant>,
    lost: u64,
    /// Why an export failed last, of what was not said yet.
    reason: Option<String>,
}

impl Said {
    fn note(&mut self, failure: Option<String>) {
        self.reason = failure.or(self.reason.take());
    }

    /// Says what was lost since it was said last.
    fn say(&mut self, outbox: &Outbox) {
        let lost = outbox.export_failed.get() + outbox.queue_full.get();
        if lost == self.lost {
            return;
        }
        let reason = self.reason.take().unwrap_or_else(|| "they end faster than the collector takes them".to_owned());
        tracing::warn!(spans = lost - self.lost, reason, "spans are lost: they could not be exported");
        (self.at, self.lost) = (Some(Instant::now()), lost);
    }

    fn is_long_ago(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= SAY_EVERY)
    }
}

#[cfg(test)]
mod tests;
