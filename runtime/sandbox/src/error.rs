//! What can go wrong: at load, with the mend; and in a call, as an `event::Fault`.
//!
//! Everything here ends up as one line for people. Host stack frames never do.

use std::fmt::Write as _;
use std::io;

use wasmill_event::{Fault, FaultKind};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::MIB;

/// Longest fault message, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Guest functions named in a fault message.
const FRAMES_MAX: usize = 4;

/// Guest functions named in a backtrace, and how long it may be in bytes.
const BACKTRACE_FRAMES_MAX: usize = 16;
const BACKTRACE_BYTES_MAX: usize = 2 << 10;

/// Why the sandbox itself cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A ceiling outside of what can be had.
    #[error("{setting} is {value}: it must be between {least} and {most}")]
    Setting {
        /// The field of `EngineConfig`.
        setting: &'static str,
        /// What it was set to.
        value: u64,
        /// Smallest value allowed.
        least: u64,
        /// Largest value allowed.
        most: u64,
    },
    /// wasmtime cannot work here.
    #[error("the WebAssembly engine cannot be set up: {reason}")]
    Engine {
        /// One line.
        reason: String,
    },
    /// The operating system gives no threads.
    #[error("the sandbox's threads cannot be started: {0}")]
    Threads(#[from] io::Error),
}

/// Why a function cannot be loaded. Each message is one line that begins with the code's path or name.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file.
    #[error("{code}: there is no such file; check the function's `code`")]
    NotFound {
        /// Path of the code.
        code: String,
    },
    /// The file is there but cannot be read.
    #[error("{code}: cannot be read: {source}")]
    Unreadable {
        /// Path of the code.
        code: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder was named.
    #[error("{code}: is a folder; name the .wasm file in it")]
    Directory {
        /// Path of the code.
        code: String,
    },
    /// Zero bytes.
    #[error("{code}: is empty (0 bytes); build the handler again")]
    Empty {
        /// Path or name of the code.
        code: String,
    },
    /// More bytes than a module may have.
    #[error("{code}: is longer than {bytes_max} bytes; strip debug information from the module")]
    TooLong {
        /// Path or name of the code.
        code: String,
        /// The limit.
        bytes_max: u64,
    },
    /// WebAssembly in its text form.
    #[error("{code}: is WebAssembly text, not binary; assemble it first: `wasm-tools parse IN.wat -o OUT.wasm`")]
    WasmText {
        /// Path or name of the code.
        code: String,
    },
    /// Something else altogether.
    #[error("{code}: is not WebAssembly but {looks_like}; {mend}")]
    NotWasm {
        /// Path or name of the code.
        code: String,
        /// What it seems to be.
        looks_like: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// WebAssembly that does not validate, or needs a feature or size the engine does not have.
    #[error("{code}: cannot be compiled: {reason}")]
    Invalid {
        /// Path or name of the code.
        code: String,
        /// One line.
        reason: String,
    },
    /// A way in that this version does not call yet.
    #[error("{code}: {what} is not yet supported by this version; {mend}")]
    NotYet {
        /// Path or name of the code.
        code: String,
        /// Which way in.
        what: &'static str,
        /// What to do instead.
        mend: &'static str,
    },
    /// None of the ways in is there.
    #[error("{code}: is no handler: {found}; expected {expected}")]
    NoHandler {
        /// Path or name of the code.
        code: String,
        /// What the module has.
        found: String,
        /// What it should have, and how to get there.
        expected: &'static str,
    },
    /// The module asks for something handlers are not given.
    #[error("{code}: imports {import}, which handlers are not given: {hint}")]
    Import {
        /// Path or name of the code.
        code: String,
        /// The import's full name.
        import: String,
        /// Why, and what to do.
        hint: String,
    },
    /// The module's memory begins larger than the function may have.
    #[error(
        "{code}: begins with {needed_mib} MiB of memory and the function may have {memory_mib}; raise its memory_size"
    )]
    MemoryTooSmall {
        /// Path or name of the code.
        code: String,
        /// What the module needs to begin, rounded up.
        needed_mib: u64,
        /// The function's cap.
        memory_mib: u32,
    },
    /// Folders for a module that reaches them past every bound: preview 1 does not go through the component's linker.
    #[error(
        "{code}: is a preview-1 core module, which cannot be given folders or ephemeral_storage; make it a component (wasm32-wasip2)"
    )]
    NoFolders {
        /// Path or name of the code.
        code: String,
    },
    /// No place for handlers' files.
    #[error(
        "{code}: its ephemeral_storage has no place on this machine: {source}; set TMPDIR to a folder that can be written to"
    )]
    NoScratch {
        /// Path or name of the code.
        code: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A value of the function's own configuration.
    #[error("{code}: {setting} is {value}: it must be between {least} and {most}")]
    Setting {
        /// Path or name of the code.
        code: String,
        /// The field.
        setting: &'static str,
        /// What it was set to.
        value: u64,
        /// Smallest value allowed.
        least: u64,
        /// Largest value allowed.
        most: u64,
    },
}

