//! What a mapping does with messages that fail or that no filter matches: `retry_policy`, `on_filtered`, `fifo_order`,
//! `fifo_batching`, `dead_letter_last_attempts`. wasmill's own keys: Lambda has none of them.

use std::time::Duration;

use wasmill_mapping::{FifoOrder, RetryPolicy};

use super::reader::Section;
use super::source::Located;

/// SQS hides no message longer (12 h).
const DELAY_MAX_SECONDS: u32 = 43_200;
/// `bisect_max_invocations` where it is not written.
pub(crate) const BISECT_MAX_INVOCATIONS: u32 = 16;
const FORWARD: &str = "forward:";
const POLICIES: &str = "\"visibility\", \"immediate\", { type = \"fixed\", delay_seconds = 30 } or \
                        { type = \"exponential\", base_seconds = 2, max_seconds = 900 }";

/// `on_filtered` as written.
#[derive(Debug)]
pub(super) enum OnFilteredDraft {
    Delete,
    Keep,
    /// With the address of the queue.
    Forward(Located<String>),
}

/// What is read here of one mapping.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) retry_policy: RetryPolicy,
    pub(super) on_filtered: OnFilteredDraft,
    pub(super) bisect_max_invocations: u32,
    pub(super) dead_letter_last_attempts: bool,
    pub(super) fifo_order: Option<Located<FifoOrder>>,
    pub(super) per_group: Option<Located<bool>>,
}

/// Reads the keys from a mapping's section.
pub(super) fn read(section: &mut Section<'_, '_>) -> Settling {
    Settling {
        retry_policy: read_retry_policy(section),
        on_filtered: read_on_filtered(section),
        bisect_max_invocations: section.integer("bisect_max_invocations", 0..=1000, "", BISECT_MAX_INVOCATIONS).value,
        dead_letter_last_attempts: section.boolean("dead_letter_last_attempts", false).value,
        fifo_order: section.choice("fifo_order", &[("enforce", FifoOrder::Enforce), ("trust", FifoOrder::Trust)]),
        per_group: section.choice("fifo_batching", &[("mixed", false), ("per_group", true)]),
    }
}

fn read_on_filtered(section: &mut Section<'_, '_>) -> OnFilteredDraft {
    let written = section.string("on_filtered");
    section.default_of("on_filtered", "delete");
    let Some(written) = written else { return OnFilteredDraft::Delete };
    match written.value.as_str() {
        "delete" => OnFilteredDraft::Delete,
        "keep" => OnFilteredDraft::Keep,
        text => match text.strip_prefix(FORWARD) {
            Some(queue) => {
                let queue = queue.to_owned();
                OnFilteredDraft::Forward(written.map(|_| queue))
            }
            None => {
                let what = format!("{} is not one of \"delete\", \"keep\", \"forward:QUEUE\"", written.shown());
                let mend =
                    "write \"delete\" (as Lambda does), \"keep\", or \"forward:\" and a queue's name, ARN or URL";
                section.source().mistake(&written.place, what, mend);
                OnFilteredDraft::Delete
            }
        },
    }
}

/// A word, or a table with a type.
fn read_retry_policy(section: &mut Section<'_, '_>) -> RetryPolicy {
    if !section.is_table("retry_policy") {
        let words = [("visibility", RetryPolicy::Visibility), ("immediate", RetryPolicy::Immediate)];
        let word = section.string("retry_policy");
        section.default_of("retry_policy", "visibility");
        let Some(word) = word else { return RetryPolicy::default() };
        if let Some((_, policy)) = words.into_iter().find(|(name, _)| *name == word.value) {
            return policy;
        }
        let what = format!("{} is not a retry policy by itself", word.shown());
        section.source().mistake(&word.place, what, format!("write {POLICIES}"));
        return RetryPolicy::default();
    }
    let Some(mut table) = section.table("retry_policy") else { return RetryPolicy::default() };
    let types = ["visibility", "immediate", "fixed", "exponential"];
    let kind = table.required_string("type", &format!("write {POLICIES}"));
    let kind = kind.map(|kind| {
        if !types.contains(&kind.value.as_str()) {
            let what =
                format!("{} is not one of \"visibility\", \"immediate\", \"fixed\", \"exponential\"", kind.shown());
            table.source().mistake(&kind.place, what, format!("write {POLICIES}"));
        }
        kind.value
    });
    let policy = read_delays(&mut table, kind.as_deref());
    table.finish();
    policy
}

/// The keys of the types that have some. One of another type's means nothing, which is a mistake.
fn read_delays(table: &mut Section<'_, '_>, kind: Option<&str>) -> RetryPolicy {
    let mut of_type = |key, wanted: &str, mend: &str| {
        if kind == Some(wanted) {
            return table.required_integer(key, 1..=DELAY_MAX_SECONDS, mend);
        }
        let written = table.optional_integer(key, 1..=DELAY_MAX_SECONDS, " s");
        if let (Some(written), Some(kind)) = (written, kind) {
            let what = format!("is for type = {wanted:?}, and the type is {kind:?}");
            table.source().mistake(&written.place, what, format!("remove the key, or write type = {wanted:?}"));
        }
        None
    };
    let delay = of_type("delay_seconds", "fixed", "write delay_seconds = 30");
    let base = of_type("base_seconds", "exponential", "write base_seconds = 2");
    let max = of_type("max_seconds", "exponential", "write max_seconds = 900");
    let seconds = |found: Option<Located<u32>>| Duration::from_secs(found.map_or(1, |found| u64::from(found.value)));
    match kind {
        Some("immediate") => RetryPolicy::Immediate,
        Some("fixed") => RetryPolicy::Fixed { delay: seconds(delay) },
        Some("exponential") => {
            if let (Some(base), Some(max)) = (&base, &max)
                && max.value < base.value
            {
                let what = format!("{} s is less than base_seconds, {} s", max.value, base.value);
                table.source().mistake(&max.place, what, "write base_seconds or more");
            }
            RetryPolicy::Exponential { base: seconds(base), max: seconds(max) }
        }
        _ => RetryPolicy::Visibility,
    }
}
