//! `wasmill deploy`: code to a running worker, through Lambda's API. What ran before runs on until the new code is compiled
//! and checked, and where it cannot run, for good.

mod canary;
mod function;
mod package;
mod shadow;

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use self::package::Package;
use crate::args::DeployArgs;
use crate::commands::{print_line, print_note};
use crate::error::CliError;

pub(super) use self::function::{Alias, Function, number};

/// The alias that canaries go through, and that a deploy moves where it is there.
pub(super) const LIVE: &str = "live";

/// Deploys, and says what came of it.
pub(crate) async fn deploy(args: DeployArgs) -> Result<ExitCode, CliError> {
    let function = Function::new(&args.target.endpoint_url, &args.function).await?;
    let package = pack(&args).await?;
    let before = function.configuration().await?;
    match (&before, args.canary, args.shadow) {
        (Some(_), Some(percent), _) => canary::canary(&function, &package, &args, percent).await,
        (Some(_), None, true) => shadow::shadow(&function, &package, &args).await,
        (None, Some(_), _) | (None, _, true) => {
            Err(CliError::usage("there is nothing to compare with: the function is not there yet")
                .at(format!("function {}", args.function))
                .with_mend("deploy it once without --canary and --shadow"))
        }
        (_, None, false) => plain(&function, &package, before.as_ref(), &args).await,
    }
}

async fn pack(args: &DeployArgs) -> Result<Package, CliError> {
    let (file, runtime, handler) = (args.file.clone(), args.runtime.clone(), args.handler.clone());
    tokio::task::spawn_blocking(move || package::pack(&file, runtime.as_deref(), handler.as_deref()))
        .await
        .map_err(|error| CliError::internal(format!("packing ended unexpectedly: {error}")))?
}

/// New code at once for everything that calls the function.
async fn plain(
    function: &Function,
    package: &Package,
    before: Option<&Value>,
    args: &DeployArgs,
) -> Result<ExitCode, CliError> {
    let version = upload(function, package, before, args).await?;
    let named = args.alias.as_deref().unwrap_or(LIVE);
    let alias = function.alias(named).await?;
    let previous = alias.as_ref().map(|alias| alias.version.clone());
    let is_led = match (&alias, &args.alias) {
        (Some(_), _) => {
            function.lead_alias(named, &version, None).await?;
            true
        }
        (None, Some(name)) => {
            function.create_alias(name, &version).await?;
            true
        }
        (None, None) => false,
    };
    let alias = is_led.then_some(named);
    if args.target.json {
        print_line(json!({
            "function": function.name, "version": version, "alias": alias, "previous": previous, "outcome": "live",
        }))?;
    } else {
        let through = alias.map(|alias| format!(", and {alias} leads to it")).unwrap_or_default();
        print_line(format_args!("{}: version {version} is live{through}", function.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads code, waits until it is compiled and has been found to be a handler, and publishes it.
async fn upload(
    function: &Function,
    package: &Package,
    before: Option<&Value>,
    args: &DeployArgs,
) -> Result<String, CliError> {
    let Package { bytes, runtime, handler } = package;
    progress(args, &format!("uploading {} KB", bytes.len().div_ceil(1000)));
    let wanted = settings(args, runtime.as_deref(), handler.as_deref());
    match before {
        None => {
            if runtime.is_none() {
                return Err(CliError::usage("what the archive is written in is not said")
                    .at(args.file.display())
                    .with_mend(
                        "give --runtime python3.14, nodejs24.x or provided.al2023, and --handler FILE.FUNCTION",
                    ));
            }
            function.create(bytes, wanted).await?;
        }
        Some(before) => function.update_code(bytes, changed(before, wanted)).await?,
    }
    progress(args, "uploaded, compiling");
    function.settled().await?;
    let version = function.publish().await?;
    function.note_deployed(&version).await?;
    progress(args, &format!("compiled: version {version}"));
    Ok(version)
}

/// What of the function is asked for, by Lambda's names.
fn settings(args: &DeployArgs, runtime: Option<&str>, handler: Option<&str>) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    set("Runtime", runtime.map(|runtime| json!(runtime)));
    set("Handler", handler.map(|handler| json!(handler)));
    set("Timeout", args.timeout.map(|seconds| json!(seconds)));
    set("MemorySize", args.memory.map(|mib| json!(mib)));
    let variables: Map<String, Value> = args.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    set("Environment", (!variables.is_empty()).then(|| json!({"Variables": variables})));
    settings
}

/// What of it is not so already. A module needs no other runtime than the function has: what it is it says itself.
fn changed(before: &Value, wanted: Map<String, Value>) -> Map<String, Value> {
    let is_of_one_kind = |one: &str, other: &str| {
        ["python", "nodejs", "provided"].iter().any(|kind| one.starts_with(kind) && other.starts_with(kind))
    };
    let is_news = |name: &str, value: &Value| match (name, &before[name], value) {
        ("Runtime", Value::String(before), Value::String(wanted)) => !is_of_one_kind(before, wanted),
        ("Handler", _, Value::String(wanted)) if wanted == "bootstrap" => false,
        (_, before, wanted) => before != wanted,
    };
    wanted.into_iter().filter(|(name, value)| is_news(name, value)).collect()
}

/// Prepares for two versions beside each other: an alias that leads to what runs now, and the mappings on it. Gives the
/// alias and its version.
async fn stand_beside(function: &Function, args: &DeployArgs) -> Result<(String, String), CliError> {
    let name = args.alias.clone().unwrap_or_else(|| LIVE.to_owned());
    let version = match function.alias(&name).await? {
        Some(Alias { is_weighted: true, .. }) => {
            return Err(CliError::failure(format!(
                "alias {name} leads to two versions already: a canary is under way"
            ))
            .at(format!("function {}", function.name))
            .with_mend("wait for it, or take the weights away with `wasmill rollback`"));
        }
        Some(Alias { version, .. }) => version,
        None => {
            let version = function.publish().await?;
            function.create_alias(&name, &version).await?;
            print_note(format_args!("what runs now is version {version}, and alias {name} leads to it"));
            version
        }
    };
    let moved = function.move_mappings(&name).await?;
    if moved > 0 {
        let them = if moved == 1 { "1 mapping goes" } else { "the mappings go" };
        print_note(format_args!("{them} to {}:{name} now, so that versions can share the batches", function.name));
    }
    Ok((name, version))
}

/// Tells a person how far it is.
fn progress(args: &DeployArgs, what: &str) {
    if !args.target.json {
        print_note(format_args!("{}: {what}", args.function));
    }
}
