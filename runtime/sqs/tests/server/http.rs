//! A bare HTTP client: it sends exactly what a test says.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Server;

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of the first element of that name in an XML answer, as it is written there.
    pub(crate) fn element(&self, name: &str) -> &str {
        let after = self.body.split_once(&format!("<{name}>")).map(|(_, after)| after);
        after.and_then(|after| after.split_once(&format!("</{name}>"))).map_or("", |(text, _)| text)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection that stays open over several requests.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Self {
        Self { stream: TcpStream::connect(&server.address).await.unwrap(), host: server.address.clone() }
    }

    pub(crate) async fn write(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "transfer-encoding" || *name == "content-length") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body.as_bytes()).await.unwrap();
    }

    /// More of a body whose beginning was written.
    pub(crate) async fn send(&mut self, body: &str) {
        self.stream.write_all(body.as_bytes()).await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) async fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.write(method, path, headers, body).await;
        self.read().await
    }

    pub(crate) async fn action(&mut self, path: &str, action: &str, body: &str) -> Answer {
        let target = format!("AmazonSQS.{action}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
        self.exchange("POST", path, &headers, body).await
    }

    /// A request of the query protocol, by POST to `/`.
    pub(crate) async fn form(&mut self, action: &str, form: &str) -> Answer {
        let body = format!("Action={action}&Version=2012-11-05&{form}");
        self.exchange("POST", "/", &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")], &body).await
    }

    /// The same by GET on a queue's URL.
    pub(crate) async fn get(&mut self, queue: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
        self.exchange("GET", &format!("/000000000000/{queue}?{query}"), headers, "").await
    }
}
