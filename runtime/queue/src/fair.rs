//! Whose message goes next on a standard queue: tenants take turns, and who holds much waits longer. Pure.
//!
//! Start-time fair queueing over the message groups (sqs-semantics §7; AWS does not publish its own rule). Each tenant has a
//! start tag; the lowest is served, and served once it moves on by one plus the messages that the tenant has in flight.
//! A tenant whose messages pile up in flight, because it floods or because its work is slow, is so passed by the others.
//! One that had nothing waiting starts just behind what was served last: it is not behind the backlog of anybody, and
//! tenants that come and go do not keep those out who wait. Messages without a group are one tenant.
//!
//! Within a tenant a message whose visibility timeout ran out for the first time goes in front: it has waited longest, as
//! AWS was recorded to see it too. One that returns otherwise goes behind those that wait, so that a few that always fail
//! cannot starve the rest.

use std::collections::{BTreeSet, VecDeque};

use crate::effect::Seq;
use crate::groups::GroupNumber;

/// Outdated notes that a tenant's line may carry before it is swept.
const SLACK: usize = 256;
/// The capacity that an empty line keeps.
const EMPTY_CAPACITY_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Tenant {
    /// In the order they became visible. May hold numbers that have left or are hidden again: checked when taken.
    line: VecDeque<Seq>,
    ready: usize,
    in_flight: u64,
    start: u64,
    /// Among equal start tags the tenant that came to its tag first goes first.
    came: u64,
}

#[derive(Debug, Default)]
pub(crate) struct FairLine {
    tenants: Vec<Tenant>,
    /// The tenants with something ready, by start tag.
    order: BTreeSet<(u64, u64, GroupNumber)>,
    /// The start tag that was served last.
    served: u64,
    comings: u64,
}

impl FairLine {
    fn tenant(&mut self, group: GroupNumber) -> &mut Tenant {
        let index = group as usize;
        if index >= self.tenants.len() {
            self.tenants.resize_with(index + 1, Tenant::default);
        }
        &mut self.tenants[index]
    }

    /// A message became visible: it goes to the end of its tenant's line, or to its front. `is_ready` tells of any other
    /// whether it still is.
    pub(crate) fn appear(&mut self, seq: Seq, group: GroupNumber, in_front: bool, is_ready: impl Fn(Seq) -> bool) {
        let (served, came) = (self.served, self.comings);
        let tenant = self.tenant(group);
        if in_front {
            tenant.line.push_front(seq);
        } else {
            tenant.line.push_back(seq);
        }
        tenant.ready += 1;
        if tenant.ready == 1 {
            tenant.start = tenant.start.max(served + 1);
            tenant.came = came;
            let start = tenant.start;
            self.order.insert((start, came, group));
            self.comings += 1;
        } else if tenant.line.len() > tenant.ready.saturating_mul(2).saturating_add(SLACK) {
            let mut kept = BTreeSet::new();
            tenant.line.retain(|seq| is_ready(*seq) && kept.insert(*seq));
        }
    }

    /// A visible message is so no longer.
    pub(crate) fn vanish(&mut self, group: GroupNumber) {
        let tenant = self.tenant(group);
        tenant.ready -= 1;
        if tenant.ready == 0 {
            let place = (tenant.start, tenant.came, group);
            tenant.line.clear();
            tenant.line.shrink_to(EMPTY_CAPACITY_MAX);
            self.order.remove(&place);
        }
    }

    /// A message of the tenant is handed out.
    pub(crate) fn charge(&mut self, group: GroupNumber) {
        let came = self.comings;
        self.comings += 1;
        let tenant = self.tenant(group);
        let before = (tenant.start, tenant.came, group);
        tenant.start = tenant.start.saturating_add(1 + tenant.in_flight);
        tenant.came = came;
        let after = (tenant.start, came, group);
        self.served = self.served.max(before.0);
        if self.order.remove(&before) {
            self.order.insert(after);
        }
    }

    pub(crate) fn held(&mut self, group: GroupNumber) {
        self.tenant(group).in_flight += 1;
    }

    pub(crate) fn unheld(&mut self, group: GroupNumber) {
        self.tenant(group).in_flight -= 1;
    }

