//! `wasmill check`: everything that `run` does before it needs the machine. It binds no port, locks no directory,
//! touches no network (but with `--against` and `--live`) and writes nothing but the cache of compiled modules.

use std::process::ExitCode;

use serde_json::json;

use crate::args::CheckArgs;
use crate::assemble;
use crate::commands::{doctor, dry_run, print_line};
use crate::config::{Config, Finding};
use crate::error::{CliError, ErrorKind};

/// Reports every mistake of the config and of the handlers that it names.
pub(crate) async fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    match (assemble::prepare_file(&args.config).await?, args.json) {
        (Ok(prepared), false) => {
            let outcomes = dry_run(args, &prepared.config).await?;
            for warning in &prepared.config.warnings {
                print_line(format_args!("warning: {warning}"))?;
            }
            print_line(format_args!("{}: no mistakes", args.config.display()))?;
            outcomes.iter().try_for_each(|outcome| outcome.tell(args.json))?;
            live(args, &prepared.config).await
        }
        (Ok(prepared), true) => {
            let outcomes = dry_run(args, &prepared.config).await?;
            let warnings: Vec<_> = prepared.config.warnings.iter().map(Finding::to_json).collect();
            print_line(json!({"mistakes": [], "warnings": warnings}))?;
            outcomes.iter().try_for_each(|outcome| outcome.tell(args.json))?;
            live(args, &prepared.config).await
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

/// What will hurt, with `--live`: then it is a failure.
async fn live(args: &CheckArgs, config: &Config) -> Result<ExitCode, CliError> {
    if !args.live {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if doctor::examine(args, config).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What filters would do; none without `--against`.
async fn dry_run<'c>(args: &CheckArgs, config: &'c Config) -> Result<Vec<dry_run::Outcome<'c>>, CliError> {
    match &args.against {
        Some(queue) => dry_run::run(args, config, queue).await,
        None => Ok(Vec::new()),
    }
}
