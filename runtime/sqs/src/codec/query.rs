//! The query protocol: form-encoded requests, XML answers (sqs-semantics §1.2).
//!
//! This version does not read it. It recognises such a request and says so in XML, so that an old SDK shows the reason
//! and not a parse error.

use axum::body::Body;
use axum::http::{HeaderValue, Response as HttpResponse, StatusCode, Uri, header, request::Parts};
use axum::response::Response;

use crate::codec::set_request_id;
use crate::error::{ActionError, Fault};

const XML: HeaderValue = HeaderValue::from_static("text/xml");
const FORM: &str = "application/x-www-form-urlencoded";

/// True for a form-encoded body or an `Action=` in the URL.
pub(crate) fn is_query(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = content_type.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with(FORM));
    form || has_action(&parts.uri)
}

fn has_action(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")))
}

/// What every query request gets.
pub(crate) fn refusal() -> ActionError {
    ActionError::Unsupported {
        what:
            "The query protocol (form-encoded requests, XML answers) is not supported by this version. Use a current \
               AWS SDK or CLI: they speak AWS JSON 1.0 to SQS."
                .into(),
    }
}

/// Frames an error.
pub(crate) fn encode_error(error: &ActionError, request_id: &str) -> Response {
    let answer = error.answer();
    let fault = match answer.shape.fault {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    };
    let body = format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error>\
         <Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message><Detail/></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        code = answer.shape.query_code,
        message = escape(&answer.text),
    );
    framed(answer.shape.status, body, request_id)
}

/// What a request that names no action in any protocol gets, even one that asks for JSON (sqs-semantics §1.2).
pub(crate) fn no_action(request_id: &str) -> Response {
    framed(404, "<UnknownOperationException/>\n".into(), request_id)
}

fn framed(status: u16, body: String, request_id: &str) -> Response {
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, XML);
    set_request_id(&mut response, request_id);
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str, content_type: Option<&str>) -> Parts {
        let mut request = Request::builder().uri(uri);
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
            ("/?NoAction=x", None, false),
            ("/", None, false),
        ] {
            assert_eq!(is_query(&parts(uri, content_type)), expected, "{uri} {content_type:?}");
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a> & \"b\""), "&lt;a&gt; &amp; &quot;b&quot;");
    }
}
