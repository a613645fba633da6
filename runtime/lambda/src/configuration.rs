//! What a mapping is set to: every parameter that Lambda has for SQS (esm-semantics §1), and changes to it.
//!
//! Absent: whether values are allowed (`checks.rs`), and their JSON (`request.rs`, `response.rs`, `stored.rs`).

use std::collections::BTreeMap;

use crate::names::FunctionRef;

const BATCH_SIZE: u32 = 10;
const MINIMUM_POLLERS: u32 = 2;
const MAXIMUM_POLLERS: u32 = 200;

/// The settings of one mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The ARN of the queue.
    pub event_source_arn: String,
    /// The function, and its qualifier as asked.
    pub function: FunctionRef,
    /// A mapping that is not enabled stays, and does not poll.
    pub enabled: bool,
    /// 1–10000; on FIFO queues, and without a window, at most 10.
    pub batch_size: u32,
    /// 0–300.
    pub maximum_batching_window_in_seconds: u32,
    /// Whether `FunctionResponseTypes` holds `ReportBatchItemFailures`.
    pub report_batch_item_failures: bool,
    /// The patterns of `FilterCriteria`, as given. None: no filter.
    pub filter_patterns: Vec<String>,
    /// `ScalingConfig`: 2–1000, or no cap.
    pub maximum_concurrency: Option<u32>,
    /// `ProvisionedPollerConfig`.
    pub provisioned_pollers: Option<ProvisionedPollers>,
    /// Kept and shown; nothing is encrypted with it.
    pub kms_key_arn: Option<String>,
    /// Whether `MetricsConfig` asks for `EventCount`.
    pub count_events: bool,
    /// The mapping's tags.
    pub tags: BTreeMap<String, String>,
}

/// `ProvisionedPollerConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvisionedPollers {
    /// 2–200.
    pub minimum: u32,
    /// 2–10000, at least the minimum.
    pub maximum: u32,
}

impl Configuration {
    /// A mapping with Lambda's defaults for SQS.
    #[must_use]
    pub fn new(event_source_arn: impl Into<String>, function: FunctionRef) -> Self {
        Self {
            event_source_arn: event_source_arn.into(),
            function,
            enabled: true,
            batch_size: BATCH_SIZE,
            maximum_batching_window_in_seconds: 0,
            report_batch_item_failures: false,
            filter_patterns: Vec::new(),
            maximum_concurrency: None,
            provisioned_pollers: None,
            kms_key_arn: None,
            count_events: false,
            tags: BTreeMap::new(),
        }
    }

    /// Whether both are the one mapping that a queue and a function may have (esm-semantics §1).
    pub(crate) fn is_same_pair(&self, other: &Self) -> bool {
        self.event_source_arn == other.event_source_arn && self.function.is_same(&other.function)
    }
}

/// What a create or an update names; what it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another function.
    pub function: Option<FunctionRef>,
    /// Whether it polls.
    pub enabled: Option<bool>,
    /// See [`Configuration::batch_size`].
    pub batch_size: Option<u32>,
    /// See [`Configuration::maximum_batching_window_in_seconds`].
    pub maximum_batching_window_in_seconds: Option<u32>,
    /// See [`Configuration::report_batch_item_failures`].
    pub report_batch_item_failures: Option<bool>,
    /// All patterns; an empty list takes the filter away.
    pub filter_patterns: Option<Vec<String>>,
    /// `Some(None)` takes the cap away.
    pub maximum_concurrency: Option<Option<u32>>,
    /// `Some(None)` ends provisioned mode.
    pub provisioned_pollers: Option<Option<PollersAsked>>,
    /// `Some(None)` takes the key away.
    pub kms_key_arn: Option<Option<String>>,
    /// See [`Configuration::count_events`].
    pub count_events: Option<bool>,
}

/// A `ProvisionedPollerConfig` of which at least one member was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollersAsked {
    /// Default: what it was, else 2.
    pub minimum: Option<u32>,
    /// Default: what it was, else 200.
    pub maximum: Option<u32>,
}

impl Changes {
    /// The settings after these changes.
    pub(crate) fn apply(&self, before: &Configuration) -> Configuration {
        let mut after = before.clone();
        set(&mut after.function, self.function.as_ref());
        set(&mut after.enabled, self.enabled.as_ref());
        set(&mut after.batch_size, self.batch_size.as_ref());
        set(&mut after.maximum_batching_window_in_seconds, self.maximum_batching_window_in_seconds.as_ref());
        set(&mut after.report_batch_item_failures, self.report_batch_item_failures.as_ref());
        set(&mut after.filter_patterns, self.filter_patterns.as_ref());
        set(&mut after.maximum_concurrency, self.maximum_concurrency.as_ref());
        set(&mut after.kms_key_arn, self.kms_key_arn.as_ref());
        set(&mut after.count_events, self.count_events.as_ref());
        if let Some(asked) = self.provisioned_pollers {
            after.provisioned_pollers = asked.map(|asked| asked.over(before.provisioned_pollers));
        }
        after
    }

    /// Whether the queue and the function have to be looked at anew if the mapping is to run. To take a filter away
    /// must also work when they are gone.
    pub(crate) fn concerns_both_ends(&self) -> bool {
        self.function.is_some()
            || self.enabled == Some(true)
            || self.batch_size.is_some()
            || self.maximum_batching_window_in_seconds.is_some()
    }
}

fn set<T: Clone>(setting: &mut T, asked: Option<&T>) {
    if let Some(asked) = asked {
        setting.clone_from(asked);
    }
}

impl PollersAsked {
    fn over(self, before: Option<ProvisionedPollers>) -> ProvisionedPollers {
        let minimum = self.minimum.or(before.map(|pollers| pollers.minimum)).unwrap_or(MINIMUM_POLLERS);
        let maximum = self.maximum.or(before.map(|pollers| pollers.maximum)).unwrap_or(MAXIMUM_POLLERS);
        ProvisionedPollers { minimum, maximum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_update_leaves_out_stays_and_an_empty_block_clears() {
        let mut before = Configuration::new("arn", FunctionRef::new("f"));
        before.filter_patterns = vec!["{}".into()];
        before.maximum_concurrency = Some(5);
        before.kms_key_arn = Some("key".into());
        before.provisioned_pollers = Some(ProvisionedPollers { minimum: 3, maximum: 9 });
        assert_eq!(Changes::default().apply(&before), before);
        let clear = Changes {
            filter_patterns: Some(vec![]),
            maximum_concurrency: Some(None),
            provisioned_pollers: Some(None),
            kms_key_arn: Some(None),
            ..Changes::default()
        };
        assert_eq!(clear.apply(&before), Configuration::new("arn", FunctionRef::new("f")));
    }

    #[test]
    fn provisioned_pollers_are_2_to_200_where_nothing_is_said() {
        let asked = PollersAsked { minimum: Some(4), maximum: None };
        assert_eq!(asked.over(None), ProvisionedPollers { minimum: 4, maximum: 200 });
        let before = Some(ProvisionedPollers { minimum: 3, maximum: 9 });
        assert_eq!(asked.over(before), ProvisionedPollers { minimum: 4, maximum: 9 });
        let asked = PollersAsked { minimum: None, maximum: Some(50) };
        assert_eq!(asked.over(None), ProvisionedPollers { minimum: 2, maximum: 50 });
    }
}
