//! Permissions: statements of a queue's policy, added and removed by their label (sqs-semantics §3).
//!
//! Nothing here is enforced: policies are kept and shown as on SQS. Pure text in, text out. What a policy holds besides,
//! also one that an owner wrote, stays as it is.

use serde_json::{Map, Value, json};

use crate::arn::QueueArn;
use crate::error::{PermissionError, SettingError};

/// SQS's limits for a queue's policy.
const POLICY_MAX_BYTES: usize = 8192;
const STATEMENTS_MAX: usize = 20;
const ACTIONS_MAX: usize = 7;
const LABEL_MAX: usize = 80;
const STATEMENT: &str = "Statement";

/// What another account can be allowed: all that works on messages or only reads. The rest is the owner's alone.
const PERMITTED: [&str; 12] = [
    "*",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
];

/// Checks `Policy`, which is kept exactly as it is given. An empty text removes it.
pub(crate) fn parse(value: &str) -> Result<Option<String>, SettingError> {
    let invalid = |reason: String| SettingError::InvalidValue { name: "Policy", value: value.to_owned(), reason };
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > POLICY_MAX_BYTES {
        return Err(invalid(format!("it must be at most {POLICY_MAX_BYTES} bytes long")));
    }
    match serde_json::from_str(value) {
        Ok(Value::Object(_)) => Ok(Some(value.to_owned())),
        Ok(_) => Err(invalid("it must be a JSON object".to_owned())),
        Err(error) => Err(invalid(format!("it must be a JSON object: {error}"))),
    }
}

/// A policy with one statement more.
pub(crate) fn with_permission(
    policy: Option<&str>,
    queue: &QueueArn,
    label: &str,
    accounts: &[String],
    actions: &[String],
) -> Result<String, PermissionError> {
    if !is_label(label) {
        return Err(PermissionError::InvalidLabel(label.to_owned()));
    }
    if let Some(action) = actions.iter().find(|action| !PERMITTED.contains(&action.as_str())) {
        return Err(PermissionError::InvalidAction(action.clone()));
    }
    let mut document = policy.map(object).unwrap_or_default();
    if document.is_empty() {
        document.insert("Version".to_owned(), json!("2008-10-17"));
        document.insert("Id".to_owned(), json!(format!("{queue}/SQSDefaultPolicy")));
    }
    let mut statements = statements(&mut document);
    if statements.iter().any(|statement| has_label(statement, label)) {
        return Err(PermissionError::LabelExists(label.to_owned()));
    }
    if actions.len() > ACTIONS_MAX || statements.len() >= STATEMENTS_MAX {
        return Err(PermissionError::OverLimit);
    }
    let principals = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root"));
    let actions = actions.iter().map(|action| format!("SQS:{action}"));
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_many(principals) },
        "Action": one_or_many(actions),
        "Resource": queue.as_str(),
    }));
    document.insert(STATEMENT.to_owned(), Value::Array(statements));
    let text = Value::Object(document).to_string();
    if text.len() > POLICY_MAX_BYTES { Err(PermissionError::OverLimit) } else { Ok(text) }
}

/// A policy with one statement less; none when it was the last.
pub(crate) fn without_permission(policy: Option<&str>, label: &str) -> Result<Option<String>, PermissionError> {
    let mut document = policy.map(object).unwrap_or_default();
    let mut statements = statements(&mut document);
    let before = statements.len();
    statements.retain(|statement| !has_label(statement, label));
    if statements.len() == before {
        return Err(PermissionError::NoSuchLabel(label.to_owned()));
    }
    if statements.is_empty() {
        return Ok(None);
    }
    document.insert(STATEMENT.to_owned(), Value::Array(statements));
    Ok(Some(Value::Object(document).to_string()))
}

/// A kept policy is an object: it was checked when it was set.
fn object(policy: &str) -> Map<String, Value> {
    match serde_json::from_str(policy) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// The statements, their place in the document kept. One alone may stand there without a list.
fn statements(document: &mut Map<String, Value>) -> Vec<Value> {
    match document.get_mut(STATEMENT).map(Value::take) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(statements)) => statements,
        Some(statement) => vec![statement],
    }
}

fn has_label(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(allowed)
}

