//! Asking a queue: for how much, for how long, and what to do when it does not answer.
//!
//! Where the queue signals readiness it is waited on first, then the permit is taken, then messages are received without
//! waiting: an idle poll holds no permit. A remote queue cannot signal, so once its poll has waited for a moment the permit is
//! only reserved, and goes to whoever has work meanwhile. A receive is never cancelled: what it may have leased would be gone until its visibility
//! timeout.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use wasmill_queue::{Message, Queue, QueueAttributes, QueueError, ReceiveRequest, Timeline};

use crate::lease::{LEASE_OF_ZERO, Terms};
use crate::mapping::MappingStatus;
use crate::metrics::MappingMetrics;
use crate::rate::Rate;
use crate::settle::random_share;

/// How old a remote queue's attributes may get.
const ATTRIBUTES_MAX_AGE: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A mapping's queue, as its pollers see it.
pub(crate) struct Source {
    queue: Arc<Mutex<Arc<dyn Queue>>>,
    /// What its visibility timeouts are counted on.
    timeline: Timeline,
    metrics: MappingMetrics,
    status: watch::Sender<MappingStatus>,
    rate: Option<Rate>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    attributes: Option<(QueueAttributes, Instant)>,
    failures: u32,
    /// The last receive failed: that the attributes can be read does not make the mapping healthy.
    receive_failed: bool,
}

/// What a receive brought. Never empty.
pub(crate) struct Received {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) messages: Vec<Message>,
    pub(crate) terms: Terms,
    /// As many as were asked for.
    pub(crate) is_full: bool,
}

impl Source {
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        timeline: Timeline,
        metrics: MappingMetrics,
        status: watch::Sender<MappingStatus>,
        max_messages_per_second: Option<f64>,
    ) -> Self {
        let rate = max_messages_per_second.map(|most| Rate::new(most, timeline.clone()));
        Self { queue: Arc::new(Mutex::new(queue)), timeline, metrics, status, rate, known: Mutex::default() }
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The queue; another one once it was made again under its name.
    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The queue as it is at any time.
    pub(crate) fn shared_queue(&self) -> Arc<Mutex<Arc<dyn Queue>>> {
        Arc::clone(&self.queue)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue's attributes: asked for each time where that is free, else once a minute. Hearing from the queue is what
    /// makes the mapping healthy: an idle queue is.
    pub(crate) async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        let queue = self.queue();
        let local = queue.capabilities().signals_readiness;
        if let Some((attributes, read_at)) = &self.known().attributes
            && !local
            && read_at.elapsed() < ATTRIBUTES_MAX_AGE
        {
            return Ok(attributes.clone());
        }
        let attributes = queue.attributes().await?;
        let receive_failed = {
            let mut known = self.known();
            known.attributes = Some((attributes.clone(), Instant::now()));
            known.receive_failed
        };
        if !receive_failed {
            self.is(MappingStatus::Polling);
        }
        Ok(attributes)
    }

    /// How many of `want` may be received now; waits until it is one at least. Cancel-safe.
    pub(crate) async fn quota(&self, want: u32) -> u32 {
        match &self.rate {
            Some(rate) => rate.take(want).await,
            None => want,
        }
    }

    pub(crate) fn give_back_quota(&self, unused: u32) {
        if let Some(rate) = &self.rate {
            rate.give_back(unused);
        }
    }

    /// Asks once. None: there was nothing. `max` is one's quota; what of it was not used is given back.
    pub(crate) async fn receive(&self, max: u32, wait: Duration) -> Result<Option<Received>, QueueError> {
        let outcome = self.ask(max, wait).await;
        let received = outcome.as_ref().map_or(0, |received| {
            received.as_ref().map_or(0, |received| u32::try_from(received.messages.len()).unwrap_or(max))
        });
        self.give_back_quota(max.saturating_sub(received));
        outcome
    }

    async fn ask(&self, max: u32, wait: Duration) -> Result<Option<Received>, QueueError> {
        let attributes = self.attributes().await?;
        let queue_visibility = attributes.visibility_timeout;
        let max_receive_count = attributes.redrive.map(|redrive| redrive.max_receive_count);
        let queue = self.queue();
        let lease_visibility = if queue_visibility.is_zero() { LEASE_OF_ZERO } else { queue_visibility };
        let capabilities = queue.capabilities();
        let max = max.min(capabilities.receive_max);
        let request = ReceiveRequest {
            max_messages: max,
            wait,
            visibility_timeout_seconds: u32::try_from(lease_visibility.as_secs()).ok(),
            attempt_id: None,
        };
        let asked_at = self.timeline.now();
        let received = queue.receive(request).await;
        self.known().receive_failed = received.as_ref().is_err_and(|error| *error != QueueError::NoSuchQueue);
        let messages = received?;
        if std::mem::take(&mut self.known().failures) > 0 {
            self.metrics.backs_off(Duration::ZERO);
        }
        self.is(MappingStatus::Polling);
        if messages.is_empty() {
            self.metrics.received_nothing();
            return Ok(None);
        }
        // A long poll's messages are hidden from when it found them, not from when it began to wait, and it answers as
        // soon as it has found some. Renewing at half time leaves room for what the answer took to get here.
        let received_at = if wait.is_zero() { asked_at } else { self.timeline.now() };
        let terms = Terms { received_at, queue_visibility, lease_visibility, max_receive_count };
        let is_full = messages.len() >= max as usize;
        Ok(Some(Received { queue, messages, terms, is_full }))
    }

    /// Notes that the queue did not answer; how long to wait before the next try.
    pub(crate) fn failed(&self, error: &QueueError) -> Duration {
        self.metrics.receive_failed();
        let pause = {
            let mut known = self.known();
            // Whatever was known of the queue may be what is wrong.
            known.attributes = None;
            let pause = backoff(known.failures, random_share());
            known.failures = known.failures.saturating_add(1);
            pause
        };
        self.metrics.backs_off(pause);
        let reason = error.to_string();
        // Said once per reason: a queue that is away for an hour is one line, not a thousand.
        if self.is(MappingStatus::Failing { reason: reason.clone() }) {
            tracing::error!(
                mapping = self.metrics.mapping(),
                error = reason,
                "receive failed, trying again with pauses"
            );
        }
        pause
    }

    /// Looks for a queue that was deleted: it may have been made again under its name.
    pub(crate) async fn look_again(&self) {
        let queue = self.queue();
        if let Ok(found) = queue.reach(queue.arn()).await {
            *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// Notes how the mapping is doing; true when that is news.
    fn is(&self, status: MappingStatus) -> bool {
        self.status.send_if_modified(|current| {
            let news = *current != status && *current != MappingStatus::Stopped;
            if news {
                *current = status;
            }
            news
        })
    }
}

/// Doubles from 0.2 s to 30 s, less a random half, so that workers do not come back in step. `share` is from 0 to 1.
fn backoff(failures: u32, share: f64) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
    longest.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_within_its_bounds() {
        for failures in 0..40 {
            let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
            let pause = backoff(failures, random_share());
            assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
        }
    }
}
