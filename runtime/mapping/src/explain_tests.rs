//! What is kept of failures, through the whole line.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use wasmill_event::{CodeName, Fault, FaultKind, Invocation, Payload, Record, Reply, Told, Verdict};
use wasmill_queue::{FailedAttempt, LocalQueue, PeekRequest, Peeked};

use crate::MappingOptions;
use crate::door::Remote;
use crate::invoke::Handler;
use crate::line_tests::{Bench, failing, until};
use crate::mapping::start;
use crate::permits::Permits;

/// A handler that takes a quarter of a second, tells of itself as the sandbox does, and answers.
fn telling(answer: impl Fn(&[Record]) -> Result<Reply, Fault> + Clone + Send + Sync + 'static) -> Handler {
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let answer = answer.clone();
        async move {
            let Payload::Batch { records, .. } = invocation.payload else { panic!("a mapping sends batches") };
            sleep(Duration::from_millis(250)).await;
            let log_tail = records.iter().map(|record| record.body.clone()).collect::<Vec<_>>().join("\n");
            let code = Some(Arc::new(CodeName { version: "7".into(), sha256: "ab".into() }));
            invocation.account.tell(Told { code, log_tail, backtrace: "charge\nhandle".into() });
            answer(&records)
        }
    }))
}

async fn peek(queue: &LocalQueue) -> Vec<Peeked> {
    queue.peek(&PeekRequest { max_messages: 10, ..PeekRequest::default() }).await.unwrap()
}

fn said(attempts: &[FailedAttempt]) -> Vec<(&str, &str, u32, &str)> {
    let rows = attempts.iter();
    rows.map(|one| (one.kind.as_str(), one.message.as_str(), one.receive_count, one.log_tail.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_by_count_has_every_attempt_with_its_fault_log_and_version() {
    let bench = Bench::new(30).await;
    bench.send(["poison".to_owned()]).await;
    let mapping = start(bench.local(1, telling(|_| Err(Fault::new(FaultKind::Trap, "unreachable")))));
    until(|| bench.dead.describe().unwrap().visible == 1).await;
    let letters = peek(&bench.dead).await;
    let attempts = &letters[0].attempts;
    let expected = [1, 2, 3].map(|receive| ("trap", "unreachable", receive, "poison"));
    assert_eq!(said(attempts), expected);
    let first = &attempts[0];
    assert_eq!((first.function.as_str(), first.function_version.as_str(), first.duration_ms), ("f", "7", 250));
    assert_eq!((first.code_sha256.as_str(), first.backtrace.as_str()), ("ab", "charge\nhandle"));
    assert_eq!(attempts[2].ended_unix_ms - first.ended_unix_ms, 60_000, "two visibility timeouts");
    let mut requests: Vec<&str> = attempts.iter().map(|attempt| attempt.request_id.as_str()).collect();
    requests.dedup();
    assert_eq!(requests.len(), 3);
    mapping.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_failed_is_explained() {
    let bench = Bench::new(30).await;
    bench.send(["a", "b", "c"].map(str::to_owned)).await;
    let mapping = start(bench.local(1, telling(|records| Ok(failing(records, |record| record.body == "b")))));
    sleep(Duration::from_secs(1)).await;
    let left = peek(&bench.queue).await;
    assert_eq!(left.len(), 1);
    assert_eq!(said(&left[0].attempts), [("item_failure", "the handler gave it back", 1, "a\nb\nc")]);
    mapping.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_verdicts_reason_is_in_the_history_and_a_release_is_no_attempt() {
    let bench = Bench::new(30).await;
    bench.send(["dead".to_owned()]).await;
    let answer = |_: &[Record]| Ok(Reply::Verdicts(vec![Verdict::DeadLetter { reason: "no such item".into() }]));
    let mapping = start(bench.local(1, telling(answer)));
    until(|| bench.dead.describe().unwrap().visible == 1).await;
    let letters = peek(&bench.dead).await;
    assert_eq!(letters[0].dead_letter_reason.as_deref(), Some("no such item"));
    let expected = [("item_failure", "the handler gave it up: no such item", 1, "dead")];
    assert_eq!(said(&letters[0].attempts), expected);
    mapping.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_crashed_the_culprit_has_the_crash_and_the_others_nothing() {
    let bench = Bench::new(30).await;
    bench.send((0..4).map(|n| n.to_string())).await;
    let crash = |records: &[Record]| {
        if records.iter().any(|record| record.body == "2") {
            return Err(Fault::new(FaultKind::Trap, "crash"));
        }
        Ok(failing(records, |record| record.body == "3"))
    };
    let mapping = start(bench.local(1, telling(crash)));
    sleep(Duration::from_secs(3)).await;
    let left = peek(&bench.queue).await;
    let shown: Vec<(&str, Vec<&str>)> = left
        .iter()
        .map(|message| (message.body.as_str(), message.attempts.iter().map(|attempt| attempt.kind.as_str()).collect()))
        .collect();
    assert_eq!(shown, [("2", vec!["trap"]), ("3", vec!["item_failure"])]);
    assert_eq!(left[0].attempts[0].log_tail, "2", "of the run in which it was alone");
    mapping.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_last_receive_that_the_queue_allows_the_mapping_moves_the_message_where_it_is_told_to() {
    for (is_told, expected_reason) in [(true, Some("trap: unreachable (attempt 3 of 3)")), (false, None)] {
        let bench = Bench::new(30).await;
        bench.send(["poison".to_owned()]).await;
        let handler = telling(|_| Err(Fault::new(FaultKind::Trap, "unreachable")));
        let options = bench.options(Arc::new(Remote::new(&bench.queue)), &Permits::new(1), handler);
        let began = tokio::time::Instant::now();
        let mapping = start(MappingOptions { dead_letters_last_attempts: is_told, ..options });
        until(|| bench.dead.describe().unwrap().visible == 1).await;
        let took = began.elapsed().as_secs();
        assert_eq!(took, if is_told { 60 } else { 90 }, "without waiting for one more receive");
        assert_eq!(peek(&bench.dead).await[0].dead_letter_reason.as_deref(), expected_reason);
        mapping.drain(Duration::ZERO).await;
    }
}
