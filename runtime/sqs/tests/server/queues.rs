//! Queues through the SDK.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use wasmill_queue::QueueError;

use crate::{NOT_THERE, assert_raises, code_and_text, create, start};

#[tokio::test]
async fn queues_are_created_found_listed_and_deleted() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    assert_eq!(url, format!("http://{}/000000000000/orders", server.address));
    assert_eq!(create(&client, "orders").await, url, "the same again is the same queue");
    let found = client.get_queue_url().queue_name("orders").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(url.as_str()));
    let ours = client.get_queue_url().queue_name("orders").queue_owner_aws_account_id("000000000000").send().await;
    assert_eq!(ours.unwrap().queue_url(), Some(url.as_str()));
    for name in ["orders-dlq", "other", "orders-late"] {
        create(&client, name).await;
    }
    let names = |urls: &[String]| -> Vec<String> {
        urls.iter().map(|url| url.rsplit('/').next().unwrap().to_owned()).collect()
    };
    let all = client.list_queues().send().await.unwrap();
    assert_eq!(names(all.queue_urls()), ["orders", "orders-dlq", "orders-late", "other"]);
    assert_eq!(all.next_token(), None);
    let some = client.list_queues().queue_name_prefix("orders-").send().await.unwrap();
    assert_eq!(names(some.queue_urls()), ["orders-dlq", "orders-late"]);
    let none = client.list_queues().queue_name_prefix("zzz").send().await.unwrap();
    assert!(none.queue_urls.is_none(), "an empty list is left out");

    client.delete_queue().queue_url(&url).send().await.unwrap();
    let gone = client.get_queue_url().queue_name("orders").send().await;
    assert_raises!(gone, is_queue_does_not_exist, NOT_THERE);
    server.stop().await;
}

#[tokio::test]
async fn listings_page_by_max_results() {
    let (server, client) = start().await;
    for index in 0..5 {
        create(&client, &format!("q{index}")).await;
    }
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let page = client.list_queues().max_results(2).set_next_token(token).send().await.unwrap();
        pages.push(page.queue_urls().len());
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [2, 2, 1]);
    for bad in [0, 1001] {
        let (code, text) = code_and_text(client.list_queues().max_results(bad).send().await);
        assert_eq!(code, "InvalidParameterValue");
        assert!(text.starts_with(&format!("Value {bad} for parameter MaxResults is invalid.")), "{text}");
    }
    let (code, _) = code_and_text(client.list_queues().max_results(2).next_token("*").send().await);
    assert_eq!(code, "InvalidParameterValue");
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_queues_are_told_at_once_and_the_client_pages_on() {
    let (server, client) = start().await;
    for index in 0..1005 {
        server.broker.create_queue(&format!("q{index:04}"), &[], &[]).await.unwrap();
    }
    let unpaged = client.list_queues().send().await.unwrap();
    assert_eq!((unpaged.queue_urls().len(), unpaged.next_token()), (1000, None));
    let listed = server.remote().await.list_queues("").await.unwrap();
    assert_eq!(listed.len(), 1005);
    assert_eq!(listed.last().map(|queue| queue.name.as_str()), Some("q1004"));
    server.stop().await;
}

