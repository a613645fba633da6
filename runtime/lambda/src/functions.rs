//! The functions: their code, `$LATEST`, versions, aliases, tags, permits and policies.
//!
//! A change is checked, written to the state file and made, one at a time, in turn with the mappings'. New code or
//! settings are a new build: it is made ready beside what runs (`loading.rs`), and routes are changed when it is. Until
//! then, and if it cannot run, everything goes on as it was.

mod aliases;
mod changes;
mod code_store;
pub(crate) mod downloads;
mod entry;
mod events;
pub(crate) mod invoke;
mod loading;
mod own;
mod pages;
mod policies;
mod record;
mod request;
mod service;
mod shown;
mod stored;
pub(crate) mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::checks::TAGS_MAX;
use crate::engine::FunctionFacts;
use crate::error::ApiError;
use crate::function_engine::FunctionEngine;
use crate::functions::downloads::Downloads;
use crate::functions::entry::{Entry, Readiness};
use crate::functions::events::Events;
use crate::names::{FunctionRef, Identity, LATEST};
use crate::state_file::StateError;
use crate::store::{State, Store};

pub(crate) use self::code_store::CodeStore;
pub use self::own::{FunctionOverride, FunctionOwnership, OwnedFunction};
pub(crate) use self::record::FunctionRecord;
pub(crate) use self::service::Request;
pub(crate) use self::stored::{read, write};

#[cfg(test)]
pub(crate) use self::stored::tests::example;

/// What `CodeSha256` is of a blob.
#[cfg(test)]
pub(crate) fn code_sha256(blob: &[u8]) -> String {
    record::Sha256::of(blob).base64()
}

/// How many are made ready at once: it takes a core or more each.
const LOADS_AT_ONCE: usize = 2;

/// All functions of the worker. Clones are the same functions.
#[derive(Clone)]
pub struct Functions {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn FunctionEngine>,
    store: Arc<Store>,
    code: CodeStore,
    identity: Identity,
    versions_kept: usize,
    /// Held for a moment.
    entries: Mutex<BTreeMap<String, Entry>>,
    loads: Semaphore,
    /// Counts what was made ready, or failed to be.
    settled: watch::Sender<u64>,
    mappings: OnceLock<Weak<dyn Mapped>>,
    stopping: CancellationToken,
    downloads: Downloads,
    events: Events,
}

/// The mappings, as the functions know them.
pub(crate) trait Mapped: Send + Sync {
    /// The qualifiers under which mappings name a function.
    fn qualifiers(&self, function: &str) -> BTreeSet<String>;

    /// A function is there, can run, or is gone: its mappings may have to begin or to end.
    fn function_changed(self: Arc<Self>, function: &str);
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").field("functions", &self.inner.entries().len()).finish_non_exhaustive()
    }
}

/// What the functions need to begin.
pub(crate) struct Beginning<'a> {
    pub(crate) engine: Arc<dyn FunctionEngine>,
    pub(crate) store: Arc<Store>,
    pub(crate) state: &'a State,
    pub(crate) code: CodeStore,
    pub(crate) identity: Identity,
    pub(crate) versions_kept: usize,
}

