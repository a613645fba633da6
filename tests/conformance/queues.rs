//! sqs-semantics §3: names, creating (twice), finding and deleting queues.

use serde_json::{Value, json};
use support::Counts;

use crate::client::{Api, Protocol, each};
use crate::errors::{INVALID_PARAMETER, NO_SUCH_QUEUE, QUEUE_EXISTS};
use crate::queue::{Queue, text, unique};
use crate::rows::{Refusal, assert_refused, refusal};

async fn create(api: &Api, name: &str, attributes: Value) -> Value {
    api.ok("CreateQueue", &json!({"QueueName": name, "Attributes": attributes})).await
}

/// §3 Name.
#[tokio::test]
async fn names_that_are_taken() {
    each(async |api| {
        let distinct = unique("A-b_9");
        let longest = format!("{distinct}{}", "x".repeat(80 - distinct.len()));
        for name in [distinct.as_str(), &longest] {
            let url = create(&api, name, json!({})).await;
            assert!(text(&url, "QueueUrl").ends_with(&format!("/000000000000/{name}")), "{url}");
        }
        // The suffix counts towards the 80.
        let fifo = format!("{}.fifo", &longest[..75]);
        let url = create(&api, &fifo, json!({"FifoQueue": "true"})).await;
        assert!(text(&url, "QueueUrl").ends_with(&fifo), "{url}");
        // Case-sensitive: two queues.
        let lower = unique("case");
        let upper = lower.to_uppercase();
        create(&api, &lower, json!({})).await;
        create(&api, &upper, json!({"VisibilityTimeout": "7"})).await;
        assert_eq!(text(&api.ok("GetQueueUrl", &json!({"QueueName": upper})).await, "QueueUrl").contains(&upper), true);
    })
    .await;
}

