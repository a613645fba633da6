//! The mappings: who may change them, when that is on disk, and how the engine follows.
//!
//! A change is checked, written to the state file, made, and only then begun. One at a time: the state file has one
//! writer. Each change starts a new generation of its mapping; a transition that is overtaken by a later one ends.
//! Reads never wait. What the config names is imposed in `registry/own.rs`; transitions are in
//! `registry/transitions.rs`.

mod mapped;
mod own;
mod transitions;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::checks;
use crate::clock::now_ms;
use crate::configuration::{Changes, Configuration};
use crate::engine::{Engine, FunctionFacts, QueueTrouble};
use crate::error::ApiError;
use crate::function_engine::FunctionEngine;
use crate::functions::{Beginning, CodeStore, Functions};
use crate::mapping::{Mapping, MappingState, Origin};
use crate::names::{FunctionRef, Identity};
use crate::state_file::StateError;
use crate::store::Store;
use crate::stored::Record;

pub use self::own::{Override, Ownership};
pub use self::transitions::StartTrouble;

/// A bound, far above what one worker can poll.
const MAPPINGS_MAX: usize = 10_000;

/// All mappings of the worker, and the functions they lead to. Clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// What a registry is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Where mappings and functions are kept; uploaded code is in the folder `code` beside it. Without one nothing
    /// outlives the process.
    pub state_file: Option<PathBuf>,
    /// What stands in ARNs.
    pub identity: Identity,
    /// How many published versions of a function are kept, beside those that aliases and mappings name.
    pub versions_kept: usize,
}

/// What [`RegistryOptions::versions_kept`] is where nobody says otherwise.
pub const VERSIONS_KEPT: usize = 20;

struct Inner {
    engine: Arc<dyn Engine>,
    store: Arc<Store>,
    functions: Option<Functions>,
    /// Held for a moment.
    entries: std::sync::Mutex<BTreeMap<Uuid, Entry>>,
    started: AtomicBool,
    stopping: CancellationToken,
}

struct Entry {
    record: Record,
    state: MappingState,
    problem: Option<String>,
    generation: u64,
    /// Whose turn it is with the engine.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("mappings", &self.inner.entries().len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn new(record: Record, state: MappingState) -> Self {
        Self { record, state, problem: None, generation: 0, turn: Arc::default() }
    }

    fn shown(&self, uuid: Uuid) -> Mapping {
        Mapping {
            uuid,
            configuration: self.record.configuration.clone(),
            state: self.state,
            last_modified_ms: self.record.last_modified_ms,
            origin: self.record.origin,
            problem: self.problem.clone(),
        }
    }

    /// A new generation, on its way to or in `state`.
    fn enter(&mut self, state: MappingState) -> u64 {
        self.state = state;
        self.problem = None;
        self.generation += 1;
        self.generation
    }
}

/// Which mappings to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) event_source_arn: Option<String>,
    pub(crate) function: Option<FunctionRef>,
    /// Those after it.
    pub(crate) after: Option<Uuid>,
    pub(crate) max: usize,
}

impl Registry {
    /// Opens the registry and loads what was stored; without a file nothing outlives the process. Nothing runs before
    /// [`start_all`](Self::start_all).
    ///
    /// # Errors
    /// When the state file cannot be had, read or understood. It is left as it is.
    #[expect(clippy::needless_pass_by_value, reason = "as with_functions takes it")]
    pub fn open(state_file: Option<PathBuf>, engine: Arc<dyn Engine>) -> Result<Self, StateError> {
        let (store, state) = Store::open(state_file.as_deref())?;
        Ok(Self::over(Arc::new(store), state.mappings, engine, None))
    }

    /// The same with functions as resources: then it is they that mappings lead to.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is no state file and no temporary folder for code.
    pub fn with_functions(
        options: RegistryOptions,
        engine: Arc<dyn Engine>,
        function_engine: Arc<dyn FunctionEngine>,
    ) -> Result<Self, StateError> {
        let RegistryOptions { state_file, identity, versions_kept } = options;
        let (store, state) = Store::open(state_file.as_deref())?;
        let store = Arc::new(store);
        let code = match state_file {
            Some(file) => CodeStore::at(file.with_file_name("code")),
            None => CodeStore::temporary().map_err(|problem| StateError::NoCodeFolder { problem })?,
        };
        let functions = Functions::new(Beginning {
            engine: function_engine,
            store: Arc::clone(&store),
            state: &state,
            code,
            identity,
            versions_kept,
        });
        let registry = Self::over(store, state.mappings, engine, Some(functions.clone()));
        let mappings: Weak<Inner> = Arc::downgrade(&registry.inner);
        functions.know_mappings(mappings);
        Ok(registry)
    }

