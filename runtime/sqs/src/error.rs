//! What an action may answer instead of its response: ONE table from the condition to AWS's shape, query code, HTTP
//! status and exact text (sqs-semantics §3–5 and §9).
//!
//! The names stand in `shapes.rs`; how the queue crate's facts become these conditions, in `from_queue.rs`.
//! Framing is absent: a codec turns an [`Answer`] into JSON or XML.

mod from_queue;
mod shapes;

use std::borrow::Cow;

use wasmill_queue::{AttributeProblem, StorageError};

use crate::auth::Refusal;

pub(crate) use from_queue::{DELAY_RANGE, WRONG_QUEUE_TYPE, visibility_out_of_range};
use shapes::*;
pub(crate) use shapes::{Fault, Shape};

/// The most actions of one permission.
pub(crate) const ACTIONS_MAX: usize = 7;
const VALID_CHARACTERS: &str = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// Why an action did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ActionError {
    NoSuchQueue,
    InvalidQueueName,
    InvalidFifoQueueName,
    QueueDeletedRecently,
    QueueNameExists {
        attribute: String,
    },
    TooManyQueues {
        max: usize,
    },
    PurgeInProgress {
        queue: String,
    },
    UnknownAttribute {
        name: String,
    },
    /// The text is the queue's.
    MisplacedAttribute {
        text: String,
    },
    InvalidAttributeValue {
        name: &'static str,
        reason: String,
    },
    MissingParameter {
        name: &'static str,
    },
    InvalidParameter {
        name: &'static str,
        value: String,
        reason: Cow<'static, str>,
    },
    /// What is wrong concerns no one parameter's value, or AWS does not say which.
    InvalidRequest {
        text: &'static str,
    },
    InvalidNextToken,
    ResourceNotFound {
        text: &'static str,
    },
    TooManyActions {
        count: usize,
    },
    TooManyPermissions,
    TooManyTags {
        queue: String,
    },
    EmptyBatch {
        entry: &'static str,
    },
    TooManyEntries {
        sent: usize,
    },
    InvalidBatchEntryId,
    DuplicateBatchEntryId {
        id: String,
    },
    BatchTooLong {
        max_bytes: u64,
        sent_bytes: u64,
    },
    /// As the next, of a batch's entry: AWS has another word for it there.
    EntryTooLong {
        max_bytes: u32,
    },
    MessageTooLong {
        max_bytes: u32,
    },
    InvalidCharacters,
    TooManyAttributes {
        count: usize,
    },
    EmptyAttributeValue {
        name: String,
        kind: String,
    },
    AttributeProblem {
        name: String,
        problem: AttributeProblem,
    },
    AttributeLists {
        name: String,
    },
    UnknownSystemAttribute {
        name: String,
    },
    InvalidReceiptHandle {
        handle: String,
    },
    TooManyInFlight,
    Unsupported {
        what: String,
    },
    UnknownAction {
        what: String,
    },
    /// The query protocol's own word for an unknown action.
    InvalidAction {
        action: String,
    },
    MalformedQuery {
        what: String,
    },
    Serialization {
        what: String,
    },
    PageRefused {
        what: String,
    },
    /// Signatures are asked for, and this one is none.
    NotSigned(Refusal),
    BodyTooLarge {
        max_bytes: u64,
    },
    BodyTimeout {
        seconds: u64,
    },
    Storage(StorageError),
    Internal {
        what: String,
    },
}

/// An error as a client sees it, before framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) shape: Shape,
    pub(crate) text: Cow<'static, str>,
}

