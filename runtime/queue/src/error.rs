//! What can go wrong on a queue: one enum for the verbs of the `Queue` trait, one per control verb, each variant a
//! fact without wire codes. The wire crate maps them to AWS's codes and texts in one table.

use crate::arn::NotAQueueArn;

/// Why a verb on a queue, or one entry of a batch, failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue is not there (any more).
    #[error("the queue does not exist")]
    NoSuchQueue,
    /// The message may not be sent as it is.
    #[error("invalid message: {0}")]
    InvalidMessage(#[from] MessageProblem),
    /// The text is not a receipt handle of this queue.
    #[error("the receipt handle {handle:?} is not one of this queue")]
    InvalidReceipt {
        /// As given.
        handle: String,
    },
    /// The delivery is over: the message was deleted or has gone elsewhere.
    #[error("the message does not exist or is not available for a visibility timeout change")]
    NotInFlight {
        /// The receipt handle as given.
        handle: String,
    },
    /// Seconds out of 0–43200, or past twelve hours since the receive (sqs-semantics §5.3).
    #[error("a visibility timeout of {seconds} s is out of range: 0 to 43200 s, at most 12 h from the receive in all")]
    VisibilityOutOfRange {
        /// As given.
        seconds: u32,
    },
    /// FIFO only: the delivery's visibility timeout ran out, so the handle settles nothing any more (sqs-semantics §5.3).
    #[error("the receipt handle has expired")]
    ReceiptExpired {
        /// The receipt handle as given.
        handle: String,
    },
    /// Too many messages of the queue are in flight.
    #[error("too many messages in flight")]
    OverLimit,
    /// The built-in queue's disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A remote service could not be reached or is throttling: worth another try.
    #[error("{0}")]
    Unavailable(String),
    /// A remote service said no: another try will not help.
    #[error("{code}: {message}")]
    Refused {
        /// The service's error code.
        code: String,
        /// The service's text.
        message: String,
    },
    /// This queue cannot do that.
    #[error("{0}")]
    Unsupported(String),
}

/// Why the built-in queue's store refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No room: nothing was written; deletes free room again.
    #[error("the queue's disk is full (or, of queues in memory, their 1 GiB): nothing was stored")]
    Full,
    /// A write or a sync failed. What is on disk is unknown, so nothing is acknowledged until a restart.
    #[error("the queue's store failed and takes nothing until it is restarted: {0}")]
    Failed(String),
    /// The process is shutting down.
    #[error("the queue is shutting down")]
    Closed,
}

/// Why a message may not be sent (sqs-semantics §4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageProblem {
    /// No body.
    #[error("the body is empty")]
    EmptyBody,
    /// Over the queue's `MaximumMessageSize`.
    #[error("it must be shorter than {max_bytes} bytes")]
    TooLong {
        /// The queue's limit.
        max_bytes: u32,
    },
    /// A character outside the XML 1.0 set.
    #[error("the body has a character that SQS does not take (U+{0:04X})")]
    InvalidCharacter(u32),
    /// Seconds out of 0–900.
    #[error("a delay of {0} s is out of range: 0 to 900")]
    DelayOutOfRange(i64),
    /// More than ten user attributes.
    #[error("it has {0} attributes, at most 10 are allowed")]
    TooManyAttributes(usize),
    /// One user attribute is wrong.
    #[error("attribute {name:?}: {problem}")]
    Attribute {
        /// The attribute's name as given.
        name: String,
        /// What is wrong with it.
        problem: AttributeProblem,
    },
    /// A group id out of 1–128 alphanumeric and punctuation characters.
    #[error("the message group id {0:?} is invalid: 1 to 128 alphanumeric or punctuation characters")]
    InvalidGroupId(String),
    /// A deduplication id on a standard queue.
    #[error("a message deduplication id is for FIFO queues")]
    DeduplicationOnStandard,
    /// FIFO: no group id.
    #[error("a FIFO queue's message needs a message group id")]
    MissingGroupId,
    /// FIFO: no deduplication id, and the queue does not make one of the content.
    #[error("it needs a message deduplication id, or the queue ContentBasedDeduplication")]
    MissingDeduplicationId,
    /// A deduplication id out of 1–128 alphanumeric and punctuation characters.
    #[error("the message deduplication id {0:?} is invalid: 1 to 128 alphanumeric or punctuation characters")]
    InvalidDeduplicationId(String),
    /// FIFO: a delay of its own other than 0 (sqs-semantics §4); the queue's delay applies to all.
    #[error("a message of a FIFO queue has no delay of its own ({0} s)")]
    DelayOnFifo(u32),
}

