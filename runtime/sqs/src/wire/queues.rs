//! Queues on the wire: their life, attributes, tags, permissions and dead-letter sources.

use serde::{Deserialize, Serialize};

use crate::wire::lists::List;
use crate::wire::members::{Pairs, Text, integer};

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

/// `DeleteQueue`, `PurgeQueue` and `ListQueueTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct QueueRequest {
    pub(crate) queue_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct GetQueueAttributesRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) attribute_names: Option<List<String>>,
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct TagQueueRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) tags: Option<Pairs<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct UntagQueueRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) tag_keys: Option<List<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQueueTagsResponse {
    #[serde(skip_serializing_if = "no_pairs")]
    pub(crate) tags: Pairs<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct AddPermissionRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) label: Option<String>,
    #[serde(rename = "AWSAccountIds")]
    pub(crate) account_ids: Option<List<String>>,
    pub(crate) actions: Option<List<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct RemovePermissionRequest {
    pub(crate) queue_url: Option<String>,
    pub(crate) label: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(crate) struct ListSourcesRequest {
    pub(crate) queue_url: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

/// `ListDeadLetterSourceQueues`. The model requires the list and writes its name with a small letter.
#[derive(Debug, Serialize)]
pub(crate) struct ListSourcesResponse {
    #[serde(rename = "queueUrls")]
    pub(crate) queue_urls: Vec<String>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}