    fn over(
        store: Arc<Store>,
        records: BTreeMap<Uuid, Record>,
        engine: Arc<dyn Engine>,
        functions: Option<Functions>,
    ) -> Self {
        let entry = |(uuid, record): (Uuid, Record)| {
            let state = if record.configuration.enabled { MappingState::Enabling } else { MappingState::Disabled };
            (uuid, Entry::new(record, state))
        };
        let inner = Inner {
            engine,
            store,
            functions,
            entries: std::sync::Mutex::new(records.into_iter().map(entry).collect()),
            started: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The functions, if they are resources here.
    #[must_use]
    pub fn functions(&self) -> Option<&Functions> {
        self.inner.functions.as_ref()
    }

    /// Makes a mapping. It is on disk, and on its way to the engine, when this returns.
    ///
    /// # Errors
    /// When the settings do not go together, an end is not there, the two have a mapping already, or it cannot be
    /// stored.
    pub async fn create(&self, configuration: Configuration) -> Result<Mapping, ApiError> {
        self.to_the_end(|inner| async move { inner.create(configuration).await }).await
    }

    /// Changes a mapping. On disk, and on its way to the engine, when this returns.
    ///
    /// # Errors
    /// As [`create`](Self::create), and when there is no such mapping or it is busy.
    pub async fn update(&self, uuid: Uuid, changes: Changes) -> Result<Mapping, ApiError> {
        self.to_the_end(move |inner| async move { inner.update(uuid, changes).await }).await
    }

    /// Deletes a mapping: it is not on disk any more when this returns, and gone once it holds nothing any more.
    ///
    /// # Errors
    /// When there is no such mapping, it is busy, or that cannot be stored.
    pub async fn delete(&self, uuid: Uuid) -> Result<Mapping, ApiError> {
        self.to_the_end(move |inner| async move { inner.delete(uuid).await }).await
    }

    /// Adds tags to a mapping, and removes others.
    ///
    /// # Errors
    /// When there is no such mapping, it would have too many, or that cannot be stored.
    pub async fn tag(&self, uuid: Uuid, add: BTreeMap<String, String>, remove: Vec<String>) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move { inner.tag(uuid, add, &remove).await }).await
    }

    /// One mapping.
    #[must_use]
    pub fn get(&self, uuid: Uuid) -> Option<Mapping> {
        self.inner.entries().get(&uuid).map(|entry| entry.shown(uuid))
    }

    /// All mappings, by UUID.
    #[must_use]
    pub fn all(&self) -> Vec<Mapping> {
        self.inner.entries().iter().map(|(uuid, entry)| entry.shown(*uuid)).collect()
    }

    /// Mappings by UUID, and whether there are more.
    pub(crate) fn list(&self, wanted: &Wanted) -> (Vec<Mapping>, bool) {
        let entries = self.inner.entries();
        let matches = |entry: &Entry| {
            let configuration = &entry.record.configuration;
            wanted.event_source_arn.as_ref().is_none_or(|arn| *arn == configuration.event_source_arn)
                && wanted.function.as_ref().is_none_or(|function| function.is_same(&configuration.function))
        };
        let mut found = entries
            .iter()
            .filter(|(uuid, entry)| wanted.after.is_none_or(|after| **uuid > after) && matches(entry))
            .map(|(uuid, entry)| entry.shown(*uuid));
        let page: Vec<Mapping> = found.by_ref().take(wanted.max).collect();
        let more = found.next().is_some();
        (page, more)
    }

    /// Refuses all changes from now on, and tries nothing again. What runs is the engine's to drain.
    pub fn close(&self) {
        self.inner.stopping.cancel();
        if let Some(functions) = &self.inner.functions {
            functions.close();
        }
    }

