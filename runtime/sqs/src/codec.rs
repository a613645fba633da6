//! The protocols: each reads a `wire::Request` out of an HTTP request and frames a `wire::Response` or an error.
//!
//! AWS JSON 1.0 is whole. The query protocol (form in, XML out) is recognised and refused in its own language.

pub(crate) mod json;
mod json_path;
pub(crate) mod query;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The id of one request, in every answer.
pub(crate) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn set_request_id(response: &mut Response, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}
