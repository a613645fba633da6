//! `queue redrive`: dead letters go back to where they came from, or to where they are told to.

use serde_json::json;
use support::config::{IN_MEMORY, queue, queue_with_dlq};
use support::sqs::arn;
use support::{Counts, Finished, Home, Wasmill, wasmill};

const FEW: usize = 3;
/// More than one a second can move while the test runs.
const SLOW: usize = 200;

/// A server with a queue whose messages are all in its dead-letter queue.
async fn with_dead_letters(count: usize) -> Wasmill {
    let config = IN_MEMORY.to_owned() + &queue_with_dlq("orders", 0, 1) + &queue("elsewhere", "");
    let server = Home::new().run(&config).await;
    let sqs = server.sqs();
    let bodies: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for chunk in bodies.chunks(10) {
        sqs.send_batch("orders", chunk).await;
        // With a visibility timeout of 0 they come back at once, and the second receive is one too many.
        assert_eq!(sqs.receive("orders", 0).await.len(), chunk.len());
        assert!(sqs.receive("orders", 0).await.is_empty());
    }
    assert_eq!(sqs.counts("orders-dlq").await, Counts::visible(count));
    server
}

fn redrive(server: &Wasmill, arguments: &[&str]) -> Finished {
    let endpoint = server.endpoint();
    wasmill(["queue", "redrive"].iter().chain(arguments).chain(&["--endpoint-url", endpoint.as_str()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_to_their_source_and_the_end_is_waited_for() {
    let server = with_dead_letters(FEW).await;
    let sqs = server.sqs();
    let done = redrive(&server, &["orders-dlq", "--wait"]);
    assert_eq!(done.assert_succeeds(), "completed, 3 of 3 messages moved\n");
    assert_eq!(sqs.counts("orders-dlq").await, Counts::EMPTY);
    assert_eq!(sqs.counts("orders").await, Counts::visible(FEW));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_task_to_another_queue_is_started_told_and_cancelled() {
    let server = with_dead_letters(SLOW).await;
    let started = redrive(&server, &["orders-dlq", "--to", "elsewhere", "--max-per-second", "1", "--json"]).json();
    assert!(!started["task_handle"].as_str().unwrap().is_empty());
    let again = redrive(&server, &["orders-dlq"]);
    again.assert_fails(1, &["already a task running", "where: queue orders-dlq at "]);
    let cancelled = redrive(&server, &["orders-dlq", "--cancel", "--json"]).json();
    assert_eq!((&cancelled["status"], &cancelled["max_per_second"]), (&json!("CANCELLED"), &json!(1)));
    assert!(cancelled["moved"].as_u64().unwrap() < SLOW as u64, "one a second cannot be through: {cancelled}");
    redrive(&server, &["orders-dlq", "--cancel"]).assert_fails(1, &["nothing to cancel"]);

    let done = redrive(&server, &["orders-dlq", "--to", "elsewhere", "--wait", "--json"]).json();
    assert_eq!((&done["status"], &done["destination_arn"]), (&json!("COMPLETED"), &json!(arn("elsewhere"))));
    assert_eq!(server.sqs().counts("elsewhere").await, Counts::visible(SLOW));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused_with_the_services_words() {
    let server = with_dead_letters(FEW).await;
    redrive(&server, &["orders"]).assert_fails(1, &["must be configured as a Dead Letter Queue"]);
    redrive(&server, &["nowhere"]).assert_fails(4, &["does not exist", "`wasmill queue ls`"]);
    redrive(&server, &["orders-dlq", "--to", "nowhere"]).assert_fails(4, &["queue nowhere at "]);
    server.stop().await;
}
