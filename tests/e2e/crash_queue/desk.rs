//! What the clients of all rounds share: the history, what outlives a killed process (handles that are still held, sends
//! without an answer), and what messages look like.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use support::sqs::{receive_count, system};

use super::history::{At, Delivery, Fate, History, Span};

/// The message attribute that repeats the key.
pub(super) const KEY_ATTRIBUTE: &str = "key";

/// What they share.
pub(super) struct Desk {
    pub(super) begun: Instant,
    pub(super) history: Mutex<History>,
    pub(super) serial: AtomicU64,
    /// How many messages wait, about, but for those that a purge may take.
    pub(super) backlog: AtomicI64,
    pub(super) held: Mutex<Vec<Holding>>,
    /// Sends to FIFO queues without an answer, to be tried again.
    pub(super) unanswered: Mutex<Vec<Outgoing>>,
}

/// A delivery that a client keeps.
#[derive(Clone)]
pub(super) struct Holding {
    pub(super) delivery: usize,
    pub(super) queue: &'static str,
    pub(super) handle: String,
}

#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) queue: &'static str,
    pub(super) key: String,
    pub(super) group: Option<String>,
    pub(super) delay_seconds: i32,
}

impl Outgoing {
    /// The key, and as much behind it as it says.
    pub(super) fn body(&self) -> String {
        body_of(&self.key)
    }
}

pub(super) fn body_of(key: &str) -> String {
    let padding = key.rsplit('-').next().and_then(|length| length.parse().ok()).unwrap_or(0);
    format!("{key} {}", "x".repeat(padding))
}

impl Desk {
    pub(super) fn new(history: History) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            history: Mutex::new(history),
            serial: AtomicU64::new(0),
            backlog: AtomicI64::new(0),
            held: Mutex::default(),
            unanswered: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> At {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap()
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Waits for a call, and tells when it was under way and how it ended.
    pub(super) async fn timed<T, E>(&self, call: impl Future<Output = Result<T, SdkError<E>>>) -> (Span, Option<T>) {
        let asked = self.now();
        let outcome = call.await;
        let ended = self.now();
        let fate = match &outcome {
            Ok(_) => Fate::Done,
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() < 500 => Fate::Refused,
            Err(_) => Fate::Unknown,
        };
        (Span { asked, ended, fate }, outcome.ok())
    }
}

pub(super) fn attribute(text: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(text).build().unwrap()
}

pub(super) fn delay(one: &Outgoing) -> Option<i32> {
    (one.delay_seconds > 0).then_some(one.delay_seconds)
}

pub(super) fn entry(place: usize, one: &Outgoing) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(one.body());
    let entry = entry.message_attributes(KEY_ATTRIBUTE, attribute(&one.key));
    let entry = entry.set_message_group_id(one.group.clone()).set_delay_seconds(delay(one));
    entry.set_message_deduplication_id(one.group.as_ref().map(|_| one.key.clone())).build().unwrap()
}

pub(super) fn number_of(failed: &aws_sdk_sqs::types::BatchResultErrorEntry) -> usize {
    failed.id().parse().unwrap()
}

/// What was received, beside what was sent.
pub(super) fn delivery(history: &History, receive: usize, message: &Message) -> Delivery {
    let body = message.body.as_deref().unwrap_or_default();
    let key = body.split(' ').next().unwrap_or_default().to_owned();
    let named = message.message_attributes.as_ref().and_then(|attributes| attributes.get(KEY_ATTRIBUTE));
    let group = system(message, &MessageSystemAttributeName::MessageGroupId);
    let sent = history.sends.iter().find(|send| send.key == key);
    // One that is being sent right now is not in the history yet.
    let sent_group = sent.map_or(group, |send| send.group.as_deref().unwrap_or_default());
    let is_intact =
        body == body_of(&key) && named.and_then(|value| value.string_value()) == Some(&key) && group == sent_group;
    Delivery {
        receive,
        message_id: message.message_id.clone().unwrap(),
        receive_count: receive_count(message).parse().unwrap(),
        sequence: system(message, &MessageSystemAttributeName::SequenceNumber).parse().ok(),
        is_intact,
        key,
    }
}
