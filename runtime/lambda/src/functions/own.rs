//! The config owns the functions it names, as it owns mappings: at start and on reload `$LATEST` is what the config says,
//! and the log says what that overrode. Versions, aliases, tags and policies that the API made for them stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::now_ms;
use crate::function_engine::FunctionSettings;
use crate::functions::entry::{Entry, Readiness};
use crate::functions::record::{About, Code, CodePlace, FunctionRecord, Sha256, Version};
use crate::functions::{Functions, new_revision};
use crate::mapping::Origin;
use crate::names::Identity;
use crate::state_file::StateError;

const RESERVED: &str = "ReservedConcurrentExecutions";

/// A function that the config names. Whoever reads the config has loaded its code already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFunction {
    /// Its bare name.
    pub name: String,
    /// The build that is loaded for it: another one than before when its code or its settings are others. The registry
    /// says when it is to be unloaded.
    pub build: String,
    /// The SHA-256 of its code, shown as `CodeSha256`.
    pub code_sha256: [u8; 32],
    /// Shown as `CodeSize`.
    pub code_size_bytes: u64,
    /// How it runs.
    pub settings: FunctionSettings,
    /// Its permits, if the config says so.
    pub reserved_concurrent_executions: Option<u32>,
}

/// What the config changed of the functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionOwnership {
    /// Functions that were not there.
    pub created: Vec<String>,
    /// What was stored otherwise.
    pub overridden: Vec<FunctionOverride>,
    /// Functions that an earlier config named.
    pub deleted: Vec<String>,
}

/// Something of a function that the config changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionOverride {
    /// The function.
    pub function: String,
    /// Lambda's parameter name.
    pub key: &'static str,
    /// What was stored.
    pub stored: String,
    /// What the config says.
    pub config: String,
}

impl Functions {
    /// Imposes the functions that the config names. A function of that name keeps its versions, aliases, tags and
    /// policies, and its `$LATEST` is the config's; one that an earlier config named and this one does not is deleted;
    /// what was made through the API stays. It may be called again, for a changed config.
    ///
    /// # Errors
    /// When it cannot be stored. Nothing is changed then.
    pub async fn own(&self, functions: Vec<OwnedFunction>) -> Result<FunctionOwnership, StateError> {
        let inner = &self.inner;
        let mut turn = inner.store.turn().await;
        let mut ownership = FunctionOwnership::default();
        let before = inner.records();
        let mut records = before.clone();
        let named: BTreeSet<&str> = functions.iter().map(|function| function.name.as_str()).collect();
        records.retain(|name, record| {
            let stays = record.origin == Origin::Api || named.contains(name.as_str());
            if !stays {
                ownership.deleted.push(name.clone());
            }
            stays
        });
        for owned in &functions {
            let record = match records.get(&owned.name) {
                None => {
                    ownership.created.push(owned.name.clone());
                    created(owned, &inner.identity)
                }
                Some(there) => imposed(owned, there, &mut ownership),
            };
            records.insert(owned.name.clone(), Arc::new(record));
        }
        if records != before {
            turn.keep_functions(records.clone()).await?;
        }
        for owned in functions {
            if let Some(record) = records.get(&owned.name) {
                inner.take_over(&owned, Arc::clone(record));
            }
        }
        for name in &ownership.deleted {
            inner.forget(name);
        }
        drop(turn);
        inner.collect_code();
        report(&ownership);
        Ok(ownership)
    }
}

impl super::Inner {
    fn take_over(&self, owned: &OwnedFunction, record: Arc<FunctionRecord>) {
        {
            let mut entries = self.entries();
            let entry = entries
                .entry(owned.name.clone())
                .or_insert_with(|| Entry::new(Arc::clone(&record), &Readiness::Loaded));
            entry.record = record;
            entry.config_build = Some(owned.build.clone());
            entry.builds.insert(owned.build.clone(), Readiness::Loaded);
        }
        self.engine.reserve(&owned.name, owned.reserved_concurrent_executions);
        self.reroute(&owned.name);
    }
}

