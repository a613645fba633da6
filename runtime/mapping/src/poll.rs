//! Receiving: when to ask the queue, for how much, and what to do when it does not answer.
//!
//! Where the queue signals readiness it is waited on first, then the permit is taken, then messages are received without
//! waiting: an idle poll holds no permit. A remote queue cannot signal, so a free permit is held over its long poll, and over
//! a short one while a sibling mapping has none. A receive is never cancelled: what it may have leased would be gone until its visibility timeout.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmill_queue::{Queue, QueueAttributes, QueueError, ReceiveRequest};

use crate::batch::Batch;
use crate::lease::{LEASE_OF_ZERO, Terms};
use crate::mapping::MappingStatus;
use crate::metrics::MappingMetrics;
use crate::permits::{MappingPermits, Permit};

/// SQS's longest wait: an idle mapping costs one call per 20 s.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The wait when a sibling mapping of the function has no permit left to poll with.
const CONTENDED_POLL: Duration = Duration::from_secs(1);
/// How old a remote queue's attributes may get.
const ATTRIBUTES_MAX_AGE: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Receives for one mapping.
#[derive(Debug)]
pub(crate) struct Poller {
    batch_size: u32,
    permits: MappingPermits,
    metrics: MappingMetrics,
    status: watch::Sender<MappingStatus>,
    attributes: Option<(QueueAttributes, Instant)>,
    failures: u32,
}

/// What a poll came to.
#[derive(Debug)]
pub(crate) enum Polled {
    /// Batches, in order, and the permit to run the first of them.
    Batches(Permit, Vec<Batch>),
    Nothing,
    /// The queue did not answer; the pause before the next try.
    Failed(QueueError, Duration),
    Stopped,
}

impl Poller {
    pub(crate) fn new(
        batch_size: u32,
        permits: MappingPermits,
        metrics: MappingMetrics,
        status: watch::Sender<MappingStatus>,
    ) -> Self {
        Self { batch_size, permits, metrics, status, attributes: None, failures: 0 }
    }

    /// One round: is the queue there, has it something, permit, receive. Ends early when `stop` says so, but never in the
    /// middle of a receive.
    pub(crate) async fn poll(&mut self, queue: &dyn Queue, stop: &CancellationToken) -> Polled {
        let before = async {
            let visibility = self.visibility(queue).await?;
            // It is heard from before anything is waited for: an idle queue is a healthy one.
            self.is(MappingStatus::Polling);
            if !queue.capabilities().signals_readiness {
                return Ok((self.permits.acquire().await, visibility));
            }
            queue.ready().await;
            let permit = self.permits.acquire().await;
            // Asking is free here, and much may have changed while nothing came.
            Ok((permit, self.visibility(queue).await?))
        };
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => return Polled::Stopped,
            ready = before => ready,
        };
        let received = match ready {
            Ok((permit, visibility)) => self.receive(queue, visibility).await.map(|batches| (permit, batches)),
            Err(error) => Err(error),
        };
        match received {
            Ok((permit, batches)) => {
                self.failures = 0;
                let messages = batches.iter().map(Batch::len).sum();
                self.metrics.received(messages);
                if messages > 0 { Polled::Batches(permit, batches) } else { Polled::Nothing }
            }
            Err(error) => self.failed(error),
        }
    }

    /// Waits for a permit, for a batch that did not get the receive's own.
    pub(crate) fn permits(&self) -> MappingPermits {
        self.permits.clone()
    }

    fn failed(&mut self, error: QueueError) -> Polled {
        self.metrics.receive_failed();
        // Whatever was known of the queue may be what is wrong.
        self.attributes = None;
        let pause = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        let reason = error.to_string();
        // Said once per reason: a queue that is away for an hour is one line, not a thousand.
        if self.is(MappingStatus::Failing { reason: reason.clone() }) {
            tracing::error!(
                mapping = self.metrics.mapping(),
                error = reason,
                "receive failed, trying again with pauses"
            );
        }
        Polled::Failed(error, pause)
    }

    /// Notes how the mapping is doing; true when that is news.
    fn is(&self, status: MappingStatus) -> bool {
        self.status.send_if_modified(|current| {
            let news = *current != status;
            *current = status;
            news
        })
    }

    async fn receive(&mut self, queue: &dyn Queue, queue_visibility: Duration) -> Result<Vec<Batch>, QueueError> {
        let lease_visibility = if queue_visibility.is_zero() { LEASE_OF_ZERO } else { queue_visibility };
        let capabilities = queue.capabilities();
        let wait = match (capabilities.signals_readiness, self.permits.are_contended()) {
            (true, _) => Duration::ZERO,
            (false, false) => LONG_POLL,
            // A sibling has no permit while this poll holds one.
            (false, true) => CONTENDED_POLL,
        };
        let request = ReceiveRequest {
            max_messages: self.batch_size.min(capabilities.receive_max),
            wait,
            visibility_timeout_seconds: u32::try_from(lease_visibility.as_secs()).ok(),
            attempt_id: None,
        };
        let asked_at = Instant::now();
        let messages = queue.receive(request).await?;
        if messages.is_empty() {
            self.metrics.received_nothing();
            return Ok(Vec::new());
        }
        // A long poll's messages are hidden from when it found them, not from when it began to wait, and it answers as
        // soon as it has found some. Renewing at half time leaves room for what the answer took to get here.
        let received_at = if capabilities.signals_readiness { asked_at } else { Instant::now() };
        let terms = Terms { received_at, queue_visibility, lease_visibility };
        Ok(Batch::split(messages, queue.arn(), terms))
    }

    /// The queue's visibility timeout: asked for each time where that is free, else once a minute.
    async fn visibility(&mut self, queue: &dyn Queue) -> Result<Duration, QueueError> {
        let local = queue.capabilities().signals_readiness;
        if let Some((attributes, read_at)) = &self.attributes
            && !local
            && read_at.elapsed() < ATTRIBUTES_MAX_AGE
        {
            return Ok(attributes.visibility_timeout);
        }
        let attributes = queue.attributes().await?;
        let visibility_timeout = attributes.visibility_timeout;
        self.attributes = Some((attributes, Instant::now()));
        Ok(visibility_timeout)
    }
}

/// Doubles from 0.2 s to 30 s, less a random half, so that workers do not come back in step.
fn backoff(failures: u32) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
    // Every `RandomState` is seeded anew: enough randomness for a jitter.
    let share = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
    longest.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_within_its_bounds() {
        for failures in 0..40 {
            let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
            let pause = backoff(failures);
            assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
        }
    }
}
