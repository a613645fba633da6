//! What becomes of messages between their receive and a batch: those that were done before and those that no filter
//! matches are set aside; the others go on.

use std::sync::Arc;
use std::time::Duration;

use wasmill_queue::{Message, OutgoingMessage, Queue, QueueArn, ReceiptHandle};

use crate::batch::Gathered;
use crate::filter::Filters;
use crate::lease::Terms;
use crate::metrics::{MappingMetrics, SettleStep};
use crate::record;
use crate::remember::Remembered;
use crate::renewal::Leases;
use crate::settle::Settler;

/// What becomes of a message that no filter matches (`on_filtered`).
#[derive(Clone, Default)]
pub enum OnFiltered {
    /// It is deleted, as Lambda does (esm-semantics §5.2).
    #[default]
    Delete,
    /// It stays in the queue, and returns when its visibility timeout ends.
    Keep,
    /// It is sent to another queue, then deleted.
    Forward(Arc<dyn Queue>),
}

impl std::fmt::Debug for OnFiltered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delete => f.write_str("Delete"),
            Self::Keep => f.write_str("Keep"),
            Self::Forward(queue) => write!(f, "Forward({})", queue.arn()),
        }
    }
}

/// Sorts what is received.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) filters: Filters,
    pub(crate) on_filtered: OnFiltered,
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) leases: Leases,
    pub(crate) metrics: MappingMetrics,
}

/// What goes on, and what does not.
#[derive(Debug)]
pub(crate) struct Sorted {
    pub(crate) gathered: Gathered,
    /// Judged done at an earlier delivery.
    pub(crate) done_before: Option<Gathered>,
    pub(crate) filtered: Option<Gathered>,
}

impl Intake {
    /// Takes what one receive brought; the lease begins here.
    pub(crate) fn sort(&self, messages: Vec<Message>, arn: &QueueArn, terms: Terms) -> Sorted {
        self.metrics.received(messages.len());
        let mut gathered = Gathered::new(messages, arn, terms, &self.leases);
        let done_before = if self.remembered.is_empty() {
            None
        } else {
            let done: Vec<bool> =
                gathered.records.iter().map(|record| self.remembered.holds(&record.message_id)).collect();
            take(&mut gathered, &done)
        };
        let filtered = if self.filters.is_empty() {
            None
        } else {
            let matches: Vec<Option<usize>> =
                gathered.records.iter().map(|record| self.filters.first_match(record)).collect();
            self.metrics.matched(&matches);
            take(&mut gathered, &matches.iter().map(Option::is_none).collect::<Vec<_>>())
        };
        Sorted { gathered, done_before, filtered }
    }

    /// Settles what was set aside.
    pub(crate) async fn put_aside(
        &self,
        settler: Settler<'_>,
        done_before: Option<Gathered>,
        filtered: Option<Gathered>,
    ) {
        if let Some(done) = done_before {
            tracing::info!(
                mapping = self.metrics.mapping(),
                messages = done.len(),
                "done at an earlier delivery and not deleted then: deleted now, without a second run"
            );
            self.delete(settler, &done).await;
        }
        let Some(mut filtered) = filtered else { return };
        match &self.on_filtered {
            OnFiltered::Delete => self.delete(settler, &filtered).await,
            OnFiltered::Keep => filtered.lease.settle(|_| false).await,
            OnFiltered::Forward(to) => {
                self.forward(settler, &**to, &mut filtered).await;
                self.delete(settler, &filtered).await;
            }
        }
    }

    async fn delete(&self, settler: Settler<'_>, gathered: &Gathered) {
        gathered.lease.settle(|_| true).await;
        let receipts: Vec<ReceiptHandle> = gathered.held.iter().map(|held| held.receipt.clone()).collect();
        let undeleted = settler.delete(receipts).await;
        for record in &gathered.records {
            if !undeleted.iter().any(|receipt| receipt.as_str() == &*record.receipt_handle) {
                self.remembered.forget(&record.message_id);
            }
        }
    }

    /// Sends messages on, and leaves those to be deleted that arrived. The others return by their visibility timeout.
    async fn forward(&self, settler: Settler<'_>, to: &dyn Queue, gathered: &mut Gathered) {
        let is_fifo = to.attributes().await.is_ok_and(|attributes| attributes.fifo);
        let messages = gathered.records.iter().zip(&gathered.held).map(|(record, held)| {
            let message = record::to_message(record, &held.system);
            OutgoingMessage {
                body: message.body,
                delay_seconds: None,
                attributes: message.attributes,
                trace_header: message.system.trace_header,
                // A FIFO queue needs both; the id makes a message that is forwarded twice one.
                group_id: message.system.group_id.or_else(|| is_fifo.then(|| "filtered".to_owned())),
                deduplication_id: is_fifo.then(|| message.id.to_string()),
            }
        });
        let messages: Vec<OutgoingMessage> = messages.collect();
        let arrived: Vec<bool> = match tokio::time::timeout(FORWARD_MAX, to.send(messages)).await {
            Ok(Ok(results)) => results.iter().map(Result::is_ok).collect(),
            _ => vec![false; gathered.len()],
        };
        let missing = arrived.iter().filter(|arrived| !**arrived).count();
        if missing > 0 {
            settler.metrics.settle_failed(SettleStep::Forward, missing);
            tracing::error!(
                mapping = self.metrics.mapping(),
                queue = %to.arn(),
                messages = missing,
                "filtered messages could not be forwarded: they return by their visibility timeout"
            );
            let stays = gathered.split(|index| !arrived[index]);
            stays.lease.settle(|_| false).await;
        }
    }
}

/// The longest that a forward may take.
const FORWARD_MAX: Duration = Duration::from_secs(30);

fn take(gathered: &mut Gathered, goes: &[bool]) -> Option<Gathered> {
    goes.contains(&true).then(|| gathered.split(|index| goes[index]))
}
