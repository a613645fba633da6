//! Compiled modules on disk, so that a start costs a millisecond and not a compilation.
//!
//! One file per artefact, named KEY.SUM.cwasm: KEY is a hash of the code, its kind and everything about this build of
//! wasmtime that the artefact depends on; SUM is the SHA-256 of the artefact. Name and content appear together by one
//! rename, so there is no index to be out of step. Mapping an artefact is trusting it, therefore nothing is
//! mapped before its sum is verified, and neither folder nor file may be writable by anybody else.
//! Losing the cache costs time only; no failure here is a failure of the load.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::{debug, warn};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::code::{Format, Source};

/// Artefacts kept; older ones make room.
const ARTEFACTS_MAX: usize = 64;

/// Bytes of artefacts kept. A Python or JavaScript runtime is 36 MB compiled.
const ARTEFACT_BYTES_MAX: u64 = 2 << 30;

/// Age at which a file that some process never finished writing is removed.
const STALE_AFTER: Duration = Duration::from_secs(3600);

const SUFFIX: &str = ".cwasm";
const UNFINISHED_SUFFIX: &str = ".tmp";

/// The cache, or the absence of one.
#[derive(Debug)]
pub(crate) struct ModuleCache {
    dir: Option<PathBuf>,
    unwritable_reported: AtomicBool,
}

/// A loaded module and whether it came from the cache.
pub(crate) struct Loaded<T> {
    pub(crate) module: T,
    pub(crate) cached: bool,
}

/// What is done alike for components and core modules.
trait Artefact: Sized {
    fn compile(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self>;
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;
    /// Maps a file whose content was verified to be what `serialize` gave on this machine.
    fn map(engine: &Engine, file: &Path) -> wasmtime::Result<Self>;
}

impl Artefact for Component {
    fn compile(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, code)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    #[expect(unsafe_code, reason = "mapping compiled code is trusting it; the caller has verified the file")]
    fn map(engine: &Engine, file: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the file belongs to this user, nobody else can write to it or to its folder, and its SHA-256 is the
        // one in its name, which was computed from what `serialize` returned. It is replaced by rename, never
        // written in place, so the mapping does not change under us.
        unsafe { Self::deserialize_file(engine, file) }
    }
}

impl Artefact for Module {
    fn compile(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, code)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    #[expect(unsafe_code, reason = "mapping compiled code is trusting it; the caller has verified the file")]
    fn map(engine: &Engine, file: &Path) -> wasmtime::Result<Self> {
        // SAFETY: as for components above.
        unsafe { Self::deserialize_file(engine, file) }
    }
}

impl ModuleCache {
    /// Opens the cache in `dir`, which is made (mode 0700) when it is not there. A folder that cannot be used, or that
    /// others could plant compiled code in, is reported once and means going on without.
    pub(crate) fn open(dir: Option<PathBuf>) -> Self {
        let dir = dir.filter(|dir| match prepare_dir(dir) {
            Ok(()) => true,
            Err(reason) => {
                warn!(dir = %dir.display(), reason, "module cache not used: modules are compiled at every start");
                false
            }
        });
        Self { dir, unwritable_reported: AtomicBool::new(false) }
    }

    pub(crate) fn component(&self, engine: &Engine, source: &Source) -> wasmtime::Result<Loaded<Component>> {
        self.load(engine, source)
    }

    pub(crate) fn module(&self, engine: &Engine, source: &Source) -> wasmtime::Result<Loaded<Module>> {
        self.load(engine, source)
    }

    /// Marks code as used that was not read from here, as somebody has it: else it would be the first to make room.
    pub(crate) fn mark_used(&self, engine: &Engine, source: &Source) {
        if let Some(file) = self.dir.as_ref().and_then(|dir| artefact_of(dir, &key(engine, source))) {
            mark_used(&file);
        }
    }

