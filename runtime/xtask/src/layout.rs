//! Where things are: the repository, the target folder, the tools cargo told us about.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders every verb needs, all absolute.
pub(crate) struct Layout {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, wherever `CARGO_TARGET_DIR` or a config put it.
    pub(crate) target: PathBuf,
    /// The built `wasmill`, once it is built: it stands beside this program.
    pub(crate) wasmill: PathBuf,
}

impl Layout {
    /// From what `cargo run` sets, and from where cargo put this program: `TARGET/debug/xtask`.
    pub(crate) fn find() -> Result<Self, String> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .ok_or("started without cargo; run it as `cargo xtask`")?;
        let root = manifest_dir
            .ancestors()
            .nth(2)
            .ok_or_else(|| format!("{} is not runtime/xtask of a repository", manifest_dir.display()))?;
        let own_path = env::current_exe().map_err(|error| format!("cannot tell where xtask was built: {error}"))?;
        let target = own_path
            .ancestors()
            .nth(2)
            .ok_or_else(|| format!("{} is not in a target folder of cargo's", own_path.display()))?;
        Ok(Self { root: root.to_owned(), target: target.to_owned(), wasmill: own_path.with_file_name("wasmill") })
    }

    /// The handlers that are kept in the repository, so that nobody needs a wasm toolchain to run the tests.
    pub(crate) fn prebuilt_guests(&self) -> PathBuf {
        self.root.join("handlers/prebuilt")
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A path given on the command line, as the programs we start from another folder must see it.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("cannot use the path {}: {error}", path.display()))
}
