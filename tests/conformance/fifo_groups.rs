//! sqs-semantics §6, message groups: who may receive of a group, and in which order. Each bug that an emulator's own
//! tracker tells of (§6, §10) is a test here, named after what it protects.

use serde_json::{Value, json};

use crate::client::{Api, each};
use crate::queue::{Queue, bodies, handle, system};

async fn with_messages(api: &Api, attributes: Value, messages: &[(&str, &str)]) -> Queue {
    let queue = Queue::fifo(api, "groups", &attributes).await;
    queue.send_all(messages).await;
    queue
}

const THREE: [(&str, &str); 3] = [("g", "m1"), ("g", "m2"), ("g", "m3")];

/// localstack#12457; recorded on AWS [A:test_fifo_group_visibility_extends_with_change_message_visibility]: of three in
/// flight one is held longer; when the others' time is over, exactly those before it come.
#[tokio::test]
async fn a_group_is_not_delivered_behind_its_invisible_head() {
    each(async |api| {
        let held = async |index: usize, expected: &[&str]| {
            let queue = with_messages(&api, json!({"VisibilityTimeout": "2"}), &THREE).await;
            let received = queue.take(5).await;
            assert_eq!(bodies(&received), ["m1", "m2", "m3"]);
            queue.change(&received[index], 30).await;
            let again = queue.receive(&json!({"MaxNumberOfMessages": 5, "WaitTimeSeconds": 4})).await;
            assert_eq!(bodies(&again), expected, "message {} is held", index + 1);
        };
        tokio::join!(held(0, &[]), held(1, &["m1"]), held(2, &["m1", "m2"]));
    })
    .await;
}

/// The same with what is returned at once: behind a message in flight nothing of its group moves.
#[tokio::test]
async fn messages_returned_behind_one_in_flight_wait_for_it() {
    each(async |api| {
        let queue = with_messages(&api, json!({}), &THREE).await;
        let received = queue.take(3).await;
        queue.change(&received[2], 0).await;
        queue.change(&received[1], 0).await;
        assert_eq!(queue.bodies(10).await, [""; 0]);
        queue.delete(&received[0]).await;
        assert_eq!(queue.bodies(10).await, ["m2", "m3"]);
    })
    .await;
}

/// localstack#8724, localstack#9975, localstack#6762.
#[tokio::test]
async fn new_sends_do_not_unlock_a_group() {
    each(async |api| {
        let queue = with_messages(&api, json!({}), &THREE[..1]).await;
        let received = queue.take(10).await;
        queue.send_all(&THREE[1..]).await;
        assert_eq!(queue.bodies(10).await, [""; 0]);
        // Another group is free.
        queue.send_to("other", "o1").await;
        assert_eq!(queue.bodies(10).await, ["o1"]);
        queue.delete(&received[0]).await;
        assert_eq!(queue.bodies(10).await, ["m2", "m3"]);
    })
    .await;
}

/// localstack#8724 [A:test_fifo_message_group_visibility]: nor do receivers that wait already get of it, until the one
/// that holds it lets go.
#[tokio::test]
async fn receivers_that_wait_get_a_locked_group_only_when_it_is_free() {
    each(async |api| {
        let queue = Queue::fifo(&api, "waiting", &json!({})).await;
        queue.send_to("g", "m1").await;
        let held = queue.take(1).await;
        let asked = json!({"WaitTimeSeconds": 3});
        let wait = || queue.receive(&asked);
        let work = async {
            queue.send_to("g", "m2").await;
            queue.send_to("g", "m3").await;
            queue.send_to("other", "o1").await;
            queue.delete(&held[0]).await;
        };
        let (one, two, three, ()) = tokio::join!(wait(), wait(), wait(), work);
        let mut received = [bodies(&one), bodies(&two), bodies(&three)].concat();
        received.sort();
        // m3 stays locked behind m2 for as long as any of them waited.
        assert_eq!(received, ["m2", "o1"]);
    })
    .await;
}

