//! One row, one rule: each is sent in both protocols, which must agree on status, code and text.

use wasmill_sqs::SqsOptions;

use crate::http::{Answer, Connection};
use crate::support::{Server, broker};
use crate::{create, start};

/// An action, its members in JSON and in a form, and the answer: HTTP status, query code and text.
struct Row {
    action: &'static str,
    json: String,
    form: String,
    status: u16,
    code: &'static str,
    text: String,
}

fn row(action: &'static str, json: &str, form: &str, status: u16, code: &'static str, text: &str) -> Row {
    Row { action, json: json.into(), form: form.into(), status, code, text: text.into() }
}

fn unescaped(xml: &str) -> String {
    xml.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

async fn check(connection: &mut Connection, rows: &[Row]) {
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

fn missing(parameter: &str) -> String {
    format!("The request must contain the parameter {parameter}.")
}

fn invalid(value: &str, parameter: &str, reason: &str) -> String {
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
        ("AddPermission", (r#"{"QueueUrl":"orders","Label":"l"}"#, "QueueUrl=orders&Label=l"), "AWSAccountIds"),
        (
            "AddPermission",
            (
                r#"{"QueueUrl":"orders","Label":"l","AWSAccountIds":["111111111111"]}"#,
                "QueueUrl=orders&Label=l&AWSAccountId.1=111111111111",
            ),
            "Actions",
        ),
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
async fn tags_and_permissions() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    let done = |answer: Answer| assert_eq!(answer.status, 200, "{}", answer.body);
    done(connection.action("/", "TagQueue", r#"{"QueueUrl":"orders","Tags":{"team":"a<b","Team":""}}"#).await);
    done(
        connection.form("TagQueue", "QueueUrl=orders&Tag.1.Key=team&Tag.1.Value=c%26d&Tag.2.Key=x&Tag.2.Value=y").await,
    );
    done(connection.form("UntagQueue", "QueueUrl=orders&TagKey.1=x&TagKey.2=unheard").await);
    let listed = connection.action("/", "ListQueueTags", r#"{"QueueUrl":"orders"}"#).await.json();
    assert_eq!(listed, serde_json::json!({"Tags": {"team": "c&d", "Team": ""}}), "keys are case-sensitive");
    let listed = connection.form("ListQueueTags", "QueueUrl=orders").await;
    assert!(listed.body.contains("<Tag><Key>team</Key><Value>c&amp;d</Value></Tag>"), "{}", listed.body);
    done(connection.action("/", "UntagQueue", r#"{"QueueUrl":"orders","TagKeys":["team","Team"]}"#).await);
    assert_eq!(connection.action("/", "ListQueueTags", r#"{"QueueUrl":"orders"}"#).await.body, "{}");
    assert!(connection.form("ListQueueTags", "QueueUrl=orders").await.body.contains("<ListQueueTagsResult/>"));

    let add = r#"{"QueueUrl":"orders","Label":"both","AWSAccountIds":["111111111111"],"Actions":["ReceiveMessage"]}"#;
    done(connection.action("/", "AddPermission", add).await);
    let of =
        |label: &str| format!("QueueUrl=orders&Label={label}&AWSAccountId.1=111111111111&ActionName.1=SendMessage");
    done(connection.form("AddPermission", &of("second")).await);
    let attributes = r#"{"QueueUrl":"orders","AttributeNames":["Policy"]}"#;
    let policy = connection.action("/", "GetQueueAttributes", attributes).await.json();
    let policy: serde_json::Value = serde_json::from_str(policy["Attributes"]["Policy"].as_str().unwrap()).unwrap();
    let sids: Vec<&str> =
        policy["Statement"].as_array().unwrap().iter().map(|one| one["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["both", "second"]);

    let fifty_one: Vec<String> = (0..51).map(|index| format!(r#""k{index}":"v""#)).collect();
    let fifty_one_form: Vec<String> =
        (0..51).map(|index| format!("&Tag.{index}.Key=k{index}&Tag.{index}.Value=v")).collect();
    let eight = r#"["a","b","c","d","e","f","g","h"]"#;
    let eight_form: Vec<String> = (1..9).map(|index| format!("&ActionName.{index}=a")).collect();
    let with = |label: &str, account: &str, actions: &str| {
        format!(r#"{{"QueueUrl":"orders","Label":"{label}","AWSAccountIds":["{account}"],"Actions":{actions}}}"#)
    };
    let with_form = |label: &str, account: &str, actions: &str| {
        format!("QueueUrl=orders&Label={label}&AWSAccountId.1={account}{actions}")
    };
    let account = "111111111111";
    let code = "InvalidParameterValue";
    let rows = [
        Row {
            action: "TagQueue",
            json: format!(r#"{{"QueueUrl":"orders","Tags":{{{}}}}}"#, fifty_one.join(",")),
            form: format!("QueueUrl=orders{}", fifty_one_form.concat()),
            status: 400,
            code,
            text: "Too many tags added for queue orders.".into(),
        },
        row(
            "UntagQueue",
            r#"{"QueueUrl":"orders"}"#,
            "QueueUrl=orders",
            400,
            code,
            "Tag keys must be between 1 and 128 characters in length.",
        ),
        Row {
            action: "AddPermission",
            json: with("l", account, eight),
            form: with_form("l", account, &eight_form.concat()),
            status: 403,
            code: "OverLimit",
            text: "8 Actions were found, maximum allowed is 7.".into(),
        },
        Row {
            action: "AddPermission",
            json: with("both", account, r#"["SendMessage"]"#),
            form: of("both"),
            status: 400,
            code,
            text: invalid("both", "Label", "Already exists."),
        },
        Row {
            action: "AddPermission",
            json: with("l", "me", r#"["SendMessage"]"#),
            form: with_form("l", "me", "&ActionName.1=SendMessage"),
            status: 400,
            code,
            text: invalid("me", "PrincipalId", "Unable to verify."),
        },
        Row {
            action: "AddPermission",
            json: with("l", account, r#"["DeleteQueue"]"#),
            form: with_form("l", account, "&ActionName.1=DeleteQueue"),
            status: 400,
            code,
            text: invalid("SQS:DeleteQueue", "ActionName", "Only the queue owner is allowed to invoke this action."),
        },
        row(
            "RemovePermission",
            r#"{"QueueUrl":"orders","Label":"third"}"#,
            "QueueUrl=orders&Label=third",
            400,
            code,
            &invalid("third", "Label", "can't find label."),
        ),
    ];
    check(&mut connection, &rows).await;
    done(connection.form("RemovePermission", "QueueUrl=orders&Label=both").await);
    done(connection.action("/", "RemovePermission", r#"{"QueueUrl":"orders","Label":"second"}"#).await);
    assert_eq!(
        connection.action("/", "GetQueueAttributes", attributes).await.body,
        "{}",
        "with the last goes the policy"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_sources_of_a_dead_letter_queue() {
    let (server, client) = start().await;
    let dead = create(&client, "dead").await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}"#;
    for name in ["c", "a", "b"] {
        client.create_queue().queue_name(name).attributes("RedrivePolicy".into(), policy).send().await.unwrap();
    }
    let mut names = Vec::new();
    let mut pages = client.list_dead_letter_source_queues().queue_url(&dead).max_results(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.queue_urls().len() <= 2);
        names.extend(page.queue_urls().iter().map(|url| url.rsplit('/').next().unwrap().to_owned()));
    }
    assert_eq!(names, ["a", "b", "c"]);
    let mut connection = Connection::open(&server).await;
    let none = connection.action("/", "ListDeadLetterSourceQueues", r#"{"QueueUrl":"a"}"#).await;
    assert_eq!(none.body, r#"{"queueUrls":[]}"#, "the model requires the list, with a small letter");
    let first = connection.form("ListDeadLetterSourceQueues", "QueueUrl=dead&MaxResults=1").await;
    assert!(first.element("QueueUrl").ends_with("/a") && !first.element("NextToken").is_empty(), "{}", first.body);
    server.stop().await;
}

#[tokio::test]
async fn move_tasks_that_cannot_be() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let gone = "The resource that you specified for the SourceArn parameter doesn't exist.";
    let nowhere = "arn:aws:sqs:us-east-1:000000000000:nowhere";
    let mut rows = vec![row(
        "CancelMessageMoveTask",
        r#"{"TaskHandle":"foobar"}"#,
        "TaskHandle=foobar",
        400,
        "InvalidParameterValue",
        "Value for parameter TaskHandle is invalid.",
    )];
    for action in ["StartMessageMoveTask", "ListMessageMoveTasks"] {
        for arn in [nowhere, "orders"] {
            let (json, form) = (format!(r#"{{"SourceArn":"{arn}"}}"#), format!("SourceArn={arn}"));
            rows.push(row(action, &json, &form, 404, "ResourceNotFoundException", gone));
        }
    }
    check(&mut Connection::open(&server).await, &rows).await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_fifo_queue_asks_of_a_message() {
    let server = Server::start(broker(None).await, SqsOptions::default()).await;
    server.broker.create_queue("orders.fifo", &[("FifoQueue".into(), "true".into())], &[]).await.unwrap();
    let url = r#""QueueUrl":"orders.fifo""#;
    let entry = |index: u32, group: &str| {
        let at = format!("SendMessageBatchRequestEntry.{index}");
        format!(
            "&{at}.Id=e{index}&{at}.MessageBody=x{}",
            group.replace("MessageGroupId", &format!("{at}.MessageGroupId"))
        )
    };
    let no_group = missing("MessageGroupId");
    let no_id =
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly";
    let batch = |second: &str| {
        format!(
            r#"{{{url},"Entries":[{{"Id":"e1","MessageBody":"x","MessageGroupId":"g","MessageDeduplicationId":"d"}},
                {{"Id":"e2","MessageBody":"x"{second}}}]}}"#
        )
    };
    let first = "QueueUrl=orders.fifo&SendMessageBatchRequestEntry.1.Id=e1&SendMessageBatchRequestEntry.1.MessageBody=x\
                 &SendMessageBatchRequestEntry.1.MessageGroupId=g&SendMessageBatchRequestEntry.1.MessageDeduplicationId=d";
    let code = "InvalidParameterValue";
    let with = |members: &str| format!(r#"{{{url},"MessageBody":"x",{members}}}"#);
    let of = |action, json: String, form: String, code, text: &str| Row {
        action,
        json,
        form,
        status: 400,
        code,
        text: text.into(),
    };
    let rows = [
        of(
            "SendMessage",
            with(r#""MessageDeduplicationId":"d""#),
            "QueueUrl=orders.fifo&MessageBody=x&MessageDeduplicationId=d".into(),
            "MissingParameter",
            &no_group,
        ),
        of("SendMessageBatch", batch(""), format!("{first}{}", entry(2, "")), code, &no_group),
        of(
            "SendMessage",
            with(r#""MessageGroupId":"g""#),
            "QueueUrl=orders.fifo&MessageBody=x&MessageGroupId=g".into(),
            code,
            no_id,
        ),
        of(
            "SendMessageBatch",
            batch(r#","MessageGroupId":"g""#),
            format!("{first}{}", entry(2, "&MessageGroupId=g")),
            code,
            no_id,
        ),
        of(
            "SendMessage",
            with(r#""MessageGroupId":"g","MessageDeduplicationId":"d","DelaySeconds":2"#),
            "QueueUrl=orders.fifo&MessageBody=x&MessageGroupId=g&MessageDeduplicationId=d&DelaySeconds=2".into(),
            code,
            &invalid("2", "DelaySeconds", "The request include parameter that is not valid for this queue type."),
        ),
        of(
            "SendMessage",
            with(r#""MessageGroupId":"g h""#),
            "QueueUrl=orders.fifo&MessageBody=x&MessageGroupId=g+h".into(),
            code,
            &invalid(
                "g h",
                "MessageGroupId",
                "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
            ),
        ),
        of(
            "SendMessage",
            with(r#""MessageGroupId":"g","MessageDeduplicationId":"d e""#),
            "QueueUrl=orders.fifo&MessageBody=x&MessageGroupId=g&MessageDeduplicationId=d+e".into(),
            code,
            &invalid(
                "d e",
                "MessageDeduplicationId",
                "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
            ),
        ),
    ];
    check(&mut Connection::open(&server).await, &rows).await;
    let stored = server.broker.queue("orders.fifo").unwrap().describe().unwrap().visible;
    assert_eq!(stored, 0, "a batch that fails whole stores nothing");
    server.stop().await;
}
