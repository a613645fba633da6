//! `wasmill dev`: a queue, a mapping and a handler in one process, and the handler anew whenever its files change.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use wasmill_event::Verdict;
use wasmill_mapping::{BatchReport, Observer, RecordReport};

use crate::args::DevArgs;
use crate::assemble::{self, Worker};
use crate::commands::print_line;
use crate::commands::run::until_told;
use crate::config::{
    self, Config, Durability, FunctionSpec, LocalQueue, MappingSource, MappingSpec, QueueSpec, RedriveSpec, Runtime,
    Sandbox,
};
use crate::error::CliError;
use crate::shutdown::Signals;

/// After so many receives a message goes to the dead-letter queue.
const MAX_RECEIVE_COUNT: u32 = 3;
/// At least this long a failed message stays away; longer when the function may run longer.
const VISIBILITY_SECONDS_MIN: u32 = 10;
/// An editor saves in several steps: what follows within this time belongs to the same change.
const SETTLE: Duration = Duration::from_millis(40);
/// Records of a batch that are shown.
const SHOWN: usize = 10;

/// Runs until a signal says otherwise.
pub(crate) async fn dev(args: DevArgs) -> Result<ExitCode, CliError> {
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    let (name, config) = config_of(&args)?;
    if let Some(folder) = &args.save_events {
        std::fs::create_dir_all(folder).map_err(|error| {
            CliError::unavailable(format!("the folder cannot be made: {error}")).at(folder.display().to_string())
        })?;
    }
    // Before anything is loaded: a change from here on is not missed.
    let (_watcher, mut changes) = watch(&args.handler)?;
    let prepared = assemble::prepare(config.clone()).await?;
    let worker = assemble::start(prepared, &Observer::new(show)).await?;
    if let (Some(folder), Some(live)) = (&args.save_events, worker.live(&name)) {
        live.save_events(folder);
    }
    introduce(&args.handler, &name, &worker)?;
    let grace = config.drain_grace;
    let reloading = async {
        while changes.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            while changes.try_recv().is_ok() {}
            reload(&worker, &config, &name).await;
        }
    };
    tokio::select! {
        biased;
        () = signals.drain_requested() => {}
        () = reloading => {}
    }
    Ok(until_told(worker, &signals, grace).await)
}

/// What a config file would say.
fn config_of(args: &DevArgs) -> Result<(String, Config), CliError> {
    let stem = args.handler.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(60).collect();
    let queue = args.queue.clone().unwrap_or_else(|| name.clone());
    let queue_base = queue.strip_suffix(".fifo").unwrap_or(&queue);
    let suffix = if queue.ends_with(".fifo") { ".fifo" } else { "" };
    let dead_letters = format!("{queue_base}-dlq{suffix}");
    let local = LocalQueue {
        listen: args.listen,
        data_dir: Some(args.data_dir.clone()),
        durability: Durability::Os,
        allowed_origins: Vec::new(),
        blocks_deleted_names: false,
    };
    let base = Config::of_queue(local, args.admin_listen);
    let runtime = Runtime::of_file(&args.handler);
    let path = std::path::absolute(&args.handler)
        .map_err(|error| CliError::usage(format!("{} is no path: {error}", args.handler.display())))?;
    let mut function = FunctionSpec::new(&name, path.clone());
    function.runtime = runtime;
    function.handler =
        args.function.as_ref().map_or_else(|| runtime.usual_handler(&path), |function| format!("{stem}.{function}"));
    function.timeout = Duration::from_secs(u64::from(args.timeout));
    function.memory_size_mib = args.memory;
    function.ephemeral_storage_mib = args.tmp;
    function.environment.0.extend(args.env.iter().cloned());
    function.outbound.hosts.origins.clone_from(&args.allow_host);
    function.reuse = (runtime != Runtime::Wasm).then(Default::default);
    let redrive = RedriveSpec {
        dead_letter_target_arn: base.queue_arn(&dead_letters),
        dead_letter_queue: dead_letters.clone(),
        max_receive_count: MAX_RECEIVE_COUNT,
    };
    let visibility = VISIBILITY_SECONDS_MIN.max(args.timeout);
    let main =
        QueueSpec { visibility_timeout_seconds: Some(visibility), redrive: Some(redrive), ..QueueSpec::new(&queue) };
    let source = MappingSource::Local { queue_name: queue };
    let mapping = MappingSpec::new("event_source_mapping[0]", source, name.clone());
    let config = Config {
        queues: vec![main, QueueSpec::new(&dead_letters)],
        sandbox: Sandbox::for_permits(function.reserved_concurrent_executions),
        functions: vec![function],
        mappings: vec![mapping],
        cache_dir: config::default_cache_dir(&crate::process_env),
        runtimes_dirs: config::runtimes_dirs(None, &crate::process_env),
        ..base
    };
    Ok((name, config))
}

