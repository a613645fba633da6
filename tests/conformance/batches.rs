//! sqs-semantics §4, batches: what fails a whole request, and what fails one entry of it.

use serde_json::{Value, json};

use crate::client::each;
use crate::errors::{
    BATCH_TOO_LONG, EMPTY_BATCH, IDS_NOT_DISTINCT, INVALID_ENTRY_ID, MISSING_PARAMETER, TOO_MANY_ENTRIES,
};
use crate::queue::{Queue, bodies, handle, list, text};
use crate::rows::{Refusal, assert_refused, refusal};

/// The three batches, with an entry that is right but for its id.
fn kinds() -> [(&'static str, Value); 3] {
    [
        ("SendMessageBatch", json!({"MessageBody": "x"})),
        ("DeleteMessageBatch", json!({"ReceiptHandle": "testHandle1"})),
        ("ChangeMessageVisibilityBatch", json!({"ReceiptHandle": "testHandle1", "VisibilityTimeout": 1})),
    ]
}

fn with_ids(entry: &Value, ids: &[&str]) -> Value {
    let entries = ids.iter().map(|id| {
        let mut entry = entry.clone();
        entry["Id"] = json!(id);
        entry
    });
    entries.collect()
}

/// §4 Batch [A:test_too_many_entries_in_batch_request, test_invalid_batch_id, test_delete_message_batch_invalid_msg_id,
/// test_…_with_too_large_batch, test_send_message_batch_with_empty_list].
#[tokio::test]
async fn wrong_ids_and_counts_fail_the_whole_request() {
    each(async |api| {
        let queue = Queue::plain(&api, "batch").await;
        let mut rows: Vec<Refusal> = Vec::new();
        for (action, entry) in kinds() {
            let mut row = |source, entries: Value, kind, message: &str| {
                let members = json!({"QueueUrl": queue.url, "Entries": entries});
                rows.push(refusal(source, action, members, kind, message));
            };
            for count in [11, 20] {
                let ids: Vec<String> = (0..count).map(|id| id.to_string()).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let message = format!("Maximum number of entries per request are 10. You have sent {count}.");
                row("§4 ≤10", with_ids(&entry, &ids), TOO_MANY_ENTRIES, &message);
            }
            row("§4 ≥1", json!([]), EMPTY_BATCH, "");
            let too_long = "a".repeat(81);
            for bad in ["", &too_long, "invalid:id", "a b", "ä"] {
                let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                               It can be at most 80 letters long.";
                row("§4 ids", with_ids(&entry, &["good", bad]), INVALID_ENTRY_ID, message);
            }
            row("§4 distinct", with_ids(&entry, &["a", "b", "a"]), IDS_NOT_DISTINCT, "");
            row("§4 ids", json!([entry]), MISSING_PARAMETER, "");
        }
        assert_refused(&api, &rows).await;
        assert_eq!(queue.counts().await.visible, 0, "nothing of them was stored");
    })
    .await;
}

/// §4 "total ≤"; one byte more fails all [A:test_send_message_batch_with_oversized_contents].
#[tokio::test]
async fn a_batch_has_a_mebibyte_in_all() {
    each(async |api| {
        let queue = Queue::plain(&api, "batch").await;
        let attribute = json!({"k": {"DataType": "String", "StringValue": "x"}});
        let entries = |bytes: usize| {
            let first = "a".repeat(bytes - "kStringx".len() - 1);
            json!({"QueueUrl": queue.url, "Entries": [
                {"Id": "1", "MessageBody": first, "MessageAttributes": attribute}, {"Id": "2", "MessageBody": "a"}]})
        };
        let mebibyte = 1_048_576;
        let message = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.";
        let row = refusal("§4 total", "SendMessageBatch", entries(mebibyte + 1), BATCH_TOO_LONG, message);
        assert_refused(&api, &[row]).await;
        assert_eq!(queue.counts().await.visible, 0);
        let sent = api.ok("SendMessageBatch", &entries(mebibyte)).await;
        assert_eq!(list(&sent, "Successful").len(), 2);
    })
    .await;
}

/// §4 [A:test_send_message_batch_with_oversized_contents_with_updated_maximum_message_size, test_send_batch_message_size]:
/// the queue's own MaximumMessageSize is a limit of each entry, not of the batch.
#[tokio::test]
async fn a_queues_own_limit_is_of_each_entry() {
    each(async |api| {
        let queue = Queue::new(&api, "batch", &json!({"MaximumMessageSize": "1024"})).await;
        let entry = |id: &str, bytes: usize| json!({"Id": id, "MessageBody": "a".repeat(bytes)});
        let both = queue.ok("SendMessageBatch", &json!({"Entries": [entry("1", 1024), entry("2", 1024)]})).await;
        assert_eq!((list(&both, "Successful").len(), list(&both, "Failed").len()), (2, 0), "{both}");
        let one = queue.ok("SendMessageBatch", &json!({"Entries": [entry("fits", 1024), entry("over", 1025)]})).await;
        assert_eq!(text(&list(&one, "Successful")[0], "Id"), "fits");
        let failed = json!({"Id": "over", "SenderFault": true, "Code": "InvalidParameterValue", "Message":
            "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."});
        assert_eq!(list(&one, "Failed"), [failed]);
    })
    .await;
}

/// §4 "Per-entry content faults go to Failed" [A:test_batch_send_with_invalid_char_should_succeed].
#[tokio::test]
async fn a_bad_entry_fails_alone() {
    each(async |api| {
        let queue = Queue::plain(&api, "batch").await;
        let empty_value = json!({"a": {"DataType": "String", "StringValue": ""}});
        let entries = json!([
            {"Id": "0", "MessageBody": "first"},
            {"Id": "control", "MessageBody": "\u{1}"},
            {"Id": "attribute", "MessageBody": "x", "MessageAttributes": empty_value},
            {"Id": "delay", "MessageBody": "x", "DelaySeconds": 901},
            {"Id": "group", "MessageBody": "x", "MessageGroupId": "a b"},
            {"Id": "4", "MessageBody": "last"},
        ]);
        let answer = queue.ok("SendMessageBatch", &json!({"Entries": entries})).await;
        let of = |name: &str, member: &str| -> Vec<String> {
            list(&answer, name).iter().map(|entry| text(entry, member).to_owned()).collect()
        };
        assert_eq!(of("Successful", "Id"), ["0", "4"]);
        assert_eq!(of("Failed", "Id"), ["control", "attribute", "delay", "group"]);
        let invalid = "InvalidParameterValue";
        assert_eq!(of("Failed", "Code"), ["InvalidMessageContents", invalid, invalid, invalid]);
        assert!(list(&answer, "Failed").iter().all(|entry| entry["SenderFault"] == json!(true)), "{answer}");
        assert_eq!(queue.bodies(10).await, ["first", "last"]);
    })
    .await;
}

/// §2: per entry as for one message; ten of them.
#[tokio::test]
async fn ten_entries_are_sent_changed_and_deleted() {
    each(async |api| {
        let queue = Queue::plain(&api, "batch").await;
        let entries: Value = (0..10).map(|id| json!({"Id": id.to_string(), "MessageBody": format!("m{id}")})).collect();
        let sent = list(&queue.ok("SendMessageBatch", &json!({"Entries": entries})).await, "Successful");
        let received = queue.take(10).await;
        let mut ids: Vec<&str> = received.iter().map(|message| text(message, "MessageId")).collect();
        let mut sent_ids: Vec<&str> = sent.iter().map(|entry| text(entry, "MessageId")).collect();
        ids.sort_unstable();
        sent_ids.sort_unstable();
        assert_eq!(ids, sent_ids);
        let of_received = |more: Value| -> Value {
            let entries = received.iter().enumerate().map(|(index, message)| {
                let mut entry = more.clone();
                entry["Id"] = json!(format!("id-{index}"));
                entry["ReceiptHandle"] = json!(handle(message));
                entry
            });
            json!({"Entries": entries.collect::<Vec<_>>()})
        };
        let changed = queue.ok("ChangeMessageVisibilityBatch", &of_received(json!({"VisibilityTimeout": 60}))).await;
        let expected: Vec<Value> = (0..10).map(|index| json!({"Id": format!("id-{index}")})).collect();
        assert_eq!((list(&changed, "Successful"), list(&changed, "Failed").len()), (expected.clone(), 0));
        let deleted = queue.ok("DeleteMessageBatch", &of_received(json!({}))).await;
        assert_eq!((list(&deleted, "Successful"), list(&deleted, "Failed").len()), (expected, 0));
        assert_eq!(queue.counts().await, support::Counts::EMPTY);
    })
    .await;
}

/// §2, §5.3: a receipt that is none fails its entry.
#[tokio::test]
async fn a_bad_receipt_fails_its_entry() {
    each(async |api| {
        let queue = Queue::plain(&api, "batch").await;
        queue.send("x").await;
        let received = queue.one().await;
        let good = handle(&received);
        let change = json!({"Entries": [
            {"Id": "garbage", "ReceiptHandle": "garbage", "VisibilityTimeout": 5},
            {"Id": "range", "ReceiptHandle": good, "VisibilityTimeout": 43_201},
            {"Id": "good", "ReceiptHandle": good, "VisibilityTimeout": 60},
        ]});
        let delete = json!({"Entries": [
            {"Id": "garbage", "ReceiptHandle": "garbage"}, {"Id": "good", "ReceiptHandle": good}]});
        for (action, members, expected) in [
            (
                "ChangeMessageVisibilityBatch",
                change,
                vec![("garbage", "ReceiptHandleIsInvalid"), ("range", "InvalidParameterValue")],
            ),
            ("DeleteMessageBatch", delete, vec![("garbage", "ReceiptHandleIsInvalid")]),
        ] {
            let answer = queue.ok(action, &members).await;
            assert_eq!(list(&answer, "Successful"), [json!({"Id": "good"})], "{action}");
            let failed = list(&answer, "Failed");
            let failed: Vec<_> = failed.iter().map(|entry| (text(entry, "Id"), text(entry, "Code"))).collect();
            assert_eq!(failed, expected, "{action}");
        }
        assert_eq!(bodies(&queue.take(10).await).len(), 0);
    })
    .await;
}
