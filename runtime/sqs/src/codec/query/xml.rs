//! Answers as XML, with the element names of the query protocol's model (sqs-semantics §1.2).
//!
//! Bodies come back exactly: what a parser would change is written as a reference. What XML cannot hold at all was
//! refused on send; in other texts it becomes U+FFFD.

use std::fmt::{Display, Write as _};

use wasmill_queue::AttributeValue;

use crate::error::Shape;
use crate::wire::members::base64_of;
use crate::wire::received::{ReceivedMessage, SystemValue};
use crate::wire::{BatchResponse, FailedEntry, ListedMoveTask, Response};

const DECLARATION: &str = "<?xml version=\"1.0\"?>";
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";
/// Room for an error's frame.
const FRAME_BYTES: usize = 384;

/// The response of an action.
pub(super) fn response(action: &str, response: &Response, request_id: &str) -> String {
    let mut xml = Xml::with_capacity(response.room_bytes());
    xml.raw(&[DECLARATION, "<", action, "Response xmlns=\"", NAMESPACE, "\">"]);
    if !matches!(response, Response::Empty {}) {
        xml.raw(&["<", action, "Result>"]);
        let start = xml.0.len();
        result(&mut xml, action, response);
        if xml.0.len() == start {
            xml.0.truncate(start - 1);
            xml.raw(&["/>"]);
        } else {
            xml.raw(&["</", action, "Result>"]);
        }
    }
    xml.raw(&["<ResponseMetadata><RequestId>", request_id, "</RequestId></ResponseMetadata></", action, "Response>"]);
    xml.0
}

/// An error.
pub(super) fn error(shape: Shape, text: &str, request_id: &str) -> String {
    let mut xml = Xml::with_capacity(FRAME_BYTES + text.len());
    xml.raw(&[DECLARATION, "<ErrorResponse xmlns=\"", NAMESPACE, "\"><Error>"]);
    xml.text("Type", shape.fault.as_str());
    xml.text("Code", shape.query_code);
    xml.text("Message", text);
    xml.raw(&["<Detail/></Error><RequestId>", request_id, "</RequestId></ErrorResponse>"]);
    xml.0
}

fn result(xml: &mut Xml, action: &str, response: &Response) {
    match response {
        Response::Empty {} => {}
        Response::QueueUrl(found) => xml.text("QueueUrl", &found.queue_url),
        Response::ListQueues(listed) => queue_urls(xml, &listed.queue_urls, listed.next_token.as_deref()),
        Response::ListDeadLetterSourceQueues(listed) => {
            queue_urls(xml, &listed.queue_urls, listed.next_token.as_deref());
        }
        Response::GetQueueAttributes(found) => {
            for (name, value) in &found.attributes.0 {
                pair(xml, "Attribute", ("Name", name), ("Value", value));
            }
        }
        Response::ListQueueTags(listed) => {
            for (key, value) in &listed.tags.0 {
                pair(xml, "Tag", ("Key", key), ("Value", value));
            }
        }
        Response::SendMessage(sent) => sent.members().for_each(|(name, value)| xml.text(name, value)),
        Response::SendMessageBatch(batch) => batch_result(xml, action, batch, |xml, entry| {
            xml.text("Id", &entry.id);
            entry.sent.members().for_each(|(name, value)| xml.text(name, value));
        }),
        Response::SettleBatch(batch) => batch_result(xml, action, batch, |xml, entry| xml.text("Id", &entry.id)),
        Response::ReceiveMessage(received) => received.messages.iter().for_each(|received| message(xml, received)),
        Response::StartMessageMoveTask(started) => xml.text("TaskHandle", &started.task_handle),
        Response::CancelMessageMoveTask(cancelled) => xml.number("ApproximateNumberOfMessagesMoved", cancelled.moved),
        Response::ListMessageMoveTasks(listed) => listed.results.iter().for_each(|task| move_task(xml, task)),
    }
}

fn queue_urls(xml: &mut Xml, urls: &[String], next_token: Option<&str>) {
    urls.iter().for_each(|url| xml.text("QueueUrl", url));
    xml.optional("NextToken", next_token);
}

fn pair(xml: &mut Xml, element: &str, (key_name, key): (&str, &str), (value_name, value): (&str, &str)) {
    xml.within(element, |xml| {
        xml.text(key_name, key);
        xml.text(value_name, value);
    });
}

