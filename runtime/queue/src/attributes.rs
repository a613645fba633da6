//! A queue's settings: AWS's names, ranges, defaults and how they go together (sqs-semantics §3), from text and back.
//!
//! Absent: whether a redrive policy's queue is there (`seam.rs`), and any effect. Encryption and policies are kept and
//! shown, nothing more.

use serde_json::Value;

use crate::contract::RedrivePolicy;
use crate::error::SettingError;
use crate::limits::{DELAY_MAX_SECONDS, MESSAGE_MAX_BYTES, QueueKind, VISIBILITY_MAX_SECONDS};
use crate::{policy, redrive};

const CONTENT_BASED_DEDUPLICATION: &str = "ContentBasedDeduplication";
const DEDUPLICATION_SCOPE: &str = "DeduplicationScope";
const DELAY_SECONDS: &str = "DelaySeconds";
const FIFO_QUEUE: &str = "FifoQueue";
const FIFO_THROUGHPUT_LIMIT: &str = "FifoThroughputLimit";
const KMS_KEY: &str = "KmsMasterKeyId";
const KMS_REUSE: &str = "KmsDataKeyReusePeriodSeconds";
const MANAGED_SSE: &str = "SqsManagedSseEnabled";
const MAXIMUM_MESSAGE_SIZE: &str = "MaximumMessageSize";
const POLICY: &str = "Policy";
const RECEIVE_WAIT: &str = "ReceiveMessageWaitTimeSeconds";
const REDRIVE_ALLOW: &str = "RedriveAllowPolicy";
const REDRIVE: &str = "RedrivePolicy";
const RETENTION: &str = "MessageRetentionPeriod";
const VISIBILITY_TIMEOUT: &str = "VisibilityTimeout";

/// What a queue shows and nobody sets.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// Kept in the store beside AWS's attributes; no attribute has a name like it.
const STORED_CREATED_SCOPE: &str = "wasmill:CreatedDeduplicationScope";

/// `FifoThroughputLimit`'s words.
const PER_QUEUE: &str = "perQueue";
const PER_GROUP: &str = "perMessageGroupId";

const KMS_REUSE_DEFAULT_S: u32 = 300;
const KMS_KEY_MAX_BYTES: usize = 2048;

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
    /// `KmsDataKeyReusePeriodSeconds`, 60–86400; none: the default.
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

impl DeduplicationScope {
    /// AWS's word.
    fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::MessageGroup => "messageGroup",
        }
    }

    fn parse(value: &str) -> Result<Self, SettingError> {
        let per_group = one_of(DEDUPLICATION_SCOPE, value, Self::Queue.as_str(), Self::MessageGroup.as_str())?;
        Ok(if per_group { Self::MessageGroup } else { Self::Queue })
    }
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

