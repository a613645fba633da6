//! Settling: what each verdict means for the queue. First a pure plan over the whole batch, then its application.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wasmill_event::Verdict;
use wasmill_queue::{DeadLetter, EntryResults, FailedAttempt, Queue, QueueError, ReceiptHandle, VisibilityChange};

use crate::batch::Batch;
use crate::lease::Standing;
use crate::metrics::{MappingMetrics, SettleStep};
use crate::record;
use crate::remember::Remembered;
use crate::retry::RetryPolicy;

/// Tries at what the queue did not take because it could not be reached.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What is to be done with a batch. Every record stands in exactly one of the lists.
#[must_use = "a plan that is not applied leaves its messages to their visibility timeout"]
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// By index of the record.
    pub(crate) delete: Vec<usize>,
    /// Left alone: they return when the queue's own visibility timeout ends.
    pub(crate) untouched: usize,
    pub(crate) give_back: Vec<VisibilityChange>,
    pub(crate) release: Vec<ReceiptHandle>,
    /// By index of the record.
    pub(crate) dead_letter: Vec<(usize, DeadLetter)>,
}

impl Plan {
    /// The records that this is the end of, by index.
    pub(crate) fn ended(&self) -> Vec<usize> {
        self.delete.iter().copied().chain(self.dead_letter.iter().map(|(index, _)| *index)).collect()
    }

    fn len(&self) -> usize {
        self.delete.len() + self.untouched + self.give_back.len() + self.release.len() + self.dead_letter.len()
    }
}

/// How a batch is settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// The version that ran.
    pub(crate) function_version: &'a str,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) dead_letters_last_attempts: bool,
}

/// Places for batches that are settled without a permit: as many at a time as may run, so that a queue that is slow to delete
/// is not handed ever more to delete. How many that is may change.
#[derive(Debug)]
pub(crate) struct Settling {
    places: Semaphore,
    size: Mutex<usize>,
}

impl Default for Settling {
    fn default() -> Self {
        Self { places: Semaphore::new(0), size: Mutex::new(0) }
    }
}

impl Settling {
    /// A place among `most`. Cancel-safe.
    pub(crate) async fn enter(&self, most: usize) -> Option<SemaphorePermit<'_>> {
        self.fit(most.max(1));
        self.places.acquire().await.ok()
    }

    fn fit(&self, most: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if most >= *size {
            self.places.add_permits(most - *size);
            *size = most;
        } else {
            // Those in use go when they are free, at a later call.
            *size -= self.places.forget_permits(*size - most);
        }
    }
}

/// Plans for a judged batch. `verdicts` are one per record, in order; `attempts` as well, or none at all.
///
/// A failed record returns when Lambda's would: untouched if its visibility was never renewed, else set to what is left
/// of the queue's visibility timeout, counted from the receive; unless the mapping's retry policy says otherwise. A record
/// that was done although its lease was lost is deleted all the same: on a standard queue the old receipt works unless
/// somebody else received it since.
pub(crate) fn plan(
    batch: &Batch,
    verdicts: Vec<Verdict>,
    mut attempts: Vec<Option<FailedAttempt>>,
    manner: Manner<'_>,
) -> Plan {
    let mut plan = Plan::default();
    let standings = batch.lease.standings();
    for (index, ((held, verdict), standing)) in batch.held.iter().zip(verdicts).zip(standings).enumerate() {
        let attempt = attempts.get_mut(index).and_then(Option::take);
        match verdict {
            Verdict::Done => plan.delete.push(index),
            // Whoever has it now decides when it returns.
            _ if standing.lost => plan.untouched += 1,
            Verdict::Retry { after_seconds } => {
                let asked = after_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
                let delay = asked.or_else(|| manner.retry_policy.delay(held.system.receive_count, random_share()));
                match retry(batch, index, delay, standing) {
                    Some(change) => plan.give_back.push(change),
                    None => plan.untouched += 1,
                }
            }
            Verdict::Release => plan.release.push(held.receipt.clone()),
            Verdict::DeadLetter { reason } => {
                let message = record::to_message(&batch.records[index], &held.system);
                let function_version = manner.function_version.to_owned();
                plan.dead_letter.push((index, DeadLetter { message, reason, function_version, attempt }));
            }
        }
    }
    debug_assert_eq!(plan.len(), batch.len(), "every record is settled exactly once");
    plan
}

/// Turns retries into dead letters where it was the last receive that the queue allows, if the mapping is to do so.
pub(crate) fn give_up_last_attempts(
    batch: &Batch,
    verdicts: &mut [Verdict],
    attempts: &[Option<FailedAttempt>],
    manner: Manner<'_>,
) {
    if !manner.dead_letters_last_attempts {
        return;
    }
    for (index, (verdict, attempt)) in verdicts.iter_mut().zip(attempts).enumerate() {
        let most = batch.lease.terms(index).and_then(|terms| terms.max_receive_count);
        if let (Verdict::Retry { .. }, Some(attempt), Some(most)) = (&*verdict, attempt, most)
            && attempt.receive_count >= most
        {
            let FailedAttempt { kind, message, receive_count, .. } = attempt;
            *verdict = Verdict::DeadLetter { reason: format!("{kind}: {message} (attempt {receive_count} of {most})") };
        }
    }
}

