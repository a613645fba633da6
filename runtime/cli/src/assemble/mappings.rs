//! The mappings as resources: what the config and Lambda's API say of them, made to run.
//!
//! A mapping that is changed is begun anew with its new settings, and the old one finishes what it holds: nothing in flight is
//! dropped. wasmill's own settings (weights, retry policies) are the config's; Lambda's API knows nothing of them and leaves
//! them as they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;
use wasmill_event::Tracer;
use wasmill_lambda::{Configuration, Engine, FunctionRef, QueueFacts, QueueTrouble};
use wasmill_mapping::{
    FifoOrder, Filters, Mapping, MappingOptions, MappingStatus, Metrics, Observer, OnFiltered, RetryPolicy, Witness,
};
use wasmill_queue::{Broker, Queue, QueueArn, QueueError, Timeline};

use crate::admin::{Component, Readiness};
use crate::assemble::feeds;
use crate::assemble::follow;
use crate::config::{self, MappingSource, MappingSpec, RemoteAddress, RemoteQueue};
use crate::functions::{Functions, LATEST};

/// What running mappings are made of.
pub(super) struct Parts {
    pub(super) broker: Option<Broker>,
    pub(super) functions: Functions,
    /// `[aws] endpoint_url`: for queues that only the API names.
    pub(super) endpoint_url: Option<String>,
    pub(super) metrics: Metrics,
    pub(super) observer: Observer,
    /// Who takes spans, if there are traces.
    pub(super) tracer: Option<Arc<dyn Tracer>>,
    pub(super) witness: Witness,
    pub(super) readiness: Readiness,
    /// How long a mapping that is stopped may take to finish what it holds.
    pub(super) grace: Duration,
}

/// The running mappings of a worker.
pub(crate) struct Fleet {
    parts: Parts,
    /// By queue ARN and function: what the config says of a mapping.
    specs: RwLock<HashMap<(String, String), MappingSpec>>,
    running: Mutex<BTreeMap<String, Running>>,
    /// Mappings that are to run and do not: what they say in `/readyz`.
    troubled: Mutex<BTreeMap<String, Component>>,
    /// Everything that may hold messages, also after it was replaced.
    all: Mutex<Vec<Weak<Mapping>>>,
    /// The drains of those that were replaced.
    leaving: TaskTracker,
}

struct Running {
    mapping: Arc<Mapping>,
    configuration: Configuration,
    component: Component,
    /// Dropped when another takes its place: what it says of itself is then of no interest.
    _current: Arc<()>,
}

