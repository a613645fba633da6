//! Poison through the whole line: a batch with a record that the handler crashes on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wasmill_event::{Fault, FaultKind, Reply};
use wasmill_queue::Queue;

use crate::MappingOptions;
use crate::door::Remote;
use crate::invoke::Handler;
use crate::line_tests::{Bench, Runs, bodies, drain, noting, times, until};
use crate::mapping::start;
use crate::permits::Permits;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Crashes on bodies that hold one of those, after a second.
fn crashing(kind: FaultKind, on: &'static [&'static str]) -> (Runs, Handler) {
    noting(move |records| async move {
        sleep(s(1)).await;
        let is_poison = |body: &str| on.contains(&body);
        if records.iter().any(|record| is_poison(&record.body)) {
            return Err(Fault::new(kind, "crash"));
        }
        Ok(Reply::Json(String::new()))
    })
}

fn crash_free(runs: &Runs, on: &[&str]) -> Vec<String> {
    let runs = runs.lock().unwrap();
    let passed = runs.iter().filter(|(_, bodies)| !bodies.iter().any(|body| on.contains(&body.as_str())));
    passed.flat_map(|(_, bodies)| bodies.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn of_ten_with_one_that_crashes_nine_succeed_on_their_first_delivery_and_the_culprit_returns_alone() {
    for (is_remote, kind) in [
        (false, FaultKind::Trap),
        (true, FaultKind::Trap),
        (false, FaultKind::Timeout),
        (false, FaultKind::OutOfMemory),
    ] {
        for culprit in ["0", "3", "9"] {
            let on: &'static [&'static str] = match culprit {
                "0" => &["0"],
                "3" => &["3"],
                _ => &["9"],
            };
            let bench = Bench::new(60).await;
            bench.send(numbers(10)).await;
            let (runs, handler) = crashing(kind, on);
            let queue: Arc<dyn Queue> =
                if is_remote { Arc::new(Remote::new(&bench.queue)) } else { Arc::new(bench.queue.clone()) };
            let permits = Permits::new(2);
            let begin = tokio::time::Instant::now();
            let mapping = bench.start_on(queue, &permits, handler);
            sleep(s(20)).await;
            let extra = runs.lock().unwrap().len() - 1;
            assert!(extra <= 5, "{extra} invocations to find it");
            assert_eq!(bench.counts(), (0, 1, 0), "nine were deleted");
            let mut passed = crash_free(&runs, on);
            passed.sort();
            let expected: Vec<String> = numbers(10).into_iter().filter(|body| body != culprit).collect();
            assert_eq!(passed, expected, "each passed once");
            assert_eq!(bench.metric("wasmill_mapping_poison_messages_total", ""), 1);
            assert_eq!(bench.metric("wasmill_mapping_bisect_invocations_total", ""), extra as u64);
            until(|| bench.dead.describe().unwrap().visible == 1).await;
            let later: Vec<(u64, usize)> = times(&runs, begin)[extra + 1..].to_vec();
            assert_eq!(later, [(60, 1), (120, 1)], "three deliveries in all");
            drain(&mapping, &permits, s(60)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_no_crash_is_not_looked_into() {
    for kind in [FaultKind::Handler, FaultKind::BadReply, FaultKind::Host, FaultKind::ReplyTooLarge] {
        let bench = Bench::new(60).await;
        bench.send(numbers(10)).await;
        let (runs, handler) = crashing(kind, &["3"]);
        let permits = Permits::new(2);
        let mapping = bench.start_on(Arc::new(bench.queue.clone()), &permits, handler);
        sleep(s(30)).await;
        assert_eq!((runs.lock().unwrap().len(), bench.counts()), (1, (0, 10, 0)), "{kind:?}");
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_no_more_than_the_cap_and_nothing_when_it_is_turned_off() {
    for most in [0, 3, 16] {
        let bench = Bench::new(600).await;
        bench.send(numbers(10)).await;
        let (runs, handler) = crashing(FaultKind::Trap, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        let permits = Permits::new(2);
        let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler);
        let mapping = start(MappingOptions { bisect_max_invocations: most, ..options });
        sleep(s(100)).await;
        let extra = u32::try_from(runs.lock().unwrap().len()).unwrap() - 1;
        assert!(extra <= most, "{extra} of {most}");
        assert_eq!(bench.counts(), (0, 10, 0));
        drain(&mapping, &permits, s(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_what_passed_is_kept() {
    let bench = Bench::new(600).await;
    bench.send(numbers(10)).await;
    let (runs, handler) = crashing(FaultKind::Trap, &["9"]);
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler);
    let mapping = start(MappingOptions { bisect_max_invocations: 2, ..options });
    sleep(s(30)).await;
    let passed = crash_free(&runs, &["9"]).len() as u64;
    assert!(passed >= 5);
    assert_eq!(bench.counts(), (0, 10 - passed, 0));
    drain(&mapping, &permits, s(60)).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_message_group_nothing_runs_after_the_culprit() {
    let bench = Bench::fifo(60).await;
    let all: Vec<String> = (0..6).map(|n| format!("a:{n}")).chain((0..4).map(|n| format!("b:{n}"))).collect();
    bench.send_to_groups(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (runs, handler) = crashing(FaultKind::Trap, &["a:2"]);
    let permits = Permits::new(4);
    let mapping = bench.start_on(Arc::new(bench.queue.clone()), &permits, handler);
    sleep(s(20)).await;
    let mut passed = crash_free(&runs, &["a:2"]);
    let of_a: Vec<&String> = passed.iter().filter(|body| body.starts_with('a')).collect();
    assert_eq!(of_a, ["a:0", "a:1"], "in order, and no further");
    passed.retain(|body| body.starts_with('b'));
    assert_eq!(passed, ["b:0", "b:1", "b:2", "b:3"]);
    // Two deliveries more, then it is dead and its group goes on.
    until(|| bench.counts() == (0, 0, 0)).await;
    assert_eq!(bench.dead.describe().unwrap().visible, 1);
    let last = bodies(&runs);
    assert_eq!(last[last.len() - 3..], ["a:3", "a:4", "a:5"]);
    drain(&mapping, &permits, s(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_in_the_middle_of_the_search_ends_it_and_gives_all_back() {
    let bench = Bench::new(600).await;
    bench.send(numbers(10)).await;
    let (runs, handler) = crashing(FaultKind::Trap, &["9"]);
    let permits = Permits::new(1);
    let mapping = bench.start_on(Arc::new(bench.queue.clone()), &permits, handler);
    sleep(Duration::from_millis(2500)).await;
    drain(&mapping, &permits, Duration::from_millis(100)).await;
    assert_eq!(runs.lock().unwrap().len(), 3);
    let (visible, in_flight, _) = bench.counts();
    assert_eq!((visible, in_flight), (10, 0));
}
