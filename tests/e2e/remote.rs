//! A worker without a built-in queue, on the queues of another process, through the AWS SDK.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use rustix::process::Signal;
use serde_json::json;
use support::config::{function, mapping};
use support::sqs::arn;
use support::wait::holds;
use support::worker::lasting_port;
use support::{Counts, Home, PATIENCE, Sqs, eventually};

use crate::happy::{assert_echoed, delicate_bodies};
use crate::partial_failure::ten_of_which_three_fail;

/// A worker's configuration up to its functions: nothing local but the port for monitors.
fn worker_at(endpoint: &str) -> String {
    format!("[admin]\nlisten = \"127.0.0.1:0\"\n[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n")
}

/// Creates a queue with a dead-letter queue.
async fn create(sqs: &Sqs, name: &str, visibility_timeout: &str, max_receive_count: u32) {
    let dlq = format!("{name}-dlq");
    sqs.create(&dlq, &[]).await;
    let policy = json!({"deadLetterTargetArn": arn(&dlq), "maxReceiveCount": max_receive_count}).to_string();
    let attributes = [
        (QueueAttributeName::VisibilityTimeout, visibility_timeout),
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
    ];
    sqs.create(name, &attributes).await;
}

#[tokio::test]
async fn a_remote_queue_is_a_source_by_its_url_and_by_its_arn() {
    let server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    sqs.create("bodies", &[]).await;
    for name in ["by-url", "by-arn"] {
        create(&sqs, name, "2", 2).await;
    }
    let config = worker_at(sqs.endpoint())
        + &function("echo", "faulty", "timeout = 20")
        + &function("by-url", "faulty", "timeout = 20")
        + &function("by-arn", "faulty", "timeout = 20")
        + &mapping(&sqs.url("bodies"), "echo", "batch_size = 1")
        + &mapping(&sqs.url("by-url"), "by-url", "")
        + &mapping(&arn("by-arn"), "by-arn", "");
    let mut worker = Home::new().run(&config).await;
    assert!(worker.log().events("SQS listening").is_empty(), "no listener for the AWS APIs without a built-in queue");

    let bodies = delicate_bodies();
    for body in &bodies {
        sqs.send("bodies", body).await;
    }
    let (ten, failing) = ten_of_which_three_fail();
    let mut sent = Vec::new();
    for queue in ["by-url", "by-arn"] {
        sent.push((queue, sqs.send_batch(queue, &ten).await));
    }
    assert_echoed(&worker, "echo", &bodies).await;
    for (queue, ids) in sent {
        for body in &ten {
            worker.log().wait_for_said(PATIENCE, queue, body, 1).await;
        }
        let dead = sqs.receive_all(PATIENCE, &format!("{queue}-dlq"), 3).await;
        let dead: BTreeSet<&str> = dead.iter().filter_map(|message| message.message_id()).collect();
        assert_eq!(dead, failing.iter().map(|place| ids[*place].as_str()).collect(), "{queue}");
        assert_eq!(sqs.counts(queue).await, Counts::EMPTY, "{queue}");
        for (place, body) in ten.iter().enumerate() {
            let deliveries = if failing.contains(&place) { 2 } else { 1 };
            assert_eq!(worker.log().said(queue, body).len(), deliveries, "{queue}: deliveries of message {place}");
        }
    }
    worker.assert_sound().await;
    // A long poll under way, which a drain waits for, is cut short by nobody but the other side.
    server.stop().await;
}

#[tokio::test]
async fn a_dead_letter_by_verdict_reaches_a_remote_dead_letter_queue_with_its_reason() {
    let server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    create(&sqs, "orders", "300", 100).await;
    let config =
        worker_at(sqs.endpoint()) + &function("orders", "faulty", "") + &mapping(&sqs.url("orders"), "orders", "");
    let _worker = Home::new().run(&config).await;
    let body = json!([{"do": "echo_to_log"}, {"do": "fail", "deadLetterReason": "no such customer"}]).to_string();
    sqs.send("orders", &body).await;

    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 1).await.remove(0);
    assert_eq!(dead.body(), Some(body.as_str()));
    let attributes = dead.message_attributes().unwrap();
    for (name, value) in [
        ("WasmillReason", "no such customer".to_owned()),
        ("WasmillSourceArn", arn("orders")),
        ("WasmillFunctionVersion", "$LATEST".to_owned()),
    ] {
        assert_eq!(attributes[name].string_value(), Some(value.as_str()), "{name}");
    }
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
}

#[tokio::test]
async fn a_source_that_goes_away_is_named_by_readyz_and_taken_up_again_when_it_is_back() {
    let listen = format!("127.0.0.1:{}", lasting_port());
    let home = Home::new();
    let arguments = ["--data-dir", "data", "--durability", "os", "--listen", &listen];
    let server = home.serve(&arguments).await;
    let sqs = server.sqs();
    create(&sqs, "orders", "2", 5).await;
    let config = worker_at(sqs.endpoint())
        + &function("orders", "faulty", "timeout = 20")
        + &mapping(&sqs.url("orders"), "orders", "");
    let mut worker = Home::new().run(&config).await;
    let log = worker.log().clone();
    let line = |text: &str| json!({"do": "print", "text": format!("{text}\n")}).to_string();
    sqs.send("orders", &line("before")).await;
    log.wait_for_said(PATIENCE, "orders", "before", 1).await;
    // The delete has to be acknowledged: one that is not yet on disk is out of the counts already, and a kill undoes it.
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_receive_to_settle_seconds_count", &[], 1).await;
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;

    server.kill().await;
    eventually(PATIENCE, async || {
        let ready = worker.get("/readyz").await?;
        let mapping = ready.json()["components"][0].clone();
        let says_so = mapping["name"] == "mapping orders/orders" && mapping["ready"] == false;
        let has_reason = mapping["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        holds(ready.status == 503 && says_so && has_reason, || format!("{} {}", ready.status, ready.body))
    })
    .await;
    assert_eq!(worker.get("/healthz").await.unwrap().status, 200, "a restart would not mend it");
    assert!(!log.events("receive failed").is_empty());

    let server = home.serve(&arguments).await;
    sqs.send("orders", &line("after")).await;
    log.wait_for_said(PATIENCE, "orders", "after", 1).await;
    worker.wait_until_ready().await;
    assert_eq!(log.said("orders", "before").len(), 1, "what was deleted before stays deleted");

    // Nothing is held and nothing runs, but a long poll is under way: it is let end.
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait_exit(Duration::from_secs(45)).await.code(), Some(0));
    server.stop().await;
}
