//! Some of a batch fail: what is deleted, what comes back and when, what ends in the dead-letter queue.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::json;
use support::config::{IN_MEMORY, function, mapping, plain_mapping, queue_with_dlq};
use support::sqs::{arn, receive_count, system};
use support::{Counts, PATIENCE, Wasmill, eventually};

/// Ten bodies, of which those at the places 2, 5 and 8 fail; and those places.
pub(crate) fn ten_of_which_three_fail() -> (Vec<String>, [usize; 3]) {
    let failing = [2, 5, 8];
    let body = |n: usize| {
        let echo = json!({"do": "echo_to_log", "n": n});
        if failing.contains(&n) { json!([echo, {"do": "fail"}]) } else { echo }.to_string()
    };
    ((0..10).map(body).collect(), failing)
}

#[tokio::test]
async fn of_ten_with_three_failures_seven_are_gone_and_three_come_back_until_they_are_dead_letters() {
    let visibility = Duration::from_secs(3);
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 3, 2)
        + &function("orders", "faulty", "")
        + &mapping("orders", "orders", "batch_size = 10");
    let worker = Wasmill::start(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log());
    let (bodies, failing) = ten_of_which_three_fail();
    let sent_at = Instant::now();
    let ids = sqs.send_batch("orders", &bodies).await;

    for body in &bodies {
        log.wait_for_said(PATIENCE, "orders", body, 1).await;
    }
    sqs.wait_for_counts(PATIENCE, "orders", Counts::in_flight(3)).await;

    for place in failing {
        let seen = log.wait_for_said(PATIENCE, "orders", &bodies[place], 2).await;
        let back_after = seen[1].seen_at - sent_at;
        assert!(back_after >= visibility, "message {place} came back after {back_after:?}");
    }
    sqs.wait_for_counts(PATIENCE, "orders-dlq", Counts::visible(3)).await;
    let dead_after = sent_at.elapsed();
    assert!(dead_after >= 2 * visibility, "dead after {dead_after:?}, two deliveries of {visibility:?} each");
    assert_eq!(sqs.counts("orders").await, Counts::EMPTY);
    for (place, body) in bodies.iter().enumerate() {
        let deliveries = if failing.contains(&place) { 2 } else { 1 };
        assert_eq!(log.said("orders", body).len(), deliveries, "deliveries of message {place}");
    }

    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 3).await;
    let dead_ids: BTreeSet<&str> = dead.iter().filter_map(|message| message.message_id()).collect();
    assert_eq!(dead_ids, failing.iter().map(|place| ids[*place].as_str()).collect());
    for message in &dead {
        let place = ids.iter().position(|id| Some(id.as_str()) == message.message_id()).unwrap();
        assert_eq!(message.body(), Some(bodies[place].as_str()));
        let source = system(message, &MessageSystemAttributeName::DeadLetterQueueSourceArn);
        assert_eq!(source, arn("orders"));
        // It goes on counting: twice from the source, and this receive.
        assert_eq!(receive_count(message), "3");
    }
    let verdicts = |verdict| [("mapping", "orders/orders"), ("verdict", verdict)];
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("done")).await as u32, 7);
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("retry")).await as u32, 6);
}

#[tokio::test]
async fn without_report_batch_item_failures_reported_failures_are_deleted_and_the_log_says_so() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("plain", 1, 1)
        + &function("orders", "faulty", "")
        + &plain_mapping("plain", "orders", "");
    let mut worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let (bodies, _) = ten_of_which_three_fail();
    sqs.send_batch("plain", &bodies).await;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 10).await;
    assert_eq!(sqs.counts("plain").await, Counts::EMPTY);
    assert_eq!(sqs.counts("plain-dlq").await, Counts::EMPTY);

    let ignored = worker.log().events("no ReportBatchItemFailures: they are deleted");
    assert!(ignored.iter().all(|line| line.field("level") == "ERROR" && line.field("mapping") == "plain/orders"));
    // The ten may have come in more than one batch.
    assert_eq!(ignored.iter().filter_map(|line| line.number("count")).sum::<u64>(), 3);
    worker.assert_sound().await;
}

#[tokio::test]
async fn an_error_fails_the_whole_batch_with_and_without_report_batch_item_failures() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("plain", 1, 1)
        + &queue_with_dlq("reporting", 1, 1)
        + &function("orders", "faulty", "")
        + &plain_mapping("plain", "orders", "")
        + &mapping("reporting", "orders", "");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    for queue in ["plain", "reporting"] {
        let body = json!([{"do": "fail"}, {"do": "error", "text": "no database today"}]).to_string();
        let id = sqs.send(queue, &body).await;
        let dead = sqs.receive_all(PATIENCE, &format!("{queue}-dlq"), 1).await;
        assert_eq!(dead[0].message_id(), Some(id.as_str()));
        assert_eq!(sqs.counts(queue).await, Counts::EMPTY);
    }
    let faults = worker.log().events("batch failed");
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults.iter().all(|line| line.field("reason") == "no database today"), "{faults:#?}");
}

#[tokio::test]
async fn a_failure_after_a_renewal_returns_when_the_visibility_counted_from_the_receive_ends() {
    let visibility = Duration::from_secs(6);
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("slow", 6, 100)
        + &function("orders", "faulty", "timeout = 20")
        + &mapping("slow", "orders", "");
    let worker = Wasmill::start(&config).await;
    // Renewed after three seconds, until the ninth; the verdict comes in the fifth.
    let body = r#"[{"do":"echo_to_log"},{"do":"sleep_ms","ms":4000},{"do":"fail"}]"#;
    let sent_at = Instant::now();
    worker.sqs().send("slow", body).await;
    let seen = worker.log().wait_for_said(PATIENCE, "orders", body, 2).await;
    assert!(seen[1].seen_at - sent_at >= visibility, "came back after {:?}", seen[1].seen_at - sent_at);
    let between = seen[1].seen_at - seen[0].seen_at;
    assert!(between < Duration::from_millis(8500), "came back {between:?} after its first delivery");
    assert!(worker.metric("wasmill_mapping_leases_renewed_total", &[]).await >= 1.0);
}

#[tokio::test]
async fn an_item_may_name_its_delay_or_ask_for_the_dead_letter_queue() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("choosy", 300, 100)
        + &function("orders", "faulty", "")
        + &mapping("choosy", "orders", "");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let soon = r#"[{"do":"echo_to_log"},{"do":"fail","retryAfterSeconds":2}]"#.to_owned();
    let dead = r#"[{"do":"echo_to_log"},{"do":"fail","deadLetterReason":"no such customer"}]"#.to_owned();
    let sent_at = Instant::now();
    let ids = sqs.send_batch("choosy", &[soon.clone(), dead.clone()]).await;

    let seen = worker.log().wait_for_said(PATIENCE, "orders", &soon, 2).await;
    assert!(seen[1].seen_at - sent_at >= Duration::from_secs(2));
    let buried = sqs.receive_all(PATIENCE, "choosy-dlq", 1).await;
    assert_eq!(buried[0].message_id(), Some(ids[1].as_str()));
    assert_eq!(system(&buried[0], &MessageSystemAttributeName::DeadLetterQueueSourceArn), arn("choosy"));
    assert_eq!(worker.log().said("orders", &dead).len(), 1, "never delivered again");
    let verdicts = [("verdict", "dead_letter")];
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts).await as u32, 1);
    eventually(PATIENCE, async || {
        let counts = sqs.counts("choosy").await;
        support::wait::holds(counts.visible + counts.in_flight == 1, || format!("{counts:?}"))
    })
    .await;
}
