//! The in-process half: built and started as a program of its own, because it needs the crates and this one has none.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::median;
use super::options::Options;
use crate::bench::worker::HANDLER;
use crate::layout::{self, Layout};
use crate::step;

/// The cells, as the program names them.
pub(super) const STATE: &str = "state";
pub(super) const STORE: &str = "store";
pub(super) const FILTER: &str = "filter";
pub(super) const ENCODE: &str = "encode";
pub(super) const WASMTIME: &str = "wasmtime";
pub(super) const SANDBOX: &str = "sandbox";
pub(super) const MAPPING: &str = "mapping";
pub(super) const CELLS: [&str; 7] = [STATE, STORE, FILTER, ENCODE, WASMTIME, SANDBOX, MAPPING];
pub(super) const BATCHES: [u32; 2] = [10, 1_000];

/// One number of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    pub(super) cpu_us_per_message: f64,
    pub(super) per_second: f64,
}

/// What the program said.
#[derive(Debug, Default)]
pub(super) struct InProcess {
    /// By cell and batch size; in the order of the rounds.
    rounds: BTreeMap<(String, u32), Vec<Cost>>,
    /// From a send to the handler's answer, p50 and p99 in µs.
    pub(super) latency_us: Option<(f64, f64)>,
}

/// Builds the program and lets it measure; its store is made in the target folder and removed.
pub(super) fn measure(layout: &Layout, options: &Options) -> Result<InProcess, String> {
    step::step("building what drains in process (the first time takes a quarter of an hour)");
    let example = ["build", "--release", "--locked", "--package", "wasmill", "--example", "drain"];
    step::run(layout::cargo().arg("--quiet").args(example))?;
    step::step("draining in process");
    let folder = layout.target.join("bench/drain");
    // What a run that was broken off has left.
    let _ = fs::remove_dir_all(&folder);
    let mut drain = Command::new(layout.target.join("release/examples/drain"));
    drain.arg(&folder).arg(layout.prebuilt_guests().join(HANDLER));
    drain.args([options.messages, options.rounds + 1, options.sends].map(|number| number.to_string()));
    let said = step::read(&mut drain)?;
    fs::remove_dir_all(&folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    InProcess::parse(&said)
}

impl InProcess {
    fn parse(said: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for line in said.lines() {
            let unknown = || format!("the program said what is not understood: {line}");
            let number = |text: &str| text.parse::<f64>().map_err(|_| unknown());
            match *line.split(' ').collect::<Vec<_>>() {
                // The first round warms up.
                ["drain", "0", ..] => {}
                ["drain", _, cell, batch, cpu, per_second] => {
                    let batch = batch.parse().map_err(|_| unknown())?;
                    let cost = Cost { cpu_us_per_message: number(cpu)?, per_second: number(per_second)? };
                    found.rounds.entry((cell.to_owned(), batch)).or_default().push(cost);
                }
                ["latency", p50, p99] => found.latency_us = Some((number(p50)?, number(p99)?)),
                _ => return Err(unknown()),
            }
        }
        Ok(found)
    }

    /// The median over the rounds of what `number` makes of one round's costs of these cells.
    pub(super) fn median<const N: usize>(
        &self,
        batch: u32,
        cells: [&str; N],
        number: impl Fn([Cost; N]) -> f64,
    ) -> f64 {
        let rounds = cells.map(|cell| self.rounds.get(&(cell.to_owned(), batch)).map_or(&[][..], Vec::as_slice));
        let count = rounds.iter().map(|costs| costs.len()).min().unwrap_or(0);
        median((0..count).map(|round| number(rounds.map(|costs| costs[round]))))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ratios_are_of_one_round_and_their_median_counts() {
        let said = "drain 0 store 10 70 1\ndrain 1 store 10 2 100\ndrain 1 mapping 10 3 50\ndrain 2 mapping 10 40 60\n\
                    drain 2 store 10 20 80\ndrain 3 store 10 1 100\ndrain 3 mapping 10 9 10\nlatency 700 900\n";
        let found = InProcess::parse(said).unwrap();
        let ratio = found.median(10, [MAPPING, STORE], |[all, part]| all.cpu_us_per_message / part.cpu_us_per_message);
        assert_eq!((ratio, found.latency_us), (2.0, Some((700.0, 900.0))));
        assert!(found.median(1_000, [STORE], |[store]| store.per_second).is_nan());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(InProcess::parse("drain 1 store 10 soon 100").is_err());
        assert!(InProcess::parse("thread main panicked").is_err());
    }
}
