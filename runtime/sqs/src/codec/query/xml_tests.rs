//! Element names as the query protocol's model has them.

#![expect(clippy::unwrap_used, reason = "tests")]

use wasmill_queue::{AttributeValue, Message, MessageAttribute, MessageId, ReceiptHandle, SystemAttributes};

use super::*;
use crate::error::ActionError;
use crate::wire::members::Pairs;
use crate::wire::received::SystemNames;
use crate::wire::{
    CancelMoveTaskResponse, GetQueueAttributesResponse, ListMoveTasksResponse, ListQueueTagsResponse,
    ListQueuesResponse, ListSourcesResponse, QueueUrlResponse, ReceiveMessageResponse, SendMessageResponse, SentEntry,
    SettledEntry, StartMoveTaskResponse,
};

/// What stands within `<…Result>`.
fn result_of(action: &str, answer: &Response) -> String {
    let whole = response(action, answer, "id-1");
    let (open, close) = (format!("<{action}Result>"), format!("</{action}Result>"));
    whole.split_once(&open).unwrap().1.split_once(&close).unwrap().0.to_owned()
}

#[test]
fn the_frame() {
    let head = "<?xml version=\"1.0\"?><DeleteQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">";
    let tail = "<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteQueueResponse>";
    assert_eq!(response("DeleteQueue", &Response::Empty {}, "id-1"), format!("{head}{tail}"), "no output, no result");
    let none = Response::ReceiveMessage(ReceiveMessageResponse { messages: vec![] });
    assert!(response("ReceiveMessage", &none, "id-1").contains("\"><ReceiveMessageResult/><ResponseMetadata>"));
    let answer = ActionError::UnknownAttribute { name: "<x>".into() }.answer();
    let expected = "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error>\
                    <Type>Sender</Type><Code>InvalidAttributeName</Code>\
                    <Message>Unknown Attribute &lt;x&gt;.</Message><Detail/></Error><RequestId>id-1</RequestId></ErrorResponse>";
    assert_eq!(error(answer.shape, &answer.text, "id-1"), expected);
}

#[test]
fn results_have_the_models_elements() {
    let pairs = |name: &str| Pairs(vec![(name.to_owned(), "v".to_owned())]);
    let urls = || vec!["u1".to_owned(), "u2".to_owned()];
    let sent = || SendMessageResponse {
        message_id: MessageId::new("m"),
        md5_of_message_body: "b".into(),
        md5_of_message_attributes: Some("a".into()),
        md5_of_message_system_attributes: Some("s".into()),
        sequence_number: Some("18".into()),
    };
    let sent_xml = "<MessageId>m</MessageId><MD5OfMessageBody>b</MD5OfMessageBody>\
                    <MD5OfMessageAttributes>a</MD5OfMessageAttributes>\
                    <MD5OfMessageSystemAttributes>s</MD5OfMessageSystemAttributes><SequenceNumber>18</SequenceNumber>";
    let failed = || FailedEntry { id: "2".into(), sender_fault: true, code: "Code", message: "why".into() };
    let failed_xml = "<BatchResultErrorEntry><Id>2</Id><SenderFault>true</SenderFault><Code>Code</Code>\
                      <Message>why</Message></BatchResultErrorEntry>";
    let settled = || {
        let successful = vec![SettledEntry { id: "1".into() }];
        Response::SettleBatch(BatchResponse { successful, failed: vec![failed()] })
    };
    let task = ListedMoveTask {
        task_handle: Some("h".into()),
        status: "RUNNING",
        source_arn: "s".into(),
        destination_arn: Some("d".into()),
        max_per_second: Some(5),
        moved: 1,
        to_move: 2,
        failure_reason: Some("f".into()),
        started_unix_ms: 3,
    };
    let queues = ListQueuesResponse { queue_urls: urls(), next_token: Some("t".into()) };
    let sources = ListSourcesResponse { queue_urls: urls(), next_token: None };
    let entry = SentEntry { id: "1".into(), sent: sent() };
    let rows = [
        (
            "CreateQueue",
            Response::QueueUrl(QueueUrlResponse { queue_url: "u".into() }),
            "<QueueUrl>u</QueueUrl>".to_owned(),
        ),
        (
            "ListQueues",
            Response::ListQueues(queues),
            "<QueueUrl>u1</QueueUrl><QueueUrl>u2</QueueUrl><NextToken>t</NextToken>".into(),
        ),
        (
            "ListDeadLetterSourceQueues",
            Response::ListDeadLetterSourceQueues(sources),
            "<QueueUrl>u1</QueueUrl><QueueUrl>u2</QueueUrl>".into(),
        ),
        (
            "GetQueueAttributes",
            Response::GetQueueAttributes(GetQueueAttributesResponse { attributes: pairs("QueueArn") }),
            "<Attribute><Name>QueueArn</Name><Value>v</Value></Attribute>".into(),
        ),
        (
            "ListQueueTags",
            Response::ListQueueTags(ListQueueTagsResponse { tags: pairs("team") }),
            "<Tag><Key>team</Key><Value>v</Value></Tag>".into(),
        ),
        ("SendMessage", Response::SendMessage(sent()), sent_xml.to_owned()),
        (
            "SendMessageBatch",
            Response::SendMessageBatch(BatchResponse { successful: vec![entry], failed: vec![failed()] }),
            format!("<SendMessageBatchResultEntry><Id>1</Id>{sent_xml}</SendMessageBatchResultEntry>{failed_xml}"),
        ),
        (
            "DeleteMessageBatch",
            settled(),
            format!("<DeleteMessageBatchResultEntry><Id>1</Id></DeleteMessageBatchResultEntry>{failed_xml}"),
        ),
        (
            "ChangeMessageVisibilityBatch",
            settled(),
            format!(
                "<ChangeMessageVisibilityBatchResultEntry><Id>1</Id></ChangeMessageVisibilityBatchResultEntry>{failed_xml}"
            ),
        ),
        (
            "StartMessageMoveTask",
            Response::StartMessageMoveTask(StartMoveTaskResponse { task_handle: "h".into() }),
            "<TaskHandle>h</TaskHandle>".into(),
        ),
        (
            "CancelMessageMoveTask",
            Response::CancelMessageMoveTask(CancelMoveTaskResponse { moved: 7 }),
            "<ApproximateNumberOfMessagesMoved>7</ApproximateNumberOfMessagesMoved>".into(),
        ),
        (
            "ListMessageMoveTasks",
            Response::ListMessageMoveTasks(ListMoveTasksResponse { results: vec![task] }),
            "<ListMessageMoveTasksResultEntry><TaskHandle>h</TaskHandle><Status>RUNNING</Status><SourceArn>s</SourceArn>\
             <DestinationArn>d</DestinationArn><MaxNumberOfMessagesPerSecond>5</MaxNumberOfMessagesPerSecond>\
             <ApproximateNumberOfMessagesMoved>1</ApproximateNumberOfMessagesMoved>\
             <ApproximateNumberOfMessagesToMove>2</ApproximateNumberOfMessagesToMove><FailureReason>f</FailureReason>\
             <StartedTimestamp>3</StartedTimestamp></ListMessageMoveTasksResultEntry>"
                .into(),
        ),
    ];
    for (action, answer, expected) in rows {
        assert_eq!(result_of(action, &answer), expected, "{action}");
    }
}

