//! One built-in queue as a [`Queue`]: waiting, reading bodies, naming results. The decisions are the machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use crate::arn::QueueArn;
use crate::attributes::Settings;
use crate::broker::to_its_end;
use crate::checksum::{md5, md5_of_attributes, md5_of_trace_header, to_hex};
use crate::clock::Now;
use crate::contract::{
    Capabilities, DeadLetter, EntryResults, Queue, QueueAttributes, ReceiveRequest, VisibilityChange,
};
use crate::effect::{Content, Effect, QueueId, QueueRow, Seq};
use crate::error::{PermissionError, PurgeError, QueueError, SettingError, StorageError};
use crate::limits::{self, VISIBILITY_MAX_SECONDS};
use crate::message::{Message, MessageAttribute, MessageId, OutgoingMessage, ReceiptHandle, Sent, SystemAttributes};
use crate::peek::{PeekRequest, Peeked};
use crate::policy;
use crate::receipt::Receipt;
use crate::seam::{Ack, QueueShared, SEND_BUDGET_KIB, Seam, Wait};
use crate::state::{HandedOut, State};

/// The most messages that one in-process receive may take. The wire's own limit is ten.
const RECEIVE_MAX: u32 = 1000;

/// The longest that a receive waits.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A handle to one queue of this process. Cheap to clone; it keeps the store open.
#[derive(Debug, Clone)]
pub struct LocalQueue {
    shared: Arc<QueueShared>,
    inner: Arc<Seam>,
}

/// What an owner sees of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The queue's ARN.
    pub arn: QueueArn,
    /// Every settable attribute that is set, as AWS's name and text, by name.
    pub attributes: Vec<(&'static str, String)>,
    /// `ApproximateNumberOfMessages`: exact when answered.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`: exact when answered.
    pub in_flight: u64,
    /// `ApproximateNumberOfMessagesDelayed`: exact when answered.
    pub delayed: u64,
    /// Unix time in seconds.
    pub created_unix_s: u64,
    /// Unix time in seconds.
    pub modified_unix_s: u64,
}

impl LocalQueue {
    pub(crate) fn new(shared: Arc<QueueShared>, inner: &Arc<Seam>) -> Self {
        Self { shared, inner: Arc::clone(inner) }
    }

