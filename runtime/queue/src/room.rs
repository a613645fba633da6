//! Room on disk: whether a send may still be stored, so that everything else still can.
//!
//! A delete takes room before it gives any back: it is written to the log first, and the log's pages then go to the file.
//! A disk that sends have filled to the last byte would take no delete any more, and no checkpoint to empty the log. So
//! sends are refused while there is still room for both.

use std::path::{Path, PathBuf};

/// Kept free for what is not a send: deletes, receive counts, queue settings.
const HEADROOM_BYTES: u64 = 2 << 20;

/// The disk under a store's file.
#[derive(Debug)]
pub(crate) struct Room {
    file: PathBuf,
}

impl Room {
    pub(crate) fn of(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// How much room is left once `bytes` of new messages are stored; none when they do not fit. `reusable_bytes` of the
    /// file itself are free.
    ///
    /// The log grows by the messages at once; the checkpoint then needs room in the file for them and for all that the
    /// log holds already, before the log gives its own back. A disk that cannot be asked counts as having room: the
    /// write itself will tell.
    pub(crate) fn spare_bytes(&self, bytes: u64, reusable_bytes: u64) -> Option<u64> {
        let Ok(disk) = rustix::fs::statvfs(&self.file) else { return Some(0) };
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let for_the_log = bytes.saturating_add(HEADROOM_BYTES);
        let for_the_file = log_bytes(&self.file).saturating_add(bytes).saturating_sub(reusable_bytes);
        free_bytes.checked_sub(for_the_log.saturating_add(for_the_file))
    }
}

/// What a store takes of its disk, and what is left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) file_bytes: u64,
    pub(crate) log_bytes: u64,
    /// None when the disk cannot be asked.
    pub(crate) free_bytes: Option<u64>,
}

impl Usage {
    pub(crate) fn of(file: &Path) -> Self {
        let disk = rustix::fs::statvfs(file);
        Self {
            file_bytes: std::fs::metadata(file).map_or(0, |metadata| metadata.len()),
            log_bytes: log_bytes(file),
            free_bytes: disk.ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        }
    }
}

/// The length of the log beside a store's file; 0 where there is none.
pub(crate) fn log_bytes(file: &Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_fits_as_long_as_its_log_and_its_place_in_the_file_do() {
        let room = Room::of(&std::env::temp_dir());
        assert!(room.spare_bytes(0, 0).is_some(), "this test needs a few MiB of disk");
        assert!(room.spare_bytes(u64::MAX / 4, u64::MAX).is_none(), "the log is never reusable space");
        assert!(
            Room::of(Path::new("/nowhere/at/all")).spare_bytes(u64::MAX, 0).is_some(),
            "an unknown disk is left to the write"
        );
    }
}
