//! Reads the requests of the mapping operations and of tags: from JSON to [`Changes`], names and lists of tags.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::configuration::{Changes, PollersAsked};
use crate::error::ApiError;
use crate::members::{Members, wrong_type};
use crate::names::{AskedFunction, FunctionRef, Identity};

pub(crate) const REPORT_BATCH_ITEM_FAILURES: &str = "ReportBatchItemFailures";
pub(crate) const EVENT_COUNT: &str = "EventCount";
const METRICS: [&str; 3] = [EVENT_COUNT, "ErrorCount", "KafkaMetrics"];
const BATCH_SIZE_MAX: u32 = 10_000;
const WINDOW_SECONDS_MAX: u32 = 300;
const PATTERN_CHARACTERS_MAX: usize = 4096;
const ARN_CHARACTERS_MAX: usize = 10_000;
const FUNCTION_CHARACTERS_MAX: usize = 256;
const NAME_CHARACTERS_MAX: usize = 64;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;
const INVALID_PATTERN: &str = "Invalid filter pattern definition.";
const FUNCTION_PATTERN: &str = "(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\
     \\d{12}:|(((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?))(function:)?([a-zA-Z0-9-_\\.]+)\
     (:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const ARN_PATTERN: &str = "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\
     \\d{1})?:(\\d{12})?:(.*)";
/// Parameters of streams, Kafka, MQ and DocumentDB.
const UNSUPPORTED: [&str; 16] = [
    "DestinationConfig",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "ParallelizationFactor",
    "TumblingWindowInSeconds",
    "StartingPosition",
    "StartingPositionTimestamp",
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "LoggingConfig",
];

/// A `CreateEventSourceMapping`, read.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) event_source_arn: String,
    pub(crate) function: FunctionRef,
    pub(crate) changes: Changes,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Reads a `CreateEventSourceMapping`.
pub(crate) fn create(object: &Map<String, Value>, identity: &Identity) -> Result<Create, ApiError> {
    let mut members = Members::new(object);
    let source = members.text("EventSourceArn")?;
    if let Some(source) = source {
        check_arn(&mut members, source);
    }
    let asked = asked_function(&mut members)?;
    if members.value("FunctionName").is_none() {
        members.refuse_missing("FunctionName");
    }
    let mut changes = changes(&mut members)?;
    let tags = tags(&mut members)?;
    members.finish()?;
    let event_source_arn = source.ok_or(ApiError::UnrecognizedEventSource)?.to_owned();
    check_unsupported(object)?;
    let function = resolve(asked.ok_or(ApiError::FunctionDoesNotExist)?, identity)?;
    changes.function = None;
    Ok(Create { event_source_arn, function, changes, tags: tags.unwrap_or_default() })
}

/// Reads an `UpdateEventSourceMapping`.
pub(crate) fn update(object: &Map<String, Value>, identity: &Identity) -> Result<Changes, ApiError> {
    let mut members = Members::new(object);
    let asked = asked_function(&mut members)?;
    let mut changes = changes(&mut members)?;
    members.finish()?;
    check_unsupported(object)?;
    changes.function = asked.map(|asked| resolve(asked, identity)).transpose()?;
    Ok(changes)
}

/// Reads the body of a `TagResource`.
pub(crate) fn tag_resource(object: &Map<String, Value>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut members = Members::new(object);
    let tags = tags(&mut members)?;
    if tags.is_none() {
        members.refuse_missing("Tags");
    }
    members.finish()?;
    Ok(tags.unwrap_or_default())
}

/// Reads a function's name outside of a body: in a path, or in the query of a list. One of another account is not found.
pub(crate) fn named_function(text: &str, identity: &Identity) -> Result<FunctionRef, ApiError> {
    let mut nothing = Map::new();
    nothing.insert("FunctionName".to_owned(), Value::String(text.to_owned()));
    let mut members = Members::new(&nothing);
    let asked = asked_function(&mut members)?;
    members.finish()?;
    resolve_or_not_found(asked.ok_or(ApiError::FunctionDoesNotExist)?, identity)
}

