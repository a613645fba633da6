//! Running other people's tools: found or said to be missing, heard when they fail.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::CliError;

/// How many of a tool's last lines are shown.
const LAST_LINES: usize = 20;

/// A tool that may not be there.
pub(super) struct Tool {
    /// What people call it.
    pub(super) name: &'static str,
    /// How it is had, one line.
    pub(super) mend: &'static str,
}

impl Tool {
    pub(super) fn missing(&self) -> CliError {
        CliError::unavailable(format!("{} is not installed", self.name)).with_mend(self.mend)
    }

    /// Runs it with what it says shown to the person who waits, and reads its stdout.
    pub(super) fn show(&self, command: &mut Command) -> Result<String, CliError> {
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| self.not_run(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(CliError::failure(format!("{} failed ({}); what it said is above", self.name, output.status)))
    }

    /// Runs it quietly; when it fails, what it said last is the error.
    pub(super) fn read(&self, command: &mut Command) -> Result<String, CliError> {
        let output = command.output().map_err(|error| self.not_run(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n    ");
        Err(CliError::failure(format!("{} failed ({}):\n    {last}", self.name, output.status)))
    }

    fn not_run(&self, error: &std::io::Error) -> CliError {
        if error.kind() == std::io::ErrorKind::NotFound {
            return self.missing();
        }
        CliError::unavailable(format!("{} cannot be run: {error}", self.name)).with_mend(self.mend)
    }
}

/// Where a program is in `PATH`.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// A command that stands in a variable, such as `CARGO`, or its usual name.
pub(super) fn from_variable(variable: &str, usual: impl AsRef<OsStr>) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| usual.as_ref().to_owned()))
}
