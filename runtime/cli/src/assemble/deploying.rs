//! What Lambda's API asks of the worker: to make uploaded code ready beside what runs, and to lead calls to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wasmill_lambda::{Build, BuildFacts, Call, FunctionEngine, FunctionSettings, NotInvoked, Outcome, Routes};
use wasmill_sandbox::{Function, LoadError, Reuse};

use crate::assemble::engine::LazyEngine;
use crate::assemble::handlers::{self, Provenance};
use crate::assemble::mappings::Fleet;
use crate::assemble::owned::IN_CONFIG;
use crate::config::{Config, Environment, FunctionSpec, Runtime};
use crate::error::CliError;
use crate::functions::{Functions, RESPONSE_BYTES_MAX};
use crate::interpreters::Unfit;
use crate::package::{self, Unpacked};

/// Lambda's `EphemeralStorage` where nothing was said.
const STORAGE_MIB_DEFAULT: u32 = 512;
/// A component's version and layer; a core module has others.
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// The functions' half of the worker as Lambda's API sees it.
pub(super) struct Deployer {
    config: Arc<Config>,
    engine: LazyEngine,
    functions: Functions,
    fleet: Arc<Fleet>,
    /// To compile takes memory: one at a time.
    loading: tokio::sync::Mutex<()>,
}

/// A build that outlives the call that asks for it.
struct Wanted {
    function: String,
    version: String,
    code: PathBuf,
    sha256: String,
    settings: FunctionSettings,
}

impl Deployer {
    pub(super) fn new(config: Arc<Config>, engine: LazyEngine, functions: Functions, fleet: Arc<Fleet>) -> Self {
        Self { config, engine, functions, fleet, loading: tokio::sync::Mutex::default() }
    }

    fn check_room(&self, function: &str, slots: u32) -> Result<(), String> {
        if self.functions.has_room_for(function, slots) {
            return Ok(());
        }
        Err(format!(
            "the worker has places for {} instances, and they are promised to other functions: raise max_instances in [sandbox] \
             and restart, or lower their reserved concurrency",
            self.functions.places()
        ))
    }
}

#[async_trait]
impl FunctionEngine for Deployer {
    async fn load(&self, build: &Build) -> Result<BuildFacts, String> {
        if self.config.is_queue_only {
            return Err(
                "this process is only a queue (wasmill queue serve): deploy to one that runs functions, such as \
                        `wasmill run`"
                    .to_owned(),
            );
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(function) = self.functions.build(build.function, build.id) {
            return Ok(facts(&function));
        }
        self.check_room(build.function, 1)?;
        let wanted = Wanted {
            function: build.function.to_owned(),
            version: build.version.to_owned(),
            code: build.code.to_owned(),
            sha256: build.sha256.to_owned(),
            settings: build.settings.clone(),
        };
        let (config, engine) = (Arc::clone(&self.config), self.engine.clone());
        let loaded = tokio::task::spawn_blocking(move || load_now(&config, &engine, wanted)).await;
        let (function, runtime) =
            loaded.map_err(|error| format!("loading the function ended unexpectedly: {error}"))??;
        self.check_room(build.function, function.slots())?;
        let facts = match runtime {
            Runtime::Wasm => facts(&function),
            Runtime::Python => BuildFacts { kind: "Python".to_owned() },
            Runtime::Js => BuildFacts { kind: "JavaScript".to_owned() },
        };
        self.functions.add_build(build.function, build.id, function);
        Ok(facts)
    }

    fn unload(&self, function: &str, build: &str) {
        self.functions.remove_build(function, build);
    }

    fn route(&self, function: &str, routes: &Routes) {
        self.functions.set_routes(function, routes);
        self.fleet.routes_changed(function);
    }

    fn reserve(&self, function: &str, concurrent_executions: Option<u32>) {
        self.functions.reserve(function, concurrent_executions);
    }

    fn remove(&self, function: &str) {
        self.functions.remove(function);
        self.fleet.routes_changed(function);
    }

    async fn invoke(&self, call: Call<'_>) -> Result<Outcome, NotInvoked> {
        self.functions.invoke(call).await
    }
}

fn facts(function: &Function) -> BuildFacts {
    BuildFacts { kind: function.kind().as_str().to_owned() }
}

/// Unpacks, compiles and checks. Blocking.
fn load_now(config: &Config, engine: &LazyEngine, wanted: Wanted) -> Result<(Function, Runtime), String> {
    let Wanted { function, version, code, sha256, settings } = wanted;
    let packages = config.cache_dir.as_ref().map(|cache| cache.join("packages"));
    let (runtime, handler) = (settings.runtime.as_deref(), settings.handler.as_deref());
    let unpacked = package::unpack(&code, &sha256, runtime, handler, packages.as_deref())?;
    let shown_as = if unpacked.path == code { "the uploaded module".to_owned() } else { file_name(&unpacked.path) };
    let spec = spec_of(config, &function, unpacked, settings)?;
    let (path, runtime) = (spec.code.clone(), spec.runtime);
    let unfit = |Unfit { what, mend }| format!("{what}; {mend}");
    let wanted =
        handlers::function_spec(config, &spec, Provenance { version: &version, is_sent: true }).map_err(unfit)?;
    let sandbox = engine.get().map_err(|error: CliError| error.to_string())?;
    let function = sandbox.load(wanted).map_err(|error| in_words(&error, &path, &shown_as))?;
    Ok((function, runtime))
}

/// What the config would say of such a function. Where it does name the function, what Lambda has no words for is as it says.
fn spec_of(
    config: &Config,
    name: &str,
    unpacked: Unpacked,
    settings: FunctionSettings,
) -> Result<FunctionSpec, String> {
    let ephemeral_storage_mib = storage(&unpacked, settings.ephemeral_storage_mib)?;
    let Unpacked { runtime, path, handler } = unpacked;
    let named = config.functions.iter().find(|function| function.name == name);
    let base = named.cloned().unwrap_or_else(|| FunctionSpec {
        outbound: config.deployed.clone(),
        max_response_bytes: RESPONSE_BYTES_MAX,
        ..FunctionSpec::new(name, PathBuf::new())
    });
    let variable = |(name, value): (String, String)| {
        let own = named.filter(|_| value == IN_CONFIG).and_then(|function| function.environment.0.get(&name));
        let value = own.cloned().unwrap_or(value);
        (name, value)
    };
    Ok(FunctionSpec {
        runtime,
        handler,
        code: path,
        timeout: Duration::from_secs(settings.timeout_seconds.into()),
        memory_size_mib: settings.memory_size_mib,
        environment: Environment(settings.environment.into_iter().map(variable).collect()),
        ephemeral_storage_mib,
        reuse: (runtime != Runtime::Wasm).then(Reuse::default),
        ..base
    })
}

/// The function's `/tmp`. Lambda's default is nothing that anybody asked for, so where there can be none there is none.
fn storage(unpacked: &Unpacked, asked_mib: u32) -> Result<Option<u32>, String> {
    let has_files = match unpacked.runtime {
        Runtime::Python => true,
        Runtime::Js => false,
        Runtime::Wasm => is_component(&unpacked.path),
    };
    match has_files {
        true => Ok(Some(asked_mib)),
        false if asked_mib == STORAGE_MIB_DEFAULT => Ok(None),
        false => Err(format!(
            "EphemeralStorage is {asked_mib} MiB, and the function could not use it: JavaScript has no file system here, nor has \
             a preview-1 core module; leave it at {STORAGE_MIB_DEFAULT}"
        )),
    }
}

/// What cannot be read is said by who loads it.
fn is_component(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 8];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head[4..] == COMPONENT
}

