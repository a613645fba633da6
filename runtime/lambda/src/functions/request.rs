//! Reads the requests that say how a function runs: create and both updates (lambda-api §3.2).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::function_engine::FunctionSettings;
use crate::functions::record::About;
use crate::functions::upload;
use crate::members::{Members, wrong_type};
use crate::names::{FunctionRef, Identity};
use crate::request;

const TIMEOUT_SECONDS_MAX: u32 = 5400;
const TIMEOUT_SECONDS: u32 = 3;
const MEMORY_MIB: u32 = 128;
const MEMORY_MIB_MAX: u32 = 32_768;
const STORAGE_MIB: u32 = 512;
const STORAGE_MIB_MAX: u32 = 32_768;
const HANDLER_CHARACTERS_MAX: usize = 128;
const DESCRIPTION_CHARACTERS_MAX: usize = 256;
const LOG_GROUP_CHARACTERS_MAX: usize = 512;
const ENVIRONMENT_MAX_BYTES: usize = 4096;
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];
const TRACING_MODES: [&str; 2] = ["Active", "PassThrough"];
const LOG_FORMATS: [&str; 2] = ["JSON", "Text"];
const APPLICATION_LOG_LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const SYSTEM_LOG_LEVELS: [&str; 3] = ["DEBUG", "INFO", "WARN"];
const ROLE_PATTERN: &str = "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
const RUNTIMES: &str = "[nodejs20.x, nodejs22.x, nodejs24.x, python3.12, python3.13, python3.14, provided.al2, \
                        provided.al2023, wasm]";
/// Variables that the worker sets for every handler.
const RESERVED_VARIABLES: [&str; 11] = [
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];
/// What a function could be given on AWS and cannot be here: it would run differently without.
const UNAVAILABLE: [(&str, &str); 9] = [
    ("Layers", "put what the layers hold into the code"),
    ("VpcConfig", "a function reaches the hosts it is allowed to"),
    ("DeadLetterConfig", "an event that fails three times is logged"),
    ("FileSystemConfigs", "a function has the temporary folder only"),
    ("ImageConfig", "container images do not run"),
    ("CodeSigningConfigArn", "signatures of code are not checked"),
    ("CapacityProviderConfig", "functions run in this process"),
    ("DurableConfig", "invocations are not durable"),
    ("TenancyConfig", "a function has one tenant"),
];

/// A `CreateFunction`, read.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) name: String,
    pub(crate) code: Vec<u8>,
    pub(crate) role: String,
    pub(crate) changes: Changes,
    pub(crate) publish: bool,
    pub(crate) tags: BTreeMap<String, String>,
}

/// An `UpdateFunctionCode`, read.
#[derive(Debug)]
pub(crate) struct UpdateCode {
    pub(crate) code: Vec<u8>,
    /// Settings that come with the code. Of these Lambda takes `Architectures` alone; here code whose `Handler` or `Runtime` is
    /// another one can replace what runs in one step, where with two the one between them could not run.
    pub(crate) changes: Changes,
    pub(crate) publish: bool,
    pub(crate) dry_run: bool,
    pub(crate) revision_id: Option<String>,
}

/// What a create or an update names; what it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) role: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) runtime: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) memory_size_mib: Option<u32>,
    pub(crate) ephemeral_storage_mib: Option<u32>,
    pub(crate) environment: Option<BTreeMap<String, String>>,
    pub(crate) architecture: Option<String>,
    pub(crate) tracing_mode: Option<String>,
    pub(crate) logging: Option<Logging>,
    /// The empty text takes the key away.
    pub(crate) kms_key_arn: Option<String>,
}

/// `LoggingConfig`; what it leaves out stays, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) format: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) application_level: Option<String>,
    pub(crate) system_level: Option<String>,
}

