//! What a worker takes of its machine, and that it gives it back.

use std::fmt;
use std::time::{Duration, Instant};

use support::Wasmill;

/// Threads that come with work and stay: the allocator and the runtime keep a few.
const THREADS_MORE_MAX: u64 = 6;

/// A reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) fds: u64,
    pub(crate) threads: u64,
}

/// How much more than at its start a worker may keep when all is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The allocator keeps what it had at the peak; what counts as a leak is what grows with each repetition, and a scenario that repeats
    /// looks at that itself.
    pub(crate) more_mib: u64,
    /// The store's log and its index are opened at the first work, and kept; and so are connections, for the next.
    pub(crate) more_files: u64,
    /// Idle connections and threads that wait for work end by themselves in this time.
    pub(crate) within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { more_mib: 150, more_files: 12, within: Duration::from_secs(40) }
    }
}

impl Usage {
    pub(crate) fn of(worker: &Wasmill) -> Self {
        Self { resident_kib: worker.resident_kib(), fds: worker.open_fds(), threads: worker.threads() }
    }

    /// Waits until a worker that has nothing to do is back at this level; else says what is not.
    pub(crate) async fn wait_for_return(&self, worker: &Wasmill, bounds: Bounds, wrong: &mut Vec<String>) -> Self {
        let begun = Instant::now();
        loop {
            let now = Self::of(worker);
            let excess = self.excess(&now, bounds);
            if excess.is_empty() {
                return now;
            }
            if begun.elapsed() > bounds.within {
                wrong.extend(excess);
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn excess(&self, now: &Self, bounds: Bounds) -> Vec<String> {
        let checks = [
            ("KiB resident", self.resident_kib, now.resident_kib, bounds.more_mib << 10),
            ("open files", self.fds, now.fds, bounds.more_files),
            ("threads", self.threads, now.threads, THREADS_MORE_MAX),
        ];
        let over = checks.into_iter().filter(|(_, idle, now, more)| *now > idle + more);
        over.map(|(what, idle, now, _)| format!("not given back: {now} {what}, {idle} before")).collect()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB, {} files, {} threads", self.resident_kib >> 10, self.fds, self.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_leak_is_told() {
        let idle = Usage { resident_kib: 10_000, fds: 20, threads: 10 };
        let bounds = Bounds { more_mib: 1, ..Bounds::default() };
        assert_eq!(idle.excess(&Usage { resident_kib: 11_024, fds: 32, threads: 16 }, bounds), Vec::<String>::new());
        let leaky = idle.excess(&Usage { resident_kib: 11_025, fds: 33, threads: 17 }, bounds);
        assert_eq!(leaky.len(), 3, "{leaky:?}");
    }
}
