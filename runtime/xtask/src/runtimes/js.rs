//! `js.wasm`: the generic JavaScript runtime, of the files in `runtime/guests/js` and the npm packages that they pin.
//!
//! componentize-qjs brings another wasmtime, so it is run as a program, never linked. It is installed, with the packages
//! that go into the runtime, below the target folder. Made anew only when something it is made of has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wit;
use crate::inputs::Inputs;
use crate::layout::Layout;
use crate::step;

/// The oldest that esbuild and componentize-qjs run on.
const NODE_MAJOR_MIN: u32 = 18;
const FOLDER: &str = "runtimes/js";
/// The version of WASI that the runtime imports: another than the engine's own, as a component cannot import one
/// interface twice. The host serves all of 0.2 alike.
const WASI_VERSION: &str = "0.2.9";

/// Makes `out/js.wasm` unless it is up to date. The error says what is missing and how to mend it.
pub(crate) fn build(layout: &Layout, out: &Path) -> Result<PathBuf, String> {
    let sources = layout.root.join("runtime/guests/js");
    let component = out.join("js.wasm");
    let mut inputs = Inputs::new(WASI_VERSION);
    inputs.add(&sources)?;
    inputs.add(&layout.root.join("wit"))?;
    if inputs.made(&component) {
        return Ok(component);
    }
    check_node()?;
    step::step("building the JavaScript runtime");
    let folder = layout.target.join(FOLDER);
    make(&folder)?;
    install(&sources, &folder)?;
    let interfaces = assemble(layout, &sources, &folder)?;
    // Built beside its place and moved: who looks meanwhile finds the old one or the new one.
    let unfinished = out.join("js.wasm.unfinished");
    let mut node = Command::new("node");
    node.arg("build.mjs").args([&sources, &interfaces, &unfinished]).current_dir(&folder);
    step::read(&mut node).map_err(|error| format!("the JavaScript runtime cannot be built: {error}"))?;
    fs::rename(&unfinished, &component).map_err(|error| format!("cannot write {}: {error}", component.display()))?;
    inputs.remember(&component)?;
    Ok(component)
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn check_node() -> Result<(), String> {
    let mend = format!("install Node.js {NODE_MAJOR_MIN} or later, with npm");
    let version = step::read(Command::new("node").arg("--version")).map_err(|error| format!("{mend} ({error})"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MAJOR_MIN) {
        Ok(())
    } else {
        Err(format!("{mend}: this one is {}", version.trim()))
    }
}

/// The packages of the lock file. Not by `npm ci`: that refuses it, as componentize-qjs names binaries for two machines
/// that were never published.
fn install(sources: &Path, folder: &Path) -> Result<(), String> {
    for name in ["package.json", "package-lock.json", "build.mjs"] {
        write(&folder.join(name), &read(&sources.join(name))?)?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    step::read(&mut npm).map(drop).map_err(|error| format!("install npm and let it reach its registry ({error})"))
}

/// Lays out the definitions of the runtime's world: ours, and WASI's under the family name that build.mjs takes back.
fn assemble(layout: &Layout, sources: &Path, folder: &Path) -> Result<PathBuf, String> {
    let interfaces = folder.join("wit");
    if interfaces.exists() {
        fs::remove_dir_all(&interfaces).map_err(|error| format!("cannot empty {}: {error}", interfaces.display()))?;
    }
    make(&interfaces.join("deps"))?;
    write(&interfaces.join("handler.wit"), &read(&layout.root.join("wit/handler.wit"))?)?;
    write(&interfaces.join("world.wit"), &read(&sources.join("world.wit"))?)?;
    for path in files(&wit::wasi_files(layout)?)? {
        let Some(name) = path.file_name() else { continue };
        let text = read(&path)?;
        let version = text.split_once('@').and_then(|(_, rest)| rest.split_once(';')).map(|(version, _)| version);
        let renamed = text.replace("wasi:", "wasj:").replace(version.unwrap_or(WASI_VERSION), WASI_VERSION);
        write(&interfaces.join("deps").join(name), &renamed)?;
    }
    Ok(interfaces)
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
