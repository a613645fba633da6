//! Queue data on disk: the only file that opens it. SQLite in WAL mode, one writer, one reader, one lock.
//!
//! Decisions are absent: what is written was decided by the state machine, when to write it by the committer.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Null;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::arn::QueueArn;
use crate::attempts::{Attempt, Attempted};
use crate::checksum::md5;
use crate::clock::ClockMark;
use crate::duplicates::Original;
use crate::effect::{
    AttemptRow, Content, DeliveryState, Effect, IndexRow, Move, MoveKind, OriginalRow, QueueId, QueueRow, Renewal, Seq,
    TaskRow,
};
use crate::error::StorageError;
use crate::message::{AttributeValue, MessageAttribute, MessageId};
use crate::move_task::MoveTaskStatus;
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
    _lock: File,
}

/// The reading connection.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
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
    connection.execute("DELETE FROM deliveries WHERE seq NOT IN (SELECT seq FROM messages)", []).map_err(in_sql)?;
    let queues = read_queues(&connection).map_err(in_sql)?;
    let next_seq = read_next_seq(&connection).map_err(in_sql)?;
    let next_queue = read_next_queue(&connection).map_err(in_sql)?;
    let mark = read_mark(&connection).map_err(in_sql)?;
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(in_sql)?;
    let writer = Store { connection, room: Room::of(&path), room_credit_bytes: 0, path, _lock: lock };
    Ok(Opened { writer, reader: Reader { connection: reader }, store_id, queues, next_queue, next_seq, mark })
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

fn store_id(connection: &Connection, fresh: [u8; 16]) -> rusqlite::Result<[u8; 16]> {
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', ?1)", [fresh])?;
    connection.query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| row.get(0))
}

fn read_queues(connection: &Connection) -> rusqlite::Result<Vec<QueueRow>> {
    let mut statement = connection
        .prepare("SELECT id, name, settings, tags, created_unix_s, modified_unix_s FROM queues ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(QueueRow {
            id: row.get(0)?,
            name: row.get(1)?,
            settings: pairs_from_json(&row.get::<_, String>(2)?),
            tags: pairs_from_json(&row.get::<_, String>(3)?),
            created_unix_s: unsigned(row, 4)?,
            modified_unix_s: unsigned(row, 5)?,
        })
    })?;
    rows.collect()
}

fn read_next_queue(connection: &Connection) -> rusqlite::Result<QueueId> {
    let greatest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queues'";
    connection.query_row(greatest, [], |row| row.get::<_, QueueId>(0)).map(|greatest| greatest + 1)
}

fn read_next_seq(connection: &Connection) -> rusqlite::Result<Seq> {
    let reserved: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key = 'next_seq'", [], |row| row.get(0)).optional()?;
    let greatest: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM messages", [], |row| row.get(0))?;
    Ok(reserved.unwrap_or(1).max(greatest + 1).cast_unsigned())
}

fn read_mark(connection: &Connection) -> rusqlite::Result<Option<ClockMark>> {
    let text: Option<String> =
        connection.query_row("SELECT value FROM meta WHERE key = 'clock'", [], |row| row.get(0)).optional()?;
    let mark = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    Ok(mark.map(|mark| ClockMark {
        tick_ms: mark["tick_ms"].as_u64().unwrap_or(0),
        unix_ms: mark["unix_ms"].as_u64().unwrap_or(0),
        boot_id: mark["boot_id"].as_str().unwrap_or_default().to_owned(),
        since_boot_ms: mark["since_boot_ms"].as_u64().unwrap_or(0),
    }))
}

impl Store {
    /// The file, for opening another connection to it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

