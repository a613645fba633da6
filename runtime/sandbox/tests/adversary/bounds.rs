//! What an attack may cost. Generous, because test machines are slow and shared: each is several times what was measured
//! on two slow cores, and a fraction of what a guest takes that gets through.

use std::time::Duration;

/// Copies of a hostile guest that run at once: twice the threads that guests have, so that one that keeps a thread to itself
/// leaves none to the neighbour.
pub(crate) const ATTACKERS: usize = 4;

/// Threads for guests.
pub(crate) const GUEST_THREADS: usize = 2;

/// The timeout of a hostile guest. What blocks the neighbour until then breaks every bound below.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// The neighbour's longest call. By design it waits a tick of 10 ms for each attacker before it on its thread, and for
/// one host call, which takes some milliseconds at most. What is beyond is the machine's noise.
pub(crate) const WORST: Duration = Duration::from_millis(1000);

/// 99 of 100 of the neighbour's calls. The same without the machine's worst moments.
pub(crate) const P99: Duration = Duration::from_millis(300);

/// How often the neighbour must have answered during an attack for its latencies to mean something.
pub(crate) const CALLS_MIN: usize = 10;

/// The attackers' `memory_size`, in MiB.
pub(crate) const MEMORY_MIB: u32 = 16;

/// By how much the process's resident memory may grow while they are at it, in MiB: the memory of each, and as much again
/// twice for what the host holds for it (its resources, its response on the way out, its log, its stack).
pub(crate) const RESIDENT_MIB: u64 = ATTACKERS as u64 * MEMORY_MIB as u64 * 3;

/// By how much it may have grown when they are gone: slots that stay warm keep up to a MiB each, and an allocator gives
/// back what it likes.
pub(crate) const RESIDENT_KEPT_MIB: u64 = 64;

/// Threads that may come: those on which files are read and names resolved.
pub(crate) const THREADS: u64 = 20;

/// Files and sockets that may be open at once, for all attackers.
pub(crate) const OPEN_FILES: u64 = ATTACKERS as u64 * 128 + 32;
