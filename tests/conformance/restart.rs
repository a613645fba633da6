//! What survives: everything that was acknowledged, over a `kill -9` and a new start on the same data.
//!
//! A delivery of a standard queue (its count, its timeout) is not waited for but written within a stated window, so each
//! kill comes after that window and after something that was acknowledged behind it.

use serde_json::{Value, json};
use support::{Counts, Home, Wasmill};

use crate::client::{Api, Protocol};
use crate::queue::{Queue, bodies, handle, list, redrive_to, system, text};

/// Ten times the window in which a delivery is written.
const WINDOW: std::time::Duration = std::time::Duration::from_millis(100);

/// A server on disk that is killed and started again.
struct Durable {
    home: Home,
    server: Option<Wasmill>,
}

impl Durable {
    async fn start() -> (Self, Api) {
        let mut durable = Self { home: Home::new(), server: None };
        let api = durable.serve().await;
        (durable, api)
    }

    async fn serve(&mut self) -> Api {
        let arguments = ["--listen", "127.0.0.1:0", "--data-dir", "data", "--durability", "os"];
        let server = self.home.serve(&arguments).await;
        // Alternately in both protocols would hide which one failed; what is kept knows no protocol.
        let api = Api::at(Protocol::Json, server.sqs_address());
        self.server = Some(server);
        api
    }

    /// Kills it, starts it again.
    async fn crash(&mut self, queue: &Queue) -> Api {
        tokio::time::sleep(WINDOW).await;
        let barrier = Queue::plain(&queue.api, "barrier").await;
        barrier.send("written after all else").await;
        self.server.take().unwrap().kill().await;
        self.serve().await
    }
}

/// Messages with all they carry, their counts, delays and timeouts; what was deleted stays so.
#[tokio::test]
async fn messages_delays_and_receive_counts_survive() {
    let (mut durable, api) = Durable::start().await;
    let whole = Queue::plain(&api, "whole").await;
    let message = json!({
        "MessageBody": "whole \r\n\u{10ffff}",
        "MessageAttributes": {"b": {"DataType": "Binary", "BinaryValue": "AP8="},
                              "n": {"DataType": "Number.x", "StringValue": "1"}},
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
        "MessageGroupId": "tenant",
    });
    whole.ok("SendMessage", &message).await;
    let before = whole.one().await;
    whole.change(&before, 0).await;

    let states = Queue::plain(&api, "states").await;
    for body in ["deleted", "in flight"] {
        states.send(body).await;
    }
    let received = states.take(10).await;
    let [deleted, held] = &received[..] else { panic!("{received:?}") };
    states.delete(deleted).await;
    states.ok("SendMessage", &json!({"MessageBody": "delayed", "DelaySeconds": 900})).await;
    states.send("visible").await;

    let api = durable.crash(&whole).await;
    let (whole, states) = (whole.at(&api), states.at(&api));
    let after = whole.one().await;
    let mut expected = before.clone();
    expected["ReceiptHandle"] = after["ReceiptHandle"].clone();
    expected["Attributes"]["ApproximateReceiveCount"] = json!("2");
    assert_eq!(after, expected);
    assert_eq!(states.counts().await, Counts { visible: 1, in_flight: 1, delayed: 1 });
    assert_eq!(states.bodies(10).await, ["visible"]);
    // A handle from before the crash settles.
    states.delete(held).await;
    assert_eq!(states.counts().await, Counts { visible: 0, in_flight: 1, delayed: 1 });
}

#[tokio::test]
async fn queues_with_attributes_tags_and_policies_survive() {
    let (mut durable, api) = Durable::start().await;
    let dlq = Queue::plain(&api, "dlq").await;
    let queue = Queue::new(&api, "kept", &redrive_to(&dlq, 3)).await;
    let attributes = json!({"VisibilityTimeout": "7", "DelaySeconds": "8", "MessageRetentionPeriod": "90000",
        "ReceiveMessageWaitTimeSeconds": "9", "MaximumMessageSize": "2048", "KmsMasterKeyId": "k",
        "RedriveAllowPolicy": "{\"redrivePermission\":\"denyAll\"}", "Policy": "{ \"Statement\" : [] }"});
    queue.set(&attributes).await;
    queue.ok("TagQueue", &json!({"Tags": {"a": "1", "b": ""}})).await;
    queue.ok("UntagQueue", &json!({"TagKeys": ["a"]})).await;
    dlq.ok("AddPermission", &json!({"Label": "l", "AWSAccountIds": ["000000000000"], "Actions": ["SendMessage"]}))
        .await;
    let fifo = Queue::fifo(
        &api,
        "kept",
        &json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}),
    )
    .await;
    let gone = Queue::plain(&api, "gone").await;
    gone.ok("DeleteQueue", &json!({})).await;
    let state = async |api: &Api| {
        let mut state = Vec::new();
        for queue in [&queue, &dlq, &fifo] {
            let queue = queue.at(api);
            state.push(queue.attributes(&["All"]).await);
            state.push(queue.ok("ListQueueTags", &json!({})).await);
        }
        state
    };
    let before = state(&api).await;
    let api = durable.crash(&queue).await;
    assert_eq!(state(&api).await, before);
    let names = list(&api.ok("ListQueues", &json!({})).await, "QueueUrls");
    assert!(!names.iter().any(|url| url.as_str().unwrap().ends_with(&gone.name)), "{names:?}");
    let sources = dlq.at(&api).ok("ListDeadLetterSourceQueues", &json!({})).await;
    assert_eq!(list(&sources, "queueUrls").len(), 1);
}

