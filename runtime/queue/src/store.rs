//! Queue data on disk: the only file that opens it. SQLite in WAL mode, one writer, one reader, one lock.
//!
//! Decisions are absent: what is written was decided by the state machine, when to write it by the committer.

mod forms;
mod load;
mod reader;

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::Null;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use serde_json::json;

use self::forms::{attempted_to_json, attributes_to_json, pairs_to_json};
pub(crate) use self::reader::Reader;
use crate::arn::QueueArn;
use crate::clock::ClockMark;
use crate::effect::{Effect, Move, MoveKind, QueueId, QueueRow, Renewal, Seq};
use crate::error::StorageError;
use crate::history::{FailedAttempt, History};
use crate::room::Room;
use crate::schema;

const DATABASE: &str = "queue.sqlite";
const LOCK: &str = "lock";
/// SQLite's default page.
const PAGE_BYTES: u64 = 4096;
/// Page cache of the writer; the reader gets SQLite's default.
const WRITER_CACHE_KIB: i64 = 4096;
/// Of the room that a look at the disk found, this part is stored before the next look: a message takes its room twice,
/// in the log and in the file, and others write there too.
const ROOM_CREDIT_SHARE: u64 = 8;
const ROOM_CREDIT_MAX_BYTES: u64 = 32 << 20;
/// How long the writer waits for another connection that writes, before it says so in the log and waits again.
const BUSY_WAIT: Duration = Duration::from_secs(10);
const BUSY_WAITS_MAX: u32 = 6;
/// How long the writer waits for readers of the log before it goes on with the old one.
const READERS_WAIT: Duration = Duration::from_millis(100);

/// How hard an acknowledged write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Synced: survives a power loss.
    #[default]
    Fsync,
    /// Handed to the operating system: survives SIGKILL, not a power loss.
    Os,
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the data directory {} is in use by another wasmill process", .0.display())]
    Locked(PathBuf),
    /// It cannot be made, read or written.
    #[error("the data directory {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A later version of the program wrote it.
    #[error("the data directory {} has format {found}, this version reads up to {known}", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// What it has.
        found: i64,
        /// The latest this program knows.
        known: i64,
    },
}

/// What a store knew when it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) writer: Store,
    pub(crate) reader: Reader,
    pub(crate) store_id: [u8; 16],
    pub(crate) queues: Vec<QueueRow>,
    /// Greater than every number ever given to a queue.
    pub(crate) next_queue: QueueId,
    /// Greater than every number ever given to a message.
    pub(crate) next_seq: Seq,
    pub(crate) mark: Option<ClockMark>,
}

/// The writing connection. Dropping it releases the directory.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    room: Room,
    /// So much more may be stored before the disk is asked again.
    room_credit_bytes: u64,
    log_pages: Arc<AtomicU64>,
    /// The messages that have a history, and perhaps some more: so that those without one cost nothing.
    explained: HashSet<Seq>,
    _lock: File,
}