impl Changes {
    /// How the function runs after these changes.
    pub(crate) fn settings(&self, before: Option<&FunctionSettings>) -> FunctionSettings {
        let mut after = before.cloned().unwrap_or(FunctionSettings {
            runtime: None,
            handler: None,
            timeout_seconds: TIMEOUT_SECONDS,
            memory_size_mib: MEMORY_MIB,
            ephemeral_storage_mib: STORAGE_MIB,
            environment: BTreeMap::new(),
        });
        if self.runtime.is_some() {
            after.runtime.clone_from(&self.runtime);
        }
        if self.handler.is_some() {
            after.handler.clone_from(&self.handler);
        }
        set(&mut after.timeout_seconds, self.timeout_seconds.as_ref());
        set(&mut after.memory_size_mib, self.memory_size_mib.as_ref());
        set(&mut after.ephemeral_storage_mib, self.ephemeral_storage_mib.as_ref());
        set(&mut after.environment, self.environment.as_ref());
        after
    }

    /// What it says of itself after these changes.
    pub(crate) fn about(&self, before: &About) -> About {
        let mut after = before.clone();
        set(&mut after.role, self.role.as_ref());
        set(&mut after.description, self.description.as_ref());
        set(&mut after.architecture, self.architecture.as_ref());
        set(&mut after.tracing_mode, self.tracing_mode.as_ref());
        if let Some(key) = &self.kms_key_arn {
            after.kms_key_arn = (!key.is_empty()).then(|| key.clone());
        }
        if let Some(logging) = &self.logging {
            set(&mut after.log_format, logging.format.as_ref());
            for (setting, asked) in [
                (&mut after.log_group, &logging.group),
                (&mut after.application_log_level, &logging.application_level),
                (&mut after.system_log_level, &logging.system_level),
            ] {
                if asked.is_some() {
                    setting.clone_from(asked);
                }
            }
            // Levels are for JSON only, and go with it.
            if after.log_format == "Text" {
                (after.application_log_level, after.system_log_level) = (None, None);
            } else {
                after.application_log_level.get_or_insert_with(|| "INFO".to_owned());
                after.system_log_level.get_or_insert_with(|| "INFO".to_owned());
            }
        }
        after
    }
}

fn set<T: Clone>(setting: &mut T, asked: Option<&T>) {
    if let Some(asked) = asked {
        setting.clone_from(asked);
    }
}

/// Reads a `CreateFunction`.
pub(crate) fn create(mut object: Map<String, Value>, identity: &Identity) -> Result<Create, ApiError> {
    let mut code = match object.remove("Code") {
        None | Some(Value::Null) => None,
        Some(Value::Object(code)) => Some(code),
        Some(other) => return Err(wrong_type("code", &other, "Structure")),
    };
    let mut members = Members::new(&object);
    let asked = request::asked_function(&mut members)?;
    for name in ["FunctionName", "Role"] {
        if members.value(name).is_none() {
            members.refuse_missing(name);
        }
    }
    if code.is_none() {
        members.refuse_missing("Code");
    }
    let changes = changes(&mut members)?;
    let publish = members.boolean("Publish")?.unwrap_or(false);
    let tags = request::tags(&mut members)?.unwrap_or_default();
    let package = members.one_of("PackageType", &["Zip", "Image"])?;
    members.finish()?;
    if package == Some("Image") {
        let text = "PackageType Image is not available here: container images do not run. Send the code as ZipFile.";
        return Err(ApiError::InvalidParameter(text.to_owned()));
    }
    check_unavailable(&object)?;
    let asked = asked.ok_or(ApiError::FunctionDoesNotExist)?;
    let FunctionRef { name, qualifier } = request::resolve_or_not_found(asked, identity)?;
    if qualifier.is_some() || name.contains('.') {
        let problem = format!("Value '{name}' at 'functionName' failed to satisfy constraint: ");
        let constraint = "Member must satisfy regular expression pattern: [a-zA-Z0-9-_]+";
        return Err(ApiError::Validation(vec![problem + constraint]));
    }
    check_environment(changes.environment.as_ref())?;
    let role = changes.role.clone().unwrap_or_default();
    let code = upload::take(code.get_or_insert_default(), "code.")?;
    if tags.len() > crate::checks::TAGS_MAX {
        return Err(ApiError::TooManyTags);
    }
    Ok(Create { name, code, role, changes, publish, tags })
}

