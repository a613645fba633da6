//! One call of a function from outside of a mapping, as Lambda's Invoke makes it: under the function's permits, with the errors
//! and the log lines that Lambda's clients know.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wasmill_event::{Account, Fault, FaultKind, Invocation, Payload, Record, Reply, Verdict};
use wasmill_lambda::{Call, FunctionFailure, NotInvoked, Outcome};
use wasmill_sandbox::{FunctionKind, Observed};

use crate::event_file;
use crate::functions::Functions;

/// How long a call waits for a permit before it is throttled.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of the log `X-Amz-Log-Result` holds.
const LOG_TAIL_BYTES: usize = 4 << 10;
/// The longest response: Lambda's 6 MiB, and a little.
pub(crate) const RESPONSE_BYTES_MAX: usize = (6 << 20) + 100;
const MIB: u64 = 1 << 20;

impl Functions {
    /// Invokes a function once.
    pub(crate) async fn invoke(&self, call: Call<'_>) -> Result<Outcome, NotInvoked> {
        let Call { function: name, qualifier, request_id, payload, wants_log } = call;
        let not_there = || NotInvoked::NotReady(format!("nothing is loaded for {name}:{qualifier}"));
        let permits = self.permits(name).ok_or_else(not_there)?;
        if !self.leads_somewhere(name, qualifier) {
            return Err(not_there());
        }
        let permit = permits.acquire_within(PATIENCE).await.ok_or(NotInvoked::Throttled)?;
        let drawn = self.draw(name, qualifier).ok_or_else(not_there)?;
        let (function, version) = (drawn.function, drawn.version);
        let read = payload_of(payload, function.kind());
        let (observed, records) = match read {
            Ok((payload, records)) => {
                let account = Account::default();
                let invocation =
                    Invocation { request_id: request_id.to_owned(), payload, trace_id: None, trace: None, account };
                (function.observe(invocation).await, records)
            }
            Err(what) => (refused(&what), Arc::default()),
        };
        drop(permit);
        let failure = observed.answer.as_ref().err();
        let failure = failure.map(|fault| failure_of(fault, observed.own_error.as_deref(), request_id));
        let log_tail = wants_log.then(|| {
            let memory = (function.memory_mib(), observed.memory_peak_bytes);
            log(request_id, &version, &observed, memory, failure.as_ref())
        });
        let Observed { answer, duration, memory_peak_bytes, .. } = observed;
        let answer = match (answer, failure) {
            (_, Some(failure)) => Err(failure),
            (Ok(Reply::Json(text)), None) if text.trim().is_empty() => Ok("null".to_owned()),
            (Ok(Reply::Json(text)), None) => Ok(text),
            (Ok(Reply::Verdicts(verdicts)), None) => Ok(response(&records, &verdicts)),
            // Without a fault there is an answer.
            (Err(fault), None) => Err(failure_of(&fault, None, request_id)),
        };
        Ok(Outcome { version, answer, duration, memory_peak_bytes, log_tail })
    }
}

type Records = Arc<Vec<Record>>;

/// What the handler takes: the event as it was sent, or the messages in it.
fn payload_of(event: &str, kind: FunctionKind) -> Result<(Payload, Records), String> {
    if kind != FunctionKind::Messages {
        return Ok((Payload::Json(event.to_owned()), Arc::default()));
    }
    let value = serde_json::from_str(event).map_err(|error| format!("the event is not JSON: {error}"))?;
    let records = Arc::new(event_file::records(&value)?);
    Ok((Payload::Batch { records: Arc::clone(&records), windowed: false }, records))
}

/// What the handler was not called with.
fn refused(what: &str) -> Observed {
    Observed {
        answer: Err(Fault::new(FaultKind::BadReply, what)),
        own_error: None,
        duration: Duration::ZERO,
        memory_peak_bytes: 0,
        log_tail: String::new(),
    }
}

/// A typed handler's verdicts as the response that means the same.
fn response(records: &[Record], verdicts: &[Verdict]) -> String {
    let failed = records.iter().zip(verdicts).filter_map(|(record, verdict)| {
        let mut item = json!({"itemIdentifier": &*record.message_id});
        match verdict {
            Verdict::Done => return None,
            Verdict::Retry { after_seconds: Some(seconds) } => item["retryAfterSeconds"] = json!(seconds),
            Verdict::DeadLetter { reason } => item["deadLetterReason"] = json!(reason),
            Verdict::Retry { after_seconds: None } | Verdict::Release => {}
        }
        Some(item)
    });
    json!({"batchItemFailures": failed.collect::<Vec<_>>()}).to_string()
}

/// A fault as Lambda words it (lambda-api §5).
fn failure_of(fault: &Fault, own_error: Option<&str>, request_id: &str) -> FunctionFailure {
    let failure = |error_type: &str, message: String| FunctionFailure {
        error_type: error_type.to_owned(),
        message,
        stack_trace: None,
    };
    let ended = |how: &str| format!("RequestId: {request_id} Error: {how}");
    match (fault.kind, own_error) {
        (FaultKind::Handler, Some(text)) => raised(text).unwrap_or_else(|| failure("HandlerError", text.to_owned())),
        (FaultKind::Handler | FaultKind::Trap | FaultKind::OutOfMemory, _) => {
            failure("Runtime.ExitError", ended(&format!("Runtime exited with error: {}", fault.message)))
        }
        (FaultKind::Timeout, _) => failure("Sandbox.Timedout", ended(&format!("Task {}", fault.message))),
        (FaultKind::ReplyTooLarge, _) => failure(
            "Function.ResponseSizeTooLarge",
            format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."),
        ),
        (FaultKind::BadReply, _) => failure("Runtime.InvalidPayload", fault.message.clone()),
        (FaultKind::Host, _) => failure("Runtime.Unavailable", fault.message.clone()),
    }
}

