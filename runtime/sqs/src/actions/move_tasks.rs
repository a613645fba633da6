//! `StartMessageMoveTask`, `CancelMessageMoveTask` and `ListMessageMoveTasks` (sqs-semantics §8).

use serde::{Deserialize, Serialize};
use wasmill_queue::{MoveTask, MoveTaskStatus, QueueArn};

use crate::actions::{Actions, required};
use crate::error::ActionError;
use crate::wire::members::{base64_of, from_base64};
use crate::wire::{
    CancelMoveTaskRequest, CancelMoveTaskResponse, ListMoveTasksRequest, ListMoveTasksResponse, ListedMoveTask,
    StartMoveTaskRequest, StartMoveTaskResponse,
};

const SOURCE_ARN: &str = "SourceArn";
const RATE_MAX: u32 = 500;
const RESULTS_MAX: usize = 10;

/// What a task handle says, as JSON in base64.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TaskHandle {
    #[serde(rename = "taskId")]
    task_id: String,
    #[serde(rename = "sourceArn")]
    source_arn: String,
}

impl Actions {
    pub(super) async fn start_move_task(
        &self,
        request: StartMoveTaskRequest,
    ) -> Result<StartMoveTaskResponse, ActionError> {
        let source = queue_arn(&required(request.source_arn, SOURCE_ARN)?, ActionError::NO_SUCH_SOURCE)?;
        let given = request.destination_arn.filter(|arn| !arn.is_empty());
        let destination = given.as_deref().map(|arn| queue_arn(arn, ActionError::NO_SUCH_DESTINATION)).transpose()?;
        let rate = request.max_per_second.map(rate).transpose()?;
        let started = self.broker.start_move_task(&source, destination.as_ref(), rate).await;
        let task_id = started.map_err(|error| ActionError::move_task(error, given.as_deref()))?;
        Ok(StartMoveTaskResponse { task_handle: TaskHandle::of(task_id, &source).encode()? })
    }

    pub(super) async fn cancel_move_task(
        &self,
        request: CancelMoveTaskRequest,
    ) -> Result<CancelMoveTaskResponse, ActionError> {
        let handle = required(request.task_handle, "TaskHandle")?;
        let handle = TaskHandle::decode(&handle).ok_or(ActionError::INVALID_TASK_HANDLE)?;
        let source = queue_arn(&handle.source_arn, ActionError::NO_SUCH_SOURCE)?;
        let cancelled = self.broker.cancel_move_task(&source, &handle.task_id).await;
        let moved = cancelled.map_err(|error| ActionError::move_task(error, None))?;
        Ok(CancelMoveTaskResponse { moved })
    }

    pub(super) fn list_move_tasks(&self, request: ListMoveTasksRequest) -> Result<ListMoveTasksResponse, ActionError> {
        let source = queue_arn(&required(request.source_arn, SOURCE_ARN)?, ActionError::NO_SUCH_SOURCE)?;
        let max_results = request.max_results.map(max_results).transpose()?.unwrap_or(1);
        let tasks = self.broker.move_tasks(&source).map_err(|error| ActionError::move_task(error, None))?;
        let results = tasks.into_iter().take(max_results).map(listed).collect::<Result<_, _>>()?;
        Ok(ListMoveTasksResponse { results })
    }
}

impl TaskHandle {
    fn of(task_id: String, source: &QueueArn) -> Self {
        Self { task_id, source_arn: source.as_str().to_owned() }
    }

    fn encode(&self) -> Result<String, ActionError> {
        let json = serde_json::to_vec(self).map_err(|error| ActionError::Internal { what: error.to_string() })?;
        Ok(base64_of(&json))
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&from_base64(text)?).ok()
    }
}

/// What is not an ARN names nothing that exists.
fn queue_arn(text: &str, unknown: ActionError) -> Result<QueueArn, ActionError> {
    QueueArn::parse(text).map_err(|_| unknown)
}

fn rate(per_second: i64) -> Result<u32, ActionError> {
    let in_range = u32::try_from(per_second).ok().filter(|rate| (1..=RATE_MAX).contains(rate));
    let reason = "Must be between 1 and 500, if provided.";
    in_range.ok_or_else(|| ActionError::out_of_range("MaxNumberOfMessagesPerSecond", per_second, reason))
}

