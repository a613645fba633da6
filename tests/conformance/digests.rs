//! sqs-semantics §4.1: MD5 digests, against values that AWS gave. SDKs compare them and raise an error when they differ.

use serde_json::{Value, json};

use crate::client::each;
use crate::queue::{Queue, list, text};

fn string(value: &str) -> Value {
    json!({"DataType": "String", "StringValue": value})
}

/// §4.1 Vectors: what was sent, AWS's digest of the attributes.
fn vectors() -> [(Value, &'static str); 7] {
    [
        (json!({"MyAttribute": string("foobar")}), "adb59cd4678ea5a855436b949cd07ab6"),
        (
            json!({"Title": string("The Whistler"), "Author": string("John Grisham"),
                   "WeeksOn": {"DataType": "Number", "StringValue": "6"}}),
            "d25a6aea97eb8f585bfa92d314504a92",
        ),
        (json!({"Foo": string("Bar")}), "ae7155c6026991b6d54b11589678bf9c"),
        (json!({"k": string("x")}), "a45daa70926828a2f0a1db3418e6feb4"),
        (
            json!({"Help.Me": string("Me"), "Hello": string("There"), "General": string("Kenobi")}),
            "4c360f3fdafd970e05fae2f149d997f5",
        ),
        (
            json!({"attr1": {"DataType": "Binary", "BinaryValue":
                "dHJhY2VwYXJlbnQeMDAtNzc0MDYyZDZjMzcwODFhNWEwYjliNWI4OGUzMDYyN2MtMmQyNDgyMjExZjY0ODlkYS0wMQ=="}}),
            "8cbe4db156db8a94db8b801b7addb984",
        ),
        (
            json!({"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}),
            "235c5c510d26fb653d073faed50ae77c",
        ),
    ]
}

#[tokio::test]
async fn attributes_have_the_digests_that_aws_gives() {
    each(async |api| {
        let queue = Queue::plain(&api, "digests").await;
        for (attributes, digest) in vectors() {
            let message = json!({"MessageBody": "message", "MessageAttributes": attributes});
            let sent = queue.ok("SendMessage", &message).await;
            assert_eq!(text(&sent, "MD5OfMessageAttributes"), digest, "{attributes}");
            assert_eq!(text(&sent, "MD5OfMessageBody"), "78e731027d8fd50ed642340b7c9a63b3");
            assert_eq!(sent.get("MD5OfMessageSystemAttributes"), None);
            let received = queue.one().await;
            assert_eq!(text(&received, "MD5OfMessageAttributes"), digest);
            assert_eq!(text(&received, "MD5OfBody"), "78e731027d8fd50ed642340b7c9a63b3");
            queue.delete(&received).await;
            // A batch gives the same ones.
            let mut entry = message.clone();
            entry["Id"] = json!("1");
            let batch = list(&queue.ok("SendMessageBatch", &json!({"Entries": [entry]})).await, "Successful");
            assert_eq!(text(&batch[0], "MD5OfMessageAttributes"), digest);
            assert_eq!(text(&batch[0], "MD5OfMessageBody"), "78e731027d8fd50ed642340b7c9a63b3");
            let received = queue.one().await;
            queue.delete(&received).await;
        }
    })
    .await;
}

/// §4.1: "No attributes → field absent".
#[tokio::test]
async fn without_attributes_there_is_no_digest_of_them() {
    each(async |api| {
        let queue = Queue::plain(&api, "digests").await;
        let sent = queue.send("message").await;
        assert_eq!(sent.get("MD5OfMessageAttributes"), None);
        assert_eq!(queue.one().await.get("MD5OfMessageAttributes"), None);
    })
    .await;
}

/// §4.1 "On receive the digest covers only the attributes actually returned"
/// [A:test_receive_message_message_attribute_names_filters].
#[tokio::test]
async fn a_receive_digests_only_what_it_shows() {
    each(async |api| {
        let queue = Queue::new(&api, "filters", &json!({"VisibilityTimeout": "0"})).await;
        let (attributes, whole) = vectors()[4].clone();
        queue.ok("SendMessage", &json!({"MessageBody": "msg", "MessageAttributes": attributes})).await;
        let everything = &["General", "Hello", "Help.Me"][..];
        let rows: [(&[&str], &[&str], &str); 12] = [
            (&[], &[], ""),
            (&["All"], everything, whole),
            (&["*"], everything, whole),
            (&[".*"], everything, whole),
            (&["Foo", "Help"], &[], ""),
            (&["Hello", "General"], &["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
            (&["Foo", "Hello"], &["Hello"], "a311262e065454b75da111d535b8dacd"),
            (&["Hel.*"], &["Hello", "Help.Me"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
            (&["hello"], &[], ""),
            (&["AWS."], &[], ""),
            (&["..foo"], &[], ""),
            (&["Hello", "All"], everything, whole),
        ];
        for (asked, shown, digest) in rows {
            let received = queue.receive(&json!({"MessageAttributeNames": asked})).await;
            let found = received[0].get("MessageAttributes").map_or_else(Vec::new, |found| {
                let mut names: Vec<String> = found.as_object().unwrap().keys().cloned().collect();
                names.sort();
                names
            });
            assert_eq!(found, shown, "{asked:?}");
            let found = received[0].get("MD5OfMessageAttributes").map_or("", |digest| digest.as_str().unwrap());
            assert_eq!(found, digest, "{asked:?}");
        }
    })
    .await;
}

/// §5.1: ElasticMQ once returned all attributes unasked, which hid a bug until production (elasticmq#97).
#[tokio::test]
async fn attributes_that_were_not_asked_for_are_not_shown() {
    each(async |api| {
        let queue = Queue::plain(&api, "unasked").await;
        queue.ok("SendMessage", &json!({"MessageBody": "msg", "MessageAttributes": vectors()[0].0})).await;
        let received = queue.take(1).await;
        let mut members: Vec<&String> = received[0].as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["Body", "MD5OfBody", "MessageId", "ReceiptHandle"]);
    })
    .await;
}
