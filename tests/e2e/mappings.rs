//! Mappings as resources: through Lambda's API while they run, from a config that is read again, and across a restart.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::clients::Client;
use support::command::run;
use support::config::{ON_DISK, function, mapping, queue};
use support::http::exchange;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Wasmill, eventually};

const PATH: &str = "/2015-03-31/event-source-mappings/";

async fn mappings(worker: &Wasmill) -> Vec<Value> {
    let answer = exchange(worker.sqs_address(), "GET", PATH, &[], b"").await.unwrap();
    answer.json()["EventSourceMappings"].as_array().unwrap().clone()
}

#[tokio::test]
async fn boto3_makes_changes_pauses_and_deletes_a_mapping_while_it_runs() {
    let test = "boto3_makes_changes_pauses_and_deletes_a_mapping_while_it_runs";
    let Some(mut command) = Client::Boto3.script(test, "mappings.py") else { return };
    let (id, secret) = ("AKIAWASMILLTESTS", "a-secret-for-tests");
    let auth = format!("[auth]\ncredentials = [ {{ access_key_id = \"{id}\", secret_access_key = \"{secret}\" }} ]\n");
    let config = auth + ON_DISK + &queue("made", "") + &queue("other", "") + &function("orders", "faulty", "");
    let worker = Wasmill::start(&config).await;
    let unsigned = exchange(worker.sqs_address(), "GET", PATH, &[], b"").await.unwrap();
    assert_eq!(unsigned.status, 403, "{}", unsigned.body);
    command.arg(worker.endpoint()).env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    let tour = tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap();
    assert_eq!(tour.assert_succeeds().trim(), "12 steps");
    worker.stop().await;
}

#[tokio::test]
async fn a_mapping_keeps_its_uuid_and_what_the_api_set_where_the_config_is_silent_about_it() {
    let home = Home::new();
    let base = ON_DISK.to_owned() + &queue("named", "") + &queue("made", "") + &function("orders", "faulty", "");
    let config = base.clone() + &mapping("named", "orders", "");
    let worker = home.run(&config).await;
    let named = mappings(&worker).await[0]["UUID"].clone();
    let body = r#"{"EventSourceArn":"arn:aws:sqs:us-east-1:000000000000:made","FunctionName":"orders","BatchSize":3}"#;
    let made = exchange(worker.sqs_address(), "POST", PATH, &[], body.as_bytes()).await.unwrap();
    assert_eq!(made.status, 202, "{}", made.body);
    let made = made.json()["UUID"].clone();
    worker.stop().await;

    let worker = home.run(&config).await;
    let found = mappings(&worker).await;
    let by = |uuid: &Value| found.iter().find(|mapping| mapping["UUID"] == *uuid).unwrap();
    assert_eq!(by(&named)["BatchSize"], 10);
    assert_eq!((by(&made)["BatchSize"].clone(), found.len()), (3.into(), 2));
    worker.sqs().send("made", "plain").await;
    worker.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;
    worker.stop().await;

    // Named no more, it is gone; what the API made stays.
    let worker = home.run(&base).await;
    let left: Vec<Value> = mappings(&worker).await.into_iter().map(|mapping| mapping["UUID"].clone()).collect();
    assert_eq!(left, [made]);
    worker.stop().await;
}

