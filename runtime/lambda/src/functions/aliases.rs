//! Aliases: names for a version, or for two with weights (lambda-api §3.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::functions::record::{Alias, FunctionRecord};
use crate::functions::{Functions, Inner, loading, new_revision};
use crate::members::{Members, wrong_type};
use crate::names::LATEST;

/// A bound, as AWS has none that anybody met.
const ALIASES_MAX: usize = 1000;
const NAME_CHARACTERS_MAX: usize = 128;
const VERSION_CHARACTERS_MAX: usize = 1024;
const DESCRIPTION_CHARACTERS_MAX: usize = 256;

/// A `CreateAlias` or an `UpdateAlias`, read; what an update leaves out stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct AliasChanges {
    pub(crate) function_version: Option<String>,
    pub(crate) description: Option<String>,
    /// All weights; none takes them away.
    pub(crate) weights: Option<Vec<(String, f64)>>,
    pub(crate) revision_id: Option<String>,
}

/// Reads a `CreateAlias`: its name and the rest.
pub(crate) fn create(object: &Map<String, Value>) -> Result<(String, AliasChanges), ApiError> {
    let mut members = Members::new(object);
    let name = members.text_up_to("Name", NAME_CHARACTERS_MAX)?;
    match name {
        None => members.refuse_missing("Name"),
        Some(name) if !is_name(name) => {
            let constraint = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
            members.refuse("Name", name, constraint);
        }
        Some(_) => {}
    }
    if members.value("FunctionVersion").is_none() {
        members.refuse_missing("FunctionVersion");
    }
    let changes = changes(&mut members)?;
    members.finish()?;
    Ok((name.unwrap_or_default().to_owned(), changes))
}

/// Reads an `UpdateAlias`.
pub(crate) fn update(object: &Map<String, Value>) -> Result<AliasChanges, ApiError> {
    let mut members = Members::new(object);
    let mut changes = changes(&mut members)?;
    changes.revision_id = members.text("RevisionId")?.filter(|text| !text.is_empty()).map(str::to_owned);
    members.finish()?;
    Ok(changes)
}

fn changes(members: &mut Members<'_>) -> Result<AliasChanges, ApiError> {
    let version = members.text_up_to("FunctionVersion", VERSION_CHARACTERS_MAX)?;
    if let Some(version) = version.filter(|version| *version != LATEST && !is_number(version)) {
        let constraint = "Member must satisfy regular expression pattern: (\\$LATEST(\\.PUBLISHED)?|[0-9]+)";
        members.refuse("FunctionVersion", version, constraint);
    }
    let weights = match members.inner("RoutingConfig")? {
        None => None,
        Some(routing) => Some(weights(members, &routing)?),
    };
    Ok(AliasChanges {
        function_version: version.map(str::to_owned),
        description: members.text_up_to("Description", DESCRIPTION_CHARACTERS_MAX)?.map(str::to_owned),
        weights,
        revision_id: None,
    })
}

fn weights(members: &mut Members<'_>, routing: &Members<'_>) -> Result<Vec<(String, f64)>, ApiError> {
    const PLACE: &str = "RoutingConfig.additionalVersionWeights";
    let Some(given) = routing.value("AdditionalVersionWeights") else { return Ok(Vec::new()) };
    let Value::Object(given) = given else {
        return Err(wrong_type("routingConfig.additionalVersionWeights", given, "Map"));
    };
    let mut weights = Vec::new();
    for (version, weight) in given {
        let place = format!("routingConfig.additionalVersionWeights.{version}");
        let share = weight.as_f64().ok_or_else(|| wrong_type(&place, weight, "Double"))?;
        if !is_number(version) {
            let constraint = "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, \
                              Member must have length greater than or equal to 1, Member must satisfy regular \
                              expression pattern: [0-9]+]";
            members.refuse(PLACE, format!("{{{version}={weight}}}"), constraint);
        }
        if !(0.0..=1.0).contains(&share) {
            let constraint = "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, \
                              Member must have value greater than or equal to 0.0]";
            members.refuse(PLACE, format!("{{{version}={weight}}}"), constraint);
        }
        weights.push((version.clone(), share));
    }
    Ok(weights)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    let is_made_of = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(is_made_of) && !is_number(text)
}

/// An alias as Lambda shows it.
pub(crate) fn shown(name: &str, alias: &Alias, arn: &str) -> Value {
    let mut shown = Map::new();
    shown.insert("AliasArn".to_owned(), json!(arn));
    shown.insert("Name".to_owned(), json!(name));
    shown.insert("FunctionVersion".to_owned(), json!(alias.function_version));
    shown.insert("Description".to_owned(), json!(alias.description));
    if let Some((version, weight)) = &alias.additional {
        shown.insert("RoutingConfig".to_owned(), json!({"AdditionalVersionWeights": {version.as_str(): weight}}));
    }
    shown.insert("RevisionId".to_owned(), json!(alias.revision_id));
    Value::Object(shown)
}

impl Functions {
    /// Makes an alias, once its versions may be routed to.
    pub(crate) async fn create_alias(
        &self,
        function: String,
        name: String,
        changes: AliasChanges,
    ) -> Result<Value, ApiError> {
        self.to_the_end(move |inner| async move {
            let version = changes.function_version.unwrap_or_default();
            let additional = additional(&version, changes.weights.as_deref().unwrap_or_default())?;
            let arn = inner.arn(&function, Some(&name));
            if inner.entry(&function)?.record.aliases.contains_key(&name) {
                return Err(ApiError::AliasExists { arn });
            }
            let alias = Alias {
                function_version: version,
                additional,
                description: changes.description.unwrap_or_default(),
                revision_id: new_revision(),
            };
            inner.put_alias(&function, &name, alias, None).await?;
            inner.alias(&function, &name)
        })
        .await
    }

