//! A queue on a server under test: the requests that a load sends to it, built once, and what their answers must say.

use std::net::SocketAddr;

use super::http::{Connection, request, write_request};

/// A batch's most entries, on SQS and everywhere else.
pub(super) const BATCH: usize = 10;
pub(super) const BODY_BYTES: usize = 256;
/// Long enough that nothing comes back while a load runs, on the slowest peer.
const VISIBILITY_SECONDS: u32 = 600;

/// The body of every message: 256 bytes of plain text.
pub(super) fn body() -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(BODY_BYTES).collect()
}

/// A queue that was made for the bench.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) address: SocketAddr,
    url: String,
    body: String,
    /// What the server said the body's MD5 is, when it was asked first: it must go on saying so.
    md5: String,
    send: Vec<u8>,
    send_batch: Vec<u8>,
    receive_one: Vec<u8>,
    receive_ten: Vec<u8>,
    receive_waiting: Vec<u8>,
}

impl Queue {
    /// Makes a queue and passes one message through it: what comes out must be what went in.
    pub(super) fn create(connection: &mut Connection, address: SocketAddr, name: &str) -> Result<Self, String> {
        let attributes = format!(r#"{{"VisibilityTimeout":"{VISIBILITY_SECONDS}"}}"#);
        let create = request(address, "CreateQueue", &format!(r#"{{"QueueName":"{name}","Attributes":{attributes}}}"#));
        let url = only_text(connection.call(&create)?, "QueueUrl")?.to_owned();
        let queue = Self::at(connection, address, url)?;
        let mut receipts = Receipts::default();
        if queue.receive(connection, Many::One, &mut receipts)? != 1 {
            return Err("a message that was sent is not received".to_owned());
        }
        queue.delete(connection, &mut receipts)?;
        if queue.depth(connection)? != 0 {
            return Err("a message that was deleted is still there".to_owned());
        }
        Ok(queue)
    }

    /// A queue that is there, and that somebody takes messages from. One is sent.
    pub(super) fn find(connection: &mut Connection, address: SocketAddr, name: &str) -> Result<Self, String> {
        let ask = request(address, "GetQueueUrl", &format!(r#"{{"QueueName":"{name}"}}"#));
        let url = only_text(connection.call(&ask)?, "QueueUrl")?.to_owned();
        Self::at(connection, address, url)
    }

    /// Builds the requests, and sends one message to learn what the server says of its body.
    fn at(connection: &mut Connection, address: SocketAddr, url: String) -> Result<Self, String> {
        let body = body();
        let entry = |index| format!(r#"{{"Id":"{index}","MessageBody":"{body}"}}"#);
        let entries: Vec<String> = (0..BATCH).map(entry).collect();
        let member = format!(r#""QueueUrl":"{url}""#);
        let receive = |max: usize, wait_s: u32| {
            let body = format!(r#"{{{member},"MaxNumberOfMessages":{max},"WaitTimeSeconds":{wait_s}}}"#);
            request(address, "ReceiveMessage", &body)
        };
        let mut queue = Self {
            address,
            send: request(address, "SendMessage", &format!(r#"{{{member},"MessageBody":"{body}"}}"#)),
            send_batch: request(
                address,
                "SendMessageBatch",
                &format!(r#"{{{member},"Entries":[{}]}}"#, entries.join(",")),
            ),
            receive_one: receive(1, 0),
            receive_ten: receive(BATCH, 0),
            receive_waiting: receive(1, 20),
            md5: String::new(),
            url,
            body,
        };
        queue.md5 = only_text(connection.call(&queue.send)?, "MD5OfMessageBody")?.to_owned();
        Ok(queue)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends one message.
    pub(super) fn send(&self, connection: &mut Connection) -> Result<(), String> {
        self.check_sent(connection.call(&self.send)?, 1)
    }

    /// Sends ten in one request.
    pub(super) fn send_batch(&self, connection: &mut Connection) -> Result<(), String> {
        self.check_sent(connection.call(&self.send_batch)?, BATCH)
    }

    fn check_sent(&self, answer: &str, count: usize) -> Result<(), String> {
        let is_right =
            answer.matches(self.md5.as_str()).count() == count && texts(answer, "MessageId").count() == count;
        if is_right { Ok(()) } else { Err(format!("{count} messages were not all taken: {answer}")) }
    }

    /// Receives without waiting, up to one or ten, and says how many. Their receipts are added to `receipts`.
    pub(super) fn receive(
        &self,
        connection: &mut Connection,
        many: Many,
        receipts: &mut Receipts,
    ) -> Result<usize, String> {
        let request = match many {
            Many::One => &self.receive_one,
            Many::Ten => &self.receive_ten,
        };
        self.take(connection.call(request)?, receipts)
    }

    /// Waits for one message, 20 s at most.
    pub(super) fn receive_waiting(
        &self,
        connection: &mut Connection,
        receipts: &mut Receipts,
    ) -> Result<usize, String> {
        self.take(connection.call(&self.receive_waiting)?, receipts)
    }

    fn take(&self, answer: &str, receipts: &mut Receipts) -> Result<usize, String> {
        let mut count = 0;
        for handle in texts(answer, "ReceiptHandle") {
            receipts.push(handle);
            count += 1;
        }
        let whole =
            answer.matches(self.body.as_str()).count() == count && answer.matches(self.md5.as_str()).count() == count;
        if whole { Ok(count) } else { Err(format!("{count} messages came without the body that was sent: {answer}")) }
    }

    /// Deletes what the receipts name: one by its own action, more as a batch. Leaves none.
    pub(super) fn delete(&self, connection: &mut Connection, receipts: &mut Receipts) -> Result<(), String> {
        let Receipts { handles, body, request } = receipts;
        let url = &self.url;
        let (action, expected) = match handles.as_slice() {
            [] => return Ok(()),
            [handle] => {
                *body = format!(r#"{{"QueueUrl":"{url}","ReceiptHandle":"{handle}"}}"#);
                ("DeleteMessage", 0)
            }
            many => {
                *body = format!(r#"{{"QueueUrl":"{url}","Entries":["#);
                for (index, handle) in many.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    body.push_str(&format!(r#"{comma}{{"Id":"{index}","ReceiptHandle":"{handle}"}}"#));
                }
                body.push_str("]}");
                ("DeleteMessageBatch", many.len())
            }
        };
        write_request(request, self.address, action, body);
        let answer = connection.call(request)?;
        handles.clear();
        if texts(answer, "Id").count() == expected && texts(answer, "Code").next().is_none() {
            Ok(())
        } else {
            Err(format!("{expected} messages were not all deleted: {answer}"))
        }
    }

    /// How many messages the queue holds, handed out or not.
    pub(super) fn depth(&self, connection: &mut Connection) -> Result<u64, String> {
        let names = r#"["ApproximateNumberOfMessages","ApproximateNumberOfMessagesNotVisible"]"#;
        let body = format!(r#"{{"QueueUrl":"{}","AttributeNames":{names}}}"#, self.url);
        let answer = connection.call(&request(self.address, "GetQueueAttributes", &body))?;
        let count = |name| only_text(answer, name)?.parse::<u64>().map_err(|_| format!("not a count: {answer}"));
        Ok(count("ApproximateNumberOfMessages")? + count("ApproximateNumberOfMessagesNotVisible")?)
    }

    /// Deletes the queue with all that is in it.
    pub(super) fn destroy(&self, connection: &mut Connection) -> Result<(), String> {
        let body = format!(r#"{{"QueueUrl":"{}"}}"#, self.url);
        connection.call(&request(self.address, "DeleteQueue", &body)).map(drop)
    }
}

/// How many a receive asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    One,
    Ten,
}

/// Receipts to be given back, as they stand in JSON text, and the buffers of the request that does it.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    handles: Vec<String>,
    body: String,
    request: Vec<u8>,
}

impl Receipts {
    fn push(&mut self, handle: &str) {
        self.handles.push(handle.to_owned());
    }
}

/// The values of every text member of that name, in order, as they are written: escapes stay.
fn texts<'a>(json: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let key = format!("\"{name}\"");
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(&key)?;
            rest = &rest[at + key.len()..];
            let value = rest.trim_start().strip_prefix(':').and_then(|rest| rest.trim_start().strip_prefix('"'));
            // The same text may also be a value, or the member not a text.
            let Some(value) = value else { continue };
            let length = text_length(value);
            rest = &value[length..];
            return Some(&value[..length]);
        }
    })
}

/// Up to the quote that ends it.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn only_text<'a>(json: &'a str, name: &str) -> Result<&'a str, String> {
    texts(json, name).next().ok_or_else(|| format!("an answer without {name}: {json}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_with_and_without_spaces_and_escapes_stay() {
        let json = r#"{"M":[{"Id": "a\"b\\","x":"Id"},{"Id":"c","Idx":"no","Id":5}]}"#;
        assert_eq!(texts(json, "Id").collect::<Vec<_>>(), [r#"a\"b\\"#, "c"]);
        assert!(only_text(json, "Code").is_err());
    }

    #[test]
    fn a_body_has_its_size_and_needs_no_escapes() {
        assert_eq!(body().len(), BODY_BYTES);
        assert!(body().bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ' || byte == b'.'));
    }
}
