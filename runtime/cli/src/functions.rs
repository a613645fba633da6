//! The functions of a worker: the builds that are loaded, the routes that lead to them, and the permits that they share.
//!
//! A build is one set of code and settings and never changes; what changes is where a qualifier leads. Who calls a function
//! asks the table each time, so a swap is one change under its lock: what has begun ends in the build it began in, what begins
//! is the new one's. Absent: where builds come from (`assemble/`), and who may change routes (Lambda's API).

mod call;
mod invoke;
mod shadow;
mod share;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tower::util::BoxCloneSyncService;
use wasmill_lambda::{Route, Routes, SHADOW, Target};
use wasmill_mapping::{Callee, Metrics, Permits, Tally};
use wasmill_sandbox::Function;

pub(crate) use self::invoke::RESPONSE_BYTES_MAX;
use crate::functions::call::Called;
use crate::functions::shadow::Shadowing;
pub(crate) use crate::functions::shadow::{Found, Shadows};
pub(crate) use crate::functions::share::SHADOW_PLACES;
use crate::functions::share::{Part, share_out};

/// The qualifier of what is not published.
pub(crate) const LATEST: &str = "$LATEST";

/// All functions of a worker. Clones are one table.
#[derive(Clone)]
pub(crate) struct Functions {
    shared: Arc<Shared>,
}

struct Shared {
    /// Instances that the engine has places for.
    places: u32,
    metrics: Metrics,
    shadows: Shadows,
    entries: RwLock<BTreeMap<String, Entry>>,
}

/// One function.
struct Entry {
    permits: Permits,
    /// How many permits it was given; none: its share of what is left.
    reserved: Option<u32>,
    builds: HashMap<String, Function>,
    routes: Routes,
    /// By the versions that `$LATEST` and aliases lead to.
    tallies: BTreeMap<String, Tally>,
    /// What runs copies, and its build.
    shadow: Option<(String, Arc<Shadowing>)>,
    /// Where each event is written before the handler gets it.
    events: Option<Arc<Path>>,
}

impl Entry {
    fn new() -> Self {
        Self {
            permits: Permits::new(1),
            reserved: None,
            builds: HashMap::new(),
            routes: Routes::new(),
            tallies: BTreeMap::new(),
            shadow: None,
            events: None,
        }
    }

    /// The most places that an instance of it takes.
    fn slots(&self) -> u32 {
        self.builds.values().map(Function::slots).max().unwrap_or(1)
    }
}

/// What a call goes to.
pub(crate) struct Drawn {
    pub(crate) function: Function,
    pub(crate) version: String,
    tally: Option<Tally>,
    shadow: Option<Arc<Shadowing>>,
    events: Option<Arc<Path>>,
}

impl Drawn {
    fn callee(self) -> Callee {
        let (timeout, version) = (self.function.timeout(), self.version);
        let called = Called { function: self.function, events: self.events };
        let shadow = self.shadow.map(|shadow| shadow as Arc<dyn wasmill_mapping::Shadow>);
        Callee { tally: self.tally, shadow, ..Callee::new(BoxCloneSyncService::new(called), version, timeout) }
    }
}

