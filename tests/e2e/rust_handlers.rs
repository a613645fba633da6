//! Handlers written with the crate `wasmill-handler`: the four verdicts of the typed way, and what the JSON way asks for
//! beyond Lambda's response.

use std::time::Duration;

use serde_json::{Value, json};
use support::config::{IN_MEMORY, function, mapping, plain_mapping, queue_with_dlq};
use support::wait::holds;
use support::{Counts, PATIENCE, Wasmill, eventually};

/// Longer than the test may take: what comes back before was sent back.
const VISIBILITY_SECONDS: u32 = 600;

/// The messages that lie in a queue, as the built-in queue's owner sees them.
async fn messages(worker: &Wasmill, queue: &str) -> Vec<Value> {
    let answer = worker.get(&format!("/api/queues/{queue}/messages")).await.unwrap();
    answer.json()["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_of_the_four_verdicts_of_a_typed_handler_becomes_of_its_message() {
    // Without ReportBatchItemFailures: verdicts need no permission.
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("typed", VISIBILITY_SECONDS, 2)
        + &function("echo", "echo", "")
        + &plain_mapping("typed", "echo", "batch_size = 10");
    let mut worker = Wasmill::start(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    let bodies = ["hello", "retry 2", "dead-letter nobody wants it", "release 400"].map(str::to_owned);
    let ids = sqs.send_batch("typed", &bodies).await;
    let delivery = |count: u32, place: usize| format!("delivery {count} of {}: {}", ids[place], bodies[place]);

    log.wait_for_said(PATIENCE, "echo", &delivery(1, 0), 1).await;

    let first = log.wait_for_said(PATIENCE, "echo", &delivery(1, 1), 1).await;
    let second = log.wait_for_said(PATIENCE, "echo", &delivery(2, 1), 1).await;
    let back_after = second[0].seen_at - first[0].seen_at;
    // A tenth for the time between the line and its being read.
    assert!(back_after >= Duration::from_millis(1_900), "back after {back_after:?}");

    sqs.wait_for_counts(PATIENCE, "typed-dlq", Counts::visible(1)).await;
    let dead = messages(&worker, "typed-dlq").await;
    assert_eq!(dead[0]["message_id"], ids[2].as_str());
    assert_eq!(dead[0]["dead_letter_reason"], "nobody wants it");

    // What is released was not tried: however often it is delivered, it stays the first time.
    sqs.wait_for_counts(PATIENCE, "typed", Counts::EMPTY).await;
    assert!(log.said("echo", &delivery(1, 3)).len() >= 2, "released once at least\n{}", log.end());
    for (place, deliveries) in [(0, 1), (1, 2), (2, 1)] {
        let said = log.pick(|line| line.field("function") == "echo" && line.message().contains(&ids[place]));
        assert_eq!(said.len(), deliveries, "{said:#?}");
    }
    let counted = log.pick(|line| line.message().contains(&ids[3]) && !line.message().starts_with("delivery 1 "));
    assert!(counted.is_empty(), "{counted:#?}");
    for (verdict, at_least) in [("done", 3), ("retry", 1), ("dead_letter", 1), ("release", 1)] {
        let labels = [("mapping", "typed/echo"), ("verdict", verdict)];
        let counted = worker.metric("wasmill_mapping_verdicts_total", &labels).await as u32;
        assert!(counted >= at_least && (counted == at_least || verdict == "release"), "{verdict}: {counted}");
    }
    worker.assert_sound().await;
}

#[tokio::test]
async fn a_json_handler_says_when_a_message_is_to_come_back_and_why_it_is_dead() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", VISIBILITY_SECONDS, 5)
        + &function("orders", "orders", "")
        + &mapping("orders", "orders", "batch_size = 10");
    let worker = Wasmill::start(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log());
    let busy = json!({"id": "o-1", "sku": "tea", "quantity": 1, "payment": "busy"}).to_string();
    let none = json!({"id": "o-2", "sku": "tea", "quantity": 0}).to_string();
    let ids = sqs.send_batch("orders", &[busy, none]).await;

    let refused = log.wait_for_said(PATIENCE, "orders", "order o-1: not charged: the payment service is busy", 1).await;
    let charged = log.wait_for_said(PATIENCE, "orders", "order o-1: charged 1 x tea", 1).await;
    let back_after = charged[0].seen_at - refused[0].seen_at;
    assert!(back_after >= Duration::from_millis(900), "back after {back_after:?}");

    let reason = "malformed order: o-2 wants 0 x tea";
    log.wait_for_said(PATIENCE, "orders", &format!("message {}: {reason}", ids[1]), 1).await;
    let dead = eventually(PATIENCE, async || {
        let dead = messages(&worker, "orders-dlq").await;
        holds(dead.len() == 1, || format!("{dead:?}"))?;
        Ok(dead)
    })
    .await;
    assert_eq!((&dead[0]["message_id"], &dead[0]["dead_letter_reason"]), (&json!(ids[1]), &json!(reason)));
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    worker.stop().await;
}

#[tokio::test]
async fn an_event_of_another_kind_is_an_error_in_lambdas_form() {
    let event = support::command::wasmill_with_input(
        ["invoke".into(), support::places::guest("orders"), "--event".into(), "-".into()],
        r#"{"detail-type":"Object Created"}"#,
    );
    event.assert_fails(1, &["handler_error: {\"errorType\":\"Runtime.UnmarshalError\"", "missing field `Records`"]);
}