    /// A client that hangs up must not leave a change half made.
    async fn to_the_end<T, F>(&self, change: impl FnOnce(Arc<Inner>) -> F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        let outcome = tokio::spawn(change(Arc::clone(&self.inner))).await;
        outcome.unwrap_or_else(|error| {
            tracing::error!(%error, "a change of a mapping did not come to its end");
            Err(ApiError::Internal)
        })
    }
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be on disk: a mapping that is being deleted is not.
    fn records(&self) -> BTreeMap<Uuid, Record> {
        let entries = self.entries();
        let kept = entries.iter().filter(|(_, entry)| entry.state != MappingState::Deleting);
        kept.map(|(uuid, entry)| (*uuid, entry.record.clone())).collect()
    }

    fn refuse_if_stopping(&self) -> Result<(), ApiError> {
        if self.stopping.is_cancelled() { Err(ApiError::Stopping) } else { Ok(()) }
    }

    fn refuse_duplicate(&self, configuration: &Configuration, except: Option<Uuid>) -> Result<(), ApiError> {
        let entries = self.entries();
        let same = |(uuid, entry): &(&Uuid, &Entry)| {
            Some(**uuid) != except && entry.record.configuration.is_same_pair(configuration)
        };
        entries.iter().find(same).map_or(Ok(()), |(uuid, _)| {
            Err(ApiError::Duplicate {
                event_source_arn: configuration.event_source_arn.clone(),
                function_name: configuration.function.name.clone(),
                uuid: *uuid,
            })
        })
    }

    fn check_function(&self, configuration: &Configuration) -> Result<FunctionFacts, ApiError> {
        if let Some(functions) = &self.functions {
            return functions.facts(&configuration.function).ok_or(ApiError::FunctionDoesNotExist);
        }
        self.engine.function(&configuration.function.name).ok_or(ApiError::FunctionDoesNotExist)
    }

    /// The function and the queue as they are now, against the settings.
    async fn check_ends(&self, configuration: &Configuration) -> Result<(), ApiError> {
        let function = self.check_function(configuration)?;
        let queue = self.engine.queue(&configuration.event_source_arn).await.map_err(|trouble| match trouble {
            QueueTrouble::NotFound => ApiError::NoSuchQueue,
            QueueTrouble::Unavailable(reason) => ApiError::QueueUnavailable { reason },
        })?;
        checks::ends(configuration, function, queue)
    }

    fn check_filters(&self, patterns: &[String]) -> Result<(), ApiError> {
        if patterns.is_empty() {
            return Ok(());
        }
        self.engine.check_filters(patterns).map_err(ApiError::InvalidFilter)
    }

    async fn create(self: Arc<Self>, configuration: Configuration) -> Result<Mapping, ApiError> {
        checks::settings(&configuration)?;
        self.check_filters(&configuration.filter_patterns)?;
        // Before the queue is asked, which may take a while, and again when nobody else can make it.
        self.refuse_duplicate(&configuration, None)?;
        self.check_ends(&configuration).await?;

        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        self.refuse_duplicate(&configuration, None)?;
        self.check_function(&configuration)?;
        let mut records = self.records();
        if records.len() >= MAPPINGS_MAX {
            return Err(ApiError::InvalidParameter(format!("There are {MAPPINGS_MAX} mappings: no more can be made.")));
        }
        let uuid = Uuid::new_v4();
        let record = Record { configuration, origin: Origin::Api, last_modified_ms: now_ms() };
        records.insert(uuid, record.clone());
        turn.keep_mappings(records).await?;
        let enabled = record.configuration.enabled;
        let entry = Entry::new(record, if enabled { MappingState::Creating } else { MappingState::Disabled });
        let (mapping, generation) = (entry.shown(uuid), entry.generation);
        self.entries().insert(uuid, entry);
        drop(turn);

        announce(&mapping, "event source mapping created");
        if enabled {
            self.follow(uuid, generation);
        }
        Ok(mapping)
    }

