//! Time for queues: the only place that reads clocks.
//!
//! Two readings. The **tick** counts milliseconds that passed for the queues: it never goes back, ignores changes of the
//! wall clock, includes time the machine was suspended, and goes on from where it stood when a store is opened again. All
//! intervals (visibility, delay, retention) are counted in it. The **wall** reading is for timestamps that people and
//! programs see; it follows the system's clock forward and never goes back either.
//!
//! Both ride tokio's clock, so that a paused test passes days in microseconds, and both are ahead of it by what was skipped of
//! a [`Timeline`]. What was skipped stays in the tick when the store is opened again, as all intervals lie on it; the wall
//! clock is then the machine's again.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::timeline::Timeline;

/// One reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on the queues' own timeline.
    pub tick_ms: u64,
    /// Unix time in milliseconds.
    pub unix_ms: u64,
}

/// What a store keeps of the clock, to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockMark {
    /// The tick when the mark was made.
    pub tick_ms: u64,
    /// The machine's wall clock then, without what was skipped.
    pub unix_ms: u64,
    /// Which boot of the machine it was.
    pub boot_id: String,
    /// Milliseconds since that boot, suspended time included.
    pub since_boot_ms: u64,
}

/// The clock of one process's queues.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// The tick at `started`.
    base_tick_ms: u64,
    /// The wall clock at `started`.
    base_unix_ms: u64,
    /// How far boot time had run ahead of monotonic time at `started`: it grows while the machine is suspended.
    base_suspended_ms: u64,
    /// False in tests: time is tokio's alone.
    follows_machine: bool,
    /// The last reading: none is below it. The machine's clocks are read one after the other, so the time suspended is
    /// known to a millisecond or so and may seem to shrink.
    floor: Mutex<Now>,
    boot_id: String,
    timeline: Timeline,
}

impl Clock {
    /// The machine's clock, going on from a store's mark if there is one.
    ///
    /// Within one boot the time since the mark is known exactly. Across boots it is what the wall clock says, and
    /// nothing if the wall clock stands behind the mark: timeouts then wait a little longer, and never freeze.
    #[must_use]
    pub fn system(mark: Option<&ClockMark>) -> Self {
        let unix_ms = wall_unix_ms();
        let boot_id = boot_id();
        let base_tick_ms = match mark {
            None => unix_ms,
            Some(mark) if mark.boot_id == boot_id => {
                mark.tick_ms.saturating_add(since_boot_ms().saturating_sub(mark.since_boot_ms))
            }
            Some(mark) => mark.tick_ms.saturating_add(unix_ms.saturating_sub(mark.unix_ms)),
        };
        let base_unix_ms = unix_ms.max(mark.map_or(0, |mark| mark.unix_ms));
        Self {
            started: Instant::now(),
            base_tick_ms,
            base_unix_ms,
            base_suspended_ms: suspended_ms(),
            follows_machine: true,
            floor: Mutex::new(Now { tick_ms: base_tick_ms, unix_ms: base_unix_ms }),
            boot_id,
            timeline: Timeline::real(),
        }
    }

    /// The same, ahead by what is skipped of a timeline.
    #[must_use]
    pub fn on(self, timeline: Timeline) -> Self {
        Self { timeline, ..self }
    }

    /// What it rides.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// A clock that starts at the given Unix time and then is tokio's alone: what tests under paused time want.
    #[must_use]
    pub fn starting_at(unix_ms: u64) -> Self {
        Self {
            started: Instant::now(),
            base_tick_ms: unix_ms,
            base_unix_ms: unix_ms,
            base_suspended_ms: 0,
            follows_machine: false,
            floor: Mutex::new(Now { tick_ms: unix_ms, unix_ms }),
            boot_id: String::new(),
            timeline: Timeline::real(),
        }
    }

    /// Reads both.
    pub fn now(&self) -> Now {
        let awake_ms = whole_ms(self.started.elapsed());
        let suspended_ms = if self.follows_machine { suspended_ms().saturating_sub(self.base_suspended_ms) } else { 0 };
        let elapsed_ms = awake_ms + suspended_ms;
        let skipped_ms = self.timeline.shift_ms();
        let wall_ms = if self.follows_machine { wall_unix_ms() } else { self.base_unix_ms + elapsed_ms } + skipped_ms;
        let tick_ms = self.base_tick_ms + elapsed_ms + skipped_ms;
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        *floor = Now { tick_ms: tick_ms.max(floor.tick_ms), unix_ms: wall_ms.max(floor.unix_ms) };
        *floor
    }

