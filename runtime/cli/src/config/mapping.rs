//! `[[event_source_mapping]]`: which queue feeds which function, and how. Keys are Lambda's parameter names in
//! snake_case (esm-semantics § 1).
//!
//! What becomes of failed and of filtered messages is in `settling.rs`. Absent, and refused by name until it works:
//! provisioned pollers, metrics settings, encryption of filters.

use std::time::Duration;

use wasmill_mapping::{FifoOrder, Filters, RetryPolicy};

use super::reader::Section;
use super::settling::{self, OnFilteredDraft, Settling};
use super::source::{Located, Place, Source};

const BATCH_SIZE: u32 = 10;
/// The largest batch without a window, and of a FIFO queue.
const PLAIN_BATCH_SIZE_MAX: u32 = 10;
const BATCH_SIZE_MAX: u32 = 10_000;
const WINDOW_MAX_SECONDS: u32 = 300;
const WEIGHT_MAX: u32 = 1000;
const MESSAGES_PER_SECOND_MAX: u32 = 1_000_000;
const REPORT_BATCH_ITEM_FAILURES: &str = "ReportBatchItemFailures";

/// One mapping, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MappingSpec {
    /// Its place in the file, such as `event_source_mapping[0]`: for messages before it has a UUID.
    pub(crate) key: String,
    /// Where messages come from.
    pub(crate) source: MappingSource,
    /// One of the config's functions.
    pub(crate) function_name: String,
    /// 1–10,000; at most ten without a window and from a FIFO queue.
    pub(crate) batch_size: u32,
    /// Up to 300 s; zero for a FIFO queue.
    pub(crate) window: Duration,
    /// The patterns of `filter_criteria`, checked; empty: every message is for the function.
    pub(crate) filter_patterns: Vec<String>,
    /// What becomes of a message that no pattern matches.
    pub(crate) on_filtered: OnFiltered,
    /// When a failed message returns.
    pub(crate) retry_policy: RetryPolicy,
    /// 0: a batch whose handler crashed fails whole.
    pub(crate) bisect_max_invocations: u32,
    /// Whether the mapping moves what failed at the last receive that its queue allows.
    pub(crate) dead_letter_last_attempts: bool,
    /// What comes after a failed record of a message group.
    pub(crate) fifo_order: FifoOrder,
    /// FIFO: a batch holds one message group.
    pub(crate) per_group: bool,
    /// 1–1000: its share of the function's permits.
    pub(crate) weight: u32,
    /// Most messages per second, over time.
    pub(crate) max_messages_per_second: Option<u32>,
    /// Whether the handler's `batchItemFailures` counts.
    pub(crate) report_batch_item_failures: bool,
    /// 2–1000: how many of the function's permits this mapping may hold at once; `None` leaves all of them.
    pub(crate) maximum_concurrency: Option<u32>,
    /// A disabled mapping is checked, and does not poll.
    pub(crate) enabled: bool,
}

impl MappingSpec {
    /// Lambda's defaults and wasmill's own, with partial responses.
    pub(crate) fn new(key: impl Into<String>, source: MappingSource, function_name: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            source,
            function_name: function_name.into(),
            batch_size: BATCH_SIZE,
            window: Duration::ZERO,
            filter_patterns: Vec::new(),
            on_filtered: OnFiltered::Delete,
            retry_policy: RetryPolicy::Visibility,
            bisect_max_invocations: settling::BISECT_MAX_INVOCATIONS,
            dead_letter_last_attempts: false,
            fifo_order: FifoOrder::Enforce,
            per_group: false,
            weight: 1,
            max_messages_per_second: None,
            report_batch_item_failures: true,
            maximum_concurrency: None,
            enabled: true,
        }
    }
}

/// What becomes of a message that no filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnFiltered {
    /// As Lambda does.
    Delete,
    /// It stays in the queue.
    Keep,
    /// It goes to another queue.
    Forward(MappingSource),
}

/// Where a mapping's messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MappingSource {
    /// One of the config's own queues, by name.
    Local {
        /// A queue of the built-in service.
        queue_name: String,
    },
    /// Amazon SQS, or a service that speaks its API.
    Remote(RemoteQueue),
}

impl MappingSource {
    /// The queue's name; one that ends with `.fifo` is a FIFO queue.
    pub(crate) fn queue_name(&self) -> &str {
        match self {
            Self::Local { queue_name } => queue_name,
            Self::Remote(remote) => &remote.name,
        }
    }
}

/// A queue behind the AWS SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteQueue {
    /// How the config names it.
    pub(crate) address: RemoteAddress,
    /// The queue's name.
    pub(crate) name: String,
    /// The region requests are signed for.
    pub(crate) region: String,
    /// `[aws] endpoint_url`; else, for a URL that is not Amazon's, its origin; else `None`, and the SDK derives it.
    pub(crate) endpoint_url: Option<String>,
}

/// How the config names a remote queue; the URL of an ARN is asked for at start (`GetQueueUrl`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteAddress {
    /// An ARN and the account in it.
    Arn {
        /// The whole ARN.
        arn: String,
        /// Twelve digits.
        account_id: String,
    },
    /// A queue URL.
    Url(String),
}

/// One `[[event_source_mapping]]` as read.
#[derive(Debug)]
pub(super) struct MappingDraft {
    pub(super) place: Place,
    pub(super) event_source_arn: Option<Located<String>>,
    pub(super) function_name: Option<Located<String>>,
    pub(super) batch_size: Located<u32>,
    pub(super) window_seconds: Located<u32>,
    pub(super) filter_patterns: Vec<String>,
    pub(super) settling: Settling,
    pub(super) weight: u32,
    pub(super) max_messages_per_second: Option<u32>,
    pub(super) report_batch_item_failures: bool,
    pub(super) maximum_concurrency: Option<Located<u32>>,
    pub(super) enabled: bool,
}

