//! What owners of queues do, in both protocols: tags, permissions, dead-letter sources, move tasks.

use crate::http::{Answer, Connection};
use crate::protocols::{Row, check, invalid, row};
use crate::{create, start};

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
            text: invalid("[me]", "PrincipalId", "Unable to verify."),
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
async fn a_move_task_from_start_to_end() {
    let (server, client) = start().await;
    let dead = create(&client, "dead").await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}"#;
    client.create_queue().queue_name("orders").attributes("RedrivePolicy".into(), policy).send().await.unwrap();
    for _ in 0..3 {
        client.send_message().queue_url(&dead).message_body("x").send().await.unwrap();
    }
    let mut connection = Connection::open(&server).await;
    let (dead, orders) = ("arn:aws:sqs:us-east-1:000000000000:dead", "arn:aws:sqs:us-east-1:000000000000:orders");
    let both = format!("SourceArn={dead}&DestinationArn={orders}&MaxNumberOfMessagesPerSecond=1");
    let started = connection.form("StartMessageMoveTask", &both).await;
    let handle = started.element("TaskHandle").to_owned();
    assert!(started.status == 200 && !handle.is_empty(), "{}", started.body);
    let again = format!(r#"{{"SourceArn":"{dead}"}}"#);
    let rows = [
        row(
            "StartMessageMoveTask",
            &again,
            &format!("SourceArn={dead}"),
            400,
            "InvalidParameterValue",
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        ),
        row(
            "StartMessageMoveTask",
            &format!(r#"{{"SourceArn":"{orders}"}}"#),
            &format!("SourceArn={orders}"),
            400,
            "InvalidParameterValue",
            "Source queue must be configured as a Dead Letter Queue.",
        ),
        row(
            "StartMessageMoveTask",
            &format!(r#"{{"SourceArn":"{dead}","DestinationArn":"{orders}x"}}"#),
            &format!("SourceArn={dead}&DestinationArn={orders}x"),
            404,
            "ResourceNotFoundException",
            "The resource that you specified for the DestinationArn parameter doesn't exist.",
        ),
    ];
    check(&mut connection, &rows).await;
    let running = connection.action("/", "ListMessageMoveTasks", &again).await.json();
    let task = &running["Results"][0];
    let shown = (task["TaskHandle"].as_str(), task["Status"].as_str(), task["MaxNumberOfMessagesPerSecond"].as_u64());
    assert_eq!(shown, (Some(handle.as_str()), Some("RUNNING"), Some(1)), "{running}");
    assert_eq!((task["SourceArn"].as_str(), task["DestinationArn"].as_str()), (Some(dead), Some(orders)));
    assert!(task["StartedTimestamp"].as_u64().is_some_and(|unix_ms| unix_ms > 1_700_000_000_000), "{running}");
    let cancelled = connection.action("/", "CancelMessageMoveTask", &format!(r#"{{"TaskHandle":"{handle}"}}"#)).await;
    let moved = cancelled.json()["ApproximateNumberOfMessagesMoved"].as_u64();
    assert!(moved.is_some_and(|moved| moved < 3), "{}", cancelled.body);
    let listed = connection.form("ListMessageMoveTasks", &format!("SourceArn={dead}&MaxResults=10")).await;
    assert!(
        listed.element("Status").starts_with("CANCEL") && listed.element("TaskHandle").is_empty(),
        "{}",
        listed.body
    );
    assert_eq!(listed.element("ApproximateNumberOfMessagesToMove"), "3");
    server.stop().await;
}
