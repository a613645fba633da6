//! The disks behind handlers' `/tmp`: a folder per instance, and how much may be in it.
//!
//! They lie in one folder of this process, made when the first function asks for one and gone with the sandbox. A process that was
//! killed leaves its folder behind; whoever comes next sweeps it, which a lock on a file in it tells from one that lives.
//!
//! What is in a disk is counted from above: what an operation may add is added before it, what a removal gives back is only
//! known when the folder is measured, which happens when the count says full. Files count by their length, so that a sparse one
//! is no smaller than it looks; deleted ones count as long as they are open.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use tokio::runtime::Handle;
use tracing::{debug, warn};

use crate::limits::{MIB, OPEN_FILES_PER_INSTANCE};

/// The largest disk, in MiB: Lambda's own limit.
pub(crate) const DISK_MIB_MAX: u32 = 10_240;

/// Files and folders that a disk may have. Each costs the machine's disk a block or two, whatever its length; to measure as many
/// takes some milliseconds.
const ENTRIES_MAX: u64 = 10_000;

/// Folders in folders. Taking a tree down needs an open folder for each level.
const DEPTH_MAX: usize = 32;

/// How the folders of processes are called.
const PREFIX: &str = "wasmill-tmp-";
const LOCK: &str = "lock";

/// How often a removal is tried while others remove parts of the same folder.
const REMOVALS: u32 = 5;

/// How long a process may take from making its folder to locking it.
const UNLOCKED_MAX: Duration = Duration::from_secs(60);

/// Makes the folder of this process when it is needed.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where it is made.
    parent: PathBuf,
    /// The folder, as long as a disk or a function keeps it.
    folder: Mutex<Weak<ScratchFolder>>,
}

impl Scratch {
    pub(crate) fn new(parent: PathBuf) -> Self {
        Self { parent, folder: Mutex::default() }
    }

    /// The folder of this process. What dead processes left is removed first.
    pub(crate) fn folder(&self) -> io::Result<Arc<ScratchFolder>> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folder.upgrade() {
            return Ok(folder);
        }
        sweep(&self.parent);
        let made = Arc::new(ScratchFolder::make(&self.parent)?);
        *folder = Arc::downgrade(&made);
        Ok(made)
    }

    /// Removes the folder now, with all that is in it and whoever keeps it: the process is about to end, and threads that
    /// would still remove disks end with it.
    pub(crate) fn close(&self) {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(folder) = folder {
            folder.remove();
        }
    }
}

/// Removes the folders of processes that are no more. None of it failing is anybody's failure.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Not of a link's target, and of nobody else's folder.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
        if is_ours && is_abandoned(&path, &metadata) {
            match fs::remove_dir_all(&path) {
                Ok(()) => debug!(folder = %path.display(), "removed what a process left behind"),
                Err(error) => warn!(folder = %path.display(), %error, "cannot remove what a process left behind"),
            }
        }
    }
}

fn is_abandoned(folder: &Path, metadata: &fs::Metadata) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => {
            let age = metadata.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
            age.is_some_and(|age| age > UNLOCKED_MAX)
        }
    }
}

/// The folder that all disks of this process are in.
#[derive(Debug)]
pub(crate) struct ScratchFolder {
    path: PathBuf,
    /// Locked as long as the process lives.
    _lock: File,
    next: AtomicU64,
}

impl ScratchFolder {
    fn make(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}-{:x}", std::process::id(), since_epoch.as_nanos()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create_new(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock, next: AtomicU64::new(0) })
    }

    /// A new, empty disk.
    pub(crate) fn disk(self: &Arc<Self>, function: &str, mib: u32, runtime: Handle) -> io::Result<Disk> {
        let path = self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        let root = File::open(&path)?;
        let bytes_max = u64::from(mib) * MIB;
        Ok(Disk {
            path,
            root,
            bytes_max,
            used: Mutex::default(),
            loose: AtomicBool::new(false),
            said: AtomicBool::new(false),
            function: function.to_owned(),
            runtime,
            folder: Arc::clone(self),
        })
    }
}

