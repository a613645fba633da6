//! MD5 digests as SQS computes them (sqs-semantics §4.1). They find mistakes in transit; they are not for security.

use md5::{Digest, Md5};

use crate::message::{AttributeValue, MessageAttribute};

const STRING_KIND: u8 = 1;
const BINARY_KIND: u8 = 2;

/// Lower-case hex MD5.
#[must_use]
pub fn md5_hex(bytes: &[u8]) -> String {
    to_hex(&md5(bytes))
}

pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The digest of a set of attributes, in any order; none for an empty set.
///
/// Sorted by name bytewise, each contributes length-prefixed name and data type, one byte for the kind of value, and
/// the length-prefixed value. Lengths are big-endian 32-bit numbers.
#[must_use]
pub fn md5_of_attributes(attributes: &[MessageAttribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&MessageAttribute> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut digest = Md5::new();
    for attribute in sorted {
        update_with_length(&mut digest, attribute.name.as_bytes());
        update_with_length(&mut digest, attribute.data_type.as_bytes());
        let kind = match attribute.value {
            AttributeValue::Text(_) => STRING_KIND,
            AttributeValue::Binary(_) => BINARY_KIND,
        };
        digest.update([kind]);
        update_with_length(&mut digest, attribute.value.as_bytes());
    }
    Some(to_hex(&digest.finalize()))
}

/// The digest of the one system attribute that senders may set; none without it.
#[must_use]
pub fn md5_of_trace_header(trace_header: Option<&str>) -> Option<String> {
    let value = AttributeValue::Text(trace_header?.to_owned());
    let attribute = MessageAttribute { name: "AWSTraceHeader".into(), data_type: "String".into(), value };
    md5_of_attributes(&[attribute])
}

fn update_with_length(digest: &mut Md5, bytes: &[u8]) {
    // Sizes are limited to 1 MiB long before this, so the cast cannot cut.
    digest.update((bytes.len() as u32).to_be_bytes());
    digest.update(bytes);
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, data_type: &str, value: &str) -> MessageAttribute {
        MessageAttribute { name: name.into(), data_type: data_type.into(), value: AttributeValue::Text(value.into()) }
    }

    #[test]
    fn digests_equal_those_recorded_from_aws() {
        assert_eq!(md5_hex(b"Hello"), "8b1a9953c4611296a827abf8c47804d7");
        assert_eq!(
            md5_of_attributes(&[text("MyAttribute", "String", "foobar")]).as_deref(),
            Some("adb59cd4678ea5a855436b949cd07ab6")
        );
        let unsorted = [
            text("WeeksOn", "Number", "6"),
            text("Title", "String", "The Whistler"),
            text("Author", "String", "John Grisham"),
        ];
        assert_eq!(md5_of_attributes(&unsorted).as_deref(), Some("d25a6aea97eb8f585bfa92d314504a92"));
    }

    #[test]
    fn nothing_has_no_digest() {
        assert_eq!(md5_of_attributes(&[]), None);
        assert_eq!(md5_of_trace_header(None), None);
    }

    #[test]
    fn the_kind_of_value_and_the_whole_data_type_count() {
        let binary = MessageAttribute { value: AttributeValue::Binary(b"x".to_vec()), ..text("a", "String", "") };
        assert_ne!(md5_of_attributes(&[binary]), md5_of_attributes(&[text("a", "String", "x")]));
        assert_ne!(md5_of_attributes(&[text("a", "String.json", "x")]), md5_of_attributes(&[text("a", "String", "x")]));
    }
}
