//! The SQS wire: a server over the built-in queue and a client for Amazon SQS.
//!
//! The way of a request: `connections` accepts, `server` limits and routes, a `codec` (AWS JSON 1.0 or the query protocol)
//! reads a `wire` request, an action runs it against the broker, and the codec frames the response or the row of the
//! error table. Deliberately absent: what a message or a queue may be (the queue crate decides).
//!
//! `client` is the other direction: Amazon SQS, or any service like it, behind the same `Queue` trait.

mod actions;
mod answer;
mod audit;
mod auth;
mod body_memory;
mod browsers;
mod client;
mod codec;
mod connections;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod server;
mod sibling;
mod urls;
mod wire;

pub use audit::Change;
pub use auth::{AccessKey, NotAnAccessKey};
pub use browsers::{NotAnOrigin, check_origin};
pub use client::{
    ConnectError, ListedQueue, NO_CONNECTION, QueueStats, RemoteMoveTask, RemoteOptions, RemoteQueue, RemoteSqs, Signer,
};
pub use connections::{Place, Resting, serve};
pub use server::{SqsOptions, SqsService, router};
pub use sibling::Sibling;
