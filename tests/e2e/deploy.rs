//! Functions shipped to a running worker: by `wasmill deploy` and by Lambda's API, swapped under load, stepped back from,
//! judged by a share of the batches, or by copies of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::command::{Finished, run, wasmill_command};
use support::config::{IN_MEMORY, ON_DISK, queue};
use support::http::exchange;
use support::wait::holds;
use support::{Counts, Home, Wasmill, eventually, places};

const PATIENCE: Duration = Duration::from_secs(120);
const MAPPINGS: &str = "/2015-03-31/event-source-mappings/";
const FUNCTIONS: &str = "/2015-03-31/functions";
/// What comes back within a test was sent back, not late.
const QUEUE: &str = "visibility_timeout = 600";

/// A handler that prints what its messages tell it to, another one each time: a section that means nothing makes the difference.
fn module(home: &Home, guest: &str, number: u8) -> PathBuf {
    let mut bytes = std::fs::read(places::guest(guest)).unwrap();
    bytes.extend([0, 3, 1, b'n', number]);
    home.write(&format!("{guest}-{number}.wasm"), bytes)
}

/// What prints a line.
fn printing(line: &str) -> String {
    json!({"do": "print", "text": format!("{line}\n")}).to_string()
}

fn deploy(worker: &Wasmill, function: &str, file: &Path, more: &[&str]) -> Command {
    let mut command = wasmill_command(["deploy", function]);
    command.arg(file).args(["--endpoint-url", &worker.endpoint(), "--admin-url", &worker.admin_url()]).args(more);
    command
}

async fn finish(mut command: Command) -> Finished {
    tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap()
}

async fn deployed(worker: &Wasmill, file: &Path, more: &[&str]) -> Value {
    let more = [&["--json"], more].concat();
    finish(deploy(worker, "orders", file, &more)).await.json()
}

async fn rolled_back(worker: &Wasmill, more: &[&str]) -> Value {
    let mut command = wasmill_command(["rollback", "orders", "--json", "--endpoint-url", &worker.endpoint()]);
    command.args(more);
    finish(command).await.json()
}

/// Maps the queue `orders` to a function, and waits until it polls.
async fn map(worker: &Wasmill, function: &str) {
    let body = json!({
        "EventSourceArn": support::sqs::arn("orders"), "FunctionName": function,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    });
    let made = exchange(worker.sqs_address(), "POST", MAPPINGS, &[], body.to_string().as_bytes()).await.unwrap();
    assert_eq!(made.status, 202, "{}", made.body);
    eventually(PATIENCE, async || {
        let listed = exchange(worker.sqs_address(), "GET", MAPPINGS, &[], b"").await.unwrap().json();
        let state = &listed["EventSourceMappings"][0]["State"];
        holds(state == "Enabled", || format!("the mapping is {state}"))
    })
    .await;
}

/// Sends messages that print these lines.
async fn send(worker: &Wasmill, lines: &[String]) {
    let sqs = worker.sqs();
    for chunk in lines.chunks(10) {
        let bodies: Vec<String> = chunk.iter().map(|line| printing(line)).collect();
        sqs.send_batch("orders", &bodies).await;
    }
}

