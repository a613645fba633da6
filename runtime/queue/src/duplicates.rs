//! FIFO deduplication: what was sent within five minutes, so that the same sent again is answered and not stored. Pure.
//!
//! The window begins with the first send, outlives the message, and ends on its own (sqs-semantics §6).

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::attributes::{DeduplicationScope, FifoSettings};
use crate::effect::Seq;

/// How long a send is known, from the first one on.
pub(crate) const WINDOW_MS: u64 = 300_000;

/// A deduplication id within its scope, as the first half of a SHA-256: an index of fixed and small size.
pub(crate) type DuplicateKey = [u8; 16];

/// The send that a duplicate repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) seq: Seq,
    /// The message id: a UUID's bytes.
    pub(crate) id: [u8; 16],
    pub(crate) sent_tick_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    original: Original,
    is_durable: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    known: HashMap<DuplicateKey, Known>,
    by_age: VecDeque<(u64, Seq, DuplicateKey)>,
    /// A purge forgot what was sent up to here.
    forgotten_through: Seq,
}

/// What a duplicate is told by.
pub(crate) fn key(fifo: FifoSettings, group: &str, deduplication_id: &str) -> DuplicateKey {
    let mut digest = Sha256::new();
    if fifo.created_scope == DeduplicationScope::MessageGroup {
        // Neither may hold a zero byte.
        digest.update(group.as_bytes());
        digest.update([0]);
    }
    digest.update(deduplication_id.as_bytes());
    let mut key = DuplicateKey::default();
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

/// The deduplication id that a queue makes of a body: its SHA-256 in hex.
pub(crate) fn content_id(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Duplicates {
    /// The send that this one repeats, and whether that is on disk.
    pub(crate) fn find(&self, key: &DuplicateKey, tick_ms: u64) -> Option<(Original, bool)> {
        let known = self.known.get(key)?;
        let in_window = tick_ms < known.original.sent_tick_ms + WINDOW_MS;
        in_window.then_some((known.original, known.is_durable))
    }

    /// Notes a send. `is_durable` comes with [`Self::confirm`] unless it is already.
    pub(crate) fn note(&mut self, key: DuplicateKey, original: Original, is_durable: bool) {
        self.known.insert(key, Known { original, is_durable });
        self.by_age.push_back((original.sent_tick_ms, original.seq, key));
    }

    pub(crate) fn confirm(&mut self, key: &DuplicateKey, seq: Seq) {
        if let Some(known) = self.known.get_mut(key).filter(|known| known.original.seq == seq) {
            known.is_durable = true;
        }
    }

    /// The send came to nothing.
    pub(crate) fn withdraw(&mut self, key: &DuplicateKey, seq: Seq) {
        if self.known.get(key).is_some_and(|known| known.original.seq == seq) {
            self.known.remove(key);
        }
    }

    /// Forgets what is past its window. Tells up to which number that is all.
    pub(crate) fn expire(&mut self, tick_ms: u64) -> Option<Seq> {
        let mut through = None;
        while let Some((sent_tick_ms, seq, key)) = self.by_age.front().copied() {
            if tick_ms < sent_tick_ms + WINDOW_MS {
                break;
            }
            self.by_age.pop_front();
            self.withdraw(&key, seq);
            through = Some(seq);
        }
        if self.known.capacity() > 4096 && self.known.len() < self.known.capacity() / 8 {
            self.known.shrink_to(self.known.len() * 2);
            self.by_age.shrink_to(self.by_age.len() * 2);
        }
        through
    }

    /// True when that send was stored and is known no more.
    pub(crate) fn was_forgotten(&self, seq: Seq) -> bool {
        seq <= self.forgotten_through
    }

    /// Forgets all that was sent up to `through`.
    pub(crate) fn forget_through(&mut self, through: Seq) {
        self.forgotten_through = self.forgotten_through.max(through);
        // What expired was taken out one by one already, and there is a lot that has not.
        if self.by_age.front().is_none_or(|(_, oldest, _)| *oldest > through) {
            return;
        }
        self.by_age.retain(|(_, seq, _)| *seq > through);
        self.known.retain(|_, known| known.original.seq > through);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(seq: Seq, sent_tick_ms: u64) -> Original {
        Original { seq, id: [0; 16], sent_tick_ms }
    }

    #[test]
    fn a_send_is_known_for_five_minutes_from_the_first() {
        let mut duplicates = Duplicates::default();
        duplicates.note([1; 16], original(7, 1000), true);
        assert_eq!(duplicates.find(&[1; 16], 1000 + WINDOW_MS - 1), Some((original(7, 1000), true)));
        assert_eq!(duplicates.find(&[1; 16], 1000 + WINDOW_MS), None);
        assert_eq!(duplicates.expire(1000 + WINDOW_MS - 1), None);
        assert_eq!(duplicates.expire(1000 + WINDOW_MS), Some(7));
    }

    #[test]
    fn a_withdrawn_send_is_not_known_and_a_later_one_is_not_withdrawn_with_it() {
        let mut duplicates = Duplicates::default();
        duplicates.note([1; 16], original(7, 0), false);
        duplicates.withdraw(&[1; 16], 7);
        assert_eq!(duplicates.find(&[1; 16], 0), None);
        duplicates.note([1; 16], original(8, 0), false);
        duplicates.withdraw(&[1; 16], 7);
        duplicates.confirm(&[1; 16], 8);
        assert_eq!(duplicates.find(&[1; 16], 0), Some((original(8, 0), true)));
    }

    #[test]
    fn what_a_purge_forgot_was_stored_all_the_same() {
        let mut duplicates = Duplicates::default();
        duplicates.note([1; 16], original(7, 0), true);
        duplicates.forget_through(7);
        assert_eq!(duplicates.find(&[1; 16], 0), None);
        assert!(duplicates.was_forgotten(7) && !duplicates.was_forgotten(8));
    }

    #[test]
    fn the_scope_is_the_queue_or_the_group() {
        let in_queue = FifoSettings::default();
        let in_group = FifoSettings { created_scope: DeduplicationScope::MessageGroup, ..in_queue };
        assert_eq!(key(in_queue, "a", "1"), key(in_queue, "b", "1"));
        assert_ne!(key(in_group, "a", "1"), key(in_group, "b", "1"));
        assert_ne!(key(in_group, "a", "b1"), key(in_group, "ab", "1"));
    }

    #[test]
    fn a_content_id_is_the_bodys_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(content_id("abc"), expected);
    }
}
