//! A remote queue that does not take a worker's credentials any more: it is asked with pauses, `/readyz` and the metrics say
//! so, and with credentials that are taken the worker goes on by itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::checkpoint::Checkpoint;
use support::config::{function, mapping};
use support::wait::holds;
use support::worker::lasting_port;
use support::{Counts, Home, PATIENCE, Sqs, Wasmill, eventually};

const FIRST: &str = "AKIAWASMILLFIRST";
const SECOND: &str = "AKIAWASMILLSECOND";
const SECRET: &str = "a-secret-for-tests";

/// A worker's configuration, for the queue `orders`.
fn config(endpoint: &str) -> String {
    let aws = format!("[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n");
    let source = format!("{endpoint}/000000000000/orders");
    "[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned()
        + &aws
        + &function("orders", "faulty", "")
        + &mapping(&source, "orders", "")
}

/// A process that reads its credentials from the files of this folder, and from nothing else.
fn use_files(command: &mut Command, folder: &Path) {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(name);
    }
    command.env("AWS_SHARED_CREDENTIALS_FILE", folder.join("credentials"));
    command.env("AWS_CONFIG_FILE", folder.join("config"));
}

/// In the shared credentials file.
fn write_profile(home: &Home, key_id: &str) {
    let keys = format!("aws_access_key_id = {key_id}\naws_secret_access_key = {SECRET}\n");
    home.write("credentials", format!("[default]\n{keys}"));
}

/// By a process, which says of none that they expire.
fn write_process(home: &Home, key_id: &str) {
    let given =
        home.write("given.json", json!({"Version": 1, "AccessKeyId": key_id, "SecretAccessKey": SECRET}).to_string());
    home.write("config", format!("[default]\ncredential_process = cat {}\n", given.display()));
}

fn line(text: &str) -> String {
    json!({"do": "print", "text": format!("{text}\n")}).to_string()
}

async fn is_handled(worker: &Wasmill, sqs: &Sqs, text: &str) {
    sqs.send("orders", &line(text)).await;
    worker.log().wait_for_said(PATIENCE, "orders", text, 1).await;
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
}

/// Waits until `/readyz` names the mapping with this reason.
async fn wait_until_refused(worker: &Wasmill, code: &str) {
    eventually(PATIENCE, async || {
        let ready = worker.get("/readyz").await?;
        let mapping = ready.json()["components"][0].clone();
        let says_so = mapping["name"] == "mapping orders/orders" && mapping["reason"].to_string().contains(code);
        holds(ready.status == 503 && says_so, || format!("{} {}", ready.status, ready.body))
    })
    .await;
}

async fn refused_and_taken_again(code: &str, write: fn(&Home, &str)) {
    let server = Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    let checkpoint = Checkpoint::open(server.sqs_address(), FIRST).await;
    let home = Home::new();
    write(&home, FIRST);
    let mut worker = home.run_as(&config(&checkpoint.endpoint()), |command| use_files(command, home.path())).await;
    is_handled(&worker, &sqs, "before").await;

    // The polls beside the first end by then: one that was let pass would say that all is well.
    tokio::time::sleep(Duration::from_secs(2)).await;
    checkpoint.take_only(SECOND, code);
    // Ends the long poll that is under way.
    sqs.send("orders", &line("meanwhile")).await;
    wait_until_refused(&worker, code).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let refused = checkpoint.refused();
    assert!((3..=16).contains(&refused.len()), "{} requests in six seconds", refused.len());
    let pauses: Vec<Duration> = refused.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(1)), "the pauses do not grow: {pauses:?}");
    assert!(worker.metric("wasmill_mapping_receive_errors_total", &[]).await >= 3.0);
    assert_eq!(worker.log().events("receive failed").len(), 1, "said once");
    assert_eq!(worker.get("/healthz").await.unwrap().status, 200, "a restart would not mend it");

    write(&home, SECOND);
    worker.wait_until_ready().await;
    is_handled(&worker, &sqs, "after").await;
    for text in ["before", "meanwhile", "after"] {
        assert_eq!(worker.log().said("orders", text).len(), 1, "{text}");
    }
    assert!(!worker.log().events("credentials were refused and are read anew").is_empty());
    worker.assert_sound().await;
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_what_the_credentials_file_says_now() {
    refused_and_taken_again("ExpiredToken", write_profile).await;
}

#[tokio::test]
async fn a_deleted_access_key_is_replaced_by_what_the_credential_process_gives_now() {
    refused_and_taken_again("InvalidClientTokenId", write_process).await;
}

#[tokio::test]
async fn a_denial_of_access_ends_with_credentials_that_have_it() {
    refused_and_taken_again("AccessDeniedException", write_profile).await;
}

#[tokio::test]
async fn a_queue_that_asks_for_another_key_after_its_restart_is_taken_up_again_once_the_worker_has_it() {
    let listen = format!("127.0.0.1:{}", lasting_port());
    let arguments = ["--data-dir", "data", "--durability", "os", "--listen", &listen];
    let (queue, home) = (Home::new(), Home::new());
    let server = queue.serve_guarded(&arguments, FIRST, SECRET).await;
    Sqs::signing(&server.endpoint(), FIRST, SECRET).create("orders", &[]).await;
    write_profile(&home, FIRST);
    let mut worker = home.run_as(&config(&server.endpoint()), |command| use_files(command, home.path())).await;
    is_handled(&worker, &Sqs::signing(&server.endpoint(), FIRST, SECRET), "before").await;

    server.kill().await;
    let server = queue.serve_guarded(&arguments, SECOND, SECRET).await;
    wait_until_refused(&worker, "InvalidClientTokenId").await;
    write_profile(&home, SECOND);
    worker.wait_until_ready().await;
    is_handled(&worker, &Sqs::signing(&server.endpoint(), SECOND, SECRET), "after").await;
    worker.assert_sound().await;
}
