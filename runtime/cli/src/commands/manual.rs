//! `wasmill completions` and `wasmill man`: what shells and `man` want to know of the command line, made of it.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::commands::{print_line, print_text};
use crate::error::CliError;

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wasmill", &mut script);
    print_text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command.
pub(crate) fn man(folder: &Path) -> Result<ExitCode, CliError> {
    let made = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    made.map_err(|error| {
        CliError::unavailable(format!("the man pages cannot be written: {error}"))
            .at(folder.display())
            .with_mend("choose a folder that this user may write to")
    })?;
    print_line(format_args!("man pages in {}: man -l {}", folder.display(), folder.join("wasmill.1").display()))?;
    Ok(ExitCode::SUCCESS)
}
