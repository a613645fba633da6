//! A function error: the whole batch fails with it.

use std::any::type_name;
use std::error;
use std::fmt;

use serde::Serialize;

/// What went wrong, as Lambda reports it: `{"errorType":…,"errorMessage":…}`.
///
/// `?` makes one of anything that is a [`std::error::Error`]. For a failure of one message, see
/// [`Failure`](crate::Failure).
///
/// ```
/// fn rate() -> Result<u32, wasmill_handler::Error> {
///     let text = std::env::var("RATE")?;
///     text.parse().map_err(|_| wasmill_handler::Error::new("BadConfig", format!("RATE is {text:?}, no number")))
/// }
/// assert_eq!(rate().unwrap_err().to_string(), "environment variable not found");
/// ```
// Not itself a `std::error::Error`, as the conversion below would then be one of it into itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    error_type: String,
    error_message: String,
}

impl Error {
    /// An error with the name of its kind and a sentence for people.
    pub fn new(error_type: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { error_type: error_type.into(), error_message: message.to_string() }
    }

    /// The JSON that the host is handed.
    pub(crate) fn into_json(self) -> String {
        // Two texts always are JSON.
        serde_json::to_string(&self).unwrap_or(self.error_message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error_message)
    }
}

impl<E: error::Error> From<E> for Error {
    /// The error's own type is its kind, as in Lambda's runtime for Rust.
    fn from(error: E) -> Self {
        Self::new(type_name::<E>(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_members_that_lambda_gives_it() {
        let error = Error::new("OutOfStock", "no \"tea\" left");
        assert_eq!(error.into_json(), r#"{"errorType":"OutOfStock","errorMessage":"no \"tea\" left"}"#);
    }

    #[test]
    fn an_error_of_rust_is_named_by_its_type() {
        let Err(error) = "x".parse::<u32>().map_err(Error::from) else { panic!("x is no number") };
        let expected =
            r#"{"errorType":"core::num::error::ParseIntError","errorMessage":"invalid digit found in string"}"#;
        assert_eq!(error.into_json(), expected);
    }
}
