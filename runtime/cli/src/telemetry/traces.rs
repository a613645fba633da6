//! Traces: draws ids, decides what is kept, and hands the spans that have ended to whoever exports them. All that knows
//! OpenTelemetry is here and below: the line knows only its own spans (`wasmill_event::Span`).
//!
//! ```text
//! mapping, sandbox ──Span──▶ semantics.rs ──SpanData──▶ outbox.rs (bounded) ──▶ collector.rs: OTLP over HTTP or gRPC
//! ```
//! The SDK's own tracer and processor are not used: its processor counts no drops, and a span of ours is whole when it is
//! first heard of. Its exporter, ids and sampler are.

mod collector;
mod outbox;
mod semantics;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};
use prometheus::Registry;
use wasmill_event::{Producer, Span, TraceContext, Tracer};

use crate::config::{Sampling, Traces};
use crate::error::CliError;
use crate::telemetry::traces::outbox::{Exporting, Outbox};
use crate::telemetry::traces::semantics::Semantics;

/// Traces under way: spans go in, and are exported until it is ended.
#[derive(Debug)]
pub(crate) struct Exported {
    tracer: Arc<SpanTracer>,
    exporting: Exporting,
}

impl Exported {
    /// Begins to export. Nothing is connected to before there is a span. Needs a tokio runtime.
    pub(crate) fn start(config: &Traces, registry: &Registry) -> Result<Self, CliError> {
        let outbox = Arc::new(
            Outbox::new(config.max_queued_spans as usize, registry)
                .map_err(|error| CliError::internal(format!("a metric was registered twice: {error}")))?,
        );
        let (exporter, trouble) = collector::exporter(config)?;
        let exporting = Exporting::start(Arc::clone(&outbox), exporter, trouble, config);
        let tracer = SpanTracer {
            ids: RandomIdGenerator::default(),
            sampling: config.sampling,
            sampler: Sampler::TraceIdRatioBased(config.sampling.ratio),
            semantics: Semantics::new(),
            outbox,
        };
        let (endpoint, protocol) = (config.endpoint.as_str(), config.protocol.word());
        tracing::info!(endpoint, protocol, sampling_ratio = config.sampling.ratio, "traces are exported");
        Ok(Self { tracer: Arc::new(tracer), exporting })
    }

    /// What the line gives its spans to.
    pub(crate) fn tracer(&self) -> Arc<dyn Tracer> {
        Arc::clone(&self.tracer) as Arc<dyn Tracer>
    }

    /// Exports what is left, as far as that takes no longer.
    pub(crate) async fn end(self, within: Duration) {
        self.exporting.end(within).await;
    }
}

#[derive(Debug)]
struct SpanTracer {
    ids: RandomIdGenerator,
    sampling: Sampling,
    sampler: Sampler,
    semantics: Semantics,
    outbox: Arc<Outbox>,
}

impl SpanTracer {
    fn keeps(&self, trace_id: [u8; 16]) -> bool {
        let trace_id = TraceId::from_bytes(trace_id);
        let sampled = self.sampler.should_sample(None, trace_id, "", &SpanKind::Consumer, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }
}

/// A trace id that X-Ray takes, too: it begins with the time, in seconds. The other twelve bytes are random, those that sampling goes by among them.
fn begin_with_time(mut trace_id: [u8; 16], now: SystemTime) -> [u8; 16] {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes();
    for (byte, time) in trace_id.iter_mut().zip(seconds) {
        *byte = time;
    }
    trace_id
}

impl Tracer for SpanTracer {
    fn root(&self, producer: Option<&Producer>) -> TraceContext {
        let trace_id = match producer {
            Some(producer) => producer.context.trace_id,
            None => begin_with_time(self.ids.new_trace_id().to_bytes(), SystemTime::now()),
        };
        let decided = producer.filter(|producer| producer.is_decided && self.sampling.follows_producers);
        let is_sampled = decided.map_or_else(|| self.keeps(trace_id), |producer| producer.context.is_sampled);
        TraceContext { trace_id, span_id: self.ids.new_span_id().to_bytes(), is_sampled }
    }

    fn child(&self, parent: TraceContext) -> TraceContext {
        TraceContext { span_id: self.ids.new_span_id().to_bytes(), ..parent }
    }

    fn take(&self, span: Span) {
        self.outbox.put(self.semantics.exported(span));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::HashSet;

    use super::*;

    fn tracer(follows_producers: bool, ratio: f64) -> SpanTracer {
        SpanTracer {
            ids: RandomIdGenerator::default(),
            sampling: Sampling { follows_producers, ratio },
            sampler: Sampler::TraceIdRatioBased(ratio),
            semantics: Semantics::new(),
            outbox: Arc::new(Outbox::new(1, &Registry::new()).unwrap()),
        }
    }

    fn producer(is_sampled: bool, is_decided: bool) -> Producer {
        let context = TraceContext { trace_id: [0x7f; 16], span_id: [2; 8], is_sampled };
        Producer { context, is_decided, state: None }
    }

    #[test]
    fn of_new_traces_the_ratio_is_kept() {
        for (ratio, expected) in [(0.0, 0..=0), (0.1, 700..=1300), (0.5, 4600..=5400), (1.0, 10_000..=10_000)] {
            let tracer = tracer(true, ratio);
            let kept = (0..10_000).filter(|_| tracer.root(None).is_sampled).count();
            assert!(expected.contains(&kept), "{kept} of 10000 at {ratio}");
        }
    }

    #[test]
    fn what_a_producer_decided_holds_where_that_is_wanted() {
        for (follows, ratio, producer, expected) in [
            (true, 0.0, producer(true, true), true),
            (true, 1.0, producer(false, true), false),
            (true, 1.0, producer(false, false), true),
            (true, 0.0, producer(false, false), false),
            (false, 0.0, producer(true, true), false),
            (false, 1.0, producer(false, true), true),
        ] {
            let context = tracer(follows, ratio).root(Some(&producer));
            assert_eq!(
                (context.is_sampled, context.trace_id),
                (expected, [0x7f; 16]),
                "{follows} {ratio} {producer:?}"
            );
        }
    }

    #[test]
    fn ids_differ_and_a_traces_begins_with_the_time() {
        let tracer = tracer(true, 1.0);
        let roots: Vec<TraceContext> = (0..1000).map(|_| tracer.root(None)).collect();
        let ids: HashSet<[u8; 16]> = roots.iter().map(|root| root.trace_id).collect();
        let spans: HashSet<[u8; 8]> = roots.iter().map(|root| tracer.child(*root).span_id).collect();
        assert_eq!((ids.len(), spans.len()), (1000, 1000));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(0x5759_e988);
        assert!(begin_with_time([0xff; 16], at).starts_with(&[0x57, 0x59, 0xe9, 0x88, 0xff]));
        assert_eq!(tracer.child(roots[0]).trace_id, roots[0].trace_id);
    }
}
