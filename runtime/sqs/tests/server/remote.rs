//! Our own client, where it differs from the contract that all queues share.

use std::time::{Duration, Instant};

use wasmill_queue::{DeadLetter, OutgoingMessage, Queue, QueueError, ReceiveRequest};
use wasmill_sqs::{ConnectError, RemoteOptions, RemoteSqs};

use crate::{create, start};

#[tokio::test]
async fn the_client_says_what_is_wrong() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let remote = server.remote().await;
    assert_eq!(remote.queue_by_name("nowhere").await.err(), Some(QueueError::NoSuchQueue));
    let by_url = remote.queue_by_url(&format!("http://{}/000000000000/orders", server.address)).await.unwrap();
    assert_eq!(by_url.stats().await.unwrap().arn.name(), "orders");
    let listed = remote.list_queues("ord").await.unwrap();
    assert_eq!(listed.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    let address = server.address.clone();
    server.stop().await;
    let gone = by_url.stats().await.unwrap_err();
    assert!(matches!(gone, QueueError::Unavailable(_)), "{gone:?}");

    let connect = |url: &str| {
        let endpoint_url = Some(url.to_owned());
        RemoteSqs::connect(RemoteOptions { endpoint_url, region: Some("us-east-1".into()), anonymous_local: true })
    };
    assert!(matches!(connect(&address).await.err(), Some(ConnectError::EndpointUrl(_))));
}

#[tokio::test]
async fn a_local_endpoint_needs_no_configuration() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let endpoint_url = Some(format!("http://{}", server.address));
    let start = Instant::now();
    let options = RemoteOptions { endpoint_url, region: None, anonymous_local: true };
    let remote = RemoteSqs::connect(options).await.unwrap();
    assert_eq!(remote.list_queues("").await.unwrap().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(3), "nobody asked the network: {:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn what_the_dead_letter_queue_refuses_stays() {
    let (server, client) = start().await;
    let small = client.create_queue().queue_name("dead").attributes("MaximumMessageSize".into(), "1024");
    small.send().await.unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":9}"#;
    client.create_queue().queue_name("orders").attributes("RedrivePolicy".into(), policy).send().await.unwrap();
    let remote = server.remote().await;
    let queue = remote.queue_by_name("orders").await.unwrap();
    let body = |length: usize| OutgoingMessage { body: "x".repeat(length), ..OutgoingMessage::default() };
    assert!(queue.send(vec![body(2000), body(10)]).await.unwrap().iter().all(Result::is_ok));
    let request =
        ReceiveRequest { max_messages: 10, wait: Duration::ZERO, visibility_timeout_seconds: None, attempt_id: None };
    let mut messages = queue.receive(request.clone()).await.unwrap();
    messages.sort_by_key(|message| message.body.len());
    let letters = messages.into_iter().map(|message| {
        let reason = "poison".to_owned();
        DeadLetter { message, reason, function_version: "1".into(), attempt: None }
    });
    let results = queue.dead_letter(letters.collect()).await.unwrap();
    assert_eq!(results[0], Ok(()));
    assert!(matches!(&results[1], Err(QueueError::Refused { .. })), "{results:?}");
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.visible, stats.in_flight), (0, 1), "the refused one is still held, not lost");
    let dead = remote.queue_by_name("dead").await.unwrap().receive(request).await.unwrap();
    assert_eq!(dead.iter().map(|message| message.body.len()).collect::<Vec<_>>(), [10]);
    server.stop().await;
}
