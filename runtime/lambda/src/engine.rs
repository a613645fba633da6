//! What the API needs of the rest of the worker: the facts it checks against, and mappings that begin and end.

use async_trait::async_trait;

use crate::configuration::Configuration;

/// The worker behind the API. For one mapping `run` and `stop` are called one after the other, never at once.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Looks at the queue behind an ARN.
    ///
    /// # Errors
    /// When it is not there, or cannot be asked.
    async fn queue(&self, arn: &str) -> Result<QueueFacts, QueueTrouble>;

    /// Checks filter patterns (esm-semantics §5.4).
    ///
    /// # Errors
    /// AWS's text, for the caller.
    fn check_filters(&self, patterns: &[String]) -> Result<(), String>;

    /// Begins to poll with these settings, or replaces those of a mapping that runs, without dropping what it holds.
    /// Returns when the settings are in force. It must not wait for ever: until it returns, the mapping is busy and
    /// nobody can change it.
    ///
    /// # Errors
    /// Why it does not run (with these settings): shown to people. It is called again after a while.
    async fn run(&self, uuid: &str, mapping: &Configuration) -> Result<(), String>;

    /// Stops receiving and finishes what is held. Returns when nothing is held any more; at once for a mapping that
    /// does not run.
    async fn stop(&self, uuid: &str);
}

/// What is asked of a mapping's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FunctionFacts {
    /// How long an invocation may take.
    pub(crate) timeout_seconds: u32,
}

/// What the API asks of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFacts {
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// How long a message that was received stays hidden.
    pub visibility_timeout_seconds: u32,
}

/// Why a queue cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueTrouble {
    /// There is none of that ARN.
    NotFound,
    /// It cannot be asked, and why.
    Unavailable(String),
}
