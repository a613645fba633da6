//! The trip of one batch on one screen: invoked, judged, settled.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wasmill_event::{Invocation, Payload, Verdict};
use wasmill_queue::Queue;

use crate::batch::Batch;
use crate::invoke::Judge;
use crate::judge::{Judgement, Suspicion};
use crate::mapping::Turn;
use crate::metrics::MappingMetrics;
use crate::permits::Permit;
use crate::report::{BatchReport, Observer, RecordReport};
use crate::settle::{self, Settler};

/// What every trip of a mapping shares.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) function_version: String,
    pub(crate) judge: Judge,
    pub(crate) metrics: MappingMetrics,
    pub(crate) observer: Observer,
    /// Cancelled when held messages must go back at once.
    pub(crate) abandon: CancellationToken,
}

impl Line {
    /// One batch, from its turn to the end of settling.
    pub(crate) async fn trip(self: Arc<Self>, queue: Arc<dyn Queue>, turn: Turn, mut batch: Batch) {
        let _in_flight = self.metrics.batch_began(batch.len());
        let started = Instant::now();
        let invocation = invocation_of(&batch);
        let request_id = invocation.request_id.clone();
        // Held to the end: what is being settled still counts against the function's concurrency.
        let permit = self.permit(&*queue, turn, &mut batch).await;
        let judgement = match permit {
            Some(_) => self.invoke(&*queue, invocation, &mut batch).await,
            None => None,
        };
        let (plan, report) = match judgement {
            Some(judgement) => {
                let report = self.note(request_id, started, &batch, &judgement);
                (settle::plan(&batch, judgement.verdicts, &self.function_version), Some(report))
            }
            None => {
                self.metrics.judged(&vec![Verdict::Release; batch.len()]);
                (settle::plan_release(&batch), None)
            }
        };
        let settler = Settler { queue: &*queue, metrics: &self.metrics, hurry: &self.abandon };
        settler.apply(plan, &mut batch.lease).await;
        self.metrics.settled(started.elapsed());
        if let Some(report) = report {
            self.observer.tell(&report);
        }
    }

    /// The batch's permit, its lease kept while it waits for one. None: it goes back.
    async fn permit(&self, queue: &dyn Queue, turn: Turn, batch: &mut Batch) -> Option<Permit> {
        let permits = match turn {
            Turn::Now(permit) => return Some(permit),
            Turn::Back => return None,
            Turn::Waits(permits) => permits,
        };
        tokio::select! {
            biased;
            () = self.abandon.cancelled() => None,
            permit = permits.acquire() => Some(permit),
            never = batch.lease.keep(queue, &self.metrics) => match never {},
        }
    }

    /// Runs the handler with the lease beside it. None: the handler was stopped, the batch goes back.
    async fn invoke(&self, queue: &dyn Queue, invocation: Invocation, batch: &mut Batch) -> Option<Judgement> {
        tokio::select! {
            biased;
            Ok(judgement) = self.judge.clone().oneshot(invocation) => Some(judgement),
            () = self.abandon.cancelled() => None,
            never = batch.lease.keep(queue, &self.metrics) => match never {},
        }
    }

    /// Counts and logs what was judged, for the report.
    fn note(&self, request_id: String, started: Instant, batch: &Batch, judgement: &Judgement) -> BatchReport {
        self.metrics.judged(&judgement.verdicts);
        if let Some(suspicion) = &judgement.suspicion {
            self.metrics.suspicious();
            match suspicion {
                Suspicion::FailuresIgnored { count } => tracing::error!(
                    mapping = self.name,
                    request_id,
                    count,
                    "the handler reported failures, but the mapping has no ReportBatchItemFailures: they are deleted"
                ),
                Suspicion::MisspeltKey { key } => tracing::warn!(
                    mapping = self.name,
                    request_id,
                    key,
                    "the response has no batchItemFailures but a key like it: the batch counts as success"
                ),
            }
        }
        let records: Vec<RecordReport> = batch
            .records
            .iter()
            .zip(&batch.held)
            .zip(&judgement.verdicts)
            .map(|((record, held), verdict)| RecordReport {
                message_id: record.message_id.clone(),
                receive_count: held.system.receive_count,
                sent_unix_ms: held.system.sent_unix_ms,
                verdict: verdict.clone(),
            })
            .collect();
        let done = judgement.verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count();
        let failed = records.len() - done;
        let duration = started.elapsed();
        match &judgement.fault {
            Some(fault) => tracing::warn!(
                mapping = self.name,
                request_id,
                records = records.len(),
                fault = fault.kind.as_str(),
                reason = fault.message,
                "batch failed"
            ),
            None if failed > 0 => {
                tracing::info!(mapping = self.name, request_id, done, failed, "batch partly failed");
            }
            None => tracing::debug!(mapping = self.name, request_id, done, "batch done"),
        }
        BatchReport { mapping: self.name.clone(), request_id, duration, fault: judgement.fault.clone(), records }
    }
}

fn invocation_of(batch: &Batch) -> Invocation {
    let trace_id = batch.held.first().and_then(|held| held.system.trace_header.clone());
    Invocation {
        request_id: uuid::Uuid::new_v4().to_string(),
        payload: Payload::Batch { records: Arc::clone(&batch.records), windowed: false },
        trace_id,
    }
}
