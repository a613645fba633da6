//! The built-in queue's verbs, in memory and on disk: ten messages at a time, as a client of the SQS API would.
//!
//! What a receive changes is written within 10 ms, together with whatever else comes in that time. On disk it is therefore one
//! large receive, as a mapping does it, and the writing is waited for.

use std::path::Path;
use std::time::Duration;

use wasmill_queue::{
    AttributeValue, Broker, LocalQueue, MessageAttribute, OutgoingMessage, Queue, ReceiptHandle, ReceiveRequest,
    VisibilityChange,
};

use crate::{Outcome, broker, counted};

const MESSAGES: usize = 1_000;
const BATCH: usize = 10;
const VISIBILITY_SECONDS: u32 = 3600;
const BODY_BYTES: usize = 256;

/// A runtime of one thread with a queue in which nothing comes back while it is counted.
struct Bench {
    runtime: tokio::runtime::Runtime,
    broker: Broker,
    queue: LocalQueue,
}

impl Bench {
    fn open(folder: Option<&Path>) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (broker, queue) = runtime.block_on(async {
            let broker = broker::open(folder, &prometheus::Registry::new()).await?;
            let attributes = [("VisibilityTimeout".to_owned(), VISIBILITY_SECONDS.to_string())];
            let queue = broker.create_queue("counts", &attributes, &[]).await?;
            Outcome::Ok((broker, queue))
        })?;
        Ok(Self { runtime, broker, queue })
    }

    fn send(&self, batches: Vec<Vec<OutgoingMessage>>) -> Outcome<()> {
        self.runtime.block_on(async {
            for batch in batches {
                for sent in self.queue.send(batch).await? {
                    sent?;
                }
            }
            Ok(())
        })
    }

    /// Receives all messages, so many at a time, and waits until nothing is left to be written.
    fn receive(&self, batch: usize) -> Outcome<Vec<ReceiptHandle>> {
        self.runtime.block_on(async {
            let mut receipts = Vec::with_capacity(MESSAGES);
            for _ in 0..MESSAGES / batch {
                let request = ReceiveRequest {
                    max_messages: batch.try_into()?,
                    wait: Duration::ZERO,
                    visibility_timeout_seconds: None,
                    attempt_id: None,
                };
                receipts.extend(self.queue.receive(request).await?.into_iter().map(|message| message.receipt));
            }
            // What waits for the disk takes along what came before it.
            let receipt = receipts.first().ok_or("nothing was received")?.clone();
            let changed = self
                .queue
                .change_visibility(&[VisibilityChange { receipt, timeout_seconds: VISIBILITY_SECONDS }])
                .await?;
            changed.into_iter().collect::<Result<(), _>>()?;
            Ok(receipts)
        })
    }

    fn delete(&self, receipts: &[ReceiptHandle]) -> Outcome<()> {
        self.runtime.block_on(async {
            for batch in receipts.chunks(BATCH) {
                for deleted in self.queue.delete(batch).await? {
                    deleted?;
                }
            }
            Ok(())
        })
    }

    fn close(self) {
        self.runtime.block_on(self.broker.close());
    }
}

/// Sends all messages.
pub(crate) fn send(folder: Option<&Path>) -> Outcome<()> {
    let bench = Bench::open(folder)?;
    // The first batch makes what is made once: prepared statements, threads.
    bench.send(vec![vec![message(); BATCH]])?;
    let mut batches = Some(batches());
    let mut outcome = Ok(());
    counted(&mut || outcome = bench.send(batches.take().unwrap_or_default()));
    bench.close();
    outcome
}

/// Receives all messages.
pub(crate) fn receive(folder: Option<&Path>) -> Outcome<()> {
    let bench = Bench::open(folder)?;
    bench.send(batches())?;
    let batch = if folder.is_some() { MESSAGES } else { BATCH };
    let mut outcome = Ok(Vec::new());
    counted(&mut || outcome = bench.receive(batch));
    bench.close();
    all(&outcome?)
}

/// Deletes all messages.
pub(crate) fn delete(folder: Option<&Path>) -> Outcome<()> {
    let bench = Bench::open(folder)?;
    bench.send(batches())?;
    let receipts = bench.receive(MESSAGES)?;
    let mut outcome = Ok(());
    counted(&mut || outcome = bench.delete(&receipts));
    bench.close();
    outcome?;
    all(&receipts)
}

/// What was counted must have been done.
fn all(receipts: &[ReceiptHandle]) -> Outcome<()> {
    let messages = receipts.len();
    if messages == MESSAGES { Ok(()) } else { Err(format!("{messages} of {MESSAGES} messages").into()) }
}

fn batches() -> Vec<Vec<OutgoingMessage>> {
    vec![vec![message(); BATCH]; MESSAGES / BATCH]
}

/// A small JSON body and one attribute.
fn message() -> OutgoingMessage {
    let attribute = MessageAttribute {
        name: "kind".to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text("order".to_owned()),
    };
    OutgoingMessage {
        body: format!("{:<BODY_BYTES$}", r#"{"order":17,"customer":"Müller","lines":[{"sku":"A-1","count":2}]}"#),
        delay_seconds: None,
        attributes: vec![attribute],
        trace_header: None,
        group_id: None,
        deduplication_id: None,
    }
}
