//! `wasmill check`: everything that `run` does before it needs the machine. It binds no port, locks no directory,
//! touches no network and writes nothing but the cache of compiled modules.

use std::process::ExitCode;

use serde_json::json;
use wasmill_sandbox::{EngineConfig, Metrics, Sandbox};

use crate::args::CheckArgs;
use crate::assemble::function_spec;
use crate::commands::print_line;
use crate::config::{self, Config, Finding, Mistakes};
use crate::error::CliError;
use crate::telemetry;

/// Reports every mistake of the config, or of the handlers that it names.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let checked = config::load(&args.config, &crate::process_env).and_then(|config| {
        let mistakes = handler_mistakes(&config, args);
        if mistakes.is_empty() { Ok(config) } else { Err(Mistakes::new(mistakes)) }
    });
    match (checked, args.json) {
        (Ok(config), false) => {
            for warning in &config.warnings {
                print_line(format_args!("warning: {warning}"))?;
            }
            print_line(format_args!("{}: no mistakes", args.config.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        (Ok(config), true) => {
            let warnings: Vec<_> = config.warnings.iter().map(Finding::to_json).collect();
            print_line(json!({"mistakes": [], "warnings": warnings}))?;
            Ok(ExitCode::SUCCESS)
        }
        (Err(mistakes), false) => Err(mistakes.into()),
        (Err(mistakes), true) => {
            print_line(json!({"mistakes": mistakes.to_json(), "warnings": []}))?;
            Ok(ExitCode::from(crate::error::ErrorKind::Config.code()))
        }
    }
}

/// Loads each handler as `run` would.
fn handler_mistakes(config: &Config, args: &CheckArgs) -> Vec<Finding> {
    let whole_file =
        |what: String, mend: String| Finding { file: args.config.clone(), at: None, key: String::new(), what, mend };
    let engine = EngineConfig { cache_dir: config.cache_dir.clone(), ..EngineConfig::default() };
    let sandbox = telemetry::registry()
        .map_err(|error| error.to_string())
        .and_then(|registry| Metrics::new(&registry).map_err(|error| error.to_string()))
        .and_then(|metrics| Sandbox::new(engine, metrics).map_err(|error| error.to_string()));
    let sandbox = match sandbox {
        Ok(sandbox) => sandbox,
        Err(what) => return vec![whole_file(what, "check the process's limits (ulimit -v, threads)".to_owned())],
    };
    let load = |spec: &config::FunctionSpec| {
        let error = sandbox.load(function_spec(config, spec)).err()?;
        let mend = "correct the function's code, or name another file";
        Some(whole_file(format!("function {}: {error}", spec.name), mend.to_owned()))
    };
    config.functions.iter().filter_map(load).collect()
}
