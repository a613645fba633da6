//! The names of errors in each protocol, and their HTTP statuses (sqs-semantics §9).

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

impl Fault {
    /// The word that both protocols have for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
        }
    }
}

impl Shape {
    const fn sender(name: &'static str, query_code: &'static str, status: u16) -> Self {
        Self { name, query_code, status, fault: Fault::Sender }
    }

    const fn receiver(name: &'static str, status: u16) -> Self {
        Self { name, query_code: name, status, fault: Fault::Receiver }
    }
}

pub(super) const QUEUE_DOES_NOT_EXIST: Shape =
    Shape::sender("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400);
pub(super) const QUEUE_NAME_EXISTS: Shape = Shape::sender("QueueNameExists", "QueueAlreadyExists", 400);
pub(super) const QUEUE_DELETED_RECENTLY: Shape =
    Shape::sender("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", 400);
pub(super) const PURGE_IN_PROGRESS: Shape =
    Shape::sender("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403);
pub(super) const EMPTY_BATCH: Shape =
    Shape::sender("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400);
pub(super) const TOO_MANY_ENTRIES: Shape =
    Shape::sender("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400);
pub(super) const IDS_NOT_DISTINCT: Shape =
    Shape::sender("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400);
pub(super) const BATCH_TOO_LONG: Shape =
    Shape::sender("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400);
pub(super) const INVALID_BATCH_ENTRY_ID: Shape =
    Shape::sender("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400);
pub(super) const UNSUPPORTED_OPERATION: Shape =
    Shape::sender("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400);
pub(super) const RECEIPT_HANDLE_IS_INVALID: Shape =
    Shape::sender("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404);
pub(super) const OVER_LIMIT: Shape = Shape::sender("OverLimit", "OverLimit", 403);
pub(super) const INVALID_ATTRIBUTE_NAME: Shape = Shape::sender("InvalidAttributeName", "InvalidAttributeName", 400);
pub(super) const INVALID_ATTRIBUTE_VALUE: Shape = Shape::sender("InvalidAttributeValue", "InvalidAttributeValue", 400);
pub(super) const INVALID_MESSAGE_CONTENTS: Shape =
    Shape::sender("InvalidMessageContents", "InvalidMessageContents", 400);
pub(super) const RESOURCE_NOT_FOUND: Shape =
    Shape::sender("ResourceNotFoundException", "ResourceNotFoundException", 404);
// From here on the model has no shape; the names are what AWS answers with all the same.
pub(super) const INVALID_PARAMETER_VALUE: Shape =
    Shape::sender("InvalidParameterValueException", "InvalidParameterValue", 400);
pub(super) const MISSING_PARAMETER: Shape = Shape::sender("MissingRequiredParameterException", "MissingParameter", 400);
pub(super) const SERIALIZATION: Shape = Shape::sender("SerializationException", "SerializationException", 400);
pub(super) const UNKNOWN_OPERATION: Shape =
    Shape::sender("UnknownOperationException", "UnknownOperationException", 404);
pub(super) const INVALID_ACTION: Shape = Shape::sender("InvalidAction", "InvalidAction", 400);
pub(super) const MALFORMED_QUERY: Shape = Shape::sender("MalformedQueryString", "MalformedQueryString", 404);
pub(super) const MISSING_AUTHENTICATION_TOKEN: Shape =
    Shape::sender("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403);
pub(super) const INCOMPLETE_SIGNATURE: Shape =
    Shape::sender("IncompleteSignatureException", "IncompleteSignature", 400);
pub(super) const UNRECOGNIZED_CLIENT: Shape = Shape::sender("UnrecognizedClientException", "InvalidClientTokenId", 403);
pub(super) const INVALID_SIGNATURE: Shape = Shape::sender("InvalidSignatureException", "SignatureDoesNotMatch", 403);
pub(super) const ACCESS_DENIED: Shape = Shape::sender("AccessDeniedException", "AccessDenied", 403);
pub(super) const REQUEST_TIMEOUT: Shape = Shape::sender("RequestTimeout", "RequestTimeout", 408);
pub(super) const REQUEST_TOO_LARGE: Shape = Shape::sender("RequestEntityTooLarge", "RequestEntityTooLarge", 413);
pub(super) const SERVICE_UNAVAILABLE: Shape = Shape::receiver("ServiceUnavailable", 503);
pub(super) const INTERNAL_FAILURE: Shape = Shape::receiver("InternalFailure", 500);
