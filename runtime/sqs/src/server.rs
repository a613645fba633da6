//! How the AWS listener answers one request, and the limits of one; nothing else.
//!
//! The limits of connections are in `connections.rs`; what a browser may do in `browsers.rs`; who may do anything at all
//! in `auth.rs`.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use wasmill_queue::Broker;
use wasmill_queue::limits::MESSAGE_MAX_BYTES;

use crate::actions::{Actions, Caller};
use crate::answer::HttpAnswer;
use crate::audit::{self, Change};
use crate::auth::{AccessKey, Guard};
use crate::body_memory::{BodyMemory, Held};
use crate::browsers::{self, BrowserRule, NotAnOrigin, Requester};
use crate::codec::{RequestId, RequestIds, json, query};
use crate::error::ActionError;
use crate::sibling::{self, Sibling};
use crate::urls;
use crate::wire;

/// The longest request body. A message or batch has at most 1 MiB, JSON may write each of its bytes in six
/// (`\u0041`), and the other members need room: 6 MiB and some, rounded up.
const BODY_MAX_BYTES: u64 = 8 << 20;
/// How much of a body that is too long is read away, so that the client has sent it all and reads the answer.
const DISCARD_MAX_BYTES: u64 = 64 << 20;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies that are longer than any of SQS's, as those are that bring code: so many at once, apart from the others, which must
/// not wait for them.
const UPLOADS_AT_ONCE: usize = 2;
/// How long one of them may take, waiting for its turn included.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
const TRACE_HEADER: &str = "x-amzn-trace-id";
/// Where an API of AWS's in REST and JSON names its error.
const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";
/// In the audit log.
const SERVICE: &str = "sqs";
/// Stands in queue URLs when a client sends no usable `Host` (HTTP/1.0): the default listener.
const FALLBACK_HOST: &str = "127.0.0.1:9324";

/// Why a listener without a built-in queue does nothing of SQS.
const NO_QUEUES: &str = "This listener has no queues: it serves Lambda's API for event source mappings.";

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

/// The SQS API over the queues of one broker, or over none.
pub struct SqsService {
    actions: Option<Actions>,
    browsers: BrowserRule,
    guard: Option<Guard>,
    sibling: Option<Arc<dyn Sibling>>,
    stopping: CancellationToken,
    request_ids: RequestIds,
    bodies: BodyMemory,
    uploads: Semaphore,
}

impl SqsService {
    /// Puts the API over a broker's queues.
    ///
    /// # Errors
    /// When an allowed origin is not one.
    pub fn new(broker: Broker, options: &SqsOptions) -> Result<Self, NotAnOrigin> {
        let stopping = CancellationToken::new();
        let region = broker.identity().region.clone();
        Self::over(Some(Actions::new(broker, stopping.clone())), stopping, &region, options)
    }

    /// A listener for another API alone: every SQS action is refused, whoever may ask.
    ///
    /// # Errors
    /// When an allowed origin is not one.
    pub fn without_queues(region: &str, options: &SqsOptions) -> Result<Self, NotAnOrigin> {
        Self::over(None, CancellationToken::new(), region, options)
    }

    fn over(
        actions: Option<Actions>,
        stopping: CancellationToken,
        region: &str,
        options: &SqsOptions,
    ) -> Result<Self, NotAnOrigin> {
        Ok(Self {
            guard: Guard::new(&options.access_keys, region),
            sibling: None,
            actions,
            browsers: BrowserRule::new(&options.allowed_origins)?,
            stopping,
            request_ids: RequestIds::new(),
            bodies: BodyMemory::new(),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
        })
    }

    /// Lets another API have the paths that are its own.
    #[must_use]
    pub fn with_sibling(mut self, sibling: Arc<dyn Sibling>) -> Self {
        self.sibling = Some(sibling);
        self
    }

