//! Message move tasks on the wire (sqs-semantics §8).

use serde::{Deserialize, Serialize};

use crate::wire::members::integer;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct StartMoveTaskRequest {
    pub(crate) source_arn: Option<String>,
    pub(crate) destination_arn: Option<String>,
    #[serde(rename = "MaxNumberOfMessagesPerSecond", default, deserialize_with = "integer")]
    pub(crate) max_per_second: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StartMoveTaskResponse {
    pub(crate) task_handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct CancelMoveTaskRequest {
    pub(crate) task_handle: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CancelMoveTaskResponse {
    #[serde(rename = "ApproximateNumberOfMessagesMoved")]
    pub(crate) moved: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ListMoveTasksRequest {
    pub(crate) source_arn: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) max_results: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListMoveTasksResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) results: Vec<ListedMoveTask>,
}

/// What the request did not give and what has not happened is left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedMoveTask {
    /// While the task runs: later there is nothing to cancel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task_handle: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination_arn: Option<String>,
    #[serde(rename = "MaxNumberOfMessagesPerSecond", skip_serializing_if = "Option::is_none")]
    pub(crate) max_per_second: Option<u32>,
    #[serde(rename = "ApproximateNumberOfMessagesMoved")]
    pub(crate) moved: u64,
    #[serde(rename = "ApproximateNumberOfMessagesToMove")]
    pub(crate) to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_reason: Option<String>,
    /// Unix time in milliseconds.
    #[serde(rename = "StartedTimestamp")]
    pub(crate) started_unix_ms: u64,
}
