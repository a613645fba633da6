//! The configuration: one TOML file in, one [`Config`] of plain data out, or every mistake in it at once.
//!
//! Stages: `reader` gives positions and types, a file per section turns tables into drafts, `resolve` looks names up
//! across sections. Nothing binds, locks or connects here; of the disk it only asks whether paths are what they should
//! be. Keys of the design that this version does not do are refused by name ("not yet"), never ignored. Absent: flags
//! and environment of the process (`WASMILL_LOG`), which are `args.rs` and `telemetry.rs`.

mod address;
mod auth;
mod aws;
mod code;
mod deployed;
mod document;
mod expand;
mod finding;
mod function;
mod listener;
mod mapping;
mod paths;
mod queue;
mod queue_spec;
mod reader;
mod record;
mod resolve;
mod sandbox;
mod schema;
mod settling;
mod show;
mod source;
#[cfg(test)]
mod sources_tests;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;
mod traces;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmill_sandbox::Outbound;
use wasmill_sqs::AccessKey;

pub(crate) use self::aws::Aws;
pub(crate) use self::code::Runtime;
pub(crate) use self::finding::{Finding, Mistakes};
pub(crate) use self::function::{DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, FunctionSpec, MEMORY_MIB_MAX};
pub(crate) use self::listener::{
    Admin, Control, DEFAULT_ADMIN_LISTEN, DEFAULT_AWS_LISTEN, Durability, LocalQueue, Trial, check_aws_listen,
    is_loopback,
};
pub(crate) use self::mapping::{MappingSource, MappingSpec, OnFiltered, RemoteAddress, RemoteQueue};
pub(crate) use self::paths::{default_cache_dir, runtimes_dirs};
#[cfg(test)]
pub(crate) use self::queue::RedrivePermission;
#[cfg(test)]
pub(crate) use self::queue_spec::RedriveAllowSpec;
pub(crate) use self::queue_spec::{DEFAULT_VISIBILITY_TIMEOUT_SECONDS, QueueSpec, RedriveSpec};
pub(crate) use self::resolve::{DEFAULT_ACCOUNT_ID, DEFAULT_REGION};
pub(crate) use self::sandbox::{INSTANCES_MAX, Sandbox, instances_for};
pub(crate) use self::schema::schema;
pub(crate) use self::settling::BISECT_MAX_INVOCATIONS;
pub(crate) use self::show::Setting;
pub(crate) use self::source::Env;
pub(crate) use self::suggest::nearest;
pub(crate) use self::traces::{Protocol, Sampling, Traces};
pub(crate) use self::world::{EPHEMERAL_STORAGE_MIB_MAX, Environment, check_variable_name};

use self::document::Text;
use self::listener::Listeners;
use self::paths::Expected;
use self::reader::Section;
use self::resolve::Resolver;
use self::source::Source;

/// How long a drain may take unless told otherwise.
pub(crate) const DEFAULT_DRAIN_GRACE: Duration = Duration::from_secs(30);
const DRAIN_GRACE_SECONDS_MAX: u32 = 3600;

/// The keys that stand above every section.
const TOP_LEVEL_KEYS: [&str; 7] =
    ["region", "account_id", "cache_dir", "runtimes_dir", "state_dir", "strict_lambda", "drain_grace_seconds"];

/// Everything the config file says, resolved: names exist, paths are absolute or start at the config's folder, numbers
/// are in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The built-in queue; `None` when only remote queues are polled.
    pub(crate) local_queue: Option<LocalQueue>,
    /// Where Lambda's API is served without a built-in queue; `None`: beside it, or nowhere.
    pub(crate) control: Option<Control>,
    /// The listener for metrics and health.
    pub(crate) admin: Admin,
    /// The built-in queue's queues, in the order of the file.
    pub(crate) queues: Vec<QueueSpec>,
    /// The handlers, in the order of the file.
    pub(crate) functions: Vec<FunctionSpec>,
    /// What feeds what, in the order of the file.
    pub(crate) mappings: Vec<MappingSpec>,
    /// What functions may ask of the network that the config does not name.
    pub(crate) deployed: Outbound,
    /// What clients of the AWS listener must sign with; empty: nothing is asked of them.
    pub(crate) access_keys: Vec<AccessKey>,
    /// How Amazon SQS is reached.
    pub(crate) aws: Aws,
    /// Where spans go; `None`: there are none.
    pub(crate) traces: Option<Traces>,
    /// Where compiled modules are kept, losing it costs time only; `None`: each start compiles.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Where wasmill's own runtimes may lie, in order.
    pub(crate) runtimes_dirs: Vec<PathBuf>,
    /// Where what is changed at run time is kept; `None`: with the built-in queue's data, or in memory where that is, too.
    pub(crate) state_dir: Option<PathBuf>,
    /// The region in the built-in queue's ARNs, and in what handlers see.
    pub(crate) region: String,
    /// Twelve digits: the account in the built-in queue's ARNs and URLs.
    pub(crate) account_id: String,
    /// How long a drain waits for what runs; 0 stops at once.
    pub(crate) drain_grace: Duration,
    /// The engine's ceilings.
    pub(crate) sandbox: Sandbox,
    /// Whether what Lambda refuses is refused here, too.
    pub(crate) strict_lambda: bool,
    /// Only a queue: no function runs here, whoever asks.
    pub(crate) is_queue_only: bool,
    /// What works, but probably not as meant: `check` prints them, `run` logs them.
    pub(crate) warnings: Vec<Finding>,
}

