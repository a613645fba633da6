//! `ReceiveMessage`.

use std::pin::pin;
use std::time::Duration;

use wasmill_queue::limits::VISIBILITY_MAX_SECONDS;
use wasmill_queue::{Message, Queue, QueueError, ReceiveRequest, checksum};

use crate::actions::filter::AttributeFilter;
use crate::actions::{Actions, Caller};
use crate::error::ActionError;
use crate::wire::received::{ReceivedMessage, SystemNames};
use crate::wire::{ReceiveMessageRequest, ReceiveMessageResponse};

const MESSAGES_MAX: u32 = 10;
const WAIT_MAX_SECONDS: u32 = 20;
/// What a long poll is given to come to an end when the server stops.
const LAST_MOMENT: Duration = Duration::from_millis(100);
const ATTEMPT_ID_LENGTH_MAX: usize = 128;

impl Actions {
    /// A long poll ends early, with nothing, when the server stops. A client that hangs up drops this future while it
    /// waits, and nothing was taken then.
    pub(super) async fn receive_message(
        &self,
        caller: Caller<'_>,
        request: ReceiveMessageRequest,
    ) -> Result<ReceiveMessageResponse, ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let max_messages = request.max_number_of_messages.map(max_messages).transpose()?.unwrap_or(1);
        let wait = match request.wait_time_seconds {
            Some(seconds) => wait(seconds)?,
            None => queue.default_wait(),
        };
        let visibility_timeout_seconds = request.visibility_timeout.map(visibility_timeout).transpose()?;
        let attempt_id = request.receive_request_attempt_id.map(attempt_id).transpose()?;
        let filter = AttributeFilter::parse(request.message_attribute_names.unwrap_or_default().0);
        let current_names = request.message_system_attribute_names.unwrap_or_default().0;
        let old_names = request.attribute_names.unwrap_or_default().0;
        let system_names = SystemNames::parse(current_names.iter().chain(&old_names).map(String::as_str));

        let receive = queue.receive(ReceiveRequest { max_messages, wait, visibility_timeout_seconds, attempt_id });
        let received = if wait.is_zero() { receive.await } else { self.until_stopping(receive).await };
        let shown = |message| shown(message, &filter, system_names);
        Ok(ReceiveMessageResponse { messages: received?.into_iter().map(shown).collect() })
    }

    async fn until_stopping(
        &self,
        receive: impl Future<Output = Result<Vec<Message>, QueueError>>,
    ) -> Result<Vec<Message>, QueueError> {
        let mut receive = pin!(receive);
        tokio::select! {
            biased;
            received = receive.as_mut() => received,
            () = self.stopping.cancelled() => {
                // It may be taking messages right now, and those would stay in flight unseen if it were dropped.
                let received = tokio::time::timeout(LAST_MOMENT, receive).await;
                received.unwrap_or(Ok(Vec::new()))
            }
        }
    }
}

/// The digest covers the attributes that are shown and no others: SDKs check it against what they got.
fn shown(mut message: Message, filter: &AttributeFilter, system_names: SystemNames) -> ReceivedMessage {
    filter.apply(&mut message.attributes);
    let md5_of_message_attributes = checksum::md5_of_attributes(&message.attributes);
    ReceivedMessage { message, system_names, md5_of_message_attributes }
}

fn max_messages(value: i64) -> Result<u32, ActionError> {
    let in_range = u32::try_from(value).ok().filter(|count| (1..=MESSAGES_MAX).contains(count));
    let reason = "Must be between 1 and 10, if provided.";
    in_range.ok_or_else(|| ActionError::out_of_range("MaxNumberOfMessages", value, reason))
}

fn wait(seconds: i64) -> Result<Duration, ActionError> {
    let in_range = u32::try_from(seconds).ok().filter(|seconds| *seconds <= WAIT_MAX_SECONDS);
    let reason = "Must be >= 0 and <= 20, if provided.";
    let seconds = in_range.ok_or_else(|| ActionError::out_of_range("WaitTimeSeconds", seconds, reason))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn visibility_timeout(seconds: i64) -> Result<u32, ActionError> {
    let in_range = u32::try_from(seconds).ok().filter(|seconds| *seconds <= VISIBILITY_MAX_SECONDS);
    let reason = "Must be >= 0 and <= 43200, if provided.";
    in_range.ok_or_else(|| ActionError::out_of_range("VisibilityTimeout", seconds, reason))
}

fn attempt_id(id: String) -> Result<String, ActionError> {
    let valid = (1..=ATTEMPT_ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if valid {
        return Ok(id);
    }
    let reason =
        "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
    Err(ActionError::InvalidParameter { name: "ReceiveRequestAttemptId", value: id, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!((max_messages(1), max_messages(10)), (Ok(1), Ok(10)));
        for bad in [0, 11, -1, i64::MAX] {
            let text = format!(
                "Value {bad} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
            );
            assert_eq!(max_messages(bad).map_err(|error| error.answer().text.into_owned()), Err(text));
        }
        assert_eq!((wait(0), wait(20)), (Ok(Duration::ZERO), Ok(Duration::from_secs(20))));
        for bad in [-1, 21] {
            let text = format!(
                "Value {bad} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
            );
            assert_eq!(wait(bad).map_err(|error| error.answer().text.into_owned()), Err(text));
        }
        assert_eq!((visibility_timeout(0), visibility_timeout(43_200)), (Ok(0), Ok(43_200)));
        assert!(visibility_timeout(43_201).is_err() && visibility_timeout(-1).is_err());
        assert_eq!(attempt_id("a-1!".into()), Ok("a-1!".into()));
        assert!(attempt_id(String::new()).is_err() && attempt_id("a b".into()).is_err());
        assert!(attempt_id("x".repeat(129)).is_err());
    }
}
