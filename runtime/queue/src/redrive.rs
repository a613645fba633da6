//! Dead-letter queues: a queue's redrive policy, the other's allow policy, and where the two lead (sqs-semantics §3, §8).
//!
//! Pure. When a receive becomes a move is the machine's decision.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::arn::{Identity, QueueArn};
use crate::attributes::Settings;
use crate::contract::RedrivePolicy;
use crate::effect::QueueId;
use crate::error::SettingError;

const RECEIVE_COUNT_MAX: u32 = 1000;
const SOURCE_QUEUES_MAX: usize = 10;
const TARGET_KEY: &str = "deadLetterTargetArn";
const COUNT_KEY: &str = "maxReceiveCount";
const PERMISSION_KEY: &str = "redrivePermission";
const SOURCES_KEY: &str = "sourceQueueArns";

/// Where a queue's dead letters go by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) queue: QueueId,
    /// Delivered so often, the next receive moves it.
    pub(crate) max_receive_count: u32,
}

/// The target of a queue's redrive policy, if it stands: a policy whose queue was deleted, or is of the other type, moves
/// nothing, so that messages stay where they can be received.
pub(crate) fn target(
    settings: &Settings,
    identity: &Identity,
    names: &BTreeMap<String, QueueId>,
    source: QueueId,
) -> Option<Target> {
    let policy = settings.redrive.as_ref()?;
    let arn = &policy.dead_letter_target_arn;
    let ours = arn.region() == identity.region && arn.account() == identity.account;
    let same_type = is_fifo_name(arn.name()) == settings.fifo.is_some();
    let queue = names.get(arn.name()).copied().filter(|queue| ours && same_type && *queue != source)?;
    Some(Target { queue, max_receive_count: policy.max_receive_count })
}

/// Whether a queue of that name is a FIFO queue: the suffix and the type always go together.
pub(crate) fn is_fifo_name(name: &str) -> bool {
    name.ends_with(".fifo")
}

/// Whether `source` may have the policy. `target`: the settings of the queue that it names, if there is one.
pub(crate) fn check(policy: &RedrivePolicy, source: &QueueArn, target: Option<&Settings>) -> Result<(), SettingError> {
    let arn = &policy.dead_letter_target_arn;
    let refused = |reason: &str| Err(SettingError::RedrivePolicy(reason.to_owned()));
    if is_fifo_name(arn.name()) != is_fifo_name(source.name()) {
        return refused("Dead-letter queue must be same type of queue as the source.");
    }
    if arn == source {
        return refused("A queue cannot be its own dead-letter queue.");
    }
    match target {
        None => refused("Dead letter target does not exist."),
        Some(target) if !allows(target.redrive_allow.as_deref(), source) => {
            refused("The dead-letter queue's RedriveAllowPolicy does not allow this source queue.")
        }
        Some(_) => Ok(()),
    }
}

/// Whether a queue of that allow policy may be the dead-letter queue of `source`.
fn allows(allow_policy: Option<&str>, source: &QueueArn) -> bool {
    let policy = allow_policy.and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    match policy.get(PERMISSION_KEY).and_then(Value::as_str) {
        Some("denyAll") => false,
        Some("byQueue") => {
            let sources = policy.get(SOURCES_KEY).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            sources.iter().any(|arn| arn.as_str() == Some(source.as_str()))
        }
        _ => true,
    }
}

