//! Requests and responses of each action, named as the SQS API reference names them (sqs-semantics §2).
//!
//! Every member is optional here: what is required is decided by the action, so that both protocols give the same
//! error. Framing (headers, error bodies) is absent: that is a codec's. Core types carry no serde; twins live here.

pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod move_tasks;
pub(crate) mod queues;
pub(crate) mod received;

use serde::Serialize;

pub(crate) use messages::*;
pub(crate) use move_tasks::*;
pub(crate) use queues::*;

/// The actions of SQS.
#[cfg(test)]
pub(crate) const ACTIONS: [&str; 23] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

/// A request of any action, read by a codec.
#[derive(Debug)]
pub(crate) enum Request {
    CreateQueue(CreateQueueRequest),
    GetQueueUrl(GetQueueUrlRequest),
    ListQueues(ListQueuesRequest),
    DeleteQueue(QueueRequest),
    GetQueueAttributes(GetQueueAttributesRequest),
    SetQueueAttributes(SetQueueAttributesRequest),
    PurgeQueue(QueueRequest),
    TagQueue(TagQueueRequest),
    UntagQueue(UntagQueueRequest),
    ListQueueTags(QueueRequest),
    AddPermission(AddPermissionRequest),
    RemovePermission(RemovePermissionRequest),
    ListDeadLetterSourceQueues(ListSourcesRequest),
    SendMessage(SendMessageRequest),
    SendMessageBatch(SendMessageBatchRequest),
    ReceiveMessage(ReceiveMessageRequest),
    DeleteMessage(DeleteMessageRequest),
    DeleteMessageBatch(DeleteMessageBatchRequest),
    ChangeMessageVisibility(ChangeMessageVisibilityRequest),
    ChangeMessageVisibilityBatch(ChangeMessageVisibilityBatchRequest),
    StartMessageMoveTask(StartMoveTaskRequest),
    CancelMessageMoveTask(CancelMoveTaskRequest),
    ListMessageMoveTasks(ListMoveTasksRequest),
}

impl Request {
    /// The action's name.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::CreateQueue(_) => "CreateQueue",
            Self::GetQueueUrl(_) => "GetQueueUrl",
            Self::ListQueues(_) => "ListQueues",
            Self::DeleteQueue(_) => "DeleteQueue",
            Self::GetQueueAttributes(_) => "GetQueueAttributes",
            Self::SetQueueAttributes(_) => "SetQueueAttributes",
            Self::PurgeQueue(_) => "PurgeQueue",
            Self::TagQueue(_) => "TagQueue",
            Self::UntagQueue(_) => "UntagQueue",
            Self::ListQueueTags(_) => "ListQueueTags",
            Self::AddPermission(_) => "AddPermission",
            Self::RemovePermission(_) => "RemovePermission",
            Self::ListDeadLetterSourceQueues(_) => "ListDeadLetterSourceQueues",
            Self::SendMessage(_) => "SendMessage",
            Self::SendMessageBatch(_) => "SendMessageBatch",
            Self::ReceiveMessage(_) => "ReceiveMessage",
            Self::DeleteMessage(_) => "DeleteMessage",
            Self::DeleteMessageBatch(_) => "DeleteMessageBatch",
            Self::ChangeMessageVisibility(_) => "ChangeMessageVisibility",
            Self::ChangeMessageVisibilityBatch(_) => "ChangeMessageVisibilityBatch",
            Self::StartMessageMoveTask(_) => "StartMessageMoveTask",
            Self::CancelMessageMoveTask(_) => "CancelMessageMoveTask",
            Self::ListMessageMoveTasks(_) => "ListMessageMoveTasks",
        }
    }
}

/// A response of any action, to be framed by a codec.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Response {
    /// An action without output: `{}`.
    Empty {},
    /// `CreateQueue` and `GetQueueUrl`.
    QueueUrl(QueueUrlResponse),
    ListQueues(ListQueuesResponse),
    GetQueueAttributes(GetQueueAttributesResponse),
    ListQueueTags(ListQueueTagsResponse),
    ListDeadLetterSourceQueues(ListSourcesResponse),
    SendMessage(SendMessageResponse),
    SendMessageBatch(BatchResponse<SentEntry>),
    ReceiveMessage(ReceiveMessageResponse),
    /// `DeleteMessageBatch` and `ChangeMessageVisibilityBatch`.
    SettleBatch(BatchResponse<SettledEntry>),
    StartMessageMoveTask(StartMoveTaskResponse),
    CancelMessageMoveTask(CancelMoveTaskResponse),
    ListMessageMoveTasks(ListMoveTasksResponse),
}

/// Room for the text of an answer, or of one message, without bodies.
const USUAL_BYTES: usize = 768;

impl Response {
    /// Room that the framed answer needs, roughly: growing it step by step would copy it as often.
    pub(crate) fn room_bytes(&self) -> usize {
        let messages = match self {
            Self::ReceiveMessage(received) => &received.messages[..],
            _ => &[],
        };
        USUAL_BYTES + messages.iter().map(|received| received.message.body.len() + USUAL_BYTES).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::wire::members::Pairs;
    use wasmill_queue::MessageId;

    #[test]
    fn empty_collections_are_left_out() {
        let shown = |response: &Response| serde_json::to_value(response).unwrap();
        assert_eq!(shown(&Response::Empty {}), json!({}));
        assert_eq!(shown(&Response::ReceiveMessage(ReceiveMessageResponse { messages: vec![] })), json!({}));
        let no_queues = ListQueuesResponse { queue_urls: vec![], next_token: None };
        assert_eq!(shown(&Response::ListQueues(no_queues)), json!({}));
        let no_attributes = GetQueueAttributesResponse { attributes: Pairs::default() };
        assert_eq!(shown(&Response::GetQueueAttributes(no_attributes)), json!({}));
        let nothing_settled = BatchResponse::<SettledEntry> { successful: vec![], failed: vec![] };
        assert_eq!(shown(&Response::SettleBatch(nothing_settled)), json!({ "Successful": [] }));
    }

    #[test]
    fn batch_answers_have_the_models_names() {
        let sent = SendMessageResponse {
            message_id: MessageId::new("m"),
            md5_of_message_body: "b".into(),
            md5_of_message_attributes: Some("a".into()),
            md5_of_message_system_attributes: None,
            sequence_number: None,
        };
        let failed =
            FailedEntry { id: "2".into(), sender_fault: true, code: "InvalidMessageContents", message: "why".into() };
        let response = BatchResponse { successful: vec![SentEntry { id: "1".into(), sent }], failed: vec![failed] };
        let expected = json!({
            "Successful": [{"Id": "1", "MessageId": "m", "MD5OfMessageBody": "b", "MD5OfMessageAttributes": "a"}],
            "Failed": [{"Id": "2", "SenderFault": true, "Code": "InvalidMessageContents", "Message": "why"}],
        });
        assert_eq!(serde_json::to_value(Response::SendMessageBatch(response)).unwrap(), expected);
    }

    #[test]
    fn unknown_members_are_ignored_and_nulls_are_absent() {
        let json = r#"{"QueueUrl":null,"MessageBody":"x","DelaySeconds":null,"FutureMember":{"a":[1]}}"#;
        let request: SendMessageRequest = serde_json::from_str(json).unwrap();
        assert_eq!((request.queue_url, request.message_body.as_deref()), (None, Some("x")));
    }
}
