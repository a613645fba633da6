//! A batch: the messages of one invocation, owned with their receipts and their lease.
//!
//! It is moved along the line, never cloned, so that no record is settled twice and none is dropped unseen.

use std::sync::Arc;

use wasmill_event::Record;
use wasmill_queue::{Message, QueueArn, ReceiptHandle, SystemAttributes};

use crate::lease::{Lease, Terms};
use crate::record;

/// What one receive brought, until it is settled.
#[derive(Debug)]
pub(crate) struct Batch {
    /// What the handler sees; shared with it.
    pub(crate) records: Arc<Vec<Record>>,
    /// Per record, what is needed to settle it.
    pub(crate) held: Vec<Held>,
    pub(crate) lease: Lease,
}

/// One message's receipt and what the queue said of it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) receipt: ReceiptHandle,
    pub(crate) system: SystemAttributes,
}

impl Batch {
    pub(crate) fn new(messages: Vec<Message>, arn: &QueueArn, terms: Terms) -> Self {
        let held: Vec<Held> = messages
            .iter()
            .map(|message| Held { receipt: message.receipt.clone(), system: message.system.clone() })
            .collect();
        let receipts = held.iter().map(|held| held.receipt.clone()).collect();
        let records: Vec<Record> = messages.into_iter().map(|message| record::from_message(message, arn)).collect();
        Self { records: Arc::new(records), held, lease: Lease::new(receipts, terms) }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}
