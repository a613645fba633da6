//! sqs-semantics §4, messages in: sizes, characters, groups on a standard queue, what senders may say of the system.

use serde_json::{Value, json};
use support::http::exchange;

use crate::client::{Api, Protocol, each, only};
use crate::errors::{INVALID_CONTENTS, INVALID_PARAMETER, MISSING_PARAMETER};
use crate::queue::{Queue, system, text};
use crate::rows::{assert_refused, refusal};

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// §4: 1 character to MaximumMessageSize bytes [A:test_send_empty_message, test_send_oversized_message,
/// test_send_message_with_updated_maximum_message_size]. Attributes count: name, type and value.
#[tokio::test]
async fn a_message_has_one_byte_to_a_mebibyte() {
    each(async |api| {
        let queue = Queue::plain(&api, "sizes").await;
        let attribute = json!({"k": {"DataType": "String", "StringValue": "x"}});
        let attribute_bytes = "kStringx".len();
        let mebibyte = 1 << 20;
        for (max, to) in
            [(mebibyte, &queue), (1024, &Queue::new(&api, "small", &json!({"MaximumMessageSize": "1024"})).await)]
        {
            let body = |bytes: usize| json!({"QueueUrl": to.url, "MessageBody": "a".repeat(bytes)});
            let with_attribute = |bytes: usize| {
                let mut members = body(bytes - attribute_bytes);
                members["MessageAttributes"] = attribute.clone();
                members
            };
            for fits in [body(1), body(max), with_attribute(max)] {
                api.ok("SendMessage", &fits).await;
            }
            let message =
                format!("One or more parameters are invalid. Reason: Message must be shorter than {max} bytes.");
            let too_long = |members: Value| refusal("§4 too big", "SendMessage", members, INVALID_PARAMETER, &message);
            assert_refused(&api, &[too_long(body(max + 1)), too_long(with_attribute(max + 1))]).await;
            assert_eq!(to.counts().await.visible, 3);
        }
        // Bytes of UTF-8, not characters.
        let small = Queue::new(&api, "utf8", &json!({"MaximumMessageSize": "1024"})).await;
        small.send(&"ü".repeat(512)).await;
        let two_bytes_each = json!({"MessageBody": "ü".repeat(513)});
        small.refused("SendMessage", &two_bytes_each).await.assert_kind(INVALID_PARAMETER);
        let empty = json!({"QueueUrl": queue.url, "MessageBody": ""});
        let message = "The request must contain the parameter MessageBody.";
        assert_refused(&api, &[refusal("§4 empty", "SendMessage", empty, MISSING_PARAMETER, message)]).await;
    })
    .await;
}

/// §4 Size: "System attributes do not count" [M].
#[tokio::test]
async fn system_attributes_take_no_room() {
    each(async |api| {
        let queue = Queue::new(&api, "system", &json!({"MaximumMessageSize": "1024"})).await;
        let trace = json!({"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}});
        let members = json!({"MessageBody": "a".repeat(1024), "MessageSystemAttributes": trace});
        queue.ok("SendMessage", &members).await;
    })
    .await;
}

/// §4 Characters: all of XML 1.0's, exactly as they were sent; a carriage return is one of them
/// [A:test_message_with_carriage_return, test_send_receive_message_encoded_content].
#[tokio::test]
async fn every_valid_character_comes_back_as_it_was_sent() {
    each(async |api| {
        let queue = Queue::plain(&api, "characters").await;
        for body in [
            "{\r\n\"machineID\" : \"d357006e26ff47439e1ef894225d4307\"}",
            "\"&quot;&quot;\r",
            "<a href='x'>&amp; &#13; ]]></a>",
            "\u{9}\u{a}\u{d}\u{20}\u{7f}\u{85}\u{2028}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}",
            " leading and trailing ",
            "\n",
            "a=b&c=d%20e+f;g",
            "null",
            "日本語 😀",
        ] {
            let sent = queue.send(body).await;
            let received = queue.one().await;
            assert_eq!(text(&received, "Body"), body);
            assert_eq!(text(&received, "MD5OfBody"), text(&sent, "MD5OfMessageBody"), "{body:?}");
            queue.delete(&received).await;
        }
    })
    .await;
}

/// §4 Characters [A:test_send_message_with_invalid_payload_characters].
#[tokio::test]
async fn characters_outside_xml_are_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "characters").await;
        let rows = ["\u{0}", "a\u{8}b", "\u{b}", "\u{c}", "\u{e}", "\u{1f}", "\u{fffe}", "x\u{ffff}"].map(|body| {
            let members = json!({"QueueUrl": queue.url, "MessageBody": body});
            refusal("§4 Characters", "SendMessage", members, INVALID_CONTENTS, "")
        });
        assert_refused(&api, &rows).await;
        assert_eq!(queue.counts().await.visible, 0);
    })
    .await;
}

