//! The span of a guest's request: it goes along as `traceparent`, unless the guest says where it stands itself, and is handed
//! over when the response has begun, or when it is clear that none will.
//!
//! Of the URL no more is told than where it leads: paths and queries hold tokens often enough.

use std::time::{Instant, SystemTime};

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use wasmill_event::{About, RequestSpan, Span, Trace, TraceContext};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{Sent, Target};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// A name is no longer than that; what a guest asks for may be.
const HOST_BYTES_MAX: usize = 253;

/// A request under way.
pub(super) struct Traced {
    trace: Trace,
    context: TraceContext,
    began: (SystemTime, Instant),
    /// None once it was handed over.
    span: Option<RequestSpan>,
}

impl Traced {
    /// Says in the request where it stands. None when its span is not kept, or leads nowhere.
    pub(super) fn begin(trace: &Trace, request: &mut Request<WasiBody>) -> Option<Self> {
        let target = Target::of(request.uri()).ok()?;
        let context = trace.tracer.child(trace.context);
        if !request.headers().contains_key(&TRACEPARENT) {
            // Its state is of another trace.
            request.headers_mut().remove(&TRACESTATE);
            if let Ok(value) = HeaderValue::from_str(&context.traceparent()) {
                request.headers_mut().insert(TRACEPARENT, value);
            }
            if let Some(value) = trace.state.as_deref().and_then(|state| HeaderValue::from_str(state).ok()) {
                request.headers_mut().insert(TRACESTATE, value);
            }
        }
        context.is_sampled.then(|| {
            let Target { scheme, mut host, port } = target;
            host.truncate(host.floor_char_boundary(HOST_BYTES_MAX));
            let method = method_of(request.method());
            let span = RequestSpan { method, scheme, host, port, answer: Err("cancelled") };
            Self { trace: trace.clone(), context, began: (SystemTime::now(), Instant::now()), span: Some(span) }
        })
    }

