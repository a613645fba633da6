//! What is due has happened when skipping time answers, and nothing is broken by it.

use std::time::Duration;

use prometheus::Registry;
use tokio::time::Instant;

use crate::advance::{Advance, AdvanceError, Advanced};
use crate::broker::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::contract::Queue;
use crate::fixtures::{
    START_UNIX_MS, counts, create, create_with_dead, delayed, in_memory, request, send, take, take_one, text,
};
use crate::message::OutgoingMessage;
use crate::metrics::Metrics;
use crate::store::Durability;
use crate::timeline::Timeline;

async fn steered(data_dir: Option<&std::path::Path>) -> Broker {
    Broker::open(BrokerOptions {
        data_dir: data_dir.map(Into::into),
        durability: Durability::Os,
        identity: crate::arn::Identity::default(),
        clock: data_dir.is_none().then(|| Clock::starting_at(START_UNIX_MS)),
        timeline: Timeline::steered(),
        chaos: None,
        metrics: Metrics::register(&Registry::new()).unwrap(),
    })
    .await
    .unwrap()
}

fn by(seconds: u64) -> Advance {
    Advance { by: Duration::from_secs(seconds), until_idle: false, patience: Duration::ZERO }
}

async fn skip(broker: &Broker, seconds: u64) -> Advanced {
    let skipped = broker.advance(by(seconds)).await.unwrap();
    assert!(skipped.is_settled && skipped.by >= Duration::from_secs(seconds), "{skipped:?}");
    skipped
}

#[tokio::test(start_paused = true)]
async fn delays_visibility_and_retention_end_and_timestamps_go_along() {
    let broker = steered(None).await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "30"), ("MessageRetentionPeriod", "3600")]).await;
    let began = Instant::now();
    send(&queue, vec![delayed("later", 900)]).await;
    skip(&broker, 899).await;
    assert_eq!(counts(&queue), (0, 0, 1));
    skip(&broker, 1).await;
    assert_eq!(counts(&queue), (1, 0, 0));
    let first = take_one(&queue).await.system;
    assert_eq!(first.sent_unix_ms / 1000, START_UNIX_MS / 1000);
    assert_eq!(first.first_received_unix_ms / 1000, START_UNIX_MS / 1000 + 900);
    skip(&broker, 30).await;
    let again = take_one(&queue).await.system;
    assert_eq!((again.receive_count, again.first_received_unix_ms), (2, first.first_received_unix_ms));
    skip(&broker, 3600).await;
    assert_eq!(counts(&queue), (0, 0, 0), "expired, though nobody looked");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_waits_has_got_what_became_visible() {
    let broker = steered(None).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![delayed("later", 600)]).await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.receive(request(1, 20)).await }
    });
    tokio::task::yield_now().await;
    skip(&broker, 600).await;
    assert_eq!(counts(&queue), (0, 1, 0));
    assert_eq!(waiting.await.unwrap().unwrap()[0].body, "later");
}

#[tokio::test(start_paused = true)]
async fn what_was_set_to_ring_later_rings_when_the_rest_of_its_time_passes() {
    let broker = steered(None).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![delayed("later", 600)]).await;
    let began = Instant::now();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.receive(request(1, 20)).await }
    });
    tokio::task::yield_now().await;
    skip(&broker, 595).await;
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1, "a poll of twenty seconds finds it after five");
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_deduplication_id_is_free_again_after_five_minutes() {
    let broker = steered(None).await;
    let queue = create(&broker, "q.fifo", &[("FifoQueue", "true")]).await;
    let message = || OutgoingMessage { group_id: Some("g".into()), deduplication_id: Some("d".into()), ..text("once") };
    let first = send(&queue, vec![message()]).await;
    skip(&broker, 299).await;
    assert_eq!(send(&queue, vec![message()]).await, first);
    skip(&broker, 1).await;
    assert_ne!(send(&queue, vec![message()]).await, first);
    assert_eq!(counts(&queue).0, 2);
}

