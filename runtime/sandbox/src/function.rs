//! One function: its code, ready to be called, and its configuration.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;
use wasmill_event::CodeName;
use wasmtime::ResourcesRequired;

use crate::cache::hex;
use crate::code::Code;
use crate::component::{FunctionKind, Prepared, ready};
use crate::disk::{DISK_MIB_MAX, ScratchFolder};
use crate::engine::Sandbox;
use crate::error::LoadError;
use crate::host::{Mount, function_environment};
use crate::limits::{Limits, MEMORIES_PER_INSTANCE, MIB, TABLE_ELEMENTS_CEILING, TABLES_PER_INSTANCE};
use crate::metrics::FunctionMetrics;
use crate::outgoing::Outbound;
use crate::pace::Pace;
use crate::reuse::{self, Resting, Reuse};
use crate::shape;

/// Longest timeout, in seconds: Lambda's own.
const TIMEOUT_S_MAX: u64 = 900;

/// WebAssembly's page, in bytes: the unit of a memory's declared minimum.
const PAGE_BYTES: u64 = 64 << 10;

/// What a function is to be.
#[derive(Debug, Clone)]
pub struct FunctionSpec {
    /// Lambda's function name: the `function` label of metrics and log lines.
    pub name: String,
    /// `$LATEST` or a version number.
    pub version: String,
    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
    pub arn: String,
    /// The guest's `AWS_REGION`.
    pub region: String,
    /// Where the code is.
    pub code: Code,
    /// How long an invocation may take, instantiation included. Above 0, at most 900 s.
    pub timeout: Duration,
    /// How much linear memory an invocation may have, in MiB. At least 1, at most the sandbox's ceiling.
    pub memory_mib: u32,
    /// The guest's variables. Lambda's own win over these.
    pub environment: Vec<(String, String)>,
    /// The other bounds.
    pub limits: Limits,
    /// Folders that the guest may read; none by default. Components only.
    pub mounts: Vec<Mount>,
    /// How much the guest may keep in a `/tmp` of its instance's own, in MiB, 1 to 10 240; none, the default: it has no such folder.
    /// Components only.
    pub ephemeral_storage_mib: Option<u32>,
    /// The user's code, for a component that is an interpreter and asks for it.
    pub script: Option<Arc<str>>,
    /// What it may ask of the network; nothing by default.
    pub outbound: Outbound,
    /// Keeps instances warm; none: each invocation has a fresh one. Commands end with their invocation all the same.
    pub reuse: Option<Reuse>,
}

impl FunctionSpec {
    /// A function of that code with Lambda's defaults: 3 s, 128 MiB, and nothing of the world.
    #[must_use]
    pub fn new(name: &str, code: Code) -> Self {
        Self {
            name: name.to_owned(),
            version: "$LATEST".to_owned(),
            arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
            region: "us-east-1".to_owned(),
            code,
            timeout: Duration::from_secs(3),
            memory_mib: 128,
            environment: Vec::new(),
            limits: Limits::default(),
            mounts: Vec::new(),
            ephemeral_storage_mib: None,
            script: None,
            outbound: Outbound::default(),
            reuse: None,
        }
    }
}

/// A loaded function: a `tower::Service` that takes invocations. Cheap to clone; clones share everything, and any
/// number of calls may run at once.
#[derive(Clone)]
pub struct Function {
    pub(crate) shared: Arc<FunctionShared>,
}

/// What all calls of a function share.
pub(crate) struct FunctionShared {
    pub(crate) sandbox: Sandbox,
    /// Shared by all functions of this code.
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) spec: FunctionSpec,
    /// The variables that every invocation has.
    pub(crate) environment: Vec<(String, String)>,
    /// How many of the engine's places an instance takes.
    pub(crate) places: u32,
    pub(crate) way_out: Arc<Outbound>,
    /// Where its instances' `/tmp` are, if they have one.
    pub(crate) scratch: Option<Arc<ScratchFolder>>,
    /// Instances between two invocations, if the function keeps any.
    pub(crate) resting: Option<Resting>,
    pub(crate) metrics: FunctionMetrics,
    pub(crate) pace: Pace,
    code_path: String,
    /// What an invocation says of its code.
    pub(crate) code: Arc<CodeName>,
}

impl Function {
    pub(crate) fn load(sandbox: &Sandbox, spec: FunctionSpec) -> Result<Self, LoadError> {
        let started = Instant::now();
        let source = spec.code.read()?;
        check_bounds(&spec, &source.name, sandbox.memory_mib_max())?;
        shape::check(&source.bytes)
            .map_err(|reason| LoadError::Invalid { code: source.name.clone(), reason: format!("it {reason}") })?;
        let (prepared, cached) = ready(sandbox, &source, spec.script.is_some())?;
        let places = match &prepared.resources {
            Some(resources) => check_resources(&spec, &source.name, resources, prepared.home.places_max())?,
            None => 1,
        };
        let scratch = prepare_folders(sandbox, &spec, &source.name, prepared.handler.kind())?;
        let took = started.elapsed();
        sandbox.metrics().module_loaded(&spec.name, cached, took);
        let sha256 = hex(&source.sha256);
        info!(
            function = spec.name,
            version = spec.version,
            kind = prepared.handler.kind().as_str(),
            code = source.name,
            sha256,
            cached,
            load_ms = took.as_secs_f64() * 1e3,
            "function loaded"
        );
        let environment =
            function_environment(&spec.environment, &spec.name, &spec.version, spec.memory_mib, &spec.region);
        let reuse = spec.reuse.filter(|_| !prepared.handler.is_command());
        let shared = Arc::new(FunctionShared {
            sandbox: sandbox.clone(),
            prepared,
            environment,
            places,
            way_out: Arc::new(spec.outbound.clone()),
            scratch,
            resting: reuse.map(Resting::new),
            metrics: sandbox.metrics().for_function(&spec.name),
            pace: Pace::default(),
            code: Arc::new(CodeName { version: spec.version.clone(), sha256 }),
            code_path: source.name,
            spec,
        });
        if let Some(terms) = reuse {
            sandbox.keeps_warm(Arc::downgrade(&shared));
            sandbox.guest_runtime().spawn(reuse::sweep(Arc::downgrade(&shared), terms));
        }
        Ok(Self { shared })
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.spec.name
    }

