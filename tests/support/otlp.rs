//! A collector of traces: takes spans by OTLP, over HTTP or gRPC, plain or by TLS, and shows them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::wait::eventually;

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`.
    Http,
    /// `grpc`.
    Grpc,
}

impl Protocol {
    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The span itself.
    pub span: Span,
    /// What all spans of its export are of.
    pub resource: BTreeMap<String, String>,
    /// The export's headers, and its path under `:path`.
    pub headers: BTreeMap<String, String>,
}

impl Taken {
    /// An attribute; empty if it is not there.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        texts(&self.span.attributes).remove(name).unwrap_or_default()
    }
}

/// The collector.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Collector {
    /// One that listens on a free port; with a certificate by TLS.
    pub async fn start(protocol: Protocol, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let collector = Self { address: listener.local_addr().unwrap(), scheme, taken: Arc::default() };
        let acceptor = tls.map(|mut config| {
            config.alpn_protocols =
                if protocol == Protocol::Grpc { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
            TlsAcceptor::from(Arc::new(config))
        });
        let this = collector.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (this, acceptor) = (this.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => this.serve(protocol, stream).await,
                        // Who does not know the certificate goes.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                this.serve(protocol, stream).await;
                            }
                        }
                    }
                });
            }
        });
        collector
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// The spans that have arrived.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for spans of this name.
    pub async fn wait_for(&self, within: Duration, name: &str, count: usize) -> Vec<Taken> {
        eventually(within, async || {
            let found: Vec<Taken> = self.taken().into_iter().filter(|taken| taken.span.name == name).collect();
            let names: Vec<String> = self.taken().into_iter().map(|taken| taken.span.name).collect();
            if found.len() == count { Ok(found) } else { Err(format!("no {count} spans {name:?} among {names:?}")) }
        })
        .await
    }

    async fn serve(&self, protocol: Protocol, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let stream = TokioIo::new(stream);
        let this = self.clone();
        let service = service_fn(move |request| {
            let this = this.clone();
            async move { this.answer(protocol, request).await }
        });
        // A client that goes in the middle of a request is its test's affair.
        let _ = match protocol {
            Protocol::Http => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
            Protocol::Grpc => {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
            }
        };
    }

    async fn answer(
        &self,
        protocol: Protocol,
        request: Request<Incoming>,
    ) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>>, hyper::Error>
    {
        let (head, body) = request.into_parts();
        let mut headers: BTreeMap<String, String> =
            head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        headers.insert(":path".to_owned(), head.uri.path().to_owned());
        let body = body.collect().await?.to_bytes();
        // In gRPC: one byte that says "not compressed", and four with the length.
        let framing = if protocol == Protocol::Grpc { 5 } else { 0 };
        let export = ExportTraceServiceRequest::decode(&body[framing..]).unwrap();
        for resource_spans in export.resource_spans {
            let resource = texts(&resource_spans.resource.unwrap_or_default().attributes);
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let (resource, headers) = (resource.clone(), headers.clone());
                self.taken.lock().unwrap().push(Taken { span, resource, headers });
            }
        }
        let answer = ExportTraceServiceResponse::default().encode_to_vec();
        Ok(match protocol {
            Protocol::Http => {
                let response = Response::builder().header("content-type", "application/x-protobuf");
                response.body(Full::from(answer).boxed_unsync()).unwrap()
            }
            Protocol::Grpc => {
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
                let framed = Full::from(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
                Response::builder().header("content-type", "application/grpc").body(framed.boxed_unsync()).unwrap()
            }
        })
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let named =
        attributes.iter().filter_map(|attribute| Some((attribute.key.clone(), text(attribute.value.as_ref()?))));
    named.collect()
}
