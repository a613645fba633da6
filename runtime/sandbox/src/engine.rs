//! The sandbox: its wasmtime engines with their pools of slots, the threads that tick, and the threads guests run on.
//!
//! A pool's limits freeze when its engine is made, so they are ceilings from the configuration, not sums over what
//! happens to be loaded. Guests have a tokio runtime of their own: leases, health and HTTP never queue behind one.
//!
//! There are two engines. Small code is compiled with functions inlined into each other. That needs all of a module in memory
//! at once: Python's interpreter would take 8 GB and a minute, and takes 0.4 GB and seconds without. Interpreters and their
//! like have an engine of their own, made when the first of them is loaded; it supports concurrency too, which asynchronous
//! exports need and which makes every call a little dearer.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, Memory, MemoryType, PoolingAllocationConfig, Store,
    WasmBacktraceDetails,
};

use crate::cache::ModuleCache;
use crate::component::Linkers;
use crate::disk::Scratch;
use crate::error::{EngineError, LoadError, one_line};
use crate::function::{Function, FunctionShared, FunctionSpec};
use crate::in_use::CodeInUse;
use crate::limits::{
    BLOCKING_THREADS, CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_INSTANCE, MIB, TABLE_ELEMENTS_CEILING,
    TABLES_PER_INSTANCE,
};
use crate::metrics::Metrics;

/// How often running guests give way. Also how late a spinning guest notices that its time is up.
const TICK: Duration = Duration::from_millis(10);

/// Guest functions that a trap's backtrace holds.
const BACKTRACE_FRAMES: usize = 20;

/// Slots beyond the ceiling, for instances that are still being taken down.
const SPARE_SLOTS: u32 = 4;

/// Most instances at once: Linux allows a process 65 530 mappings, and a slot in use takes six.
const INSTANCES_MAX: u32 = 10_000;

/// The same for the engine of asynchronous components, beside the other: their stacks take mappings of their own.
const CONCURRENT_INSTANCES_MAX: u32 = 2_000;

/// A guest's stack. Interpreters recurse deeply: with wasmtime's usual 512 KiB Python ends after 400 calls through C.
const WASM_STACK_BYTES: usize = 2 << 20;
/// What host functions may use of the same stack beyond it. Untouched, it is address space only.
const HOST_STACK_BYTES: usize = 512 << 10;

/// Largest memory a slot is made for. Within 4 GiB, WebAssembly needs no bounds checks.
const MEMORY_MIB_MAX: u32 = 4096;

/// The process-wide ceilings of a sandbox.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Invocations that may run at once in the whole process; further ones wait. 1 to 10 000, default 256.
    pub max_instances: u32,
    /// Largest `memory_size` that any function may have, in MiB. 1 to 4096, default 4096. Costs address space only.
    pub max_memory_mib: u32,
    /// Where compiled modules are kept; none: every start compiles. Default none.
    pub cache_dir: Option<PathBuf>,
    /// Where the folder of handlers' `/tmp` is made when one has such. Default the system's, which TMPDIR names.
    pub scratch_dir: PathBuf,
    /// Threads that guests run on. 1 to 1024, default one per core.
    pub guest_threads: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            max_instances: 256,
            max_memory_mib: MEMORY_MIB_MAX,
            cache_dir: None,
            scratch_dir: std::env::temp_dir(),
            guest_threads: cores,
        }
    }
}

/// Runs handlers. Cheap to clone; it lives as long as a clone of it or a function loaded into it, and may be dropped
/// anywhere, also in async code: guests that still run are abandoned.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<SandboxShared>,
}

/// What all clones of a sandbox share.
pub(crate) struct SandboxShared {
    config: EngineConfig,
    plain: Arc<Home>,
    /// Made for the first code that needs it.
    roomy: Mutex<Option<Arc<Home>>>,
    cache: ModuleCache,
    code_in_use: CodeInUse,
    scratch: Scratch,
    metrics: Metrics,
    guest_handle: Handle,
    /// Taken when dropped.
    guest_runtime: Option<Runtime>,
    /// The functions that keep instances warm.
    warm: Mutex<Vec<Weak<FunctionShared>>>,
}