/// When a failed message returns; none: it is left alone, and returns when the queue's own visibility timeout ends.
fn retry(batch: &Batch, index: usize, delay: Option<Duration>, standing: Standing) -> Option<VisibilityChange> {
    let (terms, now) = (batch.lease.terms(index)?, batch.lease.now());
    let hide = match delay {
        None if !standing.touched => return None,
        None => terms.queue_visibility_left(now),
        Some(delay) => delay,
    };
    let timeout_seconds = whole_seconds(hide).min(whole_seconds_down(terms.longest_hide(now)));
    Some(VisibilityChange { receipt: batch.held[index].receipt.clone(), timeout_seconds })
}

/// Every `RandomState` is seeded anew: enough randomness for a jitter.
pub(crate) fn random_share() -> f64 {
    #[cfg(test)]
    if let Some(share) = crate::sim::random_share() {
        return share;
    }
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// A plan that gives everything back at once, as if it had not been received: for a drain. Not what was lost: on a standard
/// queue an old receipt would make it visible under whoever has it now.
pub(crate) fn plan_release(batch: &Batch) -> Plan {
    let held = batch.held.iter().zip(batch.lease.standings());
    let release: Vec<ReceiptHandle> =
        held.filter(|(_, standing)| !standing.lost).map(|(held, _)| held.receipt.clone()).collect();
    Plan { untouched: batch.len() - release.len(), release, ..Plan::default() }
}

/// Carries plans out on one queue.
#[derive(Clone, Copy)]
pub(crate) struct Settler<'a> {
    pub(crate) queue: &'a dyn Queue,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) metrics: &'a MappingMetrics,
    /// Once cancelled, what the queue does not take at once is not tried again.
    pub(crate) hurry: &'a CancellationToken,
}

impl Settler<'_> {
    /// Carries a plan out. What cannot be done is counted and logged, and the queue's visibility timeout has the last
    /// word.
    ///
    /// What is to be removed stays leased until it is: a slow delete must not let it lapse. What goes back is let go
    /// first, so that no renewal keeps it. A record that was done and may come again is remembered. Gives how many records the
    /// queue did not take.
    pub(crate) async fn apply(self, plan: Plan, batch: &Batch, remembered: &Remembered) -> usize {
        let Plan { delete, untouched: _, give_back, release, dead_letter } = plan;
        let (buried, letters): (Vec<usize>, Vec<DeadLetter>) = dead_letter.into_iter().unzip();
        let mut goes = vec![false; batch.len()];
        delete.iter().chain(&buried).for_each(|index| goes[*index] = true);
        batch.lease.settle(|index| goes[index]).await;
        let standings = batch.lease.standings();
        for index in delete.iter().filter(|index| standings[**index].lost) {
            remembered.add(&batch.records[*index].message_id);
        }
        let delete = delete.into_iter().map(|index| batch.held[index].receipt.clone()).collect();
        let ((unmoved, undeleted), kept) =
            tokio::join!(self.remove(delete, letters, batch, remembered), self.give_back(give_back, release));
        let refused = unmoved.len() + undeleted + kept;
        if unmoved.is_empty() {
            return refused;
        }
        // What could not be moved is a retry, by the time it is now.
        let is_unmoved =
            |index: &usize| unmoved.iter().any(|letter| letter.message.receipt == batch.held[*index].receipt);
        batch.lease.settle(|_| false).await;
        let standings = batch.lease.standings();
        let retries = buried.into_iter().filter(is_unmoved).filter_map(|index| {
            let standing = standings[index];
            let delay = self.retry_policy.delay(batch.held[index].system.receive_count, random_share());
            if standing.lost { None } else { retry(batch, index, delay, standing) }
        });
        self.give_back(retries.collect(), Vec::new()).await;
        refused
    }

    /// Deletes and buries. Gives the dead letters that could not be moved, and how many records could not be deleted.
    async fn remove(
        self,
        delete: Vec<ReceiptHandle>,
        letters: Vec<DeadLetter>,
        batch: &Batch,
        remembered: &Remembered,
    ) -> (Vec<DeadLetter>, usize) {
        let queue = self.queue;
        let undeleted = self.delete(delete).await;
        if !undeleted.is_empty() {
            for (held, record) in batch.held.iter().zip(batch.records.iter()) {
                if undeleted.contains(&held.receipt) {
                    remembered.add(&record.message_id);
                }
            }
        }
        let unmoved = self.insist(letters, |letters| async move { queue.dead_letter(letters).await }).await;
        self.report(SettleStep::DeadLetter, &unmoved);
        (unmoved.into_iter().map(|(letter, _)| letter).collect(), undeleted.len())
    }

    /// Deletes. Gives what could not be deleted.
    pub(crate) async fn delete(self, receipts: Vec<ReceiptHandle>) -> Vec<ReceiptHandle> {
        let queue = self.queue;
        let undeleted = self.insist(receipts, |receipts| async move { queue.delete(&receipts).await }).await;
        self.report(SettleStep::Delete, &undeleted);
        undeleted.into_iter().map(|(receipt, _)| receipt).collect()
    }

    /// Gives back. Gives how many that could not be said of.
    async fn give_back(self, changes: Vec<VisibilityChange>, releases: Vec<ReceiptHandle>) -> usize {
        let queue = self.queue;
        let kept = self.insist(changes, |changes| async move { queue.change_visibility(&changes).await }).await;
        self.report(SettleStep::GiveBack, &kept);
        let unreleased = self.insist(releases, |receipts| async move { queue.release(&receipts).await }).await;
        self.report(SettleStep::GiveBack, &unreleased);
        kept.len() + unreleased.len()
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