/// What is wrong with a user attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeProblem {
    /// Not 1–256 of `[A-Za-z0-9_.-]`, or a leading, trailing or double period.
    #[error("the name may only have 1 to 256 letters, digits, underscores, hyphens and single inner periods")]
    Name,
    /// Starts with `AWS.` or `Amazon.`.
    #[error("names that start with AWS. or Amazon. are reserved")]
    ReservedName,
    /// Not `String`, `Number` or `Binary` with an optional suffix, or over 256 characters.
    #[error("the data type must be String, Number or Binary, with an optional .suffix, at most 256 characters")]
    DataType,
    /// No value, or an empty one.
    #[error("the value is empty")]
    EmptyValue,
    /// The value's kind does not go with the data type.
    #[error("the value does not go with its data type")]
    WrongValueKind,
    /// Not a number of at most 38 digits between 1e-128 and 1e126.
    #[error("the value is not a number of at most 38 digits")]
    Number,
    /// A character outside the XML 1.0 set.
    #[error("the value has a character that SQS does not take")]
    Character,
    /// The same name twice.
    #[error("the name is given twice")]
    Duplicate,
}

/// Why a queue could not be created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateQueueError {
    /// Not 1–80 of `[A-Za-z0-9_-]`.
    #[error("a queue name has 1 to 80 letters, digits, hyphens and underscores")]
    InvalidName,
    /// It exists, with another value for this attribute.
    #[error("a queue of that name exists with a different value for {attribute}")]
    NameExists {
        /// The first attribute that differs, by AWS's name.
        attribute: String,
    },
    /// An attribute is wrong.
    #[error(transparent)]
    Attribute(#[from] SettingError),
    /// The process holds as many queues as it may.
    #[error("at most {max} queues are kept")]
    TooManyQueues {
        /// The limit.
        max: usize,
    },
    /// `FifoQueue` is true and the name is not one of a FIFO queue: 1–80 of `[A-Za-z0-9_-]` with the suffix `.fifo`.
    #[error("the name of a FIFO queue ends with .fifo and has 1 to 80 letters, digits, hyphens and underscores")]
    InvalidFifoName,
    /// The name ends with `.fifo` and `FifoQueue` is not set to true.
    #[error("a name that ends with .fifo is for a queue with FifoQueue set to true")]
    FifoNameOnStandard,
    /// A queue of that name was deleted less than 60 s ago, and the process is strict about it.
    #[error("a queue of that name was deleted less than 60 s ago")]
    DeletedRecently,
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a queue attribute could not be set (sqs-semantics §3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such attribute, or one that cannot be set.
    #[error("unknown attribute {0}")]
    Unknown(String),
    /// The attribute does not go with the queue or with its other attributes; the text is AWS's.
    #[error("{0}")]
    Misplaced(String),
    /// The value is out of range or of the wrong shape.
    #[error("invalid value for {name}: {reason}")]
    InvalidValue {
        /// AWS's name of the attribute.
        name: &'static str,
        /// As given.
        value: String,
        /// What is wanted.
        reason: String,
    },
    /// `RedrivePolicy` names no queue, or one that is not here.
    #[error("the redrive policy is invalid: {0}")]
    RedrivePolicy(String),
    /// `RedriveAllowPolicy` is not one.
    #[error("the redrive allow policy is invalid: {0}")]
    RedriveAllowPolicy(String),
    /// The queue is not there.
    #[error("the queue does not exist")]
    NoSuchQueue,
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<NotAQueueArn> for SettingError {
    fn from(error: NotAQueueArn) -> Self {
        Self::RedrivePolicy(error.to_string())
    }
}

/// Why a queue could not be purged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The queue is not there.
    #[error("the queue does not exist")]
    NoSuchQueue,
    /// The last purge was less than 60 s ago (sqs-semantics §3).
    #[error("the queue was purged less than 60 s ago")]
    InProgress,
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a permission could not be added or removed (sqs-semantics §3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// A label out of 1–80 of `[A-Za-z0-9_-]`.
    #[error("the label {0:?} is invalid: 1 to 80 letters, digits, hyphens and underscores")]
    InvalidLabel(String),
    /// A statement of that label stands in the policy already.
    #[error("the label {0:?} exists already")]
    LabelExists(String),
    /// No statement of that label stands in the policy.
    #[error("there is no label {0:?}")]
    NoSuchLabel(String),
    /// An action that no permission can be given for.
    #[error("the action {0:?} cannot be permitted")]
    InvalidAction(String),
    /// More than seven actions, or more than twenty statements.
    #[error("a permission has at most 7 actions, a policy at most 20 statements")]
    OverLimit,
    /// The queue is not there.
    #[error("the queue does not exist")]
    NoSuchQueue,
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a message move task could not be started, listed or cancelled (sqs-semantics §8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveTaskError {
    /// There is no queue of the source ARN.
    #[error("the source queue does not exist")]
    NoSuchSource,
    /// There is no queue of the destination ARN.
    #[error("the destination queue does not exist")]
    NoSuchDestination,
    /// The source is no queue's dead-letter queue.
    #[error("the source queue is not a dead-letter queue")]
    NotADeadLetterQueue,
    /// The source and the destination are the same, or one is FIFO and the other is not.
    #[error("messages cannot be moved there: {0}")]
    WrongDestination(&'static str),
    /// A task of that source runs.
    #[error("a task of that source is running")]
    AlreadyRunning,
    /// There is no task of that id.
    #[error("the task does not exist")]
    NoSuchTask,
    /// The task is over: it cannot be cancelled.
    #[error("the task is not running")]
    NotRunning,
    /// The disk did not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
