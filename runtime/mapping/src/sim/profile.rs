//! What a seed's run is like: the mapping, the queue, and how much goes wrong.

use std::time::Duration;

use crate::retry::RetryPolicy;

use super::Rng;

/// Of a hundred calls, so many.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// The call fails and nothing was done.
    pub(super) receive_fails: u64,
    /// The call is done and its answer is lost.
    pub(super) receive_lost: u64,
    /// A message that was handed out is visible at once.
    pub(super) duplicates: u64,
    pub(super) delete_fails: u64,
    pub(super) delete_lost: u64,
    pub(super) change_fails: u64,
    pub(super) change_lost: u64,
    pub(super) bury_fails: u64,
    pub(super) slow: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) is_remote: bool,
    pub(super) is_fifo: bool,
    pub(super) visibility_s: u32,
    pub(super) max_receive_count: u32,
    pub(super) batch_size: u32,
    pub(super) window: Duration,
    pub(super) permits: u32,
    pub(super) maximum_concurrency: Option<u32>,
    pub(super) retry_policy: RetryPolicy,
    pub(super) bisect_max_invocations: u32,
    pub(super) per_group: bool,
    pub(super) reports_item_failures: bool,
    pub(super) max_messages_per_second: Option<f64>,
    pub(super) has_filter: bool,
    pub(super) keeps_filtered: bool,
    pub(super) messages: u64,
    pub(super) restarts: u64,
    /// Another mapping of the same function, on a queue of its own.
    pub(super) has_sibling: bool,
    /// Of a hundred invocations, so many take longer than the visibility timeout.
    pub(super) slow_handler: u64,
    /// Of a hundred invocations, so many fail whole.
    pub(super) handler_fails: u64,
    pub(super) faults: Faults,
}

impl Profile {
    pub(super) fn of(rng: &mut Rng) -> Self {
        let is_fifo = rng.percent(40);
        let has_window = !is_fifo && rng.percent(40);
        let batch_size = if has_window { rng.between(1, 30) } else { rng.between(1, 10) };
        let s = Duration::from_secs;
        let retry_policy = match rng.below(4) {
            0 => RetryPolicy::Immediate,
            1 => RetryPolicy::Fixed { delay: s(rng.between(1, 20)) },
            2 => RetryPolicy::Exponential { base: s(2), max: s(30) },
            _ => RetryPolicy::Visibility,
        };
        let permits = rng.between(1, 5);
        let max_receive_count = rng.pick(&[2, 5, 20, 1000]);
        let mut some = |most: u64| if rng.percent(40) { rng.between(1, most) } else { 0 };
        let faults = Faults {
            receive_fails: some(40),
            receive_lost: some(10),
            duplicates: some(10),
            delete_fails: some(40),
            delete_lost: some(20),
            change_fails: some(60),
            change_lost: some(20),
            bury_fails: some(60),
            slow: some(40),
        };
        Self {
            is_remote: rng.percent(60),
            is_fifo,
            visibility_s: rng.between(1, 30) as u32,
            max_receive_count,
            batch_size: batch_size as u32,
            window: if has_window { s(rng.between(1, 40)) } else { Duration::ZERO },
            permits: permits as u32,
            maximum_concurrency: rng.percent(20).then(|| rng.between(1, permits) as u32),
            retry_policy,
            bisect_max_invocations: rng.pick(&[0, 3, 16]),
            per_group: rng.percent(50),
            reports_item_failures: rng.percent(80),
            max_messages_per_second: rng.percent(15).then(|| rng.between(1, 20) as f64),
            has_filter: rng.percent(25),
            // Kept messages leave by their receives only.
            keeps_filtered: max_receive_count < 100 && rng.percent(30),
            messages: rng.between(5, 40),
            restarts: if rng.percent(40) { rng.between(1, 3) } else { 0 },
            has_sibling: rng.percent(30),
            slow_handler: rng.pick(&[0, 0, 5, 20]),
            handler_fails: rng.pick(&[0, 5, 30, 60]),
            faults,
        }
    }
}
