//! The queue crate's facts as errors of the wire: one function or `From` per kind of fact.

use wasmill_queue::{
    AttributeProblem, CreateQueueError, MessageProblem, MoveTaskError, PermissionError, PurgeError, QueueError,
    SettingError, StorageError,
};

use crate::error::{ActionError, VALID_CHARACTERS};

/// What is wrong with a user attribute, in words.
pub(super) fn attribute_text(name: &str, problem: AttributeProblem) -> String {
    match problem {
        AttributeProblem::Name => format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), \
             hyphen (-), and period (.) characters."
        ),
        AttributeProblem::ReservedName => format!(
            "The message attribute name '{name}' is invalid. You can't use message attribute names beginning with \
             'AWS.' or 'Amazon.'. These strings are reserved for internal use."
        ),
        AttributeProblem::DataType => format!(
            "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes \
             is Binary, Number, and String."
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
                name: GROUP_ID,
                value,
                reason: "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
                    .into(),
            },
            MessageProblem::MissingGroupId => Self::MissingParameter { name: GROUP_ID },
            MessageProblem::MissingDeduplicationId => Self::NO_DEDUPLICATION_ID,
            MessageProblem::InvalidDeduplicationId(value) => Self::InvalidParameter {
                name: DEDUPLICATION_ID,
                value,
                reason: "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in \
                         length."
                    .into(),
            },
            MessageProblem::DelayOnFifo(seconds) => {
                Self::out_of_range("DelaySeconds", seconds.into(), WRONG_QUEUE_TYPE)
            }
            MessageProblem::DeduplicationOnStandard => {
                Self::InvalidParameter { name: DEDUPLICATION_ID, value: String::new(), reason: WRONG_QUEUE_TYPE.into() }
            }
        }
    }
}

const GROUP_ID: &str = "MessageGroupId";
const DEDUPLICATION_ID: &str = "MessageDeduplicationId";
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
            QueueError::ReceiptExpired { handle } => Self::InvalidParameter {
                name: "ReceiptHandle",
                value: handle,
                reason: "The receipt handle has expired.".into(),
            },
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

    /// The text of a policy that was refused is in the answer.
    pub(crate) fn setting(error: SettingError, given: &[(String, String)]) -> Self {
        let policy = |name: &'static str, reason: String| {
            let given = given.iter().find(|(given_name, _)| given_name == name);
            let value = given.map(|(_, value)| value.clone()).unwrap_or_default();
            Self::InvalidParameter { name, value, reason: reason.into() }
        };
        match error {
            SettingError::Unknown(name) => Self::UnknownAttribute { name },
            SettingError::Misplaced(text) => Self::MisplacedAttribute { text },
            SettingError::InvalidValue { name, value: _, reason } => Self::InvalidAttributeValue { name, reason },
            SettingError::RedrivePolicy(reason) => policy("RedrivePolicy", reason),
            SettingError::RedriveAllowPolicy(reason) => policy("RedriveAllowPolicy", reason),
            SettingError::NoSuchQueue => Self::NoSuchQueue,
            SettingError::Storage(problem) => problem.into(),
        }
    }

    /// `CreateQueue` may be refused for an attribute too.
    pub(crate) fn creation(error: CreateQueueError, given: &[(String, String)]) -> Self {
        match error {
            CreateQueueError::InvalidName | CreateQueueError::FifoNameOnStandard => Self::InvalidQueueName,
            CreateQueueError::InvalidFifoName => Self::InvalidFifoQueueName,
            CreateQueueError::NameExists { attribute } => Self::QueueNameExists { attribute },
            CreateQueueError::DeletedRecently => Self::QueueDeletedRecently,
            CreateQueueError::Attribute(error) => Self::setting(error, given),
            CreateQueueError::TooManyQueues { max } => Self::TooManyQueues { max },
            CreateQueueError::Storage(problem) => problem.into(),
        }
    }

    /// What every entry of a batch for a FIFO queue needs; one without it fails the whole batch (sqs-semantics §4).
    pub(crate) const NO_GROUP_ID_IN_ENTRY: Self =
        Self::InvalidRequest { text: "The request must contain the parameter MessageGroupId." };
    /// On a FIFO queue, alone and in a batch.
    pub(crate) const NO_DEDUPLICATION_ID: Self = Self::InvalidRequest {
        text: "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    };
}

