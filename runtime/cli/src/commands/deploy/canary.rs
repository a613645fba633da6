//! `--canary`: a share of the batches to the new version, then all of them or none, by what came of them.
//!
//! The numbers are the worker's own, by version. A version is judged by its records: one that fails every record of a batch
//! and one that names the failed ones are measured alike.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::package::Package;
use super::{Function, progress, stand_beside, upload};
use crate::args::DeployArgs;
use crate::commands::{admin_client, print_line};
use crate::error::CliError;
use crate::shutdown::Signals;

/// Fewer records of the new version say nothing.
const RECORDS_MIN: u64 = 20;
/// Before the time is over only a difference on so many counts.
const RECORDS_EARLY: u64 = 50;
/// Between two looks at the numbers.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Records of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    ok: u64,
    failed: u64,
}

impl Tally {
    fn records(self) -> u64 {
        self.ok + self.failed
    }

    /// The share of failed records, 0 to 1.
    fn failure_rate(self) -> f64 {
        if self.records() == 0 { 0.0 } else { self.failed as f64 / self.records() as f64 }
    }

    fn since(self, before: Self) -> Self {
        Self { ok: self.ok.saturating_sub(before.ok), failed: self.failed.saturating_sub(before.failed) }
    }

    fn in_words(self) -> String {
        format!("{} of {} records failed ({:.1} %)", self.failed, self.records(), self.failure_rate() * 100.0)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Wait,
    Promote,
    /// It is worse.
    Worse,
    /// Too little came to tell.
    TooFew,
}

/// Decides by what came of both. `is_over`: there will be no more.
fn decide(old: Tally, new: Tally, max_delta: f64, is_over: bool) -> Decision {
    let is_worse = new.failure_rate() - old.failure_rate() > max_delta;
    match is_over {
        false if is_worse && new.records() >= RECORDS_EARLY => Decision::Worse,
        false => Decision::Wait,
        true if new.records() < RECORDS_MIN => Decision::TooFew,
        true if is_worse => Decision::Worse,
        true => Decision::Promote,
    }
}

pub(super) async fn canary(
    function: &Function,
    package: &Package,
    args: &DeployArgs,
    percent: u32,
) -> Result<ExitCode, CliError> {
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    // Before anything changes: without its numbers there is no canary.
    counted(function, args).await?;
    let (alias, old) = stand_beside(function, args).await?;
    let before = function.configuration().await?;
    let new = upload(function, package, before.as_ref(), args).await?;
    if new == old {
        print_line(format_args!("{}: nothing has changed: version {new} runs already", function.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    function.lead_alias(&alias, &old, Some((&new, f64::from(percent) / 100.0))).await?;
    progress(args, &format!("{percent} % of the batches go to version {new}, the others to version {old}"));
    let watched = tokio::select! {
        biased;
        () = signals.drain_requested() => Err(CliError::failure("interrupted")),
        watched = watch(function, args, &old, &new) => watched,
    };
    let (decision, old_tally, new_tally) = match watched {
        Ok(watched) => watched,
        Err(error) => {
            function.lead_alias(&alias, &old, None).await?;
            return Err(CliError::failure(format!("rolled back to version {old}: {error}"))
                .at(format!("function {}", function.name)));
        }
    };
    let to = if decision == Decision::Promote { &new } else { &old };
    function.lead_alias(&alias, to, None).await?;
    let delta = (new_tally.failure_rate() - old_tally.failure_rate()) * 100.0;
    let numbers = format!(
        "version {new}: {}; version {old}: {}; a difference of {delta:.1} points, and {} are allowed",
        new_tally.in_words(),
        old_tally.in_words(),
        args.max_error_delta
    );
    let (outcome, why) = match decision {
        Decision::Promote => ("promoted", format!("version {new} is live: {numbers}")),
        Decision::TooFew => (
            "undecided",
            format!(
                "back to version {old}: too few records came to judge version {new}, {RECORDS_MIN} are needed: {numbers}"
            ),
        ),
        Decision::Worse | Decision::Wait => ("rolled back", format!("back to version {old}: {numbers}")),
    };
    if args.target.json {
        print_line(json!({
            "function": function.name, "alias": alias, "outcome": outcome, "version": to, "old": old, "new": new,
            "old_records": {"ok": old_tally.ok, "failed": old_tally.failed},
            "new_records": {"ok": new_tally.ok, "failed": new_tally.failed},
        }))?;
    } else {
        print_line(format_args!("{}: {outcome}: {why}", function.name))?;
    }
    Ok(if decision == Decision::Promote { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at the numbers until they decide, or the time is over.
async fn watch(
    function: &Function,
    args: &DeployArgs,
    old: &str,
    new: &str,
) -> Result<(Decision, Tally, Tally), CliError> {
    let of = |counted: &Value, version: &str| tally(counted, version);
    let first = counted(function, args).await?;
    let (old_before, new_before) = (of(&first, old), of(&first, new));
    let begun = Instant::now();
    let max_delta = f64::from(args.max_error_delta.0) / 100.0;
    loop {
        let left = args.promote_after.0.saturating_sub(begun.elapsed());
        tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        let now = counted(function, args).await?;
        let (old_now, new_now) = (of(&now, old).since(old_before), of(&now, new).since(new_before));
        let is_over = begun.elapsed() >= args.promote_after.0;
        match decide(old_now, new_now, max_delta, is_over) {
            Decision::Wait => {}
            decision => return Ok((decision, old_now, new_now)),
        }
    }
}

/// What the worker counted of a function.
pub(super) async fn counted(function: &Function, args: &DeployArgs) -> Result<Value, CliError> {
    let path = format!("/api/functions/{}", function.name);
    let (status, found) = admin_client::get(&args.admin_url, &path).await?;
    if status == StatusCode::OK {
        return Ok(found);
    }
    Err(CliError::unavailable(format!("the worker at {} knows no function {}", args.admin_url, function.name))
        .with_mend("give the --admin-url of the worker that --endpoint-url is of"))
}

fn tally(counted: &Value, version: &str) -> Tally {
    let versions = counted.get("versions").and_then(Value::as_array).into_iter().flatten();
    let records = versions.into_iter().find(|one| one["version"] == version).map(|one| &one["records"]);
    let number = |name: &str| records.and_then(|records| records[name].as_u64()).unwrap_or(0);
    Tally { ok: number("ok"), failed: number("failed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ok: u64, failed: u64) -> Tally {
        Tally { ok, failed }
    }

    #[test]
    fn a_version_that_is_worse_goes_early_once_there_is_enough_to_tell() {
        for (old, new, is_over, expected) in [
            (of(900, 0), of(100, 0), false, Decision::Wait),
            (of(900, 0), of(100, 0), true, Decision::Promote),
            (of(900, 0), of(49, 51), false, Decision::Worse),
            (of(900, 0), of(0, 49), false, Decision::Wait),
            (of(900, 0), of(0, 49), true, Decision::Worse),
            (of(900, 0), of(19, 0), true, Decision::TooFew),
            (of(0, 0), of(20, 0), true, Decision::Promote),
            // Both are as bad.
            (of(50, 50), of(51, 49), true, Decision::Promote),
            (of(980, 20), of(961, 39), true, Decision::Promote),
            (of(980, 20), of(959, 41), true, Decision::Worse),
        ] {
            assert_eq!(decide(old, new, 0.02, is_over), expected, "{old:?} {new:?} {is_over}");
        }
    }

    #[test]
    fn only_what_came_since_counts() {
        let counted = json!({"versions": [{"version": "2", "records": {"ok": 7, "failed": 3}}]});
        assert_eq!(tally(&counted, "2").since(of(5, 3)), of(2, 0));
        assert_eq!(tally(&counted, "3"), Tally::default());
        assert_eq!(of(1, 3).in_words(), "3 of 4 records failed (75.0 %)");
    }
}
