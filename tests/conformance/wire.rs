//! sqs-semantics §1: where requests may be posted, what they may look like, and how answers differ by protocol. What
//! every answer has (content type, request id, namespace, error header) the client checks at each call.

use serde_json::json;
use support::http::{Answer, exchange};

use crate::client::{Api, Protocol, each, only};
use crate::errors::NO_SUCH_QUEUE;
use crate::query::percent_encoded;
use crate::queue::{Queue, bodies, list, unique};
use crate::xml;

async fn get(api: &Api, target: &str, headers: &[(&str, &str)]) -> Answer {
    exchange(api.address, "GET", target, headers, b"").await.unwrap()
}

fn path(queue: &Queue) -> String {
    format!("/000000000000/{}", queue.name)
}

/// §1.1, §1.2 [A:test_send_message_via_queue_url_with_json_protocol]: the PHP SDK does this.
#[tokio::test]
async fn requests_may_be_posted_to_the_queue_url() {
    each(async |api| {
        let queue = Queue::plain(&api, "posted").await;
        let members = json!({"QueueUrl": queue.url, "MessageBody": "x"});
        api.call_at(&path(&queue), "SendMessage", &members).await.unwrap();
        // The path alone names the queue too.
        api.call_at(&path(&queue), "SendMessage", &json!({"MessageBody": "y"})).await.unwrap();
        assert_eq!(queue.counts().await.visible, 2);
    })
    .await;
}

/// §1.3 [A:test_overwrite_queue_url_in_params].
#[tokio::test]
async fn the_member_wins_over_the_path() {
    each(async |api| {
        let (posted_to, meant) = (Queue::plain(&api, "path").await, Queue::plain(&api, "member").await);
        let members = json!({"QueueUrl": meant.url, "MessageBody": "x"});
        api.call_at(&path(&posted_to), "SendMessage", &members).await.unwrap();
        assert_eq!((posted_to.counts().await.visible, meant.counts().await.visible), (0, 1));
    })
    .await;
}

/// §1.1 [A:test_non_existent_queue]: the one text that differs by protocol.
#[tokio::test]
async fn a_queue_that_is_not_there_is_told_in_each_protocols_words() {
    each(async |api| {
        let text = match api.protocol {
            Protocol::Json => "The specified queue does not exist.",
            Protocol::Query => "The specified queue does not exist for this wsdl version.",
        };
        let name = unique("never-created");
        api.refused("GetQueueUrl", &json!({"QueueName": name})).await.assert_is(NO_SUCH_QUEUE, text);
        api.refused("ReceiveMessage", &json!({"QueueUrl": name})).await.assert_is(NO_SUCH_QUEUE, text);
    })
    .await;
}

/// §1.1 [A:test_receive_empty_queue, test_tag_untag_queue]: SDKs tell an absent list from an empty one.
#[tokio::test]
async fn empty_collections_are_left_out() {
    each(async |api| {
        let queue = Queue::plain(&api, "empty").await;
        for (action, members) in [
            ("ReceiveMessage", json!({})),
            ("ListQueueTags", json!({})),
            ("GetQueueAttributes", json!({})),
            ("GetQueueAttributes", json!({"AttributeNames": ["Policy"]})),
        ] {
            assert_eq!(queue.ok(action, &members).await, json!({}), "{action} {members}");
        }
        let none = api.ok("ListQueues", &json!({"QueueNamePrefix": unique("no-such-prefix")})).await;
        assert_eq!(none, json!({}));
    })
    .await;
}

/// §1.1: `Successful` is there also when all failed, `Failed` only when something did.
#[tokio::test]
async fn a_batch_tells_failed_only_when_something_did() {
    only(Protocol::Json, async |api| {
        let queue = Queue::plain(&api, "batch").await;
        let all_well = queue.ok("SendMessageBatch", &json!({"Entries": [{"Id": "1", "MessageBody": "x"}]})).await;
        assert_eq!(all_well.get("Failed"), None);
        let none = queue.ok("DeleteMessageBatch", &json!({"Entries": [{"Id": "1", "ReceiptHandle": "x"}]})).await;
        assert_eq!(none["Successful"], json!([]));
        assert_eq!(list(&none, "Failed").len(), 1);
    })
    .await;
}

/// §1.1.
#[tokio::test]
async fn null_and_unknown_members_are_as_good_as_absent() {
    only(Protocol::Json, async |api| {
        let queue = Queue::plain(&api, "null").await;
        let members =
            json!({"MessageBody": "x", "DelaySeconds": null, "MessageAttributes": null, "Future": {"a": [1]}});
        queue.ok("SendMessage", &members).await;
        assert_eq!(queue.bodies(10).await, ["x"]);
    })
    .await;
}

