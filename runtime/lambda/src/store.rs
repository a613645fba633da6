//! What is on disk of both halves of the API, and whose turn it is to change it: the state file has one writer.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::functions::FunctionRecord;
use crate::state_file::{StateError, StateFile};
use crate::stored::Record;

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) mappings: BTreeMap<Uuid, Record>,
    pub(crate) functions: BTreeMap<String, Arc<FunctionRecord>>,
}

/// The state of one worker.
#[derive(Debug)]
pub(crate) struct Store {
    /// None: it lives as long as the process.
    file: Option<Arc<StateFile>>,
    kept: tokio::sync::Mutex<State>,
}

/// A turn to change the state: held from the last look at what is there until the change is on disk and made.
pub(crate) struct Turn<'a> {
    store: &'a Store,
    kept: tokio::sync::MutexGuard<'a, State>,
}

impl Store {
    /// Opens the file, if there is to be one, and reads it.
    pub(crate) fn open(file: Option<&Path>) -> Result<(Self, State), StateError> {
        let (file, state) = match file {
            Some(path) => {
                let (file, state) = StateFile::open(path)?;
                (Some(Arc::new(file)), state)
            }
            None => (None, State::default()),
        };
        Ok((Self { file, kept: tokio::sync::Mutex::new(state.clone()) }, state))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { store: self, kept: self.kept.lock().await }
    }
}

impl Turn<'_> {
    /// Replaces what is kept of the mappings. On an error the old state stands.
    pub(crate) async fn keep_mappings(&mut self, mappings: BTreeMap<Uuid, Record>) -> Result<(), StateError> {
        let functions = self.kept.functions.clone();
        self.keep(State { mappings, functions }).await
    }

    /// Replaces what is kept of the functions. On an error the old state stands.
    pub(crate) async fn keep_functions(
        &mut self,
        functions: BTreeMap<String, Arc<FunctionRecord>>,
    ) -> Result<(), StateError> {
        let mappings = self.kept.mappings.clone();
        self.keep(State { mappings, functions }).await
    }

    async fn keep(&mut self, state: State) -> Result<(), StateError> {
        let Some(file) = self.store.file.clone() else {
            *self.kept = state;
            return Ok(());
        };
        let path = file.path().to_owned();
        let written = tokio::task::spawn_blocking(move || file.write(&state).map(|()| state)).await;
        let failed = |error| StateError::Unwritable { file: path, problem: io::Error::other(error) };
        *self.kept = written.map_err(failed)??;
        Ok(())
    }
}
