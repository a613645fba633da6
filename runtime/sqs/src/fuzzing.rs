//! Doors for fuzz targets into the decoders of requests, and nothing else: no part of the API.

use crate::codec::{json, query};

/// Reads a form as the body of a query request.
pub fn query_request(form: &[u8]) {
    let _read_or_refused = query::decode_form([form, b""], false);
}

/// Reads a JSON body as the request of an action.
pub fn json_request(action: &str, body: &[u8]) {
    let _read_or_refused = json::decode(action, body);
}
