//! Lambda's partial batch response, and the loop that makes one.

use std::collections::BTreeSet;
use std::error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::event::{SqsEvent, SqsMessage};

/// Runs the function on each record and reports those that failed.
///
/// The mapping must have `ReportBatchItemFailures`: without it the response is not looked at, on Lambda as here. What a
/// failure gives as its reason is printed, after the message's id. After a failure in a message group of a FIFO queue
/// the rest of that group is not run but reported, as Lambda asks for.
///
/// ```
/// use std::time::Duration;
///
/// use wasmill_handler::{Failure, SqsEvent, SqsMessage, batch};
///
/// # let event = r#"{"Records":[{"messageId":"m-1","body":"1"},{"messageId":"m-2","body":""},{"messageId":"m-3","body":"x"}]}"#;
/// # let event: SqsEvent = serde_json::from_str(event).unwrap();
/// let response = batch::each(&event, |record: &SqsMessage| {
///     if record.body.is_empty() {
///         return Err(Failure::retry_after(Duration::from_secs(30)));
///     }
///     let number: u32 = record.body.parse()?;
///     println!("{number}");
///     Ok(())
/// });
/// # let response = serde_json::to_string(&response).unwrap();
/// # assert_eq!(response, r#"{"batchItemFailures":[{"itemIdentifier":"m-2","retryAfterSeconds":30},{"itemIdentifier":"m-3"}]}"#);
/// ```
pub fn each(event: &SqsEvent, mut handle: impl FnMut(&SqsMessage) -> Result<(), Failure>) -> BatchResponse {
    let mut batch_item_failures = Vec::new();
    let mut broken_groups = BTreeSet::new();
    for record in &event.records {
        let group = record.ordered_group();
        if group.is_some_and(|group| broken_groups.contains(group)) {
            batch_item_failures.push(Failure::retry().of(record));
        } else if let Err(failure) = handle(record) {
            if let Some(reason) = &failure.reason {
                println!("message {}: {reason}", record.message_id);
            }
            broken_groups.extend(group);
            batch_item_failures.push(failure.of(record));
        }
    }
    BatchResponse { batch_item_failures }
}

/// What a handler answers to a batch: the messages that it names are not deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Empty: all went well.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One message that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its message id.
    pub item_identifier: String,
    /// When it is to come back; none: as the mapping says. Lambda ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// It is to go to the dead-letter queue at once, with this reason. Lambda ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_reason: Option<String>,
}

/// Why one message failed, and what is to become of it.
///
/// `?` makes one of anything that is a [`std::error::Error`]: the message comes back as the mapping says, and the
/// error's text is the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    wish: Wish,
    reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Retry,
    RetryAfter { seconds: u32 },
    DeadLetter,
}

impl Failure {
    /// It comes back as the mapping says: when its visibility timeout is over, or by a retry policy.
    #[must_use]
    pub const fn retry() -> Self {
        Self { wish: Wish::Retry, reason: None }
    }

    /// It comes back after this time, which is rounded up to whole seconds. SQS's limit is twelve hours. On Lambda:
    /// when its visibility timeout is over.
    #[must_use]
    pub fn retry_after(delay: Duration) -> Self {
        Self { wish: Wish::RetryAfter { seconds: whole_seconds(delay) }, reason: None }
    }

    /// It goes to the dead-letter queue now, where the reason stands beside it. On Lambda, and where there is no such
    /// queue, it comes back.
    #[must_use]
    pub fn dead_letter(reason: impl fmt::Display) -> Self {
        Self { wish: Wish::DeadLetter, reason: Some(reason.to_string()) }
    }

    /// The same failure with a reason, for the log.
    #[must_use]
    pub fn because(self, reason: impl fmt::Display) -> Self {
        Self { reason: Some(reason.to_string()), ..self }
    }

    /// The item for the response.
    fn of(self, record: &SqsMessage) -> BatchItemFailure {
        let (retry_after_seconds, dead_letter_reason) = match self.wish {
            Wish::Retry => (None, None),
            Wish::RetryAfter { seconds } => (Some(seconds), None),
            Wish::DeadLetter => (None, self.reason),
        };
        BatchItemFailure { item_identifier: record.message_id.clone(), retry_after_seconds, dead_letter_reason }
    }
}

/// Rounded up: what is to come back after a moment should not come back at once.
pub(crate) fn whole_seconds(delay: Duration) -> u32 {
    let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

// Not itself a `std::error::Error`, as this would then be one of it into itself.
impl<E: error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry().because(error)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn record(id: &str, queue: &str, group: Option<&str>) -> SqsMessage {
        SqsMessage {
            message_id: id.to_owned(),
            event_source_arn: format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            attributes: group.map(|group| ("MessageGroupId".to_owned(), group.to_owned())).into_iter().collect(),
            ..SqsMessage::default()
        }
    }

    fn response(records: Vec<SqsMessage>, handle: impl FnMut(&SqsMessage) -> Result<(), Failure>) -> String {
        serde_json::to_string(&each(&SqsEvent { records }, handle)).unwrap()
    }

    #[test]
    fn each_failure_is_reported_as_lambda_reads_it_with_what_it_asks_for_beside() {
        let records = ["a", "b", "c", "d", "e"].map(|id| record(id, "orders", None)).to_vec();
        let answered = response(records, |record| match record.message_id.as_str() {
            "a" => Ok(()),
            "b" => Err(Failure::retry()),
            "c" => Err(Failure::retry_after(Duration::from_millis(1_001)).because("busy")),
            "d" => Err(Failure::dead_letter("no \"order\"")),
            _ => Err("x".parse::<u32>().unwrap_err().into()),
        });
        let expected = concat!(
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c","retryAfterSeconds":2},"#,
            r#"{"itemIdentifier":"d","deadLetterReason":"no \"order\""},{"itemIdentifier":"e"}]}"#
        );
        assert_eq!(answered, expected);
    }

    #[test]
    fn all_well_is_an_empty_list() {
        assert_eq!(response(vec![record("a", "orders", None)], |_| Ok(())), r#"{"batchItemFailures":[]}"#);
    }

    #[test]
    fn after_a_failure_the_rest_of_a_fifo_queues_group_is_not_run() {
        let mut run = Vec::new();
        let groups = [("a", "red"), ("b", "blue"), ("c", "red"), ("d", "blue"), ("e", "red")];
        let records = |queue| groups.map(|(id, group)| record(id, queue, Some(group))).to_vec();
        let answered = response(records("orders.fifo"), |record| {
            run.push(record.message_id.clone());
            if record.message_id == "a" { Err(Failure::retry()) } else { Ok(()) }
        });
        assert_eq!(run, ["a", "b", "d"]);
        let expected = r#"[{"itemIdentifier":"a"},{"itemIdentifier":"c"},{"itemIdentifier":"e"}]"#;
        assert_eq!(answered, format!("{{\"batchItemFailures\":{expected}}}"));
        let fair =
            response(records("orders"), |record| if record.message_id == "a" { Err(Failure::retry()) } else { Ok(()) });
        assert_eq!(fair, r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#, "groups of a standard queue are tenants");
    }

    #[test]
    fn a_delay_is_whole_seconds_and_never_too_short() {
        let cases = [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (43_200_000, 43_200)];
        for (millis, seconds) in cases {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
    }
}
