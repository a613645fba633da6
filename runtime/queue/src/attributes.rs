//! A queue's settings: AWS's names, ranges and defaults in one table (sqs-semantics §3), from text and back.
//!
//! What SQS has and this version does not do (FIFO, KMS, policies) is refused by name, never stored and ignored.

use serde_json::Value;

use crate::arn::QueueArn;
use crate::contract::RedrivePolicy;
use crate::error::SettingError;
use crate::limits::{DELAY_MAX_SECONDS, MESSAGE_MAX_BYTES, VISIBILITY_MAX_SECONDS};

const RECEIVE_COUNT_MAX: u32 = 1000;

/// Everything an owner can set on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `VisibilityTimeout`, 0–43200.
    pub(crate) visibility_timeout_s: u32,
    /// `DelaySeconds`, 0–900.
    pub(crate) delay_s: u32,
    /// `MessageRetentionPeriod`, 60–1209600.
    pub(crate) retention_s: u32,
    /// `ReceiveMessageWaitTimeSeconds`, 0–20.
    pub(crate) receive_wait_s: u32,
    /// `MaximumMessageSize`, 1024–1048576.
    pub(crate) maximum_message_bytes: u32,
    /// `RedrivePolicy`.
    pub(crate) redrive: Option<RedrivePolicy>,
    /// `SqsManagedSseEnabled`: kept and shown as on SQS. Encryption at rest is the disk's business here.
    pub(crate) managed_sse: bool,
    /// `Policy`: exactly as given.
    pub(crate) policy: Option<String>,
    /// `RedriveAllowPolicy`, as given. Who may name this queue as its dead-letter queue.
    pub(crate) redrive_allow: Option<String>,
    /// `KmsMasterKeyId`: kept and shown, as `managed_sse` is.
    pub(crate) kms_key: Option<String>,
    /// `KmsDataKeyReusePeriodSeconds`.
    pub(crate) kms_reuse_s: Option<u32>,
    /// Of a FIFO queue; none for a standard one. The type is given at creation and never changes.
    pub(crate) fifo: Option<FifoSettings>,
}

/// What only FIFO queues have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FifoSettings {
    /// `ContentBasedDeduplication`.
    pub(crate) content_based_deduplication: bool,
    /// `DeduplicationScope`, as it is shown.
    pub(crate) deduplication_scope: DeduplicationScope,
    /// The scope that the queue was created with, which is the one that works: changing it later changed nothing in
    /// recordings of AWS (sqs-semantics §6).
    pub(crate) created_scope: DeduplicationScope,
    /// `FifoThroughputLimit` is `perMessageGroupId`. Shown; throughput is not limited here.
    pub(crate) throughput_per_group: bool,
}

/// Within what a deduplication id is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DeduplicationScope {
    /// The queue.
    #[default]
    Queue,
    /// A message group.
    MessageGroup,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visibility_timeout_s: 30,
            delay_s: 0,
            retention_s: 345_600,
            receive_wait_s: 0,
            maximum_message_bytes: MESSAGE_MAX_BYTES,
            redrive: None,
            managed_sse: true,
            policy: None,
            redrive_allow: None,
            kms_key: None,
            kms_reuse_s: None,
            fifo: None,
        }
    }
}

/// Attributes that SQS has and this version refuses.
const NOT_YET: &[&str] = &[
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

impl Settings {
    /// Sets one attribute from AWS's name and text. Whether a redrive target exists is for the caller to check.
    ///
    /// # Errors
    /// An unknown or unsupported name, or a value out of its range.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match name {
            "VisibilityTimeout" => {
                self.visibility_timeout_s = integer("VisibilityTimeout", value, 0, VISIBILITY_MAX_SECONDS)?;
            }
            "DelaySeconds" => self.delay_s = integer("DelaySeconds", value, 0, DELAY_MAX_SECONDS)?,
            "MessageRetentionPeriod" => {
                self.retention_s = integer("MessageRetentionPeriod", value, 60, 1_209_600)?;
            }
            "ReceiveMessageWaitTimeSeconds" => {
                self.receive_wait_s = integer("ReceiveMessageWaitTimeSeconds", value, 0, 20)?;
            }
            "MaximumMessageSize" => {
                self.maximum_message_bytes = integer("MaximumMessageSize", value, 1024, MESSAGE_MAX_BYTES)?;
            }
            "RedrivePolicy" => self.redrive = redrive_policy(value)?,
            "SqsManagedSseEnabled" => self.managed_sse = boolean("SqsManagedSseEnabled", value)?,
            other => {
                let unsupported = NOT_YET.iter().find(|known| **known == other);
                return Err(unsupported.map_or_else(
                    || SettingError::Unknown(other.to_owned()),
                    |known| SettingError::Misplaced(format!("{known} comes in a moment")),
                ));
            }
        }
        Ok(())
    }

    /// The same, as the store keeps them.
    pub(crate) fn to_stored_pairs(&self) -> Vec<(String, String)> {
        self.to_pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Every attribute that is set, as AWS's name and text, in AWS's alphabetical order.
    pub(crate) fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("DelaySeconds", self.delay_s.to_string()),
            ("MaximumMessageSize", self.maximum_message_bytes.to_string()),
            ("MessageRetentionPeriod", self.retention_s.to_string()),
            ("ReceiveMessageWaitTimeSeconds", self.receive_wait_s.to_string()),
        ];
        if let Some(redrive) = &self.redrive {
            pairs.push(("RedrivePolicy", redrive_json(redrive)));
        }
        pairs.push(("SqsManagedSseEnabled", self.managed_sse.to_string()));
        pairs.push(("VisibilityTimeout", self.visibility_timeout_s.to_string()));
        pairs
    }
}

