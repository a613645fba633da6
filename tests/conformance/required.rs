//! sqs-semantics §2, the table of actions: what each cannot do without, what each number may be, and that all of a
//! queue's actions know when there is no queue.

use serde_json::{Value, json};

use crate::client::{Protocol, each};
use crate::errors::{EMPTY_BATCH, INVALID_PARAMETER, MISSING_PARAMETER, NO_SUCH_QUEUE};
use crate::queue::{Queue, redrive_to, unique};
use crate::rows::{assert_refused, refusal};

/// All actions that name a queue by its URL, with members that are right but for the queue.
fn actions_of_a_queue(url: &str) -> Vec<(&'static str, Value)> {
    let mut actions = vec![
        ("DeleteQueue", json!({})),
        ("GetQueueAttributes", json!({"AttributeNames": ["All"]})),
        ("SetQueueAttributes", json!({"Attributes": {"DelaySeconds": "0"}})),
        ("PurgeQueue", json!({})),
        ("TagQueue", json!({"Tags": {"k": "v"}})),
        ("UntagQueue", json!({"TagKeys": ["k"]})),
        ("ListQueueTags", json!({})),
        ("AddPermission", json!({"Label": "l", "AWSAccountIds": ["000000000000"], "Actions": ["SendMessage"]})),
        ("RemovePermission", json!({"Label": "l"})),
        ("SendMessage", json!({"MessageBody": "x"})),
        ("SendMessageBatch", json!({"Entries": [{"Id": "1", "MessageBody": "x"}]})),
        ("ReceiveMessage", json!({})),
        ("DeleteMessage", json!({"ReceiptHandle": "h"})),
        ("DeleteMessageBatch", json!({"Entries": [{"Id": "1", "ReceiptHandle": "h"}]})),
        ("ChangeMessageVisibility", json!({"ReceiptHandle": "h", "VisibilityTimeout": 1})),
        (
            "ChangeMessageVisibilityBatch",
            json!({"Entries": [{"Id": "1", "ReceiptHandle": "h", "VisibilityTimeout": 1}]}),
        ),
        ("ListDeadLetterSourceQueues", json!({})),
    ];
    for (_, members) in &mut actions {
        members["QueueUrl"] = json!(url);
    }
    actions
}

#[tokio::test]
async fn every_action_of_a_queue_knows_when_there_is_none() {
    each(async |api| {
        let text = match api.protocol {
            Protocol::Json => "The specified queue does not exist.",
            Protocol::Query => "The specified queue does not exist for this wsdl version.",
        };
        let name = unique("nowhere");
        let mut rows: Vec<_> = actions_of_a_queue(&name)
            .into_iter()
            .map(|(action, members)| refusal("§2 QueueDoesNotExist", action, members, NO_SUCH_QUEUE, text))
            .collect();
        rows.push(refusal("§2 QueueDoesNotExist", "GetQueueUrl", json!({"QueueName": name}), NO_SUCH_QUEUE, text));
        assert_refused(&api, &rows).await;
    })
    .await;
}

