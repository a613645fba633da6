//! The sandbox from outside, on hand-written guests. Time is real here: the ticker is a thread, not a tokio timer.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bounds;
mod brief;
mod cache;
mod calls;
mod commands;
#[expect(dead_code, reason = "the hostile guests use the rest of it")]
mod disk;
mod load;
mod reuse;
mod storage;
mod support;
mod wat;
mod ways_in;
