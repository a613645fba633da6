//! The interface files that a runtime is built against, brought together in one folder.
//!
//! Ours are in the repository. WASI's are not ours to keep: they lie in the source of the crate by which the host offers
//! wasi:http, so guest and host agree by construction.

use std::fs;
use std::path::{Path, PathBuf};

use super::copy_files;
use crate::layout::{self, Layout};
use crate::step;

const HOST_CRATE: &str = "wasmtime-wasi-http";

/// Makes the folder anew: `world` (a folder of the guest's) on top, everything it may use in `deps`.
pub(super) fn assemble(layout: &Layout, world: &Path, folder: &Path) -> Result<(), String> {
    let deps = folder.join("deps");
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&deps).map_err(|error| format!("cannot make the folder {}: {error}", deps.display()))?;
    copy_files(&wasi_files(layout)?, &deps, "wit")?;
    copy_files(&layout.root.join("wit"), &deps, "wit")?;
    copy_files(world, folder, "wit")
}

/// The folder with WASI's packages, a file each, in cargo's copy of the crate.
pub(super) fn wasi_files(layout: &Layout) -> Result<PathBuf, String> {
    let manifest = layout.root.join("Cargo.toml");
    let metadata = step::read(
        layout::cargo().args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(&manifest),
    )?;
    let crate_manifest = manifest_of(&metadata, HOST_CRATE)
        .ok_or_else(|| format!("{HOST_CRATE} is not among the dependencies; its interface files are needed here"))?;
    Ok(crate_manifest.with_file_name("wit").join("deps"))
}

/// The path of a crate's `Cargo.toml` in what `cargo metadata` says.
fn manifest_of(metadata: &str, name: &str) -> Option<PathBuf> {
    const KEY: &str = "\"manifest_path\":\"";
    let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    metadata
        .split(KEY)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|path| PathBuf::from(path.replace("\\\\", "\\")))
        .find(|path| {
            let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
            folder.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_version)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_found_by_its_folder_and_not_by_one_that_begins_alike() {
        let metadata = r#"{"packages":[{"manifest_path":"/r/wasmtime-wasi-48.0.8/Cargo.toml"},
            {"manifest_path":"/r/wasmtime-wasi-http-48.0.8/Cargo.toml"}]}"#;
        let found = manifest_of(metadata, "wasmtime-wasi");
        assert_eq!(found, Some(PathBuf::from("/r/wasmtime-wasi-48.0.8/Cargo.toml")));
        assert_eq!(manifest_of(metadata, "wasmtime-wasi-io"), None);
    }
}
