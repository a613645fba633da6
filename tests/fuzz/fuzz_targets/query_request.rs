//! The decoder of Query requests: any bytes are a request or a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|form: &[u8]| wasmill_sqs::fuzzing::query_request(form));
