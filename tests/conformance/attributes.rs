//! sqs-semantics §3, the table of attributes: ranges, defaults, what may be set on which queue, what is shown.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{INVALID_ATTRIBUTE_NAME, INVALID_ATTRIBUTE_VALUE};
use crate::queue::{Queue, text, unique};
use crate::rows::{Refusal, assert_refused, refusal};

/// What every queue has, with its default; the counters, timestamps and the ARN are not among them.
fn defaults() -> Value {
    json!({
        "DelaySeconds": "0", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true", "VisibilityTimeout": "30",
    })
}

/// The attributes that tell of a queue and cannot be set.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// All attributes but those that tell of the queue, which are checked here and taken out.
async fn settings(queue: &Queue) -> Value {
    let mut all = queue.attributes(&["All"]).await;
    for name in READ_ONLY {
        let told = all.as_object_mut().unwrap().remove(name).unwrap_or_else(|| panic!("no {name}"));
        let told = told.as_str().unwrap_or_else(|| panic!("{name}: all values are strings")).to_owned();
        match name {
            "QueueArn" => assert_eq!(told, queue.arn()),
            name if name.ends_with("Timestamp") => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                let age = now.abs_diff(told.parse().unwrap());
                assert!(age < 600, "{name} is in seconds: {told}");
            }
            _ => assert_eq!(told, "0", "{name}"),
        }
    }
    all
}

/// §3 "`All` on a fresh standard queue returns exactly" [A].
#[tokio::test]
async fn a_fresh_standard_queue_shows_exactly_its_defaults() {
    each(async |api| {
        let queue = Queue::plain(&api, "fresh").await;
        assert_eq!(settings(&queue).await, defaults());
    })
    .await;
}

/// §3 "FIFO adds" [A:test_fifo_set_content_based_deduplication_strategy].
#[tokio::test]
async fn a_fresh_fifo_queue_shows_four_more() {
    each(async |api| {
        let queue = Queue::named(&api, unique("fresh") + ".fifo", &json!({"FifoQueue": "true"})).await;
        let mut expected = defaults();
        expected["FifoQueue"] = json!("true");
        expected["ContentBasedDeduplication"] = json!("false");
        expected["DeduplicationScope"] = json!("queue");
        expected["FifoThroughputLimit"] = json!("perQueue");
        assert_eq!(settings(&queue).await, expected);
        queue.set(&json!({"ContentBasedDeduplication": "true"})).await;
        expected["ContentBasedDeduplication"] = json!("true");
        assert_eq!(settings(&queue).await, expected);
        // It is one, so saying so again changes nothing [A:test_set_unsupported_attribute_fifo].
        queue.set(&json!({"FifoQueue": "true"})).await;
        let high = json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"});
        queue.set(&high).await;
        assert_eq!(queue.attributes(&["DeduplicationScope", "FifoThroughputLimit"]).await, high);
    })
    .await;
}

