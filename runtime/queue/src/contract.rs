//! What a queue is, to those who consume it: the verbs that the built-in queue and Amazon SQS have in common.
//!
//! Two real implementations stand behind this trait (`LocalQueue` here, the SDK client in the wire crate) and one
//! contract test-suite runs over both. Management (create, list, purge) is absent: a mapping never does it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::arn::QueueArn;
use crate::error::QueueError;
use crate::history::FailedAttempt;
use crate::message::{Message, OutgoingMessage, ReceiptHandle, Sent};

/// What a consumer must know of a queue before it polls it. Read at start and now and then: owners change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAttributes {
    /// The queue's own visibility timeout.
    pub visibility_timeout: Duration,
    /// True for a FIFO queue.
    pub fifo: bool,
    /// Where messages go that failed too often, and how often that is.
    pub redrive: Option<RedrivePolicy>,
    /// The largest message it takes, attributes included.
    pub maximum_message_bytes: u32,
}

/// `RedrivePolicy`: a receive that would be number `max_receive_count + 1` moves the message instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue.
    pub dead_letter_target_arn: QueueArn,
    /// 1–1000.
    pub max_receive_count: u32,
}

/// What a queue is able to do beyond the common verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// [`Queue::ready`] really waits, so a receive need not: true for the built-in queue.
    pub signals_readiness: bool,
    /// [`Queue::release`] takes back the receive's count: true for the built-in queue.
    pub release_uncounts: bool,
    /// The most messages that one receive may ask for.
    pub receive_max: u32,
}

/// One receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// 1 to [`Capabilities::receive_max`].
    pub max_messages: u32,
    /// How long to wait for a first message: 0–20 s. It never waits for more than one.
    pub wait: Duration,
    /// Instead of the queue's own, in whole seconds, 0–43200.
    pub visibility_timeout_seconds: Option<u32>,
    /// FIFO: makes a repeated receive give the same messages (five minutes). It means nothing to a standard queue.
    pub attempt_id: Option<String>,
}

/// One entry of a change of visibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibilityChange {
    /// Which delivery.
    pub receipt: ReceiptHandle,
    /// Seconds from now until it is visible; 0 makes it visible at once.
    pub timeout_seconds: u32,
}

/// One message to be moved to the dead-letter queue by verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The delivery, with all that a remote queue needs to send the message again.
    pub message: Message,
    /// Kept beside the dead message.
    pub reason: String,
    /// The function version that said so. Sent along to a remote dead-letter queue; the built-in queue keeps the reason.
    pub function_version: String,
    /// The attempt that ended in it. Sent along to a remote dead-letter queue; the built-in queue is told by [`Queue::explain`].
    pub attempt: Option<FailedAttempt>,
}

/// Per-entry results of a batch call, in the order of the entries, as many as the entries.
pub type EntryResults<T> = Vec<Result<T, QueueError>>;

/// A queue as its consumers see it.
///
/// Batch verbs take any number of entries (a remote queue sends them in tens) and an empty list is a no-op. They answer
/// per entry; the outer error is for the whole call, where no entry was tried or none is known to have been done.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// The queue's ARN; the same for the life of the value.
    fn arn(&self) -> &QueueArn;

    /// What this implementation is able to do.
    fn capabilities(&self) -> Capabilities;

    /// Reads the queue's attributes.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    async fn attributes(&self) -> Result<QueueAttributes, QueueError>;

    /// Waits until a receive is likely to find something. May wake for nothing; never sleeps past a message.
    /// Where [`Capabilities::signals_readiness`] is false it returns at once. Cancel-safe.
    async fn ready(&self);

    /// Takes up to `max_messages`. From the moment of the call the caller owns each returned message: it must renew its
    /// visibility while it holds it and settle it. No message is an empty list, not an error.
    ///
    /// Not cancel-safe on a remote queue: what a dropped receive had leased comes back only after its visibility
    /// timeout. Let it finish.
    ///
    /// # Errors
    /// `NoSuchQueue`, `OverLimit`, or the service could not be reached.
    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError>;

    /// Sends messages. An `Ok` entry is durable; the other entries were not stored.
    ///
    /// # Errors
    /// As the trait says.
    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<EntryResults<Sent>, QueueError>;

    /// Deletes deliveries. Deleting what is already gone is `Ok`. On a standard queue a stale receipt is `Ok` too,
    /// and deletes the message if it was not received again since (sqs-semantics §5.3).
    ///
    /// # Errors
    /// As the trait says.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError>;

    /// Sets when deliveries become visible again, counted from now.
    ///
    /// # Errors
    /// As the trait says; per entry `NotInFlight` when the delivery is over. On a standard queue the receipt of an earlier
    /// delivery is taken too while somebody has the message, as on SQS.
    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError>;

    /// Gives deliveries back at once, as if they had not been received where the queue can do that
    /// ([`Capabilities::release_uncounts`]).
    ///
    /// # Errors
    /// As the trait says.
    async fn release(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError>;

    /// Moves deliveries to the queue's dead-letter queue. The built-in queue moves each in one transaction; a remote
    /// queue sends, then deletes, so that a crash in between duplicates and never loses.
    ///
    /// # Errors
    /// As the trait says; per entry `Unsupported` when the queue has no redrive policy, or its dead-letter queue is gone.
    /// Then the delivery stays as it is.
    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<EntryResults<()>, QueueError>;

    /// Keeps beside deliveries why their attempts failed, for whoever looks at the dead letters. To be called before they are
    /// given back or moved. It is not waited for: a crash in the next moment may forget it, and so may a disk without room. A
    /// queue that can keep no such thing does nothing.
    async fn explain(&self, _failures: Vec<(ReceiptHandle, FailedAttempt)>) {}

    /// Another queue of the same service.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError>;
}
