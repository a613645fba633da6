//! What the crate's tests share: opening queues, and short words for the verbs.

use std::path::Path;
use std::time::Duration;

use prometheus::Registry;

use crate::arn::Identity;
use crate::broker::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::contract::{DeadLetter, Queue, ReceiveRequest, VisibilityChange};
use crate::error::QueueError;
use crate::local::LocalQueue;
use crate::message::{Message, OutgoingMessage, ReceiptHandle};
use crate::metrics::Metrics;
use crate::store::{Durability, OpenError};
use crate::timeline::Timeline;

/// When the tests' own clock starts.
pub(crate) const START_UNIX_MS: u64 = 1_800_000_000_000;

/// Queues in memory, on a clock that is tokio's alone: for tests under paused time.
pub(crate) async fn in_memory() -> Broker {
    in_memory_counted(&Registry::new()).await
}

/// The same, with their metrics on a registry.
pub(crate) async fn in_memory_counted(registry: &Registry) -> Broker {
    let options = BrokerOptions {
        data_dir: None,
        durability: Durability::Os,
        identity: Identity::default(),
        clock: Some(Clock::starting_at(START_UNIX_MS)),
        timeline: Timeline::real(),
        chaos: None,
        metrics: Metrics::register(registry).unwrap(),
    };
    Broker::open(options).await.unwrap()
}

/// Queues on disk, on the machine's clock.
pub(crate) async fn on_disk(directory: &Path, durability: Durability) -> Result<Broker, OpenError> {
    let options = BrokerOptions {
        data_dir: Some(directory.to_owned()),
        durability,
        identity: Identity::default(),
        clock: None,
        timeline: Timeline::real(),
        chaos: None,
        metrics: Metrics::register(&Registry::new()).unwrap(),
    };
    Broker::open(options).await
}

pub(crate) fn pairs(attributes: &[(&str, &str)]) -> Vec<(String, String)> {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) async fn create(broker: &Broker, name: &str, attributes: &[(&str, &str)]) -> LocalQueue {
    broker.create_queue(name, &pairs(attributes), &[]).await.unwrap()
}

/// A queue that gives messages up to `NAME-dead` after `max_receives`, and that queue.
pub(crate) async fn create_with_dead(broker: &Broker, name: &str, max_receives: u32) -> (LocalQueue, LocalQueue) {
    let dead = create(broker, &format!("{name}-dead"), &[]).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receives}}}"#, dead.arn());
    (create(broker, name, &[("RedrivePolicy", &policy)]).await, dead)
}

pub(crate) fn text(body: impl Into<String>) -> OutgoingMessage {
    OutgoingMessage { body: body.into(), ..OutgoingMessage::default() }
}

pub(crate) fn delayed(body: &str, seconds: u32) -> OutgoingMessage {
    OutgoingMessage { delay_seconds: Some(seconds), ..text(body) }
}

/// Sends, and tells the ids.
pub(crate) async fn send(queue: &LocalQueue, messages: Vec<OutgoingMessage>) -> Vec<String> {
    let sent = queue.send(messages).await.unwrap();
    sent.into_iter().map(|sent| sent.unwrap().id.to_string()).collect()
}

pub(crate) fn request(max_messages: u32, wait_s: u64) -> ReceiveRequest {
    ReceiveRequest {
        max_messages,
        wait: Duration::from_secs(wait_s),
        visibility_timeout_seconds: None,
        attempt_id: None,
    }
}

/// Receives without waiting.
pub(crate) async fn take(queue: &LocalQueue, max_messages: u32) -> Vec<Message> {
    queue.receive(request(max_messages, 0)).await.unwrap()
}

/// Receives the one message that there is.
pub(crate) async fn take_one(queue: &LocalQueue) -> Message {
    let mut messages = take(queue, 10).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

pub(crate) async fn delete(queue: &LocalQueue, receipt: &ReceiptHandle) -> Result<(), QueueError> {
    queue.delete(std::slice::from_ref(receipt)).await.unwrap().remove(0)
}

pub(crate) async fn release(queue: &LocalQueue, receipt: &ReceiptHandle) -> Result<(), QueueError> {
    queue.release(std::slice::from_ref(receipt)).await.unwrap().remove(0)
}

pub(crate) async fn hide(queue: &LocalQueue, receipt: &ReceiptHandle, timeout_seconds: u32) -> Result<(), QueueError> {
    let change = VisibilityChange { receipt: receipt.clone(), timeout_seconds };
    queue.change_visibility(&[change]).await.unwrap().remove(0)
}

pub(crate) async fn bury(queue: &LocalQueue, message: &Message, reason: &str) -> Result<(), QueueError> {
    let letter = DeadLetter {
        message: message.clone(),
        reason: reason.to_owned(),
        function_version: "1".to_owned(),
        attempt: None,
    };
    queue.dead_letter(vec![letter]).await?.remove(0)
}

/// Visible, in flight, delayed.
pub(crate) fn counts(queue: &LocalQueue) -> (u64, u64, u64) {
    let description = queue.describe().unwrap();
    (description.visible, description.in_flight, description.delayed)
}

pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
