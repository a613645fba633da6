//! What a sender may write: sizes, characters, attribute shapes (sqs-semantics §4). Pure checks.

use crate::error::{AttributeProblem, MessageProblem};
use crate::message::{AttributeValue, MessageAttribute, OutgoingMessage};

/// The longest delay, per message or per queue.
pub const DELAY_MAX_SECONDS: u32 = 900;
/// The longest visibility timeout, and the longest a delivery may be held in all: 12 hours.
pub const VISIBILITY_MAX_SECONDS: u32 = 43_200;
/// The largest message SQS takes, attributes included.
pub const MESSAGE_MAX_BYTES: u32 = 1_048_576;
const ATTRIBUTES_MAX: usize = 10;
const ATTRIBUTE_NAME_MAX: usize = 256;
const DATA_TYPE_MAX: usize = 256;
/// Of a group id and a deduplication id.
const ID_MAX: usize = 128;
const NUMBER_DIGITS_MAX: usize = 38;
/// The powers of ten that a number's first digit may stand at; the last only for 1e126 itself.
const NUMBER_MAGNITUDE: std::ops::RangeInclusive<i64> = -128..=126;
const TRACE_HEADER: &str = "AWSTraceHeader";

/// What kind of queue a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// In no order; a group id makes it fair.
    Standard,
    /// In order within a group, once.
    Fifo {
        /// Whether a message without a deduplication id gets one from its body.
        content_based_deduplication: bool,
    },
}

/// Checks one message for a queue of that kind whose `MaximumMessageSize` is `max_bytes`.
///
/// # Errors
/// The first problem found: the body's, then the ids', then the attributes'.
pub fn check_message(message: &OutgoingMessage, max_bytes: u32, kind: QueueKind) -> Result<(), MessageProblem> {
    if message.body.is_empty() {
        return Err(MessageProblem::EmptyBody);
    }
    if message.size_bytes() > max_bytes as usize {
        return Err(MessageProblem::TooLong { max_bytes });
    }
    if let Some(character) = first_invalid_character(&message.body) {
        return Err(MessageProblem::InvalidCharacter(character));
    }
    if let Some(delay) = message.delay_seconds.filter(|delay| *delay > DELAY_MAX_SECONDS) {
        return Err(MessageProblem::DelayOutOfRange(i64::from(delay)));
    }
    check_ids(message, kind)?;
    check_attributes(&message.attributes)?;
    // It is shown in XML too, which has no way to write such a character.
    match message.trace_header.as_deref().and_then(first_invalid_character) {
        Some(_) => {
            Err(MessageProblem::Attribute { name: TRACE_HEADER.to_owned(), problem: AttributeProblem::Character })
        }
        None => Ok(()),
    }
}

/// What the queue's type asks of the group, the deduplication id and the delay.
fn check_ids(message: &OutgoingMessage, kind: QueueKind) -> Result<(), MessageProblem> {
    if let Some(group) = message.group_id.as_ref().filter(|group| !is_id(group)) {
        return Err(MessageProblem::InvalidGroupId(group.clone()));
    }
    let QueueKind::Fifo { content_based_deduplication } = kind else {
        let deduplicated = message.deduplication_id.is_some();
        return if deduplicated { Err(MessageProblem::DeduplicationOnStandard) } else { Ok(()) };
    };
    // A delay of 0 is taken and means the queue's own (sqs-semantics §4).
    if let Some(delay) = message.delay_seconds.filter(|delay| *delay != 0) {
        return Err(MessageProblem::DelayOnFifo(delay));
    }
    if message.group_id.is_none() {
        return Err(MessageProblem::MissingGroupId);
    }
    match &message.deduplication_id {
        Some(id) if !is_id(id) => Err(MessageProblem::InvalidDeduplicationId(id.clone())),
        None if !content_based_deduplication => Err(MessageProblem::MissingDeduplicationId),
        _ => Ok(()),
    }
}

fn check_attributes(attributes: &[MessageAttribute]) -> Result<(), MessageProblem> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(MessageProblem::TooManyAttributes(attributes.len()));
    }
    for (index, attribute) in attributes.iter().enumerate() {
        let duplicate = attributes[..index].iter().any(|earlier| earlier.name == attribute.name);
        let problem = if duplicate { Some(AttributeProblem::Duplicate) } else { attribute_problem(attribute) };
        if let Some(problem) = problem {
            return Err(MessageProblem::Attribute { name: attribute.name.clone(), problem });
        }
    }
    Ok(())
}

