//! `cargo xtask torture`: starts the torture of `tests/torture`, which is where its scenarios and their accounts are.

use crate::layout::{self, Layout};
use crate::step;

const MINUTES_DEFAULT: u32 = 10;
/// In `cargo xtask test --long`.
const MINUTES_SHORT: u32 = 2;

/// The command line of the verb.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    minutes: u32,
    /// None: another each time, which the torture prints.
    seed: Option<u64>,
    /// None: all scenarios in turn.
    only: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { minutes: MINUTES_DEFAULT, seed: None, only: None }
    }
}

impl Options {
    /// Each scenario once.
    pub(crate) fn short() -> Self {
        Self { minutes: MINUTES_SHORT, ..Self::default() }
    }

    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--minutes" => {
                    let minutes = arguments.next().and_then(|text| text.parse().ok());
                    let minutes = minutes.filter(|minutes| (1..=10_000).contains(minutes));
                    options.minutes = minutes.ok_or("--minutes needs a number from 1 to 10000")?;
                }
                "--seed" => {
                    let seed = arguments.next().and_then(|text| text.parse().ok());
                    options.seed = Some(seed.ok_or("--seed needs a whole number")?);
                }
                "--only" => options.only = Some(arguments.next().ok_or("--only needs a scenario's name")?.clone()),
                unknown => return Err(format!("torture does not know {unknown}")),
            }
        }
        Ok(options)
    }
}

/// Builds what is needed and tortures. The error says that something was found; what it was is above.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    step::step("building the worker");
    step::run(layout::cargo().args(["build", "--package", "wasmill", "--locked"]))?;
    step::step(&format!("torturing it for about {} min", options.minutes));
    let mut torture = layout::cargo();
    torture
        .args(["test", "--package", "wasmill-tests", "--locked", "--test", "torture", "--"])
        .args(["--ignored", "--exact", "torture", "--nocapture"])
        .env("WASMILL_TEST_BIN", &layout.wasmill)
        .env("WASMILL_TEST_GUESTS", layout.prebuilt_guests())
        .env("WASMILL_TORTURE_MINUTES", options.minutes.to_string())
        .env("WASMILL_TORTURE_REPORT", layout.target.join("torture/report.md"));
    if let Some(seed) = options.seed {
        torture.env("WASMILL_TEST_SEED", seed.to_string());
    }
    if let Some(only) = &options.only {
        torture.env("WASMILL_TORTURE_ONLY", only);
    }
    step::run(&mut torture).map_err(|error| format!("the torture found something, see above: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_or_refused() {
        let read = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]), Ok(Options { minutes: 10, seed: None, only: None }));
        let whole = Options { minutes: 3, seed: Some(7), only: Some("crashes".to_owned()) };
        assert_eq!(read(&["--seed", "7", "--minutes", "3", "--only", "crashes"]), Ok(whole));
        assert_eq!(read(&["--minutes", "0"]).err().as_deref(), Some("--minutes needs a number from 1 to 10000"));
        assert_eq!(read(&["--seed", "x"]).err().as_deref(), Some("--seed needs a whole number"));
        assert_eq!(read(&["--only"]).err().as_deref(), Some("--only needs a scenario's name"));
        assert_eq!(read(&["--olny"]).err().as_deref(), Some("torture does not know --olny"));
    }
}