    pub(crate) fn id(&self) -> QueueId {
        self.shared.id
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How long a receive waits that does not say so itself.
    #[must_use]
    pub fn default_wait(&self) -> Duration {
        Duration::from_secs(self.settings().map_or(0, |settings| u64::from(settings.receive_wait_s)))
    }

    pub(crate) fn settings(&self) -> Result<Settings, QueueError> {
        let state = self.inner.lock_state();
        state.queue(self.shared.id).map(|queue| queue.settings.clone()).ok_or(QueueError::NoSuchQueue)
    }

    /// The queue's attributes and counters.
    ///
    /// # Errors
    /// The queue was deleted.
    pub fn describe(&self) -> Result<Description, QueueError> {
        let mut state = self.inner.lock_state();
        let counts = state.counts(self.shared.id, self.inner.clock.now())?;
        let queue = state.queue(self.shared.id).ok_or(QueueError::NoSuchQueue)?;
        Ok(Description {
            arn: self.shared.arn.clone(),
            attributes: queue.settings.to_pairs(),
            visible: counts.visible,
            in_flight: counts.in_flight,
            delayed: counts.delayed,
            created_unix_s: queue.created_unix_s,
            modified_unix_s: queue.modified_unix_s,
        })
    }

    /// Sets attributes; all or none.
    ///
    /// # Errors
    /// An attribute is wrong, the queue was deleted, or the disk did not take it.
    pub async fn set_attributes(&self, attributes: &[(String, String)]) -> Result<(), SettingError> {
        let (queue, attributes) = (self.clone(), attributes.to_vec());
        to_its_end(async move { queue.change_settings(&attributes).await }).await
    }

    async fn change_settings(&self, attributes: &[(String, String)]) -> Result<(), SettingError> {
        let _one_at_a_time = self.inner.lock_management().await;
        let current = self.settings().map_err(|_| SettingError::NoSuchQueue)?;
        let settings = self.inner.changed_settings(&current, attributes, &self.shared.arn)?;
        let mut row = self.row().map_err(|_| SettingError::NoSuchQueue)?;
        row.settings = settings.to_stored_pairs();
        row.modified_unix_s = self.inner.clock.now().unix_ms / 1000;
        self.inner.persist_queue(row, settings).await?;
        // Waiters may depend on what changed.
        self.shared.signal.wake_all();
        Ok(())
    }

    /// The queue as it is stored.
    fn row(&self) -> Result<QueueRow, QueueError> {
        let state = self.inner.lock_state();
        let queue = state.queue(self.shared.id).ok_or(QueueError::NoSuchQueue)?;
        Ok(QueueRow {
            id: self.shared.id,
            name: queue.name.clone(),
            settings: queue.settings.to_stored_pairs(),
            tags: queue.tags.clone(),
            created_unix_s: queue.created_unix_s,
            modified_unix_s: queue.modified_unix_s,
        })
    }

    /// The queue's tags, by key.
    ///
    /// # Errors
    /// The queue was deleted.
    pub fn tags(&self) -> Result<Vec<(String, String)>, QueueError> {
        Ok(self.row()?.tags)
    }

    /// Sets tags; one of the same key is overwritten.
    ///
    /// # Errors
    /// The queue was deleted, or the disk did not take it.
    pub async fn tag(&self, tags: &[(String, String)]) -> Result<(), QueueError> {
        let tags = tags.to_vec();
        self.change_tags(move |all| {
            for (key, value) in tags {
                all.insert(key, value);
            }
        })
        .await
    }

    /// Removes tags; a key that is not there is no error.
    ///
    /// # Errors
    /// The queue was deleted, or the disk did not take it.
    pub async fn untag(&self, keys: &[String]) -> Result<(), QueueError> {
        let keys = keys.to_vec();
        self.change_tags(move |all| all.retain(|key, _| !keys.contains(key))).await
    }

    async fn change_tags(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), QueueError> {
        let queue = self.clone();
        to_its_end(async move {
            let _one_at_a_time = queue.inner.lock_management().await;
            let mut row = queue.row()?;
            let mut tags = row.tags.into_iter().collect();
            change(&mut tags);
            row.tags = tags.into_iter().collect();
            let settings = queue.settings()?;
            Ok(queue.inner.persist_queue(row, settings).await?)
        })
        .await
    }

    /// Adds a statement to the queue's policy. Nothing is enforced by it (sqs-semantics §3).
    ///
    /// # Errors
    /// The label is taken or wrong, an action cannot be permitted, the queue was deleted, or the disk did not take it.
    pub async fn add_permission(
        &self,
        label: &str,
        accounts: &[String],
        actions: &[String],
    ) -> Result<(), PermissionError> {
        let (arn, label) = (self.shared.arn.clone(), label.to_owned());
        let (accounts, actions) = (accounts.to_vec(), actions.to_vec());
        self.change_policy(move |policy| policy::with_permission(policy, &arn, &label, &accounts, &actions).map(Some))
            .await
    }

    /// Removes the statement of that label from the queue's policy; with the last one goes the policy.
    ///
    /// # Errors
    /// There is no such label, the queue was deleted, or the disk did not take it.
    pub async fn remove_permission(&self, label: &str) -> Result<(), PermissionError> {
        let label = label.to_owned();
        self.change_policy(move |policy| policy::without_permission(policy, &label)).await
    }

    async fn change_policy(
        &self,
        change: impl FnOnce(Option<&str>) -> Result<Option<String>, PermissionError> + Send + 'static,
    ) -> Result<(), PermissionError> {
        let queue = self.clone();
        to_its_end(async move {
            let _one_at_a_time = queue.inner.lock_management().await;
            let mut settings = queue.settings().map_err(|_| PermissionError::NoSuchQueue)?;
            settings.policy = change(settings.policy.as_deref())?;
            let mut row = queue.row().map_err(|_| PermissionError::NoSuchQueue)?;
            row.settings = settings.to_stored_pairs();
            row.modified_unix_s = queue.inner.clock.now().unix_ms / 1000;
            Ok(queue.inner.persist_queue(row, settings).await?)
        })
        .await
    }

    /// The names of the queues whose redrive policy names this one, sorted.
    ///
    /// # Errors
    /// The queue was deleted.
    pub fn dead_letter_sources(&self) -> Result<Vec<String>, QueueError> {
        let state = self.inner.lock_state();
        state.queue(self.shared.id).ok_or(QueueError::NoSuchQueue)?;
        Ok(state.sources_of(&self.shared.arn))
    }

    /// Shows messages without receiving them, oldest first: nothing changes.
    ///
    /// # Errors
    /// The queue was deleted, or the disk could not be read.
    pub async fn peek(&self, _request: &PeekRequest) -> Result<Vec<Peeked>, QueueError> {
        Err(QueueError::Unsupported("peek comes with this change".to_owned()))
    }

    /// Deletes every message that was sent before the call, in flight or not.
    ///
    /// # Errors
    /// The queue was deleted or purged less than 60 s ago, or the disk did not take it.
    pub async fn purge(&self) -> Result<(), PurgeError> {
        let id = self.shared.id;
        let ((), ack) = self.inner.plan(Wait::Durable, |state, now, effects| {
            effects.push(state.purge(id, now)?);
            Ok::<(), PurgeError>(())
        })?;
        Ok(ack.durable().await?)
    }

    /// One try, without waiting.
    async fn take(&self, request: &ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let id = self.shared.id;
        let max = request.max_messages.clamp(1, RECEIVE_MAX);
        let visibility_s = request.visibility_timeout_seconds;
        let ((handed_out, more, upcoming), _lazy) = self.inner.plan(Wait::Lazy, |state, now, effects| {
            let handed_out = state.receive(id, max, visibility_s, now, effects)?;
            Ok::<_, QueueError>((handed_out, state.is_ready(id), state.next_visible_tick_ms(id)))
        })?;
        self.inner.alarm.set_if_awaited(&self.shared.signal, upcoming);
        if more && !handed_out.is_empty() {
            self.shared.signal.wake_one();
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
        let kept: Vec<Option<Arc<Content>>> = {
            let contents = self.inner.contents();
            handed_out.iter().map(|one| contents.get(one.receipt.seq)).collect()
        };
        let missing: Vec<Seq> = handed_out
            .iter()
            .zip(&kept)
            .filter_map(|(one, content)| content.is_none().then_some(one.receipt.seq))
            .collect();
        let mut read = self.read(missing).await?.into_iter().peekable();
        let mut messages = Vec::with_capacity(handed_out.len());
        for (one, kept) in handed_out.iter().zip(kept) {
            let content = match kept {
                Some(content) => Some(content),
                // The store answers in the order it was asked.
                None => read.next_if(|(seq, _)| *seq == one.receipt.seq).map(|(_, content)| Arc::new(content)),
            };
            messages.extend(content.map(|content| self.message(*one, &content)));
        }
        Ok(messages)
    }

    async fn read(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, Content)>, QueueError> {
        let Some(reader) = self.inner.reader().filter(|_| !seqs.is_empty()) else { return Ok(Vec::new()) };
        let read =
            tokio::task::spawn_blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).read(&seqs));
        let contents = read.await.map_err(|error| QueueError::Unavailable(error.to_string()))??;
        Ok(contents)
    }

