//! Why messages failed, kept beside them: in memory and on disk alike.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::{advance, sleep};

use crate::broker::Broker;
use crate::contract::Queue;
use crate::fixtures::{
    START_UNIX_MS, bury, create, create_with_dead, delete, hide, in_memory, on_disk, release, send, take, take_one,
    text,
};
use crate::history::FailedAttempt;
use crate::local::LocalQueue;
use crate::message::{Message, OutgoingMessage};
use crate::peek::PeekRequest;
use crate::store::Durability;

fn attempt(message: &str) -> FailedAttempt {
    FailedAttempt { kind: "trap".into(), message: message.into(), log_tail: "said".into(), ..FailedAttempt::default() }
}

async fn explain(queue: &LocalQueue, message: &Message, why: &str) {
    queue.explain(vec![(message.receipt.clone(), attempt(why))]).await;
}

/// Of each message that is there, why its attempts failed.
async fn told(queue: &LocalQueue) -> Vec<Vec<String>> {
    let peeked = queue.peek(&PeekRequest { max_messages: 10, ..PeekRequest::default() }).await.unwrap();
    let attempts = peeked.into_iter().map(|message| message.attempts);
    attempts.map(|attempts| attempts.into_iter().map(|attempt| attempt.message).collect()).collect()
}

/// So long a history that is told may linger before it is on disk.
async fn until_written(broker: &Broker) {
    sleep(Duration::from_millis(30)).await;
    // What was queued before is written with it.
    create(broker, "barrier", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_kept_in_their_order_with_the_queues_own_time_and_go_with_the_message() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 3).await;
    send(&queue, vec![text("x"), text("y")]).await;
    for why in ["first", "second"] {
        let message = take(&queue, 1).await.remove(0);
        advance(Duration::from_millis(250)).await;
        explain(&queue, &message, why).await;
        hide(&queue, &message.receipt, 0).await.unwrap();
        // The other one is received in between.
        let other = take(&queue, 1).await.remove(0);
        release(&queue, &other.receipt).await.unwrap();
    }
    assert_eq!(told(&queue).await, [vec!["first", "second"], vec![]]);
    let peeked = queue.peek(&PeekRequest { max_messages: 1, ..PeekRequest::default() }).await.unwrap();
    let ended: Vec<u64> = peeked[0].attempts.iter().map(|attempt| attempt.ended_unix_ms - START_UNIX_MS).collect();
    assert_eq!((ended, peeked[0].attempts[0].log_tail.as_str()), (vec![250, 500], "said"));

    let message = take(&queue, 1).await.remove(0);
    explain(&queue, &message, "third").await;
    bury(&queue, &message, "not wanted").await.unwrap();
    assert_eq!(told(&dead).await, [["first", "second", "third"]]);
    assert_eq!(told(&queue).await, [Vec::<String>::new()]);
    let buried = take_one(&dead).await;
    delete(&dead, &buried.receipt).await.unwrap();
    assert_eq!(queue.seam().contents().history(1).attempts(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_given_back_or_somebody_elses_is_not_explained() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("x"), text("y"), text("z")]).await;
    let [gone, back, purged] = <[Message; 3]>::try_from(take(&queue, 3).await).unwrap();
    delete(&queue, &gone.receipt).await.unwrap();
    release(&queue, &back.receipt).await.unwrap();
    for message in [&gone, &back] {
        explain(&queue, message, "why").await;
    }
    assert_eq!(told(&queue).await, [Vec::<String>::new(), Vec::new()]);
    explain(&queue, &purged, "why").await;
    let before = queue.seam().contents().bytes();
    queue.purge().await.unwrap();
    assert!(before > 0 && queue.seam().contents().bytes() == 0, "its memory comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_survive_restarts_and_moves_and_leave_the_file_with_their_messages() {
    let directory = TempDir::new().unwrap();
    let open = || async { on_disk(directory.path(), Durability::Os).await.unwrap() };
    let rows = || {
        let file = Connection::open(directory.path().join("queue.sqlite")).unwrap();
        file.query_row("SELECT count(*) FROM histories", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    let broker = open().await;
    let (queue, _) = create_with_dead(&broker, "q", 2).await;
    send(&queue, vec![text("x"), text("y"), text("z")]).await;
    let messages = take(&queue, 3).await;
    for message in &messages {
        explain(&queue, message, "first").await;
        hide(&queue, &message.receipt, 0).await.unwrap();
    }
    until_written(&broker).await;
    assert_eq!((rows(), told(&queue).await), (3, vec![vec!["first".to_owned()]; 3]));
    broker.close().await;

    // By count they go at a receive, after a restart.
    let broker = open().await;
    let (queue, dead) = (broker.queue("q").unwrap(), broker.queue("q-dead").unwrap());
    for message in take(&queue, 3).await {
        explain(&queue, &message, "second").await;
        hide(&queue, &message.receipt, 0).await.unwrap();
    }
    assert!(take(&queue, 3).await.is_empty());
    assert_eq!(told(&dead).await, [["first", "second"], ["first", "second"], ["first", "second"]]);
    let buried = take(&dead, 1).await.remove(0);
    delete(&dead, &buried.receipt).await.unwrap();
    assert_eq!(rows(), 2);

    // What is redriven begins anew; what is purged leaves nothing.
    broker.start_move_task(dead.arn(), None, None).await.unwrap();
    while !told(&dead).await.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((rows(), told(&queue).await), (0, vec![Vec::<String>::new(), Vec::new()]));
    let message = take(&queue, 1).await.remove(0);
    explain(&queue, &message, "again").await;
    until_written(&broker).await;
    assert_eq!(rows(), 1);
    queue.purge().await.unwrap();
    assert_eq!(rows(), 0);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_dead_letter_takes_its_history_to_its_new_number() {
    let directory = TempDir::new().unwrap();
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let fifo = ("FifoQueue", "true");
    let dead = create(&broker, "dead.fifo", &[fifo]).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, dead.arn());
    let queue = create(&broker, "q.fifo", &[fifo, ("RedrivePolicy", &policy)]).await;
    let of_group =
        |body: &str| OutgoingMessage { group_id: Some("g".into()), deduplication_id: Some(body.into()), ..text(body) };
    send(&queue, vec![of_group("x"), of_group("y")]).await;
    let message = take(&queue, 1).await.remove(0);
    explain(&queue, &message, "first").await;
    bury(&queue, &message, "r").await.unwrap();
    assert_eq!(told(&dead).await, [["first"]]);
    broker.close().await;
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let dead = broker.queue("dead.fifo").unwrap();
    assert_eq!(told(&dead).await, [["first"]]);
    delete(&dead, &take_one(&dead).await.receipt).await.unwrap();
    broker.close().await;
}
