//! Messages' contents: from memory, else from the store, and then with what is likely to be received next.
//!
//! A backlog that is longer than what is kept in memory would otherwise cost one hop to a blocking thread per receive.

use std::sync::{Arc, PoisonError};

use crate::contents::Contents;
use crate::effect::{Content, QueueId, Seq};
use crate::error::{QueueError, StorageError};
use crate::history::History;
use crate::seam::Seam;
use crate::store::Reader;

/// How many numbers on the store is read: other queues' messages lie among them, and are stepped over.
const AHEAD_NUMBERS: u64 = 128;
/// How many bytes of bodies are read ahead at most.
const AHEAD_MAX_BYTES: usize = 128 << 10;

/// Whether what stands behind is read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// A receive: the next one asks for it.
    Some,
    /// A peek: nobody may.
    None,
}

impl Seam {
    /// The contents of messages of a queue, in the order of their numbers here; none for one that is gone.
    pub(crate) async fn contents_of(
        self: &Arc<Self>,
        queue: QueueId,
        seqs: &[Seq],
        ahead: Ahead,
    ) -> Result<Vec<Option<Arc<Content>>>, QueueError> {
        let contents = kept(&self.contents(), seqs);
        let Some(reader) = self.reader().filter(|_| contents.iter().any(Option::is_none)) else { return Ok(contents) };
        let (seam, seqs) = (Arc::clone(self), seqs.to_vec());
        let read = tokio::task::spawn_blocking(move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            seam.read(&reader, queue, &seqs, ahead)
        });
        Ok(read.await.map_err(|error| QueueError::Unavailable(error.to_string()))??)
    }

    /// Why messages failed, in the order of their numbers here.
    pub(crate) async fn histories_of(&self, seqs: &[Seq]) -> Result<Vec<History>, QueueError> {
        let Some(reader) = self.reader() else {
            let contents = self.contents();
            return Ok(seqs.iter().map(|seq| contents.history(*seq)).collect());
        };
        let seqs = seqs.to_vec();
        let read =
            tokio::task::spawn_blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).histories(&seqs));
        Ok(read.await.map_err(|error| QueueError::Unavailable(error.to_string()))??)
    }

    fn read(
        &self,
        reader: &Reader,
        queue: QueueId,
        seqs: &[Seq],
        ahead: Ahead,
    ) -> Result<Vec<Option<Arc<Content>>>, StorageError> {
        // Who had the reader before may have read ahead.
        let mut contents = kept(&self.contents(), seqs);
        let missing = seqs.iter().zip(&contents).filter_map(|(seq, content)| content.is_none().then_some(*seq));
        let missing: Vec<Seq> = missing.collect();
        let Some(furthest) = missing.iter().max() else { return Ok(contents) };
        let mut read = reader.read(&missing)?.into_iter().peekable();
        for (seq, content) in seqs.iter().zip(&mut contents).filter(|(_, content)| content.is_none()) {
            // The store answers in the order it was asked.
            *content = read.next_if(|(found, _)| found == seq).map(|(_, content)| Arc::new(content));
        }
        let room_bytes = AHEAD_MAX_BYTES.min(self.contents().room_bytes());
        if ahead == Ahead::Some && room_bytes > 0 {
            let next = reader.read_on(queue, *furthest, furthest + AHEAD_NUMBERS, room_bytes)?;
            self.keep_ahead(queue, next);
        }
        Ok(contents)
    }

    /// Keeps what was read ahead, as far as it is still there: what has left meanwhile would be kept for ever.
    fn keep_ahead(&self, queue: QueueId, read: Vec<(Seq, Content)>) {
        let state = self.lock_state();
        let mut contents = self.contents();
        for (seq, content) in read.into_iter().filter(|(seq, _)| state.holds(queue, *seq)) {
            contents.insert_ahead(seq, Arc::new(content));
        }
    }
}

fn kept(contents: &Contents, seqs: &[Seq]) -> Vec<Option<Arc<Content>>> {
    seqs.iter().map(|seq| contents.get(*seq)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;
    use crate::fixtures::{bodies, create, delete, on_disk, send, take, take_one, text};
    use crate::peek::PeekRequest;
    use crate::store::Durability;

    /// Two queues whose messages lie among each other, after a restart: nothing is kept in memory.
    async fn backlog(directory: &TempDir, messages: usize) {
        let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
        let (a, b) = (create(&broker, "a", &[]).await, create(&broker, "b", &[]).await);
        for n in 0..messages {
            send(&a, vec![text(format!("a{n}"))]).await;
            send(&b, vec![text(format!("b{n}"))]).await;
        }
        broker.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_receive_reads_for_those_that_follow() {
        let directory = TempDir::new().unwrap();
        backlog(&directory, 40).await;
        let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
        let queue = broker.queue("a").unwrap();
        assert_eq!(bodies(&take(&queue, 1).await), ["a0"]);
        // Behind its back: what is handed out from here on was read before.
        let other = Connection::open(directory.path().join("queue.sqlite")).unwrap();
        other.execute("UPDATE messages SET body = 'read late'", []).unwrap();
        for n in 1..40 {
            assert_eq!(bodies(&take(&queue, 1).await), [format!("a{n}")]);
        }
        let untouched = take(&broker.queue("b").unwrap(), 1).await;
        assert_eq!(bodies(&untouched), ["read late"], "another queue's messages are not read");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_has_left_while_it_was_read_ahead_is_not_kept() {
        let directory = TempDir::new().unwrap();
        backlog(&directory, 2).await;
        let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
        let queue = broker.queue("a").unwrap();
        let seam = queue.seam();
        let peeked = queue.peek(&PeekRequest { max_messages: 10, ..PeekRequest::default() }).await.unwrap();
        assert_eq!(seam.contents().bytes(), 0, "a peek keeps nothing");
        let seqs: Vec<Seq> = peeked.iter().map(|one| one.position).collect();
        let read = seam.reader().unwrap().lock().unwrap().read(&seqs).unwrap();
        let receipts: Vec<_> = take(&queue, 2).await.into_iter().map(|message| message.receipt).collect();
        for receipt in &receipts {
            delete(&queue, receipt).await.unwrap();
        }
        seam.keep_ahead(queue.id(), read);
        assert_eq!(seam.contents().bytes(), 0);
        send(&queue, vec![text("next")]).await;
        assert_eq!(take_one(&queue).await.body, "next");
    }
}
