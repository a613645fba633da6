//! Handlers in wasmtime sandboxes: load a component or a core module once, call it many times, each time in a fresh
//! instance that has its own memory, its own time and nothing else, or in one that is kept warm.
//!
//! ```text
//! Code → read (code) → judged by its shape (shape) → compiled or cached (cache) → way in recognised, imports checked (component) → Function
//! Invocation → place, or an instance that rests (reuse) → store (instance, host, limits, output, files, disk, outgoing)
//!            → call against the clock (call) → Reply or Fault (error)
//! ```
//!
//! Deliberately absent: queues, batches' meaning, retries (the mapping's), configuration files and programming languages
//! (the CLI's).

mod cache;
mod call;
mod code;
mod component;
mod describe;
mod disk;
mod engine;
mod error;
mod files;
mod function;
mod host;
mod hosts;
mod in_use;
mod instance;
mod limits;
mod metrics;
mod outgoing;
mod output;
mod pace;
mod reuse;
mod service;
mod shape;
mod world;

pub use call::Observed;
pub use code::Code;
pub use component::FunctionKind;
pub use engine::{EngineConfig, Sandbox};
pub use error::{EngineError, LoadError};
pub use function::{Function, FunctionSpec};
pub use host::Mount;
pub use hosts::{AllowedHosts, Network, Origin};
pub use limits::Limits;
pub use metrics::Metrics;
pub use outgoing::Outbound;
pub use reuse::Reuse;
pub use service::ReplyFuture;
