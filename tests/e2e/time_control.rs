//! `--time-control` and `--chaos`: what is due happens when time is skipped, faults come from a seed, and the examples of how users
//! test their handlers with them hold.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::{Value, json};
use support::clients::Client;
use support::command::{Finished, run};
use support::config::{IN_MEMORY, function, mapping, queue, queue_with_dlq};
use support::sqs::receive_count;
use support::{Counts, Home, PATIENCE, Wasmill, places};

const SERVE: [&str; 4] = ["--in-memory", "--listen", "127.0.0.1:0", "--time-control"];
/// Far below what is skipped.
const AT_ONCE: Duration = Duration::from_secs(20);

async fn skip(worker: &Wasmill, body: Value) -> Value {
    let answer = worker.post("/api/time/advance", &body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let skipped = answer.json();
    assert_eq!(skipped["settled"], true, "{skipped}");
    skipped
}

async fn seconds(worker: &Wasmill, seconds: u32) {
    skip(worker, json!({ "seconds": seconds })).await;
}

#[tokio::test]
async fn delays_visibility_retention_and_deduplication_end_when_their_time_is_skipped() {
    let (server, began) = (Home::new().serve(&SERVE).await, Instant::now());
    let sqs = server.sqs();
    sqs.create("q", &[(Name::DelaySeconds, "600"), (Name::VisibilityTimeout, "300")]).await;
    sqs.send("q", "a").await;
    seconds(&server, 500).await;
    assert_eq!(sqs.receive("q", 0).await.len(), 0);
    seconds(&server, 100).await;
    let sent_and_received = |messages: &[aws_sdk_sqs::types::Message]| -> (u64, u64) {
        let of = |name| support::sqs::system(&messages[0], &name).parse::<u64>().unwrap();
        use aws_sdk_sqs::types::MessageSystemAttributeName as System;
        (of(System::SentTimestamp), of(System::ApproximateFirstReceiveTimestamp))
    };
    let first = sqs.receive("q", 0).await;
    let (sent, received) = sent_and_received(&first);
    assert!((600_000..600_000 + 20_000).contains(&(received - sent)), "{sent} {received}");
    assert_eq!(sqs.receive("q", 0).await.len(), 0);
    seconds(&server, 300).await;
    let again = sqs.receive("q", 0).await;
    assert_eq!((receive_count(&again[0]), sent_and_received(&again)), ("2", (sent, received)));
    seconds(&server, 4 * 86_400).await;
    assert_eq!(sqs.counts("q").await, Counts::EMPTY, "past its retention");

    sqs.create("q.fifo", &[(Name::FifoQueue, "true")]).await;
    let send = async || {
        let send = sqs.client().send_message().queue_url(sqs.url("q.fifo")).message_body("once");
        send.message_group_id("g").message_deduplication_id("d").send().await.unwrap().message_id.unwrap()
    };
    let original = send().await;
    seconds(&server, 200).await;
    assert_eq!(send().await, original);
    seconds(&server, 100).await;
    assert_ne!(send().await, original);

    let time = server.get("/api/time").await.unwrap().json();
    assert_eq!(time["skipped_seconds"].as_f64().unwrap().round(), 4.0 * 86_400.0 + 1200.0, "{time}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn windows_close_and_retries_come_when_their_time_is_skipped() {
    let config = [
        IN_MEMORY.to_owned(),
        queue_with_dlq("failing", 60, 3),
        queue("slow", "visibility_timeout = 60"),
        queue("timed", ""),
        function("faulty", "faulty", ""),
        function("orders", "orders", ""),
        mapping("failing", "faulty", "retry_policy = { type = \"fixed\", delay_seconds = 3600 }"),
        mapping("slow", "orders", "batch_size = 100\nmaximum_batching_window_in_seconds = 300"),
    ];
    let worker = Home::new().dev(&config.concat(), &["--time-control"]).await;
    let (sqs, began) = (worker.sqs(), Instant::now());
    sqs.send("failing", r#"{"do":"fail"}"#).await;
    sqs.send_batch("slow", &["1", "2", "3"].map(|id| json!({"id": id, "sku": "tea", "quantity": 1}).to_string())).await;
    seconds(&worker, 200).await;
    assert_eq!(sqs.counts("slow").await, Counts::in_flight(3), "the window is open, and its leases hold");
    seconds(&worker, 101).await;
    assert_eq!(sqs.counts("slow").await, Counts::EMPTY);
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_windows_closed_total", &[("reason", "window")], 1).await;
    assert_eq!(sqs.counts("failing").await, Counts::in_flight(1));
    let idle = skip(&worker, json!({ "seconds": 86_400, "until": "idle" })).await;
    assert_eq!((sqs.counts("failing").await, sqs.counts("failing-dlq").await), (Counts::EMPTY, Counts::visible(1)));
    let took = idle["advanced_seconds"].as_f64().unwrap() + 301.0;
    assert!((10_790.0..10_830.0).contains(&took), "three times an hour: {took}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    worker.stop().await;
}

#[tokio::test]
async fn a_store_goes_on_with_its_intervals_when_it_is_opened_without_time_control() {
    let home = Home::new();
    let arguments = ["--data-dir", "data", "--listen", "127.0.0.1:0"];
    let server = home.serve(&[&arguments[..], &["--time-control"]].concat()).await;
    let sqs = server.sqs();
    sqs.create("q", &[(Name::DelaySeconds, "900")]).await;
    sqs.send("q", "a").await;
    seconds(&server, 899).await;
    sqs.send("q", "b").await;
    server.stop().await;
    let server = home.serve(&arguments).await;
    let sqs = server.sqs();
    assert_eq!(sqs.receive_all(PATIENCE, "q", 1).await[0].body(), Some("a"), "what was left of its delay has passed");
    sqs.client()
        .set_queue_attributes()
        .queue_url(sqs.url("q"))
        .attributes(Name::DelaySeconds, "0")
        .send()
        .await
        .unwrap();
    sqs.send("q", "c").await;
    let sent = sqs.receive_all(PATIENCE, "q", 1).await;
    let sent_ms = support::sqs::system(&sent[0], &aws_sdk_sqs::types::MessageSystemAttributeName::SentTimestamp);
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i128;
    assert!((sent_ms.parse::<i128>().unwrap() - now_ms).abs() < 60_000, "{sent_ms} {now_ms}");
    server.stop().await;
}

#[tokio::test]
async fn without_the_flag_or_with_a_wrong_request_no_time_is_skipped() {
    let server = Home::new().serve(&SERVE[..3]).await;
    let off = server.post("/api/time/advance", r#"{"seconds": 1}"#).await.unwrap();
    assert!(off.status == 403 && off.body.contains("--time-control"), "{off:?}");
    assert_eq!(server.get("/api/time").await.unwrap().status, 404);
    server.stop().await;

    let server = Home::new().serve(&SERVE).await;
    for (body, part) in [
        (r#"{"secondz": 1}"#, "did you mean"),
        (r#"{"seconds": -1}"#, "time never goes back"),
        (r#"{"seconds": 2592001}"#, "at most 2592000 seconds, 30 days"),
    ] {
        let refused = server.post("/api/time/advance", body).await.unwrap();
        assert!(refused.status == 400 && refused.body.contains(part), "{body}: {refused:?}");
    }
    let address = server.admin_url().trim_start_matches("http://").parse().unwrap();
    for headers in [[("origin", "http://evil.example")], [("host", "evil.example")]] {
        let foreign = support::http::exchange(address, "POST", "/api/time/advance", &headers, br#"{"seconds": 1}"#);
        assert_eq!(foreign.await.unwrap().status, 403);
    }
    assert_eq!(server.get("/api/time").await.unwrap().json()["skipped_seconds"], 0.0);
    seconds(&server, 7).await;
    let log = server.stop().await;
    let told = log.pick(|line| line.field("action") == "AdvanceTime");
    let outcomes: Vec<_> = told.iter().map(|line| line.field("outcome")).collect();
    assert_eq!(outcomes, ["refused", "ok"], "what could be read is in the audit log");
}

/// What one consumer sees of thirty messages, and the faults that were counted.
async fn story(seed: &str) -> (Vec<String>, BTreeMap<&'static str, u64>) {
    let chaos = format!("seed={seed},duplicate=20%,reorder=20%,lost_ack=20%");
    let server = Home::new().serve(&[&SERVE[..], &["--chaos", &chaos]].concat()).await;
    let (sqs, mut seen) = (server.sqs(), Vec::new());
    sqs.create("q", &[]).await;
    for part in 0..3 {
        sqs.send_batch("q", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|n| format!("{part}{n}"))).await;
    }
    for _ in 0..3 {
        loop {
            let received = sqs.receive("q", 0).await;
            if received.is_empty() {
                break;
            }
            for message in received {
                seen.push(message.body().unwrap().to_owned());
                let delete = sqs.client().delete_message().queue_url(sqs.url("q"));
                delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
            }
        }
        seconds(&server, 30).await;
    }
    let mut faults = BTreeMap::new();
    for fault in ["duplicate", "reorder", "lost_ack"] {
        let count = server.metric("wasmill_chaos_faults_total", &[("queue", "q"), ("fault", fault)]).await;
        faults.insert(fault, count as u64);
    }
    let log = server.stop().await;
    let told = |fault: &str| log.events("chaos: ").iter().filter(|line| line.field("fault") == fault).count() as u64;
    assert!(faults.iter().all(|(fault, count)| told(fault) == *count), "{faults:?}");
    assert_eq!(log.events("chaos is on")[0].number("seed"), seed.parse().ok());
    (seen, faults)
}

#[tokio::test]
async fn a_seed_says_which_calls_have_which_fault() {
    let (seen, faults) = story("7").await;
    assert!(faults.values().all(|count| *count > 0), "{faults:?}");
    assert_eq!(seen.len() as u64, 30 + faults["duplicate"] + faults["lost_ack"], "{faults:?} {seen:?}");
    assert_eq!((seen.clone(), faults), story("7").await);
    assert_ne!(seen, story("8").await.0);
}

async fn run_aside(mut command: Command) -> Finished {
    tokio::task::spawn_blocking(move || run(&mut command, "")).await.unwrap()
}

/// The examples in a folder of their own, and the runtimes where `dev` looks for them. None without runtimes.
fn examples() -> Option<Home> {
    let runtimes = places::runtimes()?;
    let home = Home::new();
    let folder = places::repository().join("handlers/testing");
    for name in ["charges.py", "test_charges.py", "charges.rs", "Cargo.toml", ".cargo/config.toml"] {
        home.write(&format!("testing/{name}"), std::fs::read(folder.join(name)).unwrap());
    }
    std::fs::create_dir_all(home.path().join("share/wasmill")).unwrap();
    std::os::unix::fs::symlink(runtimes, home.path().join("share/wasmill/runtimes")).unwrap();
    Some(home)
}

fn with_wasmill(home: &Home, mut command: Command) -> Command {
    command.env("WASMILL", places::binary()).env("XDG_DATA_HOME", home.path().join("share"));
    command.current_dir(home.path().join("testing"));
    command
}

/// Its payment service gets a new key for each request, so that it charges twice what comes twice.
fn break_it(home: &Home) {
    let handler = home.path().join("testing/charges.py");
    let text = std::fs::read_to_string(&handler).unwrap();
    let key = r#""Idempotency-Key": order["id"]"#;
    assert!(text.contains(key));
    std::fs::write(handler, text.replace(key, r#""Idempotency-Key": __import__("uuid").uuid4().hex"#)).unwrap();
}

#[tokio::test]
async fn the_example_for_pytest_passes_and_finds_a_handler_that_charges_twice() {
    let test = "the_example_for_pytest_passes_and_finds_a_handler_that_charges_twice";
    let Some(home) = examples() else { return };
    let pytest = |part: &str| {
        let mut command = Client::Boto3.program(test)?;
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_charges.py", "-k", part]);
        Some(with_wasmill(&home, command))
    };
    let Some(all) = pytest("order") else { return };
    let passed = run_aside(all).await;
    assert!(passed.assert_succeeds().contains("3 passed"), "{passed}");
    break_it(&home);
    let failed = run_aside(pytest("once").unwrap()).await;
    assert!(failed.code == Some(1) && failed.stdout.contains("1 failed"), "{failed}");
    assert!(failed.stdout.contains("chaos: this message is delivered a second time"), "the log of dev tells: {failed}");
}

#[tokio::test]
async fn the_example_for_cargo_passes_and_finds_a_handler_that_charges_twice() {
    let Some(home) = examples() else { return };
    let cargo = |part: &str| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What this test was built with is not what a user has.
        for name in ["CARGO_UNSTABLE_FEATURE_UNIFICATION", "CARGO_RESOLVER_FEATURE_UNIFICATION", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command.args(["test", "--offline", "--target-dir"]).arg(home.path().join("target")).arg(part);
        with_wasmill(&home, command)
    };
    let passed = run_aside(cargo("order")).await;
    assert!(passed.assert_succeeds().contains("2 passed"), "{passed}");
    break_it(&home);
    let failed = run_aside(cargo("once")).await;
    assert!(failed.code == Some(101) && failed.stdout.contains("1 failed"), "{failed}");
}
