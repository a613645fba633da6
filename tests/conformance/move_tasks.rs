//! sqs-semantics §8, message move tasks: dead letters go back. Recorded on AWS in `test_sqs_move_task` (`[A-mv]`).

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Counts, PATIENCE, eventually};

use crate::client::{Api, each};
use crate::errors::{INVALID_PARAMETER, NOT_FOUND};
use crate::queue::{Queue, arn, bodies, list, redrive_to, system, text, unique};
use crate::rows::{assert_refused, refusal};

const NO_SOURCE: &str = "The resource that you specified for the SourceArn parameter doesn't exist.";
const NO_DESTINATION: &str = "The resource that you specified for the DestinationArn parameter doesn't exist.";
const NO_TASK: &str = "Task does not exist.";

/// A queue and its dead-letter queue.
async fn pipe(api: &Api) -> (Queue, Queue) {
    let dlq = Queue::plain(api, "dlq").await;
    (Queue::new(api, "source", &redrive_to(&dlq, 1)).await, dlq)
}

/// Sends bodies to a queue and lets them all become dead letters.
async fn give_up(queue: &Queue, dlq: &Queue, bodies: &[&str]) {
    let before = dlq.counts().await.visible;
    for body in bodies {
        queue.send(body).await;
    }
    for _ in 0..2 * bodies.len() {
        queue.receive(&json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 0})).await;
    }
    assert_eq!(dlq.counts().await, Counts::visible(before + bodies.len()));
}

async fn start(api: &Api, members: &Value) -> String {
    text(&api.ok("StartMessageMoveTask", members).await, "TaskHandle").to_owned()
}

/// The latest task of a dead-letter queue, as it is listed.
async fn latest(dlq: &Queue) -> Value {
    let answer = dlq.api.ok("ListMessageMoveTasks", &json!({"SourceArn": dlq.arn()})).await;
    let mut results = list(&answer, "Results");
    assert_eq!(results.len(), 1, "MaxResults is 1 by default");
    results.remove(0)
}

/// The latest task, once it has this status, without its start, which is checked here.
async fn latest_with(dlq: &Queue, status: &str) -> Value {
    let mut task = eventually(PATIENCE, async || {
        let task = latest(dlq).await;
        if task["Status"] == json!(status) { Ok(task) } else { Err(task.to_string()) }
    })
    .await;
    let started_ms = task.as_object_mut().unwrap().remove("StartedTimestamp").unwrap().as_u64().unwrap();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(now_ms.abs_diff(u128::from(started_ms)) < 600_000, "StartedTimestamp is in milliseconds: {started_ms}");
    task
}

async fn drained(queue: &Queue) -> Vec<String> {
    let mut drained = bodies(&queue.take(10).await);
    drained.sort();
    drained
}

/// [A-mv:test_basic_move_task_workflow]; "Redriven messages are new: new MessageId, new enqueue time".
#[tokio::test]
async fn dead_letters_are_moved_to_where_they_are_told() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        let destination = Queue::plain(&api, "destination").await;
        give_up(&queue, &dlq, &["message-1"]).await;
        let dead = dlq.one().await;
        dlq.change(&dead, 0).await;
        give_up(&queue, &dlq, &["message-2"]).await;
        let handle = start(&api, &json!({"SourceArn": dlq.arn(), "DestinationArn": destination.arn()})).await;
        let decoded: Value = serde_json::from_slice(&STANDARD.decode(&handle).unwrap()).unwrap();
        assert_eq!(decoded["sourceArn"], json!(dlq.arn()));
        assert_eq!(text(&decoded, "taskId").len(), 36, "a UUID");
        // No handle once it is over; the rate only if one was given.
        let expected = json!({"ApproximateNumberOfMessagesMoved": 2, "ApproximateNumberOfMessagesToMove": 2,
            "DestinationArn": destination.arn(), "SourceArn": dlq.arn(), "Status": "COMPLETED"});
        assert_eq!(latest_with(&dlq, "COMPLETED").await, expected);
        assert_eq!(dlq.counts().await, Counts::EMPTY);
        assert_eq!(destination.counts().await, Counts::visible(2));
        let moved = destination.one().await;
        assert_eq!(text(&moved, "Body"), text(&dead, "Body"));
        assert_ne!(text(&moved, "MessageId"), text(&dead, "MessageId"));
        assert_eq!(system(&moved, "ApproximateReceiveCount"), "1");
        assert_ne!(system(&moved, "SentTimestamp"), system(&dead, "SentTimestamp"));
    })
    .await;
}