#[tokio::test(start_paused = true)]
async fn until_idle_it_stops_with_the_last_that_is_to_come() {
    let broker = steered(None).await;
    let (queue, dead) = create_with_dead(&broker, "q", 1).await;
    send(&queue, vec![delayed("a", 10), delayed("b", 700)]).await;
    let skipped = broker.advance(Advance { until_idle: true, ..by(86_400) }).await.unwrap();
    assert_eq!((skipped.by.as_secs(), counts(&queue)), (700, (2, 0, 0)));
    assert_eq!(take(&queue, 10).await.len(), 2);
    let skipped = broker.advance(Advance { until_idle: true, ..by(20) }).await.unwrap();
    assert_eq!((skipped.by.as_secs(), counts(&queue)), (20, (0, 2, 0)), "no further than it was told");
    broker.advance(Advance { until_idle: true, ..by(86_400) }).await.unwrap();
    assert!(take(&queue, 10).await.is_empty());
    assert_eq!(counts(&dead), (2, 0, 0));
    let idle = broker.advance(Advance { until_idle: true, ..by(86_400) }).await.unwrap();
    assert_eq!(idle.by.as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_move_task_moves_at_its_rate_of_the_time_that_is_skipped() {
    let broker = steered(None).await;
    let (queue, dead) = create_with_dead(&broker, "q", 1).await;
    send(&dead, (0..100).map(|n| text(n.to_string())).collect()).await;
    broker.start_move_task(dead.arn(), Some(queue.arn()), Some(1)).await.unwrap();
    skip(&broker, 50).await;
    let moved = counts(&queue).0;
    assert!((50..=52).contains(&moved), "{moved}");
}

#[tokio::test(start_paused = true)]
async fn time_is_skipped_only_where_it_was_allowed_and_no_further_than_is_sane() {
    let real = in_memory().await;
    assert_eq!(real.advance(by(1)).await, Err(AdvanceError::NotSteered));
    let broker = steered(None).await;
    assert_eq!(broker.advance(by(30 * 86_400 + 1)).await, Err(AdvanceError::TooFar));
    for _ in 0..121 {
        skip(&broker, 30 * 86_400).await;
    }
    assert_eq!(broker.advance(by(30 * 86_400)).await, Err(AdvanceError::TooFarInAll));
    assert_eq!(broker.advance(by(0)).await.unwrap().by, Duration::ZERO);
}

#[tokio::test]
async fn a_store_whose_time_was_skipped_opens_without_it_and_its_intervals_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = steered(Some(folder.path())).await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "600")]).await;
    send(&queue, vec![text("held"), delayed("later", 900)]).await;
    let before = broker.now();
    skip(&broker, 86_400).await;
    assert_eq!(take(&queue, 1).await[0].body, "held");
    send(&queue, vec![delayed("from tomorrow", 900)]).await;
    broker.close().await;
    drop((queue, broker));

    let broker = crate::fixtures::on_disk(folder.path(), Durability::Os).await.unwrap();
    let queue = broker.queue("q").unwrap();
    assert_eq!(counts(&queue), (1, 1, 1), "what was hidden still is, and what was due is there");
    let now = broker.now();
    assert!(now.tick_ms - before.tick_ms >= 86_400_000, "ticks go on");
    assert!(now.unix_ms - before.unix_ms < 60_000, "the wall clock is the machine's again");
    let ids = send(&queue, vec![text("now")]).await;
    let found = take(&queue, 10).await;
    let sent = found.iter().find(|message| message.id.to_string() == ids[0]).unwrap().system.sent_unix_ms;
    assert!(sent.abs_diff(before.unix_ms) < 60_000, "{sent} {before:?}");
    // And what is hidden comes when its time has passed from here, not from tomorrow.
    drop(queue);
    broker.close().await;
    drop(broker);
    let broker = steered(Some(folder.path())).await;
    skip(&broker, 900).await;
    assert_eq!(counts(&broker.queue("q").unwrap()), (4, 0, 0));
}
