//! Builds everything, top to bottom: the only file that knows how the parts fit, with a child for each part that takes
//! work. Nothing polls before all of it stands.
//!
//! What can be wrong without anybody's help (the config, a handler) is found before what needs something from the machine
//! (a lock, a port, a network).

mod deploying;
mod engine;
mod feeds;
mod handlers;
mod mappings;
mod owned;
mod queues;
mod shown;
pub(crate) use queues::percent;
#[cfg(test)]
pub(crate) use queues::tests::broker as test_broker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;
use prometheus::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wasmill_lambda::{Engine, FunctionEngine, LambdaService, OwnedFunction, RegistryOptions, VERSIONS_KEPT};
use wasmill_mapping::{MappingStatus, Observer, Witness};
use wasmill_queue::Broker;
use wasmill_sqs::{Change, Sibling, SqsOptions, SqsService};

use crate::admin::{self, AdminState, Component, Console, Readiness};
use crate::assemble::deploying::Deployer;
use crate::assemble::engine::LazyEngine;
pub(crate) use crate::assemble::feeds::open as open_remote;
use crate::assemble::handlers::{Handlers, Loaded};
pub(crate) use crate::assemble::mappings::Fleet;
use crate::assemble::mappings::Parts;
use crate::config::{self, Config, Draft, Mistakes};
use crate::error::CliError;
use crate::functions::{Functions, SHADOW_PLACES, Shadows};
use crate::telemetry;
use crate::telemetry::traces::Exported;

/// How long the last spans may take to be exported: what is left of a drain's grace, within these bounds.
const LAST_SPANS_MIN: Duration = Duration::from_secs(1);
const LAST_SPANS_MAX: Duration = Duration::from_secs(5);

/// As many files as the process may have open, if it may have so many.
const OPEN_FILES: u64 = 65_536;

/// A config and its handlers, loaded: everything that takes nothing from the machine.
pub(crate) struct Prepared {
    pub(crate) config: Config,
    registry: Registry,
    handlers: Handlers,
}

/// Reads the config at `path` and loads its handlers. The mistakes are all there are, in the file and in the handlers
/// that could be looked at.
pub(crate) async fn prepare_file(path: &Path) -> Result<Result<Prepared, Mistakes>, CliError> {
    match config::load_here(path) {
        Ok(draft) => prepare_draft(draft).await,
        Err(mistakes) => Ok(Err(mistakes)),
    }
}

/// The same for a config that was read already.
pub(crate) async fn prepare_draft(draft: Draft) -> Result<Result<Prepared, Mistakes>, CliError> {
    let is_whole = draft.mistakes.is_empty();
    let registry = telemetry::registry()?;
    let loaded = match &draft.config {
        None => None,
        Some(config) => match handlers::load(config, is_whole, &registry).await {
            // Without an engine the file's mistakes are still worth reading.
            Err(_) if !is_whole => None,
            loaded => Some(loaded?),
        },
    };
    let (handlers, found) = loaded.unzip();
    Ok(draft.finish(found.unwrap_or_default()).map(|config| {
        let handlers = handlers.expect("of a config without a mistake the handlers are loaded");
        Prepared { config, registry, handlers }
    }))
}

/// The same for a config that no file says.
pub(crate) async fn prepare(config: Config) -> Result<Prepared, CliError> {
    let registry = telemetry::registry()?;
    let (handlers, found) = handlers::load(&config, true, &registry).await?;
    if found.is_empty() { Ok(Prepared { config, registry, handlers }) } else { Err(Mistakes::new(found).into()) }
}

/// A running worker.
pub(crate) struct Worker {
    /// The built-in queue, if there is one.
    pub(crate) broker: Option<Broker>,
    pub(crate) fleet: Arc<Fleet>,
    /// Where clients of the AWS APIs connect, if they are served.
    pub(crate) sqs_address: Option<SocketAddr>,
    /// Where metrics and health are.
    pub(crate) admin_address: SocketAddr,
    resources: wasmill_lambda::Registry,
    readiness: Vec<Component>,
    /// Ends the listeners.
    stop: CancellationToken,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    functions: Functions,
    traces: Option<Exported>,
    /// The config's functions as they are loaded now.
    owned: tokio::sync::Mutex<BTreeMap<String, OwnedFunction>>,
    /// Dropped last.
    engine: LazyEngine,
}