impl Fleet {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            specs: RwLock::default(),
            running: Mutex::default(),
            troubled: Mutex::default(),
            all: Mutex::default(),
            leaving: TaskTracker::new(),
        }
    }

    /// Takes over what the config says, by the ARN of each mapping's queue. Gives what the API shows of it, and whether
    /// something that the API does not show is new.
    pub(super) fn own(&self, mappings: &[(String, MappingSpec)]) -> Vec<(Configuration, bool)> {
        let mut specs = self.specs.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *specs);
        let owned = mappings.iter().map(|(arn, spec)| {
            let key = (arn.clone(), spec.function_name.clone());
            let is_news = before.get(&key).is_none_or(|before| own_settings(before) != own_settings(spec));
            specs.insert(key, spec.clone());
            (configuration(arn, spec), is_news)
        });
        owned.collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a mapping runs as, and how it is doing; none when it does not run.
    pub(super) fn status(&self, uuid: &str) -> Option<(String, MappingStatus)> {
        self.running().get(uuid).map(|running| (running.mapping.name().to_owned(), running.mapping.status()))
    }

    /// How many mappings run.
    pub(crate) fn len(&self) -> usize {
        self.running().len()
    }

    /// Stops receiving everywhere and waits until everything held is settled, or given back after the grace.
    pub(crate) async fn drain(&self, grace: Duration) {
        let mappings: Vec<Arc<Mapping>> = {
            let running = self.running();
            for one in running.values() {
                one.component.not_ready("draining");
            }
            running.values().map(|one| Arc::clone(&one.mapping)).collect()
        };
        futures::future::join_all(mappings.iter().map(|mapping| mapping.drain(grace))).await;
        self.leaving.close();
        self.leaving.wait().await;
    }

    /// Gives back at once what still runs.
    pub(crate) fn abandon(&self) {
        for mapping in self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            mapping.abandoner().cancel();
        }
    }

    /// Begins a running mapping anew, for settings that the API does not show. One that does not run is left alone.
    pub(super) async fn renew(&self, mapping: &Configuration) {
        let uuid = {
            let running = self.running();
            let same = running.iter().find(|(_, one)| {
                one.configuration.event_source_arn == mapping.event_source_arn
                    && one.configuration.function.name == mapping.function.name
                    && qualifier(&one.configuration.function) == qualifier(&mapping.function)
            });
            same.map(|(uuid, _)| uuid.clone())
        };
        if let Some(uuid) = uuid
            && let Err(problem) = self.run(&uuid, mapping).await
        {
            tracing::error!(uuid, problem, "a mapping does not run with its new settings");
        }
    }

    fn spec(&self, mapping: &Configuration) -> Option<MappingSpec> {
        // The config names no qualifiers.
        if qualifier(&mapping.function) != LATEST {
            return None;
        }
        let key = (mapping.event_source_arn.clone(), mapping.function.name.clone());
        self.specs.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// The queue behind an ARN, where the config does not say more.
    async fn find(&self, arn: &str) -> Result<Arc<dyn Queue>, QueueError> {
        let parsed = QueueArn::parse(arn).map_err(|_| QueueError::NoSuchQueue)?;
        let ours = self.parts.broker.as_ref().filter(|broker| broker.identity().arn(parsed.name()) == parsed);
        if let Some(broker) = ours {
            return broker.queue(parsed.name()).map(|queue| Arc::new(queue) as Arc<dyn Queue>);
        }
        let remote = RemoteQueue {
            address: RemoteAddress::Arn { arn: arn.to_owned(), account_id: parsed.account().to_owned() },
            name: parsed.name().to_owned(),
            region: parsed.region().to_owned(),
            endpoint_url: self.parts.endpoint_url.clone(),
        };
        feeds::reach(&remote).await
    }

    async fn source(&self, source: &MappingSource) -> Result<Arc<dyn Queue>, QueueError> {
        match (source, &self.parts.broker) {
            (MappingSource::Local { queue_name }, Some(broker)) => {
                broker.queue(queue_name).map(|queue| Arc::new(queue) as Arc<dyn Queue>)
            }
            (MappingSource::Local { .. }, None) => Err(QueueError::NoSuchQueue),
            (MappingSource::Remote(remote), _) => feeds::reach(remote).await,
        }
    }

    /// The settings of a mapping: Lambda's from the resource, wasmill's own from the config.
    async fn options(&self, uuid: &str, mapping: &Configuration) -> Result<MappingOptions, String> {
        let (functions, function) = (&self.parts.functions, &mapping.function);
        let permits = functions.permits(&function.name).filter(|_| self.leads_somewhere(function));
        let permits = permits.ok_or_else(|| self.nowhere(function))?;
        let spec = self.spec(mapping);
        let said = |error: QueueError| error.to_string();
        let queue = match &spec {
            Some(spec) => self.source(&spec.source).await.map_err(said)?,
            None => self.find(&mapping.event_source_arn).await.map_err(said)?,
        };
        let on_filtered = match spec.as_ref().map(|spec| &spec.on_filtered) {
            None | Some(config::OnFiltered::Delete) => OnFiltered::Delete,
            Some(config::OnFiltered::Keep) => OnFiltered::Keep,
            Some(config::OnFiltered::Forward(to)) => OnFiltered::Forward(self.source(to).await.map_err(said)?),
        };
        let is_fifo = queue.attributes().await.map_err(said)?.fifo;
        // Another service's time cannot be skipped.
        let own = self.parts.broker.as_ref().filter(|_| queue.capabilities().signals_readiness);
        let timeline = own.map_or_else(Timeline::real, |broker| broker.timeline().clone());
        Ok(MappingOptions {
            name: self.name_for(uuid, queue.arn(), &shown(function)),
            function_name: function.name.clone(),
            batch_size: mapping.batch_size,
            window: Duration::from_secs(u64::from(mapping.maximum_batching_window_in_seconds)),
            filters: Filters::parse(&mapping.filter_patterns).map_err(|error| error.to_string())?,
            on_filtered,
            retry_policy: spec.as_ref().map_or(RetryPolicy::Visibility, |spec| spec.retry_policy),
            bisect_max_invocations: spec.as_ref().map_or(BISECT_MAX_INVOCATIONS, |spec| spec.bisect_max_invocations),
            dead_letters_last_attempts: spec.as_ref().is_some_and(|spec| spec.dead_letter_last_attempts),
            fifo_order: spec.as_ref().map_or(FifoOrder::Enforce, |spec| spec.fifo_order),
            per_group: spec.as_ref().is_some_and(|spec| spec.per_group),
            weight: spec.as_ref().map_or(1, |spec| spec.weight),
            max_messages_per_second: spec.as_ref().and_then(|spec| spec.max_messages_per_second).map(f64::from),
            reports_item_failures: mapping.report_batch_item_failures,
            maximum_concurrency: mapping.maximum_concurrency,
            queue,
            is_fifo,
            timeline,
            route: functions.route_to(&function.name, qualifier(function)),
            permits,
            metrics: self.parts.metrics.clone(),
            witness: self.parts.witness.clone(),
            observer: self.parts.observer.clone(),
            tracer: self.parts.tracer.clone(),
        })
    }

    /// `QUEUE/FUNCTION` where that is free, else with the ARN: queues of two accounts, regions or services may share a name.
    fn name_for(&self, uuid: &str, arn: &QueueArn, function_name: &str) -> String {
        let running = self.running();
        let others = running.iter().filter(|(other, _)| *other != uuid);
        feeds::name_for(arn, function_name, others.map(|(_, running)| running.mapping.name()))
    }
}

