//! `[[function]]`: a handler, its limits and what it may see.
//!
//! Absent, and refused by name until it works: the python and js runtimes, outgoing HTTP, warm instances.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::is_word;
use super::expand::is_variable_name;
use super::finding::Origin;
use super::paths::{self, Expected};
use super::reader::Section;
use super::source::{Located, Source};

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
/// Names and values of one function's environment together. Lambda stops at 4 KiB; certificates should fit here.
const ENVIRONMENT_BYTES_MAX: usize = 64 * 1024;
/// The most memory a function may have.
const MEMORY_MIB_MAX: u32 = 4096;
const FUNCTION_NAME_CHARS_MAX: usize = 64;
/// What wasmill sets itself for a handler that reads its context from variables.
const OWN_VARIABLES: [&str; 2] = ["AWS_REGION", "_X_AMZN_TRACE_ID"];
const OWN_PREFIXES: [&str; 2] = ["AWS_LAMBDA_", "WASMILL_"];

/// One function, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionSpec {
    /// 1–64 of `[A-Za-z0-9_-]`.
    pub(crate) name: String,
    /// The module: a file that existed when the config was read.
    pub(crate) code: PathBuf,
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
            code,
            code_origin: Origin::built_in(),
            timeout: Duration::from_secs(u64::from(DEFAULT_TIMEOUT_SECONDS)),
            memory_size_mib: DEFAULT_MEMORY_MIB,
            reserved_concurrent_executions: DEFAULT_PERMITS,
            environment: Environment::default(),
            max_response_bytes: DEFAULT_RESPONSE_BYTES_MAX as usize,
            max_log_bytes: DEFAULT_LOG_BYTES_MAX as usize,
        }
    }
}

/// A handler's variables. `Debug` shows their names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Checks the name of a variable for a handler. The error is a clause that fits after the name.
pub(crate) fn check_variable_name(name: &str) -> Result<(), &'static str> {
    if !is_variable_name(name) {
        return Err("is not a variable name: letters, digits and _, not beginning with a digit");
    }
    if OWN_VARIABLES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("is set by wasmill itself");
    }
    Ok(())
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
    if let Some(runtime) = section.string("runtime") {
        check_runtime(&runtime, source);
    }
    let code_text = section.required_string("code", "write code = \"orders.wasm\", the compiled handler");
    let code_place = code_text.as_ref().map_or_else(|| section.place_of("code"), |text| text.place.clone());
    let code = code_text.map(|text| paths::resolve(&text, source, folder, Expected::File));
    let timeout_seconds = section.integer("timeout", 1..=900, " s", DEFAULT_TIMEOUT_SECONDS);
    let memory_size_mib = section.optional_integer("memory_size", 1..=MEMORY_MIB_MAX, " MiB");
    // In place of a mistaken size the largest, so that the handler is not blamed for needing more than the default.
    let memory_unread = if section.has("memory_size") { MEMORY_MIB_MAX } else { DEFAULT_MEMORY_MIB };
    let permits = section.integer("reserved_concurrent_executions", 1..=1000, "", DEFAULT_PERMITS).value;
    let environment = read_environment(&mut section);
    let outputs = 1..=OUTPUT_BYTES_CEILING;
    let max_response_bytes =
        section.integer("max_response_bytes", outputs.clone(), " bytes", DEFAULT_RESPONSE_BYTES_MAX).value;
    let max_log_bytes = section.integer("max_log_bytes", outputs, " bytes", DEFAULT_LOG_BYTES_MAX).value;
    section.not_yet("handler", "python or js runtime, and a wasm module needs no handler name");
    section.not_yet("allowed_hosts", "outgoing HTTP for handlers");
    section.not_yet("reuse", "warm instances; every invocation gets a fresh one");
    section.finish();

    let (code, has_code) = code.map(|code| (code.path, code.is_good)).unwrap_or_default();
    let spec = FunctionSpec {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        code,
        code_origin: source.origin(&code_place),
        timeout: Duration::from_secs(u64::from(timeout_seconds.value)),
        memory_size_mib: memory_size_mib.map_or(memory_unread, |size| size.value),
        reserved_concurrent_executions: permits,
        environment,
        max_response_bytes: max_response_bytes as usize,
        max_log_bytes: max_log_bytes as usize,
    };
    FunctionDraft { name, spec, has_code, timeout_seconds }
}

fn check_runtime(runtime: &Located<String>, source: &Source<'_>) {
    match runtime.value.as_str() {
        "wasm" => {}
        "python" | "js" => source.mistake(
            &runtime.place,
            format!("not yet: this version has no {} runtime", runtime.value),
            "compile the handler to WebAssembly and write runtime = \"wasm\"",
        ),
        _ => source.mistake(
            &runtime.place,
            format!("{} is not a runtime", runtime.shown()),
            "write \"wasm\", or leave the key out",
        ),
    }
}

fn read_environment(section: &mut Section<'_, '_>) -> Environment {
    let source = section.source();
    let written = section.string_map("environment");
    let bytes: usize = written.iter().map(|(name, value)| name.len() + value.value.len()).sum();
    if let Some((_, first)) = written.first()
        && bytes > ENVIRONMENT_BYTES_MAX
    {
        let what = format!("the environment has {bytes} bytes, more than {ENVIRONMENT_BYTES_MAX}");
        source.mistake(&first.place, what, "put large data into the module or into the messages");
    }
    for (name, value) in &written {
        if let Err(what) = check_variable_name(name) {
            source.mistake(&value.place, format!("{name:?} {what}"), "choose another name");
        }
        if value.value.contains('\0') {
            // The value itself is not shown: it may be a secret.
            source.mistake(&value.place, "the value contains a NUL character", "take it out; no variable can hold it");
        }
    }
    Environment(written.into_iter().map(|(name, value)| (name, value.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_wasmill_sets_are_refused() {
        for good in ["TABLE", "_", "AWS_ACCESS_KEY_ID", "lower_1"] {
            assert_eq!(check_variable_name(good), Ok(()), "{good}");
        }
        for own in ["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "_X_AMZN_TRACE_ID", "WASMILL_REQUEST_ID"] {
            assert_eq!(check_variable_name(own), Err("is set by wasmill itself"), "{own}");
        }
        for bad in ["", "1A", "A-B", "A B", "Ä"] {
            assert!(check_variable_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_values() {
        let environment = Environment([("TOKEN".to_owned(), "hunter2".to_owned())].into());
        let shown = format!("{environment:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    }
}