#[tokio::test]
async fn a_config_that_is_read_again_changes_mappings_without_dropping_what_is_held() {
    let home = Home::new();
    let base = ON_DISK.to_owned() + &queue("orders", "") + &function("orders", "faulty", "timeout = 10");
    let worker = home.run(&(base.clone() + &mapping("orders", "orders", "batch_size = 1"))).await;
    let slow = r#"[{"do":"echo_to_log"},{"do":"sleep_ms","ms":2000}]"#;
    worker.sqs().send("orders", slow).await;
    worker.log().wait_for_said(PATIENCE, "orders", slow, 1).await;

    home.write("wasmill.toml", "this is no config");
    worker.signal(Signal::HUP);
    eventually(PATIENCE, async || {
        let said = worker.log().events("the config was not reloaded");
        holds(!said.is_empty(), || "nothing said of the mistake".to_owned())
    })
    .await;

    home.write("wasmill.toml", &(base + &mapping("orders", "orders", "batch_size = 7\nweight = 5")));
    worker.signal(Signal::HUP);
    eventually(PATIENCE, async || {
        let size = mappings(&worker).await[0]["BatchSize"].clone();
        holds(size == 7, || format!("the batch size is {size}"))
    })
    .await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    assert_eq!(worker.log().said("orders", slow).len(), 1, "it ran once");
    let settled = worker.metric("wasmill_mapping_verdicts_total", &[("verdict", "done")]).await;
    assert!((settled - 1.0).abs() < 1e-9);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut worker = worker;
    worker.assert_sound().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_stored_mapping_whose_queue_is_gone_shows_in_readyz_until_the_queue_is_back() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &function("orders", "faulty", "");
    let worker = home.run(&config).await;
    worker.sqs().create("made", &[]).await;
    let body = r#"{"EventSourceArn":"arn:aws:sqs:us-east-1:000000000000:made","FunctionName":"orders"}"#;
    let made = exchange(worker.sqs_address(), "POST", PATH, &[], body.as_bytes()).await.unwrap();
    assert_eq!(made.status, 202, "{}", made.body);
    worker.stop().await;
    // The queue goes while the worker is down.
    let server = home.serve(&["--data-dir", "data", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    sqs.client().delete_queue().queue_url(sqs.url("made")).send().await.unwrap();
    server.stop().await;

    let mut worker = home.launch(&config);
    eventually(PATIENCE, async || {
        let said = worker.log().events("a mapping does not run");
        holds(!said.is_empty(), || "nothing said of the mapping".to_owned())
    })
    .await;
    let address = worker.log().events("SQS listening")[0].field("address").to_owned();
    let sqs = support::Sqs::at(&format!("http://{address}"));
    let admin = worker.log().events("metrics and health listening")[0].field("address").parse().unwrap();
    let shown = support::http::get(admin, "/readyz").await.unwrap();
    assert_eq!(shown.status, 503, "{}", shown.body);
    assert!(shown.body.contains("mapping made/orders"), "{}", shown.body);
    sqs.create("made", &[]).await;
    worker.wait_until_ready().await;
    worker.sqs().send("made", "plain").await;
    worker.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;
    worker.stop().await;
}

#[tokio::test]
async fn aws_cli_makes_pauses_and_deletes_a_mapping() {
    let test = "aws_cli_makes_pauses_and_deletes_a_mapping";
    if Client::AwsCli.program(test).is_none() {
        return;
    }
    let config = ON_DISK.to_owned() + &queue("made", "") + &function("orders", "faulty", "");
    let worker = Wasmill::start(&config).await;
    let endpoint = worker.endpoint();
    let aws = async |arguments: &[&str]| {
        let mut command = Client::AwsCli.program(test).unwrap();
        command.args(["--endpoint-url", &endpoint, "--output", "json", "lambda"]).args(arguments);
        tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap()
    };
    let arn = support::sqs::arn("made");
    let create = ["create-event-source-mapping", "--event-source-arn", &arn, "--function-name", "orders"];
    let made = aws(&create).await.json();
    assert_eq!((&made["State"], &made["BatchSize"]), (&"Creating".into(), &10.into()));
    let uuid = made["UUID"].as_str().unwrap();
    let state = async |expected: &str| {
        eventually(PATIENCE, async || {
            let found = aws(&["get-event-source-mapping", "--uuid", uuid]).await.json();
            holds(found["State"] == expected, || format!("{found}"))
        })
        .await;
    };
    state("Enabled").await;
    aws(&create).await.assert_fails(255, &["ResourceConflictException", uuid]);
    let paused = aws(&["update-event-source-mapping", "--uuid", uuid, "--no-enabled"]).await.json();
    assert_eq!(paused["State"], "Disabling");
    state("Disabled").await;
    let listed = aws(&["list-event-source-mappings", "--function-name", "orders"]).await.json();
    assert_eq!(listed["EventSourceMappings"][0]["UUID"], uuid);
    assert_eq!(aws(&["delete-event-source-mapping", "--uuid", uuid]).await.json()["State"], "Deleting");
    eventually(PATIENCE, async || {
        let listed = aws(&["list-event-source-mappings"]).await.json();
        holds(listed["EventSourceMappings"] == serde_json::json!([]), || format!("{listed}"))
    })
    .await;
    worker.stop().await;
}

/// A worker without a built-in queue that listens for Lambda's API, on the queues `made` and `other` of another process.
fn controlled(queues: &Wasmill, more: &str) -> String {
    let aws = format!("[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\n", queues.endpoint());
    "state_dir = \"state\"\n[control]\nlisten = \"127.0.0.1:0\"\n".to_owned()
        + more
        + "[admin]\nlisten = \"127.0.0.1:0\"\n"
        + &aws
        + &function("orders", "faulty", "")
}

async fn queues_elsewhere() -> Wasmill {
    let queues = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    for name in ["made", "other"] {
        queues.sqs().create(name, &[]).await;
    }
    queues
}

#[tokio::test]
async fn boto3_manages_mappings_of_a_worker_without_a_built_in_queue() {
    let test = "boto3_manages_mappings_of_a_worker_without_a_built_in_queue";
    let Some(mut command) = Client::Boto3.script(test, "mappings.py") else { return };
    let queues = queues_elsewhere().await;
    let worker = Wasmill::start(&controlled(&queues, "")).await;
    command.arg(worker.endpoint()).arg(queues.endpoint());
    let tour = tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap();
    assert_eq!(tour.assert_succeeds().trim(), "12 steps");
    worker.stop().await;
    queues.stop().await;
}

#[tokio::test]
async fn a_control_listener_refuses_sqs_pages_and_who_does_not_sign_and_keeps_what_was_made() {
    let queues = queues_elsewhere().await;
    let home = Home::new();
    let worker = home.run(&controlled(&queues, "")).await;
    let ready = worker.get("/readyz").await.unwrap();
    assert!(ready.body.contains("control listener"), "{}", ready.body);
    let sqs = worker.sqs();
    let refused = sqs.client().list_queues().send().await.unwrap_err().into_service_error();
    let text = "This listener has no queues: it serves Lambda's API for event source mappings.";
    assert!(
        format!("{refused:?}").contains(text) && format!("{refused:?}").contains("UnsupportedOperation"),
        "{refused:?}"
    );
    let page = [("origin", "http://evil.example")];
    let answer = exchange(worker.sqs_address(), "GET", PATH, &page, b"").await.unwrap();
    assert_eq!(answer.status, 403, "{}", answer.body);

    let body = r#"{"EventSourceArn":"arn:aws:sqs:us-east-1:000000000000:made","FunctionName":"orders"}"#;
    let made = exchange(worker.sqs_address(), "POST", PATH, &[], body.as_bytes()).await.unwrap();
    assert_eq!(made.status, 202, "{}", made.body);
    queues.sqs().send("made", "plain").await;
    queues.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;
    let uuid = made.json()["UUID"].clone();
    drop(worker);

    let auth = "[auth]\ncredentials = [ { access_key_id = \"AKIAWASMILLTESTS\", secret_access_key = \"a-secret-for-tests\" } ]\n";
    let open = home.run(&controlled(&queues, "")).await;
    assert_eq!(mappings(&open).await[0]["UUID"], uuid, "kept across a restart");
    drop(open);
    let guarded = home.run(&controlled(&queues, auth)).await;
    let unsigned = exchange(guarded.sqs_address(), "GET", PATH, &[], b"").await.unwrap();
    assert_eq!(unsigned.status, 403, "{}", unsigned.body);
}