fn lines(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// By line: the versions that printed it.
fn printed(worker: &Wasmill, prefix: &str) -> BTreeMap<String, Vec<String>> {
    let mut printed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in worker.log().said_by("orders") {
        if line.message().starts_with(prefix) {
            printed.entry(line.message().to_owned()).or_default().push(line.field("version").to_owned());
        }
    }
    printed
}

/// Sends as many, and asserts that each is handled once, by that version.
async fn assert_handled_by(worker: &Wasmill, prefix: &str, version: &str) {
    let sent = lines(prefix, 20);
    send(worker, &sent).await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let printed = printed(worker, &format!("{prefix}-"));
    assert_eq!(printed.len(), 20, "{printed:?}");
    for (line, versions) in printed {
        assert_eq!(versions, [version], "{line}");
    }
}

#[tokio::test]
async fn under_full_load_a_swap_loses_and_duplicates_nothing_and_a_rollback_goes_back() {
    let home = Home::new();
    let worker = home.run(&(ON_DISK.to_owned() + &queue("orders", QUEUE))).await;
    let first = deployed(&worker, &module(&home, "faulty", 1), &["--alias", "live"]).await;
    assert_eq!((&first["version"], &first["alias"], &first["outcome"]), (&json!("1"), &json!("live"), &json!("live")));
    map(&worker, "orders:live").await;

    let sent = lines("load", 3000);
    let sending = send(&worker, &sent);
    let swapping = async {
        for number in 2..5 {
            let outcome = deployed(&worker, &module(&home, "faulty", number), &[]).await;
            assert_eq!(
                (&outcome["version"], &outcome["previous"]),
                (&json!(number.to_string()), &json!((number - 1).to_string()))
            );
        }
    };
    tokio::join!(sending, swapping);
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let accounts = printed(&worker, "load-");
    assert_eq!(accounts.len(), sent.len(), "nothing is lost");
    let twice: Vec<_> = accounts.iter().filter(|(_, versions)| versions.len() != 1).collect();
    assert_eq!(twice, Vec::<(&String, &Vec<String>)>::new(), "nothing runs twice");
    let done = worker.metric("wasmill_mapping_verdicts_total", &[("function", "orders"), ("verdict", "done")]).await;
    assert!((done - 3000.0).abs() < 1e-9, "{done} are done");

    assert_handled_by(&worker, "after", "4").await;
    assert_eq!(rolled_back(&worker, &[]).await["version"], "3");
    assert_handled_by(&worker, "back", "3").await;
    assert_eq!(rolled_back(&worker, &["--to", "1"]).await["version"], "1");
    assert_handled_by(&worker, "first", "1").await;
    let none = finish({
        let mut command = wasmill_command(["rollback", "orders", "--endpoint-url", &worker.endpoint()]);
        command.arg("--json");
        command
    });
    none.await.assert_fails(4, &["there is no version before 1: published are 1, 2, 3, 4"]);
    worker.stop().await;
}

#[tokio::test]
async fn without_an_alias_latest_is_swapped_and_made_what_it_was() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &["--timeout", "7", "--env", "STAGE=one"]).await;
    map(&worker, "orders").await;
    assert_handled_by(&worker, "one", "$LATEST").await;
    deployed(&worker, &module(&home, "faulty", 2), &["--timeout", "8", "--env", "STAGE=two"]).await;
    let configuration = async || {
        let path = format!("{FUNCTIONS}/orders/configuration");
        exchange(worker.sqs_address(), "GET", &path, &[], b"").await.unwrap().json()
    };
    let second = configuration().await;
    assert_eq!((&second["Timeout"], &second["Environment"]["Variables"]["STAGE"]), (&json!(8), &json!("two")));
    assert_eq!(rolled_back(&worker, &[]).await["version"], "1");
    let first = configuration().await;
    assert_eq!((&first["Timeout"], &first["Environment"]["Variables"]["STAGE"]), (&json!(7), &json!("one")));
    assert_ne!(first["CodeSha256"], second["CodeSha256"]);
    assert_handled_by(&worker, "again", "$LATEST").await;
    worker.stop().await;
}

