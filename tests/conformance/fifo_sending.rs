//! sqs-semantics §6, sending to a FIFO queue: what a message must have, and its sequence number.

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{INVALID_PARAMETER, MISSING_PARAMETER};
use crate::queue::{Queue, list, system, text, unique};
use crate::rows::{assert_refused, refusal};

const NO_DEDUPLICATION: &str =
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly";

async fn without_content_deduplication(api: &crate::client::Api) -> Queue {
    Queue::named(api, unique("explicit") + ".fifo", &json!({"FifoQueue": "true"})).await
}

/// §6 Required [A:test_posting_to_fifo_requires_deduplicationid_group_id, test_send_batch_missing_…].
#[tokio::test]
async fn a_fifo_message_needs_a_group_and_a_deduplication_id() {
    each(async |api| {
        let queue = without_content_deduplication(&api).await;
        let no_group = "The request must contain the parameter MessageGroupId.";
        let of = |members: Value| {
            let mut members = members;
            members["QueueUrl"] = json!(queue.url);
            members
        };
        let good = json!({"Id": "good", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"});
        let batch = |bad: Value| json!({"QueueUrl": queue.url, "Entries": [good, bad]});
        let rows = [
            refusal(
                "§6 group, one message",
                "SendMessage",
                of(json!({"MessageBody": "x", "MessageDeduplicationId": "d"})),
                MISSING_PARAMETER,
                no_group,
            ),
            refusal(
                "§6 deduplication, one message",
                "SendMessage",
                of(json!({"MessageBody": "x", "MessageGroupId": "g"})),
                INVALID_PARAMETER,
                NO_DEDUPLICATION,
            ),
            refusal(
                "§4 group, in a batch: another code",
                "SendMessageBatch",
                batch(json!({"Id": "bad", "MessageBody": "x", "MessageDeduplicationId": "e"})),
                INVALID_PARAMETER,
                no_group,
            ),
            refusal(
                "§4 deduplication, in a batch",
                "SendMessageBatch",
                batch(json!({"Id": "bad", "MessageBody": "x", "MessageGroupId": "g"})),
                INVALID_PARAMETER,
                NO_DEDUPLICATION,
            ),
        ];
        assert_refused(&api, &rows).await;
        assert_eq!(queue.counts().await.visible, 0, "of such a batch nothing is stored");
    })
    .await;
}

/// §4 [A:test_message_deduplication_id_invalid, test_message_deduplication_id_success].
#[tokio::test]
async fn ids_have_one_to_128_characters_without_blanks() {
    each(async |api| {
        let queue = Queue::fifo(&api, "ids", &json!({})).await;
        let send = |group: &str, deduplication: &str| {
            json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageGroupId": group, "MessageDeduplicationId": deduplication})
        };
        let text = |name: &str, value: &str| {
            format!(
                "Value {value} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and \
                 punctuation characters. 1 to 128 in length."
            )
        };
        let too_long = "a".repeat(129);
        let mut rows = Vec::new();
        for bad in ["", &too_long, "group 123", "ä"] {
            let message = text("MessageDeduplicationId", bad);
            rows.push(refusal("§4", "SendMessage", send("test", bad), INVALID_PARAMETER, message));
        }
        for bad in [&too_long, "group 123", "ä"] {
            let message = text("MessageGroupId", bad);
            rows.push(refusal("§4", "SendMessage", send(bad, "d"), INVALID_PARAMETER, message));
        }
        assert_refused(&api, &rows).await;
        let longest = "a".repeat(128);
        api.ok("SendMessage", &send(&longest, &longest)).await;
        let received = queue.one().await;
        assert_eq!(system(&received, "MessageGroupId"), longest);
        assert_eq!(system(&received, "MessageDeduplicationId"), longest);
    })
    .await;
}

/// §6 SequenceNumber [A:test_sequence_number, test_fifo_sequence_number_increases, test_fifo_message_attributes];
/// fakecloud got its form wrong (fakecloud#2237).
#[tokio::test]
async fn sequence_numbers_have_twenty_digits_and_increase() {
    each(async |api| {
        let queue = Queue::fifo(&api, "sequence", &json!({})).await;
        let mut numbers = Vec::new();
        for body in ["m1", "m2", "m3"] {
            numbers.push(text(&queue.send_to("g", body).await, "SequenceNumber").to_owned());
        }
        let entries: Value = (0..10)
            .map(|id| json!({"Id": id.to_string(), "MessageBody": format!("b{id}"), "MessageGroupId": "g"}))
            .collect();
        let batch = queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
        numbers.extend(list(&batch, "Successful").iter().map(|entry| text(entry, "SequenceNumber").to_owned()));
        assert!(
            numbers.iter().all(|number| number.len() == 20 && number.bytes().all(|b| b.is_ascii_digit())),
            "{numbers:?}"
        );
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        // A receive tells what the send told, at each delivery.
        for count in ["1", "2"] {
            let received = queue.one().await;
            assert_eq!(system(&received, "SequenceNumber"), numbers[0]);
            assert_eq!(system(&received, "ApproximateReceiveCount"), count);
            queue.change(&received, 0).await;
        }
    })
    .await;
}

/// §5.1 System attributes of a FIFO message [A:test_fifo_message_attributes]; missing in floci's events (floci#1526).
#[tokio::test]
async fn a_fifo_message_shows_its_group_deduplication_and_sequence() {
    each(async |api| {
        let high = json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"});
        let queue = Queue::fifo(&api, "shown", &high).await;
        let message = json!({"MessageBody": "x", "MessageGroupId": "group-1", "MessageDeduplicationId": "dedup-1"});
        let sent = queue.ok("SendMessage", &message).await;
        let received = queue.one().await;
        let mut names: Vec<&String> = received["Attributes"].as_object().unwrap().keys().collect();
        names.sort();
        let expected = [
            "ApproximateFirstReceiveTimestamp",
            "ApproximateReceiveCount",
            "MessageDeduplicationId",
            "MessageGroupId",
            "SenderId",
            "SentTimestamp",
            "SequenceNumber",
        ];
        assert_eq!(names, expected);
        assert_eq!(system(&received, "MessageGroupId"), "group-1");
        assert_eq!(system(&received, "MessageDeduplicationId"), "dedup-1");
        assert_eq!(system(&received, "SequenceNumber"), text(&sent, "SequenceNumber"));
    })
    .await;
}
