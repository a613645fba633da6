//! Builds everything, top to bottom: the only file that knows how the parts fit. Nothing polls before all of it stands.
//!
//! What can be wrong without anybody's help (a handler) is found before what needs something from the machine (a lock, a
//! port, a network).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use wasmill_mapping::{Mapping, MappingOptions, MappingStatus, Observer, Permits};
use wasmill_queue::{Broker, BrokerOptions, Durability, Identity, LocalQueue, OpenError, Queue, QueueArn, QueueError};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, Limits, LoadError, Sandbox};
use wasmill_sqs::{RemoteOptions, RemoteSqs, SqsOptions, SqsService};

use crate::admin::{self, AdminState, Component, Readiness};
use crate::config::{self, Config, MappingSource, MappingSpec, QueueSpec, RemoteAddress, RemoteQueue};
use crate::error::CliError;
use crate::telemetry;

/// The version of a function that the config names.
const LATEST: &str = "$LATEST";

/// A running worker.
pub(crate) struct Worker {
    /// The built-in queue, if there is one.
    pub(crate) broker: Option<Broker>,
    pub(crate) mappings: Vec<Mapping>,
    /// Where SQS clients connect, if there is a built-in queue.
    pub(crate) sqs_address: Option<SocketAddr>,
    /// Where metrics and health are.
    pub(crate) admin_address: SocketAddr,
    readiness: Vec<Component>,
    /// Ends the listeners.
    stop: CancellationToken,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    /// Keeps the engine: dropped last.
    _sandbox: Sandbox,
}

/// A function that is ready to be called, and its permits.
struct Loaded {
    name: String,
    timeout: Duration,
    function: Function,
    permits: Permits,
}

/// Starts a worker: queues, listeners, functions, mappings.
pub(crate) async fn start(config: &Config, observer: &Observer) -> Result<Worker, CliError> {
    let registry = telemetry::registry()?;
    let sandbox = sandbox(config, &registry)?;
    let functions = functions(config, &sandbox).await?;
    let broker = match &config.local_queue {
        Some(local) => Some(broker(config, local, &registry).await?),
        None => None,
    };
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let admin_listener = bind(config.admin.listen, "[admin] listen").await?;
    let admin_address = local_address(&admin_listener)?;
    let mut listeners = Vec::new();
    let mut sqs_address = None;
    if let (Some(local), Some(broker)) = (&config.local_queue, &broker) {
        let listener = bind(local.listen, "[local_queue] listen").await?;
        sqs_address = Some(local_address(&listener)?);
        listeners.push(serve_sqs(broker, listener, &stop)?);
    }
    let mapping_metrics = wasmill_mapping::Metrics::register(&registry).map_err(metrics_twice)?;
    let mut sources = Vec::new();
    for spec in &config.mappings {
        if spec.enabled {
            sources.push((spec, source(spec, broker.as_ref()).await?));
        } else {
            tracing::info!(mapping = spec.key, "disabled by the config: it does not poll");
        }
    }
    let mut mappings = Vec::new();
    let mut components = Vec::new();
    for (spec, queue) in sources {
        let name = format!("{}/{}", queue.arn().name(), spec.function_name);
        let loaded = functions.iter().find(|loaded| loaded.name == spec.function_name);
        let loaded = loaded.ok_or_else(|| CliError::internal("a mapping's function was not loaded"))?;
        let component = readiness.component(format!("mapping {name}"));
        let mapping = wasmill_mapping::start(MappingOptions {
            name,
            function_name: loaded.name.clone(),
            function_version: LATEST.to_owned(),
            function_timeout: loaded.timeout,
            batch_size: spec.batch_size,
            reports_item_failures: spec.report_batch_item_failures,
            maximum_concurrency: spec.maximum_concurrency,
            queue,
            handler: BoxCloneSyncService::new(loaded.function.clone()),
            permits: loaded.permits.clone(),
            metrics: mapping_metrics.clone(),
            observer: observer.clone(),
        });
        tokio::spawn(follow(mapping.watch_status(), component.clone()));
        mappings.push(mapping);
        components.push(component);
    }
    listeners.push(serve_admin(admin_listener, registry, readiness, broker.clone(), &stop)?);
    Ok(Worker {
        broker,
        mappings,
        sqs_address,
        admin_address,
        readiness: components,
        stop,
        listeners,
        _sandbox: sandbox,
    })
}