    /// Set when the server stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}

/// The API as a router, for those who put something around it: any path, since SDKs post to `/` and to queue URLs of many
/// forms.
pub fn router(service: Arc<SqsService>) -> Router {
    let handle = |State(service): State<Arc<SqsService>>, request: axum::extract::Request| async move {
        handle(&service, request).await
    };
    Router::new().fallback(handle).with_state(service)
}

/// Answers one request, whatever its path.
pub(crate) async fn handle(service: &SqsService, request: Request<impl RequestBody>) -> HttpAnswer {
    let request_id = service.request_ids.next();
    let (parts, body) = request.into_parts();
    let protocol = Protocol::of(&parts);
    let requester = match service.browsers.judge(&parts) {
        Ok(requester) => requester,
        Err(refused) => {
            discard(body, DISCARD_MAX_BYTES).await;
            return encode(&parts, protocol, Err(refused), request_id);
        }
    };
    let sibling = service.sibling.as_ref().filter(|sibling| sibling.claims(parts.uri.path()));
    let mut response = match (&requester, sibling) {
        (Requester::Page { .. }, _) if parts.method == Method::OPTIONS => browsers::preflight(&parts.headers),
        (_, Some(sibling)) => {
            let max_bytes = sibling.body_max_bytes(&parts.method, parts.uri.path()) as u64;
            let body = read_body(service, &parts.headers, body, max_bytes).await;
            answer_beside(service, &**sibling, &parts, body, request_id).await
        }
        (_, None) => {
            // The body is read before anything is said: an answer to a request that is still being sent ends the
            // connection, and the client may never see it.
            let body = read_body(service, &parts.headers, body, BODY_MAX_BYTES).await;
            if let Some(answer) = answer_form_beside(service, &parts, protocol, body.as_ref().ok(), request_id) {
                return answer;
            }
            let outcome = answer(service, &parts, protocol, body, request_id).await;
            encode(&parts, protocol, outcome, request_id)
        }
    };
    if let Requester::Page { origin } = requester {
        browsers::allow(&mut response, origin);
    }
    response
}

/// A request's body: that of a connection, or of a router around it.
pub(crate) trait RequestBody: Body<Data = Bytes, Error: Display> + Unpin {}

impl<B: Body<Data = Bytes, Error: Display> + Unpin> RequestBody for B {}

/// What a request is written in.
#[derive(Debug, Clone, Copy)]
enum Protocol<'a> {
    /// With the value of `X-Amz-Target`.
    Json {
        target: &'a str,
    },
    Query,
    /// It names no action.
    None,
}

impl<'a> Protocol<'a> {
    fn of(parts: &'a Parts) -> Self {
        match json::target(&parts.headers) {
            Some(target) if parts.method == Method::POST => Self::Json { target },
            None if matches!(parts.method, Method::POST | Method::GET) && query::is_query(parts) => Self::Query,
            _ => Self::None,
        }
    }
}

