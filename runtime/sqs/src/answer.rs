//! What every request gets in the end.

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;

/// An answer in HTTP, whole.
pub(crate) type HttpAnswer = Response<Full<Bytes>>;
