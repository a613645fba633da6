//! sqs-semantics §3 and §8: the redrive policy and who may name a queue as its dead-letter queue.

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{INVALID_ATTRIBUTE_VALUE, INVALID_PARAMETER};
use crate::queue::{Queue, arn, redrive_to, unique};
use crate::rows::{assert_refused, refusal};

fn set(queue: &Queue, name: &str, policy: impl ToString) -> Value {
    json!({"QueueUrl": queue.url, "Attributes": {name: policy.to_string()}})
}

async fn policy(queue: &Queue, name: &str) -> Option<Value> {
    let attributes = queue.attributes(&[name]).await;
    attributes.get(name).map(|policy| serde_json::from_str(policy.as_str().unwrap()).unwrap())
}

/// §3 RedrivePolicy [A:test_redrive_policy_attribute_validity, test_set_empty_redrive_policy].
#[tokio::test]
async fn a_redrive_policy_is_taken_shown_and_removed() {
    each(async |api| {
        let (dlq, queue) = (Queue::plain(&api, "dlq").await, Queue::plain(&api, "source").await);
        for count in [json!(1), json!("42"), json!(1000)] {
            let given = json!({"deadLetterTargetArn": dlq.arn(), "maxReceiveCount": count});
            api.ok("SetQueueAttributes", &set(&queue, "RedrivePolicy", &given)).await;
            let shown = policy(&queue, "RedrivePolicy").await.unwrap();
            assert_eq!(shown["deadLetterTargetArn"], json!(dlq.arn()));
            // Given as text it may come back as either: clients read both.
            let number = |count: &Value| count.as_u64().or_else(|| count.as_str()?.parse().ok());
            assert_eq!(number(&shown["maxReceiveCount"]), number(&count), "{shown}");
        }
        queue.set(&json!({"RedrivePolicy": ""})).await;
        assert_eq!(policy(&queue, "RedrivePolicy").await, None);
        assert_eq!(queue.attributes(&["All"]).await.get("RedrivePolicy"), None);
    })
    .await;
}

/// §3 RedrivePolicy: "all-missing/partial → InvalidParameterValue"; §8: type must match, target must be there.
#[tokio::test]
async fn a_redrive_policy_that_cannot_work_is_refused() {
    each(async |api| {
        let (dlq, queue) = (Queue::plain(&api, "dlq").await, Queue::plain(&api, "source").await);
        let (fifo_dlq, fifo) =
            (Queue::fifo(&api, "dlq", &json!({})).await, Queue::fifo(&api, "source", &json!({})).await);
        let target = dlq.arn();
        let bad = |source, queue: &Queue, policy: Value| {
            refusal(source, "SetQueueAttributes", set(queue, "RedrivePolicy", &policy), INVALID_PARAMETER, "")
        };
        let nowhere = arn(&unique("nowhere"));
        let other_region = target.replace("us-east-1", "eu-west-1");
        let other_account = target.replace("000000000000", "111111111111");
        let rows = [
            bad("§3 no count", &queue, json!({"deadLetterTargetArn": target})),
            bad("§3 no target", &queue, json!({"maxReceiveCount": "42"})),
            bad("§3 nothing", &queue, json!({})),
            bad("§3 no object", &queue, json!([])),
            bad("§3 no number", &queue, json!({"deadLetterTargetArn": target, "maxReceiveCount": "invalid"})),
            bad("§3 1–1000", &queue, json!({"deadLetterTargetArn": target, "maxReceiveCount": 0})),
            bad("§3 1–1000", &queue, json!({"deadLetterTargetArn": target, "maxReceiveCount": 1001})),
            bad("§3 no ARN", &queue, json!({"deadLetterTargetArn": "dummy", "maxReceiveCount": 42})),
            bad("§8 no such queue", &queue, json!({"deadLetterTargetArn": nowhere, "maxReceiveCount": 3})),
            bad("§8 Region", &queue, json!({"deadLetterTargetArn": other_region, "maxReceiveCount": 3})),
            bad("§8 account", &queue, json!({"deadLetterTargetArn": other_account, "maxReceiveCount": 3})),
            bad("§8 type", &queue, json!({"deadLetterTargetArn": fifo_dlq.arn(), "maxReceiveCount": 3})),
            bad("§8 type", &fifo, json!({"deadLetterTargetArn": target, "maxReceiveCount": 3})),
            refusal("§3 no JSON", "SetQueueAttributes", set(&queue, "RedrivePolicy", "x"), INVALID_PARAMETER, ""),
            refusal(
                "§3 at creation too",
                "CreateQueue",
                json!({"QueueName": unique("refused"), "Attributes": {"RedrivePolicy": "{}"}}),
                INVALID_PARAMETER,
                "",
            ),
        ];
        assert_refused(&api, &rows).await;
        assert_eq!(policy(&queue, "RedrivePolicy").await, None);
        // Of the same type both are fine.
        queue.set(&redrive_to(&dlq, 3)).await;
        fifo.set(&redrive_to(&fifo_dlq, 3)).await;
    })
    .await;
}

