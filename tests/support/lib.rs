//! What the end-to-end tests share: the real binary as a child process, and real clients to talk to it.
//!
//! Nothing here links a crate of wasmill's: the tests see what a user sees, that is the command line, the log, the wire
//! and the metrics. Absent: any knowledge of what the answers should be, which is each test's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod browser;
pub mod checkpoint;
pub mod clients;
pub mod command;
pub mod config;
#[cfg(target_os = "linux")]
pub mod disks;
pub mod guide;
pub mod http;
pub mod ledger;
pub mod log;
pub mod look;
pub mod metrics;
pub mod otlp;
pub mod peers;
pub mod places;
pub mod seed;
pub mod senders;
#[cfg(target_os = "linux")]
pub mod shims;
pub mod sqs;
pub mod wait;
#[cfg(target_os = "linux")]
pub mod wire;
pub mod worker;
pub mod workload;

pub use command::{Finished, wasmill, wasmill_with_config};
pub use sqs::{Counts, Sqs};
pub use wait::{PATIENCE, eventually};
pub use worker::{Home, Wasmill};