/// Opens a data directory, making it where it is not there. `fresh_id` becomes the id of a store that is new.
pub(crate) fn open(directory: &Path, durability: Durability, fresh_id: [u8; 16]) -> Result<Opened, OpenError> {
    let unusable = |reason: String| OpenError::Unusable { path: directory.to_owned(), reason };
    fs::create_dir_all(directory).map_err(|error| unusable(error.to_string()))?;
    let lock = lock(directory)?;
    let path = directory.join(DATABASE);
    let in_sql = |error: rusqlite::Error| unusable(format!("{DATABASE}: {error}"));

    let mut connection = Connection::open(&path).map_err(in_sql)?;
    let found = schema::version(&connection).map_err(in_sql)?;
    if found > schema::VERSION {
        return Err(OpenError::NewerFormat { path: directory.to_owned(), found, known: schema::VERSION });
    }
    let journal_mode = configure(&connection, durability).map_err(in_sql)?;
    if journal_mode != "wal" {
        return Err(unusable(format!("{DATABASE}: its file system does not support write-ahead logging")));
    }
    schema::migrate(&mut connection, found).map_err(in_sql)?;
    let store_id = store_id(&connection, fresh_id).map_err(in_sql)?;
    // A purge may have come between a receive and its being written.
    for table in ["deliveries", "histories"] {
        let orphans = format!("DELETE FROM {table} WHERE seq NOT IN (SELECT seq FROM messages)");
        connection.execute(&orphans, []).map_err(in_sql)?;
    }
    let explained = load::read_explained(&connection).map_err(in_sql)?;
    let queues = load::read_queues(&connection).map_err(in_sql)?;
    let next_seq = load::read_next_seq(&connection).map_err(in_sql)?;
    let next_queue = load::read_next_queue(&connection).map_err(in_sql)?;
    let mark = load::read_mark(&connection).map_err(in_sql)?;
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(in_sql)?;
    // Else a statement with a range is planned anew each time that its bounds change: for the reader, at every read.
    reader.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(in_sql)?;
    let log_pages = count_log_pages(&mut connection).map_err(in_sql)?;
    let room = Room::of(&path);
    let writer = Store { connection, room, room_credit_bytes: 0, log_pages, explained, path, _lock: lock };
    Ok(Opened { writer, reader: Reader::new(reader), store_id, queues, next_queue, next_seq, mark })
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let unusable =
        |error: std::io::Error| OpenError::Unusable { path: directory.to_owned(), reason: error.to_string() };
    let file = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Sets the connection up. Tells the journal mode that came of it.
fn configure(connection: &Connection, durability: Durability) -> rusqlite::Result<String> {
    // Must stand before the first table is made; it does nothing later.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let journal_mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let synchronous = match durability {
        Durability::Fsync => "FULL",
        Durability::Os => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // A checkpoint inside a commit stalls its callers: the housekeeper does them.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(journal_mode)
}

/// Counts the pages in the log: SQLite tells after each commit.
fn count_log_pages(connection: &mut Connection) -> rusqlite::Result<Arc<AtomicU64>> {
    let log_pages = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&log_pages);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(log_pages)
}

fn store_id(connection: &Connection, fresh: [u8; 16]) -> rusqlite::Result<[u8; 16]> {
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', ?1)", [fresh])?;
    connection.query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| row.get(0))
}

impl Store {
    /// The file, for opening another connection to it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Pages in the log since it was last begun anew.
    pub(crate) fn log_pages(&self) -> u64 {
        self.log_pages.load(Ordering::Relaxed)
    }

    /// Copies what is left of the log into the file, so that the next write begins it anew. Where a reader is in the way
    /// for long it goes on as it is: false.
    pub(crate) fn begin_log_anew(&self) -> rusqlite::Result<bool> {
        self.connection.busy_timeout(READERS_WAIT)?;
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        self.connection.busy_timeout(BUSY_WAIT)?;
        Ok(busy? == 0)
    }

    /// Whether the disk has room for so much more in new messages.
    pub(crate) fn has_room_for(&mut self, bytes: u64) -> bool {
        if let Some(left) = self.room_credit_bytes.checked_sub(bytes) {
            self.room_credit_bytes = left;
            return true;
        }
        // Bounded by the file's size, and a page count of a file that SQLite has open: no error is to be expected.
        let free_pages: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap_or(0);
        let spare_bytes = self.room.spare_bytes(bytes, free_pages.cast_unsigned() * PAGE_BYTES);
        self.room_credit_bytes = spare_bytes.map_or(0, |spare| (spare / ROOM_CREDIT_SHARE).min(ROOM_CREDIT_MAX_BYTES));
        spare_bytes.is_some()
    }

