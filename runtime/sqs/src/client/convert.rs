//! The SDK's types and errors to the queue crate's and back. Pure.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, Message as SdkMessage, MessageAttributeValue, MessageSystemAttributeName,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
    SendMessageBatchResultEntry,
};
use wasmill_queue::limits::MESSAGE_MAX_BYTES;
use wasmill_queue::{
    AttributeValue, Message, MessageAttribute, MessageId, OutgoingMessage, QueueArn, QueueAttributes, QueueError,
    ReceiptHandle, RedrivePolicy, Sent, SystemAttributes, checksum,
};

const NOT_THERE: [&str; 3] =
    ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "ResourceNotFoundException"];
const NOT_IN_FLIGHT: [&str; 2] = ["AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight"];
const OVER_LIMIT: &str = "OverLimit";
const TOO_LONG: [&str; 2] = ["AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong"];
const INVALID_RECEIPT: &str = "ReceiptHandleIsInvalid";
/// What a deleted delivery's change of visibility is told, as `InvalidParameterValue` (sqs-semantics §5.3).
const NOT_IN_FLIGHT_TEXT: &str = "does not exist or is not available for visibility timeout change";
/// Codes of a service that would like to be asked again later.
const TRANSIENT: [&str; 12] = [
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeoutException",
];
const DEFAULT_VISIBILITY_SECONDS: u64 = 30;
/// How the reason begins when there was no connection.
pub const NO_CONNECTION: &str = "no connection";
/// A chain of causes is cut here.
const CAUSES_MAX: usize = 8;

/// An answer that does not fit the API: another service stands at the endpoint.
pub(super) fn misunderstood(what: &str) -> QueueError {
    QueueError::Refused { code: "UnexpectedResponse".into(), message: what.to_owned() }
}