/// Reads every `[[event_source_mapping]]`.
pub(super) fn read_mappings(root: &mut Section<'_, '_>) -> Vec<MappingDraft> {
    root.array_of_tables("event_source_mapping").into_iter().map(read_mapping).collect()
}

fn read_mapping(mut section: Section<'_, '_>) -> MappingDraft {
    let source = section.source();
    let event_source_arn = section.required_string(
        "event_source_arn",
        "write event_source_arn = \"orders\", a local queue's name, or the ARN or URL of an Amazon SQS queue",
    );
    let function_name = section.required_string("function_name", "write function_name = \"orders\", a function's name");
    let batch_size = section.integer("batch_size", 1..=BATCH_SIZE_MAX, "", BATCH_SIZE);
    let window_seconds = section.integer("maximum_batching_window_in_seconds", 0..=WINDOW_MAX_SECONDS, " s", 0);
    let filter_patterns = read_filters(&mut section);
    let settling = settling::read(&mut section);
    let weight = section.integer("weight", 1..=WEIGHT_MAX, "", 1).value;
    let per_second = section.optional_integer("max_messages_per_second", 1..=MESSAGES_PER_SECOND_MAX, "");
    let response_types = section.strings("function_response_types");
    let report_batch_item_failures = check_response_types(&response_types, source);
    let maximum_concurrency = section.table("scaling_config").and_then(|mut scaling| {
        let maximum = scaling.optional_integer("maximum_concurrency", 2..=1000, "");
        scaling.finish();
        maximum
    });
    let enabled = section.boolean("enabled", true).value;

    section.not_yet("provisioned_poller_config", "provisioned pollers");
    section.not_yet("metrics_config", "metrics settings; every mapping is counted under /metrics");
    section.not_yet("kms_key_arn", "encryption of filters");
    section.not_yet("tags", "tags on mappings");
    section.refuse(
        "destination_config",
        "Lambda takes no destination for an SQS source",
        "give the queue a redrive_policy: its dead-letter queue receives what keeps failing",
    );
    let place = section.place().clone();
    section.finish();
    MappingDraft {
        place,
        event_source_arn,
        function_name,
        batch_size,
        window_seconds,
        filter_patterns,
        settling,
        weight,
        max_messages_per_second: per_second.map(|most| most.value),
        report_batch_item_failures,
        maximum_concurrency,
        enabled,
    }
}

/// `filter_criteria = { filters = [ { pattern = "…" } ] }`, each pattern checked.
fn read_filters(section: &mut Section<'_, '_>) -> Vec<String> {
    let Some(mut criteria) = section.table("filter_criteria") else { return Vec::new() };
    let filters = criteria.array_of_tables("filters");
    criteria.finish();
    let patterns = filters.into_iter().filter_map(|mut filter| {
        let pattern = filter.required_string("pattern", "write pattern = '{\"body\":{\"type\":[\"order\"]}}'");
        filter.finish();
        pattern
    });
    let patterns: Vec<Located<String>> = patterns.collect();
    let texts: Vec<&str> = patterns.iter().map(|pattern| pattern.value.as_str()).collect();
    if let Err(error) = Filters::parse(&texts)
        && let Some(pattern) = patterns.get(error.index)
    {
        let mend = "see Lambda's page on event filtering";
        section.source().mistake(&pattern.place, error.to_string(), mend);
    }
    patterns.into_iter().map(|pattern| pattern.value).collect()
}

impl MappingDraft {
    /// What does not go together (esm-semantics §1).
    pub(super) fn check(&self, source: &Source<'_>, is_fifo: bool) {
        let (size, window) = (&self.batch_size, &self.window_seconds);
        if is_fifo && size.value > PLAIN_BATCH_SIZE_MAX {
            let what = format!("{} is more than {PLAIN_BATCH_SIZE_MAX}, the most from a FIFO queue", size.value);
            source.mistake(&size.place, what, format!("write {PLAIN_BATCH_SIZE_MAX} or less"));
        } else if size.value > PLAIN_BATCH_SIZE_MAX && window.value == 0 {
            let what =
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10";
            let mend = "add maximum_batching_window_in_seconds = 1, or more; or write 10 or less here";
            source.mistake(&size.place, what, mend);
        }
        if is_fifo && window.value > 0 {
            source.mistake(&window.place, "a FIFO queue has no batching window", "write 0, or remove the key");
        }
        let Settling { fifo_order, per_group, on_filtered, .. } = &self.settling;
        let places = [fifo_order.as_ref().map(|found| &found.place), per_group.as_ref().map(|found| &found.place)];
        for place in places.into_iter().flatten().filter(|_| !is_fifo) {
            source.mistake(place, "means nothing: the queue is not a FIFO queue", "remove the key");
        }
        if !matches!(on_filtered, OnFilteredDraft::Delete) && self.filter_patterns.is_empty() {
            let what = "on_filtered without filter_criteria: every message is for the function";
            source.mistake(&self.place, what, "add filter_criteria, or remove on_filtered");
        }
    }
}

fn check_response_types(types: &[Located<String>], source: &Source<'_>) -> bool {
    for (index, found) in types.iter().enumerate() {
        let what = match found.value == REPORT_BATCH_ITEM_FAILURES {
            true if index == 0 => continue,
            true => "is there twice; Lambda takes at most one entry".to_owned(),
            false => format!("{} is not a response type", found.shown()),
        };
        let mend = format!("write [\"{REPORT_BATCH_ITEM_FAILURES}\"], or [] for all or nothing");
        source.mistake(&found.place, what, mend);
    }
    !types.is_empty()
}
