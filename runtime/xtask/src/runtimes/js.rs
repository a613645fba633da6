//! `js.wasm`: the generic JavaScript runtime, of the files in `runtime/guests/js` and the npm packages that they pin.
//!
//! componentize-qjs brings another wasmtime, so it is run as a program, never linked. It is installed, with the packages
//! that go into the runtime, below the target folder. Made anew only when something it is made of has changed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// The oldest that esbuild and componentize-qjs run on.
const NODE_MAJOR_MIN: u32 = 18;
const FOLDER: &str = "runtimes/js";
/// Where the WASI interfaces' definitions lie in the cargo registry; any 0.2 of them will do.
const WIT_CRATE: &str = "wasmtime-wasi-http-48.";
/// The version of them that the runtime imports: another than the engine's own, as a component cannot import one
/// interface twice. The host serves all of 0.2 alike.
const WASI_VERSION: &str = "0.2.9";

/// Makes `out/js.wasm` unless it is up to date. The error says what is missing and how to mend it.
pub(crate) fn build(layout: &Layout, out: &Path) -> Result<PathBuf, String> {
    let sources = layout.root.join("runtime/guests/js");
    let folder = layout.target.join(FOLDER);
    let (component, marker) = (out.join("js.wasm"), folder.join("inputs.txt"));
    let handler = layout.root.join("wit/handler.wit");
    let inputs = inputs(&sources, &handler)?;
    let made = format!("{}\n{inputs}", component.display());
    if component.is_file() && fs::read_to_string(&marker).is_ok_and(|before| before == made) {
        return Ok(component);
    }
    check_node()?;
    step::step("building the JavaScript runtime");
    make(&folder)?;
    make(out)?;
    install(&sources, &folder)?;
    let wit = wit(&sources, &handler, &folder)?;
    let mut node = Command::new("node");
    node.arg("build.mjs").args([&sources, &wit, &component]).current_dir(&folder);
    step::read(&mut node).map_err(|error| format!("the JavaScript runtime cannot be built: {error}"))?;
    write(&marker, &made)?;
    Ok(component)
}

/// All that the runtime is made of, names and texts.
fn inputs(sources: &Path, handler: &Path) -> Result<String, String> {
    let mut inputs = read(handler)?;
    for path in files(sources)? {
        inputs.push_str(&format!("\n--- {}\n{}", path.display(), read(&path)?));
    }
    Ok(inputs)
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
fn wit(sources: &Path, handler: &Path, folder: &Path) -> Result<PathBuf, String> {
    let wit = folder.join("wit");
    if wit.exists() {
        fs::remove_dir_all(&wit).map_err(|error| format!("cannot empty {}: {error}", wit.display()))?;
    }
    make(&wit.join("deps"))?;
    write(&wit.join("handler.wit"), &read(handler)?)?;
    write(&wit.join("world.wit"), &read(&sources.join("world.wit"))?)?;
    for path in files(&wasi_wit()?)? {
        let Some(name) = path.file_name() else { continue };
        let text = read(&path)?;
        let version = text.split_once('@').and_then(|(_, rest)| rest.split_once(';')).map(|(version, _)| version);
        let renamed = text.replace("wasi:", "wasj:").replace(version.unwrap_or(WASI_VERSION), WASI_VERSION);
        write(&wit.join("deps").join(name), &renamed)?;
    }
    Ok(wit)
}

/// The folder of WASI's definitions in the cargo registry, where building wasmill has put it.
fn wasi_wit() -> Result<PathBuf, String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.map(|home| home.join("registry/src")).unwrap_or_default();
    let registries = fs::read_dir(&registries).into_iter().flatten().flatten();
    let crates = registries.flat_map(|registry| fs::read_dir(registry.path()).into_iter().flatten().flatten());
    let newest = crates.map(|entry| entry.path()).filter(|path| is_wit_crate(path)).max();
    newest
        .map(|path| path.join("wit/deps"))
        .ok_or_else(|| format!("{WIT_CRATE}x is not in the cargo registry; run `cargo fetch --locked` first"))
}

fn is_wit_crate(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(WIT_CRATE))
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