/// §4 MessageGroupId on a standard queue (fair queues) [A:test_fair_queue_with_message_group_id,
/// test_send_message_to_standard_queue_with_invalid_message_group_id].
#[tokio::test]
async fn a_standard_queue_takes_a_group_and_gives_it_back() {
    each(async |api| {
        let queue = Queue::plain(&api, "grouped").await;
        for group in ["a", &"a".repeat(128), "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"] {
            let sent = queue.send_to(group, "x").await;
            assert_eq!(sent.get("SequenceNumber"), None);
            let received = queue.one().await;
            assert_eq!(system(&received, "MessageGroupId"), group);
            assert_eq!(received["Attributes"].get("SequenceNumber"), None);
            queue.delete(&received).await;
        }
        let bad = |group: &str| {
            let members = json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageGroupId": group});
            let message = format!(
                "Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include \
                 alphanumeric and punctuation characters. 1 to 128 in length."
            );
            refusal("§4 MessageGroupId", "SendMessage", members, INVALID_PARAMETER, message)
        };
        assert_refused(&api, &[bad(""), bad(&"a".repeat(129)), bad("group 123"), bad("grüppe")]).await;
    })
    .await;
}

/// §4: "MessageDeduplicationId there is FIFO-only".
#[tokio::test]
async fn a_standard_queue_takes_no_deduplication_id() {
    each(async |api| {
        let queue = Queue::plain(&api, "standard").await;
        let members = json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageDeduplicationId": "d"});
        assert_refused(&api, &[refusal("§4", "SendMessage", members, INVALID_PARAMETER, "")]).await;
    })
    .await;
}

/// §4 System attribute: only `AWSTraceHeader`, of type String [A:test_system_attributes_have_no_effect_on_attr_md5].
#[tokio::test]
async fn the_trace_header_is_the_one_system_attribute_of_senders() {
    each(async |api| {
        let queue = Queue::plain(&api, "trace").await;
        let send =
            |system: Value| json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageSystemAttributes": system});
        let trace = json!({"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}});
        let sent = api.ok("SendMessage", &send(trace)).await;
        assert_eq!(text(&sent, "MD5OfMessageSystemAttributes"), "5ae4d5d7636402d80f4eb6d213245a88");
        assert_eq!(sent.get("MD5OfMessageAttributes"), None);
        let received = queue.one().await;
        assert_eq!(system(&received, "AWSTraceHeader"), TRACE);
        assert_eq!(received.get("MessageAttributes"), None);
        let bad = |system: Value| refusal("§4 System attribute", "SendMessage", send(system), INVALID_PARAMETER, "");
        let rows = [
            bad(json!({"SenderId": {"DataType": "String", "StringValue": "x"}})),
            bad(json!({"AWSTraceHeader": {"DataType": "Number", "StringValue": "1"}})),
            bad(json!({"AWSTraceHeader": {"DataType": "String", "StringValue": ""}})),
        ];
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §4 [A:test_aws_trace_header_propagation]: SDKs under X-Ray say it in an HTTP header.
#[tokio::test]
async fn the_trace_header_may_come_as_an_http_header() {
    only(Protocol::Json, async |api: Api| {
        let queue = Queue::plain(&api, "trace").await;
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "AmazonSQS.SendMessage"),
            ("X-Amzn-Trace-Id", TRACE),
        ];
        let body = json!({"QueueUrl": queue.url, "MessageBody": "x"}).to_string();
        let answer = exchange(api.address, "POST", "/", &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(system(&queue.one().await, "AWSTraceHeader"), TRACE);
    })
    .await;
}
