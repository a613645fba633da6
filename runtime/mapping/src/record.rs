//! Between a queue's message and a handler's record: the same facts under Lambda's names.

use std::sync::Arc;

use wasmill_event::{Record, SystemValue};
use wasmill_queue::{Message, MessageId, QueueArn, ReceiptHandle, SystemAttributes, checksum};

/// What all records of a queue share.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    arn: Arc<str>,
    region: Arc<str>,
}

impl Origin {
    pub(crate) fn new(arn: &QueueArn) -> Self {
        Self { arn: arn.as_str().into(), region: arn.region().into() }
    }
}

/// The record of a message, in the order of members and attributes that AWS writes (esm-semantics §3), and what is left
/// of the message: what settles it.
pub(crate) fn from_message(message: Message, origin: &Origin) -> (Record, ReceiptHandle, SystemAttributes) {
    let md5_of_message_attributes = checksum::md5_of_attributes(&message.attributes);
    let message_attributes = message
        .attributes
        .into_iter()
        .map(|attribute| wasmill_event::MessageAttribute {
            name: attribute.name,
            data_type: attribute.data_type,
            value: match attribute.value {
                wasmill_queue::AttributeValue::Text(text) => wasmill_event::AttributeValue::Text(text),
                wasmill_queue::AttributeValue::Binary(bytes) => wasmill_event::AttributeValue::Binary(bytes),
            },
        })
        .collect();
    let record = Record {
        message_id: message.id.text(),
        receipt_handle: message.receipt.text(),
        body: message.body,
        attributes: attributes(&message.system),
        message_attributes,
        md5_of_message_attributes,
        md5_of_body: message.md5_of_body,
        event_source_arn: Arc::clone(&origin.arn),
        aws_region: Arc::clone(&origin.region),
    };
    (record, message.receipt, message.system)
}

/// The way back, for a message that is to be sent elsewhere.
pub(crate) fn to_message(record: &Record, system: &SystemAttributes) -> Message {
    let attributes = record
        .message_attributes
        .iter()
        .map(|attribute| wasmill_queue::MessageAttribute {
            name: attribute.name.clone(),
            data_type: attribute.data_type.clone(),
            value: match &attribute.value {
                wasmill_event::AttributeValue::Text(text) => wasmill_queue::AttributeValue::Text(text.clone()),
                wasmill_event::AttributeValue::Binary(bytes) => wasmill_queue::AttributeValue::Binary(bytes.clone()),
            },
        })
        .collect();
    Message {
        id: MessageId::new(Arc::clone(&record.message_id)),
        receipt: ReceiptHandle::new(Arc::clone(&record.receipt_handle)),
        body: record.body.clone(),
        md5_of_body: record.md5_of_body.clone(),
        system: system.clone(),
        attributes,
    }
}

fn attributes(system: &SystemAttributes) -> Vec<(&'static str, SystemValue)> {
    let text = |value: &Option<String>| value.clone().map(SystemValue::Text);
    let number = |value: u64| Some(SystemValue::Number(value));
    let rows = [
        ("ApproximateReceiveCount", number(system.receive_count.into())),
        ("AWSTraceHeader", text(&system.trace_header)),
        ("SentTimestamp", number(system.sent_unix_ms)),
        ("SequenceNumber", text(&system.sequence_number)),
        ("MessageGroupId", text(&system.group_id)),
        ("SenderId", text(&system.sender_id)),
        ("MessageDeduplicationId", text(&system.deduplication_id)),
        ("DeadLetterQueueSourceArn", text(&system.dead_letter_source_arn)),
        ("ApproximateFirstReceiveTimestamp", number(system.first_received_unix_ms)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_there_and_back_and_the_attributes_stand_in_aws_order() {
        let message = Message {
            id: MessageId::new("id"),
            receipt: ReceiptHandle::new("receipt"),
            body: "b\u{1f600}".into(),
            md5_of_body: "md5".into(),
            system: SystemAttributes {
                sender_id: Some("AIDA".into()),
                sent_unix_ms: 5,
                receive_count: 2,
                first_received_unix_ms: 7,
                ..SystemAttributes::default()
            },
            attributes: vec![wasmill_queue::MessageAttribute {
                name: "n".into(),
                data_type: "Binary".into(),
                value: wasmill_queue::AttributeValue::Binary(vec![1, 2]),
            }],
        };
        let arn = QueueArn::new("eu-west-1", "000000000000", "q");
        let (record, receipt, system) = from_message(message.clone(), &Origin::new(&arn));
        assert_eq!((&receipt, &system), (&message.receipt, &message.system));
        let names: Vec<&str> = record.attributes.iter().map(|(name, _)| *name).collect();
        let expected = ["ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"];
        assert_eq!(names, expected);
        assert_eq!((&*record.aws_region, &*record.event_source_arn), ("eu-west-1", arn.as_str()));
        assert_eq!(to_message(&record, &message.system), message);
    }
}