fn created(owned: &OwnedFunction, identity: &Identity) -> FunctionRecord {
    FunctionRecord {
        origin: Origin::Config,
        latest: latest(owned, About::of_config(identity)),
        next: None,
        update_failure: None,
        versions: BTreeMap::new(),
        next_version: 1,
        aliases: BTreeMap::new(),
        tags: BTreeMap::new(),
        reserved_concurrent_executions: owned.reserved_concurrent_executions,
        policies: BTreeMap::new(),
    }
}

fn latest(owned: &OwnedFunction, about: About) -> Version {
    Version {
        build: owned.build.clone(),
        code: Code { sha256: Sha256(owned.code_sha256), size_bytes: owned.code_size_bytes, place: CodePlace::Config },
        settings: owned.settings.clone(),
        about,
        revision_id: new_revision(),
        last_modified_ms: now_ms(),
    }
}

fn imposed(owned: &OwnedFunction, there: &FunctionRecord, ownership: &mut FunctionOwnership) -> FunctionRecord {
    let mut latest = latest(owned, there.latest.about.clone());
    // A restart with the same config changes nothing that clients see.
    if latest.runs_same(&there.latest) {
        latest.revision_id.clone_from(&there.latest.revision_id);
        latest.last_modified_ms = there.latest.last_modified_ms;
    }
    // Where the config's own files were what ran, other ones are no override.
    let was_apis = there.origin == Origin::Api || there.latest.code.place == CodePlace::Uploaded;
    let differences = differences(owned, there).into_iter();
    ownership.overridden.extend(differences.filter(|difference| was_apis || difference.key == RESERVED));
    FunctionRecord {
        origin: Origin::Config,
        latest,
        next: None,
        update_failure: None,
        reserved_concurrent_executions: owned.reserved_concurrent_executions,
        ..there.clone()
    }
}

/// What the API had made otherwise; the values of variables are nobody's business.
fn differences(owned: &OwnedFunction, there: &FunctionRecord) -> Vec<FunctionOverride> {
    let (stored, config) = (&there.latest.settings, &owned.settings);
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(not set)".to_owned());
    let keys = |settings: &FunctionSettings| settings.environment.keys().cloned().collect::<Vec<_>>().join(", ");
    let number = |number: Option<u32>| number.map_or_else(|| "(not set)".to_owned(), |number| number.to_string());
    let rows = [
        ("CodeSha256", there.latest.code.sha256.base64(), Sha256(owned.code_sha256).base64()),
        ("Runtime", text(&stored.runtime), text(&config.runtime)),
        ("Handler", text(&stored.handler), text(&config.handler)),
        ("Timeout", stored.timeout_seconds.to_string(), config.timeout_seconds.to_string()),
        ("MemorySize", stored.memory_size_mib.to_string(), config.memory_size_mib.to_string()),
        ("EphemeralStorage", stored.ephemeral_storage_mib.to_string(), config.ephemeral_storage_mib.to_string()),
        ("Environment", keys(stored), keys(config)),
        (RESERVED, number(there.reserved_concurrent_executions), number(owned.reserved_concurrent_executions)),
    ];
    let differs = |(key, stored_text, config_text): &(&'static str, String, String)| {
        stored_text != config_text || (*key == "Environment" && stored.environment != config.environment)
    };
    let shown = |(key, stored, config)| FunctionOverride { function: owned.name.clone(), key, stored, config };
    rows.into_iter().filter(differs).map(shown).collect()
}

fn report(ownership: &FunctionOwnership) {
    for FunctionOverride { function, key, stored, config } in &ownership.overridden {
        tracing::warn!(function, key, stored, config, "the config overrides what was stored of a function");
    }
    for function in &ownership.deleted {
        tracing::warn!(function, "function deleted: an earlier config named it, and this one does not");
    }
    for function in &ownership.created {
        tracing::info!(function, "function created from the config");
    }
}
