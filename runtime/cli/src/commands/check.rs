//! `wasmill check`: everything that `run` does before it needs the machine. It binds no port, locks no directory,
//! touches no network (but with `--against`) and writes nothing but the cache of compiled modules.

use std::process::ExitCode;

use serde_json::json;

use crate::args::CheckArgs;
use crate::assemble;
use crate::commands::{dry_run, print_line};
use crate::config::{Config, Finding};
use crate::error::{CliError, ErrorKind};

/// Reports every mistake of the config and of the handlers that it names.
pub(crate) async fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    match (assemble::prepare_file(&args.config).await?, args.json) {
        (Ok(prepared), false) => {
            for warning in &prepared.config.warnings {
                print_line(format_args!("warning: {warning}"))?;
            }
            print_line(format_args!("{}: no mistakes", args.config.display()))?;
            dry_run(args, &prepared.config).await
        }
        (Ok(prepared), true) => {
            let warnings: Vec<_> = prepared.config.warnings.iter().map(Finding::to_json).collect();
            print_line(json!({"mistakes": [], "warnings": warnings}))?;
            dry_run(args, &prepared.config).await
        }
        (Err(mistakes), false) => Err(mistakes.into()),
        (Err(mistakes), true) => {
            match print_line(json!({"mistakes": mistakes.to_json(), "warnings": []})) {
                // A reader that has seen enough does not make the config right.
                Err(error) if error.kind() != ErrorKind::ReaderGone => Err(error),
                _ => Ok(ExitCode::from(ErrorKind::Config.code())),
            }
        }
    }
}

async fn dry_run(args: &CheckArgs, config: &Config) -> Result<ExitCode, CliError> {
    if let Some(queue) = &args.against {
        dry_run::run(args, config, queue).await?;
    }
    Ok(ExitCode::SUCCESS)
}
