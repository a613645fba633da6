//! Whose message goes next on a FIFO queue: each group in order, the groups in turn. Pure.
//!
//! Of a group those visible messages may be received that stand before its first held one: held is what is in flight or
//! on its way out. That is the lock on a group, and also what AWS was recorded to do when only some of a batch come back
//! (sqs-semantics §6). A delayed message holds up nothing. A group that was locked goes behind those that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::effect::Seq;
use crate::groups::GroupNumber;

#[derive(Debug, Default)]
struct Group {
    visible: BTreeSet<Seq>,
    held: BTreeSet<Seq>,
    /// Its place among the groups that have something to receive.
    turn: Option<u64>,
}

impl Group {
    fn is_open(&self) -> bool {
        match (self.visible.first(), self.held.first()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(visible), Some(held)) => visible < held,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct FifoLine {
    groups: Vec<Group>,
    /// The groups with something to receive, by turn.
    order: BTreeMap<u64, GroupNumber>,
    next_turn: u64,
}

/// How far one receive has come through the groups.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    current: Option<(GroupNumber, Option<Seq>, Bound<Seq>)>,
}

impl FifoLine {
    /// Changes what a group's messages are, and gives the group its turn, or takes it.
    fn change(&mut self, group: GroupNumber, change: impl FnOnce(&mut Group)) {
        let index = group as usize;
        if index >= self.groups.len() {
            self.groups.resize_with(index + 1, Group::default);
        }
        let state = &mut self.groups[index];
        change(state);
        match (state.is_open(), state.turn) {
            (true, None) => {
                state.turn = Some(self.next_turn);
                self.order.insert(self.next_turn, group);
                self.next_turn += 1;
            }
            (false, Some(turn)) => {
                state.turn = None;
                self.order.remove(&turn);
            }
            _ => {}
        }
    }

    pub(crate) fn appear(&mut self, seq: Seq, group: GroupNumber) {
        self.change(group, |group| {
            group.visible.insert(seq);
        });
    }

    pub(crate) fn vanish(&mut self, seq: Seq, group: GroupNumber) {
        self.change(group, |group| {
            group.visible.remove(&seq);
        });
    }

    pub(crate) fn hold(&mut self, seq: Seq, group: GroupNumber) {
        self.change(group, |group| {
            group.held.insert(seq);
        });
    }

    pub(crate) fn unhold(&mut self, seq: Seq, group: GroupNumber) {
        self.change(group, |group| {
            group.held.remove(&seq);
        });
    }

    /// True when a receive would find something.
    pub(crate) fn is_open(&self) -> bool {
        !self.order.is_empty()
    }

    /// The next message of a receive: as many of one group as there are, then the next group. What this same receive has
    /// taken before does not lock the group for it.
    pub(crate) fn next(&self, walk: &mut Walk) -> Option<Seq> {
        loop {
            if let Some((group, after, until)) = &mut walk.current {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let group = self.groups.get(*group as usize)?;
                if let Some(seq) = group.visible.range((from, *until)).next().copied() {
                    *after = Some(seq);
                    return Some(seq);
                }
            }
            // The group that was walked through is locked by now; were it not, the walk would never end.
            let group = *self.order.values().next()?;
            if walk.current.is_some_and(|(walked, ..)| walked == group) {
                return None;
            }
            let until = self.groups.get(group as usize)?.held.first().copied();
            walk.current = Some((group, None, until.map_or(Bound::Unbounded, Bound::Excluded)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &mut FifoLine, max: usize, group_of: impl Fn(Seq) -> GroupNumber) -> Vec<Seq> {
        let mut walk = Walk::default();
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(seq) = line.next(&mut walk) else { break };
            line.vanish(seq, group_of(seq));
            line.hold(seq, group_of(seq));
            taken.push(seq);
        }
        taken
    }

    fn show(line: &mut FifoLine, seq: Seq, group: GroupNumber) {
        line.unhold(seq, group);
        line.appear(seq, group);
    }

    #[test]
    fn a_receive_takes_a_group_whole_then_the_next_and_locks_both() {
        let group_of = |seq: Seq| if seq < 10 { 1 } else { 2 };
        let mut line = FifoLine::default();
        for seq in [1, 10, 2, 3, 11] {
            line.appear(seq, group_of(seq));
        }
        assert_eq!(take(&mut line, 4, group_of), [1, 2, 3, 10]);
        assert!(!line.is_open(), "11 waits behind 10");
        assert!(take(&mut line, 4, group_of).is_empty());
        line.appear(4, 1);
        assert!(!line.is_open(), "a new message does not unlock its group");
    }

    #[test]
    fn when_a_part_comes_back_what_stands_before_the_first_held_one_may_go() {
        for (held, expected) in [(1, &[][..]), (2, &[1]), (3, &[1, 2])] {
            let mut line = FifoLine::default();
            (1..=3).for_each(|seq| line.appear(seq, 7));
            assert_eq!(take(&mut line, 10, |_| 7), [1, 2, 3]);
            for seq in (1..=3).filter(|seq| *seq != held) {
                show(&mut line, seq, 7);
            }
            assert_eq!(take(&mut line, 10, |_| 7), expected, "{held} is held");
        }
    }

    #[test]
    fn a_group_that_was_locked_goes_behind_those_that_wait() {
        let group_of = |seq: Seq| if seq < 10 { 1 } else { 2 };
        let mut line = FifoLine::default();
        [1, 2, 10].into_iter().for_each(|seq| line.appear(seq, group_of(seq)));
        assert_eq!(take(&mut line, 1, group_of), [1]);
        show(&mut line, 1, 1);
        assert_eq!(take(&mut line, 3, group_of), [10, 1, 2]);
    }
}
