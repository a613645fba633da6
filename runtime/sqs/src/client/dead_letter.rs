//! A message as it goes to a remote dead-letter queue by verdict: the same body and attributes, and why it died. Pure.

use wasmill_queue::{AttributeValue, DeadLetter, MessageAttribute, OutgoingMessage, QueueArn, QueueError};

const REASON: &str = "WasmillReason";
const SOURCE_ARN: &str = "WasmillSourceArn";
const FUNCTION_VERSION: &str = "WasmillFunctionVersion";
/// The attempt that ended in it, as JSON.
const ATTEMPT: &str = "WasmillAttempt";
const OURS: [&str; 4] = [REASON, SOURCE_ARN, FUNCTION_VERSION, ATTEMPT];
const DATA_TYPE: &str = "String";
const ATTRIBUTES_MAX: usize = 10;
/// A reason is for people; more than this is a log.
const REASON_MAX_BYTES: usize = 4096;
/// A shorter rest of a reason says nothing: rather none.
const REASON_MIN_BYTES: usize = 32;
const NO_REASON: &str = "no reason given";

/// What is sent to the dead-letter queue, and what had to be left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) message: OutgoingMessage,
    /// Names of our own attributes that did not fit.
    pub(super) left_out: Vec<&'static str>,
}

/// Adds our attributes to the message. It may have ten attributes in all and `max_bytes`, so where they do not all fit
/// the attempt goes first, then the version, then the source, then the reason; the reason is cut, down to its first words, before any of
/// them goes. The message's own attributes always stay. On a FIFO queue the group stays and the message id
/// deduplicates: a second try stores no second copy.
pub(super) fn prepare(letter: DeadLetter, source: &QueueArn, fifo: bool, max_bytes: u32) -> Prepared {
    let DeadLetter { message, reason, function_version, attempt } = letter;
    let mut attributes = message.attributes;
    // It may have died before, in another queue: then its old marks make room for the new ones.
    attributes.retain(|attribute| !OURS.contains(&attribute.name.as_str()));
    let mut outgoing = OutgoingMessage {
        body: message.body,
        delay_seconds: None,
        attributes,
        trace_header: message.system.trace_header,
        group_id: message.system.group_id,
        deduplication_id: fifo.then(|| message.id.as_str().to_owned()),
    };

    let reason = readable(&reason, REASON_MAX_BYTES);
    let shortest_reason = readable(&reason, REASON_MIN_BYTES);
    let mut marks = vec![mark(REASON, &reason), mark(SOURCE_ARN, source.as_str())];
    marks.extend((!function_version.is_empty()).then(|| mark(FUNCTION_VERSION, &function_version)));
    marks.extend(attempt.map(|attempt| mark(ATTEMPT, &readable(&attempt.to_json().to_string(), usize::MAX))));
    let room_bytes = (max_bytes as usize).saturating_sub(outgoing.size_bytes());
    let room_slots = ATTRIBUTES_MAX.saturating_sub(outgoing.attributes.len());
    let spared_bytes = reason.len() - shortest_reason.len();
    let fits = |kept: &usize| *kept <= room_slots && size(&marks[..*kept]) <= room_bytes + spared_bytes;
    // Keeping none always fits.
    let kept = (1..=marks.len()).rev().find(fits).unwrap_or(0);
    let left_out = marks.split_off(kept).into_iter().map(|(name, _)| name).collect();
    let excess_bytes = size(&marks).saturating_sub(room_bytes);
    if let Some((_, text)) = marks.first_mut() {
        *text = readable(&reason, reason.len() - excess_bytes);
    }
    outgoing.attributes.extend(marks.into_iter().map(|(name, text)| MessageAttribute {
        name: name.to_owned(),
        data_type: DATA_TYPE.to_owned(),
        value: AttributeValue::Text(text),
    }));
    Prepared { message: outgoing, left_out }
}

/// The failure of a message that is in the dead-letter queue and still in its own. Whatever kept it there (the delete was
/// tried several times), it must not read as passing: the whole move would be tried again, and each try sends another
/// copy.
pub(super) fn not_deleted(error: &QueueError) -> QueueError {
    QueueError::Refused {
        code: "DeadLetterNotDeleted".to_owned(),
        message: format!(
            "it is in the dead-letter queue and could not be deleted from its own, where it returns: {error}"
        ),
    }
}

