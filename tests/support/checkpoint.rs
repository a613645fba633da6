//! A stand between a client and its service, which lets those pass who sign with one access key and refuses the others as
//! Amazon SQS does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::http::exchange;

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct Checkpoint {
    address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Rules {
    taken: String,
    code: String,
    refused: Vec<Instant>,
}

impl Checkpoint {
    /// Opens one in front of a service, for whoever signs with this access key.
    pub async fn open(service: SocketAddr, access_key_id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules = Rules { taken: access_key_id.to_owned(), code: String::new(), refused: Vec::new() };
        let rules = Arc::new(Mutex::new(rules));
        let asked = Arc::clone(&rules);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, service, Arc::clone(&asked)));
            }
        });
        Self { address, rules, serving }
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on another access key is taken; the others are refused with this code. What is under way passes.
    pub fn take_only(&self, access_key_id: &str, code: &str) {
        let mut rules = lock(&self.rules);
        access_key_id.clone_into(&mut rules.taken);
        code.clone_into(&mut rules.code);
        rules.refused.clear();
    }

    /// When requests were refused since then.
    #[must_use]
    pub fn refused(&self) -> Vec<Instant> {
        lock(&self.rules).refused.clone()
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request per connection. A client that goes away is its own affair.
async fn pass(mut stream: TcpStream, service: SocketAddr, rules: Arc<Mutex<Rules>>) -> Option<()> {
    let (head, body) = read_request(&mut stream).await?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !matches!(name.as_str(), "connection" | "content-length"))
        .collect();
    let credential = headers.iter().find(|(name, _)| name == "authorization")?.1.split("Credential=").nth(1)?;
    let refusal = {
        let mut rules = lock(&rules);
        let is_taken = credential.split('/').next() == Some(rules.taken.as_str());
        if !is_taken {
            rules.refused.push(Instant::now());
        }
        (!is_taken).then(|| rules.code.clone())
    };
    let (status, kind, body) = match refusal {
        Some(code) => {
            let text = "The security token included in the request is refused";
            let body = serde_json::json!({"__type": format!("com.amazon.coral.service#{code}"), "message": text});
            (403, "application/x-amz-json-1.0".to_owned(), body.to_string())
        }
        None => {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let answer = exchange(service, method, path, &headers, &body).await.ok()?;
            (answer.status, answer.header("content-type").to_owned(), answer.body)
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = bytes.split_off(end + 4);
        while body.len() < length.unwrap_or(0) {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        return Some((head, body));
    }
}
