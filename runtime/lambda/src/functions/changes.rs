//! Functions made, changed, published and deleted. Each change is on disk when it is answered; what has to be compiled
//! follows in the background.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::now_ms;
use crate::error::ApiError;
use crate::function_engine::{FunctionSettings, SHADOW};
use crate::functions::code_store::{Held, NotStored};
use crate::functions::entry::{Entry, Readiness};
use crate::functions::record::{self, About, Code, CodePlace, FunctionRecord, Version};
use crate::functions::request::{Changes, Create, UpdateCode};
use crate::functions::{Functions, Inner, new_revision};
use crate::mapping::Origin;
use crate::names::{FunctionRef, LATEST};
use crate::store::Turn;

/// A bound, far above what one worker can hold.
const FUNCTIONS_MAX: usize = 1000;
/// How long an alias waits for its version to be made ready. Clients wait for a minute.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A function as it was when it was looked at, and which version of it is meant: `$LATEST` or a number.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) entry: Entry,
    pub(crate) version: String,
}

/// A `PublishVersion`, read.
#[derive(Debug, Default)]
pub(crate) struct Publish {
    pub(crate) code_sha256: Option<String>,
    pub(crate) revision_id: Option<String>,
    pub(crate) description: Option<String>,
}

impl Functions {
    /// Makes a function.
    pub(crate) async fn create(&self, create: Create) -> Result<Shown, ApiError> {
        self.to_the_end(move |inner| async move { inner.create(create).await }).await
    }

    /// Replaces the code of `$LATEST`.
    pub(crate) async fn update_code(&self, name: String, update: UpdateCode) -> Result<Shown, ApiError> {
        self.to_the_end(move |inner| async move { inner.update_code(&name, update).await }).await
    }

    /// Replaces settings of `$LATEST`.
    pub(crate) async fn update_configuration(
        &self,
        name: String,
        changes: Changes,
        revision_id: Option<String>,
    ) -> Result<Shown, ApiError> {
        self.to_the_end(move |inner| async move {
            let mut turn = inner.store.turn().await;
            let entry = inner.resting(&name, revision_id.as_deref())?;
            let before = entry.record.next.as_ref().unwrap_or(&entry.record.latest);
            let settings = changes.settings(Some(&before.settings));
            if before.code.place == CodePlace::Config && settings != before.settings {
                let text = format!(
                    "The config file names function {name} and says how its code runs: change it there, or upload \
                     other code first."
                );
                return Err(ApiError::InvalidParameter(text));
            }
            let (code, about) = (before.code.clone(), changes.about(&before.about));
            note_what_has_no_effect(&name, &about);
            inner.replace_latest(&mut turn, &name, entry, Content { code, settings, about }, false).await
        })
        .await
    }

    /// Makes a version of what `$LATEST` is now; the last one, if nothing has changed since.
    pub(crate) async fn publish(&self, name: String, publish: Publish) -> Result<Shown, ApiError> {
        self.to_the_end(move |inner| async move { inner.publish(&name, &publish).await }).await
    }

    /// Deletes a function, or one of its versions.
    pub(crate) async fn delete(&self, function: FunctionRef) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move {
            match &function.qualifier {
                None => inner.delete(&function.name).await,
                Some(qualifier) => inner.delete_version(&function.name, qualifier).await,
            }
        })
        .await
    }

    /// Refuses all changes from now on, and begins nothing any more.
    pub(crate) fn close(&self) {
        self.inner.stopping.cancel();
    }

    /// A client that hangs up must not leave a change half made.
    pub(super) async fn to_the_end<T, F>(&self, change: impl FnOnce(Arc<Inner>) -> F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        let outcome = tokio::spawn(change(Arc::clone(&self.inner))).await;
        outcome.unwrap_or_else(|error| {
            tracing::error!(%error, "a change of a function did not come to its end");
            Err(ApiError::Internal)
        })
    }
}

/// What a version is made of.
struct Content {
    code: Code,
    settings: FunctionSettings,
    about: About,
}

impl Content {
    fn version(self, build: String) -> Version {
        let Self { code, settings, about } = self;
        Version { build, code, settings, about, revision_id: new_revision(), last_modified_ms: now_ms() }
    }
}

fn new_build() -> String {
    Uuid::new_v4().to_string()
}

fn uploaded(held: &Held) -> Code {
    Code { sha256: held.sha256, size_bytes: held.size_bytes, place: CodePlace::Uploaded }
}

