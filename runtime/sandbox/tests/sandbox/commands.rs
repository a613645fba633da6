//! WASI commands: event on stdin, response on stdout, logs on stderr.

use wasmill_event::FaultKind;
use wasmill_sandbox::FunctionKind;

use crate::support::{House, call, said, text};
use crate::wat::{command_component, command_module};

#[tokio::test]
async fn a_core_module_reads_the_event_and_writes_the_response() {
    let house = House::new();
    let body = "(local $len i32)
      (local.set $len (call $slurp))
      (call $say (i32.const 2) (i32.const 1024) (i32.const 8))
      (if (local.get $len) (then (call $say (i32.const 1) (i32.const 4096) (local.get $len))))";
    let function = house.load(command_module("p1", r"working\n", body));
    assert_eq!(function.kind(), FunctionKind::CommandModule);
    let event = "{\"größe\":\"€𝄞\"}".repeat(1000);
    assert_eq!(text(call(&function, "p1-echo", &event).await), event);
    assert_eq!(text(call(&function, "p1-echo", "").await), "");
    let lines = said("p1-echo");
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0]["stream"].as_str(), lines[0]["message"].as_str()), ("stderr", "working"));
}

#[tokio::test]
async fn a_component_command_does_the_same_and_its_error_is_status_1() {
    let house = House::new();
    let function = house.load(command_component("run", 0));
    assert_eq!(function.kind(), FunctionKind::CommandComponent);
    let event = "{\"größe\":\"€𝄞\"}".repeat(1000);
    assert_eq!(text(call(&function, "run-echo", &event).await), event);
    assert_eq!(said("run-echo")[0]["message"], "done");

    let failing = house.load(command_component("run-err", 1));
    let fault = call(&failing, "run-err", "x").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Handler, "exited with status 1: done"));
}

#[tokio::test]
async fn an_exit_status_decides_and_the_last_line_of_stderr_explains() {
    let house = House::new();
    let body = "(call $say (i32.const 2) (i32.const 1024) (i32.const 21)) (call $exit (i32.const 3))";
    let function = house.load(command_module("exit-3", r"starting\nno such key\n", body));
    let fault = call(&function, "exit-3", "{}").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Handler, "exited with status 3: no such key"));

    let body = "(call $say (i32.const 1) (i32.const 1024) (i32.const 2)) (call $exit (i32.const 0))";
    let function = house.load(command_module("exit-0", "{}", body));
    assert_eq!(text(call(&function, "exit-0", "").await), "{}");
}

#[tokio::test]
async fn a_trap_in_a_command_carries_its_last_words() {
    let house = House::new();
    let body = "(call $say (i32.const 2) (i32.const 1024) (i32.const 47)) unreachable";
    let data = r"thread 'main' panicked at src/main.rs:3:5:\nboom";
    let function = house.load(command_module("panic", data, body));
    let fault = call(&function, "panic", "{}").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("; stderr: thread 'main' panicked at src/main.rs:3:5: boom"), "{fault}");
}

#[tokio::test]
async fn a_response_that_is_no_text_is_a_bad_reply() {
    let house = House::new();
    let body = "(call $say (i32.const 1) (i32.const 1024) (i32.const 3))";
    let function = house.load(command_module("binary", r"a\ff\00", body));
    let fault = call(&function, "binary", "{}").await.unwrap_err();
    let expected = (FaultKind::BadReply, "the response on stdout is not UTF-8 (byte 1)");
    assert_eq!((fault.kind, fault.message.as_str()), expected);
}

#[tokio::test]
async fn the_environment_is_the_functions_and_lambdas_and_nothing_of_the_host() {
    let house = House::new();
    // The buffer of `KEY=value\0`… goes out as it is.
    let body = "(drop (call $environ-sizes (i32.const 100) (i32.const 104)))
      (drop (call $environ (i32.const 2048) (i32.const 4096)))
      (call $say (i32.const 1) (i32.const 4096) (i32.load (i32.const 104)))";
    let function = house.load(command_module("env", "", body));
    let reply = text(call(&function, "env-1", "{}").await);
    let mut variables: Vec<&str> = reply.trim_end_matches('\0').split('\0').collect();
    let deadline = variables.iter().position(|variable| variable.starts_with("WASMILL_DEADLINE_MS=")).unwrap();
    assert!(variables.remove(deadline)["WASMILL_DEADLINE_MS=".len()..].parse::<u64>().unwrap() > 1_700_000_000_000);
    assert_eq!(
        variables,
        [
            "TABLE=späti",
            "AWS_LAMBDA_FUNCTION_NAME=orders",
            "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=16",
            "AWS_REGION=us-east-1",
            "AWS_DEFAULT_REGION=us-east-1",
            "WASMILL_REQUEST_ID=env-1",
            "_X_AMZN_TRACE_ID=Root=1-67891233-abcdef012345678912345678",
        ]
    );
}
