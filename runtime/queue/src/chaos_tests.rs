//! Each fault is what it is called, and no other; FIFO queues have none; a seed says which calls have which.

use std::time::Duration;

use prometheus::Registry;

use crate::broker::{Broker, BrokerOptions};
use crate::chaos::ChaosOptions;
use crate::clock::Clock;
use crate::fixtures::{START_UNIX_MS, bodies, counts, create, create_with_dead, delete, send, take, take_one, text};
use crate::local::LocalQueue;
use crate::message::OutgoingMessage;
use crate::metrics::Metrics;
use crate::store::Durability;
use crate::timeline::Timeline;

const ALWAYS: u32 = 1_000_000;
const NONE: ChaosOptions = ChaosOptions { seed: 7, duplicate: 0, reorder: 0, lost_ack: 0 };

struct Bench {
    broker: Broker,
    registry: Registry,
}

async fn with(chaos: ChaosOptions) -> Bench {
    let registry = Registry::new();
    let broker = Broker::open(BrokerOptions {
        data_dir: None,
        durability: Durability::Os,
        identity: crate::arn::Identity::default(),
        clock: Some(Clock::starting_at(START_UNIX_MS)),
        timeline: Timeline::real(),
        chaos: Some(chaos),
        metrics: Metrics::register(&registry).unwrap(),
    });
    Bench { broker: broker.await.unwrap(), registry }
}

impl Bench {
    fn injected(&self, fault: &str) -> u64 {
        let families = self.registry.gather();
        let faults = families.iter().filter(|family| family.name() == "wasmill_chaos_faults_total");
        let of_fault = faults
            .flat_map(|family| family.get_metric())
            .filter(|metric| metric.get_label().iter().any(|pair| pair.name() == "fault" && pair.value() == fault));
        of_fault.map(|metric| metric.get_counter().get_value() as u64).sum()
    }
}

async fn fill(queue: &LocalQueue, count: usize) -> Vec<String> {
    send(queue, (0..count).map(|n| text(format!("{n:02}"))).collect()).await
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_comes_once_more_while_the_first_is_in_flight() {
    let bench = with(ChaosOptions { duplicate: ALWAYS, ..NONE }).await;
    let (queue, dead) = create_with_dead(&bench.broker, "q", 1).await;
    let ids = fill(&queue, 1).await;
    let (first, second) = (take_one(&queue).await, take_one(&queue).await);
    assert_eq!((first.id.to_string(), second.id.to_string()), (ids[0].clone(), ids[0].clone()));
    assert_ne!(first.receipt, second.receipt);
    assert_eq!((first.system.receive_count, second.system.receive_count), (1, 1), "no redrive policy is led astray");
    assert!(take(&queue, 1).await.is_empty(), "a second time, and no third");
    delete(&queue, &first.receipt).await.unwrap();
    delete(&queue, &second.receipt).await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!((counts(&queue), counts(&dead), bench.injected("duplicate")), ((0, 0, 0), (0, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_comes_although_the_first_was_deleted() {
    let bench = with(ChaosOptions { duplicate: ALWAYS, ..NONE }).await;
    let queue = create(&bench.broker, "q", &[]).await;
    fill(&queue, 1).await;
    let first = take_one(&queue).await;
    delete(&queue, &first.receipt).await.unwrap();
    delete(&queue, &first.receipt).await.unwrap();
    let second = take_one(&queue).await;
    assert_eq!(first.id, second.id);
    delete(&queue, &second.receipt).await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!((counts(&queue), bench.injected("duplicate")), ((0, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_brings_the_message_back_by_its_visibility_timeout() {
    let bench = with(ChaosOptions { lost_ack: ALWAYS, ..NONE }).await;
    let (queue, dead) = create_with_dead(&bench.broker, "q", 2).await;
    fill(&queue, 1).await;
    let first = take_one(&queue).await;
    delete(&queue, &first.receipt).await.unwrap();
    assert_eq!(counts(&queue), (0, 1, 0));
    tokio::time::advance(Duration::from_secs(30)).await;
    let second = take_one(&queue).await;
    assert_eq!(second.system.receive_count, 2);
    // Lost once more it would be a dead letter, which nobody sent there.
    delete(&queue, &second.receipt).await.unwrap();
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(take(&queue, 1).await.is_empty());
    assert_eq!((counts(&queue), counts(&dead), bench.injected("lost_ack")), ((0, 0, 0), (0, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn out_of_order_all_come_once() {
    let bench = with(ChaosOptions { reorder: 300_000, ..NONE }).await;
    for (name, most) in [("one", 1), ("ten", 10)] {
        let queue = create(&bench.broker, name, &[]).await;
        fill(&queue, 40).await;
        let mut seen = Vec::new();
        for _ in 0..100 {
            let some = take(&queue, most).await;
            seen.extend(bodies(&some).into_iter().map(str::to_owned));
        }
        assert!(!seen.is_sorted(), "{name}: {seen:?}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 40, "{name}");
    }
    assert!(bench.injected("reorder") > 10);
    let lone = create(&bench.broker, "lone", &[]).await;
    for _ in 0..20 {
        fill(&lone, 1).await;
        delete(&lone, &take_one(&lone).await.receipt).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_keeps_what_it_promises() {
    let bench = with(ChaosOptions { duplicate: ALWAYS, reorder: ALWAYS, lost_ack: ALWAYS, ..NONE }).await;
    let queue = create(&bench.broker, "q.fifo", &[("FifoQueue", "true")]).await;
    let message = |n: usize| OutgoingMessage {
        group_id: Some("g".into()),
        deduplication_id: Some(n.to_string()),
        ..text(n.to_string())
    };
    send(&queue, (0..5).map(message).collect()).await;
    for n in 0..5 {
        let next = take(&queue, 1).await.remove(0);
        assert_eq!(next.body, n.to_string());
        delete(&queue, &next.receipt).await.unwrap();
    }
    assert_eq!(counts(&queue), (0, 0, 0));
    assert!(bench.registry.gather().iter().all(|family| family.name() != "wasmill_chaos_faults_total"));
}

/// What a single consumer sees of forty messages.
async fn story(seed: u64, name: &str, with_another: bool) -> Vec<String> {
    let bench = with(ChaosOptions { seed, duplicate: 200_000, reorder: 200_000, lost_ack: 200_000 }).await;
    let other = create(&bench.broker, "other", &[]).await;
    let queue = create(&bench.broker, name, &[]).await;
    fill(&queue, 40).await;
    let mut seen = Vec::new();
    for _ in 0..60 {
        if with_another {
            fill(&other, 1).await;
            take(&other, 1).await;
        }
        for message in take(&queue, 3).await {
            seen.push(message.body.to_string());
            delete(&queue, &message.receipt).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert_eq!(counts(&queue), (0, 0, 0), "in the end each acknowledgement has come through");
    seen
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_calls_have_the_same_faults_whatever_else_goes_on() {
    let first = story(7, "q", false).await;
    assert_eq!(first, story(7, "q", true).await);
    assert_ne!(first, story(8, "q", false).await);
    assert_ne!(first, story(7, "p", false).await);
    assert!(first.len() > 45, "{}", first.len());
}

#[tokio::test(start_paused = true)]
async fn without_a_share_there_is_no_fault() {
    let bench = with(NONE).await;
    let queue = create(&bench.broker, "q", &[]).await;
    fill(&queue, 40).await;
    for n in 0..40 {
        let next = take(&queue, 1).await.remove(0);
        assert_eq!(next.body, format!("{n:02}"));
        delete(&queue, &next.receipt).await.unwrap();
    }
    assert_eq!(counts(&queue), (0, 0, 0));
}