/// Reads an `UpdateFunctionCode`.
pub(crate) fn update_code(mut object: Map<String, Value>) -> Result<UpdateCode, ApiError> {
    let mut members = Members::new(&object);
    let changes = changes(&mut members)?;
    let publish = members.boolean("Publish")?.unwrap_or(false);
    let dry_run = members.boolean("DryRun")?.unwrap_or(false);
    let revision_id = members.text("RevisionId")?.map(str::to_owned);
    members.finish()?;
    check_unavailable(&object)?;
    check_environment(changes.environment.as_ref())?;
    let code = upload::take(&mut object, "")?;
    Ok(UpdateCode { code, changes, publish, dry_run, revision_id })
}

/// Reads an `UpdateFunctionConfiguration`: the changes and the revision they are for.
pub(crate) fn update_configuration(object: &Map<String, Value>) -> Result<(Changes, Option<String>), ApiError> {
    let mut members = Members::new(object);
    let changes = changes(&mut members)?;
    let revision_id = members.text("RevisionId")?.map(str::to_owned);
    members.finish()?;
    check_unavailable(object)?;
    check_environment(changes.environment.as_ref())?;
    Ok((changes, revision_id))
}

fn changes(members: &mut Members<'_>) -> Result<Changes, ApiError> {
    let role = members.text("Role")?;
    if let Some(role) = role.filter(|role| !is_role(role)) {
        members.refuse("Role", role, &format!("Member must satisfy regular expression pattern: {ROLE_PATTERN}"));
    }
    let handler = members.text_up_to("Handler", HANDLER_CHARACTERS_MAX)?;
    if let Some(handler) = handler.filter(|handler| handler.is_empty() || handler.contains(char::is_whitespace)) {
        members.refuse("Handler", handler, "Member must satisfy regular expression pattern: [^\\s]+");
    }
    let runtime = members.text("Runtime")?;
    if let Some(runtime) = runtime.filter(|runtime| !is_runtime(runtime)) {
        members.refuse("Runtime", runtime, &format!("Member must satisfy enum value set: {RUNTIMES}"));
    }
    let environment = match members.inner("Environment")? {
        None => None,
        Some(environment) => Some(variables(members, &environment)?),
    };
    let storage = match members.inner("EphemeralStorage")? {
        None => None,
        Some(mut storage) => {
            let size = storage.integer("Size", STORAGE_MIB, STORAGE_MIB_MAX)?;
            members.absorb(storage);
            size
        }
    };
    let tracing_mode = match members.inner("TracingConfig")? {
        None => None,
        Some(mut tracing) => {
            let mode = tracing.one_of("Mode", &TRACING_MODES)?.map(str::to_owned);
            members.absorb(tracing);
            mode
        }
    };
    if let Some(mut snap_start) = members.inner("SnapStart")? {
        if snap_start.one_of("ApplyOn", &["PublishedVersions", "None"])? == Some("PublishedVersions") {
            let text = "SnapStart is not available here: a sandbox starts in microseconds. Leave it out, or say None.";
            return Err(ApiError::InvalidParameter(text.to_owned()));
        }
        members.absorb(snap_start);
    }
    refuse_publish_to(members)?;
    let kms_key_arn = members.text("KMSKeyArn")?;
    request::check_kms_key(members, kms_key_arn);
    Ok(Changes {
        role: role.map(str::to_owned),
        description: members.text_up_to("Description", DESCRIPTION_CHARACTERS_MAX)?.map(str::to_owned),
        runtime: runtime.map(str::to_owned),
        handler: handler.map(str::to_owned),
        timeout_seconds: members.integer("Timeout", 1, TIMEOUT_SECONDS_MAX)?,
        memory_size_mib: members.integer("MemorySize", MEMORY_MIB, MEMORY_MIB_MAX)?,
        ephemeral_storage_mib: storage,
        environment,
        architecture: architecture(members)?,
        tracing_mode,
        logging: logging(members)?,
        kms_key_arn: kms_key_arn.map(str::to_owned),
    })
}