    /// Reads every message's index row, by number.
    pub(crate) fn load_index(&self, mut each: impl FnMut(IndexRow)) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT m.seq, m.queue, m.enqueued_tick_ms, m.visible_tick_ms,
                    d.issued, d.receive_count, d.visible_tick_ms, d.received_tick_ms, d.first_received_unix_ms,
                    m.group_id
             FROM messages m LEFT JOIN deliveries d ON d.seq = m.seq ORDER BY m.seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let never_delivered = row.get::<_, Option<i64>>(4)?.is_none();
            let delivery = if never_delivered {
                DeliveryState { visible_tick_ms: unsigned(row, 3)?, ..DeliveryState::default() }
            } else {
                DeliveryState {
                    issued: row.get(4)?,
                    receive_count: row.get(5)?,
                    visible_tick_ms: unsigned(row, 6)?,
                    received_tick_ms: unsigned(row, 7)?,
                    first_received_unix_ms: unsigned(row, 8)?,
                }
            };
            let enqueued_tick_ms = unsigned(row, 2)?;
            let group = row.get(9)?;
            each(IndexRow { seq: unsigned(row, 0)?, queue: row.get(1)?, enqueued_tick_ms, group, delivery });
        }
        Ok(())
    }

    /// Reads the sends that may be repeated, the oldest first.
    pub(crate) fn load_originals(&self, mut each: impl FnMut(OriginalRow)) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare("SELECT queue, seq, key, message_id, sent_tick_ms FROM originals ORDER BY queue, seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let original = Original { seq: unsigned(row, 1)?, id: row.get(3)?, sent_tick_ms: unsigned(row, 4)? };
            each(OriginalRow { queue: row.get(0)?, key: row.get(2)?, original });
        }
        Ok(())
    }

    /// Reads the receives that may be repeated.
    pub(crate) fn load_attempts(&self, mut each: impl FnMut(AttemptRow)) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare("SELECT queue, attempt_id, made_tick_ms, messages FROM attempts ORDER BY made_tick_ms")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let messages = attempted_from_json(&row.get::<_, String>(3)?);
            let attempt = Attempt { made_tick_ms: unsigned(row, 2)?, messages };
            each(AttemptRow { queue: row.get(0)?, attempt_id: row.get(1)?, attempt });
        }
        Ok(())
    }

    /// Reads the move tasks.
    pub(crate) fn load_tasks(&self) -> rusqlite::Result<Vec<TaskRow>> {
        let mut statement = self.connection.prepare(
            "SELECT id, source, destination, max_per_second, status, moved, to_move, started_unix_ms, below,
                    failure_reason FROM move_tasks",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(TaskRow {
                id: row.get(0)?,
                source: row.get(1)?,
                destination: row.get::<_, Option<String>>(2)?.and_then(|arn| QueueArn::parse(&arn).ok()),
                max_per_second: row.get(3)?,
                status: MoveTaskStatus::parse(&row.get::<_, String>(4)?).unwrap_or(MoveTaskStatus::Failed),
                moved: unsigned(row, 5)?,
                to_move: unsigned(row, 6)?,
                started_unix_ms: unsigned(row, 7)?,
                below: unsigned(row, 8)?,
                failure_reason: row.get(9)?,
            })
        })?;
        rows.collect()
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
        let written = apply_all(&self.connection, effects, mark)
            .and_then(|()| self.connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        if written.is_err() && !self.connection.is_autocommit() {
            // A failure of the whole transaction has rolled it back already.
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        written
    }
}