/// An engine, what is linked into its guests, and the places in its pool.
pub(crate) struct Home {
    engine: Engine,
    linkers: Linkers,
    places: Arc<Semaphore>,
    places_max: u32,
    is_roomy: bool,
}

impl Home {
    fn new(config: &EngineConfig, is_roomy: bool) -> Result<Self, EngineError> {
        let engine = make_engine(config, is_roomy)?;
        let linkers = Linkers::new(&engine).map_err(|error| engine_error(&error))?;
        start_ticking(&engine)?;
        let places = Arc::new(Semaphore::new(config.max_instances as usize));
        Ok(Self { engine, linkers, places, places_max: config.max_instances, is_roomy })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// True when components with asynchronous exports may live here.
    pub(crate) fn is_roomy(&self) -> bool {
        self.is_roomy
    }

    pub(crate) fn linkers(&self) -> &Linkers {
        &self.linkers
    }

    pub(crate) fn free_places(&self) -> usize {
        self.places.available_permits()
    }

    pub(crate) fn places_max(&self) -> u32 {
        self.places_max
    }
}

impl Sandbox {
    /// Makes the engine and starts its threads. `metrics` are for all functions of this sandbox.
    ///
    /// # Errors
    /// When a ceiling is out of range, or the machine gives no memory mappings or threads.
    pub fn new(config: EngineConfig, metrics: Metrics) -> Result<Self, EngineError> {
        check(&config)?;
        let plain = Arc::new(Home::new(&config, false)?);
        let guest_runtime = start_guest_runtime(config.guest_threads)?;
        let shared = SandboxShared {
            plain,
            roomy: Mutex::default(),
            cache: ModuleCache::open(config.cache_dir.clone()),
            code_in_use: CodeInUse::default(),
            scratch: Scratch::new(config.scratch_dir.clone()),
            metrics,
            guest_handle: guest_runtime.handle().clone(),
            guest_runtime: Some(guest_runtime),
            warm: Mutex::default(),
            config,
        };
        let shared = Arc::new(shared);
        shared.metrics.watch(Arc::downgrade(&shared));
        Ok(Self { shared })
    }

    /// Loads a function: reads its code, compiles it or takes it from the cache, checks what it exports and imports.
    /// Compiling takes from milliseconds to many seconds (a JavaScript or Python runtime) and blocks: in async code,
    /// call this where blocking is allowed.
    ///
    /// # Errors
    /// When there is no handler in the code that could be called; see [`LoadError`].
    pub fn load(&self, spec: FunctionSpec) -> Result<Function, LoadError> {
        Function::load(self, spec)
    }

    /// Ends the instances that rest and removes handlers' files. For a process that is about to end, when nothing is called any
    /// more: threads that would see to it later end with the process.
    pub fn close(&self) {
        self.clear_resting();
        self.shared.scratch.close();
    }

    pub(crate) fn plain(&self) -> &Arc<Home> {
        &self.shared.plain
    }

    /// The engine for components with asynchronous exports.
    pub(crate) fn roomy(&self) -> Result<Arc<Home>, EngineError> {
        let mut roomy = self.shared.roomy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = &*roomy {
            return Ok(Arc::clone(home));
        }
        let max_instances = self.shared.config.max_instances.min(CONCURRENT_INSTANCES_MAX);
        let home = Arc::new(Home::new(&EngineConfig { max_instances, ..self.shared.config.clone() }, true)?);
        *roomy = Some(Arc::clone(&home));
        Ok(home)
    }

    pub(crate) fn cache(&self) -> &ModuleCache {
        &self.shared.cache
    }

