//! The lease on a batch: renews its messages' visibility for as long as it is held.
//!
//! It is a future that runs beside the handler and dies with it. Nothing is renewed before half the visibility timeout
//! has passed, so a message that fails early returns exactly when it would have without us. A renewal's deadline is counted
//! from before the request, a receive's from when its answer was there (a long poll waits an unknown time before that).
//!
//! Margins: a renewal is due when half the timeout is left, 0.5 s for a timeout of 1 s and 1 s for one of 2 s. A queue
//! whose timeout is 0 would give each message to the next poll at once; its messages are received under
//! [`LEASE_OF_ZERO`] instead and given back at once when they fail.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmill_queue::{Queue, QueueError, ReceiptHandle, VisibilityChange};

use crate::metrics::MappingMetrics;

/// The visibility asked for where the queue's own is 0.
pub(crate) const LEASE_OF_ZERO: Duration = Duration::from_secs(2);
/// SQS holds no message longer than this, counted from the receive (sqs-semantics §5.3).
const HELD_MAX: Duration = Duration::from_secs(12 * 3600);
/// The first pause after a renewal that could not reach the service; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// When and how a receive was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Before the call was made: visibility counts from no earlier.
    pub(crate) received_at: Instant,
    /// The queue's own visibility timeout, which decides when a failed message returns.
    pub(crate) queue_visibility: Duration,
    /// The visibility that the receive asked for and that renewals ask for.
    pub(crate) lease_visibility: Duration,
}

/// The lease on the messages of one batch.
#[derive(Debug)]
pub(crate) struct Lease {
    messages: Vec<Leased>,
    terms: Terms,
    renew_at: Instant,
    pause: Duration,
    /// True once the messages are being removed: that a renewal does not find one is then no loss.
    settling: bool,
}

#[derive(Debug)]
struct Leased {
    receipt: ReceiptHandle,
    /// Until when the message is ours as far as the service has confirmed.
    confirmed_until: Instant,
    /// True once a renewal was sent for it, answered or not: its visibility is no longer what the receive set.
    touched: bool,
    lost: bool,
}

/// How a message stands when its verdict is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The visibility is no longer what the queue itself would have set.
    pub(crate) touched: bool,
    /// Somebody else may have it by now.
    pub(crate) lost: bool,
}

impl Standing {
    const GONE: Self = Self { touched: false, lost: true };
}

impl Lease {
    pub(crate) fn new(receipts: Vec<ReceiptHandle>, terms: Terms) -> Self {
        let confirmed_until = terms.received_at + terms.lease_visibility;
        let overridden = terms.lease_visibility != terms.queue_visibility;
        let messages = receipts
            .into_iter()
            .map(|receipt| Leased { receipt, confirmed_until, touched: overridden, lost: false })
            .collect();
        let renew_at = terms.received_at + terms.lease_visibility / 2;
        Self { messages, terms, renew_at, pause: FIRST_PAUSE, settling: false }
    }

    /// Renews for ever. To be run beside whatever holds the messages, and dropped with it; what a renewal that was under
    /// way has done is then unknown, and its messages count as touched.
    pub(crate) async fn keep(&mut self, queue: &dyn Queue, metrics: &MappingMetrics) -> Infallible {
        loop {
            sleep_until(self.renew_at).await;
            self.renew(queue, metrics).await;
            if self.messages.iter().all(|message| message.lost) {
                return std::future::pending().await;
            }
        }
    }

    /// Lets go of all messages but those that `keeps` names, which are about to be removed.
    pub(crate) fn keep_only(&mut self, mut keeps: impl FnMut(&ReceiptHandle) -> bool) {
        self.messages.retain(|message| keeps(&message.receipt));
        self.settling = true;
    }

