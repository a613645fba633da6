//! The functions of the config as resources of Lambda's API: what it shows of them.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmill_lambda::{FunctionSettings, OwnedFunction};

use crate::config::{FunctionSpec, Runtime};

/// Shown in the place of a variable's value: those of the config may be secrets.
pub(super) const IN_CONFIG: &str = "(in the config)";
/// What Lambda shows of a `/tmp` at least.
const STORAGE_MIB_DEFAULT: u32 = 512;
/// A folder deeper than that leads back to itself.
const DEPTH_MAX: usize = 64;

/// A function of the config whose code is loaded as `build`.
pub(super) fn owned(spec: &FunctionSpec, build: String) -> OwnedFunction {
    let mut hash = Sha256::new();
    let code_size_bytes = digest(&spec.code, DEPTH_MAX, &mut hash);
    let environment = spec.environment.0.keys().map(|name| (name.clone(), IN_CONFIG.to_owned()));
    let runtime = match spec.runtime {
        Runtime::Wasm => "provided.al2023",
        Runtime::Python => "python3.14",
        Runtime::Js => "nodejs24.x",
    };
    OwnedFunction {
        name: spec.name.clone(),
        build,
        code_sha256: hash.finalize().into(),
        code_size_bytes,
        settings: FunctionSettings {
            runtime: Some(runtime.to_owned()),
            handler: Some(if spec.handler.is_empty() { "bootstrap".to_owned() } else { spec.handler.clone() }),
            timeout_seconds: u32::try_from(spec.timeout.as_secs()).unwrap_or(u32::MAX),
            memory_size_mib: spec.memory_size_mib,
            ephemeral_storage_mib: spec.ephemeral_storage_mib.unwrap_or(STORAGE_MIB_DEFAULT),
            environment: environment.collect(),
        },
        reserved_concurrent_executions: Some(spec.reserved_concurrent_executions),
    }
}

/// Hashes a file, or of a folder what tells that something in it changed; gives the bytes in all. What cannot be read was
/// said when the code was loaded.
fn digest(path: &Path, depth: usize, hash: &mut Sha256) -> u64 {
    if path.is_file() {
        let bytes = std::fs::read(path).unwrap_or_default();
        hash.update(&bytes);
        return bytes.len() as u64;
    }
    let Some(depth) = depth.checked_sub(1) else { return 0 };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let mut size = 0;
    for path in paths {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        if path.is_dir() {
            size += digest(&path, depth, hash);
            continue;
        }
        let Ok(about) = path.metadata() else { continue };
        size += about.len();
        hash.update(about.len().to_le_bytes());
        let modified = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        hash.update(modified.unwrap_or_default().as_nanos().to_le_bytes());
    }
    size
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_change_of_the_code_shows_and_no_value_of_a_variable_does() {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("app");
        std::fs::create_dir_all(code.join("lib")).unwrap();
        std::fs::write(code.join("lib/x.py"), "1").unwrap();
        let mut spec = FunctionSpec::new("f", code.clone());
        spec.environment.0.insert("TOKEN".to_owned(), "hunter2".to_owned());
        let first = owned(&spec, "b".to_owned());
        assert_eq!(owned(&spec, "b".to_owned()), first);
        assert!(!format!("{first:?}").contains("hunter2"));
        std::fs::write(code.join("lib/x.py"), "12").unwrap();
        assert_ne!(owned(&spec, "b".to_owned()).code_sha256, first.code_sha256);
        let file = FunctionSpec::new("f", code.join("lib/x.py"));
        let one = owned(&file, "b".to_owned());
        assert_eq!(one.code_size_bytes, 2);
        assert_eq!(one.code_sha256, <[u8; 32]>::from(Sha256::digest("12")));
    }
}
