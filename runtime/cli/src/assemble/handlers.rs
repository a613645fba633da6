//! The engine and the handlers in it. `check` and `run` load them here, so both find the same mistakes.

use prometheus::Registry;
use wasmill_sandbox::{Function, FunctionSpec, Limits, LoadError, Metrics, Sandbox};

use crate::assemble::engine::LazyEngine;
use crate::assemble::metrics_twice;
use crate::config::{self, Config, Finding, INSTANCES_MAX, instances_for};
use crate::error::CliError;
use crate::functions::LATEST;
use crate::interpreters::{self, Places, Unfit, UserCode};

/// The loaded functions, and the engine that runs them.
pub(super) struct Handlers {
    pub(super) engine: LazyEngine,
    pub(super) functions: Vec<Loaded>,
}

/// A function that is ready to be called, and how many permits it has.
pub(super) struct Loaded {
    pub(super) function: Function,
    pub(super) permits: u32,
}

impl Loaded {
    /// How many of the engine's places it takes with all its permits in use.
    fn slots(&self) -> u64 {
        u64::from(self.permits) * u64::from(self.function.slots())
    }
}

/// Loads every handler of the config, and says what is wrong with the others. `is_whole`: the config has no mistakes, so
/// the sums over its functions mean something.
pub(super) async fn load(
    config: &Config,
    is_whole: bool,
    registry: &Registry,
) -> Result<(Handlers, Vec<Finding>), CliError> {
    let metrics = Metrics::new(registry).map_err(metrics_twice)?;
    let ceiling = config.sandbox.max_instances.min(INSTANCES_MAX);
    let (handlers, findings) = load_into(config, ceiling, &metrics).await?;
    if !is_whole || !findings.is_empty() {
        return Ok((handlers, findings));
    }
    let slots = handlers.functions.iter().map(Loaded::slots).sum();
    match ceiling_for(&config.sandbox, slots) {
        Ok(enough) if enough <= ceiling => Ok((handlers, findings)),
        // The engine's size is frozen. Loading again is cheap: what was compiled is in the cache.
        Ok(enough) => {
            drop(handlers);
            load_into(config, enough, &metrics).await
        }
        Err(finding) => Ok((handlers, vec![finding])),
    }
}

/// How large an engine must be for functions that may take so many slots at once: an instance with several memories or
/// many tables takes several. A size that the config wrote is a ceiling, and too small a one its mistake.
fn ceiling_for(sandbox: &config::Sandbox, slots: u64) -> Result<u32, Finding> {
    let origin = &sandbox.max_instances_origin;
    let fitting = u32::try_from(slots).ok().filter(|slots| *slots <= INSTANCES_MAX);
    match fitting {
        Some(slots) if slots <= sandbox.max_instances => Ok(sandbox.max_instances),
        Some(slots) if !sandbox.is_written => Ok(instances_for(slots).min(INSTANCES_MAX)),
        Some(slots) => {
            let what = format!(
                "{} is not enough: with all permits in use the functions take {slots} places, as an instance with \
                 several memories or many tables takes several",
                sandbox.max_instances
            );
            let mend = format!("write {slots} or more, or lower their reserved_concurrent_executions");
            Err(origin.finding(what, mend))
        }
        None => {
            let what = format!(
                "with all permits in use the functions take {slots} places, more than the {INSTANCES_MAX} instances of \
                 one process"
            );
            Err(origin.finding(what, "lower their reserved_concurrent_executions"))
        }
    }
}

async fn load_into(
    config: &Config,
    max_instances: u32,
    metrics: &Metrics,
) -> Result<(Handlers, Vec<Finding>), CliError> {
    let engine = LazyEngine::new(config, max_instances, metrics.clone());
    let mut functions = Vec::new();
    let mut findings = Vec::new();
    for spec in &config.functions {
        let wanted = match function_spec(config, spec, Provenance::CONFIG) {
            Ok(wanted) => wanted,
            Err(unfit) => {
                findings.push(spec.code_origin.finding(unfit.what, unfit.mend));
                continue;
            }
        };
        match load_beside(engine.get()?, wanted).await? {
            Ok(function) => functions.push(Loaded { function, permits: spec.reserved_concurrent_executions }),
            Err(error) => {
                let (what, mend) = what_and_mend(&error);
                findings.push(spec.code_origin.finding(what, mend));
            }
        }
    }
    Ok((Handlers { engine, functions }, findings))
}

