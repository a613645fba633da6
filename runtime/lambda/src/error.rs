//! What a call may answer instead of its response: ONE table from the condition to Lambda's shape, HTTP status and
//! exact text (lambda-api §1 and §6, esm-semantics §1 and §5.4).

use std::fmt;

use hyper::StatusCode;
use uuid::Uuid;

use crate::state_file::StateError;

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// The body is not JSON, or a member is of another type.
    Serialization(String),
    /// Values out of their ranges; one text each.
    Validation(Vec<String>),
    /// No queue is named.
    UnrecognizedEventSource,
    /// A parameter that means nothing for SQS.
    Unsupported {
        /// As in the request.
        parameter: &'static str,
    },
    /// A value that does not go with another, or is not possible here. The text says which.
    InvalidParameter(String),
    /// A filter pattern is none; the text is AWS's.
    InvalidFilter(String),
    /// A mapping for a function that is not there.
    FunctionDoesNotExist,
    /// A function of another account was asked about.
    FunctionNotFound {
        /// Its ARN.
        arn: String,
    },
    /// A function of another region.
    WrongRegion {
        /// The region in the name.
        asked: String,
        /// This worker's.
        ours: String,
    },
    /// A function of that name is there.
    FunctionExists {
        /// Its bare name.
        name: String,
    },
    /// An alias of that name is there.
    AliasExists {
        /// Its ARN.
        arn: String,
    },
    /// There is no such alias.
    AliasNotFound {
        /// The ARN it would have.
        arn: String,
    },
    /// There is no such statement in a policy.
    StatementNotFound {
        /// Its id.
        id: String,
    },
    /// A function has nothing of that kind: no policy, no settings for asynchronous invocations.
    NothingThere,
    /// The name and the parameter name two qualifiers.
    QualifierConflict,
    /// The operation is for functions, not for versions or aliases.
    FunctionsOnly,
    /// Something of it is being made ready: it can be changed again after that.
    UpdateInProgress {
        /// The function's ARN.
        arn: String,
    },
    /// It has not come as far, or never will.
    NotActive {
        /// `Pending` or `Failed`.
        state: &'static str,
        /// Why, where that is known.
        reason: String,
    },
    /// What is there stands against it. The text says what.
    Conflict(String),
    /// Somebody changed it since the caller looked.
    WrongRevision,
    /// The uploaded code.
    CodeTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// All code together.
    CodeStorageFull,
    /// An event that is no JSON.
    InvalidRequestContent(String),
    /// An event.
    PayloadTooLarge {
        /// The text is AWS's.
        text: String,
    },
    /// The function's permits are all taken, or too many events wait.
    Throttled {
        /// AWS's word for which.
        reason: &'static str,
    },
    /// Nothing is loaded for what was asked.
    NotReady(String),
    /// The queue does not exist.
    NoSuchQueue,
    /// The queue cannot be asked.
    QueueUnavailable {
        /// Why.
        reason: String,
    },
    /// The function may take longer than a message stays hidden.
    VisibilityTimeoutTooShort {
        /// The queue's.
        visibility_timeout_seconds: u32,
        /// The function's.
        function_timeout_seconds: u32,
    },
    /// There is no mapping of that UUID.
    NoSuchMapping,
    /// The queue and the function have a mapping.
    Duplicate {
        /// The queue.
        event_source_arn: String,
        /// The function's bare name.
        function_name: String,
        /// The mapping that is there.
        uuid: Uuid,
    },
    /// The mapping is on its way to another state.
    InUse {
        /// `update` or `delete`.
        verb: &'static str,
    },
    /// More tags than a resource may have.
    TooManyTags,
    /// Tags on something else than a mapping or a function.
    QualifiedTags,
    /// The request's body.
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
        /// The operation's name.
        operation: &'static str,
    },
    /// An operation that this version has not. The text names it.
    UnknownOperation(String),
    /// The change could not be written to disk, and was not made.
    NotPersisted(String),
    /// The worker is stopping.
    Stopping,
    /// Our own fault.
    Internal,
}

