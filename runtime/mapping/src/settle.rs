//! Settling: what each verdict means for the queue. First a pure plan over the whole batch, then its application.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wasmill_event::Verdict;
use wasmill_queue::{DeadLetter, EntryResults, Queue, QueueError, ReceiptHandle, VisibilityChange};

use crate::batch::Batch;
use crate::lease::{Lease, Standing};
use crate::metrics::{MappingMetrics, SettleStep};
use crate::record;

/// Tries at what the queue did not take because it could not be reached.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What is to be done with a batch. Every record stands in exactly one of the lists.
#[must_use = "a plan that is not applied leaves its messages to their visibility timeout"]
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delete: Vec<ReceiptHandle>,
    /// Left alone: they return when the queue's own visibility timeout ends.
    pub(crate) untouched: usize,
    pub(crate) give_back: Vec<VisibilityChange>,
    pub(crate) release: Vec<ReceiptHandle>,
    pub(crate) dead_letter: Vec<DeadLetter>,
}

impl Plan {
    fn len(&self) -> usize {
        self.delete.len() + self.untouched + self.give_back.len() + self.release.len() + self.dead_letter.len()
    }
}

/// Plans for a judged batch. `verdicts` are one per record, in order.
///
/// A failed record returns when Lambda's would: untouched if its visibility was never renewed, else set to what is left
/// of the queue's visibility timeout, counted from the receive. A record that was done although its lease was lost is
/// deleted all the same: on a standard queue the old receipt works unless somebody else received it since.
pub(crate) fn plan(batch: &Batch, verdicts: Vec<Verdict>, function_version: &str) -> Plan {
    let mut plan = Plan::default();
    for (index, (held, verdict)) in batch.held.iter().zip(verdicts).enumerate() {
        let standing = batch.lease.standing(index);
        let receipt = held.receipt.clone();
        match verdict {
            Verdict::Done => plan.delete.push(receipt),
            // Whoever has it now decides when it returns.
            _ if standing.lost => plan.untouched += 1,
            Verdict::Retry { after_seconds } => match retry(&batch.lease, receipt, after_seconds, standing) {
                Some(change) => plan.give_back.push(change),
                None => plan.untouched += 1,
            },
            Verdict::Release => plan.release.push(receipt),
            Verdict::DeadLetter { reason } => {
                let message = record::to_message(&batch.records[index], &held.system);
                plan.dead_letter.push(DeadLetter { message, reason, function_version: function_version.to_owned() });
            }
        }
    }
    debug_assert_eq!(plan.len(), batch.len(), "every record is settled exactly once");
    plan
}

/// When a failed message returns; none: it is left alone, and returns when the queue's own visibility timeout ends.
fn retry(
    lease: &Lease,
    receipt: ReceiptHandle,
    after_seconds: Option<u32>,
    standing: Standing,
) -> Option<VisibilityChange> {
    let hide = match after_seconds {
        None if !standing.touched => return None,
        None => lease.queue_visibility_left(),
        Some(seconds) => Duration::from_secs(u64::from(seconds)),
    };
    let timeout_seconds = whole_seconds(hide).min(whole_seconds_down(lease.longest_hide()));
    Some(VisibilityChange { receipt, timeout_seconds })
}

/// A plan that gives everything back at once, as if it had not been received: for a drain.
pub(crate) fn plan_release(batch: &Batch) -> Plan {
    Plan { release: batch.held.iter().map(|held| held.receipt.clone()).collect(), ..Plan::default() }
}

/// Carries plans out on one queue.
#[derive(Clone, Copy)]
pub(crate) struct Settler<'a> {
    pub(crate) queue: &'a dyn Queue,
    pub(crate) metrics: &'a MappingMetrics,
    /// Once cancelled, what the queue does not take at once is not tried again.
    pub(crate) hurry: &'a CancellationToken,
}

