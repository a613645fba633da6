//! sqs-semantics §3, purge: everything goes, and not again within a minute.

use serde_json::json;
use support::Counts;

use crate::client::each;
use crate::errors::PURGE_IN_PROGRESS;
use crate::queue::{Queue, bodies, text};

/// §3 Purge [A:test_purge_queue_*].
#[tokio::test]
async fn a_purge_takes_visible_in_flight_and_delayed_messages() {
    each(async |api| {
        let queue = Queue::plain(&api, "purged").await;
        queue.send("in flight").await;
        let in_flight = queue.one().await;
        queue.send("visible").await;
        queue.ok("SendMessage", &json!({"MessageBody": "delayed", "DelaySeconds": 1})).await;
        assert_eq!(queue.counts().await, Counts { visible: 1, in_flight: 1, delayed: 1 });
        assert_eq!(queue.ok("PurgeQueue", &json!({})).await, json!({}));
        assert_eq!(queue.counts().await, Counts::EMPTY);
        // What was in flight has no message any more, and its delete is fine as any second delete is.
        queue.delete(&in_flight).await;
        queue.send("after").await;
        let asked = json!({"MaxNumberOfMessages": 10, "WaitTimeSeconds": 2});
        assert_eq!(bodies(&queue.receive(&asked).await), ["after"]);
        assert_eq!(queue.receive(&asked).await.len(), 0, "nothing comes back when its delay is over");
    })
    .await;
}

/// §3 Purge [A:test_successive_purge_calls_fail].
#[tokio::test]
async fn a_second_purge_within_a_minute_is_refused() {
    each(async |api| {
        let (queue, other) = (Queue::plain(&api, "twice").await, Queue::plain(&api, "other").await);
        queue.ok("PurgeQueue", &json!({})).await;
        queue.send("kept").await;
        let text = format!("Only one PurgeQueue operation on {} is allowed every 60 seconds.", queue.name);
        queue.refused("PurgeQueue", &json!({})).await.assert_is(PURGE_IN_PROGRESS, &text);
        assert_eq!(queue.counts().await, Counts::visible(1));
        other.ok("PurgeQueue", &json!({})).await;
    })
    .await;
}

/// §3 Purge [A:test_purge_queue_clears_fifo_deduplication_cache]; and no group stays locked by what is gone.
#[tokio::test]
async fn a_purge_forgets_deduplication_and_group_locks() {
    each(async |api| {
        let queue = Queue::fifo(&api, "purged", &json!({})).await;
        let first = queue.send_to("g", "same").await;
        assert_eq!(queue.bodies(1).await, ["same"]);
        queue.ok("PurgeQueue", &json!({})).await;
        let again = queue.send_to("g", "same").await;
        assert_ne!(text(&first, "MessageId"), text(&again, "MessageId"));
        assert_eq!(queue.bodies(10).await, ["same"]);
    })
    .await;
}
