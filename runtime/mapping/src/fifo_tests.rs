//! Message groups through the whole line: their order, one batch of each at a time, and what a failure does to the rest.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wasmill_event::{Fault, FaultKind, Reply};
use wasmill_queue::Queue;

use crate::MappingOptions;
use crate::door::{Door, Remote};
use crate::fifo::FifoOrder;
use crate::line_tests::{Bench, bodies, drain, failing, noting, times, until};
use crate::mapping::start;
use crate::permits::Permits;
use crate::retry::RetryPolicy;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn doors(bench: &Bench) -> [Arc<dyn Queue>; 2] {
    [Arc::new(bench.queue.clone()), Arc::new(Remote::new(&bench.queue))]
}

async fn send(bench: &Bench, groups: &[&str], each: usize) {
    let all: Vec<String> = (0..each).flat_map(|n| groups.iter().map(move |group| format!("{group}:{n:03}"))).collect();
    bench.send_to_groups(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

fn group_of(body: &str) -> String {
    body.split(':').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_group_has_one_batch_at_a_time_in_order_and_groups_run_beside_each_other() {
    for is_remote in [0, 1] {
        for per_group in [false, true] {
            let bench = Bench::fifo(30).await;
            send(&bench, &["a", "b", "c", "d"], 50).await;
            let running: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
            let most: Arc<Mutex<usize>> = Arc::default();
            let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
            let (runs, handler) = noting(move |records| {
                let mut groups: Vec<String> = records.iter().map(|record| group_of(&record.body)).collect();
                groups.dedup();
                groups.sort();
                groups.dedup();
                assert!(!per_group || groups.len() == 1, "{groups:?}");
                for group in &groups {
                    let mut running = now.lock().unwrap();
                    let count = running.entry(group.clone()).or_default();
                    *count += 1;
                    assert_eq!(*count, 1, "two batches of {group} at a time");
                    let all = running.values().sum();
                    let mut peak = peak.lock().unwrap();
                    *peak = (*peak).max(all);
                }
                let now = Arc::clone(&now);
                async move {
                    sleep(s(3)).await;
                    for group in groups {
                        *now.lock().unwrap().get_mut(&group).unwrap() -= 1;
                    }
                    Ok(Reply::Json(String::new()))
                }
            });
            let permits = Permits::new(10);
            let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
            let mapping = start(MappingOptions { per_group, ..options });
            until(|| bench.counts() == (0, 0, 0)).await;
            drain(&mapping, &permits, s(60)).await;
            let ran = bodies(&runs);
            assert_eq!(ran.len(), 200);
            for group in ["a", "b", "c", "d"] {
                let of_group: Vec<&String> = ran.iter().filter(|body| body.starts_with(group)).collect();
                assert!(of_group.is_sorted() && of_group.len() == 50, "{of_group:?}");
            }
            assert!(*most.lock().unwrap() >= 3, "groups run beside each other: {}", most.lock().unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_record_all_that_is_later_of_its_group_comes_again_behind_it() {
    for is_remote in [0, 1] {
        for policy in [RetryPolicy::Visibility, RetryPolicy::Immediate, RetryPolicy::Fixed { delay: s(5) }] {
            let bench = Bench::fifo(30).await;
            bench.send_to_groups(&["a:0", "a:1", "a:2", "a:3", "b:0", "b:1"]).await;
            let is_first: Arc<Mutex<bool>> = Arc::new(Mutex::new(true));
            let (runs, handler) = noting(move |records| {
                // Only one is reported, as handlers do.
                let is_first = records.iter().any(|record| record.body == "a:1")
                    && std::mem::replace(&mut *is_first.lock().unwrap(), false);
                async move { Ok(failing(&records, |record| is_first && record.body == "a:1")) }
            });
            let permits = Permits::new(10);
            let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
            let mapping = start(MappingOptions { retry_policy: policy, ..options });
            until(|| bench.counts() == (0, 0, 0)).await;
            drain(&mapping, &permits, s(60)).await;
            let of_a: Vec<String> = bodies(&runs).into_iter().filter(|body| body.starts_with('a')).collect();
            assert_eq!(of_a, ["a:0", "a:1", "a:2", "a:3", "a:1", "a:2", "a:3"], "{policy:?}, remote {is_remote}");
            assert_eq!(bodies(&runs).len(), 9, "the other group was done");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_trust_what_the_handler_says_is_done_is_done() {
    let bench = Bench::fifo(30).await;
    bench.send_to_groups(&["a:0", "a:1", "a:2"]).await;
    let (runs, handler) = noting(|records| async move {
        let is_first = records.len() == 3;
        Ok(failing(&records, |record| is_first && record.body == "a:1"))
    });
    let permits = Permits::new(10);
    let options = bench.options(doors(&bench)[0].clone(), &permits, handler);
    let mapping = start(MappingOptions { fifo_order: FifoOrder::Trust, ..options });
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, s(60)).await;
    assert_eq!(bodies(&runs), ["a:0", "a:1", "a:2", "a:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_whole_comes_again_in_order_and_ends_in_the_dead_letter_queue_in_order() {
    for is_remote in [0, 1] {
        for policy in
            [RetryPolicy::Visibility, RetryPolicy::Immediate, RetryPolicy::Exponential { base: s(4), max: s(60) }]
        {
            let bench = Bench::fifo(30).await;
            bench.send_to_groups(&["a:0", "a:1", "a:2"]).await;
            let (runs, handler) = noting(|_| async { Err(Fault::new(FaultKind::Handler, "no")) });
            let permits = Permits::new(10);
            let options = bench.options(doors(&bench)[is_remote].clone(), &permits, handler);
            let mapping = start(MappingOptions { retry_policy: policy, ..options });
            until(|| bench.dead.describe().unwrap().visible == 3).await;
            drain(&mapping, &permits, s(60)).await;
            let ran = bodies(&runs);
            let firsts: Vec<&String> = ran.iter().filter(|body| *body == "a:0").collect();
            assert_eq!(firsts.len(), 3, "{policy:?}, remote {is_remote}: {ran:?}");
            // Nothing runs that has a predecessor which neither ran before it in the batch nor is gone.
            let mut gone = 0;
            for (_, batch) in runs.lock().unwrap().iter() {
                let numbers: Vec<usize> = batch.iter().map(|body| body[2..].parse().unwrap()).collect();
                assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ran:?}");
                gone = gone.max(numbers[0]);
                assert_eq!(numbers[0], gone, "{ran:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn groups_of_one_receive_wait_for_permits_and_go_back_when_the_mapping_stops() {
    let bench = Bench::fifo(30).await;
    bench.send_to_groups(&["a:0", "b:0", "c:0", "d:0", "e:0"]).await;
    let (runs, handler) = noting(|_| async {
        sleep(s(50)).await;
        Ok(Reply::Json(String::new()))
    });
    let permits = Permits::new(2);
    let begin = tokio::time::Instant::now();
    let options = bench.options(doors(&bench)[0].clone(), &permits, handler);
    let mapping = start(MappingOptions { per_group: true, ..options });
    sleep(s(70)).await;
    assert_eq!(times(&runs, begin), [(0, 1), (0, 1), (50, 1), (50, 1)]);
    drain(&mapping, &permits, s(20)).await;
    assert_eq!(bench.counts(), (3, 0, 0), "two cut off, one that had no permit yet");
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_delete_failed_goes_on_behind_what_is_remembered() {
    let bench = Bench::fifo(30).await;
    send(&bench, &["a"], 5).await;
    let remote = Arc::new(Remote::new(&bench.queue));
    remote.doors().delete = Door::Refuses;
    let (runs, handler) = noting(|records| async move { Ok(failing(&records, |_| false)) });
    let permits = Permits::new(2);
    let mapping = bench.start_on(Arc::clone(&remote) as Arc<dyn Queue>, &permits, handler);
    sleep(s(10)).await;
    send(&bench, &["b"], 1).await;
    bench.send_to_groups(&["a:005"]).await;
    remote.doors().delete = Door::Open;
    until(|| bench.counts() == (0, 0, 0)).await;
    drain(&mapping, &permits, s(60)).await;
    let ran = bodies(&runs);
    assert_eq!(ran, ["a:000", "a:001", "a:002", "a:003", "a:004", "b:000", "a:005"]);
}