#[tokio::test]
async fn code_that_cannot_run_changes_nothing_and_says_why() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &[]).await;
    map(&worker, "orders").await;
    let broken = home.write("broken.wasm", b"\0asm\x01\0\0\0");
    finish(deploy(&worker, "orders", &broken, &[])).await.assert_fails(
        3,
        &["not deployed, and what ran before still runs", "the uploaded module: is no handler", "_start"],
    );
    let zip = stored_zip(&[
        ("orders.py", b"x = 1"),
        ("numpy/core/_multiarray.cpython-312-x86_64-linux-gnu.so", b"\x7fELF\x02"),
    ]);
    let native = home.write("native.zip", zip);
    let runs_python = ["--runtime", "python3.12", "--handler", "orders.f"];
    let refused = finish(deploy(&worker, "numbers", &native, &runs_python)).await;
    refused
        .assert_fails(3, &["it cannot run", "numpy/core/_multiarray.cpython-312-x86_64-linux-gnu.so is native code"]);
    finish(deploy(&worker, "orders", &home.path().join("absent.py"), &[]))
        .await
        .assert_fails(2, &["there is no source"]);
    assert_handled_by(&worker, "still", "$LATEST").await;
    let mut worker = worker;
    worker.assert_sound().await;
    worker.stop().await;
}

#[tokio::test]
async fn what_was_deployed_is_there_after_kill_9() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &queue("orders", QUEUE);
    let worker = home.run(&config).await;
    for number in 1..3 {
        deployed(&worker, &module(&home, "faulty", number), &["--alias", "live"]).await;
    }
    map(&worker, "orders:live").await;
    worker.kill().await;
    let worker = home.run(&config).await;
    assert_handled_by(&worker, "killed", "2").await;
    assert_eq!(rolled_back(&worker, &[]).await["version"], "1");
    worker.kill().await;
    let worker = home.run(&config).await;
    assert_handled_by(&worker, "again", "1").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_function_that_is_deleted_stops_its_mapping_and_one_that_comes_back_begins_it() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &[]).await;
    map(&worker, "orders").await;
    assert_handled_by(&worker, "before", "$LATEST").await;
    let path = format!("{FUNCTIONS}/orders");
    assert_eq!(exchange(worker.sqs_address(), "DELETE", &path, &[], b"").await.unwrap().status, 204);
    eventually(PATIENCE, async || {
        let listed = exchange(worker.sqs_address(), "GET", MAPPINGS, &[], b"").await.unwrap().json();
        let result = listed["EventSourceMappings"][0]["LastProcessingResult"].to_string();
        holds(result.contains("Function does not exist"), || result)
    })
    .await;
    send(&worker, &lines("between", 20)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(worker.sqs().counts("orders").await, Counts::visible(20), "nothing is received for nobody");
    deployed(&worker, &module(&home, "faulty", 2), &[]).await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    assert!(printed(&worker, "between-").values().all(|versions| versions.len() == 1));
    worker.stop().await;
}

#[tokio::test]
async fn a_canary_is_promoted_when_it_fails_no_more_and_taken_back_when_it_does() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &[]).await;
    map(&worker, "orders").await;

    // Too few come to tell.
    let short = ["--canary", "50", "--promote-after", "1s", "--json"];
    let undecided = finish(deploy(&worker, "orders", &module(&home, "faulty", 9), &short)).await;
    assert_eq!(undecided.code, Some(1), "{undecided}");
    assert!(undecided.stdout.contains("\"undecided\"") && undecided.stderr.contains("orders:live"), "{undecided}");
    assert_handled_by(&worker, "stays", "1").await;

    let watched = ["--canary", "50", "--promote-after", "6s", "--json"];
    let file = module(&home, "faulty", 2);
    let good = finish(deploy(&worker, "orders", &file, &watched));
    let good = while_messages_come(&worker, "good", good).await;
    let outcome = good.json();
    assert_eq!((&outcome["outcome"], &outcome["new_records"]["failed"]), (&json!("promoted"), &json!(0)), "{outcome}");
    let version = outcome["version"].as_str().unwrap();
    assert_handled_by(&worker, "promoted", version).await;

    // A handler that takes none of these messages.
    let file = module(&home, "orders", 3);
    let bad = finish(deploy(&worker, "orders", &file, &watched));
    let bad = while_messages_come(&worker, "bad", bad).await;
    assert_eq!(bad.code, Some(1), "{bad}");
    let outcome: Value = serde_json::from_str(&bad.stdout).unwrap();
    assert_eq!((&outcome["outcome"], &outcome["version"]), (&json!("rolled back"), &json!(version)), "{bad}");
    let drained = drain_failed(&worker).await;
    assert!(drained > 0, "what the new version failed is still there");
    assert_handled_by(&worker, "taken-back", version).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_canary_that_is_interrupted_is_taken_back() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &[]).await;
    map(&worker, "orders").await;
    let mut command =
        deploy(&worker, "orders", &module(&home, "faulty", 2), &["--canary", "30", "--promote-after", "1h"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let alias = async || {
        let path = format!("{FUNCTIONS}/orders/aliases/live");
        exchange(worker.sqs_address(), "GET", &path, &[], b"").await.unwrap().json()
    };
    eventually(PATIENCE, async || {
        let shown = alias().await;
        let weight = shown["RoutingConfig"]["AdditionalVersionWeights"]["2"].as_f64();
        holds(weight == Some(0.3), || shown.to_string())
    })
    .await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("rolled back to version 1: interrupted"), "{said}");
    let shown = alias().await;
    assert_eq!((&shown["FunctionVersion"], shown.get("RoutingConfig")), (&json!("1"), None), "{shown}");
    assert_handled_by(&worker, "taken-back", "1").await;
    worker.stop().await;
}