/// §3 Name [A:test_fifo_queue_requires_suffix, test_standard_queue_cannot_have_fifo_suffix,
/// test_disallow_queue_name_with_slashes].
#[tokio::test]
async fn names_that_are_refused() {
    each(async |api| {
        let source = "§3 Name";
        let of_standard = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        let standard =
            |name: &str| refusal(source, "CreateQueue", json!({"QueueName": name}), INVALID_PARAMETER, of_standard);
        let fifo = |name: &str| {
            let members = json!({"QueueName": name, "Attributes": {"FifoQueue": "true"}});
            refusal(source, "CreateQueue", members, INVALID_PARAMETER, "")
        };
        let too_long = "x".repeat(81);
        let too_long_fifo = format!("{}.fifo", "x".repeat(76));
        let mut rows: Vec<Refusal> = vec![
            // moto's test_create_fifo_queue_invalid_name.
            standard(""),
            standard(&too_long),
            standard("a b"),
            standard("a/b"),
            standard("a.b"),
            standard("ä"),
            fifo("no-suffix"),
            fifo(&too_long_fifo),
            fifo("a b.fifo"),
            fifo("a.b.fifo"),
            fifo("upper.FIFO"),
        ];
        rows.push(refusal(source, "CreateQueue", json!({"QueueName": "standard.fifo"}), INVALID_PARAMETER, ""));
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §3 CreateQueue twice [A:test_create_queue_with_same_attributes_is_idempotent,
/// …_with_default_arguments_works_with_modified_attributes, test_create_queue_with_different_attributes_raises_exception].
#[tokio::test]
async fn creating_twice_compares_only_what_is_given() {
    each(async |api| {
        let name = unique("twice");
        let given = json!({"DelaySeconds": "1", "ReceiveMessageWaitTimeSeconds": "1"});
        let url = create(&api, &name, given.clone()).await;
        let same_again = [json!({}), given.clone(), json!({"DelaySeconds": "1"})];
        for attributes in same_again {
            assert_eq!(create(&api, &name, attributes.clone()).await, url, "{attributes}");
        }
        let differs = |attributes: Value, first: &str| {
            let message =
                format!("A queue already exists with the same name and a different value for attribute {first}");
            let members = json!({"QueueName": name, "Attributes": attributes});
            refusal("§3 CreateQueue twice", "CreateQueue", members, QUEUE_EXISTS, message)
        };
        let other_delay = json!({"ReceiveMessageWaitTimeSeconds": "1", "DelaySeconds": "2"});
        assert_refused(&api, &[differs(other_delay.clone(), "DelaySeconds")]).await;
        // What counts is what the queue is now, not what it was created with.
        api.ok("SetQueueAttributes", &json!({"QueueUrl": name, "Attributes": {"DelaySeconds": "2"}})).await;
        assert_eq!(create(&api, &name, other_delay).await, url);
        assert_eq!(create(&api, &name, json!({})).await, url);
        assert_refused(&api, &[differs(given, "DelaySeconds")]).await;
        // A default that is given is a value like any other.
        assert_refused(&api, &[differs(json!({"DelaySeconds": "0"}), "DelaySeconds")]).await;
    })
    .await;
}

/// §3 [A:test_create_queue_after_internal_attributes_changes_works, test_create_fifo_queue_with_different_attributes…].
#[tokio::test]
async fn creating_twice_sees_messages_and_fifo_attributes_as_they_are() {
    each(async |api| {
        let queue = Queue::plain(&api, "busy").await;
        queue.send("x").await;
        queue.ok("SendMessage", &json!({"MessageBody": "x", "DelaySeconds": 900})).await;
        assert_eq!(text(&create(&api, &queue.name, json!({})).await, "QueueUrl"), queue.url);

        let fifo = Queue::fifo(&api, "busy", &json!({})).await;
        let same = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
        assert_eq!(text(&create(&api, &fifo.name, same).await, "QueueUrl"), fifo.url);
        let message =
            "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication";
        let members = json!({"QueueName": fifo.name,
            "Attributes": {"FifoQueue": "true", "ContentBasedDeduplication": "false"}});
        assert_refused(&api, &[refusal("§3", "CreateQueue", members, QUEUE_EXISTS, message)]).await;
    })
    .await;
}

/// §3 Delete: nothing of it is left, and without the strict switch its name is free at once.
#[tokio::test]
async fn a_deleted_queue_is_gone_and_its_name_is_free() {
    each(async |api| {
        let queue = Queue::plain(&api, "deleted").await;
        queue.send("x").await;
        queue.ok("TagQueue", &json!({"Tags": {"k": "v"}})).await;
        assert_eq!(queue.ok("DeleteQueue", &json!({})).await, json!({}));
        let no_queue = match api.protocol {
            Protocol::Json => "The specified queue does not exist.",
            Protocol::Query => "The specified queue does not exist for this wsdl version.",
        };
        for action in ["ReceiveMessage", "DeleteQueue"] {
            queue.refused(action, &json!({})).await.assert_is(NO_SUCH_QUEUE, no_queue);
        }
        let again = Queue::named(&api, queue.name.clone(), &json!({"VisibilityTimeout": "7"})).await;
        assert_eq!(again.url, queue.url);
        assert_eq!(again.counts().await, Counts::EMPTY);
        assert_eq!(again.ok("ListQueueTags", &json!({})).await, json!({}));
        assert_eq!(again.attributes(&["VisibilityTimeout"]).await, json!({"VisibilityTimeout": "7"}));
    })
    .await;
}

/// §2 GetQueueUrl; ElasticMQ loses `.fifo` names here (sqs-semantics §10).
#[tokio::test]
async fn a_queues_url_is_found_by_its_name() {
    each(async |api| {
        for queue in [Queue::plain(&api, "found").await, Queue::fifo(&api, "found", &json!({})).await] {
            for owner in [json!({}), json!({"QueueOwnerAWSAccountId": "000000000000"})] {
                let mut members = owner;
                members["QueueName"] = json!(queue.name);
                assert_eq!(text(&api.ok("GetQueueUrl", &members).await, "QueueUrl"), queue.url);
            }
            let foreign = json!({"QueueName": queue.name, "QueueOwnerAWSAccountId": "111111111111"});
            api.refused("GetQueueUrl", &foreign).await.assert_kind(NO_SUCH_QUEUE);
        }
    })
    .await;
}

/// §2 CreateQueue: `tags` is in lower case in JSON too [A:test_create_queue_with_tags].
#[tokio::test]
async fn a_queue_is_created_with_tags() {
    each(async |api| {
        let name = unique("tagged");
        let tags = json!({"tag1": "value1", "tag2": ""});
        api.ok("CreateQueue", &json!({"QueueName": name, "tags": tags})).await;
        assert_eq!(api.ok("ListQueueTags", &json!({"QueueUrl": name})).await, json!({"Tags": tags}));
    })
    .await;
}
