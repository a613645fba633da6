//! What the crate's tests share: an engine that does as it is told, and a worker around it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{HeaderMap, Method, Response};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::engine::{Engine, FunctionFacts, QueueFacts, QueueTrouble};
use crate::function_engine::FunctionEngine;
use crate::mapping::MappingState;
use crate::names::{FunctionRef, Identity};
use crate::registry::{Registry, RegistryOptions};
use crate::scripted_functions::ScriptedFunctions;
use crate::service::LambdaService;
use crate::state_file::StateError;

pub(crate) const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:orders";
pub(crate) const FIFO: &str = "arn:aws:sqs:us-east-1:000000000000:orders.fifo";
pub(crate) const MAPPINGS: &str = "/2015-03-31/event-source-mappings";

/// What the next calls of `run` do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Run {
    Works,
    Fails(&'static str),
    Panics,
}

/// Knows the queues `orders`, `more` and `orders.fifo`.
pub(crate) struct Scripted {
    pub(crate) queues: Mutex<BTreeMap<String, Result<QueueFacts, QueueTrouble>>>,
    pub(crate) run: Mutex<Run>,
    /// `run NAME SIZE` and `stop NAME`, in order; the name is the function's.
    calls: Mutex<Vec<String>>,
    running: Mutex<BTreeMap<String, Configuration>>,
    /// Shut: neither `run` nor `stop` returns.
    pub(crate) door: watch::Sender<bool>,
}

impl Scripted {
    pub(crate) fn new() -> Arc<Self> {
        let facts = |fifo| Ok(QueueFacts { fifo, visibility_timeout_seconds: 30 });
        let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        let queues = [(arn("orders"), facts(false)), (arn("more"), facts(false)), (arn("orders.fifo"), facts(true))];
        Arc::new(Self {
            queues: Mutex::new(BTreeMap::from(queues)),
            run: Mutex::new(Run::Works),
            calls: Mutex::default(),
            running: Mutex::default(),
            door: watch::Sender::new(true),
        })
    }

    /// The calls since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// The functions of the mappings that run, with their batch sizes.
    pub(crate) fn running(&self) -> Vec<String> {
        let running = self.running.lock().unwrap();
        let mut shown: Vec<String> =
            running.values().map(|c| format!("{} {}", c.function.name, c.batch_size)).collect();
        shown.sort();
        shown
    }

    async fn pass(&self) {
        let mut door = self.door.subscribe();
        door.wait_for(|open| *open).await.unwrap();
    }
}

#[async_trait]
impl Engine for Scripted {
    fn function(&self, _name: &str) -> Option<FunctionFacts> {
        None
    }

    async fn queue(&self, arn: &str) -> Result<QueueFacts, QueueTrouble> {
        self.queues.lock().unwrap().get(arn).cloned().unwrap_or(Err(QueueTrouble::NotFound))
    }

    fn check_filters(&self, patterns: &[String]) -> Result<(), String> {
        fn is_pattern(value: &Value) -> bool {
            value.as_object().is_some_and(|object| {
                object.values().all(|value| match value {
                    Value::Array(values) => !values.is_empty(),
                    other => is_pattern(other),
                })
            })
        }
        let good = |text: &String| serde_json::from_str(text).is_ok_and(|value| is_pattern(&value));
        let refused = || "Invalid filter pattern definition.".to_owned();
        patterns.iter().all(good).then_some(()).ok_or_else(refused)
    }

    async fn run(&self, uuid: &str, mapping: &Configuration) -> Result<(), String> {
        self.calls.lock().unwrap().push(format!("run {} {}", mapping.function.name, mapping.batch_size));
        self.pass().await;
        let run = self.run.lock().unwrap().clone();
        match run {
            Run::Works => {
                self.running.lock().unwrap().insert(uuid.into(), mapping.clone());
                Ok(())
            }
            Run::Fails(why) => Err(why.into()),
            Run::Panics => panic!("as told"),
        }
    }

    async fn stop(&self, uuid: &str) {
        let mapping = self.running.lock().unwrap().get(uuid).cloned();
        let name = mapping.map_or("nothing".to_owned(), |mapping| mapping.function.name);
        self.calls.lock().unwrap().push(format!("stop {name}"));
        self.pass().await;
        self.running.lock().unwrap().remove(uuid);
    }
}