fn refuse_publish_to(members: &Members<'_>) -> Result<(), ApiError> {
    if members.value("PublishTo").is_some() {
        let text = "PublishTo is not available here: leave it out, and use Publish or PublishVersion.";
        return Err(ApiError::InvalidParameter(text.to_owned()));
    }
    Ok(())
}

fn architecture(members: &mut Members<'_>) -> Result<Option<String>, ApiError> {
    let asked = members.choices("Architectures", &ARCHITECTURES, 1)?;
    if asked.as_ref().is_some_and(Vec::is_empty) {
        members.refuse("Architectures", "[]", "Member must have length greater than or equal to 1");
    }
    Ok(asked.and_then(|asked| asked.first().map(|&first| first.to_owned())))
}

fn logging(members: &mut Members<'_>) -> Result<Option<Logging>, ApiError> {
    let Some(mut config) = members.inner("LoggingConfig")? else { return Ok(None) };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let logging = Logging {
        format: owned(config.one_of("LogFormat", &LOG_FORMATS)?),
        group: owned(config.text_up_to("LogGroup", LOG_GROUP_CHARACTERS_MAX)?),
        application_level: owned(config.one_of("ApplicationLogLevel", &APPLICATION_LOG_LEVELS)?),
        system_level: owned(config.one_of("SystemLogLevel", &SYSTEM_LOG_LEVELS)?),
    };
    members.absorb(config);
    Ok(Some(logging))
}

fn variables(members: &mut Members<'_>, environment: &Members<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut variables = BTreeMap::new();
    let Some(given) = environment.value("Variables") else { return Ok(variables) };
    let Value::Object(given) = given else { return Err(wrong_type("environment.variables", given, "Map")) };
    for (name, value) in given {
        let Value::String(value) = value else {
            return Err(wrong_type(&format!("environment.variables.{name}"), value, "String"));
        };
        let mut letters = name.bytes();
        let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && name.len() >= 2
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
        if !is_name {
            // The name alone: a value may be a secret, and errors are logged.
            let constraint = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: \
                              [a-zA-Z]([a-zA-Z0-9_])+]";
            members.refuse("Environment.variables", name, constraint);
        }
        variables.insert(name.clone(), value.clone());
    }
    Ok(variables)
}

fn check_environment(variables: Option<&BTreeMap<String, String>>) -> Result<(), ApiError> {
    let Some(variables) = variables else { return Ok(()) };
    const FAILED: &str = "Lambda was unable to configure your environment variables because the environment variables \
                          you have provided";
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED_VARIABLES.contains(name)).collect();
    if !reserved.is_empty() {
        let text = format!(
            "{FAILED} contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        );
        return Err(ApiError::InvalidParameter(text));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > ENVIRONMENT_MAX_BYTES {
        let text = format!("{FAILED} exceeded the 4KB limit. They have {bytes} bytes.");
        return Err(ApiError::InvalidParameter(text));
    }
    Ok(())
}

fn check_unavailable(object: &Map<String, Value>) -> Result<(), ApiError> {
    fn says_something(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => items.iter().any(says_something),
            // Tools send blocks of empty lists for what is not set.
            Value::Object(members) => members.values().any(says_something),
            Value::Bool(true) | Value::Number(_) => true,
        }
    }
    let given = UNAVAILABLE.iter().find(|(name, _)| object.get(*name).is_some_and(says_something));
    given.map_or(Ok(()), |(name, instead)| {
        Err(ApiError::InvalidParameter(format!("{name} is not available here: {instead}. Leave it out.")))
    })
}

fn is_role(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("arn:aws") else { return false };
    let Some((partition, rest)) = rest.split_once(":iam::") else { return false };
    let Some((account, name)) = rest.split_once(":role") else { return false };
    let name = name.strip_prefix('/').unwrap_or(name);
    partition.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte))
}

/// The families that there are interpreters for, and what is compiled. Which of them is installed, the engine knows.
fn is_runtime(text: &str) -> bool {
    let numbered = |prefix: &str, suffix: &str| {
        let number = text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    matches!(text, "wasm" | "python" | "js" | "provided" | "provided.al2" | "provided.al2023")
        || numbered("python3.", "")
        || numbered("nodejs", ".x")
}
