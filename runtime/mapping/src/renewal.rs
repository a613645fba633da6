//! Renews the leases of all that a mapping holds, from one deadline wheel.
//!
//! What becomes due in the same eighth of a visibility timeout is renewed together, in calls as large as the queue takes (ten
//! on Amazon SQS), several at a time: ten thousand messages cost a call per ten of them and period, and no slow call holds
//! up the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmill_queue::{Announced, EntryResults, Queue, QueueError, ReceiptHandle, Timeline, VisibilityChange, Work};

use crate::lease::{Hold, Leased, Unit};
use crate::metrics::MappingMetrics;

/// Slots of the wheel per visibility timeout.
const SLOTS_PER_TIMEOUT: u32 = 8;
/// What one call may carry: Amazon's limit, and a group commit of the built-in queue.
const REMOTE_ENTRIES_MAX: usize = 10;
const LOCAL_ENTRIES_MAX: usize = 1000;
/// Calls under way at a time.
const CALLS_MAX: usize = 16;
/// The pause after a renewal that could not reach the service, unless the lease ends before.
const PAUSE: Duration = Duration::from_millis(200);

/// A mapping's leases. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Leases(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    wheel: Mutex<Wheel>,
    /// Something is due earlier than before.
    sooner: Notify,
    /// A call is over.
    called: Notify,
    timeline: Timeline,
    began: Instant,
}

#[derive(Debug)]
struct Wheel {
    units: BTreeMap<(Instant, u64), Arc<Unit>>,
    next: u64,
    /// When the first of them is due, for whoever skips time.
    announced: Announced,
}

impl Wheel {
    fn first_due(&self) -> Option<Instant> {
        self.units.first_key_value().map(|((at, _), _)| *at)
    }

    fn announce(&mut self) {
        let first = self.first_due();
        self.announced.set(first);
    }
}

/// One call.
struct Call {
    queue: Arc<dyn Queue>,
    messages: Vec<(Arc<Unit>, usize, ReceiptHandle, Duration)>,
}

impl Leases {
    pub(crate) fn new(timeline: Timeline) -> Self {
        let (sooner, called) = (Notify::new(), Notify::new());
        let wheel = Mutex::new(Wheel { units: BTreeMap::new(), next: 0, announced: timeline.announce() });
        let began = timeline.now();
        Self(Arc::new(Shared { wheel, sooner, called, timeline, began }))
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.timeline.now()
    }

    fn lock(&self) -> MutexGuard<'_, Wheel> {
        self.0.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many units are to be renewed.
    #[cfg(test)]
    pub(crate) fn on_wheel(&self) -> usize {
        self.lock().units.len()
    }

    /// Puts a unit on the wheel, not before `due`.
    pub(crate) fn add(&self, unit: &Arc<Unit>, due: Instant) {
        let slot = (unit.terms.lease_visibility / SLOTS_PER_TIMEOUT).as_millis().max(1);
        let since_began = due.saturating_duration_since(self.0.began).as_millis();
        let rounded = since_began.div_ceil(slot) * slot;
        self.put(unit, self.0.began + Duration::from_millis(u64::try_from(rounded).unwrap_or(u64::MAX / 2)));
    }

    fn put(&self, unit: &Arc<Unit>, due: Instant) {
        let mut wheel = self.lock();
        let place = (due, wheel.next);
        wheel.next += 1;
        let is_first = wheel.units.first_key_value().is_none_or(|(first, _)| place < *first);
        unit.lock().slot = Some(place);
        wheel.units.insert(place, Arc::clone(unit));
        wheel.announce();
        drop(wheel);
        if is_first {
            self.0.sooner.notify_one();
        }
    }

    /// Takes a unit off the wheel when none of its messages is held any more.
    pub(crate) fn forget_if_over(&self, unit: &Arc<Unit>) {
        let mut wheel = self.lock();
        let mut state = unit.lock();
        if state.messages.iter().all(|message| matches!(message.state, Hold::LetGo | Hold::Lost))
            && let Some(slot) = state.slot.take()
        {
            wheel.units.remove(&slot);
            wheel.announce();
        }
    }

    /// Completes when a renewal that is under way is over.
    pub(crate) fn called(&self) -> Notified<'_> {
        self.0.called.notified()
    }

    /// Takes what is due; tells when the next will be.
    fn take_due(&self) -> (Vec<Arc<Unit>>, Option<Instant>) {
        let now = self.now();
        let mut wheel = self.lock();
        let mut due = Vec::new();
        while let Some(entry) = wheel.units.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        let next = wheel.first_due();
        wheel.announce();
        drop(wheel);
        for unit in &due {
            unit.lock().slot = None;
        }
        (due, next)
    }
}

/// Renews until `stop`, which is cancelled when nothing can be held any more.
pub(crate) async fn run(
    leases: Leases,
    queue: Arc<Mutex<Arc<dyn Queue>>>,
    metrics: MappingMetrics,
    work: Work,
    stop: CancellationToken,
) {
    let mut calls = FuturesUnordered::new();
    let mut waiting: VecDeque<Call> = VecDeque::new();
    let timeline = &leases.0.timeline;
    loop {
        let (due, next) = leases.take_due();
        if !due.is_empty() {
            let queue = Arc::clone(&queue.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.extend(calls_for(&queue, &due, leases.now(), &metrics));
        }
        while calls.len() < CALLS_MAX
            && let Some(call) = waiting.pop_front()
        {
            calls.push(make(call, timeline));
        }
        let is_calling = !calls.is_empty();
        let event = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Event::Stopped,
                Some((call, outcome, asked_at)) = calls.next() => Event::Called(call, outcome, asked_at),
                () = leases.0.sooner.notified() => Event::Due,
                () = timeline.sleep_until(next.unwrap_or(leases.0.began)), if next.is_some() => Event::Due,
            }
        };
        // Whoever skips time waits for the calls.
        match if is_calling { event.await } else { work.rest(event).await } {
            Event::Stopped => return,
            Event::Called(call, outcome, asked_at) => finish(&leases, &call, outcome, asked_at, &metrics),
            Event::Due => {}
        }
    }
}