#[tokio::test]
async fn queue_attributes() {
    use QueueAttributeName as Name;
    let (server, client) = start().await;
    let dead_url = create(&client, "dead").await;
    let url = create(&client, "orders").await;
    let get = |names: Vec<QueueAttributeName>| {
        let call = client.get_queue_attributes().queue_url(&url).set_attribute_names(Some(names));
        async move {
            let found = call.send().await.unwrap().attributes.unwrap_or_default();
            found.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect::<BTreeMap<_, _>>()
        }
    };
    let fresh = get(vec![Name::All]).await;
    let names: BTreeSet<&str> = fresh.keys().map(String::as_str).collect();
    let expected = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "CreatedTimestamp",
        "DelaySeconds",
        "LastModifiedTimestamp",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "QueueArn",
        "ReceiveMessageWaitTimeSeconds",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    ];
    assert_eq!(names, BTreeSet::from(expected), "exactly what a fresh standard queue has on AWS");
    assert_eq!((fresh["VisibilityTimeout"].as_str(), fresh["MaximumMessageSize"].as_str()), ("30", "1048576"));
    assert_eq!(fresh["QueueArn"], "arn:aws:sqs:us-east-1:000000000000:orders");

    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"3"}"#;
    let set = |name: QueueAttributeName, value: &str| {
        client.set_queue_attributes().queue_url(&url).attributes(name, value).send()
    };
    set(Name::RedrivePolicy, policy).await.unwrap();
    set(Name::VisibilityTimeout, "7").await.unwrap();
    let some = get(vec![Name::VisibilityTimeout, Name::RedrivePolicy, Name::FifoQueue]).await;
    assert_eq!(some.keys().collect::<Vec<_>>(), ["RedrivePolicy", "VisibilityTimeout"], "what is not set is left out");
    assert_eq!(some["VisibilityTimeout"], "7");
    let policy: serde_json::Value = serde_json::from_str(&some["RedrivePolicy"]).unwrap();
    assert_eq!(policy["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:000000000000:dead");
    set(Name::RedrivePolicy, "").await.unwrap();
    assert!(!get(vec![Name::All]).await.contains_key("RedrivePolicy"), "an empty policy removes it");
    assert!(get(vec![]).await.is_empty());

    client.send_message().queue_url(&url).message_body("a").send().await.unwrap();
    client.send_message().queue_url(&url).message_body("b").delay_seconds(60).send().await.unwrap();
    client.send_message().queue_url(&url).message_body("c").send().await.unwrap();
    client.receive_message().queue_url(&url).send().await.unwrap();
    let counts = get(vec![Name::All]).await;
    let counts = expected[..3].iter().map(|name| counts[*name].as_str()).collect::<Vec<_>>();
    assert_eq!(counts, ["1", "1", "1"], "visible, delayed, in flight");

    let unknown = client.get_queue_attributes().queue_url(&url).attribute_names("Nonsense".into()).send().await;
    assert_raises!(unknown, is_invalid_attribute_name, "Unknown Attribute Nonsense.");
    assert_raises!(set("Nonsense".into(), "1").await, is_invalid_attribute_name, "Unknown Attribute Nonsense.");
    assert_raises!(set(Name::QueueArn, "x").await, is_invalid_attribute_name, "Unknown Attribute QueueArn.");
    let error = set(Name::VisibilityTimeout, "43201").await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_attribute_value(), "{error:?}");
    let nowhere = policy_to("arn:aws:sqs:us-east-1:000000000000:nowhere");
    let (code, text) = code_and_text(set(Name::RedrivePolicy, &nowhere).await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(text.starts_with(&format!("Value {nowhere} for parameter RedrivePolicy is invalid. Reason: ")), "{text}");
    let _ = dead_url;
    server.stop().await;
}

fn policy_to(arn: &str) -> String {
    format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#)
}

#[tokio::test]
async fn creating_what_exists_or_cannot_be() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    let differing = client.create_queue().queue_name("orders").attributes(QueueAttributeName::DelaySeconds, "5");
    let text = "A queue already exists with the same name and a different value for attribute DelaySeconds";
    assert_raises!(differing.send().await, is_queue_name_exists, text);
    let unknown = client.create_queue().queue_name("new").attributes("Nonsense".into(), "5").send().await;
    assert_raises!(unknown, is_invalid_attribute_name, "Unknown Attribute Nonsense.");
    let error = client.create_queue().queue_name("new").attributes("DelaySeconds".into(), "901").send().await;
    assert!(error.unwrap_err().as_service_error().unwrap().is_invalid_attribute_value());
    let too_long = "x".repeat(81);
    for name in ["", "with space", "with/slash", "dots.inside", "standard.fifo", &too_long] {
        let (code, text) = code_and_text(client.create_queue().queue_name(name).send().await);
        let expected = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        assert_eq!((code.as_str(), text.as_str()), ("InvalidParameterValue", expected), "{name}");
    }
    let fifo = client.create_queue().queue_name("orders").attributes(QueueAttributeName::FifoQueue, "true");
    let (code, text) = code_and_text(fifo.send().await);
    let expected = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end \
                    with .fifo suffix and be 1 to 80 in length";
    assert_eq!((code.as_str(), text.as_str()), ("InvalidParameterValue", expected));
    server.stop().await;
}

