//! Guests that take time, memory, tables and stack, in their handler, before it and after it.

use wasmill_event::FaultKind;
use wasmill_sandbox::Code;

use crate::stage::{Stage, Turn};
use crate::wat::{component, json, json_with, module};

const SPIN: &str = "(loop $forever (br $forever)) unreachable";

/// Attacks, and expects each copy to end as it must.
async fn ends_as(turn: &Turn, name: &str, code: Code, kind: FaultKind) {
    let stage = Stage::new(turn);
    let (ended, toll) = stage.attack(name, code).await;
    for answer in ended {
        assert_eq!(answer.unwrap_err().kind, kind, "{name}");
    }
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_never_return_leave_the_neighbour_its_turn() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let (ended, toll) = stage.attack("endless loop", json("spin", SPIN)).await;
    assert!(ended.into_iter().all(|answer| answer.unwrap_err().kind == FaultKind::Timeout));
    toll.is_bearable();
    toll.neighbour_was_heard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growing_to_the_cap_and_asking_for_more_for_ever_costs_the_cap() {
    let turn = &Turn::take();
    // Every page is written to, so that it is really there.
    let eat = "(local $page i32)
      (loop $more
        (local.set $page (memory.grow (i32.const 1)))
        (if (i32.ne (local.get $page) (i32.const -1))
          (then (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1) (i32.const 65536))))
        (drop (memory.grow (i32.const 65535)))
        (br $more))
      unreachable";
    ends_as(turn, "memory, again and again", json("eat", eat), FaultKind::Timeout).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_die_of_memory_one_after_the_other_leave_nothing_behind() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let eat =
        "(memory.fill (i32.mul (memory.grow (i32.const 200)) (i32.const 65536)) (i32.const 1) (i32.const 13000000))
      (drop (memory.grow (i32.const 4096))) unreachable";
    let function = stage.sandbox.load(Stage::spec(json("die", eat))).unwrap();
    let dying = async {
        for _ in 0..100 {
            let fault = crate::stage::call(&function, "{}").await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::OutOfMemory, "{fault}");
        }
    };
    let ((), toll) = stage.during("a hundred deaths of memory", dying).await;
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_grows_to_its_ceiling_and_no_further() {
    let turn = &Turn::take();
    let functions = "(table $t 1 funcref)";
    let grow = "(loop $more (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $more)) unreachable";
    ends_as(turn, "table growth", json_with("tables", functions, grow), FaultKind::Timeout).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursion_without_an_end_is_a_trap_of_the_guest_and_nothing_of_the_hosts() {
    let turn = &Turn::take();
    let deep = r#"(func $deep (param $n i64) (result i64)
        (i64.add (call $deep (i64.add (local.get $n) (i64.const 1))) (call $deep (local.get $n))))"#;
    ends_as(
        turn,
        "deep recursion",
        json_with("deep", deep, "(drop (call $deep (i64.const 0))) unreachable"),
        FaultKind::Trap,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_function_runs_against_the_clock_too() {
    let turn = &Turn::take();
    let spin = r#"(func $init (loop $forever (br $forever))) (start $init) (func (export "_start"))"#;
    ends_as(turn, "start function that spins", module("start-spin", spin), FaultKind::Timeout).await;
    let trap = r#"(func $init unreachable) (start $init) (func (export "_start"))"#;
    ends_as(turn, "start function that traps", module("start-trap", trap), FaultKind::Trap).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allocating_for_the_event_and_tidying_up_afterwards_are_the_guests_time() {
    let turn = &Turn::take();
    let types = r#"(import "wasmill:handler/types@0.1.0" (instance $types
        (type $context' (record
          (field "request-id" string) (field "function-name" string) (field "function-version" string)
          (field "function-arn" string) (field "deadline-ms" u64) (field "memory-limit-mb" u32)
          (field "trace-id" (option string))))
        (export "context" (type (eq $context')))))
      (alias export $types "context" (type $context))"#;
    let handler = |realloc: &str, post_return: &str| {
        format!(
            r#"{types}
            (core module $m
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32) (result i32)
                (i32.const 16))
              (func (export "after") (param i32) {post_return}))
            (core instance $m (instantiate $m))
            (func $handle (param "event" string) (param "ctx" $context) (result (result string (error string)))
              (canon lift (core func $m "handle") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))
                (post-return (core func $m "after"))))
            (export "handle" (func $handle))"#
        )
    };
    let code = component("realloc-spin", &handler("(loop $forever (br $forever)) unreachable", ""));
    ends_as(turn, "realloc that spins", code, FaultKind::Timeout).await;
    let code = component("after-spin", &handler("(i32.const 1024)", "(loop $forever (br $forever))"));
    ends_as(turn, "post-return that spins", code, FaultKind::Timeout).await;
    let code = component("realloc-lies", &handler("(i32.const -8)", ""));
    ends_as(turn, "realloc that lies", code, FaultKind::Trap).await;
}
