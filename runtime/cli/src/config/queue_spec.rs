//! One queue of the built-in service, resolved: plain data, and the attributes that it becomes.

use serde_json::json;

use super::address::is_fifo_name;
use super::queue::RedrivePermission;

/// SQS's visibility timeout for a queue that was not given one: what the built-in queue makes a new one with.
pub(crate) const DEFAULT_VISIBILITY_TIMEOUT_SECONDS: u32 = 30;

/// One queue. `None` is an attribute that the config does not write: a new queue then has SQS's default, and one that
/// exists keeps what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueSpec {
    /// 1–80 of `[A-Za-z0-9_-]`, of a FIFO queue with the suffix `.fifo`.
    pub(crate) name: String,
    /// 0–43200.
    pub(crate) visibility_timeout_seconds: Option<u32>,
    /// 0–900.
    pub(crate) delay_seconds: Option<u32>,
    /// 60–1209600.
    pub(crate) message_retention_period_seconds: Option<u32>,
    /// 0–20.
    pub(crate) receive_message_wait_time_seconds: Option<u32>,
    /// 1024–1048576.
    pub(crate) maximum_message_size_bytes: Option<u32>,
    /// Where messages go that were received too often.
    pub(crate) redrive: Option<RedriveSpec>,
    /// Who may send them here.
    pub(crate) redrive_allow: Option<RedriveAllowSpec>,
    /// A JSON object's text; empty removes it.
    pub(crate) policy: Option<String>,
    /// FIFO only.
    pub(crate) content_based_deduplication: Option<bool>,
    /// FIFO only: `queue` or `messageGroup`.
    pub(crate) deduplication_scope: Option<&'static str>,
    /// FIFO only: `perQueue` or `perMessageGroupId`.
    pub(crate) fifo_throughput_limit: Option<&'static str>,
    /// Empty removes it.
    pub(crate) kms_master_key_id: Option<String>,
    /// 60–86400.
    pub(crate) kms_data_key_reuse_period_seconds: Option<u32>,
    /// Not true together with a key.
    pub(crate) sqs_managed_sse_enabled: Option<bool>,
    /// Those that are written; a queue may have more.
    pub(crate) tags: Vec<(String, String)>,
}

/// A queue's redrive policy, its target known to be one of the config's queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedriveSpec {
    /// The dead-letter queue's name.
    pub(crate) dead_letter_queue: String,
    /// The same as an ARN.
    pub(crate) dead_letter_target_arn: String,
    /// 1–1000.
    pub(crate) max_receive_count: u32,
}

/// A queue's redrive allow policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedriveAllowSpec {
    pub(crate) permission: RedrivePermission,
    /// With `byQueue` only.
    pub(crate) source_queue_arns: Vec<String>,
}

impl RedriveAllowSpec {
    /// Whether the queue of that ARN may name this one.
    pub(super) fn allows(&self, source_arn: &str) -> bool {
        match self.permission {
            RedrivePermission::AllowAll => true,
            RedrivePermission::DenyAll => false,
            RedrivePermission::ByQueue => self.source_queue_arns.iter().any(|arn| arn == source_arn),
        }
    }

    fn text(&self) -> String {
        let permission = self.permission.as_str();
        match self.permission {
            RedrivePermission::ByQueue => {
                json!({ "redrivePermission": permission, "sourceQueueArns": self.source_queue_arns }).to_string()
            }
            _ => json!({ "redrivePermission": permission }).to_string(),
        }
    }
}

impl QueueSpec {
    /// A queue of which nothing but the name is written.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The attributes to make it with, under AWS's names: all but `RedrivePolicy`, whose queue may not be there yet.
    pub(crate) fn creation_attributes(&self) -> Vec<(String, String)> {
        let fifo = is_fifo_name(&self.name).then(|| ("FifoQueue".to_owned(), "true".to_owned()));
        fifo.into_iter().chain(self.plain_attributes()).collect()
    }