impl Settler<'_> {
    /// Carries a plan out. What cannot be done is counted and logged, and the queue's visibility timeout has the last
    /// word.
    ///
    /// What is to be removed stays leased until it is: a slow delete must not let it lapse. What goes back is let go
    /// first, so that no renewal keeps it.
    pub(crate) async fn apply(self, plan: Plan, lease: &mut Lease) {
        let Plan { delete, untouched: _, give_back, release, dead_letter } = plan;
        lease.keep_only(|receipt| {
            delete.contains(receipt) || dead_letter.iter().any(|letter| letter.message.receipt == *receipt)
        });
        let remove_leased = async {
            tokio::select! {
                biased;
                unmoved = self.remove(delete, dead_letter) => unmoved,
                never = lease.keep(self.queue, self.metrics) => match never {},
            }
        };
        let (unmoved, ()) = tokio::join!(remove_leased, self.give_back(give_back, release));
        // What could not be moved is a retry, by the time it is now.
        let retries = unmoved.into_iter().filter_map(|letter| {
            let receipt = letter.message.receipt;
            let standing = lease.standing_of(&receipt);
            if standing.lost { None } else { retry(lease, receipt, None, standing) }
        });
        self.give_back(retries.collect(), Vec::new()).await;
    }

    /// Deletes and buries. Gives the dead letters that could not be moved.
    async fn remove(self, delete: Vec<ReceiptHandle>, letters: Vec<DeadLetter>) -> Vec<DeadLetter> {
        let queue = self.queue;
        let undeleted = self.insist(delete, |receipts| async move { queue.delete(&receipts).await }).await;
        self.report(SettleStep::Delete, &undeleted);
        let unmoved = self.insist(letters, |letters| async move { queue.dead_letter(letters).await }).await;
        self.report(SettleStep::DeadLetter, &unmoved);
        unmoved.into_iter().map(|(letter, _)| letter).collect()
    }

    async fn give_back(self, changes: Vec<VisibilityChange>, releases: Vec<ReceiptHandle>) {
        let queue = self.queue;
        let kept = self.insist(changes, |changes| async move { queue.change_visibility(&changes).await }).await;
        self.report(SettleStep::GiveBack, &kept);
        let kept = self.insist(releases, |receipts| async move { queue.release(&receipts).await }).await;
        self.report(SettleStep::GiveBack, &kept);
    }

    /// Does a batch verb, and again for the entries that failed for want of reach. Returns what was not done, with the last
    /// error of each.
    async fn insist<T, F>(self, entries: Vec<T>, verb: impl Fn(Vec<T>) -> F) -> Vec<(T, QueueError)>
    where
        T: Clone,
        F: Future<Output = Result<EntryResults<()>, QueueError>>,
    {
        let mut pending = entries;
        let mut refused = Vec::new();
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            if pending.is_empty() {
                break;
            }
            let results = match verb(pending.clone()).await {
                Ok(results) => results,
                Err(error) => vec![Err(error); pending.len()],
            };
            let mut again = Vec::new();
            for (entry, result) in pending.into_iter().zip(results) {
                match result {
                    Ok(()) => {}
                    Err(error) if attempt < TRIES && is_passing(&error) && !self.hurry.is_cancelled() => {
                        again.push(entry);
                    }
                    Err(error) => refused.push((entry, error)),
                }
            }
            pending = again;
            if !pending.is_empty() {
                tokio::select! {
                    biased;
                    () = self.hurry.cancelled() => {}
                    () = sleep(pause) => {}
                }
                pause *= 2;
            }
        }
        refused
    }

    fn report<T>(self, step: SettleStep, undone: &[(T, QueueError)]) {
        if let Some((_, error)) = undone.first() {
            self.metrics.settle_failed(step, undone.len());
            tracing::error!(?step, messages = undone.len(), %error, "a verdict could not be carried out");
        }
    }
}

fn is_passing(error: &QueueError) -> bool {
    use wasmill_queue::StorageError;
    matches!(error, QueueError::Unavailable(_) | QueueError::Storage(StorageError::Full))
}

fn whole_seconds_down(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Rounded up, so that a message never returns early.
fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
