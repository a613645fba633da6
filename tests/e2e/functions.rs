//! Functions as resources: made, called, changed and rolled out through Lambda's API while messages flow, across restarts
//! and crashes, by the clients that people have.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::clients::Client;
use support::command::{Finished, run};
use support::config::{ON_DISK, function, queue};
use support::http::{Answer, exchange};
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Wasmill, eventually, places};

const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
const ROLE: &str = "arn:aws:iam::000000000000:role/any";

async fn call(worker: &Wasmill, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    exchange(worker.sqs_address(), method, path, &[], body.as_bytes()).await.unwrap()
}

async fn ok(worker: &Wasmill, method: &str, path: &str, body: Value) -> Value {
    let answer = call(worker, method, path, body).await;
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
    answer.json()
}

fn code(guest: &str) -> String {
    STANDARD.encode(std::fs::read(places::guest(guest)).unwrap())
}

async fn create(worker: &Wasmill, name: &str, more: Value) {
    let mut body = json!({"FunctionName": name, "Role": ROLE, "Code": {"ZipFile": code("faulty")}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(worker, "POST", FUNCTIONS, body).await;
    settles(worker, name, "State", "Active").await;
}

async fn settles(worker: &Wasmill, name: &str, member: &str, value: &str) {
    eventually(PATIENCE, async || {
        let shown = call(worker, "GET", &format!("{FUNCTIONS}/{name}/configuration"), Value::Null).await;
        holds(shown.json()[member] == value, || shown.body.clone())
    })
    .await;
}

async fn map(worker: &Wasmill, queue: &str, function: &str) {
    let arn = format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
    ok(worker, "POST", MAPPINGS, json!({"EventSourceArn": arn, "FunctionName": function, "BatchSize": 1})).await;
}

/// The version that an invocation ran in.
async fn executed(worker: &Wasmill, path: &str) -> String {
    let body = br#"{"Records":[]}"#;
    let path = format!("{FUNCTIONS}/{path}");
    let answer = exchange(worker.sqs_address(), "POST", &path, &[], body).await.unwrap();
    assert_eq!((answer.status, answer.header("x-amz-function-error")), (200, ""), "{path}: {}", answer.body);
    answer.header("x-amz-executed-version").to_owned()
}

#[tokio::test]
async fn boto3_finds_its_way_through_every_operation_on_functions() {
    let test = "boto3_finds_its_way_through_every_operation_on_functions";
    let Some(mut command) = Client::Boto3.script(test, "functions.py") else { return };
    let (id, secret) = ("AKIAWASMILLTESTS", "a-secret-for-tests");
    let auth = format!("[auth]\ncredentials = [ {{ access_key_id = \"{id}\", secret_access_key = \"{secret}\" }} ]\n");
    let config = auth + ON_DISK + &queue("made", "") + &function("own", "faulty", "");
    let worker = Wasmill::start(&config).await;
    assert_eq!(call(&worker, "GET", FUNCTIONS, Value::Null).await.status, 403);
    command.arg(worker.endpoint()).arg(places::guest("faulty"));
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    let tour = tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap();
    assert_eq!(tour.assert_succeeds().trim(), "29 steps");
    worker.stop().await;
}

#[tokio::test]
async fn aws_cli_makes_invokes_updates_and_deletes_a_function() {
    let test = "aws_cli_makes_invokes_updates_and_deletes_a_function";
    if Client::AwsCli.program(test).is_none() {
        return;
    }
    let home = Home::new();
    let worker = home.run(&(ON_DISK.to_owned() + &queue("made", ""))).await;
    let endpoint = worker.endpoint();
    let aws = async |arguments: &[&str]| -> Finished {
        let mut command = Client::AwsCli.program(test).unwrap();
        command.args(["--endpoint-url", &endpoint, "--output", "json"]).args(arguments);
        tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap()
    };
    let zip = home.write("fn.zip", archive("handler.wasm", &std::fs::read(places::guest("faulty")).unwrap()));
    let zip = format!("fileb://{}", zip.display());
    let out = home.path().join("out.json").display().to_string();
    let named = ["--function-name", "orders"];
    let lambda = async |operation: &str, rest: &[&str]| aws(&[&["lambda", operation], &named[..], rest].concat()).await;

    let identity = aws(&["sts", "get-caller-identity"]).await.json();
    assert_eq!(identity["Account"], "000000000000");
    let with = ["--zip-file", &zip, "--role", ROLE, "--runtime", "provided.al2023", "--handler", "handler.wasm"];
    assert_eq!(lambda("create-function", &with).await.json()["FunctionName"], "orders");
    aws(&[&["lambda", "wait", "function-active-v2"], &named[..]].concat()).await.assert_succeeds();
    let binary = ["--cli-binary-format", "raw-in-base64-out"];
    let event = ["--payload", r#"{"Records":[{"messageId":"1","body":"{\"do\":\"echo_to_log\"}"}]}"#];
    let is_v2 = aws(&["--version"]).await.stdout.starts_with("aws-cli/2");
    let binary: &[&str] = if is_v2 { &binary } else { &[] };
    let invoked = lambda("invoke", &[&event[..], binary, &["--log-type", "Tail", &out]].concat()).await.json();
    assert_eq!((&invoked["StatusCode"], &invoked["ExecutedVersion"]), (&json!(200), &json!("$LATEST")));
    let log = STANDARD.decode(invoked["LogResult"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(log).unwrap().contains(r#"{"do":"echo_to_log"}"#));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), r#"{"batchItemFailures":[]}"#);

    let updated = lambda("update-function-code", &["--zip-file", &zip, "--publish"]).await.json();
    assert_eq!(updated["Version"], "1");
    aws(&[&["lambda", "wait", "function-updated-v2"], &named[..]].concat()).await.assert_succeeds();
    let alias = lambda("create-alias", &["--name", "live", "--function-version", "1"]).await.json();
    assert_eq!(alias["FunctionVersion"], "1");
    let source = ["--event-source-arn", "arn:aws:sqs:us-east-1:000000000000:made"];
    assert_eq!(lambda("create-event-source-mapping", &source).await.json()["State"], "Creating");
    let listed = aws(&["lambda", "list-functions"]).await.json();
    assert_eq!(listed["Functions"][0]["FunctionName"], "orders");
    let refused = lambda("get-function", &["--qualifier", "9"]).await;
    assert!(refused.stderr.contains("(ResourceNotFoundException)"), "{refused}");
    lambda("delete-function", &[]).await.assert_succeeds();
    worker.stop().await;
}

/// A zip archive of one file, stored as it is.
fn archive(name: &str, contents: &[u8]) -> Vec<u8> {
    let crc = contents.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    let (length, named) = (u32::try_from(contents.len()).unwrap(), u16::try_from(name.len()).unwrap());
    let common = |archive: &mut Vec<u8>| {
        archive.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58]);
        for number in [!crc, length, length] {
            archive.extend(number.to_le_bytes());
        }
        archive.extend(named.to_le_bytes());
    };
    let mut archive = b"PK\x03\x04".to_vec();
    common(&mut archive);
    archive.extend([0, 0]);
    archive.extend(name.as_bytes());
    archive.extend(contents);
    let directory = u32::try_from(archive.len()).unwrap();
    archive.extend(b"PK\x01\x02\x14\x00");
    common(&mut archive);
    archive.extend([0; 16]);
    archive.extend(name.as_bytes());
    let size = u32::try_from(archive.len()).unwrap() - directory;
    archive.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend(size.to_le_bytes());
    archive.extend(directory.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart_and_after_a_crash() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &queue("made", "");
    let worker = home.run(&config).await;
    create(&worker, "orders", json!({"Publish": true})).await;
    let update = json!({"ZipFile": code("orders"), "Publish": true});
    ok(&worker, "PUT", &format!("{FUNCTIONS}/orders/code"), update).await;
    settles(&worker, "orders", "LastUpdateStatus", "Successful").await;
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    ok(&worker, "POST", &format!("{FUNCTIONS}/orders/aliases"), alias).await;
    map(&worker, "made", "orders:live").await;
    let shown = async |worker: &Wasmill| {
        let mut all = Vec::new();
        for path in ["/configuration", "/versions", "/aliases", ":live/configuration"] {
            all.push(ok(worker, "GET", &format!("{FUNCTIONS}/orders{path}"), Value::Null).await);
        }
        all
    };
    let before = shown(&worker).await;
    let files = || std::fs::read_dir(home.path().join("data/code")).unwrap().count();
    assert_eq!(files(), 2);
    worker.kill().await;

    let worker = home.run(&config).await;
    assert_eq!(shown(&worker).await, before);
    assert_eq!(executed(&worker, "orders/invocations?Qualifier=live").await, "1");
    assert_eq!(executed(&worker, "orders/invocations?Qualifier=2").await, "2");
    let body = r#"{"do":"context"}"#;
    worker.sqs().send("made", body).await;
    worker.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;
    worker.stop().await;

    let worker = home.run(&config).await;
    assert_eq!(shown(&worker).await, before);
    ok(&worker, "DELETE", &format!("{FUNCTIONS}/orders"), Value::Null).await;
    eventually(PATIENCE, async || holds(files() == 0, || "its code is still there".to_owned())).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_function_is_replaced_while_it_runs_and_what_runs_ends_in_the_old() {
    let worker = Wasmill::start(&(ON_DISK.to_owned() + &queue("made", ""))).await;
    let variables = |colour: &str| json!({"Timeout": 20, "Environment": {"Variables": {"COLOUR": colour}}});
    create(&worker, "orders", variables("blue")).await;
    map(&worker, "made", "orders").await;
    let slow = r#"[{"do":"print","text":"slow begins\n"},{"do":"sleep_ms","ms":3000},{"do":"env","name":"COLOUR"}]"#;
    worker.sqs().send("made", slow).await;
    worker.log().wait_for_said(PATIENCE, "orders", "slow begins", 1).await;
    ok(&worker, "PUT", &format!("{FUNCTIONS}/orders/configuration"), variables("red")).await;
    settles(&worker, "orders", "LastUpdateStatus", "Successful").await;
    worker.sqs().send("made", r#"{"do":"env","name":"COLOUR"}"#).await;
    worker.log().wait_for_said(PATIENCE, "orders", "COLOUR=red", 1).await;
    assert_eq!(worker.log().said("orders", "COLOUR=blue").len(), 0, "the old one is not through");
    worker.log().wait_for_said(PATIENCE, "orders", "COLOUR=blue", 1).await;
    worker.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;

    let broken = json!({"ZipFile": STANDARD.encode(b"\0asm\x0d\0\x01\0broken")});
    ok(&worker, "PUT", &format!("{FUNCTIONS}/orders/code"), broken).await;
    settles(&worker, "orders", "LastUpdateStatus", "Failed").await;
    worker.sqs().send("made", r#"{"do":"env","name":"COLOUR"}"#).await;
    worker.log().wait_for_said(PATIENCE, "orders", "COLOUR=red", 2).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_weighted_alias_shares_the_batches_of_its_mapping() {
    let worker = Wasmill::start(&(ON_DISK.to_owned() + &queue("made", ""))).await;
    create(&worker, "orders", json!({"Publish": true})).await;
    let described = json!({"Environment": {"Variables": {"N1": "2"}}});
    ok(&worker, "PUT", &format!("{FUNCTIONS}/orders/configuration"), described).await;
    settles(&worker, "orders", "LastUpdateStatus", "Successful").await;
    ok(&worker, "POST", &format!("{FUNCTIONS}/orders/versions"), json!({})).await;
    let weights = json!({"AdditionalVersionWeights": {"2": 0.5}});
    let alias = json!({"Name": "live", "FunctionVersion": "1", "RoutingConfig": weights});
    ok(&worker, "POST", &format!("{FUNCTIONS}/orders/aliases"), alias).await;
    map(&worker, "made", "orders:live").await;
    for _ in 0..40 {
        worker.sqs().send("made", r#"{"do":"context"}"#).await;
    }
    worker.sqs().wait_for_counts(PATIENCE, "made", Counts::EMPTY).await;
    for version in ["1", "2"] {
        let part = format!(r#""functionVersion":"{version}""#);
        let said = worker.log().said_by("orders").iter().filter(|line| line.message().contains(&part)).count();
        assert!((5..=35).contains(&said), "version {version} had {said} of 40");
    }
    worker.stop().await;
}

#[tokio::test]
async fn the_config_takes_its_function_back_at_the_next_start() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &function("own", "faulty", "");
    let worker = home.run(&config).await;
    let before = ok(&worker, "GET", &format!("{FUNCTIONS}/own/configuration"), Value::Null).await;
    let update = json!({"ZipFile": code("orders"), "Publish": true});
    ok(&worker, "PUT", &format!("{FUNCTIONS}/own/code"), update).await;
    settles(&worker, "own", "LastUpdateStatus", "Successful").await;
    let after = ok(&worker, "GET", &format!("{FUNCTIONS}/own/configuration"), Value::Null).await;
    assert_ne!(after["CodeSha256"], before["CodeSha256"]);
    worker.stop().await;

    let worker = home.run(&config).await;
    let shown = ok(&worker, "GET", &format!("{FUNCTIONS}/own/configuration"), Value::Null).await;
    assert_eq!(shown["CodeSha256"], before["CodeSha256"]);
    let said = worker.log().events("the config overrides what was stored of a function");
    assert!(!said.is_empty());
    assert_eq!(executed(&worker, "own/invocations?Qualifier=1").await, "1", "what was published stays");
    worker.signal(Signal::HUP);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(executed(&worker, "own/invocations").await, "$LATEST");
    worker.stop().await;
}