/// [A-mv:test_move_task_workflow_with_default_destination,
/// test_move_task_workflow_with_multiple_sources_as_default_destination].
#[tokio::test]
async fn without_a_destination_each_goes_back_to_its_own_source() {
    each(async |api| {
        let (one, dlq) = pipe(&api).await;
        let other = Queue::new(&api, "source", &redrive_to(&dlq, 1)).await;
        give_up(&one, &dlq, &["1-1", "1-2"]).await;
        give_up(&other, &dlq, &["2-1", "2-2"]).await;
        start(&api, &json!({"SourceArn": dlq.arn()})).await;
        let expected = json!({"ApproximateNumberOfMessagesMoved": 4, "ApproximateNumberOfMessagesToMove": 4,
            "SourceArn": dlq.arn(), "Status": "COMPLETED"});
        assert_eq!(latest_with(&dlq, "COMPLETED").await, expected);
        assert_eq!(
            (drained(&one).await, drained(&other).await),
            (vec!["1-1".into(), "1-2".into()], vec!["2-1".into(), "2-2".into()])
        );
        assert_eq!(dlq.counts().await, Counts::EMPTY);
    })
    .await;
}

/// §8: what a message carries goes with it; it is no dead letter any more.
#[tokio::test]
async fn a_moved_message_keeps_its_attributes() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        let attributes = json!({"MyAttribute": {"DataType": "String", "StringValue": "foobar"}});
        queue.ok("SendMessage", &json!({"MessageBody": "x", "MessageAttributes": attributes})).await;
        queue.receive_and_return(1).await;
        assert_eq!(queue.take(1).await.len(), 0);
        start(&api, &json!({"SourceArn": dlq.arn()})).await;
        latest_with(&dlq, "COMPLETED").await;
        let moved = queue.one().await;
        assert_eq!(moved["MessageAttributes"], attributes);
        assert_eq!(text(&moved, "MD5OfMessageAttributes"), "adb59cd4678ea5a855436b949cd07ab6");
        assert_eq!(moved["Attributes"].get("DeadLetterQueueSourceArn"), None);
    })
    .await;
}

/// §8, FIFO: moved in order, and not taken for duplicates of what they were.
#[tokio::test]
async fn fifo_dead_letters_go_back_in_order() {
    each(async |api| {
        let dlq = Queue::fifo(&api, "dlq", &json!({})).await;
        let queue = Queue::fifo(&api, "source", &redrive_to(&dlq, 1)).await;
        queue.send_all(&[("g", "m1"), ("g", "m2"), ("g", "m3")]).await;
        for message in queue.take(10).await {
            queue.change(&message, 0).await;
        }
        assert_eq!(queue.take(10).await.len(), 0);
        start(&api, &json!({"SourceArn": dlq.arn()})).await;
        latest_with(&dlq, "COMPLETED").await;
        assert_eq!(queue.bodies(10).await, ["m1", "m2", "m3"]);
    })
    .await;
}

/// [A-mv:test_move_task_with_throughput_limit].
#[tokio::test]
async fn a_rate_is_kept() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        give_up(&queue, &dlq, &["1", "2", "3"]).await;
        let begun = Instant::now();
        start(&api, &json!({"SourceArn": dlq.arn(), "MaxNumberOfMessagesPerSecond": 1})).await;
        let task = latest_with(&dlq, "COMPLETED").await;
        assert_eq!(task["MaxNumberOfMessagesPerSecond"], json!(1));
        // The first may go at once, so three take two seconds at least.
        assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
        assert_eq!(drained(&queue).await, ["1", "2", "3"]);
    })
    .await;
}

/// [A-mv:test_move_task_cancel, test_start_multiple_move_tasks].
#[tokio::test]
async fn a_running_task_is_the_only_one_and_can_be_cancelled() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        let many: Vec<String> = (0..20).map(|index| index.to_string()).collect();
        give_up(&queue, &dlq, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let slowly = json!({"SourceArn": dlq.arn(), "DestinationArn": queue.arn(), "MaxNumberOfMessagesPerSecond": 1});
        let handle = start(&api, &slowly).await;
        let mut running = latest_with(&dlq, "RUNNING").await;
        let moved = running.as_object_mut().unwrap().remove("ApproximateNumberOfMessagesMoved").unwrap();
        assert!(moved.as_u64().unwrap() < 20, "{moved}");
        let expected = json!({"ApproximateNumberOfMessagesToMove": 20, "DestinationArn": queue.arn(),
            "MaxNumberOfMessagesPerSecond": 1, "SourceArn": dlq.arn(), "Status": "RUNNING", "TaskHandle": handle});
        assert_eq!(running, expected);

        let second = "There is already a task running. Only one active task is allowed for a source queue arn at a \
                      given time.";
        api.refused("StartMessageMoveTask", &slowly).await.assert_is(INVALID_PARAMETER, second);

        let cancelled = api.ok("CancelMessageMoveTask", &json!({"TaskHandle": handle})).await;
        assert!(cancelled["ApproximateNumberOfMessagesMoved"].as_u64().is_some_and(|moved| moved < 20), "{cancelled}");
        let over = latest_with(&dlq, "CANCELLED").await;
        assert_eq!(over.get("TaskHandle"), None);
        let moved = usize::try_from(over["ApproximateNumberOfMessagesMoved"].as_u64().unwrap()).unwrap();
        assert_eq!(dlq.counts().await, Counts::visible(20 - moved), "the rest stays");

        // Now another may run; it takes the rest, and is the first of the list.
        start(&api, &json!({"SourceArn": dlq.arn()})).await;
        latest_with(&dlq, "COMPLETED").await;
        assert_eq!(dlq.counts().await, Counts::EMPTY);
        let both = api.ok("ListMessageMoveTasks", &json!({"SourceArn": dlq.arn(), "MaxResults": 10})).await;
        let statuses: Vec<Value> = list(&both, "Results").iter().map(|task| task["Status"].clone()).collect();
        assert_eq!(statuses, [json!("COMPLETED"), json!("CANCELLED")]);
    })
    .await;
}

