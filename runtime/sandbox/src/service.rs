//! A function as a `tower::Service`, the shape the mapping stacks its layers on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::Service;
use wasmill_event::{Fault, Invocation, Reply};

use crate::call::{self, Observed};
use crate::function::Function;

/// The future of one invocation. Dropping it stops the guest.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'static>>;

impl Service<Invocation> for Function {
    type Response = Reply;
    type Error = Fault;
    type Future = ReplyFuture;

    /// Always ready: a call beyond the sandbox's ceiling waits inside its future.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move { call::invoke(shared, invocation, false).await.answer })
    }
}

impl Function {
    /// Calls it once, and tells what there is to say beside the answer.
    pub async fn observe(&self, invocation: Invocation) -> Observed {
        call::invoke(self.shared.clone(), invocation, true).await
    }
}