/// The qualifier that a function is called by.
fn qualifier(function: &FunctionRef) -> &str {
    function.qualifier.as_deref().unwrap_or(LATEST)
}

/// A function with its qualifier, if that says something.
fn shown(function: &FunctionRef) -> String {
    if qualifier(function) == LATEST { function.name.clone() } else { function.to_string() }
}

/// A mapping that no config knows searches for what a handler crashes on like one that says nothing about it.
const BISECT_MAX_INVOCATIONS: u32 = config::BISECT_MAX_INVOCATIONS;

/// What the API shows of a mapping of the config.
fn configuration(arn: &str, spec: &MappingSpec) -> Configuration {
    Configuration {
        enabled: spec.enabled,
        batch_size: spec.batch_size,
        maximum_batching_window_in_seconds: u32::try_from(spec.window.as_secs()).unwrap_or(u32::MAX),
        report_batch_item_failures: spec.report_batch_item_failures,
        filter_patterns: spec.filter_patterns.clone(),
        maximum_concurrency: spec.maximum_concurrency,
        ..Configuration::new(arn, FunctionRef::new(&spec.function_name))
    }
}

/// What of a mapping only the config knows.
fn own_settings(spec: &MappingSpec) -> impl PartialEq + use<> {
    (
        spec.source.clone(),
        spec.on_filtered.clone(),
        spec.retry_policy,
        (spec.bisect_max_invocations, spec.fifo_order, spec.per_group, spec.weight, spec.max_messages_per_second),
        spec.dead_letter_last_attempts,
    )
}

#[async_trait]
impl Engine for Fleet {
    async fn queue(&self, arn: &str) -> Result<QueueFacts, QueueTrouble> {
        let trouble = |error: QueueError| match error {
            QueueError::NoSuchQueue => QueueTrouble::NotFound,
            other => QueueTrouble::Unavailable(other.to_string()),
        };
        let attributes = self.find(arn).await.map_err(trouble)?.attributes().await.map_err(trouble)?;
        let visibility = attributes.visibility_timeout.as_secs();
        Ok(QueueFacts {
            fifo: attributes.fifo,
            visibility_timeout_seconds: u32::try_from(visibility).unwrap_or(u32::MAX),
        })
    }

