//! The error table (sqs-semantics §9): JSON's shape, the query code, the HTTP status. Written from the spec and AWS's
//! Smithy model, not from the code under test.

/// A kind of error, as both protocols name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) shape: &'static str,
    pub(crate) code: &'static str,
    pub(crate) status: u16,
}

const fn same(name: &'static str, status: u16) -> Kind {
    Kind { shape: name, code: name, status }
}

pub(crate) const NO_SUCH_QUEUE: Kind =
    Kind { shape: "QueueDoesNotExist", code: "AWS.SimpleQueueService.NonExistentQueue", status: 400 };
pub(crate) const QUEUE_EXISTS: Kind = Kind { shape: "QueueNameExists", code: "QueueAlreadyExists", status: 400 };
pub(crate) const PURGE_IN_PROGRESS: Kind =
    Kind { shape: "PurgeQueueInProgress", code: "AWS.SimpleQueueService.PurgeQueueInProgress", status: 403 };
pub(crate) const EMPTY_BATCH: Kind =
    Kind { shape: "EmptyBatchRequest", code: "AWS.SimpleQueueService.EmptyBatchRequest", status: 400 };
pub(crate) const TOO_MANY_ENTRIES: Kind = Kind {
    shape: "TooManyEntriesInBatchRequest",
    code: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    status: 400,
};
pub(crate) const IDS_NOT_DISTINCT: Kind =
    Kind { shape: "BatchEntryIdsNotDistinct", code: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", status: 400 };
pub(crate) const BATCH_TOO_LONG: Kind =
    Kind { shape: "BatchRequestTooLong", code: "AWS.SimpleQueueService.BatchRequestTooLong", status: 400 };
pub(crate) const INVALID_ENTRY_ID: Kind =
    Kind { shape: "InvalidBatchEntryId", code: "AWS.SimpleQueueService.InvalidBatchEntryId", status: 400 };
pub(crate) const UNSUPPORTED: Kind =
    Kind { shape: "UnsupportedOperation", code: "AWS.SimpleQueueService.UnsupportedOperation", status: 400 };
pub(crate) const RECEIPT_INVALID: Kind = same("ReceiptHandleIsInvalid", 404);
pub(crate) const OVER_LIMIT: Kind = same("OverLimit", 403);
pub(crate) const NOT_FOUND: Kind = same("ResourceNotFoundException", 404);
pub(crate) const INVALID_ATTRIBUTE_NAME: Kind = same("InvalidAttributeName", 400);
pub(crate) const INVALID_ATTRIBUTE_VALUE: Kind = same("InvalidAttributeValue", 400);
pub(crate) const INVALID_CONTENTS: Kind = same("InvalidMessageContents", 400);
pub(crate) const INVALID_PARAMETER: Kind =
    Kind { shape: "InvalidParameterValueException", code: "InvalidParameterValue", status: 400 };
pub(crate) const MISSING_PARAMETER: Kind =
    Kind { shape: "MissingRequiredParameterException", code: "MissingParameter", status: 400 };
