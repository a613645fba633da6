//! `cargo xtask bench`: all benches, one after the other, in a file with the machine that they ran on.

use std::fs;
use std::process::Command;
use std::time::Instant;

use super::{Bench, measured};
use crate::layout::Layout;
use crate::step;

const FILE: &str = "bench/report.txt";

/// How much of each.
#[derive(Debug)]
pub(crate) struct Options {
    /// What every bench is given.
    arguments: Vec<String>,
}

impl Options {
    /// Reads the arguments after `bench`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        super::quick_only("[queue|drain|invoke|latency|backlog|scale]", arguments)?;
        Ok(Self { arguments: arguments.to_vec() })
    }
}

/// Runs them; their tables, which are also written to `target/bench/report.txt`.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let mut text = machine();
    for name in ["queue", "drain", "invoke", "latency", "backlog", "scale"] {
        let words: Vec<String> = std::iter::once(name.to_owned()).chain(options.arguments.iter().cloned()).collect();
        super::settle()?;
        let begun = Instant::now();
        let table = measured(layout, &Bench::parse(&words)?)?;
        text.push_str(&format!(
            "\n== cargo xtask bench {} ({} s)\n\n{table}",
            words.join(" "),
            begun.elapsed().as_secs()
        ));
        // What is measured so far is kept, should a later one fail.
        let file = layout.target.join(FILE);
        fs::write(&file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        step::step(&format!("{name} is in {}", file.display()));
    }
    Ok(text)
}

/// What ran, where and when.
fn machine() -> String {
    let first = |program: &str, arguments: &[&str]| {
        step::read(Command::new(program).args(arguments)).map_or_else(|_| "?".to_owned(), |said| said.trim().to_owned())
    };
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or("?", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{}\n{} cores, {}, memory {}, Linux {}, load {}\n{}, commit {}\n",
        first("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        cores,
        field(&file("/proc/cpuinfo"), "model name"),
        field(&file("/proc/meminfo"), "MemTotal"),
        file("/proc/sys/kernel/osrelease").trim(),
        file("/proc/loadavg").split(' ').next().unwrap_or("?"),
        first("rustc", &["--version"]),
        first("git", &["rev-parse", "--short", "HEAD"]),
    )
}
