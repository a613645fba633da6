//! What a queue is, and the built-in durable one.
//!
//! [`Queue`] is the contract that consumers build on; [`Broker`] opens this process's own queues and [`LocalQueue`] is
//! one of them, kept in SQLite or in memory. Promises: standard and FIFO queues as Amazon SQS documents them and as it was
//! recorded to behave, fair among message groups; an acknowledged verb survives what [`Durability`] says, and so do delays,
//! receive counts, deduplication, attempts and move tasks; counters are exact when answered. One window is left open: a
//! delivery of a standard queue is written within 10 ms and a commit, so a crash right after a receive may take its count
//! back. Not here: HTTP, AWS error codes, WebAssembly; policies and encryption settings are kept and not acted upon.

mod advance;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod advance_tests;
mod alarm;
mod arn;
mod attempts;
mod attributes;
mod bodies;
mod broker;
mod chaos;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod chaos_tests;
pub mod checksum;
mod clock;
mod commit;
mod contents;
mod contract;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod disk_tests;
mod duplicates;
mod effect;
mod error;
mod fair;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fair_tests;
mod fifo;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fifo_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fixtures;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod history;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod history_tests;
mod housekeeping;
mod ids;
pub mod limits;
mod local;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod local_tests;
mod message;
mod metrics;
#[cfg(test)]
mod model;
mod move_task;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod move_task_tests;
mod mover;
mod peek;
mod policy;
mod receipt;
mod redrive;
mod room;
mod schema;
mod seam;
mod sequence;
mod settled;
mod shelf;
mod state;
mod store;
mod tasks;
mod timeline;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod whole_model;

pub use advance::{Advance, AdvanceError, Advanced};
pub use arn::{Identity, NotAQueueArn, QueueArn};
pub use broker::{Broker, BrokerOptions};
pub use chaos::ChaosOptions;
pub use clock::{Clock, ClockMark, Now};
pub use contract::{
    Capabilities, DeadLetter, EntryResults, Queue, QueueAttributes, ReceiveRequest, RedrivePolicy, VisibilityChange,
};
pub use error::{
    AttributeProblem, CreateQueueError, MessageProblem, MoveTaskError, PermissionError, PurgeError, QueueError,
    SettingError, StorageError,
};
pub use history::FailedAttempt;
pub use local::{Description, LocalQueue};
pub use message::{
    AttributeValue, Message, MessageAttribute, MessageId, OutgoingMessage, ReceiptHandle, Sent, SystemAttributes,
};
pub use metrics::Metrics;
pub use move_task::{MoveTask, MoveTaskStatus};
pub use peek::{MessageState, PeekRequest, Peeked};
pub use store::{Durability, OpenError};
pub use timeline::{Announced, Task, Timeline, Work};
