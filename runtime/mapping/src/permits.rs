//! Permits: the right to run one invocation, taken before anything is received for it.
//!
//! A function has as many as its reserved concurrency; a mapping may be held to fewer. Nothing is received that cannot
//! start, so the receive count means attempts that ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of one function, shared by its mappings.
#[derive(Debug, Clone)]
pub struct Permits {
    function: Arc<Semaphore>,
    /// How many mappings draw from them.
    mappings: Arc<AtomicUsize>,
}

impl Permits {
    /// `invocations` at a time, at least one.
    #[must_use]
    pub fn new(invocations: u32) -> Self {
        let function = Arc::new(Semaphore::new(invocations.max(1) as usize));
        Self { function, mappings: Arc::default() }
    }

    /// One mapping's view: the function's permits, and at most `maximum_concurrency` of them at a time.
    pub(crate) fn of_mapping(&self, maximum_concurrency: Option<u32>) -> MappingPermits {
        let own = maximum_concurrency.map(|most| Arc::new(Semaphore::new(most.max(1) as usize)));
        self.mappings.fetch_add(1, Ordering::Relaxed);
        MappingPermits { own, function: Arc::clone(&self.function), mappings: Arc::clone(&self.mappings) }
    }
}

/// The permits that one mapping draws from.
#[derive(Debug, Clone)]
pub(crate) struct MappingPermits {
    own: Option<Arc<Semaphore>>,
    function: Arc<Semaphore>,
    mappings: Arc<AtomicUsize>,
}

/// The right to run one invocation, until dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _own: Option<OwnedSemaphorePermit>,
    _function: OwnedSemaphorePermit,
}

impl MappingPermits {
    /// Waits for a permit. The mapping's own comes first: whoever waits for the function's holds a place of its own, and
    /// mappings that are full do not stand in the function's line. Cancel-safe.
    pub(crate) async fn acquire(&self) -> Permit {
        let own = match &self.own {
            Some(own) => Some(take(own).await),
            None => None,
        };
        Permit { _own: own, _function: take(&self.function).await }
    }

    /// Whether a permit that is held is one that another mapping may be waiting for.
    pub(crate) fn are_contended(&self) -> bool {
        self.mappings.load(Ordering::Relaxed) > 1 && self.function.available_permits() == 0
    }
}

async fn take(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_owned().await.expect("these semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mapping_gets_no_more_than_its_own_and_the_functions_permits() {
        let function = Permits::new(3);
        let narrow = function.of_mapping(Some(2));
        let wide = function.of_mapping(None);
        let held = [narrow.acquire().await, narrow.acquire().await];
        let third = tokio::time::timeout(Duration::from_secs(9), narrow.acquire()).await;
        assert!(third.is_err(), "the mapping's cap");
        let last = wide.acquire().await;
        let beyond = tokio::time::timeout(Duration::from_secs(9), wide.acquire()).await;
        assert!(beyond.is_err(), "the function's permits");
        drop(held);
        drop(last);
        let _again = wide.acquire().await;
    }
}