/// Whether attributes given at creation make a FIFO queue.
pub(crate) fn asks_for_fifo(attributes: &[(String, String)]) -> bool {
    given(attributes, FIFO_QUEUE).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

impl Settings {
    /// Settings of a new queue.
    ///
    /// # Errors
    /// As [`Self::changed`].
    pub(crate) fn of_new(attributes: &[(String, String)]) -> Result<Self, SettingError> {
        let fifo = asks_for_fifo(attributes).then(FifoSettings::default);
        let mut settings = Self { fifo, ..Self::default() }.changed(attributes)?;
        if let Some(fifo) = &mut settings.fifo {
            fifo.created_scope = fifo.deduplication_scope;
        }
        Ok(settings)
    }

    /// These settings with attributes set on them. Whether a redrive target stands is for the caller to check.
    ///
    /// # Errors
    /// A name that is unknown or not for this queue, a value out of its range, or values that do not go together.
    pub(crate) fn changed(&self, attributes: &[(String, String)]) -> Result<Self, SettingError> {
        let mut settings = self.clone();
        for (name, value) in attributes {
            settings.assign(name, value)?;
        }
        if settings.fifo.is_some_and(|fifo| {
            fifo.throughput_per_group && fifo.deduplication_scope != DeduplicationScope::MessageGroup
        }) {
            return Err(SettingError::InvalidValue {
                name: FIFO_THROUGHPUT_LIMIT,
                value: PER_GROUP.to_owned(),
                reason: "The perMessageGroupId value is allowed only when the value for DeduplicationScope is \
                         messageGroup."
                    .to_owned(),
            });
        }
        settings.settle_encryption(self, attributes)?;
        Ok(settings)
    }

    /// One kind of encryption at a time: whichever is asked for last takes the other's place.
    fn settle_encryption(&mut self, before: &Self, attributes: &[(String, String)]) -> Result<(), SettingError> {
        let names_key = given(attributes, KMS_KEY).is_some_and(|key| !key.is_empty());
        let wants_managed = given(attributes, MANAGED_SSE).is_some() && self.managed_sse;
        match (names_key, wants_managed) {
            (true, true) => {
                return Err(SettingError::Misplaced(
                    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE \
                     or SQS SSE."
                        .to_owned(),
                ));
            }
            (true, false) => self.managed_sse = false,
            (false, true) => self.kms_key = None,
            (false, false) => {}
        }
        let key_went = before.kms_key.is_some() && self.kms_key.is_none();
        if key_went && given(attributes, KMS_REUSE).is_none() {
            self.kms_reuse_s = None;
        }
        Ok(())
    }

    /// Sets one attribute; what it means for others is not looked at.
    fn assign(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match name {
            VISIBILITY_TIMEOUT => {
                self.visibility_timeout_s = integer(VISIBILITY_TIMEOUT, value, 0, VISIBILITY_MAX_SECONDS)?;
            }
            DELAY_SECONDS => self.delay_s = integer(DELAY_SECONDS, value, 0, DELAY_MAX_SECONDS)?,
            RETENTION => self.retention_s = integer(RETENTION, value, 60, 1_209_600)?,
            RECEIVE_WAIT => self.receive_wait_s = integer(RECEIVE_WAIT, value, 0, 20)?,
            MAXIMUM_MESSAGE_SIZE => {
                self.maximum_message_bytes = integer(MAXIMUM_MESSAGE_SIZE, value, 1024, MESSAGE_MAX_BYTES)?;
            }
            POLICY => self.policy = policy::parse(value)?,
            REDRIVE => self.redrive = redrive::parse_policy(value)?,
            REDRIVE_ALLOW => self.redrive_allow = redrive::parse_allow_policy(value)?,
            MANAGED_SSE => self.managed_sse = boolean(MANAGED_SSE, value)?,
            KMS_KEY => self.kms_key = kms_key(value)?,
            KMS_REUSE => {
                let seconds = integer(KMS_REUSE, value, 60, 86_400)?;
                self.kms_reuse_s = (seconds != KMS_REUSE_DEFAULT_S).then_some(seconds);
            }
            FIFO_QUEUE | CONTENT_BASED_DEDUPLICATION | DEDUPLICATION_SCOPE | FIFO_THROUGHPUT_LIMIT => {
                let Some(fifo) = &mut self.fifo else { return Err(not_on_standard(name)) };
                fifo.assign(name, value)?;
            }
            other => return Err(SettingError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    /// What a sender must know of the queue's type.
    pub(crate) fn kind(&self) -> QueueKind {
        self.fifo.map_or(QueueKind::Standard, |fifo| QueueKind::Fifo {
            content_based_deduplication: fifo.content_based_deduplication,
        })
    }

    /// Every attribute that is set, as AWS's name and text, in AWS's alphabetical order: what `GetQueueAttributes` shows.
    pub(crate) fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let throughput = |fifo: FifoSettings| if fifo.throughput_per_group { PER_GROUP } else { PER_QUEUE };
        // The default period is shown with a key only, as SQS does.
        let reuse_s = self.kms_reuse_s.or_else(|| self.kms_key.is_some().then_some(KMS_REUSE_DEFAULT_S));
        let pairs = [
            (CONTENT_BASED_DEDUPLICATION, self.fifo.map(|fifo| fifo.content_based_deduplication.to_string())),
            (DEDUPLICATION_SCOPE, self.fifo.map(|fifo| fifo.deduplication_scope.as_str().to_owned())),
            (DELAY_SECONDS, Some(self.delay_s.to_string())),
            (FIFO_QUEUE, self.fifo.map(|_| true.to_string())),
            (FIFO_THROUGHPUT_LIMIT, self.fifo.map(|fifo| throughput(fifo).to_owned())),
            (KMS_REUSE, reuse_s.map(|seconds| seconds.to_string())),
            (KMS_KEY, self.kms_key.clone()),
            (MAXIMUM_MESSAGE_SIZE, Some(self.maximum_message_bytes.to_string())),
            (RETENTION, Some(self.retention_s.to_string())),
            (POLICY, self.policy.clone()),
            (RECEIVE_WAIT, Some(self.receive_wait_s.to_string())),
            (REDRIVE_ALLOW, self.redrive_allow.clone()),
            (REDRIVE, self.redrive.as_ref().map(redrive::policy_text)),
            (MANAGED_SSE, Some(self.managed_sse.to_string())),
            (VISIBILITY_TIMEOUT, Some(self.visibility_timeout_s.to_string())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The same, as the store keeps them, with what nobody sees.
    pub(crate) fn to_stored_pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> =
            self.to_pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        pairs.extend(self.fifo.map(|fifo| (STORED_CREATED_SCOPE.to_owned(), fifo.created_scope.as_str().to_owned())));
        pairs
    }

    /// Settings as they were stored. One that this version does not take any more keeps its default and is told.
    pub(crate) fn from_stored(pairs: &[(String, String)], mut not_taken: impl FnMut(&str, &SettingError)) -> Self {
        let mut settings = Self { fifo: asks_for_fifo(pairs).then(FifoSettings::default), ..Self::default() };
        for (name, value) in pairs.iter().filter(|(name, _)| name != STORED_CREATED_SCOPE) {
            if let Err(error) = settings.assign(name, value) {
                not_taken(name, &error);
            }
        }
        if let Some(fifo) = &mut settings.fifo {
            let created = given(pairs, STORED_CREATED_SCOPE).and_then(|scope| DeduplicationScope::parse(scope).ok());
            fifo.created_scope = created.unwrap_or(fifo.deduplication_scope);
        }
        settings
    }

    /// The first of the attributes given to `CreateQueue` that disagrees with this queue, which exists. What a queue only
    /// shows does not matter.
    ///
    /// # Errors
    /// As [`Self::changed`].
    pub(crate) fn first_difference<'a>(
        &self,
        attributes: &'a [(String, String)],
    ) -> Result<Option<&'a str>, SettingError> {
        let settable: Vec<(String, String)> =
            attributes.iter().filter(|(name, _)| !READ_ONLY.contains(&name.as_str())).cloned().collect();
        let wanted = Self::of_new(&settable)?;
        let names = attributes.iter().map(|(name, _)| name.as_str());
        let mut differing = names.filter(|name| !same_text(self.text_of(name), wanted.text_of(name)));
        Ok(differing.next())
    }

    /// One attribute's text, the default where it is not shown.
    fn text_of(&self, name: &str) -> Option<String> {
        if name == KMS_REUSE {
            return Some(self.kms_reuse_s.unwrap_or(KMS_REUSE_DEFAULT_S).to_string());
        }
        self.to_pairs().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl FifoSettings {
    fn assign(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match name {
            CONTENT_BASED_DEDUPLICATION => {
                self.content_based_deduplication = boolean(CONTENT_BASED_DEDUPLICATION, value)?;
            }
            DEDUPLICATION_SCOPE => self.deduplication_scope = DeduplicationScope::parse(value)?,
            FIFO_THROUGHPUT_LIMIT => {
                self.throughput_per_group = one_of(FIFO_THROUGHPUT_LIMIT, value, PER_QUEUE, PER_GROUP)?;
            }
            _ => {
                if !boolean(FIFO_QUEUE, value)? {
                    return Err(SettingError::InvalidValue {
                        name: FIFO_QUEUE,
                        value: value.to_owned(),
                        reason: "Modifying queue type is not supported.".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// SQS answers an attribute of FIFO queues in two ways where the queue is none.
fn not_on_standard(name: &str) -> SettingError {
    if matches!(name, DEDUPLICATION_SCOPE | FIFO_THROUGHPUT_LIMIT) {
        SettingError::Misplaced(format!("You can specify the {name} only when FifoQueue is set to true."))
    } else {
        SettingError::Unknown(name.to_owned())
    }
}

/// What is given last counts.
fn given<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// Policies are the same when their JSON is.
fn same_text(left: Option<String>, right: Option<String>) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (left, right) {
        (Some(left), Some(right)) => left == right || json(&left).is_some_and(|left| Some(left) == json(&right)),
        (left, right) => left == right,
    }
}

/// An empty text removes the key.
fn kms_key(value: &str) -> Result<Option<String>, SettingError> {
    if value.len() > KMS_KEY_MAX_BYTES {
        return Err(SettingError::InvalidValue {
            name: KMS_KEY,
            value: value.to_owned(),
            reason: format!("must be at most {KMS_KEY_MAX_BYTES} bytes long"),
        });
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

fn integer(name: &'static str, value: &str, min: u32, max: u32) -> Result<u32, SettingError> {
    let digits_only = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits_only && (min..=max).contains(number));
    number.ok_or_else(|| SettingError::InvalidValue {
        name,
        value: value.to_owned(),
        reason: format!("must be a whole number from {min} to {max}"),
    })
}

fn boolean(name: &'static str, value: &str) -> Result<bool, SettingError> {
    one_of(name, &value.to_ascii_lowercase(), "false", "true")
}

/// True for the second word.
fn one_of(name: &'static str, value: &str, first: &str, second: &str) -> Result<bool, SettingError> {
    if value == first || value == second {
        return Ok(value == second);
    }
    let reason = format!("must be {second} or {first}");
    Err(SettingError::InvalidValue { name, value: value.to_owned(), reason })
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
