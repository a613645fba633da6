//! A batch: the messages of one invocation, owned with their receipts and their lease.
//!
//! It is moved along the line, never cloned, so that no record is settled twice and none is dropped unseen.

use std::sync::Arc;

use wasmill_event::{Record, lambda_event};
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

/// Lambda's limit for an event, metadata included (esm-semantics §4).
const EVENT_MAX_BYTES: usize = 6 << 20;
/// No byte of a message is longer than this in JSON.
const ESCAPED_BYTE_MAX: usize = 6;
/// What a record costs beside its texts, generously.
const RECORD_FRAME_BYTES: usize = 2048;

impl Batch {
    /// What one receive brought, cut where the event would grow over 6 MiB. The order is kept; a record that is too long
    /// by itself stands alone. Never empty when `messages` is not.
    pub(crate) fn split(messages: Vec<Message>, arn: &QueueArn, terms: Terms) -> Vec<Self> {
        let mut batches = Vec::with_capacity(1);
        let mut current: Vec<(Held, Record)> = Vec::with_capacity(messages.len());
        let surely_fits = messages.iter().map(longest_json_bytes).sum::<usize>() < EVENT_MAX_BYTES;
        let mut current_bytes = 0;
        for message in messages {
            let held = Held { receipt: message.receipt.clone(), system: message.system.clone() };
            let record = record::from_message(message, arn);
            let bytes = if surely_fits { 0 } else { lambda_event(std::slice::from_ref(&record), false).len() };
            if !current.is_empty() && current_bytes + bytes >= EVENT_MAX_BYTES {
                batches.push(Self::new(std::mem::take(&mut current), terms));
                current_bytes = 0;
            }
            current_bytes += bytes;
            current.push((held, record));
        }
        if !current.is_empty() {
            batches.push(Self::new(current, terms));
        }
        batches
    }

    fn new(messages: Vec<(Held, Record)>, terms: Terms) -> Self {
        let (held, records): (Vec<Held>, Vec<Record>) = messages.into_iter().unzip();
        let receipts = held.iter().map(|held| held.receipt.clone()).collect();
        Self { records: Arc::new(records), held, lease: Lease::new(receipts, terms) }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

/// No less than the message takes in an event, without writing it.
fn longest_json_bytes(message: &Message) -> usize {
    let attributes: usize =
        message.attributes.iter().map(|a| a.name.len() + a.data_type.len() + a.value.as_bytes().len()).sum();
    (message.body.len() + attributes) * ESCAPED_BYTE_MAX + RECORD_FRAME_BYTES
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use tokio::time::Instant;
    use wasmill_queue::{MessageId, SystemAttributes};

    use super::*;

    fn message(body: String) -> Message {
        Message {
            id: MessageId::new("059f36b4-87a3-44ab-83d2-661975830a7d"),
            receipt: ReceiptHandle::new("r"),
            body,
            md5_of_body: "e4e68fb7bd0e697a0ae8f1bb342846b3".into(),
            system: SystemAttributes::default(),
            attributes: Vec::new(),
        }
    }

    fn split(bodies: impl IntoIterator<Item = String>) -> Vec<Batch> {
        let timeout = Duration::from_secs(30);
        let terms = Terms { received_at: Instant::now(), queue_visibility: timeout, lease_visibility: timeout };
        Batch::split(bodies.into_iter().map(message).collect(), &QueueArn::new("us-east-1", "0", "q"), terms)
    }

    #[tokio::test]
    async fn ten_small_messages_are_one_batch() {
        assert_eq!(split((0..10).map(|n| n.to_string())).iter().map(Batch::len).collect::<Vec<_>>(), [10]);
    }

    #[tokio::test]
    async fn an_event_is_cut_before_six_mebibytes_and_no_record_is_lost() {
        let mebibyte = "x".repeat(1 << 20);
        let batches = split(std::iter::repeat_n(mebibyte, 10));
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [5, 5]);
        for batch in &batches {
            assert!(lambda_event(&batch.records, true).len() < EVENT_MAX_BYTES);
        }
    }

    #[tokio::test]
    async fn a_record_that_is_too_long_by_itself_stands_alone() {
        // Each of these characters takes six bytes in JSON.
        let bodies = ["a".to_owned(), "\u{1}".repeat(1 << 20), "b".to_owned()];
        let batches = split(bodies);
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(batches.get(1).unwrap().records[0].body.len() == 1 << 20);
    }
}
