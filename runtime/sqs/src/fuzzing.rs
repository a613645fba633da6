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
    use super::*;
    use crate::wire::ACTIONS;

    const FORM: [&[u8]; 20] = [
        b"Attribute",
        b"MessageAttribute",
        b"SendMessageBatchRequestEntry",
        b"Tag",
        b"AttributeName",
        b"Name",
        b"Value",
        b"Key",
        b"DataType",
        b"BinaryValue",
        b".",
        b".1",
        b".2.",
        b".00",
        b"=",
        b"&",
        b"+",
        b"%",
        b"%c3%a9",
        b"\xff",
    ];
    const JSON: [&[u8]; 20] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\"QueueUrl\":",
        b"\"Attributes\":{",
        b"\"MessageAttributes\":{",
        b"\"Entries\":[{",
        b"\"BinaryValue\":",
        b"\"DelaySeconds\":",
        b"\"x\"",
        b"\\",
        b"\\u00e9",
        b"1e999",
        b"null",
        b"\n",
        b"\xff",
    ];

    /// Joins pieces as a small generator (splitmix64) picks them.
    fn joined(pieces: &[&[u8]; 20], seed: &mut u64) -> Vec<u8> {
        let mut next = || {
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 33) as usize
        };
        (0..next() % 40).flat_map(|_| pieces[next() % pieces.len()].iter().copied()).collect()
    }

    #[test]
    fn whatever_comes_is_read_or_refused() {
        let mut seed = 1;
        for round in 0..20_000 {
            let action = ACTIONS[round % ACTIONS.len()];
            let form = joined(&FORM, &mut seed);
            query_request(&[b"Action=", action.as_bytes(), b"&", &form[..]].concat());
            json_request(action, &joined(&JSON, &mut seed));
            json_request(action, &[b"{", &joined(&JSON, &mut seed)[..]].concat());
        }
    }

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
            query_request(&form);
        }
        for input in seeds("json_request") {
            let (action, body) = std::str::from_utf8(&input).unwrap().split_once('\n').unwrap();
            json_request(action, body.as_bytes());
        }
    }
}
