//! Which calls need no thread of their own: those of a function whose calls have all been brief for a while.
//!
//! To hand a call to another thread and its answer back costs two wake-ups, which is as much as a small handler's whole work.
//! So a brief function is called where its caller stands. That a guest stops being brief is found out at its next tick: it
//! is then moved to the guests' threads, and has to prove itself again, for longer each time. Until then the caller's thread
//! was held for a tick: by one that does so on purpose once in 64 calls at first, and soon once in thousands.
//!
//! What counts is processor time, not time: a call that waits holds nobody up, and a busy machine makes no call longer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a call may take of its caller's thread. A few times what a warm interpreter takes for ten records.
const BRIEF: Duration = Duration::from_micros(250);

/// Brief calls in a row after which a function is taken to be brief.
const PROBATION_CALLS: u32 = 64;

/// The same for one that has often broken its word.
const PROBATION_CALLS_MAX: u32 = 1 << 16;

/// How brief the calls of a function are. The counters are read and written apart: being off by a few calls harms nobody.
#[derive(Debug)]
pub(crate) struct Pace {
    brief_in_a_row: AtomicU32,
    probation: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { brief_in_a_row: AtomicU32::new(0), probation: AtomicU32::new(PROBATION_CALLS) }
    }
}

impl Pace {
    /// Whether the next call is likely to be brief.
    pub(crate) fn is_brief(&self) -> bool {
        self.brief_in_a_row.load(Ordering::Relaxed) >= self.probation.load(Ordering::Relaxed)
    }

    /// A call has ended that took so much processor time.
    pub(crate) fn ended(&self, took: Duration) {
        if took > BRIEF {
            self.brief_in_a_row.store(0, Ordering::Relaxed);
            return;
        }
        let brief = self.brief_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let probation = self.probation.load(Ordering::Relaxed);
        // As many again as were asked for: it is trusted sooner the next time. The count stays small, too.
        if brief >= probation.saturating_mul(2) {
            let probation = (probation / 2).max(PROBATION_CALLS);
            self.probation.store(probation, Ordering::Relaxed);
            self.brief_in_a_row.store(probation, Ordering::Relaxed);
        }
    }

    /// Whether a call may stay where its caller stands that has taken so much until now, and has not ended.
    pub(crate) fn may_go_on(&self, taken: Duration) -> bool {
        let is_brief = taken <= BRIEF;
        if !is_brief {
            let probation = self.probation.load(Ordering::Relaxed);
            self.probation.store((probation * 2).min(PROBATION_CALLS_MAX), Ordering::Relaxed);
            self.brief_in_a_row.store(0, Ordering::Relaxed);
        }
        is_brief
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(20);
    const LONG: Duration = Duration::from_millis(10);

    /// Brief calls until it is taken to be brief.
    fn calls_until_brief(pace: &Pace) -> u32 {
        (0..)
            .find(|_| {
                pace.is_brief() || {
                    pace.ended(SHORT);
                    false
                }
            })
            .unwrap_or_default()
    }

    #[test]
    fn a_function_is_brief_after_a_row_of_brief_calls_and_no_more_after_a_long_one() {
        let pace = Pace::default();
        assert_eq!(calls_until_brief(&pace), PROBATION_CALLS);
        pace.ended(LONG);
        assert!(!pace.is_brief());
        assert_eq!(calls_until_brief(&pace), PROBATION_CALLS);
    }

    #[test]
    fn who_holds_a_caller_up_must_prove_itself_for_longer_each_time_up_to_a_bound() {
        let pace = Pace::default();
        for strikes in 1..20 {
            assert!(!pace.may_go_on(LONG));
            pace.ended(LONG);
            assert_eq!(calls_until_brief(&pace), (PROBATION_CALLS << strikes.min(10)).min(PROBATION_CALLS_MAX));
        }
    }

    #[test]
    fn who_has_been_brief_for_long_is_trusted_as_at_first() {
        let pace = Pace::default();
        for _ in 0..5 {
            assert!(!pace.may_go_on(LONG));
        }
        for _ in 0..10_000 {
            pace.ended(SHORT);
            assert!(pace.may_go_on(SHORT));
        }
        assert!(pace.is_brief());
        pace.ended(LONG);
        assert_eq!(calls_until_brief(&pace), PROBATION_CALLS);
    }
}
