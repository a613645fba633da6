//! A function as the state file has it: layout, writing, reading. Everything is written, so that a later default changes
//! no function that is there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::function_engine::FunctionSettings;
use crate::functions::record::{About, Alias, Code, CodePlace, FunctionRecord, Policy, Sha256, Version};
use crate::stored::{Fields, origin};

/// The record as JSON.
pub(crate) fn write(record: &FunctionRecord) -> Value {
    let versions: Map<String, Value> =
        record.versions.iter().map(|(number, one)| (number.to_string(), version(one))).collect();
    let aliases: Map<String, Value> = record.aliases.iter().map(|(name, one)| (name.clone(), alias(one))).collect();
    let policies: Map<String, Value> =
        record.policies.iter().map(|(qualifier, one)| (qualifier.clone(), policy(one))).collect();
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("Origin", json!(record.origin.as_str()));
    set("Latest", version(&record.latest));
    if let Some(next) = &record.next {
        set("Next", version(next));
    }
    if let Some(failure) = &record.update_failure {
        set("UpdateFailure", json!(failure));
    }
    set("Versions", versions.into());
    set("NextVersion", json!(record.next_version));
    set("Aliases", aliases.into());
    set("Tags", json!(record.tags));
    if let Some(reserved) = record.reserved_concurrent_executions {
        set("ReservedConcurrentExecutions", json!(reserved));
    }
    set("Policies", policies.into());
    Value::Object(object)
}

fn version(version: &Version) -> Value {
    let Version { build, code, settings, about, revision_id, last_modified_ms } = version;
    let place = match code.place {
        CodePlace::Uploaded => "uploaded",
        CodePlace::Config => "config",
    };
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    set("Build", json!(build));
    set("RevisionId", json!(revision_id));
    set("LastModifiedMs", json!(last_modified_ms));
    set("CodeSha256", json!(code.sha256.hex()));
    set("CodeSize", json!(code.size_bytes));
    set("CodePlace", json!(place));
    set("Timeout", json!(settings.timeout_seconds));
    set("MemorySize", json!(settings.memory_size_mib));
    set("EphemeralStorage", json!(settings.ephemeral_storage_mib));
    set("Environment", json!(settings.environment));
    set("Role", json!(about.role));
    set("Description", json!(about.description));
    set("Architecture", json!(about.architecture));
    set("TracingMode", json!(about.tracing_mode));
    set("LogFormat", json!(about.log_format));
    let optional = [
        ("Runtime", &settings.runtime),
        ("Handler", &settings.handler),
        ("LogGroup", &about.log_group),
        ("ApplicationLogLevel", &about.application_log_level),
        ("SystemLogLevel", &about.system_log_level),
        ("KMSKeyArn", &about.kms_key_arn),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(name, json!(value));
        }
    }
    Value::Object(object)
}

fn alias(alias: &Alias) -> Value {
    let mut object = Map::new();
    object.insert("FunctionVersion".to_owned(), json!(alias.function_version));
    if let Some((version, weight)) = &alias.additional {
        object.insert("AdditionalVersion".to_owned(), json!(version));
        object.insert("AdditionalWeight".to_owned(), json!(weight));
    }
    object.insert("Description".to_owned(), json!(alias.description));
    object.insert("RevisionId".to_owned(), json!(alias.revision_id));
    Value::Object(object)
}

fn policy(policy: &Policy) -> Value {
    let statements: Vec<Value> =
        policy.statements.iter().map(|(id, statement)| json!({"Id": id, "Statement": statement})).collect();
    json!({"RevisionId": policy.revision_id, "Statements": statements})
}

/// Reads a record.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(value: &Value) -> Result<FunctionRecord, String> {
    let fields = Fields::of("the function", value)?;
    let next = fields.optional("Next").map(read_version).transpose()?;
    let record = FunctionRecord {
        origin: origin(&fields)?,
        latest: read_version(fields.field("Latest")?)?,
        next,
        update_failure: fields.optional_text("UpdateFailure")?,
        versions: each(&fields, "Versions", |number, value| {
            let number = number.parse().map_err(|_| format!("{number:?} is not the number of a version"))?;
            Ok((number, read_version(value)?))
        })?,
        next_version: fields.unsigned("NextVersion")?,
        aliases: each(&fields, "Aliases", |name, value| Ok((name.to_owned(), read_alias(value)?)))?,
        tags: fields.texts_by_name("Tags")?,
        reserved_concurrent_executions: fields.optional_number("ReservedConcurrentExecutions")?,
        policies: each(&fields, "Policies", |name, value| Ok((name.to_owned(), read_policy(value)?)))?,
    };
    let optional = ["Next", "UpdateFailure", "ReservedConcurrentExecutions"];
    fields.refuse_others_than(&write(&record), &optional)?;
    Ok(record)
}

