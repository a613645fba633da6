//! The built-in queue in memory, under paused time: every wait is exact to the millisecond and costs nothing.

use std::time::Duration;

use prometheus::Registry;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::contract::{Queue, ReceiveRequest};
use crate::error::{CreateQueueError, PurgeError, QueueError, SettingError};
use crate::fixtures::{
    START_UNIX_MS, bodies, bury, counts, create, create_with_dead, delayed, delete, hide, in_memory, in_memory_counted,
    pairs, release, request, send, take, take_one, text,
};
use crate::local::LocalQueue;
use crate::message::{Message, ReceiptHandle};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A long poll in a task of its own, already waiting: what it got, and after how long.
async fn poll(queue: &LocalQueue, max: u32) -> JoinHandle<(Vec<Message>, Duration)> {
    let queue = queue.clone();
    let task = tokio::spawn(async move {
        let begun = Instant::now();
        let messages = queue.receive(request(max, 20)).await.unwrap();
        (messages, begun.elapsed())
    });
    yield_now().await;
    task
}

/// Waits for readiness in a task of its own, already waiting.
async fn ready(queue: &LocalQueue) -> JoinHandle<Duration> {
    let queue = queue.clone();
    let task = tokio::spawn(async move {
        let begun = Instant::now();
        queue.ready().await;
        begun.elapsed()
    });
    yield_now().await;
    task
}

/// Timers have the precision of a millisecond and round up.
#[track_caller]
fn assert_exact(waited: Duration, expected: Duration) {
    assert!((expected..=expected + ms(1)).contains(&waited), "waited {waited:?} instead of {expected:?}");
}

// --- long polls

#[tokio::test(start_paused = true)]
async fn an_empty_queue_answers_when_the_wait_is_over() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let (messages, waited) = poll(&queue, 1).await.await.unwrap();
    assert!(messages.is_empty());
    assert_exact(waited, ms(20_000));
}

#[tokio::test(start_paused = true)]
async fn a_send_wakes_a_long_poll_at_once() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let waiting = poll(&queue, 10).await;
    advance(ms(3000)).await;
    send(&queue, vec![text("a"), text("b")]).await;
    let (messages, waited) = waiting.await.unwrap();
    assert_eq!(bodies(&messages), ["a", "b"]);
    assert_exact(waited, ms(3000));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_visibility_timeout_wakes_a_long_poll_exactly_then() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "5")]).await;
    let ids = send(&queue, vec![text("a")]).await;
    take_one(&queue).await;
    let (messages, waited) = poll(&queue, 1).await.await.unwrap();
    assert_exact(waited, ms(5000));
    assert_eq!((messages[0].id.to_string(), messages[0].system.receive_count), (ids[0].clone(), 2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_delay_wakes_a_long_poll_exactly_then() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("DelaySeconds", "3")]).await;
    let waiting = poll(&queue, 1).await;
    send(&queue, vec![delayed("late", 7), text("soon")]).await;
    assert_eq!(counts(&queue), (0, 0, 2));
    let (messages, waited) = waiting.await.unwrap();
    assert_eq!(bodies(&messages), ["soon"]);
    assert_exact(waited, ms(3000));
    let (messages, waited) = poll(&queue, 1).await.await.unwrap();
    assert_eq!(bodies(&messages), ["late"]);
    assert_exact(waited, ms(4000));
}

#[tokio::test(start_paused = true)]
async fn a_visibility_that_is_shortened_wakes_earlier_and_one_that_is_renewed_does_not_wake() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "10")]).await;
    send(&queue, vec![text("a")]).await;
    let first = take_one(&queue).await;
    let waiting = poll(&queue, 1).await;
    advance(ms(9000)).await;
    hide(&queue, &first.receipt, 10).await.unwrap();
    advance(ms(2000)).await;
    assert!(!waiting.is_finished(), "the old time has passed");
    hide(&queue, &first.receipt, 3).await.unwrap();
    assert_exact(waiting.await.unwrap().1, ms(14_000));
}

