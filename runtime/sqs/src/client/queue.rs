//! `RemoteQueue`: the verbs of the `Queue` trait, as batch calls of ten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName,
};
use wasmill_queue::limits::MESSAGE_MAX_BYTES;
use wasmill_queue::{
    Capabilities, DeadLetter, EntryResults, Message, OutgoingMessage, Queue, QueueArn, QueueAttributes, QueueError,
    ReceiptHandle, ReceiveRequest, Sent, VisibilityChange,
};

use crate::client::convert::{self, call_error, entry_error, misunderstood};
use crate::client::{QueueStats, RemoteSqs, dead_letter, verbs};

const ENTRIES_MAX: usize = 10;
const RECEIVE_MAX: u32 = 10;
const WAIT_MAX_SECONDS: u64 = 20;

/// A queue of a remote service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RemoteQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    service: RemoteSqs,
    region: String,
    url: String,
    arn: QueueArn,
    /// The dead-letter queue that was used last, so that a flood of poison does not look it up each time.
    dead_letter_queue: Mutex<Option<(RemoteQueue, QueueAttributes)>>,
}

impl RemoteQueue {
    /// Reads the queue's attributes: it is there, and this is its ARN.
    pub(super) async fn open(service: RemoteSqs, region: String, url: String) -> Result<Self, QueueError> {
        let attributes = service.all_attributes(&region, &url).await?;
        let arn = attributes.get("QueueArn").ok_or_else(|| misunderstood("the service told no QueueArn"))?;
        let arn = QueueArn::parse(arn).map_err(|error| misunderstood(&error.to_string()))?;
        Ok(Self { shared: Arc::new(Shared { service, region, url, arn, dead_letter_queue: Mutex::default() }) })
    }

    /// The queue's URL, as given or as the service told it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Does a call where the queue is.
    pub(super) async fn call<T, E, F>(&self, call: impl Fn(Client) -> F) -> Result<T, SdkError<E>>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata,
    {
        self.shared.service.call(&self.shared.region, call).await
    }

    async fn all_attributes(&self) -> Result<BTreeMap<String, String>, QueueError> {
        self.shared.service.all_attributes(&self.shared.region, &self.shared.url).await
    }