fn attribute_problem(attribute: &MessageAttribute) -> Option<AttributeProblem> {
    let name = attribute.name.as_str();
    let lower_name = name.to_ascii_lowercase();
    if lower_name.starts_with("aws.") || lower_name.starts_with("amazon.") {
        return Some(AttributeProblem::ReservedName);
    }
    if !is_attribute_name(name) {
        return Some(AttributeProblem::Name);
    }
    let (base, suffix) = match attribute.data_type.split_once('.') {
        Some((base, suffix)) => (base, Some(suffix)),
        None => (attribute.data_type.as_str(), None),
    };
    let known = matches!(base, "String" | "Number" | "Binary");
    let bad_suffix = suffix.is_some_and(|suffix| suffix.is_empty() || first_invalid_character(suffix).is_some());
    if !known || bad_suffix || attribute.data_type.chars().count() > DATA_TYPE_MAX {
        return Some(AttributeProblem::DataType);
    }
    if attribute.value.as_bytes().is_empty() {
        return Some(AttributeProblem::EmptyValue);
    }
    match (&attribute.value, base) {
        (AttributeValue::Binary(_), "Binary") => None,
        (AttributeValue::Text(text), "String") => first_invalid_character(text).map(|_| AttributeProblem::Character),
        (AttributeValue::Text(text), "Number") => (!is_number(text)).then_some(AttributeProblem::Number),
        _ => Some(AttributeProblem::WrongValueKind),
    }
}

