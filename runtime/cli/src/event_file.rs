//! An event that somebody wrote or saved, as the batch it stands for: the typed world takes messages, not JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use wasmill_event::{AttributeValue, MessageAttribute, Record, SystemValue};

/// The system attributes that a record may have (esm-semantics §3).
const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "SentTimestamp",
    "SequenceNumber",
    "MessageGroupId",
    "SenderId",
    "MessageDeduplicationId",
    "ApproximateFirstReceiveTimestamp",
    "DeadLetterQueueSourceArn",
];

/// Reads an SQS event, `{"Records":[…]}`. The error says which member is not what it should be.
pub(crate) fn records(event: &Value) -> Result<Vec<Record>, String> {
    let records = event.get("Records").and_then(Value::as_array);
    let records = records.ok_or("the event has no list Records: the handler takes the messages of an SQS event")?;
    let read = |(index, value): (usize, &Value)| record(value).map_err(|what| format!("Records[{index}]{what}"));
    records.iter().enumerate().map(read).collect()
}

fn record(value: &Value) -> Result<Record, String> {
    let text = |name: &str| {
        let found = value.get(name).and_then(Value::as_str);
        found.map(str::to_owned).ok_or_else(|| format!(".{name} is missing, or no text"))
    };
    let shared = |name: &str| text(name).map(Arc::<str>::from);
    Ok(Record {
        message_id: shared("messageId")?,
        receipt_handle: shared("receiptHandle")?,
        body: text("body")?,
        attributes: members(value, "attributes").map(system_attribute).collect::<Result<_, _>>()?,
        message_attributes: members(value, "messageAttributes").map(message_attribute).collect::<Result<_, _>>()?,
        md5_of_message_attributes: value.get("md5OfMessageAttributes").and_then(Value::as_str).map(str::to_owned),
        md5_of_body: text("md5OfBody")?,
        event_source_arn: shared("eventSourceARN")?,
        aws_region: shared("awsRegion")?,
    })
}

/// The members of an object that may be left out.
fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn system_attribute((name, value): (&String, &Value)) -> Result<(&'static str, SystemValue), String> {
    let known = SYSTEM_ATTRIBUTES.into_iter().find(|known| known == name);
    let known = known.ok_or_else(|| format!(".attributes.{name} is no system attribute of SQS"))?;
    let text = value.as_str().ok_or_else(|| format!(".attributes.{name} is no text"))?;
    Ok((known, SystemValue::Text(text.to_owned())))
}

fn message_attribute((name, value): (&String, &Value)) -> Result<MessageAttribute, String> {
    let member = |member: &str| value.get(member).and_then(Value::as_str);
    let data_type = member("dataType").ok_or_else(|| format!(".messageAttributes.{name}.dataType is missing"))?;
    let value = match (member("stringValue"), member("binaryValue")) {
        (Some(text), None) => AttributeValue::Text(text.to_owned()),
        (None, Some(base64)) => AttributeValue::Binary(
            STANDARD.decode(base64).map_err(|_| format!(".messageAttributes.{name}.binaryValue is no base64"))?,
        ),
        _ => return Err(format!(".messageAttributes.{name} needs either stringValue or binaryValue")),
    };
    Ok(MessageAttribute { name: name.clone(), data_type: data_type.to_owned(), value })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;
    use wasmill_event::lambda_event;

    use super::*;

    fn event() -> Value {
        json!({"Records": [{
            "messageId": "m-1", "receiptHandle": "r-1", "body": "{\"id\":1}",
            "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "17"},
            "messageAttributes": {
                "kind": {"stringValue": "order", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "raw": {"binaryValue": "AP8K", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
            },
            "md5OfMessageAttributes": "abc", "md5OfBody": "def", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:orders", "awsRegion": "us-east-1",
        }]})
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let event = event();
        let records = records(&event).unwrap();
        assert_eq!(records[0].message_attributes[1].value, AttributeValue::Binary(vec![0, 255, 10]));
        assert_eq!(serde_json::from_str::<Value>(&lambda_event(&records, false)).unwrap(), event);
    }

    #[test]
    fn what_is_no_batch_of_messages_is_said_with_its_place() {
        let spoiled = |pointer: &str, value: Value| {
            let mut event = event();
            *event.pointer_mut(pointer).unwrap() = value;
            records(&event).unwrap_err()
        };
        assert!(records(&json!({})).unwrap_err().contains("has no list Records"));
        assert_eq!(spoiled("/Records/0/body", json!(1)), "Records[0].body is missing, or no text");
        assert_eq!(
            spoiled("/Records/0/attributes", json!({"Age": "1"})),
            "Records[0].attributes.Age is no system attribute of SQS"
        );
        assert_eq!(
            spoiled("/Records/0/messageAttributes/raw/binaryValue", json!("?")),
            "Records[0].messageAttributes.raw.binaryValue is no base64"
        );
    }
}
