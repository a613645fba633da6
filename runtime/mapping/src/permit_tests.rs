//! Capacity first, through the whole line: what is received when, by whom, and at what cost in calls.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wasmill_event::{Fault, FaultKind, Reply};
use wasmill_queue::Queue;

use crate::door::{Door, Remote};
use crate::invoke::Handler;
use crate::line_tests::{Bench, bodies, drain, handler, noting, succeeding, times, until};
use crate::mapping::{MappingStatus, start};
use crate::permits::Permits;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Counts how many run at a time.
fn gauged(takes: Duration) -> (Arc<AtomicUsize>, Arc<AtomicUsize>, Handler) {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let handler = handler(move |_| {
        let now = Arc::clone(&now);
        peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        async move {
            sleep(takes).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(Reply::Json(String::new()))
        }
    });
    (running, most, handler)
}

#[tokio::test(start_paused = true)]
async fn with_handlers_saturated_past_the_visibility_timeout_nothing_reaches_the_dead_letter_queue_after_one_receive() {
    for is_remote in [false, true] {
        let bench = Bench::with_receives(30, 1).await;
        bench.send(numbers(100)).await;
        let (runs, handler) = succeeding(s(200));
        let permits = Permits::new(2);
        let queue: Arc<dyn Queue> =
            if is_remote { Arc::new(Remote::new(&bench.queue)) } else { Arc::new(bench.queue.clone()) };
        let mapping = bench.start_on(queue, &permits, handler);
        timeout(s(1100), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
        drain(&mapping, &permits, s(30)).await;
        assert_eq!(bodies(&runs).len(), 100, "each ran once, remote: {is_remote}");
        assert_eq!(bench.dead.describe().unwrap().visible, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_remote_queue_costs_a_call_per_twenty_seconds_before_and_after_a_burst() {
    let bench = Bench::new(30).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    let (runs, handler) = succeeding(s(1));
    let permits = Permits::new(50);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    sleep(s(200)).await;
    assert_eq!(remote.calls().receive.len(), 9, "one is under way");
    bench.send(numbers(500)).await;
    until(|| bodies(&runs).len() == 500 && bench.counts() == (0, 0, 0)).await;
    sleep(s(30)).await;
    let before = remote.calls().receive.len();
    sleep(s(200)).await;
    assert_eq!(remote.calls().receive.len() - before, 10);
    drain(&mapping, &permits, s(30)).await;
}

#[tokio::test(start_paused = true)]
async fn under_load_a_remote_queue_is_asked_by_as_many_polls_as_permits_allow() {
    let bench = Bench::new(30).await;
    bench.send(numbers(2000)).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().receive = Door::Slow(Duration::from_millis(50));
    let (_, most, handler) = gauged(s(10));
    let permits = Permits::new(20);
    let begin = Instant::now();
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    until(|| bench.counts() == (0, 0, 0)).await;
    assert!(begin.elapsed() < s(105), "ten rounds of twenty batches: {:?}", begin.elapsed());
    assert_eq!(most.load(Ordering::Relaxed), 20);
    assert!((8..=20).contains(&remote.calls().receives_at_once), "{}", remote.calls().receives_at_once);
    drain(&mapping, &permits, s(30)).await;
}

#[tokio::test(start_paused = true)]
async fn maximum_concurrency_is_reached_and_never_passed() {
    for is_remote in [false, true] {
        let bench = Bench::new(30).await;
        bench.send(numbers(300)).await;
        let (running, most, handler) = gauged(s(40));
        let queue: Arc<dyn Queue> =
            if is_remote { Arc::new(Remote::new(&bench.queue)) } else { Arc::new(bench.queue.clone()) };
        let permits = Permits::new(10);
        let options = bench.options(queue, &permits, handler);
        let mapping = start(crate::MappingOptions { maximum_concurrency: Some(3), ..options });
        sleep(s(1)).await;
        assert_eq!(running.load(Ordering::Relaxed), 3, "remote: {is_remote}");
        assert_eq!(bench.counts().1, 30, "three batches held and no more, remote: {is_remote}");
        until(|| bench.counts() == (0, 0, 0)).await;
        assert_eq!(most.load(Ordering::Relaxed), 3);
        drain(&mapping, &permits, s(60)).await;
    }
}

/// Two mappings of one function, always with work; batches of each after a while.
async fn shares(permits: u32, weights: [u32; 2], remote: [bool; 2], cap_of_first: Option<u32>) -> [usize; 2] {
    let bench = Bench::new(30).await;
    let other = bench.broker.create_queue("other", &[], &[]).await.unwrap();
    bench.send(numbers(4000)).await;
    let permits = Permits::new(permits);
    let queues = [bench.queue.clone(), other];
    let copies = numbers(4000).into_iter().map(|body| wasmill_queue::OutgoingMessage { body, ..Default::default() });
    queues[1].send(copies.collect()).await.unwrap();
    let mut all = Vec::new();
    for index in 0..2 {
        let queue: Arc<dyn Queue> =
            if remote[index] { Arc::new(Remote::new(&queues[index])) } else { Arc::new(queues[index].clone()) };
        // Not in step: permits come free one by one.
        let (runs, handler) = noting(move |records| async move {
            let odd: u64 = records.iter().map(|record| record.body.parse::<u64>().unwrap()).sum();
            sleep(Duration::from_millis(1500 + (odd * 7919 + index as u64 * 373) % 1009)).await;
            Ok(Reply::Json(String::new()))
        });
        let options = bench.options(queue, &permits, handler);
        let maximum_concurrency = cap_of_first.filter(|_| index == 0);
        let mapping = start(crate::MappingOptions { weight: weights[index], maximum_concurrency, ..options });
        all.push((runs, mapping));
    }
    sleep(s(80)).await;
    let counts = [0, 1].map(|index: usize| all[index].0.lock().unwrap().len());
    for (_, mapping) in &all {
        mapping.stop_receiving();
    }
    for (_, mapping) in &all {
        mapping.drain(s(60)).await;
    }
    assert_eq!(permits.held(), 0);
    counts
}

#[tokio::test(start_paused = true)]
async fn two_mappings_of_a_function_share_its_permits_by_weight_wherever_their_queues_are() {
    for remote in [[false, false], [true, true], [false, true], [true, false]] {
        for (permits, weights) in [(1, [1, 1]), (4, [1, 3]), (8, [3, 1])] {
            let [first, second] = shares(permits, weights, remote, None).await;
            let all = f64::from(permits) * 40.0;
            let expected = all * f64::from(weights[0]) / f64::from(weights[0] + weights[1]);
            let context = format!("{permits} permits, weights {weights:?}, remote {remote:?}: {first} and {second}");
            assert!((first as f64 - expected).abs() <= expected * 0.2 + 2.0, "{context}");
            assert!((first + second) as f64 >= all * 0.9, "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_waits_at_its_own_cap_does_not_hold_up_its_sibling() {
    for remote in [[false, false], [true, true]] {
        let [capped, wide] = shares(10, [1, 1], remote, Some(1)).await;
        assert!((35..=41).contains(&capped), "{capped}");
        assert!(wide >= 9 * 36, "{wide}, remote {remote:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_partial_responses_a_failing_function_gets_fewer_at_a_time_until_it_succeeds() {
    for reports_item_failures in [false, true] {
        let bench = Bench::with_receives(30, 1000).await;
        bench.send(numbers(1200)).await;
        let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (well, now, peak) = (Arc::clone(&is_well), Arc::clone(&running), Arc::clone(&most));
        let answer = handler(move |_| {
            let (well, now) = (Arc::clone(&well), Arc::clone(&now));
            peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            async move {
                sleep(s(1)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                if well.load(Ordering::Relaxed) {
                    Ok(Reply::Json(String::new()))
                } else {
                    Err(Fault::new(FaultKind::Handler, "down"))
                }
            }
        });
        let permits = Permits::new(8);
        let options = bench.options(Arc::new(bench.queue.clone()), &permits, answer);
        let mapping = start(crate::MappingOptions { reports_item_failures, ..options });
        sleep(s(20)).await;
        most.store(0, Ordering::Relaxed);
        sleep(s(20)).await;
        assert_eq!(most.load(Ordering::Relaxed), if reports_item_failures { 8 } else { 1 });
        is_well.store(true, Ordering::Relaxed);
        most.store(0, Ordering::Relaxed);
        until(|| bench.counts() == (0, 0, 0)).await;
        assert_eq!(most.load(Ordering::Relaxed), 8, "all of them again");
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_received_from_is_left_alone_for_longer_and_longer_and_taken_up_again() {
    let bench = Bench::new(30).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().receive = Door::Unavailable;
    let (runs, handler) = succeeding(s(1));
    let permits = Permits::new(4);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    sleep(s(600)).await;
    let calls = remote.calls().receive.len();
    assert!((20..60).contains(&calls), "{calls} calls in ten minutes");
    assert_eq!(permits.held(), 0, "no permit is kept over a pause");
    assert!(matches!(mapping.status(), MappingStatus::Failing { .. }), "{:?}", mapping.status());
    let mut status = mapping.watch_status();
    status.mark_unchanged();
    sleep(s(120)).await;
    assert!(!status.has_changed().unwrap(), "it goes on failing: that is no news");
    remote.doors().receive = Door::Open;
    bench.send(["x".to_owned()]).await;
    timeout(s(31), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    assert_eq!((mapping.status(), bodies(&runs).len()), (MappingStatus::Polling, 1));
    drain(&mapping, &permits, s(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_before_the_receive_and_holds_no_permit_while_it_waits() {
    for is_remote in [false, true] {
        let bench = Bench::new(30).await;
        bench.send(numbers(400)).await;
        let other = bench.broker.create_queue("other", &[], &[]).await.unwrap();
        let (runs, handler) = succeeding(Duration::from_millis(10));
        let queue: Arc<dyn Queue> =
            if is_remote { Arc::new(Remote::new(&bench.queue)) } else { Arc::new(bench.queue.clone()) };
        let permits = Permits::new(1);
        let options = bench.options(queue, &permits, handler);
        let begin = Instant::now();
        let mapping = start(crate::MappingOptions { max_messages_per_second: Some(0.5), ..options });
        sleep(s(100)).await;
        let received = bench.metric("wasmill_mapping_received_total", "");
        assert!((48..=52).contains(&received), "{received} in 100 s");
        assert!(bench.counts().0 >= 348, "what the rate does not allow stays in the queue");
        assert!(times(&runs, begin).iter().all(|(_, records)| *records == 1));
        // The function's only permit is free for a sibling between two messages.
        let (fast_runs, fast) = succeeding(Duration::from_millis(10));
        let sibling = start(bench.options(Arc::new(other.clone()), &permits, fast));
        let message = wasmill_queue::OutgoingMessage { body: "x".into(), ..Default::default() };
        for _ in 0..20 {
            other.send(vec![message.clone()]).await.unwrap();
            let before = fast_runs.lock().unwrap().len();
            let sent_at = Instant::now();
            until(|| fast_runs.lock().unwrap().len() > before).await;
            assert!(sent_at.elapsed() < Duration::from_millis(100), "{:?}, remote: {is_remote}", sent_at.elapsed());
            sleep(Duration::from_millis(300)).await;
        }
        sibling.drain(s(60)).await;
        drain(&mapping, &permits, s(60)).await;
    }
}