    pub(crate) fn code_in_use(&self) -> &CodeInUse {
        &self.shared.code_in_use
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.shared.scratch
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn memory_mib_max(&self) -> u32 {
        self.shared.config.max_memory_mib
    }

    pub(crate) fn guest_runtime(&self) -> &Handle {
        &self.shared.guest_handle
    }

    /// Remembers a function whose resting instances may have to make room.
    pub(crate) fn keeps_warm(&self, function: Weak<FunctionShared>) {
        let mut warm = self.shared.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.retain(|function| function.strong_count() > 0);
        warm.push(function);
    }

    /// Places in a pool for a new instance; waits for them. When there are none, resting instances of all functions go.
    /// None when the sandbox is closed.
    pub(crate) async fn places(&self, home: &Home, count: u32) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(&home.places);
        if let Ok(permit) = Arc::clone(&places).try_acquire_many_owned(count) {
            return Some(permit);
        }
        self.clear_resting();
        places.acquire_many_owned(count).await.ok()
    }

    /// Ends the resting instances of all functions.
    fn clear_resting(&self) {
        let warm: Vec<_> = {
            let warm = self.shared.warm.lock().unwrap_or_else(PoisonError::into_inner);
            warm.iter().filter_map(Weak::upgrade).collect()
        };
        for resting in warm.iter().filter_map(|function| function.resting.as_ref()) {
            resting.clear();
        }
    }
}

impl SandboxShared {
    /// Each function that keeps instances warm, and how many of them rest.
    pub(crate) fn resting(&self) -> Vec<(String, usize)> {
        let functions: Vec<_> = {
            let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
            warm.iter().filter_map(Weak::upgrade).collect()
        };
        functions.iter().filter_map(|one| Some((one.spec.name.clone(), one.resting.as_ref()?.count()))).collect()
    }

    /// Each engine with its free places, and all that it has.
    pub(crate) fn places_by_engine(&self) -> Vec<(&'static str, usize, usize)> {
        let roomy = self.roomy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let engines = std::iter::once(("plain", Arc::clone(&self.plain))).chain(roomy.map(|home| ("roomy", home)));
        engines.map(|(name, home)| (name, home.places.available_permits(), home.places_max as usize)).collect()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("max_instances", &self.shared.plain.places_max)
            .field("max_memory_mib", &self.shared.config.max_memory_mib)
            .field("free_places", &self.shared.plain.places.available_permits())
            .finish_non_exhaustive()
    }
}

impl Drop for SandboxShared {
    fn drop(&mut self) {
        // Waiting for the threads here would panic in async code, and wait for guests that may never end.
        if let Some(runtime) = self.guest_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn check(config: &EngineConfig) -> Result<(), EngineError> {
    let between = |setting: &'static str, value: u64, most: u64| {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        Err(EngineError::Setting { setting, value, least: 1, most })
    };
    between("max_instances", config.max_instances.into(), INSTANCES_MAX.into())?;
    between("max_memory_mib", config.max_memory_mib.into(), MEMORY_MIB_MAX.into())?;
    between("guest_threads", config.guest_threads as u64, 1024)
}

fn engine_error(error: &wasmtime::Error) -> EngineError {
    EngineError::Engine { reason: one_line(&format!("{error:#}"), 1024) }
}

/// Where instances get their memory from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allocation {
    /// Slots reserved up front: a fresh instance costs microseconds.
    Pool,
    /// Mapped for each instance.
    OnDemand,
    /// The same without reserving 4 GiB of address space for each: slower code with bounds checks, but it works
    /// where address space is limited.
    OnDemandSmall,
}

fn make_engine(config: &EngineConfig, is_roomy: bool) -> Result<Engine, EngineError> {
    let mut refused = match engine_with(config, Allocation::Pool, is_roomy) {
        Ok(engine) => return Ok(engine),
        Err(error) => engine_error(&error),
    };
    for allocation in [Allocation::OnDemand, Allocation::OnDemandSmall] {
        warn!(reason = %refused, next = ?allocation, "invocations will be slower: sandbox memory cannot be set up as usual");
        match engine_with(config, allocation, is_roomy) {
            Ok(engine) => return Ok(engine),
            Err(error) => refused = engine_error(&error),
        }
    }
    Err(refused)
}

fn engine_with(config: &EngineConfig, allocation: Allocation, is_roomy: bool) -> wasmtime::Result<Engine> {
    let mut wasm = Config::new();
    wasm.epoch_interruption(true)
        .concurrency_support(is_roomy)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES)
        .async_stack_zeroing(true)
        .compiler_inlining(if is_roomy { Inlining::No } else { Inlining::Yes })
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        // A guest's debug information is its own claim about itself; reading it takes time that nobody bounds.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    match allocation {
        Allocation::Pool => {
            wasm.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
        }
        Allocation::OnDemand => {
            wasm.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        }
        Allocation::OnDemandSmall => {
            wasm.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            wasm.memory_reservation(0).memory_reservation_for_growth(1 << 20).memory_guard_size(64 << 10);
        }
    }
    let engine = Engine::new(&wasm)?;
    if allocation != Allocation::Pool {
        // The pool has reserved what it needs. The others find out at the first instance: let that be now.
        let mut store = Store::new(&engine, ());
        Memory::new(&mut store, MemoryType::new(1, None))?;
    }
    Ok(engine)
}

