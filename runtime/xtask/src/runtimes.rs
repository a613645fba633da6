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

/// What a runtime is made of, as one text: it is made again when the text changes.
struct Inputs {
    text: String,
}

impl Inputs {
    /// Starts with what is pinned: programs and packages by version.
    fn new(pinned: &str) -> Self {
        Self { text: format!("{pinned}\n") }
    }

    /// Adds the files below a folder, with their contents.
    fn add(&mut self, folder: &Path) -> Result<(), String> {
        let cannot_read = |path: &Path, error| format!("cannot read {}: {error}", path.display());
        let mut entries = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
            .map_err(|error| cannot_read(folder, error))?;
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                // Neither changes what is built.
                if name != "__pycache__" && name != "tests" && name != "node_modules" {
                    self.add(&path)?;
                }
            } else {
                let contents = fs::read(&path).map_err(|error| cannot_read(&path, error))?;
                self.text.push_str(&format!("{name} {} {:016x}\n", contents.len(), fnv1a(&contents)));
            }
        }
        Ok(())
    }

    /// Whether the runtime was made of just this.
    fn made(&self, runtime: &Path) -> bool {
        runtime.is_file() && fs::read_to_string(inputs_file(runtime)).is_ok_and(|made| made == self.text)
    }

    /// Remembers what the runtime was made of.
    fn remember(&self, runtime: &Path) -> Result<(), String> {
        let file = inputs_file(runtime);
        fs::write(&file, &self.text).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}

fn inputs_file(runtime: &Path) -> PathBuf {
    runtime.with_extension("inputs.txt")
}

/// Tells files apart that were edited, not files that were made to collide.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
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