/// What is known about a call beside its error.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// The function's cap, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// What the guest wanted to have in all when growth was refused, if it was.
    pub(crate) refused_bytes: Option<u64>,
    /// The guest's last line on stderr.
    pub(crate) last_words: Option<String>,
}

/// The fault for an error that ended a call.
pub(crate) fn fault_of(error: &wasmtime::Error, circumstances: &Circumstances) -> Fault {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // Commands end like this by rights and do not come here.
        return exited(&format!("exited with status {} before it answered", exit.0), circumstances);
    }
    if error.is::<PoolConcurrencyLimitError>() || error.is::<io::Error>() {
        return Fault::new(FaultKind::Host, one_line(&format!("no sandbox to be had: {error:#}"), MESSAGE_BYTES_MAX));
    }
    let reason = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        // An error of a host function, which ends the guest as a trap does. Its root names what happened; the
        // contexts around it are the backtrace.
        None => error.root_cause().to_string(),
    };
    let mut message = String::new();
    let kind = match circumstances.refused_bytes {
        Some(wanted) => {
            let cap_mib = circumstances.memory_bytes_max / MIB;
            // Rounded up, so that what was wanted always reads as more than the cap.
            let wanted_mib = wanted.div_ceil(MIB);
            let _ = write!(message, "wanted {wanted_mib} MiB of memory and may have {cap_mib} MiB, then: {reason}");
            FaultKind::OutOfMemory
        }
        None => {
            message.push_str(&reason);
            FaultKind::Trap
        }
    };
    if let Some(last_words) = &circumstances.last_words {
        let _ = write!(message, "; stderr: {last_words}");
    }
    if let Some(frames) = error.downcast_ref::<WasmBacktrace>().and_then(|trace| frames(trace, FRAMES_MAX)) {
        let _ = write!(message, "; in {}", frames.join(" < "));
    }
    Fault::new(kind, one_line(&message, MESSAGE_BYTES_MAX))
}

/// The guest's functions when an error ended it, a line each; empty where there are none.
pub(crate) fn backtrace_of(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<WasmBacktrace>().and_then(|trace| frames(trace, BACKTRACE_FRAMES_MAX));
    let mut text = String::new();
    for frame in frames.unwrap_or_default() {
        let line = one_line(&frame, BACKTRACE_BYTES_MAX / 2);
        if text.len() + line.len() + 1 > BACKTRACE_BYTES_MAX {
            break;
        }
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{separator}{line}");
    }
    text
}

/// The fault for a command that ended with a status other than 0.
pub(crate) fn command_failed(status: i32, circumstances: &Circumstances) -> Fault {
    exited(&format!("exited with status {status}"), circumstances)
}

