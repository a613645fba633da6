//! Who a batch goes to: the version of the function that its route leads to when the batch begins.
//!
//! It is asked for once per batch, when its permit is there, so what a swap replaces finishes what it holds and begins
//! nothing more. What is run again of a batch runs in the same version.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use wasmill_event::{Account, Fault, Invocation, Reply, Verdict};

use crate::invoke::Handler;
use crate::judge::{Judgement, judge};
use crate::metrics::Tally;

/// One version of a function, ready to be called.
#[derive(Clone)]
pub struct Callee {
    /// What runs it. It enforces the timeout.
    pub handler: Handler,
    /// `$LATEST` or a number; kept beside dead letters.
    pub version: Arc<str>,
    /// How long it may run.
    pub timeout: Duration,
    /// What counts its batches by version, if anybody asks.
    pub tally: Option<Tally>,
    /// What runs copies of its batches, if anything does.
    pub shadow: Option<Arc<dyn Shadow>>,
}

impl Callee {
    /// A version that nothing is asked about.
    pub fn new(handler: Handler, version: impl Into<Arc<str>>, timeout: Duration) -> Self {
        Self { handler, version: version.into(), timeout, tally: None, shadow: None }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callee").field("version", &self.version).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Leads to a version, another one perhaps each time.
#[derive(Clone)]
pub struct Route(Arc<Draw>);

type Draw = dyn Fn() -> Option<Callee> + Send + Sync;

impl Route {
    /// Asks `draw` for each batch. None: there is nothing to call any more, and the batch goes back.
    pub fn new(draw: impl Fn() -> Option<Callee> + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// Always the same.
    #[must_use]
    pub fn fixed(callee: Callee) -> Self {
        Self::new(move || Some(callee.clone()))
    }

    pub(crate) fn draw(&self) -> Option<Callee> {
        (self.0)()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Route")
    }
}

/// Runs copies of batches in another version, whose verdicts are only compared.
pub trait Shadow: Send + Sync + 'static {
    /// Begins to run a copy. It must not wait. None: not this one.
    fn begin(&self, invocation: &Invocation) -> Option<BoxFuture<'static, Result<Reply, Fault>>>;

    /// What came of a copy.
    fn compared(&self, comparison: &Comparison);
}

/// A batch's judgement beside that of its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The mapping's name.
    pub mapping: String,
    /// The copy has the same.
    pub request_id: String,
    /// How many records the batch has.
    pub records: usize,
    /// Those that were judged otherwise.
    pub differences: Vec<Difference>,
}

/// A record on which two versions do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The message's id.
    pub message_id: Arc<str>,
    /// The verdict that counted, or the fault behind it, for people.
    pub verdict: String,
    /// That of the copy.
    pub shadow: String,
}

/// A copy under way.
pub(crate) struct Copy {
    shadow: Arc<dyn Shadow>,
    answer: BoxFuture<'static, Result<Reply, Fault>>,
}

impl Copy {
    pub(crate) fn begin(shadow: Option<&Arc<dyn Shadow>>, invocation: &Invocation) -> Option<Self> {
        let shadow = shadow?;
        // What is told of the copy must not stand in the place of what is told of the batch.
        let copy = Invocation { account: Account::default(), ..invocation.clone() };
        Some(Self { shadow: Arc::clone(shadow), answer: shadow.begin(&copy)? })
    }

    /// Compares when the copy has answered, in a task of its own: nobody waits for it.
    pub(crate) fn compare(
        self,
        mapping: &str,
        request_id: &str,
        message_ids: Vec<Arc<str>>,
        reports_item_failures: bool,
        judgement: &Judgement,
    ) {
        let (mapping, request_id, judgement) = (mapping.to_owned(), request_id.to_owned(), judgement.clone());
        tokio::spawn(async move {
            let answer = std::panic::AssertUnwindSafe(self.answer).catch_unwind().await;
            let Ok(answer) = answer else { return };
            let ids: Vec<&str> = message_ids.iter().map(|id| &**id).collect();
            let other = judge(&ids, reports_item_failures, answer);
            let differences = differences(&message_ids, &judgement, &other);
            self.shadow.compared(&Comparison { mapping, request_id, records: message_ids.len(), differences });
        });
    }
}

fn differences(message_ids: &[Arc<str>], one: &Judgement, other: &Judgement) -> Vec<Difference> {
    let fault_kind = |judgement: &Judgement| judgement.fault.as_ref().map(|fault| fault.kind);
    let faults_differ = fault_kind(one) != fault_kind(other);
    let verdicts = message_ids.iter().zip(one.verdicts.iter().zip(&other.verdicts));
    verdicts
        .filter(|(_, (one, other))| faults_differ || kind_of(one) != kind_of(other))
        .map(|(message_id, (verdict, shadow))| Difference {
            message_id: Arc::clone(message_id),
            verdict: in_words(verdict, one.fault.as_ref()),
            shadow: in_words(shadow, other.fault.as_ref()),
        })
        .collect()
}

/// Reasons and delays may be of the moment: what is to become of a record is its kind.
fn kind_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::Retry { .. } => "retry",
        Verdict::DeadLetter { .. } => "dead-letter",
        Verdict::Release => "release",
    }
}

fn in_words(verdict: &Verdict, fault: Option<&Fault>) -> String {
    match (verdict, fault) {
        (_, Some(fault)) => fault.to_string(),
        (Verdict::DeadLetter { reason }, None) => format!("dead-letter: {reason}"),
        (Verdict::Retry { after_seconds: Some(seconds) }, None) => format!("retry after {seconds} s"),
        (verdict, None) => kind_of(verdict).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wasmill_event::FaultKind;

    use super::*;

    fn judged(verdicts: Vec<Verdict>, fault: Option<Fault>) -> Judgement {
        Judgement { verdicts, fault, suspicion: None }
    }

    #[test]
    fn what_is_judged_alike_is_no_difference_and_a_fault_differs_on_every_record() {
        let ids: Vec<Arc<str>> = ["a", "b"].map(Arc::from).to_vec();
        let retry = |after_seconds| Verdict::Retry { after_seconds };
        let partly = judged(vec![Verdict::Done, retry(None)], None);
        assert_eq!(differences(&ids, &partly, &judged(vec![Verdict::Done, retry(Some(3))], None)), []);
        let other = judged(vec![Verdict::Done, Verdict::Done], None);
        let expected = Difference { message_id: "b".into(), verdict: "retry".into(), shadow: "done".into() };
        assert_eq!(differences(&ids, &partly, &other), [expected]);
        let crashed = judged(vec![retry(None), retry(None)], Some(Fault::new(FaultKind::Trap, "boom")));
        let found = differences(&ids, &other, &crashed);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].verdict.as_str(), found[0].shadow.as_str()), ("done", "trap: boom"));
        assert_eq!(differences(&ids, &crashed, &crashed), []);
        // Both fail every record, and for different reasons.
        let refused = judged(vec![retry(None), retry(None)], Some(Fault::new(FaultKind::Handler, "no")));
        assert_eq!(differences(&ids, &crashed, &refused).len(), 2);
    }
}
