//! One event source mapping: messages from a queue to a handler, and back to the queue as the handler judged them.
//!
//! ```text
//! permit → receive → lease → invoke → verdicts → settle
//! ```
//! The line is `pipeline.rs`, its life `mapping.rs`; everything else is a leaf of them. Windows and filters will stand between lease and invoke.
//! Not here: the AWS SDK, wasmtime, HTTP, configuration files. The line never returns an error: each fault becomes a
//! verdict, a metric and a log line.

mod batch;
#[cfg(test)]
mod fault_tests;
mod filter;
mod invoke;
mod judge;
mod lease;
#[cfg(test)]
mod line_tests;
mod mapping;
mod metrics;
mod permits;
mod pipeline;
mod poll;
mod record;
mod report;
mod settle;

pub use filter::{FilterError, Filters};
pub use invoke::Handler;
pub use judge::{Judgement, Suspicion, judge};
pub use mapping::{Mapping, MappingOptions, MappingStatus, start};
pub use metrics::Metrics;
pub use permits::Permits;
pub use report::{BatchReport, Observer, RecordReport};
