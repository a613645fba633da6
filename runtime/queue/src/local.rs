//! One built-in queue as a [`Queue`]: waiting, reading bodies, naming results. The decisions are the machine's.

mod owner;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

pub use self::owner::Description;
use crate::arn::QueueArn;
use crate::attributes::{FifoSettings, Settings};
use crate::bodies::Ahead;
use crate::chaos::Chaos;
use crate::checksum::{md5, md5_of_attributes, md5_of_trace_header, to_hex};
use crate::clock::Now;
use crate::contract::{
    Capabilities, DeadLetter, EntryResults, Queue, QueueAttributes, ReceiveRequest, VisibilityChange,
};
use crate::duplicates::{self, DuplicateKey};
use crate::effect::{Content, DeliveryState, Effect, QueueId, Seq, removals};
use crate::error::{QueueError, StorageError};
use crate::history::FailedAttempt;
use crate::ids::random_uuid;
use crate::limits::{self, VISIBILITY_MAX_SECONDS};
use crate::message::{Message, MessageAttribute, MessageId, OutgoingMessage, ReceiptHandle, Sent, SystemAttributes};
use crate::receipt::Receipt;
use crate::seam::{Ack, QueueShared, SEND_BUDGET_KIB, Seam, Wait};
use crate::sequence::sequence_number;
use crate::state::{Expired, HandedOut, Outgoing, Planned, Receiving, State};

/// The most messages that one in-process receive may take. The wire's own limit is ten.
const RECEIVE_MAX: u32 = 1000;
/// The longest that a receive waits.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A handle to one queue of this process. Cheap to clone; it keeps the store open.
#[derive(Debug, Clone)]
pub struct LocalQueue {
    pub(crate) shared: Arc<QueueShared>,
    pub(crate) inner: Arc<Seam>,
}

impl LocalQueue {
    pub(crate) fn new(shared: Arc<QueueShared>, inner: &Arc<Seam>) -> Self {
        Self { shared, inner: Arc::clone(inner) }
    }

    pub(crate) fn id(&self) -> QueueId {
        self.shared.id
    }

