//! Another AWS API on the same listener: it gets the requests whose paths are its own.
//!
//! What a browser page may do and who may do anything at all is judged here, as for SQS.

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;

use crate::answer::HttpAnswer;
use crate::audit::Change;

/// An API beside SQS, such as Lambda's.
#[async_trait]
pub trait Sibling: Send + Sync + 'static {
    /// The service that signatures must be for: `lambda`.
    fn service(&self) -> &'static str;

    /// Whether a path is this API's.
    fn claims(&self, path: &str) -> bool;

    /// What a request would change, for the audit log; none of one that only reads.
    fn change(&self, method: &Method, path_and_query: &str, body: &[u8]) -> Option<Change>;

    /// How long the body of a request may be, counted before it is read.
    fn body_max_bytes(&self, method: &Method, path: &str) -> usize;

    /// The answer to a request whose body is longer.
    fn refuse_body(&self, method: &Method, path: &str) -> Response<Bytes>;

    /// Whether a request needs no signature, since what it asks for is secret in itself.
    fn is_open(&self, method: &Method, path: &str) -> bool;

    /// The answer to a form whose action is no queue's, and the service that its signature must be for. None where the
    /// action is none of this API's either.
    fn answer_form(&self, action: &str) -> Option<(&'static str, Response<Bytes>)>;

    /// Answers one request.
    async fn handle(&self, method: &Method, path_and_query: &str, headers: &HeaderMap, body: Bytes) -> Response<Bytes>;
}

pub(crate) fn framed(response: Response<Bytes>) -> HttpAnswer {
    response.map(Bytes::into)
}