/// An error of the sandbox, which begins with a path that says nothing to who uploaded the code.
fn in_words(error: &LoadError, path: &Path, shown_as: &str) -> String {
    let line = error.to_string();
    match line.strip_prefix(&format!("{}: ", path.display())) {
        Some(rest) => format!("{shown_as}: {rest}"),
        None => line,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Durability, LocalQueue, Trial};

    fn config() -> Config {
        let local = LocalQueue {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            durability: Durability::Os,
            allowed_origins: Vec::new(),
            blocks_deleted_names: false,
            trial: Trial::default(),
        };
        let mut named = FunctionSpec::new("named", "named.wasm".into());
        named.environment.0.insert("TOKEN".to_owned(), "secret".to_owned());
        named.outbound.hosts.origins = vec!["https://named.example".parse().unwrap()];
        let mut config = Config { functions: vec![named], ..Config::of_queue(local, ([127, 0, 0, 1], 0).into()) };
        config.deployed.hosts.origins = vec!["https://deployed.example".parse().unwrap()];
        config
    }

    fn settings(variables: &[(&str, &str)], storage_mib: u32) -> FunctionSettings {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        FunctionSettings {
            runtime: None,
            handler: None,
            timeout_seconds: 9,
            memory_size_mib: 256,
            ephemeral_storage_mib: storage_mib,
            environment: variables.iter().map(pair).collect(),
        }
    }

    #[test]
    fn what_lambda_has_no_words_for_is_the_configs() {
        let config = config();
        let unpacked = || Unpacked { runtime: Runtime::Python, path: "app".into(), handler: "a.f".to_owned() };
        let variables = [("TOKEN", IN_CONFIG), ("OTHER", "x")];
        let spec = spec_of(&config, "named", unpacked(), settings(&variables, 512)).unwrap();
        let expected = BTreeMap::from([("TOKEN", "secret"), ("OTHER", "x")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(spec.environment.0, expected);
        assert_eq!(spec.outbound.hosts.origins, config.functions[0].outbound.hosts.origins);
        assert_eq!((spec.timeout.as_secs(), spec.memory_size_mib, spec.code), (9, 256, PathBuf::from("app")));
        let spec = spec_of(&config, "other", unpacked(), settings(&variables, 512)).unwrap();
        assert_eq!(spec.environment.0["TOKEN"], IN_CONFIG, "nobody else's secret");
        assert_eq!(spec.outbound.hosts.origins, config.deployed.hosts.origins);
        assert!(spec.reuse.is_some());
    }

    #[test]
    fn lambdas_default_disk_is_there_where_it_can_be_and_another_one_is_refused_where_not() {
        let folder = tempfile::tempdir().unwrap();
        let module = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Unpacked { runtime: Runtime::Wasm, path, handler: String::new() }
        };
        let component = module("a.wasm", b"\0asm\x0d\0\x01\0");
        let core = module("b.wasm", b"\0asm\x01\0\0\0");
        let js = Unpacked { runtime: Runtime::Js, path: "x".into(), handler: "x.f".to_owned() };
        for (unpacked, by_default, larger) in
            [(&component, Some(512), Some(1024)), (&core, None, None), (&js, None, None)]
        {
            assert_eq!(storage(unpacked, 512), Ok(by_default));
            let asked = storage(unpacked, 1024);
            assert_eq!(asked.clone().ok().flatten(), larger);
            assert!(larger.is_some() || asked.is_err_and(|what| what.contains("EphemeralStorage is 1024 MiB")));
        }
    }
}
