//! Windows through the whole line: when they close, what they hold, and that nothing is lost on the way.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use wasmill_event::{Invocation, Payload, Reply, lambda_event};
use wasmill_queue::{Queue, ReceiveRequest};

use crate::MappingOptions;
use crate::door::{Door, Remote};
use crate::filter::Filters;
use crate::intake::OnFiltered;
use crate::line_tests::{Bench, bodies, drain, failing, noting, succeeding, times, until};
use crate::mapping::start;
use crate::permits::Permits;

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
async fn a_window_closes_by_its_size_at_once_and_by_its_time_when_it_does_not_fill() {
    for is_remote in [0, 1] {
        let bench = Bench::new(30).await;
        let (runs, handler) = succeeding(s(1));
        let permits = Permits::new(4);
        let queue = doors(&bench)[is_remote].clone();
        let begin = Instant::now();
        let mapping =
            start(MappingOptions { batch_size: 25, window: s(10), ..bench.options(queue, &permits, handler) });
        bench.send(numbers(25)).await;
        sleep(s(2)).await;
        assert_eq!(times(&runs, begin), [(0, 25)], "by size");
        sleep(s(3)).await;
        // The next window opened at 0 s, when the first left; it closes at 10 s.
        bench.send(numbers(3)).await;
        sleep(s(10)).await;
        assert_eq!(times(&runs, begin)[1..], [(10, 3)], "by time");
        // This one opened at 10 s and passed with nothing in it: it opens anew with the message.
        sleep(s(25)).await;
        bench.send(numbers(1)).await;
        sleep(s(12)).await;
        assert_eq!(times(&runs, begin)[2..], [(50, 1)], "remote: {is_remote}");
        for (reason, windows) in [("size", 1), ("window", 2), ("bytes", 0), ("early", 0)] {
            assert_eq!(bench.metric("wasmill_mapping_windows_closed_total", reason), windows, "{reason}");
        }
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_small_records_are_one_batch() {
    for is_remote in [0, 1] {
        let bench = Bench::new(30).await;
        bench.send(std::iter::repeat_n(String::new(), 10_000).enumerate().map(|(n, _)| format!("{n:05}"))).await;
        let lengths: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
        let seen = Arc::clone(&lengths);
        let handler = BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
            let Payload::Batch { records, windowed } = invocation.payload else { panic!() };
            assert!(windowed);
            seen.lock().unwrap().push((records.len(), lambda_event(&records, windowed).len()));
            async { Ok(Reply::Json(String::new())) }
        }));
        let permits = Permits::new(1);
        let queue = doors(&bench)[is_remote].clone();
        let mapping =
            start(MappingOptions { batch_size: 10_000, window: s(60), ..bench.options(queue, &permits, handler) });
        until(|| bench.counts() == (0, 0, 0)).await;
        drain(&mapping, &permits, s(60)).await;
        let lengths = lengths.lock().unwrap();
        assert_eq!(lengths.iter().map(|(records, _)| records).sum::<usize>(), 10_000);
        // Lambda's 6 MB may come before the ten thousand, and nothing else does.
        let (_, longest) = lengths[0];
        assert!(lengths.len() == 1 || longest > (6 << 20) - 2048, "{lengths:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_closes_before_six_mebibytes_and_every_record_runs_once() {
    for is_remote in [0, 1] {
        let bench = Bench::new(30).await;
        let body = |n: usize| format!("{n}:{}", "x".repeat(200_000));
        bench.send((0..100).map(body)).await;
        let lengths: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = Arc::clone(&lengths);
        let (runs, handler) = noting(move |records| {
            seen.lock().unwrap().push(lambda_event(&records, true).len());
            async { Ok(Reply::Json(String::new())) }
        });
        let permits = Permits::new(3);
        let queue = doors(&bench)[is_remote].clone();
        let mapping =
            start(MappingOptions { batch_size: 1000, window: s(5), ..bench.options(queue, &permits, handler) });
        timeout(s(60), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
        drain(&mapping, &permits, s(60)).await;
        let ran = bodies(&runs);
        assert_eq!((ran.len(), ran.iter().collect::<BTreeSet<_>>().len()), (100, 100));
        let lengths = lengths.lock().unwrap();
        assert!(lengths.iter().all(|bytes| *bytes < 6 << 20), "{lengths:?}");
        assert_eq!(lengths.len(), 4, "31 records fit into each: {lengths:?}, remote: {is_remote}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_fails_while_a_window_fills_loses_nothing_that_came_beside_it() {
    for failing in 2..=9 {
        let bench = Bench::with_receives(600, 1).await;
        bench.send(numbers(70)).await;
        let remote = Arc::new(Remote::new(&bench.queue));
        let (runs, handler) = succeeding(s(1));
        let permits = Permits::new(4);
        remote.fail_receive(failing);
        let mapping = start(MappingOptions {
            batch_size: 100,
            window: s(20),
            ..bench.options(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler)
        });
        timeout(s(60), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
        drain(&mapping, &permits, s(60)).await;
        assert_eq!(bodies(&runs).into_iter().collect::<BTreeSet<_>>().len(), 70, "{failing}");
        assert_eq!(bench.dead.describe().unwrap().visible, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_receive_brought_to_a_window_is_held_while_another_still_waits() {
    let bench = Bench::with_receives(5, 1).await;
    bench.send(numbers(20)).await;
    let (runs, handler) = succeeding(s(1));
    let permits = Permits::new(1);
    let remote: Arc<dyn Queue> = Arc::new(Remote::new(&bench.queue));
    let begin = Instant::now();
    let mapping = start(MappingOptions { batch_size: 43, window: s(31), ..bench.options(remote, &permits, handler) });
    // Two receives fill the window by now.
    sleep(Duration::from_millis(200)).await;
    bench.send((20..22).map(|n| n.to_string())).await;
    sleep(s(30)).await;
    assert_eq!((bench.counts(), runs.lock().unwrap().len()), ((0, 22, 0), 0));
    sleep(s(2)).await;
    assert_eq!(times(&runs, begin), [(31, 22)]);
    drain(&mapping, &permits, s(60)).await;
    assert_eq!(bodies(&runs).into_iter().collect::<BTreeSet<_>>().len(), 22);
    assert_eq!(bench.dead.describe().unwrap().visible, 0);
}

#[tokio::test(start_paused = true)]
async fn filtered_messages_do_not_count_and_go_where_they_are_told() {
    for case in ["delete", "keep", "forward"] {
        for is_remote in [0, 1] {
            let bench = Bench::with_receives(60, 1000).await;
            let other = bench.broker.create_queue("other", &[], &[]).await.unwrap();
            bench.send((0..40).map(|n| format!(r#"{{"n":{n},"kind":"{}"}}"#, ["odd", "even"][(n + 1) % 2]))).await;
            let (runs, handler) = succeeding(s(1));
            let permits = Permits::new(4);
            let begin = Instant::now();
            let on_filtered = match case {
                "delete" => OnFiltered::Delete,
                "keep" => OnFiltered::Keep,
                _ => OnFiltered::Forward(Arc::new(other.clone())),
            };
            let mapping = start(MappingOptions {
                batch_size: 20,
                window: s(30),
                filters: Filters::parse(&[r#"{"body":{"kind":["even"]}}"#]).unwrap(),
                on_filtered,
                ..bench.options(doors(&bench)[is_remote].clone(), &permits, handler)
            });
            sleep(s(2)).await;
            assert_eq!(times(&runs, begin), [(0, 20)], "{case}");
            let kept = if case == "keep" { 20 } else { 0 };
            assert_eq!(bench.counts(), (0, kept, 0), "{case}");
            assert_eq!(other.describe().unwrap().visible, if case == "forward" { 20 } else { 0 });
            assert_eq!(bench.metric("wasmill_mapping_filter_matches_total", "none"), 20);
            mapping.stop_receiving();
            sleep(s(58)).await;
            assert_eq!(bench.counts(), (kept, 0, 0), "they return when their visibility ends: {case}");
            drain(&mapping, &permits, s(60)).await;
            assert!(bodies(&runs).iter().all(|body| body.contains("even")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_forwarded_stays() {
    let bench = Bench::new(30).await;
    let other = bench.broker.create_queue("other", &[], &[]).await.unwrap();
    bench.broker.delete_queue("other").await.unwrap();
    bench.send(["plain".to_owned()]).await;
    let (_, handler) = succeeding(s(1));
    let permits = Permits::new(1);
    let mapping = start(MappingOptions {
        filters: Filters::parse(&[r#"{"body":{"kind":["even"]}}"#]).unwrap(),
        on_filtered: OnFiltered::Forward(Arc::new(other)),
        ..bench.options(Arc::new(bench.queue.clone()), &permits, handler)
    });
    sleep(s(10)).await;
    assert_eq!(bench.counts(), (0, 1, 0));
    assert_eq!(bench.metric("wasmill_mapping_settle_failures_total", "forward"), 1);
    drain(&mapping, &permits, s(60)).await;
    sleep(s(30)).await;
    assert_eq!(bench.counts(), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_a_window_longer_than_its_visibility_is_held_and_fails_back_at_once() {
    for is_remote in [0, 1] {
        let bench = Bench::new(5).await;
        bench.send(["x".to_owned()]).await;
        let (runs, handler) = noting(|records| async move { Ok(failing(&records, |_| true)) });
        let permits = Permits::new(1);
        let begin = Instant::now();
        let mapping = start(MappingOptions {
            batch_size: 10,
            window: s(60),
            ..bench.options(doors(&bench)[is_remote].clone(), &permits, handler)
        });
        until(|| bench.dead.describe().unwrap().visible == 1).await;
        assert_eq!(times(&runs, begin), [(60, 1), (120, 1), (180, 1)], "remote: {is_remote}");
        assert_eq!(bench.metric("wasmill_mapping_leases_lost_total", ""), 0);
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_runs_what_an_open_window_holds_and_at_its_end_gives_back_the_rest() {
    for is_remote in [0, 1] {
        for (grace, runs_to_its_end) in [(s(60), true), (s(25), false)] {
            let bench = Bench::new(30).await;
            bench.send(numbers(7)).await;
            let (runs, handler) = succeeding(s(30));
            let permits = Permits::new(1);
            let mapping = start(MappingOptions {
                batch_size: 100,
                window: s(300),
                ..bench.options(doors(&bench)[is_remote].clone(), &permits, handler)
            });
            sleep(s(40)).await;
            assert_eq!(bench.counts(), (0, 7, 0));
            drain(&mapping, &permits, grace).await;
            assert_eq!(bodies(&runs).len(), 7);
            assert_eq!(bench.counts(), if runs_to_its_end { (0, 0, 0) } else { (7, 0, 0) }, "remote: {is_remote}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_answers_after_the_drains_grace_gives_its_messages_back_without_a_run() {
    for window in [Duration::ZERO, s(100)] {
        let bench = Bench::new(600).await;
        let remote = Arc::new(Remote::new(&bench.queue));
        let (runs, handler) = succeeding(s(30));
        let permits = Permits::new(1);
        let options = bench.options(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
        let mapping = start(MappingOptions { window, ..options });
        remote.doors().receive = Door::Slow(s(15));
        bench.send(numbers(3)).await;
        sleep(s(1)).await;
        remote.doors().receive = Door::Slow(s(15));
        drain(&mapping, &permits, s(5)).await;
        assert_eq!((bodies(&runs).len(), bench.counts()), (0, (3, 0, 0)), "window {window:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapping_told_to_stop_receives_nothing_more_although_there_is_more() {
    for is_remote in [0, 1] {
        for window in [Duration::ZERO, s(5)] {
            let bench = Bench::new(30).await;
            bench.send(numbers(500)).await;
            let (runs, handler) = succeeding(s(7));
            let permits = Permits::new(2);
            let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
            let mapping = start(MappingOptions { window, ..options });
            sleep(s(16)).await;
            drain(&mapping, &permits, s(60)).await;
            let ran = bodies(&runs).len() as u64;
            assert_eq!(bench.counts(), (500 - ran, 0, 0), "remote {is_remote}, window {window:?}");
            sleep(s(100)).await;
            assert_eq!(bench.counts().0, 500 - ran);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_windowed_event_says_that_there_is_no_digest_of_attributes_and_another_leaves_it_out() {
    for (window, says) in [(Duration::ZERO, false), (s(1), true)] {
        let bench = Bench::new(30).await;
        bench.send(["x".to_owned()]).await;
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&events);
        let handler = BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
            let Payload::Batch { records, windowed } = invocation.payload else { panic!() };
            seen.lock().unwrap().push(lambda_event(&records, windowed));
            async { Ok(Reply::Json(String::new())) }
        }));
        let permits = Permits::new(1);
        let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler);
        let mapping = start(MappingOptions { window, ..options });
        until(|| bench.counts() == (0, 0, 0)).await;
        drain(&mapping, &permits, s(60)).await;
        let event = events.lock().unwrap()[0].clone();
        assert_eq!(event.contains(r#""md5OfMessageAttributes":null"#), says, "{event}");
        assert_eq!(event.contains("md5OfMessageAttributes"), says, "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_for_windows_too() {
    for is_remote in [0, 1] {
        let bench = Bench::new(30).await;
        bench.send(numbers(1000)).await;
        let (runs, handler) = succeeding(s(1));
        let permits = Permits::new(4);
        let mapping = start(MappingOptions {
            batch_size: 100,
            window: s(10),
            max_messages_per_second: Some(5.0),
            ..bench.options(doors(&bench)[is_remote].clone(), &permits, handler)
        });
        sleep(s(60)).await;
        let (visible, ..) = bench.counts();
        assert!((290..=315).contains(&(1000 - visible)), "{} in a minute, remote: {is_remote}", 1000 - visible);
        drain(&mapping, &permits, s(60)).await;
        let ran = bodies(&runs).len() as u64;
        assert_eq!(bench.counts(), (1000 - ran, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_gave_back_is_there_at_once() {
    let bench = Bench::new(900).await;
    bench.send(numbers(3)).await;
    let (_, handler) = succeeding(s(600));
    let permits = Permits::new(1);
    let mapping = start(MappingOptions { window: s(1), ..bench.local(1, handler) });
    sleep(s(30)).await;
    drain(&mapping, &permits, s(1)).await;
    let request =
        ReceiveRequest { max_messages: 10, wait: Duration::ZERO, visibility_timeout_seconds: None, attempt_id: None };
    let back = bench.queue.receive(request).await.unwrap();
    assert_eq!(back.len(), 3);
    assert!(back.iter().all(|message| message.system.receive_count == 1), "their receive does not count");
}