/// Starts a worker: queues, listeners, mappings.
pub(crate) async fn start(prepared: Prepared, observer: &Observer) -> Result<Worker, CliError> {
    let Prepared { config, registry, handlers } = prepared;
    raise_limit_on_files();
    let Handlers { engine, functions: loaded } = handlers;
    let broker = match &config.local_queue {
        Some(local) => Some(queues::open(&config, local, &registry).await?),
        None => None,
    };
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let mut components = Vec::new();
    let admin_listener = bind(config.admin.listen, "[admin] listen; without a config, --admin-listen").await?;
    let admin_address = local_address(&admin_listener)?;
    let metrics = wasmill_mapping::Metrics::register(&registry).map_err(metrics_twice)?;
    let shadows = Shadows::register(&registry, SHADOW_PLACES).map_err(metrics_twice)?;
    let functions = Functions::new(engine.places(), metrics.clone(), shadows);
    let mut owned = BTreeMap::new();
    for (Loaded { function, .. }, spec) in loaded.into_iter().zip(&config.functions) {
        take_in(&functions, function, spec, &mut owned).await?;
    }
    let traces = config.traces.as_ref().map(|traces| Exported::start(traces, &registry)).transpose()?;
    let fleet = Arc::new(Fleet::new(Parts {
        broker: broker.clone(),
        functions: functions.clone(),
        endpoint_url: config.aws.endpoint_url.clone(),
        metrics,
        observer: observer.clone(),
        tracer: traces.as_ref().map(Exported::tracer),
        witness: witness(&config)?,
        readiness: readiness.clone(),
        grace: config.drain_grace,
    }));
    let identity = wasmill_lambda::Identity { region: config.region.clone(), account: config.account_id.clone() };
    let options =
        RegistryOptions { state_file: config.state_file(), identity: identity.clone(), versions_kept: VERSIONS_KEPT };
    let config = Arc::new(config);
    let deployer = Deployer::new(Arc::clone(&config), engine.clone(), functions.clone(), Arc::clone(&fleet));
    let (mappings_engine, deployer): (Arc<dyn Engine>, Arc<dyn FunctionEngine>) = (fleet.clone(), Arc::new(deployer));
    let resources = wasmill_lambda::Registry::open(options, mappings_engine, deployer)
        .map_err(|error| CliError::unavailable(error.to_string()))?;
    own_functions(&resources, &owned).await?;
    let mut listeners = Vec::new();
    let mut sqs_address = None;
    let mut api = None;
    if let Some(front) = Front::of(&config) {
        let listener = bind(front.listen, front.key).await?;
        sqs_address = Some(local_address(&listener)?);
        let component = readiness.component(front.name);
        let lambda = Lambda(LambdaService::new(resources.clone(), identity));
        let service = match &broker {
            Some(broker) => SqsService::new(broker.clone(), &front.options),
            None => SqsService::without_queues(&config.region, &front.options),
        };
        let service = service.map_err(|error| CliError::internal(error.to_string()))?.with_sibling(Arc::new(lambda));
        let service = Arc::new(service);
        api = Some(wasmill_sqs::router(Arc::clone(&service)));
        listeners.push(serve_aws(&front, service, listener, &stop, component.clone())?);
        components.push(component);
    }
    impose(&config, broker.as_ref(), &fleet, &resources).await?;
    for trouble in resources.start_all().await {
        tracing::error!(uuid = %trouble.uuid, problem = trouble.problem, "a mapping does not run; it is tried again");
    }
    let console = Console::new(api, admin_address, !config.access_keys.is_empty());
    let mappings = shown::mappings(&resources, &fleet);
    let health = health(broker.clone());
    let state = AdminState {
        registry,
        health,
        readiness,
        broker: broker.clone(),
        mappings,
        functions: functions.clone(),
        console,
    };
    listeners.push(serve_admin(admin_listener, state, &stop)?);
    Ok(Worker {
        broker,
        fleet,
        sqs_address,
        admin_address,
        resources,
        readiness: components,
        stop,
        listeners,
        functions,
        traces,
        owned: tokio::sync::Mutex::new(owned),
        engine,
    })
}

