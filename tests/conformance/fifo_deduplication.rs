//! sqs-semantics §6, deduplication: what is a duplicate, of what, and what a duplicate's sender is told.

use serde_json::{Value, json};

use crate::client::{Api, each};
use crate::queue::{Queue, bodies, list, system, text, unique};

/// SHA-256 of `hello`.
const SHA256_OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

async fn explicit(api: &Api, attributes: Value) -> Queue {
    let mut all = attributes;
    all["FifoQueue"] = json!("true");
    Queue::named(api, unique("explicit") + ".fifo", &all).await
}

async fn send(queue: &Queue, group: &str, deduplication: &str, body: &str) -> Value {
    let message = json!({"MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": deduplication});
    queue.ok("SendMessage", &message).await
}

/// Receives what is there and deletes it; gives the bodies.
async fn drained(queue: &Queue) -> Vec<String> {
    let received = queue.take(10).await;
    for message in &received {
        queue.delete(message).await;
    }
    bodies(&received)
}

/// §6 "Duplicate send → 200 with original MessageId/SequenceNumber, not stored"; moto was late with it (moto#6184).
#[tokio::test]
async fn a_duplicate_is_acknowledged_as_the_first_and_not_stored() {
    each(async |api| {
        let queue = explicit(&api, json!({})).await;
        let first = send(&queue, "g", "d", "body").await;
        let second = send(&queue, "g", "d", "body").await;
        assert_eq!(first, second);
        assert_eq!(drained(&queue).await, ["body"]);
        // The window outlives receive and delete [A:test_fifo_deduplication_arrives_once_after_delete].
        assert_eq!(send(&queue, "g", "d", "body").await, first);
        assert_eq!(drained(&queue).await, [""; 0]);
        assert_ne!(send(&queue, "g", "e", "body").await["MessageId"], first["MessageId"]);
        assert_eq!(drained(&queue).await, ["body"]);
    })
    .await;
}

/// §4.1: the digests are of the new request, or SDKs raise a mismatch (floci#776).
#[tokio::test]
async fn a_duplicates_digests_are_of_what_it_brought() {
    each(async |api| {
        let queue = explicit(&api, json!({})).await;
        let attributes = json!({"MyAttribute": {"DataType": "String", "StringValue": "foobar"}});
        let first = send(&queue, "g", "d", "first").await;
        let second = json!({"MessageBody": "message", "MessageGroupId": "g", "MessageDeduplicationId": "d",
            "MessageAttributes": attributes});
        let second = queue.ok("SendMessage", &second).await;
        assert_eq!((&second["MessageId"], &second["SequenceNumber"]), (&first["MessageId"], &first["SequenceNumber"]));
        assert_eq!(text(&second, "MD5OfMessageBody"), "78e731027d8fd50ed642340b7c9a63b3");
        assert_eq!(text(&second, "MD5OfMessageAttributes"), "adb59cd4678ea5a855436b949cd07ab6");
        assert_eq!(drained(&queue).await, ["first"]);
    })
    .await;
}

