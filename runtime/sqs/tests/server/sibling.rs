//! Another API on the same listener: its paths, its limits, and what it lets in.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;
use wasmill_sqs::{AccessKey, Change, Sibling, SqsOptions, SqsService};

use crate::http::Connection;
use crate::support::{Server, broker};

const LONG: usize = 10 << 20;

/// Answers with the length of what it was sent.
struct Beside;

#[async_trait]
impl Sibling for Beside {
    fn service(&self) -> &'static str {
        "lambda"
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/2015-03-31/")
    }

    fn body_max_bytes(&self, _method: &Method, path: &str) -> usize {
        if path.ends_with("/upload") { LONG } else { 10 }
    }

    fn refuse_body(&self, _method: &Method, path: &str) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("too much for {path}")));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        response
    }

    fn is_open(&self, method: &Method, path: &str) -> bool {
        method == Method::GET && path.ends_with("/open")
    }

    fn answer_form(&self, action: &str) -> Option<(&'static str, Response<Bytes>)> {
        (action == "GetCallerIdentity").then(|| ("sts", Response::new("you".into())))
    }

    fn change(&self, _: &Method, _: &str, _: &[u8]) -> Option<Change> {
        None
    }

    async fn handle(&self, _: &Method, _: &str, _: &HeaderMap, body: Bytes) -> Response<Bytes> {
        Response::new(body.len().to_string().into())
    }
}

async fn start(options: &SqsOptions) -> Server {
    let broker = broker(None).await;
    let service = SqsService::new(broker.clone(), options).unwrap().with_sibling(Arc::new(Beside));
    Server::over(broker, service).await
}

#[tokio::test]
async fn the_other_api_has_limits_of_its_own_and_sqs_keeps_its() {
    let server = start(&SqsOptions::default()).await;
    let whole = "x".repeat(LONG);
    let chunked = [("transfer-encoding", "chunked")];
    let in_chunks = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (path, headers, body, status, text) in [
        ("/2015-03-31/upload", &[][..], whole.clone(), 200, LONG.to_string()),
        ("/2015-03-31/upload", &chunked, in_chunks(&whole), 200, LONG.to_string()),
        ("/2015-03-31/upload", &[], format!("{whole}x"), 413, "too much for /2015-03-31/upload".to_owned()),
        ("/2015-03-31/upload", &chunked, in_chunks(&format!("{whole}x")), 413, "too much".to_owned()),
        ("/2015-03-31/small", &[], "x".repeat(10), 200, "10".to_owned()),
        ("/2015-03-31/small", &[], "x".repeat(11), 413, "too much for /2015-03-31/small".to_owned()),
        ("/upload", &[("x-amz-target", "AmazonSQS.ListQueues")], whole.clone(), 413, "8388608".to_owned()),
    ] {
        let answer = Connection::open(&server).await.exchange("POST", path, headers, &body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(&text), "{path}: {}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn two_long_bodies_are_taken_at_once_and_short_ones_pass_them_by() {
    let server = start(&SqsOptions::default()).await;
    let length = LONG.to_string();
    let headers = [("content-length", length.as_str())];
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::open(&server).await;
        connection.write("POST", "/2015-03-31/upload", &headers, "x").await;
        slow.push(connection);
    }
    let large = format!(r#"{{"QueueName":"{}"}}"#, "x".repeat(1 << 20));
    let mut connection = Connection::open(&server).await;
    assert_eq!(connection.action("/", "CreateQueue", &large).await.status, 400, "SQS does not wait for uploads");
    assert_eq!(connection.exchange("POST", "/2015-03-31/small", &[], "x").await.status, 200);
    drop(slow.drain(..2));
    let mut last = slow.remove(0);
    last.send(&"x".repeat(LONG - 1)).await;
    assert_eq!(last.read().await.body, length);
    server.stop().await;
}

#[tokio::test]
async fn forms_of_the_other_api_are_answered_beside_those_of_sqs() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let send = async |server: &Server, action: &str| {
        let body = format!("Action={action}&Version=2011-06-15");
        Connection::open(server).await.exchange("POST", "/", &[form], &body).await
    };
    let server = start(&SqsOptions::default()).await;
    let answer = send(&server, "GetCallerIdentity").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "you"));
    assert_eq!(send(&server, "ListQueues").await.status, 200);
    assert!(send(&server, "AssumeRole").await.body.contains("InvalidAction"));
    server.stop().await;
    let access_keys = vec![AccessKey::new("AKIAWASMILLTEST", "secret").unwrap()];
    let server = start(&SqsOptions { access_keys, ..SqsOptions::default() }).await;
    assert_eq!(send(&server, "GetCallerIdentity").await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn what_is_open_needs_no_signature_and_nothing_else_is_let_in() {
    let access_keys = vec![AccessKey::new("AKIAWASMILLTEST", "secret").unwrap()];
    let server = start(&SqsOptions { access_keys, ..SqsOptions::default() }).await;
    for (method, path, status) in [
        ("GET", "/2015-03-31/open", 200),
        ("POST", "/2015-03-31/open", 403),
        ("GET", "/2015-03-31/other", 403),
        ("GET", "/open", 403),
    ] {
        let answer = Connection::open(&server).await.exchange(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    server.stop().await;
}
