//! The query protocol: forms in, XML out (sqs-semantics §1.2). Old SDKs and hand-written clients speak it.
//!
//! A form comes in the body, in the URL, or in both. `form.rs` reads it, `members.rs` says what each member is called in
//! it, `xml.rs` frames the answers, and `as_json.rs` those for clients that prefer JSON.

mod as_json;
#[cfg(test)]
mod decode_tests;
pub(crate) mod form;
mod members;
mod xml;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::answer::HttpAnswer;
use crate::codec::query::form::{Form, FromForm, Scope};
use crate::codec::{Members, RequestId, read_request};
use crate::error::{ActionError, Answer};
use crate::urls;
use crate::wire::{Request, Response};

const XML: HeaderValue = HeaderValue::from_static("text/xml");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: &str = "application/x-www-form-urlencoded";
/// Not for the URL of a queue (sqs-semantics §1.2).
const NOT_OF_A_QUEUE: [&str; 2] = ["CreateQueue", "ListQueues"];

/// True for a form-encoded body or an `Action=` in the URL.
pub(crate) fn is_query(parts: &Parts) -> bool {
    has_form(&parts.headers) || has_action(parts.uri.query().unwrap_or_default().as_bytes())
}

fn has_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().trim_ascii_start());
    let start = content_type.and_then(|text| text.get(..FORM.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(FORM.as_bytes()))
}

fn has_action(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').any(|pair| pair.starts_with(b"Action="))
}

/// The action that a request names, if its forms can be read.
pub(crate) fn action(parts: &Parts, body: &[u8]) -> Option<String> {
    let body = if has_form(&parts.headers) { body } else { b"" };
    let mut form = Form::parse([body, parts.uri.query().unwrap_or_default().as_bytes()]).ok()?;
    form.scope().text("Action").filter(|action| !action.is_empty())
}

/// Reads a request. None when it names no action.
pub(crate) fn decode(parts: &Parts, body: &[u8]) -> Result<Option<Request>, ActionError> {
    let body = if has_form(&parts.headers) { body } else { b"" };
    let of_a_queue = parts.method == Method::GET && urls::parse(parts.uri.path()).is_some();
    decode_form([body, parts.uri.query().unwrap_or_default().as_bytes()], of_a_queue)
}

/// Reads the forms of a request. `of_a_queue` keeps out the actions that a queue's URL does not have.
pub(crate) fn decode_form(forms: [&[u8]; 2], of_a_queue: bool) -> Result<Option<Request>, ActionError> {
    let mut form = Form::parse(forms)?;
    let mut scope = form.scope();
    let Some(action) = scope.text("Action").filter(|action| !action.is_empty()) else { return Ok(None) };
    let request =
        if of_a_queue && NOT_OF_A_QUEUE.contains(&action.as_str()) { None } else { read_request(&action, scope)? };
    request.map(Some).ok_or(ActionError::InvalidAction { action })
}

impl Members for Scope<'_, '_> {
    fn read<T: DeserializeOwned + FromForm>(mut self) -> Result<T, ActionError> {
        T::from_form(&mut self)
    }
}

/// Frames a response.
pub(crate) fn encode(headers: &HeaderMap, action: &str, response: &Response, request_id: RequestId) -> HttpAnswer {
    let body = match prefers_json(headers) {
        false => Framed { content_type: XML, body: xml::response(action, response, request_id.as_str()) },
        true => Framed { content_type: JSON, body: as_json::response(action, response, request_id.as_str()) },
    };
    body.answer(StatusCode::OK, request_id)
}

/// Frames an error.
pub(crate) fn encode_error(headers: &HeaderMap, error: &ActionError, request_id: RequestId) -> HttpAnswer {
    let mut answer = error.answer();
    // The one text that the two protocols have in different words.
    if *error == ActionError::NoSuchQueue {
        answer.text = "The specified queue does not exist for this wsdl version.".into();
    }
    let Answer { shape, text } = answer;
    let body = match prefers_json(headers) {
        false => Framed { content_type: XML, body: xml::error(shape, &text, request_id.as_str()) },
        true => Framed { content_type: JSON, body: as_json::error(shape, &text, request_id.as_str()) },
    };
    body.answer(StatusCode::from_u16(shape.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), request_id)
}

/// What a request that names no action in any protocol gets, even one that asks for JSON (sqs-semantics §1.2).
pub(crate) fn no_action(request_id: RequestId) -> HttpAnswer {
    let body = "<UnknownOperationException/>\n".to_owned();
    Framed { content_type: XML, body }.answer(StatusCode::NOT_FOUND, request_id)
}

/// AWS answers in JSON when that is the first of what a client accepts.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    let first = accept.split(|byte| matches!(byte, b',' | b';')).next().unwrap_or_default();
    first.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

struct Framed {
    content_type: HeaderValue,
    body: String,
}

impl Framed {
    fn answer(self, status: StatusCode, request_id: RequestId) -> HttpAnswer {
        let mut response = HttpAnswer::new(self.body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, self.content_type);
        request_id.set_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::http::Request as HttpRequest;

    use super::*;

    fn parts(uri: &str, content_type: Option<&str>) -> Parts {
        let mut request = HttpRequest::builder().uri(uri);
        if let Some(text) = content_type {
            request = request.header("content-type", text);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn forms_and_actions_in_the_url_are_query_requests() {
        for (uri, content_type, expected) in [
            ("/", Some("application/x-www-form-urlencoded; charset=utf-8"), true),
            ("/", Some("Application/X-WWW-Form-Urlencoded"), true),
            ("/000000000000/q?AttributeName.1=All&Action=GetQueueAttributes", None, true),
            ("/", Some("application/x-amz-json-1.0"), false),
            ("/", Some("application"), false),
            ("/?NoAction=x", None, false),
            ("/", None, false),
        ] {
            assert_eq!(is_query(&parts(uri, content_type)), expected, "{uri} {content_type:?}");
        }
    }

    #[test]
    fn json_is_for_those_who_name_it_first() {
        for (accept, expected) in [
            (None, false),
            (Some("*/*"), false),
            (Some("application/json"), true),
            (Some("application/json, text/plain, */*"), true),
            (Some("Application/JSON;q=0.9"), true),
            (Some("*/*, application/json"), false),
            (Some("application/jsonlines"), false),
            (Some("text/xml"), false),
        ] {
            let headers = accept.map(|text| (header::ACCEPT, HeaderValue::from_static(text))).into_iter().collect();
            assert_eq!(prefers_json(&headers), expected, "{accept:?}");
        }
    }
}
