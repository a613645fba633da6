//! sqs-semantics §5.1, ReceiveMessage: how many, which attributes, what a delivery counts.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::each;
use crate::queue::{Queue, bodies, handle, system, text};

/// §2 ReceiveMessage: MaxNumberOfMessages 1 by default, 10 at most.
#[tokio::test]
async fn a_receive_brings_one_message_unless_asked_for_more() {
    each(async |api| {
        let queue = Queue::plain(&api, "count").await;
        let entries: Value = (0..10).map(|id| json!({"Id": id.to_string(), "MessageBody": "x"})).collect();
        for _ in 0..2 {
            queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
        }
        assert_eq!(queue.receive(&json!({})).await.len(), 1);
        assert_eq!(queue.take(10).await.len(), 10);
        assert_eq!(queue.take(4).await.len(), 4);
        assert_eq!(queue.take(10).await.len(), 5);
        assert_eq!(queue.take(10).await.len(), 0);
    })
    .await;
}

/// §5.1 System attributes [A:test_receive_message_attribute_names_filters, …_message_system_attribute_names_filters,
/// test_message_system_attribute_names_with_attribute_names]: both lists may be sent and add up.
#[tokio::test]
async fn system_attributes_are_shown_as_asked() {
    each(async |api| {
        let queue = Queue::new(&api, "system", &json!({"VisibilityTimeout": "0"})).await;
        queue.send("x").await;
        let all = ["ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId", "SentTimestamp"];
        let rows: [(Value, &[&str]); 9] = [
            (json!({}), &[]),
            (json!({"MessageSystemAttributeNames": ["All"]}), &all),
            (json!({"AttributeNames": ["All"]}), &all),
            (json!({"MessageSystemAttributeNames": ["SenderId"]}), &["SenderId"]),
            (json!({"AttributeNames": ["SenderId"]}), &["SenderId"]),
            (json!({"AttributeNames": ["SenderId", "SequenceNumber"]}), &["SenderId"]),
            (json!({"MessageSystemAttributeNames": ["AWSTraceHeader", "DeadLetterQueueSourceArn"]}), &[]),
            (json!({"AttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}), &all),
            (
                json!({"AttributeNames": ["SenderId"], "MessageSystemAttributeNames": ["SentTimestamp"]}),
                &["SenderId", "SentTimestamp"],
            ),
        ];
        for (asked, shown) in rows {
            let received = queue.receive(&asked).await;
            let mut found: Vec<String> = received[0]
                .get("Attributes")
                .map_or_else(Vec::new, |found| found.as_object().unwrap().keys().cloned().collect());
            found.sort();
            assert_eq!(found, shown, "{asked}");
        }
    })
    .await;
}

/// §5.1: timestamps in milliseconds, the first receive is remembered [A:test_receive_message_attributes_timestamp_types].
#[tokio::test]
async fn a_message_knows_its_times_and_counts() {
    each(async |api| {
        let queue = Queue::plain(&api, "times").await;
        let now_ms = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let before = now_ms();
        let sent = queue.send("x").await;
        let mut first_received = None;
        for count in 1..=3 {
            let received = queue.one().await;
            assert_eq!(text(&received, "MessageId"), text(&sent, "MessageId"));
            assert_eq!(system(&received, "ApproximateReceiveCount"), count.to_string());
            let number = |name: &str| system(&received, name).parse::<u64>().unwrap();
            let (sent_ms, first_ms) = (number("SentTimestamp"), number("ApproximateFirstReceiveTimestamp"));
            assert!(before <= sent_ms + 1 && sent_ms <= first_ms && first_ms <= now_ms() + 1, "{received}");
            assert_eq!(*first_received.get_or_insert(first_ms), first_ms);
            assert_ne!(system(&received, "SenderId"), "");
            queue.change(&received, 0).await;
        }
    })
    .await;
}

/// §2 VisibilityTimeout of a receive: for this delivery, and not remembered (§5.3)
/// [A:test_receive_message_with_visibility_timeout_updates_timeout, test_receive_terminate_visibility_timeout].
#[tokio::test]
async fn a_receives_own_timeout_counts_once() {
    each(async |api| {
        let queue = Queue::plain(&api, "timeout").await;
        queue.send("x").await;
        let first = queue.receive(&json!({"VisibilityTimeout": 0})).await;
        let second = queue.receive(&json!({"VisibilityTimeout": 2})).await;
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(handle(&first[0]), handle(&second[0]), "each receive has a handle of its own");
        assert_eq!(queue.take(1).await.len(), 0);
        assert_eq!(bodies(&queue.wait(5).await), ["x"], "after its two seconds");
        // Now the queue's own 30 s.
        assert_eq!(queue.receive(&json!({"WaitTimeSeconds": 2})).await.len(), 0);
    })
    .await;
}

/// §5.1 [A:test_send_receive_message_multiple_queues].
#[tokio::test]
async fn queues_share_no_messages() {
    each(async |api| {
        let (one, other) = (Queue::plain(&api, "one").await, Queue::plain(&api, "other").await);
        one.send("x").await;
        assert_eq!(other.take(10).await.len(), 0);
        assert_eq!(one.bodies(10).await, ["x"]);
    })
    .await;
}

/// §3, three counters: "exact when answered" (the built-in queue's own promise; AWS's are approximate).
#[tokio::test]
async fn the_counters_follow_every_message() {
    each(async |api| {
        let queue = Queue::plain(&api, "counters").await;
        let counts = |visible, in_flight, delayed| support::Counts { visible, in_flight, delayed };
        queue.send("a").await;
        queue.send("b").await;
        queue.ok("SendMessage", &json!({"MessageBody": "c", "DelaySeconds": 900})).await;
        assert_eq!(queue.counts().await, counts(2, 0, 1));
        let received = queue.one().await;
        assert_eq!(queue.counts().await, counts(1, 1, 1));
        queue.change(&received, 0).await;
        assert_eq!(queue.counts().await, counts(2, 0, 1));
        let received = queue.take(2).await;
        queue.delete(&received[0]).await;
        assert_eq!(queue.counts().await, counts(0, 1, 1));
    })
    .await;
}
