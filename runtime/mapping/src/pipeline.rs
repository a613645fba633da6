//! The trip of one batch on one screen: invoked, judged, settled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmill_event::{Account, FaultKind, Invocation, Payload, Record, Verdict};
use wasmill_queue::{Clock, Queue};

use crate::batch::{Batch, Held};
use crate::bisect;
use crate::explain::{self, Around, Failures, Run};
use crate::fifo::{self, FifoOrder};
use crate::invoke::Judge;
use crate::judge::{Judgement, Suspicion};
use crate::mapping::Turn;
use crate::metrics::MappingMetrics;
use crate::permits::{MappingPermits, Permit};
use crate::remember::Remembered;
use crate::report::{BatchReport, Observer, RecordReport};
use crate::retry::RetryPolicy;
use crate::route::{Callee, Copy, Route};
use crate::settle::{self, Manner, Settler, Settling};
use crate::traced::{BatchTrace, Open, Tracing};
use crate::witness::Witness;

/// How long a batch is held that leads nowhere, before it goes back.
const NOWHERE_PAUSE: Duration = Duration::from_secs(1);

/// What every trip of a mapping shares.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) retry_policy: RetryPolicy,
    /// See [`MappingOptions`](crate::MappingOptions).
    pub(crate) dead_letters_last_attempts: bool,
    pub(crate) judge: Judge,
    pub(crate) windowed: bool,
    /// Without partial responses a failing function backs off.
    pub(crate) reports_item_failures: bool,
    /// Most invocations to find what a handler crashes on; 0: it is not looked for.
    pub(crate) bisect_max_invocations: u32,
    pub(crate) fifo_order: FifoOrder,
    pub(crate) is_fifo: bool,
    pub(crate) permits: MappingPermits,
    pub(crate) settling: Settling,
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) witness: Witness,
    pub(crate) metrics: MappingMetrics,
    pub(crate) observer: Observer,
    /// None: there are no traces.
    pub(crate) tracing: Option<Tracing>,
    /// For when things ended, beside the queue's own times.
    pub(crate) clock: Clock,
    /// Cancelled when held messages must go back at once.
    pub(crate) abandon: CancellationToken,
}

impl Line {
    /// One batch, from its turn to the end of settling.
    pub(crate) async fn trip(self: Arc<Self>, queue: Arc<dyn Queue>, turn: Turn, batch: Batch) {
        let _in_flight = self.metrics.batch_began(batch.len());
        let started = Instant::now();
        let mut traced = self.tracing.as_ref().map(|tracing| tracing.begin(&batch));
        let permit = self.permit(turn).await;
        // Here it begins, and here is decided in which version.
        let callee = permit.as_ref().and_then(|_| self.route.draw());
        let being_handled =
            callee.as_ref().map(|_| self.witness.enter(batch.records.iter().map(|record| &*record.message_id)));
        let judged = match &callee {
            Some(callee) => tokio::select! {
                biased;
                judged = self.judged(callee, &batch, started, traced.as_ref()) => Some((callee, judged)),
                () = self.abandon.cancelled() => None,
            },
            None => None,
        };
        drop(being_handled);
        if callee.is_none() && permit.is_some() {
            // It goes back at once and would be received again: the permit is kept, so that this is no loop.
            tokio::select! {
                () = self.abandon.cancelled() => {}
                () = tokio::time::sleep(NOWHERE_PAUSE) => {}
            }
        }
        // The function's concurrency is its invocations': while this batch is settled the next may run.
        let settling = tokio::select! {
            biased;
            settling = self.settling.enter(self.permits.most()) => settling,
            () = self.abandon.cancelled() => None,
        };
        drop(permit);
        let (plan, report) = match judged {
            Some((callee, (mut judgement, failures, report))) => {
                let manner = Manner {
                    function_version: &callee.version,
                    retry_policy: self.retry_policy,
                    dead_letters_last_attempts: self.dead_letters_last_attempts,
                };
                let attempts = failures.attempts(&judgement.verdicts, || self.around(&batch, &callee.version));
                settle::give_up_last_attempts(&batch, &mut judgement.verdicts, &attempts, manner);
                if let Some(traced) = &mut traced {
                    traced.judged(&judgement.verdicts, judgement.fault.as_ref());
                }
                // First no renewal may come any more: the plan goes by which messages had one.
                let goes = |verdict: &Verdict| matches!(verdict, Verdict::Done | Verdict::DeadLetter { .. });
                batch.lease.settle(|index| judgement.verdicts.get(index).is_some_and(goes)).await;
                let to_keep = explain::to_keep(&batch, &attempts);
                if !to_keep.is_empty() {
                    queue.explain(to_keep).await;
                }
                (settle::plan(&batch, judgement.verdicts, attempts, manner), report)
            }
            None => {
                let verdicts = vec![Verdict::Release; batch.len()];
                self.metrics.judged(&verdicts);
                if let Some(traced) = &mut traced {
                    traced.judged(&verdicts, None);
                }
                (settle::plan_release(&batch), None)
            }
        };
        let ended = plan.ended();
        let span = traced.as_ref().and_then(|traced| traced.settling(&plan));
        let refused = self.settler(&*queue).apply(plan, &batch, &self.remembered).await;
        if let Some(span) = span {
            span.settled(refused);
        }
        drop((settling, traced));
        self.count_settled(&batch, &ended);
        if let Some(report) = report {
            self.observer.tell(&report);
        }
    }

