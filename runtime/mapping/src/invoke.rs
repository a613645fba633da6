//! Around the handler: what stands between a batch and its verdicts. Nothing above it can see an error: it answers a
//! judgement.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tracing::Instrument;
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Reply};

use crate::judge::{Judgement, judge};
use crate::metrics::MappingMetrics;
use crate::route::Callee;

/// What runs a function: the sandbox, or a script in tests. It enforces the function's timeout itself.
pub type Handler = BoxCloneSyncService<Invocation, Reply, Fault>;

/// How long past its timeout a function may take to be stopped before the mapping gives up on the handler itself.
const BACKSTOP_GRACE: Duration = Duration::from_secs(10);

/// What is needed to judge a handler's answers. A batch in, its judgement out, by [`Judge::invoke`], which calls the
/// others one within the other. Concurrency is none of them: the permit was taken before the receive, because the visibility
/// clock starts there. Nor is the function's timeout: only the sandbox can stop a guest.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) mapping: String,
    pub(crate) reports_item_failures: bool,
    pub(crate) metrics: MappingMetrics,
}

impl Judge {
    /// Everything that is logged while a batch runs, whoever logs it, carries the request id and the mapping.
    pub(crate) async fn invoke(&self, callee: &Callee, invocation: Invocation) -> Judgement {
        let span = tracing::info_span!("batch", request_id = invocation.request_id, mapping = self.mapping);
        self.measured(callee, invocation).instrument(span).await
    }

    /// Counted outside of judging, so that an answer that breaks the contract counts as the failure it is.
    async fn measured(&self, callee: &Callee, invocation: Invocation) -> Judgement {
        let started = Instant::now();
        let judgement = self.judged(callee, invocation).await;
        self.metrics.invoked(started.elapsed(), judgement.fault.as_ref());
        judgement
    }

    /// Every answer and every fault becomes one verdict per record; no error goes further out than here.
    async fn judged(&self, callee: &Callee, invocation: Invocation) -> Judgement {
        let payload = invocation.payload.clone();
        let answer = bounded(callee, invocation).await;
        let ids: Vec<&str> = match &payload {
            Payload::Batch { records, .. } => records.iter().map(|record| &*record.message_id).collect(),
            Payload::Json(_) => Vec::new(),
        };
        judge(&ids, self.reports_item_failures, answer)
    }
}

/// A handler that can neither finish nor be stopped must not hold its batch for twelve hours.
async fn bounded(callee: &Callee, invocation: Invocation) -> Result<Reply, Fault> {
    let longest = callee.timeout + BACKSTOP_GRACE;
    tokio::time::timeout(longest, unwinding(callee, invocation)).await.unwrap_or_else(|_| {
        let message = format!("the handler could not be stopped within {} s", longest.as_secs());
        Err(Fault::new(FaultKind::Host, message))
    })
}

/// A panic in host code is the fault of one batch, not the end of the mapping.
async fn unwinding(callee: &Callee, invocation: Invocation) -> Result<Reply, Fault> {
    let call = AssertUnwindSafe(callee.handler.clone().oneshot(invocation));
    call.catch_unwind().await.unwrap_or_else(|panic| Err(Fault::new(FaultKind::Host, panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the host panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use tower::service_fn;
    use wasmill_event::{Account, Record, Verdict};

    use super::*;
    use crate::metrics::Metrics;

    fn batch_of(ids: &[&str]) -> Invocation {
        let record = |id: &&str| Record {
            message_id: (*id).into(),
            receipt_handle: "".into(),
            body: String::new(),
            attributes: Vec::new(),
            message_attributes: Vec::new(),
            md5_of_message_attributes: None,
            md5_of_body: String::new(),
            event_source_arn: "".into(),
            aws_region: "".into(),
        };
        let records = Arc::new(ids.iter().map(record).collect());
        let payload = Payload::Batch { records, windowed: false };
        Invocation { request_id: "r".into(), payload, trace_id: None, trace: None, account: Account::default() }
    }

    async fn judge_with<F, T>(handler: F) -> Judgement
    where
        F: Fn(Invocation) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap().of_mapping("q/f", "q", "f");
        let judge = Judge { mapping: "q/f".into(), reports_item_failures: true, metrics };
        let handler = BoxCloneSyncService::new(service_fn(handler));
        let callee = Callee::new(handler, "$LATEST", Duration::from_secs(3));
        judge.invoke(&callee, batch_of(&["a", "b"])).await
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
