//! A queue as a remote service shows it, for tests: the real built-in queue behind a door that counts the calls, and that
//! can be shut or slowed verb by verb while it is used.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use wasmill_queue::{
    Capabilities, DeadLetter, EntryResults, LocalQueue, Message, OutgoingMessage, Queue, QueueArn, QueueAttributes,
    QueueError, ReceiptHandle, ReceiveRequest, Sent, VisibilityChange,
};

/// How a verb does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Door {
    #[default]
    Open,
    /// Answers nothing, ever.
    Silent,
    /// Says no to the whole call.
    Refuses,
    /// Cannot be reached.
    Unavailable,
    /// For receives: says at once that there is nothing, however long it was to wait.
    Empty,
    /// Does it, after a while.
    Slow(Duration),
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doors {
    pub(crate) receive: Door,
    pub(crate) delete: Door,
    pub(crate) change_visibility: Door,
    pub(crate) dead_letter: Door,
}

/// When each call was made, and of how many entries; for receives, how many messages it brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    pub(crate) receive: Vec<(Instant, usize)>,
    pub(crate) delete: Vec<(Instant, usize)>,
    pub(crate) change_visibility: Vec<(Instant, usize)>,
    /// The most receives under way at a time.
    pub(crate) receives_at_once: usize,
    receiving: usize,
    begun: usize,
}

#[derive(Debug)]
pub(crate) struct Remote {
    inner: LocalQueue,
    doors: Mutex<Doors>,
    calls: Mutex<Calls>,
    /// Which receive fails, counted from 1; 0: none.
    failing_receive: AtomicUsize,
}

impl Remote {
    pub(crate) fn new(inner: &LocalQueue) -> Self {
        Self::with(inner, Doors::default())
    }

    pub(crate) fn with(inner: &LocalQueue, doors: Doors) -> Self {
        Self {
            inner: inner.clone(),
            doors: Mutex::new(doors),
            calls: Mutex::default(),
            failing_receive: AtomicUsize::new(0),
        }
    }

    pub(crate) fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap()
    }

    /// Lets one receive fail, counted from 1.
    pub(crate) fn fail_receive(&self, number: usize) {
        self.failing_receive.store(number, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap()
    }
}

async fn pass(door: Door) -> Result<(), QueueError> {
    match door {
        Door::Open | Door::Empty => Ok(()),
        Door::Silent => std::future::pending().await,
        Door::Refuses => Err(QueueError::Refused { code: "AccessDenied".into(), message: "no".into() }),
        Door::Unavailable => Err(QueueError::Unavailable("no route".into())),
        Door::Slow(takes) => {
            sleep(takes).await;
            Ok(())
        }
    }
}

#[async_trait]
impl Queue for Remote {
    fn arn(&self) -> &QueueArn {
        self.inner.arn()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { signals_readiness: false, release_uncounts: false, receive_max: 10 }
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.inner.attributes().await
    }

    async fn ready(&self) {}

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        assert!((1..=10).contains(&request.max_messages), "{request:?}");
        let asked_at = Instant::now();
        let number = {
            let mut calls = self.calls();
            calls.begun += 1;
            calls.receiving += 1;
            calls.receives_at_once = calls.receives_at_once.max(calls.receiving);
            calls.begun
        };
        let is_failing = number == self.failing_receive.load(Ordering::Relaxed);
        let door = if is_failing { Door::Unavailable } else { self.doors().receive };
        let received = match pass(door).await {
            Ok(()) if door == Door::Empty => Ok(Vec::new()),
            Ok(()) => self.inner.receive(request).await,
            Err(error) => Err(error),
        };
        let mut calls = self.calls();
        calls.receiving -= 1;
        calls.receive.push((asked_at, received.as_ref().map_or(0, Vec::len)));
        received
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<EntryResults<Sent>, QueueError> {
        self.inner.send(messages).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        self.calls().delete.push((Instant::now(), receipts.len()));
        let door = self.doors().delete;
        pass(door).await?;
        self.inner.delete(receipts).await
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        self.calls().change_visibility.push((Instant::now(), changes.len()));
        let door = self.doors().change_visibility;
        pass(door).await?;
        self.inner.change_visibility(changes).await
    }

    async fn release(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let now = |receipt: &ReceiptHandle| VisibilityChange { receipt: receipt.clone(), timeout_seconds: 0 };
        self.inner.change_visibility(&receipts.iter().map(now).collect::<Vec<_>>()).await
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<EntryResults<()>, QueueError> {
        let door = self.doors().dead_letter;
        pass(door).await?;
        self.inner.dead_letter(letters).await
    }

    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError> {
        self.inner.reach(arn).await
    }
}