impl Inner {
    pub(super) fn arn(&self, name: &str, qualifier: Option<&str>) -> String {
        let function = FunctionRef { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        self.identity.function_arn(&function)
    }

    pub(super) fn not_found(&self, name: &str, qualifier: Option<&str>) -> ApiError {
        ApiError::FunctionNotFound { arn: self.arn(name, qualifier) }
    }

    pub(super) fn refuse_if_stopping(&self) -> Result<(), ApiError> {
        if self.stopping.is_cancelled() { Err(ApiError::Stopping) } else { Ok(()) }
    }

    pub(super) fn entry(&self, name: &str) -> Result<Entry, ApiError> {
        self.entries().get(name).cloned().ok_or_else(|| self.not_found(name, None))
    }

    /// A function whose code and settings may be changed now.
    fn resting(&self, name: &str, revision_id: Option<&str>) -> Result<Entry, ApiError> {
        self.refuse_if_stopping()?;
        let entry = self.entry(name)?;
        if entry.is_busy() {
            return Err(ApiError::UpdateInProgress { arn: self.arn(name, None) });
        }
        if revision_id.is_some_and(|revision| revision != entry.record.latest.revision_id) {
            return Err(ApiError::WrongRevision);
        }
        Ok(entry)
    }

    async fn put(&self, blob: Vec<u8>) -> Result<Held, ApiError> {
        let code = self.code.clone();
        let stored = tokio::task::spawn_blocking(move || code.put(&blob)).await;
        let folder = self.code.folder().display();
        match stored {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(NotStored::Full)) => Err(ApiError::CodeStorageFull),
            Ok(Err(NotStored::Failed(error))) => Err(ApiError::NotPersisted(format!(
                "the code cannot be written to {folder}: {error}; make room, or give wasmill the right to write there"
            ))),
            Err(error) => {
                tracing::error!(%error, "code was not stored to its end");
                Err(ApiError::Internal)
            }
        }
    }

    /// Writes what a function is to be, and makes it so. `rest` are the functions as they are.
    pub(super) async fn keep(
        &self,
        turn: &mut Turn<'_>,
        name: &str,
        record: FunctionRecord,
    ) -> Result<Arc<FunctionRecord>, ApiError> {
        let record = Arc::new(record);
        let mut records = self.records();
        records.insert(name.to_owned(), Arc::clone(&record));
        turn.keep_functions(records).await?;
        let mut entries = self.entries();
        match entries.get_mut(name) {
            Some(entry) => {
                entry.record = Arc::clone(&record);
                for version in record.all_versions() {
                    entry.builds.entry(version.build.clone()).or_insert(Readiness::Creating);
                }
            }
            None => {
                entries.insert(name.to_owned(), Entry::new(Arc::clone(&record), &Readiness::Creating));
            }
        }
        Ok(record)
    }

    fn shown(&self, name: &str, version: String) -> Result<Shown, ApiError> {
        Ok(Shown { name: name.to_owned(), entry: self.entry(name)?, version })
    }

    async fn create(self: Arc<Self>, create: Create) -> Result<Shown, ApiError> {
        let Create { name, code, role, changes, publish, tags } = create;
        let exists = |name: &str| self.entries().contains_key(name);
        // Before the code is written, and again when nobody else can make it.
        if exists(&name) {
            return Err(ApiError::FunctionExists { name });
        }
        let held = self.put(code).await?;
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        if exists(&name) {
            return Err(ApiError::FunctionExists { name });
        }
        if self.entries().len() >= FUNCTIONS_MAX {
            let text = format!("There are {FUNCTIONS_MAX} functions: no more can be made.");
            return Err(ApiError::InvalidParameter(text));
        }
        let content = || Content {
            code: uploaded(&held),
            settings: changes.settings(None),
            about: changes.about(&About::new(role.clone())),
        };
        let latest = content().version(new_build());
        note_what_has_no_effect(&name, &latest.about);
        let mut builds = vec![latest.build.clone()];
        let mut versions = BTreeMap::new();
        if publish {
            let version = content().version(new_build());
            builds.push(version.build.clone());
            versions.insert(1, version);
        }
        let record = FunctionRecord {
            origin: Origin::Api,
            latest,
            next: None,
            update_failure: None,
            next_version: if publish { 2 } else { 1 },
            versions,
            aliases: BTreeMap::new(),
            tags,
            reserved_concurrent_executions: None,
            policies: BTreeMap::new(),
        };
        let record = self.keep(&mut turn, &name, record).await?;
        drop(turn);
        tracing::info!(function = name, code_sha256 = record.latest.code.sha256.base64(), publish, "function created");
        let shown = self.shown(&name, if publish { "1".to_owned() } else { LATEST.to_owned() });
        self.bring_in_background(&name, builds);
        shown
    }