fn apply_all<'a>(
    connection: &Connection,
    effects: impl Iterator<Item = &'a Effect>,
    mark: Option<(&ClockMark, Seq)>,
) -> rusqlite::Result<()> {
    for effect in effects {
        apply(connection, effect)?;
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

fn apply(connection: &Connection, effect: &Effect) -> rusqlite::Result<()> {
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
        Effect::Remove { seq, .. } => {
            let seq = seq.cast_signed();
            connection.prepare_cached("DELETE FROM messages WHERE seq = ?1")?.execute([seq])?;
            connection.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?.execute([seq])?;
        }
        Effect::Move(step) => apply_move(connection, step)?,
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

impl Reader {
    /// Reads messages' content by number. Those that are gone are left out.
    pub(crate) fn read(&self, seqs: &[Seq]) -> Result<Vec<(Seq, Content)>, StorageError> {
        let mut found = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let content = self.read_one(*seq).map_err(|error| storage_error(&error))?;
            found.extend(content.map(|content| (*seq, content)));
        }
        Ok(found)
    }

    /// The ARN of the queue that gave a message up. None for a message that is gone; none within for one that was sent
    /// here.
    pub(crate) fn dead_letter_source(&self, seq: Seq) -> Result<Option<Option<String>>, StorageError> {
        let read = |connection: &Connection| {
            let mut statement =
                connection.prepare_cached("SELECT dead_letter_source_arn FROM messages WHERE seq = ?1")?;
            statement.query_row([seq.cast_signed()], |row| row.get(0)).optional()
        };
        read(&self.connection).map_err(|error| storage_error(&error))
    }

    fn read_one(&self, seq: Seq) -> rusqlite::Result<Option<Content>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT message_id, sender_id, sent_unix_ms, group_id, deduplication_id, trace_header,
                    dead_letter_source_arn, dead_letter_reason, attributes, body FROM messages WHERE seq = ?1",
        )?;
        statement
            .query_row([seq.cast_signed()], |row| {
                Ok(Content {
                    id: MessageId::new(row.get::<_, String>(0)?),
                    sender_id: row.get(1)?,
                    sent_unix_ms: unsigned(row, 2)?,
                    group_id: row.get(3)?,
                    deduplication_id: row.get(4)?,
                    trace_header: row.get(5)?,
                    dead_letter_source_arn: row.get(6)?,
                    dead_letter_reason: row.get(7)?,
                    attributes: attributes_from_json(row.get::<_, Option<String>>(8)?.as_deref()),
                    body_md5: md5(row.get_ref(9)?.as_bytes()?),
                    body: row.get(9)?,
                })
            })
            .optional()
    }
}

fn storage_error(error: &rusqlite::Error) -> StorageError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full,
        _ => StorageError::Failed(error.to_string()),
    }
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// `[[seq, issue, visible tick], …]`.
fn attempted_to_json(messages: &[Attempted]) -> String {
    let rows: Vec<Value> = messages.iter().map(|one| json!([one.seq, one.issue, one.visible_tick_ms])).collect();
    Value::Array(rows).to_string()
}

fn attempted_from_json(text: &str) -> Vec<Attempted> {
    let rows: Vec<(Seq, u32, u64)> = serde_json::from_str(text).unwrap_or_default();
    rows.into_iter().map(|(seq, issue, visible_tick_ms)| Attempted { seq, issue, visible_tick_ms }).collect()
}

fn pairs_to_json(pairs: &[(String, String)]) -> String {
    let object: serde_json::Map<String, Value> =
        pairs.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    Value::Object(object).to_string()
}

fn pairs_from_json(text: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Vec::new() };
    object.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

fn attributes_to_json(attributes: &[MessageAttribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let rows: Vec<Value> = attributes
        .iter()
        .map(|attribute| match &attribute.value {
            AttributeValue::Text(text) => json!([attribute.name, attribute.data_type, text]),
            AttributeValue::Binary(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                json!([attribute.name, attribute.data_type, null, hex])
            }
        })
        .collect();
    Some(Value::Array(rows).to_string())
}

fn attributes_from_json(text: Option<&str>) -> Vec<MessageAttribute> {
    let Some(Ok(Value::Array(rows))) = text.map(serde_json::from_str) else { return Vec::new() };
    rows.iter()
        .filter_map(|row| {
            let value = match row.get(3) {
                None => AttributeValue::Text(row.get(2)?.as_str()?.to_owned()),
                Some(hex) => AttributeValue::Binary(bytes_from_hex(hex.as_str()?)),
            };
            let name = row.get(0)?.as_str()?.to_owned();
            Some(MessageAttribute { name, data_type: row.get(1)?.as_str()?.to_owned(), value })
        })
        .collect()
}

fn bytes_from_hex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| (digit(pair[0]) << 4) | digit(pair[1])).collect()
}