fn max_results(value: i64) -> Result<usize, ActionError> {
    let in_range = usize::try_from(value).ok().filter(|count| (1..=RESULTS_MAX).contains(count));
    let reason = "Must be between 1 and 10, if provided.";
    in_range.ok_or_else(|| ActionError::out_of_range("MaxResults", value, reason))
}

fn listed(task: MoveTask) -> Result<ListedMoveTask, ActionError> {
    let running = task.status == MoveTaskStatus::Running;
    let handle = running.then(|| TaskHandle::of(task.id, &task.source).encode()).transpose()?;
    Ok(ListedMoveTask {
        task_handle: handle,
        status: task.status.as_str(),
        source_arn: task.source.as_str().to_owned(),
        destination_arn: task.destination.map(|arn| arn.as_str().to_owned()),
        max_per_second: task.max_per_second,
        moved: task.moved,
        to_move: task.to_move,
        failure_reason: task.failure_reason,
        started_unix_ms: task.started_unix_ms,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn task(status: MoveTaskStatus) -> MoveTask {
        MoveTask {
            id: "t-1".into(),
            source: QueueArn::new("us-east-1", "000000000000", "dead"),
            destination: Some(QueueArn::new("us-east-1", "000000000000", "orders")),
            max_per_second: Some(5),
            status,
            moved: 3,
            to_move: 10,
            started_unix_ms: 1_700_000_000_123,
            failure_reason: None,
        }
    }

    fn shown(task: MoveTask) -> serde_json::Value {
        serde_json::to_value(listed(task).unwrap()).unwrap()
    }

    #[test]
    fn a_handle_is_what_awss_tools_decode() {
        let handle = shown(task(MoveTaskStatus::Running))["TaskHandle"].as_str().unwrap().to_owned();
        let json: serde_json::Value = serde_json::from_slice(&from_base64(&handle).unwrap()).unwrap();
        let expected = serde_json::json!({"taskId": "t-1", "sourceArn": "arn:aws:sqs:us-east-1:000000000000:dead"});
        assert_eq!(json, expected);
        assert_eq!(TaskHandle::decode(&handle).unwrap().task_id, "t-1");
        for wrong in ["foobar", "e30=", "bm8=", "*"] {
            assert_eq!(TaskHandle::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_running_task_has_a_handle() {
        for status in
            [MoveTaskStatus::Completed, MoveTaskStatus::Cancelling, MoveTaskStatus::Cancelled, MoveTaskStatus::Failed]
        {
            assert_eq!(shown(task(status)).get("TaskHandle"), None, "{status:?}");
        }
    }

    #[test]
    fn what_was_not_given_is_not_shown() {
        let all = serde_json::json!({
            "Status": "COMPLETED", "SourceArn": "arn:aws:sqs:us-east-1:000000000000:dead",
            "DestinationArn": "arn:aws:sqs:us-east-1:000000000000:orders", "MaxNumberOfMessagesPerSecond": 5,
            "ApproximateNumberOfMessagesMoved": 3, "ApproximateNumberOfMessagesToMove": 10,
            "StartedTimestamp": 1_700_000_000_123_u64,
        });
        assert_eq!(shown(task(MoveTaskStatus::Completed)), all);
        let bare = MoveTask { destination: None, max_per_second: None, ..task(MoveTaskStatus::Completed) };
        let shown = shown(bare);
        assert!(shown.get("DestinationArn").is_none() && shown.get("MaxNumberOfMessagesPerSecond").is_none());
    }

    #[test]
    fn ranges() {
        assert_eq!((rate(1), rate(500)), (Ok(1), Ok(500)));
        assert_eq!((max_results(1), max_results(10)), (Ok(1), Ok(10)));
        for bad in [-1, 0, 501] {
            let text = format!(
                "Value {bad} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500, \
                 if provided."
            );
            assert_eq!(rate(bad).unwrap_err().answer().text, text);
        }
        for bad in [-1, 0, 11] {
            assert!(max_results(bad).is_err(), "{bad}");
        }
    }
}
