//! Handlers for wasmill, in Rust: a function, and one line that exports it.
//!
//! # Lambda's way
//!
//! The SQS event comes in as Lambda's own, the response goes out as Lambda's own; `batch::each` makes it a partial one.
//! What a [`Failure`] says beyond that (when to come back, or not at all) Lambda ignores.
//!
//! ```
//! use wasmill_handler::{BatchResponse, Context, Failure, SqsEvent, SqsMessage, batch};
//!
//! wasmill_handler::lambda!(handle);
//!
//! fn handle(event: SqsEvent, _context: Context) -> BatchResponse {
//!     batch::each(&event, print)
//! }
//!
//! fn print(record: &SqsMessage) -> Result<(), Failure> {
//!     let order: serde_json::Value = record.json().map_err(Failure::dead_letter)?;
//!     println!("{} wants {}", record.message_id, order["sku"]);
//!     Ok(())
//! }
//! ```
//!
//! # The typed way
//!
//! Messages come in as Rust values, one [`Verdict`] per message goes out: no JSON between, nothing to misspell, and
//! `ReportBatchItemFailures` need not be set.
//!
//! ```
//! use std::time::Duration;
//!
//! use wasmill_handler::{Context, Message, Verdict};
//!
//! wasmill_handler::messages!(handle);
//!
//! fn handle(messages: Vec<Message>, context: Context) -> Vec<Verdict> {
//!     let judge = |message: &Message| match message.body.as_str() {
//!         _ if context.remaining_time() < Duration::from_secs(1) => Verdict::Release,
//!         "" => Verdict::dead_letter("an empty body"),
//!         "later" if message.receive_count() == 1 => Verdict::retry_after(Duration::from_secs(30)),
//!         body => {
//!             println!("{body}");
//!             Verdict::Done
//!         }
//!     };
//!     messages.iter().map(judge).collect()
//! }
//! ```
//!
//! # Building one
//!
//! A handler is a library of `crate-type = ["cdylib"]`, built for the target `wasm32-wasip2`; what it prints is logged. A
//! panic is a crash of the sandbox, after which wasmill looks for the message that did it. A module that exports twice
//! does not link.
//!
//! Absent on purpose: a runtime for `async` (one invocation has one thread, and nothing else to do), and HTTP.

#![warn(missing_docs, unreachable_pub, unused_qualifications, clippy::unwrap_used)]

mod base64;
pub mod batch;
mod bindings;
mod context;
mod error;
mod event;
mod lambda;
mod messages;

pub use batch::{BatchItemFailure, BatchResponse, Failure};
pub use bindings::{AttributeValue, Context, Message, MessageAttribute, Verdict};
pub use error::Error;
pub use event::{SqsEvent, SqsMessage, SqsMessageAttribute};
pub use lambda::Answer;
pub use messages::Verdicts;

/// The example of the guide is one of ours.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod guide {}

/// What the macros expand to; not for handlers.
#[doc(hidden)]
pub mod exported {
    pub use crate::bindings::{lambda, messages};
    pub use crate::lambda::answer;
    pub use crate::messages::judge;
}
