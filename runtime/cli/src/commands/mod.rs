//! One file per command. A command reads its arguments, uses what `assemble` built, prints, and gives the exit code.

mod admin_client;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod dev;
mod doctor;
mod dry_run;
pub(crate) mod import;
pub(crate) mod invoke;
mod lambda_client;
pub(crate) mod manual;
pub(crate) mod new;
mod peek;
pub(crate) mod queue;
mod redrive;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod serve;

use std::fmt::Display;
use std::io::Write;

use crate::error::CliError;

/// Prints a line to stdout. A reader that went away (`wasmill queue ls | head -1`) ends the command quietly: the error
/// says nothing then, and its exit code is 0.
pub(crate) fn print_line(line: impl Display) -> Result<(), CliError> {
    write_line(&mut std::io::stdout().lock(), line)
}

/// Prints a text that has its own line ends; a reader that went away is as in [`print_line`].
pub(crate) fn print_text(text: &str) -> Result<(), CliError> {
    print_line(text.strip_suffix('\n').unwrap_or(text))
}

/// Tells a person something beside the output, on stderr. That it cannot be written changes nothing.
pub(crate) fn print_note(note: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "note: {note}");
}

fn write_line(out: &mut impl Write, line: impl Display) -> Result<(), CliError> {
    writeln!(out, "{line}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::reader_gone(),
        _ => CliError::failure(format!("stdout cannot be written: {error}")),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io;

    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(write_line(&mut Broken(io::ErrorKind::BrokenPipe), "x").unwrap_err().kind().code(), 0);
        assert_eq!(write_line(&mut Broken(io::ErrorKind::StorageFull), "x").unwrap_err().kind().code(), 1);
        let mut out = Vec::new();
        write_line(&mut out, "x").unwrap();
        assert_eq!(out, b"x\n");
    }
}
