//! JavaScript packages for the tests, exactly those of the lock file, and a Node.js to run them, below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// The oldest that the packages run on.
const NODE_MAJOR_MIN: u32 = 20;
/// Node.js itself as an npm package, for machines whose own is older.
const NODE: &str = "node@22.23.3";
const FOLDER: &str = "test-node";
const PACKAGES: &str = include_str!("../../../tests/clients/node/package.json");
const LOCK: &str = include_str!("../../../tests/clients/node/package-lock.json");

/// Finds or installs them; gives Node.js and the `node_modules` folder. The error says what is missing and how to mend it.
pub(crate) fn prepare(layout: &Layout, what: &str) -> Result<Vec<PathBuf>, String> {
    let folder = layout.target.join(FOLDER);
    let own_version = step::read(Command::new("node").arg("--version"))
        .map_err(|error| format!("install Node.js {NODE_MAJOR_MIN} or later, with npm ({error})"))?;
    let is_current = major(&own_version).is_some_and(|major| major >= NODE_MAJOR_MIN);
    let node = if is_current { PathBuf::from("node") } else { newer_node(&folder.join("runtime"), &own_version)? };
    let (modules, marker) = (folder.join("node_modules"), folder.join("installed.json"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == LOCK) && modules.is_dir() {
        return Ok(vec![node, modules]);
    }
    step::step(&format!("installing {what} for the tests into the target folder"));
    make(&folder)?;
    write(&folder.join("package.json"), PACKAGES)?;
    write(&folder.join("package-lock.json"), LOCK)?;
    npm(&folder, &["ci", "--omit=dev", "--ignore-scripts"])?;
    write(&marker, LOCK)?;
    Ok(vec![node, modules])
}

/// A newer Node.js than the machine's own.
fn newer_node(folder: &Path, own_version: &str) -> Result<PathBuf, String> {
    let node = folder.join("node_modules/node/bin/node");
    if step::read(Command::new(&node).arg("--version")).is_err() {
        step::step(&format!(
            "installing {NODE} for the tests into the target folder: the own is {}",
            own_version.trim()
        ));
        make(folder)?;
        // Without a package.json of its own npm would look for one in the folders above.
        write(&folder.join("package.json"), "{}")?;
        npm(folder, &["install", NODE])?;
    }
    Ok(node)
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut npm = Command::new("npm");
    npm.args(arguments).args(["--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    step::read(&mut npm).map(drop).map_err(|error| format!("install npm and let it reach its registry ({error})"))
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The 20 of `v20.11.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{LOCK, PACKAGES, major};

    #[test]
    fn a_version_is_read_by_its_first_number() {
        assert_eq!([major("v20.11.1\n"), major("v8.0"), major("20"), major("")], [Some(20), Some(8), None, None]);
    }

    #[test]
    fn the_lock_file_is_of_these_packages_and_knows_what_is_in_each() {
        let wanted: Vec<&str> = PACKAGES.lines().filter(|line| line.contains("sqs\"")).map(str::trim).collect();
        assert!(!wanted.is_empty() && wanted.iter().all(|line| LOCK.contains(line.trim_end_matches(','))));
        let installed = LOCK.matches("\"node_modules/").count();
        assert_eq!((LOCK.matches("\"integrity\"").count(), installed > 0), (installed, true));
    }
}
