//! The protocols: each reads a `wire::Request` out of an HTTP request and frames a `wire::Response` or an error.
//!
//! `json` is AWS JSON 1.0, `query` is forms in and XML out. What an action's members are called in a form stands in
//! `query/members.rs`; in JSON they are called as in `wire`.

pub(crate) mod json;
mod json_path;
pub(crate) mod query;

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::answer::HttpAnswer;
use crate::codec::query::form::FromForm;
use crate::error::ActionError;
use crate::wire::Request;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Set in the second half of every UUID. The version is in the first.
const UUID_VARIANT: u64 = 1 << 63;

/// The members of one request, not yet read.
trait Members {
    fn read<T: DeserializeOwned + FromForm>(self) -> Result<T, ActionError>;
}

/// Reads the request of an action; none when SQS has no such action.
fn read_request(action: &str, members: impl Members) -> Result<Option<Request>, ActionError> {
    Ok(Some(match action {
        "SendMessage" => Request::SendMessage(members.read()?),
        "SendMessageBatch" => Request::SendMessageBatch(members.read()?),
        "ReceiveMessage" => Request::ReceiveMessage(members.read()?),
        "DeleteMessage" => Request::DeleteMessage(members.read()?),
        "DeleteMessageBatch" => Request::DeleteMessageBatch(members.read()?),
        "ChangeMessageVisibility" => Request::ChangeMessageVisibility(members.read()?),
        "ChangeMessageVisibilityBatch" => Request::ChangeMessageVisibilityBatch(members.read()?),
        "CreateQueue" => Request::CreateQueue(members.read()?),
        "GetQueueUrl" => Request::GetQueueUrl(members.read()?),
        "ListQueues" => Request::ListQueues(members.read()?),
        "DeleteQueue" => Request::DeleteQueue(members.read()?),
        "GetQueueAttributes" => Request::GetQueueAttributes(members.read()?),
        "SetQueueAttributes" => Request::SetQueueAttributes(members.read()?),
        "PurgeQueue" => Request::PurgeQueue(members.read()?),
        "TagQueue" => Request::TagQueue(members.read()?),
        "UntagQueue" => Request::UntagQueue(members.read()?),
        "ListQueueTags" => Request::ListQueueTags(members.read()?),
        "AddPermission" => Request::AddPermission(members.read()?),
        "RemovePermission" => Request::RemovePermission(members.read()?),
        "ListDeadLetterSourceQueues" => Request::ListDeadLetterSourceQueues(members.read()?),
        "StartMessageMoveTask" => Request::StartMessageMoveTask(members.read()?),
        "CancelMessageMoveTask" => Request::CancelMessageMoveTask(members.read()?),
        "ListMessageMoveTasks" => Request::ListMessageMoveTasks(members.read()?),
        _ => return Ok(None),
    }))
}

/// Makes the ids of requests: a random half per process and a count, which costs no system call per request.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

/// The id of one request, in every answer: UUID text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId([u8; Hyphenated::LENGTH]);

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { process: Uuid::new_v4().as_u64_pair().0, next: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut text = [0; Hyphenated::LENGTH];
        let count = self.next.fetch_add(1, Ordering::Relaxed) | UUID_VARIANT;
        Uuid::from_u64_pair(self.process, count).hyphenated().encode_lower(&mut text);
        RequestId(text)
    }
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    fn set_on(&self, response: &mut HttpAnswer) {
        if let Ok(value) = HeaderValue::from_bytes(&self.0) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Variant;

    use super::*;

    #[test]
    fn every_request_has_an_id_of_its_own() {
        let ids = RequestIds::new();
        let made: BTreeSet<String> = (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 4)));
        assert!(made.iter().all(|id| Uuid::parse_str(id).is_ok_and(|id| id.get_variant() == Variant::RFC4122)));
        assert_ne!(RequestIds::new().next().as_str(), RequestIds::new().next().as_str());
    }
}
