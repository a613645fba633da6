//! sqs-semantics §8, dead-letter queues: when a message moves, and what it keeps.

use serde_json::{Value, json};
use support::Counts;

use crate::client::each;
use crate::queue::{Queue, redrive_to, system, text};

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// §8 "delivered N times, moved at attempt N+1": off by one in an emulator (fakecloud#19).
#[tokio::test]
async fn a_message_is_delivered_as_often_as_its_policy_says_and_then_moves() {
    each(async |api| {
        for max_receive_count in [1, 2, 5] {
            let dlq = Queue::plain(&api, "dlq").await;
            let queue = Queue::new(&api, "source", &redrive_to(&dlq, max_receive_count)).await;
            let sent = queue.send("poison").await;
            for count in 1..=max_receive_count {
                let received = queue.one().await;
                assert_eq!(system(&received, "ApproximateReceiveCount"), count.to_string());
                assert_eq!(dlq.counts().await, Counts::EMPTY, "it was delivered {count} times");
                queue.change(&received, 0).await;
            }
            assert_eq!(queue.counts().await, Counts::visible(1), "it moves when it is received, not before");
            assert_eq!(queue.take(10).await.len(), 0);
            assert_eq!((queue.counts().await, dlq.counts().await), (Counts::EMPTY, Counts::visible(1)));
            assert_eq!(text(&dlq.one().await, "MessageId"), text(&sent, "MessageId"));
        }
    })
    .await;
}

/// §8: the receive that moves one message goes on to the next.
#[tokio::test]
async fn a_receive_that_moves_a_message_brings_the_others() {
    each(async |api| {
        let dlq = Queue::plain(&api, "dlq").await;
        let queue = Queue::new(&api, "source", &redrive_to(&dlq, 1)).await;
        queue.send("poison").await;
        queue.receive_and_return(1).await;
        queue.send("good").await;
        assert_eq!(queue.bodies(10).await, ["good"]);
        assert_eq!(dlq.bodies(10).await, ["poison"]);
    })
    .await;
}

/// §8 "MessageId, attributes, trace header kept; DeadLetterQueueSourceArn added; ApproximateReceiveCount continues;
/// first-receive timestamp kept" [A:test_dead_letter_queue_message_attributes]; ElasticMQ was late with the source's ARN
/// (elasticmq#921). "Standard: SentTimestamp unchanged."
#[tokio::test]
async fn a_dead_letter_keeps_what_it_was() {
    each(async |api| {
        let dlq = Queue::plain(&api, "dlq").await;
        let queue = Queue::new(&api, "source", &redrive_to(&dlq, 1)).await;
        let message = json!({
            "MessageBody": "message-1",
            "MessageAttributes": {"MyAttribute": {"DataType": "String", "StringValue": "foobar"}},
            "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}},
            "MessageGroupId": "tenant",
        });
        queue.ok("SendMessage", &message).await;
        let before = queue.one().await;
        queue.change(&before, 0).await;
        // Time passes, so that kept timestamps differ from new ones.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(queue.take(1).await.len(), 0);
        let after = dlq.one().await;
        let mut expected = before.clone();
        expected["ReceiptHandle"] = after["ReceiptHandle"].clone();
        expected["Attributes"]["ApproximateReceiveCount"] = json!("2");
        expected["Attributes"]["DeadLetterQueueSourceArn"] = json!(queue.arn());
        assert_eq!(after, expected);
        assert_eq!(text(&after, "MD5OfMessageAttributes"), "adb59cd4678ea5a855436b949cd07ab6");
    })
    .await;
}

