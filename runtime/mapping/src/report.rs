//! What a mapping tells of each batch once its verdicts are in: for logs, the demo and the developer's screen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmill_event::{Fault, Verdict};

/// One batch, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReport {
    /// The mapping's name.
    pub mapping: String,
    /// The invocation's request id.
    pub request_id: String,
    /// From the receive's answer to the verdicts.
    pub duration: Duration,
    /// Why the whole batch failed, if it did.
    pub fault: Option<Fault>,
    /// In the order of the batch.
    pub records: Vec<RecordReport>,
}

/// One record of a batch, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordReport {
    /// The message's id.
    pub message_id: Arc<str>,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// Unix time of its send, in milliseconds.
    pub sent_unix_ms: u64,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Who is told of each batch, after it is settled. It must not block.
#[derive(Clone)]
pub struct Observer(Option<Arc<Tell>>);

type Tell = dyn Fn(&BatchReport) + Send + Sync;

impl Observer {
    /// Calls `tell` for each batch.
    pub fn new(tell: impl Fn(&BatchReport) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Whether anybody is told: else no report need be made.
    pub(crate) fn listens(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(&self, report: &BatchReport) {
        if let Some(tell) = &self.0 {
            tell(report);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