/// An error shape of Lambda's: what its JSON looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// `Message` or `message`: it differs from shape to shape.
    pub(crate) message_key: &'static str,
    /// The value of `Type`, where the shape has one.
    pub(crate) kind: Option<&'static str>,
}

const fn shape(name: &'static str, status: StatusCode, message_key: &'static str, kind: Option<&'static str>) -> Shape {
    Shape { name, status, message_key, kind }
}

const USER: Option<&str> = Some("User");
const SERIALIZATION: Shape = shape("SerializationException", StatusCode::BAD_REQUEST, "Message", None);
const VALIDATION: Shape = shape("ValidationException", StatusCode::BAD_REQUEST, "message", None);
const INVALID_PARAMETER: Shape = shape("InvalidParameterValueException", StatusCode::BAD_REQUEST, "message", USER);
const NOT_FOUND: Shape = shape("ResourceNotFoundException", StatusCode::NOT_FOUND, "Message", USER);
const CONFLICT: Shape = shape("ResourceConflictException", StatusCode::CONFLICT, "message", USER);
const IN_USE: Shape = shape("ResourceInUseException", StatusCode::BAD_REQUEST, "Message", USER);
const TOO_LARGE: Shape = shape("RequestEntityTooLargeException", StatusCode::PAYLOAD_TOO_LARGE, "message", None);
const UNKNOWN_OPERATION: Shape = shape("UnknownOperationException", StatusCode::NOT_FOUND, "Message", USER);
const PRECONDITION: Shape = shape("PreconditionFailedException", StatusCode::PRECONDITION_FAILED, "message", USER);
const CODE_STORAGE: Shape = shape("CodeStorageExceededException", StatusCode::BAD_REQUEST, "message", USER);
const CONTENT: Shape = shape("InvalidRequestContentException", StatusCode::BAD_REQUEST, "message", USER);
const PAYLOAD: Shape = shape("RequestTooLargeException", StatusCode::PAYLOAD_TOO_LARGE, "message", USER);
const THROTTLED: Shape = shape("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS, "message", USER);
const NOT_READY: Shape = shape("ResourceNotReadyException", StatusCode::BAD_GATEWAY, "message", USER);
const SERVICE: Shape = shape("ServiceException", StatusCode::INTERNAL_SERVER_ERROR, "Message", Some("Service"));

impl ApiError {
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Serialization(_) => SERIALIZATION,
            Self::Validation(_) => VALIDATION,
            Self::UnrecognizedEventSource
            | Self::Unsupported { .. }
            | Self::InvalidParameter(_)
            | Self::InvalidFilter(_)
            | Self::FunctionDoesNotExist
            | Self::QualifierConflict
            | Self::FunctionsOnly
            | Self::NoSuchQueue
            | Self::QueueUnavailable { .. }
            | Self::VisibilityTimeoutTooShort { .. }
            | Self::TooManyTags
            | Self::QualifiedTags => INVALID_PARAMETER,
            Self::FunctionNotFound { .. }
            | Self::WrongRegion { .. }
            | Self::NoSuchMapping
            | Self::AliasNotFound { .. }
            | Self::StatementNotFound { .. }
            | Self::NothingThere => NOT_FOUND,
            Self::Duplicate { .. }
            | Self::FunctionExists { .. }
            | Self::AliasExists { .. }
            | Self::UpdateInProgress { .. }
            | Self::NotActive { .. }
            | Self::Conflict(_) => CONFLICT,
            Self::WrongRevision => PRECONDITION,
            Self::InUse { .. } => IN_USE,
            Self::BodyTooLarge { .. } | Self::CodeTooLarge { .. } => TOO_LARGE,
            Self::CodeStorageFull => CODE_STORAGE,
            Self::InvalidRequestContent(_) => CONTENT,
            Self::PayloadTooLarge { .. } => PAYLOAD,
            Self::Throttled { .. } => THROTTLED,
            Self::NotReady(_) => NOT_READY,
            Self::UnknownOperation(_) => UNKNOWN_OPERATION,
            Self::NotPersisted(_) | Self::Stopping | Self::Internal => SERVICE,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serialization(text)
            | Self::InvalidParameter(text)
            | Self::InvalidFilter(text)
            | Self::Conflict(text)
            | Self::InvalidRequestContent(text)
            | Self::PayloadTooLarge { text }
            | Self::NotReady(text)
            | Self::UnknownOperation(text) => f.write_str(text),
            Self::Validation(problems) => {
                let errors = if problems.len() == 1 { "error" } else { "errors" };
                write!(f, "{} validation {errors} detected: {}", problems.len(), problems.join("; "))
            }
            Self::UnrecognizedEventSource => f.write_str("Unrecognized event source."),
            Self::Unsupported { parameter } => {
                write!(f, "Unsupported {parameter} parameter for given event source mapping type.")
            }
            Self::FunctionDoesNotExist => f.write_str("Function does not exist"),
            Self::FunctionNotFound { arn } => write!(f, "Function not found: {arn}"),
            Self::WrongRegion { asked, ours } => {
                write!(f, "Functions from '{asked}' are not reachable in this region ('{ours}')")
            }
            Self::FunctionExists { name } => write!(f, "Function already exist: {name}"),
            Self::AliasExists { arn } => write!(f, "Alias already exists: {arn}"),
            Self::AliasNotFound { arn } => write!(f, "Cannot find alias arn: {arn}"),
            Self::StatementNotFound { id } => write!(f, "Statement {id} is not found in resource policy."),
            Self::QualifierConflict => {
                f.write_str("The derived qualifier from the function name does not match the specified qualifier.")
            }
            Self::FunctionsOnly => f.write_str(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
            ),
            Self::UpdateInProgress { arn } => write!(
                f,
                "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
            ),
            Self::NotActive { state, reason } => {
                write!(
                    f,
                    "The operation cannot be performed at this time. The function is currently in the following state: \
                     {state}"
                )?;
                if reason.is_empty() { Ok(()) } else { write!(f, " ({reason})") }
            }
            Self::WrongRevision => f.write_str(
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
                 retrieve the latest Revision Id",
            ),
            Self::CodeTooLarge { max_bytes } => write!(f, "Zipped size must be smaller than {max_bytes} bytes"),
            Self::CodeStorageFull => f.write_str("Code storage limit exceeded."),
            Self::Throttled { .. } => f.write_str("Rate Exceeded."),
            Self::NoSuchQueue => f.write_str(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS \
                 Error Message: The specified queue does not exist.",
            ),
            Self::QueueUnavailable { reason } => {
                write!(f, "Error occurred while ReceiveMessage. SQS Error Message: {reason}")
            }
            Self::VisibilityTimeoutTooShort { visibility_timeout_seconds, function_timeout_seconds } => write!(
                f,
                "Queue visibility timeout: {visibility_timeout_seconds} seconds is less than Function timeout: \
                 {function_timeout_seconds} seconds"
            ),
            Self::NoSuchMapping | Self::NothingThere => f.write_str("The resource you requested does not exist."),
            // The inner spaces are AWS's.
            Self::Duplicate { event_source_arn, function_name, uuid } => write!(
                f,
                "An event source mapping with SQS arn (\" {event_source_arn} \") and function (\" {function_name} \") \
                 already exists. Please update or delete the existing mapping with UUID {uuid}"
            ),
            Self::InUse { verb } => write!(f, "Cannot {verb} the event source mapping because it is in use."),
            Self::TooManyTags => f.write_str("Number of tags exceeds resource tag limit."),
            Self::QualifiedTags => {
                f.write_str("Tags on function aliases and versions are not supported. Please specify a function ARN.")
            }
            Self::BodyTooLarge { max_bytes, operation } => {
                write!(f, "Request must be smaller than {max_bytes} bytes for the {operation} operation")
            }
            Self::NotPersisted(what) => write!(f, "Nothing was changed: {what}"),
            Self::Stopping => f.write_str("Nothing was changed: the worker is stopping."),
            Self::Internal => f.write_str("An error occurred and the request cannot be processed."),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        Self::NotPersisted(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_lambdas_shape_status_and_text() {
        let uuid = Uuid::nil();
        let arn = "arn:aws:sqs:us-east-1:000000000000:orders";
        let rows = [
            (ApiError::UnrecognizedEventSource, 400, "InvalidParameterValueException", "Unrecognized event source."),
            (ApiError::FunctionDoesNotExist, 400, "InvalidParameterValueException", "Function does not exist"),
            (
                ApiError::FunctionNotFound { arn: "arn:f".into() },
                404,
                "ResourceNotFoundException",
                "Function not found: arn:f",
            ),
            (
                ApiError::WrongRegion { asked: "x".into(), ours: "y".into() },
                404,
                "ResourceNotFoundException",
                "Functions from 'x' are not reachable in this region ('y')",
            ),
            (ApiError::NoSuchMapping, 404, "ResourceNotFoundException", "The resource you requested does not exist."),
            (
                ApiError::Unsupported { parameter: "DestinationConfig" },
                400,
                "InvalidParameterValueException",
                "Unsupported DestinationConfig parameter for given event source mapping type.",
            ),
            (
                ApiError::NoSuchQueue,
                400,
                "InvalidParameterValueException",
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS \
                 Error Message: The specified queue does not exist.",
            ),
            (
                ApiError::Duplicate { event_source_arn: arn.into(), function_name: "f".into(), uuid },
                409,
                "ResourceConflictException",
                "An event source mapping with SQS arn (\" arn:aws:sqs:us-east-1:000000000000:orders \") and function \
                 (\" f \") already exists. Please update or delete the existing mapping with UUID \
                 00000000-0000-0000-0000-000000000000",
            ),
            (
                ApiError::VisibilityTimeoutTooShort { visibility_timeout_seconds: 30, function_timeout_seconds: 300 },
                400,
                "InvalidParameterValueException",
                "Queue visibility timeout: 30 seconds is less than Function timeout: 300 seconds",
            ),
            (
                ApiError::InUse { verb: "delete" },
                400,
                "ResourceInUseException",
                "Cannot delete the event source mapping because it is in use.",
            ),
            (
                ApiError::TooManyTags,
                400,
                "InvalidParameterValueException",
                "Number of tags exceeds resource tag limit.",
            ),
            (
                ApiError::QualifiedTags,
                400,
                "InvalidParameterValueException",
                "Tags on function aliases and versions are not supported. Please specify a function ARN.",
            ),
            (ApiError::Validation(vec!["a".into()]), 400, "ValidationException", "1 validation error detected: a"),
            (
                ApiError::Validation(vec!["a".into(), "b".into()]),
                400,
                "ValidationException",
                "2 validation errors detected: a; b",
            ),
        ];
        for (error, status, name, text) in rows {
            let shape = error.shape();
            assert_eq!((shape.status.as_u16(), shape.name), (status, name), "{text}");
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_message_key_and_the_type_follow_the_shape() {
        for (error, key, kind) in [
            (ApiError::NoSuchMapping, "Message", Some("User")),
            (ApiError::InUse { verb: "update" }, "Message", Some("User")),
            (ApiError::Internal, "Message", Some("Service")),
            (ApiError::TooManyTags, "message", Some("User")),
            (ApiError::Validation(vec![]), "message", None),
            (ApiError::BodyTooLarge { max_bytes: 1, operation: "x" }, "message", None),
        ] {
            assert_eq!((error.shape().message_key, error.shape().kind), (key, kind), "{error:?}");
        }
    }

    #[test]
    fn no_text_makes_terraform_wait_for_a_role() {
        // It retries a create for minutes on these words (lambda-api §4).
        let waits = ["cannot be assumed by Lambda", "execution role does not have permissions", "ensure the role can"];
        for error in [ApiError::NoSuchQueue, ApiError::FunctionDoesNotExist, ApiError::Stopping, ApiError::Internal] {
            assert!(waits.iter().all(|phrase| !error.to_string().contains(phrase)));
        }
    }
}
