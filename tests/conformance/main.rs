//! The conformance suite of the built-in queue: what Amazon SQS does, rule by rule, asked of the real binary over both
//! of its protocols.
//!
//! Written from sqs-semantics §1–§9; each rule has its source beside it: the section, and what the section names there
//! (an AWS page, or a test that was recorded on AWS, marked `[A:…]`). Rules that need minutes (retention, the five
//! minutes of deduplication) are absent: the queue's own tests have them, in paused time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attributes;
mod batches;
mod client;
mod dead_letters;
mod delays;
mod digests;
mod encryption;
mod errors;
mod fairness;
mod fifo_attempts;
mod fifo_deduplication;
mod fifo_groups;
mod fifo_sending;
mod listing;
mod message_attributes;
mod move_tasks;
mod permissions;
mod purging;
mod query;
mod queue;
mod queues;
mod receipts;
mod receiving;
mod redrive;
mod required;
mod restart;
mod rows;
mod sending;
mod tags;
mod urls;
mod waiting;
mod wire;
mod xml;
