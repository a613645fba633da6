//! Messages on the wire: sending, receiving, settling, alone and in batches.

use std::iter;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use wasmill_queue::MessageId;

use crate::wire::lists::{Entries, List};
use crate::wire::members::{Blob, Pairs, integer};
use crate::wire::received::ReceivedMessage;

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
    pub(crate) string_list_values: Option<Vec<IgnoredAny>>,
    pub(crate) binary_list_values: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SendMessageResponse {
    pub(crate) message_id: MessageId,
    pub(crate) md5_of_message_body: String,
    pub(crate) md5_of_message_attributes: Option<String>,
    pub(crate) md5_of_message_system_attributes: Option<String>,
    pub(crate) sequence_number: Option<String>,
}

impl SendMessageResponse {
    /// The members that there are, by the model's names.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("MessageId", Some(self.message_id.as_str())),
            ("MD5OfMessageBody", Some(self.md5_of_message_body.as_str())),
            ("MD5OfMessageAttributes", self.md5_of_message_attributes.as_deref()),
            ("MD5OfMessageSystemAttributes", self.md5_of_message_system_attributes.as_deref()),
            ("SequenceNumber", self.sequence_number.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

impl Serialize for SendMessageResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members())
    }
}

impl Serialize for SentEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(iter::once(("Id", self.id.as_str())).chain(self.sent.members()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct SendMessageBatchRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) entries: Option<Entries<SendMessageRequest>>,
}

/// The answer to a batch: `Successful` always, `Failed` only when there is something in it (sqs-semantics §1.1).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchResponse<T> {
    pub(crate) successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<FailedEntry>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SentEntry {
    pub(crate) id: String,
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
    pub(crate) message_attribute_names: Option<List<String>>,
    pub(crate) message_system_attribute_names: Option<List<String>>,
    /// The deprecated name of the member above; both may be sent and then they add up.
    pub(crate) attribute_names: Option<List<String>>,
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
    pub(crate) entries: Option<Entries<DeleteEntry>>,
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
    pub(crate) entries: Option<Entries<VisibilityEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct VisibilityEntry {
    pub(crate) id: Option<String>,
    pub(crate) receipt_handle: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) visibility_timeout: Option<i64>,
}