/// A worker: engine, registry, API.
pub(crate) struct Worker {
    pub(crate) engine: Arc<Scripted>,
    pub(crate) functions: Arc<ScriptedFunctions>,
    pub(crate) registry: Registry,
    pub(crate) service: LambdaService,
}

impl Worker {
    /// In memory, started.
    pub(crate) async fn new() -> Self {
        let worker = Self::open(None).await;
        worker.registry.start_all().await;
        worker
    }

    /// With its state in that folder, and the functions `f` and `g` from the config; not started.
    pub(crate) async fn open(folder: Option<&Path>) -> Self {
        let worker = Self::bare(folder).await;
        let owned = ["f", "g"].map(|name| worker.functions.owned(name, 3));
        worker.registry.functions().unwrap().own(owned.into()).await.unwrap();
        worker.functions.calls();
        worker
    }

    /// With its state in that folder, not started.
    pub(crate) async fn bare(folder: Option<&Path>) -> Self {
        let (engine, functions) = (Scripted::new(), ScriptedFunctions::new());
        let options = RegistryOptions {
            state_file: folder.map(|folder| folder.join("lambda.json")),
            identity: Identity::default(),
            versions_kept: 3,
        };
        let open = || {
            let functions = Arc::clone(&functions) as Arc<dyn FunctionEngine>;
            Registry::with_functions(options.clone(), Arc::clone(&engine) as Arc<dyn Engine>, functions)
        };
        let mut registry = open();
        // What the one before it does in the background comes to its end.
        while let Err(StateError::InUse { .. }) = registry {
            tokio::time::sleep(Duration::from_millis(1)).await;
            registry = open();
        }
        let registry = registry.unwrap();
        let service = LambdaService::new(registry.clone(), Identity::default());
        Self { engine, functions, registry, service }
    }

    /// Sends a request with headers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        self.service.handle(&method, path, headers, body.into()).await
    }

    /// Sends a request; an empty body is none.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Reply {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let response = self.service.handle(&method, path, &HeaderMap::new(), body).await;
        let headers = response.headers().clone();
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(Uuid::try_parse(&header("x-amzn-requestid").unwrap()).is_ok());
        let body = response.body();
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
        assert_eq!(header("content-type").is_some(), !body.is_empty());
        Reply { status: response.status().as_u16(), error: header("x-amzn-errortype"), json }
    }

    pub(crate) async fn create(&self, body: &str) -> Reply {
        self.call(Method::POST, MAPPINGS, body).await
    }

    pub(crate) async fn get(&self, uuid: Uuid) -> Reply {
        self.call(Method::GET, &format!("{MAPPINGS}/{uuid}"), "").await
    }

    pub(crate) async fn update(&self, uuid: Uuid, body: &str) -> Reply {
        self.call(Method::PUT, &format!("{MAPPINGS}/{uuid}"), body).await
    }

    pub(crate) async fn delete(&self, uuid: Uuid) -> Reply {
        self.call(Method::DELETE, &format!("{MAPPINGS}/{uuid}"), "").await
    }

    /// Makes a mapping of `orders` and `f` and waits until it polls.
    pub(crate) async fn enabled(&self) -> Uuid {
        let uuid = self.registry.create(configuration(QUEUE, "f")).await.unwrap().uuid;
        self.rests(uuid, MappingState::Enabled).await;
        self.engine.calls();
        uuid
    }

    /// Waits until a mapping is in that state.
    pub(crate) async fn rests(&self, uuid: Uuid, state: MappingState) {
        until(|| self.registry.get(uuid).is_some_and(|mapping| mapping.state == state)).await;
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The header that clients take the code from.
    pub(crate) error: Option<String>,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::try_parse(self.json["UUID"].as_str().unwrap()).unwrap()
    }

    pub(crate) fn state(&self) -> &str {
        self.json["State"].as_str().unwrap()
    }

    /// An error's text, under either name.
    pub(crate) fn message(&self) -> &str {
        self.json.get("message").or_else(|| self.json.get("Message")).and_then(Value::as_str).unwrap_or_default()
    }
}

pub(crate) fn configuration(queue: &str, function: &str) -> Configuration {
    Configuration::new(queue, FunctionRef::from_short(function))
}

/// Waits, under paused time or not, and gives up after ten seconds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen");
}
