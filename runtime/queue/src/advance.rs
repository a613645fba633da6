//! Skipping time: from one moment at which something is due to the next, each as it comes.
//!
//! What passing time would have done is done: waiters find what became visible, windows close, leases are renewed, failed
//! messages come again and fail again. After each moment nobody works any more before the next one comes, as far as the caller's
//! patience goes; handlers run in real time. Without patience only timers are waited for, and leases hold all the same.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::alarm::ring;
use crate::broker::Broker;
use crate::clock::Now;
use crate::effect::Effect;
use crate::timeline::{Steered, Unrest};

/// The most that one call skips: every retention period, twice.
const SKIP_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The most that all of them skip: timestamps stay such that programs can read them.
const SHIFT_MAX_MS: u64 = 10 * 365 * 86_400 * 1000;
/// The most real time that is spent on it, handlers' included.
const TAKES_MAX: Duration = Duration::from_secs(60);
/// How long what a timer leads to may take. It is a call of the queue.
const STEP_MAX: Duration = Duration::from_secs(2);
/// How soon is looked again where nobody says that something has changed.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How time is to be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// How much, or how much at most.
    pub by: Duration,
    /// To stop as soon as no message is hidden and no timer runs.
    pub until_idle: bool,
    /// How long handlers are waited for in all, in real time.
    pub patience: Duration,
}

/// How time was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advanced {
    /// How far.
    pub by: Duration,
    /// The time it is now.
    pub now: Now,
    /// Nobody works any more, and nothing that is due was left undone. Else handlers still run.
    pub is_settled: bool,
}

/// Why time was not skipped, or not as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// The broker was opened without a timeline that can be steered.
    #[error("time cannot be skipped here")]
    NotSteered,
    /// It would be too far for one call.
    #[error("at most {} seconds, 30 days, can be skipped at a time", SKIP_MAX.as_secs())]
    TooFar,
    /// It would be too far in all.
    #[error("ten years were skipped in all: start again to skip more")]
    TooFarInAll,
    /// What became due kept everybody busy for too long.
    #[error("after {} seconds of real time only {} of the time was skipped: skip less at a time", TAKES_MAX.as_secs(), shown(*.by))]
    TooBusy {
        /// How far it came.
        by: Duration,
    },
}

fn shown(by: Duration) -> String {
    format!("{} s", by.as_secs_f64())
}

impl Broker {
    /// Skips time. When it answers, what fell due by then has happened: messages are visible or expired, windows have closed.
    /// Calls take turns.
    ///
    /// # Errors
    /// Time cannot be skipped, or not so far.
    pub async fn advance(&self, advance: Advance) -> Result<Advanced, AdvanceError> {
        let seam = self.seam();
        let steered = seam.clock.timeline().steering().ok_or(AdvanceError::NotSteered)?;
        if advance.by > SKIP_MAX {
            return Err(AdvanceError::TooFar);
        }
        let by_ms = u64::try_from(advance.by.as_millis()).unwrap_or(u64::MAX);
        let _one_at_a_time = steered.helm.lock().await;
        if seam.clock.timeline().shift_ms().saturating_add(by_ms) > SHIFT_MAX_MS {
            return Err(AdvanceError::TooFarInAll);
        }
        let (began, from_ms) = (Instant::now(), self.now().tick_ms);
        let patience_ends = began + advance.patience.min(TAKES_MAX);
        let until_ms = from_ms + by_ms;
        loop {
            let is_settled = self.settled(steered, patience_ends).await;
            let now_ms = self.now().tick_ms;
            if now_ms >= until_ms || advance.until_idle && is_settled && !self.is_anything_to_come(steered) {
                break;
            }
            if began.elapsed() > TAKES_MAX {
                return Err(AdvanceError::TooBusy { by: Duration::from_millis(now_ms - from_ms) });
            }
            let next_ms = self.next_ms(steered, now_ms, advance.until_idle).unwrap_or(until_ms);
            steered.skip(next_ms.min(until_ms) - now_ms);
            seam.alarm.look_again();
        }
        ring(seam, true);
        // What a look at the queues found is on its way to the disk before this.
        let _store_says_so_itself = seam.submit(vec![Effect::Barrier]).await;
        let is_settled = self.settled(steered, patience_ends).await;
        let now = self.now();
        Ok(Advanced { by: Duration::from_millis(now.tick_ms - from_ms), now, is_settled })
    }

    /// Waits until nobody works and nothing is due; false when that took too long.
    async fn settled(&self, steered: &Steered, patience_ends: Instant) -> bool {
        let steps_end = Instant::now() + STEP_MAX;
        loop {
            let mut calmer = std::pin::pin!(steered.calmer());
            calmer.as_mut().enable();
            let ends = match self.unrest(steered) {
                Unrest::Calm => return true,
                Unrest::Trips => patience_ends,
                Unrest::Steps => steps_end,
            };
            if Instant::now() >= ends {
                return false;
            }
            let _either = timeout(LOOK_AGAIN, calmer).await;
        }
    }

    fn unrest(&self, steered: &Steered) -> Unrest {
        let seam = self.seam();
        let begun = steered.begun();
        if seam.alarm.due().is_some_and(|due_ms| due_ms <= self.now().tick_ms) {
            seam.alarm.clear();
            ring(seam, false);
        }
        let unrest = steered.unrest();
        if unrest != Unrest::Calm {
            return unrest;
        }
        let is_taken_next = || {
            let queues = seam.all_queues();
            queues.iter().any(|queue| queue.signal.is_awaited() && seam.lock_state().is_ready(queue.id))
        };
        // Who began and ceased since the first look may have left something that was looked for before.
        if is_taken_next() || steered.begun() != begun { Unrest::Steps } else { Unrest::Calm }
    }

    /// The tick at which the next thing is due; with `all`, also what nobody waits for.
    fn next_ms(&self, steered: &Steered, now_ms: u64, all: bool) -> Option<u64> {
        let seam = self.seam();
        let of_timers = steered.next_due_ms().map(|ahead_ms| now_ms + ahead_ms);
        let of_queues = if all { self.next_visible_ms() } else { seam.alarm.due() };
        [of_timers, of_queues].into_iter().flatten().map(|due_ms| due_ms.max(now_ms + 1)).min()
    }

    fn next_visible_ms(&self) -> Option<u64> {
        let seam = self.seam();
        let queues = seam.all_queues();
        let state = seam.lock_state();
        queues.iter().filter_map(|queue| state.next_visible_tick_ms(queue.id)).min()
    }

    fn is_anything_to_come(&self, steered: &Steered) -> bool {
        // What has become visible of what nobody waits for is still among the hidden until somebody looks.
        ring(self.seam(), true);
        steered.is_anything_announced() || self.next_visible_ms().is_some()
    }
}
