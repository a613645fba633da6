//! One row, one rule: each is sent in both protocols, which must agree on status, code and text.

use crate::http::Connection;
use crate::{create, start};

/// An action, its members in JSON and in a form, and the answer: HTTP status, query code and text.
pub(crate) struct Row {
    pub(crate) action: &'static str,
    pub(crate) json: String,
    pub(crate) form: String,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

pub(crate) fn row(action: &'static str, json: &str, form: &str, status: u16, code: &'static str, text: &str) -> Row {
    Row { action, json: json.into(), form: form.into(), status, code, text: text.into() }
}

fn unescaped(xml: &str) -> String {
    xml.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

pub(crate) async fn check(connection: &mut Connection, rows: &[Row]) {
    for Row { action, json, form, status, code, text } in rows {
        let answer = connection.action("/", action, json).await;
        let header = answer.header("x-amzn-query-error").to_owned();
        assert_eq!((answer.status, header), (*status, format!("{code};Sender")), "{action} {json}: {}", answer.body);
        assert_eq!(answer.json()["message"], text.as_str(), "{action} {json}");
        let answer = connection.form(action, form).await;
        let seen = (answer.status, answer.element("Type"), answer.element("Code"));
        assert_eq!(seen, (*status, "Sender", *code), "{action} {form}: {}", answer.body);
        assert_eq!(unescaped(answer.element("Message")), *text, "{action} {form}");
    }
}

pub(crate) fn missing(parameter: &str) -> String {
    format!("The request must contain the parameter {parameter}.")
}

pub(crate) fn invalid(value: &str, parameter: &str, reason: &str) -> String {
    format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}")
}

#[tokio::test]
async fn what_is_missing_or_out_of_range() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let q = (r#"{"QueueUrl":"orders"}"#, "QueueUrl=orders");
    let mut rows = Vec::new();
    for action in [
        "DeleteQueue",
        "GetQueueAttributes",
        "SetQueueAttributes",
        "PurgeQueue",
        "TagQueue",
        "UntagQueue",
        "ListQueueTags",
        "AddPermission",
        "RemovePermission",
        "ListDeadLetterSourceQueues",
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
    ] {
        rows.push(row(action, "{}", "", 400, "MissingParameter", &missing("QueueUrl")));
    }
    for (action, (json, form), parameter) in [
        ("CreateQueue", ("{}", ""), "QueueName"),
        ("GetQueueUrl", ("{}", ""), "QueueName"),
        ("SetQueueAttributes", q, "Attribute.Name"),
        ("TagQueue", q, "Tags"),
        ("AddPermission", q, "Label"),
        ("AddPermission", (r#"{"QueueUrl":"orders","Label":"l"}"#, "QueueUrl=orders&Label=l"), "Actions"),
        ("RemovePermission", q, "Label"),
        ("SendMessage", q, "MessageBody"),
        ("DeleteMessage", q, "ReceiptHandle"),
        ("ChangeMessageVisibility", q, "ReceiptHandle"),
        (
            "ChangeMessageVisibility",
            (r#"{"QueueUrl":"orders","ReceiptHandle":"h"}"#, "QueueUrl=orders&ReceiptHandle=h"),
            "VisibilityTimeout",
        ),
        ("StartMessageMoveTask", ("{}", ""), "SourceArn"),
        ("CancelMessageMoveTask", ("{}", ""), "TaskHandle"),
        ("ListMessageMoveTasks", ("{}", ""), "SourceArn"),
    ] {
        rows.push(row(action, json, form, 400, "MissingParameter", &missing(parameter)));
    }
    rows.push(row(
        "AddPermission",
        r#"{"QueueUrl":"orders","Label":"l","Actions":["SendMessage"]}"#,
        "QueueUrl=orders&Label=l&ActionName.1=SendMessage",
        400,
        "InvalidParameterValue",
        &invalid("[]", "PrincipalId", "Unable to verify."),
    ));
    let arn = "arn:aws:sqs:us-east-1:000000000000:orders";
    for (action, common, parameter, value, reason) in [
        ("ListQueues", "", "MaxResults", "1001", "MaxResults must be an integer between 1 and 1000."),
        (
            "ListDeadLetterSourceQueues",
            "QueueUrl=orders",
            "MaxResults",
            "0",
            "MaxResults must be an integer between 1 and 1000.",
        ),
        ("ReceiveMessage", "QueueUrl=orders", "MaxNumberOfMessages", "11", "Must be between 1 and 10, if provided."),
        ("ReceiveMessage", "QueueUrl=orders", "WaitTimeSeconds", "21", "Must be >= 0 and <= 20, if provided."),
        ("ReceiveMessage", "QueueUrl=orders", "VisibilityTimeout", "43201", "Must be >= 0 and <= 43200, if provided."),
        (
            "SendMessage",
            "QueueUrl=orders&MessageBody=x",
            "DelaySeconds",
            "901",
            "DelaySeconds must be >= 0 and <= 900.",
        ),
        ("ListMessageMoveTasks", "SourceArn=", "MaxResults", "11", "Must be between 1 and 10, if provided."),
        (
            "StartMessageMoveTask",
            "SourceArn=",
            "MaxNumberOfMessagesPerSecond",
            "501",
            "Must be between 1 and 500, if provided.",
        ),
    ] {
        let common = common.replace("SourceArn=", &format!("SourceArn={arn}"));
        let form = format!("{common}&{parameter}={value}");
        let members: Vec<String> = common
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| format!(r#""{name}":"{value}","#))
            .collect();
        let json = format!(r#"{{{}"{parameter}":{value}}}"#, members.concat());
        rows.push(row(action, &json, &form, 400, "InvalidParameterValue", &invalid(value, parameter, reason)));
    }
    check(&mut Connection::open(&server).await, &rows).await;
    server.stop().await;
}

#[tokio::test]
async fn batches_that_fail_whole() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut rows = Vec::new();
    for (action, entry) in [
        ("SendMessageBatch", "SendMessageBatchRequestEntry"),
        ("DeleteMessageBatch", "DeleteMessageBatchRequestEntry"),
        ("ChangeMessageVisibilityBatch", "ChangeMessageVisibilityBatchRequestEntry"),
    ] {
        let of = |ids: &[String]| {
            let json: Vec<String> = ids.iter().map(|id| format!(r#"{{"Id":"{id}"}}"#)).collect();
            let form: Vec<String> =
                ids.iter().enumerate().map(|(index, id)| format!("&{entry}.{}.Id={id}", index + 1)).collect();
            let json = format!(r#"{{"QueueUrl":"orders","Entries":[{}]}}"#, json.join(","));
            (json, format!("QueueUrl=orders{}", form.concat()))
        };
        let twenty: Vec<String> = (0..20).map(|index| index.to_string()).collect();
        let wrong_id = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at \
                        most 80 letters long.";
        for (ids, code, text) in [
            (
                vec![],
                "AWS.SimpleQueueService.EmptyBatchRequest",
                format!("There should be at least one {entry} in the request."),
            ),
            (
                twenty,
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                "Maximum number of entries per request are 10. You have sent 20.".into(),
            ),
            (vec!["invalid:id".into()], "AWS.SimpleQueueService.InvalidBatchEntryId", wrong_id.into()),
            (vec!["a".into(), "a".into()], "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id a repeated.".into()),
        ] {
            let (json, form) = of(&ids);
            rows.push(row(action, &json, &form, 400, code, &text));
        }
    }
    check(&mut Connection::open(&server).await, &rows).await;
    server.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    server.broker.create_queue("orders.fifo", &[("FifoQueue".into(), "true".into())], &[]).await.unwrap();
    let sse =
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.";
    let dummy = r#"{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}"#;
    let by_none = r#"{"redrivePermission":"byQueue"}"#;
    let by_none_text = "Amazon SQS can't create the redrive allow policy. When you specify the byQueue permission type, \
                        you must also specify one or more sourceQueueArns values.";
    let mut rows = Vec::new();
    for (queue, attributes, code, text) in [
        ("orders", &[("FifoQueue", "false")][..], "InvalidAttributeName", "Unknown Attribute FifoQueue.".to_owned()),
        (
            "orders",
            &[("ContentBasedDeduplication", "true")],
            "InvalidAttributeName",
            "Unknown Attribute ContentBasedDeduplication.".into(),
        ),
        (
            "orders",
            &[("DeduplicationScope", "queue")],
            "InvalidAttributeName",
            "You can specify the DeduplicationScope only when FifoQueue is set to true.".into(),
        ),
        (
            "orders.fifo",
            &[("FifoQueue", "false")],
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.".into(),
        ),
        ("orders", &[("KmsMasterKeyId", "key"), ("SqsManagedSseEnabled", "true")], "InvalidAttributeName", sse.into()),
        (
            "orders",
            &[("RedrivePolicy", dummy)],
            "InvalidParameterValue",
            invalid(dummy, "RedrivePolicy", "Invalid value for deadLetterTargetArn."),
        ),
        (
            "orders",
            &[("RedriveAllowPolicy", by_none)],
            "InvalidParameterValue",
            invalid(by_none, "RedriveAllowPolicy", by_none_text),
        ),
    ] {
        let json: serde_json::Map<_, _> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(*value))).collect();
        let form: Vec<String> = attributes
            .iter()
            .enumerate()
            .map(|(index, (name, value))| format!("&Attribute.{index}.Name={name}&Attribute.{index}.Value={value}"))
            .collect();
        rows.push(Row {
            action: "SetQueueAttributes",
            json: serde_json::json!({"QueueUrl": queue, "Attributes": json}).to_string(),
            form: format!("QueueUrl={queue}{}", form.concat()),
            status: 400,
            code,
            text,
        });
    }
    check(&mut Connection::open(&server).await, &rows).await;
    server.stop().await;
}
