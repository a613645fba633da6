//! The query protocol on the socket: what old SDKs and hand-written clients send, and what was recorded on AWS of GET
//! requests to the URL of a queue (`TestSqsQueryApi` in LocalStack's AWS-validated suite).

use crate::http::Connection;
use crate::{create, start};

const WSDL: &str = "The specified queue does not exist for this wsdl version.";

#[tokio::test]
async fn a_message_by_forms() {
    let (server, client) = start().await;
    let mut connection = Connection::open(&server).await;
    let created =
        connection.form("CreateQueue", "QueueName=orders&Attribute.1.Name=DelaySeconds&Attribute.1.Value=0").await;
    let url = format!("http://{}/000000000000/orders", server.address);
    assert_eq!((created.status, created.header("content-type")), (200, "text/xml"));
    assert_eq!(created.element("QueueUrl"), url);
    assert_eq!(created.element("RequestId"), created.header("x-amzn-requestid"));

    let sent = connection
        .form(
            "SendMessage",
            "QueueUrl=orders&MessageBody=%3Ca%3E%0D%0A+%26+%C3%A9&MessageAttribute.1.Name=b\
             &MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=AP8%3D\
             &MessageSystemAttribute.1.Name=AWSTraceHeader&MessageSystemAttribute.1.Value.DataType=String\
             &MessageSystemAttribute.1.Value.StringValue=Root%3D1",
        )
        .await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert_eq!(sent.element("MD5OfMessageSystemAttributes").len(), 32);
    let received = connection
        .form("ReceiveMessage", "QueueUrl=orders&AttributeName.1=All&MessageAttributeName.1=All&VisibilityTimeout=30")
        .await;
    assert_eq!(received.element("MessageId"), sent.element("MessageId"));
    assert_eq!(received.element("MD5OfMessageAttributes"), sent.element("MD5OfMessageAttributes"));
    assert_eq!(received.element("Body"), "&lt;a&gt;&#xD;\n &amp; \u{e9}");
    assert_eq!(received.element("BinaryValue"), "AP8=");
    assert!(received.body.contains("<Attribute><Name>AWSTraceHeader</Name><Value>Root=1</Value></Attribute>"));
    let handle = received.element("ReceiptHandle");
    let deleted = connection.form("DeleteMessage", &format!("QueueUrl={url}&ReceiptHandle={handle}")).await;
    assert_eq!(deleted.status, 200);
    assert!(deleted.body.contains("<DeleteMessageResponse xmlns=") && !deleted.body.contains("Result"));
    assert!(connection.form("ReceiveMessage", "QueueUrl=orders").await.body.contains("<ReceiveMessageResult/>"));

    let entries = "SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x\
                   &SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=%0B";
    let batch = connection.form("SendMessageBatch", &format!("QueueUrl=orders&{entries}")).await;
    assert_eq!(batch.element("SendMessageBatchResultEntry").split("<MessageId>").next(), Some("<Id>a</Id>"));
    let failed = batch.element("BatchResultErrorEntry");
    let expected = "<Id>b</Id><SenderFault>true</SenderFault><Code>InvalidMessageContents</Code><Message>Invalid";
    assert!(failed.starts_with(expected), "{failed}");
    let through_json = client.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(through_json.body(), Some("x"), "it is one queue");
    server.stop().await;
}

