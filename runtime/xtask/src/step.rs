//! Saying what is done, and running the programs that do it.

use std::process::{Command, Output};

/// One line for people, to stderr.
#[expect(clippy::print_stderr, reason = "a command-line tool's own words")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Announces a step.
pub(crate) fn step(what: &str) {
    say(&format!("xtask: {what}"));
}

/// Runs a program with its output passed through. The error names the program and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", describe(command))) }
}

/// Runs a program quietly and gives its stdout. The error carries the last lines of what it said on stderr.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{} failed ({}): {}", describe(command), output.status, last_words(&output)))
}

/// A program and its first arguments: enough to recognise it.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args().take(3));
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}
