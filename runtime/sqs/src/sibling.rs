//! Another AWS API on the same listener: it gets the requests whose paths are its own.
//!
//! What a browser page may do and who may do anything at all is judged here, as for SQS.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;

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

    /// Answers one request.
    async fn handle(&self, method: &Method, path_and_query: &str, headers: &HeaderMap, body: Bytes) -> Response<Bytes>;
}

pub(crate) fn framed(response: Response<Bytes>) -> axum::response::Response {
    response.map(Body::from)
}
