//! The console at `/`: a page with its script and style, all of it in the binary, and the one way by which it changes things.
//!
//! The page only shows what the read-only API and `/metrics` say. A button is a call of the AWS listener's API, handed on to it
//! within the process. It is taken from our own page alone: with our own `Origin` (a foreign one was refused before), and with a
//! token that only that page has and that is new in each process. Whoever must sign at the AWS listener can do nothing here, as
//! a page has no keys; nor can anybody on an address that others reach. The page then says so.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::AdminState;

const PAGE: &str = include_str!("console/index.html");
/// What the page asks for, by name.
const FILES: [(&str, &str, &str); 10] = [
    ("app.js", SCRIPT, include_str!("console/app.js")),
    ("charts.js", SCRIPT, include_str!("console/charts.js")),
    ("console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("data.js", SCRIPT, include_str!("console/data.js")),
    ("dialog.js", SCRIPT, include_str!("console/dialog.js")),
    ("dom.js", SCRIPT, include_str!("console/dom.js")),
    ("format.js", SCRIPT, include_str!("console/format.js")),
    ("functions.js", SCRIPT, include_str!("console/functions.js")),
    ("mappings.js", SCRIPT, include_str!("console/mappings.js")),
    ("queues.js", SCRIPT, include_str!("console/queues.js")),
];
const MESSAGES: &str = include_str!("console/messages.js");
const ICON: &str = include_str!("console/icon.svg");
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TOKEN: HeaderName = HeaderName::from_static("x-wasmill-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The longest request of a button; a message to be sent is one MiB.
const REQUEST_BYTES_MAX: usize = 2 << 20;

/// The SQS actions that the page has buttons for.
const SQS_ACTIONS: [&str; 5] =
    ["PurgeQueue", "StartMessageMoveTask", "ListMessageMoveTasks", "CancelMessageMoveTask", "SendMessage"];
/// And the one of Lambda's.
const UPDATE_MAPPING: &str = "UpdateEventSourceMapping";

/// The console of a process.
#[derive(Clone)]
pub(crate) struct Console {
    token: String,
    /// The AWS listener's API, or why buttons do nothing.
    actions: Result<Router, &'static str>,
}

impl Console {
    /// One whose buttons go to that API. `listen` is the admin listener's address; `asks_for_signatures` is whether the AWS
    /// listener takes signed requests only.
    pub(crate) fn new(api: Option<Router>, listen: SocketAddr, asks_for_signatures: bool) -> Self {
        let actions = match api {
            None => Err("Nothing can be changed here: this worker serves no AWS API."),
            Some(_) if asks_for_signatures => Err(
                "Nothing can be changed here: the AWS listener asks for signatures, and a page has no keys. Use aws-cli.",
            ),
            Some(_) if !listen.ip().is_loopback() => Err(
                "Nothing can be changed here: the admin listener is not on loopback. Use aws-cli or `wasmill queue`.",
            ),
            Some(api) => Ok(api),
        };
        Self { token: uuid::Uuid::new_v4().simple().to_string(), actions }
    }
}

pub(super) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/", get(page))
        .route("/console/{name}", get(file))
        .route("/api/actions/{name}", post(act).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)))
}

async fn page(State(state): State<AdminState>) -> Response {
    let why = state.console.actions.as_ref().err().copied().unwrap_or_default();
    let html = PAGE
        .replace("{token}", &state.console.token)
        .replace("{actions}", why)
        .replace("{version}", env!("CARGO_PKG_VERSION"));
    shown("text/html; charset=utf-8", html)
}

async fn file(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "messages.js" => shown(SCRIPT, MESSAGES.to_owned()),
        "icon.svg" => shown("image/svg+xml", ICON.to_owned()),
        name => match FILES.iter().find(|(known, _, _)| *known == name) {
            Some((_, kind, text)) => shown(kind, (*text).to_owned()),
            None => (StatusCode::NOT_FOUND, "the console has no such file\n").into_response(),
        },
    }
}

