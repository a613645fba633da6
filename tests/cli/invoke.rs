//! `invoke`: one call, the response on stdout, the log on stderr, the outcome as the exit code.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};
use support::command::{Finished, wasmill_with_input};
use support::{Home, places, wasmill};

/// An event of one record with this body.
fn event(body: &str) -> String {
    let attributes = json!({"ApproximateReceiveCount": "1"});
    json!({"Records": [{"messageId": "m-1", "body": body, "attributes": attributes}]}).to_string()
}

/// Invokes one of the tests' handlers with an event on stdin.
fn invoke(guest: &str, event: &str, more: &[&str]) -> Finished {
    wasmill_with_input(arguments(guest, Path::new("-"), more), event)
}

/// Invokes one of the tests' handlers with an event from a file.
fn invoke_file(guest: &str, event: &Path, more: &[&str]) -> Finished {
    wasmill(arguments(guest, event, more))
}

fn arguments(guest: &str, event: &Path, more: &[&str]) -> Vec<OsString> {
    let mut arguments = vec!["invoke".into(), places::guest(guest).into(), "--event".into(), event.into()];
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

#[test]
fn the_readmes_event_has_one_order_that_is_charged_and_one_that_is_not() {
    let done = invoke_file("orders", &places::repository().join("handlers/orders/event.json"), &[]);
    let failed = "{\"batchItemFailures\":[{\"itemIdentifier\":\"2e1424d4-f796-459a-8184-9c92662be6da\"}]}\n";
    assert_eq!(done.assert_succeeds(), failed);
}

#[test]
fn the_response_goes_to_stdout_and_the_log_to_stderr() {
    let order = r#"{"id":"o-1","sku":"tea-green","quantity":2}"#;
    let done = invoke("orders", &event(order), &[]);
    assert_eq!(done.assert_succeeds(), "{\"batchItemFailures\":[]}\n");
    let logged = done.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let said: Vec<Value> = logged.filter(|line| line["target"] == "wasmill::handler").collect();
    assert_eq!(said.len(), 1, "{done}");
    assert_eq!(said[0]["message"], "order o-1: charged 2 x tea-green");
    assert_eq!(said[0]["function"], "orders");
    assert_eq!(said[0]["request_id"].as_str().map(str::len), Some(36), "{done}");

    let failing = invoke("orders", &event("no order"), &[]).json();
    assert_eq!(failing["batchItemFailures"][0]["itemIdentifier"], "m-1", "a reported failure is an answer, no failure");
}

#[test]
fn the_event_comes_from_a_file_and_commands_are_invoked_alike() {
    let home = Home::new();
    let path =
        home.write("event.json", event(r#"[{"do":"env","name":"TABLE"},{"do":"answer","text":"{\"n\": 1.0}"}]"#));
    for guest in ["faulty", "command", "command-p1"] {
        let done = invoke_file(guest, &path, &["--env", "TABLE=a=b"]);
        assert_eq!(done.assert_succeeds(), "{\"n\": 1.0}\n", "{guest}: the very text");
        assert!(done.stderr.contains("\"message\":\"TABLE=a=b\""), "{guest}: {done}");
    }
}

#[test]
fn a_function_error_ends_with_1_and_its_reason() {
    let fail = invoke("faulty", &event(r#"{"do":"error","text":"no database today"}"#), &[]);
    fail.assert_fails(1, &["error: the invocation failed: handler_error: no database today"]);
    let trap = invoke("faulty", &event(r#"{"do":"trap"}"#), &[]);
    trap.assert_fails(1, &["error: the invocation failed: trap: ", "told to trap"]);
    let exit = invoke("command-p1", &event(r#"{"do":"exit","code":3}"#), &[]);
    exit.assert_fails(1, &["handler_error: exited with status 3"]);
    let memory = invoke("faulty", &event(r#"{"do":"eat_memory"}"#), &["--memory", "16"]);
    memory.assert_fails(1, &["out_of_memory: ", "16 MiB"]);
}

#[test]
fn a_handler_that_never_returns_is_stopped_at_its_timeout() {
    let spun = invoke("faulty", &event(r#"{"do":"spin"}"#), &["--timeout", "2"]);
    spun.assert_fails(1, &["error: the invocation failed: timeout: timed out after 2.00 seconds"]);
    assert!(spun.took.as_secs_f64() >= 2.0, "{spun}");
}

#[test]
fn an_event_that_is_none_is_wrong_usage() {
    let home = Home::new();
    let torn = home.write("torn.json", "{\"Records\":[");
    let absent = home.path().join("absent.json");
    for (path, part) in [(&torn, "the event is not JSON: EOF"), (&absent, "the event cannot be read: No such file")] {
        let refused = invoke_file("faulty", path, &[]);
        refused.assert_fails(2, &[part, &format!("where: --event {}", path.display())]);
    }
    invoke("faulty", "", &[]).assert_fails(2, &["the event is not JSON", "where: --event -"]);
    let too_long = format!("\"{}\"", "x".repeat(6 << 20));
    let path = home.write("long.json", too_long);
    let refused = invoke_file("faulty", &path, &[]);
    refused.assert_fails(2, &["longer than 6291456 bytes"]);
}

#[test]
fn a_handler_that_is_not_there_is_a_mistake() {
    let home = Home::new();
    for (name, what) in [
        ("absent.wasm", "absent.wasm: there is no such file"),
        ("absent.py", "absent.py: no such file or folder"),
        ("absent.mjs", "absent.mjs: no such file or folder"),
    ] {
        let absent = home.path().join(name);
        let invoke = ["invoke".as_ref(), absent.as_os_str(), "--event".as_ref(), "-".as_ref()];
        wasmill_with_input(invoke, "{}").assert_fails(3, &[what]);
        let elsewhere = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"].map(AsRef::as_ref);
        let data = home.path().join("data");
        let dev = ["dev".as_ref(), absent.as_os_str()].into_iter().chain(elsewhere).chain([data.as_os_str()]);
        wasmill(dev).assert_fails(3, &[what]);
    }
}