impl ScratchFolder {
    fn remove(&self) {
        // A disk that is being removed at the same time may take away what was just seen here.
        for attempt in 1..=REMOVALS {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.path.exists() => return,
                Err(error) if attempt == REMOVALS => {
                    debug!(folder = %self.path.display(), %error, "cannot remove the folder of handlers' files");
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// One instance's disk. Its folder goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    root: File,
    bytes_max: u64,
    used: Mutex<Used>,
    /// True when there may be less in it than the count says.
    loose: AtomicBool,
    /// True when it was full once and that was said.
    said: AtomicBool,
    function: String,
    runtime: Handle,
    folder: Arc<ScratchFolder>,
}

#[derive(Debug, Default)]
struct Used {
    /// At least what is there.
    total: Total,
    /// Files that were opened: of those that were deleted since, what is in them is in no folder.
    opened: Vec<Weak<File>>,
}

/// What is in a folder.
#[derive(Debug, Default, Clone, Copy)]
struct Total {
    bytes: u64,
    entries: u64,
}

impl Disk {
    /// Where it is on this machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes room for so many bytes and entries more.
    pub(crate) fn take(&self, bytes: u64, entries: u64) -> Result<(), Full> {
        let mut used = self.used();
        let mut wanted = self.with(used.total, bytes, entries);
        if wanted.is_none() && self.loose.swap(false, Ordering::SeqCst) {
            used.total = self.measure(&mut used.opened).map_err(|error| {
                warn!(folder = %self.path.display(), %error, "cannot measure a handler's files: it gets no more room");
                Full
            })?;
            wanted = self.with(used.total, bytes, entries);
        }
        used.total = wanted.ok_or_else(|| self.full())?;
        if bytes + entries > 0 {
            // It may come to less: a write that fails, a file that was there.
            self.loosen();
        }
        Ok(())
    }

    /// Says so in the log, once: not every guest's libc hands the reason on (wasi-libc makes EIO of what a stream was refused).
    fn full(&self) -> Full {
        if !self.said.swap(true, Ordering::SeqCst) {
            let (function, size_mib) = (&self.function, self.bytes_max / MIB);
            warn!(target: "wasmill::files", function, size_mib, entries_max = ENTRIES_MAX, "a handler's /tmp is full");
        }
        Full
    }

    fn with(&self, total: Total, bytes: u64, entries: u64) -> Option<Total> {
        let total = Total { bytes: total.bytes.saturating_add(bytes), entries: total.entries.saturating_add(entries) };
        (total.bytes <= self.bytes_max && total.entries <= ENTRIES_MAX).then_some(total)
    }

    /// Takes room for what an operation adds that leaves a file with bytes up to `end`.
    pub(crate) fn take_up_to(&self, file: &File, end: Option<u64>) -> Result<(), Full> {
        let length = file.metadata().map_err(|_| Full)?.len();
        self.take(end.ok_or(Full)?.saturating_sub(length), 0)
    }

    /// Something was removed or made shorter.
    pub(crate) fn loosen(&self) {
        self.loose.store(true, Ordering::SeqCst);
    }

    /// A file was opened.
    pub(crate) fn opened(&self, file: &Arc<File>) {
        let mut used = self.used();
        if used.opened.len() >= 2 * OPEN_FILES_PER_INSTANCE {
            used.opened.retain(|file| file.strong_count() > 0);
        }
        used.opened.push(Arc::downgrade(file));
    }

    /// True when something may be made in a folder, so many folders below the disk's own.
    pub(crate) fn may_have(depth: usize) -> bool {
        depth <= DEPTH_MAX
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, opened: &mut Vec<Weak<File>>) -> io::Result<Total> {
        let mut total = Total::default();
        let mut seen = HashSet::new();
        measure(self.root.as_fd(), 0, &mut total, &mut seen)?;
        opened.retain(|file| file.strong_count() > 0);
        for file in opened.iter().filter_map(Weak::upgrade) {
            let metadata = file.metadata()?;
            if metadata.nlink() == 0 && seen.insert(metadata.ino()) {
                total.bytes = total.bytes.saturating_add(metadata.len());
            }
        }
        Ok(total)
    }
}

/// Counts what is in a folder. `seen`: the files that have several names.
fn measure(folder: BorrowedFd<'_>, depth: usize, total: &mut Total, seen: &mut HashSet<u64>) -> io::Result<()> {
    // Deeper than anything can have been made.
    if depth > 2 * DEPTH_MAX {
        return Err(io::Error::other("it is too deep"));
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        total.entries += 1;
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = openat(folder, name, flags, Mode::empty())?;
            measure(below.as_fd(), depth + 1, total, seen)?;
        } else if stat.st_nlink == 1 || seen.insert(stat.st_ino) {
            total.bytes = total.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
    }
    Ok(())
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Thousands of files may take a while: not on a guest's thread. If the sandbox is closing, its folder goes with all in it.
        let (path, folder) = (std::mem::take(&mut self.path), Arc::clone(&self.folder));
        self.runtime.spawn_blocking(move || {
            if let Err(error) = fs::remove_dir_all(&path) {
                debug!(folder = %path.display(), %error, "cannot remove a handler's files");
            }
            drop(folder);
        });
    }
}

/// How many files, folders and streams of files a guest has open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenFiles {
    count: Arc<AtomicUsize>,
}

/// One of them, as long as it is not dropped.
#[derive(Debug)]
pub(crate) struct OpenFile {
    count: Arc<AtomicUsize>,
    disk: Option<Arc<Disk>>,
}

impl OpenFiles {
    /// One more; none when it has as many as it may.
    pub(crate) fn one_more(&self, disk: Option<&Arc<Disk>>) -> Option<OpenFile> {
        if self.count.fetch_add(1, Ordering::SeqCst) >= OPEN_FILES_PER_INSTANCE {
            self.count.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(OpenFile { count: Arc::clone(&self.count), disk: disk.cloned() })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        if let Some(disk) = &self.disk {
            // It may have been the last to hold a deleted file.
            disk.loosen();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn disk(parent: &Path, mib: u32) -> Disk {
        Scratch::new(parent.to_owned()).folder().unwrap().disk("f", mib, Handle::current()).unwrap()
    }

    #[tokio::test]
    async fn what_was_removed_is_room_again_and_what_is_deleted_but_open_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let disk = disk(parent.path(), 1);
        disk.take(MIB, 1).unwrap();
        let path = disk.path().join("large");
        fs::write(&path, vec![0; MIB as usize]).unwrap();
        assert_eq!(disk.take(1, 0), Err(Full));
        let open = Arc::new(File::open(&path).unwrap());
        disk.opened(&open);
        fs::remove_file(&path).unwrap();
        disk.loosen();
        assert_eq!(disk.take(1, 0), Err(Full), "it is still open");
        drop(open);
        disk.loosen();
        assert_eq!(disk.take(MIB, 0), Ok(()));
    }

    #[tokio::test]
    async fn sparse_files_count_by_their_length_and_a_file_of_two_names_once() {
        let parent = tempfile::tempdir().unwrap();
        let disk = disk(parent.path(), 2);
        fs::create_dir_all(disk.path().join("a/b")).unwrap();
        File::create(disk.path().join("a/b/sparse")).unwrap().set_len(MIB).unwrap();
        fs::hard_link(disk.path().join("a/b/sparse"), disk.path().join("again")).unwrap();
        let total = disk.measure(&mut Vec::new()).unwrap();
        assert_eq!((total.bytes, total.entries), (MIB, 4));
    }

    #[tokio::test]
    async fn a_disk_goes_with_its_instance_and_all_of_them_with_the_process() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path().to_owned());
        let folder = scratch.folder().unwrap();
        let disk = folder.disk("f", 1, Handle::current()).unwrap();
        let path = disk.path().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        drop(disk);
        for _ in 0..500 {
            if !path.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!path.exists());
        assert!(Arc::ptr_eq(&folder, &scratch.folder().unwrap()), "one folder serves all");
        drop(folder);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn closing_removes_the_folder_at_once_also_while_disks_are_being_removed() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path().to_owned());
        scratch.close();
        let folder = scratch.folder().unwrap();
        for _ in 0..20 {
            let disk = folder.disk("f", 1, Handle::current()).unwrap();
            for name in 0..50 {
                fs::write(disk.path().join(name.to_string()), "x").unwrap();
            }
            drop(disk);
        }
        scratch.close();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        drop(folder);
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new(parent.path().to_owned()).folder().unwrap();
        let dead = parent.path().join("wasmill-tmp-1-0-0");
        fs::create_dir_all(dead.join("0/deep")).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let elsewhere = parent.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, parent.path().join("wasmill-tmp-link")).unwrap();
        let new = parent.path().join("wasmill-tmp-2-0-0");
        fs::create_dir(&new).unwrap();
        let next = Scratch::new(parent.path().to_owned()).folder().unwrap();
        assert!(!dead.exists());
        assert!(living.path.exists() && next.path.exists() && elsewhere.exists());
        assert!(new.exists(), "it may be about to be locked");
    }
}
