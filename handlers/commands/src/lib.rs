//! The language of the tests' adversary: a message's body tells the handler how to misbehave.
//!
//! A body is one command, or a list of commands: `{"do":"sleep_ms","ms":200}`, `[{"do":"echo"},{"do":"trap"}]`. Commands
//! are obeyed record by record, in order. A body that is not JSON, or JSON without `do`, succeeds and does nothing; a
//! command that is unknown or lacks an argument is a function error, so that a test cannot pass by a slip of the pen.
//!
//! | `do` | arguments | what happens |
//! |---|---|---|
//! | `trap` | | panics |
//! | `spin` | | loops for ever without calling the host |
//! | `sleep_ms` | `ms` | sleeps on WASI's clock |
//! | `eat_memory` | `mib`, optional | takes and touches that much; without it, until it is refused, which traps |
//! | `recursion` | | calls itself until the stack ends, which traps |
//! | `exit` | `code`, default 0 | `std::process::exit` |
//! | `flood_output` | `bytes`, `line_bytes` (default 80, newline included; 0: no newline at all), `to` | writes `x` to the log |
//! | `print` | `text`, `to` | writes exactly that text to the log, no newline added |
//! | `echo_to_log` | `to` | writes the message's body and a newline to the log |
//! | `env` | `name`, `to` | logs `NAME=value`, or `NAME is not set` |
//! | `context` | `to` | logs the invocation's context as one line of JSON, keys in lowerCamel |
//! | `count_calls` | `to` | logs `call N of this instance`, from 1: more than 1 means a warm instance |
//! | `read_file` | `path`, `to` | logs `PATH: N bytes`, or `PATH: ` and the error |
//! | `fail` | `retryAfterSeconds`, `deadLetterReason`, both optional | reports this record in `batchItemFailures`, with those keys |
//! | `fail_items` | `indexes` | reports the records of the batch at these places, from 0 |
//! | `fail_until_receive_count` | `count` | reports this record while its `ApproximateReceiveCount` is below `count` |
//! | `answer` | `text` | the reply is exactly this text, whatever failed |
//! | `big_reply` | `bytes` | the reply is a valid success of exactly that length (at least 37) |
//! | `garbage` | | the reply is bytes that are not UTF-8 (in a command; in a component it is a function error) |
//! | `error` | `text` | a function error at once: `err`, or the text on stderr and exit status 1 |
//!
//! The log is stdout in a component and stderr in a command; `"to":"stdout"` or `"to":"stderr"` says otherwise.

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// One of the two output streams.
#[derive(Clone, Copy)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How much of a flood is written at once.
const FLOOD_PIECE_BYTES: usize = 32 << 10;

/// Invocations this instance has begun.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Obeys every command of a Lambda SQS event. Gives the reply's bytes, or the text of a function error.
pub fn obey(event: &str, context: &Value, log: Stream) -> Result<Vec<u8>, String> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let event: Value = serde_json::from_str(event).map_err(|error| format!("the event is not JSON: {error}"))?;
    let records = event["Records"].as_array().ok_or("the event has no list of Records")?;
    let mut batch = Batch { records, context, log, failures: Vec::new(), reply: None };
    for record in records {
        // A body that is no JSON is a plain message.
        let body = serde_json::from_str(text(record, "body")?).unwrap_or(Value::Null);
        let commands = body.as_array().map_or(std::slice::from_ref(&body), Vec::as_slice);
        for command in commands.iter().filter(|command| command.get("do").is_some()) {
            batch.obey(command, record)?;
        }
    }
    let failures = batch.failures;
    Ok(batch.reply.unwrap_or_else(|| json!({ "batchItemFailures": failures }).to_string().into_bytes()))
}

/// What the commands of one event have led to so far.
struct Batch<'a> {
    records: &'a [Value],
    context: &'a Value,
    log: Stream,
    failures: Vec<Value>,
    reply: Option<Vec<u8>>,
}