/// §1.2: what signers and old SDKs add to the query string or the form is no member.
#[tokio::test]
async fn the_members_of_signing_are_taken_no_notice_of() {
    only(Protocol::Query, async |api| {
        let queue = Queue::plain(&api, "signed").await;
        let target = format!(
            "{}?Action=SendMessage&Version=2012-11-05&MessageBody=x&AWSAccessKeyId=test&SignatureVersion=2\
             &Timestamp=2026-01-01T00%3A00%3A00Z&SignatureMethod=HmacSHA256&Signature=abc",
            path(&queue)
        );
        assert_eq!(get(&api, &target, &[]).await.status, 200);
        assert_eq!(queue.bodies(10).await, ["x"]);
    })
    .await;
}

/// §1.2 [A:TestSqsQueryApi]: by GET on a queue URL.
#[tokio::test]
async fn actions_of_a_queue_work_by_get() {
    only(Protocol::Query, async |api| {
        let (queue, other) = (Queue::plain(&api, "get").await, Queue::plain(&api, "other").await);
        let ask = async |parameters: &str| {
            let answer = get(&api, &format!("{}?{parameters}", path(&queue)), &[]).await;
            (answer.status, answer.body)
        };
        let (status, body) = ask("Action=GetQueueAttributes&AttributeName.1=All").await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(&format!("<Attribute><Name>QueueArn</Name><Value>{}</Value>", queue.arn())), "{body}");
        let (_, body) = ask("Action=GetQueueAttributes&AttributeName.1=QueueArn").await;
        assert!(!body.contains("VisibilityTimeout"), "{body}");
        let (_, body) = ask("Action=GetQueueAttributes&AttributeName.1=Foobar").await;
        assert!(body.contains("<Code>InvalidAttributeName</Code>"), "{body}");
        assert!(body.contains("<Message>Unknown Attribute Foobar.</Message>"), "{body}");

        let (_, body) = ask("Action=ReceiveMessage").await;
        assert!(body.contains("<ReceiveMessageResult/>") || body.contains("<ReceiveMessageResult></"), "{body}");
        assert_eq!(ask("Action=SendMessage&MessageBody=foo%20bar%2B").await.0, 200);
        let (_, body) = ask("Action=ReceiveMessage").await;
        assert!(body.contains("<Body>foo bar+</Body>"), "{body}");

        // For another queue, too.
        for name in [&queue.name, &other.name] {
            let (status, body) = ask(&format!("Action=GetQueueUrl&QueueName={name}")).await;
            assert_eq!(status, 200, "{body}");
            assert!(body.contains(&format!("/{name}</QueueUrl>")), "{body}");
        }
        let (status, body) = ask("Action=DeleteQueue").await;
        assert_eq!(status, 200, "{body}");
        let (status, body) = ask("Action=GetQueueAttributes&AttributeName.1=All").await;
        assert_eq!(status, 400);
        assert!(body.contains("does not exist for this wsdl version"), "{body}");
    })
    .await;
}

/// §1.2 [A:test_invalid_action_raises_exception, test_get_create_queue_fails, test_get_list_queues_fails,
/// test_valid_action_with_missing_parameter_raises_exception].
#[tokio::test]
async fn what_a_queue_url_does_not_do_by_get() {
    only(Protocol::Query, async |api| {
        let queue = Queue::plain(&api, "get").await;
        for (parameters, status, code, message) in [
            ("Action=FooBar", 400, "InvalidAction", "The action FooBar is not valid for this endpoint."),
            ("Action=ListQueues", 400, "InvalidAction", "The action ListQueues is not valid for this endpoint."),
            (
                "Action=CreateQueue&QueueName=x",
                400,
                "InvalidAction",
                "The action CreateQueue is not valid for this endpoint.",
            ),
            ("Action=SendMessage", 400, "MissingParameter", "The request must contain the parameter MessageBody."),
        ] {
            let answer = get(&api, &format!("{}?{parameters}", path(&queue)), &[]).await;
            let root = xml::parse(&answer.body).unwrap();
            let error = root.child("Error").unwrap_or_else(|| panic!("{parameters}: {}", answer.body));
            let found = (answer.status, error.text_of("Type"), error.text_of("Code"), error.text_of("Message"));
            assert_eq!(found, (status, "Sender", code, message), "{parameters}");
        }
    })
    .await;
}

/// §1.2 [A:test_get_without_query_returns_unknown_operation, …_json_format_returns_returns_xml].
#[tokio::test]
async fn a_get_without_an_action_is_an_unknown_operation_in_xml() {
    only(Protocol::Query, async |api| {
        let queue = Queue::plain(&api, "get").await;
        for headers in [&[][..], &[("accept", "application/json")][..]] {
            let answer = get(&api, &path(&queue), headers).await;
            assert_eq!(answer.status, 404, "{headers:?}");
            assert!(answer.body.contains("<UnknownOperationException"), "{}", answer.body);
        }
    })
    .await;
}

