//! The reading connection: messages' contents, by number.

use rusqlite::{Connection, OptionalExtension, Row};

use super::forms::{attributes_from_json, unsigned};
use super::storage_error;
use crate::checksum::md5;
use crate::effect::{Content, QueueId, Seq};
use crate::error::StorageError;
use crate::history::History;
use crate::message::MessageId;

/// What `content` reads, in its order.
const COLUMNS: &str = "message_id, sender_id, sent_unix_ms, group_id, deduplication_id, trace_header,
                       dead_letter_source_arn, dead_letter_reason, attributes, body";

/// The reading connection.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

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

    /// Reads why messages failed, in the order of their numbers as given.
    pub(crate) fn histories(&self, seqs: &[Seq]) -> Result<Vec<History>, StorageError> {
        let read = |seq: &Seq| {
            let mut statement = self.connection.prepare_cached("SELECT attempts FROM histories WHERE seq = ?1")?;
            let text: Option<String> = statement.query_row([seq.cast_signed()], |row| row.get(0)).optional()?;
            Ok(text.map(|text| History::from_text(&text)).unwrap_or_default())
        };
        seqs.iter().map(|seq| read(seq).map_err(|error| storage_error(&error))).collect()
    }

    /// Reads messages of a queue that are numbered above `after` and up to `through`, until they are `max_bytes` of
    /// bodies together.
    pub(crate) fn read_on(
        &self,
        queue: QueueId,
        after: Seq,
        through: Seq,
        max_bytes: usize,
    ) -> Result<Vec<(Seq, Content)>, StorageError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(&format!(
                "SELECT {COLUMNS}, seq FROM messages WHERE seq > ?1 AND seq <= ?2 AND queue = ?3 ORDER BY seq"
            ))?;
            let mut rows = statement.query((after.cast_signed(), through.cast_signed(), queue))?;
            let mut found = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let content = content(row)?;
                bytes += content.body.len();
                if bytes > max_bytes {
                    break;
                }
                found.push((unsigned(row, 10)?, content));
            }
            Ok(found)
        };
        read().map_err(|error| storage_error(&error))
    }

    fn read_one(&self, seq: Seq) -> rusqlite::Result<Option<Content>> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE seq = ?1"))?;
        statement.query_row([seq.cast_signed()], content).optional()
    }
}

fn content(row: &Row<'_>) -> rusqlite::Result<Content> {
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
}
