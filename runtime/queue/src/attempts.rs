//! Receive attempts of a FIFO queue: a receive that is repeated with its attempt id gives the same messages again. Pure.
//!
//! For five minutes, as long as each of the messages is in flight as that receive left it (sqs-semantics §6).

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::Seq;

/// How long an attempt may be repeated.
pub(crate) const WINDOW_MS: u64 = 300_000;
/// The most attempts that a queue remembers: the oldest go first.
const ATTEMPTS_MAX: usize = 10_000;

/// One message of an attempt: its delivery, and until when it was hidden by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempted {
    pub(crate) seq: Seq,
    pub(crate) issue: u32,
    pub(crate) visible_tick_ms: u64,
}

/// What one receive handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) made_tick_ms: u64,
    pub(crate) messages: Vec<Attempted>,
}

#[derive(Debug, Default)]
pub(crate) struct Attempts {
    made: BTreeMap<String, Attempt>,
    by_age: BTreeSet<(u64, String)>,
}

impl Attempts {
    /// The attempt of that id, if it may still be repeated as far as its age goes.
    pub(crate) fn find(&self, attempt_id: &str, tick_ms: u64) -> Option<&Attempt> {
        self.made.get(attempt_id).filter(|attempt| tick_ms < attempt.made_tick_ms + WINDOW_MS)
    }

    pub(crate) fn note(&mut self, attempt_id: String, attempt: Attempt) {
        let made_tick_ms = attempt.made_tick_ms;
        if let Some(replaced) = self.made.insert(attempt_id.clone(), attempt) {
            self.by_age.remove(&(replaced.made_tick_ms, attempt_id.clone()));
        }
        self.by_age.insert((made_tick_ms, attempt_id));
        if self.by_age.len() > ATTEMPTS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.made.remove(&oldest);
        }
    }

    /// Forgets what is too old to be repeated. Tells the latest tick of it.
    pub(crate) fn expire(&mut self, tick_ms: u64) -> Option<u64> {
        let mut through = None;
        while self.by_age.first().is_some_and(|(made_tick_ms, _)| made_tick_ms + WINDOW_MS <= tick_ms) {
            let Some((made_tick_ms, attempt_id)) = self.by_age.pop_first() else { break };
            self.made.remove(&attempt_id);
            through = Some(made_tick_ms);
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_known_for_five_minutes_and_a_repeat_renews_it() {
        let mut attempts = Attempts::default();
        let at = |made_tick_ms| Attempt { made_tick_ms, messages: Vec::new() };
        attempts.note("a".into(), at(0));
        attempts.note("b".into(), at(10));
        attempts.note("a".into(), at(20));
        assert_eq!(attempts.expire(10 + WINDOW_MS), Some(10));
        assert_eq!(attempts.find("b", 11), None);
        assert_eq!(attempts.find("a", 19 + WINDOW_MS), Some(&at(20)));
        assert_eq!(attempts.find("a", 20 + WINDOW_MS), None);
    }

    #[test]
    fn the_oldest_go_first_when_there_are_too_many() {
        let mut attempts = Attempts::default();
        for index in 0..=ATTEMPTS_MAX as u64 {
            attempts.note(index.to_string(), Attempt { made_tick_ms: index, messages: Vec::new() });
        }
        assert_eq!((attempts.made.len(), attempts.by_age.len()), (ATTEMPTS_MAX, ATTEMPTS_MAX));
        assert_eq!(attempts.find("0", 1), None);
        assert!(attempts.find("1", 1).is_some());
    }
}
