//! Guests that say too much: as their response, as their error, into the log, and in the names of their functions.

use std::time::Duration;

use wasmill_event::FaultKind;
use wasmill_sandbox::FunctionSpec;

use crate::stage::{Stage, Turn};
use crate::wat::{command_module, json, json_that_prints, module};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_or_an_error_as_long_as_the_memory_is_refused_before_it_is_copied() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let grow = "(drop (memory.grow (i32.const 220)))";
    for (name, how) in [("huge response", "ok"), ("huge error", "err")] {
        let body = format!("{grow} (call ${how} (i32.const 65536) (i32.const 14000000))");
        let (ended, toll) = stage.attack(name, json(how, &body)).await;
        assert!(ended.into_iter().all(|answer| answer.unwrap_err().kind == FaultKind::ReplyTooLarge), "{name}");
        toll.is_bearable();
    }
    // A length that the memory does not have.
    let (ended, toll) =
        stage.attack("response that lies", json("lie", "(call $ok (i32.const 8) (i32.const -1))")).await;
    assert!(ended.into_iter().all(|answer| answer.is_err()));
    toll.is_bearable();
    // As long as may be, and an error: it is cut to what a message may have.
    let body = format!("{grow} (call $err (i32.const 65536) (i32.const 6000000))");
    let (ended, toll) = stage.attack("long error", json("long", &body)).await;
    for answer in ended {
        let fault = answer.unwrap_err();
        assert!(fault.kind == FaultKind::Handler && fault.message.len() <= 4096, "{}", fault.message.len());
    }
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_writes_its_response_for_ever_is_stopped_at_the_limit() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let shout = "(loop $more (call $say (i32.const 1) (i32.const 1024) (i32.const 65536)) (br $more))";
    let (ended, toll) = stage.attack("endless response", command_module("shout", "x", shout)).await;
    assert!(ended.into_iter().all(|answer| answer.unwrap_err().kind == FaultKind::ReplyTooLarge));
    toll.is_bearable();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_empty_lines_is_as_bounded_as_one_endless_line() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    let print = "(local $out i32) (local.set $out (call $get-stdout))
      (memory.fill (i32.const 4096) (i32.const FILL) (i32.const 4096))
      (loop $more (call $print (local.get $out) (i32.const 4096) (i32.const 4096)) (br $more)) unreachable";
    for (name, fill) in [("one endless line", "120"), ("millions of empty lines", "10")] {
        let code = json_that_prints("flood", "", &print.replace("FILL", fill));
        let (ended, toll) = stage.attack(name, code).await;
        assert!(ended.into_iter().all(|answer| answer.unwrap_err().kind == FaultKind::Timeout));
        toll.is_bearable();
        toll.neighbour_was_heard();
        is_logged_within_bounds(toll.lines, toll.line_bytes);
    }
    // A preview-1 module may hand over a whole buffer at once.
    let shout = "(memory.fill (i32.const 65536) (i32.const 10) (i32.const 131072))
      (loop $more (call $say (i32.const 2) (i32.const 65536) (i32.const 131072)) (br $more))";
    let (ended, toll) = stage.attack("empty lines, preview 1", command_module("p1-flood", "", shout)).await;
    assert!(ended.into_iter().all(|answer| answer.unwrap_err().kind == FaultKind::Timeout));
    toll.is_bearable();
    toll.neighbour_was_heard();
    is_logged_within_bounds(toll.lines, toll.line_bytes);
}

/// What reaches the log of four invocations: a line costs the log some 200 bytes beside its text, so lines are bounded, too.
fn is_logged_within_bounds(lines: u64, bytes: u64) {
    assert!(lines <= 4 * (20_000 + 8), "{lines} lines");
    assert!(bytes <= 4 * ((1 << 20) + 20_000 * 256), "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_names_of_a_trapped_guests_functions_cannot_keep_the_host_busy() {
    let turn = &Turn::take();
    let stage = Stage::new(turn);
    // Each S…_ doubles what the name of this C++ function stands for. With forty it is too deep to be read, with twenty-five
    // it would be gigabytes.
    for levels in [1, 10, 25, 40] {
        let name = name_of(levels);
        let text = format!(
            r#"(func $inner (@name "{name}") (param i32) (if (local.get 0) (then (call $inner (i32.const 0)))) unreachable)
               (func (export "_start") (call $inner (i32.const 1)))"#
        );
        let spec = FunctionSpec { timeout: Duration::from_secs(1), ..Stage::spec(module("names", &text)) };
        let (ended, toll) = stage.attack_as(&format!("name of 2^{levels} parts"), spec, "{}").await;
        for answer in ended {
            let fault = answer.unwrap_err();
            assert!(fault.kind == FaultKind::Trap && fault.message.len() <= 4096, "{}", fault.message.len());
            // Names are read at all.
            assert!(levels > 1 || fault.message.contains("f<A<int, int>, A<A<int, int>, A<int, int> > >"), "{fault}");
        }
        toll.is_bearable();
    }
}

/// `f<A<int, int>, A<…, …>, …>`: each argument two of the one before.
fn name_of(levels: usize) -> String {
    let digits: Vec<char> = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars().collect();
    let mut name = String::from("_Z1fI1AIiiE");
    for level in 1..=levels {
        let (high, low) = (level / 36, level % 36);
        let number = if high > 0 { format!("{}{}", digits[high], digits[low]) } else { digits[low].to_string() };
        name.push_str(&format!("S0_IS{number}_S{number}_E"));
    }
    name + "EvT_"
}
