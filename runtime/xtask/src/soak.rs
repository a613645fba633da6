//! `cargo xtask soak`: starts the soak of `tests/soak`, which is where its faults and its accounting are.

use crate::layout::{self, Layout};
use crate::step;

const SECONDS_DEFAULT: u32 = 120;

/// The command line of the verb.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u32,
    /// None: another each time, which the soak prints.
    seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: SECONDS_DEFAULT, seed: None }
    }
}

impl Options {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds = arguments.next().and_then(|text| text.parse().ok());
                    // Below, no fault would come; above, the test's own books of the log would not fit its memory.
                    let seconds = seconds.filter(|seconds| (10..=3600).contains(seconds));
                    options.seconds = seconds.ok_or("--seconds needs a number from 10 to 3600")?;
                }
                "--seed" => {
                    let seed = arguments.next().and_then(|text| text.parse().ok());
                    options.seed = Some(seed.ok_or("--seed needs a whole number")?);
                }
                unknown => return Err(format!("soak does not know {unknown}")),
            }
        }
        Ok(options)
    }
}

/// Builds what is needed and soaks. The error says that something was found; what it was is above.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    step::step("building the worker");
    step::run(layout::cargo().args(["build", "--package", "wasmill", "--locked"]))?;
    step::step(&format!("soaking it for {} s", options.seconds));
    let mut soak = layout::cargo();
    soak.args(["test", "--package", "wasmill-tests", "--locked", "--test", "soak", "--"])
        .args(["--ignored", "--exact", "soak", "--nocapture"])
        .env("WASMILL_TEST_BIN", &layout.wasmill)
        .env("WASMILL_TEST_GUESTS", layout.prebuilt_guests())
        .env("WASMILL_SOAK_SECONDS", options.seconds.to_string());
    if let Some(seed) = options.seed {
        soak.env("WASMILL_TEST_SEED", seed.to_string());
    }
    step::run(&mut soak).map_err(|error| format!("the soak found something, see above: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_or_refused() {
        let read = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]), Ok(Options { seconds: 120, seed: None }));
        assert_eq!(read(&["--seed", "7", "--seconds", "30"]), Ok(Options { seconds: 30, seed: Some(7) }));
        for wrong in [&["--seconds", "9"][..], &["--seconds", "3601"], &["--seconds"]] {
            assert_eq!(read(wrong).err().as_deref(), Some("--seconds needs a number from 10 to 3600"));
        }
        assert_eq!(read(&["--seed", "x"]).err().as_deref(), Some("--seed needs a whole number"));
        assert_eq!(read(&["--sede"]).err().as_deref(), Some("soak does not know --sede"));
    }
}