/// §1.2 [A:test_get_list_queues_with_query_auth]: without a queue in the URL ListQueues does work by GET.
#[tokio::test]
async fn the_root_lists_queues_by_get() {
    only(Protocol::Query, async |api| {
        let queue = Queue::plain(&api, "listed-by-get").await;
        let target = format!("/?Action=ListQueues&Version=2012-11-05&QueueNamePrefix={}", percent_encoded(&queue.name));
        let answer = get(&api, &target, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("<ListQueuesResponse") && answer.body.contains(&queue.name), "{}", answer.body);
        // Nor does a queue's own action need its path, if it names it.
        queue.send("by get").await;
        let url = percent_encoded(&queue.url);
        let answer = get(&api, &format!("/?Action=ReceiveMessage&Version=2012-11-05&QueueUrl={url}"), &[]).await;
        assert!(answer.status == 200 && answer.body.contains("<Body>by get</Body>"), "{}", answer.body);
    })
    .await;
}

/// §1.2 [A:test_get_list_queues_with_query_auth, test_marker_serialization_json_protocol,
/// test_get_queue_attributes_json_format, test_get_list_queues_fails_json_format]: a query client that accepts JSON gets
/// the XML's elements in JSON, with the model's names of lists.
#[tokio::test]
async fn the_query_protocol_answers_in_json_where_that_is_accepted() {
    only(Protocol::Query, async |api| {
        let queue = Queue::plain(&api, "accepts-json").await;
        queue.send("{\"foo\": \"ba\rr\"}").await;
        let url = percent_encoded(&queue.url);
        let ask = async |target: &str| {
            let answer = get(&api, target, &[("accept", "application/json")]).await;
            (answer.status, answer.json())
        };
        let (status, body) = ask(&format!("/?Action=ListQueues&QueueNamePrefix={}", queue.name)).await;
        assert_eq!((status, &body["ListQueuesResponse"]["ListQueuesResult"]["queueUrls"]), (200, &json!([queue.url])));
        let (status, body) = ask(&format!("{}?Action=GetQueueAttributes&AttributeName.1=QueueArn", path(&queue))).await;
        let attributes = &body["GetQueueAttributesResponse"]["GetQueueAttributesResult"]["Attributes"];
        assert_eq!((status, attributes), (200, &json!([{"Name": "QueueArn", "Value": queue.arn()}])));
        let (status, body) = ask(&format!("/?Action=ReceiveMessage&QueueUrl={url}")).await;
        let messages = &body["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"];
        assert_eq!((status, &messages[0]["Body"]), (200, &json!("{\"foo\": \"ba\rr\"}")));
        let (status, body) = ask(&format!("{}?Action=ListQueues", path(&queue))).await;
        assert_eq!((status, &body["Error"]["Code"]), (400, &json!("InvalidAction")));
        assert_eq!(body["Error"]["Message"], json!("The action ListQueues is not valid for this endpoint."));
    })
    .await;
}

/// §2: what is no number is the sender's mistake in either protocol, and nothing is done.
#[tokio::test]
async fn a_number_that_is_none_is_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "number").await;
        queue.send("x").await;
        for (action, member) in
            [("ReceiveMessage", "MaxNumberOfMessages"), ("ListDeadLetterSourceQueues", "MaxResults")]
        {
            for bad in ["ten", "1.5", "99999999999999999999"] {
                let refused = queue.refused(action, &json!({member: bad})).await;
                assert_eq!((refused.status, refused.fault.as_str()), (400, "Sender"), "{action} {bad}: {refused:?}");
            }
        }
        assert_eq!(queue.counts().await.visible, 1);
    })
    .await;
}

/// §2: what is none of SQS's actions.
#[tokio::test]
async fn an_unknown_action_is_refused_in_the_protocol_it_came_in() {
    each(async |api| {
        let (status, code) = match api.protocol {
            Protocol::Json => (404, "UnknownOperationException"),
            Protocol::Query => (400, "InvalidAction"),
        };
        let refused = api.refused("Frobnicate", &json!({})).await;
        assert_eq!((refused.status, refused.code.as_str(), refused.fault.as_str()), (status, code, "Sender"));
    })
    .await;
}

/// §1: a queue has no protocol.
#[tokio::test]
async fn what_one_protocol_sends_the_other_receives() {
    only(Protocol::Json, async |json_api| {
        let queue = Queue::plain(&json_api, "both").await;
        let query_api = Api::at(Protocol::Query, json_api.address);
        let through_query = Queue { api: query_api, ..queue.clone() };
        let attributes = json!({"n": {"DataType": "Binary.x", "BinaryValue": "AP8="}});
        queue.ok("SendMessage", &json!({"MessageBody": "from json", "MessageAttributes": attributes})).await;
        let asked = json!({"MessageAttributeNames": ["All"]});
        let received = through_query.receive(&asked).await;
        assert_eq!(bodies(&received), ["from json"]);
        assert_eq!(received[0]["MessageAttributes"], attributes);
        through_query.delete(&received[0]).await;
        through_query.ok("SendMessage", &json!({"MessageBody": "<from&query>", "MessageAttributes": attributes})).await;
        let received = queue.receive(&asked).await;
        assert_eq!(bodies(&received), ["<from&query>"]);
        assert_eq!(received[0]["MessageAttributes"], attributes);
        queue.delete(&received[0]).await;
        assert_eq!(queue.counts().await, support::Counts::EMPTY);
    })
    .await;
}
