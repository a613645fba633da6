//! The tower stack between a batch and its verdicts. Nothing above it can see an error: it answers a judgement.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::Instrument;
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Reply};

use crate::judge::{Judgement, judge};
use crate::metrics::MappingMetrics;

/// What runs a function: the sandbox, or a script in tests. It enforces the function's timeout itself.
pub type Handler = BoxCloneSyncService<Invocation, Reply, Fault>;

/// A batch in, its judgement out.
pub(crate) type Judge = BoxCloneSyncService<Invocation, Judgement, Infallible>;

/// How long past its timeout a function may take to be stopped before the mapping gives up on the handler itself.
const BACKSTOP_GRACE: Duration = Duration::from_secs(10);

/// What the stack needs to know of the mapping.
#[derive(Debug, Clone)]
pub(crate) struct StackOptions {
    pub(crate) mapping: String,
    pub(crate) reports_item_failures: bool,
    pub(crate) function_timeout: Duration,
    pub(crate) metrics: MappingMetrics,
}

/// Builds the stack, outermost layer first. Concurrency is no layer: the permit was taken before the receive, because
/// the visibility clock starts there. Nor is the function's timeout: only the sandbox can stop a guest.
pub(crate) fn stack(handler: Handler, options: StackOptions) -> Judge {
    let StackOptions { mapping, reports_item_failures, function_timeout, metrics } = options;
    ServiceBuilder::new()
        // Everything that is logged while a batch runs, whoever logs it, carries the request id and the mapping.
        .layer(layer_fn(move |inner| spanned(inner, mapping.clone())))
        // Counted outside of judging, so that an answer that breaks the contract counts as the failure it is.
        .layer(layer_fn(move |inner| measured(inner, metrics.clone())))
        // Every answer and every fault becomes one verdict per record; no error goes further out than here.
        .layer(layer_fn(move |inner| judged(inner, reports_item_failures)))
        // A handler that can neither finish nor be stopped must not hold its batch for twelve hours.
        .layer(layer_fn(move |inner| bounded(inner, function_timeout + BACKSTOP_GRACE)))
        // A panic in host code is the fault of one batch, not the end of the mapping.
        .layer(layer_fn(unwinding))
        .service(handler)
}

fn spanned(inner: Judge, mapping: String) -> Judge {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let span = tracing::info_span!("batch", request_id = invocation.request_id, mapping);
        inner.clone().oneshot(invocation).instrument(span)
    }))
}

fn measured(inner: Judge, metrics: MappingMetrics) -> Judge {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let (inner, metrics) = (inner.clone(), metrics.clone());
        async move {
            let started = Instant::now();
            let judgement = inner.oneshot(invocation).await?;
            metrics.invoked(started.elapsed(), judgement.fault.as_ref());
            Ok(judgement)
        }
    }))
}

fn judged(inner: Handler, reports_item_failures: bool) -> Judge {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let inner = inner.clone();
        async move {
            let payload = invocation.payload.clone();
            let answer = inner.oneshot(invocation).await;
            let ids: Vec<&str> = match &payload {
                Payload::Batch { records, .. } => records.iter().map(|record| record.message_id.as_str()).collect(),
                Payload::Json(_) => Vec::new(),
            };
            Ok(judge(&ids, reports_item_failures, answer))
        }
    }))
}

fn bounded(inner: Handler, longest: Duration) -> Handler {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let inner = inner.clone();
        async move {
            match tokio::time::timeout(longest, inner.oneshot(invocation)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let message = format!("the handler could not be stopped within {} s", longest.as_secs());
                    Err(Fault::new(FaultKind::Host, message))
                }
            }
        }
    }))
}

fn unwinding(inner: Handler) -> Handler {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let call = AssertUnwindSafe(inner.clone().oneshot(invocation));
        async move {
            let panicked = |panic: Box<dyn Any + Send>| Fault::new(FaultKind::Host, panic_message(&*panic));
            call.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic)))
        }
    }))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the host panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use wasmill_event::{Record, Verdict};

    use super::*;
    use crate::metrics::Metrics;

    fn batch_of(ids: &[&str]) -> Invocation {
        let record = |id: &&str| Record {
            message_id: (*id).to_owned(),
            receipt_handle: String::new(),
            body: String::new(),
            attributes: Vec::new(),
            message_attributes: Vec::new(),
            md5_of_message_attributes: None,
            md5_of_body: String::new(),
            event_source_arn: String::new(),
            aws_region: String::new(),
        };
        let records = Arc::new(ids.iter().map(record).collect());
        let payload = Payload::Batch { records, windowed: false };
        Invocation { request_id: "r".into(), payload, trace_id: None }
    }

    fn options() -> StackOptions {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap().of_mapping("q/f", "q", "f");
        StackOptions {
            mapping: "q/f".into(),
            reports_item_failures: true,
            function_timeout: Duration::from_secs(3),
            metrics,
        }
    }

    async fn judge_with<F, T>(handler: F) -> Judgement
    where
        F: Fn(Invocation) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        let handler = BoxCloneSyncService::new(service_fn(handler));
        stack(handler, options()).oneshot(batch_of(&["a", "b"])).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_becomes_verdicts() {
        let failures = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        let judgement = judge_with(move |_| async move { Ok(Reply::Json(failures.into())) }).await;
        assert_eq!(judgement.verdicts, [Verdict::Done, Verdict::Retry { after_seconds: None }]);
    }

    #[tokio::test]
    async fn a_panic_in_the_host_is_a_fault_of_the_batch() {
        let judgement = judge_with(|_| async { panic!("boom") }).await;
        assert_eq!(judgement.fault, Some(Fault::new(FaultKind::Host, "the host panicked: boom")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_cannot_be_stopped_is_given_up_ten_seconds_after_its_timeout() {
        let started = Instant::now();
        let judgement = judge_with(|_| std::future::pending()).await;
        assert_eq!(judgement.fault.map(|fault| fault.kind), Some(FaultKind::Host));
        assert_eq!(started.elapsed().as_secs(), 13);
    }
}
