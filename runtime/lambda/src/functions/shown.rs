//! Functions as Lambda shows them (lambda-api §3.2, §3.3).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock;
use crate::functions::changes::Shown;
use crate::functions::record::{FunctionRecord, Version};
use crate::names::{FunctionRef, Identity, LATEST};

/// A `FunctionConfiguration`. `qualifier` stands in its ARN as it was asked for.
pub(crate) fn configuration(shown: &Shown, identity: &Identity, qualifier: Option<&str>) -> Value {
    let Shown { name, entry, version: label } = shown;
    let record: &Arc<FunctionRecord> = &entry.record;
    // An update that is under way is what $LATEST will be.
    let next = record.next.as_ref().filter(|_| label == LATEST);
    let running = record.version(label).unwrap_or(&record.latest);
    let Version { code, settings, about, revision_id, last_modified_ms, .. } = next.unwrap_or(running);
    let function = FunctionRef { name: name.clone(), qualifier: qualifier.map(str::to_owned) };
    let mut object = Map::new();
    let mut show = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    show("FunctionName", json!(name));
    show("FunctionArn", json!(identity.function_arn(&function)));
    if let Some(runtime) = &settings.runtime {
        show("Runtime", json!(runtime));
    }
    show("Role", json!(about.role));
    if let Some(handler) = &settings.handler {
        show("Handler", json!(handler));
    }
    show("CodeSize", json!(code.size_bytes));
    show("Description", json!(about.description));
    show("Timeout", json!(settings.timeout_seconds));
    show("MemorySize", json!(settings.memory_size_mib));
    show("LastModified", json!(clock::iso(*last_modified_ms)));
    show("CodeSha256", json!(code.sha256.base64()));
    show("Version", json!(label));
    if !settings.environment.is_empty() {
        show("Environment", json!({"Variables": settings.environment}));
    }
    if let Some(key) = &about.kms_key_arn {
        show("KMSKeyArn", json!(key));
    }
    show("TracingConfig", json!({"Mode": about.tracing_mode}));
    show("RevisionId", json!(revision_id));
    let state = entry.state(running);
    show("State", json!(state.state));
    if let Some(reason) = state.reason {
        show("StateReason", json!(reason));
    }
    if let Some(code) = state.reason_code {
        show("StateReasonCode", json!(code));
    }
    let update = match label.as_str() {
        LATEST => entry.last_update(),
        _ if entry.is_loaded(running) => Some(crate::functions::entry::SUCCESSFUL),
        _ => None,
    };
    if let Some(update) = update {
        show("LastUpdateStatus", json!(update.state));
        if let Some(reason) = update.reason {
            show("LastUpdateStatusReason", json!(reason));
        }
        if let Some(code) = update.reason_code {
            show("LastUpdateStatusReasonCode", json!(code));
        }
    }
    show("PackageType", json!("Zip"));
    show("Architectures", json!([about.architecture]));
    show("EphemeralStorage", json!({"Size": settings.ephemeral_storage_mib}));
    show("SnapStart", json!({"ApplyOn": "None", "OptimizationStatus": "Off"}));
    let runtime_version = format!("arn:aws:lambda:{}::runtime:wasmill", identity.region);
    show("RuntimeVersionConfig", json!({"RuntimeVersionArn": runtime_version}));
    let group = about.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{name}"));
    let mut logging = Map::new();
    logging.insert("LogFormat".to_owned(), json!(about.log_format));
    for (name, level) in
        [("ApplicationLogLevel", &about.application_log_level), ("SystemLogLevel", &about.system_log_level)]
    {
        if let Some(level) = level {
            logging.insert(name.to_owned(), json!(level));
        }
    }
    logging.insert("LogGroup".to_owned(), json!(group));
    show("LoggingConfig", logging.into());
    Value::Object(object)
}
