//! From what a person names to what Lambda's API takes: a zip archive or a module, and how it runs.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::app;
use crate::commands::build::{self, Source};
use crate::config::Runtime;
use crate::error::CliError;

/// Lambda's limit for an upload.
const UPLOAD_BYTES_MAX: u64 = 52_428_800;

/// Code to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) bytes: Vec<u8>,
    /// Lambda's `Runtime` and `Handler`; none where the archive does not say and nobody did.
    pub(super) runtime: Option<String>,
    pub(super) handler: Option<String>,
}

/// Packs a file or a folder. Blocking.
pub(super) fn pack(path: &Path, runtime: Option<&str>, handler: Option<&str>) -> Result<Package, CliError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let (bytes, found_runtime, found_handler) = match ending {
        "zip" => (read(path)?, None, None),
        "wasm" => module(path, handler)?,
        _ => match build::source(path, handler)? {
            Source::Python { archive, handler } => (archive, Some("python3.14"), Some(handler)),
            Source::Module(made) => module(made.path(), handler)?,
        },
    };
    if bytes.len() as u64 >= UPLOAD_BYTES_MAX {
        let what = format!("the package has {} bytes, and Lambda takes fewer than {UPLOAD_BYTES_MAX}", bytes.len());
        return Err(CliError::config(what).at(path.display()));
    }
    Ok(Package {
        bytes,
        runtime: runtime.or(found_runtime).map(str::to_owned),
        handler: found_handler.or_else(|| handler.map(str::to_owned)),
    })
}

/// A module, which may be an app that `wasmill build` made.
fn module(path: &Path, handler: Option<&str>) -> Result<(Vec<u8>, Option<&'static str>, Option<String>), CliError> {
    let bytes = read(path)?;
    let manifest = app::manifest(path);
    if handler.is_some() {
        return Err(CliError::usage("a module has its handler in it: --handler chooses nothing").at(path.display()));
    }
    let (runtime, handler) = match manifest {
        Some(app) if app.runtime == Runtime::Python => ("python3.14", app.handler),
        Some(app) => ("nodejs24.x", app.handler),
        None => ("provided.al2023", "bootstrap".to_owned()),
    };
    Ok((bytes, Some(runtime), Some(handler)))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(UPLOAD_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| CliError::usage(format!("the code cannot be read: {error}")).at(path.display()))?;
    Ok(bytes)
}
