//! `max_messages_per_second`: a bucket of tokens, taken before the receive.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmill_queue::Timeline;

/// One mapping's bucket. It holds a second's worth at most, one message at least.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    bucket: Mutex<(f64, Instant)>,
    timeline: Timeline,
}

impl Rate {
    /// `per_second` is greater than 0.
    pub(crate) fn new(per_second: f64, timeline: Timeline) -> Self {
        Self { per_second, bucket: Mutex::new((per_second.max(1.0), timeline.now())), timeline }
    }

    /// Waits until one message at least may be received, and takes up to `want`. Cancel-safe.
    pub(crate) async fn take(&self, want: u32) -> u32 {
        loop {
            let missing = {
                let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
                let now = self.timeline.now();
                let earned = now.duration_since(bucket.1).as_secs_f64() * self.per_second;
                bucket.0 = (bucket.0 + earned).min(self.per_second.max(1.0));
                bucket.1 = now;
                if bucket.0 >= 1.0 {
                    let taken = bucket.0.floor().min(f64::from(want.max(1)));
                    bucket.0 -= taken;
                    return taken as u32;
                }
                1.0 - bucket.0
            };
            let pause = Duration::from_secs_f64(missing / self.per_second).max(Duration::from_millis(1));
            self.timeline.sleep(pause).await;
        }
    }

    /// Gives back what was not used.
    pub(crate) fn give_back(&self, unused: u32) {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).0 += f64::from(unused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn over_time_no_more_is_taken_than_the_rate_allows_and_what_was_not_used_comes_back() {
        for per_second in [0.5, 5.0, 100.0] {
            let rate = Rate::new(per_second, Timeline::real());
            let (began, mut taken) = (Instant::now(), 0);
            while began.elapsed() < Duration::from_secs(60) {
                let some = rate.take(10).await;
                if some > 1 {
                    rate.give_back(some - 1);
                }
                taken += 1;
            }
            let expected = per_second * 60.0 + per_second.max(1.0);
            assert!((f64::from(taken) - expected).abs() <= expected * 0.05 + 1.0, "{per_second}: {taken}");
        }
    }
}