/// Reads `RedrivePolicy`. An empty text removes it. The count may be a number or a text.
pub(crate) fn parse_policy(value: &str) -> Result<Option<RedrivePolicy>, SettingError> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |reason: String| SettingError::RedrivePolicy(reason);
    let policy = object(value).ok_or_else(|| wrong("Redrive policy is not a valid JSON map.".to_owned()))?;
    let member = |key: &str| {
        let missing = || wrong(format!("Redrive policy does not contain mandatory attribute: {key}."));
        policy.get(key).filter(|value| !value.is_null()).ok_or_else(missing)
    };
    let count = member(COUNT_KEY)?;
    let target = member(TARGET_KEY)?;
    if policy.len() > 2 {
        return Err(wrong(format!("Only following attributes are supported: [{COUNT_KEY}, {TARGET_KEY}].")));
    }
    let number = match count {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let max_receive_count =
        number.and_then(|count| u32::try_from(count).ok()).filter(|count| (1..=RECEIVE_COUNT_MAX).contains(count));
    let max_receive_count = max_receive_count.ok_or_else(|| {
        let given = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
        wrong(format!(
            "Invalid value for {COUNT_KEY}: {given}, valid values are from 1 to {RECEIVE_COUNT_MAX} both inclusive."
        ))
    })?;
    let target = target.as_str().unwrap_or_default();
    let dead_letter_target_arn = QueueArn::parse(target).map_err(|_| {
        let of_another_service =
            matches!(target.split(':').collect::<Vec<_>>()[..], ["arn", _, service, _, _, _] if service != "sqs");
        wrong(if of_another_service {
            format!("Only SQS queues are valid resources for {TARGET_KEY}.")
        } else {
            format!("Invalid value for {TARGET_KEY}.")
        })
    })?;
    Ok(Some(RedrivePolicy { dead_letter_target_arn, max_receive_count }))
}

/// `{"deadLetterTargetArn":"…","maxReceiveCount":N}`: SQS answers a number, also where a text was given.
pub(crate) fn policy_text(policy: &RedrivePolicy) -> String {
    serde_json::json!({
        TARGET_KEY: policy.dead_letter_target_arn.as_str(),
        COUNT_KEY: policy.max_receive_count,
    })
    .to_string()
}

/// Checks `RedriveAllowPolicy`, which is kept as it is given. An empty text removes it.
pub(crate) fn parse_allow_policy(value: &str) -> Result<Option<String>, SettingError> {
    if value.is_empty() {
        return Ok(None);
    }
    let unsupported = || SettingError::InvalidValue {
        name: "RedriveAllowPolicy",
        value: value.to_owned(),
        reason: "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.".to_owned(),
    };
    let wrong = |reason: &str| {
        SettingError::RedriveAllowPolicy(format!("Amazon SQS can't create the redrive allow policy. {reason}"))
    };
    let policy = object(value).ok_or_else(unsupported)?;
    if policy.keys().any(|key| key != PERMISSION_KEY && key != SOURCES_KEY) {
        return Err(unsupported());
    }
    let by_queue = match policy.get(PERMISSION_KEY).and_then(Value::as_str) {
        Some("allowAll" | "denyAll") => false,
        Some("byQueue") => true,
        _ => return Err(unsupported()),
    };
    let sources = match policy.get(SOURCES_KEY) {
        None => None,
        Some(Value::Array(sources)) => Some(sources),
        Some(_) => return Err(unsupported()),
    };
    let is_arn = |source: &Value| source.as_str().is_some_and(|text| QueueArn::parse(text).is_ok());
    match sources {
        Some(_) if !by_queue => {
            Err(wrong("To specify one or more source queue ARNs, you must set redrivePermission to byQueue."))
        }
        Some(sources) if !sources.iter().all(is_arn) => Err(unsupported()),
        Some(sources) if sources.len() > SOURCE_QUEUES_MAX => {
            Err(wrong("The maximum number of source queue ARNs you can specify is 10."))
        }
        sources if by_queue && sources.is_none_or(Vec::is_empty) => Err(wrong(
            "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.",
        )),
        _ => Ok(Some(value.to_owned())),
    }
}

fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::contract::Queue;
    use crate::error::CreateQueueError;
    use crate::fixtures::{create, in_memory, pairs};

    const DEAD: &str = "arn:aws:sqs:us-east-1:000000000000:d";

    #[test]
    fn a_redrive_policy_has_a_queue_and_a_count_from_1_to_1000() {
        for (count, read) in [("1", 1), ("1000", 1000), ("\"3\"", 3)] {
            let policy = parse_policy(&format!(r#"{{"maxReceiveCount":{count},"deadLetterTargetArn":"{DEAD}"}}"#));
            let policy = policy.unwrap().unwrap();
            assert_eq!(policy.max_receive_count, read);
            let shown = format!(r#"{{"deadLetterTargetArn":"{DEAD}","maxReceiveCount":{read}}}"#);
            assert_eq!(policy_text(&policy), shown);
        }
        assert_eq!(parse_policy(""), Ok(None));
        let out_of_range = |given: &str| {
            format!("Invalid value for maxReceiveCount: {given}, valid values are from 1 to 1000 both inclusive.")
        };
        let with_count = |count: &str| format!(r#"{{"deadLetterTargetArn":"{DEAD}","maxReceiveCount":{count}}}"#);
        let with_target = |target: &str| format!(r#"{{"deadLetterTargetArn":{target},"maxReceiveCount":3}}"#);
        let missing = |key: &str| format!("Redrive policy does not contain mandatory attribute: {key}.");
        for (given, reason) in [
            ("[]".to_owned(), "Redrive policy is not a valid JSON map.".to_owned()),
            ("{".to_owned(), "Redrive policy is not a valid JSON map.".to_owned()),
            ("{}".to_owned(), missing("maxReceiveCount")),
            (format!(r#"{{"deadLetterTargetArn":"{DEAD}"}}"#), missing("maxReceiveCount")),
            (r#"{"maxReceiveCount":3}"#.to_owned(), missing("deadLetterTargetArn")),
            (with_count("0"), out_of_range("0")),
            (with_count("1001"), out_of_range("1001")),
            (with_count("1.5"), out_of_range("1.5")),
            (with_count("-1"), out_of_range("-1")),
            (with_count("\"three\""), out_of_range("three")),
            (with_count("true"), out_of_range("true")),
            (with_target("\"dummy\""), "Invalid value for deadLetterTargetArn.".to_owned()),
            (with_target("7"), "Invalid value for deadLetterTargetArn.".to_owned()),
            (
                with_target("\"arn:aws:sns:us-east-1:000000000000:topic\""),
                "Only SQS queues are valid resources for deadLetterTargetArn.".to_owned(),
            ),
            (
                format!(r#"{{"deadLetterTargetArn":"{DEAD}","maxReceiveCount":3,"more":1}}"#),
                "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].".to_owned(),
            ),
        ] {
            assert_eq!(parse_policy(&given), Err(SettingError::RedrivePolicy(reason)), "{given}");
        }
    }

    #[test]
    fn an_allow_policy_has_a_list_with_by_queue_and_only_then() {
        let listing = |permission: &str, count: usize| {
            let sources = vec![DEAD; count];
            serde_json::json!({"redrivePermission": permission, "sourceQueueArns": sources}).to_string()
        };
        for good in [
            r#"{"redrivePermission":"allowAll"}"#.to_owned(),
            r#"{ "redrivePermission" : "denyAll" }"#.to_owned(),
            listing("byQueue", 1),
            listing("byQueue", 10),
        ] {
            assert_eq!(parse_allow_policy(&good), Ok(Some(good.clone())), "kept as given");
        }
        assert_eq!(parse_allow_policy(""), Ok(None));
        for bad in [
            "denyAll",
            "[]",
            "{}",
            r#"{"redrivePermission":"all"}"#,
            r#"{"redrivePermission":"allowAll","more":1}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":"arn:aws:sqs:us-east-1:000000000000:d"}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":["orders"]}"#,
        ] {
            let refused = parse_allow_policy(bad);
            assert!(
                matches!(&refused, Err(SettingError::InvalidValue { name: "RedriveAllowPolicy", .. })),
                "{bad}: {refused:?}"
            );
        }
        for (bad, part) in [
            (listing("byQueue", 0), "you must also specify one or more sourceQueueArns"),
            (r#"{"redrivePermission":"byQueue"}"#.to_owned(), "you must also specify one or more sourceQueueArns"),
            (listing("byQueue", 11), "The maximum number of source queue ARNs you can specify is 10."),
            (listing("allowAll", 1), "you must set redrivePermission to byQueue"),
            (listing("denyAll", 1), "you must set redrivePermission to byQueue"),
        ] {
            let Err(SettingError::RedriveAllowPolicy(reason)) = parse_allow_policy(&bad) else { panic!("{bad}") };
            assert!(reason.contains(part), "{bad}: {reason}");
        }
    }

    fn policy_for(name: &str) -> (String, String) {
        let arn = Identity::default().arn(name);
        ("RedrivePolicy".to_owned(), format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}"#))
    }

    #[tokio::test]
    async fn a_policy_is_refused_where_the_target_is_missing_of_the_other_type_or_does_not_allow_it() {
        let broker = in_memory().await;
        let fifo = ("FifoQueue", "true");
        let by_queue = |source: &str| {
            let arn = Identity::default().arn(source);
            format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{arn}"]}}"#)
        };
        create(&broker, "open", &[]).await;
        create(&broker, "allows-all", &[("RedriveAllowPolicy", r#"{"redrivePermission":"allowAll"}"#)]).await;
        create(&broker, "closed", &[("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)]).await;
        create(&broker, "for-q", &[("RedriveAllowPolicy", &by_queue("q"))]).await;
        create(&broker, "for-other", &[("RedriveAllowPolicy", &by_queue("other"))]).await;
        create(&broker, "open.fifo", &[fifo]).await;
        let foreign = |arn: &str| {
            let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}"#);
            ("RedrivePolicy".to_owned(), policy)
        };
        for (source, policy, refusal) in [
            ("q", policy_for("open"), None),
            ("q", policy_for("allows-all"), None),
            ("q", policy_for("for-q"), None),
            ("q.fifo", policy_for("open.fifo"), None),
            ("q", policy_for("nope"), Some("does not exist")),
            ("q", foreign("arn:aws:sqs:eu-west-1:000000000000:open"), Some("does not exist")),
            ("q", foreign("arn:aws:sqs:us-east-1:111111111111:open"), Some("does not exist")),
            ("q", foreign("arn:aws-cn:sqs:us-east-1:000000000000:open"), Some("does not exist")),
            ("q", policy_for("q"), Some("its own dead-letter queue")),
            ("q", policy_for("closed"), Some("RedriveAllowPolicy")),
            ("q", policy_for("for-other"), Some("RedriveAllowPolicy")),
            ("q", policy_for("open.fifo"), Some("same type")),
            ("q.fifo", policy_for("open"), Some("same type")),
        ] {
            let mut attributes = vec![policy];
            if is_fifo_name(source) {
                attributes.extend(pairs(&[fifo]));
            }
            let made = broker.create_queue(source, &attributes, &[]).await;
            match (made, refusal) {
                (Ok(queue), None) => {
                    broker.delete_queue(queue.name()).await.unwrap();
                }
                (Err(CreateQueueError::Attribute(SettingError::RedrivePolicy(reason))), Some(part)) => {
                    assert!(reason.contains(part), "{attributes:?}: {reason}");
                }
                (made, _) => panic!("{attributes:?}: {made:?}"),
            }
        }
        let queue = create(&broker, "q", &[]).await;
        let refused = queue.set_attributes(&[policy_for("closed")]).await;
        assert!(matches!(refused, Err(SettingError::RedrivePolicy(_))), "{refused:?}");
        queue.set_attributes(&[policy_for("for-q")]).await.unwrap();
        assert_eq!(queue.attributes().await.unwrap().redrive.unwrap().dead_letter_target_arn.name(), "for-q");
    }

    #[test]
    fn a_policy_leads_nowhere_when_its_queue_is_gone_foreign_itself_or_of_the_other_type() {
        let identity = Identity::default();
        let names = BTreeMap::from([("q".to_owned(), 1), ("d".to_owned(), 2), ("d.fifo".to_owned(), 3)]);
        let of = |arn: QueueArn| {
            let redrive = Some(RedrivePolicy { dead_letter_target_arn: arn, max_receive_count: 4 });
            target(&Settings { redrive, ..Settings::default() }, &identity, &names, 1)
        };
        assert_eq!(of(identity.arn("d")), Some(Target { queue: 2, max_receive_count: 4 }));
        for arn in [
            identity.arn("gone"),
            identity.arn("q"),
            identity.arn("d.fifo"),
            QueueArn::new("eu-west-1", "000000000000", "d"),
            QueueArn::new("us-east-1", "111111111111", "d"),
        ] {
            assert_eq!(of(arn.clone()), None, "{arn}");
        }
    }
}
