//! `[[event_source_mapping]]`: which queue feeds which function, and how. Keys are Lambda's parameter names in
//! snake_case (esm-semantics § 1).
//!
//! Absent, and refused by name until it works: batches over ten, batching windows, filters, weights, retry policies.

use super::reader::Section;
use super::source::{Located, Place, Source};

/// The largest batch of this version, and Lambda's default.
pub(crate) const BATCH_SIZE_MAX: u32 = 10;
/// Lambda's largest batch: between the two is "not yet", above is a mistake.
const LAMBDA_BATCH_SIZE_MAX: u32 = 10_000;
const LAMBDA_WINDOW_SECONDS_MAX: u32 = 300;
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
    /// 1–10.
    pub(crate) batch_size: u32,
    /// Whether the handler's `batchItemFailures` counts.
    pub(crate) report_batch_item_failures: bool,
    /// 2–1000: how many of the function's permits this mapping may hold at once; `None` leaves all of them.
    pub(crate) maximum_concurrency: Option<u32>,
    /// A disabled mapping is checked, and does not poll.
    pub(crate) enabled: bool,
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
    pub(super) batch_size: u32,
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
    let batch_size = section.integer_so_far(
        "batch_size",
        1..=BATCH_SIZE_MAX,
        LAMBDA_BATCH_SIZE_MAX,
        "batches over 10 messages",
        BATCH_SIZE_MAX,
    );
    // Only 0 works: a batch is what one receive brings.
    section.integer_so_far(
        "maximum_batching_window_in_seconds",
        0..=0,
        LAMBDA_WINDOW_SECONDS_MAX,
        "batching window",
        0,
    );
    let response_types = section.strings("function_response_types");
    let report_batch_item_failures = check_response_types(&response_types, source);
    let maximum_concurrency = section.table("scaling_config").and_then(|mut scaling| {
        let maximum = scaling.optional_integer("maximum_concurrency", 2..=1000, "");
        scaling.finish();
        maximum
    });
    let enabled = section.boolean("enabled", true).value;

    section.not_yet("weight", "weights; mappings of one function share its permits as they come");
    section.not_yet("filter_criteria", "filters");
    section.not_yet("retry_policy", "retry policies; a failed message returns when its visibility timeout ends");
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
        report_batch_item_failures,
        maximum_concurrency,
        enabled,
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
