//! Raw HTTP: framing, addresses, what is refused before any action runs.

use wasmill_sqs::{SqsOptions, SqsService};

use crate::http::Connection;
use crate::support::{Server, broker};
use crate::{NOT_THERE, create, start};

#[tokio::test]
async fn framing_and_keep_alive() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    let sent = connection.action("/", "SendMessage", r#"{"QueueUrl":"orders","MessageBody":"x"}"#).await;
    assert_eq!((sent.status, sent.header("content-type")), (200, "application/x-amz-json-1.0"));
    assert_eq!(sent.header("x-amzn-requestid").len(), 36);
    let none = connection.action("/", "ReceiveMessage", r#"{"QueueUrl":"orders","VisibilityTimeout":5}"#).await;
    assert_eq!(none.json()["Messages"].as_array().unwrap().len(), 1, "the connection is kept");
    let none = connection.action("/", "ReceiveMessage", r#"{"QueueUrl":"orders"}"#).await;
    assert_eq!(none.body, "{}", "no Messages key on an empty queue");
    let purged = connection.action("/", "PurgeQueue", r#"{"QueueUrl":"orders"}"#).await;
    assert_eq!((purged.status, purged.body.as_str()), (200, "{}"));
    let missing = connection.action("/", "ReceiveMessage", r#"{"QueueUrl":"nowhere"}"#).await;
    assert_eq!(missing.status, 400);
    assert_eq!(missing.header("x-amzn-query-error"), "AWS.SimpleQueueService.NonExistentQueue;Sender");
    let expected = serde_json::json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": NOT_THERE});
    assert_eq!(missing.json(), expected);
    server.stop().await;
}

#[tokio::test]
async fn queues_are_addressed_in_many_ways() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    for path in ["/000000000000/orders", "/queue/us-east-1/000000000000/orders", "/queue/orders", "/orders"] {
        let sent = connection.action(path, "SendMessage", r#"{"MessageBody":"by path"}"#).await;
        assert_eq!(sent.status, 200, "{path}: {}", sent.body);
    }
    for url in [
        "orders",
        "https://sqs.us-east-1.amazonaws.com/000000000000/orders",
        "http://localhost:4566/000000000000/orders",
        "http://elsewhere.test/queue/orders",
    ] {
        let body = format!(r#"{{"QueueUrl":"{url}","MessageBody":"by url"}}"#);
        let sent = connection.action("/000000000000/nowhere", "SendMessage", &body).await;
        assert_eq!(sent.status, 200, "the member wins over the path: {url}: {}", sent.body);
    }
    let missing = connection.action("/", "SendMessage", r#"{"MessageBody":"x"}"#).await;
    assert_eq!(missing.json()["message"], "The request must contain the parameter QueueUrl.");
    let nameless = connection.action("/", "SendMessage", r#"{"QueueUrl":"http://host/","MessageBody":"x"}"#).await;
    let no_queue = "AWS.SimpleQueueService.NonExistentQueue;Sender";
    assert_eq!((nameless.status, nameless.header("x-amzn-query-error")), (400, no_queue));
    for (host, expected) in [("queues.internal:9999", "queues.internal:9999"), ("evil\"host", "127.0.0.1:9324")] {
        let headers = [("host", host), ("x-amz-target", "AmazonSQS.GetQueueUrl")];
        let found = connection.exchange("POST", "/", &headers, r#"{"QueueName":"orders"}"#).await;
        assert_eq!(found.json()["QueueUrl"], format!("http://{expected}/000000000000/orders"));
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_that_name_no_action() {
    let (server, _client) = start().await;
    let mut connection = Connection::open(&server).await;
    let json = ("accept", "application/json");
    let get = connection.exchange("GET", "/000000000000/orders", &[json], "").await;
    assert_eq!((get.status, get.body.trim()), (404, "<UnknownOperationException/>"));
    let post = connection.exchange("POST", "/", &[json], "{}").await;
    assert_eq!((post.status, post.header("x-amzn-query-error")), (404, "UnknownOperationException;Sender"));
    assert!(post.json()["message"].as_str().unwrap().contains("X-Amz-Target"), "{}", post.body);
    let unknown = connection.action("/", "Frobnicate", "{}").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["__type"], "com.amazonaws.sqs#UnknownOperationException");
    let other = [("x-amz-target", "DynamoDB_20120810.PutItem")];
    assert_eq!(connection.exchange("POST", "/", &other, "{}").await.status, 404);
    let by_get = [("x-amz-target", "AmazonSQS.ListQueues")];
    assert_eq!(connection.exchange("GET", "/", &by_get, "").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn malformed_bodies() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    for (body, expected) in [
        ("", "The request must contain the parameter QueueUrl."),
        ("[1]", "The request body must be a JSON object."),
        (r#"{"QueueUrl":"orders""#, "The request body is not valid JSON"),
        (r#"{"QueueUrl":"orders","MessageBody":5}"#, "The value of MessageBody cannot be read: invalid type"),
        (
            r#"{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":"soon"}"#,
            "The value of DelaySeconds cannot be read",
        ),
    ] {
        let answer = connection.action("/", "SendMessage", body).await;
        assert_eq!(answer.status, 400, "{body}");
        let text = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with(expected), "{body}: {text}");
    }
    let lenient = r#"{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":"0","Unknown":{"a":[]}}"#;
    assert_eq!(connection.action("/", "SendMessage", lenient).await.status, 200);
    let chunked = [("x-amz-target", "AmazonSQS.SendMessage"), ("transfer-encoding", "chunked")];
    let body = r#"{"QueueUrl":"orders","MessageBody":"in chunks"}"#;
    let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(connection.exchange("POST", "/", &chunked, &body).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_read_away_and_refused() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let nine_mebibytes = "x".repeat(9 << 20);
    let body = format!(r#"{{"QueueUrl":"orders","MessageBody":"{nine_mebibytes}"}}"#);
    for (action, status, text) in [
        ("SendMessage", 400, "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."),
        ("ReceiveMessage", 413, "The request is longer than 8388608 bytes."),
    ] {
        let answer = Connection::open(&server).await.action("/", action, &body).await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (status, Some(text)));
    }
    let target = ("x-amz-target", "AmazonSQS.SendMessageBatch");
    let answer = Connection::open(&server).await.exchange("POST", "/", &[target], &body).await;
    assert_eq!(answer.header("x-amzn-query-error"), "AWS.SimpleQueueService.BatchRequestTooLong;Sender");
    // Six bytes for each byte of the message: the longest spelling that JSON has.
    let escaped = r"\u0041".repeat(1 << 20);
    let body = format!(r#"{{"QueueUrl":"orders","MessageBody":"{escaped}"}}"#);
    let answer = Connection::open(&server).await.action("/", "SendMessage", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    server.stop().await;
}

#[tokio::test]
async fn pages_are_refused_unless_configured() {
    let (server, _client) = start().await;
    let mut connection = Connection::open(&server).await;
    let list = ("x-amz-target", "AmazonSQS.ListQueues");
    for from_page in [("origin", "https://example.com"), ("origin", "null"), ("sec-fetch-site", "same-origin")] {
        let answer = connection.exchange("POST", "/", &[list, from_page], "{}").await;
        assert_eq!((answer.status, answer.header("x-amzn-query-error")), (403, "AccessDenied;Sender"));
        assert!(answer.json()["message"].as_str().unwrap().contains("allowed_origins"), "{}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let any_host = connection.exchange("POST", "/", &[list, ("host", "attacker.example")], "{}").await;
    assert_eq!(any_host.status, 200, "clients use many names");
    server.stop().await;

    let options = SqsOptions { allowed_origins: vec!["http://localhost:3000".into()], ..SqsOptions::default() };
    let server = Server::start(broker(None).await, options).await;
    let mut connection = Connection::open(&server).await;
    let origin = ("origin", "http://localhost:3000");
    let asked = ("access-control-request-headers", "x-amz-target,content-type");
    let preflight = connection.exchange("OPTIONS", "/", &[origin, asked], "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-headers"), "x-amz-target,content-type");
    let answer = connection.exchange("POST", "/", &[list, origin, ("sec-fetch-site", "cross-site")], "{}").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "http://localhost:3000"));
    let other = connection.exchange("POST", "/", &[list, ("origin", "http://localhost:3001")], "{}").await;
    assert_eq!(other.status, 403);
    server.stop().await;

    let options = SqsOptions { allowed_origins: vec!["*".into()], ..SqsOptions::default() };
    let error = SqsService::new(broker(None).await, &options).err().unwrap();
    assert!(error.to_string().contains("scheme://host"), "{error}");
}