/// localstack#6766: two of several receives at once never share a group.
#[tokio::test]
async fn parallel_receives_never_share_a_group() {
    each(async |api| {
        for _ in 0..5 {
            let queue = Queue::fifo(&api, "parallel", &json!({})).await;
            for index in 0..10 {
                queue.send_to("g", &format!("m{index}")).await;
            }
            let take = || queue.take(5);
            let (a, b, c, d) = tokio::join!(take(), take(), take(), take());
            let brought: Vec<usize> =
                [&a, &b, &c, &d].iter().map(|messages| messages.len()).filter(|n| *n > 0).collect();
            assert_eq!(brought, [5], "one gets five, the others none");
        }
    })
    .await;
}

/// localstack#10107, #10859, #3013, #3319 [A:test_dead_letter_queue_with_fifo_and_content_based_deduplication].
#[tokio::test]
async fn a_head_moved_to_the_dead_letter_queue_unlocks_its_group() {
    each(async |api| {
        let dlq = Queue::fifo(&api, "dlq", &json!({})).await;
        let attributes = crate::queue::redrive_to(&dlq, 2);
        let queue = with_messages(&api, attributes, &THREE[..2]).await;
        queue.receive_and_return(2).await;
        // The third receive moves the head, and what stood behind it is free at once.
        assert_eq!(queue.bodies(1).await, ["m2"]);
        assert_eq!(dlq.bodies(10).await, ["m1"]);
        // And the group works on.
        queue.send_to("other", "o1").await;
        assert_eq!(queue.bodies(10).await, ["o1"]);
    })
    .await;
}

/// The same when the moved message was the last of its group, and the group goes on later.
#[tokio::test]
async fn a_group_emptied_by_its_dead_letter_queue_takes_new_messages() {
    each(async |api| {
        let dlq = Queue::fifo(&api, "dlq", &json!({})).await;
        let queue = with_messages(&api, crate::queue::redrive_to(&dlq, 2), &THREE[..1]).await;
        queue.receive_and_return(2).await;
        assert_eq!(queue.bodies(1).await, [""; 0]);
        queue.send_to("g", "m2").await;
        assert_eq!(queue.bodies(1).await, ["m2"]);
    })
    .await;
}

/// localstack#10107 [A:test_fifo_empty_message_groups_added_back_to_queue], localstack#2710, #13148: a group that ran
/// empty, was asked for, and goes on, again and again.
#[tokio::test]
async fn a_group_that_ran_empty_works_on() {
    each(async |api| {
        let queue = Queue::fifo(&api, "empty", &json!({})).await;
        for round in 0..5 {
            let body = format!("m{round}");
            queue.send_to("g", &body).await;
            let received = queue.take(10).await;
            assert_eq!(bodies(&received), [body]);
            queue.delete(&received[0]).await;
            assert_eq!(queue.bodies(10).await, [""; 0]);
        }
    })
    .await;
}

/// floci#2104: what is delayed stands behind what is visible, and does not hide it.
#[tokio::test]
async fn a_delayed_message_does_not_block_visible_ones() {
    each(async |api| {
        let queue = Queue::fifo(&api, "delayed", &json!({"DelaySeconds": "2"})).await;
        queue.send_to("g", "m1").await;
        tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
        queue.send_to("g", "m2").await;
        queue.send_to("other", "o1").await;
        let received = queue.wait(5).await;
        assert_eq!(bodies(&received), ["m1"]);
        queue.delete(&received[0]).await;
        let mut rest = bodies(&queue.wait(5).await);
        if rest.len() < 2 {
            rest.extend(bodies(&queue.wait(5).await));
        }
        rest.sort();
        assert_eq!(rest, ["m2", "o1"]);
    })
    .await;
}

/// localstack#4287 [A:test_fifo_messages_in_order_after_timeout]: whatever order they came back in.
#[tokio::test]
async fn returned_messages_keep_their_order() {
    each(async |api| {
        let queue = with_messages(&api, json!({}), &THREE).await;
        for order in [[2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let received = queue.take(10).await;
            assert_eq!(bodies(&received), ["m1", "m2", "m3"]);
            for index in order {
                queue.change(&received[index], 0).await;
            }
        }
        // And when time gives them back.
        assert_eq!(queue.receive(&json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 1})).await.len(), 3);
        assert_eq!(bodies(&queue.wait(5).await), ["m1", "m2", "m3"]);
    })
    .await;
}

