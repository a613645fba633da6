//! What an invocation is told about itself.

use std::time::{Duration, SystemTime};

use crate::bindings::Context;

impl Context {
    /// How long it may still take: zero when the sandbox is about to be stopped. Lambda's
    /// `get_remaining_time_in_millis`.
    #[must_use]
    pub fn remaining_time(&self) -> Duration {
        let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(self.deadline_ms);
        deadline.duration_since(SystemTime::now()).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A context whose deadline is that long after the epoch.
    pub(crate) fn context(deadline_ms: u64) -> Context {
        Context {
            request_id: "r-1".to_owned(),
            function_name: "orders".to_owned(),
            function_version: "$LATEST".to_owned(),
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:orders".to_owned(),
            deadline_ms,
            memory_limit_mb: 128,
            trace_id: None,
        }
    }

    #[test]
    fn what_remains_is_never_below_zero() {
        assert_eq!(context(1).remaining_time(), Duration::ZERO);
        let in_an_hour = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let remaining = context(u64::try_from(in_an_hour).unwrap_or_default() + 3_600_000).remaining_time();
        assert!(remaining <= Duration::from_hours(1) && remaining > Duration::from_mins(59), "{remaining:?}");
    }
}
