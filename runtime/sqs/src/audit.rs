//! The audit log: who changed what of queues, functions and mappings through the AWS listener, or tried to. One line each,
//! target `wasmill::audit`. What moves messages is not in it, nor what only reads.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::http::request::Parts;

use crate::codec::RequestId;
use crate::error::ActionError;
use crate::urls;
use crate::wire::Request;

/// A client that no signature was asked of.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// A client whose signature was refused: whatever key it names, it need not be its own.
const UNVERIFIED: &str = "unverified";
/// Longer texts of clients are cut.
const RESOURCE_CHARS_MAX: usize = 256;
/// Actions of SQS that change more than messages.
const CHANGES: [&str; 10] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "CreateQueue",
    "DeleteQueue",
    "PurgeQueue",
    "RemovePermission",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A change that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The operation, in AWS's words.
    pub action: Cow<'static, str>,
    /// What it is about: a queue's name, an ARN, a UUID. Empty where the request does not say.
    pub resource: String,
}

impl Change {
    /// What a request of SQS would change; none of those that read or that move messages.
    pub(crate) fn of(request: &Request, path: &str) -> Option<Self> {
        let queue = |url: &Option<String>| {
            let url = url.as_deref().filter(|url| !url.is_empty()).unwrap_or(path);
            urls::parse(url).map(|address| address.name.to_owned()).unwrap_or_default()
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let resource = match request {
            Request::CreateQueue(request) => text(&request.queue_name),
            Request::DeleteQueue(request) | Request::PurgeQueue(request) => queue(&request.queue_url),
            Request::SetQueueAttributes(request) => queue(&request.queue_url),
            Request::TagQueue(request) => queue(&request.queue_url),
            Request::UntagQueue(request) => queue(&request.queue_url),
            Request::AddPermission(request) => queue(&request.queue_url),
            Request::RemovePermission(request) => queue(&request.queue_url),
            Request::StartMessageMoveTask(request) => text(&request.source_arn),
            Request::CancelMessageMoveTask(request) => text(&request.task_handle),
            _ => return None,
        };
        Some(Self { action: request.action().into(), resource })
    }

    /// A change that is known by nothing but its name; none if the action is no change.
    pub(crate) fn named(action: &str) -> Option<Self> {
        let action = CHANGES.into_iter().find(|known| *known == action)?;
        Some(Self { action: action.into(), resource: String::new() })
    }

    /// Logs what became of it. `outcome` is `ok` or the error's code.
    pub(crate) fn log(&self, service: &str, access_key_id: &str, parts: &Parts, request_id: RequestId, outcome: &str) {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.to_string());
        let resource: String = self.resource.chars().take(RESOURCE_CHARS_MAX).collect();
        tracing::info!(
            target: "wasmill::audit",
            service,
            action = &*self.action,
            resource,
            outcome,
            access_key_id,
            peer,
            request_id = request_id.as_str(),
            "change asked for"
        );
    }

    /// The same for a request whose signature was refused.
    pub(crate) fn log_unverified(&self, service: &str, parts: &Parts, request_id: RequestId, error: &ActionError) {
        self.log(service, UNVERIFIED, parts, request_id, error.answer().shape.name);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::codec::json;
    use crate::wire::ACTIONS;

    #[test]
    fn what_changes_queues_is_audited_and_what_moves_messages_or_reads_is_not() {
        let body = br#"{"QueueUrl":"http://h/000000000000/orders","QueueName":"orders","SourceArn":"orders","TaskHandle":"orders"}"#;
        let mut changes = Vec::new();
        for action in ACTIONS {
            let Ok(request) = json::decode(action, body) else { continue };
            let change = Change::of(&request, "/");
            assert_eq!(change.is_some(), Change::named(action).is_some(), "{action}");
            if let Some(change) = change {
                assert_eq!((change.action.as_ref(), change.resource.as_str()), (action, "orders"));
                changes.push(action);
            }
        }
        assert_eq!(changes, CHANGES);
    }

    #[test]
    fn a_queue_may_be_named_by_the_path() {
        let request = json::decode("PurgeQueue", b"{}").unwrap();
        assert_eq!(Change::of(&request, "/000000000000/orders").unwrap().resource, "orders");
        assert_eq!(Change::of(&request, "/").unwrap().resource, "");
    }
}