#[tokio::test(start_paused = true)]
async fn giving_a_message_back_wakes_a_long_poll_at_once() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a")]).await;

    let shown = take_one(&queue).await;
    let waiting = poll(&queue, 1).await;
    hide(&queue, &shown.receipt, 0).await.unwrap();
    let (messages, waited) = waiting.await.unwrap();
    assert_exact(waited, ms(0));
    assert_eq!(messages[0].system.receive_count, 2);

    let waiting = poll(&queue, 1).await;
    release(&queue, &messages[0].receipt).await.unwrap();
    let (messages, waited) = waiting.await.unwrap();
    assert_exact(waited, ms(0));
    assert_eq!(messages[0].system.receive_count, 2, "a release does not count");
}

#[tokio::test(start_paused = true)]
async fn every_waiter_is_served_when_there_is_enough() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "4")]).await;
    for pass in 0..2 {
        let mut waiting = Vec::new();
        for _ in 0..5 {
            waiting.push(poll(&queue, 1).await);
        }
        if pass == 0 {
            send(&queue, (0..5).map(|n| text(n.to_string())).collect()).await;
        }
        // In the second pass five timeouts end in the same moment.
        let mut served = Vec::new();
        for waiting in waiting {
            let (messages, waited) = waiting.await.unwrap();
            assert_exact(waited, ms(4000 * pass));
            served.extend(messages.into_iter().map(|message| message.body));
        }
        served.sort();
        assert_eq!(served, ["0", "1", "2", "3", "4"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_does_not_take_the_wake_up_along() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let (first, second) = (poll(&queue, 1).await, poll(&queue, 1).await);
    send(&queue, vec![text("a")]).await;
    // The first was woken and has not run yet.
    first.abort();
    let (messages, waited) = second.await.unwrap();
    assert_eq!(bodies(&messages), ["a"]);
    assert_exact(waited, ms(0));
    assert!(first.await.unwrap_err().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_another_takes_first_lets_the_woken_wait_on() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let waiting = poll(&queue, 1).await;
    send(&queue, vec![text("a")]).await;
    take_one(&queue).await;
    sleep(ms(1000)).await;
    assert!(!waiting.is_finished());
    send(&queue, vec![text("b")]).await;
    let (messages, waited) = waiting.await.unwrap();
    assert_eq!(bodies(&messages), ["b"]);
    assert_exact(waited, ms(1000));
}

#[tokio::test(start_paused = true)]
async fn readiness_takes_nothing_and_is_passed_on() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "6")]).await;
    let (first, second, polling) = (ready(&queue).await, ready(&queue).await, poll(&queue, 1).await);
    advance(ms(2000)).await;
    send(&queue, vec![text("a")]).await;
    assert_exact(first.await.unwrap(), ms(2000));
    assert_exact(second.await.unwrap(), ms(2000));
    assert_eq!(bodies(&polling.await.unwrap().0), ["a"]);

    assert_exact(ready(&queue).await.await.unwrap(), ms(6000));
    // Ready for as long as it is there.
    assert_exact(ready(&queue).await.await.unwrap(), ms(0));
    take_one(&queue).await;
    let waiting = ready(&queue).await;
    broker.delete_queue("q").await.unwrap();
    assert_exact(waiting.await.unwrap(), ms(0));
    assert_eq!(queue.receive(request(1, 20)).await, Err(QueueError::NoSuchQueue));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait_and_none_begins() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let (polling, waiting) = (poll(&queue, 1).await, ready(&queue).await);
    broker.stop_waiting();
    assert_exact(polling.await.unwrap().1, ms(0));
    assert_exact(waiting.await.unwrap(), ms(0));
    assert_exact(poll(&queue, 1).await.await.unwrap().1, ms(0));
    send(&queue, vec![text("a")]).await;
    take_one(&queue).await;
}

// --- life of a message

