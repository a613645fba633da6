//! `cargo xtask bench drain`: what the line from a queue through a handler and back costs.
//!
//! In process it stands beside what it is made of, the store alone and wasmtime alone; over HTTP beside `sqs-consumer`, on
//! the same server. As in `bench queue` all take turns, ratios are taken within one round, and nothing is judged.

mod consumers;
mod in_process;
mod options;
mod report;

pub(crate) use self::options::Options;
use super::{baseline, peers};
use crate::layout::Layout;

/// Runs the whole bench; the table of what came of it.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let in_process = if options.in_process { Some(in_process::measure(layout, options)?) } else { None };
    let consumers = if options.http {
        let wasmill = baseline::wasmill(layout, options.wasmill.as_deref())?;
        super::settle()?;
        Some(consumers::measure(layout, options, &peers::prepare(layout, wasmill, &[])?)?)
    } else {
        None
    };
    Ok(report::text(options, in_process.as_ref(), consumers.as_ref()))
}

/// The middle one; of an even number the higher of both.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