fn exited(how: &str, circumstances: &Circumstances) -> Fault {
    let mut message = how.to_owned();
    if circumstances.refused_bytes.is_some() {
        let cap_mib = circumstances.memory_bytes_max / MIB;
        let _ = write!(message, " after memory beyond {cap_mib} MiB was refused");
    }
    if let Some(last_words) = &circumstances.last_words {
        let _ = write!(message, ": {last_words}");
    }
    Fault::new(FaultKind::Handler, one_line(&message, MESSAGE_BYTES_MAX))
}

/// The fault for a handler's own error: its text as it is, but one line and bounded.
pub(crate) fn handler_error(text: &str) -> Fault {
    let text = if text.trim().is_empty() { "the handler gave an error without text" } else { text };
    Fault::new(FaultKind::Handler, one_line(text, MESSAGE_BYTES_MAX))
}

/// The guest's innermost functions, innermost first, without a language runtime's own panic machinery; none when
/// the module has no names.
fn frames(backtrace: &WasmBacktrace, most: usize) -> Option<Vec<String>> {
    if backtrace.frames().iter().filter_map(|frame| frame.func_name()).any(is_costly) {
        let names = backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(most);
        return Some(names.map(str::to_owned).collect());
    }
    // wasmtime demangles names only where it prints them: one line `  0:  0x1f - module!function` per frame, after a
    // heading.
    let printed = backtrace.to_string();
    let names = printed.lines().skip(1).filter_map(|line| line.split_once('!')).map(|(_, name)| tidy_name(name));
    let own: Vec<String> = names.filter(|name| !is_machinery(name)).take(most).collect();
    if own.is_empty() { None } else { Some(own) }
}

/// C++ names may stand for something exponentially longer: each reference to a part of the name, which an underscore ends, may
/// double it. Such names are shown as they are.
fn is_costly(name: &str) -> bool {
    const REFERENCES_MAX: usize = 12;
    const NAME_BYTES_MAX: usize = 1 << 10;
    let is_mangled = name.trim_start_matches('_').starts_with('Z');
    let references = name.bytes().filter(|byte| *byte == b'_').count();
    name.len() > NAME_BYTES_MAX || (is_mangled && references > REFERENCES_MAX && !is_of_rust(name))
}

/// Whether it is a name as Rust mangles them: parts, each with its length in front, and nothing that refers to another.
fn is_of_rust(name: &str) -> bool {
    let Some(mut rest) = name.trim_start_matches('_').strip_prefix("ZN") else { return false };
    while rest != "E" {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let end = rest[..digits].parse::<usize>().ok().and_then(|length| digits.checked_add(length));
        match end.and_then(|end| rest.get(end..)) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    true
}

/// A demangled name without the hash that legacy Rust symbols end with.
fn tidy_name(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => path.to_owned(),
        _ => name.to_owned(),
    }
}

/// Functions between a guest's mistake and its trap that say nothing about the mistake, and functions without a name.
fn is_machinery(name: &str) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "std::",
        "core::",
        "alloc::",
        "__rustc",
        "rust_",
        "__rust",
        "panic_abort",
        "abort",
        "__wasilibc",
        // Exports, after which wasmtime names functions that have no name of their own.
        "wasi:",
        "_start",
        "wasm function",
    ];
    // Methods of trait implementations and functions without a name begin with `<`. Symbols of Rust's newer mangling
    // carry a crate hash: `std[0123456789abcdef]::panicking::…`.
    let name = name.trim_start_matches('<');
    let crate_name = name.split_once('[').map_or(name, |(crate_name, _)| crate_name);
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || matches!(crate_name, "std" | "core" | "alloc" | "__rustc" | "panic_abort")
}

