//! Calls of Lambda's API: plain HTTP, signed with the credentials of the AWS chain.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use wasmill_sqs::Signer;

use crate::commands::admin_client::address;
use crate::error::CliError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An alias waits for its version, and an upload is long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Code is downloaded as it was uploaded.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Lambda's API at an endpoint.
#[derive(Debug)]
pub(super) struct LambdaClient {
    endpoint_url: String,
    host: String,
    port: u16,
    authority: String,
    signer: Signer,
}

/// What an API says no with.
#[derive(Debug)]
pub(super) struct Refused {
    /// `ResourceNotFoundException`, …
    pub(super) error: String,
    pub(super) message: String,
    /// For want of credentials that the endpoint knows.
    pub(super) is_denied: bool,
}

impl Refused {
    pub(super) fn is_not_found(&self) -> bool {
        self.error == "ResourceNotFoundException"
    }
}

impl LambdaClient {
    /// A client of the API at a URL. Nothing is sent yet.
    pub(super) async fn new(endpoint_url: &str) -> Result<Self, CliError> {
        let parts = address(endpoint_url.trim_end_matches('/'));
        let (host, port, authority) = parts.ok_or_else(|| {
            CliError::usage(format!("{endpoint_url:?} is not where wasmill serves Lambda's API"))
                .with_mend("write http://HOST:PORT; where TLS stands in front, go through the plain side of it")
        })?;
        let signer = Signer::new(endpoint_url).await.map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Self { endpoint_url: endpoint_url.to_owned(), host, port, authority, signer })
    }

    /// Does a call. The outer error is one of reach, the inner one the API's.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Refused>, CliError> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let (status, kind, bytes) = self.exchange(method, path, body).await?;
        let content: Value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|_| self.unavailable(format!("what answers there is not Lambda's API (HTTP {status})")))?
        };
        if status.is_success() {
            return Ok(Ok(content));
        }
        let message = ["Message", "message"].iter().find_map(|name| content.get(name).and_then(Value::as_str));
        // The listener in front says it as SQS does.
        let named = content.get("__type").and_then(Value::as_str).and_then(|kind| kind.rsplit('#').next());
        let error = kind.or_else(|| named.map(str::to_owned)).unwrap_or_else(|| format!("HTTP {status}"));
        let is_denied = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
        Ok(Err(Refused { error, message: message.unwrap_or_default().to_owned(), is_denied }))
    }

    /// The same where a refusal is the command's end.
    pub(super) async fn demand(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        self.call(method, path, body).await?.map_err(|refused| self.refusal(&refused))
    }

    /// A refusal as the command's end.
    pub(super) fn refusal(&self, refused: &Refused) -> CliError {
        let said = CliError::failure(format!("{}: {}", refused.error, refused.message)).at(&self.endpoint_url);
        if !refused.is_denied {
            return said;
        }
        said.with_mend(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that the endpoint knows, and AWS_REGION to its region",
        )
    }

    /// Fetches what lies at a URL of this endpoint, such as a function's code.
    pub(super) async fn download(&self, url: &str) -> Result<Vec<u8>, CliError> {
        // Whatever name the worker has for itself: it is the one that was asked.
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let path = path.ok_or_else(|| self.unavailable(format!("{url} is no place that code could be had from")))?;
        let (status, _, bytes) = self.exchange(Method::GET, path, Vec::new()).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(self.unavailable(format!("the code of the version cannot be had (HTTP {status})")))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Option<String>, Vec<u8>), CliError> {
        let signed = self.signer.sign("lambda", method.as_str(), &self.authority, path, &body);
        let signed = signed.map_err(|what| CliError::internal(format!("a request cannot be signed: {what}")))?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.authority);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body)).map_err(|error| CliError::internal(error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.send(request)).await;
        let answer = answer.map_err(|_| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
        answer.and_then(|answer| answer).map_err(|what| self.unavailable(what))
    }

    async fn send(&self, request: Request<Body>) -> Result<(StatusCode, Option<String>, Vec<u8>), String> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = connect.await.map_err(|_| "the connection timed out".to_owned())?;
        let stream = stream.map_err(|error| format!("nothing answers: {error}"))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        let kind = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let kind = kind.map(|kind| kind.split(':').next().unwrap_or(kind).to_owned());
        Ok((status, kind, body.map_err(|error| error.to_string())?.to_bytes().to_vec()))
    }

    fn unavailable(&self, what: String) -> CliError {
        CliError::unavailable(what)
            .at(&self.endpoint_url)
            .with_mend("start a worker with `wasmill run` or `wasmill dev`, or give its --endpoint-url")
    }
}
