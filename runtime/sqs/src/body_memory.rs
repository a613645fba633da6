//! How much memory the bodies of requests may take together. A body is charged for what has come of it: a client that
//! announces much and sends nothing takes nothing from the others.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bodies up to this size count as part of their connection; there are few enough connections.
const SMALL_BODY_BYTES: usize = 64 << 10;
/// What all bodies above that may take together, but for one: later ones wait.
const LARGE_BODIES_MAX_KIB: usize = 256 << 10;
/// What is charged at once, at least.
const STEP_KIB: usize = 256;

/// The memory of all large bodies.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    kib: Semaphore,
    /// When all of it is held by bodies that want more, one of them goes on nevertheless, to its end: else all would wait for
    /// each other.
    beyond: Semaphore,
}

/// What one body holds of it.
#[derive(Debug, Default)]
pub(crate) struct Held<'a> {
    kib: Option<SemaphorePermit<'a>>,
    beyond: Option<SemaphorePermit<'a>>,
}

impl BodyMemory {
    pub(crate) fn new() -> Self {
        Self::of(LARGE_BODIES_MAX_KIB)
    }

    fn of(kib: usize) -> Self {
        Self { kib: Semaphore::new(kib), beyond: Semaphore::new(1) }
    }

    /// Waits until a body may grow to so many bytes.
    pub(crate) async fn grow<'a>(&'a self, held: &mut Held<'a>, bytes: usize) {
        let has_kib = held.kib.as_ref().map_or(0, SemaphorePermit::num_permits);
        let wanted_kib = bytes.div_ceil(1024);
        if bytes <= SMALL_BODY_BYTES || wanted_kib <= has_kib || held.beyond.is_some() {
            return;
        }
        let more_kib = u32::try_from((wanted_kib - has_kib).max(STEP_KIB)).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            // Neither is ever closed.
            Ok(more) = self.kib.acquire_many(more_kib) => match &mut held.kib {
                Some(kib) => kib.merge(more),
                none => *none = Some(more),
            },
            Ok(beyond) = self.beyond.acquire() => held.beyond = Some(beyond),
            else => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn may_grow<'a>(memory: &'a BodyMemory, held: &mut Held<'a>, kib: usize) -> bool {
        tokio::time::timeout(Duration::from_secs(60), memory.grow(held, kib << 10)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_charged_for_what_has_come_and_gives_it_back() {
        let memory = BodyMemory::of(1024);
        let mut small = Held::default();
        assert!(may_grow(&memory, &mut small, 64).await && memory.kib.available_permits() == 1024);
        let mut large = Held::default();
        for (kib, left) in [(65, 768), (256, 768), (257, 512), (1024, 0)] {
            assert!(may_grow(&memory, &mut large, kib).await);
            assert_eq!(memory.kib.available_permits(), left, "{kib}");
        }
        drop(large);
        assert_eq!((memory.kib.available_permits(), memory.beyond.available_permits()), (1024, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_wait_for_each_other_all_come_through_one_by_one() {
        let memory = BodyMemory::of(512);
        let [mut first, mut second, mut third] = [Held::default(), Held::default(), Held::default()];
        assert!(may_grow(&memory, &mut first, 256).await && may_grow(&memory, &mut second, 256).await);
        // Nothing is left: one goes on beyond it, as far as it needs; the others wait.
        assert!(may_grow(&memory, &mut first, 512).await && may_grow(&memory, &mut first, 8192).await);
        assert!(!may_grow(&memory, &mut second, 512).await && !may_grow(&memory, &mut third, 256).await);
        drop(first);
        assert!(may_grow(&memory, &mut second, 512).await && may_grow(&memory, &mut third, 256).await);
    }
}
