//! The audit log: who changed what through the AWS listener, or tried to; and nothing of what moves messages.

use serde_json::json;
use support::config::{IN_MEMORY, function, queue};
use support::log::Line;
use support::{Home, PATIENCE, Sqs, Wasmill, eventually};

const KEY: &str = "AKIAWASMILLAUDIT";
const SECRET: &str = "a-secret-that-is-long-enough";

/// The audit's lines: action, resource, outcome, access key id.
fn audited(worker: &Wasmill) -> Vec<[String; 4]> {
    let lines = worker.log().pick(|line| line.field("target") == "wasmill::audit");
    let of = |line: &Line| ["action", "resource", "outcome", "access_key_id"].map(|name| line.field(name).to_owned());
    lines.iter().map(of).collect()
}

async fn wait_for(worker: &Wasmill, expected: &[[&str; 4]]) {
    eventually(PATIENCE, async || {
        let found = audited(worker);
        if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn changes_of_queues_are_logged_with_who_asked_and_what_became_of_it() {
    let home = Home::new();
    let mut worker = home.serve_guarded(&["--in-memory", "--listen", "127.0.0.1:0"], KEY, SECRET).await;
    let sqs = Sqs::signing(&worker.endpoint(), KEY, SECRET);
    let client = sqs.client();
    let url = client.create_queue().queue_name("orders").send().await.unwrap().queue_url.unwrap();
    sqs.send("orders", "1").await;
    sqs.receive_all(PATIENCE, "orders", 1).await;
    client.list_queues().send().await.unwrap();
    client.tag_queue().queue_url(&url).tags("team", "shop").send().await.unwrap();
    client.purge_queue().queue_url(&url).send().await.unwrap();
    let nothing = format!("{}/000000000000/nothing", worker.endpoint());
    client.delete_queue().queue_url(nothing).send().await.unwrap_err();
    let stranger = Sqs::signing(&worker.endpoint(), KEY, "another-secret-that-is-long");
    stranger.client().delete_queue().queue_url(&url).send().await.unwrap_err();
    stranger.client().send_message().queue_url(&url).message_body("x").send().await.unwrap_err();
    client.delete_queue().queue_url(&url).send().await.unwrap();
    wait_for(
        &worker,
        &[
            ["CreateQueue", "orders", "ok", KEY],
            ["TagQueue", "orders", "ok", KEY],
            ["PurgeQueue", "orders", "ok", KEY],
            ["DeleteQueue", "nothing", "QueueDoesNotExist", KEY],
            ["DeleteQueue", "", "InvalidSignatureException", "unverified"],
            ["DeleteQueue", "orders", "ok", KEY],
        ],
    )
    .await;
    let line = &worker.log().pick(|line| line.field("target") == "wasmill::audit")[0];
    assert!(line.field("peer").starts_with("127.0.0.1:"), "{line:?}");
    assert_eq!(line.field("service"), "sqs");
    worker.assert_sound().await;
    worker.stop().await;
}

#[tokio::test]
async fn changes_of_mappings_are_logged() {
    let config = IN_MEMORY.to_owned() + &queue("orders", "") + &function("orders", "orders", "");
    let worker = Wasmill::start(&config).await;
    let path = "/2015-03-31/event-source-mappings";
    let arn = support::sqs::arn("orders");
    let body = json!({"EventSourceArn": arn, "FunctionName": "orders"}).to_string();
    let post = async |body: &str| {
        let headers = [("content-type", "application/json")];
        support::http::exchange(worker.sqs_address(), "POST", path, &headers, body.as_bytes()).await.unwrap()
    };
    assert_eq!(post(&body).await.status, 202);
    assert_eq!(post(&body).await.status, 409);
    let about = format!("{arn} orders");
    wait_for(
        &worker,
        &[
            ["CreateEventSourceMapping", &about, "ok", "anonymous"],
            ["CreateEventSourceMapping", &about, "ResourceConflictException", "anonymous"],
        ],
    )
    .await;
    worker.stop().await;
}
