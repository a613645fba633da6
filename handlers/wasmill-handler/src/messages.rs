//! The typed way: messages in, one verdict per message out.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::batch::whole_seconds;
use crate::bindings::{AttributeValue, Context, Message, Verdict};
use crate::error::Error;

/// Exports a function as a component of the world `message-handler`.
///
/// The function takes the messages and the [`Context`](crate::Context), and gives one [`Verdict`](crate::Verdict) for
/// each message, in order: a `Vec<Verdict>`, or a `Result` of one. A list of another length fails the batch, as an error
/// does. The verdicts count whether or not the mapping has `ReportBatchItemFailures`.
///
/// ```
/// use wasmill_handler::{Context, Error, Message, Verdict};
///
/// wasmill_handler::messages!(handle);
///
/// fn handle(messages: Vec<Message>, _context: Context) -> Result<Vec<Verdict>, Error> {
///     let table = std::env::var("TABLE")?;
///     let judge = |message: &Message| {
///         println!("{} goes to {table}", message.body);
///         Verdict::Done
///     };
///     Ok(messages.iter().map(judge).collect())
/// }
/// ```
#[macro_export]
macro_rules! messages {
    ($handle:expr) => {
        const _: () = {
            struct WasmillExport;

            impl $crate::exported::messages::Guest for WasmillExport {
                fn handle(
                    messages: ::std::vec::Vec<$crate::Message>,
                    context: $crate::Context,
                ) -> ::std::result::Result<::std::vec::Vec<$crate::Verdict>, ::std::string::String> {
                    $crate::exported::judge(messages, context, $handle)
                }
            }

    $crate::exported::messages::export!(WasmillExport with_types_in $crate::exported::messages);
        };
    };
}

/// What a function of [`messages!`](crate::messages!) may answer. An error fails the whole batch.
pub trait Verdicts {
    /// One per message, or the function error.
    ///
    /// # Errors
    ///
    /// The function failed.
    fn into_verdicts(self) -> Result<Vec<Verdict>, Error>;
}

impl Verdicts for Vec<Verdict> {
    fn into_verdicts(self) -> Result<Vec<Verdict>, Error> {
        Ok(self)
    }
}

impl<E: Into<Error>> Verdicts for Result<Vec<Verdict>, E> {
    fn into_verdicts(self) -> Result<Vec<Verdict>, Error> {
        self.map_err(Into::into)
    }
}

/// One invocation.
pub fn judge<V: Verdicts>(
    messages: Vec<Message>,
    context: Context,
    handle: impl FnOnce(Vec<Message>, Context) -> V,
) -> Result<Vec<Verdict>, String> {
    handle(messages, context).into_verdicts().map_err(Error::into_json)
}

impl Verdict {
    /// It comes back as the mapping says: when its visibility timeout is over, or by a retry policy.
    #[must_use]
    pub const fn retry() -> Self {
        Self::Retry(None)
    }

    /// It comes back after this time, which is rounded up to whole seconds. SQS's limit is twelve hours.
    #[must_use]
    pub fn retry_after(delay: Duration) -> Self {
        Self::Retry(Some(whole_seconds(delay)))
    }

    /// It goes to the dead-letter queue now, where the reason stands beside it.
    #[must_use]
    pub fn dead_letter(reason: impl fmt::Display) -> Self {
        Self::DeadLetter(reason.to_string())
    }
}

impl Message {
    /// The body read as JSON.
    ///
    /// # Errors
    ///
    /// It is no JSON, or no `T`. Another delivery does not mend that: [`Verdict::dead_letter`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.body)
    }

    /// How often it has been delivered, this time included: 1 at the first.
    #[must_use]
    pub fn receive_count(&self) -> u32 {
        self.attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// A system attribute, such as `SentTimestamp`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(found, _)| found == name)?;
        Some(value)
    }

    /// What the sender said beside the body.
    #[must_use]
    pub fn message_attribute(&self, name: &str) -> Option<&AttributeValue> {
        let attribute = self.message_attributes.iter().find(|attribute| attribute.name == name)?;
        Some(&attribute.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::MessageAttribute;
    use crate::context::tests::context;

    fn message(body: &str) -> Message {
        Message {
            message_id: "m-1".to_owned(),
            receipt_handle: "r".to_owned(),
            body: body.to_owned(),
            attributes: vec![("ApproximateReceiveCount".to_owned(), "2".to_owned())],
            message_attributes: vec![MessageAttribute {
                name: "b".to_owned(),
                data_type: "Binary".to_owned(),
                value: AttributeValue::Binary(vec![0, 255]),
            }],
            md5_of_body: String::new(),
            event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders".to_owned(),
            aws_region: "us-east-1".to_owned(),
        }
    }

    #[test]
    fn what_a_message_says_of_itself_is_found_by_name() {
        let message = message("[1,2]");
        assert_eq!(message.json::<Vec<u32>>().ok(), Some(vec![1, 2]));
        assert_eq!((message.receive_count(), message.attribute("SentTimestamp")), (2, None));
        assert_eq!(message.message_attribute("b"), Some(&AttributeValue::Binary(vec![0, 255])));
        assert_eq!(message.message_attribute("B"), None);
    }

    #[test]
    fn verdicts_are_passed_on_and_an_error_is_written_as_lambda_does() {
        let verdicts = || vec![Verdict::Done, Verdict::retry(), Verdict::retry_after(Duration::from_millis(1_500))];
        assert_eq!(verdicts()[2], Verdict::Retry(Some(2)));
        assert_eq!(judge(Vec::new(), context(1), |_, _| verdicts()), Ok(verdicts()));
        let echo =
            |messages: Vec<Message>, _| messages.iter().map(|m| Verdict::dead_letter(&m.body)).collect::<Vec<_>>();
        assert_eq!(judge(vec![message("no")], context(1), echo), Ok(vec![Verdict::DeadLetter("no".to_owned())]));
        let fails = |_, _| -> Result<Vec<Verdict>, _> { Err(Error::new("OutOfStock", "no tea")) };
        let expected = r#"{"errorType":"OutOfStock","errorMessage":"no tea"}"#;
        assert_eq!(judge(Vec::new(), context(1), fails), Err(expected.to_owned()));
    }
}
