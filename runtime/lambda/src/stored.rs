//! A mapping as the state file has it: layout, writing, reading. Settings stand under Lambda's parameter names, all of
//! them, so that a later default changes no mapping that is there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::configuration::{Configuration, ProvisionedPollers};
use crate::mapping::Origin;
use crate::names::FunctionRef;

/// What is kept of a mapping. Its state is not: it follows from `Enabled` when the worker starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) configuration: Configuration,
    pub(crate) origin: Origin,
    pub(crate) last_modified_ms: u64,
}

/// The record as JSON.
pub(crate) fn write(record: &Record) -> Value {
    json!({
        "Origin": record.origin.as_str(),
        "LastModifiedMs": record.last_modified_ms,
        "Configuration": settings(&record.configuration),
    })
}

/// Settings by parameter name; what is not set is left out.
pub(crate) fn settings(configuration: &Configuration) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut set = |name: &str, value: Value| {
        settings.insert(name.to_owned(), value);
    };
    set("EventSourceArn", json!(configuration.event_source_arn));
    set("FunctionName", json!(configuration.function.to_string()));
    set("Enabled", json!(configuration.enabled));
    set("BatchSize", json!(configuration.batch_size));
    set("MaximumBatchingWindowInSeconds", json!(configuration.maximum_batching_window_in_seconds));
    set("ReportBatchItemFailures", json!(configuration.report_batch_item_failures));
    set("FilterPatterns", json!(configuration.filter_patterns));
    if let Some(maximum) = configuration.maximum_concurrency {
        set("MaximumConcurrency", json!(maximum));
    }
    if let Some(pollers) = configuration.provisioned_pollers {
        set("MinimumPollers", json!(pollers.minimum));
        set("MaximumPollers", json!(pollers.maximum));
    }
    if let Some(key) = &configuration.kms_key_arn {
        set("KMSKeyArn", json!(key));
    }
    set("CountEvents", json!(configuration.count_events));
    set("Tags", json!(configuration.tags));
    settings
}

/// Reads a record.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(value: &Value) -> Result<Record, String> {
    let record = Fields::of("the mapping", value)?;
    let origin = origin(&record)?;
    let configuration = read_settings(&Fields::of("Configuration", record.field("Configuration")?)?)?;
    let last_modified_ms = record.unsigned("LastModifiedMs")?;
    record.refuse_others(&["Origin", "LastModifiedMs", "Configuration"])?;
    Ok(Record { configuration, origin, last_modified_ms })
}

/// Reads who made something.
pub(crate) fn origin(fields: &Fields<'_>) -> Result<Origin, String> {
    match fields.text("Origin")? {
        "config" => Ok(Origin::Config),
        "api" => Ok(Origin::Api),
        other => Err(format!("Origin is {other:?}, neither \"config\" nor \"api\"")),
    }
}

fn read_settings(fields: &Fields<'_>) -> Result<Configuration, String> {
    let pollers = match (fields.optional("MinimumPollers"), fields.optional("MaximumPollers")) {
        (None, None) => None,
        _ => Some(ProvisionedPollers {
            minimum: fields.number("MinimumPollers")?,
            maximum: fields.number("MaximumPollers")?,
        }),
    };
    let texts = |name: &str| -> Result<Vec<String>, String> {
        let wrong = || format!("{name} is not a list of texts");
        let items = fields.field(name)?.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    };
    let configuration = Configuration {
        event_source_arn: fields.text("EventSourceArn")?.to_owned(),
        function: FunctionRef::from_short(fields.text("FunctionName")?),
        enabled: fields.flag("Enabled")?,
        batch_size: fields.number("BatchSize")?,
        maximum_batching_window_in_seconds: fields.number("MaximumBatchingWindowInSeconds")?,
        report_batch_item_failures: fields.flag("ReportBatchItemFailures")?,
        filter_patterns: texts("FilterPatterns")?,
        maximum_concurrency: fields.optional_number("MaximumConcurrency")?,
        provisioned_pollers: pollers,
        kms_key_arn: fields.optional_text("KMSKeyArn")?,
        count_events: fields.flag("CountEvents")?,
        tags: fields.texts_by_name("Tags")?,
    };
    let optional = ["MaximumConcurrency", "MinimumPollers", "MaximumPollers", "KMSKeyArn"];
    fields.refuse_others_than(&Value::Object(settings(&configuration)), &optional)?;
    Ok(configuration)
}

