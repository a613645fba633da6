//! The peers, from the registries, pinned, below the target folder.
//!
//! A peer that cannot be had is left out with a line that says what to do: the bench of our own servers goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Kind, Programs};
use crate::layout::Layout;
use crate::step;

/// It needs Node 22.5 for a module of Node's. The registry has Node itself as a package, for machines with an older one.
const FAUXQS: &str = "fauxqs@2.4.1";
const NODE: &str = "node@22.23.3";
const NODE_LEAST: (u32, u32) = (22, 5);
const MOTO: &str = "moto[server]==5.2.5";

/// Finds or installs the peers that are asked for.
pub(super) fn prepare(layout: &Layout, wasmill: PathBuf, wanted: &[Kind]) -> Result<Programs, String> {
    let folder = layout.target.join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let fauxqs = if wanted.contains(&Kind::Fauxqs) { or_left_out(Kind::Fauxqs, fauxqs(&folder)) } else { None };
    let moto = if wanted.contains(&Kind::Moto) { or_left_out(Kind::Moto, moto(&folder)) } else { None };
    Ok(Programs { wasmill, http_alone: None, fauxqs, moto, folder })
}

fn or_left_out<T>(kind: Kind, found: Result<T, String>) -> Option<T> {
    found.inspect_err(|mend| step::step(&format!("{} is left out; to measure it, {mend}", kind.name()))).ok()
}

/// Node, and the script that it runs.
fn fauxqs(folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    let own_node = PathBuf::from("node");
    let own_node_serves = node_version(&own_node).is_some_and(|version| version >= NODE_LEAST);
    let home = folder.join("fauxqs");
    let node = if own_node_serves { own_node } else { home.join("node_modules/node/bin/node") };
    let script = home.join("node_modules/fauxqs/dist/cli.js");
    let packages = if own_node_serves { vec![FAUXQS] } else { vec![FAUXQS, NODE] };
    if !is_installed(&home, &packages.join("\n")) || node_version(&node).is_none() {
        step::step("installing fauxqs from npm into the target folder");
        // Without a package.json of its own npm would look for one in the folders above.
        fs::create_dir_all(&home).map_err(|error| format!("make {} writable ({error})", home.display()))?;
        note(&home.join("package.json"), "{\"private\":true}\n")?;
        let mut npm = Command::new("npm");
        npm.current_dir(&home).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).args(&packages);
        step::read(&mut npm)
            .map_err(|error| format!("install Node with npm and let it reach its registry ({error})"))?;
        note(&home.join("installed.txt"), &packages.join("\n"))?;
    }
    match node_version(&node) {
        Some(version) if version >= NODE_LEAST => Ok((node, script)),
        _ => Err(format!("install Node {}.{} or later", NODE_LEAST.0, NODE_LEAST.1)),
    }
}

/// Major and minor.
fn node_version(node: &Path) -> Option<(u32, u32)> {
    let text = step::read(Command::new(node).arg("--version")).ok()?;
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A Python that has moto.
fn moto(folder: &Path) -> Result<PathBuf, String> {
    let home = folder.join("moto");
    let python = home.join("bin/python");
    if is_installed(&home, MOTO) && step::read(Command::new(&python).args(["-c", "import moto.server"])).is_ok() {
        return Ok(python);
    }
    step::step("installing moto from PyPI into the target folder");
    step::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home)).map_err(|error| {
        format!("install python3 with its venv module, on Debian the package python3-venv ({error})")
    })?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO]);
    step::read(&mut pip).map_err(|error| format!("let pip reach PyPI ({error})"))?;
    note(&home.join("installed.txt"), MOTO)?;
    Ok(python)
}

fn is_installed(home: &Path, what: &str) -> bool {
    fs::read_to_string(home.join("installed.txt")).is_ok_and(|installed| installed == what)
}

fn note(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("make {} writable ({error})", file.display()))
}