    #[cfg(test)]
    pub(crate) fn seam(&self) -> &Arc<Seam> {
        &self.inner
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How long a receive waits that does not say so itself.
    #[must_use]
    pub fn default_wait(&self) -> Duration {
        let state = self.inner.lock_state();
        Duration::from_secs(state.queue(self.shared.id).map_or(0, |queue| u64::from(queue.settings.receive_wait_s)))
    }

    pub(crate) fn settings(&self) -> Result<Settings, QueueError> {
        let state = self.inner.lock_state();
        state.queue(self.shared.id).map(|queue| queue.settings.clone()).ok_or(QueueError::NoSuchQueue)
    }

    /// The faults of this queue: a FIFO queue keeps what it promises.
    fn chaos(&self) -> Option<&Chaos> {
        self.inner.chaos.as_ref().filter(|_| !self.shared.is_fifo)
    }

    /// One try, without waiting.
    async fn take(&self, request: &ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let id = self.shared.id;
        let receiving = Receiving {
            max: request.max_messages.clamp(1, RECEIVE_MAX),
            visibility_s: request.visibility_timeout_seconds,
            attempt_id: request.attempt_id.as_deref(),
        };
        // A group has one holder, across crashes too: a FIFO delivery is on disk before anybody hears of it.
        let wait = if self.shared.is_fifo { Wait::Durable } else { Wait::Lazy };
        let mut expired = 0;
        let chaos = self.chaos();
        let mut injected = Vec::new();
        let ((handed_out, more, upcoming, gave_up), ack) = self.inner.plan(wait, |state, now, effects| {
            let mut handed_out = state.receive(id, receiving, now, effects)?;
            if let Some(chaos) = chaos {
                let queue = (id, self.name());
                injected = chaos.disturb(queue, state, receiving, &mut handed_out, (now, effects));
            }
            // A receive removes only what is past the retention period.
            expired = removals(effects);
            let gave_up = effects.iter().any(|effect| matches!(effect, Effect::Move(_)));
            Ok::<_, QueueError>((handed_out, state.is_ready(id), state.next_visible_tick_ms(id), gave_up))
        })?;
        self.shared.metrics.expired(expired);
        self.inner.alarm.set_if_awaited(&self.shared.signal, upcoming);
        if more && !handed_out.is_empty() {
            self.shared.signal.wake_one();
        }
        ack.durable().await?;
        self.tell_of(&injected).await;
        if gave_up && !self.shared.is_fifo {
            // Who finds the queue empty may look into the dead-letter queue next.
            self.inner.submit(vec![Effect::Barrier]).await?;
        }
        if handed_out.is_empty() {
            return Ok(Vec::new());
        }
        let messages = self.with_contents(&handed_out).await?;
        self.shared.metrics.received(messages.len());
        Ok(messages)
    }

    /// Puts the bodies to what was handed out, in order. One that was purged in the same moment is left out.
    async fn with_contents(&self, handed_out: &[HandedOut]) -> Result<Vec<Message>, QueueError> {
        let seqs: Vec<Seq> = handed_out.iter().map(|one| one.receipt.seq).collect();
        let contents = self.inner.contents_of(self.shared.id, &seqs, Ahead::Some).await?;
        let found = handed_out.iter().zip(contents);
        Ok(found.filter_map(|(one, content)| content.map(|content| self.message(*one, &content))).collect())
    }

    fn message(&self, handed_out: HandedOut, content: &Content) -> Message {
        let delivery = handed_out.delivery;
        Message {
            id: content.id.clone(),
            receipt: self.inner.receipts.encode(handed_out.receipt),
            body: content.body.clone(),
            md5_of_body: to_hex(&content.body_md5),
            system: self.system_attributes(handed_out.receipt.seq, delivery, content),
            attributes: content.attributes.clone(),
        }
    }

    fn system_attributes(&self, seq: Seq, delivery: DeliveryState, content: &Content) -> SystemAttributes {
        SystemAttributes {
            sender_id: Some(content.sender_id.clone()),
            sent_unix_ms: content.sent_unix_ms,
            receive_count: delivery.receive_count,
            first_received_unix_ms: delivery.first_received_unix_ms,
            trace_header: content.trace_header.clone(),
            group_id: content.group_id.clone(),
            deduplication_id: content.deduplication_id.clone(),
            sequence_number: self.shared.is_fifo.then(|| sequence_number(seq)),
            dead_letter_source_arn: content.dead_letter_source_arn.clone(),
        }
    }

    fn receipt(&self, handle: &ReceiptHandle) -> Result<Receipt, QueueError> {
        let receipt = self.inner.receipts.decode(handle).filter(|receipt| receipt.queue == self.shared.id);
        receipt.ok_or_else(|| QueueError::InvalidReceipt { handle: handle.as_str().to_owned() })
    }

    /// Runs a verb per receipt under one lock.
    fn per_receipt<'a, T>(
        &self,
        wait: Wait,
        entries: impl Iterator<Item = (&'a ReceiptHandle, T)>,
        mut verb: impl FnMut(&mut State, Now, Receipt, T, &mut Vec<Effect>) -> Result<(), QueueError>,
    ) -> Result<(EntryResults<()>, Ack), QueueError> {
        let id = self.shared.id;
        self.inner.plan(wait, |state, now, effects| {
            state.queue(id).ok_or(QueueError::NoSuchQueue)?;
            Ok(entries
                .map(|(handle, entry)| verb(state, now, self.receipt(handle)?, entry, effects))
                .collect::<EntryResults<()>>())
        })
    }

    /// What changed when messages become visible: tells those who wait.
    fn after_visibility_change(&self) {
        self.inner.wake(self.inner.lock_state(), &BTreeSet::from([self.shared.id]));
    }
}

#[async_trait]
impl Queue for LocalQueue {
    fn arn(&self) -> &QueueArn {
        &self.shared.arn
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { signals_readiness: true, release_uncounts: true, receive_max: RECEIVE_MAX }
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        let state = self.inner.lock_state();
        let settings = &state.queue(self.shared.id).ok_or(QueueError::NoSuchQueue)?.settings;
        Ok(QueueAttributes {
            visibility_timeout: Duration::from_secs(u64::from(settings.visibility_timeout_s)),
            fifo: self.shared.is_fifo,
            redrive: settings.redrive.clone(),
            maximum_message_bytes: settings.maximum_message_bytes,
        })
    }