impl Functions {
    pub(crate) fn new(beginning: Beginning<'_>) -> Self {
        let Beginning { engine, store, state, code, identity, versions_kept } = beginning;
        let entry = |(name, record): (&String, &Arc<FunctionRecord>)| {
            (name.clone(), Entry::new(Arc::clone(record), &Readiness::Restoring))
        };
        let inner = Inner {
            engine,
            store,
            code,
            identity,
            versions_kept,
            entries: Mutex::new(state.functions.iter().map(entry).collect()),
            loads: Semaphore::new(LOADS_AT_ONCE),
            settled: watch::Sender::new(0),
            mappings: OnceLock::new(),
            stopping: CancellationToken::new(),
            downloads: Downloads::new(),
            events: Events::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Says who the mappings are.
    pub(crate) fn know_mappings(&self, mappings: Weak<dyn Mapped>) {
        // There is one registry of mappings, which says so once.
        let _ = self.inner.mappings.set(mappings);
    }

    /// What mappings ask of a function; none when it, its version or its alias is not there.
    pub(crate) fn facts(&self, function: &FunctionRef) -> Option<FunctionFacts> {
        let entries = self.inner.entries();
        let record = &entries.get(&function.name)?.record;
        let qualifier = function.qualifier.as_deref().unwrap_or(LATEST);
        let timeout = |version: &str| record.version(version).map(|version| version.settings.timeout_seconds);
        let timeout_seconds = match record.aliases.get(qualifier) {
            None => timeout(qualifier)?,
            Some(alias) => {
                let other = alias.additional.as_ref().and_then(|(version, _)| timeout(version));
                timeout(&alias.function_version)?.max(other.unwrap_or(0))
            }
        };
        Some(FunctionFacts { timeout_seconds })
    }

    /// A function's tags.
    pub(crate) fn tags(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        Ok(self.inner.entry(name)?.record.tags.clone())
    }

    /// Adds tags to a function, and removes others.
    pub(crate) async fn tag(
        &self,
        name: String,
        add: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move {
            let change = |record: &mut FunctionRecord| {
                record.tags.extend(add);
                record.tags.retain(|key, _| !remove.contains(key));
                if record.tags.len() > TAGS_MAX { Err(ApiError::TooManyTags) } else { Ok(()) }
            };
            inner.amend(&name, change).await
        })
        .await
    }

    /// Says how many invocations of a function may run at once; none: the worker's default.
    pub(crate) async fn reserve(&self, name: String, concurrent_executions: Option<u32>) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move {
            let change = |record: &mut FunctionRecord| {
                record.reserved_concurrent_executions = concurrent_executions;
                Ok(())
            };
            inner.amend(&name, change).await
        })
        .await
    }

    /// Why a function cannot be invoked now; none when it can.
    pub(crate) fn problem(&self, function: &FunctionRef) -> Option<String> {
        const GONE: &str = "Function does not exist";
        let entries = self.inner.entries();
        let Some(entry) = entries.get(&function.name) else { return Some(GONE.to_owned()) };
        let qualifier = function.qualifier.as_deref().unwrap_or(LATEST);
        let version = entry.record.aliases.get(qualifier).map_or(qualifier, |alias| &alias.function_version);
        let Some(version) = entry.record.version(version) else { return Some(GONE.to_owned()) };
        let state = entry.state(version);
        (state.state != "Active").then(|| format!("the function is {}: {}", state.state, state.reason.unwrap_or("")))
    }
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> BTreeMap<String, Arc<FunctionRecord>> {
        self.entries().iter().map(|(name, entry)| (name.clone(), Arc::clone(&entry.record))).collect()
    }

    fn mappings(&self) -> Option<Arc<dyn Mapped>> {
        self.mappings.get().and_then(Weak::upgrade)
    }

    /// The qualifiers under which mappings need a function.
    fn pinned(&self, name: &str) -> BTreeSet<String> {
        self.mappings().map(|mappings| mappings.qualifiers(name)).unwrap_or_default()
    }

    /// Refuses a version or an alias that is not there.
    fn check_qualifier(&self, name: &str, qualifier: Option<&str>) -> Result<(), ApiError> {
        let record = self.entry(name)?.record;
        let is_there = |qualifier: &str| record.aliases.contains_key(qualifier) || record.version(qualifier).is_some();
        match qualifier {
            Some(qualifier) if !is_there(qualifier) => Err(self.not_found(name, Some(qualifier))),
            _ => Ok(()),
        }
    }

    /// Lets the engine follow what the function's routes are now, and forgets builds that nothing leads to. Called by
    /// whoever has the turn, so that the engine hears of changes in their order.
    fn reroute(&self, name: &str) {
        let (routes, unnamed) = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(name) else { return };
            let unnamed = entry.take_unnamed();
            (entry.routes(), unnamed)
        };
        self.engine.route(name, &routes);
        for build in unnamed {
            self.engine.unload(name, &build);
        }
        if let Some(mappings) = self.mappings() {
            mappings.function_changed(name);
        }
    }

    /// A function that is gone.
    fn forget(&self, name: &str) {
        if self.entries().remove(name).is_none() {
            return;
        }
        self.engine.remove(name);
        if let Some(mappings) = self.mappings() {
            mappings.function_changed(name);
        }
    }

    /// Removes code that no record names any more, in the background.
    fn collect_code(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            // Nobody names a blob meanwhile but by holding it.
            let turn = inner.store.turn().await;
            let named = inner.records().values().flat_map(|record| record.uploaded()).collect();
            let code = inner.code.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || code.collect(&named)).await {
                tracing::error!(%error, "old code was not looked for to its end");
            }
            drop(turn);
        });
    }
}

fn new_revision() -> String {
    Uuid::new_v4().to_string()
}

fn save_error(error: &StateError) {
    tracing::error!(%error, "what became of a function is not on disk: the next start finds out again");
}
