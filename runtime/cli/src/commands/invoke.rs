//! `wasmill invoke`: one invocation of a handler, without a queue and without a config.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tower::ServiceExt;
use wasmill_event::{Account, Invocation, Payload, Reply, Verdict};
use wasmill_sandbox::{EngineConfig, FunctionKind, FunctionSpec, Metrics, Sandbox};

use crate::args::InvokeArgs;
use crate::commands::print_line;
use crate::config;
use crate::error::CliError;
use crate::event_file;
use crate::interpreters::{self, Places, UserCode};
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
    let (runtime, usual) = config::Runtime::of_code(&args.handler);
    let cache_dir = config::default_cache_dir(&crate::process_env);
    let places = Places::new(config::runtimes_dirs(None, &crate::process_env), cache_dir.as_deref());
    let made = interpreters::check_storage(runtime, args.tmp)
        .and_then(|()| {
            let code = UserCode { runtime, path: &args.handler, handler: &usual, is_sent: false };
            interpreters::prepare(code, args.env, &places)
        })
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
    let engine = EngineConfig { max_instances: INSTANCES, cache_dir, ..EngineConfig::default() };
    let metrics = Metrics::new(&telemetry::registry()?).map_err(|error| CliError::internal(error.to_string()))?;
    let sandbox = Sandbox::new(engine, metrics).map_err(|error| CliError::unavailable(error.to_string()))?;
    let loading = sandbox.clone();
    let function = tokio::task::spawn_blocking(move || loading.load(spec))
        .await
        .map_err(|error| CliError::internal(error.to_string()))?
        .map_err(|error| CliError::config(error.to_string()))?;
    let payload = payload_of(event, function.kind(), &args.event)?;
    let request_id = uuid::Uuid::new_v4().to_string();
    let invocation = Invocation { request_id, payload, trace_id: None, trace: None, account: Account::default() };
    let answer = function.oneshot(invocation).await;
    sandbox.close();
    match answer {
        Ok(Reply::Json(response)) => print_line(response).map(|()| ExitCode::SUCCESS),
        Ok(Reply::Verdicts(verdicts)) => print_line(as_json(&verdicts)).map(|()| ExitCode::SUCCESS),
        Err(fault) => Err(CliError::failure(format!("the invocation failed: {fault}"))),
    }
}

/// What the handler takes: the event as it was written, or its messages.
fn payload_of(event: String, kind: FunctionKind, path: &Path) -> Result<Payload, CliError> {
    if kind != FunctionKind::Messages {
        return Ok(Payload::Json(event));
    }
    let value = serde_json::from_str(&event).map_err(|error| CliError::internal(error.to_string()))?;
    let records =
        event_file::records(&value).map_err(|what| CliError::usage(what).at(format!("--event {}", path.display())))?;
    Ok(Payload::Batch { records: Arc::new(records), windowed: false })
}

/// A typed handler's verdicts, one per message, in order.
fn as_json(verdicts: &[Verdict]) -> Value {
    let verdicts: Vec<Value> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Done => json!("done"),
            Verdict::Retry { after_seconds: None } => json!("retry"),
            Verdict::Retry { after_seconds: Some(seconds) } => json!({"retry": seconds}),
            Verdict::DeadLetter { reason } => json!({"deadLetter": reason}),
            Verdict::Release => json!("release"),
        })
        .collect();
    json!({"verdicts": verdicts})
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
    serde_json::from_str::<Value>(&text).map_err(|error| failed(format!("the event is not JSON: {error}")))?;
    Ok(text)
}
