//! Lambda's SQS event as JSON text, written in one pass.
//!
//! The key order and the spelling of absent members are what AWS emits (esm-semantics §3). Bodies are escaped,
//! never re-read, so what a handler parses is byte for byte what was sent.

use crate::record::{AttributeValue, MessageAttribute, Record, SystemValue};

/// So many bytes are looked at together for one that is to be escaped.
const BLOCK_BYTES: usize = 32;
const SHORT_BLOCK_BYTES: usize = 8;

/// Where JSON goes: text, or only its length.
trait Sink {
    fn push_str(&mut self, text: &str);
    fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }
}

impl Sink for String {
    #[inline]
    fn push_str(&mut self, text: &str) {
        Self::push_str(self, text);
    }
}

/// Counts what would be written.
struct Length(usize);

impl Sink for Length {
    fn push_str(&mut self, text: &str) {
        self.0 += text.len();
    }
}

/// How many bytes a record takes in [`lambda_event`], its comma included.
#[must_use]
pub fn lambda_record_bytes(record: &Record, windowed: bool) -> usize {
    let mut length = Length(1);
    write_record(&mut length, record, windowed);
    length.0
}

/// How many bytes an event takes without its records.
pub const LAMBDA_FRAME_BYTES: usize = "{\"Records\":[]}".len();

/// The event for a batch. `windowed` decides whether a record without user attributes says
/// `"md5OfMessageAttributes":null` (true) or leaves the member out (false).
#[must_use]
pub fn lambda_event(records: &[Record], windowed: bool) -> String {
    let body_bytes: usize = records.iter().map(|r| r.body.len()).sum();
    let mut out = String::with_capacity(body_bytes + body_bytes / 8 + records.len() * 640 + 16);
    out.push_str("{\"Records\":[");
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_record(&mut out, record, windowed);
    }
    out.push_str("]}");
    out
}

fn write_record(out: &mut impl Sink, record: &Record, windowed: bool) {
    out.push_str("{\"messageId\":");
    write_string(out, &record.message_id);
    out.push_str(",\"receiptHandle\":");
    write_string(out, &record.receipt_handle);
    out.push_str(",\"body\":");
    write_string(out, &record.body);
    out.push_str(",\"attributes\":{");
    for (index, (name, value)) in record.attributes.iter().enumerate() {
        // Its name needs no escapes.
        out.push_str(if index > 0 { ",\"" } else { "\"" });
        out.push_str(name);
        out.push_str("\":");
        match value {
            SystemValue::Text(text) => write_string(out, text),
            SystemValue::Number(number) => write_number(out, *number),
        }
    }
    out.push_str("},\"messageAttributes\":{");
    for (index, attribute) in record.message_attributes.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_message_attribute(out, attribute);
    }
    out.push('}');
    match &record.md5_of_message_attributes {
        Some(md5) => {
            out.push_str(",\"md5OfMessageAttributes\":");
            write_string(out, md5);
        }
        None if windowed => out.push_str(",\"md5OfMessageAttributes\":null"),
        None => {}
    }
    out.push_str(",\"md5OfBody\":");
    write_string(out, &record.md5_of_body);
    out.push_str(",\"eventSource\":\"aws:sqs\",\"eventSourceARN\":");
    write_string(out, &record.event_source_arn);
    out.push_str(",\"awsRegion\":");
    write_string(out, &record.aws_region);
    out.push('}');
}

fn write_message_attribute(out: &mut impl Sink, attribute: &MessageAttribute) {
    write_string(out, &attribute.name);
    match &attribute.value {
        AttributeValue::Text(text) => {
            out.push_str(":{\"stringValue\":");
            write_string(out, text);
        }
        AttributeValue::Binary(bytes) => {
            out.push_str(":{\"binaryValue\":\"");
            write_base64(out, bytes);
            out.push('"');
        }
    }
    out.push_str(",\"stringListValues\":[],\"binaryListValues\":[],\"dataType\":");
    write_string(out, &attribute.data_type);
    out.push('}');
}

/// A JSON string. Only what RFC 8259 obliges is escaped; runs of other bytes are copied whole.
fn write_string(out: &mut impl Sink, text: &str) {
    out.push_str("\"");
    let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK_BYTES>();
    let mut written = 0;
    for (index, block) in blocks.iter().enumerate() {
        if has_escaped(block) {
            written = write_escaped(out, text, written, index * BLOCK_BYTES, block);
        }
    }
    // Most texts of a record are short.
    let (blocks, last) = rest.as_chunks::<SHORT_BLOCK_BYTES>();
    if blocks.iter().any(has_escaped) || last.iter().any(|byte| is_escaped(*byte)) {
        written = write_escaped(out, text, written, text.len() - rest.len(), rest);
    }
    out.push_str(&text[written..]);
    out.push_str("\"");
}

/// A number as a JSON string.
fn write_number(out: &mut impl Sink, number: u64) {
    const DIGITS_MAX: usize = 20;
    let mut text = [b'"'; DIGITS_MAX + 2];
    let (mut start, mut rest) = (DIGITS_MAX + 1, number);
    loop {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&text[start - 1..]).unwrap_or_default());
}

/// Asked without branches, which compilers make wide instructions of.
fn has_escaped<const BYTES: usize>(block: &[u8; BYTES]) -> bool {
    block.iter().fold(false, |found, byte| found | is_escaped(*byte))
}

