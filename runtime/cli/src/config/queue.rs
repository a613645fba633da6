//! `[[queue]]`: one queue of the built-in service. Keys are SQS's attribute names in snake_case; ranges and defaults
//! are those of sqs-semantics § 3. What two keys must be to each other is judged here; what needs another section is for
//! `resolve.rs`.

use super::address::{check_queue_name, is_fifo_name};
use super::queue_spec::QueueSpec;
use super::reader::Section;
use super::source::{Located, Place, Source};

/// What SQS takes of a policy.
const POLICY_BYTES_MAX: usize = 8192;
const SOURCE_QUEUES_MAX: usize = 10;
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
const SCOPE_OF_GROUPS: &str = "messageGroup";
const LIMIT_OF_GROUPS: &str = "perMessageGroupId";

/// One `[[queue]]` as written: the queues it names are still only texts.
#[derive(Debug)]
pub(super) struct QueueDraft {
    pub(super) place: Place,
    /// `None` if it is missing; an ill-formed name stays, so that what refers to it is not a second mistake.
    pub(super) name: Option<Located<String>>,
    /// All but what names other queues.
    pub(super) spec: QueueSpec,
    /// As written.
    pub(super) redrive: Option<RedriveDraft>,
    /// As written.
    pub(super) redrive_allow: Option<RedriveAllowDraft>,
}

/// A redrive policy as written.
#[derive(Debug)]
pub(super) struct RedriveDraft {
    pub(super) dead_letter_target_arn: Located<String>,
    pub(super) max_receive_count: u32,
}

/// A redrive allow policy as written.
#[derive(Debug)]
pub(super) struct RedriveAllowDraft {
    pub(super) permission: RedrivePermission,
    pub(super) source_queue_arns: Vec<Located<String>>,
}

/// Which queues may name a queue as their dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedrivePermission {
    AllowAll,
    DenyAll,
    ByQueue,
}

impl RedrivePermission {
    const ALL: [Self; 3] = [Self::AllowAll, Self::DenyAll, Self::ByQueue];

    /// SQS's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AllowAll => "allowAll",
            Self::DenyAll => "denyAll",
            Self::ByQueue => "byQueue",
        }
    }
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
    let mut spec = QueueSpec {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        visibility_timeout_seconds: number("visibility_timeout", 0..=43_200, " s"),
        delay_seconds: number("delay_seconds", 0..=900, " s"),
        message_retention_period_seconds: number("message_retention_period", 60..=1_209_600, " s"),
        receive_message_wait_time_seconds: number("receive_message_wait_time_seconds", 0..=20, " s"),
        maximum_message_size_bytes: number("maximum_message_size", 1024..=1_048_576, " bytes"),
        ..QueueSpec::default()
    };
    let redrive = section.table("redrive_policy").and_then(read_redrive);
    let redrive_allow = section.table("redrive_allow_policy").and_then(read_redrive_allow);
    read_fifo(&mut section, &mut spec);
    read_encryption(&mut section, &mut spec);
    spec.policy = read_policy(&mut section);
    spec.tags = read_tags(&mut section);
    let place = section.place().clone();
    section.finish();
    QueueDraft { place, name, spec, redrive, redrive_allow }
}

fn check_name(name: &Located<String>, source: &Source<'_>) {
    if let Err(error) = check_queue_name(&name.value) {
        let mend = "choose a name such as orders, orders-dlq or orders.fifo";
        source.mistake(&name.place, format!("{} {error}", name.shown()), mend);
    }
}

/// The keys that only FIFO queues have. The name says which one that is; `fifo_queue` may say it again.
fn read_fifo(section: &mut Section<'_, '_>, spec: &mut QueueSpec) {
    let source = section.source();
    let is_fifo = is_fifo_name(&spec.name);
    if let Some(written) = section.optional_boolean("fifo_queue").filter(|written| written.value != is_fifo) {
        let (what, mend) = match written.value {
            true => ("true, and the name does not end with .fifo", "end the name with .fifo, or remove fifo_queue"),
            false => ("false, and the name ends with .fifo", "take .fifo off the name, or remove fifo_queue"),
        };
        source.mistake(&written.place, what, mend);
    }
    let content_based = section.optional_boolean("content_based_deduplication");
    let scope = section.choice("deduplication_scope", &[("queue", "queue"), (SCOPE_OF_GROUPS, SCOPE_OF_GROUPS)]);
    let limit =
        section.choice("fifo_throughput_limit", &[("perQueue", "perQueue"), (LIMIT_OF_GROUPS, LIMIT_OF_GROUPS)]);
    if !is_fifo {
        let places =
            [content_based.map(|found| found.place), scope.map(|found| found.place), limit.map(|found| found.place)];
        for place in places.iter().flatten() {
            source.mistake(place, "is for FIFO queues", "end the queue's name with .fifo, or remove the key");
        }
        return;
    }
    let scope_fits = scope.as_ref().is_some_and(|scope| scope.value == SCOPE_OF_GROUPS);
    if let Some(limit) = limit.as_ref().filter(|limit| limit.value == LIMIT_OF_GROUPS && !scope_fits) {
        let what = format!("{:?} is allowed only with deduplication_scope = {SCOPE_OF_GROUPS:?}", limit.value);
        source.mistake(
            &limit.place,
            what,
            format!("write deduplication_scope = {SCOPE_OF_GROUPS:?}, or remove the key"),
        );
    }
    spec.content_based_deduplication = content_based.map(|found| found.value);
    spec.deduplication_scope = scope.map(|found| found.value);
    spec.fifo_throughput_limit = limit.map(|found| found.value);
}

