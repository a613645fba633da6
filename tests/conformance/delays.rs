//! sqs-semantics §5.4, delays: a message's own, a queue's, and what a change of it does.

use serde_json::json;
use support::Counts;

use crate::client::each;
use crate::errors::INVALID_PARAMETER;
use crate::queue::{Queue, bodies, list};
use crate::rows::{assert_refused, refusal};

const DELAYED: Counts = Counts { visible: 0, in_flight: 0, delayed: 1 };

/// §5.4 "per message overrides queue (standard only)". Delayed messages are neither visible nor in flight.
#[tokio::test]
async fn a_messages_delay_overrides_its_queues() {
    each(async |api| {
        let queue = Queue::new(&api, "delay", &json!({"DelaySeconds": "900"})).await;
        queue.send("the queue's").await;
        assert_eq!((queue.counts().await, queue.take(10).await.len()), (DELAYED, 0));
        queue.ok("SendMessage", &json!({"MessageBody": "at once", "DelaySeconds": 0})).await;
        assert_eq!(queue.bodies(10).await, ["at once"]);
        let entries =
            json!([{"Id": "1", "MessageBody": "in a batch", "DelaySeconds": 0}, {"Id": "2", "MessageBody": "x"}]);
        queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
        assert_eq!(queue.bodies(10).await, ["in a batch"]);
        assert_eq!(queue.counts().await, Counts { visible: 0, in_flight: 2, delayed: 2 });
    })
    .await;
}

/// §5.4 [A:test_send_delay_and_wait_time].
#[tokio::test]
async fn a_delayed_message_comes_when_its_delay_is_over() {
    each(async |api| {
        let queue = Queue::plain(&api, "delay").await;
        queue.ok("SendMessage", &json!({"MessageBody": "x", "DelaySeconds": 2})).await;
        assert_eq!(queue.take(1).await.len(), 0);
        assert_eq!(bodies(&queue.wait(5).await), ["x"]);
    })
    .await;
}

/// §5.4 "retroactive on FIFO, not on standard" [D23:sqs-delay-queues].
#[tokio::test]
async fn a_changed_queue_delay_reaches_back_on_fifo_only() {
    each(async |api| {
        let delay = json!({"DelaySeconds": "900"});
        let (standard, fifo) = (Queue::new(&api, "delay", &delay).await, Queue::fifo(&api, "delay", &delay).await);
        for queue in [&standard, &fifo] {
            queue.send_to("g", "x").await;
            assert_eq!(queue.counts().await, DELAYED);
            queue.set(&json!({"DelaySeconds": "0"})).await;
        }
        assert_eq!((standard.counts().await, standard.take(1).await.len()), (DELAYED, 0));
        assert_eq!(fifo.bodies(1).await, ["x"]);
        // And the other way: what is visible is delayed again, counted from its send.
        let fifo = Queue::fifo(&api, "delay", &json!({})).await;
        fifo.send_to("g", "x").await;
        fifo.set(&delay).await;
        assert_eq!((fifo.counts().await, fifo.take(1).await.len()), (DELAYED, 0));
    })
    .await;
}

/// §4 DelaySeconds on FIFO [A:test_fifo_queue_send_message_with_delay_seconds_fails].
#[tokio::test]
async fn a_fifo_message_has_no_delay_of_its_own() {
    each(async |api| {
        let queue = Queue::fifo(&api, "delay", &json!({})).await;
        let members = json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageGroupId": "g", "DelaySeconds": 2});
        let message = "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not \
                       valid for this queue type.";
        assert_refused(&api, &[refusal("§4", "SendMessage", members, INVALID_PARAMETER, message)]).await;
        let entry = json!({"Id": "1", "MessageBody": "x", "MessageGroupId": "g", "DelaySeconds": 2});
        let batch = api.call("SendMessageBatch", &json!({"QueueUrl": queue.url, "Entries": [entry]})).await;
        // Whether the entry or the request fails is not recorded; either way nothing is stored.
        assert!(batch.is_err() || list(&batch.unwrap(), "Failed").len() == 1);
        assert_eq!(queue.counts().await, Counts::EMPTY);
    })
    .await;
}

/// §4 "`0` is accepted but means queue default" [A:test_fifo_queue_send_message_with_zero_delay_defaults_to_queue_delay,
/// test_send_message_with_delay_0_works_for_fifo].
#[tokio::test]
async fn a_delay_of_zero_on_fifo_means_the_queues() {
    each(async |api| {
        let send = json!({"MessageBody": "x", "MessageGroupId": "g", "DelaySeconds": 0});
        let delayed = Queue::fifo(&api, "delay", &json!({"DelaySeconds": "900"})).await;
        delayed.ok("SendMessage", &send).await;
        assert_eq!(delayed.counts().await, DELAYED);
        let undelayed = Queue::fifo(&api, "delay", &json!({})).await;
        undelayed.ok("SendMessage", &send).await;
        assert_eq!(undelayed.bodies(1).await, ["x"]);
    })
    .await;
}

/// §5.4 [A:test_fifo_queue_send_message_with_delay_on_queue_works].
#[tokio::test]
async fn a_delayed_fifo_queue_keeps_its_order() {
    each(async |api| {
        let queue = Queue::fifo(&api, "delay", &json!({"DelaySeconds": "1"})).await;
        queue.send_all(&[("g", "m1"), ("g", "m2"), ("g", "m3")]).await;
        let mut received = Vec::new();
        while received.len() < 3 {
            let messages = queue.wait(5).await;
            assert!(!messages.is_empty(), "only {received:?} came");
            received.extend(bodies(&messages));
            for message in &messages {
                queue.delete(message).await;
            }
        }
        assert_eq!(received, ["m1", "m2", "m3"]);
    })
    .await;
}