/// What wakes the one who renews.
enum Event {
    Stopped,
    Called(Call, Result<EntryResults<()>, QueueError>, Instant),
    Due,
}

/// The calls that renew what is due, the earliest first.
fn calls_for(queue: &Arc<dyn Queue>, due: &[Arc<Unit>], now: Instant, metrics: &MappingMetrics) -> Vec<Call> {
    let mut messages = Vec::new();
    for unit in due {
        let left = unit.terms.longest_hide(now);
        let timeout = Duration::from_secs(unit.terms.lease_visibility.min(left).as_secs());
        let mut state = unit.lock();
        for (index, message) in state.messages.iter_mut().enumerate() {
            // One that is in a call already is put back on the wheel when that is over.
            if message.in_call || !matches!(message.state, Hold::Held | Hold::Removing) {
                continue;
            }
            if timeout.is_zero() {
                lose(message, metrics, "held for 12 h, the longest that SQS allows: it returns to the queue");
            } else if message.confirmed_until <= now {
                lose(message, metrics, "not renewed in time");
            } else {
                message.touched = true;
                message.in_call = true;
                messages.push((Arc::clone(unit), index, message.receipt.clone(), timeout));
            }
        }
    }
    let most = if queue.capabilities().signals_readiness { LOCAL_ENTRIES_MAX } else { REMOTE_ENTRIES_MAX };
    messages.chunks(most).map(|some| Call { queue: Arc::clone(queue), messages: some.to_vec() }).collect()
}

async fn make(call: Call, timeline: &Timeline) -> (Call, Result<EntryResults<()>, QueueError>, Instant) {
    let asked_at = timeline.now();
    let changes: Vec<VisibilityChange> = call
        .messages
        .iter()
        .map(|(_, _, receipt, timeout)| VisibilityChange {
            receipt: receipt.clone(),
            timeout_seconds: u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX),
        })
        .collect();
    let outcome = call.queue.change_visibility(&changes).await;
    (call, outcome, asked_at)
}

/// Notes what a call has done, and puts back on the wheel what is still held.
fn finish(
    leases: &Leases,
    call: &Call,
    outcome: Result<EntryResults<()>, QueueError>,
    asked_at: Instant,
    metrics: &MappingMetrics,
) {
    let results = outcome.unwrap_or_else(|error| vec![Err(error); call.messages.len()]);
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err().filter(|error| !is_over(error))) {
        tracing::warn!(mapping = metrics.mapping(), %error, "lease renewal failed, trying again");
    }
    let now = leases.now();
    let mut units: Vec<(Arc<Unit>, Instant)> = Vec::new();
    for ((unit, index, _, timeout), result) in call.messages.iter().zip(results) {
        let mut state = unit.lock();
        let message = &mut state.messages[*index];
        message.in_call = false;
        let due = match result {
            Ok(()) => {
                message.confirmed_until = asked_at + *timeout;
                metrics.lease_renewed();
                asked_at + *timeout / 2
            }
            Err(error) if is_over(&error) => {
                lose(message, metrics, &error.to_string());
                continue;
            }
            // Again soon, and well before its time is up.
            Err(_) => now + PAUSE.min(message.confirmed_until.saturating_duration_since(now) / 2).max(PAUSE / 8),
        };
        if !matches!(message.state, Hold::Held | Hold::Removing) {
            continue;
        }
        match units.last_mut().filter(|(last, _)| Arc::ptr_eq(last, unit)) {
            Some((_, earliest)) => *earliest = due.min(*earliest),
            None => units.push((Arc::clone(unit), due)),
        }
    }
    for (unit, due) in units {
        // A unit's other calls may have put it back already: the sooner of the two counts.
        let slot = unit.lock().slot;
        match slot {
            Some((at, _)) if at <= due => continue,
            Some(slot) => drop(leases.lock().units.remove(&slot)),
            None => {}
        }
        if due > now + PAUSE { leases.add(&unit, due) } else { leases.put(&unit, due) }
    }
    leases.0.called.notify_waiters();
}

/// Whether the queue itself says that the lease is over, or will never renew it.
fn is_over(error: &QueueError) -> bool {
    matches!(
        error,
        QueueError::NotInFlight { .. }
            | QueueError::InvalidReceipt { .. }
            | QueueError::ReceiptExpired { .. }
            | QueueError::NoSuchQueue
            | QueueError::Refused { .. }
            | QueueError::VisibilityOutOfRange { .. }
    )
}

fn lose(message: &mut Leased, metrics: &MappingMetrics, reason: &str) {
    // One that is being removed may be gone already: that is what was wanted.
    if message.state == Hold::Held {
        metrics.lease_lost();
        tracing::error!(mapping = metrics.mapping(), receipt = message.receipt.as_str(), reason, "lease lost");
    }
    if message.state != Hold::LetGo {
        message.state = Hold::Lost;
    }
}
