//! Python programs for the tests and the runtimes, pinned, each set in an environment of its own below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::step;

/// One environment.
pub(crate) struct Environment {
    /// Its folder in the target folder.
    pub(crate) folder: &'static str,
    /// What is installed, exactly: the text of a requirements file.
    pub(crate) pinned: &'static str,
    /// What can be imported then.
    pub(crate) module: &'static str,
}

impl Environment {
    /// Finds or makes it; gives its `bin` folder. The error says what is missing and how to mend it.
    pub(crate) fn prepare(&self, layout: &Layout, what: &str) -> Result<PathBuf, String> {
        let folder = layout.target.join(self.folder);
        let (bin, marker) = (folder.join("bin"), folder.join("installed.txt"));
        if fs::read_to_string(&marker).is_ok_and(|installed| installed == self.pinned) && self.works(&bin) {
            return Ok(bin);
        }
        step::step(&format!("installing {what} into the target folder"));
        install(&folder, self.pinned)?;
        fs::write(&marker, self.pinned).map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(bin)
    }

    /// An environment made by a Python that has since been upgraded or moved away does not start.
    fn works(&self, bin: &Path) -> bool {
        step::read(Command::new(bin.join("python")).args(["-c", &format!("import {}", self.module)])).is_ok()
    }
}

fn install(folder: &Path, pinned: &str) -> Result<(), String> {
    step::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).map_err(|error| {
        format!("install python3 with its venv module, on Debian the package python3-venv ({error})")
    })?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, pinned).map_err(|error| format!("cannot write {}: {error}", requirements.display()))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    step::read(&mut pip).map(drop).map_err(|error| format!("let pip reach PyPI ({error})"))
}