impl From<PermissionError> for ActionError {
    fn from(error: PermissionError) -> Self {
        let label = |value: String, reason: &'static str| Self::InvalidParameter {
            name: "Label",
            value,
            reason: reason.into(),
        };
        match error {
            PermissionError::InvalidLabel(value) => {
                label(value, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
            }
            PermissionError::LabelExists(value) => label(value, "Already exists."),
            PermissionError::NoSuchLabel(value) => label(value, "can't find label."),
            PermissionError::InvalidAction(action) => Self::InvalidParameter {
                name: "ActionName",
                value: format!("SQS:{action}"),
                reason: "Only the queue owner is allowed to invoke this action.".into(),
            },
            // The wire has counted the actions before.
            PermissionError::OverLimit => Self::TooManyPermissions,
            PermissionError::NoSuchQueue => Self::NoSuchQueue,
            PermissionError::Storage(problem) => problem.into(),
        }
    }
}

impl ActionError {
    /// A move task's error; one of them names the destination.
    pub(crate) fn move_task(error: MoveTaskError, destination: Option<&str>) -> Self {
        match error {
            MoveTaskError::NoSuchSource => Self::NO_SUCH_SOURCE,
            MoveTaskError::NoSuchDestination => Self::NO_SUCH_DESTINATION,
            MoveTaskError::NoSuchTask => Self::ResourceNotFound { text: "Task does not exist." },
            MoveTaskError::NotADeadLetterQueue => {
                Self::InvalidRequest { text: "Source queue must be configured as a Dead Letter Queue." }
            }
            MoveTaskError::WrongDestination(reason) => Self::InvalidParameter {
                name: "DestinationArn",
                value: destination.unwrap_or_default().to_owned(),
                reason: reason.into(),
            },
            MoveTaskError::AlreadyRunning => Self::InvalidRequest {
                text: "There is already a task running. Only one active task is allowed for a source queue arn at a \
                       given time.",
            },
            MoveTaskError::NotRunning => {
                Self::InvalidRequest { text: "Only a task with the status RUNNING can be cancelled." }
            }
            MoveTaskError::Storage(problem) => problem.into(),
        }
    }

    pub(crate) const NO_SUCH_SOURCE: Self =
        Self::ResourceNotFound { text: "The resource that you specified for the SourceArn parameter doesn't exist." };
    pub(crate) const NO_SUCH_DESTINATION: Self = Self::ResourceNotFound {
        text: "The resource that you specified for the DestinationArn parameter doesn't exist.",
    };
    pub(crate) const INVALID_TASK_HANDLE: Self =
        Self::InvalidRequest { text: "Value for parameter TaskHandle is invalid." };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

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

    #[test]
    fn what_a_fifo_queue_refuses() {
        let handle = || "h".to_owned();
        for (error, code, text) in [
            (
                QueueError::ReceiptExpired { handle: handle() },
                "InvalidParameterValue",
                "Value h for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            ),
            (
                QueueError::NotInFlight { handle: handle() },
                "InvalidParameterValue",
                "Value h for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
                 visibility timeout change.",
            ),
            (
                MessageProblem::MissingGroupId.into(),
                "MissingParameter",
                "The request must contain the parameter MessageGroupId.",
            ),
            (
                MessageProblem::MissingDeduplicationId.into(),
                "InvalidParameterValue",
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                 explicitly",
            ),
            (
                MessageProblem::DelayOnFifo(2).into(),
                "InvalidParameterValue",
                "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid \
                 for this queue type.",
            ),
        ] {
            let answer = ActionError::from(error).answer();
            assert_eq!((answer.shape.query_code, &*answer.text), (code, text));
        }
    }

    #[test]
    fn move_tasks() {
        for (error, code, status, text) in [
            (
                MoveTaskError::NoSuchDestination,
                "ResourceNotFoundException",
                404,
                "The resource that you specified for the DestinationArn parameter doesn't exist.",
            ),
            (MoveTaskError::NoSuchTask, "ResourceNotFoundException", 404, "Task does not exist."),
            (
                MoveTaskError::NotADeadLetterQueue,
                "InvalidParameterValue",
                400,
                "Source queue must be configured as a Dead Letter Queue.",
            ),
            (
                MoveTaskError::AlreadyRunning,
                "InvalidParameterValue",
                400,
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            ),
            (
                MoveTaskError::WrongDestination("it is the source"),
                "InvalidParameterValue",
                400,
                "Value a for parameter DestinationArn is invalid. Reason: it is the source",
            ),
        ] {
            let answer = ActionError::move_task(error, Some("a")).answer();
            assert_eq!((answer.shape.query_code, answer.shape.status, &*answer.text), (code, status, text));
        }
    }

    #[test]
    fn a_queue_deleted_just_now() {
        let answer = ActionError::creation(CreateQueueError::DeletedRecently, &[]).answer();
        assert_eq!(answer.shape.query_code, "AWS.SimpleQueueService.QueueDeletedRecently");
        let text = "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
        assert_eq!(answer.text, text);
    }
}