    /// The tokio instant at which the tick will read `tick_ms`; now or earlier for one that has passed.
    pub fn instant_of(&self, tick_ms: u64) -> Instant {
        let remaining_ms = tick_ms.saturating_sub(self.now().tick_ms);
        Instant::now() + Duration::from_millis(remaining_ms)
    }

    /// What a store must keep to go on from here.
    #[must_use]
    pub fn mark(&self) -> ClockMark {
        let Now { tick_ms, unix_ms } = self.now();
        let unix_ms = unix_ms.saturating_sub(self.timeline.shift_ms());
        ClockMark { tick_ms, unix_ms, boot_id: self.boot_id.clone(), since_boot_ms: since_boot_ms() }
    }
}

fn wall_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_ms)
}

fn since_boot_ms() -> u64 {
    clock_ms(ClockId::Boottime)
}

fn suspended_ms() -> u64 {
    clock_ms(ClockId::Boottime).saturating_sub(clock_ms(ClockId::Monotonic))
}

fn clock_ms(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1000 + nanoseconds / 1_000_000
}

/// The kernel's id of this boot; empty where it cannot be read, which then reads as the same boot only if the machine
/// has not been rebooted into a shorter uptime (the saturating difference covers the rest).
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn days_pass_in_a_paused_test() {
        let clock = Clock::starting_at(1_000);
        tokio::time::advance(Duration::from_secs(4 * 86_400)).await;
        assert_eq!(clock.now(), Now { tick_ms: 1_000 + 345_600_000, unix_ms: 1_000 + 345_600_000 });
    }

    #[tokio::test]
    async fn within_one_boot_the_tick_goes_on_by_the_time_that_passed_whatever_the_wall_says() {
        let mark = ClockMark {
            tick_ms: 5_000,
            unix_ms: wall_unix_ms() + 3_600_000,
            boot_id: boot_id(),
            since_boot_ms: since_boot_ms().saturating_sub(700),
        };
        let tick_ms = Clock::system(Some(&mark)).now().tick_ms;
        assert!((5_700..6_700).contains(&tick_ms), "{tick_ms}");
    }

    #[tokio::test]
    async fn after_a_reboot_under_an_older_wall_clock_ticks_go_on_and_timestamps_do_not_go_back() {
        let unix_ms = wall_unix_ms() + 3_600_000;
        let mark = ClockMark { tick_ms: 5_000, unix_ms, boot_id: "another boot".into(), since_boot_ms: 1 };
        let now = Clock::system(Some(&mark)).now();
        assert!((5_000..6_000).contains(&now.tick_ms), "{}", now.tick_ms);
        assert!(now.unix_ms >= unix_ms);
    }

    #[tokio::test]
    async fn what_was_skipped_stays_in_the_tick_and_not_in_the_timestamps_of_the_next_start() {
        let timeline = Timeline::steered();
        let clock = Clock::system(None).on(timeline.clone());
        let before = clock.now();
        timeline.steering().unwrap_or_else(|| panic!("it is steered")).skip(86_400_000);
        let after = clock.now();
        assert!((86_400_000..86_401_000).contains(&(after.tick_ms - before.tick_ms)), "{before:?} {after:?}");
        assert!((86_400_000..86_401_000).contains(&(after.unix_ms - before.unix_ms)), "{before:?} {after:?}");
        let next = Clock::system(Some(&clock.mark())).now();
        assert!((after.tick_ms..after.tick_ms + 1000).contains(&next.tick_ms), "{after:?} {next:?}");
        assert!((before.unix_ms..before.unix_ms + 1000).contains(&next.unix_ms), "{before:?} {next:?}");
        // Nor after a reboot.
        let rebooted = Clock::system(Some(&ClockMark { boot_id: "another boot".into(), ..clock.mark() })).now();
        assert!((after.tick_ms..after.tick_ms + 1000).contains(&rebooted.tick_ms), "{after:?} {rebooted:?}");
        assert!((before.unix_ms..before.unix_ms + 1000).contains(&rebooted.unix_ms), "{before:?} {rebooted:?}");
    }

    #[tokio::test]
    async fn after_a_reboot_the_time_that_the_wall_clock_saw_counts() {
        let unix_ms = wall_unix_ms() - 60_000;
        let mark = ClockMark { tick_ms: 5_000, unix_ms, boot_id: "another boot".into(), since_boot_ms: 1 };
        let tick_ms = Clock::system(Some(&mark)).now().tick_ms;
        assert!((65_000..66_000).contains(&tick_ms), "{tick_ms}");
    }
}