/// localstack#5462: entries of a batch are in the order of the request.
#[tokio::test]
async fn a_batch_keeps_its_order() {
    each(async |api| {
        let queue = Queue::fifo(&api, "batch", &json!({})).await;
        let mut expected = Vec::new();
        for batch in 0..2 {
            let entries: Value = (0..10)
                .map(|id| json!({"Id": format!("z{}", 9 - id), "MessageBody": format!("{batch}-{id}"), "MessageGroupId": "g"}))
                .collect();
            queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
            expected.extend((0..10).map(|id| format!("{batch}-{id}")));
        }
        let mut received = Vec::new();
        for _ in 0..2 {
            let messages = queue.take(10).await;
            received.extend(bodies(&messages));
            for message in &messages {
                queue.delete(message).await;
            }
        }
        assert_eq!(received, expected);
    })
    .await;
}

/// §6 "packs as many of one group as possible, then other groups" [A:test_fifo_receive_message_group_id_ordering].
#[tokio::test]
async fn a_receive_packs_one_group_before_the_next() {
    each(async |api| {
        let messages = [("1", "g1-m1"), ("2", "g2-m1"), ("1", "g1-m2"), ("1", "g1-m3")];
        let queue = with_messages(&api, json!({}), &messages).await;
        assert_eq!(queue.bodies(10).await, ["g1-m1", "g1-m2", "g1-m3", "g2-m1"]);
    })
    .await;
}

/// §6 "group with any in-flight message is locked" [A:test_fifo_receive_message_visibility_timeout_shared_in_group].
#[tokio::test]
async fn one_message_in_flight_locks_its_whole_group() {
    each(async |api| {
        let messages = [("1", "g1-m1"), ("1", "g1-m2"), ("1", "g1-m3"), ("1", "g1-m4"), ("2", "g2-m1"), ("3", "g3-m1")];
        let queue = with_messages(&api, json!({"VisibilityTimeout": "2"}), &messages).await;
        assert_eq!(queue.bodies(2).await, ["g1-m1", "g1-m2"]);
        assert_eq!(queue.bodies(1).await, ["g2-m1"]);
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        let all = queue.receive(&json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 0})).await;
        let recorded = [
            ["g3-m1", "g1-m1", "g1-m2", "g1-m3", "g1-m4", "g2-m1"],
            ["g3-m1", "g2-m1", "g1-m1", "g1-m2", "g1-m3", "g1-m4"],
        ];
        assert!(
            recorded.contains(&bodies(&all).iter().map(String::as_str).collect::<Vec<_>>().try_into().unwrap()),
            "{:?}",
            bodies(&all)
        );
    })
    .await;
}

/// §6 [A:test_fifo_message_group_visibility_after_terminate_visibility_timeout].
#[tokio::test]
async fn a_returned_head_comes_alone_and_its_group_last() {
    each(async |api| {
        let messages = [("1", "g1-m1"), ("1", "g1-m2"), ("2", "g2-m1")];
        let queue = with_messages(&api, json!({}), &messages).await;
        let received = queue.take(2).await;
        assert_eq!(bodies(&received), ["g1-m1", "g1-m2"]);
        queue.change(&received[0], 0).await;
        assert_eq!(queue.bodies(3).await, ["g2-m1", "g1-m1"], "g1-m2 is in flight still");
    })
    .await;
}

