//! Message move tasks of a remote service: back from a dead-letter queue to where messages came from, or elsewhere.

use std::error::Error;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry;
use wasmill_queue::{Queue, QueueArn, QueueError};

use crate::client::convert::{call_error, misunderstood};
use crate::client::{RemoteQueue, verbs};

/// All that a service keeps to tell.
const TASKS_MAX: i32 = 10;
/// A move task's queue, or the task itself, is not there: two things that only the service's text tells apart.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// A message move task as the service tells it. The counts are approximate on Amazon SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMoveTask {
    /// Names the task, for a cancel; told only while it runs.
    pub handle: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// The dead-letter queue.
    pub source_arn: String,
    /// Where to; none: each message back to its own source.
    pub destination_arn: Option<String>,
    /// None: as fast as the service likes.
    pub max_per_second: Option<u32>,
    /// How many messages it has moved.
    pub moved: u64,
    /// How many there were when it began.
    pub to_move: Option<u64>,
    /// When it began, Unix time in milliseconds.
    pub started_unix_ms: u64,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

impl RemoteMoveTask {
    /// Whether it moves messages, or is about to stop doing so.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "CANCELLING")
    }
}

impl RemoteQueue {
    /// Starts to move this queue's messages: to `destination`, or each back to the queue that gave it up. Answers the
    /// task's handle.
    ///
    /// # Errors
    /// This is no dead-letter queue, a task of it runs already, the destination is not there, or the service could not be
    /// reached.
    pub async fn start_move_task(
        &self,
        destination: Option<&QueueArn>,
        max_per_second: Option<u32>,
    ) -> Result<String, QueueError> {
        let start = |client: Client| {
            let rate = max_per_second.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX));
            let call = client.start_message_move_task().source_arn(self.arn().as_str());
            let call = call
                .set_destination_arn(destination.map(|arn| arn.as_str().to_owned()))
                .set_max_number_of_messages_per_second(rate);
            call.customize().config_override(verbs::move_task()).send()
        };
        let started = self.call(start).await.map_err(|error| task_error(&error))?;
        started.task_handle.ok_or_else(|| misunderstood("StartMessageMoveTask answered without a TaskHandle"))
    }

    /// The latest tasks that move messages out of this queue, the newest first.
    ///
    /// # Errors
    /// The queue is not there, or the service could not be reached.
    pub async fn move_tasks(&self) -> Result<Vec<RemoteMoveTask>, QueueError> {
        let list = |client: Client| {
            let call = client.list_message_move_tasks().source_arn(self.arn().as_str()).max_results(TASKS_MAX);
            call.customize().config_override(verbs::lookup()).send()
        };
        let listed = self.call(list).await.map_err(|error| task_error(&error))?;
        Ok(listed.results.unwrap_or_default().into_iter().map(task).collect())
    }

    /// Stops a task; answers how many messages it had moved.
    ///
    /// # Errors
    /// The task is not there or is over, or the service could not be reached.
    pub async fn cancel_move_task(&self, handle: &str) -> Result<u64, QueueError> {
        let cancel = |client: Client| {
            let call = client.cancel_message_move_task().task_handle(handle);
            call.customize().config_override(verbs::move_task()).send()
        };
        let cancelled = self.call(cancel).await.map_err(|error| task_error(&error))?;
        Ok(count(cancelled.approximate_number_of_messages_moved))
    }
}

fn task(entry: ListMessageMoveTasksResultEntry) -> RemoteMoveTask {
    RemoteMoveTask {
        handle: entry.task_handle,
        status: entry.status.unwrap_or_default(),
        source_arn: entry.source_arn.unwrap_or_default(),
        destination_arn: entry.destination_arn,
        max_per_second: entry.max_number_of_messages_per_second.and_then(|rate| u32::try_from(rate).ok()),
        moved: count(entry.approximate_number_of_messages_moved),
        to_move: entry.approximate_number_of_messages_to_move.map(count),
        started_unix_ms: count(entry.started_timestamp),
        failure_reason: entry.failure_reason,
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn task_error<E>(error: &SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error.as_service_error() {
        Some(said) if said.code() == Some(NOT_FOUND) => {
            let message = said.message().unwrap_or("the queue or the task does not exist").to_owned();
            QueueError::Refused { code: NOT_FOUND.to_owned(), message }
        }
        _ => call_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_whole_and_a_sparse_one_too() {
        let running = ListMessageMoveTasksResultEntry::builder()
            .task_handle("h")
            .status("RUNNING")
            .source_arn("s")
            .destination_arn("d")
            .max_number_of_messages_per_second(5)
            .approximate_number_of_messages_moved(2)
            .approximate_number_of_messages_to_move(7)
            .started_timestamp(1000)
            .build();
        let running = task(running);
        let expected = RemoteMoveTask {
            handle: Some("h".into()),
            status: "RUNNING".into(),
            source_arn: "s".into(),
            destination_arn: Some("d".into()),
            max_per_second: Some(5),
            moved: 2,
            to_move: Some(7),
            started_unix_ms: 1000,
            failure_reason: None,
        };
        assert_eq!(running, expected);
        assert!(running.is_under_way());
        let failed = ListMessageMoveTasksResultEntry::builder().status("FAILED").failure_reason("why").build();
        let failed = task(failed);
        assert_eq!((failed.to_move, failed.failure_reason.as_deref()), (None, Some("why")));
        assert!(!failed.is_under_way());
    }
}
