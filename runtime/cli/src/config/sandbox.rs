//! `[sandbox]`: ceilings of the WebAssembly engine. They freeze when the engine is made, so they are reserved here and
//! not grown with what is loaded.

use super::function::FunctionDraft;
use super::reader::Section;
use super::source::Place;

const INSTANCES_MIN: u32 = 64;
const INSTANCES_MAX: u32 = 10_000;
/// Instances beyond the functions' permits: for checks and warm-up beside a full load.
const INSTANCES_SPARE: u32 = 8;
const GUEST_THREADS_MAX: u32 = 1024;

/// The engine's ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// How many instances may be alive at once; at least the sum of all functions' permits.
    pub(crate) max_instances: u32,
    /// Threads that run guests and nothing else.
    pub(crate) guest_threads: u32,
}

impl Sandbox {
    /// The ceilings without a `[sandbox]` section, for functions with that many permits together.
    pub(crate) fn for_permits(permits: u32) -> Self {
        let max_instances = permits.saturating_add(INSTANCES_SPARE).max(INSTANCES_MIN);
        let cores =
            std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        Self { max_instances, guest_threads: cores.min(GUEST_THREADS_MAX) }
    }
}

/// Reads `[sandbox]`.
pub(super) fn read_sandbox(root: &mut Section<'_, '_>, functions: &[FunctionDraft]) -> Sandbox {
    let permits =
        functions.iter().map(|function| function.spec.reserved_concurrent_executions).fold(0, u32::saturating_add);
    let default = Sandbox::for_permits(permits);
    let source = root.source();
    let mut sandbox = default;
    let mut ceiling_place = Place { key: "sandbox.max_instances".to_owned(), at: root.place().at };
    if let Some(mut section) = root.table("sandbox") {
        let max_instances = section.integer("max_instances", 1..=INSTANCES_MAX, "", default.max_instances);
        let guest_threads = section.integer("guest_threads", 1..=GUEST_THREADS_MAX, "", default.guest_threads);
        section.finish();
        sandbox = Sandbox { max_instances: max_instances.value, guest_threads: guest_threads.value };
        ceiling_place = max_instances.place;
    }
    if sandbox.max_instances > INSTANCES_MAX {
        let what =
            format!("the functions may run {permits} at once, more than the {INSTANCES_MAX} instances of one process");
        source.mistake(&ceiling_place, what, "lower their reserved_concurrent_executions");
    } else if sandbox.max_instances < permits {
        let what =
            format!("{} instances are fewer than the functions may run at once, {permits}", sandbox.max_instances);
        let mend = format!("write {permits} or more, or lower their reserved_concurrent_executions");
        source.mistake(&ceiling_place, what, mend);
    }
    sandbox
}