/// The function itself; one of another account is not found.
pub(crate) fn resolve_or_not_found(asked: AskedFunction, identity: &Identity) -> Result<FunctionRef, ApiError> {
    let arn = format!(
        "arn:aws:lambda:{}:{}:function:{}",
        asked.region.as_deref().unwrap_or(&identity.region),
        asked.account.as_deref().unwrap_or(&identity.account),
        asked.function
    );
    resolve(asked, identity).map_err(|error| match error {
        ApiError::FunctionDoesNotExist => ApiError::FunctionNotFound { arn },
        other => other,
    })
}

/// Reads the `EventSourceArn` of a list.
pub(crate) fn listed_source(text: &str) -> Result<(), ApiError> {
    let nothing = Map::new();
    let mut members = Members::new(&nothing);
    check_arn(&mut members, text);
    members.finish()
}

fn check_arn(members: &mut Members<'_>, arn: &str) {
    if arn.chars().count() > ARN_CHARACTERS_MAX {
        let constraint = format!("Member must have length less than or equal to {ARN_CHARACTERS_MAX}");
        members.refuse("EventSourceArn", arn, &constraint);
    }
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next() == Some("arn") && parts.next().is_some_and(|partition| partition.starts_with("aws"));
    if !is_arn || parts.count() != 4 {
        let constraint = format!("Member must satisfy regular expression pattern: {ARN_PATTERN}");
        members.refuse("EventSourceArn", arn, &constraint);
    }
}

/// The function as it is named, if it is.
pub(crate) fn asked_function(members: &mut Members<'_>) -> Result<Option<AskedFunction>, ApiError> {
    let Some(text) = members.text("FunctionName")? else { return Ok(None) };
    if text.is_empty() {
        members.refuse("FunctionName", text, "Member must have length greater than or equal to 1");
        return Ok(None);
    }
    let too_long = |max: usize| format!("Member must have length less than or equal to {max}");
    if text.chars().count() > FUNCTION_CHARACTERS_MAX {
        members.refuse("FunctionName", text, &too_long(FUNCTION_CHARACTERS_MAX));
    }
    let asked = AskedFunction::parse(text);
    match &asked {
        None => {
            let constraint = format!("Member must satisfy regular expression pattern: {FUNCTION_PATTERN}");
            members.refuse("FunctionName", text, &constraint);
        }
        Some(asked) if asked.function.name.len() > NAME_CHARACTERS_MAX && text.len() <= FUNCTION_CHARACTERS_MAX => {
            members.refuse("FunctionName", text, &too_long(NAME_CHARACTERS_MAX));
        }
        Some(_) => {}
    }
    Ok(asked)
}

/// The function itself, if it can be one of this worker's.
fn resolve(asked: AskedFunction, identity: &Identity) -> Result<FunctionRef, ApiError> {
    if let Some(region) = asked.region.filter(|region| *region != identity.region) {
        return Err(ApiError::WrongRegion { asked: region, ours: identity.region.clone() });
    }
    if asked.account.is_some_and(|account| account != identity.account) {
        return Err(ApiError::FunctionDoesNotExist);
    }
    Ok(asked.function)
}

