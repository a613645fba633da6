//! `wasmill queue serve`: only the built-in queue.

use std::process::ExitCode;
use std::time::Duration;

use wasmill_mapping::Observer;

use crate::args::{DurabilityArg, ServeArgs};
use crate::assemble;
use crate::commands::run::until_told;
use crate::config::{Config, Durability, LocalQueue};
use crate::error::CliError;
use crate::shutdown::Signals;

/// Serves until a signal says otherwise.
pub(crate) async fn serve(args: ServeArgs) -> Result<ExitCode, CliError> {
    let local = LocalQueue {
        listen: args.listen,
        data_dir: (!args.in_memory).then_some(args.data_dir),
        durability: match args.durability {
            DurabilityArg::Fsync => Durability::Fsync,
            DurabilityArg::Os => Durability::Os,
        },
    };
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    let config = Config::of_queue(local, args.admin_listen);
    let worker = assemble::start(assemble::prepare(config).await?, &Observer::nobody()).await?;
    // Nothing is held here, so there is nothing to wait for.
    Ok(until_told(worker, &signals, Duration::ZERO).await)
}
