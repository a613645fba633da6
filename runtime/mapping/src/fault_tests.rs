//! The line over a queue that is far away or does not do what it is asked: the real built-in queue behind a door that can
//! be shut verb by verb (`door.rs`).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wasmill_event::{Reply, Verdict};
use wasmill_queue::Queue;

use crate::door::{Door, Doors, Remote};
use crate::line_tests::{Bench, handler, until};
use crate::mapping::{MappingOptions, MappingStatus, start};
use crate::permits::Permits;

#[tokio::test(start_paused = true)]
async fn an_idle_remote_poll_does_not_keep_the_last_permit_from_a_sibling() {
    let bench = Bench::new(30).await;
    let idle = bench.broker.create_queue("idle", &[], &[]).await.unwrap();
    let permits = Permits::new(1);
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&runs);
    let count = handler(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        async { Ok(Reply::Json(String::new())) }
    });
    let waiting = bench.start_on(Arc::new(Remote::new(&idle)), &permits, count.clone());
    let busy = bench.start_on(Arc::new(Remote::new(&bench.queue)), &permits, count);
    for n in 0..20 {
        bench.send([n.to_string()]).await;
        sleep(Duration::from_secs(2)).await;
    }
    assert!(runs.load(Ordering::Relaxed) >= 15, "{} batches in 40 s", runs.load(Ordering::Relaxed));
    waiting.drain(Duration::from_secs(1)).await;
    busy.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_remote_queue_costs_one_call_per_twenty_seconds_and_is_healthy_from_the_start() {
    let bench = Bench::new(30).await;
    let answer = handler(|_| async { Ok(Reply::Json(String::new())) });
    let mapping = bench.start_on(Arc::new(Remote::new(&bench.queue)), &Permits::new(4), answer);
    until(|| mapping.status() == MappingStatus::Polling).await;
    sleep(Duration::from_secs(100)).await;
    let begin = Instant::now();
    mapping.drain(Duration::from_secs(30)).await;
    assert!(begin.elapsed() <= Duration::from_secs(20), "the long poll under way is waited for, and no other begins");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_the_queue_answers_no_delete() {
    let bench = Bench::new(30).await;
    bench.send(["x".to_owned()]).await;
    let remote = Arc::new(Remote::with(&bench.queue, Doors { delete: Door::Silent, ..Doors::default() }));
    let answer = handler(|_| async { Ok(Reply::Json(String::new())) });
    let mapping = bench.start_on(remote, &Permits::new(1), answer);
    sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    mapping.drain(Duration::from_secs(10)).await;
    assert_eq!(begin.elapsed().as_secs(), 45);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_renewals_is_asked_once_per_batch() {
    let bench = Bench::new(10).await;
    bench.send(["x".to_owned()]).await;
    let remote = Arc::new(Remote::with(&bench.queue, Doors { change_visibility: Door::Refuses, ..Doors::default() }));
    let answer = handler(|_| async {
        sleep(Duration::from_secs(8)).await;
        Ok(Reply::Json(String::new()))
    });
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &Permits::new(1), answer);
    until(|| bench.counts() == (0, 0, 0)).await;
    assert_eq!(remote.calls().change_visibility.len(), 1);
    mapping.drain(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_moved_returns_when_its_visibility_ends() {
    let bench = Bench::new(30).await;
    bench.send(["x".to_owned()]).await;
    let remote = Arc::new(Remote::with(&bench.queue, Doors { dead_letter: Door::Refuses, ..Doors::default() }));
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&runs);
    let begin = Instant::now();
    let answer = handler(move |records| {
        let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            // Past half of the visibility timeout: it is renewed once, and must return as if it had not been.
            sleep(Duration::from_secs(20)).await;
            let verdict = if first { Verdict::DeadLetter { reason: "r".into() } } else { Verdict::Done };
            Ok(Reply::Verdicts(vec![verdict; records.len()]))
        }
    });
    let mapping = bench.start_on(remote, &Permits::new(1), answer);
    until(|| runs.load(Ordering::Relaxed) == 2).await;
    assert_eq!(begin.elapsed().as_secs(), 30);
    mapping.drain(Duration::from_secs(60)).await;
    assert_eq!(bench.counts(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_wait_for_messages_is_not_asked_in_a_loop() {
    for window in [Duration::ZERO, Duration::from_secs(30)] {
        let bench = Bench::new(30).await;
        bench.send(["x".to_owned()]).await;
        let remote = Arc::new(Remote::new(&bench.queue));
        let answer = handler(|_| async { Ok(Reply::Json(String::new())) });
        let options = bench.options(Arc::clone(&remote) as Arc<dyn Queue>, &Permits::new(4), answer);
        let mapping = start(MappingOptions { window, ..options });
        sleep(Duration::from_secs(1)).await;
        remote.doors().receive = Door::Empty;
        sleep(Duration::from_secs(100)).await;
        let calls = remote.calls().receive.len();
        assert!((80..110).contains(&calls), "{calls} in 100 s, window {window:?}");
        let begin = Instant::now();
        mapping.drain(Duration::from_secs(30)).await;
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert_eq!(bench.counts(), (0, 0, 0));
    }
}
