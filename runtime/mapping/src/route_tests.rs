//! Which version a batch goes to, through the whole line: swaps under load, draws, and a function that goes away.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};
use wasmill_event::{Fault, FaultKind, Invocation, Reply};

use crate::line_tests::{Bench, drain, failing, handler, until};
use crate::mapping::{MappingOptions, start};
use crate::permits::Permits;
use crate::route::{Callee, Comparison, Route, Shadow};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// By version: the bodies of each of its runs.
type Seen = Arc<Mutex<Vec<(usize, Vec<String>)>>>;

/// A version that notes what it ran, takes a while, and crashes on what is called bad.
fn version(number: usize, seen: &Seen) -> Callee {
    let seen = Arc::clone(seen);
    let handler = handler(move |records| {
        let bodies: Vec<String> = records.iter().map(|record| record.body.clone()).collect();
        let crashes = bodies.iter().any(|body| body.starts_with("bad"));
        seen.lock().unwrap().push((number, bodies));
        async move {
            sleep(Duration::from_millis(700)).await;
            if crashes { Err(Fault::new(FaultKind::Trap, "boom")) } else { Ok(Reply::Json(String::new())) }
        }
    });
    Callee::new(handler, number.to_string(), s(3))
}

#[tokio::test(start_paused = true)]
async fn a_swap_under_load_loses_and_duplicates_nothing_and_what_began_ends_where_it_began() {
    let bench = Bench::new(30).await;
    let seen = Seen::default();
    let current = Arc::new(AtomicUsize::new(0));
    let versions: Vec<Callee> = (0..5).map(|number| version(number, &seen)).collect();
    let leads_to = Arc::clone(&current);
    let route = Route::new(move || versions.get(leads_to.load(Ordering::Relaxed)).cloned());
    let permits = Permits::new(4);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler(|_| async { panic!("not this one") }));
    let mapping = start(MappingOptions { route, ..options });
    for number in 0..5 {
        current.store(number, Ordering::Relaxed);
        bench.send((0..100).map(|n| format!("{number}-{n}"))).await;
        sleep(s(1)).await;
    }
    timeout(s(100), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    let mut runs: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, bodies) in seen.lock().unwrap().iter() {
        for body in bodies {
            runs.entry(body.clone()).or_default().push(*number);
        }
    }
    assert_eq!(runs.len(), 500);
    assert!(runs.values().all(|versions| versions.len() == 1), "each ran once");
    // Versions take turns in order: after the first run of one there is none of the one before.
    let order: Vec<usize> = seen.lock().unwrap().iter().map(|(number, _)| *number).collect();
    assert!(order.is_sorted(), "{order:?}");
    drain(&mapping, &permits, s(30)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_run_again_of_a_batch_runs_in_the_version_that_was_drawn_for_it() {
    let bench = Bench::new(600).await;
    let seen = Seen::default();
    let versions = [version(0, &seen), version(1, &seen)];
    let draws = Arc::new(AtomicUsize::new(0));
    let drawn = Arc::clone(&draws);
    let route = Route::new(move || Some(versions[drawn.fetch_add(1, Ordering::Relaxed) % 2].clone()));
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler(|_| async { panic!("not this one") }));
    bench.send((0..40).map(|n| if n % 10 == 7 { format!("bad-{n}") } else { n.to_string() })).await;
    let mapping = start(MappingOptions { route, ..options });
    timeout(s(300), until(|| bench.counts() == (0, 4, 0))).await.unwrap();
    until(|| permits.held() == 0).await;
    assert_eq!(draws.load(Ordering::Relaxed), 4, "once per batch");
    let mut versions_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, bodies) in seen.lock().unwrap().iter() {
        for body in bodies {
            let of: usize = body.trim_start_matches("bad-").parse().unwrap();
            versions_of.entry(of / 10).or_default().push(*number);
        }
    }
    for (batch, versions) in versions_of {
        assert!(versions.len() > 10, "parts of batch {batch} ran again");
        assert!(versions.iter().all(|version| *version == batch % 2), "batch {batch}: {versions:?}");
    }
    mapping.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_leads_nowhere_goes_back_uncounted_and_not_in_a_loop() {
    let bench = Bench::new(30).await;
    let seen = Seen::default();
    let is_there = Arc::new(AtomicUsize::new(0));
    let (found, callee) = (Arc::clone(&is_there), version(7, &seen));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let route = Route::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        (found.load(Ordering::Relaxed) == 1).then(|| callee.clone())
    });
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler(|_| async { panic!("not this one") }));
    bench.send(["x".to_owned()]).await;
    let mapping = start(MappingOptions { route, ..options });
    sleep(s(10)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!((5..15).contains(&asked), "{asked} times in ten seconds");
    is_there.store(1, Ordering::Relaxed);
    timeout(s(10), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(7, vec!["x".to_owned()])]);
    assert_eq!(bench.dead.describe().unwrap().visible, 0, "no receive counted");
    drain(&mapping, &permits, s(30)).await;
}

/// Fails what the other one does not.
#[derive(Default)]
struct Contrary {
    compared: Mutex<Vec<Comparison>>,
}

impl Shadow for Contrary {
    fn begin(&self, invocation: &Invocation) -> Option<BoxFuture<'static, Result<Reply, Fault>>> {
        let wasmill_event::Payload::Batch { records, .. } = invocation.payload.clone() else { return None };
        Some(async move { Ok(failing(&records, |record| record.body == "1")) }.boxed())
    }

    fn compared(&self, comparison: &Comparison) {
        self.compared.lock().unwrap().push(comparison.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_compared_and_settles_nothing() {
    let bench = Bench::new(30).await;
    let seen = Seen::default();
    let shadow = Arc::new(Contrary::default());
    let callee = Callee { shadow: Some(shadow.clone() as Arc<dyn Shadow>), ..version(1, &seen) };
    let permits = Permits::new(1);
    let options = bench.options(Arc::new(bench.queue.clone()), &permits, handler(|_| async { panic!("not this one") }));
    bench.send((0..3).map(|n| n.to_string())).await;
    let mapping = start(MappingOptions { route: Route::fixed(callee), ..options });
    timeout(s(10), until(|| bench.counts() == (0, 0, 0))).await.unwrap();
    drain(&mapping, &permits, s(30)).await;
    let compared = shadow.compared.lock().unwrap();
    assert_eq!(compared.iter().map(|one| one.records).sum::<usize>(), 3);
    let differences: Vec<_> = compared.iter().flat_map(|one| &one.differences).collect();
    assert_eq!(differences.len(), 1, "{compared:?}");
    assert_eq!((differences[0].verdict.as_str(), differences[0].shadow.as_str()), ("done", "retry"));
}
