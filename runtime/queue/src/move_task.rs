//! Message move tasks as their owners see them: what was asked for, how far it came (sqs-semantics §8).

use crate::arn::QueueArn;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveTaskStatus {
    /// Messages are being moved.
    Running,
    /// Every message that could be moved was.
    Completed,
    /// It was told to stop and has not yet.
    Cancelling,
    /// It was told to stop and did.
    Cancelled,
    /// It could not go on; the task says why.
    Failed,
}

impl MoveTaskStatus {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Completed, Self::Cancelling, Self::Cancelled, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// One message move task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask {
    /// UUID text; with the source ARN it makes the task handle.
    pub id: String,
    /// The dead-letter queue that is emptied.
    pub source: QueueArn,
    /// Where to; none: each message back to the queue that gave it up.
    pub destination: Option<QueueArn>,
    /// 1–500; none: as fast as it goes.
    pub max_per_second: Option<u32>,
    /// Where it stands.
    pub status: MoveTaskStatus,
    /// How many messages it has moved.
    pub moved: u64,
    /// How many there were when it began.
    pub to_move: u64,
    /// When it began, Unix time in milliseconds.
    pub started_unix_ms: u64,
    /// Why it failed, in AWS's word.
    pub failure_reason: Option<String>,
}
