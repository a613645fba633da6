//! Where things are: the binary, the handlers, the clients, and a folder that all tests may keep compiled modules in.
//!
//! `cargo xtask test` names all of them in the environment. Without it the binary and the folders are looked for where
//! cargo puts them, and the clients count as absent.

use std::env;
use std::path::PathBuf;

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    // Asked when the tests run: a target folder that is kept may hold a build of another clone.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().unwrap().to_owned()
}

/// The binary under test.
#[must_use]
pub fn binary() -> PathBuf {
    let binary = env::var_os("WASMILL_TEST_BIN").map_or_else(|| profile_folder().join("wasmill"), PathBuf::from);
    assert!(
        binary.is_file(),
        "no binary to test: {} is not there; build it with `cargo build --workspace --locked`, name it in \
         WASMILL_TEST_BIN, or run everything with `cargo xtask test`",
        binary.display()
    );
    binary
}

/// The chores' own binary.
#[must_use]
pub fn xtask() -> PathBuf {
    let xtask = profile_folder().join("xtask");
    assert!(xtask.is_file(), "{} is not there; `cargo build --workspace --locked` makes it", xtask.display());
    xtask
}

/// The folder with the compiled handlers.
#[must_use]
pub fn guests() -> PathBuf {
    let guests = env::var_os("WASMILL_TEST_GUESTS")
        .map_or_else(|| repository().join("handlers/prebuilt"), |guests| std::path::absolute(guests).unwrap());
    assert!(
        guests.join("faulty.wasm").is_file(),
        "no handlers to test with in {}; name their folder in WASMILL_TEST_GUESTS",
        guests.display()
    );
    guests
}

/// One of the compiled handlers: `faulty`, `command`, `command-p1`, `orders`.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    guests().join(format!("{name}.wasm"))
}

/// Whether this handler is among the compiled ones. The repository does not keep those in Go: on CI they are built.
#[must_use]
pub fn has_guest(name: &str) -> bool {
    let has_guest = guest(name).is_file();
    let mend = "build it with `cargo xtask guests --out DIR` and name that folder in WASMILL_TEST_GUESTS";
    assert!(has_guest || env::var_os("CI").is_none(), "{} is not there: {mend}", guest(name).display());
    has_guest
}

/// The folder with wasmill's own runtimes for Python and JavaScript; none where they are not built: on CI they are.
#[must_use]
pub fn runtimes() -> Option<PathBuf> {
    let runtimes =
        env::var_os("WASMILL_TEST_RUNTIMES").map_or_else(|| profile_folder().join("runtimes"), PathBuf::from);
    let is_there = ["python.wasm", "js.wasm"].iter().all(|name| runtimes.join(name).is_file());
    assert!(
        is_there || env::var_os("CI").is_none(),
        "wasmill's runtimes are not in {}: build them with `cargo xtask runtimes`",
        runtimes.display()
    );
    is_there.then_some(runtimes)
}

/// Shared by all children, so that a handler is compiled once and not by each.
#[must_use]
pub fn module_cache() -> PathBuf {
    let cache = profile_folder().join("wasmill-tests-cache");
    std::fs::create_dir_all(&cache).unwrap();
    cache
}

/// Whether the long forms were asked for (`cargo xtask test --long`).
#[must_use]
pub fn is_long() -> bool {
    env::var_os("WASMILL_TEST_LONG").is_some()
}

/// `TARGET/debug`, for a test program in `TARGET/debug/deps`.
#[must_use]
pub fn profile_folder() -> PathBuf {
    let own = env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().to_owned()
}