/// §6 "CBD (SHA-256 hex of body only)" [A:test_fifo_content_based_message_deduplication_arrives_once].
#[tokio::test]
async fn content_based_deduplication_looks_at_the_body_only() {
    each(async |api| {
        let queue = Queue::fifo(&api, "content", &json!({})).await;
        let first = queue.send_to("g", "hello").await;
        let attributes = json!({"a": {"DataType": "String", "StringValue": "v"}});
        let with_attributes = json!({"MessageBody": "hello", "MessageGroupId": "g", "MessageAttributes": attributes});
        let second = queue.ok("SendMessage", &with_attributes).await;
        assert_eq!(second["MessageId"], first["MessageId"]);
        // An explicit id that is the digest of an earlier body is a duplicate of it [M].
        let third = send(&queue, "g", SHA256_OF_HELLO, "another body").await;
        assert_eq!(third["MessageId"], first["MessageId"]);
        // And an explicit id beats the content.
        let fourth = send(&queue, "g", "explicit", "hello").await;
        assert_ne!(fourth["MessageId"], first["MessageId"]);
        let received = queue
            .receive(&json!({"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["MessageDeduplicationId"]}))
            .await;
        let ids: Vec<&str> = received.iter().map(|message| system(message, "MessageDeduplicationId")).collect();
        assert_eq!(ids, [SHA256_OF_HELLO, "explicit"]);
    })
    .await;
}

/// §6 DeduplicationScope [A:test_sqs_fifo_same_dedup_id_different_message_groups,
/// test_fifo_deduplication_not_on_message_group_id, test_sqs_fifo_message_group_scope_no_throughput_setting,
/// test_fifo_high_throughput_ordering].
#[tokio::test]
async fn the_scope_says_whether_groups_share_deduplication_ids() {
    each(async |api| {
        for (attributes, received) in [
            (json!({}), vec!["Test1"]),
            (json!({"DeduplicationScope": "queue"}), vec!["Test1"]),
            (json!({"DeduplicationScope": "messageGroup"}), vec!["Test1", "Test2"]),
            (
                json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}),
                vec!["Test1", "Test2"],
            ),
        ] {
            let queue = explicit(&api, attributes.clone()).await;
            send(&queue, "group1", "same", "Test1").await;
            let mut found = drained(&queue).await;
            send(&queue, "group2", "same", "Test2").await;
            send(&queue, "group1", "same", "again").await;
            found.extend(drained(&queue).await);
            assert_eq!(found, received, "{attributes}");
        }
    })
    .await;
}

/// §6 "Changing the scope after creation did not change dedup behaviour in AWS recordings in either direction"
/// [A:test_fifo_change_to_high_throughput_after_creation, test_fifo_change_to_regular_throughput_after_creation].
#[tokio::test]
async fn a_scope_that_is_changed_later_changes_nothing() {
    each(async |api| {
        let regular = json!({"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"});
        let high = json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"});
        for (created, changed, stored) in [(&regular, &high, 1), (&high, &regular, 2)] {
            let queue = explicit(&api, created.clone()).await;
            send(&queue, "group1", "before", "x").await;
            queue.set(changed).await;
            let names = ["DeduplicationScope", "FifoThroughputLimit"];
            assert_eq!(queue.attributes(&names).await, *changed, "it is shown as changed");
            // Ids from before and ids that are new, in one group more each.
            send(&queue, "group2", "before", "x").await;
            send(&queue, "group3", "after", "x").await;
            send(&queue, "group4", "after", "x").await;
            assert_eq!(queue.counts().await.visible, 2 * stored, "{created} then {changed}");
        }
    })
    .await;
}

/// §6: within one batch too.
#[tokio::test]
async fn duplicates_in_one_batch_are_one_message() {
    each(async |api| {
        let queue = explicit(&api, json!({})).await;
        let entry = |id: &str, deduplication: &str| {
            json!({"Id": id, "MessageBody": id, "MessageGroupId": "g", "MessageDeduplicationId": deduplication})
        };
        let entries = json!([entry("1", "d"), entry("2", "e"), entry("3", "d")]);
        let sent = list(&queue.ok("SendMessageBatch", &json!({"Entries": entries})).await, "Successful");
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[0]["MessageId"], sent[2]["MessageId"]);
        assert_ne!(sent[0]["MessageId"], sent[1]["MessageId"]);
        assert_eq!(drained(&queue).await, ["1", "2"]);
    })
    .await;
}

/// §6: each queue has a window of its own.
#[tokio::test]
async fn queues_share_no_deduplication() {
    each(async |api| {
        for _ in 0..2 {
            let queue = explicit(&api, json!({})).await;
            send(&queue, "g", "same-in-both", "x").await;
            assert_eq!(drained(&queue).await, ["x"]);
        }
    })
    .await;
}
