//! One keep-alive HTTP/1.1 connection of the load generator: requests that are bytes already, answers barely looked at.
//!
//! Light on purpose: the generator shares the processor with what it measures. Chunked answers, redirects and TLS are
//! absent; a server that closes after each answer is connected to again, which then is part of its cost.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the longest poll, so that a server that hangs is told from one that waits.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 64 << 10;
/// Credentials as an SDK sends them: some servers tell the service by their scope, and all have to read past them.
const SDK_HEADERS: &str = "User-Agent: aws-sdk-rust/1.3 os/linux lang/rust/1.95\r\n\
    Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/sqs/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dedd4a1a5b2f9c1b6\r\n\
    X-Amz-Date: 20261123T120000Z\r\n";

/// A request of an action, ready to be written.
pub(super) fn request(address: SocketAddr, action: &str, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_request(&mut bytes, address, action, body);
    bytes
}

/// The same into a buffer that is used again.
pub(super) fn write_request(bytes: &mut Vec<u8>, address: SocketAddr, action: &str, body: &str) {
    bytes.clear();
    let length = body.len();
    // Writing to memory does not fail.
    let _ = write!(
        bytes,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: AmazonSQS.{action}\r\n{SDK_HEADERS}Content-Length: {length}\r\n\r\n{body}"
    );
}

/// A connection, made again when the server has closed it.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self, String> {
        let mut connection = Self { address, stream: None, buffer: vec![0; BUFFER_BYTES] };
        connection.stream()?;
        Ok(connection)
    }

    fn stream(&mut self) -> Result<&mut TcpStream, String> {
        if self.stream.is_none() {
            let failed = |error| format!("{} cannot be connected to: {error}", self.address);
            let stream = TcpStream::connect(self.address).map_err(failed)?;
            stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(ANSWER_MAX))).map_err(failed)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| "no connection".to_owned())
    }

    /// Sends a request and gives the body of its answer, which must be a success.
    pub(super) fn call(&mut self, request: &[u8]) -> Result<&str, String> {
        let address = self.address;
        let lost = |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{address} did not answer in {ANSWER_MAX:?}"),
            _ => format!("{address} broke the connection: {error}"),
        };
        self.stream()?.write_all(request).map_err(lost)?;
        let mut filled = 0;
        let head = loop {
            filled += self.fill(filled).map_err(lost)?;
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
        };
        let end = head.bytes + head.body_bytes;
        while filled < end {
            filled += self.fill(filled).map_err(lost)?;
        }
        if head.closes {
            self.stream = None;
        }
        let body = std::str::from_utf8(&self.buffer[head.bytes..end]).map_err(|_| "an answer is not text")?;
        if head.status == 200 && filled == end { Ok(body) } else { Err(format!("status {}: {body}", head.status)) }
    }

    /// Reads on. The end of the stream is an error: an answer is still to come.
    fn fill(&mut self, filled: usize) -> std::io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(filled * 2, 0);
        }
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        match stream.read(&mut self.buffer[filled..])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// What of an answer's head is needed.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    closes: bool,
}

impl Head {
    /// None as long as it is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "an answer's head is not text")?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("not an HTTP answer: {status_line}"))?;
        let mut head = Self { status, bytes: end + 4, body_bytes: 0, closes: status_line.starts_with("HTTP/1.0") };
        let mut has_length = false;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.body_bytes = value.parse().map_err(|_| format!("not a length: {value}"))?;
                has_length = true;
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.eq_ignore_ascii_case("close");
            }
        }
        if has_length { Ok(Some(head)) } else { Err("an answer without Content-Length, which is not read here".into()) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn heads_are_read_whole_or_not_at_all() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\n{}";
        let whole = Head { status: 200, bytes: answer.len() - 2, body_bytes: 2, closes: true };
        assert_eq!(Head::parse(answer), Ok(Some(whole)));
        assert_eq!(Head::parse(&answer[..answer.len() - 4]), Ok(None));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_in_pieces_is_one_answer_and_a_failure_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in [
                &["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 4\r\n\r\nbo", "dy"][..],
                &["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"],
            ] {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).unwrap() > 0);
                for piece in answer {
                    stream.write_all(piece.as_bytes()).unwrap();
                    stream.flush().unwrap();
                }
            }
        });
        let mut connection = Connection::open(address).unwrap();
        let ping = request(address, "ListQueues", "{}");
        assert_eq!(connection.call(&ping), Ok("body"));
        assert!(connection.call(&ping).unwrap_err().starts_with("status 500"));
        server.join().unwrap();
    }
}