    fn check_filters(&self, patterns: &[String]) -> Result<(), String> {
        Filters::parse(patterns).map(drop).map_err(|error| {
            tracing::info!(%error, "a filter pattern was refused");
            wasmill_mapping::FilterError::MESSAGE.to_owned()
        })
    }

    async fn run(&self, uuid: &str, mapping: &Configuration) -> Result<(), String> {
        let begun = self.begin(uuid, mapping).await;
        self.note_trouble(uuid, mapping, begun.as_ref().err());
        begun
    }

    async fn stop(&self, uuid: &str) {
        if let Some(component) = self.troubled().remove(uuid) {
            component.retire();
        }
        let Some(running) = self.running().remove(uuid) else { return };
        running.component.retire();
        running.mapping.drain(self.parts.grace).await;
    }
}

impl Fleet {
    fn troubled(&self) -> MutexGuard<'_, BTreeMap<String, Component>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows in `/readyz` that a mapping does not run, or that it does after all.
    fn note_trouble(&self, uuid: &str, mapping: &Configuration, problem: Option<&String>) {
        let mut troubled = self.troubled();
        let Some(problem) = problem else {
            if let Some(component) = troubled.remove(uuid) {
                component.retire();
            }
            return;
        };
        // One that runs with its earlier settings says itself how it is.
        if self.running().contains_key(uuid) {
            return;
        }
        let component = troubled.entry(uuid.to_owned()).or_insert_with(|| {
            let queue = mapping.event_source_arn.rsplit(':').next().unwrap_or_default();
            self.parts.readiness.component(format!("mapping {queue}/{}", mapping.function.name))
        });
        component.not_ready(problem.clone());
    }

    fn leads_somewhere(&self, function: &FunctionRef) -> bool {
        self.parts.functions.leads_somewhere(&function.name, qualifier(function))
    }

    /// Why there is nothing to call.
    fn nowhere(&self, function: &FunctionRef) -> String {
        match self.parts.functions.permits(&function.name) {
            None => "Function does not exist".to_owned(),
            Some(_) => format!("The function has no version or alias {}", qualifier(function)),
        }
    }

    /// Ends the receiving of a function's mappings that lead nowhere any more, at once: their owner stops them next.
    pub(super) fn routes_changed(&self, function: &str) {
        for one in self.running().values() {
            let led_to = &one.configuration.function;
            if led_to.name == function && !self.leads_somewhere(led_to) {
                tracing::warn!(mapping = one.mapping.name(), "the mapping receives nothing any more: it leads nowhere");
                one.mapping.stop_receiving();
            }
        }
    }

    async fn begin(&self, uuid: &str, mapping: &Configuration) -> Result<(), String> {
        let options = self.options(uuid, mapping).await?;
        let before = self.running().remove(uuid).map(|before| {
            before.mapping.stop_receiving();
            (before.mapping, before.component)
        });
        let component = before.as_ref().map_or_else(
            || self.parts.readiness.component(format!("mapping {}", options.name)),
            |(_, component)| component.clone(),
        );
        let running_as = Arc::new(());
        let still_runs = Arc::downgrade(&running_as);
        let begun = Arc::new(wasmill_mapping::start(options));
        let name = begun.name().to_owned();
        let is_current = move || still_runs.strong_count() > 0;
        tokio::spawn(follow(name, begun.watch_status(), component.clone(), is_current));
        {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| one.strong_count() > 0);
            all.push(Arc::downgrade(&begun));
        }
        let configuration = mapping.clone();
        let running = Running { mapping: begun, configuration, component, _current: running_as };
        // Another change of the same mapping may have come in between: there is one of it at a time.
        let overtaken = self.running().insert(uuid.to_owned(), running).map(|overtaken| overtaken.mapping);
        for before in before.map(|(mapping, _)| mapping).into_iter().chain(overtaken) {
            let grace = self.parts.grace;
            self.leaving.spawn(async move { before.drain(grace).await });
        }
        // Its function may have gone meanwhile.
        self.routes_changed(&mapping.function.name);
        Ok(())
    }
}
