//! The store's tables, and how an older file becomes a newer one.
//!
//! The version stands in `PRAGMA user_version`. A released version's statements are never edited: a change is a new step
//! at the end of `STEPS`, and an image of each released format is kept in `tests/fixtures`.

use rusqlite::Connection;

/// One step per version: step 0 makes version 1.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        settings TEXT NOT NULL,             -- JSON object, AWS's attribute names and texts
        tags TEXT NOT NULL,                 -- JSON object
        created_unix_s INTEGER NOT NULL,
        modified_unix_s INTEGER NOT NULL
    );
    -- What a message is: written once. The wide columns stand last, so that rebuilding the index does not read them.
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        enqueued_tick_ms INTEGER NOT NULL,
        visible_tick_ms INTEGER NOT NULL,   -- first visibility
        sent_unix_ms INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        sender_id TEXT NOT NULL,
        group_id TEXT,
        deduplication_id TEXT,
        sequence_number TEXT,
        trace_header TEXT,
        dead_letter_source_arn TEXT,
        dead_letter_reason TEXT,
        attributes TEXT,                    -- JSON array of [name, data type, text] or [name, data type, null, hex]
        body TEXT NOT NULL
    );
    -- What changes with each delivery, apart, so that a receive does not rewrite a body.
    CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY,
        issued INTEGER NOT NULL,
        receive_count INTEGER NOT NULL,
        visible_tick_ms INTEGER NOT NULL,
        received_tick_ms INTEGER NOT NULL,
        first_received_unix_ms INTEGER NOT NULL
    );
",
    "
    -- FIFO: the sends of the last five minutes, which outlive their messages.
    CREATE TABLE originals (
        queue INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        key BLOB NOT NULL,                  -- half a SHA-256 of the deduplication id within its scope
        message_id BLOB NOT NULL,           -- the UUID's bytes
        sent_tick_ms INTEGER NOT NULL,
        PRIMARY KEY (queue, seq)
    ) WITHOUT ROWID;
    -- FIFO: the receives of the last five minutes that may be repeated.
    CREATE TABLE attempts (
        queue INTEGER NOT NULL,
        attempt_id TEXT NOT NULL,
        made_tick_ms INTEGER NOT NULL,
        messages TEXT NOT NULL,             -- JSON array of [seq, issue, visible tick]
        PRIMARY KEY (queue, attempt_id)
    ) WITHOUT ROWID;
    CREATE TABLE move_tasks (
        id TEXT PRIMARY KEY,
        source INTEGER NOT NULL,
        destination TEXT,                   -- an ARN; none: back to where each message came from
        max_per_second INTEGER,
        status TEXT NOT NULL,               -- AWS's word
        moved INTEGER NOT NULL,
        to_move INTEGER NOT NULL,
        started_unix_ms INTEGER NOT NULL,
        below INTEGER NOT NULL,             -- only messages numbered below it are moved
        failure_reason TEXT
    ) WITHOUT ROWID;
",
    "
    -- Why a message's attempts failed. Few messages have one, so a delete need not look here unless it knows of one.
    CREATE TABLE histories (
        seq INTEGER PRIMARY KEY,
        attempts TEXT NOT NULL              -- JSON array of objects, the oldest attempt first
    );
",
];

/// The version this program writes.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// The version of a file; 0 for a new one.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file from version `found` to [`VERSION`].
pub(crate) fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found).unwrap_or(0);
    for (index, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
