//! The door with seeded faults: calls are slow, fail, or are done and their answers lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use wasmill_queue::{
    Capabilities, DeadLetter, EntryResults, LocalQueue, Message, OutgoingMessage, Queue, QueueArn, QueueAttributes,
    QueueError, ReceiptHandle, ReceiveRequest, Sent, VisibilityChange,
};

use super::profile::Faults;
use super::world::Shared;

#[derive(Debug)]
pub(super) struct Rough {
    pub(super) inner: LocalQueue,
    pub(super) world: Shared,
    pub(super) is_remote: bool,
}

/// How one call goes.
struct Fate {
    takes: Duration,
    fails: bool,
    is_lost: bool,
}

fn away() -> QueueError {
    QueueError::Unavailable("no route".into())
}

impl Rough {
    fn fate(&self, verb: &str, shares: impl Fn(&Faults) -> (u64, u64)) -> Fate {
        let mut world = self.world.lock().unwrap();
        world.calls += 1;
        let faults = world.profile.faults.clone();
        let (fails, is_lost) = shares(&faults);
        let takes_ms = match (world.chance(faults.slow), self.is_remote) {
            (true, _) => world.rng.between(100, 4000),
            (false, true) => world.rng.between(1, 60),
            (false, false) => 0,
        };
        let (fails, is_lost) = (world.chance(fails), world.chance(is_lost));
        if fails || is_lost {
            world.note(format!("{verb} {}", if fails { "fails" } else { "is done and its answer lost" }));
        }
        Fate { takes: Duration::from_millis(takes_ms), fails, is_lost }
    }
}

impl Fate {
    /// Does a call as fate has it.
    async fn of<T>(self, call: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        if self.fails {
            return Err(away());
        }
        let answer = call.await?;
        if self.is_lost { Err(away()) } else { Ok(answer) }
    }
}

#[async_trait]
impl Queue for Rough {
    fn arn(&self) -> &QueueArn {
        self.inner.arn()
    }

    fn capabilities(&self) -> Capabilities {
        if self.is_remote {
            Capabilities { signals_readiness: false, release_uncounts: false, receive_max: 10 }
        } else {
            self.inner.capabilities()
        }
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.inner.attributes().await
    }

    async fn ready(&self) {
        if !self.is_remote {
            self.inner.ready().await;
        }
    }

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let fate = self.fate("receive", |faults| (faults.receive_fails, faults.receive_lost));
        let call = async {
            let messages = self.inner.receive(request).await?;
            let mut again = Vec::new();
            {
                let mut world = self.world.lock().unwrap();
                world.received(&messages);
                let bodies: Vec<&str> = messages.iter().map(|message| message.body.as_str()).collect();
                world.note(format!("received {bodies:?}"));
                let share = if world.profile.is_fifo { 0 } else { world.profile.faults.duplicates };
                for message in &messages {
                    if world.chance(share) {
                        world.note(format!("{} is handed out twice", message.body));
                        again.push(VisibilityChange { receipt: message.receipt.clone(), timeout_seconds: 0 });
                    }
                }
            }
            if !again.is_empty() {
                self.inner.change_visibility(&again).await?;
            }
            Ok(messages)
        };
        fate.of(call).await
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<EntryResults<Sent>, QueueError> {
        self.inner.send(messages).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        {
            let mut world = self.world.lock().unwrap();
            let bodies: Vec<String> = receipts.iter().map(|receipt| world.body_of(receipt)).collect();
            world.note(format!("delete {bodies:?}"));
            receipts.iter().for_each(|receipt| world.deletes(receipt));
        }
        let fate = self.fate("delete", |faults| (faults.delete_fails, faults.delete_lost));
        fate.of(self.inner.delete(receipts)).await
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<EntryResults<()>, QueueError> {
        {
            let mut world = self.world.lock().unwrap();
            let bodies: Vec<String> = changes
                .iter()
                .map(|change| format!("{} {} s", world.body_of(&change.receipt), change.timeout_seconds))
                .collect();
            world.note(format!("hide {bodies:?}"));
        }
        let fate = self.fate("hide", |faults| (faults.change_fails, faults.change_lost));
        fate.of(self.inner.change_visibility(changes)).await
    }

    async fn release(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults<()>, QueueError> {
        let now = |receipt: &ReceiptHandle| VisibilityChange { receipt: receipt.clone(), timeout_seconds: 0 };
        let changes: Vec<VisibilityChange> = receipts.iter().map(now).collect();
        let fate = self.fate("release", |faults| (faults.change_fails, faults.change_lost));
        if self.is_remote {
            fate.of(self.inner.change_visibility(&changes)).await
        } else {
            fate.of(self.inner.release(receipts)).await
        }
    }

    async fn dead_letter(&self, letters: Vec<DeadLetter>) -> Result<EntryResults<()>, QueueError> {
        {
            let mut world = self.world.lock().unwrap();
            letters.iter().for_each(|letter| world.buries(&letter.message.body));
        }
        let fate = self.fate("bury", |faults| (faults.bury_fails, 0));
        fate.of(self.inner.dead_letter(letters)).await
    }

    async fn reach(&self, arn: &QueueArn) -> Result<Arc<dyn Queue>, QueueError> {
        self.inner.reach(arn).await
    }
}
