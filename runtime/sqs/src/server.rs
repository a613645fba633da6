//! The AWS listener's router and the limits of one request; nothing else.
//!
//! The limits of connections are in `connections.rs`; what a browser may do in `browsers.rs`; who may do anything at all
//! in `auth.rs`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use wasmill_queue::Broker;
use wasmill_queue::limits::MESSAGE_MAX_BYTES;

use crate::actions::{Actions, Caller};
use crate::auth::{AccessKey, Guard};
use crate::browsers::{self, BrowserRule, NotAnOrigin, Requester};
use crate::codec::{json, new_request_id, query};
use crate::error::ActionError;
use crate::urls;
use crate::wire;

/// The longest request body. A message or batch has at most 1 MiB, JSON may write each of its bytes in six
/// (`\u0041`), and the other members need room: 6 MiB and some, rounded up.
const BODY_MAX_BYTES: u64 = 8 << 20;
/// How much of a body that is too long is read away, so that the client has sent it all and reads the answer.
const DISCARD_MAX_BYTES: u64 = 64 << 20;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies up to this size count as part of their connection; there are few enough connections.
const SMALL_BODY_BYTES: u64 = 64 << 10;
/// What all bodies above that may take together: later ones wait.
const LARGE_BODIES_MAX_KIB: usize = 256 << 10;
/// Stands in queue URLs when a client sends no usable `Host` (HTTP/1.0): the default listener.
const FALLBACK_HOST: &str = "127.0.0.1:9324";

/// How the AWS listener behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqsOptions {
    /// Origins whose pages may use this listener, `scheme://host[:port]`. None by default: every request that a browser
    /// page sent is refused.
    pub allowed_origins: Vec<String>,
    /// What clients must sign every request with. None by default: then nothing is asked, and a signature is not looked
    /// at.
    pub access_keys: Vec<AccessKey>,
}

/// The SQS API over the queues of one broker.
#[derive(Debug)]
pub struct SqsService {
    actions: Actions,
    browsers: BrowserRule,
    guard: Option<Guard>,
    stopping: CancellationToken,
    large_bodies_kib: Semaphore,
}

impl SqsService {
    /// Puts the API over a broker's queues.
    ///
    /// # Errors
    /// When an allowed origin is not one.
    pub fn new(broker: Broker, options: &SqsOptions) -> Result<Self, NotAnOrigin> {
        let stopping = CancellationToken::new();
        let guard = Guard::new(&options.access_keys, &broker.identity().region);
        Ok(Self {
            guard,
            actions: Actions::new(broker, stopping.clone()),
            browsers: BrowserRule::new(&options.allowed_origins)?,
            stopping,
            large_bodies_kib: Semaphore::new(LARGE_BODIES_MAX_KIB),
        })
    }

    /// Set when the server stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}

/// The API as a router: any path, since SDKs post to `/` and to queue URLs of many forms.
pub fn router(service: Arc<SqsService>) -> Router {
    Router::new().fallback(handle).with_state(service)
}

async fn handle(State(service): State<Arc<SqsService>>, request: Request) -> Response {
    let request_id = new_request_id();
    let (parts, body) = request.into_parts();
    let requester = match service.browsers.judge(&parts.headers) {
        Ok(requester) => requester,
        Err(refused) => {
            discard(body).await;
            return encode_error(&parts, &refused, &request_id);
        }
    };
    let mut response = match requester {
        Requester::Page { .. } if parts.method == Method::OPTIONS => browsers::preflight(&parts.headers),
        _ => answer(&service, &parts, body, &request_id).await,
    };
    if let Requester::Page { origin } = requester {
        browsers::allow(&mut response, origin);
    }
    response
}

/// An error in the protocol that the request seems to be in.
fn encode_error(parts: &Parts, error: &ActionError, request_id: &str) -> Response {
    let is_query = json::target(&parts.headers).is_none() && query::is_query(parts);
    if is_query { query::encode_error(error, request_id) } else { json::encode_error(error, request_id) }
}

/// The body is read before anything is said: an answer to a request that is still being sent ends the connection, and
/// the client may never see it.
async fn answer(service: &SqsService, parts: &Parts, body: Body, request_id: &str) -> Response {
    let body = read_body(service, &parts.headers, body).await.and_then(|body| admit(service, parts, body));
    let target = json::target(&parts.headers);
    if target.is_none() && query::is_query(parts) {
        let error = body.err().unwrap_or_else(query::refusal);
        return query::encode_error(&error, request_id);
    }
    if parts.method != Method::POST {
        return query::no_action(request_id);
    }
    let outcome = match target {
        Some(target) => run(service, parts, target, body).await,
        None => Err(ActionError::UnknownAction {
            what: "The request names no action: send the header X-Amz-Target: AmazonSQS.<Action>.".into(),
        }),
    };
    match outcome {
        Ok(response) => json::encode(&response, request_id),
        Err(error) => {
            let shape = error.answer().shape;
            tracing::debug!(action = target.unwrap_or_default(), request_id, error = shape.name, "request refused");
            json::encode_error(&error, request_id)
        }
    }
}

/// Lets a whole request pass if it is signed as it must be; nothing of it has been decoded yet.
fn admit<'a>(service: &SqsService, parts: &Parts, body: ReadBody<'a>) -> Result<ReadBody<'a>, ActionError> {
    if let Some(guard) = &service.guard {
        guard.check(parts, &body.bytes)?;
    }
    Ok(body)
}