fn introduce(handler: &Path, name: &str, worker: &Worker) -> Result<(), CliError> {
    let Some(broker) = &worker.broker else { return Err(CliError::internal("there is no queue")) };
    let queues = broker.queue_names("");
    print_line(format_args!("wasmill dev: {} is function {name}; queues: {}", handler.display(), queues.join(", ")))?;
    let of_handler = queues.iter().find(|queue| !queue.contains("-dlq")).map_or(name, String::as_str);
    if let Some(sqs) = worker.sqs_address {
        let endpoint = if sqs == SocketAddr::from(([127, 0, 0, 1], 9324)) {
            String::new()
        } else {
            format!(" --endpoint-url http://{sqs}")
        };
        print_line(format_args!("  send it something   wasmill queue send {of_handler} '{{\"id\":1}}'{endpoint}"))?;
        print_line(format_args!("  from any SDK        endpoint http://{sqs}, any credentials"))?;
    }
    print_line(format_args!("  metrics, health     http://{}", worker.admin_address))?;
    print_line("  it is loaded anew when its files change; Ctrl-C ends it\n")
}

/// Watches the folder of the handler. The watcher must be kept.
fn watch(handler: &Path) -> Result<(notify::RecommendedWatcher, mpsc::UnboundedReceiver<()>), CliError> {
    let (tell, changes) = mpsc::unbounded_channel();
    let folder = handler.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: notify::Error| {
        CliError::unavailable(format!("changes cannot be watched: {error}"))
            .at(folder.display().to_string())
            .with_mend("check that the handler's folder is there, and fs.inotify.max_user_watches")
    };
    let root = folder.canonicalize().map_err(|error| failed(notify::Error::io(error)))?;
    let part =
        Part { root: root.clone(), runtime: Runtime::of_file(handler), file: handler.file_name().map(Into::into) };
    let mode = if part.runtime == Runtime::Wasm { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() && event.paths.iter().any(|path| part.has(path)) {
            // Nobody listens any more when the process ends.
            let _ = tell.send(());
        }
    })
    .map_err(failed)?;
    watcher.watch(&root, mode).map_err(failed)?;
    Ok((watcher, changes))
}

/// What belongs to a handler: the module, or the code in its folder and below. Not the queue's files, not a log, not what an
/// editor or an interpreter keeps there.
struct Part {
    root: PathBuf,
    runtime: Runtime,
    file: Option<OsString>,
}

impl Part {
    fn has(&self, path: &Path) -> bool {
        if self.runtime == Runtime::Wasm {
            return path.file_name() == self.file.as_deref();
        }
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let is_hidden = below.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part.starts_with('.') || part == "__pycache__" || part == "node_modules"
        });
        !is_hidden && (Runtime::of_file(path) == self.runtime || path.ends_with("package.json"))
    }
}

/// Loads the handler anew. One that cannot be loaded changes nothing.
async fn reload(worker: &Worker, config: &Config, name: &str) {
    let begun = std::time::Instant::now();
    let said = match worker.reload_function(config, name).await {
        Ok(()) => format!("-- {name} loaded anew in {} ms", begun.elapsed().as_millis()),
        Err(error) => format!("-- {name} stays as it was: {error}"),
    };
    // A reader that went away is noticed at the next signal.
    let _ = print_line(said);
}

/// One batch on the developer's screen.
fn show(report: &BatchReport) {
    let mut text = format!(
        "batch of {} in {:.1} ms  (request {})",
        report.records.len(),
        report.duration.as_secs_f64() * 1e3,
        report.request_id
    );
    if let Some(fault) = &report.fault {
        let _ = write!(text, "\n  failed  {fault}");
    }
    for record in report.records.iter().take(SHOWN) {
        let _ = write!(text, "\n  {}  {}", record.message_id, verdict(record));
    }
    if report.records.len() > SHOWN {
        let _ = write!(text, "\n  … and {} more", report.records.len() - SHOWN);
    }
    let _ = print_line(text);
}

fn verdict(record: &RecordReport) -> String {
    let delivery = record.receive_count;
    match &record.verdict {
        Verdict::Done => "done".to_owned(),
        Verdict::Retry { after_seconds: None } => format!("comes back (delivery {delivery} of {MAX_RECEIVE_COUNT})"),
        Verdict::Retry { after_seconds: Some(seconds) } => format!("comes back in {seconds} s (delivery {delivery})"),
        Verdict::DeadLetter { reason } => format!("dead letter: {reason}"),
        Verdict::Release => "given back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_a_change_of_the_handler() {
        let root = PathBuf::from("/home/a/.hidden/app");
        let of = |runtime, file: &str| Part { root: root.clone(), runtime, file: Some(file.into()) };
        let (python, wasm) = (of(Runtime::Python, "handler.py"), of(Runtime::Wasm, "h.wasm"));
        for (path, counts) in [
            ("handler.py", true),
            ("lib/util.py", true),
            (".wasmill/queue.sqlite-wal", false),
            ("__pycache__/handler.cpython-314.pyc", false),
            ("node_modules/x/setup.py", false),
            (".handler.py.swp", false),
            ("handler.py~", false),
            ("out.log", false),
        ] {
            assert_eq!(python.has(&root.join(path)), counts, "{path}");
        }
        assert!(wasm.has(&root.join("h.wasm")) && !wasm.has(&root.join("other.wasm")));
        assert!(of(Runtime::Js, "h.mjs").has(&root.join("package.json")));
    }
}
