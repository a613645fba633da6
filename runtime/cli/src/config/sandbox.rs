//! `[sandbox]`: ceilings of the WebAssembly engine. They freeze when the engine is made, so they are reserved here and
//! not grown with what is loaded.

use super::finding::Origin;
use super::function::FunctionDraft;
use super::reader::Section;
use super::source::{Located, Place};

const INSTANCES_MIN: u32 = 64;
/// The most instances of one process.
pub(crate) const INSTANCES_MAX: u32 = 10_000;
/// Instances beyond the functions' permits: for checks and warm-up beside a full load.
const INSTANCES_SPARE: u32 = 8;
const GUEST_THREADS_MAX: u32 = 1024;

/// The engine's ceilings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// How many instances may be alive at once; at least the sum of all functions' permits.
    pub(crate) max_instances: u32,
    /// Whether the config says so: then it is a ceiling, else it follows what the functions need.
    pub(crate) is_written: bool,
    /// Where `max_instances` stands, or the file's beginning.
    pub(crate) max_instances_origin: Origin,
    /// Threads that run guests and nothing else.
    pub(crate) guest_threads: u32,
}

impl Sandbox {
    /// The ceilings without a `[sandbox]` section, for functions with that many permits together.
    pub(crate) fn for_permits(permits: u32) -> Self {
        let cores =
            std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        Self {
            max_instances: instances_for(permits),
            is_written: false,
            max_instances_origin: Origin::built_in(),
            guest_threads: cores.min(GUEST_THREADS_MAX),
        }
    }
}

/// How many instances an engine is made for whose functions may take `slots` at once.
pub(crate) fn instances_for(slots: u32) -> u32 {
    slots.saturating_add(INSTANCES_SPARE).max(INSTANCES_MIN)
}

/// Reads `[sandbox]`.
pub(super) fn read_sandbox(root: &mut Section<'_, '_>, functions: &[FunctionDraft]) -> Sandbox {
    let permits =
        functions.iter().map(|function| function.spec.reserved_concurrent_executions).fold(0, u32::saturating_add);
    let default = Sandbox::for_permits(permits);
    let source = root.source();
    let (mut max_instances, mut guest_threads) = (None, default.guest_threads);
    if let Some(mut section) = root.table("sandbox") {
        max_instances = section.optional_integer("max_instances", 1..=INSTANCES_MAX, "");
        section.default_of("max_instances", default.max_instances);
        guest_threads = section.integer("guest_threads", 1..=GUEST_THREADS_MAX, "", guest_threads).value;
        section.finish();
    } else {
        root.absent("sandbox.max_instances", default.max_instances);
        root.absent("sandbox.guest_threads", default.guest_threads);
    }
    let is_written = max_instances.is_some();
    let unwritten =
        || Located::new(default.max_instances, Place { key: "sandbox.max_instances".to_owned(), at: root.place().at });
    let Located { value: ceiling, place, .. } = max_instances.unwrap_or_else(unwritten);
    if ceiling > INSTANCES_MAX {
        let what =
            format!("the functions may run {permits} at once, more than the {INSTANCES_MAX} instances of one process");
        source.mistake(&place, what, "lower their reserved_concurrent_executions");
    } else if ceiling < permits {
        let what = format!("{ceiling} instances are fewer than the functions may run at once, {permits}");
        let mend = format!("write {permits} or more, or lower their reserved_concurrent_executions");
        source.mistake(&place, what, mend);
    }
    Sandbox { max_instances: ceiling, is_written, max_instances_origin: source.origin(&place), guest_threads }
}