    /// How long it took: since each message was received, and since it was sent where this was its end.
    fn count_settled(&self, batch: &Batch, ended: &[usize]) {
        let now = batch.lease.now();
        for index in 0..batch.len() {
            if let Some(terms) = batch.lease.terms(index) {
                self.metrics.settled(now.saturating_duration_since(terms.received_at));
            }
        }
        if !ended.is_empty() {
            let unix_ms = self.clock.now().unix_ms;
            self.metrics.ended(unix_ms, ended.iter().map(|index| batch.held[*index].system.sent_unix_ms));
        }
    }

    pub(crate) fn settler<'a>(&'a self, queue: &'a dyn Queue) -> Settler<'a> {
        Settler { queue, retry_policy: self.retry_policy, metrics: &self.metrics, hurry: &self.abandon }
    }

    /// The batch's permit; its lease is kept while it waits for one. None: it goes back.
    async fn permit(&self, turn: Turn) -> Option<Permit> {
        match turn {
            // What was received in the last moment does not begin to run.
            Turn::Now(permit) => Some(permit).filter(|_| !self.abandon.is_cancelled()),
            Turn::Back => None,
            Turn::Waits => tokio::select! {
                biased;
                () = self.abandon.cancelled() => None,
                permit = self.permits.acquire_in_hand() => Some(permit),
            },
        }
    }

