//! The Python runtime: CPython, its standard library and `runtime/guests/python` as one component, made by componentize-py.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wit;
use crate::inputs::Inputs;
use crate::layout::Layout;
use crate::python::Environment;
use crate::step;

/// componentize-py carries CPython and all it needs; `tzdata` is the time zones.
const PINNED: &str = include_str!("python.txt");
const WORLD: &str = "python-handler";
const ENTRY: &str = "wasmill_entry";

/// Makes `python.wasm` in the folder, or finds it there.
pub(crate) fn build(layout: &Layout, out: &Path) -> Result<PathBuf, String> {
    let sources = layout.root.join("runtime/guests/python");
    let component = out.join("python.wasm");
    let mut inputs = Inputs::new(PINNED);
    inputs.add(&sources)?;
    inputs.add(&layout.root.join("wit"))?;
    // What it is made of stays beside it: `wasmill build` makes an app's own runtime of the same.
    let work = out.join("python-build");
    if inputs.made(&component) && work.join("guest").is_dir() {
        return Ok(component);
    }
    let environment = Environment { folder: "runtime-python", pinned: PINNED, module: "componentize_py, tzdata" };
    let bin = environment.prepare(layout, "componentize-py")?;
    let interfaces = work.join("wit");
    wit::assemble(layout, &sources.join("wit"), &interfaces)?;
    let zones = time_zones(&bin, &work)?;
    // A copy without the tests and their like.
    let guest = work.join("guest");
    copy_sources(&sources, &guest)?;
    step::step("building the Python runtime (about a minute)");
    // Built beside its place and moved: who looks meanwhile finds the old one or the new one.
    let unfinished = out.join("python.wasm.unfinished");
    step::read(
        Command::new(bin.join("componentize-py"))
            .arg("--wit-path")
            .arg(&interfaces)
            .args(["--world", WORLD, "componentize", ENTRY, "--python-path"])
            .arg(&guest)
            .arg("--python-path")
            .arg(&zones)
            .arg("--output")
            .arg(&unfinished)
            // What it runs is CPython in a component; the settings of the Python that runs it are not for that one.
            .current_dir(&work)
            .env_remove("PYTHONPATH")
            .env_remove("VIRTUAL_ENV"),
    )?;
    fs::rename(&unfinished, &component).map_err(|error| format!("cannot write {}: {error}", component.display()))?;
    inputs.remember(&component)?;
    Ok(component)
}

/// A folder with the package `tzdata` alone: everything in a folder of the build could be imported by mistake.
fn time_zones(bin: &Path, work: &Path) -> Result<PathBuf, String> {
    let folder = work.join("zones");
    let copy = "import shutil, sys, tzdata; shutil.copytree(tzdata.__path__[0], sys.argv[1], dirs_exist_ok=True)";
    step::read(Command::new(bin.join("python")).args(["-c", copy]).arg(folder.join("tzdata")))?;
    Ok(folder)
}

/// Our modules and nothing else; what an earlier build left in the folder goes.
fn copy_sources(sources: &Path, guest: &Path) -> Result<(), String> {
    if guest.exists() {
        fs::remove_dir_all(guest).map_err(|error| format!("cannot empty {}: {error}", guest.display()))?;
    }
    for package in ["", "wasmill_runtime"] {
        let (from, to) = (sources.join(package), guest.join(package));
        fs::create_dir_all(&to).map_err(|error| format!("cannot make the folder {}: {error}", to.display()))?;
        super::copy_files(&from, &to, "py")?;
    }
    Ok(())
}
