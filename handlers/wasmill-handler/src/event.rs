//! Lambda's SQS event, with all its members.
//!
//! Only a record's id and body must be there: an event that was written by hand for a test need not have the rest.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base64;

/// A batch of messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SqsEvent {
    /// In the order they were received.
    #[serde(rename = "Records")]
    pub records: Vec<SqsMessage>,
}

/// One message of the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    /// The same at every delivery.
    pub message_id: String,
    /// New at every delivery.
    #[serde(default)]
    pub receipt_handle: String,
    /// Exactly the text that was sent.
    pub body: String,
    /// System attributes such as `ApproximateReceiveCount`; every value is text.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What the sender said beside the body.
    #[serde(default)]
    pub message_attributes: BTreeMap<String, SqsMessageAttribute>,
    /// Lower-case hex; none when the message has no attributes of its sender's.
    #[serde(default)]
    pub md5_of_message_attributes: Option<String>,
    /// Lower-case hex.
    #[serde(default)]
    pub md5_of_body: String,
    /// `aws:sqs`.
    #[serde(default)]
    pub event_source: String,
    /// The queue it was received from.
    #[serde(default, rename = "eventSourceARN")]
    pub event_source_arn: String,
    /// The region in that ARN.
    #[serde(default)]
    pub aws_region: String,
}

/// One attribute of a message. `data_type` is `String`, `Number` or `Binary`, with an optional `.custom` suffix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessageAttribute {
    /// The value of a `String` or a `Number`.
    #[serde(default)]
    pub string_value: Option<String>,
    /// The value of a `Binary`, in base64.
    #[serde(default)]
    pub binary_value: Option<String>,
    /// Always empty: SQS has no lists yet.
    #[serde(default)]
    pub string_list_values: Vec<String>,
    /// Always empty.
    #[serde(default)]
    pub binary_list_values: Vec<String>,
    /// What the value is.
    #[serde(default)]
    pub data_type: String,
}

impl SqsMessageAttribute {
    /// The bytes of a `Binary`; none for other types, and for what is no base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        base64::decode(self.binary_value.as_deref()?)
    }
}

impl SqsMessage {
    /// The body read as JSON.
    ///
    /// # Errors
    ///
    /// It is no JSON, or no `T`. Another delivery does not mend that: `record.json().map_err(Failure::dead_letter)?`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.body)
    }

    /// How often it has been delivered, this time included: 1 at the first. 0 where the event does not say.
    #[must_use]
    pub fn receive_count(&self) -> u32 {
        self.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Its message group, if it came from a FIFO queue. (On a standard queue a group is for fairness and orders nothing.)
    pub(crate) fn ordered_group(&self) -> Option<&str> {
        let group = self.attributes.get("MessageGroupId")?;
        self.event_source_arn.ends_with(".fifo").then_some(group)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_member_of_lambdas_event_is_read() {
        let event = r#"{"Records":[{"messageId":"m-1","receiptHandle":"r","body":"{\"n\":1}",
            "attributes":{"ApproximateReceiveCount":"3","MessageGroupId":"g"},
            "messageAttributes":{
                "s":{"stringValue":"grün","stringListValues":[],"binaryListValues":[],"dataType":"String"},
                "b":{"binaryValue":"AP8=","stringListValues":[],"binaryListValues":[],"dataType":"Binary.png"}},
            "md5OfMessageAttributes":"c8b6","md5OfBody":"e4e6","eventSource":"aws:sqs",
            "eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:orders.fifo","awsRegion":"us-east-1"}]}"#;
        let event: SqsEvent = serde_json::from_str(event).unwrap();
        let text = SqsMessageAttribute {
            string_value: Some("grün".to_owned()),
            data_type: "String".to_owned(),
            ..SqsMessageAttribute::default()
        };
        let binary = SqsMessageAttribute {
            binary_value: Some("AP8=".to_owned()),
            data_type: "Binary.png".to_owned(),
            ..SqsMessageAttribute::default()
        };
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = SqsMessage {
            message_id: "m-1".to_owned(),
            receipt_handle: "r".to_owned(),
            body: "{\"n\":1}".to_owned(),
            attributes: [attribute("ApproximateReceiveCount", "3"), attribute("MessageGroupId", "g")].into(),
            message_attributes: [("s".to_owned(), text), ("b".to_owned(), binary)].into(),
            md5_of_message_attributes: Some("c8b6".to_owned()),
            md5_of_body: "e4e6".to_owned(),
            event_source: "aws:sqs".to_owned(),
            event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders.fifo".to_owned(),
            aws_region: "us-east-1".to_owned(),
        };
        assert_eq!(event.records, [expected]);
        let record = &event.records[0];
        assert_eq!((record.receive_count(), record.ordered_group()), (3, Some("g")));
        assert_eq!(record.message_attributes["b"].bytes(), Some(vec![0, 255]));
        assert_eq!(record.message_attributes["s"].bytes(), None);
        assert_eq!(record.json::<BTreeMap<String, u32>>().unwrap()["n"], 1);
    }

    #[test]
    fn a_windowed_batchs_null_and_a_short_event_are_read_too() {
        let event = r#"{"Records":[{"messageId":"m-1","body":"b","md5OfMessageAttributes":null,"new":[]}]}"#;
        let event: SqsEvent = serde_json::from_str(event).unwrap();
        let expected = SqsMessage { message_id: "m-1".to_owned(), body: "b".to_owned(), ..SqsMessage::default() };
        assert_eq!(event.records, [expected]);
        assert_eq!((event.records[0].receive_count(), event.records[0].ordered_group()), (0, None));
    }

    #[test]
    fn a_group_of_a_standard_queue_orders_nothing() {
        let attributes = [("MessageGroupId".to_owned(), "tenant".to_owned())].into();
        let arn = "arn:aws:sqs:us-east-1:000000000000:orders".to_owned();
        let record = SqsMessage { attributes, event_source_arn: arn, ..SqsMessage::default() };
        assert_eq!(record.ordered_group(), None);
    }
}
