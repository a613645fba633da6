//! The time that timers run on: tokio's, or tokio's and as much as a test has skipped.
//!
//! A [`Timeline`] that cannot be steered is tokio's clock and nothing else. One that can be knows, besides, what it must wait
//! for when it is moved: the moments that tasks sleep until ([`Announced`]), and whether anybody is at work ([`Work`]). So time is
//! skipped from one moment at which something is due to the next, and no further before that was done (`advance.rs`).

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A handle to the time that a process's queues and mappings share. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Timeline(Option<Arc<Steered>>);

/// What there is to a timeline that can be moved.
#[derive(Debug)]
pub(crate) struct Steered {
    /// How much was skipped.
    shift_ms: watch::Sender<u64>,
    moments: Mutex<Moments>,
    /// Tasks that do what a timer told them to.
    steps: AtomicUsize,
    /// Batches on their way.
    trips: AtomicUsize,
    /// Counts every begin of work: who looks twice and sees the same number has missed nothing in between.
    begun: AtomicU64,
    /// Somebody has ceased to work.
    calmer: Notify,
    /// Held by who moves it.
    pub(crate) helm: tokio::sync::Mutex<()>,
}

/// The moments at which something is due, with the number of whoever waits.
#[derive(Debug, Default)]
struct Moments {
    due: BTreeSet<(Instant, u64)>,
    next: u64,
}

/// What sort of work is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// What a timer leads to; it takes no longer than a call of the queue.
    Step,
    /// A batch on its way through a handler, which takes its time.
    Trip,
}

/// How much is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrest {
    /// Nobody works, and nothing is due.
    Calm,
    /// A handler runs.
    Trips,
    /// Somebody is about to do what is due.
    Steps,
}

impl Timeline {
    /// Tokio's time.
    #[must_use]
    pub fn real() -> Self {
        Self(None)
    }

    /// Time that can be skipped.
    #[must_use]
    pub fn steered() -> Self {
        Self(Some(Arc::new(Steered {
            shift_ms: watch::Sender::new(0),
            moments: Mutex::default(),
            steps: AtomicUsize::new(0),
            trips: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            calmer: Notify::new(),
            helm: tokio::sync::Mutex::new(()),
        })))
    }

    /// Whether it can be skipped.
    #[must_use]
    pub fn is_steered(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn steering(&self) -> Option<&Arc<Steered>> {
        self.0.as_ref()
    }

    /// How much was skipped, in milliseconds.
    #[must_use]
    pub fn shift_ms(&self) -> u64 {
        self.0.as_ref().map_or(0, |steered| *steered.shift_ms.borrow())
    }

    /// The moment that it is now.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(steered) => steered.now(),
        }
    }

    /// Sleeps until that moment has come. Cancel-safe.
    pub async fn sleep_until(&self, at: Instant) {
        let Some(steered) = &self.0 else { return tokio::time::sleep_until(at).await };
        let mut announced = self.announce();
        announced.set(Some(at));
        let mut shift_ms = steered.shift_ms.subscribe();
        loop {
            let shift = Duration::from_millis(*shift_ms.borrow_and_update());
            // The sender lives as long as this handle.
            tokio::select! {
                biased;
                () = tokio::time::sleep(at.saturating_duration_since(Instant::now() + shift)) => return,
                _ = shift_ms.changed() => {}
            }
        }
    }

    /// Sleeps for so long. Cancel-safe.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// For one that is told by others when to wake: it says when at once, not when it gets round to sleep.
    #[must_use]
    pub fn announce(&self) -> Announced {
        Announced { steered: self.0.clone(), place: None }
    }

    /// From here on somebody works, until what is returned is dropped.
    #[must_use]
    pub fn work(&self, task: Task) -> Work {
        let work = Work { steered: self.0.clone(), task };
        work.begin();
        work
    }
}

impl Steered {
    fn now(&self) -> Instant {
        Instant::now() + Duration::from_millis(*self.shift_ms.borrow())
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self, task: Task) -> &AtomicUsize {
        match task {
            Task::Step => &self.steps,
            Task::Trip => &self.trips,
        }
    }

    /// Skips so much.
    pub(crate) fn skip(&self, by_ms: u64) {
        self.shift_ms.send_modify(|shift_ms| *shift_ms += by_ms);
    }

    /// Whether anything is to be waited for.
    pub(crate) fn unrest(&self) -> Unrest {
        if self.moments().due.first().is_some_and(|(at, _)| *at <= self.now()) {
            return Unrest::Steps;
        }
        if self.steps.load(Ordering::SeqCst) > 0 {
            return Unrest::Steps;
        }
        if self.trips.load(Ordering::SeqCst) > 0 { Unrest::Trips } else { Unrest::Calm }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Completes when somebody has ceased to work.
    pub(crate) fn calmer(&self) -> tokio::sync::futures::Notified<'_> {
        self.calmer.notified()
    }

