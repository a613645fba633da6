//! What is sent reaches the handler as it was sent, is deleted, and is counted.

use std::collections::BTreeMap;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::json;
use support::config::{IN_MEMORY, function, mapping, queue};
use support::wait::holds;
use support::{Counts, PATIENCE, Wasmill, eventually};

/// Bodies that a careless relay would change. Each tells the handler to log it.
pub(crate) fn delicate_bodies() -> Vec<String> {
    let long = "0123456789abcdef".repeat(12 << 10);
    vec![
        r#"{"do":"echo_to_log","n":1}"#.to_owned(),
        "  {  \"do\" :\t\"echo_to_log\" ,\r \"n\" : 1.0e2 , \"n\":100, \"big\":12345678901234567890.10 }\t ".to_owned(),
        r#"{"do":"echo_to_log","escaped":"\u0000 \u001b[31m \" \\ \/ \ud83e\udd80 é"}"#.to_owned(),
        "{\"do\":\"echo_to_log\",\"text\":\"naïve — 中文 العربية 🦀 e\u{301} \u{feff}\u{200d}\u{2028}\u{85}\u{7f}\"}"
            .to_owned(),
        "{\"do\":\"echo_to_log\",\"edges\":\"\u{20}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}\"}".to_owned(),
        "{\n  \"do\": \"echo_to_log\",\n\n\t\"markup\": \"<a href='x'>&amp;</a> ${HOME} %s %00 $(id)\"\n}\n".to_owned(),
        format!(r#"{{"do":"echo_to_log","long":"{long}"}}"#),
    ]
}

/// Waits until handlers of `function` have logged as many bodies, each in an invocation of its own, and asserts that they
/// are these bodies, byte for byte.
pub(crate) async fn assert_echoed(worker: &Wasmill, function: &str, bodies: &[String]) {
    let newlines = |text: &str| text.matches('\n').count();
    let lines: usize = bodies.iter().map(|body| newlines(body) + 1).sum();
    eventually(PATIENCE, async || {
        let said = worker.log().said_by(function).len();
        holds(said >= lines, || format!("{function} wrote {said} of {lines} lines"))
    })
    .await;
    let mut echoed: Vec<String> = worker.log().said_by_request(function).into_values().collect();
    echoed.sort();
    let mut expected = bodies.to_vec();
    expected.sort();
    assert_eq!(echoed.len(), expected.len());
    for (echoed, expected) in echoed.iter().zip(&expected) {
        assert!(echoed == expected, "sent\n{expected:?}\nand the handler got\n{echoed:?}");
    }
}

#[tokio::test]
async fn bodies_reach_the_handler_byte_for_byte() {
    let config = IN_MEMORY.to_owned()
        + &queue("bodies", "")
        + &function("echo", "faulty", "timeout = 20")
        + &mapping("bodies", "echo", "batch_size = 1");
    let mut worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let bodies = delicate_bodies();
    for body in &bodies {
        sqs.send("bodies", body).await;
    }
    assert_echoed(&worker, "echo", &bodies).await;
    // These three the handler cannot echo: they are no commands. They succeed all the same.
    for body in ["plain text", "{\"do\": torn", "\u{9}\u{a}\u{d}\u{20}"] {
        sqs.send("bodies", body).await;
    }

    let all = bodies.len() + 3;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], u32::try_from(all).unwrap()).await;
    assert_eq!(sqs.counts("bodies").await, Counts::EMPTY);
    let of_mapping = [("mapping", "bodies/echo"), ("queue", "bodies"), ("function", "echo")];
    for (metric, label) in [
        ("wasmill_mapping_received_total", None),
        ("wasmill_mapping_invocations_total", Some(("outcome", "ok"))),
        ("wasmill_mapping_verdicts_total", Some(("verdict", "done"))),
    ] {
        let labels: Vec<_> = of_mapping.into_iter().chain(label).collect();
        assert_eq!(worker.metric(metric, &labels).await as usize, all, "{metric}");
    }
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_in_flight_messages", &of_mapping, 0).await;
    worker.assert_sound().await;
}

#[tokio::test]
async fn messages_with_attributes_are_handled_and_kept_whole() {
    let config = IN_MEMORY.to_owned()
        + &support::config::queue_with_dlq("typed", 1, 1)
        + &function("echo", "faulty", "")
        + &mapping("typed", "echo", "");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let text = |data_type: &str, value: &str| {
        MessageAttributeValue::builder().data_type(data_type).string_value(value).build().unwrap()
    };
    let bytes = Blob::new((0..=255).collect::<Vec<u8>>());
    let binary = MessageAttributeValue::builder().data_type("Binary.png").binary_value(bytes).build().unwrap();
    let attributes = BTreeMap::from([
        ("kind".to_owned(), text("String", "order — 中文 🦀")),
        ("amount".to_owned(), text("Number", "-12.50")),
        ("typed.number".to_owned(), text("Number.int", "7")),
        ("picture".to_owned(), binary),
    ]);
    let body = r#"[{"do":"echo_to_log"},{"do":"fail"}]"#;
    let send = sqs.client().send_message().queue_url(sqs.url("typed")).message_body(body);
    let sent = send.set_message_attributes(Some(attributes.clone().into_iter().collect())).send().await.unwrap();

    // It fails, so that it can be looked at in the dead-letter queue.
    worker.log().wait_for_said(PATIENCE, "echo", body, 1).await;
    let dead = sqs.receive_all(PATIENCE, "typed-dlq", 1).await.remove(0);
    assert_eq!(dead.message_id, sent.message_id);
    assert_eq!(dead.md5_of_body, sent.md5_of_message_body);
    assert!(sent.md5_of_message_attributes.is_some());
    assert_eq!(dead.md5_of_message_attributes, sent.md5_of_message_attributes);
    let kept: BTreeMap<String, MessageAttributeValue> = dead.message_attributes.unwrap().into_iter().collect();
    assert_eq!(kept, attributes);
}

#[tokio::test]
async fn a_stream_is_handled_once_each_and_in_batches_of_at_most_batch_size() {
    let config = IN_MEMORY.to_owned()
        + &queue("stream", "")
        + &function("echo", "faulty", "timeout = 20")
        + &mapping("stream", "echo", "batch_size = 4");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let bodies: Vec<String> = (0..500).map(|n| json!({"do": "echo_to_log", "n": n}).to_string()).collect();
    for ten in bodies.chunks(10) {
        sqs.send_batch("stream", ten).await;
    }
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 500).await;
    assert_eq!(sqs.counts("stream").await, Counts::EMPTY);

    let mut handled: Vec<String> = worker.log().said_by("echo").iter().map(|line| line.message().to_owned()).collect();
    handled.sort();
    let mut expected = bodies;
    expected.sort();
    assert_eq!(handled, expected, "each once, none twice");
    let largest = worker.log().said_by_request("echo").values().map(|said| said.lines().count()).max();
    assert!(largest <= Some(4), "a batch of {largest:?}");
}
