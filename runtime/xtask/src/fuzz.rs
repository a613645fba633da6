//! `cargo xtask test --long`: a minute of each fuzz target of `tests/fuzz`, from the seeds that are kept beside them.
//!
//! The sanitizers are for nightly compilers, and the stable one has them, too: it is told to look away. A finding is kept
//! below the target folder, and its path is in the error; what it shows becomes a test.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::layout::{self, Layout};
use crate::step;

const CARGO_FUZZ_VERSION: &str = "0.13.2";
const TARGETS: [&str; 3] = ["query_request", "json_request", "queue_checks"];
const SECONDS_PER_TARGET: u32 = 60;
/// Requests are at most about a MiB: whoever takes more than these for one takes it from its length alone.
const RSS_MIB_MAX: u32 = 512;
const ALLOCATION_MIB_MAX: u32 = 64;
/// Longer inputs find little more, and take their time.
const INPUT_BYTES_MAX: u32 = 16_384;

/// Runs every target. The error is the first finding.
pub(crate) fn run(layout: &Layout) -> Result<(), String> {
    let tools = layout.target.join("tools");
    let fuzz = tools.join("bin/cargo-fuzz");
    let is_current = |text: String| text.trim() == format!("cargo-fuzz {CARGO_FUZZ_VERSION}");
    if !step::read(Command::new(&fuzz).arg("--version")).is_ok_and(is_current) {
        step::step(&format!("building cargo-fuzz {CARGO_FUZZ_VERSION} into the target folder"));
        let mut install = layout::cargo();
        install.args(["install", "cargo-fuzz", "--version", CARGO_FUZZ_VERSION, "--locked", "--force", "--quiet"]);
        step::run(install.arg("--root").arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")))?;
    }
    let folder = layout.root.join("tests/fuzz");
    // The same dependencies as everything else has; cargo adds the fuzzer's own.
    let lock = folder.join("Cargo.lock");
    fs::copy(layout.root.join("Cargo.lock"), &lock)
        .map_err(|error| format!("cannot write {}: {error}", lock.display()))?;
    for target in TARGETS {
        step::step(&format!("fuzzing {target} for {SECONDS_PER_TARGET} s"));
        let corpus = make(&layout.target.join("fuzz/corpus").join(target))?;
        let findings = make(&layout.target.join("fuzz/findings").join(target))?;
        let mut command = Command::new(&fuzz);
        command.args(["run", "--fuzz-dir"]).arg(&folder).arg("--target-dir").arg(layout.target.join("fuzz/build"));
        command.arg(target).arg(corpus).arg(folder.join("seeds").join(target)).arg("--");
        command.arg(format!("-max_total_time={SECONDS_PER_TARGET}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command.arg(format!("-rss_limit_mb={RSS_MIB_MAX}")).arg(format!("-malloc_limit_mb={ALLOCATION_MIB_MAX}"));
        command.arg(format!("-artifact_prefix={findings}/")).arg("-print_final_stats=1").arg("-verbosity=0");
        command.current_dir(&layout.root).env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_TARGET_DIR");
        step::run(&mut command).map_err(|error| format!("fuzzing {target} found something, see above: {error}"))?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<String, String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder.display().to_string())
}