    fn message(&self, handed_out: HandedOut, content: &Content) -> Message {
        let delivery = handed_out.delivery;
        Message {
            id: content.id.clone(),
            receipt: self.inner.receipts.encode(handed_out.receipt),
            body: content.body.clone(),
            md5_of_body: to_hex(&content.body_md5),
            system: SystemAttributes {
                sender_id: Some(content.sender_id.clone()),
                sent_unix_ms: content.sent_unix_ms,
                receive_count: delivery.receive_count,
                first_received_unix_ms: delivery.first_received_unix_ms,
                trace_header: content.trace_header.clone(),
                group_id: content.group_id.clone(),
                deduplication_id: content.deduplication_id.clone(),
                sequence_number: content.sequence_number.clone(),
                dead_letter_source_arn: content.dead_letter_source_arn.clone(),
            },
            attributes: content.attributes.clone(),
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
        let settings = self.settings()?;
        Ok(QueueAttributes {
            visibility_timeout: Duration::from_secs(u64::from(settings.visibility_timeout_s)),
            fifo: false,
            redrive: settings.redrive,
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
        let settings = self.settings()?;
        let (max_bytes, kind) = (settings.maximum_message_bytes, settings.kind());
        let body_kib: usize = messages.iter().map(|message| message.size_bytes() / 1024 + 1).sum();
        let budget = u32::try_from(body_kib).unwrap_or(u32::MAX).min(SEND_BUDGET_KIB);
        let Ok(room) = Arc::clone(&self.inner.send_budget).acquire_many_owned(budget).await else {
            return Err(StorageError::Closed.into());
        };
        self.inner.check_memory(body_kib * 1024)?;
        let mut results = Vec::with_capacity(messages.len());
        let mut contents = Vec::with_capacity(messages.len());
        for message in messages {
            if let Err(problem) = limits::check_message(&message, max_bytes, kind) {
                results.push(Err(QueueError::InvalidMessage(problem)));
                continue;
            }
            let id = MessageId::new(uuid::Uuid::new_v4().to_string());
            let body_md5 = md5(message.body.as_bytes());
            results.push(Ok(Sent {
                id: id.clone(),
                md5_of_body: to_hex(&body_md5),
                md5_of_attributes: md5_of_attributes(&message.attributes),
                md5_of_system_attributes: md5_of_trace_header(message.trace_header.as_deref()),
                sequence_number: None,
            }));
            let delay_seconds = message.delay_seconds;
            contents.push((self.content(id, message, body_md5), delay_seconds));
        }
        let sent = contents.len();
        let ((), ack) = self.inner.plan(Wait::DurableBodies(room), |state, now, effects| {
            let stamped = contents
                .into_iter()
                .map(|(content, delay_s)| (Arc::new(Content { sent_unix_ms: now.unix_ms, ..content }), delay_s));
            *effects = state.send(self.shared.id, stamped.collect(), now)?;
            Ok::<(), QueueError>(())
        })?;
        ack.durable().await?;
        self.shared.metrics.sent(sent);
        Ok(results)
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let entries = receipts.iter().map(|receipt| (receipt, ()));
        let mut deleted = 0;
        let (results, ack) = self.per_receipt(Wait::Durable, entries, |state, _, receipt, (), effects| {
            let effect = state.delete(receipt);
            deleted += usize::from(effect.is_some());
            effects.extend(effect);
            Ok(())
        })?;
        ack.durable().await?;
        self.shared.metrics.deleted(deleted);
        Ok(results)
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        let entries = changes.iter().map(|change| (&change.receipt, change));
        let (results, _lazy) = self.per_receipt(Wait::Lazy, entries, |state, now, receipt, change, effects| {
            if change.timeout_seconds > VISIBILITY_MAX_SECONDS {
                return Err(QueueError::VisibilityOutOfRange { seconds: change.timeout_seconds });
            }
            let effect = state.change_visibility(receipt, change.timeout_seconds, now)?;
            push_or_over(effects, effect, &change.receipt)
        })?;
        self.after_visibility_change();
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
        let (results, ack) = self.per_receipt(Wait::Durable, entries, |state, _, receipt, letter, effects| {
            let effect = state.dead_letter(receipt, letter.reason.clone())?;
            push_or_over(effects, effect, &letter.message.receipt)
        })?;
        ack.durable().await?;
        Ok(results)
    }

    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError> {
        let ours = arn.region() == self.inner.identity.region && arn.account() == self.inner.identity.account;
        let id = self.inner.lock_state().find(arn.name()).filter(|_| ours).ok_or(QueueError::NoSuchQueue)?;
        let shared = self.inner.find_queue(id).ok_or(QueueError::NoSuchQueue)?;
        Ok(Arc::new(Self::new(shared, &self.inner)))
    }
}

impl LocalQueue {
    /// A message's content, its send time still to be stamped.
    fn content(&self, id: MessageId, message: OutgoingMessage, body_md5: [u8; 16]) -> Content {
        Content {
            id,
            body: message.body,
            body_md5,
            attributes: sorted(message.attributes),
            sender_id: self.inner.identity.account.clone(),
            sent_unix_ms: 0,
            trace_header: message.trace_header,
            group_id: message.group_id,
            deduplication_id: message.deduplication_id,
            sequence_number: None,
            dead_letter_source_arn: None,
            dead_letter_reason: None,
        }
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