/// Sends messages until a command has ended.
async fn while_messages_come(worker: &Wasmill, prefix: &str, command: impl Future<Output = Finished>) -> Finished {
    let mut command = std::pin::pin!(command);
    let mut number = 0;
    loop {
        let sent = lines(&format!("{prefix}-{number}"), 10);
        tokio::select! {
            finished = &mut command => return finished,
            () = async { send(worker, &sent).await; tokio::time::sleep(Duration::from_millis(20)).await } => number += 1,
        }
    }
}

/// Takes away what waits for its visibility timeout; says how much that was.
async fn drain_failed(worker: &Wasmill) -> usize {
    let in_flight = worker.sqs().counts("orders").await.in_flight;
    let sqs = worker.sqs();
    sqs.client().purge_queue().queue_url(sqs.url("orders")).send().await.unwrap();
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    in_flight
}

#[tokio::test]
async fn a_shadow_tells_where_it_would_judge_otherwise_and_does_nothing() {
    let home = Home::new();
    let worker = home.run(&(IN_MEMORY.to_owned() + &queue("orders", QUEUE))).await;
    deployed(&worker, &module(&home, "faulty", 1), &[]).await;
    map(&worker, "orders").await;
    let watched = ["--shadow", "--watch", "3s"];
    let file = module(&home, "faulty", 2);
    let same = while_messages_come(&worker, "same", finish(deploy(&worker, "orders", &file, &watched))).await;
    assert!(same.assert_succeeds().contains("version 2 judges 0 of"), "{same}");
    let file = module(&home, "orders", 3);
    let other = while_messages_come(&worker, "other", finish(deploy(&worker, "orders", &file, &watched))).await;
    assert_eq!(other.code, Some(1), "{other}");
    for part in ["version 3 judges", "MESSAGE", "VERSION 3", "done"] {
        assert!(other.stdout.contains(part), "{other}");
    }
    assert!(!worker.log().events("the shadow judges otherwise").is_empty());
    // Its verdicts were nobody's: everything was done, once, by the first version.
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    assert!(worker.metric("wasmill_function_shadow_records_total", &[("outcome", "different")]).await > 0.0);
    let failed = worker.metric("wasmill_mapping_verdicts_total", &[("verdict", "retry")]).await;
    assert!(failed.abs() < 1e-9, "{failed} were sent back");
    assert_handled_by(&worker, "after", "1").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_python_function_is_deployed_as_it_is() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    let text = "def lambda_handler(event, context):\n    for record in event['Records']:\n        print('py ' + record['body'])\n";
    let file = home.write("orders.py", text);
    let config = format!("runtimes_dir = {runtimes:?}\n{IN_MEMORY}{}", queue("orders", QUEUE));
    super::languages::compile_once(&home, Some(&runtimes));
    let worker = home.run(&config).await;
    assert_eq!(deployed(&worker, &file, &["--timeout", "30"]).await["version"], "1");
    map(&worker, "orders").await;
    worker.sqs().send("orders", "hello").await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    assert_eq!(worker.log().said("orders", "py hello").len(), 1);

    // From a file of another name, whose handler is another one, and back again: in one step each.
    let other = home.write("elsewhere/billing.py", text.replace("py ", "other "));
    assert_eq!(deployed(&worker, &other, &["--timeout", "30"]).await["version"], "2");
    worker.sqs().send("orders", "hello").await;
    worker.log().wait_for_said(PATIENCE, "orders", "other hello", 1).await;
    assert_eq!(rolled_back(&worker, &[]).await["version"], "1");
    worker.sqs().send("orders", "again").await;
    worker.log().wait_for_said(PATIENCE, "orders", "py again", 1).await;

    // The same by Lambda's own API: a zip archive with the handler in a package.
    let zip = stored_zip(&[
        ("app/__init__.py", b""),
        ("app/main.py", b"def f(event, context):\n    return {'n': event['n'] + 1}\n"),
    ]);
    let archive = home.write("app.zip", zip);
    let more = ["--runtime", "python3.13", "--handler", "app.main.f", "--timeout", "30", "--json"];
    finish(deploy(&worker, "adds", &archive, &more)).await.json();
    let invoke = format!("{FUNCTIONS}/adds/invocations");
    let answer =
        exchange(worker.sqs_address(), "POST", &invoke, &[("x-amz-log-type", "Tail")], b"{\"n\":1}").await.unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({"n": 2})), "{}", answer.body);
    assert_eq!(answer.header("x-amz-executed-version"), "$LATEST");
    let failing = exchange(worker.sqs_address(), "POST", &invoke, &[], b"{}").await.unwrap();
    assert_eq!((failing.status, failing.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(failing.json()["errorType"], "KeyError", "{}", failing.body);
    worker.stop().await;
}

#[tokio::test]
async fn with_credentials_only_who_signs_may_deploy() {
    let home = Home::new();
    let auth = "[auth]\ncredentials = [ { access_key_id = \"AKIAWASMILLTESTS\", secret_access_key = \"a-secret-for-tests\" } ]\n";
    let worker = home.run(&(IN_MEMORY.to_owned() + auth + &queue("orders", QUEUE))).await;
    let unsigned = exchange(worker.sqs_address(), "GET", FUNCTIONS, &[], b"").await.unwrap();
    assert_eq!(unsigned.status, 403, "{}", unsigned.body);
    let file = module(&home, "faulty", 1);
    let stranger = finish(deploy(&worker, "orders", &file, &[])).await;
    stranger.assert_fails(1, &["set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"]);
    let mut known = deploy(&worker, "orders", &file, &["--json"]);
    known.env("AWS_ACCESS_KEY_ID", "AKIAWASMILLTESTS").env("AWS_SECRET_ACCESS_KEY", "a-secret-for-tests");
    known.env("AWS_REGION", "us-east-1");
    assert_eq!(finish(known).await.json()["version"], "1");
    worker.stop().await;
}

/// An archive whose files are not compressed.
fn stored_zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let offset = u32::try_from(body.len()).unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        let mut about = Vec::new();
        about.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        about.extend(crc32(bytes).to_le_bytes());
        about.extend(length.to_le_bytes());
        about.extend(length.to_le_bytes());
        about.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        about.extend([0, 0]);
        body.extend(b"PK\x03\x04");
        body.extend(&about);
        body.extend(name.as_bytes());
        body.extend(*bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&about);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let (at, length) = (u32::try_from(body.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    body.extend(directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend(count);
    body.extend(count);
    body.extend(length.to_le_bytes());
    body.extend(at.to_le_bytes());
    body.extend([0, 0]);
    body
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}
