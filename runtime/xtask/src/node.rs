//! JavaScript packages for the tests, exactly those of the lock file, below the target folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// The oldest that the packages run on.
const NODE_MAJOR_MIN: u32 = 20;
const FOLDER: &str = "test-node";
const PACKAGES: &str = include_str!("../../../tests/clients/node/package.json");
const LOCK: &str = include_str!("../../../tests/clients/node/package-lock.json");

/// Finds or installs them; gives the `node_modules` folder. The error says what is missing and how to mend it.
pub(crate) fn prepare(layout: &Layout, what: &str) -> Result<PathBuf, String> {
    let mend = |error: String| format!("install Node.js {NODE_MAJOR_MIN} or later, with npm ({error})");
    let version = step::read(Command::new("node").arg("--version")).map_err(mend)?;
    if major(&version).is_none_or(|major| major < NODE_MAJOR_MIN) {
        return Err(mend(format!("node is {}", version.trim())));
    }
    let folder = layout.target.join(FOLDER);
    let (modules, marker) = (folder.join("node_modules"), folder.join("installed.json"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == LOCK) && modules.is_dir() {
        return Ok(modules);
    }
    step::step(&format!("installing {what} for the tests into the target folder"));
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    write("package.json", PACKAGES)?;
    write("package-lock.json", LOCK)?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts"]).current_dir(&folder);
    step::read(&mut npm).map_err(|error| format!("install npm and let it reach its registry ({error})"))?;
    write("installed.json", LOCK)?;
    Ok(modules)
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
