//! The one binary: parse, dispatch, exit code. What each command does stands in `commands`.

mod admin;
mod app;
mod args;
mod assemble;
mod commands;
mod config;
mod error;
mod event_file;
mod functions;
mod import;
mod interpreters;
mod package;
mod shutdown;
mod telemetry;
mod utc;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::error::CliError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(dispatch(cli));
        // What still blocks (a disk that does not answer) must not keep the process.
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| error.report())
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("wasmill")
        .build()
        .map_err(|error| CliError::unavailable(format!("the process's threads cannot be started: {error}")))
}

async fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let default_filter = match cli.command {
        Command::Queue(args::QueueCommand::Serve(_)) => None,
        // These talk to a person on the same terminal: only what went wrong may come in between.
        Command::Demo
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Queue(_)
        | Command::New(_)
        | Command::Build(_)
        | Command::Deploy(_)
        | Command::Rollback(_)
        | Command::Import(_) => Some("error"),
        // The batches are shown by themselves; of the log only what the handler says is wanted beside them, and what was done to
        // the queue to test it.
        Command::Dev(_) => Some("warn,wasmill::handler=info,wasmill::report=debug,wasmill_queue::chaos=info"),
        Command::Invoke(_) => Some("info,wasmill::report=debug"),
        _ => None,
    };
    telemetry::init(cli.log_format, &|name| {
        let set = process_env(name);
        if name == telemetry::FILTER_VARIABLE { set.or_else(|| default_filter.map(str::to_owned)) } else { set }
    })?;
    match cli.command {
        Command::Run(args) => commands::run::run(&args).await,
        Command::Dev(args) => commands::dev::dev(args).await,
        Command::Check(args) => commands::check::check(&args).await,
        Command::Config(command) => commands::config::config(&command),
        Command::Invoke(args) => commands::invoke::invoke(args).await,
        Command::New(args) => commands::new::new(&args),
        Command::Build(args) => commands::build::build(args).await,
        Command::Deploy(args) => commands::deploy::deploy(*args).await,
        Command::Rollback(args) => commands::rollback::rollback(args).await,
        Command::Import(args) => commands::import::import(&args),
        Command::Queue(command) => commands::queue::queue(command).await,
        Command::Demo => commands::demo::demo().await,
        Command::Completions { shell } => commands::manual::completions(shell),
        Command::Man { folder } => commands::manual::man(&folder),
    }
}

/// The names of all variables of the process; one that is not Unicode counts as not set.
fn process_env_names() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// A variable of the process; one that is not Unicode counts as not set.
fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