/// Name and value of one of our attributes.
type Mark = (&'static str, String);

fn mark(name: &'static str, text: &str) -> Mark {
    (name, text.to_owned())
}

fn size(marks: &[Mark]) -> usize {
    marks.iter().map(|(name, text)| name.len() + DATA_TYPE.len() + text.len()).sum()
}

/// A reason as an attribute may hold it: never empty, no character that SQS refuses, cut at a character.
fn readable(reason: &str, max_bytes: usize) -> String {
    let reason = if reason.is_empty() { NO_REASON } else { reason };
    let mut text = String::with_capacity(reason.len().min(max_bytes));
    for c in reason.chars() {
        let allowed = matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
        let kept = if allowed { c } else { char::REPLACEMENT_CHARACTER };
        if text.len() + kept.len_utf8() > max_bytes {
            break;
        }
        text.push(kept);
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use wasmill_queue::limits::MESSAGE_MAX_BYTES;
    use wasmill_queue::{Message, MessageId, ReceiptHandle, SystemAttributes};

    use super::*;

    fn letter(own_attributes: usize, body: &str, reason: &str) -> DeadLetter {
        let own = (0..own_attributes).map(|index| MessageAttribute {
            name: format!("own{index}"),
            data_type: "String".into(),
            value: AttributeValue::Text("v".into()),
        });
        let system = SystemAttributes {
            group_id: Some("group".into()),
            trace_header: Some("Root=1".into()),
            ..SystemAttributes::default()
        };
        let message = Message {
            id: MessageId::new("id-1"),
            receipt: ReceiptHandle::new("h"),
            body: body.into(),
            md5_of_body: String::new(),
            system,
            attributes: own.collect(),
        };
        DeadLetter { message, reason: reason.into(), function_version: "7".into(), attempt: None }
    }

    fn source() -> QueueArn {
        QueueArn::new("us-east-1", "000000000000", "orders")
    }

    fn added(prepared: &Prepared) -> Vec<&str> {
        let names = prepared.message.attributes.iter().map(|attribute| attribute.name.as_str());
        names.filter(|name| name.starts_with("Wasmill")).collect()
    }

    fn reason_of(prepared: &Prepared) -> &str {
        let reason = prepared.message.attributes.iter().find(|attribute| attribute.name == REASON).unwrap();
        match &reason.value {
            AttributeValue::Text(text) => text,
            AttributeValue::Binary(_) => panic!("the reason is text"),
        }
    }

    #[test]
    fn a_failed_delete_is_never_passing() {
        let unavailable = QueueError::Unavailable("ServiceUnavailable: slow down".into());
        let full = QueueError::Storage(wasmill_queue::StorageError::Full);
        for error in [unavailable, QueueError::OverLimit, QueueError::NoSuchQueue, full] {
            let QueueError::Refused { code, message } = not_deleted(&error) else { panic!("{error:?}") };
            assert_eq!(code, "DeadLetterNotDeleted");
            assert!(message.ends_with(&error.to_string()), "{message}");
        }
    }

    #[test]
    fn the_message_goes_whole_with_three_marks() {
        let prepared = prepare(letter(2, "body", "bad order"), &source(), false, MESSAGE_MAX_BYTES);
        assert_eq!(added(&prepared), [REASON, SOURCE_ARN, FUNCTION_VERSION]);
        assert_eq!((reason_of(&prepared), prepared.left_out.len()), ("bad order", 0));
        let message = &prepared.message;
        assert_eq!((message.body.as_str(), message.attributes.len()), ("body", 5));
        assert_eq!(message.trace_header.as_deref(), Some("Root=1"));
        assert_eq!((message.group_id.as_deref(), message.deduplication_id.as_deref()), (Some("group"), None));
        let fifo = prepare(letter(0, "body", "bad"), &source(), true, MESSAGE_MAX_BYTES);
        assert_eq!(fifo.message.deduplication_id.as_deref(), Some("id-1"));
    }

    #[test]
    fn the_attempt_goes_along_where_there_is_room_and_gives_way_first() {
        let attempt = wasmill_queue::FailedAttempt {
            kind: "trap".into(),
            log_tail: "\u{1b}[31mred\u{ffff}".into(),
            ..wasmill_queue::FailedAttempt::default()
        };
        let explained =
            |own, bytes| DeadLetter { attempt: Some(attempt.clone()), ..letter(own, &"b".repeat(bytes), "bad") };
        let prepared = prepare(explained(6, 1), &source(), false, MESSAGE_MAX_BYTES);
        assert_eq!(added(&prepared), [REASON, SOURCE_ARN, FUNCTION_VERSION, ATTEMPT]);
        let AttributeValue::Text(text) = &prepared.message.attributes.last().unwrap().value else { panic!("text") };
        let shown: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!((&shown["kind"], &shown["log_tail"]), (&"trap".into(), &"\u{1b}[31mred\u{fffd}".into()));
        for (own, bytes) in [(7, 1), (0, 800)] {
            let prepared = prepare(explained(own, bytes), &source(), false, 1024);
            assert_eq!((added(&prepared).len(), prepared.left_out.as_slice()), (3, &[ATTEMPT][..]), "{own} {bytes}");
        }
    }

    #[test]
    fn marks_give_way_to_the_messages_own_attributes() {
        for (own, expected_marks, expected_left_out) in [
            (7, &[REASON, SOURCE_ARN, FUNCTION_VERSION][..], &[][..]),
            (8, &[REASON, SOURCE_ARN], &[FUNCTION_VERSION]),
            (9, &[REASON], &[SOURCE_ARN, FUNCTION_VERSION]),
            (10, &[], &[REASON, SOURCE_ARN, FUNCTION_VERSION]),
        ] {
            let prepared = prepare(letter(own, "b", "r"), &source(), false, MESSAGE_MAX_BYTES);
            assert_eq!(
                (added(&prepared).as_slice(), prepared.left_out.as_slice()),
                (expected_marks, expected_left_out)
            );
            assert_eq!(prepared.message.attributes.len(), (own + 3).min(10));
        }
    }

    #[test]
    fn marks_of_an_earlier_death_are_replaced() {
        let mut died_before = letter(0, "b", "second");
        died_before.message.attributes = prepare(letter(0, "b", "first"), &source(), false, 1024).message.attributes;
        let prepared = prepare(died_before, &source(), false, 1024);
        assert_eq!((prepared.message.attributes.len(), reason_of(&prepared)), (3, "second"));
    }

    #[test]
    fn a_reason_is_cut_to_what_fits_and_cleaned() {
        let long = "x".repeat(REASON_MAX_BYTES + 1);
        let prepared = prepare(letter(0, "b", &long), &source(), false, MESSAGE_MAX_BYTES);
        assert_eq!(reason_of(&prepared).len(), REASON_MAX_BYTES);

        // Source and version take 63 and 29 bytes, the reason 19 and its text.
        let tight =
            |room: usize| prepare(letter(0, &"b".repeat(1024 - room), &"é".repeat(200)), &source(), false, 1024);
        for (room, reason_letters, left_out) in [
            (63 + 29 + 19 + 51, 25, &[][..]),
            (63 + 29 + 19 + 32, 16, &[]),
            (63 + 29 + 19 + 31, 30, &[FUNCTION_VERSION]),
            (63 + 19 + 31, 47, &[SOURCE_ARN, FUNCTION_VERSION]),
            (19 + 32, 16, &[SOURCE_ARN, FUNCTION_VERSION]),
        ] {
            let prepared = tight(room);
            assert_eq!(
                (reason_of(&prepared), prepared.left_out.as_slice()),
                ("é".repeat(reason_letters).as_str(), left_out)
            );
            assert!(prepared.message.size_bytes() <= 1024);
        }
        let full = tight(19 + 31);
        assert_eq!(full.left_out, [REASON, SOURCE_ARN, FUNCTION_VERSION], "a stump of a reason helps nobody");
        assert_eq!(full.message.attributes, []);

        let prepared = prepare(letter(0, "b", "a\u{0}b\u{ffff}"), &source(), false, 1024);
        assert_eq!(reason_of(&prepared), "a\u{fffd}b\u{fffd}");
        let prepared = prepare(letter(0, "b", ""), &source(), false, 1024);
        assert_eq!(reason_of(&prepared), NO_REASON);
    }
}
