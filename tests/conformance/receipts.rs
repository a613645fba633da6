//! sqs-semantics §5.3, receipt handles: what settles a message, and until when.

use std::time::Duration;

use serde_json::{Value, json};
use support::Counts;

use crate::client::each;
use crate::errors::{INVALID_PARAMETER, MISSING_PARAMETER, RECEIPT_INVALID};
use crate::queue::{Queue, bodies, handle, system};
use crate::rows::{assert_refused, refusal};

/// A little more than the shortest visibility timeout.
const OVER_A_SECOND: Duration = Duration::from_millis(1200);

/// §5.3 "New opaque handle per receive; ≤1024 chars".
#[tokio::test]
async fn each_receive_has_a_handle_of_its_own() {
    each(async |api| {
        let queue = Queue::plain(&api, "handles").await;
        queue.send("x").await;
        let mut handles: Vec<String> = Vec::new();
        for _ in 0..3 {
            let received = queue.receive(&json!({"VisibilityTimeout": 0})).await;
            handles.push(handle(&received[0]).to_owned());
        }
        handles.dedup();
        assert_eq!(handles.len(), 3);
        assert!(handles.iter().all(|handle| (1..=1024).contains(&handle.len())), "{handles:?}");
    })
    .await;
}

/// §5.3 "Deleting twice is fine", "Garbage → 404" [A:test_delete_message_with_deleted_receipt_handle,
/// test_delete_message_with_illegal_receipt_handle, test_invalid_receipt_handle_should_return_error_message].
#[tokio::test]
async fn a_handle_is_good_for_ever_or_never_was_one() {
    each(async |api| {
        let queue = Queue::plain(&api, "handles").await;
        queue.send("x").await;
        let received = queue.one().await;
        for _ in 0..3 {
            assert_eq!(queue.ok("DeleteMessage", &json!({"ReceiptHandle": handle(&received)})).await, json!({}));
        }
        let garbage = "The input receipt handle \"garbage\" is not a valid receipt handle.";
        let delete = |handle: &str| json!({"QueueUrl": queue.url, "ReceiptHandle": handle});
        let change = json!({"QueueUrl": queue.url, "ReceiptHandle": "garbage", "VisibilityTimeout": 60});
        let empty = "The request must contain the parameter ReceiptHandle.";
        let rows = [
            refusal("§5.3", "DeleteMessage", delete("garbage"), RECEIPT_INVALID, garbage),
            refusal("§5.3", "ChangeMessageVisibility", change, RECEIPT_INVALID, garbage),
            refusal("§2 required", "DeleteMessage", delete(""), MISSING_PARAMETER, empty),
        ];
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §5.3 [A:test_delete_after_visibility_timeout, test_remove_message_with_old_receipt_handle]; fakecloud made it an
/// error (fakecloud#2237), and localstack#13222 claims one: AWS's recordings say no.
#[tokio::test]
async fn a_standard_message_is_deleted_with_an_expired_handle() {
    each(async |api| {
        let queue = Queue::new(&api, "expired", &json!({"VisibilityTimeout": "1"})).await;
        queue.send("x").await;
        let received = queue.one().await;
        tokio::time::sleep(OVER_A_SECOND).await;
        queue.delete(&received).await;
        assert_eq!(queue.counts().await, Counts::EMPTY);
    })
    .await;
}

/// §5.3 "after a re-receive the call succeeds but may not delete" [M].
#[tokio::test]
async fn a_late_delete_after_a_new_receive_succeeds() {
    each(async |api| {
        let queue = Queue::plain(&api, "late").await;
        queue.send("x").await;
        let first = queue.receive(&json!({"VisibilityTimeout": 0})).await;
        let second = queue.one().await;
        queue.delete(&first[0]).await;
        queue.delete(&second).await;
        assert_eq!(queue.counts().await, Counts::EMPTY);
    })
    .await;
}

/// §5.3 [A:test_terminate_visibility_timeout_after_receive]: an older handle still ends the visibility timeout.
#[tokio::test]
async fn an_older_handle_still_ends_a_standard_messages_visibility() {
    each(async |api| {
        let queue = Queue::plain(&api, "older").await;
        queue.send("x").await;
        let first = queue.receive(&json!({"VisibilityTimeout": 0})).await;
        assert_eq!(queue.receive(&json!({"VisibilityTimeout": 30})).await.len(), 1);
        queue.change(&first[0], 0).await;
        assert_eq!(queue.bodies(1).await, ["x"]);
    })
    .await;
}

/// §5.3 [A:test_change_message_visibility_after_visibility_timeout_expiration].
#[tokio::test]
async fn a_standard_message_is_taken_back_with_an_expired_handle() {
    each(async |api| {
        let queue = Queue::new(&api, "expired", &json!({"VisibilityTimeout": "1"})).await;
        queue.send("x").await;
        let received = queue.one().await;
        tokio::time::sleep(OVER_A_SECOND).await;
        queue.change(&received, 30).await;
        assert_eq!(queue.take(1).await.len(), 0);
        assert_eq!(queue.counts().await, Counts::in_flight(1));
    })
    .await;
}

/// §5.3 [A:test_change_visibility_on_deleted_message_raises_invalid_parameter_value].
#[tokio::test]
async fn a_deleted_messages_visibility_cannot_be_changed() {
    each(async |api| {
        for queue in [Queue::plain(&api, "gone").await, Queue::fifo(&api, "gone", &json!({})).await] {
            queue.send_to("g", "x").await;
            let received = queue.one().await;
            queue.change(&received, 42).await;
            queue.delete(&received).await;
            let message = format!(
                "Value {} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
                 visibility timeout change.",
                handle(&received)
            );
            let members = json!({"ReceiptHandle": handle(&received), "VisibilityTimeout": 42});
            queue.refused("ChangeMessageVisibility", &members).await.assert_is(INVALID_PARAMETER, &message);
        }
    })
    .await;
}

/// §5.3 "New value counts from now, is not remembered for the next receive, 0 = visible at once"
/// [A:test_change_message_visibility_not_permanent, test_extend_message_visibility_timeout_set_in_queue].
#[tokio::test]
async fn a_changed_timeout_counts_from_now_and_once() {
    each(async |api| {
        let queue = Queue::new(&api, "changed", &json!({"VisibilityTimeout": "1"})).await;
        queue.send("x").await;
        let received = queue.one().await;
        queue.change(&received, 4).await;
        let shortened_from_now = queue.receive(&json!({"WaitTimeSeconds": 2})).await;
        assert_eq!(shortened_from_now.len(), 0, "the queue's own second is over, the four are not");
        assert_eq!(bodies(&queue.wait(5).await), ["x"]);
        // The queue's own again: one second.
        let again = queue.wait(5).await;
        assert_eq!(bodies(&again), ["x"]);
        queue.change(&again[0], 0).await;
        assert_eq!(queue.bodies(1).await, ["x"], "0 is at once");
    })
    .await;
}

/// §5.3 "total since receive ≤12 h" [D23:sqs-visibility-timeout].
#[tokio::test]
async fn no_delivery_is_held_beyond_twelve_hours() {
    each(async |api| {
        let queue = Queue::plain(&api, "long").await;
        queue.send("x").await;
        let received = queue.one().await;
        queue.change(&received, 43_190).await;
        tokio::time::sleep(OVER_A_SECOND).await;
        let members = json!({"ReceiptHandle": handle(&received), "VisibilityTimeout": 43_200});
        queue.refused("ChangeMessageVisibility", &members).await.assert_kind(INVALID_PARAMETER);
        assert_eq!(queue.counts().await, Counts::in_flight(1));
    })
    .await;
}

/// §5.3 FIFO [A:test_fifo_delete_after_visibility_timeout].
#[tokio::test]
async fn a_fifo_message_is_not_deleted_with_an_expired_handle() {
    each(async |api| {
        let queue = Queue::fifo(&api, "expired", &json!({"VisibilityTimeout": "1"})).await;
        queue.send_to("g", "x").await;
        let received = queue.one().await;
        tokio::time::sleep(OVER_A_SECOND).await;
        let expired = |message: &Value| {
            let handle = handle(message);
            format!("Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
        };
        let members = json!({"ReceiptHandle": handle(&received)});
        queue.refused("DeleteMessage", &members).await.assert_is(INVALID_PARAMETER, &expired(&received));
        let again = queue.one().await;
        assert_eq!(system(&again, "ApproximateReceiveCount"), "2");
        queue.change(&again, 30).await;
        queue.refused("DeleteMessage", &members).await.assert_kind(INVALID_PARAMETER);
        queue.delete(&again).await;
        assert_eq!(queue.counts().await, Counts::EMPTY);
    })
    .await;
}

/// §5.3 FIFO [A:test_fifo_delete_after_visibility_timeout_extended].
#[tokio::test]
async fn an_extension_keeps_a_fifo_handle_alive() {
    each(async |api| {
        let queue = Queue::fifo(&api, "extended", &json!({"VisibilityTimeout": "2"})).await;
        queue.send_to("g", "x").await;
        let received = queue.one().await;
        queue.change(&received, 30).await;
        tokio::time::sleep(2 * OVER_A_SECOND).await;
        queue.delete(&received).await;
        assert_eq!(queue.counts().await, Counts::EMPTY);
        // A second delete is as fine here as on a standard queue.
        queue.delete(&received).await;
    })
    .await;
}