    /// Counts and attributes, as the service tells them now.
    ///
    /// # Errors
    /// `NoSuchQueue`, or the service could not be reached.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        let attributes = self.all_attributes().await?;
        let count = |name: &str| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(QueueStats {
            arn: self.shared.arn.clone(),
            visible: count("ApproximateNumberOfMessages"),
            in_flight: count("ApproximateNumberOfMessagesNotVisible"),
            delayed: count("ApproximateNumberOfMessagesDelayed"),
            attributes,
        })
    }

    /// Deletes all messages. Amazon SQS takes up to a minute and allows one purge a minute.
    ///
    /// # Errors
    /// `Refused` with `PurgeQueueInProgress` within that minute; `NoSuchQueue`; or the service could not be reached.
    pub async fn purge(&self) -> Result<(), QueueError> {
        let purge = |client: Client| {
            let call = client.purge_queue().queue_url(&self.shared.url);
            call.customize().config_override(verbs::purge()).send()
        };
        let outcome = self.call(purge).await;
        outcome.map(|_| ()).map_err(|error| call_error(&error))
    }

    /// One `SendMessageBatch`; ids are positions.
    async fn send_chunk(&self, messages: &[OutgoingMessage]) -> Result<EntryResults<Sent>, QueueError> {
        let entries: Result<Vec<_>, QueueError> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| convert::send_entry(index.to_string(), message.clone()))
            .collect();
        let entries = entries?;
        let send = |client: Client| {
            let call = client.send_message_batch().queue_url(&self.shared.url).set_entries(Some(entries.clone()));
            call.customize().config_override(verbs::send()).send()
        };
        let outcome = self.call(send).await;
        let output = outcome.map_err(|error| call_error(&error))?;
        let successful = output.successful.iter().map(|entry| (entry.id(), Ok(convert::sent(entry))));
        let failed = output.failed.iter().map(|entry| (entry.id(), Err(entry_error(entry, None))));
        Ok(in_order(messages.len(), successful.chain(failed)))
    }

    async fn delete_chunk(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let entry = |(index, receipt): (usize, &ReceiptHandle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt.as_str())
                .build()
                .map_err(|error| misunderstood(&error.to_string()))
        };
        let entries: Vec<_> = receipts.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        let delete = |client: Client| {
            let call = client.delete_message_batch().queue_url(&self.shared.url).set_entries(Some(entries.clone()));
            call.customize().config_override(verbs::delete()).send()
        };
        let outcome = self.call(delete).await;
        let output = outcome.map_err(|error| call_error(&error))?;
        let successful = output.successful.iter().map(|entry| entry.id());
        Ok(settled(successful, &output.failed, receipts.len(), |index| receipts.get(index)))
    }

    async fn change_chunk(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        let entry = |(index, change): (usize, &VisibilityChange)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(change.receipt.as_str())
                .visibility_timeout(i32::try_from(change.timeout_seconds).unwrap_or(i32::MAX))
                .build()
                .map_err(|error| misunderstood(&error.to_string()))
        };
        let entries: Vec<_> = changes.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        let change = |client: Client| {
            let call = client.change_message_visibility_batch();
            let call = call.queue_url(&self.shared.url).set_entries(Some(entries.clone()));
            call.customize().config_override(verbs::change_visibility()).send()
        };
        let outcome = self.call(change).await;
        let output = outcome.map_err(|error| call_error(&error))?;
        let successful = output.successful.iter().map(|entry| entry.id());
        Ok(settled(successful, &output.failed, changes.len(), |index| changes.get(index).map(|change| &change.receipt)))
    }

    /// The queue that the redrive policy names now. The policy is read each time, as owners change it; the queue behind
    /// it is kept.
    async fn dead_letter_queue(&self) -> Result<(Self, QueueAttributes), QueueError> {
        let redrive = self.attributes().await?.redrive;
        let arn = redrive.map(|policy| policy.dead_letter_target_arn).ok_or_else(no_dead_letter_queue)?;
        let kept = self.shared.dead_letter_queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|(queue, _)| queue.shared.arn == arn) {
            return Ok(kept);
        }
        // That it is the other queue that is not there must not read as this one's end.
        let gone = |error| if error == QueueError::NoSuchQueue { no_dead_letter_queue() } else { error };
        let queue = self.shared.service.queue_by_arn(&arn).await.map_err(gone)?;
        let attributes = queue.attributes().await.map_err(gone)?;
        let found = (queue, attributes);
        *self.shared.dead_letter_queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }
}

#[async_trait]
impl Queue for RemoteQueue {
    fn arn(&self) -> &QueueArn {
        &self.shared.arn
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { signals_readiness: false, release_uncounts: false, receive_max: RECEIVE_MAX }
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        convert::queue_attributes(&self.all_attributes().await?)
    }

