//! Which connections rest, and which of them makes room for a newcomer once all places are taken: the one that has rested longest.
//!
//! A connection rests while no request of it is being answered: between two requests, before its first, and while the
//! head of one is still coming. Clients open another when one that rests is closed; one that is being answered is never closed for
//! somebody else.

use std::collections::BTreeMap;
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

/// All connections that rest.
#[derive(Debug, Default)]
pub struct Resting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Who has rested longest comes first.
    places: BTreeMap<u64, (Instant, CancellationToken)>,
    told: Option<Instant>,
}

/// One connection's part in it.
#[derive(Debug)]
pub struct Place {
    resting: Arc<Resting>,
    leave: CancellationToken,
    /// While it rests.
    number: Mutex<Option<u64>>,
}

impl Resting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a new connection, which rests at first.
    pub fn arrive(self: &Arc<Self>) -> Place {
        let place = Place { resting: Arc::clone(self), leave: CancellationToken::new(), number: Mutex::default() };
        place.rest();
        place
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
        let mut state = self.lock();
        let state = &mut *state;
        let Some(oldest) = state.places.first_entry() else { return now + LEAVING_MAX };
        let may_leave_at = oldest.get().0 + REST_MIN;
        if may_leave_at > now {
            return may_leave_at;
        }
        oldest.remove().1.cancel();
        if state.told.is_none_or(|told| told + TOLD_EVERY <= now) {
            state.told = Some(now);
            tracing::warn!(
                "all places for connections are taken: those that have rested longest are closed for new ones"
            );
        }
        now + LEAVING_MAX
    }
}

impl Place {
    /// A request has come.
    pub fn work(&self) {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(number) = number {
            self.resting.lock().places.remove(&number);
        }
    }

    /// It was answered.
    pub fn rest(&self) {
        let mut state = self.resting.lock();
        let number = state.next;
        state.next += 1;
        state.places.insert(number, (Instant::now(), self.leave.clone()));
        drop(state);
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }

    /// Waits until it shall make room.
    pub async fn shall_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn leaves(place: &Place) -> bool {
        place.leave.is_cancelled()
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
        assert_eq!(resting.make_room(), Instant::now() + REST_MIN, "a moment's rest is everybody's");
        tokio::time::advance(REST_MIN).await;
        resting.make_room();
        assert_eq!([&first, &busy].map(leaves), [true, false]);
        drop((first, busy, last));
        assert!(resting.lock().places.is_empty());
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
