//! What a start reads: everything but the bodies.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::Store;
use super::forms::{attempted_from_json, pairs_from_json, unsigned};
use crate::arn::QueueArn;
use crate::attempts::Attempt;
use crate::clock::ClockMark;
use crate::duplicates::Original;
use crate::effect::{AttemptRow, DeliveryState, IndexRow, OriginalRow, QueueId, QueueRow, Seq, TaskRow};
use crate::move_task::MoveTaskStatus;

pub(super) fn read_queues(connection: &Connection) -> rusqlite::Result<Vec<QueueRow>> {
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

/// The messages that have a history.
pub(super) fn read_explained(connection: &Connection) -> rusqlite::Result<HashSet<Seq>> {
    let mut statement = connection.prepare("SELECT seq FROM histories")?;
    let seqs = statement.query_map([], |row| unsigned(row, 0))?;
    seqs.collect()
}

pub(super) fn read_next_queue(connection: &Connection) -> rusqlite::Result<QueueId> {
    let greatest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queues'";
    connection.query_row(greatest, [], |row| row.get::<_, QueueId>(0)).map(|greatest| greatest + 1)
}

pub(super) fn read_next_seq(connection: &Connection) -> rusqlite::Result<Seq> {
    let reserved: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key = 'next_seq'", [], |row| row.get(0)).optional()?;
    let greatest: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM messages", [], |row| row.get(0))?;
    Ok(reserved.unwrap_or(1).max(greatest + 1).cast_unsigned())
}

pub(super) fn read_mark(connection: &Connection) -> rusqlite::Result<Option<ClockMark>> {
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
}
