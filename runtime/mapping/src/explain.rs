//! Why records failed: noted while a batch is run, kept beside its messages before they are settled. A batch that succeeds costs
//! nothing here.

use std::sync::Arc;
use std::time::Duration;

use wasmill_event::{Account, Fault, Told, Verdict};
use wasmill_queue::{FailedAttempt, ReceiptHandle};

use crate::batch::Batch;
use crate::judge::Judgement;

/// What is said of a record that the handler itself gave back.
const ITEM_FAILURE: &str = "item_failure";

/// One invocation that records failed in.
#[derive(Debug)]
struct Why {
    request_id: String,
    duration: Duration,
    fault: Option<Fault>,
    told: Told,
}

/// Per record of a batch, the latest invocation that it failed in.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_record: Vec<Option<Arc<Why>>>,
}

/// An invocation that is under way.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) request_id: String,
    pub(crate) account: Account,
    pub(crate) began: tokio::time::Instant,
}

impl Failures {
    /// Notes the outcome of an invocation of the records at those indexes.
    pub(crate) fn note(&mut self, run: Run, indexes: impl Iterator<Item = usize>, judgement: &Judgement) {
        if judgement.verdicts.iter().all(|verdict| *verdict == Verdict::Done) {
            return;
        }
        let Run { request_id, account, began } = run;
        let (fault, told) = (judgement.fault.clone(), account.take());
        let why = Arc::new(Why { request_id, duration: began.elapsed(), fault, told });
        for (index, _) in indexes.zip(&judgement.verdicts).filter(|(_, verdict)| **verdict != Verdict::Done) {
            if self.by_record.len() <= index {
                self.by_record.resize(index + 1, None);
            }
            self.by_record[index] = Some(Arc::clone(&why));
        }
    }

    /// The failed attempt of a record whose verdict is this; none when it did not fail, or did not run.
    pub(crate) fn attempt(&self, index: usize, verdict: &Verdict, around: &Around<'_>) -> Option<FailedAttempt> {
        let said = match verdict {
            Verdict::Done | Verdict::Release => return None,
            Verdict::Retry { .. } => "the handler gave it back".to_owned(),
            Verdict::DeadLetter { reason } => format!("the handler gave it up: {reason}"),
        };
        let why = self.by_record.get(index)?.as_ref()?;
        let (kind, message) = match &why.fault {
            Some(fault) => (fault.kind.as_str(), fault.message.clone()),
            None => (ITEM_FAILURE, said),
        };
        let code = why.told.code.as_deref();
        Some(FailedAttempt {
            ended_unix_ms: around.ended_unix_ms,
            duration_ms: u64::try_from(why.duration.as_millis()).unwrap_or(u64::MAX),
            receive_count: around.batch.held.get(index).map_or(0, |held| held.system.receive_count),
            request_id: why.request_id.clone(),
            function: around.function.to_owned(),
            function_version: code.map_or(around.function_version, |code| code.version.as_str()).to_owned(),
            code_sha256: code.map(|code| code.sha256.clone()).unwrap_or_default(),
            kind: kind.to_owned(),
            message,
            backtrace: why.told.backtrace.clone(),
            log_tail: why.told.log_tail.clone(),
        })
    }

    /// The failed attempts of a whole batch, by record.
    pub(crate) fn attempts<'a>(
        &self,
        verdicts: &[Verdict],
        around: impl FnOnce() -> Around<'a>,
    ) -> Vec<Option<FailedAttempt>> {
        if self.by_record.is_empty() {
            return Vec::new();
        }
        let around = around();
        verdicts.iter().enumerate().map(|(index, verdict)| self.attempt(index, verdict, &around)).collect()
    }
}

/// What every failed attempt of a batch has in common.
pub(crate) struct Around<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) function: &'a str,
    pub(crate) function_version: &'a str,
    pub(crate) ended_unix_ms: u64,
}

/// What the queue is to keep of a batch.
pub(crate) fn to_keep(batch: &Batch, attempts: &[Option<FailedAttempt>]) -> Vec<(ReceiptHandle, FailedAttempt)> {
    let rows = batch.held.iter().zip(attempts);
    rows.filter_map(|(held, attempt)| Some((held.receipt.clone(), attempt.clone()?))).collect()
}