impl Config {
    /// What a command without a config file starts from: a built-in queue, a listener for metrics, and nothing else.
    pub(crate) fn of_queue(local_queue: LocalQueue, admin_listen: SocketAddr) -> Self {
        Self {
            local_queue: Some(local_queue),
            control: None,
            admin: Admin { listen: admin_listen },
            queues: Vec::new(),
            functions: Vec::new(),
            mappings: Vec::new(),
            deployed: Outbound::default(),
            access_keys: Vec::new(),
            aws: Aws::default(),
            traces: None,
            cache_dir: None,
            runtimes_dirs: Vec::new(),
            state_dir: None,
            region: DEFAULT_REGION.to_owned(),
            account_id: DEFAULT_ACCOUNT_ID.to_owned(),
            drain_grace: DEFAULT_DRAIN_GRACE,
            sandbox: Sandbox::for_permits(0),
            strict_lambda: false,
            is_queue_only: false,
            warnings: Vec::new(),
        }
    }

    /// The file of what is changed at run time. None: it is kept in memory, as the queues are. A process that is only a queue
    /// (`queue serve`) has nothing to map, and leaves what another keeps there alone.
    pub(crate) fn state_file(&self) -> Option<PathBuf> {
        if self.is_queue_only {
            return None;
        }
        let data_dir = self.local_queue.as_ref().and_then(|local| local.data_dir.clone());
        self.state_dir.clone().or(data_dir).map(|folder| folder.join("state.json"))
    }

    /// The ARN of a queue of the built-in service.
    pub(crate) fn queue_arn(&self, queue_name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{queue_name}", self.region, self.account_id)
    }
}

/// What a config file says, and every mistake in it.
#[derive(Debug)]
pub(crate) struct Draft {
    /// With mistakes it has holes, and only its functions may be looked at; `None` when the file is not TOML.
    pub(crate) config: Option<Config>,
    /// In the order they were found.
    pub(crate) mistakes: Vec<Finding>,
}

impl Draft {
    /// The config, or all mistakes: those of the file and `further` ones, found in what it names.
    pub(crate) fn finish(self, further: Vec<Finding>) -> Result<Config, Mistakes> {
        let mistakes: Vec<Finding> = self.mistakes.into_iter().chain(further).collect();
        if mistakes.is_empty() {
            return Ok(self.config.expect("without a mistake there is a config"));
        }
        Err(Mistakes::new(mistakes))
    }
}

/// Reads and checks the file at `path`, or all of a folder's. `env` looks up environment variables, `names` are those that
/// are set: of them, those that begin with `WASMILL__` override the file. Relative paths start at the file's folder.
///
/// # Errors
/// The file cannot be read as text; mistakes in it are in the draft.
pub(crate) fn load(path: &Path, env: Env<'_>, names: &[String]) -> Result<Draft, Mistakes> {
    let texts = document::read(path, names)?;
    Ok(draft(&texts, folder_of(path), env).0)
}

/// [`load`] in this process's environment.
pub(crate) fn load_here(path: &Path) -> Result<Draft, Mistakes> {
    load(path, &crate::process_env, &crate::process_env_names())
}

/// What [`load_here`] has read, key by key, beside what it made of it.
pub(crate) fn settings_here(path: &Path) -> Result<(Draft, Vec<Setting>), Mistakes> {
    let texts = document::read(path, &crate::process_env_names())?;
    Ok(draft(&texts, folder_of(path), &crate::process_env))
}

/// What the environment alone says of traces, for a command without a config file.
///
/// # Errors
/// A variable of OpenTelemetry's is wrong.
pub(crate) fn traces_of(env: Env<'_>) -> Result<(Option<Traces>, Vec<Finding>), Mistakes> {
    let source = Source::new(&[], env, &TOP_LEVEL_KEYS);
    let nothing = toml::de::DeTable::new();
    let traces = traces::read_traces(&mut Section::root(&source, &nothing), Path::new("."));
    let (mistakes, warnings) = source.finish();
    if mistakes.is_empty() { Ok((traces, warnings)) } else { Err(Mistakes::new(mistakes)) }
}

