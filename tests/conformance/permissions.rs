//! sqs-semantics §3, permissions: a queue's policy, statement by statement.

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{INVALID_PARAMETER, OVER_LIMIT};
use crate::queue::Queue;

const ACCOUNT: &str = "000000000000";
const OTHER: &str = "668614515564";

fn permission(label: &str, accounts: &[&str], actions: &[&str]) -> Value {
    json!({"Label": label, "AWSAccountIds": accounts, "Actions": actions})
}

fn statement(queue: &Queue, label: &str, principal: Value, action: Value) -> Value {
    json!({"Sid": label, "Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": queue.arn()})
}

fn root(account: &str) -> Value {
    json!(format!("arn:aws:iam::{account}:root"))
}

async fn policy(queue: &Queue) -> Option<Value> {
    let attributes = queue.attributes(&["Policy"]).await;
    attributes.get("Policy").map(|policy| serde_json::from_str(policy.as_str().unwrap()).unwrap())
}

/// §3 Permissions [A:test_sqs_permission_lifecycle].
#[tokio::test]
async fn permissions_build_and_unbuild_a_policy() {
    each(async |api| {
        let queue = Queue::plain(&api, "permitted").await;
        let of = |statements: Value| {
            json!({"Version": "2008-10-17", "Id": format!("{}/SQSDefaultPolicy", queue.arn()), "Statement": statements})
        };
        queue.ok("AddPermission", &permission("two", &[ACCOUNT, OTHER], &["ReceiveMessage", "SendMessage"])).await;
        let mut found = policy(&queue).await.unwrap();
        // The order of the principals is not told.
        let principals = found["Statement"][0]["Principal"]["AWS"].as_array_mut().unwrap();
        principals.sort_by_key(ToString::to_string);
        let two = statement(
            &queue,
            "two",
            json!([root(ACCOUNT), root(OTHER)]),
            json!(["SQS:ReceiveMessage", "SQS:SendMessage"]),
        );
        assert_eq!(found, of(json!([two])));
        queue.ok("RemovePermission", &json!({"Label": "two"})).await;
        assert_eq!(policy(&queue).await, None, "with the last statement goes the policy");

        // One principal, one action: no lists.
        queue.ok("AddPermission", &permission("one", &[ACCOUNT], &["ReceiveMessage"])).await;
        let one = statement(&queue, "one", root(ACCOUNT), json!("SQS:ReceiveMessage"));
        assert_eq!(policy(&queue).await, Some(of(json!([one]))));
        queue
            .refused("AddPermission", &permission("one", &[OTHER], &["ReceiveMessage"]))
            .await
            .assert_is(INVALID_PARAMETER, "Value one for parameter Label is invalid. Reason: Already exists.");
        queue.ok("AddPermission", &permission("all", &[ACCOUNT], &["*"])).await;
        let all = statement(&queue, "all", root(ACCOUNT), json!("SQS:*"));
        assert_eq!(policy(&queue).await, Some(of(json!([one, all]))));
        queue.ok("RemovePermission", &json!({"Label": "one"})).await;
        assert_eq!(policy(&queue).await, Some(of(json!([all]))));
        queue.ok("RemovePermission", &json!({"Label": "all"})).await;
        assert_eq!(policy(&queue).await, None);
        queue
            .refused("RemovePermission", &json!({"Label": "all"}))
            .await
            .assert_is(INVALID_PARAMETER, "Value all for parameter Label is invalid. Reason: can't find label.");
    })
    .await;
}

/// §2 AddPermission: at most 7 actions (OverLimit), a label of at most 80.
#[tokio::test]
async fn permissions_have_limits() {
    each(async |api| {
        let queue = Queue::plain(&api, "limited").await;
        let seven = [
            "SendMessage",
            "ReceiveMessage",
            "DeleteMessage",
            "ChangeMessageVisibility",
            "GetQueueAttributes",
            "GetQueueUrl",
            "ListDeadLetterSourceQueues",
        ];
        let mut eight = seven.to_vec();
        eight.push("PurgeQueue");
        // The texts are of moto's test_add_permission_errors.
        queue
            .refused("AddPermission", &permission("eight", &[ACCOUNT], &eight))
            .await
            .assert_is(OVER_LIMIT, "8 Actions were found, maximum allowed is 7.");
        queue
            .refused("AddPermission", &permission("nobody", &[], &["SendMessage"]))
            .await
            .assert_is(INVALID_PARAMETER, "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.");
        let long = "x".repeat(81);
        queue
            .refused("AddPermission", &permission(&long, &[ACCOUNT], &["SendMessage"]))
            .await
            .assert_kind(INVALID_PARAMETER);
        queue
            .refused("AddPermission", &permission("unknown", &[ACCOUNT], &["Frobnicate"]))
            .await
            .assert_kind(INVALID_PARAMETER);
        assert_eq!(policy(&queue).await, None);
        queue.ok("AddPermission", &permission(&long[..80], &[ACCOUNT], &seven)).await;
        assert_eq!(policy(&queue).await.unwrap()["Statement"][0]["Action"].as_array().unwrap().len(), 7);
    })
    .await;
}

/// §3 Policy: stored and returned exactly [A:test_set_queue_policy, test_set_empty_queue_policy]; a permission is added
/// to what the owner wrote.
#[tokio::test]
async fn a_policy_is_returned_exactly() {
    each(async |api| {
        let queue = Queue::plain(&api, "policy").await;
        let written = "{\n  \"Version\":\"2012-10-17\",\n  \"Statement\":[{\"Sid\": \"own\", \"Effect\": \"Allow\", \
                       \"Principal\": \"*\", \"Action\": \"sqs:SendMessage\", \"Resource\": \"*\"}]\n}";
        queue.set(&json!({"Policy": ""})).await;
        assert_eq!(queue.attributes(&["All"]).await.get("Policy"), None);
        queue.set(&json!({"Policy": written})).await;
        assert_eq!(queue.attributes(&["Policy"]).await, json!({"Policy": written}));
        queue.ok("AddPermission", &permission("added", &[ACCOUNT], &["SendMessage"])).await;
        let statements = policy(&queue).await.unwrap()["Statement"].clone();
        assert_eq!((&statements[0]["Sid"], &statements[1]["Sid"]), (&json!("own"), &json!("added")));
        queue.set(&json!({"Policy": ""})).await;
        assert_eq!(queue.attributes(&["All"]).await.get("Policy"), None);
    })
    .await;
}
