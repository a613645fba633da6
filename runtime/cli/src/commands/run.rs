//! `wasmill run`: the worker's life on one screen.

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use wasmill_mapping::Observer;

use crate::args::RunArgs;
use crate::assemble::{self, Worker};
use crate::config;
use crate::error::CliError;
use crate::shutdown::Signals;

/// How long closing may take after a second signal.
const STOP_NOW_GRACE: Duration = Duration::from_secs(2);

/// From now on what this process makes is for its user alone: messages, functions' variables and code lie on its disk.
pub(crate) fn make_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Runs until a signal says otherwise.
pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    make_files_private();
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    let observer = Observer::nobody();
    let starting = async {
        let prepared = assemble::prepare_file(&args.config).await??;
        let grace = prepared.config.drain_grace;
        for warning in &prepared.config.warnings {
            tracing::warn!(key = warning.key, mend = warning.mend, "{}", warning.what);
        }
        Ok::<_, CliError>((assemble::start(prepared, &observer).await?, grace))
    };
    let (worker, grace) = tokio::select! {
        biased;
        // Nothing polls until all of it stands, so there is nothing to give back.
        () = signals.drain_requested() => return Ok(ExitCode::SUCCESS),
        started = starting => started?,
    };
    tracing::info!(mappings = worker.fleet.len(), "wasmill is running");
    tokio::select! {
        biased;
        () = signals.drain_requested() => {}
        never = reload_when_told(&worker, &signals, &args.config) => match never {},
    }
    Ok(until_told(worker, &signals, grace).await)
}

/// Reads the config again at each SIGHUP. One with mistakes changes nothing.
async fn reload_when_told(worker: &Worker, signals: &Signals, path: &Path) -> Infallible {
    loop {
        signals.reload_requested().await;
        let draft = config::load_here(path).and_then(|draft| draft.finish(Vec::new()));
        let outcome = match draft {
            Ok(config) => worker.reload(&config).await,
            Err(mistakes) => Err(mistakes.into()),
        };
        match outcome {
            Ok(()) => tracing::info!(
                mappings = worker.fleet.len(),
                "config reloaded: queues and mappings; what else has changed needs a restart"
            ),
            Err(error) => tracing::error!("the config was not reloaded: {error}"),
        }
    }
}

/// Waits for the signals and climbs down: the first drains, the second stops now.
pub(crate) async fn until_told(worker: Worker, signals: &Signals, grace: Duration) -> ExitCode {
    signals.drain_requested().await;
    let fleet = Arc::clone(&worker.fleet);
    let drain = worker.drain(grace);
    tokio::pin!(drain);
    tokio::select! {
        biased;
        () = &mut drain => {
            tracing::info!("drained");
            return ExitCode::SUCCESS;
        }
        () = signals.stop_now_requested() => {}
    }
    fleet.abandon();
    if tokio::time::timeout(STOP_NOW_GRACE, drain).await.is_err() {
        tracing::warn!("stopped without closing in order: what was held returns after its visibility timeout");
    }
    ExitCode::FAILURE
}
