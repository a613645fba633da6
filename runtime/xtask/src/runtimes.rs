//! `cargo xtask runtimes`: builds the interpreters that run handlers which are no WebAssembly, one component per language.
//!
//! Their sources are in `runtime/guests/`, a folder per language. A runtime whose inputs are those of the last time is
//! left as it is, so that the verb can stand before every run of the tests.

mod js;
mod python;
mod wit;

use std::fs;
use std::path::{Path, PathBuf};

use crate::layout::{self, Layout};
use crate::step;

/// The command line of the verb.
#[derive(Default)]
pub(crate) struct Options {
    out: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [] => Ok(Self { out: None }),
            [flag, dir] if flag == "--out" => Ok(Self { out: Some(PathBuf::from(dir)) }),
            [flag] if flag == "--out" => Err("--out needs a folder".to_owned()),
            [unknown, ..] if unknown != "--out" => Err(format!("runtimes does not know {unknown}")),
            _ => Err("runtimes takes one --out DIR and nothing else".to_owned()),
        }
    }
}

/// Builds what is not there yet, into the folder asked for.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    let out = match &options.out {
        Some(dir) => layout::absolute(dir)?,
        None => default_folder(layout),
    };
    fs::create_dir_all(&out).map_err(|error| format!("cannot make the folder {}: {error}", out.display()))?;
    let built = [python::build(layout, &out)?, js::build(layout, &out)?];
    for runtime in built {
        step::step(&format!("ready: {}", runtime.display()));
    }
    Ok(())
}

/// Where wasmill looks: beside its binary.
pub(crate) fn default_folder(layout: &Layout) -> PathBuf {
    layout.wasmill.parent().unwrap_or(&layout.target).join("runtimes")
}

/// Copies a folder's files with this extension, those of its folders not.
fn copy_files(from: &Path, to: &Path, extension: &str) -> Result<(), String> {
    let entries = fs::read_dir(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot read {}: {error}", from.display()))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            let target = to.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &target).map_err(|error| format!("cannot copy {}: {error}", path.display()))?;
        }
    }
    Ok(())
}
