//! What a mapping takes on: nothing that it cannot start, no more than it is told, and less while its function fails.

use std::time::{Duration, Instant};

use support::config::{IN_MEMORY, ON_DISK, function, mapping, plain_mapping, queue, queue_with_dlq};
use support::sqs::ACCOUNT;
use support::{Counts, Home, PATIENCE, Wasmill, eventually, wait::holds};

const SLOW: &str = r#"{"do":"sleep_ms","ms":2500}"#;

fn slow(count: usize) -> Vec<String> {
    vec![SLOW.to_owned(); count]
}

/// Six handlers' worth of work for two, each longer than the visibility timeout, and a single receive allowed.
async fn assert_no_receive_was_in_vain(worker: &Wasmill, sqs: &support::Sqs, queue: &str) {
    sqs.send_batch(queue, &slow(6)).await;
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &[("verdict", "done")], 6).await;
    sqs.wait_for_counts(PATIENCE, queue, Counts::EMPTY).await;
    assert_eq!(sqs.counts(&format!("{queue}-dlq")).await, Counts::EMPTY);
    assert_eq!(worker.metric("wasmill_mapping_received_total", &[]).await as u32, 6);
}

#[tokio::test]
async fn with_saturated_handlers_and_one_receive_allowed_no_message_is_dead() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 1, 1)
        + &function("orders", "faulty", "timeout = 10\nreserved_concurrent_executions = 2")
        + &mapping("orders", "orders", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    assert_no_receive_was_in_vain(&worker, &worker.sqs(), "orders").await;
    worker.stop().await;
}

#[tokio::test]
async fn nor_is_one_that_comes_from_another_service() {
    let service = Home::new();
    let remote = service.run(&(ON_DISK.to_owned() + &queue_with_dlq("orders", 1, 1))).await;
    let url = format!("{}/{ACCOUNT}/orders", remote.endpoint());
    let config = "[aws]\nregion = \"us-east-1\"\n[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned()
        + &function("orders", "faulty", "timeout = 10\nreserved_concurrent_executions = 2")
        + &mapping(&url, "orders", "batch_size = 1");
    let home = Home::new();
    let mut worker = home.launch(&config);
    worker.wait_until_ready().await;
    assert_no_receive_was_in_vain(&worker, &remote.sqs(), "orders").await;
    worker.stop().await;
    remote.stop().await;
}

#[tokio::test]
async fn no_more_messages_are_received_per_second_than_the_mapping_says() {
    let config = IN_MEMORY.to_owned()
        + &queue("orders", "")
        + &function("orders", "faulty", "")
        + &mapping("orders", "orders", "max_messages_per_second = 5");
    let worker = Wasmill::start(&config).await;
    let begun = Instant::now();
    for _ in 0..2 {
        worker.sqs().send_batch("orders", &vec!["plain".to_owned(); 10]).await;
    }
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &[("verdict", "done")], 20).await;
    // A second's worth at once, the other fifteen at five per second.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2800), "20 messages in {took:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_failing_function_is_called_less_and_recovers() {
    let config = IN_MEMORY.to_owned()
        + &queue("orders", "visibility_timeout = 1")
        + &function("orders", "faulty", "reserved_concurrent_executions = 8")
        + &plain_mapping("orders", "orders", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let allowed = async |expected: fn(u32) -> bool| {
        eventually(PATIENCE, async || {
            let allowed = worker.metric("wasmill_mapping_concurrency_allowed", &[]).await as u32;
            holds(expected(allowed), || format!("{allowed} invocations are allowed"))
        })
        .await;
    };
    allowed(|allowed| allowed == 8).await;
    let failing = r#"{"do":"error","text":"no database"}"#;
    worker.sqs().send_batch("orders", &vec![failing.to_owned(); 8]).await;
    allowed(|allowed| allowed <= 2).await;
    for _ in 0..3 {
        worker.sqs().send_batch("orders", &vec!["plain".to_owned(); 10]).await;
    }
    allowed(|allowed| allowed >= 3).await;
    worker.stop().await;
}
