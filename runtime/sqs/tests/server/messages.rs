//! Messages through the SDK.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use crate::{assert_raises, code_and_text, create, start};

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

#[tokio::test]
async fn a_message_through_the_sdk() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let value = |text: &str| MessageAttributeValue::builder().data_type("String").string_value(text).build().unwrap();
    let weeks = MessageAttributeValue::builder().data_type("Number").string_value("6").build().unwrap();
    let blob =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 159, 255])).build().unwrap();
    let sent = client
        .send_message()
        .queue_url(&url)
        .message_body("b")
        .message_attributes("Author", value("John Grisham"))
        .message_attributes("Title", value("The Whistler"))
        .message_attributes("WeeksOn", weeks)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.md5_of_message_attributes(), Some("d25a6aea97eb8f585bfa92d314504a92"), "recorded on AWS");
    assert_eq!(sent.md5_of_message_body(), Some("92eb5ffee6ae2fec3ad71c777531578f"));
    assert_eq!((sent.sequence_number(), sent.md5_of_message_system_attributes()), (None, None));

    let receive = |names: &'static [&'static str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let call =
            client.receive_message().queue_url(&url).visibility_timeout(0).set_message_attribute_names(Some(names));
        async move { call.send().await.unwrap().messages.unwrap().remove(0) }
    };
    let bare = receive(&[]).await;
    assert_eq!((bare.message_id(), bare.body()), (sent.message_id(), Some("b")));
    assert!(bare.message_attributes.is_none() && bare.attributes.is_none() && bare.md5_of_message_attributes.is_none());
    let all = receive(&["All"]).await;
    assert_eq!(all.md5_of_message_attributes(), sent.md5_of_message_attributes());
    assert_eq!(all.message_attributes.unwrap().len(), 3);
    let some = receive(&["Title", "Unheard"]).await;
    let shown = some.message_attributes.unwrap();
    assert_eq!(shown.keys().collect::<Vec<_>>(), ["Title"]);
    assert!(some.md5_of_message_attributes.is_some());
    assert_ne!(some.md5_of_message_attributes.as_deref(), sent.md5_of_message_attributes(), "over what is shown");

    let call = client.receive_message().queue_url(&url).visibility_timeout(0);
    #[expect(deprecated, reason = "old SDKs send it, and both lists add up")]
    let call = call.attribute_names(QueueAttributeName::from("SentTimestamp"));
    let call = call.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
    let message = call.send().await.unwrap().messages.unwrap().remove(0);
    let names: BTreeSet<String> = message.attributes.unwrap().keys().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(names, BTreeSet::from(["ApproximateReceiveCount".to_owned(), "SentTimestamp".to_owned()]));

    client.purge_queue().queue_url(&url).send().await.unwrap();
    let call = client.send_message().queue_url(&url).message_body("x").message_attributes("blob", blob);
    call.send().await.unwrap();
    let message = receive(&[".*"]).await;
    let shown = message.message_attributes.unwrap();
    assert_eq!(shown["blob"].binary_value().unwrap().as_ref(), [0, 159, 255]);
    server.stop().await;
}

