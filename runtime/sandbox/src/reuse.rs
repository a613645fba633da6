//! Instances that are kept warm between invocations, as Lambda keeps its environments.
//!
//! One that rests keeps its place in the pool. It is called again, the latest first, until it is too old, was called often
//! enough, has grown too large, or nobody needed it for a while. What trapped, timed out or was denied memory never rests.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::function::FunctionShared;
use crate::instance::Instance;

/// When an instance that answered is called again, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Invocations after which it is replaced; 10 000 by default.
    pub max_invocations: u32,
    /// The age at which it is replaced; an hour by default.
    pub max_age: Duration,
    /// How long it may rest; five minutes by default.
    pub max_idle: Duration,
    /// The share of the function's memory, in percent, above which it is replaced; 75 by default.
    pub max_memory_percent: u32,
}

impl Default for Reuse {
    fn default() -> Self {
        Self {
            max_invocations: 10_000,
            max_age: Duration::from_secs(3600),
            max_idle: Duration::from_secs(300),
            max_memory_percent: 75,
        }
    }
}

/// A function's resting instances.
#[derive(Debug)]
pub(crate) struct Resting {
    terms: Reuse,
    /// The one that rested last stands last.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    instance: Instance,
    since: Instant,
}

impl Resting {
    pub(crate) fn new(terms: Reuse) -> Self {
        Self { terms, idle: Mutex::default() }
    }

    /// An instance to be called again. The latest: its memory is the most likely to be in the caches.
    pub(crate) fn take(&self) -> Option<Instance> {
        let taken = self.lock().pop()?;
        let is_fresh = taken.since.elapsed() < self.terms.max_idle && taken.instance.age() < self.terms.max_age;
        // Those below it have rested longer; the sweep sees to them.
        is_fresh.then_some(taken.instance)
    }

    /// Puts an instance to rest that has answered, if it may be called again.
    pub(crate) fn rest(&self, instance: Instance, memory_bytes_max: u64) {
        let too_large = memory_bytes_max / 100 * u64::from(self.terms.max_memory_percent);
        let may_rest = instance.calls() < self.terms.max_invocations
            && instance.age() < self.terms.max_age
            && instance.memory_bytes() <= too_large;
        if may_rest {
            self.lock().push(Idle { instance, since: Instant::now() });
        }
    }

    /// How many rest.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Ends all that rest. Says how many.
    pub(crate) fn clear(&self) -> usize {
        let ended = std::mem::take(&mut *self.lock());
        ended.len()
    }

    /// Ends those that have rested too long.
    fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.lock();
        let longest = self.terms.max_idle;
        let ended: Vec<Idle> = idle.extract_if(.., |idle| now.duration_since(idle.since) >= longest).collect();
        drop(idle);
        // Taking memory down takes a while: not under the lock.
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sweeps as long as the function is there.
pub(crate) async fn sweep(function: Weak<FunctionShared>, terms: Reuse) {
    let every = (terms.max_idle / 4).max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(every).await;
        let Some(function) = function.upgrade() else { return };
        if let Some(resting) = &function.resting {
            resting.sweep();
        }
    }
}
