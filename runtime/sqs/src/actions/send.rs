//! `SendMessage` and `SendMessageBatch`.

use serde::de::IgnoredAny;
use wasmill_queue::limits::{DELAY_MAX_SECONDS, MESSAGE_MAX_BYTES};
use wasmill_queue::{AttributeProblem, AttributeValue, MessageAttribute, MessageProblem, OutgoingMessage};
use wasmill_queue::{LocalQueue, Queue, QueueError, Sent};

use crate::actions::{Actions, Caller, batch, required};
use crate::error::{ActionError, DELAY_RANGE, WRONG_QUEUE_TYPE};
use crate::wire::members::Pairs;
use crate::wire::{
    BatchResponse, SendMessageBatchRequest, SendMessageRequest, SendMessageResponse, SentAttributeValue, SentEntry,
};

const TRACE_HEADER: &str = "AWSTraceHeader";
const FIFO_SUFFIX: &str = ".fifo";

impl Actions {
    pub(super) async fn send_message(
        &self,
        caller: Caller<'_>,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let mut message = outgoing(request)?;
        message.trace_header = message.trace_header.or_else(|| traced(caller));
        let deduplication_id = message.deduplication_id.clone();
        let mut results = queue.send(vec![message]).await?;
        let result = results.pop().unwrap_or_else(|| Err(batch::no_answer()));
        result.map(response).map_err(|error| send_error(error, deduplication_id))
    }

    pub(super) async fn send_message_batch(
        &self,
        caller: Caller<'_>,
        request: SendMessageBatchRequest,
    ) -> Result<BatchResponse<SentEntry>, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let entries = batch::checked(request.entries, "SendMessageBatchRequestEntry", |entry| entry.id.take())?;
        let checked: Vec<(String, Result<OutgoingMessage, ActionError>)> =
            entries.into_iter().map(|(id, entry)| (id, outgoing(entry))).collect();
        check_total_size(&checked)?;
        check_fifo(&queue, &checked)?;

        let mut to_send = Vec::with_capacity(checked.len());
        let mut outcomes = Vec::with_capacity(checked.len());
        for (id, message) in checked {
            let slot = message.map(|mut message| {
                message.trace_header = message.trace_header.or_else(|| traced(caller));
                let deduplication_id = message.deduplication_id.clone();
                to_send.push(message);
                deduplication_id
            });
            outcomes.push((id, slot));
        }
        let mut results = queue.send(to_send).await?.into_iter();
        let outcomes = outcomes.into_iter().map(|(id, slot)| {
            let outcome = slot.and_then(|deduplication_id| {
                let result = results.next().unwrap_or_else(|| Err(batch::no_answer()));
                result.map_err(|error| entry_error(error, deduplication_id))
            });
            (id, outcome)
        });
        Ok(batch::response(outcomes, |id, sent| SentEntry { id, sent: response(sent) }))
    }
}

/// SQS's limit of one message holds for a whole batch too. A queue's own `MaximumMessageSize` is a limit of each entry
/// only, as recorded on AWS.
fn check_total_size(checked: &[(String, Result<OutgoingMessage, ActionError>)]) -> Result<(), ActionError> {
    let messages = checked.iter().filter_map(|(_, message)| message.as_ref().ok());
    let sent_bytes = messages.map(OutgoingMessage::size_bytes).sum::<usize>() as u64;
    let max_bytes = u64::from(MESSAGE_MAX_BYTES);
    if sent_bytes > max_bytes { Err(ActionError::BatchTooLong { max_bytes, sent_bytes }) } else { Ok(()) }
}

