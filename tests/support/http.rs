//! A bare HTTP client: one request per connection, exactly as the test says it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server that does not answer at all is a failure, not a wait.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// A header's value, empty if it is not there. Names are in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends one request and reads the answer to its end.
///
/// # Errors
/// When there is no answer: nothing listens, or the connection ended early.
pub async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let whole = async {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("host: {address}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
        let write = async {
            writer.write_all(head.as_bytes()).await?;
            writer.write_all(body).await
        };
        let mut answer = Vec::new();
        let read = async {
            // Some servers keep a connection that they were asked to close.
            while !is_whole(&answer) && reader.read_buf(&mut answer).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // A server may answer before it has read all, and close: then the answer counts, not the failed write.
        let (written, read) = tokio::join!(write, read);
        if answer.is_empty() {
            written?;
            read?;
        }
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(LONGEST_ANSWER, whole)
        .await
        .map_err(|_| format!("no answer within {LONGEST_ANSWER:?}"))?
        .map_err(|error| error.to_string())?;
    parse(&answer)
}

/// `GET` without anything else.
///
/// # Errors
/// When there is no answer.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer, String> {
    exchange(address, "GET", path, &[], b"").await
}

/// Whether an answer is here to its last byte, as far as it says how long it is.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}

fn parse(answer: &[u8]) -> Result<Answer, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]),
        None => return Err(format!("not an HTTP answer: {:?}", String::from_utf8_lossy(answer))),
    };
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let is_chunked = headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
    let body = if is_chunked { joined(body).ok_or("the answer ended within a chunk")? } else { body.to_vec() };
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A body that was sent in chunks; none if its end is missing.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let chunk = chunks.get(line + 2..line + 2 + length)?;
        body.extend_from_slice(chunk);
        chunks = chunks.get(line + 2 + length + 2..)?;
    }
}