fn shown(kind: &str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A page of an earlier process would have an earlier token.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

/// Hands a button's request on to the AWS listener's API.
async fn act(State(state): State<AdminState>, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let api = match &state.console.actions {
        Ok(api) => api.clone(),
        Err(why) => return refused(StatusCode::FORBIDDEN, why),
    };
    if !is_own_page(&headers, &state.console.token) {
        return refused(StatusCode::FORBIDDEN, "this is for the console's own page: load it again");
    }
    let Some(request) = request(&name, body) else {
        return refused(StatusCode::NOT_FOUND, "the console has no such action");
    };
    tracing::info!(action = name, "asked for in the console");
    match api.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A foreign `Origin` was refused before; a program sends none at all, and may use the AWS listener itself.
fn is_own_page(headers: &HeaderMap, token: &str) -> bool {
    let is_same_site = headers.get(SEC_FETCH_SITE).is_none_or(|site| site == "same-origin");
    let has_token = headers.get(TOKEN).is_some_and(|given| given == token);
    headers.contains_key(header::ORIGIN) && is_same_site && has_token
}

/// The request as the AWS listener takes it; none for what no button asks for.
fn request(name: &str, body: Bytes) -> Option<Request<Body>> {
    let request = if SQS_ACTIONS.contains(&name) {
        Request::post("/")
            .header("x-amz-target", format!("AmazonSQS.{name}"))
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
            .body(Body::from(body))
    } else if name == UPDATE_MAPPING {
        let mut settings: Value = serde_json::from_slice(&body).ok()?;
        let uuid = settings.as_object_mut()?.remove("UUID")?.as_str()?.parse::<uuid::Uuid>().ok()?;
        Request::builder()
            .method(Method::PUT)
            .uri(format!("/2015-03-31/event-source-mappings/{uuid}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(settings.to_string()))
    } else {
        return None;
    };
    request.ok()
}

fn refused(code: StatusCode, why: &str) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], json!({ "error": why }).to_string()).into_response()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_page_may_press_a_button() {
        let (origin, token) = (("origin", "http://127.0.0.1:9325"), ("x-wasmill-token", "t"));
        let same = ("sec-fetch-site", "same-origin");
        assert!(is_own_page(&headers(&[origin, token, same]), "t"));
        assert!(is_own_page(&headers(&[origin, token]), "t"), "an old browser");
        for lacking in [
            headers(&[token, same]),
            headers(&[origin, same]),
            headers(&[origin, same, ("x-wasmill-token", "u")]),
            headers(&[origin, token, ("sec-fetch-site", "cross-site")]),
            headers(&[]),
        ] {
            assert!(!is_own_page(&lacking, "t"), "{lacking:?}");
        }
    }

    #[test]
    fn buttons_are_off_where_the_caller_would_have_to_prove_who_it_is() {
        let (loopback, open) = ("127.0.0.1:9325".parse().unwrap(), "0.0.0.0:9325".parse().unwrap());
        assert!(Console::new(Some(Router::new()), loopback, false).actions.is_ok());
        for off in [
            Console::new(None, loopback, false),
            Console::new(Some(Router::new()), loopback, true),
            Console::new(Some(Router::new()), open, false),
        ] {
            let why = off.actions.unwrap_err();
            assert!(!why.contains(['<', '>', '"', '&']), "it stands in an attribute: {why}");
        }
        let console = || Console::new(None, loopback, false);
        assert_ne!(console().token, console().token);
    }

    #[test]
    fn only_what_has_a_button_is_handed_on() {
        let body = || Bytes::from_static(br#"{"UUID":"91eaeb7e-c976-4939-9449-8c3d2e0b3c5c","Enabled":false}"#);
        let sqs = request("PurgeQueue", body()).unwrap();
        assert_eq!(
            (sqs.method(), sqs.headers()["x-amz-target"].as_bytes()),
            (&Method::POST, &b"AmazonSQS.PurgeQueue"[..])
        );
        let lambda = request(UPDATE_MAPPING, body()).unwrap();
        assert_eq!(lambda.method(), Method::PUT);
        assert_eq!(lambda.uri(), "/2015-03-31/event-source-mappings/91eaeb7e-c976-4939-9449-8c3d2e0b3c5c");
        assert!(request("DeleteQueue", body()).is_none());
        for bad in [&br#"{"UUID":"../functions","Enabled":false}"#[..], b"[]", b"{", b"{}"] {
            assert!(request(UPDATE_MAPPING, Bytes::from_static(bad)).is_none());
        }
    }

    #[test]
    fn the_page_names_every_file_that_is_served_and_fetches_nothing_from_elsewhere() {
        let texts: Vec<&str> = FILES.iter().map(|(_, _, text)| *text).chain([PAGE, MESSAGES]).collect();
        let all = texts.join("\n");
        for name in FILES.map(|(name, _, _)| name).into_iter().chain(["messages.js", "icon.svg"]) {
            assert!(all.contains(&format!("/{name}\"")), "nobody asks for {name}");
        }
        let elsewhere = all.match_indices("http").filter(|(at, _)| {
            let rest = &all[*at..];
            !["http://www.w3.org/", "http://localhost/$"].iter().any(|own| rest.starts_with(own))
                && (rest.starts_with("http://") || rest.starts_with("https://"))
        });
        assert_eq!(elsewhere.count(), 0);
        assert!(!all.contains("innerHTML"), "text is only ever text");
    }
}
