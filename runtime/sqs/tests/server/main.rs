//! The server as its clients see it: the AWS SDK with its typed errors, raw HTTP for what no SDK sends, and our own
//! client.

#![expect(clippy::unwrap_used, reason = "tests")]

mod auth;
mod dead_letters;
mod ends;
mod fifo;
mod http;
mod messages;
mod owners;
mod protocols;
mod query;
mod queues;
mod raw;
mod remote;
mod sibling;
#[path = "../support/mod.rs"]
mod support;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use wasmill_sqs::SqsOptions;

use crate::support::{Server, broker};

pub(crate) const NOT_THERE: &str = "The specified queue does not exist.";

pub(crate) async fn start() -> (Server, Client) {
    let server = Server::start(broker(None).await, SqsOptions::default()).await;
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(format!("http://{}", server.address));
    let client = Client::from_conf(config.build());
    (server, client)
}

pub(crate) async fn create(client: &Client, name: &str) -> String {
    client.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

/// Code and text of an error, as SDKs without typed errors show them.
pub(crate) fn code_and_text<T: std::fmt::Debug, E: ProvideErrorMetadata>(
    outcome: Result<T, SdkError<E>>,
) -> (String, String) {
    let error = outcome.unwrap_err();
    let error = error.as_service_error().expect("the service answered");
    (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
}

/// Asserts which typed exception the SDK raises, and its text.
macro_rules! assert_raises {
    ($outcome:expr, $is:ident, $text:expr) => {{
        let error = $outcome.unwrap_err();
        let error = error.as_service_error().expect("the service answered");
        assert!(error.$is(), "{error:?}");
        assert_eq!(aws_sdk_sqs::error::ProvideErrorMetadata::message(error), Some($text));
    }};
}

pub(crate) use assert_raises;
