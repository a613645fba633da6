//! A function that can be replaced while it is called: what has begun ends in the old one, what begins is the new one's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use tower::Service;
use wasmill_event::{Fault, Invocation, Payload, Reply, lambda_event};
use wasmill_sandbox::{Function, ReplyFuture};

/// Clones are one function.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    current: Arc<RwLock<Function>>,
    /// Where each event is written before the handler gets it.
    events: Arc<RwLock<Option<PathBuf>>>,
}

impl Live {
    pub(crate) fn new(function: Function) -> Self {
        Self { current: Arc::new(RwLock::new(function)), events: Arc::default() }
    }

    /// The function as it is now.
    pub(crate) fn current(&self) -> Function {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place.
    pub(crate) fn replace(&self, function: Function) {
        let old = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), function);
        drop(old);
    }

    /// From now on writes each event to a file of this folder, named after its request id.
    pub(crate) fn save_events(&self, folder: &Path) {
        *self.events.write().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
    }

    fn save(&self, invocation: &Invocation) {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let (Some(folder), Payload::Batch { records, windowed }) = (&*events, &invocation.payload) else { return };
        let path = folder.join(format!("{}.json", invocation.request_id));
        if let Err(error) = std::fs::write(&path, lambda_event(records, *windowed)) {
            tracing::warn!(path = %path.display(), %error, "the event is not saved");
        }
    }
}

impl Service<Invocation> for Live {
    type Response = Reply;
    type Error = Fault;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation) -> Self::Future {
        self.save(&invocation);
        self.current().call(invocation)
    }
}
