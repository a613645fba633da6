//! The Lambda JSON world: what the guest sees, and what its answers become.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tower::Service;
use wasmill_event::{Account, FaultKind, Invocation, Payload, Record};
use wasmill_sandbox::{Code, FunctionKind};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::support::{House, call, invocation, said, text};
use crate::wat::{json, json_that_prints, json_with};

const ECHO: &str = "(call $ok (local.get $event) (local.get $event-len))";

#[tokio::test]
async fn the_event_arrives_and_the_reply_leaves_byte_for_byte() {
    let house = House::new();
    let echo = house.load(json("echo", ECHO));
    assert_eq!(echo.kind(), FunctionKind::LambdaJson);
    assert_eq!((echo.name(), echo.version(), echo.sha256().len()), ("orders", "$LATEST", 64));
    let long = "𝄞 ü € \\u0000 ".repeat(20_000);
    for event in ["", "{}", "\"grüße €𝄞\u{0}\u{7f}\"", &long] {
        assert_eq!(text(call(&echo, "r", event).await), event);
    }
    assert_eq!(house.metric(r#"wasmill_function_invocations_total{function="orders",kind="success"}"#), 4.0);
    assert_eq!(house.metric(r#"wasmill_function_duration_seconds_count{function="orders"}"#), 4.0);
    assert_eq!(house.metric(r#"wasmill_function_running{function="orders"}"#), 0.0);
    assert!(house.metric(r#"wasmill_function_memory_peak_bytes_sum{function="orders"}"#) >= 4.0 * 65536.0);
}

fn record(message_id: &str, body: String) -> Record {
    Record {
        message_id: message_id.into(),
        receipt_handle: "h".repeat(200).into(),
        body,
        attributes: vec![],
        message_attributes: vec![],
        md5_of_message_attributes: None,
        md5_of_body: "x".into(),
        event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders".into(),
        aws_region: "us-east-1".into(),
    }
}

fn batch(records: Vec<Record>, windowed: bool) -> Invocation {
    let payload = Payload::Batch { records: records.into(), windowed };
    Invocation { request_id: "r".into(), payload, trace_id: None, trace: None, account: Account::default() }
}

#[tokio::test]
async fn a_batch_becomes_lambdas_event() {
    let house = House::new();
    let mut echo = house.load(json("echo", ECHO));
    let records = vec![record("m-1", "{\"n\":1}".into())];
    let expected = wasmill_event::lambda_event(&records, true);
    assert_eq!(text(echo.call(batch(records, true)).await), expected);
}

/// Each growth is a system call, and the next use of the place another: what `handlers/.cargo/config.toml` gives a handler to begin with
/// is to last for Lambda's usual batch.
#[tokio::test]
async fn a_rust_handler_takes_a_batch_of_ten_without_more_memory() {
    let house = House::new();
    let orders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../handlers/prebuilt/orders.wasm");
    let component = Component::from_file(&Engine::default(), &orders).unwrap();
    let given_pages = component.resources_required().unwrap().max_initial_memory_size.unwrap();
    let given = given_pages as f64 * 65536.0;
    let mut orders = house.load(Code::File(orders));
    let mut peaks = Vec::new();
    for count in [10, 1_000] {
        let order = |n: usize| format!(r#"{{"id":"o-{n}","sku":"{}","quantity":2}}"#, "tea".repeat(80));
        let records = (0..count).map(|n| record(&format!("059f36b4-87a3-44ab-83d2-{n:012}"), order(n))).collect();
        assert_eq!(text(orders.call(batch(records, false)).await), r#"{"batchItemFailures":[]}"#);
        peaks.push(house.metric(r#"wasmill_function_memory_peak_bytes_sum{function="orders"}"#));
    }
    assert_eq!(peaks[0], given, "a batch of ten needs more");
    assert!(peaks[1] - peaks[0] > given, "a thousand fit as well: this test cannot fail");
}

#[tokio::test]
async fn the_context_is_complete_and_its_deadline_is_the_timeout_from_now() {
    let house = House::new();
    let body = "
      (call $put (local.get $request-id) (local.get $request-id-len))
      (call $put (local.get $name) (local.get $name-len))
      (call $put (local.get $version) (local.get $version-len))
      (call $put (local.get $arn) (local.get $arn-len))
      (call $put (local.get $trace-id) (local.get $trace-id-len))
      (call $put-number (i64.extend_i32_u (local.get $traced)))
      (call $put-number (i64.extend_i32_u (local.get $memory-mb)))
      (call $put-number (local.get $deadline-ms))
      (call $ok (i32.const 8192) (global.get $collected))";
    let mut function = house.load(json("context", body));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let reply = text(call(&function, "r-77", "{}").await);
    let parts: Vec<&str> = reply.split('|').collect();
    assert_eq!(
        parts[..7],
        [
            "r-77",
            "orders",
            "$LATEST",
            "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "Root=1-67891233-abcdef012345678912345678",
            "1",
            "16"
        ]
    );
    let deadline_ms: u128 = parts[7].parse().unwrap();
    assert!((before + 3000..before + 3500).contains(&deadline_ms), "{deadline_ms} is not 3 s after {before}");

    let untraced = Invocation { trace_id: None, ..invocation("r", "{}") };
    let reply = text(function.call(untraced).await);
    assert_eq!(reply.split('|').nth(5), Some("0"), "{reply}");
}

#[tokio::test]
async fn an_err_is_the_handlers_fault_with_its_text() {
    let house = House::new();
    let function = house.load(json("err", "(call $err (local.get $event) (local.get $event-len))"));
    let fault = call(&function, "r", r#"{"errorType":"ValueError","errorMessage":"nö"}"#).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Handler);
    assert_eq!(fault.message, r#"{"errorType":"ValueError","errorMessage":"nö"}"#);
    assert_eq!(house.metric(r#"wasmill_function_invocations_total{function="orders",kind="handler_error"}"#), 1.0);
}

#[tokio::test]
async fn a_trap_names_its_reason_and_the_guests_functions_and_the_next_call_is_fine() {
    let house = House::new();
    // Recursive, so that inlining does not make one function of it all.
    let functions = r#"
      (func $orders::charge (param $times i32)
        (if (i32.eqz (local.get $times)) (then unreachable))
        (call $orders::charge (i32.sub (local.get $times) (i32.const 1))))"#;
    let body = "(if (local.get $event-len) (then (call $orders::charge (i32.const 2))))
                (call $ok (local.get $event) (local.get $event-len))";
    let function = house.load(json_with("trap", functions, body));
    let fault = call(&function, "r", "x").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    let frames = fault.message.strip_prefix("wasm trap: wasm `unreachable` instruction executed; in ").unwrap();
    assert!(frames.starts_with("orders::charge < ") && frames.ends_with(" < handle"), "{fault}");
    assert!(!fault.message.contains('\n') && !fault.message.contains("wasmtime"), "{fault}");

    // What is told of it has every function a line, and which code it was.
    let asked = invocation("r", "x");
    let account = asked.account.clone();
    function.clone().call(asked).await.unwrap_err();
    let told = account.take();
    let frames: Vec<&str> = told.backtrace.lines().collect();
    assert_eq!((frames[0], frames.last()), ("orders::charge", Some(&"handle")));
    let code = told.code.unwrap();
    assert_eq!((code.version.as_str(), code.sha256.as_str()), ("$LATEST", function.sha256()));
    assert_eq!(text(call(&function, "r", "").await), "");
}

#[tokio::test]
async fn stack_overflow_and_wild_access_are_traps() {
    let house = House::new();
    let deep = "(func $down (param $n i32) (result i32)
                  (i32.add (call $down (i32.add (local.get $n) (i32.const 1))) (i32.load (i32.const 0))))";
    let function = house.load(json_with("deep", deep, "(call $down (i32.const 0))"));
    let fault = call(&function, "r", "x").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("call stack exhausted"), "{fault}");
    let function = house.load(json("wild", "(i32.load (i32.const 0x7fffffff))"));
    let fault = call(&function, "r", "x").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("out of bounds memory access"), "{fault}");
}

#[tokio::test]
async fn every_invocation_begins_with_fresh_memory() {
    let house = House::new();
    let body = "(i32.store8 (i32.const 512) (i32.add (i32.load8_u (i32.const 512)) (i32.const 1)))
                (call $put-number (i64.load8_u (i32.const 512)))
                (call $ok (i32.const 8192) (global.get $collected))";
    let function = house.load(json("count", body));
    for _ in 0..20 {
        assert_eq!(text(call(&function, "r", "").await), "1|");
    }
}

#[tokio::test]
async fn both_streams_are_log_lines_with_their_fields_in_the_order_written() {
    let house = House::new();
    let data = r"one\ntw\c3\bc\n\ff\nrestoh\n";
    let body = "(local $out i32) (local $err i32)
      (local.set $out (call $get-stdout)) (local.set $err (call $get-stderr))
      (call $print (local.get $out) (i32.const 1024) (i32.const 6))
      (call $print (local.get $err) (i32.const 1039) (i32.const 3))
      (call $print (local.get $out) (i32.const 1030) (i32.const 3))
      (call $print (local.get $out) (i32.const 1033) (i32.const 6))
      (call $ok (local.get $event) (local.get $event-len))";
    let function = house.load(json_that_prints("prints", data, body));
    let asked = invocation("prints-1", "{}");
    let account = asked.account.clone();
    assert_eq!(text(function.clone().call(asked).await), "{}");
    assert_eq!(account.take().log_tail, "one\noh\ntwü\n\u{fffd}\nrest");
    let lines = said("prints-1");
    let heard: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["stream"].as_str(), line["message"].as_str())).collect();
    assert_eq!(
        heard,
        [("stdout", "one"), ("stderr", "oh"), ("stdout", "twü"), ("stdout", "\u{fffd}"), ("stdout", "rest")],
        "{lines:?}"
    );
    for line in &lines {
        assert_eq!(line["target"], "wasmill::handler");
        assert_eq!(line["level"], "INFO");
        assert_eq!((line["function"].as_str(), line["version"].as_str()), ("orders", "$LATEST"));
    }
}