/// What was done, and by which action: none when the request names none.
type Outcome = Result<Option<(&'static str, wire::Response)>, ActionError>;

async fn answer(
    service: &SqsService,
    parts: &Parts,
    protocol: Protocol<'_>,
    body: Result<ReadBody<'_>, ActionError>,
    request_id: RequestId,
) -> Outcome {
    let body = match body {
        Err(ActionError::BodyTooLarge { .. }) => return Err(too_large(protocol, &parts.headers)),
        body => body?,
    };
    // The request is here whole, and nothing of it has been decoded.
    let access_key_id = match service.guard.as_ref().map(|guard| guard.check(parts, &body.bytes)) {
        Some(Ok(access_key_id)) => access_key_id,
        Some(Err(refusal)) => {
            let refusal = refusal.into();
            if let Some(change) = named_change(parts, protocol, &body.bytes) {
                change.log_unverified(SERVICE, parts, request_id, &refusal);
            }
            return Err(refusal);
        }
        None => audit::ANONYMOUS,
    };
    let decoded = match protocol {
        Protocol::Json { target } => Some(json::decode(json::action(target)?, &body.bytes)?),
        Protocol::Query => query::decode(parts, &body.bytes)?,
        Protocol::None if parts.method == Method::POST => {
            let what = "The request names no action: send the header X-Amz-Target: AmazonSQS.<Action>, or a form with \
                        Action=<Action>.";
            return Err(ActionError::UnknownAction { what: what.into() });
        }
        Protocol::None => None,
    };
    let Some(request) = decoded else { return Ok(None) };
    let Some(actions) = &service.actions else {
        return Err(ActionError::Unsupported { what: NO_QUEUES.to_owned() });
    };
    let (action, change) = (request.action(), Change::of(&request, parts.uri.path()));
    let caller = Caller { host: host(parts), path: parts.uri.path(), trace_header: trace_header(parts) };
    let outcome = actions.run(caller, request).await;
    if let Some(change) = change {
        let said = outcome.as_ref().err().map_or("ok", |error| error.answer().shape.name);
        change.log(SERVICE, access_key_id, parts, request_id, said);
    }
    Ok(Some((action, outcome?)))
}

/// The change that a request names, which nobody has signed for.
fn named_change(parts: &Parts, protocol: Protocol<'_>, body: &[u8]) -> Option<Change> {
    match protocol {
        Protocol::Json { target } => Change::named(json::action(target).ok()?),
        Protocol::Query => Change::named(&query::action(parts, body)?),
        Protocol::None => None,
    }
}

/// A request of the other API, judged by the same rules.
async fn answer_beside(
    service: &SqsService,
    sibling: &dyn Sibling,
    parts: &Parts,
    body: Result<ReadBody<'_>, ActionError>,
    request_id: RequestId,
) -> HttpAnswer {
    let (method, path) = (&parts.method, parts.uri.path());
    let body = match body {
        Ok(body) => body,
        Err(ActionError::BodyTooLarge { .. }) => return sibling::framed(sibling.refuse_body(method, path)),
        Err(error) => return json::encode_error(&error, request_id),
    };
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let guard = service.guard.as_ref().filter(|_| !sibling.is_open(method, path));
    let access_key_id = match guard.map(|guard| guard.check_for(sibling.service(), parts, &body.bytes)) {
        Some(Ok(access_key_id)) => access_key_id,
        Some(Err(refusal)) => {
            let refusal = refusal.into();
            // Of a stranger's body nothing is decoded.
            if let Some(change) = sibling.change(method, path_and_query, b"") {
                change.log_unverified(sibling.service(), parts, request_id, &refusal);
            }
            return json::encode_error(&refusal, request_id);
        }
        None => audit::ANONYMOUS,
    };
    let change = sibling.change(method, path_and_query, &body.bytes);
    let answer = sibling.handle(method, path_and_query, &parts.headers, body.bytes).await;
    if let Some(change) = change {
        let code = answer.headers().get(ERROR_TYPE_HEADER).and_then(|code| code.to_str().ok());
        let status = answer.status();
        let said = if status.is_success() { "ok" } else { code.unwrap_or(status.as_str()) };
        change.log(sibling.service(), access_key_id, parts, request_id, said);
    }
    sibling::framed(answer)
}

/// A form whose action is no queue's but one that clients of the other API send along.
fn answer_form_beside(
    service: &SqsService,
    parts: &Parts,
    protocol: Protocol<'_>,
    body: Option<&ReadBody<'_>>,
    request_id: RequestId,
) -> Option<HttpAnswer> {
    let (Protocol::Query, Some(sibling), Some(body)) = (protocol, &service.sibling, body) else { return None };
    let (of_service, answer) = sibling.answer_form(&query::action(parts, &body.bytes)?)?;
    let checked = service.guard.as_ref().map_or(Ok(""), |guard| guard.check_for(of_service, parts, &body.bytes));
    Some(match checked {
        Ok(_) => sibling::framed(answer),
        Err(refused) => encode(parts, protocol, Err(refused.into()), request_id),
    })
}

fn encode(parts: &Parts, protocol: Protocol<'_>, outcome: Outcome, request_id: RequestId) -> HttpAnswer {
    if let Err(error) = &outcome {
        let (uri, error) = (parts.uri.path(), error.answer().shape.name);
        tracing::debug!(?protocol, uri, request_id = request_id.as_str(), error, "request refused");
    }
    let headers = &parts.headers;
    match (outcome, protocol) {
        (Ok(None), _) => query::no_action(request_id),
        (Ok(Some((action, response))), Protocol::Query) => query::encode(headers, action, &response, request_id),
        (Ok(Some((_, response))), _) => json::encode(&response, request_id),
        (Err(error), Protocol::Query) => query::encode_error(headers, &error, request_id),
        (Err(error), _) => json::encode_error(&error, request_id),
    }
}

fn host(parts: &Parts) -> &str {
    let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    host.filter(|host| urls::is_host(host)).unwrap_or(FALLBACK_HOST)
}

/// What a tracing client or proxy says in a header where others send a system attribute. Text that is none is left out.
fn trace_header(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(TRACE_HEADER).and_then(|value| value.to_str().ok());
    value.filter(|text| !text.is_empty())
}

/// A whole body, and what stands for its memory.
struct ReadBody<'a> {
    bytes: Bytes,
    _memory: Held<'a>,
    _turn: Option<SemaphorePermit<'a>>,
}

