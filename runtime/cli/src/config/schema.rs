//! A JSON schema of the config, for editors: made of what the reader asks for when it reads nothing, so it has the reader's
//! keys, ranges and words, whatever they become. What a key is for is said by `config/full.toml`, which stands beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use super::record::{Record, Shape};
use super::source::{Probe, Source};
use super::{TOP_LEVEL_KEYS, read};

/// The commented example with every key.
const FULL: &str = include_str!("../../../../config/full.toml");
/// A text that is expanded may stand for a number, a word or a boolean.
const EXPANDED: &str = r"\$\{.+\}";

/// The schema, in JSON Schema's draft of 2020-12.
pub(crate) fn schema() -> Value {
    let mut root = Node::default();
    for probe in [Probe::Words, Probe::Tables] {
        for record in probed(probe) {
            root.add(&record);
        }
    }
    let mut schema = root.object(&descriptions(FULL), "");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wasmill's configuration",
        "description": "Keys are AWS's parameter names in snake_case. Strings may hold ${NAME} or ${NAME:-default}.",
    });
    if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

/// Everything that the reader asks for.
fn probed(probe: Probe) -> Vec<Record> {
    // Only defaults that hold everywhere belong into a schema: none that follows from this machine's folders.
    let nothing = |_: &str| None;
    let source = Source::new(&[], &nothing, &TOP_LEVEL_KEYS).probing(probe);
    let empty = DeTable::new();
    drop(read(&source, &empty, Path::new("."), &nothing));
    source.records().to_vec()
}

/// A key, and the keys below it.
#[derive(Debug, Default)]
struct Node {
    shapes: Vec<Shape>,
    default: Option<Value>,
    is_required: bool,
    below: BTreeMap<String, Node>,
}

impl Node {
    fn add(&mut self, record: &Record) {
        let node = record.key.split('.').fold(self, |node, part| node.below.entry(part.to_owned()).or_default());
        if !node.shapes.contains(&record.shape) {
            node.shapes.push(record.shape.clone());
        }
        node.default = node.default.take().or_else(|| record.default.clone());
        node.is_required |= record.is_required;
    }

    /// The schema of a table with the keys below. `path` is the node's own, for its keys' descriptions.
    fn object(&self, descriptions: &BTreeMap<String, String>, path: &str) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (name, node) in &self.below {
            if name.ends_with("[]") {
                continue;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let entries = self.below.get(&format!("{name}[]"));
            let mut schema = node.schema(entries, descriptions, &path);
            if let Value::Object(schema) = &mut schema {
                schema.extend(descriptions.get(&path).map(|text| ("description".to_owned(), json!(text))));
                schema.extend(node.default.clone().map(|default| ("default".to_owned(), default)));
            }
            if node.is_required {
                required.push(name.clone());
            }
            properties.insert(name.clone(), schema);
        }
        let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }

    fn schema(&self, entries: Option<&Self>, descriptions: &BTreeMap<String, String>, path: &str) -> Value {
        let mut choices: Vec<Value> =
            self.shapes.iter().map(|shape| self.of_shape(shape, entries, descriptions, path)).collect();
        if choices.len() == 1 { choices.remove(0) } else { json!({"anyOf": choices}) }
    }

    fn of_shape(
        &self,
        shape: &Shape,
        entries: Option<&Self>,
        descriptions: &BTreeMap<String, String>,
        path: &str,
    ) -> Value {
        let or_expanded = |schema: Value| json!({"anyOf": [schema, {"type": "string", "pattern": EXPANDED}]});
        match shape {
            Shape::Text | Shape::Secret => json!({"type": "string"}),
            Shape::Integer { least, most } => {
                or_expanded(json!({"type": "integer", "minimum": least, "maximum": most}))
            }
            Shape::Share => or_expanded(json!({"type": "number", "minimum": 0, "maximum": 1})),
            Shape::Boolean => or_expanded(json!({"type": "boolean"})),
            Shape::Words(words) => or_expanded(json!({"enum": words})),
            Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Shape::TextMap => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            Shape::SecretMap => {
                let table = self.below.get("*").map(|each| each.object(descriptions, path));
                let each = table
                    .map_or_else(|| json!({"type": "string"}), |table| json!({"anyOf": [{"type": "string"}, table]}));
                json!({"type": "object", "additionalProperties": each})
            }
            Shape::Table => self.object(descriptions, path),
            Shape::Tables => {
                let items = entries.map_or_else(|| json!({}), |entries| entries.object(descriptions, path));
                json!({"type": "array", "items": items})
            }
        }
    }
}

