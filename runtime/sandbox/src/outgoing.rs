//! The way out: HTTP requests of guests, to the hosts their function names and to nobody else.
//!
//! Every request is checked anew, so a redirect that a guest follows is one more request. Names are resolved here and the
//! answer is checked before it is connected to, so a name cannot point into a private network that was not allowed. TLS
//! is the host's, with the machine's own certificates. Where there are traces, a request carries its own span's place
//! (`traced.rs`).

mod traced;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response, Uri};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasmill_event::Trace;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::hosts::AllowedHosts;
use crate::outgoing::traced::Traced;

/// How long a connection may take to be made, name and TLS included, unless the guest wants it shorter.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take to begin, or to go on. The function's own timeout comes first as a rule.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Connections that one instance may have at once, of which each takes a descriptor of the process; a request beyond waits for one to
/// end, as long as a connection may take to be made.
const CONNECTIONS_MAX: usize = 32;
/// What a response may have before its body, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a function may ask of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// The hosts; none by default.
    pub hosts: AllowedHosts,
    /// Requests that one invocation may make; 100 by default.
    pub requests_max: u32,
    /// The longest body of a request or of a response, in bytes; 16 MiB by default.
    pub body_bytes_max: u64,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { hosts: AllowedHosts::default(), requests_max: 100, body_bytes_max: 16 << 20 }
    }
}

/// One instance's way out.
pub(crate) struct Outgoing {
    terms: Arc<Outbound>,
    made: u32,
    connections: Arc<Semaphore>,
    trace: Option<Trace>,
}

impl Outgoing {
    pub(crate) fn new(terms: Arc<Outbound>) -> Self {
        Self { terms, made: 0, connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)), trace: None }
    }

    /// An invocation begins: its count and its trace are its own.
    pub(crate) fn begin(&mut self, trace: Option<&Trace>) {
        self.made = 0;
        self.trace = trace.cloned();
    }
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.made = self.made.saturating_add(1);
        let beyond = self.made.saturating_sub(self.terms.requests_max);
        let terms = Arc::clone(&self.terms);
        let connections = Arc::clone(&self.connections);
        let trace = self.trace.clone();
        Box::new(async move {
            if beyond > 0 {
                // Once: a guest that goes on asking must not fill the log.
                if beyond == 1 {
                    let most = terms.requests_max;
                    tracing::warn!(target: "wasmill::outgoing", "request refused: an invocation may make {most}, and did");
                }
                return Err(Error::ConnectionLimitReached);
            }
            let traced = trace.and_then(|trace| Traced::begin(&trace, &mut request));
            let sent = send(&terms, &connections, request, options.unwrap_or_default()).await;
            if let Some(traced) = traced {
                traced.ended(&sent);
            }
            sent
        })
    }
}

async fn send(
    terms: &Outbound,
    connections: &Arc<Semaphore>,
    mut request: Request<WasiBody>,
    options: RequestOptions,
) -> Sent {
    let target = Target::of(request.uri())?;
    if !terms.hosts.allow(&target.scheme, &target.host, target.port) {
        denied(&target, "is not among the function's allowed_hosts");
        return Err(Error::HttpRequestDenied);
    }
    let body_bytes_max = terms.body_bytes_max;
    let connect_max = options.connect_timeout.unwrap_or(CONNECT_MAX).min(CONNECT_MAX);
    let connected = timeout(connect_max, async {
        let place = Arc::clone(connections).acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
        Ok::<_, Error>((connect(terms, &target).await?, place))
    });
    let (stream, place) = connected.await.map_err(|_| Error::ConnectionTimeout)??;
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    // The connection lives as long as the guest reads from it.
    let driver = tokio::spawn(connection);
    let abort = AbortOnDrop { driver: driver.abort_handle(), _place: place };

    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    let request = request.map(|body| Bounded::new(body, body_bytes_max, None, TooLong::Request));
    let first_byte_max = options.first_byte_timeout.unwrap_or(SILENCE_MAX).min(SILENCE_MAX);
    let response = timeout(first_byte_max, sender.send_request(request)).await;
    let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
    // A body that says it is too long need not be begun.
    if response.body().size_hint().lower() > body_bytes_max {
        return Err(Error::HttpResponseBodySize(Some(response.body().size_hint().lower())));
    }
    let silence_max = options.between_bytes_timeout.unwrap_or(SILENCE_MAX).min(SILENCE_MAX);
    let response = response.map(|body| {
        let body = body.map_err(Error::from).boxed_unsync();
        let mut body = Bounded::new(body, body_bytes_max, Some(silence_max), TooLong::Response);
        body.connection = Some(abort);
        body.boxed_unsync()
    });
    Ok((response, Box::new(async { Ok(()) })))
}

