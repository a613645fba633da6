//! The bounds of one invocation, and the limiter that enforces those on memory and tables.
//!
//! Time is not here: the timeout is a timer around the call (`call.rs`), the epoch only makes a guest give way.

use wasmtime::ResourceLimiter;

/// Bytes in one MiB.
pub(crate) const MIB: u64 = 1 << 20;

/// Table elements that one table may have, whatever a function's limits say: the pool reserves this many.
pub(crate) const TABLE_ELEMENTS_CEILING: usize = 20_000;

/// Core instances that one component may be made of. JavaScript and Python components have dozens.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// Linear memories and tables that one instance may have in all.
pub(crate) const MEMORIES_PER_INSTANCE: u32 = 8;
pub(crate) const TABLES_PER_INSTANCE: u32 = 16;

/// WASI resources (streams, pollables, requests, headers) that one guest may hold. The host's memory for them is not the guest's:
/// this number times what the largest takes is a bound of it.
pub(crate) const RESOURCES_PER_INSTANCE: usize = 1024;

/// What the headers of one request or response may take of the host's memory, in bytes. Node.js stops at 16 KiB of text.
pub(crate) const HEADERS_BYTES_MAX: usize = 32 << 10;

/// Bytes of randomness that a guest gets from one call. They are made while it has its thread.
pub(crate) const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Files, folders and streams of files that one guest may have open at once. Each takes one of the process's descriptors,
/// which the queue and the listeners need, too.
pub(crate) const OPEN_FILES_PER_INSTANCE: usize = 128;

/// Threads on which files are read and names resolved, for all guests.
pub(crate) const BLOCKING_THREADS: usize = 16;

/// What one invocation may use, besides its time and its memory, which every function must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest response, in bytes. Lambda's response payload limit, 6 MiB, by default.
    pub reply_bytes: usize,
    /// Most output (stdout and stderr together) that reaches the log, in bytes; 1 MiB by default. What is beyond
    /// is dropped, and one line says how much: the guest's writes succeed all the same.
    pub log_bytes: usize,
    /// Most lines that reach the log; 20 000 by default. Each costs the log far more than an empty line costs the guest.
    pub log_lines: usize,
    /// Longest line in the log, in bytes; 256 KiB by default. A longer one is logged in pieces.
    pub log_line_bytes: usize,
    /// Most elements in one of the guest's tables; 20 000 by default, which is also the most that can be given.
    pub table_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply_bytes: 6 << 20,
            log_bytes: 1 << 20,
            log_lines: 20_000,
            log_line_bytes: 256 << 10,
            table_elements: TABLE_ELEMENTS_CEILING,
        }
    }
}

/// Counts a guest's linear memory against its cap, and remembers what it was refused: wasm is told of a refusal by
/// a `-1` which most guests answer with a trap, and that trap alone does not say why.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes_max: u64,
    table_elements_max: usize,
    memory_bytes: u64,
    refused_bytes: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(memory_bytes_max: u64, table_elements_max: usize) -> Self {
        Self { memory_bytes_max, table_elements_max, memory_bytes: 0, refused_bytes: None }
    }

    /// The most linear memory the guest has had. Wasm memory never shrinks, so this is also what it has now.
    pub(crate) fn memory_peak_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// How much memory the guest wanted to have in all when it was last refused.
    pub(crate) fn refused_bytes(&self) -> Option<u64> {
        self.refused_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond the maximum that the module itself declares wasmtime refuses, so nothing will have grown. The
        // failure callback is no place to take a grant back: it also fires for growth that never was granted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(true);
        }
        let (current, desired) = (current as u64, desired as u64);
        let wanted = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_bytes_max {
            self.refused_bytes = Some(wanted);
            return Ok(false);
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements_max)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_INSTANCE as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_INSTANCE as usize
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PAGE: usize = 64 << 10;

    #[test]
    fn several_memories_share_one_cap() {
        let mut limiter = Limiter::new(3 * PAGE as u64, 10);
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert!(!limiter.memory_growing(PAGE, 3 * PAGE, None).unwrap());
        assert_eq!(limiter.refused_bytes(), Some(4 * PAGE as u64));
        assert!(limiter.memory_growing(PAGE, 2 * PAGE, None).unwrap());
        assert_eq!(limiter.memory_peak_bytes(), 3 * PAGE as u64);
    }

    #[test]
    fn growth_beyond_the_modules_own_maximum_is_neither_counted_nor_a_refusal_of_ours() {
        let mut limiter = Limiter::new(8 * PAGE as u64, 10);
        assert!(limiter.memory_growing(0, PAGE, Some(2 * PAGE)).unwrap());
        assert!(limiter.memory_growing(PAGE, 4 * PAGE, Some(2 * PAGE)).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("maximum")).unwrap();
        assert_eq!(limiter.memory_peak_bytes(), PAGE as u64);
        assert_eq!(limiter.refused_bytes(), None);
    }

    #[test]
    fn a_failed_absurd_growth_gives_back_nothing() {
        let mut limiter = Limiter::new(2 * PAGE as u64, 10);
        assert!(limiter.memory_growing(0, 2 * PAGE, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("beyond 4 GiB")).unwrap();
        assert!(!limiter.memory_growing(2 * PAGE, 3 * PAGE, None).unwrap());
    }

    #[test]
    fn tables_have_a_ceiling() {
        let mut limiter = Limiter::new(0, 10);
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, 11, None).unwrap());
    }
}