#[test]
fn a_received_message() {
    let attribute =
        |name: &str, data_type: &str, value| MessageAttribute { name: name.into(), data_type: data_type.into(), value };
    let message = Message {
        id: MessageId::new("m"),
        receipt: ReceiptHandle::new("h"),
        body: "a\r\n<b>&\"c\"\t\u{1f600}".into(),
        md5_of_body: "md5".into(),
        system: SystemAttributes {
            sent_unix_ms: 1,
            group_id: Some("g<1>".into()),
            sequence_number: Some("18850000000000000001".into()),
            ..SystemAttributes::default()
        },
        attributes: vec![
            attribute("b", "Binary.png", AttributeValue::Binary(vec![0, 255])),
            attribute("t", "String", AttributeValue::Text("v & w".into())),
        ],
    };
    let system_names = SystemNames::parse(["SentTimestamp", "MessageGroupId", "SequenceNumber"].into_iter());
    let received = ReceivedMessage { message, system_names, md5_of_message_attributes: Some("md5a".into()) };
    let expected = "<Message><MessageId>m</MessageId><ReceiptHandle>h</ReceiptHandle><MD5OfBody>md5</MD5OfBody>\
        <Body>a&#xD;\n&lt;b&gt;&amp;&quot;c&quot;\t\u{1f600}</Body>\
        <Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute>\
        <Attribute><Name>SequenceNumber</Name><Value>18850000000000000001</Value></Attribute>\
        <Attribute><Name>MessageGroupId</Name><Value>g&lt;1&gt;</Value></Attribute>\
        <MD5OfMessageAttributes>md5a</MD5OfMessageAttributes>\
        <MessageAttribute><Name>b</Name><Value><BinaryValue>AP8=</BinaryValue><DataType>Binary.png</DataType></Value>\
        </MessageAttribute><MessageAttribute><Name>t</Name><Value><StringValue>v &amp; w</StringValue>\
        <DataType>String</DataType></Value></MessageAttribute></Message>";
    let answer = Response::ReceiveMessage(ReceiveMessageResponse { messages: vec![received] });
    assert_eq!(result_of("ReceiveMessage", &answer), expected);
}

#[test]
fn what_xml_cannot_hold_leaves_the_document_readable() {
    for (text, expected) in [
        ("plain", "plain"),
        ("\r\r\n\n", "&#xD;&#xD;\n\n"),
        ("a\u{0}\u{b}z", "a\u{fffd}\u{fffd}z"),
        ("\u{fffd}\u{fffe}\u{ffff}\u{e000}", "\u{fffd}\u{fffd}\u{fffd}\u{e000}"),
        ("\u{ef}&\u{10ffff}", "\u{ef}&amp;\u{10ffff}"),
        ("]]>", "]]&gt;"),
    ] {
        let mut out = String::new();
        push_escaped(&mut out, text);
        assert_eq!(out, expected, "{text:?}");
    }
}