/// `{"deadLetterTargetArn":"…","maxReceiveCount":N}`, as SQS answers it.
fn redrive_json(redrive: &RedrivePolicy) -> String {
    serde_json::json!({
        "deadLetterTargetArn": redrive.dead_letter_target_arn.as_str(),
        "maxReceiveCount": redrive.max_receive_count,
    })
    .to_string()
}

/// An empty text removes the policy. The count may be a number or a text (sqs-semantics §3).
fn redrive_policy(value: &str) -> Result<Option<RedrivePolicy>, SettingError> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |reason: &str| SettingError::RedrivePolicy(reason.to_owned());
    let policy: Value = serde_json::from_str(value).map_err(|_| wrong("it is not JSON"))?;
    let target = policy.get("deadLetterTargetArn").and_then(Value::as_str).unwrap_or_default();
    if target.is_empty() {
        return Err(wrong("it does not contain the mandatory attribute deadLetterTargetArn"));
    }
    let count = match policy.get("maxReceiveCount") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
        None => return Err(wrong("it does not contain the mandatory attribute maxReceiveCount")),
    };
    let max_receive_count = count
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=RECEIVE_COUNT_MAX).contains(count))
        .ok_or_else(|| wrong("maxReceiveCount must be a whole number from 1 to 1000"))?;
    Ok(Some(RedrivePolicy { dead_letter_target_arn: QueueArn::parse(target)?, max_receive_count }))
}

fn integer(name: &'static str, value: &str, min: u32, max: u32) -> Result<u32, SettingError> {
    value.parse().ok().filter(|number| (min..=max).contains(number)).ok_or_else(|| SettingError::InvalidValue {
        name,
        value: value.to_owned(),
        reason: format!("must be a whole number from {min} to {max}"),
    })
}

fn boolean(name: &'static str, value: &str) -> Result<bool, SettingError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(SettingError::InvalidValue {
            name,
            value: value.to_owned(),
            reason: "must be true or false".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_range_holds_at_both_ends() {
        let rows = [
            ("VisibilityTimeout", 0, 43_200),
            ("DelaySeconds", 0, 900),
            ("MessageRetentionPeriod", 60, 1_209_600),
            ("ReceiveMessageWaitTimeSeconds", 0, 20),
            ("MaximumMessageSize", 1024, 1_048_576),
        ];
        for (name, min, max) in rows {
            let mut settings = Settings::default();
            for good in [min, max] {
                settings.set(name, &good.to_string()).unwrap();
                assert!(settings.to_pairs().contains(&(name, good.to_string())), "{name}={good}");
            }
            for bad in [min - 1, max + 1] {
                let refused = settings.set(name, &bad.to_string());
                assert!(matches!(refused, Err(SettingError::InvalidValue { .. })), "{name}={bad}");
            }
        }
    }

    #[test]
    fn redrive_policies() {
        let mut settings = Settings::default();
        for count in ["3", "\"3\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:d","maxReceiveCount":{count}}}"#);
            settings.set("RedrivePolicy", &policy).unwrap();
            assert_eq!(settings.redrive.as_ref().unwrap().max_receive_count, 3);
        }
        for bad in ["[]", "{", r#"{"maxReceiveCount":3}"#, r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:d"}"#] {
            assert!(matches!(settings.set("RedrivePolicy", bad), Err(SettingError::RedrivePolicy(_))), "{bad}");
        }
        let too_many = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:d","maxReceiveCount":1001}"#;
        assert!(settings.set("RedrivePolicy", too_many).is_err());
        settings.set("RedrivePolicy", "").unwrap();
        assert_eq!(settings.redrive, None);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let mut settings = Settings::default();

        assert_eq!(settings.set("QueueArn", "x"), Err(SettingError::Unknown("QueueArn".into())));
        assert_eq!(settings, Settings::default());
    }
}
