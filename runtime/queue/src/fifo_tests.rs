//! FIFO queues in memory, under paused time: each test is named after what it protects, most of them after what an
//! emulator got wrong once (sqs-semantics §6, §10).

use std::time::Duration;

use tokio::time::advance;

use crate::broker::Broker;
use crate::contract::{Queue, ReceiveRequest};
use crate::error::QueueError;
use crate::fixtures::{bodies, bury, counts, create, delete, hide, in_memory, pairs, request, take, take_one};
use crate::local::LocalQueue;
use crate::message::{Message, OutgoingMessage, Sent};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) async fn create_fifo(broker: &Broker, name: &str, attributes: &[(&str, &str)]) -> LocalQueue {
    create(broker, name, &[&[("FifoQueue", "true")], attributes].concat()).await
}

/// A queue that gives messages up to `dead.fifo` after `max_receives`, and that queue.
async fn create_fifo_with_dead(broker: &Broker, max_receives: u32) -> (LocalQueue, LocalQueue) {
    let dead = create_fifo(broker, "dead.fifo", &[]).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receives}}}"#, dead.arn());
    (create_fifo(broker, "q.fifo", &[("RedrivePolicy", &policy)]).await, dead)
}

fn with_id(group: &str, body: &str, deduplication_id: &str) -> OutgoingMessage {
    OutgoingMessage {
        body: body.to_owned(),
        group_id: Some(group.to_owned()),
        deduplication_id: Some(deduplication_id.to_owned()),
        ..OutgoingMessage::default()
    }
}

/// A message whose body says its group and number: `1-2` is group 1's second.
pub(crate) fn numbered(body: &str) -> OutgoingMessage {
    with_id(body.split('-').next().unwrap(), body, body)
}

pub(crate) async fn send_all(queue: &LocalQueue, bodies: &[&str]) -> Vec<Sent> {
    let sent = queue.send(bodies.iter().map(|body| numbered(body)).collect()).await.unwrap();
    sent.into_iter().map(Result::unwrap).collect()
}

async fn send_one(queue: &LocalQueue, message: OutgoingMessage) -> Sent {
    queue.send(vec![message]).await.unwrap().remove(0).unwrap()
}

async fn look(queue: &LocalQueue, max: u32) -> Vec<Message> {
    queue.receive(ReceiveRequest { visibility_timeout_seconds: Some(0), ..request(max, 0) }).await.unwrap()
}

async fn attempt(queue: &LocalQueue, max: u32, id: &str) -> Vec<Message> {
    queue.receive(ReceiveRequest { attempt_id: Some(id.to_owned()), ..request(max, 0) }).await.unwrap()
}

fn receipts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.receipt.as_str()).collect()
}

// --- groups

#[tokio::test(start_paused = true)]
async fn two_receives_never_share_a_group() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "1-2", "2-1", "1-3"]).await;
    assert_eq!(bodies(&take(&queue, 1).await), ["1-1"]);
    assert_eq!(bodies(&take(&queue, 10).await), ["2-1"]);
    assert!(take(&queue, 10).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receive_takes_as_many_of_one_group_as_there_are_before_the_next() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "2-1", "1-2", "3-1", "2-2", "1-3"]).await;
    assert_eq!(bodies(&take(&queue, 5).await), ["1-1", "1-2", "1-3", "2-1", "2-2"]);
    assert_eq!(counts(&queue), (1, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_send_does_not_unlock_its_group() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1"]).await;
    let held = take_one(&queue).await;
    send_all(&queue, &["1-2"]).await;
    assert!(take(&queue, 10).await.is_empty());
    delete(&queue, &held.receipt).await.unwrap();
    assert_eq!(take_one(&queue).await.body, "1-2");
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_a_part_leaves_the_group_locked() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "2-1", "1-2", "2-2", "1-3", "3-1"]).await;
    let held = take(&queue, 2).await;
    delete(&queue, &held[0].receipt).await.unwrap();
    assert_eq!(bodies(&take(&queue, 10).await), ["2-1", "2-2", "3-1"]);
    delete(&queue, &held[1].receipt).await.unwrap();
    assert_eq!(bodies(&take(&queue, 10).await), ["1-3"]);
}

