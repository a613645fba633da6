//! `wasmill config`: what a config is set to and by what, and the schema of all its keys.

use std::process::ExitCode;

use serde_json::Value;

use crate::args::{ConfigCommand, ConfigShowArgs};
use crate::commands::{print_line, print_text};
use crate::config::{self, Setting};
use crate::error::CliError;

/// Carries a `config` command out.
pub(crate) fn config(command: &ConfigCommand) -> Result<ExitCode, CliError> {
    match command {
        ConfigCommand::Show(args) => show(args),
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema())
                .map_err(|error| CliError::internal(format!("the schema cannot be written: {error}")))?;
            print_text(&schema)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(args: &ConfigShowArgs) -> Result<ExitCode, CliError> {
    let (draft, settings) = config::settings_here(&args.config)?;
    draft.finish(Vec::new())?;
    if args.json {
        print_line(Value::Array(settings.iter().map(Setting::to_json).collect()))?;
    } else {
        settings.iter().try_for_each(print_line)?;
    }
    Ok(ExitCode::SUCCESS)
}
