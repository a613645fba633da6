//! `wasmill rollback`: a function as it was one version ago, or at another one.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::args::RollbackArgs;
use crate::commands::deploy::{Alias, Function, LIVE, number};
use crate::commands::print_line;
use crate::error::CliError;

/// What makes a version run as it did, besides its code.
const SETTINGS: [&str; 6] = ["Runtime", "Handler", "Timeout", "MemorySize", "EphemeralStorage", "Environment"];

/// Steps back, and says to what.
pub(crate) async fn rollback(args: RollbackArgs) -> Result<ExitCode, CliError> {
    let function = Function::new(&args.target.endpoint_url, &args.function).await?;
    let at = || format!("function {}", args.function);
    let latest = function.configuration().await?;
    let latest = latest.ok_or_else(|| CliError::unavailable("there is no such function").at(at()))?;
    let versions = function.versions().await?;
    let named = args.alias.as_deref().unwrap_or(LIVE);
    let alias = function.alias(named).await?;
    if alias.is_none() && args.alias.is_some() {
        return Err(CliError::unavailable(format!("there is no alias {named}")).at(at()));
    }
    let now = match &alias {
        Some(alias) => alias.version.parse().ok(),
        None => current(&function, &latest, &versions).await?,
    };
    // A canary that is under way is what is stepped back from.
    let is_canary = alias.as_ref().is_some_and(|alias| alias.is_weighted);
    let target = match (args.to, now) {
        (Some(to), _) => versions.iter().find(|version| number(version) == to),
        (None, Some(now)) if is_canary => versions.iter().find(|version| number(version) == now),
        (None, Some(now)) => versions.iter().rev().find(|version| number(version) < now),
        // What runs was never published: the last that was is the step back.
        (None, None) => versions.last(),
    };
    let target = target.ok_or_else(|| {
        let missing = match (args.to, now) {
            (Some(to), _) => format!("no version {to}"),
            (None, Some(now)) => format!("no version before {now}"),
            (None, None) => "no version to go back to".to_owned(),
        };
        CliError::unavailable(format!("there is {missing}: {}", published(&versions))).at(at())
    })?;
    let version = number(target).to_string();
    match &alias {
        Some(Alias { .. }) => function.lead_alias(named, &version, None).await?,
        None => restore(&function, &latest, target, &version).await?,
    }
    let alias = alias.map(|_| named);
    let from = now.map(|now| now.to_string());
    if args.target.json {
        print_line(json!({"function": args.function, "version": version, "from": from, "alias": alias}))?;
    } else {
        let from = from.map_or_else(|| "what was not published".to_owned(), |from| format!("version {from}"));
        let how = match alias {
            Some(alias) => format!("alias {alias} leads to version {version} again"),
            None => format!("$LATEST is version {version} again"),
        };
        print_line(format_args!("{}: rolled back from {from}: {how}", args.function))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which versions there are.
fn published(versions: &[Value]) -> String {
    let numbers: Vec<String> = versions.iter().map(|version| number(version).to_string()).collect();
    match &numbers[..] {
        [] => "none is published".to_owned(),
        [only] => format!("{only} is the only one"),
        numbers => format!("published are {}", numbers.join(", ")),
    }
}

/// The version that `$LATEST` is: the one that was noted, if that is true, else the newest of that code.
async fn current(function: &Function, latest: &Value, versions: &[Value]) -> Result<Option<u64>, CliError> {
    let noted = function.noted().await?.and_then(|noted| noted.parse().ok());
    let is_latest = |version: &&Value| {
        version["CodeSha256"] == latest["CodeSha256"] && SETTINGS.iter().all(|name| version[*name] == latest[*name])
    };
    let mut same = versions.iter().filter(is_latest).map(number);
    Ok(same.clone().find(|one| Some(*one) == noted).or_else(|| same.next_back()))
}

/// Makes `$LATEST` what a version was.
async fn restore(function: &Function, latest: &Value, target: &Value, version: &str) -> Result<(), CliError> {
    let code = function.code_of(version).await?;
    let mut settings: Map<String, Value> = SETTINGS
        .iter()
        .filter(|name| target[**name] != latest[**name] && !target[**name].is_null())
        .map(|name| ((*name).to_owned(), target[*name].clone()))
        .collect();
    if target["Environment"].is_null() && !latest["Environment"].is_null() {
        settings.insert("Environment".to_owned(), json!({"Variables": {}}));
    }
    function.update_code(&code, settings).await?;
    function.settled().await?;
    function.note_deployed(version).await
}
