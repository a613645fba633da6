//! What `wit/handler.wit` says, as Rust: the values that cross into a guest and come back.
//!
//! They are borrowed where they go in, so that a batch is lowered from its records without a copy of its texts.

use wasmill_event::{AttributeValue as EventValue, Record, Verdict as EventVerdict};
use wasmtime::component::{ComponentType, Lift, Lower};

/// `types.context`.
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(record)]
pub(crate) struct Context<'a> {
    #[component(name = "request-id")]
    pub(crate) request_id: &'a str,
    #[component(name = "function-name")]
    pub(crate) function_name: &'a str,
    #[component(name = "function-version")]
    pub(crate) function_version: &'a str,
    #[component(name = "function-arn")]
    pub(crate) function_arn: &'a str,
    /// Unix time.
    #[component(name = "deadline-ms")]
    pub(crate) deadline_ms: u64,
    #[component(name = "memory-limit-mb")]
    pub(crate) memory_limit_mb: u32,
    #[component(name = "trace-id")]
    pub(crate) trace_id: Option<&'a str>,
}

/// `types.message`.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct Message<'a> {
    #[component(name = "message-id")]
    message_id: &'a str,
    #[component(name = "receipt-handle")]
    receipt_handle: &'a str,
    body: &'a str,
    attributes: Vec<(&'a str, String)>,
    #[component(name = "message-attributes")]
    message_attributes: Vec<MessageAttribute<'a>>,
    #[component(name = "md5-of-body")]
    md5_of_body: &'a str,
    #[component(name = "event-source-arn")]
    event_source_arn: &'a str,
    #[component(name = "aws-region")]
    aws_region: &'a str,
}

/// `types.message-attribute`.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct MessageAttribute<'a> {
    name: &'a str,
    #[component(name = "data-type")]
    data_type: &'a str,
    value: AttributeValue<'a>,
}

/// `types.attribute-value`.
#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(crate) enum AttributeValue<'a> {
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "binary")]
    Binary(&'a [u8]),
}

/// `types.verdict`.
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum Verdict {
    #[component(name = "done")]
    Done,
    #[component(name = "retry")]
    Retry(Option<u32>),
    #[component(name = "dead-letter")]
    DeadLetter(String),
    #[component(name = "release")]
    Release,
}

/// A batch for the typed world.
pub(crate) fn messages(records: &[Record]) -> Vec<Message<'_>> {
    records.iter().map(message).collect()
}

fn message(record: &Record) -> Message<'_> {
    Message {
        message_id: &record.message_id,
        receipt_handle: &record.receipt_handle,
        body: &record.body,
        attributes: record.attributes.iter().map(|(name, value)| (*name, value.text().into_owned())).collect(),
        message_attributes: record.message_attributes.iter().map(message_attribute).collect(),
        md5_of_body: &record.md5_of_body,
        event_source_arn: &record.event_source_arn,
        aws_region: &record.aws_region,
    }
}

fn message_attribute(attribute: &wasmill_event::MessageAttribute) -> MessageAttribute<'_> {
    MessageAttribute {
        name: &attribute.name,
        data_type: &attribute.data_type,
        value: match &attribute.value {
            EventValue::Text(text) => AttributeValue::Text(text),
            EventValue::Binary(bytes) => AttributeValue::Binary(bytes),
        },
    }
}

impl From<Verdict> for EventVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::Done,
            Verdict::Retry(after_seconds) => Self::Retry { after_seconds },
            Verdict::DeadLetter(reason) => Self::DeadLetter { reason },
            Verdict::Release => Self::Release,
        }
    }
}
