//! A received message as `ReceiveMessage` shows it: what was asked for, and nothing else.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use wasmill_queue::{AttributeValue, Message, MessageAttribute};

use crate::wire::members::base64_of;

/// One entry of `Messages`. `message.attributes` holds only the attributes that were asked for.
#[derive(Debug)]
pub(crate) struct ReceivedMessage {
    pub(crate) message: Message,
    pub(crate) system_names: SystemNames,
    /// Over the attributes shown; none when none is.
    pub(crate) md5_of_message_attributes: Option<String>,
}

/// The set of system attributes that a receive asks for (sqs-semantics §5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SystemNames(u16);

const SENDER_ID: u16 = 1;
const SENT_TIMESTAMP: u16 = 1 << 1;
const RECEIVE_COUNT: u16 = 1 << 2;
const FIRST_RECEIVE_TIMESTAMP: u16 = 1 << 3;
const SEQUENCE_NUMBER: u16 = 1 << 4;
const DEDUPLICATION_ID: u16 = 1 << 5;
const GROUP_ID: u16 = 1 << 6;
const TRACE_HEADER: u16 = 1 << 7;
const DEAD_LETTER_SOURCE: u16 = 1 << 8;
const ALL: u16 = (1 << 9) - 1;

impl SystemNames {
    /// Reads the names of both members that may carry them. An unknown name asks for nothing.
    pub(crate) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let bits = names.map(|name| match name {
            "All" => ALL,
            "SenderId" => SENDER_ID,
            "SentTimestamp" => SENT_TIMESTAMP,
            "ApproximateReceiveCount" => RECEIVE_COUNT,
            "ApproximateFirstReceiveTimestamp" => FIRST_RECEIVE_TIMESTAMP,
            "SequenceNumber" => SEQUENCE_NUMBER,
            "MessageDeduplicationId" => DEDUPLICATION_ID,
            "MessageGroupId" => GROUP_ID,
            "AWSTraceHeader" => TRACE_HEADER,
            "DeadLetterQueueSourceArn" => DEAD_LETTER_SOURCE,
            _ => 0,
        });
        Self(bits.fold(0, |all, bit| all | bit))
    }

    fn has(self, name: u16) -> bool {
        self.0 & name != 0
    }
}

/// The value of a system attribute: text on the wire, whatever it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SystemValue<'a> {
    Text(&'a str),
    Number(u64),
}

impl ReceivedMessage {
    /// The system attributes that were asked for and that the message has.
    pub(crate) fn system_attributes(&self) -> impl Iterator<Item = (&'static str, SystemValue<'_>)> + Clone {
        let system = &self.message.system;
        fn text(text: &Option<String>) -> Option<SystemValue<'_>> {
            text.as_deref().map(SystemValue::Text)
        }
        let number = |number| Some(SystemValue::Number(number));
        let names = self.system_names;
        [
            (SENT_TIMESTAMP, "SentTimestamp", number(system.sent_unix_ms)),
            (RECEIVE_COUNT, "ApproximateReceiveCount", number(system.receive_count.into())),
            (FIRST_RECEIVE_TIMESTAMP, "ApproximateFirstReceiveTimestamp", number(system.first_received_unix_ms)),
            (SENDER_ID, "SenderId", text(&system.sender_id)),
            (SEQUENCE_NUMBER, "SequenceNumber", text(&system.sequence_number)),
            (DEDUPLICATION_ID, "MessageDeduplicationId", text(&system.deduplication_id)),
            (GROUP_ID, "MessageGroupId", text(&system.group_id)),
            (TRACE_HEADER, "AWSTraceHeader", text(&system.trace_header)),
            (DEAD_LETTER_SOURCE, "DeadLetterQueueSourceArn", text(&system.dead_letter_source_arn)),
        ]
        .into_iter()
        .filter_map(move |(bit, name, value)| value.filter(|_| names.has(bit)).map(|value| (name, value)))
    }
}

