//! Order inside a message group: after a record that failed, what comes later of its group goes back, whatever the handler
//! said of it (esm-semantics §9). AWS leaves that to the handler.

use std::collections::BTreeSet;

use wasmill_event::Verdict;

/// What becomes of the records of a group that come after a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FifoOrder {
    /// They go back and are received again behind it, in order.
    #[default]
    Enforce,
    /// As on AWS: what the handler says is done.
    Trust,
}

/// Gives back what comes later of a group than its first record that was not done. They are released, so that only the
/// failed one's receives count where the queue can un-count them.
pub(crate) fn enforce(groups: &[Option<&str>], verdicts: &mut [Verdict]) {
    let mut stopped: BTreeSet<&str> = BTreeSet::new();
    for (group, verdict) in groups.iter().zip(verdicts) {
        let group = group.unwrap_or_default();
        if stopped.contains(group) {
            *verdict = Verdict::Release;
        } else if *verdict != Verdict::Done {
            stopped.insert(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failed_record_the_rest_of_its_group_goes_back_and_other_groups_do_not() {
        let retry = Verdict::Retry { after_seconds: Some(5) };
        let groups = [Some("a"), Some("b"), Some("a"), Some("a"), Some("b")];
        let mut verdicts = vec![Verdict::Done, Verdict::Done, retry.clone(), Verdict::Done, Verdict::Done];
        enforce(&groups, &mut verdicts);
        assert_eq!(verdicts, [Verdict::Done, Verdict::Done, retry.clone(), Verdict::Release, Verdict::Done]);
        let mut verdicts = vec![retry.clone(), Verdict::Done, retry.clone(), retry.clone(), Verdict::Done];
        enforce(&groups, &mut verdicts);
        assert_eq!(verdicts, [retry, Verdict::Done, Verdict::Release, Verdict::Release, Verdict::Done]);
    }
}
