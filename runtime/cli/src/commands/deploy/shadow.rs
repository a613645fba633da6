//! `--shadow`: the new version runs copies of the batches for a while, and what it would have done otherwise is told.

use std::process::ExitCode;

use serde_json::Value;

use super::canary::counted;
use super::package::Package;
use super::{Function, progress, stand_beside, upload};
use crate::args::DeployArgs;
use crate::commands::print_line;
use crate::error::CliError;
use crate::shutdown::Signals;

/// The tag that asks the worker for copies.
const SHADOW: &str = wasmill_lambda::SHADOW;
/// Differences that are shown.
const ROWS: usize = 20;

pub(super) async fn shadow(function: &Function, package: &Package, args: &DeployArgs) -> Result<ExitCode, CliError> {
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    counted(function, args).await?;
    let (_, old) = stand_beside(function, args).await?;
    let before = function.configuration().await?;
    let new = upload(function, package, before.as_ref(), args).await?;
    if new == old {
        print_line(format_args!("{}: nothing has changed: version {new} runs already", function.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    function.tag(SHADOW, Some(&new)).await?;
    progress(args, &format!("version {new} runs copies of the batches of version {old}, for {}", args.watch));
    tokio::select! {
        biased;
        () = signals.drain_requested() => {}
        () = tokio::time::sleep(args.watch.0) => {}
    }
    let found = counted(function, args).await;
    function.tag(SHADOW, None).await?;
    let found = found?.get("shadow").cloned().unwrap_or_default();
    if args.target.json {
        let mut shown = found.clone();
        shown["function"] = function.name.clone().into();
        shown["old"] = old.into();
        print_line(&shown)?;
    } else {
        print(function, &old, &new, &found)?;
    }
    let is_same = found["different"].as_u64() == Some(0) && found["batches"].as_u64().unwrap_or(0) > 0;
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(function: &Function, old: &str, new: &str, found: &Value) -> Result<(), CliError> {
    let number = |name: &str| found[name].as_u64().unwrap_or(0);
    let (name, batches, different) = (&function.name, number("batches"), number("different"));
    let passed_over = match number("passed_over") {
        0 => String::new(),
        count => format!("; {count} batches more had no copy, as there was no room for one"),
    };
    if batches == 0 {
        return print_line(format_args!("{name}: no batch came to compare version {new} with{passed_over}"));
    }
    print_line(format_args!(
        "{name}: version {new} judges {different} of {} records in {batches} batches otherwise than version {old}{passed_over}",
        number("records")
    ))?;
    let latest = found.get("latest").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !latest.is_empty() {
        print_line(format_args!("{:36}  {:28}  VERSION {new}", "MESSAGE", format!("VERSION {old}")))?;
    }
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    for one in latest.iter().rev().take(ROWS) {
        let (message, verdict, shadow) = (text(one, "message_id"), text(one, "verdict"), text(one, "shadow"));
        print_line(format_args!("{message:36}  {verdict:28}  {shadow}"))?;
    }
    print_line(format_args!(
        "{name}: {old} still runs; deploy again without --shadow, or with --canary, to go on with {new}"
    ))
}