    async fn update(self: Arc<Self>, uuid: Uuid, changes: Changes) -> Result<Mapping, ApiError> {
        let (before, generation) = self.resting(uuid, "update")?;
        let after = changes.apply(&before);
        checks::settings(&after)?;
        self.check_filters(changes.filter_patterns.as_deref().unwrap_or_default())?;
        self.refuse_duplicate(&after, Some(uuid))?;
        if changes.concerns_both_ends() && after.enabled {
            self.check_ends(&after).await?;
        } else if changes.function.is_some() {
            self.check_function(&after)?;
        }

        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        // Somebody else may have changed it while the queue was asked.
        let (before, same) = self.resting(uuid, "update")?;
        if same != generation {
            return Err(ApiError::InUse { verb: "update" });
        }
        let after = changes.apply(&before);
        self.refuse_duplicate(&after, Some(uuid))?;
        if changes.function.is_some() {
            self.check_function(&after)?;
        }
        let mut records = self.records();
        let Some(record) = records.get_mut(&uuid) else { return Err(ApiError::NoSuchMapping) };
        record.configuration = after;
        record.last_modified_ms = now_ms();
        let record = record.clone();
        turn.keep_mappings(records).await?;
        let state = match changes.enabled {
            Some(true) => MappingState::Enabling,
            Some(false) => MappingState::Disabling,
            None => MappingState::Updating,
        };
        let (mapping, generation) = self.replace(uuid, record, state).ok_or(ApiError::NoSuchMapping)?;
        drop(turn);

        announce(&mapping, "event source mapping updated");
        self.follow(uuid, generation);
        Ok(mapping)
    }

    async fn delete(self: Arc<Self>, uuid: Uuid) -> Result<Mapping, ApiError> {
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        self.resting(uuid, "delete")?;
        let mut records = self.records();
        let record = records.remove(&uuid).ok_or(ApiError::NoSuchMapping)?;
        turn.keep_mappings(records).await?;
        let deleted = self.replace(uuid, record, MappingState::Deleting);
        let (mapping, generation) = deleted.ok_or(ApiError::NoSuchMapping)?;
        drop(turn);

        announce(&mapping, "event source mapping is being deleted");
        if mapping.origin == Origin::Config {
            tracing::warn!(%uuid, "the config names this mapping: the next start makes it again, under a new UUID");
        }
        self.follow(uuid, generation);
        Ok(mapping)
    }

    async fn tag(
        self: Arc<Self>,
        uuid: Uuid,
        add: BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<(), ApiError> {
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        let mut records = self.records();
        let record = records.get_mut(&uuid).ok_or(ApiError::NoSuchMapping)?;
        let tags = &mut record.configuration.tags;
        tags.extend(add);
        tags.retain(|key, _| !remove.contains(key));
        if tags.len() > checks::TAGS_MAX {
            return Err(ApiError::TooManyTags);
        }
        let tags = tags.clone();
        turn.keep_mappings(records).await?;
        if let Some(entry) = self.entries().get_mut(&uuid) {
            entry.record.configuration.tags = tags;
        }
        Ok(())
    }

    /// The settings of a mapping that is not busy.
    fn resting(&self, uuid: Uuid, verb: &'static str) -> Result<(Configuration, u64), ApiError> {
        let entries = self.entries();
        let entry = entries.get(&uuid).ok_or(ApiError::NoSuchMapping)?;
        if entry.state.is_busy() {
            return Err(ApiError::InUse { verb });
        }
        Ok((entry.record.configuration.clone(), entry.generation))
    }

    /// Puts a mapping on its way to other settings.
    fn replace(&self, uuid: Uuid, record: Record, state: MappingState) -> Option<(Mapping, u64)> {
        let mut entries = self.entries();
        let entry = entries.get_mut(&uuid)?;
        entry.record = record;
        let generation = entry.enter(state);
        Some((entry.shown(uuid), generation))
    }

    fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }
}

fn announce(mapping: &Mapping, what: &str) {
    let (uuid, settings, state) = (mapping.uuid, &mapping.configuration, mapping.state.as_str());
    let (queue, function) = (&settings.event_source_arn, &settings.function);
    tracing::info!(%uuid, queue, %function, state, "{what}");
    if settings.kms_key_arn.is_some() && mapping.state != MappingState::Deleting {
        tracing::warn!(uuid = %mapping.uuid, "KMSKeyArn is kept and shown, but filters are not encrypted with it");
    }
}