#[tokio::test(start_paused = true)]
async fn a_message_carries_what_was_sent_and_what_the_queue_knows() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![crate::message::OutgoingMessage { trace_header: Some("Root=1".into()), ..text("Hello") }]).await;
    advance(ms(1500)).await;
    let message = take_one(&queue).await;
    assert_eq!(message.md5_of_body, "8b1a9953c4611296a827abf8c47804d7");
    let system = &message.system;
    assert_eq!((system.sent_unix_ms, system.first_received_unix_ms), (START_UNIX_MS, START_UNIX_MS + 1500));
    assert_eq!((system.receive_count, system.trace_header.as_deref()), (1, Some("Root=1")));
    assert_eq!(system.sender_id.as_deref(), Some("000000000000"));
    advance(ms(30_000)).await;
    let again = take_one(&queue).await;
    assert_eq!((again.system.receive_count, again.system.first_received_unix_ms), (2, START_UNIX_MS + 1500));
    assert_ne!(again.receipt, message.receipt);
}

#[tokio::test(start_paused = true)]
async fn receipts() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "5")]).await;
    let other = create(&broker, "other", &[]).await;
    send(&queue, vec![text("a")]).await;
    let stale = take_one(&queue).await.receipt;
    assert!(matches!(delete(&other, &stale).await, Err(QueueError::InvalidReceipt { .. })));
    assert!(matches!(delete(&queue, &ReceiptHandle::new("x")).await, Err(QueueError::InvalidReceipt { .. })));

    advance(ms(5000)).await;
    take_one(&queue).await;
    delete(&queue, &stale).await.unwrap();
    assert_eq!(counts(&queue), (0, 1, 0), "a stale receipt deletes nothing once the message was received again");
    hide(&queue, &stale, 3).await.unwrap();
    advance(ms(3000)).await;
    assert_eq!(counts(&queue), (1, 0, 0), "and may still change when it is visible, as on SQS");
    let current = take_one(&queue).await.receipt;
    assert!(matches!(release(&queue, &stale).await, Err(QueueError::NotInFlight { .. })));

    advance(ms(5000)).await;
    assert_eq!(counts(&queue), (1, 0, 0));
    hide(&queue, &current, 5).await.unwrap();
    assert_eq!(counts(&queue), (0, 1, 0), "expired and not received again: it may still be hidden");
    release(&queue, &current).await.unwrap();
    assert!(matches!(release(&queue, &current).await, Err(QueueError::NotInFlight { .. })), "only once");
    delete(&queue, &current).await.unwrap();
    delete(&queue, &current).await.unwrap();
    assert_eq!(counts(&queue), (0, 0, 0));
    assert!(matches!(hide(&queue, &current, 5).await, Err(QueueError::NotInFlight { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_batch_answers_entry_by_entry() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("MaximumMessageSize", "1024")]).await;
    let sent = queue.send(vec![text("a"), text(""), text("x".repeat(1025)), text("b")]).await.unwrap();
    assert_eq!(sent.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    let messages = take(&queue, 10).await;
    assert_eq!(bodies(&messages), ["a", "b"]);
    let receipts = [messages[0].receipt.clone(), ReceiptHandle::new("garbage"), messages[1].receipt.clone()];
    let deleted = queue.delete(&receipts).await.unwrap();
    assert_eq!(deleted.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(counts(&queue), (0, 0, 0));
    assert!(queue.delete(&[]).await.unwrap().is_empty());
    assert!(queue.send(vec![]).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_held_for_twelve_hours_at_most() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a")]).await;
    let too_long = ReceiveRequest { visibility_timeout_seconds: Some(43_201), ..request(1, 0) };
    let out_of_range = |seconds| Err(QueueError::VisibilityOutOfRange { seconds });
    assert_eq!(queue.receive(too_long).await, out_of_range(43_201).map(|()| Vec::new()));
    let receipt = take_one(&queue).await.receipt;
    hide(&queue, &receipt, 43_200).await.unwrap();
    assert_eq!(hide(&queue, &receipt, 43_201).await, out_of_range(43_201));
    advance(ms(1)).await;
    assert_eq!(hide(&queue, &receipt, 43_200).await, out_of_range(43_200));
    advance(ms(43_139_999)).await;
    hide(&queue, &receipt, 60).await.unwrap();
    assert_eq!(hide(&queue, &receipt, 61).await, out_of_range(61));
    advance(ms(60_000)).await;
    assert_eq!(counts(&queue), (1, 0, 0));
    // A new delivery has twelve hours of its own.
    let receipt = take_one(&queue).await.receipt;
    hide(&queue, &receipt, 43_200).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_visibility_timeout_of_zero_is_for_looking() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a"), text("b"), text("c")]).await;
    let look = ReceiveRequest { visibility_timeout_seconds: Some(0), ..request(10, 0) };
    for count in 1..=2 {
        let messages = queue.receive(look.clone()).await.unwrap();
        assert_eq!(bodies(&messages), ["a", "b", "c"], "each once");
        assert!(messages.iter().all(|message| message.system.receive_count == count));
    }
    assert_eq!(counts(&queue), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn retention_ends_a_message_whatever_it_is_doing() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("MessageRetentionPeriod", "60"), ("VisibilityTimeout", "100")]).await;
    send(&queue, vec![text("in flight"), text("waiting"), delayed("delayed", 900)]).await;
    let held = take(&queue, 1).await.remove(0);
    advance(ms(60_000)).await;
    assert_eq!(take(&queue, 1).await.len(), 1, "at the very end it is still there");
    advance(ms(1)).await;
    assert!(take(&queue, 10).await.is_empty());
    assert_eq!(counts(&queue), (0, 0, 0));
    delete(&queue, &held.receipt).await.unwrap();
    assert!(matches!(hide(&queue, &held.receipt, 5).await, Err(QueueError::NotInFlight { .. })));

    // Nobody asks, and they go all the same.
    send(&queue, vec![text("forgotten")]).await;
    sleep(ms(121_000)).await;
    assert_eq!(counts(&queue), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_receive_that_is_one_too_many_moves_the_message() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 2).await;
    let ids = send(&queue, vec![text("poison")]).await;
    let waiting = tokio::spawn({
        let dead = dead.clone();
        async move { dead.receive(request(1, 20)).await.unwrap() }
    });
    for count in 1..=2 {
        let message = take_one(&queue).await;
        assert_eq!(message.system.receive_count, count);
        hide(&queue, &message.receipt, 0).await.unwrap();
        assert_eq!((counts(&queue), counts(&dead)), ((1, 0, 0), (0, 0, 0)));
    }
    assert!(take(&queue, 10).await.is_empty());
    assert_eq!(counts(&queue), (0, 0, 0));
    let moved = timeout(ms(1), waiting).await.expect("the move wakes those who wait for dead letters").unwrap();
    let system = &moved[0].system;
    assert_eq!((moved[0].id.to_string(), system.receive_count), (ids[0].clone(), 3));
    assert_eq!((system.sent_unix_ms, system.first_received_unix_ms), (START_UNIX_MS, START_UNIX_MS));
    assert_eq!(system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_moves_a_message_at_once() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 5).await;
    send(&queue, vec![text("bad")]).await;
    let message = take_one(&queue).await;
    bury(&queue, &message, "no such order").await.unwrap();
    assert_eq!((counts(&queue), counts(&dead)), ((0, 0, 0), (1, 0, 0)));
    assert!(matches!(bury(&queue, &message, "again").await, Err(QueueError::NotInFlight { .. })));
    delete(&queue, &message.receipt).await.unwrap();
    let moved = take_one(&dead).await;
    assert_eq!((moved.body.as_str(), moved.system.receive_count), ("bad", 2));
    assert_eq!(moved.system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));
    assert!(matches!(bury(&dead, &moved, "x").await, Err(QueueError::Unsupported(_))));
}

#[tokio::test(start_paused = true)]
async fn a_policy_whose_queue_is_gone_moves_nothing() {
    let broker = in_memory().await;
    let (queue, dead) = create_with_dead(&broker, "q", 1).await;
    send(&queue, vec![text("a")]).await;
    broker.delete_queue(dead.name()).await.unwrap();
    for count in 1..=3 {
        let message = take_one(&queue).await;
        assert_eq!(message.system.receive_count, count);
        hide(&queue, &message.receipt, 0).await.unwrap();
    }
    // It counts again as soon as there is one of that name.
    let dead = create(&broker, dead.name(), &[]).await;
    assert!(take(&queue, 1).await.is_empty());
    assert_eq!(counts(&dead), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn with_too_many_in_flight_a_short_poll_fails_a_long_poll_is_silent_and_a_delete_makes_room() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[("VisibilityTimeout", "43200")]).await;
    for _ in 0..121 {
        send(&queue, (0..1000).map(|_| text("a")).collect()).await;
    }
    let mut last = None;
    for _ in 0..120 {
        last = take(&queue, 1000).await.pop();
    }
    assert_eq!(counts(&queue), (1000, 120_000, 0));
    assert_eq!(queue.receive(request(1, 0)).await, Err(QueueError::OverLimit));
    let (polling, waiting) = (poll(&queue, 1).await, ready(&queue).await);
    sleep(ms(10_000)).await;
    assert!(!polling.is_finished() && !waiting.is_finished());
    delete(&queue, &last.unwrap().receipt).await.unwrap();
    let (messages, waited) = polling.await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_exact(waited, ms(10_000));
    waiting.abort();
}

// --- management

#[tokio::test(start_paused = true)]
async fn a_purge_takes_everything_and_can_be_had_once_a_minute() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a"), text("b"), delayed("c", 60)]).await;
    let held = take(&queue, 1).await.remove(0);
    queue.purge().await.unwrap();
    assert_eq!(counts(&queue), (0, 0, 0));
    delete(&queue, &held.receipt).await.unwrap();
    send(&queue, vec![text("d")]).await;
    advance(ms(59_999)).await;
    assert_eq!(queue.purge().await, Err(PurgeError::InProgress));
    assert_eq!(take_one(&queue).await.body, "d");
    advance(ms(1)).await;
    queue.purge().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn creating_a_queue_twice() {
    let broker = in_memory().await;
    let first = create(&broker, "q", &[("VisibilityTimeout", "7")]).await;
    send(&first, vec![text("a")]).await;
    let again = create(&broker, "q", &[("VisibilityTimeout", "7"), ("DelaySeconds", "0")]).await;
    assert_eq!(counts(&again), (1, 0, 0));
    create(&broker, "q", &[]).await;
    let differs = broker.create_queue("q", &pairs(&[("DelaySeconds", "1"), ("VisibilityTimeout", "7")]), &[]).await;
    assert_eq!(differs.unwrap_err(), CreateQueueError::NameExists { attribute: "DelaySeconds".into() });

    let longest = "n".repeat(80);
    create(&broker, &longest, &[]).await;
    for bad in ["", "a b", "a/b", "ä", &"n".repeat(81)] {
        assert_eq!(broker.create_queue(bad, &[], &[]).await.unwrap_err(), CreateQueueError::InvalidName, "{bad:?}");
    }
    assert_eq!(broker.create_queue("q.fifo", &[], &[]).await.unwrap_err(), CreateQueueError::FifoNameOnStandard);
    assert_eq!(broker.queue_names(""), [longest.as_str(), "q"]);
    assert_eq!(broker.queue_names("q"), ["q"]);
    assert!(matches!(broker.queue("nope"), Err(QueueError::NoSuchQueue)));
}

#[tokio::test(start_paused = true)]
async fn a_redrive_policy_needs_a_queue_that_is_there_and_is_another() {
    let broker = in_memory().await;
    let policy = |name: &str| {
        let arn = broker.identity().arn(name);
        pairs(&[("RedrivePolicy", &format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}"#))])
    };
    let refused = broker.create_queue("q", &policy("nope"), &[]).await.unwrap_err();
    assert!(matches!(refused, CreateQueueError::Attribute(SettingError::RedrivePolicy(_))), "{refused}");
    assert!(broker.queue("q").is_err(), "half a queue");

    let queue = create(&broker, "q", &[]).await;
    for name in ["nope", "q"] {
        let refused = queue.set_attributes(&policy(name)).await;
        assert!(matches!(refused, Err(SettingError::RedrivePolicy(_))), "{name}");
    }
    create(&broker, "dead", &[]).await;
    queue.set_attributes(&policy("dead")).await.unwrap();
    assert_eq!(queue.attributes().await.unwrap().redrive.unwrap().max_receive_count, 1);
    queue.set_attributes(&pairs(&[("RedrivePolicy", "")])).await.unwrap();
    assert_eq!(queue.attributes().await.unwrap().redrive, None);
}

#[tokio::test(start_paused = true)]
async fn attributes_are_set_all_or_none_and_count_from_then_on() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let before = queue.describe().unwrap();
    advance(ms(5000)).await;
    let half = queue.set_attributes(&pairs(&[("VisibilityTimeout", "9"), ("DelaySeconds", "901")])).await;
    assert!(matches!(half, Err(SettingError::InvalidValue { name: "DelaySeconds", .. })));
    assert_eq!(queue.describe().unwrap(), before);

    send(&queue, vec![text("sent before")]).await;
    queue.set_attributes(&pairs(&[("VisibilityTimeout", "9"), ("DelaySeconds", "900")])).await.unwrap();
    let after = queue.describe().unwrap();
    assert_eq!(after.modified_unix_s, before.created_unix_s + 5);
    assert_eq!((after.visible, after.delayed), (1, 0), "a new delay is not for what was sent before");
    take_one(&queue).await;
    assert_exact(ready(&queue).await.await.unwrap(), ms(9000));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_is_gone_for_every_handle_and_its_name_is_free() {
    let broker = in_memory().await;
    let old = create(&broker, "q", &[]).await;
    send(&old, vec![text("a"), text("b")]).await;
    let held = take(&old, 1).await.remove(0);
    let waiting = tokio::spawn({
        let old = old.clone();
        async move {
            take(&old, 1).await;
            old.receive(request(1, 20)).await
        }
    });
    yield_now().await;
    broker.delete_queue("q").await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(QueueError::NoSuchQueue));
    assert_eq!(broker.delete_queue("q").await, Err(QueueError::NoSuchQueue));

    let new = create(&broker, "q", &[]).await;
    assert_eq!(counts(&new), (0, 0, 0));
    assert_eq!(old.send(vec![text("c")]).await, Err(QueueError::NoSuchQueue));
    assert_eq!(old.delete(std::slice::from_ref(&held.receipt)).await, Err(QueueError::NoSuchQueue));
    assert!(matches!(delete(&new, &held.receipt).await, Err(QueueError::InvalidReceipt { .. })));
}

#[tokio::test(start_paused = true)]
async fn another_queue_is_reached_by_arn() {
    let broker = in_memory().await;
    let queue = create(&broker, "q", &[]).await;
    let other = create(&broker, "other", &[]).await;
    assert_eq!(queue.reach(other.arn()).await.unwrap().arn(), other.arn());
    for arn in ["arn:aws:sqs:us-east-1:000000000000:nope", "arn:aws:sqs:us-east-1:111111111111:other"] {
        let refused = queue.reach(&crate::arn::QueueArn::parse(arn).unwrap()).await;
        assert!(matches!(refused, Err(QueueError::NoSuchQueue)), "{arn}");
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_happened_and_forget_a_deleted_queue() {
    let registry = Registry::new();
    let broker = in_memory_counted(&registry).await;
    let queue = create(&broker, "q", &[]).await;
    send(&queue, vec![text("a"), text("b"), text("c"), delayed("d", 60)]).await;
    let held = take(&queue, 2).await;
    delete(&queue, &held[0].receipt).await.unwrap();
    advance(ms(2500)).await;

    let shown = || {
        let mut text = Vec::new();
        for family in registry.gather() {
            for metric in family.get_metric() {
                let labels: Vec<&str> = metric.get_label().iter().map(|label| label.value()).collect();
                let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
                text.push(format!("{} {} {value}", family.name(), labels.join(" ")));
            }
        }
        text
    };
    let expected = [
        "wasmill_queue_dead_lettered_total receive_count q 0",
        "wasmill_queue_dead_lettered_total verdict q 0",
        "wasmill_queue_deleted_total q 1",
        "wasmill_queue_expired_total q 0",
        "wasmill_queue_message_groups q 0",
        "wasmill_queue_messages q delayed 1",
        "wasmill_queue_messages q in_flight 1",
        "wasmill_queue_messages q visible 1",
        "wasmill_queue_oldest_message_age_seconds q 2.5",
        "wasmill_queue_purged_total q 0",
        "wasmill_queue_received_total q 2",
        "wasmill_queue_redriven_total q 0",
        "wasmill_queue_retention_seconds q 345600",
        "wasmill_queue_sent_total q 4",
    ];
    assert_eq!(shown(), expected);
    broker.delete_queue("q").await.unwrap();
    assert!(shown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_leaves_without_a_delete_is_counted_by_how() {
    let registry = Registry::new();
    let broker = in_memory_counted(&registry).await;
    let dead = create(&broker, "dead", &[]).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, dead.arn());
    let attributes = [("RedrivePolicy", policy.as_str()), ("VisibilityTimeout", "0"), ("MessageRetentionPeriod", "60")];
    let queue = create(&broker, "q", &attributes).await;
    let count = |name: &str, label: &str| {
        let families = registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        let wanted = metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
        wanted.map(|metric| metric.get_counter().get_value() as u64).sum::<u64>()
    };

    send(&queue, vec![text("a"), text("b")]).await;
    let held = take(&queue, 1).await;
    bury(&queue, &held[0], "not wanted").await.unwrap();
    take(&queue, 1).await;
    assert!(take(&queue, 1).await.is_empty(), "the second receive is one too many");
    assert_eq!(count("wasmill_queue_dead_lettered_total", "verdict"), 1);
    assert_eq!(count("wasmill_queue_dead_lettered_total", "receive_count"), 1);

    send(&queue, vec![text("c")]).await;
    advance(ms(61_000)).await;
    assert!(take(&queue, 1).await.is_empty());
    assert_eq!(count("wasmill_queue_expired_total", "q"), 1);

    send(&queue, vec![text("d"), text("e")]).await;
    queue.purge().await.unwrap();
    assert_eq!((count("wasmill_queue_purged_total", "q"), count("wasmill_queue_deleted_total", "q")), (2, 0));

    broker.start_move_task(dead.arn(), None, None).await.unwrap();
    advance(ms(1000)).await;
    assert_eq!(count("wasmill_queue_redriven_total", "dead"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queues_name_is_free_at_once_and_blocked_for_a_minute_where_that_is_wanted() {
    let broker = in_memory().await;
    create(&broker, "q", &[]).await;
    broker.delete_queue("q").await.unwrap();
    create(&broker, "q", &[]).await;

    broker.block_deleted_names();
    broker.delete_queue("q").await.unwrap();
    advance(ms(59_999)).await;
    assert_eq!(broker.create_queue("q", &[], &[]).await.unwrap_err(), CreateQueueError::DeletedRecently);
    create(&broker, "another", &[]).await;
    advance(ms(1)).await;
    create(&broker, "q", &[]).await;
}
