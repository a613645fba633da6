//! Poison: of a batch whose handler crashed, the culprit is found inside the lease and the others are handled.
//!
//! Among suspects is one at least that crashes the handler. Half of them run: if they pass, it is among the others, which
//! are not run for nothing; if they crash, it is among them, and the others wait. When one suspect is left it is the culprit,
//! and all that waited runs once. One culprit costs log2 n + 1 invocations at most, n being the batch's length and the
//! logarithm rounded up.

use std::collections::BTreeSet;

use wasmill_event::{Fault, FaultKind, Verdict};

use crate::judge::Judgement;

/// Whether a fault may be one record's doing: the handler died of it, rather than say no.
pub(crate) fn is_crash(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Trap | FaultKind::Timeout | FaultKind::OutOfMemory)
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Isolation {
    /// One per record, in order.
    pub(crate) verdicts: Vec<Verdict>,
    /// The records that the handler crashes on, by index.
    pub(crate) culprits: Vec<usize>,
    pub(crate) invocations: u32,
    /// False when the cap ended it: what had not run fails with the batch.
    pub(crate) is_complete: bool,
}

/// Looks for what crashes the handler. `groups` are the records' message groups where their order counts: then nothing of
/// a group runs after a record of it that failed. `run` invokes the handler with the records at those indexes.
pub(crate) async fn isolate<F: Future<Output = Judgement>>(
    len: usize,
    groups: Option<&[Option<&str>]>,
    max_invocations: u32,
    mut run: impl FnMut(Vec<usize>) -> F,
) -> Isolation {
    let mut found = Isolation {
        verdicts: vec![Verdict::Retry { after_seconds: None }; len],
        culprits: Vec::new(),
        invocations: 0,
        is_complete: true,
    };
    let mut suspects: Vec<usize> = (0..len).collect();
    let mut waiting: Vec<usize> = Vec::new();
    let mut stopped: BTreeSet<Option<&str>> = BTreeSet::new();
    let group_of = |index: usize| groups.and_then(|groups| groups.get(index).copied());
    loop {
        if let [culprit] = suspects[..] {
            found.culprits.push(culprit);
            suspects.clear();
            stopped.extend(group_of(culprit));
        }
        // Where order counts nothing runs after what failed.
        let may_run = |index: &usize| group_of(*index).is_none_or(|group| !stopped.contains(&group));
        suspects.retain(may_run);
        waiting.retain(may_run);
        let next: Vec<usize> = match suspects.len() {
            0 if waiting.is_empty() => return found,
            0 => std::mem::take(&mut waiting),
            // What order left of the suspects need not hold the culprit any more.
            1 => std::mem::take(&mut suspects),
            count => suspects.drain(..count / 2).collect(),
        };
        if found.invocations == max_invocations {
            found.is_complete = false;
            return found;
        }
        found.invocations += 1;
        let judgement = run(next.clone()).await;
        if judgement.fault.as_ref().is_some_and(is_crash) {
            // Those that come after it wait, in front of those that waited before.
            let rest = std::mem::replace(&mut suspects, next);
            waiting.splice(0..0, rest);
            continue;
        }
        for (index, verdict) in next.into_iter().zip(judgement.verdicts) {
            if verdict != Verdict::Done {
                stopped.extend(group_of(index));
            }
            found.verdicts[index] = verdict;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_MAX: u32 = 1000;

    fn judgement(len: usize, crashes: bool) -> Judgement {
        if crashes {
            let verdicts = vec![Verdict::Retry { after_seconds: None }; len];
            return Judgement { verdicts, fault: Some(Fault::new(FaultKind::Trap, "x")), suspicion: None };
        }
        Judgement { verdicts: vec![Verdict::Done; len], fault: None, suspicion: None }
    }

    async fn find(
        len: usize,
        culprits: &[usize],
        groups: Option<&[Option<&str>]>,
        max: u32,
    ) -> (Isolation, Vec<Vec<usize>>) {
        let mut runs = Vec::new();
        let found = isolate(len, groups, max, |indexes| {
            let crashes = indexes.iter().any(|index| culprits.contains(index));
            let answer = judgement(indexes.len(), crashes);
            runs.push(indexes);
            std::future::ready(answer)
        })
        .await;
        (found, runs)
    }

    fn done(found: &Isolation) -> usize {
        found.verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count()
    }

    #[tokio::test]
    async fn one_culprit_costs_log2_n_plus_one_invocations_wherever_it_stands_and_nobody_passes_twice() {
        for len in [2_usize, 3, 5, 8, 10, 16, 100] {
            for culprit in 0..len {
                let (found, runs) = find(len, &[culprit], None, DEFAULT_MAX).await;
                assert_eq!((&found.culprits[..], done(&found)), (&[culprit][..], len - 1));
                let most = len.next_power_of_two().trailing_zeros() + 1;
                assert!(found.invocations <= most, "{len}, {culprit}: {runs:?}");
                for index in 0..len {
                    let passed = runs.iter().filter(|run| run.contains(&index) && !run.contains(&culprit)).count();
                    assert_eq!(passed, usize::from(index != culprit), "{runs:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn several_culprits_are_all_found_and_the_others_pass() {
        let (found, _) = find(16, &[0, 7, 15], None, DEFAULT_MAX).await;
        let culprits: BTreeSet<usize> = found.culprits.iter().copied().collect();
        assert_eq!((culprits, done(&found)), (BTreeSet::from([0, 7, 15]), 13));
    }

    #[tokio::test]
    async fn an_outage_is_not_multiplied_beyond_the_cap() {
        let all: Vec<usize> = (0..100).collect();
        let (found, runs) = find(100, &all, None, 16).await;
        assert_eq!((found.invocations, runs.len(), found.is_complete, done(&found)), (16, 16, false, 0));
    }

    #[tokio::test]
    async fn where_order_counts_it_runs_in_order_and_stops_at_the_culprit() {
        let groups = [Some("a"); 8];
        for culprit in 0..8 {
            let (found, runs) = find(8, &[culprit], Some(&groups), DEFAULT_MAX).await;
            assert_eq!(done(&found), culprit, "{runs:?}");
            let passed: Vec<usize> = runs.iter().filter(|run| !run.contains(&culprit)).flatten().copied().collect();
            assert_eq!(passed, (0..culprit).collect::<Vec<_>>());
        }
        let groups: Vec<Option<&str>> = (0..8).map(|index| Some(if index % 2 == 0 { "a" } else { "b" })).collect();
        let (found, _) = find(8, &[2], Some(&groups), DEFAULT_MAX).await;
        assert_eq!(done(&found), 5, "0 of group a, and all four of group b: {:?}", found.verdicts);
    }
}
