//! The way of a mapping from one state to the next (esm-semantics §2): what the engine is asked for, and what follows.
//!
//! Where the engine cannot run a mapping, it comes to rest all the same, so that it can be changed or deleted; it says
//! so, and is tried again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use uuid::Uuid;

use crate::configuration::Configuration;
use crate::mapping::MappingState;
use crate::registry::{Inner, Registry};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// A mapping that did not run when the worker started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartTrouble {
    /// The mapping.
    pub uuid: Uuid,
    /// Why. It is tried again in the background.
    pub problem: String,
}

/// What the engine is to do for a state.
enum Step {
    Run(Box<Configuration>),
    Stop,
    /// New settings of a mapping that does not run.
    Nothing,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// At rest; also where a later change overtook this one.
    Done,
    Failed(String),
}

impl Registry {
    /// Makes every function ready that was stored, then runs every mapping that is enabled, and returns when each was tried once: that takes as long as the slowest
    /// [`Engine::run`](crate::Engine::run). Those that did not run are returned; they are tried again in the background.
    pub async fn start_all(&self) -> Vec<StartTrouble> {
        if let Some(functions) = &self.inner.functions {
            functions.restore().await;
        }
        let turn = self.inner.store.turn().await;
        if self.inner.started.swap(true, Ordering::AcqRel) {
            return Vec::new();
        }
        let waiting: Vec<(Uuid, u64)> = {
            let entries = self.inner.entries();
            entries.iter().filter(|(_, e)| e.state.is_busy()).map(|(uuid, e)| (*uuid, e.generation)).collect()
        };
        drop(turn);
        let outcomes = join_all(waiting.iter().map(|(uuid, generation)| self.inner.advance(*uuid, *generation))).await;
        let mut troubles = Vec::new();
        for ((uuid, generation), outcome) in waiting.into_iter().zip(outcomes) {
            if let Outcome::Failed(problem) = outcome {
                troubles.push(StartTrouble { uuid, problem });
                tokio::spawn(Arc::clone(&self.inner).try_again(uuid, generation));
            }
        }
        troubles
    }
}

impl Inner {
    /// Lets the engine follow a change, in the background. Before the start it is the start that does.
    pub(super) fn follow(self: &Arc<Self>, uuid: Uuid, generation: u64) {
        if !self.has_started() {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Outcome::Failed(_) = inner.advance(uuid, generation).await {
                inner.try_again(uuid, generation).await;
            }
        });
    }

    async fn try_again(self: Arc<Self>, uuid: Uuid, generation: u64) {
        let mut pause = RETRY_FIRST;
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if self.advance(uuid, generation).await == Outcome::Done {
                return;
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    /// Asks the engine for what a mapping's state says, when it is its turn, and lets the mapping come to rest.
    async fn advance(&self, uuid: Uuid, generation: u64) -> Outcome {
        let turn = self.entries().get(&uuid).map(|entry| Arc::clone(&entry.turn));
        let Some(turn) = turn else { return Outcome::Done };
        let _turn = turn.lock().await;
        let Some(step) = self.step(uuid, generation) else { return Outcome::Done };
        let id = uuid.to_string();
        let outcome = match step {
            Step::Run(configuration) => self.run(&id, &configuration).await,
            // A mapping whose stop panicked holds nothing that could be waited for.
            Step::Stop => guarded(self.engine.stop(&id)).await,
            Step::Nothing => Ok(()),
        };
        if let Err(problem) = &outcome {
            tracing::warn!(%uuid, problem, "the event source mapping does not run as it should");
        }
        self.come_to_rest(uuid, generation, outcome.clone().err());
        match outcome {
            Err(problem) => Outcome::Failed(problem),
            Ok(()) => Outcome::Done,
        }
    }

    /// A mapping whose function cannot be invoked receives nothing.
    async fn run(&self, id: &str, configuration: &Configuration) -> Result<(), String> {
        let functions = self.functions.as_ref();
        if let Some(problem) = functions.and_then(|functions| functions.problem(&configuration.function)) {
            guarded(self.engine.stop(id)).await?;
            return Err(problem);
        }
        guarded(self.engine.run(id, configuration)).await?
    }

    /// None when the change was overtaken by a later one, or is done.
    fn step(&self, uuid: Uuid, generation: u64) -> Option<Step> {
        let entries = self.entries();
        let entry = entries.get(&uuid).filter(|entry| entry.generation == generation)?;
        let configuration = &entry.record.configuration;
        match entry.state {
            MappingState::Disabling | MappingState::Deleting => Some(Step::Stop),
            MappingState::Disabled => None,
            MappingState::Updating if !configuration.enabled => Some(Step::Nothing),
            MappingState::Enabled if entry.problem.is_none() => None,
            MappingState::Enabled | MappingState::Creating | MappingState::Enabling | MappingState::Updating => {
                Some(Step::Run(Box::new(configuration.clone())))
            }
        }
    }

    fn come_to_rest(&self, uuid: Uuid, generation: u64, problem: Option<String>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&uuid).filter(|entry| entry.generation == generation) else { return };
        if entry.state == MappingState::Deleting {
            entries.remove(&uuid);
            tracing::info!(%uuid, "event source mapping deleted");
            return;
        }
        let enabled = entry.record.configuration.enabled;
        entry.state = if enabled { MappingState::Enabled } else { MappingState::Disabled };
        entry.problem = problem.filter(|_| enabled);
        tracing::debug!(%uuid, state = entry.state.as_str(), "event source mapping at rest");
    }
}

/// A panic of the engine's must not leave a mapping busy for ever.
async fn guarded<T>(call: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| "internal error: the mapping panicked".to_owned())
}
