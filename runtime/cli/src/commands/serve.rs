//! `wasmill queue serve`: only the built-in queue.
//!
//! The access key comes from the environment and from nowhere else: what stands on a command line, every process of the
//! machine can read. More than one key takes a config file and `wasmill run`.

use std::process::ExitCode;
use std::time::Duration;

use wasmill_mapping::Observer;
use wasmill_sqs::{AccessKey, NotAnAccessKey};

use crate::args::{DurabilityArg, ServeArgs};
use crate::assemble;
use crate::commands::run::{make_files_private, until_told};
use crate::config::{Config, Durability, Env, LocalQueue, check_aws_listen};
use crate::error::CliError;
use crate::shutdown::Signals;

const ACCESS_KEY_ID: &str = "WASMILL_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "WASMILL_SECRET_ACCESS_KEY";

/// Serves until a signal says otherwise.
pub(crate) async fn serve(args: ServeArgs) -> Result<ExitCode, CliError> {
    let access_key = access_key(&crate::process_env)?;
    check_aws_listen(args.listen, access_key.is_some()).map_err(|what| {
        let mend = format!("listen on 127.0.0.1, or set {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}");
        CliError::usage(format!("{} {what}", args.listen)).at("--listen").with_mend(mend)
    })?;
    let local = LocalQueue {
        listen: args.listen,
        data_dir: (!args.in_memory).then_some(args.data_dir),
        durability: match args.durability {
            DurabilityArg::Fsync => Durability::Fsync,
            DurabilityArg::Os => Durability::Os,
        },
        allowed_origins: Vec::new(),
        blocks_deleted_names: false,
        trial: args.trial.trial(),
    };
    make_files_private();
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    let access_keys = access_key.into_iter().collect();
    let config = Config { access_keys, is_queue_only: true, ..Config::of_queue(local, args.admin_listen) };
    let worker = assemble::start(assemble::prepare(config).await?, &Observer::nobody()).await?;
    // Nothing is held here, so there is nothing to wait for.
    Ok(until_told(worker, &signals, Duration::ZERO).await)
}

/// The key that clients must sign with; none when neither half is set.
fn access_key(env: Env<'_>) -> Result<Option<AccessKey>, CliError> {
    let mend = format!("set both {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}, or neither");
    match (env(ACCESS_KEY_ID), env(SECRET_ACCESS_KEY)) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => AccessKey::new(&id, &secret).map(Some).map_err(|error| {
            let place = match error {
                NotAnAccessKey::Id => ACCESS_KEY_ID,
                NotAnAccessKey::Secret => SECRET_ACCESS_KEY,
            };
            CliError::usage(error.to_string()).at(place).with_mend(mend)
        }),
        (id, _) => {
            let missing = if id.is_none() { ACCESS_KEY_ID } else { SECRET_ACCESS_KEY };
            Err(CliError::usage(format!("{missing} is not set, and an access key has two halves")).with_mend(mend))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(id: Option<&str>, secret: Option<&str>) -> Result<Option<AccessKey>, CliError> {
        access_key(&|name| {
            let value = if name == ACCESS_KEY_ID { id } else { secret };
            value.map(str::to_owned)
        })
    }

    #[test]
    fn a_key_is_two_variables_or_none() {
        assert_eq!(with(None, None).unwrap(), None);
        assert_eq!(with(Some("a"), Some("b")).unwrap().unwrap().id(), "a");
        for (id, secret, part) in [
            (Some("a"), None, SECRET_ACCESS_KEY),
            (None, Some("hunter2"), ACCESS_KEY_ID),
            (Some("a"), Some(""), SECRET_ACCESS_KEY),
            (Some("a/b"), Some("hunter2"), ACCESS_KEY_ID),
            (Some("a"), Some("hunter2 "), SECRET_ACCESS_KEY),
        ] {
            let error = with(id, secret).unwrap_err();
            assert_eq!(error.kind().code(), 2);
            let text = format!("{error} {error:?}");
            assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
        }
    }
}