/// The element of an entry is named after the action.
fn batch_result<T>(xml: &mut Xml, action: &str, batch: &BatchResponse<T>, entry: impl Fn(&mut Xml, &T)) {
    let element = format!("{action}ResultEntry");
    batch.successful.iter().for_each(|successful| xml.within(&element, |xml| entry(xml, successful)));
    batch.failed.iter().for_each(|entry| failed(xml, entry));
}

fn failed(xml: &mut Xml, entry: &FailedEntry) {
    xml.within("BatchResultErrorEntry", |xml| {
        xml.text("Id", &entry.id);
        xml.text("SenderFault", if entry.sender_fault { "true" } else { "false" });
        xml.text("Code", entry.code);
        xml.text("Message", &entry.message);
    });
}

fn message(xml: &mut Xml, received: &ReceivedMessage) {
    let message = &received.message;
    xml.within("Message", |xml| {
        xml.text("MessageId", message.id.as_str());
        xml.text("ReceiptHandle", message.receipt.as_str());
        xml.text("MD5OfBody", &message.md5_of_body);
        xml.text("Body", &message.body);
        for (name, value) in received.system_attributes() {
            xml.within("Attribute", |xml| {
                xml.text("Name", name);
                match value {
                    SystemValue::Text(text) => xml.text("Value", text),
                    SystemValue::Number(number) => xml.number("Value", number),
                }
            });
        }
        xml.optional("MD5OfMessageAttributes", received.md5_of_message_attributes.as_deref());
        for attribute in &message.attributes {
            xml.within("MessageAttribute", |xml| {
                xml.text("Name", &attribute.name);
                xml.within("Value", |xml| {
                    match &attribute.value {
                        AttributeValue::Text(text) => xml.text("StringValue", text),
                        AttributeValue::Binary(bytes) => xml.text("BinaryValue", &base64_of(bytes)),
                    }
                    xml.text("DataType", &attribute.data_type);
                });
            });
        }
    });
}

fn move_task(xml: &mut Xml, task: &ListedMoveTask) {
    xml.within("ListMessageMoveTasksResultEntry", |xml| {
        xml.optional("TaskHandle", task.task_handle.as_deref());
        xml.text("Status", task.status);
        xml.text("SourceArn", &task.source_arn);
        xml.optional("DestinationArn", task.destination_arn.as_deref());
        if let Some(rate) = task.max_per_second {
            xml.number("MaxNumberOfMessagesPerSecond", rate);
        }
        xml.number("ApproximateNumberOfMessagesMoved", task.moved);
        xml.number("ApproximateNumberOfMessagesToMove", task.to_move);
        xml.optional("FailureReason", task.failure_reason.as_deref());
        xml.number("StartedTimestamp", task.started_unix_ms);
    });
}

/// A text that grows element by element.
struct Xml(String);

impl Xml {
    fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Texts that need no escape.
    fn raw(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.0.push_str(part));
    }

    fn within(&mut self, element: &str, content: impl FnOnce(&mut Self)) {
        self.raw(&["<", element, ">"]);
        content(self);
        self.raw(&["</", element, ">"]);
    }

    fn text(&mut self, element: &str, text: &str) {
        self.within(element, |xml| push_escaped(&mut xml.0, text));
    }

    fn optional(&mut self, element: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(element, text);
        }
    }

    fn number(&mut self, element: &str, number: impl Display) {
        self.within(element, |xml| {
            // A `String` takes everything.
            let _ = write!(xml.0, "{number}");
        });
    }
}

fn push_escaped(out: &mut String, text: &str) {
    const NOT_XML: &str = "\u{fffd}";
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let (length, replacement) = match byte {
            b'&' => (1, "&amp;"),
            b'<' => (1, "&lt;"),
            b'>' => (1, "&gt;"),
            b'"' => (1, "&quot;"),
            // A parser makes a line feed of a bare one.
            b'\r' => (1, "&#xD;"),
            b'\t' | b'\n' => continue,
            0x00..=0x1f => (1, NOT_XML),
            // U+FFFE and U+FFFF.
            0xef if matches!(bytes[at..], [_, 0xbf, 0xbe | 0xbf, ..]) => (3, NOT_XML),
            _ => continue,
        };
        out.push_str(&text[written..at]);
        out.push_str(replacement);
        written = at + length;
    }
    out.push_str(&text[written..]);
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