/// Loads a function where blocking is allowed: it may compile for seconds.
pub(super) async fn load_beside(
    sandbox: Sandbox,
    wanted: FunctionSpec,
) -> Result<Result<Function, LoadError>, CliError> {
    tokio::task::spawn_blocking(move || sandbox.load(wanted))
        .await
        .map_err(|error| CliError::internal(format!("loading a handler ended unexpectedly: {error}")))
}

/// Loads a function again, as its files are now.
pub(super) async fn reload(
    engine: &LazyEngine,
    config: &Config,
    spec: &config::FunctionSpec,
) -> Result<Function, CliError> {
    let wanted = function_spec(config, spec, Provenance::CONFIG)
        .map_err(|unfit| CliError::config(unfit.what).with_mend(unfit.mend))?;
    load_beside(engine.get()?, wanted).await?.map_err(|error| {
        let (what, mend) = what_and_mend(&error);
        CliError::config(what).with_mend(mend)
    })
}

/// What is wrong and what to do about it. Where the error's own line ends in its mend, that is the mend.
pub(super) fn what_and_mend(error: &LoadError) -> (String, String) {
    let line = error.to_string();
    match (error, line.split_once("; ")) {
        (LoadError::MemoryTooSmall { needed_mib, .. }, _) => {
            let mend = format!("write memory_size = {needed_mib} or more");
            (line, mend)
        }
        (_, Some((what, mend))) => (what.to_owned(), mend.to_owned()),
        (_, None) => (line, "correct the function's code, or name another file".to_owned()),
    }
}

/// Where a function comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provenance<'a> {
    /// `$LATEST`, or the version's number.
    pub(super) version: &'a str,
    /// Somebody sent its code.
    pub(super) is_sent: bool,
}

impl Provenance<'static> {
    /// The config names it.
    const CONFIG: Self = Self { version: LATEST, is_sent: false };
}