impl Worker {
    /// Stops receiving, finishes what runs within the grace, gives the rest back at once, and closes everything.
    pub(crate) async fn drain(self, grace: Duration) {
        for component in &self.readiness {
            component.not_ready("draining");
        }
        futures::future::join_all(self.mappings.iter().map(|mapping| mapping.drain(grace))).await;
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
    }
}

fn sandbox(config: &Config, registry: &Registry) -> Result<Sandbox, CliError> {
    let metrics = wasmill_sandbox::Metrics::new(registry).map_err(metrics_twice)?;
    let largest_mib = config.functions.iter().map(|function| function.memory_size_mib).max();
    let engine = EngineConfig {
        max_instances: config.sandbox.max_instances,
        max_memory_mib: largest_mib.unwrap_or(config::DEFAULT_MEMORY_MIB),
        cache_dir: config.cache_dir.clone(),
        guest_threads: config.sandbox.guest_threads as usize,
    };
    Sandbox::new(engine, metrics).map_err(|error| CliError::unavailable(error.to_string()))
}

async fn functions(config: &Config, sandbox: &Sandbox) -> Result<Vec<Loaded>, CliError> {
    let mut loaded = Vec::new();
    let mut mistakes = Vec::new();
    for spec in &config.functions {
        match load(config, spec, sandbox.clone()).await? {
            Ok(function) => loaded.push(Loaded {
                name: spec.name.clone(),
                timeout: spec.timeout,
                function,
                permits: Permits::new(spec.reserved_concurrent_executions),
            }),
            Err(error) => mistakes.push(format!("function {}: {error}", spec.name)),
        }
    }
    if mistakes.is_empty() { Ok(loaded) } else { Err(CliError::config(mistakes.join("\n"))) }
}

async fn load(
    config: &Config,
    spec: &config::FunctionSpec,
    sandbox: Sandbox,
) -> Result<Result<Function, LoadError>, CliError> {
    let spec = function_spec(config, spec);
    // It may compile for seconds.
    tokio::task::spawn_blocking(move || sandbox.load(spec))
        .await
        .map_err(|error| CliError::internal(format!("loading a handler ended unexpectedly: {error}")))
}

/// The sandbox's view of a configured function.
pub(crate) fn function_spec(config: &Config, spec: &config::FunctionSpec) -> FunctionSpec {
    FunctionSpec {
        name: spec.name.clone(),
        version: LATEST.to_owned(),
        arn: format!("arn:aws:lambda:{}:{}:function:{}", config.region, config.account_id, spec.name),
        region: config.region.clone(),
        code: Code::File(spec.code.clone()),
        timeout: spec.timeout,
        memory_mib: spec.memory_size_mib,
        environment: spec.environment.0.clone().into_iter().collect(),
        limits: Limits { reply_bytes: spec.max_response_bytes, log_bytes: spec.max_log_bytes, ..Limits::default() },
    }
}

async fn broker(config: &Config, local: &config::LocalQueue, registry: &Registry) -> Result<Broker, CliError> {
    let broker = Broker::open(BrokerOptions {
        data_dir: local.data_dir.clone(),
        durability: match local.durability {
            config::Durability::Fsync => Durability::Fsync,
            config::Durability::Os => Durability::Os,
        },
        identity: Identity { region: config.region.clone(), account: config.account_id.clone() },
        clock: None,
        metrics: wasmill_queue::Metrics::register(registry).map_err(metrics_twice)?,
    })
    .await
    .map_err(|error| open_error(&error))?;
    // Two rounds: a redrive policy may name a queue that stands further down.
    for spec in &config.queues {
        let made = broker.create_queue(&spec.name, &[], &[]).await;
        made.map_err(|error| CliError::unavailable(format!("queue {}: {error}", spec.name)))?;
    }
    for spec in &config.queues {
        let queue = local_queue(&broker, &spec.name)?;
        impose(&queue, spec).await?;
    }
    Ok(broker)
}

/// The config owns what it names: at start it wins, and the log says what it overrode.
async fn impose(queue: &LocalQueue, spec: &QueueSpec) -> Result<(), CliError> {
    let failed = |reason: String| CliError::unavailable(format!("queue {}: {reason}", spec.name));
    let current = queue.describe().map_err(|error| failed(error.to_string()))?;
    let mut wanted = spec.aws_attributes();
    if spec.redrive.is_none() {
        wanted.push(("RedrivePolicy".to_owned(), String::new()));
    }
    let is_new = current.modified_unix_s == current.created_unix_s;
    wanted.retain(|(name, value)| {
        let stored = current.attributes.iter().find(|(known, _)| known == name).map(|(_, stored)| stored.as_str());
        let differs = stored.unwrap_or_default() != value;
        if differs && !is_new {
            tracing::info!(queue = spec.name, attribute = name, stored, config = value, "the config overrides");
        }
        differs
    });
    if wanted.is_empty() {
        return Ok(());
    }
    queue.set_attributes(&wanted).await.map_err(|error| failed(error.to_string()))
}

