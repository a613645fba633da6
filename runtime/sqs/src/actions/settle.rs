//! What is done with a received message: `DeleteMessage(Batch)` and `ChangeMessageVisibility(Batch)`.

use wasmill_queue::limits::VISIBILITY_MAX_SECONDS;
use wasmill_queue::{EntryResults, Queue, ReceiptHandle, VisibilityChange};

use crate::actions::{Actions, Caller, batch, required};
use crate::error::{ActionError, visibility_out_of_range};
use crate::wire::{
    BatchResponse, ChangeMessageVisibilityBatchRequest, ChangeMessageVisibilityRequest, DeleteMessageBatchRequest,
    DeleteMessageRequest, SettledEntry,
};

impl Actions {
    pub(super) async fn delete_message(
        &self,
        caller: Caller<'_>,
        request: DeleteMessageRequest,
    ) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let receipt = receipt(request.receipt_handle)?;
        only(queue.delete(&[receipt]).await?)
    }

    pub(super) async fn delete_message_batch(
        &self,
        caller: Caller<'_>,
        request: DeleteMessageBatchRequest,
    ) -> Result<BatchResponse<SettledEntry>, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let entries = batch::checked(request.entries, "DeleteMessageBatchRequestEntry", |entry| entry.id.take())?;
        let (ids, receipts) = split(entries, |entry| receipt(entry.receipt_handle));
        let results = queue.delete(&receipts).await?;
        Ok(joined(ids, results))
    }

    pub(super) async fn change_message_visibility(
        &self,
        caller: Caller<'_>,
        request: ChangeMessageVisibilityRequest,
    ) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let change = visibility_change(request.receipt_handle, request.visibility_timeout)?;
        only(queue.change_visibility(&[change]).await?)
    }

    pub(super) async fn change_message_visibility_batch(
        &self,
        caller: Caller<'_>,
        request: ChangeMessageVisibilityBatchRequest,
    ) -> Result<BatchResponse<SettledEntry>, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let name = "ChangeMessageVisibilityBatchRequestEntry";
        let entries = batch::checked(request.entries, name, |entry| entry.id.take())?;
        let (ids, changes) = split(entries, |entry| visibility_change(entry.receipt_handle, entry.visibility_timeout));
        let results = queue.change_visibility(&changes).await?;
        Ok(joined(ids, results))
    }
}

fn receipt(handle: Option<String>) -> Result<ReceiptHandle, ActionError> {
    required(handle, "ReceiptHandle").map(ReceiptHandle::new)
}

fn visibility_change(handle: Option<String>, timeout: Option<i64>) -> Result<VisibilityChange, ActionError> {
    let receipt = receipt(handle)?;
    let seconds = timeout.ok_or(ActionError::MissingParameter { name: "VisibilityTimeout" })?;
    let in_range = u32::try_from(seconds).ok().filter(|seconds| *seconds <= VISIBILITY_MAX_SECONDS);
    let timeout_seconds = in_range.ok_or_else(|| visibility_out_of_range(seconds))?;
    Ok(VisibilityChange { receipt, timeout_seconds })
}

/// Ids with the fault that keeps an entry from the queue, if any; and what goes to the queue, in the same order.
type Split<T> = (Vec<(String, Result<(), ActionError>)>, Vec<T>);

fn split<E, T>(entries: Vec<(String, E)>, mut read: impl FnMut(E) -> Result<T, ActionError>) -> Split<T> {
    let mut values = Vec::with_capacity(entries.len());
    let ids = entries.into_iter().map(|(id, entry)| (id, read(entry).map(|value| values.push(value)))).collect();
    (ids, values)
}

fn joined(ids: Vec<(String, Result<(), ActionError>)>, results: EntryResults<()>) -> BatchResponse<SettledEntry> {
    let mut results = results.into_iter();
    let outcomes = ids.into_iter().map(|(id, readable)| {
        let outcome = readable.and_then(|()| Ok(results.next().unwrap_or_else(|| Err(batch::no_answer()))?));
        (id, outcome)
    });
    batch::response(outcomes, |id, ()| SettledEntry { id })
}

fn only(mut results: EntryResults<()>) -> Result<(), ActionError> {
    Ok(results.pop().unwrap_or_else(|| Err(batch::no_answer()))?)
}