/// A whole call's failure.
pub(super) fn call_error<E>(error: &SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Some(service_error) = error.as_service_error() else {
        let has_connected = !matches!(error, SdkError::DispatchFailure(failure) if failure.is_io());
        let what = if has_connected { causes(error) } else { format!("{NO_CONNECTION}: {}", root(error)) };
        return QueueError::Unavailable(what);
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let is_transient = status >= 500 || status == 429;
    let message = service_error.message().unwrap_or_default();
    match service_error.code() {
        Some(code) => by_code(code, message, is_transient),
        // Something else than SQS answered, a proxy perhaps.
        None => {
            let message = if message.is_empty() { "the answer is not one of SQS's" } else { message };
            by_code(&format!("HTTP {status}"), message, is_transient)
        }
    }
}

fn by_code(code: &str, message: &str, transient_status: bool) -> QueueError {
    if NOT_THERE.contains(&code) {
        return QueueError::NoSuchQueue;
    }
    if code == OVER_LIMIT {
        return QueueError::OverLimit;
    }
    if transient_status || TRANSIENT.contains(&code) {
        return QueueError::Unavailable(format!("{code}: {message}"));
    }
    QueueError::Refused { code: code.to_owned(), message: message.to_owned() }
}

/// True when a batch has to be sent in smaller pieces.
pub(super) fn is_batch_too_long(error: &QueueError) -> bool {
    matches!(error, QueueError::Refused { code, .. } if TOO_LONG.contains(&code.as_str()))
}

/// One entry's failure. `handle` is the entry's receipt handle, where it has one.
pub(super) fn entry_error(entry: &BatchResultErrorEntry, handle: Option<&ReceiptHandle>) -> QueueError {
    let code = entry.code();
    let message = entry.message().unwrap_or_default();
    if let Some(handle) = handle.map(|handle| handle.as_str().to_owned()) {
        if code == INVALID_RECEIPT {
            return QueueError::InvalidReceipt { handle };
        }
        if NOT_IN_FLIGHT.contains(&code) || message.contains(NOT_IN_FLIGHT_TEXT) {
            return QueueError::NotInFlight { handle };
        }
    }
    by_code(code, message, !entry.sender_fault())
}

/// What is behind an error, without the client's own names for the layers that it came through.
fn root(error: &dyn Error) -> String {
    let mut root = error;
    for _ in 0..CAUSES_MAX {
        let Some(cause) = root.source() else { break };
        root = cause;
    }
    one_line(&root.to_string())
}

/// An error and its causes in one line, such as `dispatch failure: io error: Connection refused (os error 111)`. Only what
/// each says for people: the SDK's `Debug` has whole answers in it, headers and request ids included, so that no two
/// failures would read the same.
fn causes(error: &dyn Error) -> String {
    let mut text = one_line(&error.to_string());
    let mut next = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        let said = one_line(&cause.to_string());
        // Some repeat what their cause says.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A received message. One without id, handle or body cannot be processed or settled, so it is refused whole.
pub(super) fn message(sdk: SdkMessage) -> Result<Message, QueueError> {
    let missing = |what: &str| misunderstood(&format!("ReceiveMessage answered a message without {what}"));
    let id = sdk.message_id.ok_or_else(|| missing("MessageId"))?;
    let receipt = sdk.receipt_handle.ok_or_else(|| missing("ReceiptHandle"))?;
    let body = sdk.body.ok_or_else(|| missing("Body"))?;
    let md5_of_body = sdk.md5_of_body.unwrap_or_else(|| checksum::md5_hex(body.as_bytes()));
    let mut attributes: Vec<MessageAttribute> =
        sdk.message_attributes.unwrap_or_default().into_iter().map(|(name, value)| attribute(name, value)).collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Message {
        id: MessageId::new(id),
        receipt: ReceiptHandle::new(receipt),
        body,
        md5_of_body,
        system: system_attributes(sdk.attributes.unwrap_or_default()),
        attributes,
    })
}

fn attribute(name: String, value: MessageAttributeValue) -> MessageAttribute {
    let kept = match (value.string_value, value.binary_value) {
        (_, Some(bytes)) => AttributeValue::Binary(bytes.into_inner()),
        (text, None) => AttributeValue::Text(text.unwrap_or_default()),
    };
    MessageAttribute { name, data_type: value.data_type, value: kept }
}

fn system_attributes(mut sdk: HashMap<MessageSystemAttributeName, String>) -> SystemAttributes {
    use MessageSystemAttributeName as Name;
    let mut text = |name: Name| sdk.remove(&name);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
    SystemAttributes {
        sent_unix_ms: number(text(Name::SentTimestamp)).unwrap_or_default(),
        // Every received message was received once at least.
        receive_count: number(text(Name::ApproximateReceiveCount))
            .map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        first_received_unix_ms: number(text(Name::ApproximateFirstReceiveTimestamp)).unwrap_or_default(),
        sender_id: text(Name::SenderId),
        trace_header: text(Name::AwsTraceHeader),
        group_id: text(Name::MessageGroupId),
        deduplication_id: text(Name::MessageDeduplicationId),
        sequence_number: text(Name::SequenceNumber),
        dead_letter_source_arn: text(Name::DeadLetterQueueSourceArn),
    }
}

/// The entry of a `SendMessageBatch`.
pub(super) fn send_entry(id: String, message: OutgoingMessage) -> Result<SendMessageBatchRequestEntry, QueueError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(message.body)
        .set_delay_seconds(message.delay_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)))
        .set_message_group_id(message.group_id)
        .set_message_deduplication_id(message.deduplication_id);
    for attribute in message.attributes {
        let value = MessageAttributeValue::builder().data_type(attribute.data_type);
        let value = match attribute.value {
            AttributeValue::Text(text) => value.string_value(text),
            AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
        };
        entry =
            entry.message_attributes(attribute.name, value.build().map_err(|error| misunderstood(&error.to_string()))?);
    }
    if let Some(header) = message.trace_header {
        let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header);
        let value = value.build().map_err(|error| misunderstood(&error.to_string()))?;
        entry = entry.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
    }
    entry.build().map_err(|error| misunderstood(&error.to_string()))
}

/// An acknowledged entry.
pub(super) fn sent(entry: &SendMessageBatchResultEntry) -> Sent {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Sent {
        id: MessageId::new(entry.message_id()),
        md5_of_body: entry.md5_of_message_body().to_owned(),
        md5_of_attributes: owned(entry.md5_of_message_attributes()),
        md5_of_system_attributes: owned(entry.md5_of_message_system_attributes()),
        sequence_number: owned(entry.sequence_number()),
    }
}

/// What a consumer must know, out of all attributes.
pub(super) fn queue_attributes(all: &BTreeMap<String, String>) -> Result<QueueAttributes, QueueError> {
    let number = |name: &str| all.get(name).and_then(|text| text.parse::<u64>().ok());
    let policy = all.get("RedrivePolicy").filter(|text| !text.is_empty());
    let maximum = number("MaximumMessageSize").and_then(|bytes| u32::try_from(bytes).ok());
    Ok(QueueAttributes {
        visibility_timeout: Duration::from_secs(number("VisibilityTimeout").unwrap_or(DEFAULT_VISIBILITY_SECONDS)),
        fifo: all.get("FifoQueue").is_some_and(|text| text == "true"),
        redrive: policy.map(|text| redrive_policy(text)).transpose()?,
        maximum_message_bytes: maximum.unwrap_or(MESSAGE_MAX_BYTES),
    })
}

