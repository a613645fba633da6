//! End-to-end: the real binary as a child process, real handlers, real clients, real signals.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod audit;
mod capacity;
mod clients;
mod command_handlers;
mod console;
mod crash;
mod crash_queue;
mod credentials;
mod dead_letters;
mod deploy;
mod dev;
mod drain;
mod fairness;
mod faults;
mod functions;
mod guides;
mod happy;
mod https;
mod isolation;
mod languages;
mod lease;
mod mappings;
mod order;
mod partial_failure;
mod peers;
mod poison;
mod projects;
mod prometheus;
mod remote;
mod rust_handlers;
mod sdks;
mod storage;
mod terraform;
mod threats;
mod time_control;
mod traces;
mod windows;
mod wire;
