//! `wasmill dev`: a queue, mappings and handlers in one process, and a handler anew whenever its files change.
//!
//! What runs is a handler that was named, with a queue of its own, or all of a config or of a template.

mod screen;
mod source;
mod watch;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use wasmill_mapping::Observer;
use wasmill_queue::ChaosOptions;

use self::screen::Frame;
use self::source::Source;
use self::watch::Change;
use crate::args::DevArgs;
use crate::assemble::{self, Prepared, Worker};
use crate::commands::print_line;
use crate::commands::run::until_told;
use crate::config::{
    self, Config, DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, Durability, FunctionSpec, LocalQueue, MappingSource,
    MappingSpec, QueueSpec, RedriveSpec, Runtime, Sandbox, Trial,
};
use crate::error::CliError;
use crate::import;
use crate::shutdown::Signals;

/// After so many receives a message goes to the dead-letter queue.
const MAX_RECEIVE_COUNT: u32 = 3;
/// At least this long a failed message stays away; longer when the function may run longer.
const VISIBILITY_SECONDS_MIN: u32 = 10;
/// An editor saves in several steps: what follows within this time belongs to the same change.
const SETTLE: Duration = Duration::from_millis(40);
/// The config of a project, as `wasmill new` makes it.
const PROJECT_CONFIG: &str = "wasmill.toml";

/// Runs until a signal says otherwise.
pub(crate) async fn dev(args: DevArgs) -> Result<ExitCode, CliError> {
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    if let Some(folder) = &args.save_events {
        std::fs::create_dir_all(folder).map_err(|error| {
            CliError::unavailable(format!("the folder cannot be made: {error}")).at(folder.display().to_string())
        })?;
    }
    let (mut prepared, source, frame) = prepare(&args).await?;
    put_on_trial(&mut prepared.config, args.trial.trial())?;
    let mut config = prepared.config.clone();
    // Before anything polls: a change from here on is not missed.
    let mut changes = watch::watch(&config.functions, source.as_ref().map(Source::file))?;
    // A reader that went away is noticed at the next signal.
    let show = Observer::new(move |report| drop(print_line(frame.render(report))));
    let worker = assemble::start(prepared, &show).await?;
    for function in &config.functions {
        if let Some(folder) = &args.save_events {
            worker.functions().save_events(&function.name, folder);
        }
    }
    introduce(&config, &worker)?;
    let grace = config.drain_grace;
    let reloading = async {
        while let Some(first) = changes.next.recv().await {
            tokio::time::sleep(SETTLE).await;
            let mut changed = BTreeSet::from([first]);
            while let Ok(next) = changes.next.try_recv() {
                changed.insert(next);
            }
            for change in changed {
                let said = match change {
                    Change::Function(name) => reload(&worker, &config, &name).await,
                    Change::Config => match &source {
                        Some(source) => reload_config(&worker, source, &mut config).await,
                        None => continue,
                    },
                };
                drop(print_line(said));
            }
        }
    };
    tokio::select! {
        biased;
        () = signals.drain_requested() => {}
        () = reloading => {}
    }
    Ok(until_told(worker, &signals, grace).await)
}

/// What is to run: the handler or the template that was named, or a config, or the config that lies here.
async fn prepare(args: &DevArgs) -> Result<(Prepared, Option<Source>, Frame), CliError> {
    let here = Path::new(PROJECT_CONFIG);
    let source = match (&args.handler, &args.config) {
        (Some(template), _) if import::is_template(template) => Source::template(args, template)?,
        (Some(handler), _) => {
            if !args.parameter.is_empty() {
                return Err(CliError::usage("--parameter is for a template, and a handler has none")
                    .at(handler.display())
                    .with_mend("name a template (.yaml, .yml, .json), or give the handler a variable with --env"));
            }
            let prepared = assemble::prepare(config_of(args, handler)?).await?;
            log_warnings(&prepared);
            return Ok((prepared, None, Frame { names_mapping: false, max_receive_count: Some(MAX_RECEIVE_COUNT) }));
        }
        (None, Some(file)) => Source::File(file.clone()),
        (None, None) if here.is_file() => Source::File(here.to_owned()),
        (None, None) => {
            return Err(CliError::usage(format!(
                "there is nothing to run: no handler is named, and no {PROJECT_CONFIG} is here"
            ))
            .with_mend("name a handler, such as handler.py, a template.yaml, or a config with --config"));
        }
    };
    let prepared = assemble::prepare_draft(source.read(true)?).await??;
    log_warnings(&prepared);
    let frame = Frame { names_mapping: prepared.config.mappings.len() > 1, max_receive_count: None };
    Ok((prepared, Some(source), frame))
}

fn log_warnings(prepared: &Prepared) {
    for warning in &prepared.config.warnings {
        tracing::warn!(key = warning.key, mend = warning.mend, "{}", warning.what);
    }
}

/// Time control and faults are the built-in queue's, in whatever config it stands.
fn put_on_trial(config: &mut Config, trial: Trial) -> Result<(), CliError> {
    if trial == Trial::default() {
        return Ok(());
    }
    let Some(local) = &mut config.local_queue else {
        let what = "--time-control and --chaos are for the built-in queue, and this config has none";
        return Err(CliError::usage(what).with_mend("add [local_queue] and a queue in it, or leave the flags out"));
    };
    local.trial = trial;
    let of_others = config.mappings.iter().filter(|mapping| matches!(mapping.source, MappingSource::Remote(_)));
    for mapping in of_others {
        tracing::warn!(
            mapping = mapping.key,
            "its queue is another service's: it keeps the real time and has no chaos"
        );
    }
    Ok(())
}