    /// Changes an alias, once its versions may be routed to.
    pub(crate) async fn update_alias(
        &self,
        function: String,
        name: String,
        changes: AliasChanges,
    ) -> Result<Value, ApiError> {
        self.to_the_end(move |inner| async move {
            let entry = inner.entry(&function)?;
            let not_found = || ApiError::AliasNotFound { arn: inner.arn(&function, Some(&name)) };
            let before = entry.record.aliases.get(&name).ok_or_else(not_found)?;
            if changes.revision_id.as_ref().is_some_and(|revision| *revision != before.revision_id) {
                return Err(ApiError::WrongRevision);
            }
            let version = changes.function_version.unwrap_or_else(|| before.function_version.clone());
            let weights = changes.weights.unwrap_or_else(|| before.additional.iter().cloned().collect());
            let alias = Alias {
                additional: additional(&version, &weights)?,
                function_version: version,
                description: changes.description.unwrap_or_else(|| before.description.clone()),
                revision_id: new_revision(),
            };
            inner.put_alias(&function, &name, alias, Some(before)).await?;
            inner.alias(&function, &name)
        })
        .await
    }

    /// One alias.
    pub(crate) fn alias(&self, function: &str, name: &str) -> Result<Value, ApiError> {
        self.inner.alias(function, name)
    }

    /// The aliases of a function, by name; those that lead to one version, if one is named.
    pub(crate) fn aliases(&self, function: &str, version: Option<&str>) -> Result<BTreeMap<String, Value>, ApiError> {
        let record = self.inner.entry(function)?.record;
        let wanted = |name: &str| version.is_none_or(|version| record.aliases_of(version).contains(&name));
        let shown = |(name, alias): (&String, &Alias)| {
            let arn = self.inner.arn(function, Some(name));
            (name.clone(), shown(name, alias, &arn))
        };
        Ok(record.aliases.iter().filter(|(name, _)| wanted(name)).map(shown).collect())
    }

    /// Deletes an alias; one that is not there is as good as deleted.
    pub(crate) async fn delete_alias(&self, function: String, name: String) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move {
            let pinned = inner.pinned(&function);
            let kept = inner.versions_kept;
            inner
                .amend(&function, |record| {
                    record.aliases.remove(&name);
                    loading::prune(record, kept, &pinned);
                    Ok(())
                })
                .await?;
            inner.collect_code();
            Ok(())
        })
        .await
    }
}

impl Inner {
    fn alias(&self, function: &str, name: &str) -> Result<Value, ApiError> {
        let entry = self.entry(function)?;
        let arn = self.arn(function, Some(name));
        match entry.record.aliases.get(name) {
            Some(alias) => Ok(shown(name, alias, &arn)),
            None => Err(ApiError::AliasNotFound { arn }),
        }
    }

    async fn put_alias(
        self: &Arc<Self>,
        function: &str,
        name: &str,
        alias: Alias,
        before: Option<&Alias>,
    ) -> Result<(), ApiError> {
        self.ready(function, &alias.function_version).await?;
        if let Some((version, _)) = &alias.additional {
            self.ready(function, version).await?;
        }
        let (pinned, kept) = (self.pinned(function), self.versions_kept);
        let arn = self.arn(function, Some(name));
        let put = |record: &mut FunctionRecord| {
            // Somebody else may have been here while the versions were waited for.
            match (record.aliases.get(name), before) {
                (Some(_), None) => return Err(ApiError::AliasExists { arn }),
                (None, Some(_)) => return Err(ApiError::AliasNotFound { arn }),
                (Some(now), Some(before)) if now != before => return Err(ApiError::WrongRevision),
                _ => {}
            }
            if record.aliases.len() >= ALIASES_MAX {
                let text = format!("The function has {ALIASES_MAX} aliases: no more can be made.");
                return Err(ApiError::InvalidParameter(text));
            }
            for version in [Some(&alias.function_version), alias.additional.as_ref().map(|(version, _)| version)] {
                if let Some(version) = version.filter(|version| record.version(version).is_none()) {
                    return Err(self.not_found(function, Some(version)));
                }
            }
            record.aliases.insert(name.to_owned(), alias);
            loading::prune(record, kept, &pinned);
            Ok(())
        };
        self.amend(function, put).await?;
        self.collect_code();
        Ok(())
    }
}

/// The other version of a weighted alias (AWS's texts).
fn additional(version: &str, weights: &[(String, f64)]) -> Result<Option<(String, f64)>, ApiError> {
    let invalid = |text: String| Err(ApiError::InvalidParameter(text));
    let (other, weight) = match weights {
        [] => return Ok(None),
        [one] => one,
        _ => return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned()),
    };
    if version == LATEST {
        return invalid("$LATEST is not supported for an alias pointing to more than 1 version".to_owned());
    }
    if other == version {
        return invalid(format!(
            "Invalid function version {other}. Function version {other} is already included in routing configuration."
        ));
    }
    Ok(Some((other.clone(), *weight)))
}