impl ActionError {
    /// The table.
    pub(crate) fn answer(&self) -> Answer {
        let (shape, text): (Shape, Cow<'static, str>) = match self {
            Self::NoSuchQueue => (QUEUE_DOES_NOT_EXIST, "The specified queue does not exist.".into()),
            Self::InvalidQueueName => (
                INVALID_PARAMETER_VALUE,
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length".into(),
            ),
            Self::InvalidFifoQueueName => (
                INVALID_PARAMETER_VALUE,
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with \
                 .fifo suffix and be 1 to 80 in length"
                    .into(),
            ),
            Self::QueueDeletedRecently => (
                QUEUE_DELETED_RECENTLY,
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.".into(),
            ),
            Self::QueueNameExists { attribute } => (
                QUEUE_NAME_EXISTS,
                format!("A queue already exists with the same name and a different value for attribute {attribute}")
                    .into(),
            ),
            Self::TooManyQueues { max } => {
                (OVER_LIMIT, format!("This process keeps at most {max} queues. Delete some first.").into())
            }
            Self::PurgeInProgress { queue } => (
                PURGE_IN_PROGRESS,
                format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds.").into(),
            ),
            Self::UnknownAttribute { name } => (INVALID_ATTRIBUTE_NAME, format!("Unknown Attribute {name}.").into()),
            Self::InvalidAttributeValue { name, reason } => {
                (INVALID_ATTRIBUTE_VALUE, format!("Invalid value for the parameter {name}. Reason: {reason}").into())
            }
            Self::MisplacedAttribute { text } => (INVALID_ATTRIBUTE_NAME, text.clone().into()),
            Self::MissingParameter { name } => {
                (MISSING_PARAMETER, format!("The request must contain the parameter {name}.").into())
            }
            Self::InvalidParameter { name, value, reason } => {
                (INVALID_PARAMETER_VALUE, invalid_parameter(name, value, reason).into())
            }
            Self::InvalidRequest { text } => (INVALID_PARAMETER_VALUE, (*text).into()),
            Self::ResourceNotFound { text } => (RESOURCE_NOT_FOUND, (*text).into()),
            Self::TooManyActions { count } => {
                (OVER_LIMIT, format!("{count} Actions were found, maximum allowed is {ACTIONS_MAX}.").into())
            }
            Self::TooManyPermissions => {
                (OVER_LIMIT, "The policy of a queue has at most 20 statements, and a length. Remove some first.".into())
            }
            Self::TooManyTags { queue } => {
                (INVALID_PARAMETER_VALUE, format!("Too many tags added for queue {queue}.").into())
            }
            Self::InvalidNextToken => (INVALID_PARAMETER_VALUE, "Invalid or expired next token.".into()),
            Self::EmptyBatch { entry } => {
                (EMPTY_BATCH, format!("There should be at least one {entry} in the request.").into())
            }
            Self::TooManyEntries { sent } => (
                TOO_MANY_ENTRIES,
                format!("Maximum number of entries per request are 10. You have sent {sent}.").into(),
            ),
            Self::InvalidBatchEntryId => (
                INVALID_BATCH_ENTRY_ID,
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                 It can be at most 80 letters long."
                    .into(),
            ),
            Self::DuplicateBatchEntryId { id } => (IDS_NOT_DISTINCT, format!("Id {id} repeated.").into()),
            Self::BatchTooLong { max_bytes, sent_bytes } => (
                BATCH_TOO_LONG,
                format!("Batch requests cannot be longer than {max_bytes} bytes. You have sent {sent_bytes} bytes.")
                    .into(),
            ),
            Self::EntryTooLong { max_bytes } => (
                INVALID_PARAMETER_VALUE,
                format!(
                    "One or more parameters cannot be validated. Reason: Message must be shorter than {max_bytes} bytes."
                )
                .into(),
            ),
            Self::MessageTooLong { max_bytes } => (
                INVALID_PARAMETER_VALUE,
                format!("One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes.")
                    .into(),
            ),
            Self::InvalidCharacters => (
                INVALID_MESSAGE_CONTENTS,
                format!("Invalid characters found. Valid unicode characters are {VALID_CHARACTERS}").into(),
            ),
            Self::TooManyAttributes { count } => (
                INVALID_PARAMETER_VALUE,
                format!("Number of message attributes [{count}] exceeds the allowed maximum [10].").into(),
            ),
            Self::EmptyAttributeValue { name, kind } => (
                INVALID_PARAMETER_VALUE,
                format!("Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.").into(),
            ),
            Self::AttributeProblem { name, problem } => {
                (INVALID_PARAMETER_VALUE, from_queue::attribute_text(name, *problem).into())
            }
            Self::AttributeLists { name } => (
                UNSUPPORTED_OPERATION,
                format!("Message (user) attribute '{name}': list values are not implemented.").into(),
            ),
            Self::UnknownSystemAttribute { name } => (
                INVALID_PARAMETER_VALUE,
                format!(
                    "Message system attribute '{name}' is invalid. A sender may set only AWSTraceHeader, with the data \
                     type String and a non-empty value."
                )
                .into(),
            ),
            Self::InvalidReceiptHandle { handle } => (
                RECEIPT_HANDLE_IS_INVALID,
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle.").into(),
            ),
            Self::TooManyInFlight => (
                OVER_LIMIT,
                "The maximum number of in flight messages is reached. Delete messages that were processed.".into(),
            ),
            Self::Unsupported { what } => (UNSUPPORTED_OPERATION, what.clone().into()),
            Self::UnknownAction { what } => (UNKNOWN_OPERATION, what.clone().into()),
            Self::InvalidAction { action } => {
                (INVALID_ACTION, format!("The action {action} is not valid for this endpoint.").into())
            }
            Self::MalformedQuery { what } => (MALFORMED_QUERY, what.clone().into()),
            Self::Serialization { what } => (SERIALIZATION, what.clone().into()),
            Self::PageRefused { what } => (ACCESS_DENIED, what.clone().into()),
            Self::NotSigned(refusal) => {
                let shape = match refusal {
                    Refusal::MissingToken => MISSING_AUTHENTICATION_TOKEN,
                    Refusal::Incomplete(_) => INCOMPLETE_SIGNATURE,
                    Refusal::UnknownKey => UNRECOGNIZED_CLIENT,
                    Refusal::DoesNotMatch(_) => INVALID_SIGNATURE,
                };
                (shape, refusal.text())
            }
            Self::BodyTooLarge { max_bytes } => {
                (REQUEST_TOO_LARGE, format!("The request is longer than {max_bytes} bytes.").into())
            }
            Self::BodyTimeout { seconds } => {
                (REQUEST_TIMEOUT, format!("The request was not complete within {seconds} seconds.").into())
            }
            Self::Storage(problem @ (StorageError::Full | StorageError::Closed)) => {
                (SERVICE_UNAVAILABLE, problem.to_string().into())
            }
            Self::Storage(problem @ StorageError::Failed(_)) => (INTERNAL_FAILURE, problem.to_string().into()),
            Self::Internal { what } => (INTERNAL_FAILURE, what.clone().into()),
        };
        Answer { shape, text }
    }

