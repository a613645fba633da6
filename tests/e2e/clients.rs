//! Programs of other people at their ordinary job, against the wire. Machines that lack them leave these tests out, CI
//! must not.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use support::clients::Client;
use support::command::{Finished, run};
use support::config::{IN_MEMORY, function, mapping, queue};
use support::sqs::ACCOUNT;
use support::{Counts, Home, PATIENCE, Wasmill};

use crate::happy::{assert_echoed, delicate_bodies};

const SERVE: [&str; 3] = ["--in-memory", "--listen", "127.0.0.1:0"];

/// Runs a program without holding up the test's own tasks.
async fn run_aside(mut command: Command, input: String) -> Finished {
    tokio::task::spawn_blocking(move || run(&mut command, &input)).await.unwrap()
}

/// Runs a tour against a server of its own; gives what it prints in the end.
async fn tour(client: Client, test: &str, script: &str) -> Option<String> {
    let mut command = client.script(test, script)?;
    let server = Home::new().serve(&SERVE).await;
    command.arg(server.endpoint());
    let tour = run_aside(command, String::new()).await;
    server.stop().await;
    Some(tour.assert_succeeds().trim().to_owned())
}

#[tokio::test]
async fn boto3_finds_its_way_through_every_action() {
    let said = tour(Client::Boto3, "boto3_finds_its_way_through_every_action", "tour.py").await;
    assert!(said.is_none_or(|said| said == "15 steps"));
}

#[tokio::test]
async fn a_boto3_that_speaks_the_query_protocol_finds_its_way_through_every_action() {
    let test = "a_boto3_that_speaks_the_query_protocol_finds_its_way_through_every_action";
    let said = tour(Client::QueryBoto3, test, "tour.py").await;
    assert!(said.is_none_or(|said| said == "15 steps"));
}

#[tokio::test]
async fn the_javascript_sdk_finds_its_way_through_every_action() {
    let said = tour(Client::Node, "the_javascript_sdk_finds_its_way_through_every_action", "node/tour.mjs").await;
    assert!(said.is_none_or(|said| said == "8 steps"));
}

#[tokio::test]
async fn sqs_consumer_handles_every_message_once_and_what_failed_again() {
    let test = "sqs_consumer_handles_every_message_once_and_what_failed_again";
    let Some(mut command) = Client::Node.script(test, "node/consumer.mjs") else { return };
    let server = Home::new().serve(&SERVE).await;
    let sqs = server.sqs();
    for queue in ["single", "batch"] {
        sqs.create(queue, &[]).await;
        command.arg(sqs.url(queue));
    }
    let mut bodies: Vec<String> = (0..23).map(|number| format!("order {number}: 中文 🦀")).collect();
    bodies.extend(["fail 1", "fail 2", "slow"].map(str::to_owned));
    let handled = run_aside(command, json!(bodies).to_string()).await.json();
    // What failed comes a second time, and nothing else: what is slow is held by heartbeats.
    let times = |body: &String| if body.starts_with("fail") { 2 } else { 1 };
    let expected: BTreeMap<String, u64> = bodies.iter().map(|body| (body.clone(), times(body))).collect();
    for consumer in ["single", "batch"] {
        let list: Vec<(String, u64)> = serde_json::from_value(handled[consumer].clone()).unwrap();
        assert_eq!(list.len(), bodies.len(), "{consumer}: {list:?}");
        assert_eq!(BTreeMap::from_iter(list), expected, "{consumer}");
    }
    assert_eq!(handled["errors"], json!({"processing_error": 2, "error": 0}));
    for queue in ["single", "batch"] {
        sqs.wait_for_counts(PATIENCE, queue, Counts::EMPTY).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn celery_runs_its_tasks_with_retries_countdowns_and_chains() {
    let test = "celery_runs_its_tasks_with_retries_countdowns_and_chains";
    let Some(mut command) = Client::Celery.script(test, "celery_tour.py") else { return };
    let home = Home::new();
    let server = home.serve(&["--data-dir", "data", "--listen", "127.0.0.1:0", "--durability", "os"]).await;
    command.arg(server.endpoint()).arg(home.path());
    let tour = run_aside(command, String::new()).await;
    assert_eq!(tour.assert_succeeds().trim(), "46 tasks");
    for queue in ["celery-tour", "celery-other"] {
        server.sqs().wait_for_counts(PATIENCE, queue, Counts::EMPTY).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_boto3_sends_reaches_the_handler_byte_for_byte() {
    let test = "what_boto3_sends_reaches_the_handler_byte_for_byte";
    let Some(mut python) = Client::Boto3.script(test, "send.py") else { return };
    let config = IN_MEMORY.to_owned()
        + &queue("bodies", "")
        + &function("echo", "faulty", "timeout = 20")
        + &mapping("bodies", "echo", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let bodies = delicate_bodies();
    python.arg(sqs.url("bodies"));
    let sent = run_aside(python, serde_json::to_string(&bodies).unwrap()).await.json();
    assert_eq!(sent.as_array().map(Vec::len), Some(bodies.len()));
    assert_echoed(&worker, "echo", &bodies).await;
    sqs.wait_for_counts(PATIENCE, "bodies", Counts::EMPTY).await;
}

#[tokio::test]
async fn aws_cli_creates_sends_receives_and_deletes() {
    let test = "aws_cli_creates_sends_receives_and_deletes";
    if Client::AwsCli.program(test).is_none() {
        return;
    }
    let server = Home::new().serve(&SERVE).await;
    let endpoint = server.endpoint();
    let aws = async |arguments: &[&str]| {
        let mut command = Client::AwsCli.program(test).unwrap();
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
