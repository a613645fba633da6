//! Builds on their way into the engine: made ready in the background, beside what runs, and put in its place once they
//! are.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;

use crate::function_engine::Build;
use crate::functions::entry::{Entry, Readiness};
use crate::functions::record::{CodePlace, FunctionRecord, Version};
use crate::functions::{Functions, Inner, save_error};
use crate::names::LATEST;

impl Functions {
    /// Makes everything ready again that was there before a restart, and returns when each was tried. What cannot run
    /// says so in its state; nothing else waits for it.
    pub(crate) async fn restore(&self) {
        let waiting: Vec<(String, Vec<String>)> = {
            let entries = self.inner.entries();
            let builds = |entry: &Entry| {
                let restoring = entry.builds.iter().filter(|(_, readiness)| **readiness == Readiness::Restoring);
                restoring.map(|(build, _)| build.clone()).collect::<Vec<_>>()
            };
            entries.iter().map(|(name, entry)| (name.clone(), builds(entry))).collect()
        };
        for (name, entry) in &*self.inner.entries() {
            if entry.config_build.is_none() {
                self.inner.engine.reserve(name, entry.record.reserved_concurrent_executions);
            }
        }
        let loads = waiting.iter().flat_map(|(name, builds)| builds.iter().map(|build| self.inner.bring(name, build)));
        join_all(loads).await;
        self.inner.collect_code();
    }
}

/// What the engine needs to be told of a build, taken out of its function for as long as it takes.
struct Wanted {
    label: String,
    version: Version,
}

impl Inner {
    /// Makes builds ready one after the other. They have the same code: when one cannot run, none after it can.
    pub(super) fn bring_in_background(self: &Arc<Self>, name: &str, builds: Vec<String>) {
        let (inner, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move {
            let mut failure = None;
            for build in builds {
                match failure.clone() {
                    None => failure = inner.bring(&name, &build).await.err(),
                    Some(reason) => inner.settle(&name, &build, Err(reason)).await,
                }
            }
        });
    }

    /// Makes a build ready and lets its function have it.
    async fn bring(self: &Arc<Self>, name: &str, build: &str) -> Result<(), String> {
        let loaded = self.load(name, build).await;
        if let Err(reason) = &loaded {
            tracing::warn!(function = name, reason, "the function's code cannot run");
        }
        self.settle(name, build, loaded.clone()).await;
        loaded
    }

    async fn load(&self, name: &str, build: &str) -> Result<(), String> {
        let Ok(_permit) = self.loads.acquire().await else { return Err("the worker is stopping".to_owned()) };
        let Some(Wanted { label, version }) = self.wanted(name, build) else { return Ok(()) };
        if version.code.place == CodePlace::Config {
            return Err("its code is the config's, and the config does not name the function".to_owned());
        }
        let sha256 = version.code.sha256;
        let path = self.code.path(sha256);
        let code = self.code.clone();
        let checked = tokio::task::spawn_blocking(move || code.check(sha256)).await;
        let checked = checked.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = checked {
            return Err(format!("its code in {} cannot be used: {error}; upload it again", path.display()));
        }
        let hex = sha256.hex();
        let build = Build {
            function: name,
            id: build,
            version: &label,
            code: &path,
            sha256: &hex,
            settings: &version.settings,
        };
        let loaded = AssertUnwindSafe(self.engine.load(&build)).catch_unwind().await;
        let facts = loaded.unwrap_or_else(|_| Err("internal error: making it ready panicked".to_owned()))?;
        tracing::info!(function = name, version = label, kind = facts.kind, sha256 = hex, "function loaded");
        Ok(())
    }

    /// None when nothing names the build any more, or it is loaded already.
    fn wanted(&self, name: &str, build: &str) -> Option<Wanted> {
        let entries = self.entries();
        let entry = entries.get(name)?;
        if entry.builds.get(build).is_none_or(|readiness| *readiness == Readiness::Loaded) {
            return None;
        }
        let record = &entry.record;
        let numbered = record.versions.iter().find(|(_, version)| version.build == build);
        let (label, version) = match numbered {
            Some((number, version)) => (number.to_string(), version),
            None => (LATEST.to_owned(), record.all_versions().find(|version| version.build == build)?),
        };
        Some(Wanted { label, version: version.clone() })
    }

    /// A build is ready, or never will be: what that means for its function.
    async fn settle(self: &Arc<Self>, name: &str, build: &str, loaded: Result<(), String>) {
        let mut turn = self.store.turn().await;
        let pinned = self.pinned(name);
        let record = {
            let mut entries = self.entries();
            let entry = entries.get_mut(name).filter(|entry| entry.builds.contains_key(build));
            let Some(entry) = entry else {
                drop(entries);
                // Overtaken: the function is another one by now, or gone.
                self.engine.unload(name, build);
                return;
            };
            let readiness = loaded.clone().map_or_else(Readiness::Failed, |()| Readiness::Loaded);
            entry.builds.insert(build.to_owned(), readiness);
            let mut record = FunctionRecord::clone(&entry.record);
            if let Some(next) = record.next.take_if(|next| next.build == build) {
                match &loaded {
                    Ok(()) => {
                        record.latest = next;
                        record.update_failure = None;
                    }
                    Err(reason) => record.update_failure = Some(reason.clone()),
                }
            }
            if loaded.is_ok() {
                prune(&mut record, self.versions_kept, &pinned);
            }
            (record != *entry.record).then(|| Arc::new(record))
        };
        // Old code is looked for when something may need it no more: not for each that is loaded again at a start.
        let has_changed = record.is_some();
        if let Some(record) = record {
            let mut records = self.records();
            records.insert(name.to_owned(), Arc::clone(&record));
            if let Err(error) = turn.keep_functions(records).await {
                save_error(&error);
            }
            if let Some(entry) = self.entries().get_mut(name) {
                entry.record = record;
            }
        }
        self.reroute(name);
        drop(turn);
        self.settled.send_modify(|count| *count += 1);
        if has_changed {
            self.collect_code();
        }
    }
}

/// Forgets old versions: all but the newest so many, and those that an alias or a mapping names.
pub(super) fn prune(record: &mut FunctionRecord, kept: usize, pinned: &BTreeSet<String>) {
    let newest: BTreeSet<u64> = record.versions.keys().rev().take(kept).copied().collect();
    let stays = |number: &u64| {
        let name = number.to_string();
        newest.contains(number) || pinned.contains(&name) || !record.aliases_of(&name).is_empty()
    };
    let gone: Vec<u64> = record.versions.keys().filter(|number| !stays(number)).copied().collect();
    for number in gone {
        record.versions.remove(&number);
    }
}
