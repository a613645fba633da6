//! What the counts and the drain put to the filters: patterns as people write them, and a batch of records.

use std::sync::Arc;

use wasmill_event::{AttributeValue, MessageAttribute, Record, SystemValue};

/// As many as Lambda's usual batch has.
pub(crate) const RECORDS: usize = 10;

/// Two patterns, as people write them: one looks into the body, the other at an attribute.
pub(crate) const PATTERNS: [&str; 2] = [
    r#"{"body":{"type":["order"],"total":[{"numeric":[">",100,"<=",1000]}],"customer":{"country":[{"anything-but":["AT","CH"]}]}}}"#,
    r#"{"messageAttributes":{"kind":{"stringValue":[{"prefix":"urgent-"}]}}}"#,
];

/// Every other one matches.
pub(crate) fn records() -> Vec<Record> {
    (0..RECORDS).map(record).collect()
}

fn record(index: usize) -> Record {
    let country = if index.is_multiple_of(2) { "DE" } else { "AT" };
    let body = format!(
        r#"{{"type":"order","number":{index},"note":"eilig, \"bitte\"\n","lines":[{{"sku":"A-1","count":2}},{{"sku":"B-22","count":1}}],"customer":{{"name":"Müller","country":"{country}"}},"total":129.5}}"#
    );
    Record {
        message_id: Arc::from("059f36b4-87a3-44ab-83d2-661975830a7d"),
        receipt_handle: "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(4).into(),
        body,
        attributes: vec![
            ("ApproximateReceiveCount", SystemValue::Number(1)),
            ("SentTimestamp", SystemValue::Number(1_545_082_649_183)),
            ("SenderId", SystemValue::Text("AIDAIENQZJOLO23YVJ4VO".to_owned())),
            ("ApproximateFirstReceiveTimestamp", SystemValue::Number(1_545_082_649_185)),
        ],
        message_attributes: vec![MessageAttribute {
            name: "kind".to_owned(),
            data_type: "String".to_owned(),
            value: AttributeValue::Text("plain".to_owned()),
        }],
        md5_of_message_attributes: Some("e4e68fb7bd0e697a0ae8f1bb342846b3".to_owned()),
        md5_of_body: "098f6bcd4621d373cade4e832627b4f6".to_owned(),
        event_source_arn: Arc::from("arn:aws:sqs:us-east-1:000000000000:orders"),
        aws_region: Arc::from("us-east-1"),
    }
}