/// What a config file would say of a handler.
fn config_of(args: &DevArgs, handler: &Path) -> Result<Config, CliError> {
    let stem = handler.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
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
        trial: args.trial.trial(),
    };
    let base = Config::of_queue(local, args.admin_listen);
    let path = std::path::absolute(handler)
        .map_err(|error| CliError::usage(format!("{} is no path: {error}", handler.display())))?;
    let (runtime, usual) = Runtime::of_code(&path);
    let mut function = FunctionSpec::new(&name, path);
    function.runtime = runtime;
    function.handler = args.function.as_ref().map_or(usual, |function| format!("{stem}.{function}"));
    let timeout = args.timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
    function.timeout = Duration::from_secs(u64::from(timeout));
    function.memory_size_mib = args.memory.unwrap_or(DEFAULT_MEMORY_MIB);
    function.ephemeral_storage_mib = args.tmp;
    function.environment.0.extend(args.env.iter().cloned());
    function.outbound.hosts.origins.clone_from(&args.allow_host);
    function.reuse = (runtime != Runtime::Wasm).then(Default::default);
    let redrive = RedriveSpec {
        dead_letter_target_arn: base.queue_arn(&dead_letters),
        dead_letter_queue: dead_letters.clone(),
        max_receive_count: MAX_RECEIVE_COUNT,
    };
    let visibility = VISIBILITY_SECONDS_MIN.max(timeout);
    let main =
        QueueSpec { visibility_timeout_seconds: Some(visibility), redrive: Some(redrive), ..QueueSpec::new(&queue) };
    let source = MappingSource::Local { queue_name: queue };
    let mapping = MappingSpec::new("event_source_mapping[0]", source, name);
    let (traces, warnings) = config::traces_of(&crate::process_env)?;
    Ok(Config {
        queues: vec![main, QueueSpec::new(&dead_letters)],
        sandbox: Sandbox::for_permits(function.reserved_concurrent_executions),
        functions: vec![function],
        mappings: vec![mapping],
        traces,
        warnings,
        cache_dir: config::default_cache_dir(&crate::process_env),
        runtimes_dirs: config::runtimes_dirs(None, &crate::process_env),
        ..base
    })
}

fn introduce(config: &Config, worker: &Worker) -> Result<(), CliError> {
    for FunctionSpec { name, code, .. } in &config.functions {
        print_line(format_args!("wasmill dev: function {name} is {}", code.display()))?;
    }
    let first = config.mappings.iter().find_map(|mapping| match &mapping.source {
        MappingSource::Local { queue_name } => Some(queue_name.as_str()),
        _ => None,
    });
    if let Some(broker) = &worker.broker {
        print_line(format_args!("  queues              {}", broker.queue_names("").join(", ")))?;
    }
    if let (Some(sqs), Some(queue)) = (worker.sqs_address, first) {
        let endpoint = if sqs == SocketAddr::from(([127, 0, 0, 1], 9324)) {
            String::new()
        } else {
            format!(" --endpoint-url http://{sqs}")
        };
        print_line(format_args!("  send it something   wasmill queue send {queue} '{{\"id\":\"1\"}}'{endpoint}"))?;
        print_line(format_args!("  from any SDK        endpoint http://{sqs}, any credentials"))?;
    }
    print_line(format_args!("  metrics, health     http://{}", worker.admin_address))?;
    let trial = config.local_queue.as_ref().map(|local| local.trial).unwrap_or_default();
    if trial.time_control {
        let example = format!("curl -d '{{\"seconds\": 30}}' http://{}/api/time/advance", worker.admin_address);
        print_line(format_args!("  skip time           {example}"))?;
    }
    if let Some(ChaosOptions { seed, duplicate, reorder, lost_ack }) = trial.chaos {
        let [duplicate, reorder, lost_ack] = [duplicate, reorder, lost_ack].map(assemble::percent);
        let spec = format!("seed={seed},duplicate={duplicate},reorder={reorder},lost_ack={lost_ack}");
        print_line(format_args!("  chaos is on         --chaos {spec}"))?;
    }
    print_line("  it is loaded anew when its files change; Ctrl-C ends it\n")
}

/// Loads a handler anew. One that cannot be loaded changes nothing.
async fn reload(worker: &Worker, config: &Config, name: &str) -> String {
    let begun = std::time::Instant::now();
    match worker.reload_function(config, name).await {
        Ok(()) => format!("-- {name} loaded anew in {} ms", begun.elapsed().as_millis()),
        Err(error) => format!("-- {name} stays as it was: {error}"),
    }
}

/// Reads the config anew: its queues and mappings, and what it says of its functions' environment and bounds.
async fn reload_config(worker: &Worker, source: &Source, config: &mut Config) -> String {
    let read = source.read(false).and_then(|draft| Ok(draft.finish(Vec::new())?));
    let read = match read {
        Ok(read) => read,
        Err(error) => return format!("-- the config stays as it was: {error}"),
    };
    if let Err(error) = worker.reload(&read).await {
        return format!("-- the config stays as it was: {error}");
    }
    let (before, mut said) = (std::mem::replace(config, read), vec!["-- config loaded anew".to_owned()]);
    for function in &config.functions {
        let is_running = before.functions.iter().any(|known| known.name == function.name);
        said.push(if is_running {
            reload(worker, config, &function.name).await
        } else {
            format!("-- function {} is new: start dev again for it", function.name)
        });
    }
    said.join("\n")
}