/// An entry that a FIFO queue cannot order or tell apart fails the whole batch, before anything is stored
/// (sqs-semantics §4).
fn check_fifo(
    queue: &LocalQueue,
    checked: &[(String, Result<OutgoingMessage, ActionError>)],
) -> Result<(), ActionError> {
    if !queue.name().ends_with(FIFO_SUFFIX) {
        return Ok(());
    }
    let mut messages = checked.iter().filter_map(|(_, message)| message.as_ref().ok());
    if messages.clone().any(|message| message.group_id.is_none()) {
        return Err(ActionError::NO_GROUP_ID_IN_ENTRY);
    }
    if messages.any(|message| message.deduplication_id.is_none()) && !makes_deduplication_ids(queue)? {
        return Err(ActionError::NO_DEDUPLICATION_ID);
    }
    Ok(())
}

fn makes_deduplication_ids(queue: &LocalQueue) -> Result<bool, ActionError> {
    let attributes = queue.describe()?.attributes;
    Ok(attributes.iter().any(|(name, value)| *name == "ContentBasedDeduplication" && value == "true"))
}

fn outgoing(request: SendMessageRequest) -> Result<OutgoingMessage, ActionError> {
    let body = required(request.message_body, "MessageBody")?;
    let delay_seconds = request.delay_seconds.map(delay).transpose()?;
    Ok(OutgoingMessage {
        body,
        delay_seconds,
        attributes: user_attributes(request.message_attributes.unwrap_or_default())?,
        trace_header: trace_header(request.message_system_attributes.unwrap_or_default())?,
        group_id: request.message_group_id,
        deduplication_id: request.message_deduplication_id,
    })
}

fn delay(seconds: i64) -> Result<u32, ActionError> {
    let in_range = u32::try_from(seconds).ok().filter(|seconds| *seconds <= DELAY_MAX_SECONDS);
    in_range.ok_or_else(|| ActionError::out_of_range("DelaySeconds", seconds, DELAY_RANGE))
}

fn user_attributes(pairs: Pairs<SentAttributeValue>) -> Result<Vec<MessageAttribute>, ActionError> {
    pairs.0.into_iter().map(|(name, value)| user_attribute(name, value)).collect()
}

fn user_attribute(name: String, sent: SentAttributeValue) -> Result<MessageAttribute, ActionError> {
    let has_items = |list: &Option<Vec<IgnoredAny>>| list.as_ref().is_some_and(|items| !items.is_empty());
    if has_items(&sent.string_list_values) || has_items(&sent.binary_list_values) {
        return Err(ActionError::AttributeLists { name });
    }
    let data_type = sent.data_type.unwrap_or_default();
    let value = match (sent.string_value, sent.binary_value) {
        (Some(text), None) => AttributeValue::Text(text),
        (None, Some(blob)) => AttributeValue::Binary(blob.0),
        (None, None) => AttributeValue::Text(String::new()),
        (Some(_), Some(_)) => {
            return Err(ActionError::AttributeProblem { name, problem: AttributeProblem::WrongValueKind });
        }
    };
    // The queue refuses an empty value too, but only here is the type at hand that AWS names in the text.
    let kind = data_type.split('.').next().unwrap_or_default();
    if value.as_bytes().is_empty() && matches!(kind, "String" | "Number" | "Binary") {
        return Err(ActionError::EmptyAttributeValue { name, kind: kind.to_owned() });
    }
    Ok(MessageAttribute { name, data_type, value })
}

/// What the request was traced by: it goes with its messages unless they name a trace of their own.
fn traced(caller: Caller<'_>) -> Option<String> {
    caller.trace_header.map(str::to_owned)
}

fn trace_header(pairs: Pairs<SentAttributeValue>) -> Result<Option<String>, ActionError> {
    let mut header = None;
    for (name, sent) in pairs.0 {
        let value = sent.string_value.filter(|text| !text.is_empty());
        match value {
            Some(text) if name == TRACE_HEADER && sent.data_type.as_deref() == Some("String") => header = Some(text),
            _ => return Err(ActionError::UnknownSystemAttribute { name }),
        }
    }
    Ok(header)
}

