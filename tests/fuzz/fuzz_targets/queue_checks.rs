//! What the queue checks itself: attributes of queues and messages, policies, receipt handles.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wasmill_queue::fuzzing::check(input));
