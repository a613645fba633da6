//! Brief functions are called where their caller stands, and only as long as they are brief.

use std::time::{Duration, Instant};

use wasmill_event::FaultKind;
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec};

use crate::support::{House, call, eventually, spec, text};
use crate::wat::json;

/// Answers at once; never, if the event begins with s(pin).
fn sleeper() -> Code {
    json(
        "sleeper",
        "(if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x73)) (then (loop $again (br $again))))
         (call $ok (local.get $event) (local.get $event-len))",
    )
}

/// Where there is one thread for guests, and a function with so much time.
fn load(house: &House, timeout: Duration) -> Function {
    house.sandbox.load(FunctionSpec { timeout, ..spec(sleeper()) }).unwrap()
}

fn one_guest_thread() -> House {
    House::with(EngineConfig { guest_threads: 1, ..EngineConfig::default() })
}

async fn is_brief_for_a_while(function: &Function) {
    for _ in 0..200 {
        assert_eq!(text(call(function, "r", "n").await), "n");
    }
}

#[tokio::test]
async fn a_brief_function_does_not_wait_for_the_threads_of_guests() {
    let house = one_guest_thread();
    let function = load(&house, Duration::from_secs(3));
    is_brief_for_a_while(&function).await;
    let busy = load(&house, Duration::from_secs(3));
    let spinning = tokio::spawn(async move { call(&busy, "r", "spin").await });
    eventually("the guest spins", || house.metric(r#"wasmill_function_running{function="orders"}"#) == 1.0).await;

    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(text(call(&function, "r", "n").await), "n");
    }
    // Each would take a tick of ten milliseconds where the other spins.
    assert!(started.elapsed() < Duration::from_millis(500), "{:?} for a hundred calls", started.elapsed());
    assert!(!spinning.is_finished());
    spinning.abort();
}

#[tokio::test]
async fn a_function_that_is_brief_no_more_leaves_its_callers_thread() {
    let house = one_guest_thread();
    let function = load(&house, Duration::from_secs(1));
    is_brief_for_a_while(&function).await;

    let spinning = tokio::spawn(async move { call(&function, "r", "spin").await });
    let mut steps = 0;
    while !spinning.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        steps += 1;
    }
    assert_eq!(spinning.await.unwrap().unwrap_err().kind, FaultKind::Timeout);
    // Beside a guest that gives way every ten milliseconds there would be a hundred.
    assert!(steps > 200, "its caller's thread took {steps} steps in a second");
}
