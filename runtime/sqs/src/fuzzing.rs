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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    /// Every seed of a fuzz target.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds = std::fs::read_dir(&folder).unwrap().map(|seed| std::fs::read(seed.unwrap().path()).unwrap());
        let seeds: Vec<_> = seeds.collect();
        assert!(!seeds.is_empty(), "no seeds in {folder}");
        seeds
    }

    #[test]
    fn the_fuzzers_seeds_are_read_or_refused() {
        for form in seeds("query_request") {
            super::query_request(&form);
        }
        for input in seeds("json_request") {
            let (action, body) = std::str::from_utf8(&input).unwrap().split_once('\n').unwrap();
            super::json_request(action, body.as_bytes());
        }
    }
}