/// What the Python and the JavaScript runtime say of an error: Lambda's members, the trace under its name in each.
fn raised(text: &str) -> Option<FunctionFailure> {
    let value: Value = serde_json::from_str(text).ok()?;
    let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let trace = ["stackTrace", "trace"].iter().find_map(|name| value.get(name).and_then(Value::as_array));
    let line = |line: &Value| line.as_str().map_or_else(|| line.to_string(), str::to_owned);
    Some(FunctionFailure {
        error_type: member("errorType")?,
        message: member("errorMessage")?,
        stack_trace: trace.map(|lines| lines.iter().map(line).collect()),
    })
}

/// The log of an invocation as Lambda writes it, the last 4 KiB.
fn log(
    request_id: &str,
    version: &str,
    observed: &Observed,
    (memory_mib, peak_bytes): (u32, u64),
    failure: Option<&FunctionFailure>,
) -> String {
    let millis = observed.duration.as_secs_f64() * 1e3;
    let mut log = format!("START RequestId: {request_id} Version: {version}\n{}", observed.log_tail);
    let peak_mib = peak_bytes.div_ceil(MIB);
    // Writing to a String cannot fail.
    let _ = write!(
        log,
        "END RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: {millis:.2} ms\tBilled Duration: {} ms\t\
         Memory Size: {memory_mib} MB\tMax Memory Used: {peak_mib} MB\t",
        millis.ceil()
    );
    match failure {
        Some(failure) if failure.error_type == "Sandbox.Timedout" => log.push_str("Status: timeout"),
        Some(failure) => {
            let _ = write!(log, "Status: error\tError Type: {}", failure.error_type);
        }
        None => {}
    }
    log.push('\n');
    let mut from = log.len().saturating_sub(LOG_TAIL_BYTES);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    log.split_off(from)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn faults_are_worded_as_lambda_does() {
        let python = r#"{"errorMessage":"no","errorType":"ValueError","requestId":"r","stackTrace":["  File x\n"]}"#;
        let js = r#"{"errorType":"TypeError","errorMessage":"no","trace":["TypeError: no","    at f"]}"#;
        for (kind, own, error_type, message, lines) in [
            (FaultKind::Handler, Some(python), "ValueError", "no", Some(1)),
            (FaultKind::Handler, Some(js), "TypeError", "no", Some(2)),
            (FaultKind::Handler, Some("no such order"), "HandlerError", "no such order", None),
            (FaultKind::Handler, Some("{}"), "HandlerError", "{}", None),
            (
                FaultKind::Handler,
                None,
                "Runtime.ExitError",
                "RequestId: r Error: Runtime exited with error: said",
                None,
            ),
            (FaultKind::Trap, None, "Runtime.ExitError", "RequestId: r Error: Runtime exited with error: said", None),
            (FaultKind::Timeout, None, "Sandbox.Timedout", "RequestId: r Error: Task said", None),
            (
                FaultKind::ReplyTooLarge,
                None,
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
                None,
            ),
        ] {
            let failure = failure_of(&Fault::new(kind, "said"), own, "r");
            assert_eq!((failure.error_type.as_str(), failure.message.as_str()), (error_type, message), "{kind:?}");
            assert_eq!(failure.stack_trace.map(|trace| trace.len()), lines, "{kind:?}");
        }
    }

    #[test]
    fn the_log_has_lambdas_lines_around_the_handlers_own() {
        let observed =
            Observed { duration: Duration::from_micros(12_340), log_tail: "hello\n".to_owned(), ..refused("x") };
        let shown = log("r-1", "7", &observed, (128, 3 * MIB + 1), None);
        assert_eq!(
            shown,
            "START RequestId: r-1 Version: 7\nhello\nEND RequestId: r-1\nREPORT RequestId: r-1\tDuration: 12.34 ms\tBilled \
             Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 4 MB\t\n"
        );
        let long = Observed { log_tail: "é".repeat(5000), ..observed };
        let shown = log("r-1", "7", &long, (128, 0), None);
        assert!(shown.len() <= LOG_TAIL_BYTES && shown.starts_with('é') && shown.ends_with("MB\t\n"));
        let failure = failure_of(&Fault::new(FaultKind::Timeout, "timed out after 3.00 seconds"), None, "r-1");
        assert!(log("r-1", "7", &refused("x"), (128, 0), Some(&failure)).ends_with("\tStatus: timeout\n"));
    }

    #[test]
    fn typed_verdicts_become_the_response_that_means_the_same() {
        let record = |id: &str| {
            json!({
                "messageId": id, "receiptHandle": "", "body": "", "md5OfBody": "", "eventSourceARN": "", "awsRegion": "",
            })
        };
        let event = json!({"Records": [record("a"), record("b"), record("c")]});
        let (_, records) = payload_of(&event.to_string(), FunctionKind::Messages).unwrap();
        let verdicts =
            [Verdict::Done, Verdict::Retry { after_seconds: Some(5) }, Verdict::DeadLetter { reason: "no".to_owned() }];
        let expected = json!({"batchItemFailures": [
            {"itemIdentifier": "b", "retryAfterSeconds": 5},
            {"itemIdentifier": "c", "deadLetterReason": "no"},
        ]});
        assert_eq!(serde_json::from_str::<Value>(&response(&records, &verdicts)).unwrap(), expected);
        assert!(payload_of("{}", FunctionKind::Messages).is_err());
    }
}
