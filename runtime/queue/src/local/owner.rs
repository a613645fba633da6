//! What a queue's owner does with it: attributes, tags, permissions, purge, peek. A consumer does none of it.

use std::collections::BTreeMap;

use super::LocalQueue;
use crate::arn::QueueArn;
use crate::bodies::Ahead;
use crate::broker::to_its_end;
use crate::checksum::to_hex;
use crate::effect::{QueueRow, Seq, removals};
use crate::error::{PermissionError, PurgeError, QueueError, SettingError};
use crate::peek::{PeekRequest, Peeked};
use crate::policy;
use crate::seam::{Ack, Wait};

/// The most messages that one peek shows, and the most that their bodies may be together.
const PEEK_MAX: u32 = 1000;
const PEEK_MAX_BYTES: usize = 8 << 20;
/// So many bodies a peek reads at a time: one MiB each at most.
const PEEK_STEP: usize = 8;

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

    /// Deletes every message that was sent before the call, in flight or not.
    ///
    /// # Errors
    /// The queue was deleted or purged less than 60 s ago, or the disk did not take it.
    pub async fn purge(&self) -> Result<(), PurgeError> {
        let queue = self.clone();
        to_its_end(async move {
            let outcome = queue.purge_in_steps().await;
            if matches!(outcome, Err(PurgeError::Storage(_))) {
                queue.inner.lock_state().purge_failed(queue.shared.id);
            }
            outcome
        })
        .await
    }

    /// In steps, so that a purge of millions holds nobody up; it is done when the last is on disk.
    async fn purge_in_steps(&self) -> Result<(), PurgeError> {
        let id = self.shared.id;
        let (below, begun) =
            self.inner.plan(Wait::Durable, |state, now, effects| state.begin_purge(id, now, effects))?;
        // What was on its way to disk before is there by then, and goes too: nothing stays whose original is forgotten.
        begun.durable().await?;
        let (mut from, mut ack) = (0, Ack::Done);
        loop {
            let mut purged = 0;
            let (next, step) = self.inner.plan(Wait::Durable, |state, _, effects| {
                let next = state.purge_some(id, from, below, effects)?;
                purged = removals(effects);
                Ok::<_, PurgeError>(next)
            })?;
            self.shared.metrics.purged(purged);
            // One step is written while the next is planned.
            ack.durable().await?;
            ack = step;
            match next {
                Some(next) => from = next,
                None => return Ok(ack.durable().await?),
            }
        }
    }

    /// Up to `request.max_messages` messages, oldest first, without receiving them: nothing changes. Fewer when their
    /// bodies are more than 8 MiB; [`PeekRequest::after`] goes on from there.
    ///
    /// # Errors
    /// The queue was deleted, or the disk could not be read.
    pub async fn peek(&self, request: &PeekRequest) -> Result<Vec<Peeked>, QueueError> {
        let request = PeekRequest { max_messages: request.max_messages.clamp(1, PEEK_MAX), ..request.clone() };
        let now = self.inner.clock.now();
        let seen = self.inner.lock_state().look(self.shared.id, &request, now)?;
        let mut peeked: Vec<Peeked> = Vec::new();
        let mut bytes = 0;
        for some in seen.chunks(PEEK_STEP) {
            let seqs: Vec<Seq> = some.iter().map(|one| one.seq).collect();
            let contents = self.inner.contents_of(self.shared.id, &seqs, Ahead::None).await?;
            let histories = self.inner.histories_of(&seqs).await?;
            for ((one, content), history) in some.iter().zip(contents).zip(histories) {
                let Some(content) = content else { continue };
                bytes += content.body.len();
                if bytes > PEEK_MAX_BYTES && !peeked.is_empty() {
                    return Ok(peeked);
                }
                peeked.push(Peeked {
                    position: one.seq,
                    id: content.id.clone(),
                    state: one.state,
                    visible_in_ms: one.delivery.visible_tick_ms.saturating_sub(now.tick_ms),
                    body: content.body.clone(),
                    md5_of_body: to_hex(&content.body_md5),
                    system: self.system_attributes(one.seq, one.delivery, &content),
                    attributes: content.attributes.clone(),
                    dead_letter_reason: content.dead_letter_reason.clone(),
                    attempts: history.into_attempts(),
                });
            }
        }
        Ok(peeked)
    }
}