/// §3 RedriveAllowPolicy: three permissions, a list of at most ten with `byQueue` only.
#[tokio::test]
async fn a_redrive_allow_policy_is_checked_and_shown() {
    each(async |api| {
        let queue = Queue::plain(&api, "dlq").await;
        let sources = |count: usize| (0..count).map(|index| arn(&format!("s{index}"))).collect::<Vec<_>>();
        for good in [
            json!({"redrivePermission": "allowAll"}),
            json!({"redrivePermission": "denyAll"}),
            json!({"redrivePermission": "byQueue", "sourceQueueArns": sources(1)}),
            json!({"redrivePermission": "byQueue", "sourceQueueArns": sources(10)}),
        ] {
            api.ok("SetQueueAttributes", &set(&queue, "RedriveAllowPolicy", &good)).await;
            assert_eq!(policy(&queue, "RedriveAllowPolicy").await, Some(good));
        }
        // Which of the two codes AWS has for which fault is not recorded.
        for bad in [
            json!({}),
            json!({"redrivePermission": "some"}),
            json!({"redrivePermission": "byQueue"}),
            json!({"redrivePermission": "byQueue", "sourceQueueArns": []}),
            json!({"redrivePermission": "byQueue", "sourceQueueArns": sources(11)}),
            json!({"redrivePermission": "byQueue", "sourceQueueArns": ["no arn"]}),
            json!({"redrivePermission": "allowAll", "sourceQueueArns": sources(1)}),
            json!({"redrivePermission": "denyAll", "sourceQueueArns": sources(1)}),
            json!("x"),
        ] {
            let refused = api.refused("SetQueueAttributes", &set(&queue, "RedriveAllowPolicy", &bad)).await;
            let either = [INVALID_PARAMETER, INVALID_ATTRIBUTE_VALUE].map(|kind| refused.differs_from(kind));
            assert!(either.contains(&None), "{bad}: {refused:?}");
        }
        queue.set(&json!({"RedriveAllowPolicy": ""})).await;
        assert_eq!(policy(&queue, "RedriveAllowPolicy").await, None);
    })
    .await;
}

/// §3 RedriveAllowPolicy: it is the dead-letter queue that says who may name it.
#[tokio::test]
async fn only_allowed_sources_may_name_a_dead_letter_queue() {
    each(async |api| {
        let (listed, other) = (Queue::plain(&api, "listed").await, Queue::plain(&api, "other").await);
        let dlq = Queue::plain(&api, "dlq").await;
        let allow = async |policy: Value| dlq.set(&json!({"RedriveAllowPolicy": policy.to_string()})).await;
        let attributes = redrive_to(&dlq, 3);
        let naming = json!({"Attributes": attributes});

        allow(json!({"redrivePermission": "denyAll"})).await;
        listed.refused("SetQueueAttributes", &naming).await.assert_kind(INVALID_PARAMETER);
        allow(json!({"redrivePermission": "byQueue", "sourceQueueArns": [listed.arn()]})).await;
        listed.set(&attributes).await;
        other.refused("SetQueueAttributes", &naming).await.assert_kind(INVALID_PARAMETER);
        let create = json!({"QueueName": unique("refused"), "Attributes": attributes});
        api.refused("CreateQueue", &create).await.assert_kind(INVALID_PARAMETER);
        allow(json!({"redrivePermission": "allowAll"})).await;
        other.set(&attributes).await;
    })
    .await;
}
