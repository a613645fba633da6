//! Uploaded code: one file per blob, named by its SHA-256, in a folder beside the state file.
//!
//! A blob is on disk before a record names it, so a crash leaves at most a file that nothing names; those are removed at
//! the next start, and whenever a record goes. A blob that was just put is held by its [`Held`] until it is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::functions::record::Sha256;

/// What all code may take together, as on AWS.
pub(crate) const TOTAL_MAX_BYTES: u64 = 80_530_636_800;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct CodeStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Without a state file the code goes with the process, too.
    _temporary: Option<tempfile::TempDir>,
    /// How many hold each blob that no record may name yet.
    held: Mutex<BTreeMap<Sha256, u32>>,
    /// One blob is written at a time: two of the same would share a file.
    writing: Mutex<()>,
}

/// A blob that stays, named or not.
#[derive(Debug)]
pub(crate) struct Held {
    inner: Arc<Inner>,
    pub(crate) sha256: Sha256,
    pub(crate) size_bytes: u64,
}

/// Why a blob was not stored.
#[derive(Debug)]
pub(crate) enum NotStored {
    /// All code together would be too large.
    Full,
    /// The disk's words.
    Failed(io::Error),
}

impl CodeStore {
    /// In that folder, which is made when the first blob comes.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self::new(folder, None)
    }

    /// In a folder that goes with the process.
    pub(crate) fn temporary() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self::new(folder.path().to_owned(), Some(folder)))
    }

    fn new(folder: PathBuf, temporary: Option<tempfile::TempDir>) -> Self {
        Self {
            inner: Arc::new(Inner { folder, _temporary: temporary, held: Mutex::default(), writing: Mutex::default() }),
        }
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Where a blob is, if it is there.
    pub(crate) fn path(&self, sha256: Sha256) -> PathBuf {
        self.inner.folder.join(sha256.hex())
    }

    /// Stores a blob durably. Blocks.
    pub(crate) fn put(&self, blob: &[u8]) -> Result<Held, NotStored> {
        let sha256 = Sha256::of(blob);
        *self.inner.held().entry(sha256).or_default() += 1;
        let held = Held { inner: Arc::clone(&self.inner), sha256, size_bytes: blob.len() as u64 };
        let path = self.path(sha256);
        let _writing = self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.check(sha256).is_ok() {
            return Ok(held);
        }
        let folder = &self.inner.folder;
        let write = || {
            fs::create_dir_all(folder)?;
            if total_bytes(folder)?.saturating_add(held.size_bytes) > TOTAL_MAX_BYTES {
                return Ok(false);
            }
            let unfinished = path.with_extension("new");
            let mut file = File::create(&unfinished)?;
            file.write_all(blob)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(folder)?.sync_all()?;
            Ok(true)
        };
        match write() {
            Ok(true) => Ok(held),
            Ok(false) => Err(NotStored::Full),
            Err(error) => Err(NotStored::Failed(error)),
        }
    }

    /// Looks whether a blob is there and is what its name says. Blocks.
    pub(crate) fn check(&self, sha256: Sha256) -> io::Result<()> {
        use sha2::Digest;
        let mut file = File::open(self.path(sha256))?;
        let mut hasher = sha2::Sha256::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => hasher.update(&piece[..read]),
            }
        }
        let found: [u8; 32] = hasher.finalize().into();
        if found == sha256.0 { Ok(()) } else { Err(io::Error::other("its contents are not what its name says")) }
    }

    /// Reads a blob whole. Blocks.
    pub(crate) fn read(&self, sha256: Sha256) -> io::Result<Vec<u8>> {
        fs::read(self.path(sha256))
    }

    /// Removes what is neither named nor held. Blocks. What cannot be removed stays for the next time.
    pub(crate) fn collect(&self, named: &BTreeSet<Sha256>) {
        let entries = match fs::read_dir(&self.inner.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return warn(&self.inner.folder, &error),
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            // Nobody can begin to hold a blob while it is being removed.
            let held = self.inner.held();
            let stem = name.to_str().and_then(|name| Sha256::from_hex(name.strip_suffix(".new").unwrap_or(name)));
            // Files that others put there are none of ours.
            let Some(sha256) = stem else { continue };
            let is_finished = name.to_str().is_some_and(|name| !name.ends_with(".new"));
            if held.contains_key(&sha256) || (is_finished && named.contains(&sha256)) {
                continue;
            }
            if let Err(error) = fs::remove_file(entry.path()) {
                warn(&entry.path(), &error);
            }
        }
    }

    /// What all code takes now. Blocks.
    pub(crate) fn total_bytes(&self) -> u64 {
        total_bytes(&self.inner.folder).unwrap_or(0)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Sha256, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.inner.held();
        if let Some(count) = held.get_mut(&self.sha256) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.sha256);
            }
        }
    }
}

fn total_bytes(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    Ok(entries.filter_map(Result::ok).filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum())
}

fn warn(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "code that nothing needs any more is not removed");
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_blob_is_one_file_by_its_hash_however_often_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::at(folder.path().join("deep/code"));
        let first = store.put(b"one").unwrap();
        let again = store.put(b"one").unwrap();
        assert_eq!(first.sha256, again.sha256);
        assert_eq!(files(store.folder()), [first.sha256.hex()]);
        assert_eq!(store.read(first.sha256).unwrap(), b"one");
        assert_eq!(store.total_bytes(), 3);
    }

    #[test]
    fn only_what_is_neither_named_nor_held_is_collected() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::at(folder.path().to_owned());
        let held = store.put(b"held").unwrap();
        let named = store.put(b"named").unwrap().sha256;
        let gone = store.put(b"gone").unwrap().sha256;
        fs::write(folder.path().join(format!("{}.new", gone.hex())), "to").unwrap();
        fs::write(folder.path().join(format!("{}.new", named.hex())), "na").unwrap();
        fs::write(folder.path().join("README"), "mine").unwrap();
        store.collect(&BTreeSet::from([named]));
        let mut expected = vec!["README".to_owned(), held.sha256.hex(), named.hex()];
        expected.sort();
        assert_eq!(files(folder.path()), expected);
        drop(held);
        store.collect(&BTreeSet::new());
        assert_eq!(files(folder.path()), ["README"]);
    }

    #[test]
    fn a_damaged_blob_is_seen_and_mended_by_the_next_upload() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::at(folder.path().to_owned());
        let sha256 = store.put(b"good").unwrap().sha256;
        assert!(store.check(sha256).is_ok());
        fs::write(store.path(sha256), "bad").unwrap();
        assert_eq!(store.check(sha256).unwrap_err().to_string(), "its contents are not what its name says");
        store.put(b"good").unwrap();
        assert_eq!(store.read(sha256).unwrap(), b"good");
        fs::remove_file(store.path(sha256)).unwrap();
        assert_eq!(store.check(sha256).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("code"), "a file").unwrap();
        let store = CodeStore::at(folder.path().join("code"));
        assert!(matches!(store.put(b"x"), Err(NotStored::Failed(_))));
        assert!(store.inner.held().is_empty(), "nothing is held that is not there");
        store.collect(&BTreeSet::new());
    }
}