#[tokio::test(start_paused = true)]
async fn returned_messages_keep_their_order_however_they_come_back() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "1-2", "1-3"]).await;
    take(&queue, 10).await;
    advance(seconds(30)).await;
    let held = take(&queue, 10).await;
    assert_eq!(bodies(&held), ["1-1", "1-2", "1-3"], "by the end of the timeout");
    for index in [2, 0, 1] {
        hide(&queue, &held[index].receipt, 0).await.unwrap();
    }
    let held = take(&queue, 10).await;
    assert_eq!(bodies(&held), ["1-1", "1-2", "1-3"], "one by one");
    queue.release(&[held[1].receipt.clone(), held[2].receipt.clone(), held[0].receipt.clone()]).await.unwrap();
    assert_eq!(bodies(&take(&queue, 10).await), ["1-1", "1-2", "1-3"], "given back");
}

#[tokio::test(start_paused = true)]
async fn when_one_of_three_is_extended_those_before_it_come_back_and_no_other() {
    for (extended, expected) in [(0, &[][..]), (1, &["1-1"]), (2, &["1-1", "1-2"])] {
        let broker = in_memory().await;
        let queue = create_fifo(&broker, "q.fifo", &[]).await;
        send_all(&queue, &["1-1", "1-2", "1-3"]).await;
        let held = take(&queue, 10).await;
        hide(&queue, &held[extended].receipt, 60).await.unwrap();
        advance(seconds(31)).await;
        assert_eq!(bodies(&take(&queue, 10).await), expected, "{extended}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_touched_goes_behind_those_that_wait() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "1-2", "2-1"]).await;
    let held = take(&queue, 2).await;
    hide(&queue, &held[0].receipt, 0).await.unwrap();
    assert_eq!(bodies(&take(&queue, 3).await), ["2-1", "1-1"], "1-2 is still in flight");
}

#[tokio::test(start_paused = true)]
async fn groups_come_back_in_the_order_in_which_their_timeouts_ended() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "1-2", "2-1", "3-1"]).await;
    assert_eq!(bodies(&take(&queue, 2).await), ["1-1", "1-2"]);
    advance(seconds(1)).await;
    assert_eq!(bodies(&take(&queue, 1).await), ["2-1"]);
    advance(seconds(60)).await;
    assert_eq!(bodies(&take(&queue, 10).await), ["3-1", "1-1", "1-2", "2-1"]);
}

