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
const GROUP_ID_MAX: usize = 128;
const NUMBER_DIGITS_MAX: usize = 38;

/// Checks one message for a standard queue whose `MaximumMessageSize` is `max_bytes`.
///
/// # Errors
/// The first problem found; a body's problems come before its attributes'.
pub fn check_message(message: &OutgoingMessage, max_bytes: u32) -> Result<(), MessageProblem> {
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
    if let Some(group) = message.group_id.as_ref().filter(|group| !is_group_id(group)) {
        return Err(MessageProblem::InvalidGroupId(group.clone()));
    }
    if message.deduplication_id.is_some() {
        return Err(MessageProblem::DeduplicationOnStandard);
    }
    check_attributes(&message.attributes)
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
    if !known || suffix == Some("") || attribute.data_type.len() > DATA_TYPE_MAX {
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

fn is_group_id(group: &str) -> bool {
    (1..=GROUP_ID_MAX).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_graphic())
}

/// At most 38 significant digits and a magnitude of 1e-128 to 1e126, as a decimal with an optional exponent.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let plain = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.');
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
    if !plain || digits.is_empty() || significant > NUMBER_DIGITS_MAX {
        return false;
    }
    match text.parse::<f64>() {
        Ok(value) => value == 0.0 || (1e-128..=1e126).contains(&value.abs()),
        Err(_) => false,
    }
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

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.into())
    }

    #[test]
    fn bodies() {
        let check = |body: &str| check_message(&message(body), 1024);
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
        assert_eq!(check_message(&long, 1024), Ok(()));
        long.body.push('x');
        assert_eq!(check_message(&long, 1024), Err(MessageProblem::TooLong { max_bytes: 1024 }));
    }

    #[test]
    fn attribute_shapes() {
        use AttributeProblem as P;
        let longest_name = "n".repeat(256);
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
            ("a", "", text("v"), Some(P::DataType)),
            ("a", "String", text(""), Some(P::EmptyValue)),
            ("a", "Binary", AttributeValue::Binary(vec![]), Some(P::EmptyValue)),
            ("a", "Binary", text("v"), Some(P::WrongValueKind)),
            ("a", "String", AttributeValue::Binary(vec![1]), Some(P::WrongValueKind)),
            ("a", "String", text("\u{1}"), Some(P::Character)),
            ("a", "Number", text("-12.50e3"), None),
            ("a", "Number.int", text("00042"), None),
            ("a", "Number", text("forty"), Some(P::Number)),
            ("a", "Number", text("1e127"), Some(P::Number)),
            ("a", "Number", text("1e-129"), Some(P::Number)),
            ("a", "Number", text("123456789012345678901234567890123456789"), Some(P::Number)),
            ("a", "Number", text("NaN"), Some(P::Number)),
        ];
        for (name, data_type, value, expected) in rows {
            let outcome = check_message(&with_attribute(name, data_type, value.clone()), MESSAGE_MAX_BYTES);
            let expected = match expected {
                None => Ok(()),
                Some(problem) => Err(MessageProblem::Attribute { name: (*name).into(), problem: *problem }),
            };
            assert_eq!(outcome, expected, "{name:?} {data_type:?} {value:?}");
        }
    }

    #[test]
    fn counts_ids_and_delays() {
        let attribute =
            |index: usize| MessageAttribute { name: format!("a{index}"), data_type: "String".into(), value: text("v") };
        let eleven = OutgoingMessage { attributes: (0..11).map(attribute).collect(), ..message("x") };
        assert_eq!(check_message(&eleven, 1024), Err(MessageProblem::TooManyAttributes(11)));
        let twice = OutgoingMessage { attributes: vec![attribute(1), attribute(1)], ..message("x") };
        let problem = AttributeProblem::Duplicate;
        assert_eq!(check_message(&twice, 1024), Err(MessageProblem::Attribute { name: "a1".into(), problem }));
        let late = OutgoingMessage { delay_seconds: Some(901), ..message("x") };
        assert_eq!(check_message(&late, 1024), Err(MessageProblem::DelayOutOfRange(901)));
        let grouped = OutgoingMessage { group_id: Some("tenant 1".into()), ..message("x") };
        assert_eq!(check_message(&grouped, 1024), Err(MessageProblem::InvalidGroupId("tenant 1".into())));
        let deduplicated = OutgoingMessage { deduplication_id: Some("d".into()), ..message("x") };
        assert_eq!(check_message(&deduplicated, 1024), Err(MessageProblem::DeduplicationOnStandard));
    }
}
