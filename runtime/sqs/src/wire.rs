//! Requests and responses of each action, named as the SQS API reference names them (sqs-semantics §2).
//!
//! Every member is optional here: what is required is decided by the action, so that both protocols give the same
//! error. Framing (headers, error bodies) is absent: that is a codec's. Core types carry no serde; twins live here.

pub(crate) mod members;
pub(crate) mod received;

use serde::{Deserialize, Serialize};

use crate::wire::members::{Blob, Pairs, Text, integer};
use crate::wire::received::ReceivedMessage;

/// The actions SQS has and this version does not do yet. They answer `UnsupportedOperation`, never a wrong success.
pub(crate) const ACTIONS_NOT_YET: [&str; 9] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "RemovePermission",
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
    SendMessage(SendMessageRequest),
    SendMessageBatch(SendMessageBatchRequest),
    ReceiveMessage(ReceiveMessageRequest),
    DeleteMessage(DeleteMessageRequest),
    DeleteMessageBatch(DeleteMessageBatchRequest),
    ChangeMessageVisibility(ChangeMessageVisibilityRequest),
    ChangeMessageVisibilityBatch(ChangeMessageVisibilityBatchRequest),
}

/// A response of any action, to be framed by a codec.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Response {
    /// An action without output: `{}`.
    Empty {},
    QueueUrl(QueueUrlResponse),
    ListQueues(ListQueuesResponse),
    GetQueueAttributes(GetQueueAttributesResponse),
    SendMessage(SendMessageResponse),
    SendMessageBatch(BatchResponse<SentEntry>),
    ReceiveMessage(ReceiveMessageResponse),
    /// `DeleteMessageBatch` and `ChangeMessageVisibilityBatch`.
    SettleBatch(BatchResponse<SettledEntry>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct CreateQueueRequest {
    pub(crate) queue_name: Option<String>,
    pub(crate) attributes: Option<Pairs<Text>>,
    /// Lower-case in the model; the capital form is what some hand-written clients send.
    #[serde(rename = "tags", alias = "Tags")]
    pub(crate) tags: Option<Pairs<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct GetQueueUrlRequest {
    pub(crate) queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub(crate) queue_owner_account: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueUrlResponse {
    pub(crate) queue_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ListQueuesRequest {
    pub(crate) queue_name_prefix: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQueuesResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

/// `DeleteQueue` and `PurgeQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct QueueRequest {
    pub(crate) queue_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct GetQueueAttributesRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) attribute_names: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueAttributesResponse {
    #[serde(skip_serializing_if = "no_pairs")]
    pub(crate) attributes: Pairs<String>,
}

fn no_pairs(pairs: &Pairs<String>) -> bool {
    pairs.0.is_empty()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct SetQueueAttributesRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) attributes: Option<Pairs<Text>>,
}

/// A `SendMessage` request and, since they differ in one member only, an entry of `SendMessageBatch` too.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct SendMessageRequest {
    /// Of the request; ignored in an entry.
    pub(crate) queue_url: Option<String>,
    /// Of an entry; ignored in the request.
    pub(crate) id: Option<String>,
    pub(crate) message_body: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) delay_seconds: Option<i64>,
    pub(crate) message_attributes: Option<Pairs<SentAttributeValue>>,
    pub(crate) message_system_attributes: Option<Pairs<SentAttributeValue>>,
    pub(crate) message_deduplication_id: Option<String>,
    pub(crate) message_group_id: Option<String>,
}

/// A user attribute or a system attribute on its way in. The two list members are reserved in the model and "not
/// implemented" on AWS.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct SentAttributeValue {
    pub(crate) data_type: Option<String>,
    pub(crate) string_value: Option<String>,
    pub(crate) binary_value: Option<Blob>,
    pub(crate) string_list_values: Option<Vec<String>>,
    pub(crate) binary_list_values: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SendMessageResponse {
    #[serde(rename = "MessageId")]
    pub(crate) message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub(crate) md5_of_message_body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    pub(crate) md5_of_message_attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    pub(crate) md5_of_message_system_attributes: Option<String>,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    pub(crate) sequence_number: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct SendMessageBatchRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) entries: Option<Vec<SendMessageRequest>>,
}

/// The answer to a batch: `Successful` always, `Failed` only when there is something in it (sqs-semantics §1.1).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchResponse<T> {
    pub(crate) successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<FailedEntry>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SentEntry {
    #[serde(rename = "Id")]
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) sent: SendMessageResponse,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SettledEntry {
    pub(crate) id: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FailedEntry {
    pub(crate) id: String,
    pub(crate) sender_fault: bool,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ReceiveMessageRequest {
    pub(crate) queue_url: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) max_number_of_messages: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) visibility_timeout: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) wait_time_seconds: Option<i64>,
    pub(crate) message_attribute_names: Option<Vec<String>>,
    pub(crate) message_system_attribute_names: Option<Vec<String>>,
    /// The deprecated name of the member above; both may be sent and then they add up.
    pub(crate) attribute_names: Option<Vec<String>>,
    pub(crate) receive_request_attempt_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReceiveMessageResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) messages: Vec<ReceivedMessage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct DeleteMessageRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) receipt_handle: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct DeleteMessageBatchRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) entries: Option<Vec<DeleteEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct DeleteEntry {
    pub(crate) id: Option<String>,
    pub(crate) receipt_handle: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ChangeMessageVisibilityRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) receipt_handle: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) visibility_timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ChangeMessageVisibilityBatchRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) entries: Option<Vec<VisibilityEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct VisibilityEntry {
    pub(crate) id: Option<String>,
    pub(crate) receipt_handle: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) visibility_timeout: Option<i64>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

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
            message_id: "m".into(),
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