impl Batch<'_> {
    fn obey(&mut self, command: &Value, record: &Value) -> Result<(), String> {
        match text(command, "do")? {
            "trap" => panic!("told to trap"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "sleep_ms" => thread::sleep(Duration::from_millis(number(command, "ms")?)),
            "eat_memory" => eat_memory(optional_number(command, "mib")?),
            "recursion" => {
                black_box(recurse(black_box(1)));
            }
            "exit" => {
                let code = optional_number(command, "code")?.unwrap_or(0);
                let code = i32::try_from(code).map_err(|_| format!("no exit status: {code}"))?;
                #[expect(clippy::disallowed_methods, reason = "to leave like this is what was asked for")]
                std::process::exit(code);
            }
            "flood_output" => {
                let line_bytes = optional_number(command, "line_bytes")?.unwrap_or(80);
                self.flood(command, number(command, "bytes")?, line_bytes)?;
            }
            "print" => self.write(command, text(command, "text")?.as_bytes())?,
            "echo_to_log" => self.log_line(command, text(record, "body")?)?,
            "env" => {
                let name = text(command, "name")?;
                let line = match std::env::var(name) {
                    Ok(value) => format!("{name}={value}"),
                    Err(_) => format!("{name} is not set"),
                };
                self.log_line(command, &line)?;
            }
            "context" => self.log_line(command, &self.context.to_string())?,
            "count_calls" => {
                let calls = CALLS.load(Ordering::Relaxed);
                self.log_line(command, &format!("call {calls} of this instance"))?;
            }
            "read_file" => {
                let path = text(command, "path")?;
                let line = match std::fs::read(path) {
                    Ok(content) => format!("{path}: {} bytes", content.len()),
                    Err(error) => format!("{path}: {error}"),
                };
                self.log_line(command, &line)?;
            }
            "fail" => {
                let mut failure = failure_of(record)?;
                for key in ["retryAfterSeconds", "deadLetterReason"] {
                    if let Some(value) = command.get(key) {
                        failure.insert(key.to_owned(), value.clone());
                    }
                }
                self.failures.push(Value::Object(failure));
            }
            "fail_items" => {
                for index in command["indexes"].as_array().ok_or("fail_items needs a list `indexes`")? {
                    let place = index.as_u64().and_then(|index| usize::try_from(index).ok());
                    let chosen = place.and_then(|place| self.records.get(place));
                    let chosen = chosen.ok_or_else(|| format!("fail_items: no record {index} in this batch"))?;
                    self.failures.push(Value::Object(failure_of(chosen)?));
                }
            }
            "fail_until_receive_count" => {
                let receive_count = text(&record["attributes"], "ApproximateReceiveCount")?;
                let receive_count: u64 = receive_count.parse().map_err(|_| "the receive count is no number")?;
                if receive_count < number(command, "count")? {
                    self.failures.push(Value::Object(failure_of(record)?));
                }
            }
            "answer" => self.reply = Some(text(command, "text")?.as_bytes().to_vec()),
            "big_reply" => self.reply = Some(big_reply(number(command, "bytes")?)?),
            "garbage" => self.reply = Some(vec![b'{', 0xff, 0xfe, 0x00, 0xc0]),
            "error" => return Err(text(command, "text")?.to_owned()),
            unknown => return Err(format!("unknown command `{unknown}`")),
        }
        Ok(())
    }

    /// Writes that many bytes of `x`, cut into lines, a piece at a time: a flood needs no memory.
    fn flood(&self, command: &Value, bytes: u64, line_bytes: u64) -> Result<(), String> {
        let is_line_end = |place: u64| line_bytes > 0 && (place + 1).is_multiple_of(line_bytes);
        for piece in (0..bytes).step_by(FLOOD_PIECE_BYTES) {
            let end = bytes.min(piece + FLOOD_PIECE_BYTES as u64);
            let piece: Vec<u8> = (piece..end).map(|place| if is_line_end(place) { b'\n' } else { b'x' }).collect();
            self.write(command, &piece)?;
        }
        Ok(())
    }

    fn log_line(&self, command: &Value, line: &str) -> Result<(), String> {
        self.write(command, format!("{line}\n").as_bytes())
    }

    /// To the log, or to where the command's `to` says. A host that lets a write fail makes a function error.
    fn write(&self, command: &Value, bytes: &[u8]) -> Result<(), String> {
        let stream = match command.get("to").and_then(Value::as_str) {
            Some("stdout") => Stream::Stdout,
            Some("stderr") => Stream::Stderr,
            Some(other) => return Err(format!("`to` is stdout or stderr, not `{other}`")),
            None => self.log,
        };
        let written = match stream {
            Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Stream::Stderr => io::stderr().write_all(bytes),
        };
        written.map_err(|error| format!("cannot write to the log: {error}"))
    }
}

/// The start of a record's entry in `batchItemFailures`.
fn failure_of(record: &Value) -> Result<Map<String, Value>, String> {
    Ok(Map::from_iter([("itemIdentifier".to_owned(), Value::from(text(record, "messageId")?))]))
}

/// Takes memory by the MiB and writes to all of it; gives it back on return.
fn eat_memory(limit_mib: Option<u64>) {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while limit_mib.is_none_or(|limit| (eaten.len() as u64) < limit) {
        eaten.push(black_box(vec![1; 1 << 20]));
    }
}

/// Never comes back in practice: the stack is long gone before the numbers are.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { black_box(recurse(black_box(depth + 1))).wrapping_add(1) }
}

/// A reply that reports no failure and has exactly this length.
fn big_reply(bytes: u64) -> Result<Vec<u8>, String> {
    let (head, tail) = (r#"{"batchItemFailures":[],"padding":""#, r#""}"#);
    let padding = usize::try_from(bytes).ok().and_then(|bytes| bytes.checked_sub(head.len() + tail.len()));
    let padding = padding.ok_or_else(|| format!("no valid reply has {bytes} bytes"))?;
    Ok([head, &"x".repeat(padding), tail].concat().into_bytes())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("`{key}` is missing or is not text in {value}"))
}

fn number(value: &Value, key: &str) -> Result<u64, String> {
    optional_number(value, key)?.ok_or_else(|| format!("`{key}` is missing in {value}"))
}

fn optional_number(value: &Value, key: &str) -> Result<Option<u64>, String> {
    match value.get(key) {
        None => Ok(None),
        Some(given) => given.as_u64().map(Some).ok_or_else(|| format!("`{key}` is not a whole number in {value}")),
    }
}
