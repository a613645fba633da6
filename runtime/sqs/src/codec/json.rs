//! AWS JSON 1.0: the action in `X-Amz-Target`, members in a JSON object, errors with `__type` and the header
//! `x-amzn-query-error` that lets SDKs raise their own exception (sqs-semantics §1.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::answer::HttpAnswer;
use crate::codec::query::form::FromForm;
use crate::codec::{Members, RequestId, json_path, read_request};
use crate::error::ActionError;
use crate::wire::{Request, Response};

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const TARGET_PREFIX: &str = "AmazonSQS.";
const NAMESPACE: &str = "com.amazonaws.sqs#";

/// The value of `X-Amz-Target`: what makes a request a JSON request. Not readable text counts as empty.
pub(crate) fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get(TARGET).map(|value| value.to_str().unwrap_or_default())
}

/// The action in a target.
pub(crate) fn action(target: &str) -> Result<&str, ActionError> {
    target.strip_prefix(TARGET_PREFIX).ok_or_else(|| ActionError::UnknownAction {
        what: format!("X-Amz-Target is {target:?}; this endpoint takes AmazonSQS.<Action>."),
    })
}

/// Reads the request of an action.
pub(crate) fn decode(action: &str, body: &[u8]) -> Result<Request, ActionError> {
    let unknown = || ActionError::UnknownAction { what: format!("SQS has no action {action:?}.") };
    read_request(action, JsonMembers(body))?.ok_or_else(unknown)
}

struct JsonMembers<'a>(&'a [u8]);

impl Members for JsonMembers<'_> {
    fn read<T: DeserializeOwned + FromForm>(self) -> Result<T, ActionError> {
        members(self.0)
    }
}

fn members<T: DeserializeOwned>(body: &[u8]) -> Result<T, ActionError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => serde_json::from_slice(body).map_err(|error| serialization_error(body, &error)),
        // Some clients send nothing where no member is required.
        None => serde_json::from_slice(b"{}").map_err(|error| serialization_error(body, &error)),
        // Without this a struct would also be read from an array, member by member.
        Some(_) => Err(ActionError::Serialization { what: "The request body must be a JSON object.".into() }),
    }
}

/// Says which member is wrong. The body is walked a second time for it, so only on this path.
fn serialization_error(body: &[u8], error: &serde_json::Error) -> ActionError {
    let what = match error.classify() {
        Category::Data => {
            let full_text = error.to_string();
            let problem = full_text.rsplit_once(" at line ").map_or(full_text.as_str(), |(problem, _)| problem);
            let path = json_path::at(body, error.line(), error.column());
            format!("The value of {path} cannot be read: {problem}.")
        }
        Category::Syntax | Category::Eof | Category::Io => format!("The request body is not valid JSON: {error}."),
    };
    ActionError::Serialization { what }
}

/// Frames a response.
pub(crate) fn encode(response: &Response, request_id: RequestId) -> HttpAnswer {
    let mut body = Vec::with_capacity(response.room_bytes());
    match serde_json::to_writer(&mut body, response) {
        Ok(()) => frame(StatusCode::OK, body, request_id),
        Err(error) => encode_error(&ActionError::Internal { what: error.to_string() }, request_id),
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    kind: &'a str,
    message: &'a str,
}

/// Frames an error.
pub(crate) fn encode_error(error: &ActionError, request_id: RequestId) -> HttpAnswer {
    let answer = error.answer();
    let kind = format!("{NAMESPACE}{}", answer.shape.name);
    let body = serde_json::to_vec(&ErrorBody { kind: &kind, message: &answer.text }).unwrap_or_default();
    let status = StatusCode::from_u16(answer.shape.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = frame(status, body, request_id);
    let query_error = format!("{};{}", answer.shape.query_code, answer.shape.fault.as_str());
    if let Ok(value) = HeaderValue::from_str(&query_error) {
        response.headers_mut().insert(QUERY_ERROR, value);
    }
    response
}

fn frame(status: StatusCode, body: Vec<u8>, request_id: RequestId) -> HttpAnswer {
    let mut response = HttpAnswer::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    request_id.set_on(&mut response);
    response
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::codec::RequestIds;
    use crate::wire::ACTIONS;

    fn problem(action: &str, body: &str) -> ActionError {
        decode(action, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn all_twenty_three_actions_are_known() {
        for action in ACTIONS {
            assert!(decode(action, b"{}").is_ok(), "{action}");
            assert!(decode(action, b"").is_ok(), "{action} with an empty body");
        }
        assert!(matches!(problem("Frobnicate", "{}"), ActionError::UnknownAction { .. }));
    }

    #[test]
    fn targets() {
        assert_eq!(action("AmazonSQS.SendMessage").unwrap(), "SendMessage");
        for target in ["", "SendMessage", "DynamoDB_20120810.PutItem"] {
            assert!(matches!(action(target), Err(ActionError::UnknownAction { .. })), "{target}");
        }
    }

    #[test]
    fn a_wrong_type_is_reported_with_its_member() {
        for (action, body, expected) in [
            ("SendMessage", r#"{"QueueUrl": 5}"#, "QueueUrl"),
            ("ReceiveMessage", r#"{"QueueUrl":"q","MaxNumberOfMessages":"many"}"#, "MaxNumberOfMessages"),
            ("SendMessageBatch", r#"{"Entries":[{"Id":"a"},{"Id":"b","DelaySeconds":[]}]}"#, "Entries[1].DelaySeconds"),
            (
                "SendMessage",
                r#"{"MessageAttributes":{"a\"b":{"BinaryValue":"*"}}}"#,
                "MessageAttributes.a\\\"b.BinaryValue",
            ),
            ("DeleteMessageBatch", r#"{"Entries":{"Id":"a"}}"#, "Entries"),
        ] {
            let ActionError::Serialization { what } = problem(action, body) else { panic!("{body}") };
            assert!(what.starts_with(&format!("The value of {expected} cannot be read: ")), "{what}");
            assert!(!what.contains("line 1"), "{what}");
        }
    }

    #[test]
    fn what_is_not_a_json_object_is_refused() {
        for body in [
            r#"["url","body"]"#,
            r#""text""#,
            "QueueUrl=x",
            r#"{"QueueUrl":"x""#,
            r#"{"QueueUrl":"x"} tail"#,
            "{'a':1}",
        ] {
            assert!(matches!(problem("SendMessage", body), ActionError::Serialization { .. }), "{body}");
        }
    }

    #[test]
    fn an_error_has_the_headers_that_sdks_look_for() {
        let request_id = RequestIds::new().next();
        let response = encode_error(&ActionError::NoSuchQueue, request_id);
        assert_eq!(response.status(), 400);
        let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("x-amzn-query-error"), "AWS.SimpleQueueService.NonExistentQueue;Sender");
        assert_eq!(header("x-amzn-requestid"), request_id.as_str());
        assert_eq!(header("content-type"), "application/x-amz-json-1.0");
    }
}
