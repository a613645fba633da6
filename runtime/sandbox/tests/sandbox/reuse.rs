//! Instances that are kept warm: what they keep, what ends them, and that they make room.

use std::time::Duration;

use wasmill_event::FaultKind;
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, Reuse};

use crate::support::{House, call, reported, spec, text};
use crate::wat::{json, json_async_echo};

/// Counts its calls in its memory; the event's first byte says what else: t(rap), s(pin), m(emory beyond its cap), e(rror).
fn counter() -> Code {
    json(
        "count",
        "(i32.store8 (i32.const 512) (i32.add (i32.load8_u (i32.const 512)) (i32.const 1)))
         (global.set $collected (i32.const 0))
         (call $put-number (i64.load8_u (i32.const 512)))
         (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x74)) (then unreachable))
         (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x73)) (then (loop $again (br $again))))
         (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x6d)) (then (drop (memory.grow (i32.const 10000)))))
         (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x67)) (then (drop (memory.grow (i32.const 200)))))
         (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x65))
           (then (return (call $err (i32.const 8192) (global.get $collected)))))
         (call $ok (i32.const 8192) (global.get $collected))",
    )
}

fn warm(house: &House, reuse: Reuse) -> Function {
    let timeout = Duration::from_millis(300);
    house.sandbox.load(FunctionSpec { reuse: Some(reuse), timeout, ..spec(counter()) }).unwrap()
}

#[tokio::test]
async fn a_warm_instance_keeps_its_memory_and_is_counted_as_warm() {
    let house = House::new();
    let function = warm(&house, Reuse::default());
    for count in 1..=3 {
        assert_eq!(text(call(&function, "r", "n").await), format!("{count}|"));
    }
    let starts =
        |start: &str| house.metric(&format!("wasmill_function_starts_total{{function=\"orders\",start=\"{start}\"}}"));
    assert_eq!((starts("cold"), starts("warm")), (1.0, 2.0));
}

#[tokio::test]
async fn functions_of_the_same_code_share_nothing_that_it_writes() {
    let house = House::new();
    let [one, other] = [(); 2].map(|()| warm(&house, Reuse::default()));
    assert_eq!(house.metric("wasmill_function_loads_total{function=\"orders\",kind=\"cached\"}"), 1.0);
    for count in 1..=3 {
        assert_eq!(text(call(&one, "r", "n").await), format!("{count}|"));
    }
    assert_eq!(text(call(&other, "r", "n").await), "1|");
    assert_eq!(text(call(&one, "r", "n").await), "4|");
}

#[tokio::test]
async fn calls_that_wait_for_a_thread_share_the_instance_that_is_there() {
    let house = House::with(EngineConfig { guest_threads: 1, ..EngineConfig::default() });
    let function = warm(&house, Reuse::default());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let function = function.clone();
            tokio::spawn(async move { text(call(&function, "r", "n").await) })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let cold = house.metric("wasmill_function_starts_total{function=\"orders\",start=\"cold\"}");
    // One, and another for each tick that fell into a call.
    assert!(cold <= 4.0, "{cold} instances for twenty calls");
}

#[tokio::test]
async fn a_handlers_own_error_leaves_its_instance_warm_as_on_lambda() {
    let house = House::new();
    let function = warm(&house, Reuse::default());
    assert_eq!(call(&function, "r", "error").await.unwrap_err().message, "1|");
    assert_eq!(text(call(&function, "r", "n").await), "2|");
}

#[tokio::test]
async fn after_a_trap_a_timeout_or_a_denial_of_memory_the_next_instance_is_fresh() {
    let house = House::new();
    let function = warm(&house, Reuse::default());
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    assert_eq!(call(&function, "r", "trap").await.unwrap_err().kind, FaultKind::Trap);
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    assert_eq!(call(&function, "r", "spin").await.unwrap_err().kind, FaultKind::Timeout);
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    assert_eq!(text(call(&function, "r", "memory").await), "2|", "the guest survived the denial");
    assert_eq!(text(call(&function, "r", "n").await), "1|");
}

#[tokio::test]
async fn calls_age_and_memory_end_an_instance() {
    let house = House::new();
    let function = warm(&house, Reuse { max_invocations: 2, ..Reuse::default() });
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(text(call(&function, "r", "n").await));
    }
    assert_eq!(counts, ["1|", "2|", "1|", "2|"]);
    let function = warm(&house, Reuse { max_age: Duration::from_millis(50), ..Reuse::default() });
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    // 200 pages of 64 KiB are more than three quarters of 16 MiB.
    let function = warm(&house, Reuse::default());
    assert_eq!(text(call(&function, "r", "grow").await), "1|");
    assert_eq!(text(call(&function, "r", "n").await), "1|");
}

#[tokio::test]
async fn what_nobody_needs_gives_its_place_back() {
    let house = House::new();
    let before = format!("{:?}", house.sandbox);
    let function = warm(&house, Reuse { max_idle: Duration::from_millis(200), ..Reuse::default() });
    assert_eq!(text(call(&function, "r", "n").await), "1|");
    assert_ne!(format!("{:?}", house.sandbox), before, "it rests in its place");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if format!("{:?}", house.sandbox) == before {
            return;
        }
    }
    panic!("it still has its place: {:?}", house.sandbox);
}

#[tokio::test]
async fn resting_instances_make_room_for_other_functions() {
    let house = House::with(EngineConfig { max_instances: 1, ..EngineConfig::default() });
    let resting = warm(&house, Reuse::default());
    assert_eq!(text(call(&resting, "r", "n").await), "1|");
    let other = house.load(counter());
    assert_eq!(text(call(&other, "r", "n").await), "1|");
    assert_eq!(text(call(&resting, "r", "n").await), "1|");
}

#[tokio::test]
async fn an_asynchronous_guest_is_called_again_too() {
    let house = House::new();
    let spec = FunctionSpec { reuse: Some(Reuse::default()), ..spec(json_async_echo("async")) };
    let function = house.sandbox.load(spec).unwrap();
    for event in ["1", "2", "3"] {
        assert_eq!(text(call(&function, "r", event).await), event);
    }
    let warm = house.metric("wasmill_function_starts_total{function=\"orders\",start=\"warm\"}");
    assert_eq!(warm, 2.0);
}

#[tokio::test]
async fn start_end_and_report_are_one_event_each_with_lambdas_facts() {
    let house = House::new();
    let function = warm(&house, Reuse::default());
    for (request_id, start) in [("report-1", "cold"), ("report-2", "warm")] {
        assert_eq!(call(&function, request_id, "n").await.map(|_| ()), Ok(()));
        let events = reported(request_id);
        assert_eq!(
            events.iter().map(|event| event["message"].as_str()).collect::<Vec<_>>(),
            ["START", "END", "REPORT"]
        );
        let report = &events[2];
        let facts = ["function", "version", "memory_size_mb", "memory_peak_mb", "start", "outcome"];
        let facts: Vec<&str> = facts.iter().map(|fact| report[*fact].as_str()).collect();
        assert_eq!(facts, ["orders", "$LATEST", "16", "1", start, "success"]);
        // A warm call of so small a guest may take less than what Lambda's two places show.
        let duration_ms = report["duration_ms"].parse::<f64>().unwrap();
        assert!(duration_ms < 1000.0 && (start == "warm" || duration_ms > 0.0), "{duration_ms}");
    }
}