/// The sandbox's view of a function.
pub(super) fn function_spec(
    config: &Config,
    spec: &config::FunctionSpec,
    provenance: Provenance<'_>,
) -> Result<FunctionSpec, Unfit> {
    let Provenance { version, is_sent } = provenance;
    interpreters::check_storage(spec.runtime, spec.ephemeral_storage_mib)?;
    let environment = spec.environment.0.clone().into_iter().collect();
    let places = Places::new(config.runtimes_dirs.clone(), config.cache_dir.as_deref());
    let code = UserCode { runtime: spec.runtime, path: &spec.code, handler: &spec.handler, is_sent };
    let made = interpreters::prepare(code, environment, &places)?;
    let qualifier = if version == LATEST { String::new() } else { format!(":{version}") };
    Ok(FunctionSpec {
        version: version.to_owned(),
        arn: format!("arn:aws:lambda:{}:{}:function:{}{qualifier}", config.region, config.account_id, spec.name),
        region: config.region.clone(),
        timeout: spec.timeout,
        memory_mib: spec.memory_size_mib,
        environment: made.environment,
        mounts: made.mounts,
        ephemeral_storage_mib: spec.ephemeral_storage_mib,
        script: made.script,
        outbound: spec.outbound.clone(),
        reuse: spec.reuse,
        limits: Limits { reply_bytes: spec.max_response_bytes, log_bytes: spec.max_log_bytes, ..Limits::default() },
        ..FunctionSpec::new(&spec.name, made.code)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use crate::assemble::{prepare, prepare_file};
    use crate::config::{FunctionSpec, Mistakes};

    use super::*;

    /// A WASI command with three tables, which take two places of two each, in WebAssembly's binary form:
    /// `(module (table 1 funcref) ×3 (memory (export "memory") 1) (func (export "_start")))`.
    const THREE_TABLES: &[u8] = b"\0asm\x01\0\0\0\
        \x01\x04\x01\x60\0\0\
        \x03\x02\x01\0\
        \x04\x0a\x03\x70\0\x01\x70\0\x01\x70\0\x01\
        \x05\x03\x01\0\x01\
        \x07\x13\x02\x06memory\x02\0\x06_start\0\0\
        \x0a\x04\x01\x02\0\x0b";

    fn config_of(folder: &std::path::Path, permits: u32, max_instances: Option<u32>) -> Config {
        let code = folder.join("large.wasm");
        std::fs::write(&code, THREE_TABLES).unwrap();
        let function = FunctionSpec { reserved_concurrent_executions: permits, ..FunctionSpec::new("large", code) };
        let mut sandbox = config::Sandbox::for_permits(permits);
        if let Some(max_instances) = max_instances {
            (sandbox.max_instances, sandbox.is_written) = (max_instances, true);
        }
        let local = config::LocalQueue {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            durability: config::Durability::Fsync,
            allowed_origins: Vec::new(),
            blocks_deleted_names: false,
            trial: config::Trial::default(),
        };
        let base = Config::of_queue(local, ([127, 0, 0, 1], 0).into());
        Config { functions: vec![function], sandbox, ..base }
    }

    #[tokio::test]
    async fn the_engine_grows_with_what_instances_take() {
        let folder = tempfile::tempdir().unwrap();
        let prepared = prepare(config_of(folder.path(), 60, None)).await.unwrap();
        let loaded = &prepared.handlers.functions[0];
        assert_eq!((loaded.function.slots(), loaded.slots()), (2, 120));
        assert_eq!(prepared.handlers.engine.places(), 128);

        let refused = prepare(config_of(folder.path(), 60, Some(100))).await.err().unwrap().to_string();
        assert!(refused.contains("100 is not enough") && refused.contains("write 120 or more"), "{refused}");
        assert!(prepare(config_of(folder.path(), 60, Some(120))).await.is_ok());
    }

    #[test]
    fn there_is_a_most_of_instances() {
        let sandbox = config::Sandbox::for_permits(1);
        assert_eq!(ceiling_for(&sandbox, 64), Ok(64));
        assert_eq!(ceiling_for(&sandbox, 9_999), Ok(10_000));
        assert!(ceiling_for(&sandbox, 10_001).unwrap_err().what.contains("10001 places, more than the 10000"));
    }

    #[tokio::test]
    async fn without_functions_there_is_no_engine() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { functions: Vec::new(), ..config_of(folder.path(), 1, None) };
        assert!(!prepare(config).await.unwrap().handlers.engine.is_made());
    }

    async fn mistakes_of(text: &str) -> Mistakes {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text.wasm"), b"(module)").unwrap();
        std::fs::write(folder.path().join("large.wasm"), THREE_TABLES).unwrap();
        let path = folder.path().join("wasmill.toml");
        std::fs::write(&path, format!("cache_dir = \"cache\"\n{text}")).unwrap();
        prepare_file(&path).await.unwrap().err().unwrap()
    }

    #[tokio::test]
    async fn mistakes_of_the_file_and_of_its_handlers_are_reported_together() {
        let mistakes = mistakes_of(
            "[[function]]\nname = \"a\"\ncode = \"text.wasm\"\n\
             [[function]]\nname = \"b\"\ncode = \"absent.wasm\"\n\
             [[function]]\nname = \"c\"\ncode = \"large.wasm\"\nmemory_size = 0\n\
             [[function]]\nname = \"d\"\ncode = \"large.wasm\"\ntimeout = 0\n",
        )
        .await;
        let seen: Vec<_> =
            mistakes.findings().iter().map(|found| (found.at.unwrap().line, found.key.as_str())).collect();
        assert_eq!(
            seen,
            [
                (4, "function[0].code"),
                (7, "function[1].code"),
                (11, "function[2].memory_size"),
                (15, "function[3].timeout")
            ]
        );
        let handler = &mistakes.findings()[0];
        assert!(handler.what.contains("is WebAssembly text"), "{}", handler.what);
        assert!(handler.mend.starts_with("assemble it first: `wasm-tools parse"), "{}", handler.mend);
    }

    #[tokio::test]
    async fn a_written_ceiling_that_is_too_small_has_its_line() {
        let text = "[sandbox]\nmax_instances = 32\n[[function]]\nname = \"a\"\ncode = \"large.wasm\"\n";
        let mistakes = mistakes_of(text).await;
        let only = &mistakes.findings()[0];
        assert_eq!((only.at.unwrap().line, only.key.as_str()), (3, "sandbox.max_instances"));
        assert!(only.what.contains("64 places"), "{}", only.what);
    }
}