    /// The tenant's last message left: its number may go to another.
    pub(crate) fn forget(&mut self, group: GroupNumber) {
        *self.tenant(group) = Tenant::default();
    }

    /// The next message to be handed out. `is_ready` tells which notes still hold.
    pub(crate) fn next(&mut self, is_ready: impl Fn(Seq) -> bool) -> Option<Seq> {
        let (_, _, group) = *self.order.first()?;
        let line = &mut self.tenant(group).line;
        while let Some(seq) = line.front().copied() {
            if is_ready(seq) {
                return Some(seq);
            }
            line.pop_front();
        }
        None
    }

    /// Takes the message off its line, when it stands in front as the next one does.
    pub(crate) fn pop(&mut self, seq: Seq, group: GroupNumber) {
        let line = &mut self.tenant(group).line;
        if line.front() == Some(&seq) {
            line.pop_front();
        }
    }

    #[cfg(test)]
    pub(crate) fn notes(&self) -> usize {
        self.tenants.iter().map(|tenant| tenant.line.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out the next message; `group_of` numbers a message's tenant by its hundreds.
    fn serve(line: &mut FairLine) -> Option<Seq> {
        let seq = line.next(|_| true)?;
        let group = group_of(seq);
        line.pop(seq, group);
        line.charge(group);
        line.vanish(group);
        line.held(group);
        Some(seq)
    }

    fn group_of(seq: Seq) -> GroupNumber {
        (seq / 100_000) as GroupNumber
    }

    fn appear(line: &mut FairLine, seq: Seq) {
        line.appear(seq, group_of(seq), false, |_| true);
    }

    #[test]
    fn a_quiet_tenants_message_is_the_next_one_however_deep_the_flood() {
        let mut line = FairLine::default();
        (100_000..150_000).for_each(|seq| appear(&mut line, seq));
        for round in 0..50 {
            (0..7).for_each(|_| assert_eq!(serve(&mut line).map(group_of), Some(1)));
            appear(&mut line, 200_000 + round);
            assert_eq!(serve(&mut line), Some(200_000 + round));
            line.unheld(2);
        }
    }

    #[test]
    fn who_holds_much_is_passed_by_who_holds_little() {
        let mut line = FairLine::default();
        // Tenant 1 is slow: nothing of it comes back. Tenant 2 is done at once.
        (0..1000).for_each(|index| appear(&mut line, 100_000 + index));
        (0..1000).for_each(|index| appear(&mut line, 200_000 + index));
        let mut served = [0; 3];
        for _ in 0..1000 {
            let Some(seq) = serve(&mut line) else { break };
            served[group_of(seq) as usize] += 1;
            if group_of(seq) == 2 {
                line.unheld(2);
            }
        }
        assert!(served[1] > 20, "the slow tenant is not starved: {served:?}");
        assert!(served[2] > 900, "and takes no share of the others': {served:?}");
    }

    #[test]
    fn a_backlog_is_not_starved_by_tenants_that_come_and_go() {
        let mut line = FairLine::default();
        (100_000..100_100).for_each(|seq| appear(&mut line, seq));
        let (mut is_waiting, mut of_the_backlog) = (false, 0);
        for seq in 200_000..200_020 {
            // There is always one, and it is done and forgotten before the next comes.
            if !is_waiting {
                appear(&mut line, seq);
            }
            let served = serve(&mut line).map(group_of).unwrap_or_default();
            line.unheld(served);
            is_waiting = served != 2;
            if is_waiting {
                of_the_backlog += 1;
            } else {
                line.forget(2);
            }
        }
        assert_eq!(of_the_backlog, 10, "they take turns");
    }

    #[test]
    fn tenants_with_equal_claims_take_turns_in_the_order_they_came() {
        let mut line = FairLine::default();
        [200_000, 100_000, 100_001, 200_001].into_iter().for_each(|seq| appear(&mut line, seq));
        let served: Vec<Seq> = std::iter::from_fn(|| serve(&mut line)).collect();
        assert_eq!(served, [200_000, 100_000, 200_001, 100_001]);
    }
}
