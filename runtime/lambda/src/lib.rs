//! Lambda's REST API for functions and event source mappings, the resources behind it and their state on disk.
//!
//! The way of a call: `service` routes it by `operations`, `request` reads it, [`Registry`] checks it (`checks`),
//! writes it to the state file, changes the resource and lets the [`Engine`] follow in the background; `response`
//! frames what there is to say, or the row of the error table. What concerns functions is in `functions`, over a
//! [`FunctionEngine`]. Deliberately absent: queues, handlers and how messages move (all that is behind the engines),
//! connections, signatures and what a browser may do (the listener's), and the rest of Lambda: every other operation is
//! refused by its name.

mod changes;
mod checks;
mod clock;
mod configuration;
mod engine;
mod error;
mod function_engine;
mod functions;
mod mapping;
mod members;
mod names;
mod operations;
mod registry;
mod request;
mod response;
mod service;
mod state_file;
mod store;
mod stored;

#[cfg(test)]
mod functions_tests;
#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod scripted_functions;
#[cfg(test)]
mod service_tests;

pub use changes::change;
pub use configuration::{Changes, Configuration, PollersAsked, ProvisionedPollers};
pub use engine::{Engine, FunctionFacts, QueueFacts, QueueTrouble};
pub use error::ApiError;
pub use function_engine::{
    Build, BuildFacts, Call, FunctionEngine, FunctionFailure, FunctionSettings, NotInvoked, Outcome, Route, Routes,
    SHADOW, Target,
};
pub use functions::{FunctionOverride, FunctionOwnership, Functions, OwnedFunction};
pub use mapping::{Mapping, MappingState, Origin};
pub use names::{FunctionRef, Identity};
pub use registry::{Override, Ownership, Registry, RegistryOptions, StartTrouble, VERSIONS_KEPT};
pub use service::{LambdaService, claims};
pub use state_file::StateError;
