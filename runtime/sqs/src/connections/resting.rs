//! Which connections rest, and which of them makes room for a newcomer once all places are taken: the one that has rested longest.
//!
//! A connection rests while no request of it is being answered: between two requests, before its first, and while the
//! head of one is still coming. Clients open another when one that rests is closed; one that is being answered is never closed for
//! somebody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who has rested for less is left alone: its request may be on the way, and its last answer not yet read.
const REST_MIN: Duration = Duration::from_secs(2);
/// How long it may take until whoever was asked to leave has left.
const LEAVING_MAX: Duration = Duration::from_millis(200);
/// Whoever runs the worker is told once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// In place of the moment since when a connection rests: it does not, or was asked to leave.
const BUSY: u64 = u64::MAX;

/// All connections of a listener: which of them rest.
#[derive(Debug)]
pub struct Resting {
    begun: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    next: u64,
    connections: BTreeMap<u64, Arc<Mark>>,
    told: Option<Instant>,
}

/// What is known of one connection. Each request changes it twice, so that takes no lock; a newcomer without a place looks through all.
#[derive(Debug)]
struct Mark {
    /// In milliseconds from when the listener began.
    rests_since_ms: AtomicU64,
    leave: CancellationToken,
}

/// One connection's part in it.
#[derive(Debug)]
pub struct Place {
    resting: Arc<Resting>,
    number: u64,
    mark: Arc<Mark>,
}

impl Default for Resting {
    fn default() -> Self {
        Self { begun: Instant::now(), known: Mutex::default() }
    }
}

impl Resting {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }

    /// For a new connection, which rests at first.
    pub fn arrive(self: &Arc<Self>) -> Place {
        let mark = Mark { rests_since_ms: AtomicU64::new(self.now_ms()), leave: CancellationToken::new() };
        let mark = Arc::new(mark);
        let mut known = self.lock();
        let number = known.next;
        known.next += 1;
        known.connections.insert(number, Arc::clone(&mark));
        Place { resting: Arc::clone(self), number, mark }
    }

    /// Waits for a slot, and makes one free where somebody rests. Cancel-safe.
    ///
    /// # Errors
    /// The slots are closed.
    pub async fn slot(&self, slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
        let free = Arc::clone(slots).acquire_owned();
        tokio::pin!(free);
        loop {
            tokio::select! {
                biased;
                slot = &mut free => return slot,
                () = std::future::ready(()) => {}
            }
            let again = self.make_room();
            tokio::select! {
                biased;
                slot = &mut free => return slot,
                () = tokio::time::sleep_until(again) => {}
            }
        }
    }

    /// Asks who has rested longest to leave, if it has rested long enough. Gives the moment to ask again.
    fn make_room(&self) -> Instant {
        let now = Instant::now();
        let mut known = self.lock();
        let resting = known.connections.values().map(|mark| (mark.rests_since_ms.load(Ordering::Acquire), mark));
        let Some((since_ms, oldest)) =
            resting.filter(|(since_ms, _)| *since_ms != BUSY).min_by_key(|(since, _)| *since)
        else {
            return now + LEAVING_MAX;
        };
        let may_leave_at = self.begun + Duration::from_millis(since_ms) + REST_MIN;
        if may_leave_at > now {
            return may_leave_at;
        }
        let still_rests = oldest.rests_since_ms.compare_exchange(since_ms, BUSY, Ordering::AcqRel, Ordering::Acquire);
        if still_rests.is_err() {
            // A request of it has come meanwhile.
            return now;
        }
        oldest.leave.cancel();
        if known.told.is_none_or(|told| told + TOLD_EVERY <= now) {
            known.told = Some(now);
            tracing::warn!(
                "all places for connections are taken: those that have rested longest are closed for new ones"
            );
        }
        now + LEAVING_MAX
    }
}

impl Place {
    /// A request has come. False when the connection was asked to leave before: then nothing may be begun for it.
    pub fn work(&self) -> bool {
        self.mark.rests_since_ms.swap(BUSY, Ordering::AcqRel) != BUSY
    }

    /// It was answered.
    pub fn rest(&self) {
        self.mark.rests_since_ms.store(self.resting.now_ms(), Ordering::Release);
    }

    /// Waits until it shall make room.
    pub async fn shall_leave(&self) {
        self.mark.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.resting.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn leaves(place: &Place) -> bool {
        place.mark.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_rested_longest_makes_room_and_who_is_being_answered_never() {
        let resting = Arc::new(Resting::default());
        let [first, busy, last] = [(); 3].map(|()| resting.arrive());
        busy.work();
        tokio::time::advance(REST_MIN).await;
        // It was answered since.
        first.work();
        first.rest();
        resting.make_room();
        assert_eq!([&first, &busy, &last].map(leaves), [false, false, true]);
        assert!(!last.work(), "a request was begun on a connection that is closed for another");
        assert_eq!(resting.make_room(), Instant::now() + REST_MIN, "a moment's rest is everybody's");
        tokio::time::advance(REST_MIN).await;
        resting.make_room();
        assert_eq!([&first, &busy].map(leaves), [true, false]);
        drop((first, busy, last));
        assert!(resting.lock().connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_gets_the_slot_of_who_rests_and_waits_where_nobody_does() {
        let (resting, slots) = (Arc::new(Resting::default()), Arc::new(Semaphore::new(1)));
        let slot = resting.slot(&slots).await.unwrap();
        let place = resting.arrive();
        let leaving = async {
            place.shall_leave().await;
            drop(slot);
        };
        let begun = Instant::now();
        let (slot, ()) = tokio::join!(resting.slot(&slots), leaving);
        assert_eq!(begun.elapsed().as_secs(), REST_MIN.as_secs());
        let busy = resting.arrive();
        busy.work();
        let waited = tokio::time::timeout(Duration::from_secs(3600), resting.slot(&slots)).await;
        assert!(waited.is_err() && !leaves(&busy));
        drop(slot);
        assert!(resting.slot(&slots).await.is_ok());
    }
}
