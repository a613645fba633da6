//! The command line of `cargo xtask bench drain`.

use std::path::PathBuf;

const USAGE: &str = "bench drain [--quick] [--only in-process|http] [--wasmill FILE]";

/// What is measured, and with how much.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(super) in_process: bool,
    pub(super) http: bool,
    /// A built `wasmill` that is taken as it is.
    pub(super) wasmill: Option<PathBuf>,
    /// Each cell is measured so often, by turns with all others.
    pub(super) rounds: usize,
    /// In a queue that is drained in process: full batches of every size.
    pub(super) messages: usize,
    /// In one that is drained over HTTP.
    pub(super) http_messages: usize,
    /// Single messages on an idle queue.
    pub(super) sends: usize,
}

impl Options {
    /// Reads the arguments after `drain`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            in_process: true,
            http: true,
            wasmill: None,
            rounds: 7,
            messages: 50_000,
            http_messages: 20_000,
            sends: 500,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; it is {USAGE}"));
            match argument {
                "--quick" => {
                    options = Self { rounds: 3, messages: 20_000, http_messages: 5_000, sends: 100, ..options };
                }
                "--only" => match value()? {
                    "in-process" => options.http = false,
                    "http" => options.in_process = false,
                    other => return Err(format!("--only takes in-process or http, not {other:?}")),
                },
                "--wasmill" => options.wasmill = Some(PathBuf::from(value()?)),
                unknown => return Err(format!("bench drain does not know {unknown}; it is {USAGE}")),
            }
        }
        if !options.in_process && !options.http {
            return Err("--only can be given once".to_owned());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn parts_can_be_left_out_and_queues_hold_full_batches() {
        let (whole, quick) = (parse("").unwrap(), parse("--quick --only http --wasmill w").unwrap());
        assert!(whole.in_process && whole.http && whole.wasmill.is_none());
        assert!(!quick.in_process && quick.http && quick.wasmill.is_some() && quick.rounds < whole.rounds);
        assert_eq!((whole.messages % 1_000, quick.messages % 1_000), (0, 0));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--fast", "does not know --fast"),
            ("--wasmill", "--wasmill needs a value"),
            ("--only store", "in-process or http"),
            ("--only http --only in-process", "once"),
        ] {
            assert!(parse(line).is_err_and(|error| error.contains(part)), "{line}");
        }
    }
}
