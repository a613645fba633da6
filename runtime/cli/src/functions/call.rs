//! One build as a mapping calls it.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;
use wasmill_event::{Fault, Invocation, Payload, Reply, lambda_event};
use wasmill_sandbox::{Function, ReplyFuture};

/// A build, and where its events are saved if they are.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) function: Function,
    pub(super) events: Option<Arc<Path>>,
}

impl Service<Invocation> for Called {
    type Response = Reply;
    type Error = Fault;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation) -> Self::Future {
        if let Some(folder) = &self.events {
            save(folder, &invocation);
        }
        self.function.call(invocation)
    }
}

fn save(folder: &Path, invocation: &Invocation) {
    let Payload::Batch { records, windowed } = &invocation.payload else { return };
    let path = folder.join(format!("{}.json", invocation.request_id));
    if let Err(error) = std::fs::write(&path, lambda_event(records, *windowed)) {
        tracing::warn!(path = %path.display(), %error, "the event is not saved");
    }
}
