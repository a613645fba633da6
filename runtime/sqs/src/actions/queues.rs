//! The life of queues: create, find, list, describe, change, purge, delete. And who sends its dead letters to one.

use wasmill_queue::Description;

use crate::actions::{Actions, Caller, required, tags};
use crate::error::ActionError;
use crate::wire::members::{Pairs, Text, base64_of, from_base64};
use crate::wire::{
    CreateQueueRequest, GetQueueAttributesRequest, GetQueueAttributesResponse, GetQueueUrlRequest, ListQueuesRequest,
    ListQueuesResponse, ListSourcesRequest, ListSourcesResponse, QueueRequest, QueueUrlResponse,
    SetQueueAttributesRequest,
};

const LIST_MAX: usize = 1000;
const LIST_RANGE: &str = "MaxResults must be an integer between 1 and 1000.";

/// Every attribute `GetQueueAttributes` may be asked for. One that is not set, or that the queue's type does not have,
/// is left out of the answer.
const KNOWN_ATTRIBUTES: [&str; 22] = [
    "All",
    "Policy",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

impl Actions {
    pub(super) async fn create_queue(
        &self,
        caller: Caller<'_>,
        request: CreateQueueRequest,
    ) -> Result<QueueUrlResponse, ActionError> {
        // An empty name is one, though no good one.
        let name = request.queue_name.ok_or(ActionError::MissingParameter { name: "QueueName" })?;
        let (attributes, tags) = (plain(request.attributes), plain(request.tags));
        tags::check(&name, &tags, &[])?;
        let created = self.broker.create_queue(&name, &attributes, &tags).await;
        let queue = created.map_err(|error| ActionError::creation(error, &attributes))?;
        Ok(QueueUrlResponse { queue_url: self.url(caller, queue.name()) })
    }

    pub(super) fn get_queue_url(
        &self,
        caller: Caller<'_>,
        request: GetQueueUrlRequest,
    ) -> Result<QueueUrlResponse, ActionError> {
        let name = required(request.queue_name, "QueueName")?;
        let owner = request.queue_owner_account.filter(|account| !account.is_empty());
        if owner.is_some_and(|account| account != self.broker.identity().account) {
            return Err(ActionError::NoSuchQueue);
        }
        let queue = self.broker.queue(&name)?;
        Ok(QueueUrlResponse { queue_url: self.url(caller, queue.name()) })
    }

    pub(super) fn list_queues(
        &self,
        caller: Caller<'_>,
        request: ListQueuesRequest,
    ) -> Result<ListQueuesResponse, ActionError> {
        let page = Page::asked(request.max_results, request.next_token)?;
        let names = self.broker.queue_names(request.queue_name_prefix.as_deref().unwrap_or_default());
        let (queue_urls, next_token) = self.listed(caller, &page, &names);
        Ok(ListQueuesResponse { queue_urls, next_token })
    }

    pub(super) fn list_dead_letter_sources(
        &self,
        caller: Caller<'_>,
        request: ListSourcesRequest,
    ) -> Result<ListSourcesResponse, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let page = Page::asked(request.max_results, request.next_token)?;
        let (queue_urls, next_token) = self.listed(caller, &page, &queue.dead_letter_sources()?);
        Ok(ListSourcesResponse { queue_urls, next_token })
    }

    /// The URLs of one page of sorted names, and the token of the next page.
    fn listed(&self, caller: Caller<'_>, page: &Page, names: &[String]) -> (Vec<String>, Option<String>) {
        // Sorted names: a queue created or deleted between two pages shifts no other queue out of sight.
        let start = page.after.as_ref().map_or(0, |after| names.partition_point(|name| name <= after));
        let shown = &names[start..names.len().min(start + page.size)];
        let more = start + shown.len() < names.len();
        let next_token = shown.last().filter(|_| page.paged && more).map(|name| base64_of(name.as_bytes()));
        (shown.iter().map(|name| self.url(caller, name)).collect(), next_token)
    }

    pub(super) async fn delete_queue(&self, caller: Caller<'_>, request: QueueRequest) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        Ok(self.broker.delete_queue(queue.name()).await?)
    }

    pub(super) fn get_queue_attributes(
        &self,
        caller: Caller<'_>,
        request: GetQueueAttributesRequest,
    ) -> Result<GetQueueAttributesResponse, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let wanted = request.attribute_names.unwrap_or_default().0;
        if let Some(unknown) = wanted.iter().find(|name| !KNOWN_ATTRIBUTES.contains(&name.as_str())) {
            return Err(ActionError::UnknownAttribute { name: unknown.clone() });
        }
        if wanted.is_empty() {
            return Ok(GetQueueAttributesResponse { attributes: Pairs::default() });
        }
        let all = wanted.iter().any(|name| name == "All");
        let mut attributes = described(queue.describe()?);
        attributes.retain(|(name, _)| all || wanted.contains(name));
        Ok(GetQueueAttributesResponse { attributes: Pairs(attributes) })
    }

    pub(super) async fn set_queue_attributes(
        &self,
        caller: Caller<'_>,
        request: SetQueueAttributesRequest,
    ) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let attributes = plain(request.attributes);
        if attributes.is_empty() {
            return Err(ActionError::MissingParameter { name: "Attribute.Name" });
        }
        let outcome = queue.set_attributes(&attributes).await;
        outcome.map_err(|error| ActionError::setting(error, &attributes))
    }

    pub(super) async fn purge_queue(&self, caller: Caller<'_>, request: QueueRequest) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        queue.purge().await.map_err(|error| ActionError::purge(error, queue.name()))
    }
}

pub(super) fn plain(pairs: Option<Pairs<Text>>) -> Vec<(String, String)> {
    pairs.unwrap_or_default().0.into_iter().map(|(name, value)| (name, value.0)).collect()
}

/// What a client wants to see of a list of queues. Pages are only when `MaxResults` was given: without it at most a
/// thousand queues are told, and no token.
struct Page {
    size: usize,
    paged: bool,
    after: Option<String>,
}

impl Page {
    fn asked(max_results: Option<i64>, next_token: Option<String>) -> Result<Self, ActionError> {
        let (size, paged) = match max_results {
            None => (LIST_MAX, false),
            Some(wanted) => match usize::try_from(wanted) {
                Ok(size @ 1..=LIST_MAX) => (size, true),
                _ => return Err(ActionError::out_of_range("MaxResults", wanted, LIST_RANGE)),
            },
        };
        let after = next_token.filter(|token| !token.is_empty()).map(|token| last_listed(&token)).transpose()?;
        Ok(Self { size, paged, after })
    }
}

/// A page's token is the last name it told.
fn last_listed(token: &str) -> Result<String, ActionError> {
    let bytes = from_base64(token).ok_or(ActionError::InvalidNextToken)?;
    String::from_utf8(bytes).map_err(|_| ActionError::InvalidNextToken)
}

fn described(description: Description) -> Vec<(String, String)> {
    let mut attributes: Vec<(String, String)> =
        description.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    attributes.extend([
        ("QueueArn".to_owned(), description.arn.as_str().to_owned()),
        ("ApproximateNumberOfMessages".to_owned(), description.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible".to_owned(), description.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed".to_owned(), description.delayed.to_string()),
        ("CreatedTimestamp".to_owned(), description.created_unix_s.to_string()),
        ("LastModifiedTimestamp".to_owned(), description.modified_unix_s.to_string()),
    ]);
    attributes
}
