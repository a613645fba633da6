//! What was judged done and could not be deleted: settled at its redelivery, without a second run.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a message is remembered, and how many are: beyond either it is handled again, as at-least-once allows.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
const REMEMBERED_MAX: usize = 100_000;

/// Ids of messages that were judged done.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: HashMap<String, Instant>,
    order: VecDeque<(Instant, String)>,
}

impl Remembered {
    pub(crate) fn add(&self, message_id: &str) {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.since.insert(message_id.to_owned(), now);
        state.order.push_back((now, message_id.to_owned()));
        while state.order.len() > REMEMBERED_MAX
            || state.order.front().is_some_and(|(at, _)| *at + REMEMBERED_FOR <= now)
        {
            let Some((at, id)) = state.order.pop_front() else { break };
            if state.since.get(&id) == Some(&at) {
                state.since.remove(&id);
            }
        }
    }

    /// Whether a message that comes again was done before.
    pub(crate) fn holds(&self, message_id: &str) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.since.get(message_id).is_some_and(|at| at.elapsed() < REMEMBERED_FOR)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).since.is_empty()
    }

    /// It is deleted by now.
    pub(crate) fn forget(&self, message_id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).since.remove(message_id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_is_remembered_for_an_hour_and_not_more_than_so_many() {
        let remembered = Remembered::default();
        remembered.add("first");
        advance(REMEMBERED_FOR - Duration::from_secs(1)).await;
        assert!(remembered.holds("first"));
        advance(Duration::from_secs(1)).await;
        assert!(!remembered.holds("first"));
        (0..=REMEMBERED_MAX).for_each(|n| remembered.add(&n.to_string()));
        assert!(!remembered.holds("0"));
        assert!(remembered.holds("1"));
        remembered.forget("1");
        assert!(!remembered.holds("1"));
    }
}