fn check_unsupported(object: &Map<String, Value>) -> Result<(), ApiError> {
    let given = |name: &str| match object.get(name) {
        None | Some(Value::Null) => false,
        // Some tools send an empty block for what is not set.
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let found = UNSUPPORTED.into_iter().find(|name| given(name));
    found.map_or(Ok(()), |parameter| Err(ApiError::Unsupported { parameter }))
}

/// What both requests have, but for the function.
fn changes(members: &mut Members<'_>) -> Result<Changes, ApiError> {
    let kms_key_arn = members.text("KMSKeyArn")?;
    check_kms_key(members, kms_key_arn);
    let response_types = members.choices("FunctionResponseTypes", &[REPORT_BATCH_ITEM_FAILURES], 1)?;
    Ok(Changes {
        function: None,
        enabled: members.boolean("Enabled")?,
        batch_size: members.integer("BatchSize", 1, BATCH_SIZE_MAX)?,
        maximum_batching_window_in_seconds: members.integer("MaximumBatchingWindowInSeconds", 0, WINDOW_SECONDS_MAX)?,
        report_batch_item_failures: response_types.map(|types| !types.is_empty()),
        filter_patterns: filters(members)?,
        maximum_concurrency: maximum_concurrency(members)?,
        provisioned_pollers: provisioned_pollers(members)?,
        kms_key_arn: kms_key_arn.map(|key| (!key.is_empty()).then(|| key.to_owned())),
        count_events: count_events(members)?,
    })
}

pub(crate) fn check_kms_key(members: &mut Members<'_>, key: Option<&str>) {
    if let Some(key) = key.filter(|key| !(key.is_empty() || key.starts_with("arn:"))) {
        let pattern = "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()";
        members.refuse("KMSKeyArn", key, &format!("Member must satisfy regular expression pattern: {pattern}"));
    }
}

fn filters(members: &mut Members<'_>) -> Result<Option<Vec<String>>, ApiError> {
    let Some(criteria) = members.inner("FilterCriteria")? else { return Ok(None) };
    let mut patterns = Vec::new();
    for mut filter in criteria.inner_list("Filters")?.unwrap_or_default() {
        let pattern = filter.text("Pattern")?;
        let pattern = pattern.ok_or_else(|| ApiError::InvalidFilter(INVALID_PATTERN.to_owned()))?;
        if pattern.chars().count() > PATTERN_CHARACTERS_MAX {
            let constraint = format!("Member must have length less than or equal to {PATTERN_CHARACTERS_MAX}");
            filter.refuse("Pattern", pattern, &constraint);
        }
        patterns.push(pattern.to_owned());
        members.absorb(filter);
    }
    Ok(Some(patterns))
}

fn maximum_concurrency(members: &mut Members<'_>) -> Result<Option<Option<u32>>, ApiError> {
    let Some(mut scaling) = members.inner("ScalingConfig")? else { return Ok(None) };
    let maximum = scaling.integer("MaximumConcurrency", 2, 1000)?;
    members.absorb(scaling);
    Ok(Some(maximum))
}

fn provisioned_pollers(members: &mut Members<'_>) -> Result<Option<Option<PollersAsked>>, ApiError> {
    let Some(mut config) = members.inner("ProvisionedPollerConfig")? else { return Ok(None) };
    if config.text("PollerGroupName")?.is_some() {
        return Err(ApiError::Unsupported { parameter: "PollerGroupName" });
    }
    // The model's ranges; those of SQS are narrower, and are checked with the settings.
    let minimum = config.integer("MinimumPollers", 1, 200)?;
    let maximum = config.integer("MaximumPollers", 1, 10_000)?;
    members.absorb(config);
    let asked = (minimum.is_some() || maximum.is_some()).then_some(PollersAsked { minimum, maximum });
    Ok(Some(asked))
}

fn count_events(members: &mut Members<'_>) -> Result<Option<bool>, ApiError> {
    let Some(mut config) = members.inner("MetricsConfig")? else { return Ok(None) };
    let metrics = config.choices("Metrics", &METRICS, METRICS.len())?.unwrap_or_default();
    members.absorb(config);
    if let Some(other) = metrics.iter().find(|metric| METRICS[1..].contains(metric)) {
        let text = format!("Unsupported metric {other} for given event source mapping type.");
        return Err(ApiError::InvalidParameter(text));
    }
    Ok(Some(!metrics.is_empty()))
}

pub(crate) fn tags(members: &mut Members<'_>) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    let Some(given) = members.value("Tags") else { return Ok(None) };
    let Value::Object(given) = given else { return Err(wrong_type("tags", given, "Map")) };
    let mut tags = BTreeMap::new();
    for (key, value) in given {
        let Value::String(value) = value else { return Err(wrong_type(&format!("tags.{key}"), value, "String")) };
        let long = |max: usize| {
            format!("Map value must satisfy constraint: [Member must have length less than or equal to {max}]")
        };
        if key.is_empty() || key.chars().count() > TAG_KEY_CHARACTERS_MAX {
            let constraint = format!(
                "Map keys must satisfy constraint: [Member must have length less than or equal to \
                 {TAG_KEY_CHARACTERS_MAX}, Member must have length greater than or equal to 1]"
            );
            members.refuse("Tags", format!("{{{key}={value}}}"), &constraint);
        }
        if value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            members.refuse("Tags", format!("{{{key}={value}}}"), &long(TAG_VALUE_CHARACTERS_MAX));
        }
        tags.insert(key.clone(), value.clone());
    }
    Ok(Some(tags))
}