    /// Milliseconds until the next moment at which something is due; none is counted that has come already.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        let now = self.now();
        let moments = self.moments();
        let (at, _) = moments.due.iter().find(|(at, _)| *at > now)?;
        let ahead = at.saturating_duration_since(now);
        Some(u64::try_from(ahead.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// Whether anybody sleeps.
    pub(crate) fn is_anything_announced(&self) -> bool {
        !self.moments().due.is_empty()
    }
}

/// The moment at which something is due. Dropped, nothing is.
#[derive(Debug)]
pub struct Announced {
    steered: Option<Arc<Steered>>,
    place: Option<(Instant, u64)>,
}

impl Announced {
    /// It is due then, or not at all.
    pub fn set(&mut self, at: Option<Instant>) {
        let Some(steered) = &self.steered else { return };
        if self.place.map(|(at, _)| at) == at {
            return;
        }
        let mut moments = steered.moments();
        if let Some(place) = self.place.take() {
            moments.due.remove(&place);
        }
        if let Some(at) = at {
            let place = (at, moments.next);
            moments.next += 1;
            moments.due.insert(place);
            self.place = Some(place);
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// Somebody is at work, but for while it rests.
#[derive(Debug)]
pub struct Work {
    steered: Option<Arc<Steered>>,
    task: Task,
}

/// A rest that is under way. Cut short, the work goes on.
struct Rest<'a>(Option<&'a Work>);

impl Work {
    fn begin(&self) {
        if let Some(steered) = &self.steered {
            steered.working(self.task).fetch_add(1, Ordering::SeqCst);
            steered.begun.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn cease(&self) {
        if let Some(steered) = &self.steered {
            steered.working(self.task).fetch_sub(1, Ordering::SeqCst);
            steered.calmer.notify_waiters();
        }
    }

    /// Waits for something that others do, or that time does: meanwhile this is no work. It is again from the moment at which
    /// what is waited for is looked at.
    pub async fn rest<F: Future>(&self, waiting: F) -> F::Output {
        if self.steered.is_none() {
            return waiting.await;
        }
        let mut waiting = pin!(waiting);
        self.cease();
        let mut rest = Rest(Some(self));
        let output = std::future::poll_fn(|context| {
            self.begin();
            let polled = waiting.as_mut().poll(context);
            if polled.is_pending() {
                self.cease();
            }
            polled
        });
        let output = output.await;
        rest.0 = None;
        output
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.cease();
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.0 {
            work.begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn steered(timeline: &Timeline) -> Arc<Steered> {
        Arc::clone(timeline.steering().unwrap_or_else(|| panic!("it is steered")))
    }

    #[tokio::test(start_paused = true)]
    async fn who_sleeps_wakes_when_the_rest_of_its_time_is_skipped_or_passes() {
        let timeline = Timeline::steered();
        let began = Instant::now();
        let sleeper = tokio::spawn({
            let timeline = timeline.clone();
            async move { timeline.sleep(HOUR).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(steered(&timeline).next_due_ms(), Some(3_540_000));
        steered(&timeline).skip(3_539_000);
        assert_eq!(steered(&timeline).unrest(), Unrest::Calm);
        assert!(sleeper.await.is_ok());
        assert_eq!(began.elapsed(), Duration::from_secs(61));
        assert_eq!(timeline.now().duration_since(began), HOUR);
        assert!(!steered(&timeline).is_anything_announced());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_is_unrest_until_it_was_seen_to() {
        let timeline = Timeline::steered();
        let mut announced = timeline.announce();
        announced.set(Some(timeline.now() + HOUR));
        announced.set(Some(timeline.now() + HOUR / 2));
        steered(&timeline).skip(1_800_000);
        assert_eq!((steered(&timeline).unrest(), steered(&timeline).next_due_ms()), (Unrest::Steps, None));
        announced.set(None);
        assert_eq!(steered(&timeline).unrest(), Unrest::Calm);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_unrest_but_for_its_rests_and_a_rest_that_is_cut_short_is_over() {
        let timeline = Timeline::steered();
        let work = timeline.work(Task::Trip);
        assert_eq!(steered(&timeline).unrest(), Unrest::Trips);
        let step = timeline.work(Task::Step);
        assert_eq!(steered(&timeline).unrest(), Unrest::Steps);
        drop(step);
        {
            let mut rest = pin!(work.rest(std::future::pending::<()>()));
            assert!(futures_poll(rest.as_mut()).is_pending());
            assert_eq!(steered(&timeline).unrest(), Unrest::Calm);
        }
        assert_eq!(steered(&timeline).unrest(), Unrest::Trips);
        assert_eq!(work.rest(async { 7 }).await, 7);
        assert_eq!(steered(&timeline).unrest(), Unrest::Trips);
        drop(work);
        assert_eq!(steered(&timeline).unrest(), Unrest::Calm);
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn real_time_is_tokios_and_counts_nothing() {
        let timeline = Timeline::real();
        let _work = timeline.work(Task::Step);
        timeline.announce().set(Some(Instant::now()));
        timeline.sleep(HOUR).await;
        assert_eq!((timeline.now(), timeline.shift_ms()), (Instant::now(), 0));
    }
}