    async fn ready(&self) {}

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let max_messages = request.max_messages.clamp(1, RECEIVE_MAX);
        let wait_seconds = whole_seconds(request.wait).min(WAIT_MAX_SECONDS);
        let timeout = request.visibility_timeout_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
        // Standard queues know no attempts.
        let attempt_id = request.attempt_id.filter(|_| self.shared.arn.name().ends_with(".fifo"));
        let receive = |client: Client| {
            let call = client.receive_message().queue_url(&self.shared.url);
            let call = call
                .max_number_of_messages(max_messages as i32)
                .wait_time_seconds(wait_seconds as i32)
                .set_visibility_timeout(timeout)
                .set_receive_request_attempt_id(attempt_id.clone())
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All);
            call.customize().config_override(verbs::receive(Duration::from_secs(wait_seconds))).send()
        };
        let output = self.call(receive).await.map_err(|error| call_error(&error))?;
        output.messages.unwrap_or_default().into_iter().map(convert::message).collect()
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<EntryResults<Sent>, QueueError> {
        let sizes: Vec<usize> = messages.iter().map(OutgoingMessage::size_bytes).collect();
        let mut chunks: VecDeque<(usize, usize)> = chunks_by_size(&sizes).into();
        let mut progress = Progress::new(messages.len());
        while let Some((start, end)) = chunks.pop_front() {
            let outcome = match self.send_chunk(&messages[start..end]).await {
                // The limit of the queue may be below the service's own, and then holds for a whole batch too.
                Err(error) if convert::is_batch_too_long(&error) && end - start > 1 => {
                    let middle = start.midpoint(end);
                    chunks.push_front((middle, end));
                    chunks.push_front((start, middle));
                    continue;
                }
                // A batch of one: it is that message's own fault, and the others still go out.
                Err(error) if convert::is_batch_too_long(&error) => Ok(vec![Err(error)]),
                outcome => outcome,
            };
            if progress.record(end - start, outcome).is_stop() {
                break;
            }
        }
        progress.finish()
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let mut progress = Progress::new(receipts.len());
        for chunk in receipts.chunks(ENTRIES_MAX) {
            if progress.record(chunk.len(), self.delete_chunk(chunk).await).is_stop() {
                break;
            }
        }
        progress.finish()
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        let mut progress = Progress::new(changes.len());
        for chunk in changes.chunks(ENTRIES_MAX) {
            if progress.record(chunk.len(), self.change_chunk(chunk).await).is_stop() {
                break;
            }
        }
        progress.finish()
    }

    async fn release(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let changes: Vec<VisibilityChange> =
            receipts.iter().map(|receipt| VisibilityChange { receipt: receipt.clone(), timeout_seconds: 0 }).collect();
        self.change_visibility(&changes).await
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<EntryResults<()>, QueueError> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let (queue, attributes) = match self.dead_letter_queue().await {
            // Each is refused, as by the built-in queue: no call failed.
            Err(error @ QueueError::Unsupported(_)) => return Ok(vec![Err(error); letters.len()]),
            found => found?,
        };
        let receipts: Vec<ReceiptHandle> = letters.iter().map(|letter| letter.message.receipt.clone()).collect();
        let mut messages = Vec::with_capacity(letters.len());
        for letter in letters {
            let message_id = letter.message.id.clone();
            let max_bytes = attributes.maximum_message_bytes;
            let prepared = dead_letter::prepare(letter, &self.shared.arn, attributes.fifo, max_bytes);
            if !prepared.left_out.is_empty() {
                let left_out = prepared.left_out.join(", ");
                tracing::warn!(%message_id, queue = %self.shared.arn, left_out, "a dead letter had no room for all marks");
            }
            messages.push(prepared.message);
        }
        // Sent first, then deleted: what fails in between is there twice and never lost. From here on no error may ask for
        // another try, as that would send again.
        let sent = queue.send(messages).await.inspect_err(|_| self.forget_dead_letter_queue())?;
        let arrived =
            |(result, receipt): (&Result<Sent, QueueError>, &ReceiptHandle)| result.is_ok().then(|| receipt.clone());
        let to_delete: Vec<ReceiptHandle> = sent.iter().zip(&receipts).filter_map(arrived).collect();
        let deleted = match self.delete(&to_delete).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); to_delete.len()],
        };
        let mut deleted = deleted.into_iter();
        let unanswered = || Err(misunderstood("a delete was not answered"));
        let mut buried = || deleted.next().unwrap_or_else(unanswered).map_err(|error| dead_letter::not_deleted(&error));
        Ok(sent.into_iter().map(|result| result.and_then(|_| buried())).collect())
    }

    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError> {
        Ok(Arc::new(self.shared.service.queue_by_arn(arn).await?))
    }
}

