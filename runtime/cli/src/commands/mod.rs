//! One file per command. A command reads its arguments, uses what `assemble` built, prints, and gives the exit code.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod invoke;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod serve;

use std::fmt::Display;
use std::io::Write;

use crate::error::CliError;

/// Prints a line to stdout. A reader that went away (`wasmill queue ls | head -1`) ends the command quietly.
pub(crate) fn print_line(line: impl Display) -> Result<(), CliError> {
    writeln!(std::io::stdout().lock(), "{line}")
        .map_err(|error| CliError::failure(format!("stdout cannot be written: {error}")))
}
