//! Which settings go together (esm-semantics §1). Pure; ranges of single values are checked where a request is read.

use crate::configuration::Configuration;
use crate::engine::{FunctionFacts, QueueFacts};
use crate::error::ApiError;
use crate::names::is_queue_arn;

/// A FIFO queue's largest batch, and the largest without a window.
const BATCH_SIZE_MAX_AT_ONCE: u32 = 10;
const FILTERS_MAX: usize = 10;
const MINIMUM_POLLERS: std::ops::RangeInclusive<u32> = 2..=200;
const MAXIMUM_POLLERS_MAX: u32 = 10_000;
pub(crate) const TAGS_MAX: usize = 50;

/// What can be said without looking at queue or function.
pub(crate) fn settings(configuration: &Configuration) -> Result<(), ApiError> {
    let invalid = |text: &str| Err(ApiError::InvalidParameter(text.to_owned()));
    if !is_queue_arn(&configuration.event_source_arn) {
        return Err(ApiError::UnrecognizedEventSource);
    }
    let fifo = configuration.event_source_arn.ends_with(".fifo");
    batches(configuration, fifo)?;
    if configuration.filter_patterns.len() > FILTERS_MAX {
        return invalid("A mapping can have at most 10 filters.");
    }
    if let Some(pollers) = configuration.provisioned_pollers {
        if !MINIMUM_POLLERS.contains(&pollers.minimum) {
            return invalid("MinimumPollers must be between 2 and 200 for SQS event sources.");
        }
        if !(pollers.minimum..=MAXIMUM_POLLERS_MAX).contains(&pollers.maximum) {
            return invalid("MaximumPollers must be between MinimumPollers and 10000 for SQS event sources.");
        }
        if configuration.maximum_concurrency.is_some() {
            return invalid("MaximumConcurrency and ProvisionedPollerConfig cannot both be set: remove one of them.");
        }
    }
    if configuration.tags.len() > TAGS_MAX {
        return Err(ApiError::TooManyTags);
    }
    Ok(())
}

/// What the two ends say to each other.
pub(crate) fn ends(configuration: &Configuration, function: FunctionFacts, queue: QueueFacts) -> Result<(), ApiError> {
    batches(configuration, queue.fifo)?;
    if queue.visibility_timeout_seconds < function.timeout_seconds {
        return Err(ApiError::VisibilityTimeoutTooShort {
            visibility_timeout_seconds: queue.visibility_timeout_seconds,
            function_timeout_seconds: function.timeout_seconds,
        });
    }
    Ok(())
}

fn batches(configuration: &Configuration, fifo: bool) -> Result<(), ApiError> {
    let invalid = |text: &str| Err(ApiError::InvalidParameter(text.to_owned()));
    let window = configuration.maximum_batching_window_in_seconds;
    if fifo && window > 0 {
        return invalid("Batching window is not supported for FIFO queues");
    }
    match configuration.batch_size > BATCH_SIZE_MAX_AT_ONCE {
        true if fifo => invalid("Maximum batch size is 10 for FIFO queues"),
        true if window == 0 => {
            invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::configuration::ProvisionedPollers;
    use crate::names::FunctionRef;

    fn with(change: impl Fn(&mut Configuration)) -> Configuration {
        let arn = "arn:aws:sqs:us-east-1:000000000000:orders";
        let mut configuration = Configuration::new(arn, FunctionRef::new("f"));
        change(&mut configuration);
        configuration
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused_in_awss_words() {
        let fifo = "arn:aws:sqs:us-east-1:000000000000:orders.fifo";
        let pollers = |minimum, maximum| Some(ProvisionedPollers { minimum, maximum });
        let rows: [(Configuration, Option<&str>); 16] = [
            (with(|_| {}), None),
            (with(|c| c.event_source_arn = "orders".into()), Some("Unrecognized event source.")),
            (with(|c| c.batch_size = 11), Some("Maximum batch window in seconds must be greater than 0 if maximum")),
            (with(|c| (c.batch_size, c.maximum_batching_window_in_seconds) = (10_000, 1)), None),
            (with(|c| c.maximum_batching_window_in_seconds = 300), None),
            (with(|c| c.event_source_arn = fifo.into()), None),
            (
                with(|c| (c.event_source_arn, c.batch_size) = (fifo.into(), 11)),
                Some("Maximum batch size is 10 for FIFO queues"),
            ),
            (
                with(|c| (c.event_source_arn, c.maximum_batching_window_in_seconds) = (fifo.into(), 1)),
                Some("Batching window is not supported for FIFO queues"),
            ),
            (with(|c| c.filter_patterns = vec!["{}".into(); 10]), None),
            (with(|c| c.filter_patterns = vec!["{}".into(); 11]), Some("at most 10 filters")),
            (with(|c| c.provisioned_pollers = pollers(2, 10_000)), None),
            (with(|c| c.provisioned_pollers = pollers(1, 10)), Some("MinimumPollers must be between 2 and 200")),
            (with(|c| c.provisioned_pollers = pollers(201, 300)), Some("MinimumPollers must be between 2 and 200")),
            (with(|c| c.provisioned_pollers = pollers(5, 4)), Some("MaximumPollers must be between MinimumPollers")),
            (
                with(|c| (c.provisioned_pollers, c.maximum_concurrency) = (pollers(2, 4), Some(2))),
                Some("cannot both be set"),
            ),
            (
                with(|c| c.tags = (0..51).map(|index| (index.to_string(), String::new())).collect()),
                Some("Number of tags exceeds resource tag limit."),
            ),
        ];
        for (configuration, refusal) in rows {
            let text = settings(&configuration).err().map(|error| error.to_string());
            match refusal {
                None => assert_eq!(text, None, "{configuration:?}"),
                Some(part) => assert!(text.unwrap().contains(part), "{configuration:?}"),
            }
        }
    }

    #[test]
    fn a_function_may_not_take_longer_than_its_messages_stay_hidden() {
        let facts = |seconds| QueueFacts { fifo: false, visibility_timeout_seconds: seconds };
        let function = FunctionFacts { timeout_seconds: 30 };
        assert_eq!(ends(&with(|_| {}), function, facts(30)), Ok(()));
        let refused = ends(&with(|_| {}), function, facts(29)).unwrap_err().to_string();
        assert_eq!(refused, "Queue visibility timeout: 29 seconds is less than Function timeout: 30 seconds");
    }

    #[test]
    fn a_fifo_queue_is_one_whatever_its_arn_says() {
        let queue = QueueFacts { fifo: true, visibility_timeout_seconds: 30 };
        let window = with(|c| c.maximum_batching_window_in_seconds = 1);
        assert!(ends(&window, FunctionFacts { timeout_seconds: 3 }, queue).is_err());
    }
}
