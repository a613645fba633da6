//! What pages in a browser may do with the AWS listener: nothing, unless their origin is configured.
//!
//! The listener takes any `Host` and mostly asks for no credentials, so without this every web page its user visits could read
//! and delete messages on loopback. Programs send neither `Origin` nor `Sec-Fetch-Site`. Browsers send one, but for one case:
//! what a page only asks for (GET) by plain HTTP at an address that is not loopback's, such as a name that its owner has
//! meanwhile pointed at loopback, or an image's in the local network. That is told by `Accept-Language`, which no page can
//! keep its browser from sending, and which AWS's clients do not send.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use crate::answer::HttpAnswer;
use crate::error::ActionError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const METHODS: HeaderValue = HeaderValue::from_static("POST");
const EXPOSED: HeaderValue = HeaderValue::from_static("x-amzn-requestid, x-amzn-query-error");
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");
const VARY: HeaderValue = HeaderValue::from_static("origin");

/// An entry of `allowed_origins` can never be what a browser sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: write scheme://host or scheme://host:port, in full and without a path")]
pub struct NotAnOrigin(pub String);

/// Checks an entry of `allowed_origins`.
///
/// # Errors
/// When it can never be what a browser sends.
pub fn check_origin(text: &str) -> Result<(), NotAnOrigin> {
    normalised(text).map(|_| ()).ok_or_else(|| NotAnOrigin(text.to_owned()))
}

/// The configured origins.
#[derive(Debug, Default)]
pub(crate) struct BrowserRule {
    allowed: Vec<String>,
}

/// Who sent a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Requester<'a> {
    /// Not a page.
    Program,
    /// A page whose origin is configured.
    Page { origin: &'a HeaderValue },
}

impl BrowserRule {
    pub(crate) fn new(origins: &[String]) -> Result<Self, NotAnOrigin> {
        let allowed = origins.iter().map(|text| normalised(text).ok_or_else(|| NotAnOrigin(text.clone())));
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()? })
    }

    pub(crate) fn judge<'a>(&self, parts: &'a Parts) -> Result<Requester<'a>, ActionError> {
        let headers = &parts.headers;
        if let Some(origin) = headers.get(header::ORIGIN) {
            let known = origin.to_str().is_ok_and(|text| self.allowed.iter().any(|allowed| allowed == text));
            return if known { Ok(Requester::Page { origin }) } else { Err(refusal(&format!("Origin {origin:?}"))) };
        }
        match headers.get(SEC_FETCH_SITE) {
            Some(site) => Err(refusal(&format!("Sec-Fetch-Site {site:?}"))),
            None if is_unmarked_page(parts) => {
                Err(refusal("Accept-Language, in a request by GET at an address that is not loopback's"))
            }
            None => Ok(Requester::Program),
        }
    }
}

/// Whether a browser may have sent it that marks only what changes something, or goes to a place that it trusts.
fn is_unmarked_page(parts: &Parts) -> bool {
    let is_safe_method = matches!(parts.method, Method::GET | Method::HEAD);
    is_safe_method && parts.headers.contains_key(header::ACCEPT_LANGUAGE) && !is_at_loopback(parts)
}

/// Whether it was asked for at an address that leads nowhere else, and that browsers trust for that: with such a `Host` it is
/// marked by `Sec-Fetch-Site` if it is from a page.
fn is_at_loopback(parts: &Parts) -> bool {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(host) = parts.uri.authority().cloned().or(host) else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || name == "localhost" || name.ends_with(".localhost")
}

fn refusal(what: &str) -> ActionError {
    ActionError::PageRefused {
        what: format!(
            "This request comes from a page in a browser ({what}). Pages are refused unless their origin is in \
             allowed_origins."
        ),
    }
}

/// As browsers write it: lower case, no slash at the end.
fn normalised(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.contains('@');
    let literal = text.strip_suffix('/').unwrap_or(text);
    let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
    (bare && literal.eq_ignore_ascii_case(&origin)).then_some(origin)
}

/// The answer to a browser that asks before it sends.
pub(crate) fn preflight(headers: &HeaderMap) -> HttpAnswer {
    let mut response = HttpAnswer::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = response.headers_mut();
    allow.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    allow.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        allow.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// Lets the page read the response.
pub(crate) fn allow(response: &mut HttpAnswer, origin: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, VARY);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::http::Request;

    use super::*;

    /// A request of a browser or a program, at a host.
    fn request(method: Method, host: &str, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/").header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn post(headers: &[(&'static str, &'static str)]) -> Parts {
        request(Method::POST, "anything.example", headers)
    }

    #[test]
    fn programs_pass_and_pages_do_not() {
        let rule = BrowserRule::default();
        assert_eq!(rule.judge(&post(&[])), Ok(Requester::Program));
        for page in [
            post(&[("origin", "https://example.com")]),
            post(&[("origin", "null")]),
            post(&[("sec-fetch-site", "same-origin")]),
            post(&[("sec-fetch-site", "none")]),
        ] {
            assert!(matches!(rule.judge(&page), Err(ActionError::PageRefused { .. })), "{page:?}");
        }
    }

    #[test]
    fn what_a_browser_does_not_mark_is_told_by_its_language() {
        let rule = BrowserRule::default();
        let german = [("accept-language", "de")];
        for host in
            ["attacker.example:9324", "10.0.0.7", "localhost.attacker.example", "[fe80::1]", "queue", "bad host"]
        {
            for method in [Method::GET, Method::HEAD] {
                assert!(rule.judge(&request(method, host, &german)).is_err(), "{host}");
            }
            assert_eq!(rule.judge(&request(Method::GET, host, &[])), Ok(Requester::Program), "{host}");
            // Of these browsers say the origin.
            assert_eq!(rule.judge(&request(Method::POST, host, &german)), Ok(Requester::Program), "{host}");
        }
        for host in ["localhost:9324", "127.0.0.1", "127.3.2.1:80", "[::1]:9324", "sqs.LOCALHOST"] {
            assert_eq!(rule.judge(&request(Method::GET, host, &german)), Ok(Requester::Program), "{host}");
        }
    }

    #[test]
    fn a_configured_origin_passes_whole_and_only_so() {
        let rule = BrowserRule::new(&["https://Console.example:8443/".into()]).unwrap();
        let ours = post(&[("origin", "https://console.example:8443"), ("sec-fetch-site", "cross-site")]);
        assert!(matches!(rule.judge(&ours), Ok(Requester::Page { .. })));
        for other in
            ["https://console.example", "http://console.example:8443", "https://console.example:8443.evil.test"]
        {
            assert!(rule.judge(&post(&[("origin", other)])).is_err(), "{other}");
        }
    }

    #[test]
    fn what_can_never_match_is_refused_at_start() {
        for text in ["*", "null", "", "console.example", "https://a.example/app", "https://u@a.example", "/x"] {
            assert_eq!(BrowserRule::new(&[text.to_owned()]).unwrap_err(), NotAnOrigin(text.into()));
        }
    }
}
