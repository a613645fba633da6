//! JavaScript packages for the tests, exactly those of a lock file, and a Node.js to run them, below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// Node.js itself as an npm package, for machines whose own is older than what is to run on it.
const NODE: &str = "node@22.23.3";
/// Its folder in the target folder: one for all.
const NODE_FOLDER: &str = "test-node/runtime";

/// Packages that are installed together.
pub(crate) struct Packages {
    /// Their folder in the target folder.
    pub(crate) folder: &'static str,
    /// The oldest Node.js that they run on: major and minor.
    pub(crate) node_min: Version,
    /// What is wanted: the text of a `package.json`.
    pub(crate) wanted: &'static str,
    /// What is installed, exactly: the text of a `package-lock.json`.
    pub(crate) lock: &'static str,
}

type Version = (u32, u32);

/// The clients real users have.
pub(crate) const CLIENTS: Packages = Packages {
    folder: "test-node",
    node_min: (20, 0),
    wanted: include_str!("../../../tests/clients/node/package.json"),
    lock: include_str!("../../../tests/clients/node/package-lock.json"),
};

/// fauxqs, which needs a module that Node.js has since 22.5.
pub(crate) const FAUXQS: Packages = Packages {
    folder: "test-fauxqs",
    node_min: (22, 5),
    wanted: include_str!("../../../tests/clients/fauxqs/package.json"),
    lock: include_str!("../../../tests/clients/fauxqs/package-lock.json"),
};

impl Packages {
    /// Finds or installs them; gives Node.js and the `node_modules` folder. The error says what is missing and how to mend
    /// it.
    pub(crate) fn prepare(&self, layout: &Layout, what: &str) -> Result<Vec<PathBuf>, String> {
        let folder = layout.target.join(self.folder);
        let (major, minor) = self.node_min;
        let own_version = step::read(Command::new("node").arg("--version"))
            .map_err(|error| format!("install Node.js {major}.{minor} or later, with npm ({error})"))?;
        let is_current = version(&own_version).is_some_and(|own| own >= self.node_min);
        let newer = || newer_node(&layout.target.join(NODE_FOLDER), &own_version);
        let node = if is_current { PathBuf::from("node") } else { newer()? };
        let (modules, marker) = (folder.join("node_modules"), folder.join("installed.json"));
        if fs::read_to_string(&marker).is_ok_and(|installed| installed == self.lock) && modules.is_dir() {
            return Ok(vec![node, modules]);
        }
        step::step(&format!("installing {what} for the tests into the target folder"));
        make(&folder)?;
        write(&folder.join("package.json"), self.wanted)?;
        write(&folder.join("package-lock.json"), self.lock)?;
        npm(&folder, &["ci", "--omit=dev", "--ignore-scripts"])?;
        write(&marker, self.lock)?;
        Ok(vec![node, modules])
    }
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

/// The 20 and 11 of `v20.11.1`.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::{CLIENTS, FAUXQS, version};

    #[test]
    fn a_version_is_read_by_its_first_two_numbers() {
        let read = [version("v20.11.1\n"), version("v8.0"), version("v20"), version("20.1"), version("")];
        assert_eq!(read, [Some((20, 11)), Some((8, 0)), None, None, None]);
    }

    #[test]
    fn a_lock_file_is_of_its_packages_and_knows_what_is_in_each() {
        for packages in [CLIENTS, FAUXQS] {
            let lines = packages.wanted.lines().skip_while(|line| !line.contains("dependencies")).skip(1);
            let wanted: Vec<&str> = lines.take_while(|line| !line.contains('}')).map(str::trim).collect();
            let is_locked = |line: &&str| packages.lock.contains(line.trim_end_matches(','));
            assert!(!wanted.is_empty() && wanted.iter().all(is_locked), "{wanted:?}");
            let installed = packages.lock.matches("\"node_modules/").count();
            assert_eq!((packages.lock.matches("\"integrity\"").count(), installed > 0), (installed, true));
        }
    }
}
