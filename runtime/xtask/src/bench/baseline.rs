//! What stands beside the start-up: a program that does nothing, and one that only opens a store. And the builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::probes;
use crate::layout::{self, Layout};
use crate::step;

/// From start to end, in ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    /// `fn main() {}`.
    pub(super) nothing_ms: f64,
    /// A program that makes and opens a new store as the queue does, and ends.
    pub(super) store_ms: f64,
}

/// The `wasmill` that was given, or else one built as it is released.
pub(super) fn wasmill(layout: &Layout, given: Option<&Path>) -> Result<PathBuf, String> {
    given.map_or_else(|| build_wasmill(layout), layout::absolute)
}

/// Builds wasmill as it is released, and gives its path.
pub(super) fn build_wasmill(layout: &Layout) -> Result<PathBuf, String> {
    step::step("building wasmill as it is released (the first time takes half an hour)");
    step::run(layout::cargo().args(["build", "--profile", "dist", "--locked", "--package", "wasmill"]))?;
    Ok(layout.target.join("dist/wasmill"))
}

/// Builds what answers and does nothing else, with the compiler's settings of what is released.
pub(super) fn http_alone(layout: &Layout) -> Result<PathBuf, String> {
    let example = ["build", "--profile", "dist", "--locked", "--package", "wasmill", "--example", "http_alone"];
    step::run(layout::cargo().arg("--quiet").args(example))?;
    Ok(layout.target.join("dist/examples/http_alone"))
}

/// Builds and times both programs.
pub(super) fn measure(layout: &Layout, folder: &Path, starts: usize) -> Result<Baseline, String> {
    let source = folder.join("nothing.rs");
    fs::write(&source, "fn main() {}\n").map_err(|error| format!("cannot write {}: {error}", source.display()))?;
    let nothing = folder.join("nothing");
    step::run(Command::new("rustc").args(["-O", "-o"]).arg(&nothing).arg(&source))?;
    let example = ["build", "--release", "--locked", "--package", "wasmill-queue", "--example", "open_store"];
    step::run(layout::cargo().arg("--quiet").args(example))?;
    let opener = layout.target.join("release/examples/open_store");

    let nothing_ms = probes::run_time(&nothing, |_| Vec::new(), starts)?;
    let store = |index: usize| folder.join(format!("store-{index}"));
    let store_ms = probes::run_time(&opener, |index| vec![store(index).display().to_string()], starts)?;
    for index in 0..starts {
        fs::remove_dir_all(store(index)).map_err(|error| format!("cannot remove a store: {error}"))?;
    }
    Ok(Baseline { nothing_ms, store_ms })
}
