//! Time, memory, output and number: every bound holds, and none of them hurts a neighbour.

use std::time::{Duration, Instant};

use tower::Service;
use wasmill_event::FaultKind;
use wasmill_sandbox::{EngineConfig, EngineError, FunctionSpec, Limits, LoadError};

use crate::support::{House, call, eventually, invocation, said, spec, text};
use crate::wat::{command_module, json, json_that_prints};

const SPIN: &str = "(loop $forever (br $forever)) unreachable";
const ECHO: &str = "(call $ok (local.get $event) (local.get $event-len))";

fn one_thread() -> House {
    House::with(EngineConfig { guest_threads: 1, ..EngineConfig::default() })
}

#[tokio::test]
async fn a_guest_that_never_returns_is_stopped_and_its_neighbour_runs_meanwhile() {
    let house = one_thread();
    let timeout = Duration::from_millis(800);
    let spin = house.sandbox.load(FunctionSpec { timeout, ..spec(json("spin", SPIN)) }).unwrap();
    let echo = house.load(json("echo", ECHO));
    let started = Instant::now();
    let spinning = tokio::spawn(async move { call(&spin, "spin-1", "{}").await });
    eventually("the guest spins", || house.metric(r#"wasmill_function_running{function="orders"}"#) == 1.0).await;
    // One after the other: each has to get its turn on the one thread.
    for _ in 0..10 {
        assert_eq!(text(call(&echo, "echo-1", "hi").await), "hi");
    }
    assert!(!spinning.is_finished(), "the neighbour ran only after the spinning guest had ended");
    let fault = spinning.await.unwrap().unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Timeout, "timed out after 0.80 seconds"));
    let took = started.elapsed();
    assert!(took >= timeout && took < Duration::from_millis(2000), "took {took:?}");
    assert_eq!(house.metric(r#"wasmill_function_invocations_total{function="orders",kind="timeout"}"#), 1.0);
}

#[tokio::test]
async fn many_spinning_guests_on_one_thread_all_end_in_time() {
    let house = one_thread();
    let timeout = Duration::from_millis(300);
    let spin = house.sandbox.load(FunctionSpec { timeout, ..spec(json("spin", SPIN)) }).unwrap();
    let started = Instant::now();
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let spin = spin.clone();
            tokio::spawn(async move { call(&spin, "spin-2", "{}").await })
        })
        .collect();
    for ended in calls {
        assert_eq!(ended.await.unwrap().unwrap_err().kind, FaultKind::Timeout);
    }
    // Six guests in turn, a tick each, so the last one hears of its end a few rounds late at most.
    assert!(started.elapsed() < Duration::from_millis(1500), "took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_guest_that_sleeps_is_stopped_in_time_too() {
    let house = one_thread();
    // One clock subscription: monotonic, relative, of 60 s.
    let sleep = r#"
      (i32.store8 (i32.const 208) (i32.const 0))
      (i32.store (i32.const 216) (i32.const 1))
      (i64.store (i32.const 224) (i64.const 60000000000))
      (if (call $poll (i32.const 200) (i32.const 300) (i32.const 1) (i32.const 400)) (then unreachable))"#;
    let code = crate::wat::module(
        "sleep",
        &format!(
            r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
               (memory (export "memory") 1)
               (func (export "_start") {sleep})"#
        ),
    );
    let timeout = Duration::from_millis(200);
    let sleeper = house.sandbox.load(FunctionSpec { timeout, ..spec(code) }).unwrap();
    let started = Instant::now();
    let fault = call(&sleeper, "sleep", "{}").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
}

#[tokio::test]
async fn an_invocation_nobody_waits_for_is_stopped() {
    let house = one_thread();
    let timeout = Duration::from_secs(60);
    let spin = house.sandbox.load(FunctionSpec { timeout, ..spec(json("spin", SPIN)) }).unwrap();
    let running = || house.metric(r#"wasmill_function_running{function="orders"}"#);
    let waiting = tokio::spawn(spin.clone().call(invocation("given-up", "{}")));
    eventually("the guest runs", || running() == 1.0).await;
    waiting.abort();
    eventually("the guest is gone", || running() == 0.0).await;
    assert_eq!(house.metric(r#"wasmill_function_invocations_total{function="orders",kind="cancelled"}"#), 1.0);
}

#[tokio::test]
async fn beyond_the_ceiling_callers_wait_for_a_slot() {
    let house = House::with(EngineConfig { max_instances: 1, guest_threads: 2, ..EngineConfig::default() });
    let timeout = Duration::from_secs(1);
    let spin = house.sandbox.load(FunctionSpec { timeout, ..spec(json("spin", SPIN)) }).unwrap();
    let echo = house.load(json("echo", ECHO));
    let spinning = tokio::spawn(async move { call(&spin, "spin-3", "{}").await });
    eventually("the slot is taken", || house.metric(r#"wasmill_function_running{function="orders"}"#) == 1.0).await;
    let asked = Instant::now();
    assert_eq!(text(call(&echo, "echo-3", "hi").await), "hi");
    assert!(asked.elapsed() > Duration::from_millis(500), "there was a second slot: {:?}", asked.elapsed());
    assert_eq!(spinning.await.unwrap().unwrap_err().kind, FaultKind::Timeout);
    // The slot comes back every time, also from calls that ended badly.
    for _ in 0..50 {
        assert_eq!(text(call(&echo, "echo-3", "hi").await), "hi");
    }
}

#[tokio::test]
async fn a_guest_that_dies_of_refused_memory_is_out_of_memory() {
    let house = House::new();
    let eat = "(loop $more
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more))
        unreachable";
    let function = house.load(json("eat", eat));
    let fault = call(&function, "r", "{}").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::OutOfMemory, "{fault}");
    assert!(fault.message.starts_with("wanted 17 MiB of memory and may have 16 MiB, then: wasm trap"), "{fault}");
    let peak = house.metric(r#"wasmill_function_memory_peak_bytes_sum{function="orders"}"#);
    assert!(peak > 14.0 * 1_048_576.0 && peak <= 16.0 * 1_048_576.0, "{peak}");
}

#[tokio::test]
async fn a_refusal_that_the_guest_survives_is_no_fault() {
    let house = House::new();
    let body = format!("(drop (memory.grow (i32.const 4096))) {ECHO}");
    let function = house.load(json("survive", &body));
    assert_eq!(text(call(&function, "r", "still here").await), "still here");
}

#[tokio::test]
async fn a_reply_may_be_as_long_as_the_limit_and_no_longer() {
    let house = House::new();
    let limits = Limits { reply_bytes: 1000, ..Limits::default() };
    let echo = house.sandbox.load(FunctionSpec { limits, ..spec(json("echo", ECHO)) }).unwrap();
    assert_eq!(text(call(&echo, "r", &"x".repeat(1000)).await).len(), 1000);
    // The second one is more than the host takes over in one call at all.
    for len in [1001, 6 << 20] {
        let fault = call(&echo, "r", &"x".repeat(len)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::ReplyTooLarge, "{fault}");
        assert_eq!(fault.message, "the response is longer than the 1000 bytes that the function may answer");
    }
    let shout = command_module(
        "shout",
        "",
        "(loop $more (call $say (i32.const 1) (i32.const 1024) (i32.const 100)) (br $more))",
    );
    let shout = house.sandbox.load(FunctionSpec { limits, ..spec(shout) }).unwrap();
    let fault = call(&shout, "r", "").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::ReplyTooLarge, "{fault}");
}

#[tokio::test]
async fn output_beyond_the_limit_is_dropped_said_once_and_does_not_hurt_the_guest() {
    let house = House::new();
    let flood = "(local $out i32) (local $left i32)
      (local.set $out (call $get-stdout))
      (local.set $left (i32.const 1000))
      (loop $more
        (call $print (local.get $out) (i32.const 1024) (i32.const 10))
        (if (i32.load8_u (i32.const 64)) (then unreachable))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left)))
      (call $ok (local.get $event) (local.get $event-len))";
    let limits = Limits { log_bytes: 105, ..Limits::default() };
    let code = json_that_prints("flood", r"123456789\n", flood);
    let function = house.sandbox.load(FunctionSpec { limits, ..spec(code) }).unwrap();
    assert_eq!(text(call(&function, "flood-1", "fine").await), "fine");
    let lines = said("flood-1");
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str()).collect();
    assert_eq!(messages.len(), 12, "{messages:?}");
    assert_eq!(messages[..11], [["123456789"; 10].as_slice(), &["12345"]].concat());
    assert_eq!(messages[11], "9895 bytes of output dropped: an invocation may log 105 bytes");
    assert_eq!(house.metric(r#"wasmill_function_output_dropped_bytes_total{function="orders"}"#), 9895.0);
}

#[tokio::test]
async fn lines_come_while_the_guest_runs_and_the_last_one_even_when_it_is_stopped() {
    let house = House::new();
    let body = "(call $print (call $get-stdout) (i32.const 1024) (i32.const 13))
                (loop $forever (br $forever)) unreachable";
    let timeout = Duration::from_millis(500);
    let code = json_that_prints("talk", r"begun\nhalf-wa", body);
    let function = house.sandbox.load(FunctionSpec { timeout, ..spec(code) }).unwrap();
    let running = tokio::spawn(async move { call(&function, "talk-1", "{}").await });
    eventually("the first line is logged", || said("talk-1").len() == 1).await;
    assert!(!running.is_finished());
    assert_eq!(running.await.unwrap().unwrap_err().kind, FaultKind::Timeout);
    let lines = said("talk-1");
    assert_eq!(lines.iter().map(|line| line["message"].as_str()).collect::<Vec<_>>(), ["begun", "half-wa"]);
}

#[tokio::test]
async fn a_sandbox_may_be_dropped_in_async_code_while_a_guest_spins() {
    let house = one_thread();
    let timeout = Duration::from_secs(60);
    let spin = house.sandbox.load(FunctionSpec { timeout, ..spec(json("spin", SPIN)) }).unwrap();
    let waiting = tokio::spawn(spin.clone().call(invocation("dropped", "{}")));
    eventually("the guest runs", || house.metric(r#"wasmill_function_running{function="orders"}"#) == 1.0).await;
    let House { sandbox, .. } = house;
    drop(sandbox);
    drop(spin);
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
}

#[test]
fn ceilings_and_bounds_that_cannot_be_are_refused_by_name() {
    let metrics = || wasmill_sandbox::Metrics::new(&prometheus::Registry::new()).unwrap();
    let config = EngineConfig { max_instances: 0, ..EngineConfig::default() };
    let refused = wasmill_sandbox::Sandbox::new(config, metrics());
    assert!(matches!(refused, Err(EngineError::Setting { setting: "max_instances", value: 0, .. })), "{refused:?}");

    let house = House::with(EngineConfig { max_memory_mib: 64, ..EngineConfig::default() });
    let too_large = FunctionSpec { memory_mib: 65, ..spec(json("echo", ECHO)) };
    let error = house.sandbox.load(too_large).unwrap_err();
    assert_eq!(error.to_string(), "echo.wasm: memory_size in MiB is 65: it must be between 1 and 64");
    let timeless = FunctionSpec { timeout: Duration::ZERO, ..spec(json("echo", ECHO)) };
    assert!(matches!(house.sandbox.load(timeless), Err(LoadError::Setting { .. })));
}