fn redrive_policy(text: &str) -> Result<RedrivePolicy, QueueError> {
    let wrong = || misunderstood(&format!("the queue's RedrivePolicy is {text:?}"));
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let arn = json["deadLetterTargetArn"].as_str().and_then(|arn| QueueArn::parse(arn).ok());
    let count = &json["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str().and_then(|text| text.parse().ok()));
    let count = count.and_then(|count| u32::try_from(count).ok());
    match (arn, count) {
        (Some(dead_letter_target_arn), Some(max_receive_count)) => {
            Ok(RedrivePolicy { dead_letter_target_arn, max_receive_count })
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn failed(code: &str, sender_fault: bool, message: &str) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder().id("0").code(code).sender_fault(sender_fault).message(message).build().unwrap()
    }

    #[test]
    fn entry_failures() {
        let receipt = ReceiptHandle::new("h");
        let gone = "Value h for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available \
                    for visibility timeout change.";
        let not_in_flight = QueueError::NotInFlight { handle: "h".into() };
        let refused = |code: &str, message: &str| QueueError::Refused { code: code.into(), message: message.into() };
        let unavailable = |text: &str| QueueError::Unavailable(text.into());
        for (entry, expected) in [
            (failed("ReceiptHandleIsInvalid", true, "x"), QueueError::InvalidReceipt { handle: "h".into() }),
            (failed("InvalidParameterValue", true, gone), not_in_flight.clone()),
            (failed("AWS.SimpleQueueService.MessageNotInflight", true, ""), not_in_flight.clone()),
            (failed("MessageNotInflight", true, ""), not_in_flight),
            (failed("InvalidParameterValue", true, "other"), refused("InvalidParameterValue", "other")),
            (failed("InternalError", false, "sorry"), unavailable("InternalError: sorry")),
            (failed("Anything", false, "their fault"), unavailable("Anything: their fault")),
            (failed("RequestThrottled", true, "slow"), unavailable("RequestThrottled: slow")),
            (failed("AWS.SimpleQueueService.NonExistentQueue", true, ""), QueueError::NoSuchQueue),
        ] {
            assert_eq!(entry_error(&entry, Some(&receipt)), expected, "{entry:?}");
        }
        let for_a_send = failed("InvalidMessageContents", true, "bad character");
        assert_eq!(entry_error(&for_a_send, None), refused("InvalidMessageContents", "bad character"));
    }

    #[test]
    fn causes_are_one_line_without_debug_output() {
        #[derive(Debug, thiserror::Error)]
        #[error("dispatch\n failure")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("io error: refused")]
        struct Middle(#[source] std::io::Error);
        let error = Outer(Middle(std::io::Error::other("refused")));
        assert_eq!(causes(&error), "dispatch failure: io error: refused");
        assert_eq!(root(&error), "refused");
    }

    #[test]
    fn attributes_of_a_queue() {
        let all = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let plain = queue_attributes(&all(&[("VisibilityTimeout", "45"), ("MaximumMessageSize", "262144")])).unwrap();
        let expected = QueueAttributes {
            visibility_timeout: Duration::from_secs(45),
            fifo: false,
            redrive: None,
            maximum_message_bytes: 262_144,
        };
        assert_eq!(plain, expected);
        for count in ["5", "\"5\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:r:0:dlq","maxReceiveCount":{count}}}"#);
            let read = queue_attributes(&all(&[("RedrivePolicy", &policy), ("FifoQueue", "true")])).unwrap();
            let redrive = read.redrive.unwrap();
            assert_eq!((redrive.dead_letter_target_arn.name(), redrive.max_receive_count, read.fifo), ("dlq", 5, true));
        }
        let unreadable = queue_attributes(&all(&[("RedrivePolicy", "{}")])).unwrap_err();
        assert!(matches!(unreadable, QueueError::Refused { code, .. } if code == "UnexpectedResponse"));
    }

    #[test]
    fn a_received_message() {
        use MessageSystemAttributeName as Name;
        let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
        let sdk = SdkMessage::builder()
            .message_id("id")
            .receipt_handle("h")
            .body("b")
            .message_attributes("z", value("String").string_value("v").build().unwrap())
            .message_attributes("a", value("Binary").binary_value(Blob::new([0, 255])).build().unwrap())
            .attributes(Name::ApproximateReceiveCount, "3")
            .attributes(Name::SentTimestamp, "1000")
            .attributes(Name::AwsTraceHeader, "Root=1")
            .build();
        let message = message(sdk).unwrap();
        assert_eq!(message.md5_of_body, "92eb5ffee6ae2fec3ad71c777531578f", "computed when the service leaves it out");
        assert_eq!((message.system.receive_count, message.system.sent_unix_ms), (3, 1000));
        assert_eq!(message.system.trace_header.as_deref(), Some("Root=1"));
        let names: Vec<&str> = message.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        assert_eq!(names, ["a", "z"]);
        assert_eq!(message.attributes[0].value, AttributeValue::Binary(vec![0, 255]));
        assert!(super::message(SdkMessage::builder().body("b").build()).is_err());
    }
}