async fn run(
    service: &SqsService,
    parts: &Parts,
    target: &str,
    body: Result<ReadBody<'_>, ActionError>,
) -> Result<wire::Response, ActionError> {
    let action = json::action(target)?;
    let body = match body {
        Err(ActionError::BodyTooLarge { .. }) => return Err(too_large(action, &parts.headers)),
        body => body?,
    };
    let request = json::decode(action, &body.bytes)?;
    let caller = Caller { host: host(parts), path: parts.uri.path() };
    service.actions.run(caller, request).await
}

fn host(parts: &Parts) -> &str {
    let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    host.filter(|host| urls::is_host(host)).unwrap_or(FALLBACK_HOST)
}

/// A whole body, and the permit that stands for its memory.
struct ReadBody<'a> {
    bytes: Bytes,
    _memory: Option<SemaphorePermit<'a>>,
}

async fn read_body<'a>(service: &'a SqsService, headers: &HeaderMap, body: Body) -> Result<ReadBody<'a>, ActionError> {
    let length = body.size_hint().exact().or_else(|| content_length(headers));
    if length.is_some_and(|length| length > BODY_MAX_BYTES) {
        discard(body).await;
        return Err(ActionError::BodyTooLarge { max_bytes: BODY_MAX_BYTES });
    }
    // A body of unknown length (chunked) counts as the longest one.
    let length = length.unwrap_or(BODY_MAX_BYTES);
    let read = async {
        let memory = match u32::try_from(length.div_ceil(1024)) {
            Ok(kib) if length > SMALL_BODY_BYTES => service.large_bodies_kib.acquire_many(kib).await.ok(),
            _ => None,
        };
        let collected = Limited::new(body, BODY_MAX_BYTES as usize).collect().await;
        let bytes = collected.map_err(|error| unreadable(&*error))?.to_bytes();
        Ok(ReadBody { bytes, _memory: memory })
    };
    let timed_out = |_| ActionError::BodyTimeout { seconds: BODY_TIMEOUT.as_secs() };
    tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(timed_out)?
}

fn unreadable(error: &(dyn Error + Send + Sync + 'static)) -> ActionError {
    if error.is::<LengthLimitError>() {
        ActionError::BodyTooLarge { max_bytes: BODY_MAX_BYTES }
    } else {
        ActionError::Serialization { what: format!("The request body could not be read: {error}") }
    }
}

/// Reads a body away, within limits.
async fn discard(mut body: Body) {
    let read_away = async {
        let mut discarded: u64 = 0;
        while let Some(Ok(frame)) = body.frame().await
            && discarded <= DISCARD_MAX_BYTES
        {
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    if tokio::time::timeout(BODY_TIMEOUT, read_away).await.is_err() {
        tracing::debug!("a refused request did not end in time");
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A request of over 8 MiB cannot hold a message of at most 1 MiB: senders get the error they would get for that.
fn too_large(action: &str, headers: &HeaderMap) -> ActionError {
    match action {
        "SendMessage" => ActionError::MessageTooLong { max_bytes: MESSAGE_MAX_BYTES },
        "SendMessageBatch" => ActionError::BatchTooLong {
            max_bytes: u64::from(MESSAGE_MAX_BYTES),
            sent_bytes: content_length(headers).unwrap_or(BODY_MAX_BYTES),
        },
        _ => ActionError::BodyTooLarge { max_bytes: BODY_MAX_BYTES },
    }
}
