//! An SQS that lies: a server between the worker and a real one. It throttles, answers 503, cuts connections before and after a call was
//! done, hands out messages twice, says of deletes that they were done and does not do them, and refuses receipt handles.
//!
//! What it did to a message that lets it come once more is written down, by the message's id: the account allows that much.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::http::{self, Answer};
use support::seed::Chance;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many messages it keeps to hand them out again.
const KEPT_MAX: usize = 50;

/// What it has done.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) tricks: BTreeMap<&'static str, usize>,
    /// Further deliveries that it caused, by message id.
    pub(crate) lies: BTreeMap<String, u64>,
    /// Message ids by receipt handle.
    handles: BTreeMap<String, String>,
    /// Messages that were handed out, of standard queues.
    kept: Vec<Value>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Liar {
    real: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) book: Arc<Mutex<Book>>,
    chance: Arc<Mutex<Chance>>,
    is_honest: Arc<AtomicBool>,
}

/// One call.
struct Call {
    action: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trick {
    None,
    Throttle,
    Unavailable,
    CutBefore,
    CutAfter,
    Slow,
    /// Of a receive.
    Twice,
    /// Of a delete.
    Pretend,
    /// Of a delete or a change of visibility.
    Refuse,
}

impl Liar {
    /// Listens in front of a server. In a tenth of the cases or so it does something else than it should.
    pub(crate) async fn before(real: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let liar = Self {
            real,
            address: listener.local_addr().unwrap(),
            book: Arc::default(),
            chance: Arc::new(Mutex::new(Chance::new(seed))),
            is_honest: Arc::default(),
        };
        let server = liar.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let liar = server.clone();
                // A client that goes away is none of its business.
                tokio::spawn(async move { liar.serve(stream).await.ok() });
            }
        });
        liar
    }

    /// From now on it does as it should.
    pub(crate) fn confess(&self) {
        self.is_honest.store(true, Ordering::Relaxed);
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut come = Vec::new();
        while let Some(call) = read_call(&mut stream, &mut come).await? {
            let Some((status, answer)) = self.answer(&call).await else { return Ok(()) };
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).await?;
        }
        Ok(())
    }

    /// None: the connection is cut.
    async fn answer(&self, call: &Call) -> Option<(u16, String)> {
        let trick = self.trick(call);
        match trick {
            Trick::Throttle => return Some(refusal(400, "ThrottlingException")),
            Trick::Unavailable => return Some(refusal(503, "ServiceUnavailable")),
            Trick::CutBefore => return None,
            Trick::Pretend | Trick::Refuse => return Some((200, self.not_done(call, trick))),
            Trick::Slow => tokio::time::sleep(Duration::from_millis(1500)).await,
            Trick::CutAfter | Trick::Twice | Trick::None => {}
        }
        let headers: Vec<(&str, &str)> =
            call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let real = http::exchange(self.real, "POST", "/", &headers, &call.body).await;
        let Ok(Answer { status, body, .. }) = real else { return Some(refusal(503, "ServiceUnavailable")) };
        let body = if call.action == "ReceiveMessage" { self.handed_out(call, &body, trick) } else { body };
        (trick != Trick::CutAfter).then_some((status, body))
    }

    fn trick(&self, call: &Call) -> Trick {
        if self.is_honest.load(Ordering::Relaxed) {
            return Trick::None;
        }
        // Order is the source's to keep: there it fails, and does not lie.
        let is_fifo = String::from_utf8_lossy(&call.body).contains(".fifo");
        let of_hundred = self.chance.lock().unwrap().below(100);
        let (what, trick) = match (call.action.as_str(), of_hundred) {
            (_, 0..3) => ("throttled", Trick::Throttle),
            (_, 3..5) => ("503s", Trick::Unavailable),
            (_, 5..7) => ("cut before", Trick::CutBefore),
            (_, 7..9) => ("cut after", Trick::CutAfter),
            (_, 9..10) => ("slow", Trick::Slow),
            ("ReceiveMessage", 10..30) if !is_fifo => ("twice", Trick::Twice),
            ("DeleteMessageBatch", 10..20) if !is_fifo => ("pretended deletes", Trick::Pretend),
            ("DeleteMessageBatch" | "ChangeMessageVisibilityBatch", 20..30) if !is_fifo => ("refused", Trick::Refuse),
            _ => return Trick::None,
        };
        *self.book.lock().unwrap().tricks.entry(what).or_default() += 1;
        trick
    }

    /// The answer to a batch call that is not made.
    fn not_done(&self, call: &Call, trick: Trick) -> String {
        let asked: Value = serde_json::from_slice(&call.body).unwrap();
        let mut book = self.book.lock().unwrap();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in asked["Entries"].as_array().unwrap() {
            let handle = entry["ReceiptHandle"].as_str().unwrap();
            if let Some(id) = book.handles.get(handle).cloned() {
                *book.lies.entry(id).or_default() += 1;
            }
            match trick {
                Trick::Refuse => failed.push(json!({
                    "Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true,
                    "Message": "The input receipt handle is invalid.",
                })),
                _ => done.push(json!({"Id": entry["Id"]})),
            }
        }
        json!({"Successful": done, "Failed": failed}).to_string()
    }

    /// Writes down what is handed out, and adds what was handed out before.
    fn handed_out(&self, call: &Call, body: &str, trick: Trick) -> String {
        let Ok(mut answer) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
        let mut book = self.book.lock().unwrap();
        let mut messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let (handle, id) = (message["ReceiptHandle"].as_str().unwrap(), message["MessageId"].as_str().unwrap());
            book.handles.insert(handle.to_owned(), id.to_owned());
        }
        let is_of_queue = |message: &&Value| String::from_utf8_lossy(&call.body).contains(queue_of(message));
        let again: Vec<Value> = if trick == Trick::Twice {
            book.kept.iter().rev().filter(is_of_queue).take(10 - messages.len().min(10)).cloned().collect()
        } else {
            Vec::new()
        };
        for message in &again {
            *book.lies.entry(message["MessageId"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        if !String::from_utf8_lossy(&call.body).contains(".fifo") {
            book.kept.extend(messages.iter().cloned());
            let over = book.kept.len().saturating_sub(KEPT_MAX);
            book.kept.drain(..over);
        }
        messages.extend(again);
        if messages.is_empty() {
            return body.to_owned();
        }
        answer["Messages"] = Value::from(messages);
        answer.to_string()
    }
}

/// The queue that a message's name says it was sent to, as a queue's URL ends in a request.
fn queue_of(message: &Value) -> &str {
    let body = message["Body"].as_str().unwrap_or_default();
    if body.contains("handled calm/") { "/calm\"" } else { "/work\"" }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "not now"}).to_string())
}

/// The next request of a connection; none at its end.
async fn read_call(stream: &mut TcpStream, come: &mut Vec<u8>) -> std::io::Result<Option<Call>> {
    let end = loop {
        if let Some(end) = come.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(come).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&come[..end]).into_owned();
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let value = |name: &str| headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str());
    let length: usize = value("content-length").parse().unwrap_or(0);
    let action = value("x-amz-target").trim_start_matches("AmazonSQS.").to_owned();
    while come.len() < end + length {
        if stream.read_buf(come).await? == 0 {
            return Ok(None);
        }
    }
    let body = come[end..end + length].to_vec();
    come.drain(..end + length);
    let kept = ["content-type", "x-amz-target"].map(|name| (name.to_owned(), value(name).to_owned()));
    Ok(Some(Call { action, headers: kept.into(), body }))
}
