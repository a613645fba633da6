//! sqs-semantics §6, ReceiveRequestAttemptId: a receive whose answer was lost may be asked again.

use serde_json::{Value, json};

use crate::client::{Api, each};
use crate::queue::{Queue, bodies, handle};

async fn queue_of_three(api: &Api, attributes: Value) -> Queue {
    let queue = Queue::fifo(api, "attempts", &attributes).await;
    queue.send_all(&[("1", "m1"), ("1", "m2"), ("2", "m3")]).await;
    queue
}

fn attempt(id: &str, max: usize) -> Value {
    json!({"ReceiveRequestAttemptId": id, "MaxNumberOfMessages": max})
}

fn handles(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(handle).collect()
}

/// §6 "same id → same messages and handles" [M].
#[tokio::test]
async fn the_same_attempt_brings_the_same_messages_and_handles() {
    each(async |api| {
        let queue = queue_of_three(&api, json!({})).await;
        let first = queue.receive(&attempt("a", 2)).await;
        assert_eq!(bodies(&first), ["m1", "m2"]);
        for _ in 0..2 {
            let again = queue.receive(&attempt("a", 2)).await;
            assert_eq!((bodies(&again), handles(&again)), (bodies(&first), handles(&first)));
        }
        // Another attempt, or none, is a receive of its own.
        assert_eq!(bodies(&queue.receive(&attempt("b", 10)).await), ["m3"]);
        assert_eq!(queue.take(10).await.len(), 0);
        for message in &first {
            queue.delete(message).await;
        }
        assert_eq!(queue.counts().await, support::Counts::in_flight(1));
    })
    .await;
}

/// §6 "resets visibility".
#[tokio::test]
async fn the_same_attempt_counts_visibility_from_anew() {
    each(async |api| {
        let queue = queue_of_three(&api, json!({})).await;
        let mut asked = attempt("a", 1);
        asked["VisibilityTimeout"] = json!(1);
        assert_eq!(bodies(&queue.receive(&asked).await), ["m1"]);
        asked["VisibilityTimeout"] = json!(30);
        assert_eq!(bodies(&queue.receive(&asked).await), ["m1"]);
        assert_eq!(queue.bodies(10).await, ["m3"]);
        let after_the_second = queue.receive(&json!({"WaitTimeSeconds": 2})).await;
        assert_eq!(after_the_second.len(), 0, "the thirty seconds hold");
    })
    .await;
}

/// §6 "invalid once any message was deleted/changed".
#[tokio::test]
async fn an_attempt_is_over_once_a_message_of_it_was_deleted_or_changed() {
    each(async |api| {
        let deleted = queue_of_three(&api, json!({})).await;
        let first = deleted.receive(&attempt("a", 2)).await;
        deleted.delete(&first[0]).await;
        assert_eq!(bodies(&deleted.receive(&attempt("a", 2)).await), ["m3"], "a receive of its own");

        let changed = queue_of_three(&api, json!({})).await;
        let first = changed.receive(&attempt("a", 2)).await;
        changed.change(&first[0], 60).await;
        assert_eq!(bodies(&changed.receive(&attempt("a", 2)).await), ["m3"], "a receive of its own");
    })
    .await;
}