fn response(sent: Sent) -> SendMessageResponse {
    SendMessageResponse {
        message_id: sent.id,
        md5_of_message_body: sent.md5_of_body,
        md5_of_message_attributes: sent.md5_of_attributes,
        md5_of_message_system_attributes: sent.md5_of_system_attributes,
        sequence_number: sent.sequence_number,
    }
}

/// The queue knows that a deduplication id is out of place, the request knows its text.
fn send_error(error: QueueError, deduplication_id: Option<String>) -> ActionError {
    match error {
        QueueError::InvalidMessage(MessageProblem::DeduplicationOnStandard) => ActionError::InvalidParameter {
            name: "MessageDeduplicationId",
            value: deduplication_id.unwrap_or_default(),
            reason: WRONG_QUEUE_TYPE.into(),
        },
        error => error.into(),
    }
}

fn entry_error(error: QueueError, deduplication_id: Option<String>) -> ActionError {
    match send_error(error, deduplication_id) {
        ActionError::MessageTooLong { max_bytes } => ActionError::EntryTooLong { max_bytes },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn message(json: &str) -> Result<OutgoingMessage, ActionError> {
        outgoing(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn members_become_a_message() {
        let json = r#"{"MessageBody":"b","DelaySeconds":"7","MessageGroupId":"g","MessageDeduplicationId":"d",
            "MessageAttributes":{"t":{"DataType":"String.x","StringValue":"v","StringListValues":[]},
                                 "b":{"DataType":"Binary","BinaryValue":"AP8="}},
            "MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}}"#;
        let expected = OutgoingMessage {
            body: "b".into(),
            delay_seconds: Some(7),
            attributes: vec![
                MessageAttribute {
                    name: "t".into(),
                    data_type: "String.x".into(),
                    value: AttributeValue::Text("v".into()),
                },
                MessageAttribute {
                    name: "b".into(),
                    data_type: "Binary".into(),
                    value: AttributeValue::Binary(vec![0, 255]),
                },
            ],
            trace_header: Some("Root=1".into()),
            group_id: Some("g".into()),
            deduplication_id: Some("d".into()),
        };
        assert_eq!(message(json), Ok(expected));
    }

    #[test]
    fn what_is_the_wires_to_refuse() {
        for (json, text) in [
            (r#"{}"#, "The request must contain the parameter MessageBody."),
            (r#"{"MessageBody":""}"#, "The request must contain the parameter MessageBody."),
            (
                r#"{"MessageBody":"b","DelaySeconds":-1}"#,
                "Value -1 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
            ),
            (
                r#"{"MessageBody":"b","DelaySeconds":901}"#,
                "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
            ),
            (
                r#"{"MessageBody":"b","MessageAttributes":{"a":{"DataType":"Number.int"}}}"#,
                "Message (user) attribute 'a' must contain a non-empty value of type 'Number'.",
            ),
            (
                r#"{"MessageBody":"b","MessageAttributes":{"a":{"DataType":"String","StringListValues":["v"]}}}"#,
                "Message (user) attribute 'a': list values are not implemented.",
            ),
            (
                r#"{"MessageBody":"b","MessageAttributes":{"a":{"DataType":"String","StringValue":"v","BinaryValue":"AP8="}}}"#,
                "The message (user) attribute 'a' has a value that does not match its data type.",
            ),
        ] {
            assert_eq!(message(json).unwrap_err().answer().text, text, "{json}");
        }
        for system in [
            r#"{"Other":{"DataType":"String","StringValue":"v"}}"#,
            r#"{"AWSTraceHeader":{"DataType":"Number","StringValue":"1"}}"#,
            r#"{"AWSTraceHeader":{"DataType":"String"}}"#,
        ] {
            let json = format!(r#"{{"MessageBody":"b","MessageSystemAttributes":{system}}}"#);
            assert!(matches!(message(&json), Err(ActionError::UnknownSystemAttribute { .. })), "{json}");
        }
    }
}