    async fn update_code(self: Arc<Self>, name: &str, update: UpdateCode) -> Result<Shown, ApiError> {
        let UpdateCode { code, changes, publish, dry_run, revision_id } = update;
        // Before the code is written, and again when nobody else can change it.
        let entry = self.resting(name, revision_id.as_deref())?;
        if dry_run {
            return Ok(dry(name, entry, &code));
        }
        let held = self.put(code).await?;
        let mut turn = self.store.turn().await;
        let entry = self.resting(name, revision_id.as_deref())?;
        let latest = &entry.record.latest;
        let settings = changes.settings(Some(&latest.settings));
        let content = Content { code: uploaded(&held), settings, about: changes.about(&latest.about) };
        if entry.record.origin == Origin::Config {
            tracing::warn!(
                function = name,
                "the config names this function: its own code comes back at the next start"
            );
        }
        self.replace_latest(&mut turn, name, entry, content, publish).await
    }

    /// Puts a function on its way to another `$LATEST`.
    async fn replace_latest(
        self: &Arc<Self>,
        turn: &mut Turn<'_>,
        name: &str,
        entry: Entry,
        content: Content,
        publish: bool,
    ) -> Result<Shown, ApiError> {
        let latest = &entry.record.latest;
        let mut next = content.version(new_build());
        // What runs the same needs no other build; what never ran is tried again.
        if next.runs_same(latest) && entry.is_loaded(latest) {
            next.build.clone_from(&latest.build);
        }
        let mut builds = vec![next.build.clone()];
        let mut record = FunctionRecord::clone(&entry.record);
        let mut version = LATEST.to_owned();
        if publish {
            let (number, build) = add_version(&mut record, &next, None);
            builds.extend(build);
            version = number.to_string();
        }
        let sha256 = next.code.sha256.base64();
        record.next = Some(next);
        record.update_failure = None;
        self.keep(turn, name, record).await?;
        tracing::info!(function = name, code_sha256 = sha256, publish, "function update begins");
        let shown = self.shown(name, version);
        self.bring_in_background(name, builds);
        shown
    }

    async fn publish(self: Arc<Self>, name: &str, publish: &Publish) -> Result<Shown, ApiError> {
        let mut turn = self.store.turn().await;
        let entry = self.resting(name, publish.revision_id.as_deref())?;
        let latest = &entry.record.latest;
        let state = entry.state(latest);
        if state.state != "Active" {
            let reason = state.reason.unwrap_or_default().to_owned();
            return Err(ApiError::NotActive { state: state.state, reason });
        }
        let current = latest.code.sha256.base64();
        if let Some(asked) = publish.code_sha256.as_ref().filter(|asked| !asked.is_empty() && **asked != current) {
            let text = format!(
                "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({current}). Please try again \
                 with the CodeSHA256 in $LATEST."
            );
            return Err(ApiError::InvalidParameter(text));
        }
        if latest.code.place == CodePlace::Config {
            let text = format!(
                "The code of function {name} is in files that the config names: upload it with UpdateFunctionCode, \
                 then publish it."
            );
            return Err(ApiError::InvalidParameter(text));
        }
        let mut record = FunctionRecord::clone(&entry.record);
        let latest = latest.clone();
        let (number, build) = add_version(&mut record, &latest, publish.description.as_deref());
        if build.is_some() {
            self.keep(&mut turn, name, record).await?;
            tracing::info!(function = name, version = number, "function version published");
        }
        drop(turn);
        let shown = self.shown(name, number.to_string());
        self.bring_in_background(name, build.into_iter().collect());
        shown
    }

    async fn delete(self: Arc<Self>, name: &str) -> Result<(), ApiError> {
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        let entry = self.entry(name)?;
        if entry.record.origin == Origin::Config {
            let text = format!(
                "The config file names function {name}, and owns it: delete its [[function]] there, and restart or \
                 reload wasmill."
            );
            return Err(ApiError::InvalidParameter(text));
        }
        let mut records = self.records();
        records.remove(name);
        turn.keep_functions(records).await?;
        self.forget(name);
        drop(turn);
        tracing::info!(function = name, "function deleted");
        self.collect_code();
        Ok(())
    }