const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Writes what of `text` stands before each byte of a block that is to be escaped, and that byte. The block begins at
/// `start`; `text` is written up to `written`, and then up to what is returned.
fn write_escaped(out: &mut impl Sink, text: &str, mut written: usize, start: usize, block: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in block.iter().enumerate().filter(|(_, byte)| is_escaped(**byte)) {
        // Every escaped byte is ASCII, so its index is a character's boundary.
        out.push_str(&text[written..start + index]);
        written = start + index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    written
}

/// Standard base64 with padding. Written here because this crate has no dependency.
fn write_base64(out: &mut impl Sink, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| (group << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position > chunk.len() {
                out.push('=');
            } else {
                let sextet = (group >> (18 - 6 * position)) & 63;
                out.push(char::from(ALPHABET[sextet as usize]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &str) -> Record {
        Record {
            message_id: "059f36b4-87a3-44ab-83d2-661975830a7d".into(),
            receipt_handle: "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".into(),
            body: body.into(),
            attributes: vec![("ApproximateReceiveCount", SystemValue::Number(1))],
            message_attributes: Vec::new(),
            md5_of_message_attributes: None,
            md5_of_body: "e4e68fb7bd0e697a0ae8f1bb342846b3".into(),
            event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders".into(),
            aws_region: "us-east-1".into(),
        }
    }

    #[test]
    fn key_order_and_members_are_those_of_aws() {
        let mut with_attributes = record("hi");
        with_attributes.message_attributes = vec![
            MessageAttribute { name: "s".into(), data_type: "String".into(), value: AttributeValue::Text("v".into()) },
            MessageAttribute {
                name: "b".into(),
                data_type: "Binary.png".into(),
                value: AttributeValue::Binary(vec![0, 255]),
            },
        ];
        with_attributes.md5_of_message_attributes = Some("c8b6bcebe6d8ee2c5b0b1b5f39b6ac8d".into());
        assert_eq!(
            lambda_event(&[with_attributes], false),
            concat!(
                r#"{"Records":[{"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","#,
                r#""receiptHandle":"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a","body":"hi","#,
                r#""attributes":{"ApproximateReceiveCount":"1"},"messageAttributes":{"#,
                r#""s":{"stringValue":"v","stringListValues":[],"binaryListValues":[],"dataType":"String"},"#,
                r#""b":{"binaryValue":"AP8=","stringListValues":[],"binaryListValues":[],"dataType":"Binary.png"}},"#,
                r#""md5OfMessageAttributes":"c8b6bcebe6d8ee2c5b0b1b5f39b6ac8d","#,
                r#""md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs","#,
                r#""eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:orders","awsRegion":"us-east-1"}]}"#
            )
        );
    }

    #[test]
    fn without_attributes_the_md5_is_absent_at_window_zero_and_null_with_a_window() {
        assert!(!lambda_event(&[record("x")], false).contains("md5OfMessageAttributes"));
        assert!(lambda_event(&[record("x")], true).contains(r#""md5OfMessageAttributes":null,"md5OfBody""#));
    }

    #[test]
    fn every_control_character_quote_and_backslash_is_escaped_and_nothing_else() {
        let mut out = String::new();
        write_string(&mut out, "a\u{0}\u{8}\u{c}\n\r\t\u{1f}\"\\/ü€𝄞\u{7f}");
        assert_eq!(out, "\"a\\u0000\\b\\f\\n\\r\\t\\u001f\\\"\\\\/ü€𝄞\u{7f}\"");
    }

    #[test]
    fn what_is_to_be_escaped_is_found_wherever_it_stands() {
        for before in 0..3 * BLOCK_BYTES {
            for after in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES] {
                let (before, after) = ("ü".repeat(before), "x".repeat(after));
                let mut out = String::new();
                write_string(&mut out, &format!("{before}\n{after}\"{before}"));
                assert_eq!(out, format!("\"{before}\\n{after}\\\"{before}\""));
            }
        }
    }

    #[test]
    fn a_number_is_written_as_its_text_is() {
        for number in [0, 7, 10, 1_700_000_000_123, u64::MAX] {
            let mut out = String::new();
            write_number(&mut out, number);
            assert_eq!(out, format!("\"{}\"", SystemValue::Number(number).text()));
        }
    }

    #[test]
    fn a_record_is_as_long_as_it_is_counted() {
        let mut with_attributes = record("\u{1}\"ü\\");
        let value = AttributeValue::Binary(vec![1, 2, 3, 4]);
        with_attributes.message_attributes =
            vec![MessageAttribute { name: "b".into(), data_type: "Binary".into(), value }];
        for windowed in [false, true] {
            let records = [record(""), with_attributes.clone(), record("x")];
            let counted: usize = records.iter().map(|record| lambda_record_bytes(record, windowed)).sum();
            // The last one has no comma.
            assert_eq!(lambda_event(&records, windowed).len(), LAMBDA_FRAME_BYTES + counted - 1);
        }
    }

    #[test]
    fn base64_pads_as_rfc_4648_section_10_shows() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            let mut out = String::new();
            write_base64(&mut out, plain.as_bytes());
            assert_eq!(out, encoded);
        }
    }
}