/// Puts a function of the config in the table, under a build that has never been.
async fn take_in(
    functions: &Functions,
    function: wasmill_sandbox::Function,
    spec: &config::FunctionSpec,
    owned: &mut BTreeMap<String, OwnedFunction>,
) -> Result<(), CliError> {
    let build = format!("config-{}", uuid::Uuid::new_v4());
    functions.add_build(&spec.name, &build, function);
    let spec = spec.clone();
    // It reads files.
    let shown = tokio::task::spawn_blocking(move || owned::owned(&spec, build)).await;
    let shown = shown.map_err(|error| CliError::internal(format!("a function was not taken in: {error}")))?;
    owned.insert(shown.name.clone(), shown);
    Ok(())
}

/// Makes the functions what the config says.
async fn own_functions(
    resources: &wasmill_lambda::Registry,
    owned: &BTreeMap<String, OwnedFunction>,
) -> Result<(), CliError> {
    let ownership = resources.functions().own(owned.values().cloned().collect()).await;
    let ownership = ownership.map_err(|error| CliError::unavailable(error.to_string()))?;
    tracing::debug!(?ownership, "functions owned by the config");
    Ok(())
}

/// What remembers, beside the state, which messages were being handled. The data directory or the state's is ours by now.
fn witness(config: &Config) -> Result<Witness, CliError> {
    let Some(folder) = config.state_file().and_then(|file| file.parent().map(Path::to_owned)) else {
        return Ok(Witness::default());
    };
    let opened = std::fs::create_dir_all(&folder).and_then(|()| Witness::open(&folder));
    opened.map_err(|error| {
        CliError::unavailable(format!("cannot keep what is being handled: {error}"))
            .at(folder.display().to_string())
            .with_mend("let this user write there, or choose another state_dir")
    })
}

/// Makes the mappings what the config says, and says what of the stored ones it overrode.
async fn impose(
    config: &Config,
    broker: Option<&Broker>,
    fleet: &Fleet,
    resources: &wasmill_lambda::Registry,
) -> Result<(), CliError> {
    let feeds = feeds::find(config, broker).await?;
    let owned: Vec<_> = feeds.iter().map(|feed| (feed.arn.to_string(), feed.spec.clone())).collect();
    let (configurations, news): (Vec<_>, Vec<bool>) = fleet.own(&owned).into_iter().unzip();
    let wanted = configurations.clone();
    let ownership = resources.own(configurations).await.map_err(|error| CliError::unavailable(error.to_string()))?;
    tracing::debug!(?ownership, "mappings owned by the config");
    // What the API does not show is news to those that run all the same.
    for (wanted, _) in wanted.into_iter().zip(news).filter(|(_, is_news)| *is_news) {
        fleet.renew(&wanted).await;
    }
    Ok(())
}

impl Worker {
    /// Takes a changed config over: its queues' attributes and its mappings. What else has changed needs a restart.
    pub(crate) async fn reload(&self, config: &Config) -> Result<(), CliError> {
        if let Some(broker) = &self.broker {
            queues::own(broker, &config.queues).await?;
        }
        let owned = self.owned.lock().await;
        if let Some(unknown) = config.functions.iter().find(|function| !owned.contains_key(&function.name)) {
            let what = format!("function {:?} is new, and functions are loaded at the start", unknown.name);
            return Err(CliError::config(what).at("[[function]]").with_mend("restart wasmill"));
        }
        impose(config, self.broker.as_ref(), &self.fleet, &self.resources).await
    }

