//! Bad input on the wire: one clear answer each, nothing stored, and the server stays up.

use std::net::SocketAddr;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use serde_json::json;
use support::http::{Answer, exchange};
use support::sqs::entries;
use support::{Counts, Home};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.0");

async fn action(address: SocketAddr, action: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let target = format!("AmazonSQS.{action}");
    let headers: Vec<_> = [("x-amz-target", target.as_str())].into_iter().chain(headers.iter().copied()).collect();
    exchange(address, "POST", "/", &headers, body.as_bytes()).await.unwrap()
}

#[tokio::test]
async fn bad_requests_get_one_clear_answer_and_the_server_stays_up() {
    let mut server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let (sqs, address) = (server.sqs(), server.sqs_address());
    sqs.create("orders", &[]).await;
    let whole = json!({"QueueUrl": sqs.url("orders"), "MessageBody": "x"}).to_string();

    let answer = action(address, "SendMessage", &[JSON], &whole[..whole.len() - 1]).await;
    assert_eq!((answer.status, answer.header("content-type")), (400, JSON.1));
    assert!(answer.json()["message"].as_str().unwrap().contains("not valid JSON"), "{}", answer.body);

    let answer = action(address, "SendMessage", &[JSON], "\u{0}\u{1}\u{2}").await;
    assert_eq!(answer.status, 400, "{}", answer.body);

    let answer = action(address, "Frobnicate", &[JSON], &whole).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert_eq!(answer.json()["__type"], "com.amazonaws.sqs#UnknownOperationException");

    // The other protocol of SQS answers in its own language, and then something that is no protocol at all.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let query = exchange(address, "POST", "/", &form, b"Action=SendMessage&MessageBody=x").await.unwrap();
    assert_eq!((query.status, query.header("content-type")), (400, "text/xml"));
    assert!(
        query.body.contains("<Message>The request must contain the parameter QueueUrl.</Message>"),
        "{}",
        query.body
    );
    let query = exchange(address, "POST", "/", &form, b"Action=SendMessage&MessageBody=%ff").await.unwrap();
    assert!(query.body.contains("<Code>MalformedQueryString</Code>"), "{}", query.body);
    let text = [("content-type", "text/plain")];
    let answer = exchange(address, "POST", "/", &text, whole.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.body);

    for page in [("origin", "https://attacker.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let answer = action(address, "SendMessage", &[JSON, page], &whole).await;
        assert_eq!(answer.status, 403, "{page:?}: {}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }

    assert_eq!(sqs.counts("orders").await, Counts::EMPTY, "none of it was stored");
    // The very same request, unspoilt.
    assert_eq!(action(address, "SendMessage", &[JSON], &whole).await.status, 200);
    assert_eq!(sqs.counts("orders").await, Counts::visible(1));
    server.assert_sound().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_by_the_errors_of_the_sdk() {
    let mut server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    let url = sqs.url("orders");
    let send = |body: String| sqs.client().send_message().queue_url(&url).message_body(body).send();
    let send_batch =
        |bodies: &[String]| sqs.client().send_message_batch().queue_url(&url).set_entries(Some(entries(bodies))).send();

    let mebibyte = 1 << 20;
    let refused = send("x".repeat(mebibyte + 1)).await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("InvalidParameterValue"), "{refused:?}");
    assert!(refused.message().unwrap().contains("shorter than 1048576 bytes"), "{refused:?}");
    // Far over every limit: answered too, not cut off.
    let refused = send("x".repeat(20 * mebibyte)).await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("InvalidParameterValue"), "{refused:?}");

    let eleven = vec!["x".to_owned(); 11];
    let refused = send_batch(&eleven).await.unwrap_err().into_service_error();
    assert!(refused.is_too_many_entries_in_batch_request(), "{refused:?}");
    assert!(refused.message().unwrap().contains("You have sent 11"), "{refused:?}");
    let refused = send_batch(&[]).await.unwrap_err().into_service_error();
    assert!(refused.is_empty_batch_request(), "{refused:?}");
    let refused = send_batch(&vec!["x".repeat(mebibyte / 2 + 1); 2]).await.unwrap_err().into_service_error();
    assert!(refused.is_batch_request_too_long(), "{refused:?}");

    let stranger = sqs.client().send_message().queue_url(sqs.url("nowhere")).message_body("x").send().await;
    assert!(stranger.unwrap_err().into_service_error().is_queue_does_not_exist());

    assert_eq!(sqs.counts("orders").await, Counts::EMPTY, "none of it was stored");
    send("x".repeat(mebibyte)).await.unwrap();
    assert_eq!(sqs.counts("orders").await, Counts::visible(1));
    server.assert_sound().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_http_or_never_ends_takes_nothing_down() {
    let mut server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let (sqs, address) = (server.sqs(), server.sqs_address());
    sqs.create("orders", &[]).await;
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"\r\n\r\n\x00\xff\r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be answered with 400, or hung up on.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    // Requests that stop in the middle, left open while others are served.
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
        open.push(stream);
    }
    sqs.send("orders", "x").await;
    assert_eq!(sqs.counts("orders").await, Counts::visible(1));
    server.assert_sound().await;
    server.stop().await;
    drop(open);
}
