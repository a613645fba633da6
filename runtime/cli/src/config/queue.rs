//! `[[queue]]`: one queue of the built-in service. Keys are SQS's attribute names in snake_case; ranges and defaults
//! are those of sqs-semantics § 3.
//!
//! Absent, and refused by name until it works: FIFO, policies, encryption settings, tags.

use serde_json::json;

use super::address::{AddressError, check_queue_name};
use super::reader::Section;
use super::source::{Located, Place, Source};

/// SQS's visibility timeout for a queue that was not given one: what the built-in queue makes a new one with.
pub(crate) const DEFAULT_VISIBILITY_TIMEOUT_SECONDS: u32 = 30;

/// One queue, resolved. `None` is an attribute that the config does not write: a new queue then has SQS's default, and
/// one that exists keeps what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueSpec {
    /// 1–80 of `[A-Za-z0-9_-]`.
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

impl QueueSpec {
    /// A queue of which nothing but the name is written.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The written attributes but `RedrivePolicy`, under AWS's names, as `CreateQueue` and `SetQueueAttributes` take
    /// them.
    pub(crate) fn plain_attributes(&self) -> Vec<(String, String)> {
        let numbers = [
            ("VisibilityTimeout", self.visibility_timeout_seconds),
            ("DelaySeconds", self.delay_seconds),
            ("MessageRetentionPeriod", self.message_retention_period_seconds),
            ("ReceiveMessageWaitTimeSeconds", self.receive_message_wait_time_seconds),
            ("MaximumMessageSize", self.maximum_message_size_bytes),
        ];
        numbers.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_string()))).collect()
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

/// One `[[queue]]` as written: its dead-letter queue is still only a text.
#[derive(Debug)]
pub(super) struct QueueDraft {
    pub(super) place: Place,
    /// `None` if it is missing; an ill-formed name stays, so that what refers to it is not a second mistake.
    pub(super) name: Option<Located<String>>,
    /// All but `name` and `redrive`.
    pub(super) spec: QueueSpec,
    /// As written.
    pub(super) redrive: Option<RedriveDraft>,
}

/// A redrive policy as written.
#[derive(Debug)]
pub(super) struct RedriveDraft {
    pub(super) dead_letter_target_arn: Located<String>,
    pub(super) max_receive_count: u32,
}

/// Reads every `[[queue]]`.
pub(super) fn read_queues(root: &mut Section<'_, '_>) -> Vec<QueueDraft> {
    root.array_of_tables("queue").into_iter().map(read_queue).collect()
}

fn read_queue(mut section: Section<'_, '_>) -> QueueDraft {
    let name = section.required_string("name", "write name = \"orders\" or what the queue is to be called");
    if let Some(name) = &name {
        check_name(name, section.source());
    }
    let mut number = |key, range, unit| section.optional_integer(key, range, unit).map(|number| number.value);
    let spec = QueueSpec {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        visibility_timeout_seconds: number("visibility_timeout", 0..=43_200, " s"),
        delay_seconds: number("delay_seconds", 0..=900, " s"),
        message_retention_period_seconds: number("message_retention_period", 60..=1_209_600, " s"),
        receive_message_wait_time_seconds: number("receive_message_wait_time_seconds", 0..=20, " s"),
        maximum_message_size_bytes: number("maximum_message_size", 1024..=1_048_576, " bytes"),
        redrive: None,
    };
    let redrive = section.table("redrive_policy").and_then(read_redrive);
    section.not_yet("fifo_queue", "FIFO queues");
    section.not_yet("content_based_deduplication", "FIFO queues");
    section.not_yet("deduplication_scope", "FIFO queues");
    section.not_yet("fifo_throughput_limit", "FIFO queues");
    section.not_yet("redrive_allow_policy", "redrive allow policies");
    section.not_yet("policy", "queue policies");
    section.not_yet("kms_master_key_id", "encryption settings");
    section.not_yet("kms_data_key_reuse_period_seconds", "encryption settings");
    section.not_yet("sqs_managed_sse_enabled", "encryption settings");
    section.not_yet("tags", "queue tags");
    let place = section.place().clone();
    section.finish();
    QueueDraft { place, name, spec, redrive }
}

fn check_name(name: &Located<String>, source: &Source<'_>) {
    let Err(error) = check_queue_name(&name.value) else { return };
    let what = match error {
        AddressError::Fifo => format!("{}: {error}", name.shown()),
        _ => format!("{} {error}", name.shown()),
    };
    let mend = match error {
        AddressError::Fifo => "take .fifo off the name for a standard queue",
        _ => "choose a name such as orders or orders-dlq",
    };
    source.mistake(&name.place, what, mend);
}

fn read_redrive(mut section: Section<'_, '_>) -> Option<RedriveDraft> {
    let target = section.required_string(
        "dead_letter_target_arn",
        "write redrive_policy = { dead_letter_target_arn = \"orders-dlq\", max_receive_count = 3 }",
    );
    let mend = "write how often a message may be received, 1 to 1000";
    let count = section.required_integer("max_receive_count", 1..=1000, mend);
    section.finish();
    // A mistaken count is recorded; the target is looked up all the same.
    let max_receive_count = count.map_or(1, |count| count.value);
    Some(RedriveDraft { dead_letter_target_arn: target?, max_receive_count })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(queue.plain_attributes(), [pair("VisibilityTimeout", "30"), pair("MessageRetentionPeriod", "60")]);
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq","maxReceiveCount":3}"#;
        assert_eq!(queue.redrive_attribute(), Some(pair("RedrivePolicy", policy)));
    }
}
