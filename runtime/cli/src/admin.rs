//! The listener for people and monitors: the console at `/`, `/metrics`, `/healthz`, `/readyz`, and queues, mappings and functions
//! under `/api`. It only reads, but for what the console's buttons hand on (`console.rs`), and for the time that a test skips where
//! that was allowed (`time.rs`).
//!
//! A browser must not be tricked into reading it for someone else: a `Host` that is not ours (a name an attacker points
//! at loopback) and any foreign `Origin` are refused with 403. Deliberately absent: TLS and credentials.

mod console;
mod functions;
mod queues;
mod time;
mod worker;

pub(crate) use console::Console;
pub(crate) use queues::attributes_json;
pub(crate) use worker::Listing;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmill_queue::Broker;
use wasmill_sqs::{Place, Resting};

use crate::functions::Functions;

/// At a time. The next takes the place of one that rests: whoever keeps many open must not hide the worker's health.
const CONNECTIONS_MAX: usize = 64;
/// Also how long a connection may idle between two requests.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A reader that never reads must not keep a connection for good; a monitor just connects again.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(300);
/// How long an answer under way may take once the connection is to close.
const CLOSING_GRACE: Duration = Duration::from_secs(2);
/// After a failed accept (no file descriptor left, say): not at once again.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Whether the process is sound; `Err` says what poisoned it. Asked at every `/healthz`, so it must be quick.
pub(crate) type Health = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What must be ready before `/readyz` says so. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness {
    components: Arc<Mutex<BTreeMap<usize, (String, Status)>>>,
}

/// `Err` says why not.
pub(crate) type Status = Result<(), String>;

/// One named component's say in [`Readiness`].
#[derive(Clone, Debug)]
pub(crate) struct Component {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a component, not ready because it is starting.
    pub(crate) fn component(&self, name: impl Into<String>) -> Component {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let index = components.last_key_value().map_or(0, |(last, _)| last + 1);
        components.insert(index, (name.into(), Err("starting".to_owned())));
        Component { readiness: self.clone(), index }
    }

    /// Every component, and why it is not ready if it is not.
    pub(crate) fn snapshot(&self) -> Vec<(String, Status)> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Component {
    /// It is no part of the worker any more.
    pub(crate) fn retire(&self) {
        self.readiness.components.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.index);
    }

    /// From now on it is ready.
    pub(crate) fn ready(&self) {
        self.set(Ok(()));
    }

    /// From now on it is not, and why: `draining`, `the queue does not answer`.
    pub(crate) fn not_ready(&self, why: impl Into<String>) {
        self.set(Err(why.into()));
    }

    fn set(&self, status: Status) {
        let mut components = self.readiness.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, current)) = components.get_mut(&self.index) {
            *current = status;
        }
    }
}

/// What the endpoints show.
#[derive(Clone)]
pub(crate) struct AdminState {
    /// For `/metrics`.
    pub(crate) registry: Registry,
    /// For `/healthz`.
    pub(crate) health: Health,
    /// For `/readyz`.
    pub(crate) readiness: Readiness,
    /// For `/api/queues`; `None` without a built-in queue, and then there are none.
    pub(crate) broker: Option<Broker>,
    /// For `/api/mappings`.
    pub(crate) mappings: Listing,
    /// For `/api/functions`.
    pub(crate) functions: Functions,
    /// For `/`.
    pub(crate) console: Console,
}

/// The routes. `listen` is the address that was really bound: a `Host` may name it.
pub(crate) fn router(state: AdminState, listen: SocketAddr) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(functions::routes())
        .merge(queues::routes())
        .merge(time::routes())
        .merge(worker::routes())
        .merge(console::routes())
        .fallback(not_found)
        .with_state(state)
        // Outermost, so that a foreign page cannot even learn which paths exist.
        .layer(middleware::from_fn_with_state(listen, refuse_foreign))
}