#[tokio::test(start_paused = true)]
async fn looking_with_a_visibility_timeout_of_zero_goes_on_with_the_next_group() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "2-1", "2-2", "3-1", "1-2"]).await;
    assert_eq!(bodies(&look(&queue, 3).await), ["1-1", "1-2", "2-1"]);
    assert_eq!(bodies(&look(&queue, 10).await), ["3-1", "1-1", "1-2", "2-1", "2-2"]);
    assert_eq!(counts(&queue), (5, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_goes_to_the_dead_letter_queue_unlocks_its_group() {
    let broker = in_memory().await;
    let (queue, dead) = create_fifo_with_dead(&broker, 1).await;
    send_all(&queue, &["1-1", "1-2"]).await;
    let held = take(&queue, 1).await;
    hide(&queue, &held[0].receipt, 0).await.unwrap();
    let held = take(&queue, 1).await;
    assert_eq!(bodies(&held), ["1-2"], "1-1 was received too often");
    assert_eq!(counts(&dead), (1, 0, 0));

    send_all(&queue, &["1-3"]).await;
    bury(&queue, &held[0], "a verdict").await.unwrap();
    assert_eq!(bodies(&take(&queue, 10).await), ["1-3"], "by verdict too");
    assert_eq!(bodies(&take(&dead, 10).await), ["1-1", "1-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_does_not_hold_up_those_that_are_visible() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[("DelaySeconds", "10")]).await;
    send_all(&queue, &["1-1"]).await;
    advance(seconds(5)).await;
    send_all(&queue, &["1-2"]).await;
    advance(seconds(5)).await;
    assert_eq!(counts(&queue), (1, 0, 1));
    let held = take_one(&queue).await;
    assert_eq!(held.body, "1-1");
    delete(&queue, &held.receipt).await.unwrap();
    assert!(take(&queue, 10).await.is_empty());
    advance(seconds(5)).await;
    assert_eq!(take_one(&queue).await.body, "1-2");
}

#[tokio::test(start_paused = true)]
async fn a_new_delay_is_for_what_waits_too_and_not_for_what_was_received() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "2-1"]).await;
    let held = take(&queue, 1).await;
    queue.set_attributes(&pairs(&[("DelaySeconds", "20")])).await.unwrap();
    hide(&queue, &held[0].receipt, 0).await.unwrap();
    assert_eq!(counts(&queue), (1, 0, 1));
    advance(seconds(10)).await;
    queue.set_attributes(&pairs(&[("DelaySeconds", "10")])).await.unwrap();
    assert_eq!(counts(&queue), (2, 0, 0));
}

// --- receipts

#[tokio::test(start_paused = true)]
async fn a_receipt_whose_time_ran_out_settles_nothing_also_when_nobody_looked_since() {
    let broker = in_memory().await;
    let (queue, _dead) = create_fifo_with_dead(&broker, 5).await;
    send_all(&queue, &["1-1"]).await;
    let held = take_one(&queue).await;
    hide(&queue, &held.receipt, 45).await.unwrap();
    advance(seconds(44)).await;
    hide(&queue, &held.receipt, 2).await.unwrap();
    advance(seconds(2)).await;
    assert!(matches!(delete(&queue, &held.receipt).await, Err(QueueError::ReceiptExpired { .. })));
    let held = take_one(&queue).await;
    advance(seconds(30)).await;
    assert!(matches!(bury(&queue, &held, "late").await, Err(QueueError::NotInFlight { .. })));
    let held = take_one(&queue).await;
    advance(seconds(30)).await;
    assert!(matches!(hide(&queue, &held.receipt, 5).await, Err(QueueError::NotInFlight { .. })));
    let held = take_one(&queue).await;
    delete(&queue, &held.receipt).await.unwrap();
    delete(&queue, &held.receipt).await.unwrap();
}

// --- deduplication

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_answered_with_the_first_ones_id_and_number_and_its_own_digests() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    let first = send_one(&queue, with_id("1", "first", "d")).await;
    let again = send_one(&queue, with_id("1", "second", "d")).await;
    assert_eq!((&again.id, &again.sequence_number), (&first.id, &first.sequence_number));
    assert_ne!(again.md5_of_body, first.md5_of_body);
    assert_eq!(again.md5_of_body, "a9f0e61a137d86aa9db53465e0801612");
    assert_eq!(bodies(&take(&queue, 10).await), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn within_one_batch_the_second_is_a_duplicate_of_the_first() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    let sent = queue.send(vec![with_id("1", "a", "d"), with_id("2", "b", "d")]).await.unwrap();
    assert_eq!(sent[0].as_ref().unwrap().id, sent[1].as_ref().unwrap().id);
    assert_eq!(counts(&queue), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_five_minutes_from_the_first_send_and_outlives_the_message() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    let first = send_one(&queue, with_id("1", "a", "d")).await;
    delete(&queue, &take_one(&queue).await.receipt).await.unwrap();
    advance(seconds(200)).await;
    assert_eq!(send_one(&queue, with_id("1", "b", "d")).await.id, first.id);
    advance(Duration::from_millis(99_999)).await;
    assert_eq!(send_one(&queue, with_id("1", "c", "d")).await.id, first.id, "the repeat did not prolong it");
    assert_eq!(counts(&queue), (0, 0, 0));
    advance(Duration::from_millis(1)).await;
    let later = send_one(&queue, with_id("1", "e", "d")).await;
    assert_ne!(later.id, first.id);
    assert!(later.sequence_number > first.sequence_number);
    assert_eq!(take_one(&queue).await.body, "e");
}

#[tokio::test(start_paused = true)]
async fn a_purge_forgets_what_was_sent() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    let first = send_one(&queue, with_id("1", "a", "d")).await;
    queue.purge().await.unwrap();
    assert_ne!(send_one(&queue, with_id("1", "b", "d")).await.id, first.id);
    assert_eq!(take_one(&queue).await.body, "b");
}

#[tokio::test(start_paused = true)]
async fn without_an_id_the_body_alone_tells_and_an_explicit_id_may_equal_its_sha_256() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[("ContentBasedDeduplication", "true")]).await;
    let plain = |group: &str| OutgoingMessage { deduplication_id: None, ..with_id(group, "abc", "") };
    let first = send_one(&queue, plain("1")).await;
    assert_eq!(send_one(&queue, plain("2")).await.id, first.id, "the group does not matter");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(send_one(&queue, with_id("1", "other", digest)).await.id, first.id);
    assert_ne!(send_one(&queue, with_id("1", "abc", "explicit")).await.id, first.id, "an explicit id counts instead");
    assert_eq!(take(&queue, 1).await[0].system.deduplication_id.as_deref(), Some(digest));
}

