//! A functions' engine that does as it is told: its code is texts, and what they say is what becomes of them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::function_engine::{
    Build, BuildFacts, Call, FunctionEngine, FunctionFailure, FunctionSettings, NotInvoked, Outcome, Routes,
};
use crate::functions::OwnedFunction;

/// What the next calls of `invoke` come to; after the last of them a function answers with its event.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Fail,
    Throttle,
    NotReady,
}

pub(crate) struct ScriptedFunctions {
    /// `load f $LATEST`, `unload f`, `remove f`, `reserve f 5`, `invoke f live`, in order.
    calls: Mutex<Vec<String>>,
    /// By function and build.
    loaded: Mutex<BTreeSet<(String, String)>>,
    routes: Mutex<BTreeMap<String, Routes>>,
    pub(crate) says: Mutex<VecDeque<Say>>,
    /// Shut: no load returns.
    pub(crate) door: watch::Sender<bool>,
}

impl ScriptedFunctions {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            loaded: Mutex::default(),
            routes: Mutex::default(),
            says: Mutex::default(),
            door: watch::Sender::new(true),
        })
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    /// The calls since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// How many builds of a function are loaded.
    pub(crate) fn builds(&self, function: &str) -> usize {
        self.loaded.lock().unwrap().iter().filter(|(name, _)| name == function).count()
    }

    /// Where a function's qualifiers lead: `live -> 1 + 0.2 of 2`.
    pub(crate) fn routes(&self, function: &str) -> Vec<String> {
        let routes = self.routes.lock().unwrap();
        let routes = routes.get(function).into_iter().flatten();
        routes
            .map(|(qualifier, route)| match &route.also {
                None => format!("{qualifier} -> {}", route.to.version),
                Some((other, weight)) => format!("{qualifier} -> {} + {weight} of {}", route.to.version, other.version),
            })
            .collect()
    }

    /// The build that `$LATEST` leads to.
    pub(crate) fn latest(&self, function: &str) -> String {
        self.routes.lock().unwrap()[function]["$LATEST"].to.build.clone()
    }

    /// A function as a config names it, loaded.
    pub(crate) fn owned(&self, name: &str, timeout_seconds: u32) -> OwnedFunction {
        let build = format!("config-{timeout_seconds}");
        self.loaded.lock().unwrap().insert((name.to_owned(), build.clone()));
        OwnedFunction {
            name: name.to_owned(),
            build,
            code_sha256: [7; 32],
            code_size_bytes: 70,
            settings: FunctionSettings {
                runtime: Some("wasm".to_owned()),
                handler: None,
                timeout_seconds,
                memory_size_mib: 128,
                ephemeral_storage_mib: 512,
                environment: BTreeMap::new(),
            },
            reserved_concurrent_executions: None,
        }
    }
}

#[async_trait]
impl FunctionEngine for ScriptedFunctions {
    async fn load(&self, build: &Build) -> Result<BuildFacts, String> {
        self.note(format!("load {} {}", build.function, build.version));
        self.door.subscribe().wait_for(|open| *open).await.unwrap();
        let code = fs::read(build.code).unwrap();
        assert_eq!(build.code.file_name().unwrap().to_str().unwrap(), build.sha256);
        if code.ends_with(b"panics") {
            panic!("as told");
        }
        if code.ends_with(b"broken") {
            return Err("it exports no handler".to_owned());
        }
        self.loaded.lock().unwrap().insert((build.function.to_owned(), build.id.to_owned()));
        Ok(BuildFacts { kind: "text".to_owned() })
    }

    fn unload(&self, function: &str, build: &str) {
        self.note(format!("unload {function}"));
        let leads = |routes: &Routes| {
            routes.values().any(|route| {
                route.to.build == build || route.also.as_ref().is_some_and(|(other, _)| other.build == build)
            })
        };
        assert!(!self.routes.lock().unwrap().get(function).is_some_and(leads), "a route leads to {build}");
        self.loaded.lock().unwrap().remove(&(function.to_owned(), build.to_owned()));
    }

    fn route(&self, function: &str, routes: &Routes) {
        let loaded = self.loaded.lock().unwrap();
        for route in routes.values() {
            for target in std::iter::once(&route.to).chain(route.also.as_ref().map(|(other, _)| other)) {
                assert!(loaded.contains(&(function.to_owned(), target.build.clone())), "{target:?} is not loaded");
            }
        }
        self.routes.lock().unwrap().insert(function.to_owned(), routes.clone());
    }

    fn reserve(&self, function: &str, concurrent_executions: Option<u32>) {
        let shown = concurrent_executions.map_or_else(|| "default".to_owned(), |number| number.to_string());
        self.note(format!("reserve {function} {shown}"));
    }

    fn remove(&self, function: &str) {
        self.note(format!("remove {function}"));
        self.routes.lock().unwrap().remove(function);
        self.loaded.lock().unwrap().retain(|(name, _)| name != function);
    }

    async fn invoke(&self, call: Call<'_>) -> Result<Outcome, NotInvoked> {
        self.note(format!("invoke {} {}", call.function, call.qualifier));
        let version = self.routes.lock().unwrap()[call.function][call.qualifier].to.version.clone();
        let answer = match self.says.lock().unwrap().pop_front() {
            None => Ok(call.payload.to_owned()),
            Some(Say::Throttle) => return Err(NotInvoked::Throttled),
            Some(Say::NotReady) => return Err(NotInvoked::NotReady("its build is on its way".to_owned())),
            Some(Say::Fail) => Err(FunctionFailure {
                error_type: "ValueError".to_owned(),
                message: "no such order".to_owned(),
                stack_trace: Some(vec!["line 1".to_owned()]),
            }),
        };
        let log_tail = call.wants_log.then(|| format!("START RequestId: {} Version: {version}\n", call.request_id));
        Ok(Outcome { version, answer, duration: Duration::from_millis(1), memory_peak_bytes: 0, log_tail })
    }
}
