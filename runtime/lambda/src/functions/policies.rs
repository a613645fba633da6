//! Who else may use a function, as AWS's other services ask for it. It is kept and shown; the worker's own listener asks
//! for signatures, and whoever has one may do everything.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::functions::record::Policy;
use crate::functions::{Functions, new_revision};
use crate::members::Members;

/// What a policy may hold, as text.
const POLICY_MAX_BYTES: usize = 20_480;
const ID_CHARACTERS_MAX: usize = 100;

/// An `AddPermission`, read.
#[derive(Debug)]
pub(crate) struct Permission {
    id: String,
    action: String,
    principal: String,
    conditions: Vec<(&'static str, &'static str, String)>,
    revision_id: Option<String>,
}

/// Reads an `AddPermission`.
pub(crate) fn permission(object: &Map<String, Value>) -> Result<Permission, ApiError> {
    let mut members = Members::new(object);
    let id = members.text_up_to("StatementId", ID_CHARACTERS_MAX)?;
    let is_id = |id: &str| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if let Some(id) = id.filter(|id| !is_id(id)) {
        members.refuse("StatementId", id, "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)");
    }
    for name in ["StatementId", "Action", "Principal"] {
        if members.value(name).is_none() {
            members.refuse_missing(name);
        }
    }
    let mut conditions = Vec::new();
    for (member, operator, key) in [
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ] {
        if let Some(value) = members.text(member)?.filter(|value| !value.is_empty()) {
            conditions.push((operator, key, value.to_owned()));
        }
    }
    if let Some(value) = members.boolean("InvokedViaFunctionUrl")? {
        conditions.push(("Bool", "lambda:InvokedViaFunctionUrl", value.to_string()));
    }
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let permission = Permission {
        id: owned(id),
        action: owned(members.text("Action")?),
        principal: owned(members.text("Principal")?),
        conditions,
        revision_id: members.text("RevisionId")?.filter(|text| !text.is_empty()).map(str::to_owned),
    };
    members.finish()?;
    Ok(permission)
}

impl Permission {
    /// The statement it becomes.
    fn statement(&self, resource: &str) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            service if service.ends_with(".amazonaws.com") => json!({"Service": service}),
            account if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) => {
                json!({"AWS": format!("arn:aws:iam::{account}:root")})
            }
            other => json!({"AWS": other}),
        };
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), json!(self.id));
        statement.insert("Effect".to_owned(), json!("Allow"));
        statement.insert("Principal".to_owned(), principal);
        statement.insert("Action".to_owned(), json!(self.action));
        statement.insert("Resource".to_owned(), json!(resource));
        if !self.conditions.is_empty() {
            let mut condition = Map::new();
            for (operator, key, value) in &self.conditions {
                let of_operator = condition.entry((*operator).to_owned()).or_insert_with(|| json!({}));
                of_operator[*key] = json!(value);
            }
            statement.insert("Condition".to_owned(), condition.into());
        }
        Value::Object(statement)
    }
}

fn document(policy: &Policy) -> String {
    let statements: Vec<&Value> = policy.statements.iter().map(|(_, statement)| statement).collect();
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}

impl Functions {
    /// Adds a statement, and gives it.
    pub(crate) async fn add_permission(
        &self,
        function: String,
        qualifier: Option<String>,
        permission: Permission,
    ) -> Result<Value, ApiError> {
        self.to_the_end(move |inner| async move {
            inner.check_qualifier(&function, qualifier.as_deref())?;
            let statement = permission.statement(&inner.arn(&function, qualifier.as_deref()));
            let shown = statement.to_string();
            inner
                .amend(&function, |record| {
                    let policy = record.policies.entry(qualifier.unwrap_or_default());
                    let policy =
                        policy.or_insert_with(|| Policy { revision_id: String::new(), statements: Vec::new() });
                    check_revision(policy, permission.revision_id.as_deref())?;
                    if policy.statements.iter().any(|(id, _)| *id == permission.id) {
                        return Err(ApiError::Conflict(format!(
                            "The statement id ({}) provided already exists. Please provide a new statement id, or \
                             remove the existing statement.",
                            permission.id
                        )));
                    }
                    policy.statements.push((permission.id, statement));
                    policy.revision_id = new_revision();
                    if document(policy).len() > POLICY_MAX_BYTES {
                        let text = format!("The final policy size is bigger than the limit ({POLICY_MAX_BYTES}).");
                        return Err(ApiError::InvalidParameter(text));
                    }
                    Ok(())
                })
                .await?;
            Ok(json!({"Statement": shown}))
        })
        .await
    }

    /// A function's policy.
    pub(crate) fn policy(&self, function: &str, qualifier: Option<&str>) -> Result<Value, ApiError> {
        self.inner.check_qualifier(function, qualifier)?;
        let record = self.inner.entry(function)?.record;
        let policy = record.policies.get(qualifier.unwrap_or_default()).ok_or(ApiError::NothingThere)?;
        Ok(json!({"Policy": document(policy), "RevisionId": policy.revision_id}))
    }

    /// Removes a statement.
    pub(crate) async fn remove_permission(
        &self,
        function: String,
        qualifier: Option<String>,
        id: String,
        revision_id: Option<String>,
    ) -> Result<(), ApiError> {
        self.to_the_end(move |inner| async move {
            inner.check_qualifier(&function, qualifier.as_deref())?;
            inner
                .amend(&function, |record| {
                    let qualifier = qualifier.unwrap_or_default();
                    let policy = record.policies.get_mut(&qualifier).ok_or(ApiError::NothingThere)?;
                    check_revision(policy, revision_id.as_deref())?;
                    let before = policy.statements.len();
                    policy.statements.retain(|(other, _)| *other != id);
                    if policy.statements.len() == before {
                        return Err(ApiError::StatementNotFound { id });
                    }
                    policy.revision_id = new_revision();
                    if policy.statements.is_empty() {
                        record.policies.remove(&qualifier);
                    }
                    Ok(())
                })
                .await
        })
        .await
    }
}

fn check_revision(policy: &Policy, asked: Option<&str>) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked != policy.revision_id => Err(ApiError::WrongRevision),
        _ => Ok(()),
    }
}