    async fn renew(&mut self, queue: &dyn Queue, metrics: &MappingMetrics) {
        let asked_at = Instant::now();
        let left = (self.terms.received_at + HELD_MAX).saturating_duration_since(asked_at);
        let timeout = self.terms.lease_visibility.min(left);
        let timeout_seconds = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
        if timeout_seconds == 0 {
            // Twelve hours: the queue takes the messages back, whatever we do.
            self.lose_all(metrics);
            tracing::warn!("held for 12 h, the longest that SQS allows: the messages return to the queue");
            return;
        }
        let mut changes = Vec::with_capacity(self.messages.len());
        for message in self.messages.iter_mut().filter(|message| !message.lost) {
            message.touched = true;
            changes.push(VisibilityChange { receipt: message.receipt.clone(), timeout_seconds });
        }
        match queue.change_visibility(&changes).await {
            Ok(results) => {
                let confirmed_until = asked_at + Duration::from_secs(u64::from(timeout_seconds));
                let settling = self.settling;
                let leased = self.messages.iter_mut().filter(|message| !message.lost);
                for (message, result) in leased.zip(results) {
                    message.renewed(result, confirmed_until, settling, metrics);
                }
                self.renew_at = asked_at + timeout / 2;
                self.pause = FIRST_PAUSE;
            }
            Err(error @ (QueueError::NoSuchQueue | QueueError::Refused { .. })) => {
                tracing::error!(%error, messages = changes.len(), "leases lost: the queue refuses to renew them");
                self.lose_all(metrics);
            }
            Err(error) => {
                tracing::warn!(%error, messages = changes.len(), "lease renewal failed, trying again");
                self.renew_at = Instant::now() + self.pause;
                self.pause *= 2;
            }
        }
        self.give_up_expired(metrics);
        // A renewal that failed for some is tried again for all, well before their time is up.
        let earliest =
            self.messages.iter().filter(|message| !message.lost).map(|message| message.confirmed_until).min();
        if let Some(earliest) = earliest {
            let in_time = Instant::now() + earliest.saturating_duration_since(Instant::now()) / 2;
            self.renew_at = self.renew_at.min(in_time.max(asked_at + FIRST_PAUSE));
        }
    }

    fn lose_all(&mut self, metrics: &MappingMetrics) {
        for message in self.messages.iter_mut().filter(|message| !message.lost) {
            message.lost = true;
            metrics.lease_lost();
        }
    }

    /// What no renewal reached in time is lost: the service may have given it to somebody else.
    fn give_up_expired(&mut self, metrics: &MappingMetrics) {
        let now = Instant::now();
        for message in &mut self.messages {
            if !message.lost && message.confirmed_until <= now {
                message.lost = true;
                metrics.lease_lost();
                tracing::error!(receipt = message.receipt.as_str(), "lease lost: not renewed in time");
            }
        }
    }

    /// How the message at `index` of the batch stands now.
    pub(crate) fn standing(&self, index: usize) -> Standing {
        self.messages.get(index).map_or(Standing::GONE, Leased::standing)
    }

    /// How a message that is still held stands now, by its receipt.
    pub(crate) fn standing_of(&self, receipt: &ReceiptHandle) -> Standing {
        let message = self.messages.iter().find(|message| message.receipt == *receipt);
        message.map_or(Standing::GONE, Leased::standing)
    }

    /// What is left of the queue's own visibility timeout, counted from the receive.
    pub(crate) fn queue_visibility_left(&self) -> Duration {
        (self.terms.received_at + self.terms.queue_visibility).saturating_duration_since(Instant::now())
    }

    /// The longest that a message may still be kept hidden.
    pub(crate) fn longest_hide(&self) -> Duration {
        (self.terms.received_at + HELD_MAX).saturating_duration_since(Instant::now())
    }
}

impl Leased {
    fn standing(&self) -> Standing {
        let expired = self.confirmed_until <= Instant::now();
        Standing { touched: self.touched, lost: self.lost || expired }
    }

    fn renewed(
        &mut self,
        result: Result<(), QueueError>,
        confirmed_until: Instant,
        settling: bool,
        metrics: &MappingMetrics,
    ) {
        match result {
            Ok(()) => {
                self.confirmed_until = confirmed_until;
                metrics.lease_renewed();
            }
            Err(
                error @ (QueueError::NotInFlight { .. } | QueueError::InvalidReceipt { .. } | QueueError::NoSuchQueue),
            ) => {
                self.lost = true;
                if !settling {
                    metrics.lease_lost();
                    tracing::error!(receipt = self.receipt.as_str(), %error, "lease lost: the queue says so");
                }
            }
            Err(error) => tracing::warn!(%error, "lease renewal refused, trying again"),
        }
    }
}