/// Text as one line of at most `bytes_max` bytes: line breaks become blanks; what is cut off is said.
pub(crate) fn one_line(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for part in text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
        if line.len() > bytes_max {
            break;
        }
    }
    if line.len() > bytes_max {
        let note = format!(" … (cut, {} bytes in all)", text.len());
        let mut end = bytes_max.saturating_sub(note.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str(&note);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(refused_bytes: Option<u64>, last_words: Option<&str>) -> Circumstances {
        Circumstances { memory_bytes_max: 128 * MIB, refused_bytes, last_words: last_words.map(str::to_owned) }
    }

    #[test]
    fn a_trap_after_a_refusal_is_out_of_memory_and_without_one_a_trap() {
        let trap = wasmtime::Error::from(Trap::UnreachableCodeReached);
        let fault = fault_of(&trap, &circumstances(None, Some("boom")));
        assert_eq!(fault.kind, FaultKind::Trap);
        assert_eq!(fault.message, "wasm trap: wasm `unreachable` instruction executed; stderr: boom");
        let fault = fault_of(&trap, &circumstances(Some(128 * MIB + 1), None));
        assert_eq!(fault.kind, FaultKind::OutOfMemory);
        assert!(fault.message.starts_with("wanted 129 MiB of memory and may have 128 MiB"), "{}", fault.message);
    }

    #[test]
    fn an_exit_is_the_handlers_own_fault_also_after_a_refusal() {
        let fault = command_failed(3, &circumstances(Some(129 * MIB), Some("no table")));
        assert_eq!(fault.kind, FaultKind::Handler);
        assert_eq!(fault.message, "exited with status 3 after memory beyond 128 MiB was refused: no table");
        let fault = fault_of(&I32Exit(0).into(), &circumstances(None, None));
        assert_eq!(fault.kind, FaultKind::Handler);
        assert_eq!(fault.message, "exited with status 0 before it answered");
    }

    #[test]
    fn a_host_error_shows_its_root_and_no_frames_of_the_host() {
        let error = wasmtime::Error::msg("table is full").context("error while executing at wasm backtrace:\n 0: x");
        let fault = fault_of(&error, &circumstances(None, None));
        assert_eq!(fault.message, "table is full");
    }

    #[test]
    fn handler_text_is_kept_bounded_and_on_one_line() {
        let json = r#"{"errorType":"ValueError","errorMessage":"no such order"}"#;
        assert_eq!(handler_error(json).message, json);
        assert_eq!(handler_error("{\n  \"a\": 1\n}\r\n").message, "{ \"a\": 1 }");
        assert_eq!(handler_error(" \n").message, "the handler gave an error without text");
        let long = handler_error(&"é".repeat(5000)).message;
        assert!(long.len() <= MESSAGE_BYTES_MAX && long.ends_with("(cut, 10000 bytes in all)"), "{long}");
    }

    #[test]
    fn names_that_stand_for_exponentially_more_are_not_spelled_out() {
        let doubling: String = (0..20).map(|_| "S0_IS1_S1_E").collect();
        assert!(is_costly(&format!("_Z1fI1AIiiE{doubling}EvT_")));
        assert!(is_costly(&format!("_ZN1fE{doubling}17h0123456789abcdefE")));
        assert!(is_costly(&"x".repeat(2000)));
        let part = "drop_in_place$LT$a_b_c_d_e_f_g_h_i_j_k_l_m_n_o_p$GT$";
        assert!(!is_costly(&format!("_ZN4core3ptr{}{part}17h0123456789abcdefE", part.len())));
        assert!(!is_costly("_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6appendEPKc"));
        assert!(!is_costly("a_very_long_name_of_a_function_in_the_c_language_with_many_underscores_in_it"));
    }

    #[test]
    fn machinery_is_told_from_a_handlers_own_functions() {
        assert_eq!(tidy_name("orders::handle::h0123456789abcdef"), "orders::handle");
        assert_eq!(tidy_name("main.handler"), "main.handler");
        for name in
            ["std::panicking::begin_panic_handler", "std[0123456789abcdef]::rt::x", "<wasm function 12>", "abort"]
        {
            assert!(is_machinery(name), "{name}");
        }
        for name in ["orders::handle", "orders[0123456789abcdef]::handle", "<orders::Order as core::fmt::Debug>::fmt"] {
            assert!(!is_machinery(name), "{name}");
        }
    }
}
