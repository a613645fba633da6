//! The clients of other people: boto3 and aws-cli, where the machine has them.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::command::set_environment;

/// Names a Python that can import boto3.
pub const PYTHON_VARIABLE: &str = "WASMILL_TEST_PYTHON";
/// Names aws-cli.
pub const AWS_VARIABLE: &str = "WASMILL_TEST_AWS";

/// The Python with boto3, ready for a script's path and arguments; none with a line on stderr if there is none.
///
/// # Panics
/// When there is none and `CI=true`: there nothing may be left out.
#[must_use]
pub fn python(test: &str) -> Option<Command> {
    named(PYTHON_VARIABLE, "boto3", test)
}

/// aws-cli, ready for its arguments; none with a line on stderr if there is none.
///
/// # Panics
/// When there is none and `CI=true`: there nothing may be left out.
#[must_use]
pub fn aws(test: &str) -> Option<Command> {
    named(AWS_VARIABLE, "aws-cli", test)
}

fn named(variable: &str, what: &str, test: &str) -> Option<Command> {
    let Some(program) = env::var_os(variable).map(PathBuf::from) else {
        let left_out =
            format!("left out: {test}, for want of {what}; `cargo xtask test` installs it, {variable} names it");
        assert!(env::var("CI").as_deref() != Ok("true"), "{left_out}");
        // Not through the macros, whose output a passing test hides.
        let _ = writeln!(std::io::stderr(), "{left_out}");
        return None;
    };
    let mut command = Command::new(program);
    set_environment(&mut command);
    command.env("AWS_DEFAULT_REGION", "us-east-1").env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
