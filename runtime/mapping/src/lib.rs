//! One event source mapping: messages from a queue to a handler, and back to the queue as the handler judged them.
//!
//! ```text
//! permit → receive → lease → filter → window → invoke → verdicts → settle
//! ```
//! Up to the batch it is `receiving.rs`, from there `pipeline.rs`, its life `mapping.rs`; everything else is a leaf of them.
//! Not here: the AWS SDK, wasmtime, HTTP, configuration files. The line never returns an error: each fault becomes a
//! verdict, a metric and a log line.

mod batch;
mod bisect;
#[cfg(test)]
mod door;
mod explain;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod fault_tests;
mod fifo;
#[cfg(test)]
mod fifo_tests;
mod filter;
mod intake;
mod invoke;
mod judge;
mod lease;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod line_tests;
mod mapping;
mod metrics;
#[cfg(test)]
mod permit_tests;
mod permits;
mod pipeline;
#[cfg(test)]
mod poison_tests;
mod poll;
mod rate;
mod receiving;
mod record;
mod remember;
mod renewal;
mod report;
mod retry;
mod route;
#[cfg(test)]
mod route_tests;
mod settle;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod time_tests;
mod traced;
#[cfg(test)]
mod traced_tests;
#[cfg(test)]
mod window_tests;

pub use fifo::FifoOrder;
mod witness;

pub use filter::{FilterError, Filters};
pub use intake::OnFiltered;
pub use invoke::Handler;
pub use judge::{Judgement, Suspicion, judge};
pub use mapping::{Mapping, MappingOptions, MappingStatus, start};
pub use metrics::{Counted, Metrics, Tally};
pub use permits::{Permit, Permits};
pub use report::{BatchReport, Observer, RecordReport};
pub use retry::RetryPolicy;
pub use route::{Callee, Comparison, Difference, Route, Shadow};
pub use witness::Witness;
