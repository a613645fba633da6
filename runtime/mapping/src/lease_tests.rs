//! Leases and retries through the whole line: held as long as needed, at what cost, and when what failed returns.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wasmill_event::{Fault, FaultKind, Reply, Verdict};
use wasmill_queue::{Queue, ReceiveRequest};

use crate::MappingOptions;
use crate::door::{Door, Remote};
use crate::line_tests::{Bench, bodies, drain, failing, noting, succeeding, times, until};
use crate::mapping::start;
use crate::permits::Permits;
use crate::retry::RetryPolicy;
use crate::route::{Callee, Route};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

fn doors(bench: &Bench) -> [Arc<dyn Queue>; 2] {
    [Arc::new(bench.queue.clone()), Arc::new(Remote::new(&bench.queue))]
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_held_messages_cost_about_a_call_per_ten_of_them_and_period() {
    let bench = Bench::with_receives(60, 1).await;
    bench.send(numbers(10_000)).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    let (runs, handler) = succeeding(s(600));
    let permits = Permits::new(1000);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    until(|| bodies(&runs).len() == 10_000).await;
    sleep(s(500)).await;
    let calls: Vec<usize> = remote.calls().change_visibility.iter().map(|(_, entries)| *entries).collect();
    let periods = 500.0 / 30.0;
    let calls_per_period = calls.len() as f64 / periods;
    assert!((800.0..1100.0).contains(&calls_per_period), "{calls_per_period} calls per half a visibility timeout");
    assert!(calls.iter().all(|entries| *entries <= 10));
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, s(60)).await;
    assert_eq!((bodies(&runs).len(), bench.metric("wasmill_mapping_leases_lost_total", "")), (10_000, 0));
}

