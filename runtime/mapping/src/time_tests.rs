//! Skipped time through the whole line: windows close, what failed comes again, leases hold.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wasmill_event::Reply;
use wasmill_queue::{Advance, Advanced, ChaosOptions, Timeline};

use crate::MappingOptions;
use crate::line_tests::{Bench, bodies, failing, noting, succeeding, until};
use crate::mapping::start;
use crate::retry::RetryPolicy;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn bench(visibility_s: u32) -> Bench {
    Bench::on((Timeline::steered(), None), false, visibility_s, 3).await
}

async fn skip(bench: &Bench, by: Duration, until_idle: bool, patience: Duration) -> Advanced {
    bench.broker.advance(Advance { by, until_idle, patience }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_window_has_closed_and_its_batch_was_handled_when_its_time_was_skipped() {
    let (bench, began) = (bench(30).await, Instant::now());
    let (runs, handler) = succeeding(Duration::from_millis(20));
    let mapping = start(MappingOptions { batch_size: 25, window: s(300), ..bench.local(1, handler) });
    bench.send(["a".into(), "b".into()]).await;
    let before = skip(&bench, s(299), false, s(10)).await;
    assert!(before.is_settled && runs.lock().unwrap().is_empty(), "{before:?}");
    assert_eq!(bench.counts(), (0, 2, 0), "held by the window, and renewed");
    let after = skip(&bench, s(1), false, s(10)).await;
    assert_eq!((after.is_settled, bodies(&runs).len(), bench.counts()), (true, 2, (0, 0, 0)));
    assert_eq!(runs.lock().unwrap().len(), 1);
    assert!(began.elapsed() < s(2), "{:?}", began.elapsed());
    mapping.drain(s(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_always_fails_goes_its_whole_way_each_time_when_it_was_due() {
    for (retry_policy, whole_way_s) in [(RetryPolicy::Visibility, 90), (RetryPolicy::Fixed { delay: s(600) }, 1800)] {
        let (bench, began) = (bench(30).await, Instant::now());
        let (runs, handler) = noting(|records| async move { Ok(failing(&records, |_| true)) });
        let mapping = start(MappingOptions { retry_policy, ..bench.local(1, handler) });
        bench.send(["poison".into()]).await;
        until(|| runs.lock().unwrap().len() == 1).await;
        let once = skip(&bench, s(whole_way_s / 3), false, s(10)).await;
        assert_eq!((once.is_settled, runs.lock().unwrap().len()), (true, 2));
        let rest = skip(&bench, s(100_000), true, s(10)).await;
        assert_eq!((runs.lock().unwrap().len(), bench.dead.describe().unwrap().visible), (3, 1));
        let way_s = (once.by + rest.by).as_secs();
        assert!((whole_way_s - 1..whole_way_s + 3).contains(&way_s), "{retry_policy:?}: {way_s}");
        assert!(began.elapsed() < s(2), "{:?}", began.elapsed());
        mapping.drain(s(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_keeps_its_message_however_much_is_skipped() {
    let bench = bench(30).await;
    let (runs, handler) = succeeding(s(50));
    let mapping = start(bench.local(2, handler));
    bench.send(["slow".into()]).await;
    until(|| runs.lock().unwrap().len() == 1).await;
    let skipped = skip(&bench, s(6 * 3600), false, Duration::ZERO).await;
    assert!(!skipped.is_settled, "it runs still");
    assert_eq!((runs.lock().unwrap().len(), bench.counts()), (1, (0, 1, 0)));
    assert_eq!(bench.metric("wasmill_mapping_leases_lost_total", ""), 0);
    sleep(s(51)).await;
    assert_eq!((runs.lock().unwrap().len(), bench.counts()), (1, (0, 0, 0)));
    mapping.drain(s(1)).await;
}

#[tokio::test(start_paused = true)]
async fn handlers_are_waited_for_as_long_as_the_callers_patience_lasts() {
    let bench = bench(30).await;
    let (runs, handler) = noting(|records| async move {
        sleep(s(4)).await;
        Ok::<Reply, _>(failing(&records, |_| false))
    });
    let mapping = start(bench.local(1, handler));
    bench.send(["a".into()]).await;
    let patient = skip(&bench, s(1), false, s(10)).await;
    assert_eq!((patient.is_settled, runs.lock().unwrap().len(), bench.counts()), (true, 1, (0, 0, 0)));
    bench.send(["b".into()]).await;
    let impatient = skip(&bench, s(1), false, s(2)).await;
    assert_eq!((impatient.is_settled, runs.lock().unwrap().len(), bench.counts()), (false, 2, (0, 1, 0)));
    mapping.drain(s(10)).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_faults_the_queue_has_each_message_is_handled_and_none_becomes_a_dead_letter() {
    for seed in 0..5 {
        let chaos = ChaosOptions { seed, duplicate: 300_000, reorder: 300_000, lost_ack: 300_000 };
        let bench = Bench::on((Timeline::steered(), Some(chaos)), false, 30, 3).await;
        // Longer than the time after which leases are renewed.
        let (runs, handler) = succeeding(s(16));
        let mapping = start(bench.local(3, handler));
        bench.send((0..50).map(|n| format!("{n:02}"))).await;
        let skipped = skip(&bench, s(60), true, Duration::ZERO).await;
        sleep(s(600)).await;
        let last = skip(&bench, s(600), true, s(30)).await;
        let mut handled = bodies(&runs);
        let all = handled.len();
        handled.sort();
        handled.dedup();
        assert_eq!((handled.len(), bench.counts()), (50, (0, 0, 0)), "{seed}: {skipped:?} {last:?}");
        assert_eq!(bench.dead.describe().unwrap().visible, 0, "{seed}");
        assert!(all > 60, "{seed}: {all}");
        mapping.drain(s(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_of_the_time_that_is_skipped() {
    let (bench, began) = (bench(30).await, Instant::now());
    let (runs, handler) = succeeding(Duration::from_millis(1));
    let mapping = start(MappingOptions { max_messages_per_second: Some(0.1), ..bench.local(1, handler) });
    bench.send((0..20).map(|n| n.to_string())).await;
    skip(&bench, s(100), false, s(10)).await;
    let handled = bodies(&runs).len();
    assert!((10..=12).contains(&handled), "{handled}");
    assert!(began.elapsed() < s(2), "{:?}", began.elapsed());
    mapping.drain(s(1)).await;
}