/// Serves until `shutdown`, then lets the answers under way end (two seconds at most).
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let resting = Arc::new(Resting::default());
    let connections = TaskTracker::new();
    let closing = CancellationToken::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // The slot first: beyond the limit, connections wait in the kernel's queue.
        let accept = async {
            let slot = resting.slot(&slots).await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, closing, place) = (router.clone(), closing.clone(), resting.arrive());
                connections.spawn(async move {
                    serve_connection(stream, router, closing, place).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    closing.cancel();
    connections.close();
    connections.wait().await;
}

async fn serve_connection(stream: TcpStream, router: Router, closing: CancellationToken, place: Place) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        // One that comes just as its connection is asked to leave is answered: there is a grace.
        place.work();
        let answer = router.call(request);
        async {
            let answer = answer.await;
            place.rest();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = closing.cancelled() => None,
        () = place.shall_leave() => None,
        () = tokio::time::sleep(CONNECTION_LIFE_MAX) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(CLOSING_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    match TextEncoder::new().encode_to_string(&state.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n").into_response()
        }
    }
}

async fn healthz(State(state): State<AdminState>) -> Response {
    match (state.health)() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn readyz(State(state): State<AdminState>) -> Response {
    let mut components = state.readiness.snapshot();
    // Whoever routes by readiness must not send anything to a process that takes nothing any more.
    if let Err(reason) = (state.health)() {
        components.push(("process".to_owned(), Err(reason)));
    }
    let is_ready = components.iter().all(|(_, status)| status.is_ok());
    let listed: Vec<_> = components
        .into_iter()
        .map(|(name, status)| json!({"name": name, "ready": status.is_ok(), "reason": status.err()}))
        .collect();
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": is_ready, "components": listed}).to_string();
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        "there are /, /metrics, /healthz, /readyz, /api/queues, /api/mappings, /api/functions and /api/time here\n",
    )
        .into_response()
}

async fn refuse_foreign(State(listen): State<SocketAddr>, request: Request, next: Next) -> Response {
    match find_foreign(request.headers(), request.uri().authority(), listen) {
        None => next.run(request).await,
        Some(what) => {
            tracing::debug!(what, "refused a foreign admin request");
            (StatusCode::FORBIDDEN, format!("{what}; ask for this listener by its IP address or as localhost\n"))
                .into_response()
        }
    }
}

/// What is foreign about a request, if anything. A request without `Host` is HTTP/1.0, which no browser speaks and some
/// health checks do.
fn find_foreign(headers: &HeaderMap, target: Option<&Authority>, listen: SocketAddr) -> Option<&'static str> {
    let is_own = |host: &str| host.parse::<Authority>().is_ok_and(|host| is_own_host(&host, listen));
    let hosts: Vec<&str> = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default()).collect();
    if !hosts.iter().all(|host| is_own(host)) || target.is_some_and(|target| !is_own_host(target, listen)) {
        return Some("the Host is not this listener's");
    }
    let same_origin = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| hosts.iter().any(|host| host.eq_ignore_ascii_case(authority)))
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if !origins.all(|origin| origin.to_str().is_ok_and(same_origin)) {
        return Some("the Origin is not this listener's");
    }
    None
}

