//! Waking those who wait for messages: a signal per queue, and one timer for hidden messages that become visible.
//!
//! A signal wakes one waiter at a time; who finds more than it takes, or does not take at all, passes it on. The timer is
//! set only for queues that somebody waits on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::effect::removals;
use crate::error::QueueError;
use crate::seam::{Seam, Wait};

/// How often every queue is looked at for messages past their retention.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// One queue's signal.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    notify: Notify,
    waiting: AtomicUsize,
}

/// Counts a waiter for as long as it lives.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Signal);

impl Signal {
    pub(crate) fn wake_one(&self) {
        self.notify.notify_one();
    }

    pub(crate) fn wake_all(&self) {
        self.notify.notify_waiters();
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }

    pub(crate) fn start_waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(self)
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The one timer of a process's queues.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// The earliest tick it is set for.
    due_tick_ms: Mutex<Option<u64>>,
    changed: Notify,
}

impl Alarm {
    /// Sets the alarm no later than `tick_ms`.
    pub(crate) fn set(&self, tick_ms: u64) {
        let mut due = self.due_tick_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if due.is_none_or(|due_ms| tick_ms < due_ms) {
            *due = Some(tick_ms);
            drop(due);
            self.changed.notify_one();
        }
    }

    /// Sets the alarm for a queue's next visible message, if somebody waits there.
    pub(crate) fn set_if_awaited(&self, signal: &Signal, next_visible_tick_ms: Option<u64>) {
        if let Some(tick_ms) = next_visible_tick_ms.filter(|_| signal.is_awaited()) {
            self.set(tick_ms);
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        *self.due_tick_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time was skipped: the timer's task sleeps for too long.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn clear(&self) {
        *self.due_tick_ms.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The timer's task. It does not keep the queues alive: it ends within [`SWEEP_EVERY`] of their being dropped.
pub(crate) async fn run(inner: Weak<Seam>, alarm: Arc<Alarm>, clock: Arc<Clock>) {
    let mut next_sweep = Instant::now() + SWEEP_EVERY;
    loop {
        let due = alarm.due().map(|tick_ms| clock.instant_of(tick_ms));
        let wake_at = due.map_or(next_sweep, |due| due.min(next_sweep));
        tokio::select! {
            biased;
            () = alarm.changed.notified() => continue,
            () = sleep_until(wake_at) => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        let everything = Instant::now() >= next_sweep;
        if everything {
            next_sweep = Instant::now() + SWEEP_EVERY;
        }
        alarm.clear();
        ring(&inner, everything);
    }
}

/// Lets time pass on the queues that somebody waits on, or on all, and wakes where something became visible.
pub(crate) fn ring(inner: &Seam, everything: bool) {
    for queue in inner.all_queues() {
        if !everything && !queue.signal.is_awaited() {
            continue;
        }
        let id = queue.id;
        let swept = inner.plan(Wait::Lazy, |state, now, effects| {
            state.sweep(id, now, effects);
            Ok::<_, QueueError>((state.is_ready(id), state.next_visible_tick_ms(id), removals(effects)))
        });
        let Ok(((ready, upcoming, expired), _lazy)) = swept else { continue };
        queue.metrics.expired(expired);
        if ready {
            queue.signal.wake_one();
        }
        inner.alarm.set_if_awaited(&queue.signal, upcoming);
    }
}