#[tokio::test]
async fn every_required_member_is_required() {
    each(async |api| {
        let queue = Queue::plain(&api, "required").await;
        let source = "§2 Required";
        let missing = |member: &str| format!("The request must contain the parameter {member}.");
        let mut rows: Vec<_> = actions_of_a_queue("")
            .into_iter()
            .map(|(action, mut members)| {
                members.as_object_mut().unwrap().remove("QueueUrl");
                refusal(source, action, members, MISSING_PARAMETER, missing("QueueUrl"))
            })
            .collect();
        for (action, member) in [
            ("CreateQueue", "QueueName"),
            ("GetQueueUrl", "QueueName"),
            ("StartMessageMoveTask", "SourceArn"),
            ("CancelMessageMoveTask", "TaskHandle"),
            ("ListMessageMoveTasks", "SourceArn"),
        ] {
            rows.push(refusal(source, action, json!({}), MISSING_PARAMETER, missing(member)));
        }
        // The members of a queue's actions, each left out of the whole request. Lists and maps have no text that is
        // known: their names differ between the protocols.
        for (action, members) in actions_of_a_queue(&queue.url) {
            let optional = ["QueueUrl", "AttributeNames"];
            for (member, value) in members.as_object().unwrap() {
                if optional.contains(&member.as_str()) {
                    continue;
                }
                let mut without = members.clone();
                without.as_object_mut().unwrap().remove(member);
                let (kind, text) = match member.as_str() {
                    "Entries" => (EMPTY_BATCH, String::new()),
                    // No keys at all are as good as a key of no length [moto: test_untag_queue_errors].
                    "TagKeys" => {
                        (INVALID_PARAMETER, "Tag keys must be between 1 and 128 characters in length.".to_owned())
                    }
                    // As for a list without accounts [moto: test_add_permission_errors].
                    "AWSAccountIds" => (
                        INVALID_PARAMETER,
                        "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.".to_owned(),
                    ),
                    _ if value.is_string() || value.is_number() => (MISSING_PARAMETER, missing(member)),
                    _ => (MISSING_PARAMETER, String::new()),
                };
                rows.push(refusal(source, action, without, kind, text));
            }
        }
        assert_refused(&api, &rows).await;
    })
    .await;
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "ranges").await;
        queue.send("x").await;
        let message = queue.one().await;
        let handle = message["ReceiptHandle"].clone();
        let of_queue = |member: &str, value: i64| json!({"QueueUrl": queue.url, member: value});
        let mut rows = Vec::new();
        for bad in [0, 11, -1] {
            // [A:test_send_receive_max_number_of_messages]
            let text = format!("Value {bad} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.");
            rows.push(refusal("§5.1", "ReceiveMessage", of_queue("MaxNumberOfMessages", bad), INVALID_PARAMETER, text));
        }
        for bad in [-1, 21] {
            // [A:test_send_receive_wait_time_seconds]
            let text = format!("Value {bad} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.");
            rows.push(refusal("§5.1", "ReceiveMessage", of_queue("WaitTimeSeconds", bad), INVALID_PARAMETER, text));
        }
        for bad in [-1, 43_201, i64::from(u32::MAX) + 1] {
            // A timeout too large once brought an emulator down: fakecloud#2237.
            rows.push(refusal("§2", "ReceiveMessage", of_queue("VisibilityTimeout", bad), INVALID_PARAMETER, ""));
            let change = json!({"QueueUrl": queue.url, "ReceiptHandle": handle, "VisibilityTimeout": bad});
            rows.push(refusal("§2", "ChangeMessageVisibility", change, INVALID_PARAMETER, ""));
        }
        for bad in [-1, 901] {
            let send = json!({"QueueUrl": queue.url, "MessageBody": "x", "DelaySeconds": bad});
            rows.push(refusal("§2", "SendMessage", send, INVALID_PARAMETER, ""));
        }
        for bad in [0, 1001] {
            rows.push(refusal("§2", "ListQueues", json!({"MaxResults": bad}), INVALID_PARAMETER, ""));
            rows.push(refusal("§2", "ListDeadLetterSourceQueues", of_queue("MaxResults", bad), INVALID_PARAMETER, ""));
        }
        let dlq = Queue::plain(&api, "ranges-dlq").await;
        queue.set(&redrive_to(&dlq, 1)).await;
        for bad in [0, 11] {
            let members = json!({"SourceArn": dlq.arn(), "MaxResults": bad});
            rows.push(refusal("§2", "ListMessageMoveTasks", members, INVALID_PARAMETER, ""));
        }
        for bad in [0, 501] {
            let members = json!({"SourceArn": dlq.arn(), "MaxNumberOfMessagesPerSecond": bad});
            rows.push(refusal("§2", "StartMessageMoveTask", members, INVALID_PARAMETER, ""));
        }
        let attempt = json!({"QueueUrl": queue.url, "ReceiveRequestAttemptId": "x".repeat(129)});
        rows.push(refusal("§2", "ReceiveMessage", attempt, INVALID_PARAMETER, ""));
        assert_refused(&api, &rows).await;
    })
    .await;
}

#[tokio::test]
async fn the_ends_of_every_range_are_taken() {
    each(async |api| {
        let queue = Queue::plain(&api, "ends").await;
        for (action, members) in [
            ("SendMessage", json!({"MessageBody": "x", "DelaySeconds": 0})),
            ("SendMessage", json!({"MessageBody": "x", "DelaySeconds": 900})),
            ("ReceiveMessage", json!({"MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "WaitTimeSeconds": 0})),
            // The one that is visible ends the wait at once.
            ("ReceiveMessage", json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200, "WaitTimeSeconds": 20})),
            ("ListDeadLetterSourceQueues", json!({"MaxResults": 1})),
            ("ListDeadLetterSourceQueues", json!({"MaxResults": 1000})),
        ] {
            queue.ok(action, &members).await;
        }
        for max in [1, 1000] {
            api.ok("ListQueues", &json!({"MaxResults": max})).await;
        }
    })
    .await;
}