/// The first character outside #x9 #xA #xD #x20–#xD7FF #xE000–#xFFFD #x10000–#x10FFFF. Rust text holds no surrogates.
fn first_invalid_character(text: &str) -> Option<u32> {
    // Nearly all text is free of the few bytes that can start an invalid character: one cheap pass settles it.
    let suspicious = text.bytes().any(|byte| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0xEF);
    if !suspicious {
        return None;
    }
    text.chars()
        .find(|c| matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'))
        .map(u32::from)
}

fn is_attribute_name(name: &str) -> bool {
    let allowed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let periods_fine = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    allowed && periods_fine && (1..=ATTRIBUTE_NAME_MAX).contains(&name.len())
}

/// 1 to 128 alphanumeric and punctuation characters; a space is neither.
fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// At most 38 significant digits and a magnitude of 1e-128 to 1e126, as a decimal with an optional exponent.
///
/// Zeros at either end count for nothing, and they stay: the value is kept as it was sent, for the sender checks an MD5.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let (Ok(exponent), Ok(whole_digits)) = (exponent.parse::<i32>(), i64::try_from(whole.len())) else { return false };
    let from_first = digits.trim_start_matches('0');
    let significant = from_first.trim_end_matches('0');
    if significant.is_empty() {
        return true;
    }
    let leading_zeros = i64::try_from(digits.len() - from_first.len()).unwrap_or(i64::MAX);
    let magnitude = i64::from(exponent) + whole_digits - 1 - leading_zeros;
    let too_large = magnitude == *NUMBER_MAGNITUDE.end() && significant != "1";
    significant.len() <= NUMBER_DIGITS_MAX && NUMBER_MAGNITUDE.contains(&magnitude) && !too_large
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> OutgoingMessage {
        OutgoingMessage { body: body.into(), ..OutgoingMessage::default() }
    }

    fn with_attribute(name: &str, data_type: &str, value: AttributeValue) -> OutgoingMessage {
        let attributes = vec![MessageAttribute { name: name.into(), data_type: data_type.into(), value }];
        OutgoingMessage { attributes, ..message("x") }
    }

    /// For a standard queue.
    fn check(message: &OutgoingMessage, max_bytes: u32) -> Result<(), MessageProblem> {
        check_message(message, max_bytes, QueueKind::Standard)
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.into())
    }

    #[test]
    fn bodies() {
        let check = |body: &str| check(&message(body), 1024);
        assert_eq!(check("a\r\n\tb ü 𝄞 \u{e000} \u{fffd}"), Ok(()));
        assert_eq!(check(""), Err(MessageProblem::EmptyBody));
        assert_eq!(check(&"x".repeat(1024)), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(MessageProblem::TooLong { max_bytes: 1024 }));
        assert_eq!(check("a\u{b}"), Err(MessageProblem::InvalidCharacter(0xb)));
        assert_eq!(check("a\u{ffff}"), Err(MessageProblem::InvalidCharacter(0xffff)));
    }

    #[test]
    fn attributes_count_towards_the_size() {
        let mut long = with_attribute("n", "String", text("v"));
        long.body = "x".repeat(1024 - "nStringv".len());
        assert_eq!(check(&long, 1024), Ok(()));
        long.body.push('x');
        assert_eq!(check(&long, 1024), Err(MessageProblem::TooLong { max_bytes: 1024 }));
    }

    #[test]
    fn attribute_shapes() {
        use AttributeProblem as P;
        let longest_name = "n".repeat(256);
        let longest_type = format!("String.{}", "t".repeat(249));
        let rows: &[(&str, &str, AttributeValue, Option<P>)] = &[
            ("a.b-c_9", "String", text("v"), None),
            (&longest_name, "String.json", text("v"), None),
            ("", "String", text("v"), Some(P::Name)),
            (".a", "String", text("v"), Some(P::Name)),
            ("a.", "String", text("v"), Some(P::Name)),
            ("a..b", "String", text("v"), Some(P::Name)),
            ("a b", "String", text("v"), Some(P::Name)),
            ("AWS.x", "String", text("v"), Some(P::ReservedName)),
            ("amazon.x", "String", text("v"), Some(P::ReservedName)),
            ("a", "string", text("v"), Some(P::DataType)),
            ("a", "String.", text("v"), Some(P::DataType)),
            ("a", "String.\u{1}", text("v"), Some(P::DataType)),
            ("a", &longest_type, text("v"), None),
            ("a", &format!("{longest_type}x"), text("v"), Some(P::DataType)),
            ("a", "Boolean", text("true"), Some(P::DataType)),
            ("AmaZon.x", "String", text("v"), Some(P::ReservedName)),
            ("AWSx", "String", text("v"), None),
            ("ä", "String", text("v"), Some(P::Name)),
            (&format!("{longest_name}n"), "String", text("v"), Some(P::Name)),
            ("a", "", text("v"), Some(P::DataType)),
            ("a", "String", text(""), Some(P::EmptyValue)),
            ("a", "Binary", AttributeValue::Binary(vec![]), Some(P::EmptyValue)),
            ("a", "Binary", text("v"), Some(P::WrongValueKind)),
            ("a", "String", AttributeValue::Binary(vec![1]), Some(P::WrongValueKind)),
            ("a", "String", text("\u{1}"), Some(P::Character)),
            ("a", "Number", text("-12.50e3"), None),
            ("a", "Number.int", text("00042"), None),
            ("a", "Number", text("forty"), Some(P::Number)),
        ];
        for (name, data_type, value, expected) in rows {
            let outcome = check(&with_attribute(name, data_type, value.clone()), MESSAGE_MAX_BYTES);
            let expected = match expected {
                None => Ok(()),
                Some(problem) => Err(MessageProblem::Attribute { name: (*name).into(), problem: *problem }),
            };
            assert_eq!(outcome, expected, "{name:?} {data_type:?} {value:?}");
        }
    }

    #[test]
    fn numbers_have_38_digits_between_1e_minus_128_and_1e126() {
        let digits = |count: usize| "7".repeat(count);
        for good in [
            "0",
            "-0.0",
            "+1",
            "1.",
            ".5",
            "00042",
            "1e126",
            "-1E+126",
            "0.1e127",
            "1000e123",
            "1e-128",
            "0.001e-125",
            "9.9e125",
            &digits(38),
            &format!("0{}000", digits(38)),
            &format!("0.000{}", digits(38)),
            &format!("1{}", "0".repeat(126)),
        ] {
            assert!(is_number(good), "{good}");
        }
        for bad in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e5e5",
            "1.2.3",
            "0x1F",
            "1_000",
            "1,5",
            " 1",
            "1 ",
            "--1",
            "NaN",
            "inf",
            "Infinity",
            "1.1e126",
            "1e127",
            "1.0000000000000000000001e126",
            "9.9999999999999999999e-129",
            "1e-129",
            "1e99999999999",
            &digits(39),
            &format!("{}.1", digits(38)),
            &format!("1{}", "0".repeat(127)),
            "١",
        ] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn what_a_queues_type_asks_for() {
        use MessageProblem as P;
        let (standard, fifo) = (QueueKind::Standard, QueueKind::Fifo { content_based_deduplication: false });
        let content_based = QueueKind::Fifo { content_based_deduplication: true };
        let every_punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
        let (longest, too_long) = ("i".repeat(128), "i".repeat(129));
        let some = |text: &str| Some(text.to_owned());
        for (kind, group, id, delay, expected) in [
            (standard, None, None, None, Ok(())),
            (standard, Some(every_punctuation), None, Some(900), Ok(())),
            (standard, Some(longest.as_str()), None, None, Ok(())),
            (standard, Some(""), None, None, Err(P::InvalidGroupId(String::new()))),
            (standard, Some("tenant 1"), None, None, Err(P::InvalidGroupId("tenant 1".into()))),
            (standard, Some("tänant"), None, None, Err(P::InvalidGroupId("tänant".into()))),
            (standard, Some(too_long.as_str()), None, None, Err(P::InvalidGroupId(too_long.clone()))),
            (standard, None, Some("d"), None, Err(P::DeduplicationOnStandard)),
            (standard, None, None, Some(901), Err(P::DelayOutOfRange(901))),
            (fifo, Some("g"), Some("d"), None, Ok(())),
            (fifo, Some("g"), Some(every_punctuation), Some(0), Ok(())),
            (fifo, Some("g"), Some(longest.as_str()), None, Ok(())),
            (fifo, None, None, None, Err(P::MissingGroupId)),
            (fifo, Some("g"), None, None, Err(P::MissingDeduplicationId)),
            (fifo, Some("g"), Some(""), None, Err(P::InvalidDeduplicationId(String::new()))),
            (fifo, Some("g"), Some("a b"), None, Err(P::InvalidDeduplicationId("a b".into()))),
            (fifo, Some("g"), Some(too_long.as_str()), None, Err(P::InvalidDeduplicationId(too_long.clone()))),
            (fifo, Some("g"), Some("d"), Some(2), Err(P::DelayOnFifo(2))),
            (fifo, Some("g"), Some("d"), Some(901), Err(P::DelayOutOfRange(901))),
            (content_based, Some("g"), None, None, Ok(())),
            (content_based, Some("g"), Some("d"), None, Ok(())),
            (content_based, None, None, None, Err(P::MissingGroupId)),
        ] {
            let ids = OutgoingMessage {
                group_id: group.and_then(some),
                deduplication_id: id.and_then(some),
                delay_seconds: delay,
                ..message("x")
            };
            assert_eq!(check_message(&ids, 1024, kind), expected, "{kind:?} {group:?} {id:?} {delay:?}");
        }
    }

    #[test]
    fn a_trace_header_has_the_characters_of_a_body() {
        let traced = |header: &str| OutgoingMessage { trace_header: Some(header.into()), ..message("x") };
        assert_eq!(check(&traced("Root=1-5759e988-bd862e3fe1be46a994272793"), 1024), Ok(()));
        let problem = AttributeProblem::Character;
        let expected = Err(MessageProblem::Attribute { name: TRACE_HEADER.into(), problem });
        assert_eq!(check(&traced("Root=\u{1}"), 1024), expected);
    }

    #[test]
    fn at_most_ten_attributes_each_once() {
        let attribute =
            |index: usize| MessageAttribute { name: format!("a{index}"), data_type: "String".into(), value: text("v") };
        let eleven = OutgoingMessage { attributes: (0..11).map(attribute).collect(), ..message("x") };
        assert_eq!(check(&eleven, 1024), Err(MessageProblem::TooManyAttributes(11)));
        let twice = OutgoingMessage { attributes: vec![attribute(1), attribute(1)], ..message("x") };
        let problem = AttributeProblem::Duplicate;
        assert_eq!(check(&twice, 1024), Err(MessageProblem::Attribute { name: "a1".into(), problem }));
    }
}