    fn load<T: Artefact>(&self, engine: &Engine, source: &Source) -> wasmtime::Result<Loaded<T>> {
        let Some(dir) = &self.dir else {
            return Ok(Loaded { module: T::compile(engine, &source.bytes)?, cached: false });
        };
        let key = key(engine, source);
        if let Some(module) = find(dir, &key, engine) {
            return Ok(Loaded { module, cached: true });
        }
        let module = T::compile(engine, &source.bytes)?;
        let stored = module.serialize().map_err(io::Error::other).and_then(|artefact| store(dir, &key, &artefact));
        match stored {
            Ok(()) => prune(dir, ARTEFACTS_MAX, ARTEFACT_BYTES_MAX),
            Err(error) => {
                if !self.unwritable_reported.swap(true, Ordering::Relaxed) {
                    warn!(dir = %dir.display(), %error, "cannot write to the module cache: going on without");
                }
            }
        }
        Ok(Loaded { module, cached: false })
    }
}

/// Everything a compiled artefact depends on, as 64 hex digits.
fn key(engine: &Engine, source: &Source) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    hasher.write(b"wasmill compiled module, layout 1");
    hasher.write(&source.sha256);
    hasher.write_u8(match source.format {
        Format::Component => b'c',
        Format::CoreModule => b'm',
    });
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize())
}

/// Lets `Hash` feed SHA-256.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |value, byte| (value << 8) | u64::from(*byte))
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes the folder if need be; the error says why it may not be used, and how to mend that.
fn prepare_dir(dir: &Path) -> Result<(), String> {
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) => return Err(format!("it cannot be made: {error}; name another one in `cache_dir`")),
    }
    let metadata = fs::metadata(dir).map_err(|error| format!("it cannot be read: {error}"))?;
    private(&metadata).map_err(|reason| format!("{reason}: run `chmod 700` on it, or name another one in `cache_dir`"))
}

/// Checks that nobody but this user (and root) can change what is there.
fn private(metadata: &Metadata) -> Result<(), &'static str> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user");
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("other users can write to it");
    }
    Ok(())
}

/// The artefact for a key, if there is one that can be trusted. One that cannot is removed.
fn find<T: Artefact>(dir: &Path, key: &str, engine: &Engine) -> Option<T> {
    let file = artefact_of(dir, key)?;
    let sum = file_name(&file)
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(SUFFIX))?
        .to_owned();
    let mapped = verify(&file, &sum).and_then(|()| T::map(engine, &file).map_err(|error| format!("{error:#}")));
    match mapped {
        Ok(module) => {
            mark_used(&file);
            Some(module)
        }
        Err(reason) => {
            warn!(file = %file.display(), reason, "cached module is not usable: compiling it again");
            if let Err(error) = fs::remove_file(&file) {
                debug!(file = %file.display(), %error, "cannot remove the cached module");
            }
            None
        }
    }
}

fn artefact_of(dir: &Path, key: &str) -> Option<PathBuf> {
    artefacts(dir)
        .ok()?
        .into_iter()
        .find(|file| file_name(file).strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// The time of last use decides what makes room; not being able to set it only makes that less exact.
fn mark_used(file: &Path) {
    let touched = File::options().append(true).open(file).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        debug!(file = %file.display(), %error, "cannot mark the cached module as used");
    }
}

/// Checks ownership, permissions and content of an artefact before anything of it is mapped.
fn verify(file: &Path, sum: &str) -> Result<(), String> {
    let mut opened = File::open(file).map_err(|error| format!("it cannot be read: {error}"))?;
    let metadata = opened.metadata().map_err(|error| format!("it cannot be read: {error}"))?;
    private(&metadata)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 256 << 10];
    loop {
        let read = opened.read(&mut chunk).map_err(|error| format!("it cannot be read: {error}"))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
    }
    if hex(&digest.finalize()) != sum {
        return Err("it is damaged (its content does not have the checksum in its name)".to_owned());
    }
    Ok(())
}

