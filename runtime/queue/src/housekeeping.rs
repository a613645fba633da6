//! What keeps the store's file in order beside the commits: checkpoints and giving room back. On a thread and a
//! connection of its own, so that no commit waits for a checkpoint.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::room::log_bytes;

/// Without a nudge for so long the queue is quiet, and the file is tidied.
const QUIET: Duration = Duration::from_secs(2);
/// Between two steps of giving room back, for commits to come in between.
const BETWEEN_STEPS: Duration = Duration::from_millis(5);
/// On a full disk every refused send nudges: that housekeeping fails is said once in so long.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
/// A log with so many pages in use is begun anew at the price of one short pause: at the second nudge that finds it busy.
/// It keeps its length, so that what follows writes over it: new pages would cost the system more.
const LOG_PAGES_MAX: i64 = 7000;
/// Free pages that are not worth giving back.
const FREE_PAGES_KEPT: i64 = 1024;
/// Pages given back between two looks at the nudges.
const FREE_PAGES_PER_STEP: usize = 256;

/// Why the housekeeper is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nudge {
    /// The log has grown by as much as one checkpoint should copy.
    LogIsLong,
    /// A send was refused: the room that the log takes is wanted.
    RoomIsShort,
}

/// Runs until the sender of nudges is dropped; a last checkpoint then leaves one file. `may_write` turns false when the
/// store has failed: what is in the log then is for the next start to judge, by its checksums. `log_may_begin_anew` is for
/// the committer to see between two groups.
pub(crate) fn run(
    path: &Path,
    nudges: &Receiver<Nudge>,
    log_may_begin_anew: &AtomicBool,
    may_write: impl Fn() -> bool,
) {
    let connection = match open(path) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(%error, "the queue's housekeeper cannot open the store: its log will grow");
            return;
        }
    };
    let mut wait = QUIET;
    // An earlier run may have left something to tidy.
    let mut tidy = false;
    let mut warned = None;
    loop {
        let event = nudges.recv_timeout(wait);
        let step = match event {
            Err(RecvTimeoutError::Disconnected) if !may_write() => return,
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = empty_log(&connection) {
                    tracing::warn!(%error, "last checkpoint failed: the next start does it");
                }
                return;
            }
            _ if !may_write() => Ok(QUIET),
            Ok(nudge) => {
                tidy = false;
                let tidied = match nudge {
                    Nudge::LogIsLong => keep_log_short(&connection, log_may_begin_anew),
                    Nudge::RoomIsShort if log_bytes(path) == 0 => Ok(()),
                    Nudge::RoomIsShort => empty_log(&connection),
                };
                tidied.map(|()| QUIET)
            }
            // Small writes do not nudge: an empty log says that there were none either.
            Err(RecvTimeoutError::Timeout) if tidy && log_bytes(path) == 0 => Ok(QUIET),
            Err(RecvTimeoutError::Timeout) => give_room_back(&connection).map(|all| {
                tidy = all;
                if all { QUIET } else { BETWEEN_STEPS }
            }),
        };
        wait = step.unwrap_or_else(|error| {
            if is_due(&mut warned, Instant::now()) {
                tracing::warn!(%error, "housekeeping of the queue's store failed, it is tried again");
            }
            QUIET
        });
    }
}

/// Whether a warning is to be said now; then the next is not for a while.
fn is_due(warned: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = warned.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_WARNINGS);
    if is_due {
        *warned = Some(now);
    }
    is_due
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    Ok(connection)
}

/// Copies the log into the file as far as nobody is in the way. A log that is long all the same is begun anew by its only
/// writer, to whom little is left to copy: from here one would wait for a gap between commits that a busy queue does not have,
/// and have the commits wait for all of the copying.
fn keep_log_short(connection: &Connection, log_may_begin_anew: &AtomicBool) -> rusqlite::Result<()> {
    if copy_log(connection)? > LOG_PAGES_MAX {
        copy_log(connection)?;
        log_may_begin_anew.store(true, Ordering::Release);
    }
    Ok(())
}

/// Copies what can be copied while others write. Tells how many pages the log has.
fn copy_log(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

/// Copies the whole log into the file and gives its room back.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Shrinks the file by a step, and empties the log when no room is left to give back. True when that is all.
fn give_room_back(connection: &Connection) -> rusqlite::Result<bool> {
    let free_pages: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if free_pages <= FREE_PAGES_KEPT {
        empty_log(connection)?;
        return Ok(true);
    }
    // Each row that is stepped over frees one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({FREE_PAGES_PER_STEP})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(false)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tempfile::TempDir;

    use super::*;
    use crate::clock::ClockMark;
    use crate::store::{self, Durability, Store};

    #[test]
    fn a_failure_that_lasts_is_said_once_a_minute() {
        let (mut warned, begun) = (None, Instant::now());
        let said = (0..180).filter(|second| is_due(&mut warned, begun + Duration::from_secs(*second)));
        assert_eq!(said.collect::<Vec<_>>(), [0, 60, 120]);
    }

    /// Each one another value: SQLite writes no page that is what it was.
    fn write(store: &mut Store) {
        let tick_ms = store.log_pages();
        let mark = ClockMark { tick_ms, unix_ms: 1, boot_id: String::new(), since_boot_ms: 1 };
        store.write(std::iter::empty(), Some((&mark, 1))).unwrap();
    }

    #[test]
    fn a_long_log_is_begun_anew_between_two_commits_once_no_reader_is_in_the_way() {
        let directory = TempDir::new().unwrap();
        let mut store = store::open(directory.path(), Durability::Os, [0; 16]).unwrap().writer;
        let is_long = |store: &Store| store.log_pages() > LOG_PAGES_MAX.cast_unsigned();
        while !is_long(&store) {
            write(&mut store);
        }
        // A reader that is still where the log was before the last commit keeps the housekeeper from copying that.
        let reader = Connection::open(store.path()).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        reader.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).unwrap();
        write(&mut store);
        let log_may_begin_anew = AtomicBool::new(false);
        keep_log_short(&open(store.path()).unwrap(), &log_may_begin_anew).unwrap();
        assert!(log_may_begin_anew.load(Ordering::Acquire));
        assert!(!store.begin_log_anew().unwrap(), "the reader would read what was written over");
        write(&mut store);
        assert!(is_long(&store), "the commits go on");
        reader.execute_batch("COMMIT").unwrap();
        assert!(store.begin_log_anew().unwrap());
        write(&mut store);
        assert!(store.log_pages() < 10, "{} pages", store.log_pages());
    }
}
