//! Waiting for what will be true, instead of sleeping for as long as it should take.

use std::time::{Duration, Instant};

/// How long anything may take that a healthy, loaded machine does within a second.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL_EVERY: Duration = Duration::from_millis(25);

/// Asks until the answer is `Ok`, which it gives back. An `Err` says what is still missing.
///
/// # Panics
/// With the last `Err` when `within` has passed.
pub async fn eventually<T>(within: Duration, mut question: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match question().await {
            Ok(answer) => return answer,
            Err(missing) => assert!(begun.elapsed() < within, "not within {within:?}: {missing}"),
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// `Ok` if it holds; else an `Err` with what was expected and what was found.
///
/// # Errors
/// When it does not hold.
pub fn holds(holds: bool, missing: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(missing()) }
}