    /// `$LATEST` or a version number.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.shared.spec.version
    }

    /// How long an invocation may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.shared.spec.timeout
    }

    /// How much linear memory an invocation may have, in MiB.
    #[must_use]
    pub fn memory_mib(&self) -> u32 {
        self.shared.spec.memory_mib
    }

    /// Which of the ways in its code has.
    #[must_use]
    pub fn kind(&self) -> FunctionKind {
        self.shared.prepared.handler.kind()
    }

    /// How many of the sandbox's `max_instances` one invocation takes: one, or more for code with several memories or many tables.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.shared.places
    }

    /// The same code without a way to change anything: no host is within reach, and every call has an instance of its own.
    /// What it does is counted under another name.
    #[must_use]
    pub fn sealed(&self) -> Self {
        let FunctionShared { sandbox, prepared, environment, places, scratch, code_path, code, spec, .. } =
            &*self.shared;
        let spec = FunctionSpec { outbound: Outbound::default(), reuse: None, ..spec.clone() };
        let shared = FunctionShared {
            sandbox: sandbox.clone(),
            prepared: Arc::clone(prepared),
            environment: environment.clone(),
            places: *places,
            way_out: Arc::new(Outbound::default()),
            scratch: scratch.clone(),
            resting: None,
            metrics: sandbox.metrics().for_function(&format!("{}:shadow", spec.name)),
            pace: Pace::default(),
            code_path: code_path.clone(),
            code: Arc::clone(code),
            spec,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether an instance would have a place at once.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.prepared.home.free_places() >= self.shared.places as usize
    }

    /// SHA-256 of the code, 64 lower-case hex digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.shared.code.sha256
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("kind", &self.kind())
            .field("code", &self.shared.code_path)
            .field("sha256", &self.sha256())
            .finish()
    }
}

/// Checks that a guest's folders can be given to it, and makes the one that its disks are in.
fn prepare_folders(
    sandbox: &Sandbox,
    spec: &FunctionSpec,
    code: &str,
    kind: FunctionKind,
) -> Result<Option<Arc<ScratchFolder>>, LoadError> {
    let has_folders = spec.ephemeral_storage_mib.is_some() || !spec.mounts.is_empty();
    if has_folders && kind == FunctionKind::CommandModule {
        return Err(LoadError::NoFolders { code: code.to_owned() });
    }
    if spec.ephemeral_storage_mib.is_none() {
        return Ok(None);
    }
    let folder = sandbox.scratch().folder();
    folder.map(Some).map_err(|source| LoadError::NoScratch { code: code.to_owned(), source })
}

fn check_bounds(spec: &FunctionSpec, code: &str, memory_mib_max: u32) -> Result<(), LoadError> {
    let between = |setting: &'static str, value: u64, least: u64, most: u64| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(LoadError::Setting { code: code.to_owned(), setting, value, least, most })
    };
    let timeout_ms = u64::try_from(spec.timeout.as_millis()).unwrap_or(u64::MAX);
    between("timeout in milliseconds", timeout_ms, 1, TIMEOUT_S_MAX * 1000)?;
    between("memory_size in MiB", spec.memory_mib.into(), 1, memory_mib_max.into())?;
    if let Some(mib) = spec.ephemeral_storage_mib {
        between("ephemeral_storage in MiB", mib.into(), 1, DISK_MIB_MAX.into())?;
    }
    between("longest log line in bytes", spec.limits.log_line_bytes as u64, 1, 1 << 30)?;
    between("table elements", spec.limits.table_elements as u64, 0, TABLE_ELEMENTS_CEILING as u64)
}

/// Checks what an instance needs against what it may have, and counts the slots it takes: the pool has one memory
/// and two tables per slot.
fn check_resources(
    spec: &FunctionSpec,
    code: &str,
    resources: &ResourcesRequired,
    slots_max: u32,
) -> Result<u32, LoadError> {
    let needed_bytes = resources.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES);
    if needed_bytes > u64::from(spec.memory_mib) * MIB {
        return Err(LoadError::MemoryTooSmall {
            code: code.to_owned(),
            needed_mib: needed_bytes.div_ceil(MIB),
            memory_mib: spec.memory_mib,
        });
    }
    let at_most = |what: &'static str, needed: u64, most: u64| {
        if needed <= most {
            return Ok(());
        }
        Err(LoadError::Invalid {
            code: code.to_owned(),
            reason: format!("it has {needed} {what}, and may have {most}"),
        })
    };
    at_most("linear memories", resources.num_memories.into(), MEMORIES_PER_INSTANCE.into())?;
    at_most("tables", resources.num_tables.into(), TABLES_PER_INSTANCE.into())?;
    let table_elements = resources.max_initial_table_size.unwrap_or(0);
    at_most("elements in a table", table_elements, spec.limits.table_elements as u64)?;
    let slots = resources.num_memories.max(resources.num_tables.div_ceil(2)).max(1);
    at_most("memories or pairs of tables for this sandbox", slots.into(), slots_max.into())?;
    Ok(slots)
}
