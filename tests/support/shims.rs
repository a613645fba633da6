//! Small libraries in C that come between a program and the C library (`LD_PRELOAD`): `shims/NAME.c`, compiled when they are
//! first wanted.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::command::run;
use crate::{Home, places};

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// Says that a test is left out, and why.
pub fn left_out(test: &str, why: &str) {
    // Not through the macros, whose output a passing test hides.
    let _ = writeln!(std::io::stderr(), "left out: {test}, {why}");
}

/// The compiled shim of that name. None, with a line on stderr, on a machine that cannot compile C. CI must.
///
/// # Panics
/// Without a compiler where `CI=true`.
pub fn shim(name: &'static str, test: &str) -> Option<PathBuf> {
    static COMPILED: Mutex<BTreeMap<&str, Option<PathBuf>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let shim = compiled.entry(name).or_insert_with(|| compile(name)).clone();
    if shim.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "no C compiler for {test}");
        left_out(test, "for want of a C compiler: install cc");
    }
    shim
}

/// Builds a shim beside the binary under test.
fn compile(name: &str) -> Option<PathBuf> {
    let source = places::repository().join(format!("tests/support/shims/{name}.c"));
    let shim = places::module_cache().join(format!("{name}_shim.so"));
    let fresh = places::module_cache().join(format!("{name}_shim.{}.so", std::process::id()));
    Command::new("cc").arg("--version").stdin(Stdio::null()).output().ok()?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&fresh).arg(&source).arg("-ldl");
    run(&mut cc, "").assert_succeeds();
    std::fs::rename(&fresh, &shim).unwrap();
    Some(shim)
}

/// A wall clock that is set at will, for the programs that are started with it.
#[derive(Clone, Debug)]
pub struct WallClock {
    shim: PathBuf,
    /// Eight bytes: how far it is from the machine's, in nanoseconds.
    offset: PathBuf,
}

impl WallClock {
    /// One that shows the machine's time. None as with [`shim`].
    #[must_use]
    pub fn new(home: &Home, test: &str) -> Option<Self> {
        let shim = shim("clock", test)?;
        Some(Self { shim, offset: home.write("clock-offset", 0_i64.to_ne_bytes()) })
    }

    /// Gives it to a program that is to be started.
    pub fn lend(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("CLOCK_SHIM", &self.offset);
    }

    /// From now on it is so many seconds ahead of the machine's, or behind.
    pub fn set(&self, seconds: i64) {
        // In one piece, and in place: programs have the file mapped.
        let file = std::fs::OpenOptions::new().write(true).open(&self.offset).unwrap();
        file.write_all_at(&(seconds * NANOSECONDS_PER_SECOND).to_ne_bytes(), 0).unwrap();
    }
}
