//! `faulty-command`: the tests' adversary as a WASI command. What it can be told is in the `commands` crate.
//!
//! Event on stdin, response on stdout, logs on stderr, the context in the environment. A function error is its text on
//! stderr and exit status 1.

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

fn main() -> ExitCode {
    match invoke() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn invoke() -> Result<(), String> {
    let mut event = String::new();
    io::stdin().read_to_string(&mut event).map_err(|error| format!("cannot read the event: {error}"))?;
    let reply = commands::obey(&event, &context(), commands::Stream::Stderr)?;
    let mut stdout = io::stdout();
    stdout.write_all(&reply).and_then(|()| stdout.flush()).map_err(|error| format!("cannot write the reply: {error}"))
}

/// The keys the component prints, from Lambda's own environment variables and wasmill's two. What is not set is null.
fn context() -> Value {
    let text = |name: &str| env::var(name).ok();
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    json!({
        "requestId": text("WASMILL_REQUEST_ID"),
        "functionName": text("AWS_LAMBDA_FUNCTION_NAME"),
        "functionVersion": text("AWS_LAMBDA_FUNCTION_VERSION"),
        "deadlineMs": number("WASMILL_DEADLINE_MS"),
        "memoryLimitMb": number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        "traceId": text("_X_AMZN_TRACE_ID"),
        "region": text("AWS_REGION"),
    })
}
