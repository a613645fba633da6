//! `[[function]]`: a handler, its limits and what it may see.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmill_sandbox::{Outbound, Reuse};

use super::address::is_word;
use super::code::{self, Runtime};
use super::finding::Origin;
use super::reader::Section;
use super::source::Located;
use super::world::{Environment, read_environment, read_ephemeral_storage, read_outbound, read_reuse};

/// A function's permits without `reserved_concurrent_executions`.
pub(crate) const DEFAULT_PERMITS: u32 = 32;
/// A function's timeout unless told otherwise, in seconds (Lambda's own default).
pub(crate) const DEFAULT_TIMEOUT_SECONDS: u32 = 3;
/// A function's memory unless told otherwise, in MiB (Lambda's own default).
pub(crate) const DEFAULT_MEMORY_MIB: u32 = 128;
/// The largest response unless told otherwise: Lambda's 6 MiB.
pub(crate) const DEFAULT_RESPONSE_BYTES_MAX: u32 = 6 * 1024 * 1024;
/// How much one invocation may log unless told otherwise.
pub(crate) const DEFAULT_LOG_BYTES_MAX: u32 = 1024 * 1024;

/// Neither a response nor the log of one invocation may be allowed more.
const OUTPUT_BYTES_CEILING: u32 = 64 * 1024 * 1024;
/// The most memory a function may have.
pub(crate) const MEMORY_MIB_MAX: u32 = 4096;
const FUNCTION_NAME_CHARS_MAX: usize = 64;
/// One function, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionSpec {
    /// 1–64 of `[A-Za-z0-9_-]`.
    pub(crate) name: String,
    /// What runs it.
    pub(crate) runtime: Runtime,
    /// The module, or the user's file or folder: it existed when the config was read.
    pub(crate) code: PathBuf,
    /// For an interpreter: which function of which file, as Lambda's `Handler`. Empty for a module.
    pub(crate) handler: String,
    /// Where the config names it: what is wrong with the handler is reported there.
    pub(crate) code_origin: Origin,
    /// 1–900 s.
    pub(crate) timeout: Duration,
    /// 1–4096.
    pub(crate) memory_size_mib: u32,
    /// 1–1000: how many invocations may run at once.
    pub(crate) reserved_concurrent_executions: u32,
    /// What the handler sees, and nothing else of the process's own environment.
    pub(crate) environment: Environment,
    /// What it may ask of the network.
    pub(crate) outbound: Outbound,
    /// How much it may keep in `/tmp`; none: it has no such folder.
    pub(crate) ephemeral_storage_mib: Option<u32>,
    /// Whether instances are kept warm, and on which terms.
    pub(crate) reuse: Option<Reuse>,
    /// The longest response; more is a function error.
    pub(crate) max_response_bytes: usize,
    /// How much one invocation may log; the rest is dropped and counted.
    pub(crate) max_log_bytes: usize,
}

impl FunctionSpec {
    /// A function with Lambda's defaults, and our own where Lambda has none.
    pub(crate) fn new(name: &str, code: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            runtime: Runtime::Wasm,
            code,
            handler: String::new(),
            code_origin: Origin::built_in(),
            timeout: Duration::from_secs(u64::from(DEFAULT_TIMEOUT_SECONDS)),
            memory_size_mib: DEFAULT_MEMORY_MIB,
            reserved_concurrent_executions: DEFAULT_PERMITS,
            environment: Environment::default(),
            outbound: Outbound::default(),
            ephemeral_storage_mib: None,
            reuse: None,
            max_response_bytes: DEFAULT_RESPONSE_BYTES_MAX as usize,
            max_log_bytes: DEFAULT_LOG_BYTES_MAX as usize,
        }
    }
}

/// One `[[function]]` as read.
#[derive(Debug)]
pub(super) struct FunctionDraft {
    /// `None` if it is missing; an ill-formed name stays, so that what refers to it is not a second mistake.
    pub(super) name: Option<Located<String>>,
    /// Complete; defaults stand where something was mistaken.
    pub(super) spec: FunctionSpec,
    /// The code is a file, so that the handler in it can be judged whatever else is mistaken.
    pub(super) has_code: bool,
    /// For the check against the queue's visibility timeout.
    pub(super) timeout_seconds: Located<u32>,
}

/// Reads every `[[function]]`. `folder` is the config file's.
pub(super) fn read_functions(root: &mut Section<'_, '_>, folder: &Path) -> Vec<FunctionDraft> {
    root.array_of_tables("function").into_iter().map(|section| read_function(section, folder)).collect()
}

fn read_function(mut section: Section<'_, '_>, folder: &Path) -> FunctionDraft {
    let source = section.source();
    let name = section.required_string("name", "write name = \"orders\" or what the function is to be called");
    if let Some(name) = &name
        && !(is_word(&name.value) && name.value.len() <= FUNCTION_NAME_CHARS_MAX)
    {
        let what = format!("{} is not a function name: 1–64 letters, digits, hyphens or underscores", name.shown());
        source.mistake(&name.place, what, "choose a name such as orders");
    }
    let code = code::read(&mut section, folder);
    let timeout_seconds = section.integer("timeout", 1..=900, " s", DEFAULT_TIMEOUT_SECONDS);
    let memory_size_mib = section.optional_integer("memory_size", 1..=MEMORY_MIB_MAX, " MiB");
    section.default_of("memory_size", DEFAULT_MEMORY_MIB);
    // In place of a mistaken size the largest, so that the handler is not blamed for needing more than the default.
    let memory_unread = if section.has("memory_size") { MEMORY_MIB_MAX } else { DEFAULT_MEMORY_MIB };
    let permits = section.integer("reserved_concurrent_executions", 1..=1000, "", DEFAULT_PERMITS).value;
    let environment = read_environment(&mut section, folder);
    let outbound = read_outbound(&mut section);
    let ephemeral_storage_mib = read_ephemeral_storage(&mut section);
    // As on Lambda, where a process of theirs serves many events. To start one takes them milliseconds.
    let reuse = read_reuse(&mut section, code.runtime != Runtime::Wasm);
    let outputs = 1..=OUTPUT_BYTES_CEILING;
    let max_response_bytes =
        section.integer("max_response_bytes", outputs.clone(), " bytes", DEFAULT_RESPONSE_BYTES_MAX).value;
    let max_log_bytes = section.integer("max_log_bytes", outputs, " bytes", DEFAULT_LOG_BYTES_MAX).value;
    section.finish();

    let spec = FunctionSpec {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        runtime: code.runtime,
        code: code.path,
        handler: code.handler,
        code_origin: source.origin(&code.place),
        timeout: Duration::from_secs(u64::from(timeout_seconds.value)),
        memory_size_mib: memory_size_mib.map_or(memory_unread, |size| size.value),
        reserved_concurrent_executions: permits,
        environment,
        outbound,
        ephemeral_storage_mib,
        reuse,
        max_response_bytes: max_response_bytes as usize,
        max_log_bytes: max_log_bytes as usize,
    };
    FunctionDraft { name, spec, has_code: code.is_good, timeout_seconds }
}
