//! The exporter of OpenTelemetry's project, put upon the hyper and the rustls that the AWS SDK brings: one TLS, with the
//! machine's certificates.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

use crate::config::{Protocol, Traces};
use crate::error::CliError;

/// The longest answer of a collector that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// An exporter to the configured collector, and what it keeps to itself of its failures.
pub(super) fn exporter(config: &Traces) -> Result<(SpanExporter, Trouble), CliError> {
    let refused = |error: &dyn Error| CliError::internal(format!("traces cannot be exported: {error}"));
    let trouble = Trouble::default();
    let exporter = match config.protocol {
        Protocol::HttpProtobuf => {
            let client = Collector {
                client: Client::builder(TokioExecutor::new()).build(connector(config.protocol)?),
                longest: config.timeout,
                trouble: trouble.clone(),
            };
            let headers: HashMap<String, String> = config.headers.0.clone().into_iter().collect();
            let builder = SpanExporter::builder().with_http().with_http_client(client).with_headers(headers);
            builder
                .with_endpoint(&config.endpoint)
                .with_timeout(config.timeout)
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .build()
        }
        Protocol::Grpc => {
            let endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(|error| refused(&error))?;
            let endpoint = endpoint.timeout(config.timeout).connect_timeout(CONNECT_MAX.min(config.timeout));
            let channel = endpoint.connect_with_connector_lazy(connector(config.protocol)?);
            let headers = config.headers.0.iter().filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            });
            let metadata = MetadataMap::from_headers(HeaderMap::from_iter(headers));
            let builder = SpanExporter::builder().with_tonic().with_channel(channel).with_metadata(metadata);
            builder.with_timeout(config.timeout).build()
        }
    };
    let mut exporter = exporter.map_err(|error| refused(&error))?;
    let attributes = config.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let instance = KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string());
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(instance)
        .with_attributes(attributes)
        .build();
    exporter.set_resource(&resource);
    Ok((exporter, trouble))
}

fn connector(protocol: Protocol) -> Result<HttpsConnector<HttpConnector>, CliError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |error: &dyn Error| {
        CliError::unavailable(format!("the collector of traces cannot be reached by TLS: {error}"))
            .with_mend("install ca-certificates, or set SSL_CERT_FILE")
    };
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let roots = versions.with_native_roots().map_err(|error| unusable(&error))?;
    let builder = HttpsConnectorBuilder::new().with_tls_config(roots.with_no_client_auth()).https_or_http();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_MAX));
    Ok(match protocol {
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(http),
        Protocol::Grpc => builder.enable_http2().wrap_connector(http),
    })
}

/// What went wrong with a connection last: the exporter says only that something did.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn note(&self, error: &(dyn Error + 'static)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Chain(error).to_string());
    }

    /// An exporter's error with what is known of it.
    pub(super) fn explain(&self, error: &str) -> String {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_owned(),
        }
    }
}

/// An error and its causes.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    longest: Duration,
    trouble: Trouble,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answered = timeout(self.longest, async {
            let (head, body) = self.client.request(request.map(Full::from)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        });
        let answered: Result<_, HttpError> = answered.await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        answered.inspect_err(|error| self.trouble.note(&**error))
    }
}