/// A JSON object of the file.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(what: &str, value: &'a Value) -> Result<Self, String> {
        value.as_object().map(|object| Self { object }).ok_or_else(|| format!("{what} is not an object"))
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    pub(crate) fn field(&self, name: &str) -> Result<&'a Value, String> {
        self.optional(name).ok_or_else(|| format!("{name} is missing"))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, String> {
        self.field(name)?.as_str().ok_or_else(|| format!("{name} is not a text"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        self.field(name)?.as_bool().ok_or_else(|| format!("{name} is neither true nor false"))
    }

    pub(crate) fn unsigned(&self, name: &str) -> Result<u64, String> {
        self.field(name)?.as_u64().ok_or_else(|| format!("{name} is not a whole number"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u32, String> {
        u32::try_from(self.unsigned(name)?).map_err(|_| format!("{name} is too large"))
    }

    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        self.optional(name).map(|_| self.text(name).map(str::to_owned)).transpose()
    }

    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<u32>, String> {
        self.optional(name).map(|_| self.number(name)).transpose()
    }

    /// An object whose members are all texts.
    pub(crate) fn texts_by_name(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let object = self.field(name)?.as_object().ok_or_else(|| format!("{name} is not an object"))?;
        let text = |(key, value): (&String, &Value)| {
            let value = value.as_str().ok_or_else(|| format!("in {name}, {key:?} is not a text"))?;
            Ok((key.clone(), value.to_owned()))
        };
        object.iter().map(text).collect()
    }

    /// What a later wasmill added must not get lost by being written back without it.
    pub(crate) fn refuse_others_than(&self, written: &Value, optional: &[&str]) -> Result<(), String> {
        let members = written.as_object().into_iter().flat_map(Map::keys);
        let known: Vec<&str> = members.map(String::as_str).chain(optional.iter().copied()).collect();
        self.refuse_others(&known)
    }

    fn refuse_others(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self.object.keys().find(|name| !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| Err(format!("{name} is not known")))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn configurations() -> impl Strategy<Value = Configuration> {
        let text = "\\PC{0,12}";
        let ends = (text, "[a-z_-]{1,9}", option::of("[$A-Za-z0-9_-]{1,9}"));
        let numbers = (any::<u32>(), any::<u32>(), option::of(any::<u32>()), option::of(any::<(u32, u32)>()));
        let flags = any::<(bool, bool, bool)>();
        let texts = (vec(text, 0..4), option::of(text), btree_map(text, text, 0..4));
        (ends, numbers, flags, texts).prop_map(|(ends, numbers, flags, texts)| Configuration {
            event_source_arn: ends.0,
            function: FunctionRef { name: ends.1, qualifier: ends.2 },
            enabled: flags.0,
            batch_size: numbers.0,
            maximum_batching_window_in_seconds: numbers.1,
            report_batch_item_failures: flags.1,
            filter_patterns: texts.0,
            maximum_concurrency: numbers.2,
            provisioned_pollers: numbers.3.map(|(minimum, maximum)| ProvisionedPollers { minimum, maximum }),
            kms_key_arn: texts.1,
            count_events: flags.2,
            tags: texts.2,
        })
    }

    proptest! {
        #[test]
        fn a_record_that_is_written_and_read_back_is_the_same(
            configuration in configurations(),
            api in any::<bool>(),
            last_modified_ms in any::<u64>(),
        ) {
            let origin = if api { Origin::Api } else { Origin::Config };
            let record = Record { configuration, origin, last_modified_ms };
            let text = write(&record).to_string();
            prop_assert_eq!(read(&serde_json::from_str(&text).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn what_is_missing_unknown_or_of_another_type_is_named() {
        let configuration = Configuration::new("arn", FunctionRef::new("f"));
        let good = write(&Record { configuration, origin: Origin::Api, last_modified_ms: 1 });
        assert!(read(&good).is_ok());
        let broken = |change: &dyn Fn(&mut Value)| {
            let mut value = good.clone();
            change(&mut value);
            read(&value).unwrap_err()
        };
        assert_eq!(broken(&|v| v["Origin"] = json!("me")), "Origin is \"me\", neither \"config\" nor \"api\"");
        assert_eq!(broken(&|v| v["More"] = json!(1)), "More is not known");
        assert_eq!(broken(&|v| v["Configuration"]["Weight"] = json!(1)), "Weight is not known");
        assert_eq!(broken(&|v| v["Configuration"]["BatchSize"] = json!("1")), "BatchSize is not a whole number");
        assert_eq!(broken(&|v| v["Configuration"]["BatchSize"] = json!(1u64 << 32)), "BatchSize is too large");
        assert_eq!(broken(&|v| v["Configuration"]["Enabled"] = json!(1)), "Enabled is neither true nor false");
        assert_eq!(broken(&|v| v["Configuration"]["Tags"] = json!({"a": 1})), "in Tags, \"a\" is not a text");
        assert_eq!(broken(&|v| v["Configuration"]["MinimumPollers"] = json!(2)), "MaximumPollers is missing");
        assert_eq!(broken(&|v| *v = json!([])), "the mapping is not an object");
        let remove = |name: &str| {
            broken(&|v| {
                v["Configuration"].as_object_mut().unwrap().remove(name);
            })
        };
        assert_eq!(remove("EventSourceArn"), "EventSourceArn is missing");
    }
}