/// [A-mv:test_move_task_delete_destination_queue_while_running].
#[tokio::test]
async fn a_task_fails_when_its_destination_goes() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        let destination = Queue::plain(&api, "destination").await;
        give_up(&queue, &dlq, &["1", "2", "3", "4", "5"]).await;
        let members =
            json!({"SourceArn": dlq.arn(), "DestinationArn": destination.arn(), "MaxNumberOfMessagesPerSecond": 1});
        start(&api, &members).await;
        destination.ok("DeleteQueue", &json!({})).await;
        let task = latest_with(&dlq, "FAILED").await;
        assert_eq!(task["FailureReason"], json!("AWS.SimpleQueueService.NonExistentQueue"));
        assert_eq!(task.get("TaskHandle"), None);
        assert!(dlq.counts().await.visible >= 1, "what was not moved stays");
    })
    .await;
}

/// [A-mv:test_source_needs_redrive_policy, test_destination_needs_to_exist, test_cancel_with_invalid_*].
#[tokio::test]
async fn what_a_move_task_cannot_do_is_refused() {
    each(async |api| {
        let (_queue, dlq) = pipe(&api).await;
        let plain = Queue::plain(&api, "plain").await;
        let fifo = Queue::fifo(&api, "fifo", &json!({})).await;
        let nowhere = arn(&unique("nowhere"));
        let task = |source: &str| {
            let task_id = "10f57157-fc38-4da9-a113-4de7e12d05aa";
            json!({"TaskHandle": STANDARD.encode(json!({"taskId": task_id, "sourceArn": source}).to_string())})
        };
        let no_dlq = "Source queue must be configured as a Dead Letter Queue.";
        let bad_handle = "Value for parameter TaskHandle is invalid.";
        let (begin, cancel, tasks) = ("StartMessageMoveTask", "CancelMessageMoveTask", "ListMessageMoveTasks");
        let from = |source: &str| json!({"SourceArn": source});
        let between = |source: &str, destination: &str| json!({"SourceArn": source, "DestinationArn": destination});
        let rows = [
            refusal("§8 no dead-letter queue", begin, from(&plain.arn()), INVALID_PARAMETER, no_dlq),
            refusal("§8 unknown source", begin, from(&nowhere), NOT_FOUND, NO_SOURCE),
            refusal("§8 unknown destination", begin, between(&dlq.arn(), &nowhere), NOT_FOUND, NO_DESTINATION),
            refusal("§8 another type", begin, between(&dlq.arn(), &fifo.arn()), INVALID_PARAMETER, ""),
            refusal("§8 bad handle", cancel, json!({"TaskHandle": "foobared"}), INVALID_PARAMETER, bad_handle),
            refusal("§8 handle of no queue", cancel, task(&nowhere), NOT_FOUND, NO_SOURCE),
            refusal("§8 handle of no task", cancel, task(&dlq.arn()), NOT_FOUND, NO_TASK),
            refusal("§8 unknown source", tasks, from(&nowhere), NOT_FOUND, NO_SOURCE),
        ];
        assert_refused(&api, &rows).await;
        let none = api.ok(tasks, &from(&dlq.arn())).await;
        assert_eq!(list(&none, "Results").len(), 0);
    })
    .await;
}

/// §8: a task that is over cannot be cancelled.
#[tokio::test]
async fn a_task_that_is_over_is_not_cancelled() {
    each(async |api| {
        let (queue, dlq) = pipe(&api).await;
        give_up(&queue, &dlq, &["x"]).await;
        let handle = start(&api, &json!({"SourceArn": dlq.arn()})).await;
        latest_with(&dlq, "COMPLETED").await;
        let refused = api.refused("CancelMessageMoveTask", &json!({"TaskHandle": handle})).await;
        assert!([400, 404].contains(&refused.status), "{refused:?}");
        assert_eq!(latest_with(&dlq, "COMPLETED").await["Status"], json!("COMPLETED"));
    })
    .await;
}
