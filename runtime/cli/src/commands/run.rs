//! `wasmill run`: the worker's life on one screen.

use std::process::ExitCode;
use std::time::Duration;

use wasmill_mapping::Observer;

use crate::args::RunArgs;
use crate::assemble::{self, Worker};
use crate::error::CliError;
use crate::shutdown::Signals;

/// How long closing may take after a second signal.
const STOP_NOW_GRACE: Duration = Duration::from_secs(2);

/// Runs until a signal says otherwise.
pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
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
    tracing::info!(mappings = worker.mappings.len(), "wasmill is running");
    Ok(until_told(worker, &signals, grace).await)
}

/// Waits for the signals and climbs down: the first drains, the second stops now.
pub(crate) async fn until_told(worker: Worker, signals: &Signals, grace: Duration) -> ExitCode {
    signals.drain_requested().await;
    let abandon: Vec<_> = worker.mappings.iter().map(wasmill_mapping::Mapping::abandoner).collect();
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
    for abandon in abandon {
        abandon.cancel();
    }
    if tokio::time::timeout(STOP_NOW_GRACE, drain).await.is_err() {
        tracing::warn!("stopped without closing in order: what was held returns after its visibility timeout");
    }
    ExitCode::FAILURE
}
