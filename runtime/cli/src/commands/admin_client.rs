//! One question to the admin listener: a GET over plain HTTP, its answer as JSON. Absent: TLS and redirects, which that
//! listener does not have.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::CliError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of messages has 18 MiB of bodies at most, and JSON may take six bytes for one.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// Asks `base` (`http://HOST:PORT`) for a path; gives the answer's status and content.
///
/// # Errors
/// `base` is no such URL, nothing answers there, or what answers is not wasmill.
pub(super) async fn get(base: &str, path: &str) -> Result<(StatusCode, Value), CliError> {
    let (host, port, authority) = address(base).ok_or_else(|| {
        CliError::usage(format!("{base:?} is not the URL of an admin listener")).with_mend("write http://HOST:PORT")
    })?;
    let unavailable = |what: String| {
        CliError::unavailable(what).at(base).with_mend(
            "give the --admin-url of a running `wasmill queue serve` or `wasmill run`; of any other SQS service, messages \
             can only be received: --receive",
        )
    };
    let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port)));
    let stream = match connect.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unavailable(format!("the admin listener does not answer: {error}"))),
        Err(_) => return Err(unavailable("the admin listener does not answer: the connection timed out".to_owned())),
    };
    let request = Request::get(path).header(header::HOST, authority).body(Body::empty());
    let request = request.map_err(|error| CliError::internal(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange(stream, request)).await;
    let answer = answer.map_err(|_| unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))?;
    let (status, bytes) = answer.map_err(|what| unavailable(format!("the admin listener did not answer: {what}")))?;
    match serde_json::from_slice(&bytes) {
        Ok(content) => Ok((status, content)),
        Err(_) => Err(unavailable(format!("what answers there is no admin listener of wasmill (HTTP {status})"))),
    }
}

async fn exchange(stream: TcpStream, request: Request<Body>) -> Result<(StatusCode, Vec<u8>), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    connection.abort();
    Ok((status, body.to_bytes().to_vec()))
}

/// Host and port to connect to, and what the `Host` header says.
pub(super) fn address(base: &str) -> Option<(String, u16, String)> {
    let uri: Uri = base.parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let is_bare = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (is_bare && !host.is_empty())
        .then(|| (host.to_owned(), authority.port_u16().unwrap_or(80), authority.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_http_address_is_one_of_an_admin_listener() {
        let parts = |host: &str, port, authority: &str| Some((host.to_owned(), port, authority.to_owned()));
        assert_eq!(address("http://127.0.0.1:9325"), parts("127.0.0.1", 9325, "127.0.0.1:9325"));
        assert_eq!(address("http://localhost/"), parts("localhost", 80, "localhost"));
        assert_eq!(address("http://[::1]:9325"), parts("::1", 9325, "[::1]:9325"));
        for bad in
            ["", "127.0.0.1:9325", "https://127.0.0.1:9325", "http://a@b", "http://h/api", "http://h?x", "http://"]
        {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