/// §6 [A:test_fifo_message_group_visibility_after_change_message_visibility].
#[tokio::test]
async fn a_head_whose_time_ran_out_comes_alone_and_its_group_last() {
    each(async |api| {
        let messages = [("1", "g1-m1"), ("1", "g1-m2"), ("2", "g2-m1")];
        let queue = with_messages(&api, json!({}), &messages).await;
        let received = queue.take(2).await;
        queue.change(&received[0], 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert_eq!(queue.bodies(3).await, ["g2-m1", "g1-m1"]);
    })
    .await;
}

/// §6 [A:test_fifo_message_group_visibility_after_delete, …_after_partial_delete].
#[tokio::test]
async fn a_group_is_free_when_all_that_was_received_of_it_is_deleted() {
    each(async |api| {
        let messages = [
            ("1", "g1-m1"),
            ("2", "g2-m1"),
            ("1", "g1-m2"),
            ("2", "g2-m2"),
            ("1", "g1-m3"),
            ("1", "g1-m4"),
            ("3", "g3-m1"),
        ];
        let queue = with_messages(&api, json!({}), &messages).await;
        let received = queue.take(2).await;
        assert_eq!(bodies(&received), ["g1-m1", "g1-m2"]);
        queue.delete(&received[0]).await;
        assert_eq!(queue.bodies(10).await, ["g2-m1", "g2-m2", "g3-m1"], "one of two is in flight still");
        queue.delete(&received[1]).await;
        assert_eq!(queue.bodies(10).await, ["g1-m3", "g1-m4"]);
    })
    .await;
}

/// The recorded order when all was deleted: the group that was served stands behind the one that was not.
#[tokio::test]
async fn a_group_that_was_served_stands_behind_one_that_was_not() {
    each(async |api| {
        let messages = [
            ("1", "g1-m1"),
            ("2", "g2-m1"),
            ("1", "g1-m2"),
            ("2", "g2-m2"),
            ("1", "g1-m3"),
            ("1", "g1-m4"),
            ("3", "g3-m1"),
        ];
        let queue = with_messages(&api, json!({}), &messages).await;
        for message in queue.take(2).await {
            queue.delete(&message).await;
        }
        let drained = queue.bodies(10).await;
        let recorded = [["g2-m1", "g2-m2", "g1-m3", "g1-m4", "g3-m1"], ["g2-m1", "g2-m2", "g3-m1", "g1-m3", "g1-m4"]];
        assert!(recorded.iter().any(|order| drained == order), "{drained:?}");
    })
    .await;
}

/// §6 "VisibilityTimeout=0 on receive rotates groups" [A:test_fifo_receive_message_with_zero_visibility_timeout].
#[tokio::test]
async fn a_receive_without_visibility_rotates_the_groups() {
    each(async |api| {
        let messages = [("1", "g1-m1"), ("2", "g2-m1"), ("2", "g2-m2"), ("3", "g3-m1"), ("1", "g1-m2")];
        let queue = with_messages(&api, json!({}), &messages).await;
        let take = async |max: usize| {
            bodies(&queue.receive(&json!({"MaxNumberOfMessages": max, "VisibilityTimeout": 0})).await)
        };
        assert_eq!(take(3).await, ["g1-m1", "g1-m2", "g2-m1"]);
        assert_eq!(take(10).await, ["g3-m1", "g1-m1", "g1-m2", "g2-m1", "g2-m2"]);
    })
    .await;
}

/// §3 counters of FIFO [A:test_fifo_approx_number_of_messages, test_fifo_approximate_number_of_messages_not_visible]:
/// a locked group's other messages count as visible.
#[tokio::test]
async fn a_locked_group_counts_as_visible_but_for_what_is_in_flight() {
    each(async |api| {
        let messages = [("1", "a"), ("1", "b"), ("2", "c"), ("2", "d"), ("3", "e"), ("3", "f")];
        let queue = with_messages(&api, json!({}), &messages).await;
        let asked = json!({"MessageSystemAttributeNames": ["MessageGroupId"]});
        for group in ["1", "2"] {
            let received = queue.receive(&asked).await;
            assert_eq!(system(&received[0], "MessageGroupId"), group);
        }
        assert_eq!(queue.counts().await, support::Counts { visible: 4, in_flight: 2, delayed: 0 });
    })
    .await;
}

/// localstack#2710 [A:test_fifo_queue_send_multiple_messages_multiple_single_receives].
#[tokio::test]
async fn a_group_is_worked_off_one_by_one_in_order() {
    each(async |api| {
        let queue = Queue::fifo(&api, "one-by-one", &json!({})).await;
        for index in 0..6 {
            queue.send_to("g", &format!("m{index}")).await;
        }
        for index in 0..6 {
            let received = queue.take(1).await;
            assert_eq!(bodies(&received), [format!("m{index}")]);
            queue.ok("DeleteMessage", &json!({"ReceiptHandle": handle(&received[0])})).await;
        }
    })
    .await;
}