fn read_version(value: &Value) -> Result<Version, String> {
    let fields = Fields::of("the version", value)?;
    let place = match fields.text("CodePlace")? {
        "uploaded" => CodePlace::Uploaded,
        "config" => CodePlace::Config,
        other => return Err(format!("CodePlace is {other:?}, neither \"uploaded\" nor \"config\"")),
    };
    let sha256 = Sha256::from_hex(fields.text("CodeSha256")?).ok_or("CodeSha256 is not a SHA-256 in hex")?;
    let read = Version {
        build: fields.text("Build")?.to_owned(),
        code: Code { sha256, size_bytes: fields.unsigned("CodeSize")?, place },
        settings: FunctionSettings {
            runtime: fields.optional_text("Runtime")?,
            handler: fields.optional_text("Handler")?,
            timeout_seconds: fields.number("Timeout")?,
            memory_size_mib: fields.number("MemorySize")?,
            ephemeral_storage_mib: fields.number("EphemeralStorage")?,
            environment: fields.texts_by_name("Environment")?,
        },
        about: About {
            role: fields.text("Role")?.to_owned(),
            description: fields.text("Description")?.to_owned(),
            architecture: fields.text("Architecture")?.to_owned(),
            tracing_mode: fields.text("TracingMode")?.to_owned(),
            log_format: fields.text("LogFormat")?.to_owned(),
            log_group: fields.optional_text("LogGroup")?,
            application_log_level: fields.optional_text("ApplicationLogLevel")?,
            system_log_level: fields.optional_text("SystemLogLevel")?,
            kms_key_arn: fields.optional_text("KMSKeyArn")?,
        },
        revision_id: fields.text("RevisionId")?.to_owned(),
        last_modified_ms: fields.unsigned("LastModifiedMs")?,
    };
    fields.refuse_others_than(&version(&read), &[])?;
    Ok(read)
}

fn read_alias(value: &Value) -> Result<Alias, String> {
    let fields = Fields::of("the alias", value)?;
    let additional = match fields.optional_text("AdditionalVersion")? {
        None => None,
        Some(version) => {
            let weight = fields.field("AdditionalWeight")?.as_f64().ok_or("AdditionalWeight is not a number")?;
            Some((version, weight))
        }
    };
    let read = Alias {
        function_version: fields.text("FunctionVersion")?.to_owned(),
        additional,
        description: fields.text("Description")?.to_owned(),
        revision_id: fields.text("RevisionId")?.to_owned(),
    };
    fields.refuse_others_than(&alias(&read), &[])?;
    Ok(read)
}

fn read_policy(value: &Value) -> Result<Policy, String> {
    let fields = Fields::of("the policy", value)?;
    let statements = fields.field("Statements")?.as_array().ok_or("Statements is not a list")?;
    let read_one = |value: &Value| {
        let fields = Fields::of("the statement", value)?;
        Ok((fields.text("Id")?.to_owned(), fields.field("Statement")?.clone()))
    };
    let statements = statements.iter().map(read_one).collect::<Result<_, String>>()?;
    let read = Policy { revision_id: fields.text("RevisionId")?.to_owned(), statements };
    fields.refuse_others_than(&policy(&read), &[])?;
    Ok(read)
}