    /// Writes effects, the clock's mark and the number of the next message in one transaction.
    pub(crate) fn write<'a>(
        &mut self,
        effects: impl Iterator<Item = &'a Effect>,
        mark: Option<(&ClockMark, Seq)>,
    ) -> Result<(), StorageError> {
        self.try_write(effects, mark).map_err(|error| storage_error(&error))
    }

    fn try_write<'a>(
        &mut self,
        effects: impl Iterator<Item = &'a Effect>,
        mark: Option<(&ClockMark, Seq)>,
    ) -> rusqlite::Result<()> {
        begin(&self.connection)?;
        let mut forgotten = Vec::new();
        let mut histories = Histories { known: &mut self.explained, forgotten: &mut forgotten };
        let written = apply_all(&self.connection, effects, mark, &mut histories)
            .and_then(|()| self.connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        if written.is_err() && !self.connection.is_autocommit() {
            // A failure of the whole transaction has rolled it back already.
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        if written.is_ok() {
            for seq in &forgotten {
                self.explained.remove(seq);
            }
        }
        written
    }
}

/// What is known of the messages that have a history while a transaction is written.
struct Histories<'a> {
    known: &'a mut HashSet<Seq>,
    /// Those that have none any more once it is committed.
    forgotten: &'a mut Vec<Seq>,
}

impl Histories<'_> {
    fn add(&mut self, connection: &Connection, seq: Seq, attempt: &FailedAttempt) -> rusqlite::Result<()> {
        // The message may have left in the same group.
        let is_there: Option<i64> = connection
            .prepare_cached("SELECT 1 FROM messages WHERE seq = ?1")?
            .query_row([seq.cast_signed()], |row| row.get(0))
            .optional()?;
        if is_there.is_none() {
            return Ok(());
        }
        let text: Option<String> = connection
            .prepare_cached("SELECT attempts FROM histories WHERE seq = ?1")?
            .query_row([seq.cast_signed()], |row| row.get(0))
            .optional()?;
        let mut history = text.map(|text| History::from_text(&text)).unwrap_or_default();
        history.add(attempt.clone());
        connection
            .prepare_cached("INSERT OR REPLACE INTO histories VALUES (?1, ?2)")?
            .execute(params![seq.cast_signed(), history.to_text()])?;
        self.known.insert(seq);
        Ok(())
    }

    fn forget(&mut self, connection: &Connection, seq: Seq) -> rusqlite::Result<()> {
        if self.known.contains(&seq) {
            connection.prepare_cached("DELETE FROM histories WHERE seq = ?1")?.execute([seq.cast_signed()])?;
            self.forgotten.push(seq);
        }
        Ok(())
    }

    /// A message goes on under another number.
    fn renumber(&mut self, connection: &Connection, seq: Seq, new_seq: Seq) -> rusqlite::Result<()> {
        if self.known.contains(&seq) {
            connection
                .prepare_cached("UPDATE histories SET seq = ?2 WHERE seq = ?1")?
                .execute([seq.cast_signed(), new_seq.cast_signed()])?;
            self.known.insert(new_seq);
            self.forgotten.push(seq);
        }
        Ok(())
    }
}

fn apply_all<'a>(
    connection: &Connection,
    effects: impl Iterator<Item = &'a Effect>,
    mark: Option<(&ClockMark, Seq)>,
    histories: &mut Histories<'_>,
) -> rusqlite::Result<()> {
    for effect in effects {
        apply(connection, effect, histories)?;
    }
    if let Some((mark, next_seq)) = mark {
        let clock = json!({"tick_ms": mark.tick_ms, "unix_ms": mark.unix_ms,
            "boot_id": mark.boot_id, "since_boot_ms": mark.since_boot_ms});
        let mut upsert = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        upsert.execute(params!["clock", clock.to_string()])?;
        upsert.execute(params!["next_seq", next_seq.cast_signed()])?;
    }
    Ok(())
}

/// Begins to write. Whoever holds the file meanwhile (a long checkpoint, a person with `sqlite3`) is waited for: that is
/// no reason to give the store up.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let mut waits = 1;
    loop {
        // A kept statement: to parse it anew for each group would cost more than to run it.
        match connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waits < BUSY_WAITS_MAX => {
                let waited_s = BUSY_WAIT.as_secs() * u64::from(waits);
                tracing::warn!(waited_s, "another connection keeps the queue's store locked: nothing is acknowledged");
                waits += 1;
            }
            begun => return begun.map(drop),
        }
    }
}