    /// What came of it.
    pub(super) fn ended(mut self, sent: &Sent) {
        if let Some(span) = &mut self.span {
            span.answer = match sent {
                Ok((response, _)) => Ok(response.status().as_u16()),
                Err(error) => Err(word_for(error)),
            };
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let Some(span) = self.span.take() else { return };
        let (wall, at) = self.began;
        self.trace.tracer.take(Span {
            context: self.context,
            parent: Some(self.trace.context.span_id),
            state: self.trace.state.clone(),
            began: wall,
            ended: wall.checked_add(at.elapsed()).unwrap_or(wall),
            about: About::Request(span),
        });
    }
}

/// One of those that HTTP knows: whoever counts by them does not expect what a guest may make up.
fn method_of(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// The kinds are few, as whoever counts by them expects.
fn word_for(error: &Error) -> &'static str {
    match error {
        Error::HttpRequestDenied => "host_not_allowed",
        Error::DestinationIpProhibited => "network_not_allowed",
        Error::ConnectionLimitReached => "too_many_requests",
        Error::ConnectionTimeout => "connection_timeout",
        Error::ConnectionReadTimeout => "response_timeout",
        Error::DnsError { .. } => "dns",
        Error::Connect(_) | Error::ConnectionRefused => "connection_refused",
        Error::Tls(_) => "tls",
        Error::HttpRequestBodySize(_) => "request_too_large",
        Error::HttpResponseBodySize(_) => "response_too_large",
        _ => "request_failed",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use http_body_util::{BodyExt, Empty};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use wasmill_event::{Producer, Tracer};
    use wasmtime_wasi_http::WasiHttpHooks;

    use super::*;
    use crate::hosts::AllowedHosts;
    use crate::outgoing::{Outbound, Outgoing};

    /// Keeps what it takes; every span below another is the same one.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Span>>);

    const CHILD: [u8; 8] = [5; 8];

    impl Tracer for Kept {
        fn root(&self, _: Option<&Producer>) -> TraceContext {
            TraceContext { trace_id: [1; 16], span_id: [2; 8], is_sampled: true }
        }

        fn child(&self, parent: TraceContext) -> TraceContext {
            TraceContext { span_id: CHILD, ..parent }
        }

        fn take(&self, span: Span) {
            self.0.lock().unwrap().push(span);
        }
    }

    /// A server that answers so to each connection, and notes what it was asked.
    async fn server(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                seen.lock().unwrap().push(String::from_utf8(head[..read].to_vec()).unwrap());
                let _ = stream.write_all(answer.as_bytes()).await;
                open.push(stream);
            }
        });
        (origin, asked)
    }

    fn request(url: &str, headers: &[(&str, &str)]) -> Request<WasiBody> {
        let builder = Request::builder().method("PUT").uri(url).header("host", "test");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
    }

    fn outgoing(origin: &str, is_sampled: bool) -> (Outgoing, Arc<Kept>) {
        let hosts = AllowedHosts { origins: vec![origin.parse().unwrap()], networks: Vec::new() };
        let mut outgoing = Outgoing::new(Arc::new(Outbound { hosts, ..Outbound::default() }));
        let kept = Arc::new(Kept::default());
        let tracer: Arc<dyn Tracer> = Arc::clone(&kept) as _;
        let context = TraceContext { is_sampled, ..tracer.root(None) };
        outgoing.begin(Some(&Trace { context, state: Some("v=1".into()), tracer }));
        (outgoing, kept)
    }

    async fn sent(outgoing: &mut Outgoing, request: Request<WasiBody>) -> bool {
        let sent = outgoing.send_request(request, None, Box::new(async { Ok(()) }));
        tokio::time::timeout(Duration::from_millis(500), Box::into_pin(sent)).await.is_ok_and(|sent| sent.is_ok())
    }

    fn told(kept: &Kept) -> Vec<(Option<&'static str>, Result<u16, &'static str>)> {
        let spans = kept.0.lock().unwrap();
        let requests = spans.iter().filter_map(|span| match &span.about {
            About::Request(of) => Some((of.method, of.answer)),
            _ => None,
        });
        requests.collect()
    }

    #[tokio::test]
    async fn a_request_carries_its_spans_place_and_its_span_tells_no_more_than_where_it_led() {
        let (origin, asked) = server("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        let (mut outgoing, kept) = outgoing(&origin, true);
        assert!(sent(&mut outgoing, request(&format!("{origin}/secret-path?token=secret"), &[])).await);
        let head = asked.lock().unwrap()[0].clone();
        let expected = format!("traceparent: 00-{}-{}-01\r\n", "01".repeat(16), "05".repeat(8));
        assert!(head.contains(&expected) && head.contains("tracestate: v=1\r\n"), "{head}");
        let spans = kept.0.lock().unwrap().clone();
        assert_eq!((spans[0].parent, spans[0].context.span_id, spans.len()), (Some([2; 8]), CHILD, 1));
        let shown = format!("{spans:?}");
        assert!(shown.contains("127.0.0.1") && !shown.contains("secret"), "{shown}");
        assert_eq!(told(&kept), [(Some("PUT"), Ok(404))]);
    }

    #[tokio::test]
    async fn what_the_guest_says_of_its_place_stands() {
        let (origin, asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let (mut outgoing, kept) = outgoing(&origin, true);
        let own = [("traceparent", "own"), ("tracestate", "own=1")];
        assert!(sent(&mut outgoing, request(&origin, &own)).await);
        let head = asked.lock().unwrap()[0].clone();
        assert!(head.contains("traceparent: own\r\n") && head.contains("tracestate: own=1\r\n"), "{head}");
        assert_eq!(head.matches("traceparent").count(), 1);
        assert_eq!(told(&kept), [(Some("PUT"), Ok(200))]);
    }

    #[tokio::test]
    async fn a_request_that_fails_or_is_given_up_has_a_span_and_one_that_is_not_sampled_has_none() {
        let (origin, asked) = server("").await;
        let unsampled = outgoing(&origin, false);
        let (mut outgoing, kept) = outgoing(&origin, true);
        assert!(!sent(&mut outgoing, request(&origin, &[])).await, "it is silent, and given up");
        assert!(!sent(&mut outgoing, request("http://192.0.2.1/", &[])).await);
        assert_eq!(told(&kept), [(Some("PUT"), Err("cancelled")), (Some("PUT"), Err("host_not_allowed"))]);
        let (mut unsampled, kept) = unsampled;
        sent(&mut unsampled, request(&origin, &[])).await;
        let head = asked.lock().unwrap().last().unwrap().clone();
        assert!(head.contains(&format!("-{}-00\r\n", "05".repeat(8))), "{head}");
        assert_eq!(told(&kept), []);
    }

    #[test]
    fn of_methods_those_are_told_that_http_knows() {
        assert_eq!(method_of(&Method::PATCH), Some("PATCH"));
        assert_eq!(method_of(&Method::from_bytes(b"PROPFIND").unwrap()), None);
    }
}
