//! Message move tasks under paused time and across a reopening; purges in steps; peeks; tags (sqs-semantics §3, §8).

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::broker::Broker;
use crate::contract::Queue;
use crate::error::{MoveTaskError, QueueError};
use crate::fifo_tests::{create_fifo, send_all};
use crate::fixtures::{
    bodies, bury, counts, create, create_with_dead, delayed, in_memory, on_disk, pairs, request, send, take, take_one,
    text,
};
use crate::local::LocalQueue;
use crate::move_task::{MoveTask, MoveTaskStatus};
use crate::peek::{MessageState, PeekRequest};
use crate::store::Durability;

/// Sends so many messages and buries each.
async fn bury_some(queue: &LocalQueue, count: usize) {
    send(queue, (0..count).map(|number| text(number.to_string())).collect()).await;
    for message in take(queue, 1000).await {
        bury(queue, &message, "why").await.unwrap();
    }
}

fn latest(broker: &Broker, source: &LocalQueue) -> MoveTask {
    broker.move_tasks(source.arn()).unwrap().remove(0)
}

async fn over(broker: &Broker, source: &LocalQueue) -> MoveTask {
    loop {
        let task = latest(broker, source);
        if !matches!(task.status, MoveTaskStatus::Running | MoveTaskStatus::Cancelling) {
            return task;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn redriven_messages_are_new_ones_with_the_old_content() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    bury_some(&queue, 3).await;
    let before = take(&dead, 1).await.remove(0);
    sleep(Duration::from_secs(30)).await;
    let id = broker.start_move_task(dead.arn(), None, None).await.unwrap();
    let task = over(&broker, &dead).await;
    assert_eq!((task.id, task.status, task.moved, task.to_move), (id, MoveTaskStatus::Completed, 3, 3));
    assert_eq!((counts(&queue), counts(&dead)), ((3, 0, 0), (0, 0, 0)));
    let messages = take(&queue, 10).await;
    let moved = messages.iter().find(|message| message.body == before.body).unwrap();
    assert_ne!(moved.id, before.id);
    assert_eq!((moved.system.receive_count, &moved.system.dead_letter_source_arn), (1, &None));
    assert_eq!(moved.system.sent_unix_ms, before.system.sent_unix_ms + 30_000);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    bury_some(&queue, 100).await;
    let begun = Instant::now();
    broker.start_move_task(dead.arn(), None, Some(10)).await.unwrap();
    for second in 1..10u64 {
        sleep(Duration::from_secs(1)).await;
        let moved = counts(&queue).0;
        assert!((10 * second..=10 * second + 1).contains(&moved), "{moved} after {second} s");
    }
    over(&broker, &dead).await;
    let took = begun.elapsed();
    assert!((9.9..10.2).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_stops_and_says_how_far_it_came() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    bury_some(&queue, 50).await;
    let id = broker.start_move_task(dead.arn(), None, Some(10)).await.unwrap();
    let again = broker.start_move_task(dead.arn(), None, None).await;
    assert!(matches!(again, Err(MoveTaskError::AlreadyRunning)), "{again:?}");
    sleep(Duration::from_millis(2050)).await;
    let moved = broker.cancel_move_task(dead.arn(), &id).await.unwrap();
    assert!((20..=22).contains(&moved), "{moved}");
    assert!(matches!(broker.cancel_move_task(dead.arn(), &id).await, Err(MoveTaskError::NotRunning)));
    let task = over(&broker, &dead).await;
    assert_eq!((task.status, task.moved), (MoveTaskStatus::Cancelled, moved));
    sleep(Duration::from_secs(60)).await;
    assert_eq!((counts(&queue).0, counts(&dead).0), (moved, 50 - moved));
    broker.start_move_task(dead.arn(), None, None).await.unwrap();
    assert_eq!(over(&broker, &dead).await.moved, 50 - moved);
    assert!(matches!(broker.cancel_move_task(dead.arn(), "nope").await, Err(MoveTaskError::NoSuchTask)));
}

#[tokio::test(start_paused = true)]
async fn each_message_goes_back_to_the_queue_that_gave_it_up() {
    let broker = in_memory().await;
    let (first, dead) = create_with_dead(&broker, "first", 5).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, dead.arn());
    let second = create(&broker, "second", &[("RedrivePolicy", &policy)]).await;
    bury_some(&first, 2).await;
    bury_some(&second, 3).await;
    broker.start_move_task(dead.arn(), None, None).await.unwrap();
    assert_eq!(over(&broker, &dead).await.moved, 5);
    assert_eq!((counts(&first), counts(&second), counts(&dead)), ((2, 0, 0), (3, 0, 0), (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_destination_takes_them_all_and_one_that_is_gone_fails_the_task() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    let other = create(&broker, "other", &[]).await;
    bury_some(&queue, 20).await;
    broker.start_move_task(dead.arn(), Some(other.arn()), Some(10)).await.unwrap();
    sleep(Duration::from_millis(1050)).await;
    assert!((10..=11).contains(&counts(&other).0));
    broker.delete_queue("other").await.unwrap();
    let task = over(&broker, &dead).await;
    let reason = task.failure_reason.as_deref();
    assert_eq!((task.status, reason), (MoveTaskStatus::Failed, Some("AWS.SimpleQueueService.NonExistentQueue")));
    assert!(counts(&dead).0 >= 8, "what was not moved is still there");
    send(&dead, vec![text("sent here, and given up by nobody")]).await;
    let refused = broker.start_move_task(queue.arn(), None, None).await;
    assert!(matches!(refused, Err(MoveTaskError::NotADeadLetterQueue)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_stays_and_what_comes_meanwhile_is_not_moved() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    bury_some(&queue, 20).await;
    let held = take(&dead, 5).await;
    broker.start_move_task(dead.arn(), None, Some(10)).await.unwrap();
    bury_some(&create(&broker, "q2", &[("RedrivePolicy", &policy_to(&dead))]).await, 2).await;
    let task = over(&broker, &dead).await;
    assert_eq!((task.moved, task.to_move), (15, 15));
    assert_eq!(counts(&dead), (2, held.len() as u64, 0));
}

fn policy_to(dead: &LocalQueue) -> String {
    format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, dead.arn())
}

#[tokio::test(start_paused = true)]
async fn a_fifo_redrive_keeps_the_order_of_each_group_and_takes_the_queues_delay() {
    let broker = in_memory().await;
    let dead = create_fifo(&broker, "dead.fifo", &[]).await;
    let queue = create_fifo(&broker, "q.fifo", &[("RedrivePolicy", &policy_to(&dead))]).await;
    send_all(&queue, &["1-1", "2-1", "1-2"]).await;
    for message in take(&queue, 10).await {
        bury(&queue, &message, "why").await.unwrap();
    }
    queue.set_attributes(&pairs(&[("DelaySeconds", "7")])).await.unwrap();
    broker.start_move_task(dead.arn(), None, None).await.unwrap();
    assert_eq!(over(&broker, &dead).await.moved, 3);
    assert_eq!(counts(&queue), (0, 0, 3));
    sleep(Duration::from_secs(7)).await;
    assert_eq!(bodies(&take(&queue, 10).await), ["1-1", "1-2", "2-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_when_the_queues_are_opened_again() {
    let directory = TempDir::new().unwrap();
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    bury_some(&queue, 100).await;
    let id = broker.start_move_task(dead.arn(), None, Some(100)).await.unwrap();
    broker.close().await;
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let (queue, dead) = (broker.queue("q").unwrap(), broker.queue("q-dead").unwrap());
    let task = over(&broker, &dead).await;
    assert_eq!((task.id, task.status, task.moved), (id, MoveTaskStatus::Completed, 100), "none twice");
    let messages = take(&queue, 1000).await;
    let mut numbers: Vec<usize> = messages.iter().map(|message| message.body.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert_eq!(counts(&dead), (0, 0, 0));
    broker.close().await;
}

// --- purges, peeks, tags

#[tokio::test(start_paused = true)]
async fn a_purge_of_many_takes_what_was_sent_before_and_spares_what_comes_after() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    for _ in 0..10 {
        send(&queue, (0..1000).map(|_| text("old")).collect()).await;
    }
    take(&queue, 100).await;
    let (purged, _) = tokio::join!(queue.purge(), async {
        // The purge has begun, and has more than one step to go.
        tokio::task::yield_now().await;
        send(&queue, vec![text("new")]).await
    });
    purged.unwrap();
    assert!(counts(&queue).0 <= 1, "nothing old is left");
    send(&queue, vec![text("after")]).await;
    let messages = take(&queue, 10).await;
    assert!(messages.iter().all(|message| message.body != "old"));
    assert!(messages.iter().any(|message| message.body == "after"));
}

#[tokio::test(start_paused = true)]
async fn a_peek_shows_all_in_every_state_page_by_page_and_changes_nothing() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("held"), text("free"), delayed("late", 60)]).await;
    take(&queue, 1).await;
    let peek = |request: PeekRequest| {
        let queue = queue.clone();
        async move { queue.peek(&request).await.unwrap() }
    };
    for _ in 0..2 {
        let all = peek(PeekRequest { max_messages: 10, ..PeekRequest::default() }).await;
        let shown: Vec<_> = all.iter().map(|one| (one.body.as_str(), one.state, one.system.receive_count)).collect();
        let expected = [
            ("held", MessageState::InFlight, 1),
            ("free", MessageState::Visible, 0),
            ("late", MessageState::Delayed, 0),
        ];
        assert_eq!(shown, expected);
        assert_eq!(all.iter().map(|one| one.visible_in_ms).collect::<Vec<_>>(), [30_000, 0, 60_000]);
    }
    let first = peek(PeekRequest { max_messages: 2, ..PeekRequest::default() }).await;
    let rest = peek(PeekRequest { max_messages: 2, after: Some(first[1].position), state: None }).await;
    assert_eq!((first.len(), rest.len(), rest[0].body.as_str()), (2, 1, "late"));
    let visible = peek(PeekRequest { max_messages: 10, state: Some(MessageState::Visible), after: None }).await;
    assert_eq!(visible.len(), 1);
    assert_eq!((counts(&queue), take_one(&queue).await.system.receive_count), ((1, 1, 1), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_overwritten_by_key_and_kept() {
    let directory = TempDir::new().unwrap();
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let queue = create(&broker, "q", &[]).await;
    queue.tag(&pairs(&[("team", "a"), ("Team", "b"), ("empty", "")])).await.unwrap();
    queue.tag(&pairs(&[("team", "c")])).await.unwrap();
    queue.untag(&["nope".to_owned(), "empty".to_owned()]).await.unwrap();
    broker.close().await;
    let broker = on_disk(directory.path(), Durability::Os).await.unwrap();
    let queue = broker.queue("q").unwrap();
    assert_eq!(queue.tags().unwrap(), pairs(&[("Team", "b"), ("team", "c")]));
    broker.delete_queue("q").await.unwrap();
    assert_eq!(queue.tags(), Err(QueueError::NoSuchQueue));
    assert_eq!(queue.receive(request(1, 0)).await, Err(QueueError::NoSuchQueue));
    broker.close().await;
}