#[tokio::test]
async fn get_on_a_queues_url() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let other_url = create(&client, "other").await;
    let mut connection = Connection::open(&server).await;
    let no_such = "<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>";
    let missing_body =
        "<Code>MissingParameter</Code><Message>The request must contain the parameter MessageBody.</Message>";
    let unknown = "<Code>InvalidAttributeName</Code><Message>Unknown Attribute Foobar.</Message>";
    let of_other = format!("Action=GetQueueAttributes&QueueUrl={other_url}&AttributeName.1=QueueArn");
    let other_arn =
        "<Attribute><Name>QueueArn</Name><Value>arn:aws:sqs:us-east-1:000000000000:other</Value></Attribute>";
    let other_found = format!("<QueueUrl>{other_url}</QueueUrl>");
    let not_here = |action: &str| {
        format!(
            "<Type>Sender</Type><Code>InvalidAction</Code><Message>The action {action} is not valid for this endpoint.</Message>"
        )
    };
    for (queue, query, status, expected) in [
        (
            "orders",
            "Action=GetQueueAttributes&AttributeName.1=All",
            200,
            "<Name>VisibilityTimeout</Name><Value>30</Value>",
        ),
        ("orders", of_other.as_str(), 200, other_arn),
        ("orders", "Action=GetQueueUrl&QueueName=other", 200, &other_found),
        ("orders", "Action=SendMessage&MessageBody=foobar", 200, "<MD5OfMessageBody>3858f62230ac3c915f300c664312c63f<"),
        ("other", "Action=ReceiveMessage", 200, "<ReceiveMessageResult/>"),
        ("orders", "Action=ReceiveMessage", 200, "<Body>foobar</Body>"),
        ("orders", "Action=SendMessage", 400, missing_body),
        ("orders", "Action=GetQueueAttributes&AttributeName.1=Foobar", 400, unknown),
        ("orders", "Action=FooBar&Version=2012-11-05", 400, &not_here("FooBar")),
        ("orders", "Action=CreateQueue&QueueName=new", 400, &not_here("CreateQueue")),
        ("orders", "Action=ListQueues", 400, &not_here("ListQueues")),
        ("nowhere", "Action=ReceiveMessage", 400, no_such),
        ("nowhere", "Action=ReceiveMessage", 400, WSDL),
        ("orders", "Action=DeleteQueue", 200, "<DeleteQueueResponse xmlns="),
        ("orders", "Action=PurgeQueue", 400, no_such),
    ] {
        let answer = connection.get(queue, query, &[]).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert!(answer.body.contains(expected), "{query}: {}", answer.body);
    }
    let listed = connection.exchange("GET", "/?Action=ListQueues", &[], "").await;
    assert_eq!(listed.element("QueueUrl"), other_url, "the endpoint itself lists by GET");
    let nothing = connection.get("other", "", &[("accept", "application/json")]).await;
    assert_eq!((nothing.status, nothing.body.trim()), (404, "<UnknownOperationException/>"));
    let no_action =
        connection.exchange("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], "a=b").await;
    assert_eq!((no_action.status, no_action.body.trim()), (404, "<UnknownOperationException/>"));
    server.stop().await;
}

#[tokio::test]
async fn where_a_form_may_stand() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    create(&client, "other").await;
    let mut connection = Connection::open(&server).await;
    let form = [("content-type", "application/x-www-form-urlencoded;charset=UTF-8")];
    let path = "/000000000000/orders";
    let arn = |name: &str| format!("<Value>arn:aws:sqs:us-east-1:000000000000:{name}</Value>");
    let attributes = "Action=GetQueueAttributes&AttributeName.1=QueueArn";
    let in_body = connection.exchange("POST", path, &form, attributes).await;
    assert!(in_body.body.contains(&arn("orders")), "posted to the queue: {}", in_body.body);
    let in_url = connection.exchange("POST", &format!("{path}?{attributes}"), &[], "").await;
    assert!(in_url.body.contains(&arn("orders")), "a form in the URL of a POST: {}", in_url.body);
    let in_both =
        connection.exchange("POST", &format!("{path}?{attributes}&QueueUrl=nowhere"), &form, "QueueUrl=other").await;
    assert!(in_both.body.contains(&arn("other")), "the body wins: {}", in_both.body);
    let json = [("x-amz-target", "AmazonSQS.GetQueueUrl")];
    let both = connection.exchange("POST", &format!("{path}?{attributes}"), &json, r#"{"QueueName":"other"}"#).await;
    assert_eq!(both.header("content-type"), "application/x-amz-json-1.0", "a target makes it JSON");
    let put = connection.exchange("PUT", &format!("{path}?{attributes}"), &[], "").await;
    assert_eq!((put.status, put.body.trim()), (404, "<UnknownOperationException/>"));
    let too_long = format!("Action=SendMessage&QueueUrl=orders&MessageBody={}", "x".repeat(9 << 20));
    let refused = Connection::open(&server).await.exchange("POST", "/", &form, &too_long).await;
    assert_eq!((refused.status, refused.element("Code")), (413, "RequestEntityTooLarge"));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_prefers_json_gets_it() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    let json = [("accept", "application/json, text/plain, */*")];
    let listed = connection.get("orders", "Action=ListQueues", &json).await;
    assert_eq!((listed.status, listed.header("content-type")), (400, "application/json"));
    assert_eq!(listed.json()["Error"]["Code"], "InvalidAction");
    assert_eq!(listed.json()["Error"]["Message"], "The action ListQueues is not valid for this endpoint.");
    let found = connection.get("orders", "Action=GetQueueAttributes&AttributeName.1=QueueArn", &json).await;
    let result = &found.json()["GetQueueAttributesResponse"]["GetQueueAttributesResult"];
    let arn = serde_json::json!([{"Name": "QueueArn", "Value": "arn:aws:sqs:us-east-1:000000000000:orders"}]);
    assert_eq!(result["Attributes"], arn);
    connection.get("orders", "Action=SendMessage&MessageBody=x", &json).await;
    let received = connection.get("orders", "Action=ReceiveMessage&AttributeName.1=SentTimestamp", &json).await;
    let message = &received.json()["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"][0];
    assert_eq!((&message["Body"], &message["Attributes"][0]["Name"]), (&"x".into(), &"SentTimestamp".into()));
    server.stop().await;
}
