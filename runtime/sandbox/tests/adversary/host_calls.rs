//! Guests that use what they are given of the host without measure: clocks, randomness, pollables, sockets, headers.

use wasmill_event::{Fault, FaultKind, Reply};
use wasmill_sandbox::Code;

use crate::stage::{Stage, Toll, Turn};
use crate::wat::json_importing;

/// Clocks, polling, randomness, sockets and headers, lowered to core functions in instance `$wasi`. What they give comes to lie at
/// 1 MiB, whatever its length.
const IMPORTS: &str = r#"
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $p-type))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $p-type (type $p'))
    (export "pollable" (type $p (eq $p')))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (import "wasi:sockets/network@0.2.0" (instance $network
    (type $code' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
      "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type $code (eq $code')))
    (type $family' (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type $family (eq $family')))))
  (alias export $network "error-code" (type $code-type))
  (alias export $network "ip-address-family" (type $family-type))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-type))
  (import "wasi:sockets/udp@0.2.0" (instance $udp (export "udp-socket" (type (sub resource)))))
  (alias export $udp "udp-socket" (type $udp-type))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $tcp-create
    (alias outer 1 $code-type (type $code')) (export "error-code" (type $code (eq $code')))
    (alias outer 1 $family-type (type $family')) (export "ip-address-family" (type $family (eq $family')))
    (alias outer 1 $tcp-type (type $tcp')) (export "tcp-socket" (type $tcp (eq $tcp')))
    (export "create-tcp-socket" (func (param "address-family" $family) (result (result (own $tcp) (error $code)))))))
  (import "wasi:sockets/udp-create-socket@0.2.0" (instance $udp-create
    (alias outer 1 $code-type (type $code')) (export "error-code" (type $code (eq $code')))
    (alias outer 1 $family-type (type $family')) (export "ip-address-family" (type $family (eq $family')))
    (alias outer 1 $udp-type (type $udp')) (export "udp-socket" (type $udp (eq $udp')))
    (export "create-udp-socket" (func (param "address-family" $family) (result (result (own $udp) (error $code)))))))
  (import "wasi:http/types@0.2.0" (instance $http
    (export "fields" (type $fields (sub resource)))
    (type $header-error' (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error')))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string)
      (param "value" (list u8)) (result (result (error $header-error)))))))
  (core module $fixed
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1048576)))
  (core instance $fixed (instantiate $fixed))
  (alias export $poll "poll" (func $f-poll))
  (alias export $clock "now" (func $f-now))
  (alias export $clock "subscribe-duration" (func $f-subscribe))
  (alias export $random "get-random-bytes" (func $f-random))
  (alias export $tcp-create "create-tcp-socket" (func $f-tcp))
  (alias export $udp-create "create-udp-socket" (func $f-udp))
  (alias export $http "[constructor]fields" (func $f-fields))
  (alias export $http "[method]fields.append" (func $f-append))
  (core func $c-poll (canon lower (func $f-poll)
    (memory (core memory $libc "memory")) (realloc (core func $fixed "realloc"))))
  (core func $c-now (canon lower (func $f-now)))
  (core func $c-subscribe (canon lower (func $f-subscribe)))
  (core func $c-random (canon lower (func $f-random)
    (memory (core memory $libc "memory")) (realloc (core func $fixed "realloc"))))
  (core func $c-tcp (canon lower (func $f-tcp) (memory (core memory $libc "memory"))))
  (core func $c-udp (canon lower (func $f-udp) (memory (core memory $libc "memory"))))
  (core func $c-fields (canon lower (func $f-fields)))
  (core func $c-append (canon lower (func $f-append) (memory (core memory $libc "memory"))))
  (core instance $wasi
    (export "poll" (func $c-poll)) (export "now" (func $c-now)) (export "subscribe" (func $c-subscribe))
    (export "random" (func $c-random)) (export "tcp" (func $c-tcp)) (export "udp" (func $c-udp))
    (export "fields" (func $c-fields)) (export "append" (func $c-append)))
"#;

