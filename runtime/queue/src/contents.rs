//! The messages' unchanging parts that are kept in memory: all of them without a store, else as many as fit.
//!
//! A message that was just sent is usually received next, so what is sent is kept while there is room; what is not here
//! is read from the store, and what stands behind it with it (`bodies.rs`). Nothing is evicted: room comes back as
//! messages leave.

use std::collections::HashMap;
use std::sync::Arc;

use crate::effect::{Content, Move, MoveKind, Seq};
use crate::history::{FailedAttempt, History};

/// What a kept message costs beyond its texts: the map's slot, the strings' and the allocations' overhead.
const OVERHEAD_BYTES: usize = 320;
/// One part of the room is kept from what is sent, for what is read ahead: a long backlog would be read one by one
/// otherwise.
const AHEAD_SHARE: usize = 8;

#[derive(Debug)]
pub(crate) struct Contents {
    kept: HashMap<Seq, Arc<Content>>,
    /// Why messages failed, where there is no store that keeps it.
    histories: HashMap<Seq, History>,
    bytes: usize,
    max_bytes: usize,
}

impl Contents {
    /// Keeps at most `max_bytes`; `usize::MAX` when there is no store to read from.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { kept: HashMap::new(), histories: HashMap::new(), bytes: 0, max_bytes }
    }

    /// What the kept messages cost.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<Arc<Content>> {
        self.kept.get(&seq).cloned()
    }

    /// Keeps what was sent, if there is room.
    pub(crate) fn insert(&mut self, seq: Seq, content: Arc<Content>) {
        // Without a store nothing is read.
        let for_what_is_read = if self.max_bytes == usize::MAX { 0 } else { self.max_bytes / AHEAD_SHARE };
        self.insert_up_to(self.max_bytes - for_what_is_read, seq, content);
    }

    /// Keeps what was read before anybody asked for it, if there is room.
    pub(crate) fn insert_ahead(&mut self, seq: Seq, content: Arc<Content>) {
        self.insert_up_to(self.max_bytes, seq, content);
    }

    /// How many bytes of bodies that are like the kept ones may be read ahead.
    pub(crate) fn room_bytes(&self) -> usize {
        self.max_bytes - self.bytes.min(self.max_bytes)
    }

    fn insert_up_to(&mut self, max_bytes: usize, seq: Seq, content: Arc<Content>) {
        let cost = cost_bytes(&content);
        if self.bytes.saturating_add(cost) > max_bytes {
            return;
        }
        self.bytes += cost;
        if let Some(replaced) = self.kept.insert(seq, content) {
            self.bytes -= cost_bytes(&replaced);
        }
    }

    /// Keeps why an attempt at a message failed.
    pub(crate) fn explain(&mut self, seq: Seq, attempt: FailedAttempt) {
        let history = self.histories.entry(seq).or_default();
        let before = if history.attempts().is_empty() { 0 } else { history.to_text().len() };
        history.add(attempt);
        self.bytes = self.bytes + history.to_text().len() - before;
    }

    /// Why a message failed.
    pub(crate) fn history(&self, seq: Seq) -> History {
        self.histories.get(&seq).cloned().unwrap_or_default()
    }

    pub(crate) fn remove(&mut self, seq: Seq) {
        if !self.histories.is_empty() {
            self.forget_history(seq);
        }
        if let Some(removed) = self.kept.remove(&seq) {
            self.bytes -= cost_bytes(&removed);
        }
        // A burst's table is given back once it is mostly empty.
        if self.kept.capacity() > 4096 && self.kept.len() < self.kept.capacity() / 8 {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }

    /// A kept message changed queues: its content is what it is from there on, under its number from there on.
    pub(crate) fn relocate(&mut self, step: &Move) {
        let Some(content) = self.get(step.seq) else { return };
        let history = self.histories.remove(&step.seq);
        self.remove(step.seq);
        let seq = step.renewal().map_or(step.seq, |renewal| renewal.seq);
        // Without a store the memory is all there is, and its limit is endless.
        self.insert(seq, Arc::new(step.moved(&content)));
        if let Some(history) = history {
            self.histories.insert(seq, history);
            // What is redriven begins anew.
            if matches!(step.kind, MoveKind::Redrive { .. }) {
                self.forget_history(seq);
            }
        }
    }

    fn forget_history(&mut self, seq: Seq) {
        if let Some(history) = self.histories.remove(&seq) {
            self.bytes -= history.to_text().len();
        }
    }
}

fn cost_bytes(content: &Content) -> usize {
    let attributes: usize =
        content.attributes.iter().map(|a| a.name.len() + a.data_type.len() + a.value.as_bytes().len() + 72).sum();
    content.body.len() + attributes + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{MoveKind, Renewal};
    use crate::message::MessageId;

    fn content(body_bytes: usize) -> Arc<Content> {
        Arc::new(Content {
            id: MessageId::new("id"),
            body: "x".repeat(body_bytes),
            body_md5: [0; 16],
            attributes: Vec::new(),
            sender_id: String::new(),
            sent_unix_ms: 0,
            trace_header: None,
            group_id: None,
            deduplication_id: None,
            dead_letter_source_arn: None,
            dead_letter_reason: None,
        })
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_room_comes_back() {
        let one = 100 + OVERHEAD_BYTES;
        let mut contents = Contents::new(AHEAD_SHARE * one);
        for seq in 1..=8 {
            contents.insert(seq, content(100));
        }
        assert!(contents.get(7).is_some());
        assert!(contents.get(8).is_none(), "the last part is for what is read ahead");
        contents.insert_ahead(8, content(100));
        contents.insert_ahead(9, content(100));
        assert!(contents.get(8).is_some());
        assert!(contents.get(9).is_none());
        contents.remove(1);
        contents.remove(2);
        contents.insert(10, content(100));
        assert!(contents.get(10).is_some());
        for seq in 0..=10 {
            contents.remove(seq);
        }
        contents.remove(10);
        assert_eq!((contents.bytes(), contents.room_bytes()), (0, AHEAD_SHARE * one));
    }

    #[test]
    fn a_dead_letter_keeps_its_body_and_gets_its_source() {
        let mut contents = Contents::new(usize::MAX);
        contents.insert(1, content(5));
        let kind = MoveKind::DeadLetter { source_arn: "arn".into(), reason: Some("why".into()), renewal: None };
        contents.relocate(&Move { seq: 1, from: 1, to: 2, kind });
        let marked = contents.get(1).map(|content| (content.body.len(), content.dead_letter_reason.clone()));
        assert_eq!(marked, Some((5, Some("why".to_owned()))));
    }

    #[test]
    fn a_renewed_message_is_found_under_its_new_number() {
        let mut contents = Contents::new(usize::MAX);
        contents.insert(1, content(5));
        let renewal = Renewal { seq: 9, enqueued_tick_ms: 0, sent_unix_ms: 77 };
        let kind = MoveKind::Redrive { id: MessageId::new("new"), renewal };
        contents.relocate(&Move { seq: 1, from: 1, to: 2, kind });
        assert_eq!(contents.get(1), None);
        let moved = contents.get(9).map(|content| (content.id.to_string(), content.sent_unix_ms));
        assert_eq!(moved, Some(("new".to_owned(), 77)));
    }
}