    async fn ready(&self) {
        let _counted = self.shared.signal.start_waiting();
        loop {
            let mut notified = std::pin::pin!(self.shared.signal.notified());
            notified.as_mut().enable();
            let (ready, upcoming) = {
                let mut state = self.inner.lock_state();
                // A deleted queue is ready to say so.
                let deleted = state.counts(self.shared.id, self.inner.clock.now()).is_err();
                (deleted || state.is_ready(self.shared.id), state.next_visible_tick_ms(self.shared.id))
            };
            if ready || self.inner.is_closing() {
                // Being ready takes nothing: another waiter may take what this one leaves.
                self.shared.signal.wake_one();
                return;
            }
            self.inner.alarm.set_if_awaited(&self.shared.signal, upcoming);
            notified.await;
        }
    }

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let out_of_range = request.visibility_timeout_seconds.filter(|seconds| *seconds > VISIBILITY_MAX_SECONDS);
        if let Some(seconds) = out_of_range {
            return Err(QueueError::VisibilityOutOfRange { seconds });
        }
        if request.wait.is_zero() {
            return self.take(&request).await;
        }
        let give_up_at = Instant::now() + request.wait.min(WAIT_MAX);
        let _counted = self.shared.signal.start_waiting();
        loop {
            let mut notified = std::pin::pin!(self.shared.signal.notified());
            notified.as_mut().enable();
            // With too many in flight a long poll stays silent (sqs-semantics §5.2).
            let messages = match self.take(&request).await {
                Err(QueueError::OverLimit) => Vec::new(),
                taken => taken?,
            };
            if !messages.is_empty() || self.inner.is_closing() {
                return Ok(messages);
            }
            tokio::select! {
                biased;
                () = notified => {}
                () = sleep_until(give_up_at) => return Ok(Vec::new()),
            }
            if self.inner.is_closing() {
                return Ok(Vec::new());
            }
        }
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<EntryResults<Sent>, QueueError> {
        let (max_bytes, kind, fifo) = {
            let state = self.inner.lock_state();
            let settings = &state.queue(self.shared.id).ok_or(QueueError::NoSuchQueue)?.settings;
            (settings.maximum_message_bytes, settings.kind(), settings.fifo)
        };
        let body_kib: usize = messages.iter().map(|message| message.size_bytes() / 1024 + 1).sum();
        let budget = u32::try_from(body_kib).unwrap_or(u32::MAX).min(SEND_BUDGET_KIB);
        let Ok(room) = Arc::clone(&self.inner.send_budget).acquire_many_owned(budget).await else {
            return Err(StorageError::Closed.into());
        };
        self.inner.check_memory(body_kib * 1024)?;
        let mut results = Vec::with_capacity(messages.len());
        let mut outgoing = Vec::with_capacity(messages.len());
        for message in messages {
            if let Err(problem) = limits::check_message(&message, max_bytes, kind) {
                results.push(Err(QueueError::InvalidMessage(problem)));
                continue;
            }
            let (sent, message) = self.prepare(message, fifo);
            results.push(Ok(sent));
            outgoing.push(message);
        }
        let keys: Vec<Option<DuplicateKey>> = outgoing.iter().map(|message| message.duplicate_key).collect();
        let (planned, ack) = self.inner.plan(Wait::DurableBodies(room), |state, now, effects| {
            state.send(self.shared.id, outgoing, now, effects)
        })?;
        ack.durable().await?;
        let mut stored = 0;
        let accepted = results.iter_mut().filter(|result| result.is_ok());
        for ((result, planned), key) in accepted.zip(planned).zip(keys) {
            match planned {
                Planned::New { seq } => {
                    stored += 1;
                    if let (true, Ok(sent)) = (self.shared.is_fifo, result) {
                        sent.sequence_number = Some(sequence_number(seq));
                    }
                }
                Planned::Duplicate { original, is_durable } => {
                    let stands = is_durable || key.is_some_and(|key| self.stands(&key, original.seq));
                    if !stands {
                        *result = Err(StorageError::Full.into());
                    } else if let Ok(sent) = result {
                        sent.id = MessageId::new(uuid::Uuid::from_bytes(original.id).to_string());
                        sent.sequence_number = Some(sequence_number(original.seq));
                    }
                }
            }
        }
        self.shared.metrics.sent(stored);
        Ok(results)
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let entries = receipts.iter().map(|receipt| (receipt, ()));
        let mut deleted = 0;
        let chaos = self.chaos();
        let mut injected = Vec::new();
        let (results, ack) = self.per_receipt(Wait::Durable, entries, |state, now, receipt, (), effects| {
            if let Some(swallowed) = chaos.and_then(|chaos| chaos.swallows(self.name(), state, receipt)) {
                injected.extend(swallowed);
                return Ok(());
            }
            let effect = state.delete(receipt, now).map_err(|Expired| QueueError::ReceiptExpired {
                handle: self.inner.receipts.encode(receipt).as_str().to_owned(),
            })?;
            deleted += usize::from(effect.is_some());
            effects.extend(effect);
            Ok(())
        })?;
        ack.durable().await?;
        self.tell_of(&injected).await;
        self.shared.metrics.deleted(deleted);
        Ok(results)
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        let entries = changes.iter().map(|change| (&change.receipt, change));
        // Who was told so may rely on it, also if the process is killed in the next moment.
        let (results, ack) = self.per_receipt(Wait::Durable, entries, |state, now, receipt, change, effects| {
            if change.timeout_seconds > VISIBILITY_MAX_SECONDS {
                return Err(QueueError::VisibilityOutOfRange { seconds: change.timeout_seconds });
            }
            let effect = state.change_visibility(receipt, change.timeout_seconds, now)?;
            push_or_over(effects, effect, &change.receipt)
        })?;
        self.after_visibility_change();
        ack.durable().await?;
        Ok(results)
    }