/// §8 FIFO: "enqueue time resets, and the dedup id is replaced by the original MessageId"; the dead-letter queue need not
/// make deduplication ids of the content (localstack#6107).
#[tokio::test]
async fn a_fifo_dead_letter_has_a_new_time_and_its_id_for_deduplication() {
    each(async |api| {
        let dlq = Queue::fifo(&api, "dlq", &json!({"ContentBasedDeduplication": "false"})).await;
        let queue = Queue::fifo(&api, "source", &redrive_to(&dlq, 1)).await;
        let sent = queue.send_to("g", "poison").await;
        let before = queue.one().await;
        queue.change(&before, 0).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(queue.take(1).await.len(), 0);
        let after = dlq.one().await;
        assert_eq!(text(&after, "MessageId"), text(&sent, "MessageId"));
        assert_eq!(system(&after, "MessageGroupId"), "g");
        assert_eq!(system(&after, "MessageDeduplicationId"), text(&sent, "MessageId"));
        assert_eq!(system(&after, "DeadLetterQueueSourceArn"), queue.arn());
        let time = |message: &Value| system(message, "SentTimestamp").parse::<u64>().unwrap();
        assert!(time(&after) >= time(&before) + 50, "{before} {after}");
    })
    .await;
}

/// §8 "Chains (DLQ of DLQ) are allowed"; LocalStack raises an error on them. The count goes on along the chain, so each
/// further queue counts its own deliveries.
#[tokio::test]
async fn a_dead_letter_queue_may_have_one_of_its_own() {
    each(async |api| {
        let last = Queue::plain(&api, "last").await;
        let middle = Queue::new(&api, "middle", &redrive_to(&last, 3)).await;
        let first = Queue::new(&api, "first", &redrive_to(&middle, 1)).await;
        first.send("poison").await;
        first.receive_and_return(1).await;
        assert_eq!(first.take(1).await.len(), 0);
        assert_eq!(middle.counts().await, Counts::visible(1));
        // However the middle queue counts, it delivers at least once and gives up in the end.
        let mut deliveries = 0;
        while last.counts().await == Counts::EMPTY {
            deliveries += middle.receive(&json!({"VisibilityTimeout": 0})).await.len();
            assert!(deliveries <= 3, "delivered {deliveries} times");
        }
        assert!(deliveries >= 1);
        let end = last.one().await;
        assert_eq!((text(&end, "Body"), system(&end, "DeadLetterQueueSourceArn")), ("poison", middle.arn().as_str()));
    })
    .await;
}

/// §8: only what exceeds the count moves, also in a batch of receives; a deleted message never does.
#[tokio::test]
async fn what_is_deleted_in_time_never_moves() {
    each(async |api| {
        let dlq = Queue::plain(&api, "dlq").await;
        let queue = Queue::new(&api, "source", &redrive_to(&dlq, 2)).await;
        for body in ["done", "poison"] {
            queue.send(body).await;
        }
        for _ in 0..2 {
            for message in queue.take(10).await {
                queue.change(&message, 0).await;
            }
        }
        // The policy is lifted: both come again, and one is done.
        queue.set(&json!({"RedrivePolicy": ""})).await;
        for message in queue.take(10).await {
            match text(&message, "Body") {
                "done" => queue.delete(&message).await,
                _ => queue.change(&message, 0).await,
            }
        }
        queue.set(&redrive_to(&dlq, 2)).await;
        assert_eq!(queue.take(10).await.len(), 0);
        assert_eq!(dlq.bodies(10).await, ["poison"]);
    })
    .await;
}

/// §8 FIFO: order and locks of the group in the dead-letter queue are that queue's own.
#[tokio::test]
async fn fifo_dead_letters_keep_their_groups_order() {
    each(async |api| {
        let dlq = Queue::fifo(&api, "dlq", &json!({})).await;
        let queue = Queue::fifo(&api, "source", &redrive_to(&dlq, 1)).await;
        queue.send_all(&[("g", "m1"), ("g", "m2"), ("g", "m3")]).await;
        for message in queue.take(10).await {
            queue.change(&message, 0).await;
        }
        assert_eq!(queue.take(10).await.len(), 0);
        assert_eq!(dlq.bodies(2).await, ["m1", "m2"]);
        assert_eq!(dlq.bodies(2).await, [""; 0], "m1 and m2 lock the group here");
    })
    .await;
}
