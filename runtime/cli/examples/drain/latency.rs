//! From the moment a send begins to the moment the handler has answered, on an idle queue.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};
use wasmill_event::Invocation;
use wasmill_mapping::Observer;
use wasmill_queue::Queue;

use crate::Outcome;
use crate::cells::{Bench, message};

/// What the mapping is given to be waiting again.
const BEFORE_SEND: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
/// At the start nothing is warm.
const WARM_UP: usize = 20;

/// Sends one message after the other; p50 and p99.
pub(crate) async fn measure(bench: &Bench, sends: usize) -> Outcome<(Duration, Duration)> {
    let queue = bench.filled("latency", 0).await?;
    let (answered, mut answers) = mpsc::unbounded_channel();
    let function = bench.function();
    let handler = service_fn(move |invocation: Invocation| {
        let (function, answered) = (function.clone(), answered.clone());
        async move {
            let reply = function.oneshot(invocation).await;
            // Whoever asked may be gone.
            let _ = answered.send((Instant::now(), reply.is_ok()));
            reply
        }
    });
    let mapping = bench.start(queue.clone(), 10, BoxCloneSyncService::new(handler), Observer::nobody());
    let mut latencies = Vec::with_capacity(sends);
    for _ in 0..sends + WARM_UP {
        tokio::time::sleep(BEFORE_SEND).await;
        let begun = Instant::now();
        for sent in queue.send(vec![message()]).await? {
            sent?;
        }
        match tokio::time::timeout(PATIENCE, answers.recv()).await? {
            Some((at, true)) => latencies.push(at.saturating_duration_since(begun)),
            _ => return Err("the handler failed".into()),
        }
    }
    mapping.drain(Duration::from_secs(1)).await;
    let mut latencies = latencies.split_off(WARM_UP);
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get((latencies.len() * percent / 100).min(latencies.len() - 1)).copied();
    Ok((at(50).unwrap_or_default(), at(99).unwrap_or_default()))
}