    /// Runs the handler, and once more for parts of the batch when it crashed.
    async fn judged(
        &self,
        callee: &Callee,
        batch: &Batch,
        started: Instant,
        traced: Option<&BatchTrace>,
    ) -> (Judgement, Failures, Option<BatchReport>) {
        let (invocation, span) = self.invocation(callee, Arc::clone(&batch.records), batch.held.first(), traced);
        let request_id = invocation.request_id.clone();
        let run = run_of(&invocation);
        let copy = Copy::begin(callee.shadow.as_ref(), &invocation);
        let mut judgement = self.run(callee, invocation, span).await;
        if let Some(copy) = copy {
            let ids = batch.records.iter().map(|record| Arc::clone(&record.message_id)).collect();
            copy.compare(&self.name, &request_id, ids, self.reports_item_failures, &judgement);
        }
        let mut failures = Failures::default();
        failures.note(run, 0..batch.len(), &judgement);
        self.adjust_concurrency(&judgement);
        let crashed = judgement.fault.as_ref().is_some_and(bisect::is_crash);
        if crashed && batch.len() > 1 && self.bisect_max_invocations > 0 {
            let noted = Mutex::new(failures);
            judgement.verdicts = self.isolate(callee, batch, &request_id, &noted, traced).await;
            failures = noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_fifo && self.fifo_order == FifoOrder::Enforce && (judgement.fault.is_none() || crashed) {
            fifo::enforce(&batch.groups(), &mut judgement.verdicts);
        }
        if let Some(tally) = &callee.tally {
            tally.judged(judgement.fault.as_ref(), &judgement.verdicts);
        }
        let report = self.note(callee, request_id, started, batch, &judgement);
        (judgement, failures, report)
    }

    fn around<'a>(&'a self, batch: &'a Batch, function_version: &'a str) -> Around<'a> {
        Around { batch, function: self.metrics.function(), function_version, ended_unix_ms: self.clock.now().unix_ms }
    }

    /// A failing function backs off: once per batch, however often parts of it were run.
    fn adjust_concurrency(&self, judgement: &Judgement) {
        match &judgement.fault {
            Some(fault) if !self.reports_item_failures || fault.kind == FaultKind::Host => self.permits.shrink(),
            Some(_) => {}
            None => self.permits.grow(),
        }
    }

    /// Finds what the handler crashes on; the verdicts of all.
    async fn isolate(
        &self,
        callee: &Callee,
        batch: &Batch,
        request_id: &str,
        failures: &Mutex<Failures>,
        traced: Option<&BatchTrace>,
    ) -> Vec<Verdict> {
        let groups = batch.groups();
        let groups = (self.is_fifo && self.fifo_order == FifoOrder::Enforce).then_some(groups.as_slice());
        let most = self.bisect_max_invocations;
        let found = bisect::isolate(batch.len(), groups, most, |indexes| {
            let records = indexes.iter().map(|index| batch.records[*index].clone()).collect();
            let first = indexes.first().map(|index| &batch.held[*index]);
            let (invocation, span) = self.invocation(callee, Arc::new(records), first, traced);
            let run = run_of(&invocation);
            async move {
                let judgement = self.run(callee, invocation, span).await;
                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.note(run, indexes.into_iter(), &judgement);
                judgement
            }
        })
        .await;
        self.metrics.bisected(found.invocations, found.culprits.len());
        for index in &found.culprits {
            tracing::warn!(
                mapping = self.name,
                request_id,
                message_id = &*batch.records[*index].message_id,
                receive_count = batch.held[*index].system.receive_count,
                "the handler crashes on this message: the others of its batch were handled without it"
            );
        }
        if !found.is_complete {
            tracing::warn!(
                mapping = self.name,
                request_id,
                invocations = found.invocations,
                "bisect_max_invocations reached: what had not run yet fails with the batch"
            );
        }
        found.verdicts
    }

    /// A call of the handler, and its span. The handler is told of its span; without traces of what the first record's producer said.
    fn invocation(
        &self,
        callee: &Callee,
        records: Arc<Vec<Record>>,
        first: Option<&Held>,
        traced: Option<&BatchTrace>,
    ) -> (Invocation, Option<Open>) {
        let request_id = uuid::Uuid::new_v4().to_string();
        let (trace, span) = match traced.map(|traced| traced.invocation(&request_id, &callee.version, records.len())) {
            Some((trace, span)) => (Some(trace), span),
            None => (None, None),
        };
        let trace_id = match &trace {
            Some(trace) => Some(trace.context.xray()),
            None => first.and_then(|held| held.system.trace_header.clone()),
        };
        let payload = Payload::Batch { records, windowed: self.windowed };
        (Invocation { request_id, payload, trace_id, trace, account: Account::default() }, span)
    }

    /// Runs the handler once.
    async fn run(&self, callee: &Callee, invocation: Invocation, span: Option<Open>) -> Judgement {
        let judgement = self.judge.invoke(callee, invocation).await;
        if let Some(span) = span {
            span.invoked(judgement.fault.as_ref());
        }
        judgement
    }

    /// Counts and logs what was judged; a report of it for whoever is told.
    fn note(
        &self,
        callee: &Callee,
        request_id: String,
        started: Instant,
        batch: &Batch,
        judgement: &Judgement,
    ) -> Option<BatchReport> {
        let version = &*callee.version;
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
        let done = judgement.verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count();
        let failed = batch.len() - done;
        match &judgement.fault {
            Some(fault) => tracing::warn!(
                mapping = self.name,
                request_id,
                version,
                records = batch.len(),
                fault = fault.kind.as_str(),
                reason = fault.message,
                "batch failed"
            ),
            None if failed > 0 => {
                tracing::info!(mapping = self.name, request_id, version, done, failed, "batch partly failed");
            }
            None => tracing::debug!(mapping = self.name, request_id, version, done, "batch done"),
        }
        self.observer.listens().then(|| BatchReport {
            mapping: self.name.clone(),
            request_id,
            duration: started.elapsed(),
            fault: judgement.fault.clone(),
            records: record_reports(batch, &judgement.verdicts),
        })
    }
}

fn run_of(invocation: &Invocation) -> Run {
    let (request_id, account) = (invocation.request_id.clone(), invocation.account.clone());
    Run { request_id, account, began: Instant::now() }
}

fn record_reports(batch: &Batch, verdicts: &[Verdict]) -> Vec<RecordReport> {
    let rows = batch.records.iter().zip(&batch.held).zip(verdicts);
    rows.map(|((record, held), verdict)| RecordReport {
        message_id: Arc::clone(&record.message_id),
        receive_count: held.system.receive_count,
        sent_unix_ms: held.system.sent_unix_ms,
        verdict: verdict.clone(),
    })
    .collect()
}