impl Serialize for ReceivedMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = &self.message;
        let mut object = serializer.serialize_struct("Message", 7)?;
        object.serialize_field("MessageId", message.id.as_str())?;
        object.serialize_field("ReceiptHandle", message.receipt.as_str())?;
        object.serialize_field("MD5OfBody", &message.md5_of_body)?;
        object.serialize_field("Body", &message.body)?;
        if self.system_attributes().next().is_some() {
            object.serialize_field("Attributes", &ShownSystem(self))?;
        }
        if let Some(md5) = &self.md5_of_message_attributes {
            object.serialize_field("MD5OfMessageAttributes", md5)?;
            object.serialize_field("MessageAttributes", &ShownAttributes(&message.attributes))?;
        }
        object.end()
    }
}

struct ShownSystem<'a>(&'a ReceivedMessage);

impl Serialize for ShownSystem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.system_attributes())
    }
}

impl Serialize for SystemValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.collect_str(number),
        }
    }
}

struct ShownAttributes<'a>(&'a [MessageAttribute]);

impl Serialize for ShownAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|attribute| (&attribute.name, ShownValue(attribute))))
    }
}

struct ShownValue<'a>(&'a MessageAttribute);

impl Serialize for ShownValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("MessageAttributeValue", 2)?;
        match &self.0.value {
            AttributeValue::Text(text) => object.serialize_field("StringValue", text)?,
            AttributeValue::Binary(bytes) => object.serialize_field("BinaryValue", &base64_of(bytes))?,
        }
        object.serialize_field("DataType", &self.0.data_type)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use wasmill_queue::{MessageId, ReceiptHandle, SystemAttributes};

    use super::*;

    fn message() -> Message {
        Message {
            id: MessageId::new("id-1"),
            receipt: ReceiptHandle::new("handle-1"),
            body: "h\u{e9} \"quoted\"".into(),
            md5_of_body: "md5".into(),
            system: SystemAttributes {
                sender_id: Some("sender".into()),
                sent_unix_ms: 1000,
                receive_count: 2,
                first_received_unix_ms: 2000,
                trace_header: Some("Root=1".into()),
                ..SystemAttributes::default()
            },
            attributes: vec![],
        }
    }

    fn shown(names: &[&str], attributes: Vec<MessageAttribute>) -> serde_json::Value {
        let md5 = (!attributes.is_empty()).then(|| "attributes-md5".to_owned());
        let received = ReceivedMessage {
            message: Message { attributes, ..message() },
            system_names: SystemNames::parse(names.iter().copied()),
            md5_of_message_attributes: md5,
        };
        serde_json::to_value(received).unwrap()
    }

    #[test]
    fn without_a_wish_nothing_but_the_message_is_shown() {
        let expected = serde_json::json!({
            "MessageId": "id-1", "ReceiptHandle": "handle-1", "MD5OfBody": "md5", "Body": "h\u{e9} \"quoted\"",
        });
        assert_eq!(shown(&[], vec![]), expected);
        assert_eq!(shown(&["Unheard", "MessageGroupId"], vec![]), expected, "an absent attribute leaves no empty map");
    }

    #[test]
    fn system_attributes_are_text_and_only_those_asked_for() {
        let some = shown(&["SentTimestamp", "AWSTraceHeader"], vec![]);
        assert_eq!(some["Attributes"], serde_json::json!({"SentTimestamp": "1000", "AWSTraceHeader": "Root=1"}));
        let all = shown(&["All"], vec![]);
        let expected = serde_json::json!({
            "SenderId": "sender", "SentTimestamp": "1000", "ApproximateReceiveCount": "2",
            "ApproximateFirstReceiveTimestamp": "2000", "AWSTraceHeader": "Root=1",
        });
        assert_eq!(all["Attributes"], expected);
    }

    #[test]
    fn message_attributes_keep_their_kind() {
        let attributes = vec![
            MessageAttribute {
                name: "b".into(),
                data_type: "Binary.png".into(),
                value: AttributeValue::Binary(vec![0, 255]),
            },
            MessageAttribute { name: "t".into(), data_type: "String".into(), value: AttributeValue::Text("v".into()) },
        ];
        let value = shown(&[], attributes);
        assert_eq!(value["MD5OfMessageAttributes"], "attributes-md5");
        let expected = serde_json::json!({
            "b": {"BinaryValue": "AP8=", "DataType": "Binary.png"}, "t": {"StringValue": "v", "DataType": "String"},
        });
        assert_eq!(value["MessageAttributes"], expected);
    }
}
