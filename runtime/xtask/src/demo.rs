//! `cargo xtask demo`: builds wasmill and hands over to `wasmill demo`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::layout::{self, Layout};
use crate::step;

/// Comes back only with an error: the demo takes this process's place, so that Ctrl-C, the terminal and the exit status
/// are its own.
pub(crate) fn run(layout: &Layout, arguments: &[String]) -> Result<(), String> {
    step::step("building wasmill (some minutes the first time)");
    // The whole workspace, as the tests build it: the same features, so that neither builds what the other has.
    step::run(layout::cargo().args(["build", "--workspace", "--locked"]))?;
    step::step("running wasmill demo");
    let error = Command::new(&layout.wasmill).arg("demo").args(arguments).exec();
    Err(format!("cannot start {}: {error}", layout.wasmill.display()))
}