/// Writes an artefact under its final name in one step.
fn store(dir: &Path, key: &str, artefact: &[u8]) -> io::Result<()> {
    static UNFINISHED: AtomicU64 = AtomicU64::new(0);
    let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
    let unfinished = dir.join(format!("{}.{}.{number}{UNFINISHED_SUFFIX}", &key[..16], std::process::id()));
    let sum = hex(&Sha256::digest(artefact));
    // A number can come again after a restart with the same process id; what it left behind is of no use.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(artefact))
        .and_then(|()| fs::rename(&unfinished, dir.join(format!("{key}.{sum}{SUFFIX}"))));
    if written.is_err() {
        // The error to report is the first one; this only tidies up.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Keeps the newest artefacts within both bounds and removes the rest, and files never finished.
fn prune(dir: &Path, artefacts_max: usize, bytes_max: u64) {
    let now = SystemTime::now();
    let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(modified) = metadata.modified() else { continue };
        let name = entry.file_name();
        if ends_with(&name, SUFFIX) {
            kept.push((modified, metadata.len(), path));
        } else if ends_with(&name, UNFINISHED_SUFFIX) && now.duration_since(modified).unwrap_or_default() > STALE_AFTER
        {
            remove_pruned(&path);
        }
    }
    kept.sort_by_key(|(modified, _, _)| std::cmp::Reverse(*modified));
    let mut bytes = 0u64;
    for (index, (_, len, path)) in kept.iter().enumerate() {
        bytes = bytes.saturating_add(*len);
        // The newest one stays whatever its size: it was just asked for.
        if index > 0 && (index >= artefacts_max || bytes > bytes_max) {
            remove_pruned(path);
        }
    }
}

fn remove_pruned(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        debug!(file = %path.display(), %error, "cannot remove an old cached module");
    }
}

fn artefacts(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if ends_with(&entry.file_name(), SUFFIX) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn ends_with(name: &OsString, suffix: &str) -> bool {
    name.to_str().is_some_and(|name| name.ends_with(suffix))
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    use std::os::unix::fs::PermissionsExt;

    fn artefact(dir: &Path, name: &str, len: usize, age_s: u64) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, vec![0; len]).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(age_s);
        File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        path
    }

    #[test]
    fn pruning_keeps_the_newest_within_count_and_bytes_and_sweeps_stale_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let newest = artefact(dir.path(), "a.1.cwasm", 10, 1);
        let second = artefact(dir.path(), "b.1.cwasm", 10, 2);
        let third = artefact(dir.path(), "c.1.cwasm", 10, 3);
        let leftover = artefact(dir.path(), "x.1.0.tmp", 1, 7200);
        let being_written = artefact(dir.path(), "y.1.0.tmp", 1, 1);
        let foreign = artefact(dir.path(), "README", 1, 7200);
        prune(dir.path(), 2, 1000);
        assert!(newest.exists() && second.exists() && !third.exists());
        assert!(!leftover.exists() && being_written.exists() && foreign.exists());
        prune(dir.path(), 2, 5);
        assert!(newest.exists() && !second.exists());
    }

    #[test]
    fn a_new_folder_is_private_and_one_that_others_can_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep").join("cache");
        prepare_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o770)).unwrap();
        let reason = prepare_dir(&dir).unwrap_err();
        assert!(reason.starts_with("other users can write to it"), "{reason}");
        assert!(reason.contains("chmod 700"), "{reason}");
    }

    #[test]
    fn a_file_where_the_folder_should_be_means_no_cache() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(ModuleCache::open(Some(file.path().to_path_buf())).dir.is_none());
    }

    #[test]
    fn verification_refuses_changed_content_and_files_that_others_can_write_to() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &"0".repeat(64), b"artefact").unwrap();
        let file = artefacts(dir.path()).unwrap().remove(0);
        let sum = hex(&Sha256::digest(b"artefact"));
        assert_eq!(file_name(&file), format!("{}.{sum}.cwasm", "0".repeat(64)));
        verify(&file, &sum).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(verify(&file, &sum).unwrap_err(), "other users can write to it");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&file, b"artefacT").unwrap();
        assert!(verify(&file, &sum).unwrap_err().contains("damaged"));
    }
}
