//! The way out against real sockets: servers that lie, are silent, talk without end or are somewhere else.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Instant;

use http_body_util::{Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that reads the head of each request and answers with these bytes, then does nothing more.
async fn server(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&answer).await;
            open.push(stream);
        }
    });
    port
}

fn terms(origin: &str) -> Outbound {
    let hosts = AllowedHosts { origins: vec![origin.parse().unwrap()], networks: Vec::new() };
    Outbound { hosts, requests_max: 3, body_bytes_max: 1000 }
}

fn get(url: &str) -> Request<WasiBody> {
    post(url, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

fn post(url: &str, body: WasiBody) -> Request<WasiBody> {
    Request::builder().method("POST").uri(url).header("host", "test").body(body).unwrap()
}

fn short() -> RequestOptions {
    RequestOptions {
        connect_timeout: Some(Duration::from_millis(300)),
        first_byte_timeout: Some(Duration::from_millis(300)),
        between_bytes_timeout: Some(Duration::from_millis(300)),
    }
}

fn connections() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS_MAX))
}

/// Asks a server that answers so, and reads the whole body.
async fn ask(answer: &[u8]) -> Result<Vec<u8>, Error> {
    let port = server(answer.to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let (response, _) = send(&terms(&url), &connections(), get(&url), short()).await?;
    Ok(response.into_body().collect().await?.to_bytes().to_vec())
}

#[tokio::test]
async fn a_response_may_be_as_long_as_its_limit_however_it_says_so() {
    let long = "x".repeat(1000);
    let sized = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{long}");
    assert_eq!(ask(sized.as_bytes()).await.unwrap().len(), 1000);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n{long}\r\n0\r\n\r\n");
    assert_eq!(ask(chunked.as_bytes()).await.unwrap().len(), 1000);
    let longer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n{long}\r\n1\r\ny\r\n0\r\n\r\n");
    assert!(matches!(ask(longer.as_bytes()).await, Err(Error::HttpResponseBodySize(_))));
    // Without an end, until the connection closes: it never does.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{long}y");
    assert!(matches!(ask(endless.as_bytes()).await, Err(Error::HttpResponseBodySize(_))));
    // It is believed when it says that it is too long.
    let boast = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n").await;
    assert!(matches!(boast, Err(Error::HttpResponseBodySize(Some(1_099_511_627_776)))), "{boast:?}");
}

#[tokio::test]
async fn a_length_that_is_not_true_gives_neither_more_nor_a_hang() {
    // More than it said: the rest is of nobody's response.
    let more = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcdef").await;
    assert_eq!(more.unwrap(), b"ab");
    // Less than it said, and silence.
    let started = Instant::now();
    let less = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab").await;
    assert!(matches!(less, Err(Error::ConnectionReadTimeout)), "{less:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_may_be_as_long_as_its_limit() {
    let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let body = |bytes: usize| Full::new(Bytes::from(vec![0; bytes])).map_err(|never| match never {}).boxed_unsync();
    assert!(send(&terms(&url), &connections(), post(&url, body(1000)), short()).await.is_ok());
    let refused = send(&terms(&url), &connections(), post(&url, body(1001)), short()).await.map(|_| ());
    assert!(refused.is_err());
    // In pieces, without saying how long it will be.
    let port = server(Vec::new()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let pieces = body_of(vec![600, 600]);
    let refused = send(&terms(&url), &connections(), post(&url, pieces), short()).await.map(|_| ());
    assert!(refused.is_err());
}

/// A body of pieces of these lengths.
fn body_of(lengths: Vec<usize>) -> WasiBody {
    struct Pieces(std::vec::IntoIter<usize>);
    impl Body for Pieces {
        type Data = Bytes;
        type Error = Error;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            Poll::Ready(self.0.next().map(|length| Ok(Frame::data(Bytes::from(vec![0; length])))))
        }
    }
    Pieces(lengths.into_iter()).boxed_unsync()
}

#[tokio::test]
async fn silence_ends_a_request_before_the_answer_within_it_and_in_the_handshake() {
    let started = Instant::now();
    assert!(matches!(ask(b"").await, Err(Error::ConnectionReadTimeout)));
    assert!(matches!(ask(b"HTTP/1.1 200 OK\r\n\r\nab").await, Err(Error::ConnectionReadTimeout)));
    // A server that takes the connection and says nothing of TLS.
    let port = server(Vec::new()).await;
    let url = format!("https://127.0.0.1:{port}/");
    let sent = send(&terms(&url), &connections(), get(&url), short()).await.map(|_| ());
    assert!(matches!(sent, Err(Error::ConnectionTimeout)), "{sent:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_head_without_end_is_refused_at_its_limit() {
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for headers in [format!("x: {}\r\n", "y".repeat(1 << 20)), many] {
        let answer = ask(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n").as_bytes()).await;
        assert!(answer.is_err(), "{} bytes of headers were taken", headers.len());
    }
}

#[tokio::test]
async fn only_the_hosts_that_were_named_are_reached_and_only_in_networks_that_may_be() {
    let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let asked = async |origin: &str, networks: &[&str], url: &str| {
        let mut terms = terms(origin);
        terms.hosts.networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        send(&terms, &connections(), get(url), short()).await.map(|_| ())
    };
    // Another host, another port, another scheme.
    let url = format!("http://127.0.0.1:{port}/");
    for origin in [format!("http://localhost:{port}"), "http://127.0.0.1:1".into(), format!("https://127.0.0.1:{port}")]
    {
        assert!(matches!(asked(&origin, &[], &url).await, Err(Error::HttpRequestDenied)), "{origin}");
    }
    // A name that the resolver makes 127.0.0.1 of, and that is no address as such.
    let name = format!("http://127.1:{port}");
    assert!(matches!(asked(&name, &[], &name).await, Err(Error::DestinationIpProhibited)));
    assert!(matches!(asked(&name, &["10.0.0.0/8"], &name).await, Err(Error::DestinationIpProhibited)));
    assert!(asked(&name, &["127.0.0.0/8"], &name).await.is_ok());
    let localhost = format!("http://localhost:{port}");
    assert!(asked(&localhost, &[], &localhost).await.is_ok());
}

#[tokio::test]
async fn an_invocation_makes_no_more_requests_than_it_may_and_the_next_one_has_its_own() {
    let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let mut outgoing = Outgoing::new(Arc::new(terms(&url)));
    for _ in 0..2 {
        outgoing.begin(None);
        let mut outcomes = Vec::new();
        for _ in 0..5 {
            let sent = Box::into_pin(outgoing.send_request(get(&url), Some(short()), Box::new(async { Ok(()) })));
            outcomes.push(match sent.await {
                Ok(_) => "sent",
                Err(Error::ConnectionLimitReached) => "refused",
                Err(_) => "failed",
            });
        }
        assert_eq!(outcomes, ["sent", "sent", "sent", "refused", "refused"]);
    }
}

#[tokio::test]
async fn connections_beyond_the_most_wait_for_one_that_ends() {
    let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab".to_vec()).await;
    let url = format!("http://127.0.0.1:{port}/");
    let (terms, connections) = (terms(&url), connections());
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(send(&terms, &connections, get(&url), short()).await.unwrap());
    }
    let beyond = send(&terms, &connections, get(&url), short()).await.map(|_| ());
    assert!(matches!(beyond, Err(Error::ConnectionTimeout)), "{beyond:?}");
    open.pop();
    assert!(send(&terms, &connections, get(&url), short()).await.is_ok());
}