/// Loopback and localhost under any port (a forwarded port has another number), the address that is listened on, and,
/// if that is every address, any IP address: a name can be pointed at us by whoever owns it, an address cannot.
fn is_own_host(authority: &Authority, listen: SocketAddr) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { return false };
    let (ip, own) = (ip.to_canonical(), listen.ip().to_canonical());
    ip.is_loopback() || ip == own || own.is_unspecified()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::body::{Body, to_bytes};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    use super::*;

    struct Admin {
        readiness: Readiness,
        router: Router,
    }

    fn admin_on(listen: &str, health: Status) -> Admin {
        admin_over(None, listen, health)
    }

    fn admin_over(broker: Option<Broker>, listen: &str, health: Status) -> Admin {
        let registry = crate::telemetry::registry().unwrap();
        let functions = crate::functions::empty(&registry);
        let readiness = Readiness::default();
        let health: Health = Arc::new(move || health.clone());
        let listen = listen.parse().unwrap();
        let console = Console::new(None, listen, false);
        let mappings: Listing = Arc::new(Vec::new);
        let state = AdminState { registry, health, readiness: readiness.clone(), broker, mappings, functions, console };
        Admin { readiness, router: router(state, listen) }
    }

    fn admin() -> Admin {
        admin_on("127.0.0.1:9325", Ok(()))
    }

    impl Admin {
        async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let code = response.status().as_u16();
            let body = to_bytes(response.into_body(), 1024 * 1024).await.unwrap();
            (code, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn get(&self, path: &str) -> (u16, String) {
            self.send("GET", path, &[("host", "127.0.0.1:9325")]).await
        }
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let (code, body) = admin().get("/metrics").await;
        assert_eq!(code, 200);
        assert!(body.contains("# TYPE wasmill_build_info gauge"), "{body}");
    }

    #[tokio::test]
    async fn health_is_ok_or_the_reason() {
        assert_eq!(admin().get("/healthz").await, (200, "ok\n".to_owned()));
        let poisoned = admin_on("127.0.0.1:9325", Err("the store failed to sync".to_owned()));
        assert_eq!(poisoned.get("/healthz").await, (503, "the store failed to sync\n".to_owned()));
        let (code, body) = poisoned.get("/readyz").await;
        assert!(code == 503 && body.contains("the store failed to sync"), "{code} {body}");
    }

    #[tokio::test]
    async fn readiness_names_what_is_not_ready() {
        let admin = admin();
        let queue = admin.readiness.component("queue");
        let mapping = admin.readiness.component("mapping orders");
        queue.ready();
        let (code, body) = admin.get("/readyz").await;
        assert_eq!(code, 503);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            json!({"ready": false, "components": [
                {"name": "queue", "ready": true, "reason": null},
                {"name": "mapping orders", "ready": false, "reason": "starting"},
            ]})
        );
        mapping.ready();
        assert_eq!(admin.get("/readyz").await.0, 200);
        mapping.not_ready("draining");
        let (code, body) = admin.get("/readyz").await;
        assert!(code == 503 && body.contains("draining"), "{code} {body}");
    }

    #[tokio::test]
    async fn queues_are_shown_with_their_attributes_counters_and_tags() {
        let broker = crate::assemble::test_broker().await;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        broker.create_queue("orders", &[pair("VisibilityTimeout", "7")], &[pair("team", "blue")]).await.unwrap();
        let admin = admin_over(Some(broker), "127.0.0.1:9325", Ok(()));
        let json = |body: String| serde_json::from_str::<serde_json::Value>(&body).unwrap();

        let (code, body) = admin.get("/api/queues").await;
        assert_eq!(code, 200);
        let (one_code, one) = admin.get("/api/queues/orders").await;
        assert_eq!((one_code, &json(body)["queues"][0]), (200, &json(one.clone())));
        let queue = json(one);
        assert_eq!(queue["arn"], "arn:aws:sqs:us-east-1:000000000000:orders");
        assert_eq!((&queue["visible"], &queue["in_flight"], &queue["delayed"]), (&json!(0), &json!(0), &json!(0)));
        assert_eq!((&queue["attributes"]["VisibilityTimeout"], &queue["tags"]["team"]), (&json!("7"), &json!("blue")));

        assert_eq!(admin.get("/api/queues/gone").await.0, 404);
        assert_eq!(admin.get("/api/queues/gone/messages").await.0, 404);
        let (code, body) = admin.get("/api/queues/orders/messages?max=0").await;
        assert!(code == 400 && body.contains("from 1 to 1000"), "{code} {body}");
        assert_eq!(admin.send("POST", "/api/queues", &[]).await.0, 405);
    }

    #[tokio::test]
    async fn without_a_built_in_queue_there_are_no_queues() {
        assert_eq!(admin().get("/api/queues").await, (200, r#"{"queues":[]}"#.to_owned()));
        assert_eq!(admin().get("/api/queues/orders").await.0, 404);
    }

    #[tokio::test]
    async fn it_only_reads() {
        let admin = admin();
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            assert_eq!(admin.send(method, "/metrics", &[]).await.0, 405, "{method}");
        }
        assert_eq!(admin.send("HEAD", "/healthz", &[]).await, (200, String::new()));
        let (code, body) = admin.get("/elsewhere").await;
        assert!(code == 404 && body.contains("/readyz"), "{code} {body}");
    }

    #[tokio::test]
    async fn foreign_hosts_and_origins_are_refused() {
        let own: &[&[(&str, &str)]] = &[
            &[],
            &[("host", "127.0.0.1:9325")],
            &[("host", "localhost")],
            &[("host", "LOCALHOST:18080")],
            &[("host", "[::1]:9325")],
            &[("host", "localhost:9325"), ("origin", "http://localhost:9325")],
            &[("host", "localhost"), ("origin", "https://localhost")],
        ];
        for headers in own {
            assert_eq!(admin().send("GET", "/metrics", headers).await.0, 200, "{headers:?}");
        }
        let foreign: &[&[(&str, &str)]] = &[
            &[("host", "rebound.example:9325")],
            &[("host", "localhost.evil.example")],
            &[("host", "10.0.0.1:9325")],
            &[("host", "")],
            &[("host", "127.0.0.1@evil.example")],
            &[("host", "localhost"), ("host", "evil.example")],
            &[("host", "localhost:9325"), ("origin", "http://localhost:3000")],
            &[("host", "localhost:9325"), ("origin", "https://evil.example")],
            &[("host", "localhost:9325"), ("origin", "null")],
            &[("origin", "http://localhost:9325")],
        ];
        for headers in foreign {
            for path in ["/metrics", "/healthz", "/elsewhere"] {
                assert_eq!(admin().send("GET", path, headers).await.0, 403, "{headers:?}");
            }
        }
        assert_eq!(admin().send("GET", "http://evil.example/metrics", &[]).await.0, 403);
    }

    #[tokio::test]
    async fn off_loopback_its_own_addresses_are_not_foreign() {
        let on_one = admin_on("10.0.0.1:9325", Ok(()));
        assert_eq!(on_one.send("GET", "/healthz", &[("host", "10.0.0.1:9325")]).await.0, 200);
        assert_eq!(on_one.send("GET", "/healthz", &[("host", "10.0.0.2:9325")]).await.0, 403);
        let on_all = admin_on("0.0.0.0:9325", Ok(()));
        assert_eq!(on_all.send("GET", "/healthz", &[("host", "10.0.0.2:9325")]).await.0, 200);
        assert_eq!(on_all.send("GET", "/healthz", &[("host", "wasmill.example:9325")]).await.0, 403);
    }

    #[tokio::test]
    async fn connections_that_rest_do_not_hide_its_health() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let Admin { router, .. } = admin_on(&address.to_string(), Ok(()));
        let served = tokio::spawn(serve(listener, router, std::future::pending()));
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let length = tokio::time::timeout(Duration::from_secs(15), probe.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        served.abort();
    }

    #[tokio::test]
    async fn it_serves_until_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let Admin { router, .. } = admin_on(&address.to_string(), Ok(()));
        let served = tokio::spawn(async move { serve(listener, router, stopped.cancelled()).await });

        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let length = connection.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));

        // The connection idles in keep-alive, and must not hold the end up.
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
