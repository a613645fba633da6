//! The WebAssembly engine, made with the first function: a worker that has none yet does not pay for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use wasmill_sandbox::{EngineConfig, Metrics, Sandbox};

use crate::config::Config;
use crate::error::CliError;

/// Clones are one engine.
#[derive(Clone)]
pub(super) struct LazyEngine {
    shared: Arc<Shared>,
}

struct Shared {
    config: EngineConfig,
    metrics: Metrics,
    made: Mutex<Option<Sandbox>>,
}

impl LazyEngine {
    /// An engine with so many places, when it comes to be.
    pub(super) fn new(config: &Config, max_instances: u32, metrics: Metrics) -> Self {
        // Memory keeps its default ceiling, the largest a function may have: a lower one reserves no less, and the engine
        // would refuse a handler that begins above it before the load can say which memory_size it needs.
        let config = EngineConfig {
            max_instances,
            cache_dir: config.cache_dir.clone(),
            guest_threads: config.sandbox.guest_threads as usize,
            ..EngineConfig::default()
        };
        Self { shared: Arc::new(Shared { config, metrics, made: Mutex::default() }) }
    }

    /// The engine; the first to ask makes it.
    pub(super) fn get(&self) -> Result<Sandbox, CliError> {
        let mut made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sandbox) = &*made {
            return Ok(sandbox.clone());
        }
        let Shared { config, metrics, .. } = &*self.shared;
        let sandbox = Sandbox::new(config.clone(), metrics.clone()).map_err(|error| {
            CliError::unavailable(error.to_string()).with_mend("check the process's limits (ulimit -v, ulimit -u)")
        })?;
        *made = Some(sandbox.clone());
        Ok(sandbox)
    }

    /// Ends what rests and removes handlers' files; for a process that is about to end.
    pub(super) fn close(&self) {
        if let Some(sandbox) = &*self.shared.made.lock().unwrap_or_else(PoisonError::into_inner) {
            sandbox.close();
        }
    }

    /// Instances that it has places for.
    pub(super) fn places(&self) -> u32 {
        self.shared.config.max_instances
    }

    #[cfg(test)]
    pub(super) fn is_made(&self) -> bool {
        self.shared.made.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl fmt::Debug for LazyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyEngine").field("max_instances", &self.places()).finish_non_exhaustive()
    }
}