    /// A number out of its range.
    pub(crate) fn out_of_range(name: &'static str, value: i64, reason: &'static str) -> Self {
        Self::InvalidParameter { name, value: value.to_string(), reason: reason.into() }
    }
}

fn invalid_parameter(name: &str, value: &str, reason: &str) -> String {
    format!("Value {value} for parameter {name} is invalid. Reason: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(error: &ActionError) -> (&'static str, &'static str, u16) {
        let shape = error.answer().shape;
        (shape.name, shape.query_code, shape.status)
    }

    /// sqs-semantics §9, as far as this version raises them.
    #[test]
    fn shapes_codes_and_statuses_are_awss() {
        let text = String::new;
        for (error, name, code, status) in [
            (ActionError::NoSuchQueue, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400),
            (ActionError::QueueNameExists { attribute: text() }, "QueueNameExists", "QueueAlreadyExists", 400),
            (
                ActionError::PurgeInProgress { queue: text() },
                "PurgeQueueInProgress",
                "AWS.SimpleQueueService.PurgeQueueInProgress",
                403,
            ),
            (
                ActionError::EmptyBatch { entry: "" },
                "EmptyBatchRequest",
                "AWS.SimpleQueueService.EmptyBatchRequest",
                400,
            ),
            (
                ActionError::TooManyEntries { sent: 11 },
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                400,
            ),
            (
                ActionError::DuplicateBatchEntryId { id: text() },
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                400,
            ),
            (
                ActionError::BatchTooLong { max_bytes: 1, sent_bytes: 2 },
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                400,
            ),
            (
                ActionError::InvalidBatchEntryId,
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                400,
            ),
            (
                ActionError::Unsupported { what: text() },
                "UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
                400,
            ),
            (
                ActionError::InvalidReceiptHandle { handle: text() },
                "ReceiptHandleIsInvalid",
                "ReceiptHandleIsInvalid",
                404,
            ),
            (ActionError::TooManyInFlight, "OverLimit", "OverLimit", 403),
            (
                ActionError::QueueDeletedRecently,
                "QueueDeletedRecently",
                "AWS.SimpleQueueService.QueueDeletedRecently",
                400,
            ),
            (ActionError::TooManyActions { count: 8 }, "OverLimit", "OverLimit", 403),
            (ActionError::TooManyPermissions, "OverLimit", "OverLimit", 403),
            (ActionError::NO_SUCH_SOURCE, "ResourceNotFoundException", "ResourceNotFoundException", 404),
            (ActionError::INVALID_TASK_HANDLE, "InvalidParameterValueException", "InvalidParameterValue", 400),
            (ActionError::MisplacedAttribute { text: text() }, "InvalidAttributeName", "InvalidAttributeName", 400),
            (ActionError::InvalidAction { action: text() }, "InvalidAction", "InvalidAction", 400),
            (ActionError::UnknownAttribute { name: text() }, "InvalidAttributeName", "InvalidAttributeName", 400),
            (
                ActionError::InvalidAttributeValue { name: "", reason: text() },
                "InvalidAttributeValue",
                "InvalidAttributeValue",
                400,
            ),
            (ActionError::InvalidCharacters, "InvalidMessageContents", "InvalidMessageContents", 400),
            (
                ActionError::MessageTooLong { max_bytes: 1 },
                "InvalidParameterValueException",
                "InvalidParameterValue",
                400,
            ),
            (ActionError::MissingParameter { name: "" }, "MissingRequiredParameterException", "MissingParameter", 400),
        ] {
            assert_eq!(row(&error), (name, code, status), "{error:?}");
            assert_eq!(error.answer().shape.fault, Fault::Sender, "{error:?}");
        }
    }
}