fn open_error(error: &OpenError) -> CliError {
    let mend = match error {
        OpenError::Locked(_) => "stop the other process, or give this one a data_dir of its own",
        OpenError::Unusable { .. } => "check that the directory can be written and is not full",
        OpenError::NewerFormat { .. } => "use the version of wasmill that wrote it, or another data_dir",
    };
    CliError::unavailable(error.to_string()).with_mend(mend)
}

/// The queue of a mapping.
async fn source(mapping: &MappingSpec, broker: Option<&Broker>) -> Result<Arc<dyn Queue>, CliError> {
    match (&mapping.source, broker) {
        (MappingSource::Local { queue_name }, Some(broker)) => Ok(Arc::new(local_queue(broker, queue_name)?)),
        (MappingSource::Local { .. }, None) => Err(CliError::internal("a local event source without a built-in queue")),
        (MappingSource::Remote(remote), _) => remote_queue(remote).await,
    }
}

fn local_queue(broker: &Broker, name: &str) -> Result<LocalQueue, CliError> {
    broker.queue(name).map_err(|error| CliError::unavailable(format!("queue {name}: {error}")))
}

async fn remote_queue(remote: &RemoteQueue) -> Result<Arc<dyn Queue>, CliError> {
    let options = RemoteOptions {
        endpoint_url: remote.endpoint_url.clone(),
        region: Some(remote.region.clone()),
        anonymous_local: false,
    };
    let service = RemoteSqs::connect(options).await.map_err(|error| CliError::unavailable(error.to_string()))?;
    let (found, address) = match &remote.address {
        RemoteAddress::Arn { arn, .. } => {
            let parsed = QueueArn::parse(arn).map_err(|error| CliError::internal(error.to_string()))?;
            (service.queue_by_arn(&parsed).await, arn)
        }
        RemoteAddress::Url(url) => (service.queue_by_url(url).await, url),
    };
    let queue = found.map_err(|error| {
        let mend = match error {
            QueueError::NoSuchQueue => "create it, or correct event_source_arn; region and account count, too",
            _ => "check the network, [aws] endpoint_url and the credentials of the standard AWS chain",
        };
        CliError::unavailable(error.to_string()).at(format!("event source {address}")).with_mend(mend)
    })?;
    Ok(Arc::new(queue))
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

fn serve_sqs(
    broker: &Broker,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, CliError> {
    let service = SqsService::new(broker.clone(), &SqsOptions::default())
        .map_err(|error| CliError::internal(error.to_string()))?;
    tracing::info!(address = local_address(&listener)?.to_string(), "SQS listening");
    let stopped = stop.clone().cancelled_owned();
    Ok(tokio::spawn(async move {
        if let Err(error) = wasmill_sqs::serve(listener, Arc::new(service), stopped).await {
            tracing::error!(%error, "the SQS listener ended");
        }
    }))
}

fn serve_admin(
    listener: TcpListener,
    registry: Registry,
    readiness: Readiness,
    broker: Option<Broker>,
    stop: &CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, CliError> {
    let address = local_address(&listener)?;
    let health: admin::Health = Arc::new(move || match broker.as_ref().and_then(Broker::failure) {
        Some(failure) => Err(failure.to_string()),
        None => Ok(()),
    });
    tracing::info!(address = address.to_string(), "metrics and health listening");
    let router = admin::router(AdminState { registry, health, readiness }, address);
    Ok(tokio::spawn(admin::serve(listener, router, stop.clone().cancelled_owned())))
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, CliError> {
    listener.local_addr().map_err(|error| CliError::unavailable(format!("a listener has no address: {error}")))
}

/// Carries a mapping's status over to `/readyz` for as long as it runs.
async fn follow(mut status: tokio::sync::watch::Receiver<MappingStatus>, component: Component) {
    loop {
        let current = status.borrow_and_update().clone();
        match current {
            MappingStatus::Starting => component.not_ready("has not heard from its queue yet"),
            MappingStatus::Polling => component.ready(),
            MappingStatus::Failing { reason } => component.not_ready(reason),
            MappingStatus::Stopped => component.not_ready("draining"),
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn metrics_twice(error: prometheus::Error) -> CliError {
    CliError::internal(format!("a metric was registered twice: {error}"))
}