    async fn delete_version(self: Arc<Self>, name: &str, qualifier: &str) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::InvalidParameter(text));
        if qualifier == LATEST {
            return refuse("$LATEST version cannot be deleted without deleting the function.".to_owned());
        }
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        let entry = self.entry(name)?;
        let Some(number) = record::number(qualifier) else {
            return refuse("Deletion of aliases is not currently supported: use DeleteAlias.".to_owned());
        };
        let mut record = FunctionRecord::clone(&entry.record);
        // As on AWS, a version that is not there is one that is deleted.
        if record.versions.remove(&number).is_none() {
            return Ok(());
        }
        let aliases = record.aliases_of(qualifier);
        if !aliases.is_empty() {
            let aliases = aliases.join(", ");
            return Err(ApiError::Conflict(format!(
                "Version {qualifier} cannot be deleted because the following aliases reference it: [{aliases}]"
            )));
        }
        self.keep(&mut turn, name, record).await?;
        self.reroute(name);
        drop(turn);
        tracing::info!(function = name, version = number, "function version deleted");
        self.collect_code();
        Ok(())
    }

    /// Changes what needs no build: aliases, tags, permits, policies.
    pub(super) async fn amend<T>(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(&mut FunctionRecord) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut turn = self.store.turn().await;
        self.refuse_if_stopping()?;
        let entry = self.entry(name)?;
        let mut record = FunctionRecord::clone(&entry.record);
        let outcome = change(&mut record)?;
        if record == *entry.record {
            return Ok(outcome);
        }
        let before = entry.record;
        let record = self.keep(&mut turn, name, record).await?;
        if record.reserved_concurrent_executions != before.reserved_concurrent_executions {
            self.engine.reserve(name, record.reserved_concurrent_executions);
        }
        let is_shadowed_alike = record.tags.get(SHADOW) == before.tags.get(SHADOW);
        if record.aliases != before.aliases || record.versions.len() != before.versions.len() || !is_shadowed_alike {
            self.reroute(name);
        }
        Ok(outcome)
    }

    /// Waits until a version may be routed to.
    pub(super) async fn ready(&self, name: &str, version: &str) -> Result<(), ApiError> {
        let mut settled = self.settled.subscribe();
        let wait = async {
            loop {
                settled.mark_unchanged();
                let entry = self.entry(name)?;
                let there = entry.record.version(version).ok_or_else(|| self.not_found(name, Some(version)))?;
                match entry.readiness(there) {
                    Readiness::Loaded => return Ok(()),
                    Readiness::Failed(reason) => {
                        let text = format!("Function version {version} cannot run: {reason}");
                        return Err(ApiError::InvalidParameter(text));
                    }
                    Readiness::Creating | Readiness::Restoring => {}
                }
                if settled.changed().await.is_err() {
                    return Err(ApiError::Stopping);
                }
            }
        };
        let in_progress = |_| Err(ApiError::UpdateInProgress { arn: self.arn(name, Some(version)) });
        tokio::time::timeout(READY_TIMEOUT, wait).await.unwrap_or_else(in_progress)
    }
}

/// Adds a version of `latest` and gives its number and its build, which has to be made ready; the number of the last
/// one and no build, where that one is the same.
fn add_version(record: &mut FunctionRecord, latest: &Version, description: Option<&str>) -> (u64, Option<String>) {
    let mut version = Version { build: new_build(), ..latest.clone() };
    if let Some(description) = description {
        description.clone_into(&mut version.about.description);
    }
    if let Some((number, last)) = record.versions.last_key_value() {
        let description = &last.about.description;
        let about = About { description: description.clone(), ..version.about.clone() };
        // Another description alone is no reason for another version.
        if last.runs_same(&version) && last.about == about {
            return (*number, None);
        }
    }
    version.last_modified_ms = now_ms();
    version.revision_id = new_revision();
    let (number, build) = (record.next_version, version.build.clone());
    record.next_version += 1;
    record.versions.insert(number, version);
    (number, Some(build))
}

/// What an update would make of a function.
fn dry(name: &str, mut entry: Entry, code: &[u8]) -> Shown {
    let mut record = FunctionRecord::clone(&entry.record);
    record.latest.code =
        Code { sha256: record::Sha256::of(code), size_bytes: code.len() as u64, place: CodePlace::Uploaded };
    entry.record = Arc::new(record);
    Shown { name: name.to_owned(), entry, version: LATEST.to_owned() }
}

/// Some settings are what AWS's other services work with.
fn note_what_has_no_effect(name: &str, about: &About) {
    let kept = |what: &str| tracing::warn!(function = name, "{what} is kept and shown, and has no effect here");
    if about.kms_key_arn.is_some() {
        kept("KMSKeyArn");
    }
    if about.tracing_mode == "Active" {
        kept("TracingConfig");
    }
    if about.log_format == "JSON" || about.log_group.is_some() {
        kept("LoggingConfig");
    }
}