    /// The written attributes that can change and need no other queue, under AWS's names.
    pub(crate) fn plain_attributes(&self) -> Vec<(String, String)> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let boolean = |value: Option<bool>| value.map(|value| value.to_string());
        let word = |value: Option<&'static str>| value.map(str::to_owned);
        let written = [
            ("VisibilityTimeout", number(self.visibility_timeout_seconds)),
            ("DelaySeconds", number(self.delay_seconds)),
            ("MessageRetentionPeriod", number(self.message_retention_period_seconds)),
            ("ReceiveMessageWaitTimeSeconds", number(self.receive_message_wait_time_seconds)),
            ("MaximumMessageSize", number(self.maximum_message_size_bytes)),
            ("ContentBasedDeduplication", boolean(self.content_based_deduplication)),
            ("DeduplicationScope", word(self.deduplication_scope)),
            ("FifoThroughputLimit", word(self.fifo_throughput_limit)),
            ("Policy", self.policy.clone()),
            ("RedriveAllowPolicy", self.redrive_allow.as_ref().map(RedriveAllowSpec::text)),
            ("KmsMasterKeyId", self.kms_master_key_id.clone()),
            ("KmsDataKeyReusePeriodSeconds", number(self.kms_data_key_reuse_period_seconds)),
            ("SqsManagedSseEnabled", boolean(self.sqs_managed_sse_enabled)),
        ];
        written.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// `RedrivePolicy`, if it is written.
    pub(crate) fn redrive_attribute(&self) -> Option<(String, String)> {
        let redrive = self.redrive.as_ref()?;
        let policy = json!({
            "deadLetterTargetArn": redrive.dead_letter_target_arn,
            "maxReceiveCount": redrive.max_receive_count,
        });
        Some(("RedrivePolicy".to_owned(), policy.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn attributes_carry_awss_names_and_only_what_is_written() {
        let mut queue = QueueSpec::new("orders");
        assert_eq!((queue.plain_attributes(), queue.redrive_attribute()), (Vec::new(), None));
        queue.visibility_timeout_seconds = Some(30);
        queue.message_retention_period_seconds = Some(60);
        queue.redrive = Some(RedriveSpec {
            dead_letter_queue: "orders-dlq".to_owned(),
            dead_letter_target_arn: "arn:aws:sqs:us-east-1:000000000000:orders-dlq".to_owned(),
            max_receive_count: 3,
        });
        assert_eq!(queue.plain_attributes(), [pair("VisibilityTimeout", "30"), pair("MessageRetentionPeriod", "60")]);
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq","maxReceiveCount":3}"#;
        assert_eq!(queue.redrive_attribute(), Some(pair("RedrivePolicy", policy)));
    }

    #[test]
    fn the_type_is_given_at_creation_only() {
        let fifo = QueueSpec { deduplication_scope: Some("messageGroup"), ..QueueSpec::new("orders.fifo") };
        let scope = pair("DeduplicationScope", "messageGroup");
        assert_eq!(fifo.creation_attributes(), [pair("FifoQueue", "true"), scope.clone()]);
        assert_eq!(fifo.plain_attributes(), [scope]);
        assert_eq!(QueueSpec::new("orders").creation_attributes(), []);
    }

    #[test]
    fn an_allow_policy_lists_queues_only_where_it_is_by_queue() {
        let spec = |permission, arns: &[&str]| RedriveAllowSpec {
            permission,
            source_queue_arns: arns.iter().map(|arn| (*arn).to_owned()).collect(),
        };
        let by_queue = spec(RedrivePermission::ByQueue, &["a", "b"]);
        assert_eq!(by_queue.text(), r#"{"redrivePermission":"byQueue","sourceQueueArns":["a","b"]}"#);
        assert!(by_queue.allows("b") && !by_queue.allows("c"));
        let deny = spec(RedrivePermission::DenyAll, &[]);
        assert_eq!(deny.text(), r#"{"redrivePermission":"denyAll"}"#);
        assert!(!deny.allows("a") && spec(RedrivePermission::AllowAll, &[]).allows("a"));
    }
}
