//! Hostile guests beside a neighbour that is called all the time: what they may cost the process, and what the neighbour
//! may feel of them. The bounds and their reasons are in `bounds.rs`; `runtime/SANDBOX.md` tells them to people.
//!
//! A binary of its own, so that memory, threads and open files can be read from `/proc/self`; its tests take turns.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests; what each attack cost is shown with --nocapture")]

mod bounds;
mod code;
mod compute;
mod files;
mod host_calls;
mod output;
mod stage;

#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "../sandbox/disk.rs"]
mod disk;
#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "../sandbox/wat.rs"]
mod wat;
