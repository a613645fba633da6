//! How things end: the server's stop, and a client that hangs up.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::MessageSystemAttributeName;

use crate::http::Connection;
use crate::{create, start};

#[tokio::test]
async fn a_stop_ends_long_polls_with_an_answer() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let idle = Connection::open(&server).await;
    let start = Instant::now();
    let call = client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let polling = tokio::spawn(call);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!polling.is_finished());
    server.stop().await;
    assert!(polling.await.unwrap().unwrap().messages.is_none(), "an empty answer, no error");
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection does not hold it: {:?}", start.elapsed());
    drop(idle);
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_with_it() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let mut connection = Connection::open(&server).await;
    let poll = r#"{"QueueUrl":"orders","WaitTimeSeconds":20}"#;
    connection.write("POST", "/", &[("x-amz-target", "AmazonSQS.ReceiveMessage")], poll).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(connection);
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.send_message().queue_url(&url).message_body("for the next").send().await.unwrap();
    let names = MessageSystemAttributeName::ApproximateReceiveCount;
    let call = client.receive_message().queue_url(&url).message_system_attribute_names(names.clone());
    let message = call.send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.attributes.unwrap()[&names], "1", "nobody received it before");
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_were_announced_and_do_not_come_keep_no_large_message_waiting() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let mut stalled = Vec::new();
    for number in 0..80 {
        let mut connection = Connection::open(&server).await;
        let length = if number % 2 == 0 { ("content-length", "8388608") } else { ("transfer-encoding", "chunked") };
        let begun = if number % 2 == 0 { "{\"Queue" } else { "7\r\n{\"Queue\r\n" };
        connection.write("POST", "/", &[("x-amz-target", "AmazonSQS.SendMessage"), length], begun).await;
        stalled.push(connection);
    }
    // The server has seen all of them.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let send = client.send_message().queue_url(&url).message_body("x".repeat(1 << 20)).send();
    let sent = tokio::time::timeout(Duration::from_secs(20), send).await;
    assert!(sent.is_ok_and(|sent| sent.is_ok()), "a large message waits for bodies that do not come");
    drop(stalled);
    server.stop().await;
}
