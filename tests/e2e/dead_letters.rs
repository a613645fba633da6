//! Dead letters explain themselves: each attempt's fault, log and code stand beside the message.

use serde_json::{Value, json};
use support::config::{ON_DISK, function, mapping, queue_with_dlq};
use support::{Counts, Home, PATIENCE, Wasmill, wasmill};

/// A worker whose handler crashes on what it is told to crash on, and gives up what it is told to give up.
async fn worker(home: &Home) -> Wasmill {
    let config = ON_DISK.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &function("worker", "faulty", "timeout = 20")
        + &mapping("orders", "worker", "batch_size = 1");
    home.run(&config).await
}

async fn dead_letters(worker: &Wasmill) -> Vec<Value> {
    let page = worker.get("/api/queues/orders-dlq/messages").await.unwrap().json();
    page["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_tells_of_each_attempt_over_the_api_and_on_the_command_line_after_a_restart_too() {
    let home = Home::new();
    let first = worker(&home).await;
    let sqs = first.sqs();
    let crash = json!([{"do": "print", "text": "charging o-7\n"}, {"do": "trap"}]).to_string();
    sqs.send("orders", &crash).await;
    sqs.send("orders", &json!({"do": "fail", "deadLetterReason": "no such item"}).to_string()).await;
    sqs.wait_for_counts(PATIENCE, "orders-dlq", Counts::visible(2)).await;
    first.stop().await;

    let second = worker(&home).await;
    let letters = dead_letters(&second).await;
    let by_count = letters.iter().find(|letter| letter["body"] == crash).unwrap();
    let attempts = by_count["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), &by_count["dead_letter_reason"]), (2, &Value::Null));
    for (attempt, receive) in attempts.iter().zip(1..) {
        assert_eq!((&attempt["kind"], &attempt["receive_count"]), (&json!("trap"), &json!(receive)), "{attempt}");
        let text = |key: &str| attempt[key].as_str().unwrap();
        assert!(text("message").contains("told to trap"), "{attempt}");
        assert!(text("log_tail").starts_with("charging o-7\n"), "{attempt}");
        assert_eq!((text("function"), text("function_version")), ("worker", "$LATEST"));
        assert_eq!((text("code_sha256").len(), text("request_id").len()), (64, 36));
    }
    let ended = |index: usize| attempts[index]["ended_unix_ms"].as_u64().unwrap();
    assert!(ended(1) - ended(0) >= 900, "the visibility timeout lies between them: {attempts:?}");
    let by_verdict = letters.iter().find(|letter| letter["body"] != crash).unwrap();
    assert_eq!(by_verdict["dead_letter_reason"], "no such item");
    assert_eq!(by_verdict["attempts"][0]["message"], "the handler gave it up: no such item");

    let admin = second.admin_url();
    let peeked = wasmill(["queue", "peek", "orders-dlq", "--admin-url", admin.as_str()]);
    let shown = peeked.assert_succeeds();
    for part in ["  attempt 1 at 20", "trap: ", "    worker $LATEST (code ", "    | charging o-7\n"] {
        assert!(shown.contains(part), "{part:?} is missing\n{shown}");
    }

    // What is purged leaves nothing behind.
    let purge = second.sqs();
    purge.client().purge_queue().queue_url(purge.url("orders-dlq")).send().await.unwrap();
    assert_eq!(dead_letters(&second).await, Vec::<Value>::new());
    second.stop().await;
}