    /// The functions, as they are at any time.
    pub(crate) fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Loads one of the config's functions again, as its files are now.
    pub(crate) async fn reload_function(&self, config: &Config, name: &str) -> Result<(), CliError> {
        let spec = config.functions.iter().find(|function| function.name == name);
        let mut owned = self.owned.lock().await;
        let Some(spec) = spec.filter(|_| owned.contains_key(name)) else {
            return Err(CliError::internal(format!("function {name:?} is not loaded")));
        };
        let function = handlers::reload(&self.engine, config, spec).await?;
        take_in(&self.functions, function, spec, &mut owned).await?;
        own_functions(&self.resources, &owned).await
    }

    /// Stops receiving, finishes what runs within the grace, gives the rest back at once, and closes everything.
    pub(crate) async fn drain(self, grace: Duration) {
        let began = Instant::now();
        self.resources.close();
        for component in &self.readiness {
            component.not_ready("draining");
        }
        self.fleet.drain(grace).await;
        // Producers could send until here. The listeners answer what they have begun.
        self.stop.cancel();
        if let Some(broker) = &self.broker {
            broker.stop_waiting();
        }
        for listener in self.listeners {
            // A listener that panicked has said so already.
            let _ = listener.await;
        }
        if let Some(broker) = &self.broker {
            broker.close().await;
        }
        if let Some(traces) = self.traces {
            let left = grace.saturating_sub(began.elapsed());
            traces.end(left.clamp(LAST_SPANS_MIN, LAST_SPANS_MAX)).await;
        }
        self.engine.close();
    }
}

/// Lambda's API as the AWS listener knows it.
struct Lambda(LambdaService);

#[async_trait]
impl Sibling for Lambda {
    fn service(&self) -> &'static str {
        "lambda"
    }

    fn claims(&self, path: &str) -> bool {
        wasmill_lambda::claims(path)
    }

    fn change(&self, method: &Method, path_and_query: &str, body: &[u8]) -> Option<Change> {
        let (action, resource) = wasmill_lambda::change(method, path_and_query, body)?;
        Some(Change { action: action.into(), resource })
    }

    fn body_max_bytes(&self, method: &Method, path: &str) -> usize {
        self.0.body_max_bytes(method, path)
    }

    fn refuse_body(&self, method: &Method, path: &str) -> Response<Bytes> {
        self.0.refuse_body(method, path)
    }

    fn is_open(&self, method: &Method, path: &str) -> bool {
        self.0.is_open(method, path)
    }

    fn answer_form(&self, action: &str) -> Option<(&'static str, Response<Bytes>)> {
        self.0.answer_form(action).map(|answer| ("sts", answer))
    }

    async fn handle(&self, method: &Method, path_and_query: &str, headers: &HeaderMap, body: Bytes) -> Response<Bytes> {
        self.0.handle(method, path_and_query, headers, body).await
    }
}

/// Most systems let a process open 1024 files at first, and more if it asks: connections and handlers' files are many.
fn raise_limit_on_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => "stop the process that has it, or choose another port",
            _ => "choose an address of this machine that this user may listen on",
        };
        CliError::unavailable(format!("cannot listen: {error}")).at(format!("{address} ({key})")).with_mend(mend)
    })
}

/// The listener for the AWS APIs, as the config has it: the built-in queue's, or one for Lambda's API alone.
struct Front {
    listen: SocketAddr,
    key: &'static str,
    /// In `/readyz`.
    name: &'static str,
    serves: &'static str,
    options: SqsOptions,
}