fn apply(connection: &Connection, effect: &Effect, histories: &mut Histories<'_>) -> rusqlite::Result<()> {
    match effect {
        Effect::Insert(insert) => {
            let content = &insert.content;
            connection
                .prepare_cached("INSERT INTO messages VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")?
                .execute(params![
                    insert.seq.cast_signed(),
                    insert.queue,
                    insert.enqueued_tick_ms.cast_signed(),
                    insert.visible_tick_ms.cast_signed(),
                    content.sent_unix_ms.cast_signed(),
                    content.id.as_str(),
                    content.sender_id,
                    content.group_id,
                    content.deduplication_id,
                    Null,
                    content.trace_header,
                    content.dead_letter_source_arn,
                    content.dead_letter_reason,
                    attributes_to_json(&content.attributes),
                    content.body,
                ])?;
            if let Some(key) = insert.duplicate_key {
                let id = uuid::Uuid::parse_str(content.id.as_str()).unwrap_or_default().into_bytes();
                connection.prepare_cached("INSERT OR REPLACE INTO originals VALUES (?1,?2,?3,?4,?5)")?.execute(
                    params![insert.queue, insert.seq.cast_signed(), key, id, insert.enqueued_tick_ms.cast_signed()],
                )?;
            }
        }
        Effect::Delivery { seq, state } => {
            connection.prepare_cached("INSERT OR REPLACE INTO deliveries VALUES (?1,?2,?3,?4,?5,?6)")?.execute(
                params![
                    seq.cast_signed(),
                    state.issued,
                    state.receive_count,
                    state.visible_tick_ms.cast_signed(),
                    state.received_tick_ms.cast_signed(),
                    state.first_received_unix_ms.cast_signed(),
                ],
            )?;
        }
        Effect::Explain { seq, attempt } => histories.add(connection, *seq, attempt)?,
        Effect::Remove { seq, .. } => {
            histories.forget(connection, *seq)?;
            let seq = seq.cast_signed();
            connection.prepare_cached("DELETE FROM messages WHERE seq = ?1")?.execute([seq])?;
            connection.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?.execute([seq])?;
        }
        Effect::Move(step) => {
            match step.kind {
                MoveKind::DeadLetter { renewal: None, .. } => {}
                MoveKind::DeadLetter { renewal: Some(renewal), .. } => {
                    histories.renumber(connection, step.seq, renewal.seq)?;
                }
                // What is redriven begins anew.
                MoveKind::Redrive { .. } => histories.forget(connection, step.seq)?,
            }
            apply_move(connection, step)?;
        }
        Effect::ForgetOriginals { queue, through } => {
            connection
                .prepare_cached("DELETE FROM originals WHERE queue = ?1 AND seq <= ?2")?
                .execute(params![queue, through.cast_signed()])?;
        }
        Effect::PutAttempt(row) => {
            connection.prepare_cached("INSERT OR REPLACE INTO attempts VALUES (?1,?2,?3,?4)")?.execute(params![
                row.queue,
                row.attempt_id,
                row.attempt.made_tick_ms.cast_signed(),
                attempted_to_json(&row.attempt.messages)
            ])?;
        }
        Effect::ForgetAttempts { queue, through_tick_ms } => {
            connection
                .prepare_cached("DELETE FROM attempts WHERE queue = ?1 AND made_tick_ms <= ?2")?
                .execute(params![queue, through_tick_ms.cast_signed()])?;
        }
        Effect::PutTask(task) => {
            connection.execute(
                "INSERT OR REPLACE INTO move_tasks VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
                params![
                    task.id,
                    task.source,
                    task.destination.as_ref().map(QueueArn::as_str),
                    task.max_per_second,
                    task.status.as_str(),
                    task.moved.cast_signed(),
                    task.to_move.cast_signed(),
                    task.started_unix_ms.cast_signed(),
                    task.below.cast_signed(),
                    task.failure_reason
                ],
            )?;
        }
        Effect::TaskProgress { id, moved } => {
            connection
                .prepare_cached("UPDATE move_tasks SET moved = ?2 WHERE id = ?1")?
                .execute(params![id, moved.cast_signed()])?;
        }
        Effect::TaskStatus { id, status, failure_reason } => {
            connection.execute(
                "UPDATE move_tasks SET status = ?2, failure_reason = ?3
                 WHERE id = ?1 AND status IN ('RUNNING', 'CANCELLING')",
                params![id, status.as_str(), failure_reason],
            )?;
        }
        Effect::DropTask { id } => {
            connection.execute("DELETE FROM move_tasks WHERE id = ?1", [id])?;
        }
        Effect::Barrier => {}
        Effect::PutQueue(row) => {
            connection.execute(
                "INSERT OR REPLACE INTO queues VALUES (?1,?2,?3,?4,?5,?6)",
                params![
                    row.id,
                    row.name,
                    pairs_to_json(&row.settings),
                    pairs_to_json(&row.tags),
                    row.created_unix_s.cast_signed(),
                    row.modified_unix_s.cast_signed()
                ],
            )?;
        }
        // Its messages are removed after it, in steps: the machine names them.
        Effect::DropQueue { queue } => {
            connection.execute("DELETE FROM originals WHERE queue = ?1", [queue])?;
            connection.execute("DELETE FROM attempts WHERE queue = ?1", [queue])?;
            connection.execute("DELETE FROM move_tasks WHERE source = ?1", [queue])?;
            connection.execute("DELETE FROM queues WHERE id = ?1", [queue])?;
        }
    }
    Ok(())
}

