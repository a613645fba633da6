//! The decoder of JSON requests: the action up to the first line break, then the body.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let action = String::from_utf8_lossy(&input[..end]);
    wasmill_sqs::fuzzing::json_request(&action, input.get(end + 1..).unwrap_or_default());
});
