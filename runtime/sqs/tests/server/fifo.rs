//! FIFO queues on the wire, in both protocols. Order, groups and deduplication are the queue's, and tested there.

use wasmill_sqs::SqsOptions;

use crate::http::Connection;
use crate::protocols::{Row, check, invalid, missing};
use crate::support::{Server, broker};

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

#[tokio::test]
async fn fifo_members_are_carried_whole() {
    let server = Server::start(broker(None).await, SqsOptions::default()).await;
    server.broker.create_queue("orders.fifo", &[("FifoQueue".into(), "true".into())], &[]).await.unwrap();
    let mut connection = Connection::open(&server).await;
    let first = connection
        .form("SendMessage", "QueueUrl=orders.fifo&MessageBody=x&MessageGroupId=g%3C1%3E&MessageDeduplicationId=d%261")
        .await;
    let second = r#"{"QueueUrl":"orders.fifo","Entries":[{"Id":"1","MessageBody":"y","MessageGroupId":"g<1>",
        "MessageDeduplicationId":"d2"}]}"#;
    let second = connection.action("/", "SendMessageBatch", second).await.json();
    let second = second["Successful"][0]["SequenceNumber"].as_str().unwrap().to_owned();
    assert!(!first.element("SequenceNumber").is_empty() && first.element("SequenceNumber") < second.as_str());
    let receive = r#"{"QueueUrl":"orders.fifo","AttributeNames":["All"],"ReceiveRequestAttemptId":"try-1"}"#;
    let by_json = connection.action("/", "ReceiveMessage", receive).await.json();
    let message = &by_json["Messages"][0];
    let shown = |name: &str| message["Attributes"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((shown("MessageGroupId"), shown("MessageDeduplicationId")), ("g<1>".into(), "d&1".into()));
    assert_eq!(shown("SequenceNumber"), first.element("SequenceNumber"));
    let again = "QueueUrl=orders.fifo&AttributeName.1=All&ReceiveRequestAttemptId=try-1";
    let by_form = connection.form("ReceiveMessage", again).await;
    assert_eq!(Some(by_form.element("ReceiptHandle")), message["ReceiptHandle"].as_str(), "the same attempt");
    assert!(by_form.body.contains("<Name>MessageGroupId</Name><Value>g&lt;1&gt;</Value>"), "{}", by_form.body);
    assert!(by_form.body.contains("<Name>MessageDeduplicationId</Name><Value>d&amp;1</Value>"), "{}", by_form.body);
    server.stop().await;
}