fn apply_move(connection: &Connection, step: &Move) -> rusqlite::Result<()> {
    let seq = step.seq.cast_signed();
    match &step.kind {
        MoveKind::DeadLetter { source_arn, reason, renewal: None } => {
            connection
                .prepare_cached(
                    "UPDATE messages SET queue = ?2, dead_letter_source_arn = ?3, dead_letter_reason = ?4
                     WHERE seq = ?1",
                )?
                .execute(params![seq, step.to, source_arn, reason])?;
            connection.prepare_cached("UPDATE deliveries SET visible_tick_ms = 0 WHERE seq = ?1")?.execute([seq])?;
        }
        MoveKind::DeadLetter { source_arn, reason, renewal: Some(renewal) } => {
            let Renewal { seq: new_seq, enqueued_tick_ms, sent_unix_ms } = *renewal;
            connection
                .prepare_cached(
                    "UPDATE messages SET seq = ?2, queue = ?3, enqueued_tick_ms = ?4, visible_tick_ms = ?4,
                            sent_unix_ms = ?5, deduplication_id = message_id, dead_letter_source_arn = ?6,
                            dead_letter_reason = ?7
                     WHERE seq = ?1",
                )?
                .execute(params![
                    seq,
                    new_seq.cast_signed(),
                    step.to,
                    enqueued_tick_ms.cast_signed(),
                    sent_unix_ms.cast_signed(),
                    source_arn,
                    reason
                ])?;
            connection
                .prepare_cached("UPDATE deliveries SET seq = ?2, visible_tick_ms = 0 WHERE seq = ?1")?
                .execute([seq, new_seq.cast_signed()])?;
        }
        MoveKind::Redrive { id, renewal } => {
            let Renewal { seq: new_seq, enqueued_tick_ms, sent_unix_ms } = *renewal;
            connection
                .prepare_cached(
                    "UPDATE messages SET seq = ?2, queue = ?3, enqueued_tick_ms = ?4, visible_tick_ms = ?4,
                            sent_unix_ms = ?5, message_id = ?6, dead_letter_source_arn = NULL,
                            dead_letter_reason = NULL
                     WHERE seq = ?1",
                )?
                .execute(params![
                    seq,
                    new_seq.cast_signed(),
                    step.to,
                    enqueued_tick_ms.cast_signed(),
                    sent_unix_ms.cast_signed(),
                    id.as_str()
                ])?;
            connection.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?.execute([seq])?;
        }
    }
    Ok(())
}

fn storage_error(error: &rusqlite::Error) -> StorageError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full,
        _ => StorageError::Failed(error.to_string()),
    }
}
