//! What the members of each action are called in a form: the flattened names of the query protocol's model, where a
//! list has the name of one member of it (sqs-semantics §1.2).

use serde::de::IgnoredAny;

use crate::codec::query::form::{FromForm, Scope};
use crate::error::ActionError;
use crate::wire::lists::{Entries, List};
use crate::wire::members::{Pairs, Text};
use crate::wire::{
    AddPermissionRequest, CancelMoveTaskRequest, ChangeMessageVisibilityBatchRequest, ChangeMessageVisibilityRequest,
    CreateQueueRequest, DeleteEntry, DeleteMessageBatchRequest, DeleteMessageRequest, GetQueueAttributesRequest,
    GetQueueUrlRequest, ListMoveTasksRequest, ListQueuesRequest, ListSourcesRequest, QueueRequest,
    ReceiveMessageRequest, RemovePermissionRequest, SendMessageBatchRequest, SendMessageRequest, SentAttributeValue,
    SetQueueAttributesRequest, StartMoveTaskRequest, TagQueueRequest, UntagQueueRequest, VisibilityEntry,
};

type Read<T> = Result<T, ActionError>;

/// `Attribute.1.Name=…&Attribute.1.Value=…`
fn attributes(form: &mut Scope<'_, '_>) -> Read<Option<Pairs<Text>>> {
    form.texts("Attribute", ("Name", "Attribute.Name"), ("Value", "Attribute.Value"))
}

/// `Tag.1.Key=…&Tag.1.Value=…`
fn tags(form: &mut Scope<'_, '_>) -> Read<Option<Pairs<Text>>> {
    form.texts("Tag", ("Key", "Tag.Key"), ("Value", "Tag.Value"))
}

impl FromForm for CreateQueueRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_name: form.text("QueueName"), attributes: attributes(form)?, tags: tags(form)? })
    }
}

impl FromForm for GetQueueUrlRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_name: form.text("QueueName"), queue_owner_account: form.text("QueueOwnerAWSAccountId") })
    }
}

impl FromForm for ListQueuesRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            queue_name_prefix: form.text("QueueNamePrefix"),
            max_results: form.integer("MaxResults")?,
            next_token: form.text("NextToken"),
        })
    }
}

impl FromForm for QueueRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl") })
    }
}

impl FromForm for GetQueueAttributesRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), attribute_names: form.list("AttributeName")? })
    }
}

impl FromForm for SetQueueAttributesRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), attributes: attributes(form)? })
    }
}

impl FromForm for TagQueueRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), tags: tags(form)? })
    }
}

impl FromForm for UntagQueueRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), tag_keys: form.list("TagKey")? })
    }
}

impl FromForm for AddPermissionRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            queue_url: form.text("QueueUrl"),
            label: form.text("Label"),
            account_ids: form.list("AWSAccountId")?,
            actions: form.list("ActionName")?,
        })
    }
}

impl FromForm for RemovePermissionRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), label: form.text("Label") })
    }
}

impl FromForm for ListSourcesRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            queue_url: form.text("QueueUrl"),
            max_results: form.integer("MaxResults")?,
            next_token: form.text("NextToken"),
        })
    }
}

impl FromForm for SendMessageRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            queue_url: form.text("QueueUrl"),
            id: form.text("Id"),
            message_body: form.text("MessageBody"),
            delay_seconds: form.integer("DelaySeconds")?,
            message_attributes: form.structures("MessageAttribute")?,
            message_system_attributes: form.structures("MessageSystemAttribute")?,
            message_deduplication_id: form.text("MessageDeduplicationId"),
            message_group_id: form.text("MessageGroupId"),
        })
    }
}

impl FromForm for SentAttributeValue {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        let mut listed = |name| Some(form.count(name)).filter(|count| *count > 0).map(|count| vec![IgnoredAny; count]);
        let (string_list_values, binary_list_values) = (listed("StringListValue"), listed("BinaryListValue"));
        Ok(Self {
            data_type: form.text("DataType"),
            string_value: form.text("StringValue"),
            binary_value: form.blob("BinaryValue")?,
            string_list_values,
            binary_list_values,
        })
    }
}

impl FromForm for SendMessageBatchRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        let entries: Option<Entries<SendMessageRequest>> = form.entries("SendMessageBatchRequestEntry")?;
        Ok(Self { queue_url: form.text("QueueUrl"), entries })
    }
}

impl FromForm for ReceiveMessageRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        let mut names = |name| -> Read<Option<List<String>>> { form.list(name) };
        let message_attribute_names = names("MessageAttributeName")?;
        let message_system_attribute_names = names("MessageSystemAttributeName")?;
        let attribute_names = names("AttributeName")?;
        Ok(Self {
            queue_url: form.text("QueueUrl"),
            max_number_of_messages: form.integer("MaxNumberOfMessages")?,
            visibility_timeout: form.integer("VisibilityTimeout")?,
            wait_time_seconds: form.integer("WaitTimeSeconds")?,
            message_attribute_names,
            message_system_attribute_names,
            attribute_names,
            receive_request_attempt_id: form.text("ReceiveRequestAttemptId"),
        })
    }
}

impl FromForm for DeleteMessageRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), receipt_handle: form.text("ReceiptHandle") })
    }
}

impl FromForm for DeleteMessageBatchRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { queue_url: form.text("QueueUrl"), entries: form.entries("DeleteMessageBatchRequestEntry")? })
    }
}

impl FromForm for DeleteEntry {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { id: form.text("Id"), receipt_handle: form.text("ReceiptHandle") })
    }
}

impl FromForm for ChangeMessageVisibilityRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            queue_url: form.text("QueueUrl"),
            receipt_handle: form.text("ReceiptHandle"),
            visibility_timeout: form.integer("VisibilityTimeout")?,
        })
    }
}

impl FromForm for ChangeMessageVisibilityBatchRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        let entries = form.entries("ChangeMessageVisibilityBatchRequestEntry")?;
        Ok(Self { queue_url: form.text("QueueUrl"), entries })
    }
}

impl FromForm for VisibilityEntry {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            id: form.text("Id"),
            receipt_handle: form.text("ReceiptHandle"),
            visibility_timeout: form.integer("VisibilityTimeout")?,
        })
    }
}

impl FromForm for StartMoveTaskRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self {
            source_arn: form.text("SourceArn"),
            destination_arn: form.text("DestinationArn"),
            max_per_second: form.integer("MaxNumberOfMessagesPerSecond")?,
        })
    }
}

impl FromForm for CancelMoveTaskRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { task_handle: form.text("TaskHandle") })
    }
}

impl FromForm for ListMoveTasksRequest {
    fn from_form(form: &mut Scope<'_, '_>) -> Read<Self> {
        Ok(Self { source_arn: form.text("SourceArn"), max_results: form.integer("MaxResults")? })
    }
}
