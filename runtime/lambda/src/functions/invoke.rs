//! Invoke: at once and with an answer, later and without one, or not at all (lambda-api §5).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::function_engine::{Call, FunctionFailure, NotInvoked, Outcome};
use crate::functions::{Functions, Inner};
use crate::names::{FunctionRef, LATEST};
use crate::response::Reply;

/// The largest event of a call that waits for the answer.
pub(crate) const PAYLOAD_MAX_BYTES: usize = 6_291_456;
pub(crate) const TOO_LARGE: &str = "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
/// The largest event of a call that does not.
const EVENT_MAX_BYTES: usize = 1_048_576;
const INVOCATION_TYPE: &str = "x-amz-invocation-type";
const LOG_TYPE: &str = "x-amz-log-type";
/// What would have to reach the handler, and does not.
const UNAVAILABLE: [&str; 3] = ["x-amz-client-context", "x-amz-durable-execution-name", "x-amz-tenant-id"];
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");
const UNHANDLED: HeaderValue = HeaderValue::from_static("Unhandled");
/// What a function without an event gets.
const NO_EVENT: &str = "{}";

/// How a caller wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InvocationType {
    RequestResponse,
    Event,
    DryRun,
}

impl Functions {
    /// Invokes a function, or says that it will be.
    pub(crate) async fn invoke(
        &self,
        function: &FunctionRef,
        headers: &HeaderMap,
        payload: Bytes,
        request_id: &str,
    ) -> Result<Reply, ApiError> {
        let inner = &self.inner;
        let kind = invocation_type(headers)?;
        let wants_log = header(headers, LOG_TYPE).is_some_and(|value| value == "Tail");
        if let Some(name) = UNAVAILABLE.into_iter().find(|name| headers.contains_key(*name)) {
            let text =
                format!("The header {name} is not available here: it does not reach the function. Leave it out.");
            return Err(ApiError::InvalidParameter(text));
        }
        inner.check_qualifier(&function.name, function.qualifier.as_deref())?;
        let qualifier = function.qualifier.as_deref().unwrap_or(LATEST);
        if kind == InvocationType::DryRun {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        check_size(kind, payload.len())?;
        let payload = text(&payload)?;
        inner.check_active(&function.name, qualifier)?;
        if kind == InvocationType::Event {
            inner.events.accept(Arc::clone(inner), function, payload, request_id)?;
            return Ok(Reply::empty(StatusCode::ACCEPTED));
        }
        let call = Call { function: &function.name, qualifier, request_id, payload, wants_log };
        let outcome = inner.engine.invoke(call).await.map_err(|refused| match refused {
            NotInvoked::Throttled => {
                ApiError::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" }
            }
            NotInvoked::NotReady(reason) => ApiError::NotReady(reason),
        })?;
        Ok(answer(outcome))
    }
}

impl Inner {
    fn check_active(&self, name: &str, qualifier: &str) -> Result<(), ApiError> {
        let entry = self.entry(name)?;
        let label = entry.record.aliases.get(qualifier).map_or(qualifier, |alias| &alias.function_version);
        let not_found = || self.not_found(name, Some(qualifier));
        let state = entry.state(entry.record.version(label).ok_or_else(not_found)?);
        match state.state {
            "Active" => Ok(()),
            other => {
                let reason = state.reason.unwrap_or_default().to_owned();
                Err(ApiError::NotActive { state: other, reason })
            }
        }
    }
}

fn answer(outcome: Outcome) -> Reply {
    let Outcome { version, answer, log_tail, .. } = outcome;
    let failed = answer.is_err();
    let body = answer.unwrap_or_else(|failure| failure_text(&failure));
    let mut reply = Reply::json_text(StatusCode::OK, body.into());
    // Versions are made of digits, or `$LATEST`.
    if let Ok(version) = HeaderValue::from_str(&version) {
        reply.headers.push((EXECUTED_VERSION, version));
    }
    if failed {
        reply.headers.push((FUNCTION_ERROR, UNHANDLED));
    }
    if let Some(log) = log_tail.and_then(|log| HeaderValue::from_str(&STANDARD.encode(log)).ok()) {
        reply.headers.push((LOG_RESULT, log));
    }
    reply
}

fn failure_text(failure: &FunctionFailure) -> String {
    let mut body = Map::new();
    body.insert("errorMessage".to_owned(), json!(failure.message));
    body.insert("errorType".to_owned(), json!(failure.error_type));
    if let Some(trace) = &failure.stack_trace {
        body.insert("stackTrace".to_owned(), json!(trace));
    }
    Value::Object(body).to_string()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, ApiError> {
    match header(headers, INVOCATION_TYPE) {
        None | Some("" | "RequestResponse") => Ok(InvocationType::RequestResponse),
        Some("Event") => Ok(InvocationType::Event),
        Some("DryRun") => Ok(InvocationType::DryRun),
        Some(other) => Err(ApiError::Validation(vec![format!(
            "Value '{other}' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: \
             [Event, RequestResponse, DryRun]"
        )])),
    }
}

fn check_size(kind: InvocationType, bytes: usize) -> Result<(), ApiError> {
    let text = match kind {
        InvocationType::Event if bytes > EVENT_MAX_BYTES => {
            format!("{bytes} byte payload is too large for the Event invocation type (limit {EVENT_MAX_BYTES} bytes)")
        }
        _ if bytes > PAYLOAD_MAX_BYTES => TOO_LARGE.to_owned(),
        _ => return Ok(()),
    };
    Err(ApiError::PayloadTooLarge { text })
}

/// The event, which must be JSON; it reaches the function as it was sent.
fn text(payload: &[u8]) -> Result<&str, ApiError> {
    let refuse =
        |error: String| ApiError::InvalidRequestContent(format!("Could not parse request body into json: {error}"));
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Ok(NO_EVENT);
    }
    let text = std::str::from_utf8(payload).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| refuse(error.to_string()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_event_is_json_and_stays_as_it_was_sent() {
        for good in ["{ \"a\" :1}", "[]", "\"text\"", " 1 ", "null"] {
            assert_eq!(text(good.as_bytes()), Ok(good));
        }
        assert_eq!(text(b""), Ok("{}"));
        for bad in [&b"{"[..], b"{} {}", b"\xff", b"text"] {
            let refused = text(bad).unwrap_err().to_string();
            assert!(refused.starts_with("Could not parse request body into json: "), "{refused}");
        }
    }

    #[test]
    fn events_have_their_own_limit() {
        use InvocationType::{Event, RequestResponse};
        assert!(check_size(RequestResponse, PAYLOAD_MAX_BYTES).is_ok());
        assert!(check_size(Event, EVENT_MAX_BYTES).is_ok());
        assert_eq!(
            check_size(RequestResponse, PAYLOAD_MAX_BYTES + 1).unwrap_err().to_string(),
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
        );
        assert_eq!(
            check_size(Event, EVENT_MAX_BYTES + 1).unwrap_err().to_string(),
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
        );
    }
}