impl Functions {
    /// An empty table for an engine with so many places.
    pub(crate) fn new(places: u32, metrics: Metrics, shadows: Shadows) -> Self {
        Self { shared: Arc::new(Shared { places, metrics, shadows, entries: RwLock::default() }) }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Entry>> {
        self.shared.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.shared.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on writes each event of a function to a file of this folder, named after its request id.
    pub(crate) fn save_events(&self, name: &str, folder: &Path) {
        if let Some(entry) = self.write().get_mut(name) {
            entry.events = Some(folder.into());
        }
    }

    /// What a qualifier leads to now, drawn anew each time.
    pub(crate) fn draw(&self, name: &str, qualifier: &str) -> Option<Drawn> {
        let entries = self.read();
        let entry = entries.get(name)?;
        let target = pick(entry.routes.get(qualifier)?, random_share());
        Some(Drawn {
            function: entry.builds.get(&target.build)?.clone(),
            version: target.version.clone(),
            tally: entry.tallies.get(&target.version).cloned(),
            // A version is no shadow of its own.
            shadow: entry.shadow.as_ref().filter(|(build, _)| *build != target.build).map(|(_, one)| Arc::clone(one)),
            events: entry.events.clone(),
        })
    }

    /// The route to what a qualifier leads to, whenever it is asked.
    pub(crate) fn route_to(&self, name: &str, qualifier: &str) -> wasmill_mapping::Route {
        let (functions, name, qualifier) = (self.clone(), name.to_owned(), qualifier.to_owned());
        wasmill_mapping::Route::new(move || functions.draw(&name, &qualifier).map(Drawn::callee))
    }

    /// Whether a qualifier leads somewhere.
    pub(crate) fn leads_somewhere(&self, name: &str, qualifier: &str) -> bool {
        self.read().get(name).is_some_and(|entry| entry.routes.contains_key(qualifier))
    }

    /// The permits of a function, if there is one.
    pub(crate) fn permits(&self, name: &str) -> Option<Permits> {
        self.read().get(name).map(|entry| entry.permits.clone())
    }

    /// A build, if it is loaded.
    pub(crate) fn build(&self, name: &str, build: &str) -> Option<Function> {
        self.read().get(name)?.builds.get(build).cloned()
    }

    /// Takes in a build that nothing leads to yet.
    pub(crate) fn add_build(&self, name: &str, build: &str, function: Function) {
        self.write().entry(name.to_owned()).or_insert_with(Entry::new).builds.insert(build.to_owned(), function);
        self.share_out();
    }

    /// Forgets a build.
    pub(crate) fn remove_build(&self, name: &str, build: &str) {
        let removed = self.write().get_mut(name).and_then(|entry| entry.builds.remove(build));
        drop(removed);
        self.share_out();
    }

    /// Makes these the routes of a function, all at once.
    pub(crate) fn set_routes(&self, name: &str, routes: &Routes) {
        if let Some(entry) = self.write().get_mut(name) {
            entry.routes.clone_from(routes);
            let target = entry.routes.remove(SHADOW).map(|route| route.to);
            let is_same = |(build, _): &(String, _)| target.as_ref().is_some_and(|target| target.build == *build);
            if !entry.shadow.as_ref().is_some_and(is_same) {
                entry.shadow = target.and_then(|Target { version, build }| {
                    let shadowing = Shadowing::new(entry.builds.get(&build)?, &version, self.shared.shadows.clone());
                    Some((build, Arc::new(shadowing)))
                });
            }
        }
        self.count_by_version(name);
    }

    /// Gives a function permits of its own, or its share of what is left.
    pub(crate) fn reserve(&self, name: &str, permits: Option<u32>) {
        self.write().entry(name.to_owned()).or_insert_with(Entry::new).reserved = permits;
        self.share_out();
    }

    /// Forgets a function.
    pub(crate) fn remove(&self, name: &str) {
        let removed = self.write().remove(name);
        if let Some(entry) = removed {
            for version in entry.tallies.keys() {
                self.shared.metrics.forget_version(name, version);
            }
            self.shared.shadows.forget(name);
        }
        self.share_out();
    }

    /// Counts the versions that `$LATEST` and aliases lead to now, and no others: so the metrics have as many labels as
    /// that, however many versions are published.
    fn count_by_version(&self, name: &str) {
        let mut entries = self.write();
        let Some(entry) = entries.get_mut(name) else { return };
        let is_counted = |qualifier: &str| !qualifier.bytes().all(|byte| byte.is_ascii_digit());
        let routes = entry.routes.iter().filter(|(qualifier, _)| is_counted(qualifier));
        let targets = routes.flat_map(|(_, route)| [Some(&route.to), route.also.as_ref().map(|(also, _)| also)]);
        let counted: BTreeSet<String> = targets.flatten().map(|target| target.version.clone()).collect();
        let gone: Vec<String> = entry.tallies.keys().filter(|version| !counted.contains(*version)).cloned().collect();
        for version in gone {
            entry.tallies.remove(&version);
            self.shared.metrics.forget_version(name, &version);
        }
        for version in counted {
            let tally = || self.shared.metrics.tally(name, &version);
            entry.tallies.entry(version.clone()).or_insert_with(tally);
        }
    }

    /// Gives each function its permits, within the places that the engine has.
    fn share_out(&self) {
        let entries = self.write();
        let parts: Vec<Part> =
            entries.values().map(|entry| Part { reserved: entry.reserved, slots: entry.slots() }).collect();
        for ((name, entry), permits) in entries.iter().zip(share_out(self.shared.places, &parts)) {
            let before = entry.permits.limit();
            if before == permits as usize {
                continue;
            }
            tracing::debug!(function = name, before, permits, "the function's permits change");
            entry.permits.set_limit(permits);
        }
    }

    /// Whether one function more fits beside those that are there, each with a permit at least.
    pub(crate) fn has_room_for(&self, name: &str, slots: u32) -> bool {
        let entries = self.read();
        let others = entries.iter().filter(|(other, _)| *other != name);
        let taken: u64 =
            others.map(|(_, entry)| u64::from(entry.slots()) * u64::from(entry.reserved.unwrap_or(1))).sum();
        taken + u64::from(slots) <= u64::from(self.shared.places)
    }

    /// Instances that the engine has places for.
    pub(crate) fn places(&self) -> u32 {
        self.shared.places
    }

    /// The names of all functions.
    pub(crate) fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// What the version found that runs copies of the function's batches, if one does.
    pub(crate) fn shadow(&self, name: &str) -> Option<Found> {
        self.read().get(name)?.shadow.as_ref().map(|(_, shadowing)| shadowing.found())
    }

    /// What was counted of each version that `$LATEST` or an alias leads to; none when there is no such function.
    pub(crate) fn counted(&self, name: &str) -> Option<Vec<(String, wasmill_mapping::Counted)>> {
        let entries = self.read();
        let tallies = &entries.get(name)?.tallies;
        Some(tallies.iter().map(|(version, tally)| (version.clone(), tally.counted())).collect())
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.read().keys()).finish()
    }
}

/// A table without a function, for what only shows one.
#[cfg(test)]
pub(crate) fn empty(registry: &prometheus::Registry) -> Functions {
    let metrics = Metrics::register(registry).expect("a registry of its own");
    let shadows = Shadows::register(registry, SHADOW_PLACES).expect("a registry of its own");
    Functions::new(64, metrics, shadows)
}

/// Whose turn it is; `share` is from 0 to 1.
fn pick(route: &Route, share: f64) -> &Target {
    match &route.also {
        Some((also, weight)) if share < *weight => also,
        _ => &route.to,
    }
}

fn random_share() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(version: &str) -> Target {
        Target { version: version.to_owned(), build: format!("build-{version}") }
    }

    #[test]
    fn a_weighted_route_leads_to_the_other_one_by_its_share() {
        let weighted = |weight| Route { to: target("1"), also: Some((target("2"), weight)) };
        for (weight, share, version) in
            [(0.1, 0.0, "2"), (0.1, 0.0999, "2"), (0.1, 0.1, "1"), (0.0, 0.0, "1"), (1.0, 0.999_999, "2")]
        {
            assert_eq!(pick(&weighted(weight), share).version, version, "{weight}, {share}");
        }
        let route = weighted(0.25);
        let drawn = (0..10_000).filter(|_| pick(&route, random_share()).version == "2").count();
        assert!((2_200..2_800).contains(&drawn), "{drawn} of 10000 at a quarter");
    }
}
