//! When a failed message returns that its handler said nothing about: a mapping's `retry_policy`.

use std::time::Duration;

/// A mapping's `retry_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryPolicy {
    /// As Lambda: when the queue's own visibility timeout ends, counted from the receive.
    #[default]
    Visibility,
    /// At once.
    Immediate,
    /// After so long, counted from the verdict.
    Fixed {
        /// 1 s to 12 h.
        delay: Duration,
    },
    /// Doubling with each receive of the message, less a random part of up to a half, so that what failed together does
    /// not come back together.
    Exponential {
        /// After the first receive.
        base: Duration,
        /// At most.
        max: Duration,
    },
}

impl RetryPolicy {
    /// How long a message stays hidden; none: as the queue's visibility timeout has it. `share` is a random number
    /// from 0 to 1.
    pub(crate) fn delay(&self, receive_count: u32, share: f64) -> Option<Duration> {
        match self {
            Self::Visibility => None,
            Self::Immediate => Some(Duration::ZERO),
            Self::Fixed { delay } => Some(*delay),
            Self::Exponential { base, max } => {
                let doublings = receive_count.saturating_sub(1).min(30);
                Some(base.saturating_mul(1 << doublings).min(*max).mul_f64(0.5 + share / 2.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_follow_the_receive_count_within_their_bounds() {
        let s = Duration::from_secs;
        let exponential = RetryPolicy::Exponential { base: s(4), max: s(60) };
        for (receives, longest) in [(1, s(4)), (2, s(8)), (4, s(32)), (5, s(60)), (1000, s(60))] {
            assert_eq!(exponential.delay(receives, 1.0), Some(longest));
            assert_eq!(exponential.delay(receives, 0.0), Some(longest / 2));
        }
        assert_eq!(RetryPolicy::Fixed { delay: s(7) }.delay(9, 0.3), Some(s(7)));
        assert_eq!(RetryPolicy::Immediate.delay(1, 0.3), Some(s(0)));
        assert_eq!(RetryPolicy::Visibility.delay(1, 0.3), None);
    }
}
