//! What an action may answer instead of its response: ONE table from the condition to AWS's shape, query code, HTTP
//! status and exact text (sqs-semantics §3–5 and §9).
//!
//! Framing is absent: a codec turns an [`Answer`] into JSON or XML.

use std::borrow::Cow;

use wasmill_queue::{AttributeProblem, MessageProblem, PurgeError, QueueError, StorageError};

use crate::auth::Refusal;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is wrong; the same again will fail again.
    Sender,
    /// The server could not; the same again may succeed.
    Receiver,
}

/// An error's name in each protocol, and its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The model's shape: JSON's `__type` after the namespace.
    pub(crate) name: &'static str,
    /// The code that the query protocol has and that SDKs raise their exception by.
    pub(crate) query_code: &'static str,
    pub(crate) status: u16,
    pub(crate) fault: Fault,
}

impl Shape {
    const fn sender(name: &'static str, query_code: &'static str, status: u16) -> Self {
        Self { name, query_code, status, fault: Fault::Sender }
    }

    const fn receiver(name: &'static str, status: u16) -> Self {
        Self { name, query_code: name, status, fault: Fault::Receiver }
    }
}

const QUEUE_DOES_NOT_EXIST: Shape = Shape::sender("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400);
const QUEUE_NAME_EXISTS: Shape = Shape::sender("QueueNameExists", "QueueAlreadyExists", 400);
const PURGE_IN_PROGRESS: Shape =
    Shape::sender("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403);
const EMPTY_BATCH: Shape = Shape::sender("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400);
const TOO_MANY_ENTRIES: Shape =
    Shape::sender("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400);
const IDS_NOT_DISTINCT: Shape =
    Shape::sender("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400);
const BATCH_TOO_LONG: Shape = Shape::sender("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400);
const INVALID_BATCH_ENTRY_ID: Shape =
    Shape::sender("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400);
const UNSUPPORTED_OPERATION: Shape =
    Shape::sender("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400);
const RECEIPT_HANDLE_IS_INVALID: Shape = Shape::sender("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404);
const INVALID_ADDRESS: Shape = Shape::sender("InvalidAddress", "InvalidAddress", 404);
const OVER_LIMIT: Shape = Shape::sender("OverLimit", "OverLimit", 403);
const INVALID_ATTRIBUTE_NAME: Shape = Shape::sender("InvalidAttributeName", "InvalidAttributeName", 400);
const INVALID_ATTRIBUTE_VALUE: Shape = Shape::sender("InvalidAttributeValue", "InvalidAttributeValue", 400);
const INVALID_MESSAGE_CONTENTS: Shape = Shape::sender("InvalidMessageContents", "InvalidMessageContents", 400);
// From here on the model has no shape; the names are what AWS answers with all the same.
const INVALID_PARAMETER_VALUE: Shape = Shape::sender("InvalidParameterValueException", "InvalidParameterValue", 400);
const MISSING_PARAMETER: Shape = Shape::sender("MissingRequiredParameterException", "MissingParameter", 400);
const SERIALIZATION: Shape = Shape::sender("SerializationException", "SerializationException", 400);
const UNKNOWN_OPERATION: Shape = Shape::sender("UnknownOperationException", "UnknownOperationException", 404);
const MISSING_AUTHENTICATION_TOKEN: Shape =
    Shape::sender("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403);
const INCOMPLETE_SIGNATURE: Shape = Shape::sender("IncompleteSignatureException", "IncompleteSignature", 400);
const UNRECOGNIZED_CLIENT: Shape = Shape::sender("UnrecognizedClientException", "InvalidClientTokenId", 403);
const INVALID_SIGNATURE: Shape = Shape::sender("InvalidSignatureException", "SignatureDoesNotMatch", 403);
const ACCESS_DENIED: Shape = Shape::sender("AccessDeniedException", "AccessDenied", 403);
const REQUEST_TIMEOUT: Shape = Shape::sender("RequestTimeout", "RequestTimeout", 408);
const REQUEST_TOO_LARGE: Shape = Shape::sender("RequestEntityTooLarge", "RequestEntityTooLarge", 413);
const SERVICE_UNAVAILABLE: Shape = Shape::receiver("ServiceUnavailable", 503);
const INTERNAL_FAILURE: Shape = Shape::receiver("InternalFailure", 500);

const VALID_CHARACTERS: &str = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// Why an action did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ActionError {
    NoSuchQueue,
    InvalidAddress { url: String },
    InvalidQueueName,
    QueueNameExists { attribute: String },
    TooManyQueues { max: usize },
    PurgeInProgress { queue: String },
    UnknownAttribute { name: String },
    InvalidAttributeValue { name: &'static str, reason: String },
    InvalidRedrivePolicy { given: String, reason: String },
    MissingParameter { name: &'static str },
    InvalidParameter { name: &'static str, value: String, reason: Cow<'static, str> },
    InvalidNextToken,
    EmptyBatch { entry: &'static str },
    TooManyEntries { sent: usize },
    InvalidBatchEntryId,
    DuplicateBatchEntryId { id: String },
    BatchTooLong { max_bytes: u64, sent_bytes: u64 },
    MessageTooLong { max_bytes: u32 },
    InvalidCharacters,
    TooManyAttributes { count: usize },
    EmptyAttributeValue { name: String, kind: String },
    AttributeProblem { name: String, problem: AttributeProblem },
    AttributeLists { name: String },
    UnknownSystemAttribute { name: String },
    InvalidReceiptHandle { handle: String },
    TooManyInFlight,
    UnsupportedAction { name: &'static str },
    Unsupported { what: String },
    UnknownAction { what: String },
    Serialization { what: String },
    PageRefused { what: String },
    NotSigned(Refusal),
    BodyTooLarge { max_bytes: u64 },
    BodyTimeout { seconds: u64 },
    Storage(StorageError),
    Internal { what: String },
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
            Self::InvalidAddress { url } => {
                (INVALID_ADDRESS, format!("The address {url} is not valid for this endpoint.").into())
            }
            Self::InvalidQueueName => (
                INVALID_PARAMETER_VALUE,
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length".into(),
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
            Self::InvalidRedrivePolicy { given, reason } => {
                (INVALID_PARAMETER_VALUE, invalid_parameter("RedrivePolicy", given, reason).into())
            }
            Self::MissingParameter { name } => {
                (MISSING_PARAMETER, format!("The request must contain the parameter {name}.").into())
            }
            Self::InvalidParameter { name, value, reason } => {
                (INVALID_PARAMETER_VALUE, invalid_parameter(name, value, reason).into())
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
                (INVALID_PARAMETER_VALUE, attribute_text(name, *problem).into())
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
            Self::UnsupportedAction { name } => {
                (UNSUPPORTED_OPERATION, format!("The action {name} is not supported by this version.").into())
            }
            Self::Unsupported { what } => (UNSUPPORTED_OPERATION, what.clone().into()),
            Self::UnknownAction { what } => (UNKNOWN_OPERATION, what.clone().into()),
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

fn attribute_text(name: &str, problem: AttributeProblem) -> String {
    match problem {
        AttributeProblem::Name => format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), \
             hyphen (-), and period (.) characters, at most 256 of them, without a leading, trailing or doubled period."
        ),
        AttributeProblem::ReservedName => format!(
            "The message attribute name '{name}' is invalid. You can't use message attribute names beginning with \
             'AWS.' or 'Amazon.'. These strings are reserved for internal use."
        ),
        AttributeProblem::DataType => format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
             prefixes: Binary, Number, String."
        ),
        // The wire knows the type and answers `EmptyAttributeValue` before the queue sees the message.
        AttributeProblem::EmptyValue => {
            format!("Message (user) attribute '{name}' must contain a non-empty value.")
        }
        AttributeProblem::WrongValueKind => {
            format!("The message (user) attribute '{name}' has a value that does not match its data type.")
        }
        AttributeProblem::Number => {
            format!("Can't cast the value of message (user) attribute '{name}' to a number.")
        }
        AttributeProblem::Character => format!(
            "Invalid characters found in the value of message (user) attribute '{name}'. Valid unicode characters are \
             {VALID_CHARACTERS}"
        ),
        AttributeProblem::Duplicate => format!("Message (user) attribute '{name}' is given more than once."),
    }
}

impl From<Refusal> for ActionError {
    fn from(refusal: Refusal) -> Self {
        Self::NotSigned(refusal)
    }
}

impl From<StorageError> for ActionError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<MessageProblem> for ActionError {
    fn from(problem: MessageProblem) -> Self {
        match problem {
            MessageProblem::EmptyBody => Self::MissingParameter { name: "MessageBody" },
            MessageProblem::TooLong { max_bytes } => Self::MessageTooLong { max_bytes },
            MessageProblem::InvalidCharacter(_) => Self::InvalidCharacters,
            MessageProblem::DelayOutOfRange(seconds) => Self::out_of_range("DelaySeconds", seconds, DELAY_RANGE),
            MessageProblem::TooManyAttributes(count) => Self::TooManyAttributes { count },
            MessageProblem::Attribute { name, problem } => Self::AttributeProblem { name, problem },
            MessageProblem::InvalidGroupId(value) => Self::InvalidParameter {
                name: "MessageGroupId",
                value,
                reason: "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
                    .into(),
            },
            MessageProblem::MissingGroupId
            | MessageProblem::MissingDeduplicationId
            | MessageProblem::InvalidDeduplicationId(_)
            | MessageProblem::DelayOnFifo(_) => Self::InvalidCharacters,
            MessageProblem::DeduplicationOnStandard => Self::InvalidParameter {
                name: "MessageDeduplicationId",
                value: String::new(),
                reason: WRONG_QUEUE_TYPE.into(),
            },
        }
    }
}

/// Why a `DelaySeconds` was refused.
pub(crate) const DELAY_RANGE: &str = "DelaySeconds must be >= 0 and <= 900.";
/// Why a parameter for FIFO queues was refused on a standard one.
pub(crate) const WRONG_QUEUE_TYPE: &str = "The request include parameter that is not valid for this queue type.";
const VISIBILITY_RANGE: &str = "Must be >= 0 and <= 43200.";
const VISIBILITY_TOTAL: &str = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].";
const VISIBILITY_MAX_SECONDS: u32 = 43_200;

/// A `VisibilityTimeout` that no message can have.
pub(crate) fn visibility_out_of_range(seconds: i64) -> ActionError {
    ActionError::out_of_range("VisibilityTimeout", seconds, VISIBILITY_RANGE)
}

impl From<QueueError> for ActionError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::NoSuchQueue => Self::NoSuchQueue,
            QueueError::InvalidMessage(problem) => problem.into(),
            QueueError::InvalidReceipt { handle } => Self::InvalidReceiptHandle { handle },
            // AWS answers a delivery that is over with this and not with MessageNotInflight (sqs-semantics §5.3).
            QueueError::NotInFlight { handle } => Self::InvalidParameter {
                name: "ReceiptHandle",
                value: handle,
                reason: "Message does not exist or is not available for visibility timeout change.".into(),
            },
            QueueError::VisibilityOutOfRange { seconds } if seconds > VISIBILITY_MAX_SECONDS => {
                visibility_out_of_range(seconds.into())
            }
            QueueError::VisibilityOutOfRange { seconds } => {
                Self::out_of_range("VisibilityTimeout", seconds.into(), VISIBILITY_TOTAL)
            }
            QueueError::ReceiptExpired { handle } => Self::InvalidReceiptHandle { handle },
            QueueError::OverLimit => Self::TooManyInFlight,
            QueueError::Storage(problem) => problem.into(),
            QueueError::Unsupported(what) => Self::Unsupported { what },
            // Only a remote queue answers these, and this server stands over the built-in one.
            QueueError::Unavailable(what) => Self::Internal { what },
            QueueError::Refused { code, message } => Self::Internal { what: format!("{code}: {message}") },
        }
    }
}

impl ActionError {
    /// `PurgeQueue`'s error names the queue.
    pub(crate) fn purge(error: PurgeError, queue: &str) -> Self {
        match error {
            PurgeError::NoSuchQueue => Self::NoSuchQueue,
            PurgeError::InProgress => Self::PurgeInProgress { queue: queue.to_owned() },
            PurgeError::Storage(problem) => problem.into(),
        }
    }
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
                ActionError::UnsupportedAction { name: "" },
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
            (ActionError::InvalidAddress { url: text() }, "InvalidAddress", "InvalidAddress", 404),
            (ActionError::TooManyInFlight, "OverLimit", "OverLimit", 403),
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

    #[test]
    fn what_the_disk_refused_is_not_the_senders_fault() {
        let full = ActionError::from(QueueError::Storage(StorageError::Full)).answer();
        assert_eq!((full.shape.status, full.shape.fault), (503, Fault::Receiver));
        assert!(full.text.contains("disk is full"), "{}", full.text);
        let failed = ActionError::from(StorageError::Failed("no sync".into())).answer();
        assert_eq!((failed.shape.status, failed.shape.fault), (500, Fault::Receiver));
    }

    #[test]
    fn a_visibility_timeout_may_be_too_long_alone_or_in_all() {
        let text = |seconds| ActionError::from(QueueError::VisibilityOutOfRange { seconds }).answer().text;
        assert_eq!(
            text(43_201),
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200."
        );
        assert_eq!(
            text(43_200),
            "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
             beyond the limit [43200 seconds]."
        );
    }
}