/// The configuration that measured best for small guests with fresh instances.
fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let slots = config.max_instances + SPARE_SLOTS;
    let memory_bytes = usize::try_from(u64::from(config.max_memory_mib) * MIB).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(slots)
        .max_memories_per_component(MEMORIES_PER_INSTANCE)
        .total_tables(slots * 2)
        .max_tables_per_component(TABLES_PER_INSTANCE)
        .max_tables_per_module(4)
        .total_stacks(slots)
        .max_memory_size(memory_bytes)
        .table_elements(TABLE_ELEMENTS_CEILING)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(100);
    pool
}

/// Starts the thread that ends guests' time slices. It ends with the engine.
fn start_ticking(engine: &Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    thread::Builder::new().name("wasmill-tick".to_owned()).spawn(move || {
        loop {
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}

fn start_guest_runtime(threads: usize) -> Result<Runtime, EngineError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("wasmill-guest")
        .enable_all()
        // tokio looks at its timers every 61 polls by default. A poll of a busy guest lasts a tick, so timeouts would
        // be half a second late.
        .event_interval(1)
        // Likewise for tasks that come from outside. Every second poll: new guests and those under way take turns.
        .global_queue_interval(2)
        .build()?;
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    use wasmtime::{Instance, Module};

    #[tokio::test]
    async fn guests_run_with_every_kind_of_allocation() {
        let config = EngineConfig { max_instances: 4, ..EngineConfig::default() };
        let code = wat::parse_str(
            r#"(module (memory 2) (data (i32.const 70000) "x")
                 (func (export "f") (result i32) (i32.load8_u (i32.const 70000))))"#,
        )
        .unwrap();
        for allocation in [Allocation::Pool, Allocation::OnDemand, Allocation::OnDemandSmall] {
            let engine = engine_with(&config, allocation, false).unwrap();
            let module = Module::from_binary(&engine, &code).unwrap();
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
            let instance = Instance::new_async(&mut store, &module, &[]).await.unwrap();
            let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
            assert_eq!(f.call_async(&mut store, ()).await.unwrap(), i32::from(b'x'), "{allocation:?}");
        }
    }

    #[test]
    fn the_largest_sandbox_that_may_be_configured_can_be_made() {
        let config = EngineConfig { max_instances: INSTANCES_MAX, ..EngineConfig::default() };
        let plain = engine_with(&config, Allocation::Pool, false).unwrap();
        let config = EngineConfig { max_instances: CONCURRENT_INSTANCES_MAX, ..config };
        let roomy = engine_with(&config, Allocation::Pool, true).unwrap();
        drop((plain, roomy));
    }

    #[test]
    fn the_ticker_ends_with_its_engine() {
        let config = EngineConfig { max_instances: 1, max_memory_mib: 1, ..EngineConfig::default() };
        let engine = engine_with(&config, Allocation::Pool, false).unwrap();
        start_ticking(&engine).unwrap();
        let weak = engine.weak();
        drop(engine);
        // The ticker holds the engine for no longer than one tick takes.
        for _ in 0..100 {
            if weak.upgrade().is_none() {
                return;
            }
            thread::sleep(TICK);
        }
        panic!("something still holds the engine");
    }
}
