//! The config owns what it names: at start and on reload its settings win over what is stored, and the log says over
//! what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::now_ms;
use crate::configuration::Configuration;
use crate::mapping::{MappingState, Origin};
use crate::registry::{Entry, Inner, Registry};
use crate::state_file::StateError;
use crate::stored::{self, Record};

/// What the config changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Mappings that were not there.
    pub created: Vec<Uuid>,
    /// Settings that were stored otherwise.
    pub overridden: Vec<Override>,
    /// Mappings that an earlier config named.
    pub deleted: Vec<Uuid>,
}

/// A setting that the config changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The mapping.
    pub uuid: Uuid,
    /// Lambda's parameter name.
    pub key: String,
    /// What was stored; none when it was not set.
    pub stored: Option<String>,
    /// What the config says; none when it leaves it out.
    pub config: Option<String>,
}

/// What is to become of one mapping.
struct Imposed {
    uuid: Uuid,
    record: Record,
    /// None: it stays in its state.
    state: Option<MappingState>,
}

impl Registry {
    /// Imposes the mappings that the config names. One that is stored for the same queue and function keeps its UUID
    /// and gets the config's settings; one that an earlier config named and this one does not is deleted; what was made
    /// through the API stays. Once [`start_all`](Self::start_all) was called, the engine follows at once. The settings
    /// are taken as they are: the config has been checked.
    ///
    /// Await it to its end: dropped halfway, what is on disk may be ahead of what runs until it is called again.
    ///
    /// # Errors
    /// When it cannot be stored. Nothing is changed then.
    pub async fn own(&self, configurations: Vec<Configuration>) -> Result<Ownership, StateError> {
        let inner = &self.inner;
        let mut turn = inner.store.turn().await;
        let (ownership, imposed) = inner.plan(configurations);
        let before = inner.records();
        let mut records = before.clone();
        for uuid in &ownership.deleted {
            records.remove(uuid);
        }
        records.extend(imposed.iter().map(|imposed| (imposed.uuid, imposed.record.clone())));
        if records != before {
            turn.keep_mappings(records).await?;
        }
        let begun = inner.impose(&ownership.deleted, imposed);
        drop(turn);

        report(&ownership);
        for (uuid, generation) in begun {
            inner.follow(uuid, generation);
        }
        Ok(ownership)
    }
}

impl Inner {
    fn plan(&self, configurations: Vec<Configuration>) -> (Ownership, Vec<Imposed>) {
        let entries = self.entries();
        let started = self.has_started();
        let mut ownership = Ownership::default();
        let mut named = BTreeSet::new();
        let mut imposed: Vec<Imposed> = Vec::new();
        for configuration in configurations {
            if imposed.iter().any(|other| other.record.configuration.is_same_pair(&configuration)) {
                let (queue, function) = (&configuration.event_source_arn, &configuration.function);
                tracing::warn!(queue, %function, "the config names this mapping twice: the first counts");
                continue;
            }
            let there = find(&entries, &configuration);
            let (uuid, last_modified_ms, state) = match there {
                None => {
                    let uuid = Uuid::new_v4();
                    ownership.created.push(uuid);
                    let state = if configuration.enabled { MappingState::Creating } else { MappingState::Disabled };
                    (uuid, now_ms(), Some(state))
                }
                Some((uuid, entry)) => {
                    let overridden = differences(uuid, &entry.record.configuration, &configuration);
                    let changed = !overridden.is_empty();
                    ownership.overridden.extend(overridden);
                    let modified = if changed { now_ms() } else { entry.record.last_modified_ms };
                    let state = changed.then(|| next_state(entry, &configuration, started));
                    (uuid, modified, state)
                }
            };
            named.insert(uuid);
            let record = Record { configuration, origin: Origin::Config, last_modified_ms };
            imposed.push(Imposed { uuid, record, state });
        }
        let left_out = |(uuid, entry): &(&Uuid, &Entry)| {
            entry.record.origin == Origin::Config && entry.state != MappingState::Deleting && !named.contains(uuid)
        };
        ownership.deleted = entries.iter().filter(left_out).map(|(uuid, _)| *uuid).collect();
        (ownership, imposed)
    }

    /// Returns the mappings that the engine has to follow.
    fn impose(self: &Arc<Self>, deleted: &[Uuid], imposed: Vec<Imposed>) -> Vec<(Uuid, u64)> {
        let started = self.has_started();
        let mut entries = self.entries();
        let mut begun = Vec::new();
        for uuid in deleted {
            if !started {
                entries.remove(uuid);
            } else if let Some(entry) = entries.get_mut(uuid) {
                begun.push((*uuid, entry.enter(MappingState::Deleting)));
            }
        }
        for Imposed { uuid, record, state } in imposed {
            let entry = entries.entry(uuid).or_insert_with(|| Entry::new(record.clone(), MappingState::Disabled));
            entry.record = record;
            if let Some(state) = state {
                begun.push((uuid, entry.enter(state)));
            }
        }
        begun
    }
}

fn find<'a>(entries: &'a BTreeMap<Uuid, Entry>, configuration: &Configuration) -> Option<(Uuid, &'a Entry)> {
    let same = |(_, entry): &(&Uuid, &Entry)| {
        entry.state != MappingState::Deleting && entry.record.configuration.is_same_pair(configuration)
    };
    entries.iter().find(same).map(|(uuid, entry)| (*uuid, entry))
}

/// What a mapping that is there does with the config's settings.
fn next_state(entry: &Entry, configuration: &Configuration, started: bool) -> MappingState {
    let was_disabled = entry.state == MappingState::Disabled;
    match configuration.enabled {
        false if was_disabled || !started => MappingState::Disabled,
        false => MappingState::Disabling,
        true if entry.state == MappingState::Enabled => MappingState::Updating,
        true => MappingState::Enabling,
    }
}

fn differences(uuid: Uuid, stored: &Configuration, config: &Configuration) -> Vec<Override> {
    let (stored, config) = (stored::settings(stored), stored::settings(config));
    let keys: BTreeSet<&String> = stored.keys().chain(config.keys()).collect();
    let shown = |settings: &Map<String, Value>, key: &str| settings.get(key).map(Value::to_string);
    let differs = |key: &&String| stored.get(*key) != config.get(*key);
    let difference =
        |key: &String| Override { uuid, key: key.clone(), stored: shown(&stored, key), config: shown(&config, key) };
    keys.into_iter().filter(differs).map(difference).collect()
}

fn report(ownership: &Ownership) {
    for Override { uuid, key, stored, config } in &ownership.overridden {
        let stored = stored.as_deref().unwrap_or("(not set)");
        let config = config.as_deref().unwrap_or("(not set)");
        tracing::warn!(%uuid, key, stored, config, "the config overrides what was stored of an event source mapping");
    }
    for uuid in &ownership.deleted {
        tracing::warn!(%uuid, "event source mapping deleted: an earlier config named it, and this one does not");
    }
    for uuid in &ownership.created {
        tracing::info!(%uuid, "event source mapping created from the config");
    }
}