/// Where a request goes.
struct Target {
    scheme: String,
    /// Lower case; of an IPv6 address without brackets.
    host: String,
    port: u16,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, Error> {
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let scheme = uri.scheme_str().unwrap_or("https").to_ascii_lowercase();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Ok(Self { scheme, host, port })
    }
}

/// Says what may not be reached, for the person who runs the function; the guest is told by its error's code.
fn denied(target: &Target, why: &str) {
    let Target { scheme, host, port } = target;
    tracing::warn!(target: "wasmill::outgoing", scheme, host, port, "request refused: the host {why}");
}

/// Either kind of connection.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(terms: &Outbound, target: &Target) -> Result<Box<dyn Stream>, Error> {
    let stream = connect_tcp(terms, target).await?;
    // Small requests should not wait for more to come.
    stream.set_nodelay(true).map_err(Error::Connect)?;
    if target.scheme != "https" {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let connector = TlsConnector::from(Arc::clone(&TLS));
    Ok(Box::new(connector.connect(name, stream).await.map_err(Error::Tls)?))
}

async fn connect_tcp(terms: &Outbound, target: &Target) -> Result<TcpStream, Error> {
    let addresses: Vec<SocketAddr> = match target.host.parse::<IpAddr>() {
        Ok(address) => vec![(address, target.port).into()],
        Err(_) => {
            let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
            let unknown = |error: std::io::Error| Error::DnsError { rcode: Some(error.to_string()), info_code: None };
            found.map_err(unknown)?.collect()
        }
    };
    let (reachable, private): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| terms.hosts.allow_address(&target.host, address.ip()));
    if reachable.is_empty() {
        return match private.first() {
            Some(address) => {
                let ip = address.ip();
                denied(target, &format!("is in a private network ({ip}) that is not among allowed_networks"));
                Err(Error::DestinationIpProhibited)
            }
            None => Err(Error::DnsError { rcode: Some("no address".to_owned()), info_code: None }),
        };
    }
    let mut refused = None;
    for address in reachable {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.map_or(Error::ConnectionRefused, Error::Connect))
}

/// The machine's own certificates, read when the first guest asks for TLS.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(target: "wasmill::outgoing", %error, "some of the machine's certificates cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::error!(
            target: "wasmill::outgoing",
            "the machine has no certificates: handlers' https requests will fail; install ca-certificates or set SSL_CERT_FILE"
        );
    }
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
});

/// A connection, as long as somebody wants it, and its place among those of the instance.
struct AbortOnDrop {
    driver: tokio::task::AbortHandle,
    _place: OwnedSemaphorePermit,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Which body was longer than it may be.
#[derive(Clone, Copy)]
enum TooLong {
    Request,
    Response,
}

/// A body with a limit to its length, and to the silence within it.
struct Bounded {
    body: WasiBody,
    bytes_left: u64,
    silence: Option<(Duration, Pin<Box<tokio::time::Sleep>>)>,
    too_long: TooLong,
    connection: Option<AbortOnDrop>,
}

impl Bounded {
    fn new(body: WasiBody, bytes_max: u64, silence_max: Option<Duration>, too_long: TooLong) -> Self {
        let silence = silence_max.map(|most| (most, Box::pin(tokio::time::sleep(most))));
        Self { body, bytes_left: bytes_max, silence, too_long, connection: None }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > this.bytes_left {
                    return Poll::Ready(Some(Err(match this.too_long {
                        TooLong::Request => Error::HttpRequestBodySize(None),
                        TooLong::Response => Error::HttpResponseBodySize(None),
                    })));
                }
                this.bytes_left -= bytes;
                if let Some((most, sleep)) = &mut this.silence {
                    sleep.as_mut().reset(tokio::time::Instant::now() + *most);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let silent = this.silence.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
                if silent { Poll::Ready(Some(Err(Error::ConnectionReadTimeout))) } else { Poll::Pending }
            }
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
