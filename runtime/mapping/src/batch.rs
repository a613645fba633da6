//! A batch: the messages of one invocation, owned with their receipts and their lease.
//!
//! It is moved along the line, never cloned, so that no record is settled twice and none is dropped unseen.

use std::sync::Arc;

use wasmill_event::{LAMBDA_FRAME_BYTES, Record, lambda_record_bytes};
use wasmill_queue::{Message, QueueArn, ReceiptHandle, SystemAttributes};

use crate::lease::{Lease, Terms};
use crate::record::{self, Origin};
use crate::renewal::Leases;

/// What one invocation is about, until it is settled.
#[derive(Debug)]
pub(crate) struct Batch {
    /// What the handler sees; shared with it.
    pub(crate) records: Arc<Vec<Record>>,
    /// Per record, what is needed to settle it.
    pub(crate) held: Vec<Held>,
    pub(crate) lease: Lease,
}

/// Messages on their way into a batch.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) records: Vec<Record>,
    pub(crate) held: Vec<Held>,
    pub(crate) lease: Lease,
    /// No less than the records take in an event.
    bytes_at_most: usize,
    /// How many of the first records were measured, and what they take to the byte.
    measured: (usize, usize),
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

impl Gathered {
    /// What one receive brought, leased from here on.
    pub(crate) fn new(messages: Vec<Message>, arn: &QueueArn, terms: Terms, leases: &Leases) -> Self {
        let lease = Lease::begin(leases, messages.iter().map(|message| message.receipt.clone()), terms);
        let bytes_at_most = messages.iter().map(longest_json_bytes).sum();
        let origin = Origin::new(arn);
        let (mut held, mut records) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
        for message in messages {
            let (record, receipt, system) = record::from_message(message, &origin);
            records.push(record);
            held.push(Held { receipt, system });
        }
        Self { records, held, lease, bytes_at_most, measured: (0, 0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes over another's messages, behind its own.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.measured.0 == self.len() {
            self.measured = (self.len() + other.measured.0, self.measured.1 + other.measured.1);
        }
        self.records.append(&mut other.records);
        self.held.append(&mut other.held);
        self.lease.append(other.lease);
        self.bytes_at_most += other.bytes_at_most;
    }

    /// Splits off those that `goes` says, by index. The order is kept on both sides.
    pub(crate) fn split(&mut self, goes: impl Fn(usize) -> bool) -> Self {
        let lease = self.lease.split(&goes);
        let held = extract(&mut self.held, &goes);
        let records = extract(&mut self.records, &goes);
        self.measured = (0, 0);
        Self { records, held, lease, bytes_at_most: self.bytes_at_most, measured: (0, 0) }
    }

    /// True when the records do not fit into one event. They are measured only when that is near.
    pub(crate) fn is_too_long(&mut self, windowed: bool) -> bool {
        if self.bytes_at_most >= EVENT_MAX_BYTES && self.measured.0 < self.len() {
            let (records, bytes) = self.measured;
            let more: usize = self.records[records..].iter().map(|record| lambda_record_bytes(record, windowed)).sum();
            self.measured = (self.len(), bytes + more);
            self.bytes_at_most = LAMBDA_FRAME_BYTES + bytes + more;
        }
        self.bytes_at_most >= EVENT_MAX_BYTES
    }

    /// How many more records like those that are here the event has room for: one at least.
    pub(crate) fn room(&self) -> usize {
        let average = self.bytes_at_most / self.len().max(1);
        EVENT_MAX_BYTES.saturating_sub(self.bytes_at_most) / average.max(1) + 1
    }

    /// Cuts off what is beyond `max_records` or would make the event 6 MiB or longer. The order is kept; a record that is too
    /// long by itself stands alone. None when all of it fits.
    pub(crate) fn cut(&mut self, max_records: usize, windowed: bool) -> Option<Self> {
        let mut fitting = self.len().min(max_records);
        if self.is_too_long(windowed) {
            let mut bytes = LAMBDA_FRAME_BYTES;
            let lengths = self.records.iter().take(fitting).map(|record| lambda_record_bytes(record, windowed));
            let fit = lengths.take_while(|length| {
                bytes += length;
                bytes < EVENT_MAX_BYTES
            });
            fitting = fit.count().max(1);
        }
        if fitting >= self.len() {
            return None;
        }
        let rest = self.split(|index| index >= fitting);
        if !rest.is_empty() { Some(rest) } else { None }
    }

    pub(crate) fn seal(self) -> Batch {
        Batch { records: Arc::new(self.records), held: self.held, lease: self.lease }
    }
}

fn extract<T>(items: &mut Vec<T>, goes: &impl Fn(usize) -> bool) -> Vec<T> {
    let mut index = 0;
    items
        .extract_if(.., |_| {
            index += 1;
            goes(index - 1)
        })
        .collect()
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Each record's message group, in order.
    pub(crate) fn groups(&self) -> Vec<Option<&str>> {
        self.held.iter().map(|held| held.system.group_id.as_deref()).collect()
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
    use wasmill_event::lambda_event;
    use wasmill_queue::{MessageId, Timeline};

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

    /// Everything, cut into batches.
    fn cut(bodies: impl IntoIterator<Item = String>) -> Vec<Gathered> {
        let timeout = Duration::from_secs(30);
        let terms = Terms {
            received_at: Instant::now(),
            queue_visibility: timeout,
            lease_visibility: timeout,
            max_receive_count: None,
        };
        let messages = bodies.into_iter().map(message).collect();
        let mut rest =
            Some(Gathered::new(messages, &QueueArn::new("us-east-1", "0", "q"), terms, &Leases::new(Timeline::real())));
        let mut batches = Vec::new();
        while let Some(mut gathered) = rest {
            rest = gathered.cut(10, true);
            assert_eq!((gathered.lease.len(), gathered.records.len()), (gathered.len(), gathered.len()));
            batches.push(gathered);
        }
        batches
    }

    #[tokio::test]
    async fn ten_small_messages_are_one_batch_and_eleven_are_two() {
        assert_eq!(cut((0..10).map(|n| n.to_string())).iter().map(Gathered::len).collect::<Vec<_>>(), [10]);
        assert_eq!(cut((0..11).map(|n| n.to_string())).iter().map(Gathered::len).collect::<Vec<_>>(), [10, 1]);
    }

    #[tokio::test]
    async fn an_event_is_cut_before_six_mebibytes_and_no_record_is_lost() {
        let mebibyte = "x".repeat(1 << 20);
        let batches = cut(std::iter::repeat_n(mebibyte, 10));
        assert_eq!(batches.iter().map(Gathered::len).collect::<Vec<_>>(), [5, 5]);
        for batch in &batches {
            assert!(lambda_event(&batch.records, true).len() < EVENT_MAX_BYTES);
        }
    }

    #[tokio::test]
    async fn the_cut_is_at_the_last_byte() {
        let one = |bytes: usize| vec!["a".repeat(1 << 20), "b".repeat(bytes)];
        let bodies = |last: usize| std::iter::repeat_n("a".repeat(1 << 20), 5).chain(one(last).pop());
        let frame = {
            let all = cut(bodies(1));
            lambda_event(&all[0].records, true).len() - 1
        };
        let longest = EVENT_MAX_BYTES - 1 - frame;
        // The closing comma of the last record is counted, so the cut may come one byte early, never late.
        for (bytes, batches) in [(longest - 1, 1), (longest + 1, 2)] {
            assert_eq!(cut(bodies(bytes)).len(), batches, "{bytes}");
        }
    }

    #[tokio::test]
    async fn what_is_gathered_is_too_long_when_the_event_is_and_not_before() {
        let terms = {
            let timeout = Duration::from_secs(30);
            Terms {
                received_at: Instant::now(),
                queue_visibility: timeout,
                lease_visibility: timeout,
                max_receive_count: None,
            }
        };
        let (leases, arn) = (Leases::new(Timeline::real()), QueueArn::new("us-east-1", "0", "q"));
        let some = |bytes: usize| Gathered::new(vec![message("x".repeat(bytes)); 10], &arn, terms, &leases);
        let mut gathered = some(30_000);
        while !gathered.is_too_long(true) {
            assert!(lambda_event(&gathered.records, true).len() < EVENT_MAX_BYTES);
            assert!(gathered.room() > 0);
            gathered.append(some(30_000));
        }
        assert!(lambda_event(&gathered.records, true).len() >= EVENT_MAX_BYTES);
        let mut rest = gathered.cut(10_000, true).unwrap();
        assert_eq!((gathered.is_too_long(true), rest.is_too_long(true)), (false, false));
        assert_eq!(gathered.len() + rest.len(), 210);
    }

    #[tokio::test]
    async fn a_record_that_is_too_long_by_itself_stands_alone() {
        // Each of these characters takes six bytes in JSON.
        let batches = cut(["a".to_owned(), "\u{1}".repeat(1 << 20), "b".to_owned()]);
        assert_eq!(batches.iter().map(Gathered::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(batches.get(1).unwrap().records[0].body.len() == 1 << 20);
    }
}