/// SQS writes a list of one as the one.
fn one_or_many(texts: impl Iterator<Item = String>) -> Value {
    let mut texts: Vec<Value> = texts.map(Value::String).collect();
    if texts.len() == 1 { texts.remove(0) } else { Value::Array(texts) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::arn::Identity;

    fn queue() -> QueueArn {
        Identity::default().arn("q")
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn add(policy: Option<&str>, label: &str, actions: &[&str]) -> Result<String, PermissionError> {
        with_permission(policy, &queue(), label, &owned(&["111111111111"]), &owned(actions))
    }

    #[test]
    fn a_policy_is_a_json_object_kept_exactly() {
        let kept = r#"{ "Version":"2012-10-17",  "Statement":[] }"#;
        assert_eq!(parse(kept), Ok(Some(kept.to_owned())));
        assert_eq!(parse(""), Ok(None));
        let too_long = format!(r#"{{"Id":"{}"}}"#, "x".repeat(POLICY_MAX_BYTES));
        for bad in ["[]", "\"text\"", "{", "allow", &too_long] {
            assert!(matches!(parse(bad), Err(SettingError::InvalidValue { name: "Policy", .. })), "{bad}");
        }
    }

    /// The fields, their order and the collapsed lists as recorded of AWS (test_sqs_permission_lifecycle).
    #[test]
    fn permissions_come_and_go_as_on_sqs() {
        let actions = owned(&["ReceiveMessage"]);
        let both = with_permission(None, &queue(), "both", &owned(&["668614515564", "111111111111"]), &actions);
        let arn = "arn:aws:sqs:us-east-1:000000000000:q";
        let expected = format!(
            r#"{{"Version":"2008-10-17","Id":"{arn}/SQSDefaultPolicy","Statement":[{{"Sid":"both","Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::668614515564:root","arn:aws:iam::111111111111:root"]}},"Action":"SQS:ReceiveMessage","Resource":"{arn}"}}]}}"#
        );
        let both = both.unwrap();
        assert_eq!(both, expected);

        let two = add(Some(&both), "two", &["SendMessage", "*"]).unwrap();
        let second = &serde_json::from_str::<Value>(&two).unwrap()["Statement"][1];
        assert_eq!(second["Principal"]["AWS"], "arn:aws:iam::111111111111:root");
        assert_eq!(second["Action"], json!(["SQS:SendMessage", "SQS:*"]));

        assert_eq!(add(Some(&two), "two", &["*"]), Err(PermissionError::LabelExists("two".into())));
        assert_eq!(without_permission(Some(&two), "two").unwrap().as_deref(), Some(both.as_str()));
        assert_eq!(without_permission(Some(&two), "nope"), Err(PermissionError::NoSuchLabel("nope".into())));
        assert_eq!(without_permission(Some(&both), "both"), Ok(None), "the last one takes the policy along");
        assert_eq!(without_permission(None, "both"), Err(PermissionError::NoSuchLabel("both".into())));
    }

    #[test]
    fn what_an_owner_wrote_stays_beside_what_is_added() {
        let single = r#"{"Statement":{"Sid":"mine","Effect":"Deny","Condition":{"Bool":{"aws:SecureTransport":"false"}}},"Version":"2012-10-17"}"#;
        let added = add(Some(single), "theirs", &["SendMessage"]).unwrap();
        let document: Value = serde_json::from_str(&added).unwrap();
        assert_eq!(document["Version"], "2012-10-17");
        assert_eq!(document.get("Id"), None);
        assert_eq!(document["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"], "false");
        assert_eq!(document["Statement"][1]["Sid"], "theirs");
        assert!(added.starts_with(r#"{"Statement":"#), "the order of fields stays: {added}");

        let back = without_permission(Some(&added), "theirs").unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&back).unwrap()["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(without_permission(Some(single), "mine"), Ok(None));
        // A document with no statement at all is filled, not replaced.
        assert!(add(Some(r#"{"Id":"empty"}"#), "a", &["*"]).unwrap().starts_with(r#"{"Id":"empty","Statement":[{"#));
    }

    #[test]
    fn labels_actions_and_numbers_have_limits() {
        for label in ["", "a b", "a.b", "ä", &"l".repeat(81)] {
            assert_eq!(add(None, label, &["*"]), Err(PermissionError::InvalidLabel(label.into())), "{label:?}");
        }
        assert!(add(None, &"l".repeat(80), &["*"]).is_ok());
        for action in ["CreateQueue", "SetQueueAttributes", "AddPermission", "sendmessage", "SQS:SendMessage", ""] {
            assert_eq!(add(None, "l", &[action]), Err(PermissionError::InvalidAction(action.into())));
        }
        assert!(add(None, "l", &PERMITTED[..7]).is_ok());
        assert_eq!(add(None, "l", &PERMITTED[..8]), Err(PermissionError::OverLimit));

        let mut policy = None;
        for n in 0..STATEMENTS_MAX {
            policy = Some(add(policy.as_deref(), &format!("l{n}"), &["*"]).unwrap());
        }
        assert_eq!(add(policy.as_deref(), "one-more", &["*"]), Err(PermissionError::OverLimit));
        let many = vec!["111111111111".to_owned(); 300];
        assert_eq!(with_permission(None, &queue(), "l", &many, &owned(&["*"])), Err(PermissionError::OverLimit));
    }
}
