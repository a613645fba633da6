//! sqs-semantics §4, Attributes: how many, how they are named and typed, and that they come back as they were sent.

use serde_json::{Map, Value, json};

use crate::client::each;
use crate::errors::{INVALID_PARAMETER, UNSUPPORTED};
use crate::queue::Queue;
use crate::rows::{Refusal, assert_refused, refusal};

fn string(value: &str) -> Value {
    json!({"DataType": "String", "StringValue": value})
}

fn send(queue: &Queue, attributes: Value) -> Value {
    json!({"QueueUrl": queue.url, "MessageBody": "x", "MessageAttributes": attributes})
}

fn many(count: usize) -> Value {
    Value::Object((0..count).map(|index| (format!("a{index}"), string("v"))).collect::<Map<_, _>>())
}

/// §4 [A:test_send_message_with_attributes, test_send_message_with_binary_attributes,
/// test_message_with_attributes_should_be_enqueued, test_sent_message_retains_attributes_after_receive].
#[tokio::test]
async fn attributes_come_back_as_they_were_sent() {
    each(async |api| {
        let queue = Queue::plain(&api, "attributes").await;
        let longest = "n".repeat(256);
        let custom = format!("String.{}", "c".repeat(249));
        for attributes in [
            many(10),
            json!({"a.b-c_9": string("v"), longest.as_str(): string("<&\r\n\t\"ü😀")}),
            json!({"timestamp": {"DataType": "Number", "StringValue": "1614717034367"}}),
            json!({"n": {"DataType": "Number.int", "StringValue": "-12"}, "f": {"DataType": "Number", "StringValue": "6.25"}}),
            // traceparent\x1e00-…, which no text may hold.
            json!({"b": {"DataType": "Binary", "BinaryValue": "dHJhY2VwYXJlbnQeMDA="}, "z": {"DataType": "Binary.png", "BinaryValue": "AAD//w=="}}),
            json!({"t": {"DataType": custom, "StringValue": " "}}),
        ] {
            api.ok("SendMessage", &send(&queue, attributes.clone())).await;
            let asked = json!({"MessageAttributeNames": ["All"], "VisibilityTimeout": 0});
            for _ in 0..2 {
                let received = queue.receive(&asked).await;
                assert_eq!(received[0]["MessageAttributes"], attributes);
            }
            let received = queue.one().await;
            queue.delete(&received).await;
        }
    })
    .await;
}

/// §4: "≤10"; ElasticMQ took more (elasticmq#320).
#[tokio::test]
async fn more_than_ten_attributes_are_refused() {
    each(async |api| {
        let queue = Queue::plain(&api, "attributes").await;
        let rows = [refusal("§4 ≤10", "SendMessage", send(&queue, many(11)), INVALID_PARAMETER, "")];
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §4 [A:test_send_message_with_invalid_string_attributes].
#[tokio::test]
async fn names_types_and_values_have_rules() {
    each(async |api| {
        let queue = Queue::plain(&api, "attributes").await;
        let mut rows: Vec<Refusal> = Vec::new();
        let mut row = |source, attributes: Value, message: &str| {
            rows.push(refusal(source, "SendMessage", send(&queue, attributes), INVALID_PARAMETER, message));
        };
        // The text is of moto's test_message_with_attributes_invalid_datatype.
        let no_type = "The message attribute 'a' has an invalid message attribute type, the set of supported type \
                       prefixes is Binary, Number, and String.";
        let too_long = "L".repeat(257);
        for name in [".a", "a.", "a..b", "aWs.x", "AMAZON.x", "AWS.", "a b", "a!b", "a\"b", "a(b", "a?b", "", &too_long]
        {
            row("§4 name", json!({name: string("Valid")}), "");
        }
        let long_type = format!("Number.{}", "L".repeat(256));
        // moto's test_message_with_invalid_attributes.
        let message = "The message attribute name 'öther_encodings' is invalid. Attribute name can contain A-Z, a-z, \
                       0-9, underscore (_), hyphen (-), and period (.) characters.";
        row("§4 name", json!({"öther_encodings": string("str")}), message);
        for data_type in ["Invalid", "string", "STRING"] {
            row("§4 DataType", json!({"a": {"DataType": data_type, "StringValue": "1"}}), no_type);
        }
        for data_type in ["", "String.", &long_type] {
            row("§4 DataType", json!({"a": {"DataType": data_type, "StringValue": "1"}}), "");
        }
        row("§4 DataType", json!({"a": {"StringValue": "1"}}), "");
        row("§4 value of another type", json!({"a": {"DataType": "Binary", "StringValue": "x"}}), "");
        row("§4 value of another type", json!({"a": {"DataType": "String", "BinaryValue": "AP8="}}), "");
        for number in
            ["forty", "1e127", "1e-129", "NaN", "Infinity", "0x10", "1 2", "123456789012345678901234567890123456789"]
        {
            row("§4 Number", json!({"a": {"DataType": "Number", "StringValue": number}}), "");
        }
        // Not InvalidMessageContents, as it would be in a body [A:test_invalid_string_attributes_cause_…].
        row("§4 charset of StringValue", json!({"a": string("Invalid-\u{8},\u{b}")}), "");
        assert_refused(&api, &rows).await;
        assert_eq!(queue.counts().await.visible, 0);
    })
    .await;
}

/// §4 [A:test_send_message_with_empty_string_attribute].
#[tokio::test]
async fn an_empty_value_is_refused_by_its_name_and_type() {
    each(async |api| {
        let queue = Queue::plain(&api, "attributes").await;
        let empty = |name: &str, value: Value, kind: &str| {
            let message = format!("Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.");
            refusal("§4 empty value", "SendMessage", send(&queue, json!({name: value})), INVALID_PARAMETER, message)
        };
        let rows = [
            empty("ErrorDetails", string(""), "String"),
            empty("a", json!({"DataType": "String"}), "String"),
            empty("n", json!({"DataType": "Number", "StringValue": ""}), "Number"),
            empty("b", json!({"DataType": "Binary", "BinaryValue": ""}), "Binary"),
        ];
        assert_refused(&api, &rows).await;
    })
    .await;
}

/// §4: list values are "not implemented", by AWS too.
#[tokio::test]
async fn list_values_are_not_implemented() {
    each(async |api| {
        let queue = Queue::plain(&api, "attributes").await;
        let rows = [
            json!({"a": {"DataType": "String", "StringListValues": ["v"]}}),
            json!({"a": {"DataType": "Binary", "BinaryListValues": ["AP8="]}}),
        ]
        .map(|attributes| refusal("§4 list values", "SendMessage", send(&queue, attributes), UNSUPPORTED, ""));
        assert_refused(&api, &rows).await;
    })
    .await;
}
