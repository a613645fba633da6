//! `wasmill invoke`: one invocation of a handler, without a queue and without a config.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tower::ServiceExt;
use wasmill_event::{Invocation, Payload, Reply};
use wasmill_sandbox::{EngineConfig, FunctionSpec, Metrics, Sandbox};

use crate::args::InvokeArgs;
use crate::commands::print_line;
use crate::config;
use crate::error::CliError;
use crate::interpreters;
use crate::telemetry;

/// One instance is called; with several memories or many tables it takes several of the engine's places.
const INSTANCES: u32 = 16;
/// Lambda's own limit for an event.
const EVENT_BYTES_MAX: u64 = 6 << 20;

/// Calls the handler once; its response goes to stdout, its log to stderr.
pub(crate) async fn invoke(args: InvokeArgs) -> Result<ExitCode, CliError> {
    let event = read_event(&args.event)?;
    let name =
        args.handler.file_stem().map_or_else(|| "handler".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let runtime = config::Runtime::of_file(&args.handler);
    let usual = runtime.usual_handler(&args.handler);
    let dirs = config::runtimes_dirs(None, &crate::process_env);
    let made = interpreters::check_storage(runtime, args.tmp)
        .and_then(|()| interpreters::prepare(runtime, &args.handler, &usual, args.env, &dirs))
        .map_err(|unfit| CliError::config(unfit.what).with_mend(unfit.mend))?;
    let spec = FunctionSpec {
        timeout: Duration::from_secs(u64::from(args.timeout)),
        memory_mib: args.memory,
        environment: made.environment,
        mounts: made.mounts,
        ephemeral_storage_mib: args.tmp,
        script: made.script,
        ..FunctionSpec::new(&name, made.code)
    };
    let engine = EngineConfig {
        max_instances: INSTANCES,
        cache_dir: config::default_cache_dir(&crate::process_env),
        ..EngineConfig::default()
    };
    let metrics = Metrics::new(&telemetry::registry()?).map_err(|error| CliError::internal(error.to_string()))?;
    let sandbox = Sandbox::new(engine, metrics).map_err(|error| CliError::unavailable(error.to_string()))?;
    let function = tokio::task::spawn_blocking(move || sandbox.load(spec))
        .await
        .map_err(|error| CliError::internal(error.to_string()))?
        .map_err(|error| CliError::config(error.to_string()))?;
    let request_id = uuid::Uuid::new_v4().to_string();
    let invocation = Invocation { request_id, payload: Payload::Json(event), trace_id: None };
    match function.oneshot(invocation).await {
        Ok(Reply::Json(response)) => print_line(response).map(|()| ExitCode::SUCCESS),
        Ok(Reply::Verdicts(verdicts)) => print_line(format_args!("{verdicts:?}")).map(|()| ExitCode::SUCCESS),
        Err(fault) => Err(CliError::failure(format!("the invocation failed: {fault}"))),
    }
}

fn read_event(path: &Path) -> Result<String, CliError> {
    let failed = |what: String| CliError::usage(what).at(format!("--event {}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(EVENT_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(EVENT_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| failed(format!("the event cannot be read: {error}")))?;
    if text.len() as u64 > EVENT_BYTES_MAX {
        return Err(failed(format!("the event is longer than {EVENT_BYTES_MAX} bytes, the limit of an invocation")));
    }
    // The handler gets the text as it is: parsing only finds a mistake before the handler does.
    serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|error| failed(format!("the event is not JSON: {error}")))?;
    Ok(text)
}
