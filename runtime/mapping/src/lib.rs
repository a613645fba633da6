//! One event source mapping: messages from a queue to a handler, and back to the queue as the handler judged them.
//!
//! ```text
//! permit → receive → lease → invoke → verdicts → settle
//! ```
//! The line is `pipeline.rs`; everything else is a leaf of it. Windows and filters will stand between lease and invoke.
//! Not here: the AWS SDK, wasmtime, HTTP, configuration files. The line never returns an error: each fault becomes a
//! verdict, a metric and a log line.

mod batch;
mod invoke;
mod judge;
mod lease;
#[cfg(test)]
mod line_tests;
mod metrics;
mod permits;
mod pipeline;
mod poll;
mod record;
mod report;
mod settle;

pub use invoke::Handler;
pub use judge::{Judgement, Suspicion, judge};
pub use metrics::Metrics;
pub use permits::Permits;
pub use pipeline::{Mapping, MappingOptions, MappingStatus, start};
pub use report::{BatchReport, Observer, RecordReport};