const CORE_IMPORTS: &str = r#"
    (import "wasi" "poll" (func $poll (param i32 i32 i32)))
    (import "wasi" "now" (func $now (result i64)))
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "random" (func $random (param i64 i32)))
    (import "wasi" "tcp" (func $tcp (param i32 i32)))
    (import "wasi" "udp" (func $udp (param i32 i32)))
    (import "wasi" "fields" (func $fields (result i32)))
    (import "wasi" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
"#;

/// A guest with all its memory from the beginning, that does `body` for ever.
fn again_and_again(name: &str, body: &str) -> Code {
    let body = format!(
        "(local $handle i32) (local $count i32) (drop (memory.grow (i32.const 250))) (loop $more {body} (br $more)) unreachable"
    );
    json_importing(name, IMPORTS, CORE_IMPORTS, "", &body)
}

async fn attack(turn: &Turn, name: &str, body: &str) -> (Vec<Result<Reply, Fault>>, Toll) {
    Stage::new(turn).attack(name, again_and_again("abuse", body)).await
}

/// Expects each copy to run out of time.
async fn runs_out_of_time(turn: &Turn, name: &str, body: &str) {
    let (ended, toll) = attack(turn, name, body).await;
    for answer in ended {
        assert_eq!(answer.unwrap_err().kind, FaultKind::Timeout, "{name}");
    }
    toll.is_bearable();
    toll.neighbour_was_heard();
}

/// Expects each copy to be stopped by a trap whose message says why.
async fn is_stopped(turn: &Turn, name: &str, body: &str, why: &str) {
    let (ended, toll) = attack(turn, name, body).await;
    for answer in ended {
        let fault = answer.unwrap_err();
        assert!(fault.kind == FaultKind::Trap && fault.message.contains(why), "{name}: {fault}");
    }
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_calls_in_a_tight_loop_give_way_as_any_loop_does() {
    let turn = &Turn::take();
    runs_out_of_time(turn, "asking for the time", "(drop (call $now))").await;
    runs_out_of_time(turn, "64 KiB of randomness", "(call $random (i64.const 65536) (i32.const 64))").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_of_randomness_is_refused() {
    let turn = &Turn::take();
    is_stopped(turn, "a GiB of randomness", "(call $random (i64.const 1073741824) (i32.const 64))", "exceeds limit")
        .await;
    is_stopped(turn, "64 MiB of randomness", "(call $random (i64.const 67108864) (i32.const 64))", "exceeds limit")
        .await;
    runs_out_of_time(turn, "1 MiB of randomness", "(call $random (i64.const 1048576) (i32.const 64))").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_for_ever_ends_with_the_timeout() {
    let turn = &Turn::take();
    let body = "(i32.store (i32.const 64) (call $subscribe (i64.const -1)))
      (call $poll (i32.const 64) (i32.const 1) (i32.const 128))";
    runs_out_of_time(turn, "sleeping for ever", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_are_never_dropped_end_at_the_table_of_resources() {
    let turn = &Turn::take();
    is_stopped(turn, "subscriptions", "(drop (call $subscribe (i64.const 1000000000000)))", "table has no free keys")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_hundreds_of_timers_at_a_time_does_not_keep_a_thread() {
    let turn = &Turn::take();
    let body = "(if (i32.lt_u (local.get $count) (i32.const 400))
        (then
          (i32.store (i32.add (i32.const 65536) (i32.mul (local.get $count) (i32.const 4)))
            (call $subscribe (select (i64.const 0) (i64.const 1000000000000) (i32.eqz (local.get $count)))))
          (local.set $count (i32.add (local.get $count) (i32.const 1))))
        (else (call $poll (i32.const 65536) (i32.const 400) (i32.const 128))))";
    runs_out_of_time(turn, "polling 400 timers", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_millions_is_refused_before_it_is_taken_over() {
    let turn = &Turn::take();
    // The same pollable 3 000 000 times.
    let body = "(local.set $handle (call $subscribe (i64.const 0)))
      (local.set $count (i32.const 0))
      (loop $fill
        (i32.store (i32.add (i32.const 2097152) (i32.mul (local.get $count) (i32.const 4))) (local.get $handle))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br_if $fill (i32.lt_u (local.get $count) (i32.const 3000000))))
      (call $poll (i32.const 2097152) (i32.const 3000000) (i32.const 128))";
    let (ended, toll) = attack(turn, "polling 3 000 000 handles", body).await;
    for answer in ended {
        assert_ne!(answer.unwrap_err().kind, FaultKind::Timeout);
    }
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_not_even_made() {
    let turn = &Turn::take();
    // Two calls, an answer each; then it spins, so that what it has would stay open.
    let body = "(call $tcp (i32.const 0) (i32.const 64))
      (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
      (call $udp (i32.const 0) (i32.const 64))
      (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))";
    runs_out_of_time(turn, "sockets", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_nobody_sends_are_bounded_in_length_and_number() {
    let turn = &Turn::take();
    // Header names of one letter, values of 8 KiB of letters, as many as will fit, in as many lists as may be.
    let body = "(if (i32.eqz (local.get $count))
        (then
          (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 8192))
          (local.set $handle (call $fields))))
      (call $append (local.get $handle) (i32.const 65536) (i32.const 1) (i32.const 65536) (i32.const 7000) (i32.const 64))
      (local.set $count (i32.rem_u (i32.add (local.get $count) (i32.const 1)) (i32.const 4)))";
    let stage = Stage::new(turn);
    for round in ["hoards of headers", "hoards of headers, again"] {
        let (ended, toll) = stage.attack(round, again_and_again("abuse", body)).await;
        for answer in ended {
            assert_eq!(answer.unwrap_err().kind, FaultKind::Trap);
        }
        // The allocator keeps thousands of small pieces at hand, once: the second round takes them again.
        if round.ends_with("again") { toll.is_bearable() } else { toll.is_bearable_while_it_lasts() }
    }
    drop(stage);
    let long = "(drop (memory.grow (i32.const 0)))
      (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 8192))
      (if (i32.eqz (local.get $handle)) (then (local.set $handle (call $fields))))
      (call $append (local.get $handle) (i32.const 65536) (i32.const 1) (i32.const 65536) (i32.const 8000) (i32.const 64))";
    is_stopped(turn, "one endless list of headers", long, "size").await;
}