#[tokio::test]
async fn one_message_is_the_default_and_the_queues_own_wait_counts() {
    let (server, client) = start().await;
    let create = client.create_queue().queue_name("slow").attributes("ReceiveMessageWaitTimeSeconds".into(), "2");
    let url = create.send().await.unwrap().queue_url.unwrap();
    let start = Instant::now();
    assert!(client.receive_message().queue_url(&url).send().await.unwrap().messages.is_none());
    assert!(start.elapsed() >= Duration::from_millis(1900), "the queue's wait: {:?}", start.elapsed());
    let start = Instant::now();
    let explicit = client.receive_message().queue_url(&url).wait_time_seconds(0).send().await.unwrap();
    assert!(explicit.messages.is_none());
    assert!(start.elapsed() < Duration::from_millis(1500), "an explicit 0 is a short poll: {:?}", start.elapsed());
    for body in ["1", "2"] {
        client.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    assert_eq!(client.receive_message().queue_url(&url).send().await.unwrap().messages().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn wrong_messages() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let send = |body: &str| client.send_message().queue_url(&url).message_body(body);
    let error = send("bad \u{b}").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_message_contents(), "{error:?}");
    let value =
        |kind: &str, text: &str| MessageAttributeValue::builder().data_type(kind).string_value(text).build().unwrap();
    let long = "x".repeat((1 << 20) + 1);
    let mut many = send("x");
    for index in 0..11 {
        many = many.message_attributes(format!("a{index}"), value("String", "v"));
    }
    let rows = [
        (send(""), "MissingParameter", "The request must contain the parameter MessageBody."),
        (
            send(&long),
            "InvalidParameterValue",
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        ),
        (
            send("x").delay_seconds(901),
            "InvalidParameterValue",
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
        (
            send("x").message_attributes("X", value("String", "")),
            "InvalidParameterValue",
            "Message (user) attribute 'X' must contain a non-empty value of type 'String'.",
        ),
        (
            send("x").message_attributes("X", value("Number", "many")),
            "InvalidParameterValue",
            "Can't cast the value of message (user) attribute 'X' to a number.",
        ),
        (many, "InvalidParameterValue", "Number of message attributes [11] exceeds the allowed maximum [10]."),
        (
            send("x").message_group_id("a b"),
            "InvalidParameterValue",
            "Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and \
             punctuation characters. 1 to 128 in length.",
        ),
        (
            send("x").message_deduplication_id("d"),
            "InvalidParameterValue",
            "Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not \
             valid for this queue type.",
        ),
    ];
    for (call, code, text) in rows {
        assert_eq!(code_and_text(call.send().await), (code.to_owned(), text.to_owned()));
    }
    let stored = client.receive_message().queue_url(&url).send().await.unwrap();
    assert!(stored.messages.is_none(), "nothing of all that was stored");
    server.stop().await;
}

#[tokio::test]
async fn wrong_batches() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let send = |entries: Vec<SendMessageBatchRequestEntry>| {
        client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send()
    };
    let text = "There should be at least one SendMessageBatchRequestEntry in the request.";
    assert_raises!(send(vec![]).await, is_empty_batch_request, text);
    let twenty = (0..20).map(|index| entry(&index.to_string(), "x")).collect();
    let text = "Maximum number of entries per request are 10. You have sent 20.";
    assert_raises!(send(twenty).await, is_too_many_entries_in_batch_request, text);
    let text = "Id a repeated.";
    assert_raises!(send(vec![entry("a", "x"), entry("a", "y")]).await, is_batch_entry_ids_not_distinct, text);
    let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
                letters long.";
    assert_raises!(send(vec![entry("a:b", "x")]).await, is_invalid_batch_entry_id, text);
    let half = "x".repeat(1 << 19);
    let too_long = vec![entry("a", &half), entry("b", &half), entry("c", "x")];
    let text = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.";
    assert_raises!(send(too_long).await, is_batch_request_too_long, text);
    let stored = client.receive_message().queue_url(&url).send().await.unwrap();
    assert!(stored.messages.is_none(), "a refused batch stores nothing");

    let mixed = send(vec![entry("1", "fine"), entry("2", "bad \u{1}"), entry("3", "")]).await.unwrap();
    assert_eq!(mixed.successful.iter().map(|sent| sent.id()).collect::<Vec<_>>(), ["1"]);
    let failed: Vec<_> =
        mixed.failed.iter().map(|failed| (failed.id(), failed.code(), failed.sender_fault())).collect();
    assert_eq!(failed, [("2", "InvalidMessageContents", true), ("3", "MissingParameter", true)]);

    let delete = |count: usize| {
        let entry = |index: usize| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle("garbage").build().unwrap()
        };
        client.delete_message_batch().queue_url(&url).set_entries(Some((0..count).map(entry).collect())).send()
    };
    let text = "There should be at least one DeleteMessageBatchRequestEntry in the request.";
    assert_raises!(delete(0).await, is_empty_batch_request, text);
    let text = "Maximum number of entries per request are 10. You have sent 11.";
    assert_raises!(delete(11).await, is_too_many_entries_in_batch_request, text);
    let failed = delete(1).await.unwrap().failed.remove(0);
    assert_eq!((failed.code(), failed.sender_fault()), ("ReceiptHandleIsInvalid", true));

    let received = client.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap().remove(0);
    let change = |id: &str, handle: &str, timeout: Option<i32>| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id).receipt_handle(handle);
        entry.set_visibility_timeout(timeout).build().unwrap()
    };
    let handle = received.receipt_handle().unwrap();
    let entries = vec![
        change("1", handle, Some(60)),
        change("2", handle, None),
        change("3", handle, Some(43_201)),
        change("4", "garbage", Some(1)),
    ];
    let call = client.change_message_visibility_batch().queue_url(&url).set_entries(Some(entries));
    let mixed = call.send().await.unwrap();
    assert_eq!(mixed.successful.iter().map(|changed| changed.id()).collect::<Vec<_>>(), ["1"]);
    let failed: Vec<_> = mixed.failed.iter().map(|failed| (failed.id(), failed.code())).collect();
    let expected = [("2", "MissingParameter"), ("3", "InvalidParameterValue"), ("4", "ReceiptHandleIsInvalid")];
    assert_eq!(failed, expected);
    let empty = client.change_message_visibility_batch().queue_url(&url).set_entries(Some(vec![])).send().await;
    let text = "There should be at least one ChangeMessageVisibilityBatchRequestEntry in the request.";
    assert_raises!(empty, is_empty_batch_request, text);
    server.stop().await;
}

#[tokio::test]
async fn wrong_receives_and_receipts() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    let receive = || client.receive_message().queue_url(&url);
    let rows = [
        (
            receive().max_number_of_messages(11),
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            receive().max_number_of_messages(0),
            "Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            receive().wait_time_seconds(21),
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            receive().visibility_timeout(43_201),
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided.",
        ),
    ];
    for (call, text) in rows {
        assert_eq!(code_and_text(call.send().await), ("InvalidParameterValue".to_owned(), text.to_owned()));
    }
    let text = "The input receipt handle \"garbage\" is not a valid receipt handle.";
    let delete = client.delete_message().queue_url(&url).receipt_handle("garbage").send().await;
    assert_raises!(delete, is_receipt_handle_is_invalid, text);
    let change = |handle: &str| client.change_message_visibility().queue_url(&url).receipt_handle(handle);
    let garbage = change("garbage").visibility_timeout(1).send().await;
    assert_raises!(garbage, is_receipt_handle_is_invalid, text);

    client.send_message().queue_url(&url).message_body("x").send().await.unwrap();
    let received = receive().send().await.unwrap().messages.unwrap().remove(0);
    let handle = received.receipt_handle().unwrap();
    let text = "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200.";
    let outcome = code_and_text(change(handle).visibility_timeout(43_201).send().await);
    assert_eq!(outcome, ("InvalidParameterValue".to_owned(), text.to_owned()));
    for _ in 0..2 {
        client.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    }
    let text = format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
         visibility timeout change."
    );
    let outcome = code_and_text(change(handle).visibility_timeout(5).send().await);
    assert_eq!(outcome, ("InvalidParameterValue".to_owned(), text));
    server.stop().await;
}
