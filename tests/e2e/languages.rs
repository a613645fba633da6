//! Handlers in every language, through the real binary: the same orders end alike, and what one of them sees the others see.

mod known;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};
use support::command::{wasmill_command, wasmill_with_input};
use support::config::{IN_MEMORY, mapping, plain_mapping, queue, queue_with_dlq};
use support::log::Line;
use support::wait::holds;
use support::{Counts, Home, Wasmill, eventually, places};

use self::known::{Language, example, languages};
pub(crate) use self::known::{acts, file_function};

const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for any of the tests: what comes back before was sent back.
const LONG_VISIBILITY: &str = "visibility_timeout = 600";

/// A worker with wasmill's runtimes at hand, if there are any.
async fn start(home: &Home, runtimes: Option<&Path>, config: &str) -> Wasmill {
    compile_once(home, runtimes);
    home.run(&format!("{}{IN_MEMORY}{config}", runtimes_dir(runtimes))).await
}

fn runtimes_dir(runtimes: Option<&Path>) -> String {
    runtimes.map_or_else(String::new, |runtimes| format!("runtimes_dir = {runtimes:?}\n"))
}

/// Compiles what is large before the first worker starts: it takes a minute where cores are few, once for all tests.
pub(crate) fn compile_once(home: &Home, runtimes: Option<&Path>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let languages = languages(runtimes);
        let orders: String = languages.iter().map(|language| language.orders("")).collect();
        let acts: String = languages.iter().map(|language| language.acts("")).collect();
        for functions in [orders, acts] {
            let config = home.write("compile.toml", runtimes_dir(runtimes) + IN_MEMORY + &functions);
            let checked =
                wasmill_command(["check".as_ref(), "--config".as_ref(), config.as_os_str()]).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    });
}

/// What a function's log has that contains `part`.
fn said(worker: &Wasmill, function: &str, part: &str) -> usize {
    worker.log().said_by(function).iter().filter(|line| line.message().contains(part)).count()
}

async fn wait_for_said(worker: &Wasmill, function: &str, part: &str, times: usize) {
    eventually(PATIENCE, async || {
        let seen = said(worker, function, part);
        if seen == times { Ok(()) } else { Err(format!("{function} said {part:?} {seen} times, not {times}")) }
    })
    .await;
}

