//! The command line as a user sees it: stdout, stderr, exit code.

#![expect(clippy::unwrap_used, reason = "tests")]

mod check;
mod config;
mod demo;
mod deploy_files;
mod examples;
mod guides;
mod handlers;
mod import;
mod invoke;
mod manual;
mod mistakes;
mod peek;
mod queue;
mod redrive;
mod resources;
mod threats;
