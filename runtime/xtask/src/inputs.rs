//! What a built file is made of: it is made again when that changes.

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs as one text.
pub(crate) struct Inputs {
    text: String,
}

impl Inputs {
    /// Starts with what is pinned: programs and packages by version.
    pub(crate) fn new(pinned: &str) -> Self {
        Self { text: format!("{pinned}\n") }
    }

    /// Adds a file, or the files below a folder, with their contents.
    pub(crate) fn add(&mut self, path: &Path) -> Result<(), String> {
        let cannot_read = |error| format!("cannot read {}: {error}", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !path.is_dir() {
            let contents = fs::read(path).map_err(cannot_read)?;
            self.text.push_str(&format!("{name} {} {:016x}\n", contents.len(), fnv1a(&contents)));
            return Ok(());
        }
        let mut entries = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
            .map_err(cannot_read)?;
        entries.sort();
        // These change nothing of what is built.
        let ignored = ["__pycache__", "tests", "node_modules"].map(Some);
        entries
            .retain(|entry| !(entry.is_dir() && ignored.contains(&entry.file_name().and_then(|name| name.to_str()))));
        entries.iter().try_for_each(|entry| self.add(entry))
    }

    /// Whether the result was made of just this.
    pub(crate) fn made(&self, result: &Path) -> bool {
        result.is_file() && fs::read_to_string(inputs_file(result)).is_ok_and(|made| made == self.text)
    }

    /// Remembers what the result was made of.
    pub(crate) fn remember(&self, result: &Path) -> Result<(), String> {
        let file = inputs_file(result);
        fs::write(&file, &self.text).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}

fn inputs_file(result: &Path) -> PathBuf {
    result.with_extension("inputs.txt")
}

/// Tells files apart that were edited, not files that were made to collide.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