#[tokio::test]
async fn the_same_orders_end_alike_in_every_language() {
    let runtimes = places::runtimes();
    let languages = languages(runtimes.as_deref());
    let mut config = String::new();
    for language in &languages {
        config += &queue_with_dlq(language.name(), 600, 5);
        config += &language.orders("timeout = 30");
        config += &mapping(language.name(), language.name(), "batch_size = 10");
    }
    let home = Home::new();
    let worker = start(&home, runtimes.as_deref(), &config).await;
    let sqs = worker.sqs();
    let malformed =
        ["no order at all", r#"{"id":"o-5","sku":"tea"}"#, r#"{"id":"o-6","sku":"tea","quantity":-1}"#, "[]"];
    let bodies = [
        json!({"id": "o-1", "sku": "tea-green", "quantity": 2}).to_string(),
        json!({"id": "o-2", "sku": "tea-green", "quantity": 1, "payment": "declined"}).to_string(),
        r#"{"id": "o-3", "sku": "sp\u00e4ti 🍵 \ud83c\udf75 \"\\", "quantity": 3}"#.to_owned(),
        json!({"id": "o-4", "sku": "tea", "quantity": 1, "payment": "busy"}).to_string(),
        json!({"id": "o-7", "sku": "tea", "quantity": 0}).to_string(),
    ];
    let bodies = [&bodies[..], &malformed.map(str::to_owned)].concat();
    for language in &languages {
        sqs.send_batch(language.name(), &bodies).await;
    }
    for name in languages.iter().map(|language| language.name()) {
        wait_for_said(&worker, name, "order o-1: charged 2 x tea-green", 1).await;
        wait_for_said(&worker, name, "order o-2: not charged: the card was declined", 1).await;
        wait_for_said(&worker, name, "order o-3: charged 3 x späti 🍵 🍵 \"\\", 1).await;
        wait_for_said(&worker, name, "order o-4: not charged: the payment service is busy", 1).await;
        wait_for_said(&worker, name, "order o-4: charged 1 x tea", 1).await;
        wait_for_said(&worker, name, "malformed order: o-7 wants 0 x tea", 1).await;
        wait_for_said(&worker, name, "malformed order: ", 5).await;
        sqs.wait_for_counts(PATIENCE, &format!("{name}-dlq"), Counts::visible(5)).await;
        sqs.wait_for_counts(PATIENCE, name, Counts::in_flight(1)).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn what_people_paste_from_lambdas_documentation_runs_unmodified() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    let mut config = queue_with_dlq("loop", 1, 1)
        + &file_function("loop", &example("python/plain_loop.py"), "timeout = 30")
        + &plain_mapping("loop", "loop", "batch_size = 1")
        + &queue_with_dlq("partial", 60, 5)
        + &file_function("partial", &example("js/partial_failure.mjs"), "timeout = 30")
        + &mapping("partial", "partial", "");
    let powertools = with_powertools(&home);
    if let Some(folder) = &powertools {
        config += &queue_with_dlq("powertools", 60, 5);
        config += &file_function(
            "powertools",
            folder,
            "runtime = \"python\"\nhandler = \"handler.lambda_handler\"\ntimeout = 60",
        );
        config += &mapping("powertools", "powertools", "");
    }
    let worker = start(&home, Some(&runtimes), &config).await;
    let sqs = worker.sqs();
    let order = |id: &str, payment: &str| json!({"id": id, "sku": "tea", "payment": payment}).to_string();
    let bodies = [order("o-1", "ok"), order("o-2", "declined")];
    for queue in ["loop", "partial"].into_iter().chain(powertools.as_ref().map(|_| "powertools")) {
        sqs.send_batch(queue, &bodies).await;
    }
    wait_for_said(&worker, "loop", "\tcharged order o-1", 1).await;
    sqs.wait_for_counts(PATIENCE, "loop-dlq", Counts::visible(1)).await;
    let failed = worker.log().events("batch failed");
    assert!(failed.iter().any(|line| line.field("reason").contains("the card for order o-2 was declined")));
    wait_for_said(&worker, "partial", "processed o-1, in time", 1).await;
    sqs.wait_for_counts(PATIENCE, "partial", Counts::in_flight(1)).await;
    if powertools.is_some() {
        wait_for_said(&worker, "powertools", "\"order_id\":\"o-1\"", 1).await;
        // What its logger writes is JSON in our log, too.
        let lines = worker.log().pick(|line| line.text.contains("\"json\":{\"level\":\"INFO\""));
        assert_eq!(lines.len(), 1, "{}", worker.log().end());
        sqs.wait_for_counts(PATIENCE, "powertools", Counts::in_flight(1)).await;
    }
    worker.stop().await;
}

/// The Powertools example with its packages beside it, as its first line says. None where the tests have no Python.
fn with_powertools(home: &Home) -> Option<PathBuf> {
    let python = std::env::var_os("WASMILL_TEST_PYTHON")?;
    let from = example("python/powertools_batch");
    let folder = home.path().join("powertools");
    std::fs::create_dir(&folder).unwrap();
    for file in ["handler.py", "requirements.txt"] {
        std::fs::copy(from.join(file), folder.join(file)).unwrap();
    }
    let installed = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--target"])
        .arg(&folder)
        .arg("--requirement")
        .arg(folder.join("requirements.txt"))
        .status()
        .unwrap();
    assert!(installed.success(), "pip cannot install what the example needs");
    Some(folder)
}

#[tokio::test]
async fn a_handler_sees_its_message_its_context_and_its_secrets() {
    let runtimes = places::runtimes();
    let languages = languages(runtimes.as_deref());
    let home = Home::new();
    home.write("secret.txt", "hunter2\n");
    let keys = "timeout = 30\nmemory_size = 96\nenvironment = { SECRET = { from_file = \"secret.txt\" } }";
    let acting: Vec<Language> = languages.into_iter().filter(|language| !language.acts(keys).is_empty()).collect();
    let mut config = String::new();
    for language in &acting {
        let name = language.name();
        config += &(queue(name, "") + &language.acts(keys) + &mapping(name, name, ""));
    }
    let worker = start(&home, runtimes.as_deref(), &config).await;
    let sqs = worker.sqs();
    let text = MessageAttributeValue::builder().data_type("String").string_value("grün").build().unwrap();
    let binary =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255, 10])).build().unwrap();
    for name in acting.iter().map(|language| language.name()) {
        let body = json!({"do": "see", "word": "naïve \u{1f375} \u{0}\""}).to_string();
        let message = sqs.client().send_message().queue_url(sqs.url(name)).message_body(body.replace("\\u0000", " "));
        message.message_attributes("s", text.clone()).message_attributes("b", binary.clone()).send().await.unwrap();
        wait_for_said(&worker, name, "hunter2", 1).await;
        let line = worker.log().said_by(name).into_iter().find(|line| line.message().contains("hunter2")).unwrap();
        let seen = &line.message()[line.message().find('{').unwrap()..];
        let expected = json!({
            "binary": [0, 255, 10], "function": name, "late": false, "memory": 96, "secret": "hunter2", "text": "grün",
            "word": "naïve \u{1f375}  \"",
        });
        assert_eq!(serde_json::from_str::<Value>(seen).unwrap(), expected, "{name}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_command_in_any_language_fails_its_batch_when_it_exits_or_hangs() {
    let commands: Vec<Language> = languages(None).into_iter().filter(|language| language.is_command()).collect();
    let home = Home::new();
    let mut config = String::new();
    for language in &commands {
        let name = language.name();
        config +=
            &(queue(name, LONG_VISIBILITY) + &language.acts("timeout = 2") + &mapping(name, name, "batch_size = 1"));
    }
    let worker = start(&home, places::runtimes().as_deref(), &config).await;
    let sqs = worker.sqs();
    for name in commands.iter().map(|language| language.name()) {
        for (act, kind, reason) in
            [("raise", "handler_error", "as it was told to"), ("hang", "timeout", "timed out after 2.00 seconds")]
        {
            sqs.send(name, &json!({ "do": act }).to_string()).await;
            let (labels, mapped) = ([("function", name), ("kind", kind)], format!("{name}/{name}"));
            worker.wait_for_metric(PATIENCE, "wasmill_function_invocations_total", &labels, 1).await;
            eventually(PATIENCE, async || {
                let failed = worker.log().events("batch failed");
                let of_this = |line: &Line| line.field("mapping") == mapped && line.field("reason").contains(reason);
                holds(failed.iter().any(of_this), || format!("{name}, {act}: {failed:#?}"))
            })
            .await;
        }
        sqs.wait_for_counts(PATIENCE, name, Counts::in_flight(2)).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn state_stays_between_invocations_and_goes_with_a_timeout() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    let mut config = String::new();
    for language in ["py", "mjs"] {
        let keys = "timeout = 2\nreserved_concurrent_executions = 1\nenvironment = { SECRET = \"s\" }";
        config += &(queue(language, LONG_VISIBILITY) + &file_function(language, &acts(language), keys));
        config += &mapping(language, language, "batch_size = 1");
    }
    let worker = start(&home, Some(&runtimes), &config).await;
    let sqs = worker.sqs();
    let order = |what: &str| json!({"do": what, "seconds": 0.05}).to_string();
    for language in ["py", "mjs"] {
        for (call, times) in [(1, 1), (2, 1)] {
            sqs.send(language, &order("count")).await;
            wait_for_said(&worker, language, &format!("call {call}"), times).await;
        }
        sqs.send(language, &order("raise")).await;
        worker
            .wait_for_metric(
                PATIENCE,
                "wasmill_function_invocations_total",
                &[("function", language), ("kind", "handler_error")],
                1,
            )
            .await;
        sqs.send(language, &order("count")).await;
        wait_for_said(&worker, language, "call 4", 1).await;
        sqs.send(language, &order("hang")).await;
        worker
            .wait_for_metric(
                PATIENCE,
                "wasmill_function_invocations_total",
                &[("function", language), ("kind", "timeout")],
                1,
            )
            .await;
        sqs.send(language, &order("count")).await;
        wait_for_said(&worker, language, "call 1", 2).await;
        sqs.send(language, &order("sleep")).await;
        wait_for_said(&worker, language, "slept 0.05", 1).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_reaches_the_hosts_that_were_named_and_no_others() {
    let Some(runtimes) = places::runtimes() else { return };
    let (allowed, other) = (hello(), hello());
    let home = Home::new();
    let mut config = String::new();
    for language in ["py", "mjs"] {
        let keys = format!("timeout = 30\nenvironment = {{ SECRET = \"s\" }}\nallowed_hosts = [\"http://{allowed}\"]");
        config += &(queue(language, "")
            + &file_function(language, &acts(language), &keys)
            + &mapping(language, language, ""));
    }
    let worker = start(&home, Some(&runtimes), &config).await;
    let sqs = worker.sqs();
    for language in ["py", "mjs"] {
        sqs.send(language, &json!({"do": "fetch", "url": format!("http://{allowed}/x")}).to_string()).await;
        wait_for_said(&worker, language, "fetched 200 hello from GET /x", 1).await;
        sqs.send(language, &json!({"do": "fetch", "url": format!("http://{other}/y")}).to_string()).await;
        wait_for_said(&worker, language, "not fetched: ", 1).await;
    }
    let refusals = worker.log().events("is not among the function's allowed_hosts");
    assert!(refusals.len() >= 2, "{}", worker.log().end());
    worker.stop().await;
}

/// A server that answers each request with its first line.
fn hello() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head);
            let body = format!("hello from {}", head.split(" HTTP").next().unwrap_or_default());
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            // The client may be gone.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn the_reader_of_the_example_in_c_takes_json_and_nothing_else() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let (shallow, deep) = (nested(100), nested(200));
    let json = [
        "0",
        "-0",
        "1.5e+10",
        "1E-2",
        r#""""#,
        r#""\" \\ \/ \b\f\n\r\t \u0041 \u0000 \ud83c\udf75""#,
        "[]",
        "[ ]",
        "{}",
        "true",
        "false",
        "null",
        " \t\n\r1 \t",
        r#"{"a":[1,{"b":null}],"":""}"#,
        &shallow,
    ];
    let other = [
        "",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "0x1",
        "NaN",
        "tru",
        "nulll",
        "1 1",
        "'a'",
        "\"",
        r#""\x""#,
        r#""\ud83c""#,
        r#""\udf75""#,
        r#""\ud83c\u0041""#,
        r#""\u12g4""#,
        "\"\u{1}\"",
        "\"\n\"",
        "[1,]",
        "[1 2]",
        "[",
        "]",
        r#"{"a"}"#,
        r#"{"a":}"#,
        "{a:1}",
        r#"{"a":1,}"#,
        "\u{0}",
        &deep,
    ];
    let record = |(place, text): (usize, &&str)| {
        let body = format!(r#"{{"id":"o","sku":"s","quantity":1,"more":{text}}}"#);
        json!({ "messageId": place.to_string(), "body": body, "attributes": {} })
    };
    let records: Vec<Value> = json.iter().chain(&other).enumerate().map(record).collect();
    let arguments = ["invoke".into(), places::guest("orders-c"), "--event".into(), "-".into()];
    let response = wasmill_with_input(arguments, &json!({ "Records": records }).to_string()).json();
    let failed = response["batchItemFailures"].as_array().unwrap();
    let failed: Vec<&Value> = failed.iter().map(|failure| &failure["itemIdentifier"]).collect();
    let expected: Vec<Value> = (json.len()..json.len() + other.len()).map(|place| json!(place.to_string())).collect();
    assert_eq!(failed, expected.iter().collect::<Vec<_>>(), "{records:#?}");
}

#[tokio::test]
async fn a_runtime_that_is_not_installed_is_a_mistake_with_its_mend() {
    let home = Home::new();
    let config = format!("runtimes_dir = \"nowhere\"\n{IN_MEMORY}{}", file_function("f", &acts("py"), ""));
    let path = home.write("wasmill.toml", config);
    let checked = support::wasmill(["check".into(), "--config".into(), path.into_os_string()]);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(
        said.contains("wasmill's python runtime is not installed") && said.contains("cargo xtask runtimes"),
        "{said}"
    );
}
