//! The JSON way: the event is read, the function called, its answer written.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::BatchResponse;
use crate::bindings::Context;
use crate::error::Error;

/// Exports a function as a component of the world `lambda-handler`.
///
/// The function takes the event and the [`Context`](crate::Context). The event is anything that `serde` reads from
/// JSON: [`SqsEvent`](crate::SqsEvent), a type of your own, `serde_json::Value`. The answer is an
/// [`Answer`](crate::Answer).
///
/// ```
/// use serde_json::{Value, json};
/// use wasmill_handler::{Context, Error};
///
/// wasmill_handler::lambda!(count);
///
/// fn count(event: Value, context: Context) -> Result<Value, Error> {
///     let records = event["Records"].as_array().ok_or_else(|| Error::new("NoBatch", "the event has no Records"))?;
///     Ok(json!({ "function": context.function_name, "records": records.len() }))
/// }
/// ```
#[macro_export]
macro_rules! lambda {
    ($handle:expr) => {
        const _: () = {
            struct WasmillExport;

            impl $crate::exported::lambda::Guest for WasmillExport {
                fn handle(
                    event: ::std::string::String,
                    context: $crate::Context,
                ) -> ::std::result::Result<::std::string::String, ::std::string::String> {
                    $crate::exported::answer(&event, context, $handle)
                }
            }

    $crate::exported::lambda::export!(WasmillExport with_types_in $crate::exported::lambda);
        };
    };
}

/// What a function of [`lambda!`](crate::lambda!) may answer: a [`BatchResponse`], nothing, JSON, or a `Result` of
/// whatever `serde` writes as JSON. An error fails the whole batch.
pub trait Answer {
    /// The response's JSON, or the function error.
    ///
    /// # Errors
    ///
    /// The function failed, or its answer cannot be written as JSON.
    fn into_response(self) -> Result<String, Error>;
}

impl Answer for BatchResponse {
    fn into_response(self) -> Result<String, Error> {
        written(&self)
    }
}

impl Answer for serde_json::Value {
    fn into_response(self) -> Result<String, Error> {
        Ok(self.to_string())
    }
}

impl Answer for () {
    fn into_response(self) -> Result<String, Error> {
        Ok("null".to_owned())
    }
}

impl<T: Serialize, E: Into<Error>> Answer for Result<T, E> {
    fn into_response(self) -> Result<String, Error> {
        written(&self.map_err(Into::into)?)
    }
}

fn written(response: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(response).map_err(|error| Error::new("Runtime.MarshalError", error))
}

/// One invocation.
pub fn answer<E: DeserializeOwned, A: Answer>(
    event: &str,
    context: Context,
    handle: impl FnOnce(E, Context) -> A,
) -> Result<String, String> {
    // The name is that of Lambda's runtimes.
    let unreadable =
        |error| Error::new("Runtime.UnmarshalError", format!("the event is not what is expected: {error}"));
    let response =
        serde_json::from_str(event).map_err(unreadable).and_then(|event| handle(event, context).into_response());
    response.map_err(Error::into_json)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;
    use crate::context::tests::context;
    use crate::event::SqsEvent;

    #[test]
    fn the_function_is_handed_event_and_context_and_its_answer_becomes_json() {
        let echo = |event: Value, context: Context| json!({ "event": event, "function": context.function_name });
        assert_eq!(answer("[1]", context(1), echo), Ok(r#"{"event":[1],"function":"orders"}"#.to_owned()));
        assert_eq!(answer("{}", context(1), |_: Value, _| ()), Ok("null".to_owned()));
        let nothing_failed = |_: SqsEvent, _| BatchResponse::default();
        let response = answer(r#"{"Records":[]}"#, context(1), nothing_failed);
        assert_eq!(response, Ok(r#"{"batchItemFailures":[]}"#.to_owned()));
    }

    #[test]
    fn an_error_is_the_functions_error_as_lambda_writes_it() {
        let fails = |_: Value, _| -> Result<(), _> { Err(Error::new("OutOfStock", "no tea")) };
        let expected = r#"{"errorType":"OutOfStock","errorMessage":"no tea"}"#;
        assert_eq!(answer("{}", context(1), fails), Err(expected.to_owned()));
        let fails = |_: Value, _| -> Result<u32, _> { "x".parse::<u32>() };
        let failed = answer("{}", context(1), fails).unwrap_err();
        assert!(failed.contains("ParseIntError"), "{failed}");
    }

    #[test]
    fn an_event_that_is_another_one_is_an_error_that_says_where() {
        let failed = answer(r#"{"records":[]}"#, context(1), |_: SqsEvent, _| ()).unwrap_err();
        let expected = "{\"errorType\":\"Runtime.UnmarshalError\",\"errorMessage\":\"the event is not what is expected: \
                        missing field `Records` at line 1 column 14\"}";
        assert_eq!(failed, expected);
    }
}
