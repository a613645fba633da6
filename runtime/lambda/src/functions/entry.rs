//! A function as it is now: what is kept of it, what of that is loaded, and what follows for states and routes. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::function_engine::{Route, Routes, SHADOW, Target};
use crate::functions::record::{FunctionRecord, Version};
use crate::names::LATEST;

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is new, and being made ready.
    Creating,
    /// It was there before the worker started, and is being made ready again.
    Restoring,
    /// It may be routed to.
    Loaded,
    /// It cannot run, and why.
    Failed(String),
}

/// Lambda's `State` of a version, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionState<'a> {
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) reason_code: Option<&'static str>,
}

/// What every version says of its last update once it runs.
pub(crate) const SUCCESSFUL: VersionState<'static> =
    VersionState { state: "Successful", reason: None, reason_code: None };

/// One function.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) record: Arc<FunctionRecord>,
    /// By build.
    pub(crate) builds: BTreeMap<String, Readiness>,
    /// The build that the config's owner loaded: it stays loaded as long as the config names it, so that a reload can
    /// go back to it.
    pub(crate) config_build: Option<String>,
}

const CREATING: &str = "The function is being created.";
const RESTORING: &str = "The function is being loaded again after a restart.";

impl Entry {
    /// With each of its builds as far as the others are.
    pub(crate) fn new(record: Arc<FunctionRecord>, readiness: &Readiness) -> Self {
        let builds = record.all_versions().map(|version| (version.build.clone(), readiness.clone())).collect();
        Self { record, builds, config_build: None }
    }

    pub(crate) fn readiness(&self, version: &Version) -> &Readiness {
        self.builds.get(&version.build).unwrap_or(&Readiness::Restoring)
    }

    pub(crate) fn is_loaded(&self, version: &Version) -> bool {
        *self.readiness(version) == Readiness::Loaded
    }

    /// Whether something of it is being made ready: then its code and settings do not change.
    pub(crate) fn is_busy(&self) -> bool {
        let is_loading = |readiness| matches!(readiness, &Readiness::Creating | &Readiness::Restoring);
        self.record.next.is_some() || is_loading(self.readiness(&self.record.latest))
    }

    pub(crate) fn state(&self, version: &Version) -> VersionState<'_> {
        let (state, reason, reason_code) = match self.readiness(version) {
            Readiness::Creating => ("Pending", Some(CREATING), Some("Creating")),
            Readiness::Restoring => ("Pending", Some(RESTORING), Some("Restoring")),
            Readiness::Loaded => ("Active", None, None),
            Readiness::Failed(reason) => ("Failed", Some(reason.as_str()), Some("InvalidConfiguration")),
        };
        VersionState { state, reason, reason_code }
    }

    /// `LastUpdateStatus` of `$LATEST`; none before there was anything to update.
    pub(crate) fn last_update(&self) -> Option<VersionState<'_>> {
        let shown = |state, reason, reason_code| Some(VersionState { state, reason, reason_code });
        match (&self.record.next, &self.record.update_failure) {
            (Some(_), _) => shown("InProgress", Some(CREATING), Some("Creating")),
            (None, Some(failure)) => shown("Failed", Some(failure.as_str()), Some("InvalidConfiguration")),
            (None, None) if self.is_loaded(&self.record.latest) => Some(SUCCESSFUL),
            (None, None) => None,
        }
    }

    /// Where each qualifier leads: to what is loaded only. An alias whose other version is not loaded leads to the first
    /// alone.
    pub(crate) fn routes(&self) -> Routes {
        let target = |name: &str| {
            let version = self.record.version(name).filter(|version| self.is_loaded(version))?;
            Some(Target { version: name.to_owned(), build: version.build.clone() })
        };
        let numbers = self.record.versions.keys().map(u64::to_string);
        let mut routes: Routes = std::iter::once(LATEST.to_owned())
            .chain(numbers)
            .filter_map(|name| Some((name.clone(), Route { to: target(&name)?, also: None })))
            .collect();
        for (name, alias) in &self.record.aliases {
            let Some(to) = target(&alias.function_version) else { continue };
            let also = alias.additional.as_ref().and_then(|(version, weight)| Some((target(version)?, *weight)));
            routes.insert(name.clone(), Route { to, also });
        }
        if let Some(to) = self.record.tags.get(SHADOW).and_then(|version| target(version)) {
            routes.insert(SHADOW.to_owned(), Route { to, also: None });
        }
        routes
    }

    /// Forgets builds that nothing names any more, and gives those that are loaded. What is still being made ready is
    /// found to be unnamed when it is.
    pub(crate) fn take_unnamed(&mut self) -> Vec<String> {
        let record = Arc::clone(&self.record);
        let is_named = |build: &str| record.all_versions().any(|version| version.build == build);
        let is_configs = |build: &str| self.config_build.as_deref() == Some(build);
        let unnamed: Vec<String> =
            self.builds.keys().filter(|build| !is_named(build) && !is_configs(build)).cloned().collect();
        unnamed.into_iter().filter(|build| self.builds.remove(build) == Some(Readiness::Loaded)).collect()
    }
}