/// What the comments of an example say of each key: the block that stands above the key, or above its section.
fn descriptions(example: &str) -> BTreeMap<String, String> {
    let (mut found, mut section, mut block) = (BTreeMap::new(), String::new(), Vec::new());
    for line in example.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            block.push(comment.strip_prefix(' ').unwrap_or(comment).trim_end());
            continue;
        }
        let key = if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
            Some(section.clone())
        } else {
            // What continues a value begins with a space or a bracket.
            let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.starts_with([' ', ']']));
            key.map(|key| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") })
        };
        // A block with a rule in it is a heading of the file.
        if let Some(key) = key
            && !block.is_empty()
            && !block.iter().any(|line| line.starts_with("---"))
        {
            found.entry(key).or_insert_with(|| block.join(" "));
        }
        block.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// As much of JSON Schema as the schema uses.
    fn check(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let fits = choices.iter().any(|choice| {
                let mut wrong = Vec::new();
                check(choice, value, at, &mut wrong);
                wrong.is_empty()
            });
            if !fits {
                wrong.push(format!("{at}: {value} is none of {choices:?}"));
            }
            return;
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            if !words.contains(value) {
                wrong.push(format!("{at}: {value} is not among {words:?}"));
            }
            return;
        }
        let fits = match schema["type"].as_str().unwrap() {
            "string" => value.as_str().is_some_and(|text| schema.get("pattern").is_none() || text.contains("${")),
            "boolean" => value.is_boolean(),
            "number" => value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number)),
            "integer" => value.as_u64().is_some_and(|number| {
                (schema["minimum"].as_u64().unwrap()..=schema["maximum"].as_u64().unwrap()).contains(&number)
            }),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("the schema has a type {other}"),
        };
        if !fits {
            wrong.push(format!("{at}: {value} is not {schema}"));
        }
        for item in value.as_array().into_iter().flatten() {
            check(&schema["items"], item, &format!("{at}[]"), wrong);
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match schema.get("properties").and_then(|properties| properties.get(name)) {
                Some(schema) => check(schema, inner, &at, wrong),
                None if schema["additionalProperties"].is_object() => {
                    check(&schema["additionalProperties"], inner, &at, wrong);
                }
                None => wrong.push(format!("{at}: unknown")),
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                wrong.push(format!("{at}.{name}: missing"));
            }
        }
    }

    fn wrong(config: &str) -> Vec<String> {
        let table: toml::Table = config.parse().unwrap();
        let mut wrong = Vec::new();
        check(&schema(), &serde_json::to_value(table).unwrap(), "", &mut wrong);
        wrong
    }

    #[test]
    fn every_key_of_the_example_is_in_the_schema_and_fits() {
        assert_eq!(wrong(FULL), Vec::<String>::new());
        assert_eq!(wrong(include_str!("../../../../config/minimal.toml")), Vec::<String>::new());
        assert_eq!(wrong(include_str!("../../templates/wasmill.toml")), Vec::<String>::new());
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_example() {
        fn keys(schema: &Value, into: &mut Vec<String>) {
            for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                into.push(name.clone());
                keys(inner, into);
            }
            for inner in ["items", "additionalProperties"].iter().filter_map(|part| schema.get(part)) {
                keys(inner, into);
            }
            schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().for_each(|inner| keys(inner, into));
        }
        let mut found = Vec::new();
        keys(&schema(), &mut found);
        assert!(found.len() > 70, "{found:?}");
        let undocumented: Vec<_> = found.iter().filter(|key| !FULL.contains(key.as_str())).collect();
        assert!(undocumented.is_empty(), "config/full.toml does not say {undocumented:?}");
    }

    #[test]
    fn what_the_reader_refuses_does_not_fit() {
        for (config, part) in [
            ("regoin = \"x\"", ".regoin: unknown"),
            ("[[queue]]\nname = \"q\"\nvisibility_timeout = 50000", "visibility_timeout"),
            ("[[queue]]\nvisibility_timeout = 5", "missing"),
            ("[local_queue]\ndurability = \"ram\"", "durability"),
            ("[[function]]\nname = \"f\"\ncode = \"f.wasm\"\nreuse = \"yes\"", "reuse"),
            (
                "[[function]]\nname = \"f\"\ncode = \"f.wasm\"\nenvironment = { A = { from_evn = \"B\" } }",
                "environment",
            ),
            (
                "[[event_source_mapping]]\nevent_source_arn = \"q\"\nfunction_name = \"f\"\nkms_key_arn = \"k\"",
                "kms_key_arn: unknown",
            ),
        ] {
            let wrong = wrong(config);
            assert!(wrong.len() == 1 && wrong[0].contains(part), "{config}: {wrong:?}");
        }
        let fine = "[[event_source_mapping]]\nevent_source_arn = \"q\"\nfunction_name = \"f\"\nbatch_size = \"${N:-3}\"\nretry_policy = { \
                    type = \"fixed\", delay_seconds = 5 }\n";
        assert_eq!(wrong(fine), Vec::<String>::new());
    }

    #[test]
    fn keys_say_what_the_example_says_of_them() {
        let schema = schema();
        let timeout = &schema["properties"]["queue"]["items"]["properties"]["visibility_timeout"];
        assert!(timeout["description"].as_str().unwrap().starts_with("How long a received message stays hidden"));
        let grace = &schema["properties"]["drain_grace_seconds"];
        assert_eq!(grace["default"], 30);
    }
}