impl Front {
    fn of(config: &Config) -> Option<Self> {
        let access_keys = config.access_keys.clone();
        let options = |origins: &[String]| SqsOptions { allowed_origins: origins.to_vec(), access_keys };
        match (&config.local_queue, &config.control) {
            (Some(local), _) => Some(Self {
                listen: local.listen,
                key: "[local_queue] listen; without a config, --listen",
                name: "SQS listener",
                serves: "SQS",
                options: options(&local.allowed_origins),
            }),
            (None, Some(control)) => Some(Self {
                listen: control.listen,
                key: "[control] listen",
                name: "control listener",
                serves: "Lambda's API",
                options: options(&control.allowed_origins),
            }),
            (None, None) => None,
        }
    }
}

fn serve_aws(
    front: &Front,
    service: Arc<SqsService>,
    listener: TcpListener,
    stop: &CancellationToken,
    component: Component,
) -> Result<tokio::task::JoinHandle<()>, CliError> {
    let address = local_address(&listener)?.to_string();
    let (name, serves) = (front.name, front.serves);
    tracing::info!(address, asks_for_signatures = !front.options.access_keys.is_empty(), "{serves} listening");
    let serving = tokio::spawn(wasmill_sqs::serve(listener, service, stop.clone().cancelled_owned()));
    component.ready();
    let stop = stop.clone();
    Ok(tokio::spawn(async move {
        let reason = match serving.await {
            Ok(Ok(())) if stop.is_cancelled() => return,
            Ok(Ok(())) => "it ended unexpectedly".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("it ended unexpectedly: {error}"),
        };
        tracing::error!(reason, "the {name} ended");
        component.not_ready(reason);
    }))
}

/// The process is sound as long as its store is.
fn health(broker: Option<Broker>) -> admin::Health {
    Arc::new(move || match broker.as_ref().and_then(Broker::failure) {
        Some(failure) => Err(failure.to_string()),
        None => Ok(()),
    })
}

fn serve_admin(
    listener: TcpListener,
    state: AdminState,
    stop: &CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, CliError> {
    let address = local_address(&listener)?;
    tracing::info!(address = address.to_string(), "metrics and health listening");
    let router = admin::router(state, address);
    Ok(tokio::spawn(admin::serve(listener, router, stop.clone().cancelled_owned())))
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, CliError> {
    listener.local_addr().map_err(|error| CliError::unavailable(format!("a listener has no address: {error}")))
}

/// Carries a mapping's status over to `/readyz` for as long as it runs.
/// `is_current` turns false when another has taken its place.
async fn follow(
    name: String,
    mut status: tokio::sync::watch::Receiver<MappingStatus>,
    component: Component,
    is_current: impl Fn() -> bool,
) {
    loop {
        let current = status.borrow_and_update().clone();
        let is_stopped = current == MappingStatus::Stopped;
        if !is_current() {
            return;
        }
        match current {
            MappingStatus::Starting => component.not_ready("has not heard from its queue yet"),
            MappingStatus::Polling => component.ready(),
            MappingStatus::Failing { reason } => component.not_ready(reason),
            MappingStatus::Stopped => component.not_ready("draining"),
        }
        if status.changed().await.is_ok() {
            continue;
        }
        if !is_stopped {
            tracing::error!(mapping = name, "the mapping's poll loop ended unexpectedly: it receives nothing any more");
            component.not_ready("its poll loop ended unexpectedly");
        }
        return;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn metrics_twice(error: prometheus::Error) -> CliError {
    CliError::internal(format!("a metric was registered twice: {error}"))
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn a_poll_loop_that_ends_by_itself_is_not_ready() {
        for (last, expected) in [
            (MappingStatus::Polling, "its poll loop ended unexpectedly"),
            (MappingStatus::Starting, "its poll loop ended unexpectedly"),
            (MappingStatus::Stopped, "draining"),
        ] {
            let readiness = Readiness::default();
            let (sender, status) = watch::channel(MappingStatus::Starting);
            sender.send_replace(last);
            drop(sender);
            follow("orders/f".to_owned(), status, readiness.component("mapping orders/f"), || true).await;
            assert_eq!(readiness.snapshot(), [("mapping orders/f".to_owned(), Err(expected.to_owned()))]);
        }
    }
}
