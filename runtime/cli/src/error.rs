//! What a command says when it fails: what happened, where, how to mend it, and with which exit code.
//!
//! One kind per exit code, and no text is made up here: whoever knows the cause fills it in. Printing is here, too, so
//! that every failure looks the same. Absent: clap's own usage errors, which clap prints and ends with 2.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::config::Mistakes;

/// The text every `--help` ends with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   success
  1   it was tried and failed, such as a handler that answers with an error
  2   usage: a flag or an argument is wrong
  3   the configuration or the handler has mistakes; each is reported
  4   something is not available: a port, a data directory, an endpoint, a queue
  70  internal error; please report it";

/// What sort of failure; one exit code each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Whoever read our output has read enough: the command ends quietly, and it is no failure.
    ReaderGone,
    /// It was tried and failed.
    Failure,
    /// A flag, an argument or a variable of wasmill's own is wrong.
    Usage,
    /// The configuration, or a handler it names, has mistakes.
    Config,
    /// A port, a directory, an endpoint or a queue is not there, not ours, or taken.
    Unavailable,
    /// Our own fault.
    Internal,
}

impl ErrorKind {
    /// All failures, in the order of their codes.
    #[cfg(test)]
    const ALL: [Self; 5] = [Self::Failure, Self::Usage, Self::Config, Self::Unavailable, Self::Internal];

    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Unavailable => 4,
            Self::Internal => 70,
        }
    }
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: ErrorKind,
    what: String,
    place: Option<String>,
    mend: Option<String>,
}

impl CliError {
    /// `what` is in lower case and without a final full stop.
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), place: None, mend: None }
    }

    /// The reader of stdout went away.
    pub(crate) fn reader_gone() -> Self {
        Self::new(ErrorKind::ReaderGone, "nobody reads the output any more")
    }

    /// It was tried and failed.
    pub(crate) fn failure(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failure, what)
    }

    /// A flag, an argument or a variable of wasmill's own is wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what)
    }

    /// The configuration, or a handler it names, has mistakes.
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, what)
    }

    /// A resource is not there, not ours, or taken.
    pub(crate) fn unavailable(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, what)
    }

    /// Our own fault.
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        let mend = "this is a bug in wasmill; please report it with the command and its log";
        Self::new(ErrorKind::Internal, what).with_mend(mend)
    }

    /// Where: a file, an address, a queue.
    #[must_use]
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// What sort of failure it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Prints it to stderr and gives the exit code for `main`.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != ErrorKind::ReaderGone {
            // A closed stderr must not turn one failure into another.
            let _ = writeln!(std::io::stderr().lock(), "error: {self}");
        }
        ExitCode::from(self.kind.code())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n    where: {place}")?;
        }
        if let Some(mend) = &self.mend {
            write!(f, "\n    mend: {mend}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

impl From<Mistakes> for CliError {
    fn from(mistakes: Mistakes) -> Self {
        let what = match mistakes.findings().len() {
            1 => format!("the configuration has a mistake\n{mistakes}"),
            count => format!("the configuration has {count} mistakes\n{mistakes}"),
        };
        Self::config(what)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_kind_is_documented_once() {
        let documented: Vec<&str> =
            EXIT_CODES.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        let kinds = ErrorKind::ALL.map(|kind| kind.code().to_string());
        let expected: Vec<&str> = std::iter::once("0").chain(kinds.iter().map(String::as_str)).collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn what_where_and_mend_each_have_a_line() {
        let error = CliError::unavailable("the port is taken").at("127.0.0.1:9324").with_mend("stop the other process");
        assert_eq!(error.to_string(), "the port is taken\n    where: 127.0.0.1:9324\n    mend: stop the other process");
        assert_eq!(CliError::failure("no").to_string(), "no");
    }

    #[test]
    fn mistakes_keep_their_paragraphs_and_their_code() {
        let error = CliError::from(Mistakes::of_file(Path::new("x.toml"), "cannot be read".into(), "look".into()));
        assert_eq!(error.kind().code(), 3);
        assert_eq!(error.to_string(), "the configuration has a mistake\nx.toml  cannot be read\n    mend: look");
    }
}