#[tokio::test]
async fn deduplication_windows_and_sequence_numbers_survive() {
    let (mut durable, api) = Durable::start().await;
    let queue = Queue::fifo(&api, "kept", &json!({})).await;
    let first = queue.send_to("g", "same").await;
    let received = queue.one().await;
    queue.delete(&received).await;
    let purged = Queue::fifo(&api, "purged", &json!({})).await;
    purged.send_to("g", "same").await;
    purged.ok("PurgeQueue", &json!({})).await;

    let api = durable.crash(&queue).await;
    let (queue, purged) = (queue.at(&api), purged.at(&api));
    assert_eq!(queue.send_to("g", "same").await, first, "it is a duplicate still");
    assert_eq!(queue.counts().await, Counts::EMPTY);
    let next = queue.send_to("g", "next").await;
    assert!(text(&next, "SequenceNumber") > text(&first, "SequenceNumber"));
    purged.send_to("g", "same").await;
    assert_eq!(purged.bodies(1).await, ["same"], "a purge forgot it, for good");
}

/// Order and locks of groups: in flight before the crash is in flight after it.
#[tokio::test]
async fn groups_keep_their_order_and_their_locks() {
    let (mut durable, api) = Durable::start().await;
    let queue = Queue::fifo(&api, "kept", &json!({})).await;
    queue.send_all(&[("1", "m1"), ("2", "o1"), ("1", "m2"), ("1", "m3")]).await;
    let received = queue.take(1).await;
    assert_eq!(bodies(&received), ["m1"]);

    let api = durable.crash(&queue).await;
    let queue = queue.at(&api);
    assert_eq!(queue.bodies(10).await, ["o1"], "m1 locks its group");
    queue.ok("ChangeMessageVisibility", &json!({"ReceiptHandle": handle(&received[0]), "VisibilityTimeout": 0})).await;
    let again = queue.receive(&json!({"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]})).await;
    assert_eq!(bodies(&again), ["m1", "m2", "m3"]);
    assert_eq!(system(&again[0], "ApproximateReceiveCount"), "2");
}

#[tokio::test]
async fn a_dead_letter_survives_once() {
    let (mut durable, api) = Durable::start().await;
    let dlq = Queue::plain(&api, "dlq").await;
    let queue = Queue::new(&api, "source", &redrive_to(&dlq, 2)).await;
    queue.send("poison").await;
    queue.receive_and_return(2).await;
    let api = durable.crash(&queue).await;
    let (queue, dlq) = (queue.at(&api), dlq.at(&api));
    assert_eq!((queue.counts().await, dlq.counts().await), (Counts::visible(1), Counts::EMPTY));
    assert_eq!(queue.take(1).await.len(), 0, "the count of before the crash holds");
    let api = durable.crash(&queue).await;
    let (queue, dlq) = (queue.at(&api), dlq.at(&api));
    assert_eq!((queue.counts().await, dlq.counts().await), (Counts::EMPTY, Counts::visible(1)));
    let dead = dlq.one().await;
    assert_eq!(system(&dead, "ApproximateReceiveCount"), "3");
    assert_eq!(system(&dead, "DeadLetterQueueSourceArn"), queue.arn());
}

/// A running move task goes on where it was, at its rate, and can be cancelled by its old handle.
#[tokio::test]
async fn a_running_move_task_goes_on() {
    let (mut durable, api) = Durable::start().await;
    let dlq = Queue::plain(&api, "dlq").await;
    let queue = Queue::new(&api, "source", &redrive_to(&dlq, 1)).await;
    let entries: Value = (0..10).map(|id| json!({"Id": id.to_string(), "MessageBody": id.to_string()})).collect();
    for _ in 0..2 {
        queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
    }
    for _ in 0..4 {
        queue.receive(&json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 0})).await;
    }
    assert_eq!(dlq.counts().await, Counts::visible(20));
    let slowly = json!({"SourceArn": dlq.arn(), "MaxNumberOfMessagesPerSecond": 2});
    let started = api.ok("StartMessageMoveTask", &slowly).await;

    let api = durable.crash(&queue).await;
    let (queue, dlq) = (queue.at(&api), dlq.at(&api));
    let listed = api.ok("ListMessageMoveTasks", &json!({"SourceArn": dlq.arn()})).await;
    let task = &list(&listed, "Results")[0];
    assert_eq!((&task["Status"], &task["TaskHandle"]), (&json!("RUNNING"), &started["TaskHandle"]));
    assert_eq!(task["ApproximateNumberOfMessagesToMove"], json!(20));
    support::eventually(support::PATIENCE, async || {
        let (moved, left) = (queue.counts().await.visible, dlq.counts().await.visible);
        support::wait::holds(moved >= 3, || format!("{moved} are back, {left} are left"))
    })
    .await;
    let cancelled = api.ok("CancelMessageMoveTask", &json!({"TaskHandle": started["TaskHandle"]})).await;
    assert!(cancelled["ApproximateNumberOfMessagesMoved"].as_u64().unwrap() >= 3, "{cancelled}");
    support::eventually(support::PATIENCE, async || {
        let listed = api.ok("ListMessageMoveTasks", &json!({"SourceArn": dlq.arn()})).await;
        let status = list(&listed, "Results")[0]["Status"].clone();
        support::wait::holds(status == json!("CANCELLED"), || status.to_string())
    })
    .await;
    assert_eq!(queue.counts().await.visible + dlq.counts().await.visible, 20, "none lost, none doubled");
}
