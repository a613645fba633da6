//! Signals: the first drains, the second stops at once; what was received and not finished is visible again.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use support::config::{ON_DISK, function, mapping, queue};
use support::sqs::receive_count;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Wasmill, eventually};

/// Says that it began, takes its time, says that it finished.
fn job(ms: u64) -> String {
    json!([{"do": "print", "text": "begun\n"}, {"do": "sleep_ms", "ms": ms}, {"do": "print", "text": "finished\n"}])
        .to_string()
}

/// One worker with a queue `jobs` whose messages stay hidden for five minutes, and the same without a mapping.
fn configs(top: &str, function_keys: &str, mapping_keys: &str) -> (String, String) {
    let queue_only = format!("{top}\n{ON_DISK}") + &queue("jobs", "visibility_timeout = 300");
    let worker =
        queue_only.clone() + &function("worker", "faulty", function_keys) + &mapping("jobs", "worker", mapping_keys);
    (worker, queue_only)
}

#[tokio::test]
async fn sigterm_lets_the_running_handler_finish_and_receives_nothing_more() {
    let home = Home::new();
    let (config, queue_only) = configs("", "timeout = 30\nreserved_concurrent_executions = 1", "batch_size = 1");
    let mut worker = home.run(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    sqs.send_batch("jobs", &vec![job(3000); 3]).await;
    log.wait_for_said(PATIENCE, "worker", "begun", 1).await;
    worker.signal(Signal::TERM);
    log.wait_for_event(PATIENCE, "draining").await;

    eventually(PATIENCE, async || {
        let ready = worker.get("/readyz").await?;
        holds(ready.status == 503 && ready.body.contains("draining"), || ready.body)
    })
    .await;
    assert_eq!(worker.get("/healthz").await.unwrap().status, 200, "draining is no illness");
    // Producers may send for as long as the process lives, and what it acknowledges it keeps.
    sqs.send("jobs", &job(0)).await;

    assert_eq!(worker.wait_exit(PATIENCE).await.code(), Some(0));
    assert_eq!(log.said("worker", "begun").len(), 1, "nothing was begun after the signal");
    assert_eq!(log.said("worker", "finished").len(), 1, "what was running was let finish");

    let server = home.run(&queue_only).await;
    let left = server.sqs().receive_all(PATIENCE, "jobs", 3).await;
    assert!(left.iter().all(|message| receive_count(message) == "1"), "never received before: {left:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_outlasts_the_drain_grace_is_visible_again_at_once_and_its_attempt_does_not_count() {
    let home = Home::new();
    let (config, queue_only) = configs("drain_grace_seconds = 1", "timeout = 100", "batch_size = 10");
    let mut worker = home.run(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    let sent = sqs.send_batch("jobs", &vec![job(90_000); 3]).await;
    // However many batches they came in: all are held.
    sqs.wait_for_counts(PATIENCE, "jobs", Counts::in_flight(3)).await;
    log.wait_for_said(PATIENCE, "worker", "begun", 1).await;

    let told_at = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait_exit(Duration::from_secs(30)).await.code(), Some(0));
    assert!(told_at.elapsed() >= Duration::from_secs(1), "the grace was cut short: {:?}", told_at.elapsed());
    assert!(log.said("worker", "finished").is_empty());

    let server = home.run(&queue_only).await;
    let sqs = server.sqs();
    assert_eq!(sqs.counts("jobs").await, Counts::visible(3), "at once, not after five minutes");
    let back = sqs.receive_all(PATIENCE, "jobs", 3).await;
    let mut ids: Vec<_> = back.iter().filter_map(|message| message.message_id.clone()).collect();
    ids.sort();
    let mut expected = sent;
    expected.sort();
    assert_eq!(ids, expected);
    assert!(back.iter().all(|message| receive_count(message) == "1"), "the aborted attempt counts: {back:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_loses_nothing() {
    let home = Home::new();
    let (config, queue_only) = configs("drain_grace_seconds = 80", "timeout = 100", "");
    let mut worker = home.run(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    let id = sqs.send("jobs", &job(90_000)).await;
    log.wait_for_said(PATIENCE, "worker", "begun", 1).await;
    worker.signal(Signal::TERM);
    log.wait_for_event(PATIENCE, "draining").await;

    worker.signal(Signal::INT);
    let status = worker.wait_exit(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(1));
    log.wait_for_event(Duration::from_secs(1), "stopping at once").await;

    let server = home.run(&queue_only).await;
    let back = server.sqs().receive_all(PATIENCE, "jobs", 1).await;
    assert_eq!(back[0].message_id(), Some(id.as_str()));
    server.stop().await;
}

#[tokio::test]
async fn an_idle_worker_leaves_at_once_and_answers_its_long_polls() {
    for signal in [Signal::TERM, Signal::INT] {
        let config = configs("", "", "").0 + &queue("quiet", "");
        let mut worker = Wasmill::start(&config).await;
        let sqs = worker.sqs();
        let poll = tokio::spawn(async move { sqs.receive("quiet", 20).await });
        // Nothing tells from outside that a poll has begun to wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let told_at = Instant::now();
        worker.signal(signal);
        assert_eq!(worker.wait_exit(PATIENCE).await.code(), Some(0));
        assert!(told_at.elapsed() < Duration::from_secs(15), "a long poll held it up: {:?}", told_at.elapsed());
        assert!(poll.await.unwrap().is_empty());
    }
}