async fn read_body<'a>(
    service: &'a SqsService,
    headers: &HeaderMap,
    body: impl RequestBody,
    max_bytes: u64,
) -> Result<ReadBody<'a>, ActionError> {
    let length = body.size_hint().exact().or_else(|| content_length(headers));
    if length.is_some_and(|length| length > max_bytes) {
        discard(body, DISCARD_MAX_BYTES.max(max_bytes * 2)).await;
        return Err(ActionError::BodyTooLarge { max_bytes });
    }
    // A body of unknown length (chunked) counts as the longest one.
    let is_upload = length.unwrap_or(max_bytes) > BODY_MAX_BYTES;
    let read = async {
        let turn = if is_upload { service.uploads.acquire().await.ok() } else { None };
        let mut memory = Held::default();
        // Those of uploads are few enough.
        let bodies = (!is_upload).then_some(&service.bodies);
        let bytes = collect(body, max_bytes, bodies, &mut memory).await?;
        Ok(ReadBody { bytes, _memory: memory, _turn: turn })
    };
    let timeout = if is_upload { UPLOAD_TIMEOUT } else { BODY_TIMEOUT };
    let timed_out = |_| ActionError::BodyTimeout { seconds: timeout.as_secs() };
    tokio::time::timeout(timeout, read).await.map_err(timed_out)?
}

/// A body that came in one piece, as nearly all do, is not copied.
async fn collect<'a>(
    mut body: impl RequestBody,
    max_bytes: u64,
    bodies: Option<&'a BodyMemory>,
    memory: &mut Held<'a>,
) -> Result<Bytes, ActionError> {
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        let unreadable = |error| format!("The request body could not be read: {error}");
        let frame = frame.map_err(|error| ActionError::Serialization { what: unreadable(error) })?;
        // What is no data are trailers.
        let Ok(data) = frame.into_data() else { continue };
        if (pieces.len() + data.len()) as u64 > max_bytes {
            return Err(ActionError::BodyTooLarge { max_bytes });
        }
        if let Some(bodies) = bodies {
            bodies.grow(memory, pieces.len() + data.len()).await;
        }
        if pieces.is_empty() {
            if body.is_end_stream() {
                return Ok(data);
            }
            // A long body is not moved again and again while it grows. What has not come takes no memory yet.
            let length = body.size_hint().exact().and_then(|rest| usize::try_from(rest).ok());
            pieces.reserve_exact(length.map_or(0, |rest| rest.saturating_add(data.len())));
        }
        pieces.extend_from_slice(&data);
    }
    Ok(pieces.into())
}

/// Reads a body away, within limits.
async fn discard(mut body: impl RequestBody, max_bytes: u64) {
    let read_away = async {
        let mut discarded: u64 = 0;
        while let Some(Ok(frame)) = body.frame().await
            && discarded <= max_bytes
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
fn too_large(protocol: Protocol<'_>, headers: &HeaderMap) -> ActionError {
    let action = match protocol {
        Protocol::Json { target } => json::action(target).unwrap_or_default(),
        Protocol::Query | Protocol::None => "",
    };
    match action {
        "SendMessage" => ActionError::MessageTooLong { max_bytes: MESSAGE_MAX_BYTES },
        "SendMessageBatch" => ActionError::BatchTooLong {
            max_bytes: u64::from(MESSAGE_MAX_BYTES),
            sent_bytes: content_length(headers).unwrap_or(BODY_MAX_BYTES),
        },
        _ => ActionError::BodyTooLarge { max_bytes: BODY_MAX_BYTES },
    }
}