impl RemoteQueue {
    /// It may have been deleted, made anew or given another limit.
    fn forget_dead_letter_queue(&self) {
        *self.shared.dead_letter_queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The built-in queue's own words.
fn no_dead_letter_queue() -> QueueError {
    QueueError::Unsupported("the queue has no dead-letter queue".to_owned())
}

/// Rounded up: a wait below a second must not become a short poll, and a loop of them a hot loop.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Ranges of at most ten messages whose sizes fit one batch of 1 MiB. A message beyond that goes alone and is refused.
fn chunks_by_size(sizes: &[usize]) -> Vec<(usize, usize)> {
    let mut chunks = Vec::new();
    let (mut start, mut chunk_bytes) = (0, 0);
    for (index, size) in sizes.iter().enumerate() {
        let full = index - start == ENTRIES_MAX || chunk_bytes + size > MESSAGE_MAX_BYTES as usize;
        if full && index > start {
            chunks.push((start, index));
            (start, chunk_bytes) = (index, 0);
        }
        chunk_bytes += size;
    }
    if start < sizes.len() {
        chunks.push((start, sizes.len()));
    }
    chunks
}

fn settled<'a>(
    successful: impl Iterator<Item = &'a str>,
    failed: &'a [BatchResultErrorEntry],
    count: usize,
    receipt: impl Fn(usize) -> Option<&'a ReceiptHandle>,
) -> EntryResults<()> {
    let failed = failed.iter().map(|entry| {
        let receipt = entry.id().parse().ok().and_then(&receipt);
        (entry.id(), Err(entry_error(entry, receipt)))
    });
    in_order(count, successful.map(|id| (id, Ok(()))).chain(failed))
}

/// A batch's answers in the order of its entries, whose ids are their positions. An entry that is not answered failed.
fn in_order<'a, T>(count: usize, answers: impl Iterator<Item = (&'a str, Result<T, QueueError>)>) -> EntryResults<T> {
    let unanswered = || Err(misunderstood("an entry of a batch was not answered"));
    let mut results: EntryResults<T> = std::iter::repeat_with(unanswered).take(count).collect();
    for (id, answer) in answers {
        if let Some(slot) = id.parse::<usize>().ok().and_then(|index| results.get_mut(index)) {
            *slot = answer;
        }
    }
    results
}

/// The results of a batch verb while its chunks go out one after the other. The first call that fails as a whole stops
/// it: what makes a call fail after its retries makes the next one fail too, and order stays.
struct Progress<T> {
    count: usize,
    results: EntryResults<T>,
    failure: Option<QueueError>,
}

impl<T> Progress<T> {
    fn new(count: usize) -> Self {
        Self { count, results: Vec::with_capacity(count), failure: None }
    }

    fn record(&mut self, entries: usize, outcome: Result<EntryResults<T>, QueueError>) -> Step {
        match outcome {
            Ok(results) => {
                debug_assert_eq!(results.len(), entries, "one result per entry");
                self.results.extend(results);
                Step::Continue
            }
            Err(error) => {
                self.failure = Some(error);
                Step::Stop
            }
        }
    }

    /// An outer error only when no entry is known to have been done.
    fn finish(mut self) -> Result<EntryResults<T>, QueueError> {
        match self.failure {
            Some(error) if self.results.is_empty() => Err(error),
            Some(error) => {
                let missing = self.count - self.results.len();
                self.results.extend(std::iter::repeat_with(|| Err(error.clone())).take(missing));
                Ok(self.results)
            }
            None => Ok(self.results),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Continue,
    Stop,
}

impl Step {
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn chunks_hold_ten_messages_and_one_mebibyte() {
        let mebibyte = MESSAGE_MAX_BYTES as usize;
        assert_eq!(chunks_by_size(&[]), []);
        assert_eq!(chunks_by_size(&[1; 10]), [(0, 10)]);
        assert_eq!(chunks_by_size(&[1; 21]), [(0, 10), (10, 20), (20, 21)]);
        assert_eq!(chunks_by_size(&[mebibyte / 2; 3]), [(0, 2), (2, 3)]);
        assert_eq!(chunks_by_size(&[1, mebibyte, 1]), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(chunks_by_size(&[2 * mebibyte, 1]), [(0, 1), (1, 2)]);
    }

    #[test]
    fn answers_are_put_in_order_and_gaps_are_failures() {
        let answers = [("2", Ok(2)), ("0", Ok(0)), ("7", Ok(7)), ("x", Ok(9))].into_iter();
        let results = in_order(3, answers);
        assert_eq!((&results[0], &results[2]), (&Ok(0), &Ok(2)));
        assert!(matches!(&results[1], Err(QueueError::Refused { .. })));
    }

    #[test]
    fn a_failed_call_fails_what_comes_after_it() {
        let down = || QueueError::Unavailable("down".into());
        let mut nothing_done = Progress::<()>::new(2);
        assert!(nothing_done.record(2, Err(down())).is_stop());
        assert_eq!(nothing_done.finish(), Err(down()));

        let mut half_done = Progress::new(3);
        assert!(!half_done.record(1, Ok(vec![Ok(1)])).is_stop());
        assert!(half_done.record(1, Err(down())).is_stop());
        assert_eq!(half_done.finish(), Ok(vec![Ok(1), Err(down()), Err(down())]));
    }
}