#[tokio::test]
async fn a_purge_takes_all_and_is_allowed_once_a_minute() {
    let (server, client) = start().await;
    let url = create(&client, "orders").await;
    for delay in [0, 60] {
        client.send_message().queue_url(&url).message_body("x").delay_seconds(delay).send().await.unwrap();
    }
    let queue = server.remote().await.queue_by_name("orders").await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.visible, stats.in_flight, stats.delayed), (1, 0, 1));
    queue.purge().await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.visible, stats.in_flight, stats.delayed), (0, 0, 0));
    let text = "Only one PurgeQueue operation on orders is allowed every 60 seconds.";
    assert_raises!(client.purge_queue().queue_url(&url).send().await, is_purge_queue_in_progress, text);
    let code = "AWS.SimpleQueueService.PurgeQueueInProgress".to_owned();
    assert_eq!(queue.purge().await, Err(QueueError::Refused { code, message: text.into() }));
    server.stop().await;
}

#[tokio::test]
async fn every_action_on_a_queue_says_that_it_is_not_there() {
    let (server, client) = start().await;
    create(&client, "orders").await;
    for url in [
        format!("http://{}/000000000000/nowhere", server.address),
        format!("http://{}/123456789012/orders", server.address),
        "nowhere".to_owned(),
    ] {
        let url = url.as_str();
        let change = ChangeMessageVisibilityBatchRequestEntry::builder().id("1").receipt_handle("h").build().unwrap();
        let send_entry = SendMessageBatchRequestEntry::builder().id("1").message_body("x").build().unwrap();
        let delete = DeleteMessageBatchRequestEntry::builder().id("1").receipt_handle("h").build().unwrap();
        let send = client.send_message().queue_url(url).message_body("x");
        assert_raises!(send.send().await, is_queue_does_not_exist, NOT_THERE);
        let send = client.send_message_batch().queue_url(url).entries(send_entry);
        assert_raises!(send.send().await, is_queue_does_not_exist, NOT_THERE);
        assert_raises!(client.receive_message().queue_url(url).send().await, is_queue_does_not_exist, NOT_THERE);
        let call = client.delete_message().queue_url(url).receipt_handle("h");
        assert_raises!(call.send().await, is_queue_does_not_exist, NOT_THERE);
        let call = client.delete_message_batch().queue_url(url).entries(delete);
        assert_raises!(call.send().await, is_queue_does_not_exist, NOT_THERE);
        let call = client.change_message_visibility().queue_url(url).receipt_handle("h").visibility_timeout(1);
        assert_raises!(call.send().await, is_queue_does_not_exist, NOT_THERE);
        let call = client.change_message_visibility_batch().queue_url(url).entries(change);
        assert_raises!(call.send().await, is_queue_does_not_exist, NOT_THERE);
        assert_raises!(client.purge_queue().queue_url(url).send().await, is_queue_does_not_exist, NOT_THERE);
        assert_raises!(client.delete_queue().queue_url(url).send().await, is_queue_does_not_exist, NOT_THERE);
        assert_raises!(client.get_queue_attributes().queue_url(url).send().await, is_queue_does_not_exist, NOT_THERE);
        let call = client.set_queue_attributes().queue_url(url).attributes("DelaySeconds".into(), "1");
        assert_raises!(call.send().await, is_queue_does_not_exist, NOT_THERE);
    }
    let foreign = client.get_queue_url().queue_name("orders").queue_owner_aws_account_id("123456789012");
    assert_raises!(foreign.send().await, is_queue_does_not_exist, NOT_THERE);
    server.stop().await;
}
