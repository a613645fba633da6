//! What is kept as JSON within a column, there and back.

use rusqlite::Row;
use serde_json::{Value, json};

use crate::attempts::Attempted;
use crate::effect::Seq;
use crate::message::{AttributeValue, MessageAttribute};

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// `[[seq, issue, visible tick], …]`.
pub(super) fn attempted_to_json(messages: &[Attempted]) -> String {
    let rows: Vec<Value> = messages.iter().map(|one| json!([one.seq, one.issue, one.visible_tick_ms])).collect();
    Value::Array(rows).to_string()
}

pub(super) fn attempted_from_json(text: &str) -> Vec<Attempted> {
    let rows: Vec<(Seq, u32, u64)> = serde_json::from_str(text).unwrap_or_default();
    rows.into_iter().map(|(seq, issue, visible_tick_ms)| Attempted { seq, issue, visible_tick_ms }).collect()
}

pub(super) fn pairs_to_json(pairs: &[(String, String)]) -> String {
    let object: serde_json::Map<String, Value> =
        pairs.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    Value::Object(object).to_string()
}

pub(super) fn pairs_from_json(text: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Vec::new() };
    object.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

pub(super) fn attributes_to_json(attributes: &[MessageAttribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let rows: Vec<Value> = attributes
        .iter()
        .map(|attribute| match &attribute.value {
            AttributeValue::Text(text) => json!([attribute.name, attribute.data_type, text]),
            AttributeValue::Binary(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                json!([attribute.name, attribute.data_type, null, hex])
            }
        })
        .collect();
    Some(Value::Array(rows).to_string())
}

pub(super) fn attributes_from_json(text: Option<&str>) -> Vec<MessageAttribute> {
    let Some(Ok(Value::Array(rows))) = text.map(serde_json::from_str) else { return Vec::new() };
    rows.iter()
        .filter_map(|row| {
            let value = match row.get(3) {
                None => AttributeValue::Text(row.get(2)?.as_str()?.to_owned()),
                Some(hex) => AttributeValue::Binary(bytes_from_hex(hex.as_str()?)),
            };
            let name = row.get(0)?.as_str()?.to_owned();
            Some(MessageAttribute { name, data_type: row.get(1)?.as_str()?.to_owned(), value })
        })
        .collect()
}

fn bytes_from_hex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| (digit(pair[0]) << 4) | digit(pair[1])).collect()
}