/// Reads and checks a text that was made of the file at `path`: findings name that file, and no lines of it.
pub(crate) fn of_made(path: &Path, folder: &Path, text: &str, env: Env<'_>) -> Draft {
    draft(&[Text::made(path, text)], folder, env).0
}

#[cfg(test)]
fn parse(path: &Path, folder: &Path, text: &str, env: Env<'_>) -> Draft {
    draft(&[Text::file(path, text)], folder, env).0
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        _ if path.is_dir() => path,
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn draft(texts: &[Text], folder: &Path, env: Env<'_>) -> (Draft, Vec<Setting>) {
    let source = Source::new(texts, env, &TOP_LEVEL_KEYS);
    let config = source.parse().map(|document| read(&source, &document, folder, env));
    let settings = show::settings(&source);
    let (mistakes, warnings) = source.finish();
    (Draft { config: config.map(|config| Config { warnings, ..config }), mistakes }, settings)
}

/// With mistakes recorded, what is returned has holes.
fn read(source: &Source<'_>, document: &toml::de::DeTable<'_>, folder: &Path, env: Env<'_>) -> Config {
    let mut root = Section::root(source, document);
    let region = aws::read_region(&mut root).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    root.default_of("region", DEFAULT_REGION);
    let account_id = read_account_id(&mut root);
    let cache_dir = read_cache_dir(&mut root, folder, env);
    let runtimes_dir = paths::read(&mut root, "runtimes_dir", folder, Expected::FolderOrNothing);
    let runtimes_dirs = runtimes_dirs(runtimes_dir.as_deref(), env);
    let state_dir = paths::read(&mut root, "state_dir", folder, Expected::FolderOrNothing);
    let strict_lambda = root.boolean("strict_lambda", false).value;
    let grace_max = DRAIN_GRACE_SECONDS_MAX;
    let grace_default = u32::try_from(DEFAULT_DRAIN_GRACE.as_secs()).unwrap_or(grace_max);
    let drain_grace_seconds = root.integer("drain_grace_seconds", 0..=grace_max, " s", grace_default).value;

    let Listeners { local_queue, control, admin } = listener::read_listeners(&mut root, folder);
    if control.is_some() && state_dir.is_none() {
        let what = "has no folder to keep what Lambda's API makes: it is forgotten when the worker ends";
        source.warning(&root.place_of("control"), what, "add state_dir = \"data\" above every section");
    }
    let deployed = deployed::read_deployed(&mut root);
    let access_keys = auth::read_auth(&mut root);
    let aws = aws::read_aws(&mut root);
    let traces = traces::read_traces(&mut root, folder);
    let queues = queue::read_queues(&mut root);
    let functions = function::read_functions(&mut root, folder);
    let mappings = mapping::read_mappings(&mut root);
    let sandbox = sandbox::read_sandbox(&mut root, &functions);
    root.finish();

    let resolver = Resolver {
        source,
        region: &region,
        account_id: &account_id,
        strict_lambda,
        local_queue: local_queue.as_ref(),
        aws: &aws,
        queues: &queues,
        functions: &functions,
    };
    let (queues, functions, mappings) = (resolver.queues(), resolver.functions(), resolver.mappings(&mappings));
    Config {
        local_queue,
        control,
        admin,
        queues,
        functions,
        mappings,
        deployed,
        access_keys,
        aws,
        traces,
        cache_dir,
        runtimes_dirs,
        state_dir,
        region,
        account_id,
        drain_grace: Duration::from_secs(u64::from(drain_grace_seconds)),
        sandbox,
        strict_lambda,
        is_queue_only: false,
        warnings: Vec::new(),
    }
}

fn read_account_id(root: &mut Section<'_, '_>) -> String {
    let text = root.string("account_id");
    root.default_of("account_id", DEFAULT_ACCOUNT_ID);
    let Some(text) = text else { return DEFAULT_ACCOUNT_ID.to_owned() };
    if !address::is_account_id(&text.value) {
        let what = format!("{} is not an account number", text.shown());
        root.source().mistake(&text.place, what, "write twelve digits in quotes, such as \"000000000000\"");
    }
    text.value
}

fn read_cache_dir(root: &mut Section<'_, '_>, folder: &Path, env: Env<'_>) -> Option<PathBuf> {
    if let Some(written) = paths::read(root, "cache_dir", folder, Expected::FolderOrNothing) {
        return Some(written);
    }
    let default = default_cache_dir(env);
    if let Some(default) = &default {
        root.default_of("cache_dir", default.display().to_string());
    }
    if default.is_none() {
        let what = "is missing, and neither XDG_CACHE_HOME nor HOME names a folder to put a cache in";
        root.source().mistake(&root.place_of("cache_dir"), what, "write cache_dir = \"cache\", or set HOME");
    }
    default
}
