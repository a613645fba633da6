//! How long each verb may take and how often it is tried: one policy per verb, with its reason.
//!
//! Retries are the SDK's own (exponential backoff with jitter, a retry budget per client); none is endless.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::Builder;

/// Looking a queue up, reading attributes: reads, asked for at start and by people who wait.
pub(super) fn lookup() -> Builder {
    policy(3, Duration::from_secs(10), Duration::from_secs(20))
}

/// Receive: one try. The poller is a loop itself, with its own backoff; and a try that timed out may have leased messages
/// that a silent second one would hide. The attempt outlasts the wait by what a slow network needs.
pub(super) fn receive(wait: Duration) -> Builder {
    let attempt = wait + Duration::from_secs(10);
    policy(1, attempt, attempt)
}

/// Send: three tries. A send whose answer was lost is stored twice on a standard queue; given up too early it is lost,
/// and that is worse. Bodies of 1 MiB on a slow line need the longer attempt.
pub(super) fn send() -> Builder {
    policy(3, Duration::from_secs(20), Duration::from_secs(50))
}

/// Delete: five tries. It is idempotent, the work is done, and what is not deleted is done again.
pub(super) fn delete() -> Builder {
    policy(5, Duration::from_secs(10), Duration::from_secs(40))
}

/// Change of visibility: three short tries. It is idempotent, but after the visibility timeout it is worth nothing, and
/// the lease asks again anyway.
pub(super) fn change_visibility() -> Builder {
    policy(3, Duration::from_secs(5), Duration::from_secs(12))
}

/// Purge: one try. A second within a minute is refused, so a lost answer would come back as an error.
pub(super) fn purge() -> Builder {
    policy(1, Duration::from_secs(20), Duration::from_secs(20))
}

/// Start and cancel of a move task: one try. A second start is refused while the first runs, and a second cancel once the
/// first has taken, so a lost answer would come back as an error.
pub(super) fn move_task() -> Builder {
    policy(1, Duration::from_secs(20), Duration::from_secs(20))
}

fn policy(attempts: u32, attempt: Duration, operation: Duration) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(super::CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation);
    aws_sdk_sqs::Config::builder()
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .timeout_config(timeouts.build())
}