/// Reads each member of an object within.
fn each<K: Ord, V>(
    fields: &Fields<'_>,
    name: &str,
    read: impl Fn(&str, &Value) -> Result<(K, V), String>,
) -> Result<BTreeMap<K, V>, String> {
    let object = fields.field(name)?.as_object().ok_or_else(|| format!("{name} is not an object"))?;
    let within =
        |(key, value): (&String, &Value)| read(key, value).map_err(|error| format!("in {name} {key}, {error}"));
    object.iter().map(within).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::Origin;

    fn versions() -> impl Strategy<Value = Version> {
        let text = "\\PC{0,9}";
        let optional = || option::of(text);
        let code = (any::<[u8; 32]>(), any::<u64>(), any::<bool>());
        let numbers = any::<(u32, u32, u32, u64)>();
        let settings = (optional(), optional(), btree_map(text, text, 0..3));
        let about = (text, text, text, text, text, (optional(), optional(), optional(), optional()));
        let ids = (text, text);
        (code, numbers, settings, about, ids).prop_map(|(code, numbers, settings, about, ids)| Version {
            build: ids.0,
            code: Code {
                sha256: Sha256(code.0),
                size_bytes: code.1,
                place: if code.2 { CodePlace::Uploaded } else { CodePlace::Config },
            },
            settings: FunctionSettings {
                runtime: settings.0,
                handler: settings.1,
                timeout_seconds: numbers.0,
                memory_size_mib: numbers.1,
                ephemeral_storage_mib: numbers.2,
                environment: settings.2,
            },
            about: About {
                role: about.0,
                description: about.1,
                architecture: about.2,
                tracing_mode: about.3,
                log_format: about.4,
                log_group: about.5.0,
                application_log_level: about.5.1,
                system_log_level: about.5.2,
                kms_key_arn: about.5.3,
            },
            revision_id: ids.1,
            last_modified_ms: numbers.3,
        })
    }

    fn records() -> impl Strategy<Value = FunctionRecord> {
        let text = "\\PC{0,9}";
        let alias = (text, option::of((text, (0..=1000u32).prop_map(|share| f64::from(share) / 1000.0))), text, text)
            .prop_map(|(version, additional, about, id)| Alias {
                function_version: version,
                additional,
                description: about,
                revision_id: id,
            });
        let policy = (text, vec((text, text), 0..3)).prop_map(|(revision_id, statements)| Policy {
            revision_id,
            statements: statements.into_iter().map(|(id, effect)| (id, json!({"Effect": effect}))).collect(),
        });
        let versions = (versions(), option::of(versions()), btree_map(any::<u64>(), versions(), 0..3));
        let names = (btree_map(text, alias, 0..3), btree_map(text, text, 0..3), btree_map(text, policy, 0..3));
        let rest = (any::<bool>(), option::of(text), any::<u64>(), option::of(any::<u32>()));
        (versions, names, rest).prop_map(|(versions, names, rest)| FunctionRecord {
            origin: if rest.0 { Origin::Api } else { Origin::Config },
            latest: versions.0,
            next: versions.1,
            update_failure: rest.1,
            versions: versions.2,
            next_version: rest.2,
            aliases: names.0,
            tags: names.1,
            reserved_concurrent_executions: rest.3,
            policies: names.2,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_record_that_is_written_and_read_back_is_the_same(record in records()) {
            let text = write(&record).to_string();
            prop_assert_eq!(read(&serde_json::from_str(&text).unwrap()).unwrap(), record);
        }
    }

    /// A function with one of everything.
    pub(crate) fn example() -> FunctionRecord {
        let version = Version {
            build: "b".into(),
            code: Code { sha256: Sha256::of(b"code"), size_bytes: 4, place: CodePlace::Uploaded },
            settings: FunctionSettings {
                runtime: None,
                handler: None,
                timeout_seconds: 3,
                memory_size_mib: 128,
                ephemeral_storage_mib: 512,
                environment: BTreeMap::new(),
            },
            about: About::new("arn:aws:iam::000000000000:role/r".into()),
            revision_id: "r".into(),
            last_modified_ms: 7,
        };
        let alias = Alias {
            function_version: "1".into(),
            additional: Some(("2".into(), 0.5)),
            description: String::new(),
            revision_id: "a".into(),
        };
        let policy = Policy { revision_id: "p".into(), statements: vec![("s".into(), json!({}))] };
        FunctionRecord {
            origin: Origin::Api,
            latest: version.clone(),
            next: None,
            update_failure: None,
            versions: BTreeMap::from([(1, version)]),
            next_version: 2,
            aliases: BTreeMap::from([("live".into(), alias)]),
            tags: BTreeMap::new(),
            reserved_concurrent_executions: None,
            policies: BTreeMap::from([(String::new(), policy)]),
        }
    }

    #[test]
    fn what_is_missing_unknown_or_of_another_type_is_named() {
        let good = write(&example());
        assert_eq!(read(&good).unwrap(), example());
        let broken = |pointer: &str, to: Value| {
            let mut value = good.clone();
            match pointer.rsplit_once('/') {
                Some((parent, name)) => value.pointer_mut(parent).unwrap()[name] = to,
                None => value = to,
            }
            read(&value).unwrap_err()
        };
        for (pointer, to, problem) in [
            ("", json!([]), "the function is not an object"),
            ("/Origin", json!("me"), "Origin is \"me\", neither \"config\" nor \"api\""),
            ("/More", json!(1), "More is not known"),
            ("/Latest/More", json!(1), "More is not known"),
            ("/Latest/CodeSha256", json!("x"), "CodeSha256 is not a SHA-256 in hex"),
            ("/Latest/CodePlace", json!("moon"), "CodePlace is \"moon\", neither \"uploaded\" nor \"config\""),
            ("/Latest/Timeout", json!("3"), "Timeout is not a whole number"),
            ("/Latest/Environment", json!({"A": 1}), "in Environment, \"A\" is not a text"),
            ("/Latest/Runtime", json!(1), "Runtime is not a text"),
            ("/Versions/x", json!({}), "in Versions x, \"x\" is not the number of a version"),
            ("/Versions/1", json!({}), "in Versions 1, CodePlace is missing"),
            ("/Aliases/live/AdditionalWeight", json!("a"), "in Aliases live, AdditionalWeight is not a number"),
            ("/Aliases/live/More", json!("a"), "in Aliases live, More is not known"),
            ("/Policies", json!([]), "Policies is not an object"),
            ("/Policies//Statements", json!({}), "in Policies , Statements is not a list"),
            ("/ReservedConcurrentExecutions", json!(-1), "ReservedConcurrentExecutions is not a whole number"),
        ] {
            assert_eq!(broken(pointer, to), problem, "{pointer}");
        }
    }
}
