//! boto3 and aws-cli against the wire. Machines that lack them leave these tests out, CI must not.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::command::{Finished, run};
use support::config::{IN_MEMORY, function, mapping, queue};
use support::sqs::ACCOUNT;
use support::{Counts, Home, PATIENCE, Wasmill, clients, places};

use crate::happy::{assert_echoed, delicate_bodies};

fn script(name: &str) -> PathBuf {
    places::repository().join("tests/clients").join(name)
}

/// Runs a program without holding up the test's own tasks.
async fn run_aside(mut command: Command, input: String) -> Finished {
    tokio::task::spawn_blocking(move || run(&mut command, &input)).await.unwrap()
}

#[tokio::test]
async fn boto3_finds_its_way_through_every_action() {
    let Some(mut python) = clients::python("boto3_finds_its_way_through_every_action") else { return };
    let server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    python.arg(script("tour.py")).arg(server.endpoint());
    let tour = run_aside(python, String::new()).await;
    assert_eq!(tour.assert_succeeds().trim(), "11 steps");
    server.stop().await;
}

#[tokio::test]
async fn what_boto3_sends_reaches_the_handler_byte_for_byte() {
    let Some(mut python) = clients::python("what_boto3_sends_reaches_the_handler_byte_for_byte") else { return };
    let config = IN_MEMORY.to_owned()
        + &queue("bodies", "")
        + &function("echo", "faulty", "timeout = 20")
        + &mapping("bodies", "echo", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let bodies = delicate_bodies();
    python.arg(script("send.py")).arg(sqs.url("bodies"));
    let sent = run_aside(python, serde_json::to_string(&bodies).unwrap()).await.json();
    assert_eq!(sent.as_array().map(Vec::len), Some(bodies.len()));
    assert_echoed(&worker, "echo", &bodies).await;
    sqs.wait_for_counts(PATIENCE, "bodies", Counts::EMPTY).await;
}

#[tokio::test]
async fn aws_cli_creates_sends_receives_and_deletes() {
    let test = "aws_cli_creates_sends_receives_and_deletes";
    if clients::aws(test).is_none() {
        return;
    }
    let server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let endpoint = server.endpoint();
    let aws = async |arguments: &[&str]| {
        let mut command = clients::aws(test).unwrap();
        command.args(["--endpoint-url", &endpoint, "--output", "json", "sqs"]).args(arguments);
        run_aside(command, String::new()).await
    };
    let url = format!("{endpoint}/{ACCOUNT}/by-cli");

    let attributes = r#"{"VisibilityTimeout":"45"}"#;
    let created = aws(&["create-queue", "--queue-name", "by-cli", "--attributes", attributes]).await.json();
    assert_eq!(created["QueueUrl"], *url);
    let listed = aws(&["list-queues"]).await.json();
    assert_eq!(listed["QueueUrls"], serde_json::json!([url]));

    let kind = r#"{"kind":{"DataType":"String","StringValue":"order"}}"#;
    let body = "from the command line: 中文 🦀";
    let send = ["send-message", "--queue-url", &url, "--message-body", body, "--message-attributes", kind];
    let sent = aws(&send).await.json();
    let receive =
        ["receive-message", "--queue-url", &url, "--message-attribute-names", "All", "--wait-time-seconds", "5"];
    let received = aws(&receive).await.json();
    let message = &received["Messages"][0];
    assert_eq!((&message["MessageId"], &message["Body"]), (&sent["MessageId"], &Value::from(body)));
    assert_eq!(message["MD5OfBody"], sent["MD5OfMessageBody"]);
    assert_eq!(message["MessageAttributes"]["kind"]["StringValue"], "order");

    let attributes = aws(&["get-queue-attributes", "--queue-url", &url, "--attribute-names", "All"]).await.json();
    let attributes = &attributes["Attributes"];
    assert_eq!(attributes["VisibilityTimeout"], "45");
    assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "1");

    let handle = message["ReceiptHandle"].as_str().unwrap();
    aws(&["delete-message", "--queue-url", &url, "--receipt-handle", handle]).await.assert_succeeds();
    assert_eq!(server.sqs().counts("by-cli").await, Counts::EMPTY);

    let refused = aws(&["get-queue-url", "--queue-name", "nowhere"]).await;
    assert_ne!(refused.code, Some(0));
    let text = "(AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl operation: The specified queue";
    assert!(refused.stderr.contains(text), "{refused}");
    server.stop().await;
}