    async fn release(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let entries = receipts.iter().map(|receipt| (receipt, receipt));
        let (results, _lazy) = self.per_receipt(Wait::Lazy, entries, |state, now, receipt, handle, effects| {
            push_or_over(effects, state.release(receipt, now), handle)
        })?;
        self.after_visibility_change();
        Ok(results)
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<EntryResults<()>, QueueError> {
        let entries = letters.iter().map(|letter| (&letter.message.receipt, letter));
        let (results, ack) = self.per_receipt(Wait::Durable, entries, |state, now, receipt, letter, effects| {
            let effect = state.dead_letter(receipt, letter.reason.clone(), now)?;
            push_or_over(effects, effect, &letter.message.receipt)
        })?;
        ack.durable().await?;
        Ok(results)
    }

    async fn explain(&self, failures: Vec<(ReceiptHandle, FailedAttempt)>) {
        let entries = failures.iter().map(|(receipt, attempt)| (receipt, attempt));
        let planned = self.per_receipt(Wait::Lazy, entries, |state, now, receipt, attempt, effects| {
            effects.extend(state.explain(receipt, attempt.clone(), now));
            Ok(())
        });
        if let Err(error) = planned {
            tracing::debug!(queue = self.name(), %error, "why messages failed is not kept");
        }
    }

    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError> {
        let ours = arn.region() == self.inner.identity.region && arn.account() == self.inner.identity.account;
        let id = self.inner.lock_state().find(arn.name()).filter(|_| ours).ok_or(QueueError::NoSuchQueue)?;
        let shared = self.inner.find_queue(id).ok_or(QueueError::NoSuchQueue)?;
        Ok(Arc::new(Self::new(shared, &self.inner)))
    }
}

impl LocalQueue {
    /// What is answered for a message and what is stored of it; its send time and number are still to come.
    fn prepare(&self, message: OutgoingMessage, fifo: Option<FifoSettings>) -> (Sent, Outgoing) {
        let id = MessageId::new(random_uuid().to_string());
        let body_md5 = md5(message.body.as_bytes());
        let sent = Sent {
            id: id.clone(),
            md5_of_body: to_hex(&body_md5),
            md5_of_attributes: md5_of_attributes(&message.attributes),
            md5_of_system_attributes: md5_of_trace_header(message.trace_header.as_deref()),
            sequence_number: None,
        };
        let deduplication_id = match (fifo, message.deduplication_id) {
            (Some(_), None) => Some(duplicates::content_id(&message.body)),
            (_, given) => given,
        };
        let duplicate_key = fifo.zip(deduplication_id.as_deref()).map(|(fifo, deduplication_id)| {
            duplicates::key(fifo, message.group_id.as_deref().unwrap_or_default(), deduplication_id)
        });
        let content = Content {
            id,
            body: message.body,
            body_md5,
            attributes: sorted(message.attributes),
            sender_id: self.inner.identity.account.clone(),
            sent_unix_ms: 0,
            trace_header: message.trace_header,
            group_id: message.group_id,
            deduplication_id,
            dead_letter_source_arn: None,
            dead_letter_reason: None,
        };
        (sent, Outgoing { content, delay_s: message.delay_seconds, duplicate_key })
    }

    fn stands(&self, key: &DuplicateKey, seq: Seq) -> bool {
        let state = self.inner.lock_state();
        state.stands(self.shared.id, key, seq, self.inner.clock.now())
    }
}

/// Notes the effect; without one the delivery is over.
fn push_or_over(effects: &mut Vec<Effect>, effect: Option<Effect>, handle: &ReceiptHandle) -> Result<(), QueueError> {
    let over = || QueueError::NotInFlight { handle: handle.as_str().to_owned() };
    effects.push(effect.ok_or_else(over)?);
    Ok(())
}

fn sorted(mut attributes: Vec<MessageAttribute>) -> Vec<MessageAttribute> {
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    attributes
}
