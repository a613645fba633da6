//! The AWS SDKs inside handlers: unmodified code that sends to the built-in queue, signed, through the host that was allowed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::clients::Client;
use support::config::{IN_MEMORY, mapping, queue};
use support::{Counts, Home, places};

/// An SDK is compiled where it runs, in a debug build of the interpreter's host.
const PATIENCE: Duration = Duration::from_secs(120);

const PYTHON: &str = r#"
import os, boto3

sqs = boto3.client("sqs", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1")


def lambda_handler(event, context):
    url = sqs.get_queue_url(QueueName="out")["QueueUrl"]
    for record in event["Records"]:
        sent = sqs.send_message(QueueUrl=url, MessageBody=record["body"].upper())
        print("sent", sent["MessageId"])
"#;

const JAVASCRIPT: &str = r#"
import { SQSClient, GetQueueUrlCommand, SendMessageCommand } from "@aws-sdk/client-sqs";

const sqs = new SQSClient({ endpoint: process.env.ENDPOINT, region: "us-east-1" });

export const handler = async (event) => {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: "out" }));
  for (const record of event.Records) {
    const sent = await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: record.body.toUpperCase() }));
    console.log("sent", sent.MessageId);
  }
};
"#;

/// boto3 beside a handler, as `pip install --target` puts it there.
fn with_boto3(home: &Home, test: &str) -> Option<PathBuf> {
    let mut python: Command = Client::Boto3.program(test)?;
    let folder = home.path().join("python");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("handler.py"), PYTHON).unwrap();
    python.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        "--target",
    ]);
    let installed = python.arg(&folder).arg("boto3==1.44.5").status().unwrap();
    assert!(installed.success(), "pip cannot install boto3");
    Some(folder.join("handler.py"))
}

/// The AWS SDK beside a handler, as npm puts it there.
fn with_sdk(home: &Home, test: &str) -> Option<PathBuf> {
    let modules = Client::Node.modules(test)?;
    let folder = home.path().join("js");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(modules, folder.join("node_modules")).unwrap();
    std::fs::write(folder.join("handler.mjs"), JAVASCRIPT).unwrap();
    Some(folder.join("handler.mjs"))
}

/// A queue in one process, and in another the function that gets `in`'s messages and sends to `out` of the first.
async fn sends_with(code: &Path, runtimes: &Path, home: &Home) {
    let target = Home::new();
    let queues = target.run(&format!("{IN_MEMORY}{}", queue("out", ""))).await;
    let endpoint = queues.endpoint();
    let function = format!(
        "\n[[function]]\nname = \"sender\"\ncode = {code:?}\ntimeout = 90\nmemory_size = 512\nallowed_hosts = [\"{endpoint}\"]\n\
         environment = {{ ENDPOINT = \"{endpoint}\", AWS_ACCESS_KEY_ID = \"AKIAHANDLER\", AWS_SECRET_ACCESS_KEY = \"s\" }}\n"
    );
    let config = format!(
        "runtimes_dir = {runtimes:?}\n{IN_MEMORY}{}{function}{}",
        queue("in", "visibility_timeout = 120"),
        mapping("in", "sender", "")
    );
    let worker = home.run(&config).await;
    worker.sqs().send("in", "hello from a handler").await;
    queues.sqs().wait_for_counts(PATIENCE, "out", Counts::visible(1)).await;
    let received = queues.sqs().receive("out", 1).await;
    assert_eq!(received[0].body(), Some("HELLO FROM A HANDLER"), "{}", worker.log().end());
    worker.sqs().wait_for_counts(PATIENCE, "in", Counts::default()).await;
    worker.stop().await;
    queues.stop().await;
}

#[tokio::test]
async fn a_python_handler_sends_with_boto3() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    let Some(code) = with_boto3(&home, "a_python_handler_sends_with_boto3") else { return };
    sends_with(&code, &runtimes, &home).await;
}

#[tokio::test]
async fn a_javascript_handler_sends_with_the_aws_sdk() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    let Some(code) = with_sdk(&home, "a_javascript_handler_sends_with_the_aws_sdk") else { return };
    sends_with(&code, &runtimes, &home).await;
}
