//! Handlers in wasmtime sandboxes: load a component or a core module once, call it many times, each time in a fresh
//! instance that has its own memory, its own time and nothing else.
//!
//! ```text
//! Code → read (code) → compiled or cached (cache) → way in recognised, imports checked (component) → Function
//! Invocation → slot → fresh store (host, limits, output) → call against the clock (call) → Reply or Fault (error)
//! ```
//!
//! Two of the three ways in are called: the Lambda JSON world, synchronous, and WASI commands. Deliberately absent:
//! queues, batches' meaning, retries (the mapping's), configuration files (the CLI's), reuse of instances.

mod bindings;
mod cache;
mod call;
mod code;
mod component;
mod engine;
mod error;
mod function;
mod host;
mod limits;
mod metrics;
mod output;
mod service;

pub use code::Code;
pub use component::FunctionKind;
pub use engine::{EngineConfig, Sandbox};
pub use error::{EngineError, LoadError};
pub use function::{Function, FunctionSpec};
pub use limits::Limits;
pub use metrics::Metrics;
pub use service::ReplyFuture;