/// §3 Range: both ends are taken, one beyond is not, at creation as later.
#[tokio::test]
async fn every_range_holds_at_both_ends() {
    each(async |api| {
        let queue = Queue::plain(&api, "ranges").await;
        let mut rows: Vec<Refusal> = Vec::new();
        for (name, min, max) in [
            ("VisibilityTimeout", 0_i64, 43_200),
            ("DelaySeconds", 0, 900),
            ("ReceiveMessageWaitTimeSeconds", 0, 20),
            ("MessageRetentionPeriod", 60, 1_209_600),
            ("MaximumMessageSize", 1024, 1_048_576),
        ] {
            for good in [min, max] {
                let attributes = json!({name: good.to_string()});
                queue.set(&attributes).await;
                assert_eq!(queue.attributes(&[name]).await, attributes);
                let created = Queue::new(&api, "range", &attributes).await;
                assert_eq!(created.attributes(&[name]).await, attributes);
            }
            for bad in [(min - 1).to_string(), (max + 1).to_string(), "ten".to_owned(), "1.5".to_owned()] {
                let set = json!({"QueueUrl": queue.url, "Attributes": {name: bad}});
                rows.push(refusal("§3 Range", "SetQueueAttributes", set, INVALID_ATTRIBUTE_VALUE, ""));
                let create = json!({"QueueName": unique("refused"), "Attributes": {name: bad}});
                rows.push(refusal("§3 Range", "CreateQueue", create, INVALID_ATTRIBUTE_VALUE, ""));
            }
        }
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §3: the queue's type is given at creation and never changes; FIFO's own are no attributes of a standard queue
/// [A:test_set_unsupported_attribute_standard, …_fifo, test_create_standard_queue_with_fifo_attribute_raises_error].
#[tokio::test]
async fn what_is_fifos_is_refused_on_a_standard_queue() {
    each(async |api| {
        let queue = Queue::plain(&api, "standard").await;
        let mut rows = Vec::new();
        for (name, values, message) in [
            ("FifoQueue", ["true", "false"], "Unknown Attribute FifoQueue."),
            ("ContentBasedDeduplication", ["true", "false"], "Unknown Attribute ContentBasedDeduplication."),
            (
                "DeduplicationScope",
                ["queue", "messageGroup"],
                "You can specify the DeduplicationScope only when FifoQueue is set to true.",
            ),
            (
                "FifoThroughputLimit",
                ["perQueue", "perMessageGroupId"],
                "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
            ),
        ] {
            for value in values {
                let set = json!({"QueueUrl": queue.url, "Attributes": {name: value}});
                rows.push(refusal("§3", "SetQueueAttributes", set, INVALID_ATTRIBUTE_NAME, message));
                if (name, value) != ("FifoQueue", "true") {
                    let create = json!({"QueueName": unique("refused"), "Attributes": {name: value}});
                    rows.push(refusal("§3", "CreateQueue", create, INVALID_ATTRIBUTE_NAME, message));
                }
            }
        }
        let fifo = Queue::fifo(&api, "fifo", &json!({})).await;
        let message = "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.";
        let set = json!({"QueueUrl": fifo.url, "Attributes": {"FifoQueue": "false"}});
        rows.push(refusal("§3", "SetQueueAttributes", set, INVALID_ATTRIBUTE_VALUE, message));
        for (name, value) in [
            ("DeduplicationScope", "group"),
            ("FifoThroughputLimit", "perGroup"),
            ("ContentBasedDeduplication", "maybe"),
        ] {
            let set = json!({"QueueUrl": fifo.url, "Attributes": {name: value}});
            rows.push(refusal("§3 Range", "SetQueueAttributes", set, INVALID_ATTRIBUTE_VALUE, ""));
        }
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §3 FifoThroughputLimit: `perMessageGroupId` needs the scope `messageGroup`.
#[tokio::test]
async fn throughput_per_group_needs_deduplication_per_group() {
    each(async |api| {
        let name = || unique("throughput") + ".fifo";
        let per_group = json!({"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"});
        let queue = Queue::fifo(&api, "throughput", &json!({})).await;
        let set = json!({"FifoThroughputLimit": "perMessageGroupId"});
        for refused in [
            api.refused("CreateQueue", &json!({"QueueName": name(), "Attributes": per_group})).await,
            queue.refused("SetQueueAttributes", &json!({"Attributes": set})).await,
        ] {
            assert!(refused.code.starts_with("InvalidAttribute") && refused.status == 400, "{refused:?}");
        }
        // Scope by itself is fine [A:test_sqs_fifo_message_group_scope_no_throughput_setting].
        Queue::named(&api, name(), &json!({"FifoQueue": "true", "DeduplicationScope": "messageGroup"})).await;
    })
    .await;
}

/// §3: recorded tests write `True`; what is shown is lower-case.
#[tokio::test]
async fn booleans_are_taken_in_any_case() {
    each(async |api| {
        let attributes =
            json!({"FifoQueue": "True", "ContentBasedDeduplication": "TRUE", "SqsManagedSseEnabled": "False"});
        let queue = Queue::named(&api, unique("bool") + ".fifo", &attributes).await;
        let names = ["FifoQueue", "ContentBasedDeduplication", "SqsManagedSseEnabled"];
        let shown = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true", "SqsManagedSseEnabled": "false"});
        assert_eq!(queue.attributes(&names).await, shown);
    })
    .await;
}

/// §3 read-only, unknown names: refused both ways; ElasticMQ had trouble here (elasticmq#43, #158).
#[tokio::test]
async fn unknown_and_read_only_attributes_are_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "unknown").await;
        let mut rows = Vec::new();
        for name in READ_ONLY.into_iter().chain(["Frobnication", "visibilitytimeout", "All"]) {
            let message = format!("Unknown Attribute {name}.");
            let set = json!({"QueueUrl": queue.url, "Attributes": {name: "1"}});
            rows.push(refusal("§3 read-only", "SetQueueAttributes", set, INVALID_ATTRIBUTE_NAME, &message));
            let create = json!({"QueueName": unique("refused"), "Attributes": {name: "1"}});
            rows.push(refusal("§3 read-only", "CreateQueue", create, INVALID_ATTRIBUTE_NAME, &message));
        }
        for name in ["Frobnication", "visibilitytimeout"] {
            let get = json!({"QueueUrl": queue.url, "AttributeNames": ["QueueArn", name]});
            let message = format!("Unknown Attribute {name}.");
            rows.push(refusal("§2 InvalidAttributeName", "GetQueueAttributes", get, INVALID_ATTRIBUTE_NAME, message));
        }
        assert_refused(&api, &rows).await;
        assert_eq!(settings(&queue).await, defaults());
    })
    .await;
}

/// §2 GetQueueAttributes: what is asked for, and of that what is set. One bad attribute sets none.
#[tokio::test]
async fn attributes_are_set_all_or_none_and_shown_as_asked() {
    each(async |api| {
        let queue = Queue::plain(&api, "shown").await;
        let two = json!({"VisibilityTimeout": "20", "DelaySeconds": "420"});
        queue.set(&two).await;
        assert_eq!(queue.attributes(&["VisibilityTimeout", "DelaySeconds"]).await, two);
        assert_eq!(queue.attributes(&["VisibilityTimeout", "Policy"]).await, json!({"VisibilityTimeout": "20"}));
        // An attribute of the other type of queue is known, and absent.
        assert_eq!(queue.attributes(&["FifoQueue", "KmsMasterKeyId"]).await, json!({}));
        let one_bad = json!({"Attributes": {"VisibilityTimeout": "30", "DelaySeconds": "901"}});
        queue.refused("SetQueueAttributes", &one_bad).await.assert_kind(INVALID_ATTRIBUTE_VALUE);
        assert_eq!(queue.attributes(&["VisibilityTimeout", "DelaySeconds"]).await, two);
        let all = queue.attributes(&["All", "QueueArn"]).await;
        assert_eq!(text(&all, "DelaySeconds"), "420");
    })
    .await;
}
