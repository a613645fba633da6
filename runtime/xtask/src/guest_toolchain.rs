//! What compiles guests: the machine's own wasm targets, or else a private toolchain from Debian's packages.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;
use crate::guests::TARGETS;
use crate::layout::{self, Layout};
use crate::step;

/// What `handlers/.cargo/config.toml` and the template of a new project say, too: flags of the environment replace those of a file.
const INITIAL_HEAP: &str = "-Clink-arg=--initial-heap=262144";

/// A compiler with a standard library for every guest target.
pub(crate) enum GuestToolchain {
    /// The Rust that builds wasmill, with the targets added.
    Installed,
    /// Debian's compiler and standard library source, in a folder of ours; the standard library is built with the guests.
    Private {
        /// The folder that holds the packages' `bin`, `lib` and `src`.
        usr: PathBuf,
        /// The wasm linkers: every rustup toolchain has them, with or without wasm targets.
        linkers: PathBuf,
    },
}

impl GuestToolchain {
    /// Finds or makes one. The error says in one line how to mend the machine.
    pub(crate) fn prepare(layout: &Layout) -> Result<Self, String> {
        if TARGETS.into_iter().all(is_installed) {
            return Ok(Self::Installed);
        }
        let mend = format!("run `rustup target add {}`", TARGETS.join(" "));
        let linkers = wasm_linkers().map_err(|error| format!("no toolchain for guests: {mend} ({error})"))?;
        let usr = debian::private_toolchain(&layout.target.join("guest-toolchain"))
            .map_err(|error| format!("no toolchain for guests: {mend} (Debian's packages cannot be had: {error})"))?;
        Ok(Self::Private { usr, linkers })
    }

    /// For the step's line.
    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Installed => "this machine's Rust",
            Self::Private { .. } => "a private toolchain from Debian's packages",
        }
    }

    /// One that is there already, for who can do without.
    pub(crate) fn existing(layout: &Layout) -> Option<Self> {
        let is_there = TARGETS.into_iter().all(is_installed) || layout.target.join("guest-toolchain").is_dir();
        is_there.then(|| Self::prepare(layout).ok()).flatten()
    }

    /// `cargo build --release` for one target, lacking only the manifest, the packages and the target folder.
    pub(crate) fn cargo_build(&self, target: &str) -> Result<Command, String> {
        let mut cargo = layout::cargo();
        cargo.args(["build", "--release", "--locked", "--target", target]);
        cargo.envs(self.environment(target)?).env_remove("RUSTFLAGS");
        Ok(cargo)
    }

    /// What cargo has to find in its environment to build for a target with this toolchain.
    pub(crate) fn environment(&self, target: &str) -> Result<Vec<(String, OsString)>, String> {
        let mut remapped: Vec<_> = registry_sources().into_iter().map(|folder| (folder, "/registry")).collect();
        let mut environment: Vec<(String, OsString)> = Vec::new();
        if let Self::Private { usr, linkers } = self {
            remapped.push((usr.join("lib/rustlib/src/rust"), "/rust"));
            let linker = if target == "wasm32-wasip2" { "wasm-component-ld" } else { "rust-lld" };
            let linker_key = format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase());
            let mut set = |name: &str, value: OsString| environment.push((name.to_owned(), value));
            // No features for the standard library: a stripped guest has no use for the code that reads backtraces.
            set("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".into());
            set("CARGO_UNSTABLE_BUILD_STD_FEATURES", "".into());
            set("RUSTC", usr.join("bin/rustc").into());
            set("RUSTC_WRAPPER", "".into());
            // Lets a stable compiler build its own standard library.
            set("RUSTC_BOOTSTRAP", "1".into());
            set("LD_LIBRARY_PATH", debian::library_folder(usr)?.into());
            // wasm-component-ld looks for `wasm-ld` there.
            set("PATH", first_in_path(&linkers.join("gcc-ld"))?);
            set(&linker_key, linkers.join(linker).into());
        }
        // Panic messages carry source paths: a guest should not tell on whose machine it was built. The workspace's own
        // paths are relative anyway; naming its folder here would build everything anew in each clone.
        let remapped = remapped.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        let flags: Vec<String> = remapped.chain([INITIAL_HEAP.to_owned()]).collect();
        environment.push(("CARGO_ENCODED_RUSTFLAGS".to_owned(), flags.join("\u{1f}").into()));
        Ok(environment)
    }
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Whether the compiler has a standard library for the target.
fn is_installed(target: &str) -> bool {
    let Ok(folder) = step::read(rustc().args(["--print", "target-libdir", "--target", target])) else {
        return false;
    };
    let is_std = |name: OsString| name.to_string_lossy().starts_with("libstd-");
    fs::read_dir(folder.trim()).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| is_std(e.file_name()))))
}

/// The folder with `wasm-component-ld` and its kin in the toolchain that builds wasmill.
fn wasm_linkers() -> Result<PathBuf, String> {
    let sysroot = step::read(rustc().args(["--print", "sysroot"]))?;
    let version = step::read(rustc().arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    match ["wasm-component-ld", "rust-lld", "gcc-ld/wasm-ld"].iter().find(|tool| !folder.join(tool).exists()) {
        None => Ok(folder),
        Some(missing) => Err(format!("{missing} is not in {}", folder.display())),
    }
}

/// Where cargo unpacks the sources of dependencies: a folder for each registry.
fn registry_sources() -> Vec<PathBuf> {
    let cargo_home =
        env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let Some(Ok(entries)) = cargo_home.map(|home| fs::read_dir(home.join("registry/src"))) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

/// `PATH` with a folder before all others.
fn first_in_path(folder: &Path) -> Result<OsString, String> {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&rest));
    env::join_paths(folders).map_err(|error| format!("cannot put {} into PATH: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::INITIAL_HEAP;

    #[test]
    fn guests_begin_with_the_memory_that_their_own_configs_give_them() {
        let argument = INITIAL_HEAP.trim_start_matches("-C");
        for config in [
            include_str!("../../../handlers/.cargo/config.toml"),
            include_str!("../../cli/templates/cargo-config.toml"),
        ] {
            assert!(config.contains(&format!("rustflags = [\"-C\", \"{argument}\"]")), "{config}");
        }
    }
}
