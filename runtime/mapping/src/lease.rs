//! The lease on what a mapping holds: from the moment of receive until it is settled, also while it waits in a window.
//!
//! A lease lives inside its batch; `renewal.rs` renews all of a mapping's together. Nothing is renewed before half the
//! visibility timeout has passed, so a message that fails early returns exactly when it would have without us. A renewal's
//! deadline is counted from before the request, a receive's from when its answer was there (a long poll waits an unknown
//! time before that).
//!
//! Margins: a renewal is due between a half and five eighths of the timeout: 0.5 s after the receive for a timeout of 1 s, 1 s
//! for one of 2 s. A queue whose timeout is 0 would give each message to the next poll at once; its messages are received
//! under [`LEASE_OF_ZERO`] instead and given back at once when they fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmill_queue::ReceiptHandle;

use crate::renewal::Leases;

/// The visibility asked for where the queue's own is 0.
pub(crate) const LEASE_OF_ZERO: Duration = Duration::from_secs(2);
/// SQS holds no message longer than this, counted from the receive (sqs-semantics §5.3).
const HELD_MAX: Duration = Duration::from_secs(12 * 3600);

/// When and how a receive was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Before the call was made: visibility counts from no earlier.
    pub(crate) received_at: Instant,
    /// The queue's own visibility timeout, which decides when a failed message returns.
    pub(crate) queue_visibility: Duration,
    /// The visibility that the receive asked for and that renewals ask for.
    pub(crate) lease_visibility: Duration,
    /// After so many receives the queue gives a message up, if ever.
    pub(crate) max_receive_count: Option<u32>,
}

impl Terms {
    /// What is left of the queue's own visibility timeout, counted from the receive.
    pub(crate) fn queue_visibility_left(&self, now: Instant) -> Duration {
        (self.received_at + self.queue_visibility).saturating_duration_since(now)
    }

    /// The longest that a message may still be kept hidden.
    pub(crate) fn longest_hide(&self, now: Instant) -> Duration {
        (self.received_at + HELD_MAX).saturating_duration_since(now)
    }
}

/// The leases of a batch's messages, in the order of its records. Dropped, it renews nothing more.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    /// What came together is renewed together.
    units: Vec<Arc<Unit>>,
    /// Per record: its unit, and its place in it.
    places: Vec<(Arc<Unit>, usize)>,
}

/// The messages of one receive.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) terms: Terms,
    state: Mutex<UnitState>,
}

#[derive(Debug)]
pub(crate) struct UnitState {
    pub(crate) messages: Vec<Leased>,
    /// Where it stands on the wheel.
    pub(crate) slot: Option<(Instant, u64)>,
}

#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) receipt: ReceiptHandle,
    /// Until when the message is ours as far as the service has confirmed.
    pub(crate) confirmed_until: Instant,
    /// True once a renewal was sent for it, answered or not: its visibility is no longer what the receive set.
    pub(crate) touched: bool,
    /// True while a renewal is under way.
    pub(crate) in_call: bool,
    pub(crate) state: Hold,
}

/// Whether a message is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Held,
    /// It is being removed: renewed until it is, and that it is not found is no loss.
    Removing,
    /// It is settled, or goes back.
    LetGo,
    /// Somebody else may have it by now.
    Lost,
}

/// How a message stands when its verdict is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The visibility is no longer what the queue itself would have set.
    pub(crate) touched: bool,
    /// Somebody else may have it by now.
    pub(crate) lost: bool,
}

impl Unit {
    pub(crate) fn new(receipts: impl IntoIterator<Item = ReceiptHandle>, terms: Terms) -> Self {
        let confirmed_until = terms.received_at + terms.lease_visibility;
        let touched = terms.lease_visibility != terms.queue_visibility;
        let leased = |receipt| Leased { receipt, confirmed_until, touched, in_call: false, state: Hold::Held };
        let messages = receipts.into_iter().map(leased).collect();
        Self { terms, state: Mutex::new(UnitState { messages, slot: None }) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, UnitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Begins to lease the messages of one receive.
    pub(crate) fn begin(leases: &Leases, receipts: impl IntoIterator<Item = ReceiptHandle>, terms: Terms) -> Self {
        let unit = Arc::new(Unit::new(receipts, terms));
        let places = (0..unit.lock().messages.len()).map(|index| (Arc::clone(&unit), index)).collect();
        leases.add(&unit, terms.received_at + terms.lease_visibility / 2);
        Self { leases: leases.clone(), units: vec![unit], places }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes over another's messages, behind its own.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.places.append(&mut other.places);
        for unit in std::mem::take(&mut other.units) {
            if !self.units.iter().any(|known| Arc::ptr_eq(known, &unit)) {
                self.units.push(unit);
            }
        }
    }

    /// Splits off those of the records that `goes` says, by index; both keep the order.
    pub(crate) fn split(&mut self, goes: impl Fn(usize) -> bool) -> Self {
        let mut index = 0;
        let gone: Vec<(Arc<Unit>, usize)> = self
            .places
            .extract_if(.., |_| {
                index += 1;
                goes(index - 1)
            })
            .collect();
        let of = |places: &[(Arc<Unit>, usize)]| {
            let mut units: Vec<Arc<Unit>> = Vec::new();
            for (unit, _) in places {
                if !units.last().is_some_and(|last| Arc::ptr_eq(last, unit)) {
                    units.push(Arc::clone(unit));
                }
            }
            units
        };
        self.units = of(&self.places);
        Self { leases: self.leases.clone(), units: of(&gone), places: gone }
    }

    /// How each message of the batch stands now.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let now = self.now();
        let mut standings = Vec::with_capacity(self.places.len());
        self.each(|_, message| {
            let lost = message.state == Hold::Lost || message.confirmed_until <= now;
            standings.push(Standing { touched: message.touched, lost });
        });
        standings
    }

    /// The moment that it is on the mapping's timeline.
    pub(crate) fn now(&self) -> Instant {
        self.leases.now()
    }

    /// Goes over the messages in order, with their index. What came together is locked together.
    fn each(&self, mut visit: impl FnMut(usize, &mut Leased)) {
        let mut index = 0;
        for together in self.places.chunk_by(|(one, _), (next, _)| Arc::ptr_eq(one, next)) {
            let mut state = together[0].0.lock();
            for (_, place) in together {
                visit(index, &mut state.messages[*place]);
                index += 1;
            }
        }
    }

    /// When and how the message at `index` was received.
    pub(crate) fn terms(&self, index: usize) -> Option<Terms> {
        self.places.get(index).map(|(unit, _)| unit.terms)
    }

    /// From here on the messages that `removes` names, by index, are renewed only until they are removed, and the others not at
    /// all. Waits for a renewal that is under way, so that none comes after what is said of a message next.
    pub(crate) async fn settle(&self, removes: impl Fn(usize) -> bool) {
        let mut must_wait = false;
        self.each(|index, message| {
            if message.state != Hold::Lost {
                message.state = if removes(index) { Hold::Removing } else { Hold::LetGo };
            }
            must_wait |= message.in_call && message.state == Hold::LetGo;
        });
        while must_wait {
            let mut called = std::pin::pin!(self.leases.called());
            called.as_mut().enable();
            must_wait = false;
            self.each(|_, message| must_wait |= message.in_call && message.state == Hold::LetGo);
            if must_wait {
                called.await;
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.each(|_, message| {
            if message.state != Hold::Lost {
                message.state = Hold::LetGo;
            }
        });
        for unit in &self.units {
            self.leases.forget_if_over(unit);
        }
    }
}