#[tokio::test(start_paused = true)]
async fn the_scope_that_a_queue_was_created_with_is_the_one_that_works() {
    let broker = in_memory().await;
    for (scope, other, stored) in [("queue", "messageGroup", 1), ("messageGroup", "queue", 2)] {
        let queue = create_fifo(&broker, &format!("{scope}.fifo"), &[("DeduplicationScope", scope)]).await;
        queue.set_attributes(&pairs(&[("DeduplicationScope", other)])).await.unwrap();
        send_one(&queue, with_id("1", "a", "d")).await;
        send_one(&queue, with_id("2", "b", "d")).await;
        send_one(&queue, with_id("2", "c", "d")).await;
        assert_eq!(counts(&queue), (stored, 0, 0), "{scope}");
    }
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_grow_with_each_message_and_are_told_at_every_delivery() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    let sent = send_all(&queue, &["1-1", "2-1", "1-2"]).await;
    let numbers: Vec<String> = sent.into_iter().map(|sent| sent.sequence_number.unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[0] < numbers[1] && numbers[1] < numbers[2]);
    let shown: Vec<String> = look(&queue, 10).await.into_iter().map(|m| m.system.sequence_number.unwrap()).collect();
    assert_eq!(shown, [&numbers[0], &numbers[2], &numbers[1]].map(String::clone));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_enqueued_anew_and_its_id_deduplicates_it() {
    let broker = in_memory().await;
    let (queue, dead) = create_fifo_with_dead(&broker, 1).await;
    let sent = send_all(&queue, &["1-1"]).await.remove(0);
    let first = take_one(&queue).await;
    advance(seconds(30)).await;
    assert!(take(&queue, 10).await.is_empty());
    let moved = take_one(&dead).await;
    let system = &moved.system;
    assert_eq!((&moved.id, system.receive_count), (&sent.id, 2));
    assert_eq!(system.sent_unix_ms, first.system.sent_unix_ms + 30_000);
    assert_eq!(system.deduplication_id.as_deref(), Some(sent.id.as_str()));
    assert!(system.sequence_number > sent.sequence_number);
    assert_eq!(system.dead_letter_source_arn.as_deref(), Some(queue.arn().as_str()));
    assert_eq!(system.group_id.as_deref(), Some("1"));
}

// --- receive attempts

#[tokio::test(start_paused = true)]
async fn a_repeated_attempt_gets_the_same_messages_and_handles_hidden_anew() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[]).await;
    send_all(&queue, &["1-1", "1-2", "2-1"]).await;
    let first = attempt(&queue, 2, "a").await;
    advance(seconds(20)).await;
    let again = attempt(&queue, 2, "a").await;
    assert_eq!((bodies(&again), receipts(&again)), (bodies(&first), receipts(&first)));
    assert_eq!(again[0].system.receive_count, 1);
    assert_eq!(bodies(&attempt(&queue, 2, "b").await), ["2-1"], "another attempt");
    advance(seconds(20)).await;
    assert_eq!(counts(&queue), (0, 3, 0), "the repeat began their timeout anew");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_cannot_be_repeated_once_one_of_its_messages_was_touched_or_five_minutes_passed() {
    let broker = in_memory().await;
    let queue = create_fifo(&broker, "q.fifo", &[("VisibilityTimeout", "600")]).await;
    send_all(&queue, &["1-1", "1-2", "2-1", "3-1"]).await;
    let first = attempt(&queue, 2, "a").await;
    delete(&queue, &first[0].receipt).await.unwrap();
    let second = attempt(&queue, 1, "a").await;
    assert_eq!(bodies(&second), ["2-1"], "one was deleted");
    hide(&queue, &second[0].receipt, 300).await.unwrap();
    let third = attempt(&queue, 1, "a").await;
    assert_eq!(bodies(&third), ["3-1"], "its visibility was changed");
    advance(Duration::from_millis(299_999)).await;
    assert_eq!(receipts(&attempt(&queue, 1, "a").await), receipts(&third));
    advance(Duration::from_millis(1)).await;
    assert_ne!(bodies(&attempt(&queue, 1, "a").await), ["3-1"], "counted from the first");
}