#[tokio::test(start_paused = true)]
async fn slow_renewals_lose_nothing_and_come_in_the_order_in_which_they_are_due() {
    let bench = Bench::with_receives(30, 1).await;
    bench.send(numbers(2000)).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().change_visibility = Door::Slow(s(1));
    let (runs, handler) = succeeding(s(300));
    let permits = Permits::new(200);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    timeout(s(400), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    drain(&mapping, &permits, s(60)).await;
    assert_eq!((bodies(&runs).len(), bench.metric("wasmill_mapping_leases_lost_total", "")), (2000, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_past_twelve_hours() {
    for is_remote in [0, 1] {
        let bench = Bench::with_receives(600, 5).await;
        bench.send(["x".to_owned()]).await;
        let (runs, handler) = noting(|_| async {
            sleep(s(20 * 3600)).await;
            Ok(Reply::Json(String::new()))
        });
        let permits = Permits::new(1);
        let route = Route::fixed(Callee::new(handler.clone(), "$LATEST", s(24 * 3600)));
        let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
        let mapping = start(MappingOptions { route, ..options });
        sleep(s(12 * 3600 - 700)).await;
        assert_eq!(bench.counts(), (0, 1, 0));
        sleep(s(701)).await;
        assert_eq!(bench.counts(), (1, 0, 0), "remote: {is_remote}");
        assert_eq!(bench.metric("wasmill_mapping_leases_lost_total", ""), 1);
        assert_eq!(mapping.leases.on_wheel(), 0, "what is lost is not renewed");
        sleep(s(9 * 3600)).await;
        assert_eq!(bench.counts(), (0, 0, 0), "deleted when it was done, without a second run");
        assert_eq!(runs.lock().unwrap().len(), 1);
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_that_was_done_is_deleted_at_its_redelivery_without_a_second_run() {
    let bench = Bench::with_receives(10, 1000).await;
    bench.send(numbers(10)).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().change_visibility = Door::Unavailable;
    remote.doors().delete = Door::Unavailable;
    let (runs, handler) = succeeding(s(12));
    let permits = Permits::new(1);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    sleep(s(20)).await;
    assert_eq!(bench.metric("wasmill_mapping_leases_lost_total", ""), 10);
    assert_eq!(bench.counts().0 + bench.counts().1, 10);
    sleep(s(60)).await;
    assert!(bench.counts().0 + bench.counts().1 == 10, "no delete got through yet");
    *remote.doors() = crate::door::Doors::default();
    timeout(s(30), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    assert_eq!(bodies(&runs).len(), 10);
    drain(&mapping, &permits, s(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_give_back_what_somebody_else_has_by_now() {
    let bench = Bench::with_receives(10, 1000).await;
    bench.send(["x".to_owned()]).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().change_visibility = Door::Unavailable;
    let (runs, handler) = succeeding(s(600));
    let permits = Permits::new(1);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    until(|| runs.lock().unwrap().len() == 1).await;
    let request =
        |wait| ReceiveRequest { max_messages: 1, wait, visibility_timeout_seconds: Some(500), attempt_id: None };
    let elsewhere = bench.queue.receive(request(s(15))).await.unwrap();
    assert_eq!(elsewhere.len(), 1);
    mapping.drain(s(1)).await;
    assert_eq!(bench.counts(), (0, 1, 0), "it is still hidden for the other consumer");
}

#[tokio::test(start_paused = true)]
async fn a_retry_policy_says_when_a_failed_message_returns_and_the_handler_may_say_otherwise() {
    let exponential = RetryPolicy::Exponential { base: s(10), max: s(1000) };
    for is_remote in [0, 1] {
        for (policy, bounds) in [
            (RetryPolicy::Visibility, [(60, 60), (120, 120)]),
            (RetryPolicy::Immediate, [(0, 1), (0, 2)]),
            (RetryPolicy::Fixed { delay: s(7) }, [(7, 7), (14, 14)]),
            (exponential, [(5, 10), (15, 30)]),
        ] {
            for faults in [false, true] {
                let bench = Bench::new(60).await;
                bench.send(["x".to_owned()]).await;
                let (runs, handler) = noting(move |records| async move {
                    if faults { Err(Fault::new(FaultKind::Handler, "no")) } else { Ok(failing(&records, |_| true)) }
                });
                let permits = Permits::new(1);
                let begin = Instant::now();
                let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
                let mapping = start(MappingOptions { retry_policy: policy, ..options });
                until(|| bench.dead.describe().unwrap().visible == 1).await;
                let times = times(&runs, begin);
                assert_eq!(times.len(), 3, "{policy:?}");
                for ((at, _), (earliest, latest)) in times[1..].iter().zip(bounds) {
                    assert!((earliest..=latest).contains(at), "{policy:?}, remote {is_remote}: {times:?}");
                }
                drain(&mapping, &permits, s(60)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_seconds_overrides_every_policy() {
    for policy in [RetryPolicy::Visibility, RetryPolicy::Immediate, RetryPolicy::Fixed { delay: s(7) }] {
        let bench = Bench::new(60).await;
        bench.send(["x".to_owned()]).await;
        let (runs, handler) = noting(|records| async move {
            let id = &records[0].message_id;
            Ok(Reply::Json(format!(
                r#"{{"batchItemFailures":[{{"itemIdentifier":"{id}","retryAfterSeconds":22.5}}]}}"#
            )))
        });
        let permits = Permits::new(1);
        let begin = Instant::now();
        let mapping = start(MappingOptions {
            retry_policy: policy,
            ..bench.options(doors(&bench)[0].clone(), &permits, handler)
        });
        until(|| bench.dead.describe().unwrap().visible == 1).await;
        assert_eq!(times(&runs, begin), [(0, 1), (23, 1), (46, 1)]);
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_that_fail_are_remembered_and_made_good_at_the_redelivery() {
    for refusal in [Door::Refuses, Door::Unavailable] {
        let bench = Bench::with_receives(30, 1000).await;
        bench.send(numbers(25)).await;
        let remote = Arc::new(Remote::new(&bench.queue));
        remote.doors().delete = refusal;
        let (runs, handler) = succeeding(s(1));
        let permits = Permits::new(4);
        let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
        sleep(s(20)).await;
        assert_eq!(bench.metric("wasmill_mapping_settle_failures_total", "delete"), 25);
        assert_eq!(bench.counts(), (0, 25, 0));
        remote.doors().delete = Door::Open;
        sleep(s(31)).await;
        assert_eq!((bodies(&runs).len(), bench.counts()), (25, (0, 0, 0)));
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_cannot_reach_the_queue_is_tried_again_until_it_does() {
    let bench = Bench::with_receives(30, 1).await;
    bench.send(numbers(10)).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    let (runs, handler) = succeeding(s(300));
    let permits = Permits::new(1);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    for _ in 0..10 {
        remote.doors().change_visibility = Door::Unavailable;
        sleep(s(10)).await;
        remote.doors().change_visibility = Door::Open;
        sleep(s(18)).await;
    }
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, s(60)).await;
    assert_eq!((bodies(&runs).len(), bench.metric("wasmill_mapping_leases_lost_total", "")), (10, 0));
    assert!(remote.calls().change_visibility.len() < 1000, "no hot loop");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_goes_back_while_it_is_renewed_stays_back() {
    let bench = Bench::new(10).await;
    bench.send(["x".to_owned()]).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().change_visibility = Door::Slow(s(2));
    let (runs, handler) = noting(|records| async move {
        // The renewal is under way from 5 s to 7 s.
        sleep(s(6)).await;
        Ok(Reply::Verdicts(vec![Verdict::Retry { after_seconds: Some(1) }; records.len()]))
    });
    let permits = Permits::new(1);
    let begin = Instant::now();
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    until(|| runs.lock().unwrap().len() == 2).await;
    assert_eq!(times(&runs, begin)[1].0, 10, "renewed until 7 s, given back by 9 s, back at 10 s");
    mapping.drain(s(60)).await;
}

#[tokio::test(start_paused = true)]
async fn every_way_out_takes_the_leases_off_the_wheel() {
    let bench = Bench::with_receives(20, 1000).await;
    bench.send(numbers(200)).await;
    let count = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, seen) = (Arc::clone(&is_over), Arc::clone(&count));
    let (_, handler) = noting(move |records| {
        let n = seen.fetch_add(1, Ordering::Relaxed);
        let over = over.load(Ordering::Relaxed);
        async move {
            sleep(s(n as u64 * 7 % 40)).await;
            match n % 5 {
                _ if over => Ok(Reply::Json(String::new())),
                0 => Err(Fault::new(FaultKind::Trap, "trap")),
                1 => Err(Fault::new(FaultKind::Handler, "no")),
                2 => panic!("the host"),
                3 => Ok(Reply::Verdicts(vec![Verdict::Release; records.len()])),
                _ => Ok(Reply::Verdicts(vec![Verdict::DeadLetter { reason: "r".into() }; records.len()])),
            }
        }
    });
    let permits = Permits::new(7);
    let mapping = bench.start_on(doors(&bench)[1].clone(), &permits, handler);
    sleep(s(300)).await;
    is_over.store(true, Ordering::Relaxed);
    until(|| bench.counts() == (0, 0, 0)).await;
    sleep(s(1)).await;
    assert_eq!(mapping.leases.on_wheel(), 0);
    drain(&mapping, &permits, s(60)).await;
}