/// Kept and shown as SQS does; nothing is encrypted by them here.
fn read_encryption(section: &mut Section<'_, '_>, spec: &mut QueueSpec) {
    let key = section.string("kms_master_key_id");
    let reuse = section.optional_integer("kms_data_key_reuse_period_seconds", 60..=86_400, " s");
    let managed = section.optional_boolean("sqs_managed_sse_enabled");
    let names_key = key.as_ref().is_some_and(|key| !key.value.is_empty());
    if let Some(managed) = managed.as_ref().filter(|managed| managed.value && names_key) {
        let what = "true, and kms_master_key_id names a key: a queue has one kind of encryption at a time";
        section.source().mistake(&managed.place, what, "remove one of the two");
    }
    spec.kms_master_key_id = key.map(|key| key.value);
    spec.kms_data_key_reuse_period_seconds = reuse.map(|reuse| reuse.value);
    spec.sqs_managed_sse_enabled = managed.map(|managed| managed.value);
}

fn read_policy(section: &mut Section<'_, '_>) -> Option<String> {
    let policy = section.string("policy")?;
    let what = match serde_json::from_str::<serde_json::Value>(&policy.value) {
        _ if policy.value.is_empty() => None,
        _ if policy.value.len() > POLICY_BYTES_MAX => Some(format!("is longer than {POLICY_BYTES_MAX} bytes")),
        Ok(serde_json::Value::Object(_)) => None,
        Ok(_) => Some("is JSON, but no object".to_owned()),
        Err(error) => Some(format!("is not JSON: {error}")),
    };
    if let Some(what) = what {
        let mend =
            "write the policy's JSON text, such as '{\"Version\":\"2012-10-17\",\"Statement\":[]}', or \"\" for none";
        section.source().mistake(&policy.place, what, mend);
    }
    Some(policy.value)
}

fn read_tags(section: &mut Section<'_, '_>) -> Vec<(String, String)> {
    let written = section.string_map("tags");
    let source = section.source();
    if let Some((_, first)) = written.get(TAGS_MAX) {
        source.mistake(&first.place, format!("more than {TAGS_MAX} tags"), format!("keep at most {TAGS_MAX}"));
    }
    let mut tags = Vec::with_capacity(written.len());
    for (key, value) in written {
        let fits = (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count())
            && value.value.chars().count() <= TAG_VALUE_CHARS_MAX;
        if !fits {
            let mend = format!("a key has 1–{TAG_KEY_CHARS_MAX} characters, a value at most {TAG_VALUE_CHARS_MAX}");
            source.mistake(&value.place, "the tag is too long, or its key is empty", mend);
        }
        tags.push((key, value.value));
    }
    tags
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

fn read_redrive_allow(mut section: Section<'_, '_>) -> Option<RedriveAllowDraft> {
    let source = section.source();
    if !section.has("redrive_permission") {
        let mend =
            "write redrive_allow_policy = { redrive_permission = \"byQueue\", source_queue_arns = [\"orders\"] }";
        source.mistake(&section.place_of("redrive_permission"), "is missing", mend);
    }
    let words = RedrivePermission::ALL.map(|permission| (permission.as_str(), permission));
    let permission = section.choice("redrive_permission", &words);
    let source_queue_arns = section.strings("source_queue_arns");
    let sources_place = section.place_of("source_queue_arns");
    section.finish();
    let permission = permission?.value;
    let place = source_queue_arns.first().map_or(&sources_place, |first| &first.place);
    match (permission, source_queue_arns.len()) {
        (RedrivePermission::ByQueue, 0) => {
            source.mistake(
                place,
                "is missing or empty, and byQueue is by these",
                "name the queues that may, or write denyAll",
            );
        }
        (RedrivePermission::ByQueue, 1..=SOURCE_QUEUES_MAX) | (_, 0) => {}
        (RedrivePermission::ByQueue, _) => {
            let what = format!("more than {SOURCE_QUEUES_MAX} queues");
            source.mistake(place, what, format!("name at most {SOURCE_QUEUES_MAX}, or write allowAll"));
        }
        (other, _) => {
            let what = format!("goes with byQueue only, not with {}", other.as_str());
            source.mistake(place, what, "write redrive_permission = \"byQueue\", or remove source_queue_arns");
        }
    }
    Some(RedriveAllowDraft { permission, source_queue_arns })
}
