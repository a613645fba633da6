//! All filters of a mapping as one tree of fields, so that a record is looked through once.
//!
//! Each way to match ("alternative": a filter, or one combination of its `$or`s) is a bit. A node stands for a field
//! and keeps which alternatives ask something of it. What was found at a field is an *outcome*, two rows of bits over
//! the alternatives:
//!
//! * **found**: everything that the alternative asks at and below this field holds, and some of it by a value;
//! * **absent**: everything that it asks there holds, and all of it because nothing is there (`{"exists":false}`). An
//!   alternative that asks nothing here has this bit too.
//!
//! The two are kept apart because arrays treat them apart: *one* element must hold all that is found, but what is
//! asked to be absent, and nothing else beside it, must be absent from *every* element.

use super::condition::Condition;
use super::pattern::Pattern;

/// A field that some filter asks about; the root is the record.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Sorted by name.
    children: Vec<(Box<str>, Node)>,
    pub(super) asked: Vec<Asked>,
    /// The alternatives that ask something of a field below.
    pub(super) asking_below: Vec<u64>,
    /// The outcome of everything below where there is nothing below.
    pub(super) nothing_below: Vec<u64>,
    /// The outcomes of all children where there is none of them, one after the other.
    pub(super) no_children: Vec<u64>,
}

/// A condition on a field's own values, and the alternatives that ask it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) condition: Condition,
    pub(super) by: Vec<u64>,
}

/// The filters of a mapping.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) root: Node,
    /// Of each alternative: which filter it belongs to. In the filters' order.
    pub(super) filter_of: Vec<usize>,
}

impl Plan {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        let alternatives = |(filter, pattern): (usize, &Pattern)| vec![filter; pattern.alternatives.len()];
        let filter_of: Vec<usize> = patterns.iter().enumerate().flat_map(alternatives).collect();
        let words = filter_of.len().div_ceil(64);
        let mut root = Node::default();
        let mut first = 0;
        for pattern in patterns {
            let mut by = vec![vec![0; words]; pattern.leaves.len()];
            for (alternative, leaves) in pattern.alternatives.iter().enumerate() {
                let bit = first + alternative;
                leaves.iter().for_each(|leaf| by[*leaf][bit / 64] |= 1 << (bit % 64));
            }
            first += pattern.alternatives.len();
            for (leaf, by) in pattern.leaves.into_iter().zip(by) {
                root.descend(&leaf.path).asked.push(Asked { condition: leaf.condition, by });
            }
        }
        root.close(words);
        Self { root, filter_of }
    }

    /// How many words a row of bits has.
    pub(super) fn words(&self) -> usize {
        self.filter_of.len().div_ceil(64)
    }

    /// The first filter of which an alternative holds in that outcome.
    pub(super) fn first_filter(&self, outcome: &[u64]) -> Option<usize> {
        let (found, absent) = outcome.split_at(self.words());
        let words = found.iter().zip(absent).enumerate();
        let first = words.map(|(index, (found, absent))| (index, found | absent)).find(|(_, bits)| *bits != 0);
        let (index, bits) = first?;
        self.filter_of.get(index * 64 + bits.trailing_zeros() as usize).copied()
    }
}

impl Node {
    /// The place of a child among the children.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.children.binary_search_by(|(own, _)| own.as_ref().cmp(name)).ok()
    }

    pub(super) fn children(&self) -> &[(Box<str>, Self)] {
        &self.children
    }

    fn descend(&mut self, path: &[String]) -> &mut Self {
        path.iter().fold(self, |node, name| {
            let place = match node.children.binary_search_by(|(own, _)| own.as_ref().cmp(name)) {
                Ok(place) => place,
                Err(place) => {
                    node.children.insert(place, (name.as_str().into(), Self::default()));
                    place
                }
            };
            &mut node.children[place].1
        })
    }

    /// Works out what follows from the children, once all are there. Returns the outcome where the field is not
    /// there, and which alternatives ask anything of it.
    fn close(&mut self, words: usize) -> (Vec<u64>, Vec<u64>) {
        let mut nothing_below = vec![0; words];
        nothing_below.resize(2 * words, u64::MAX);
        let mut asking_below = vec![0; words];
        for (_, child) in &mut self.children {
            let (outcome, asking) = child.close(words);
            let absent = nothing_below[words..].iter_mut().zip(&outcome[words..]);
            absent.for_each(|(all, child)| *all &= child);
            asking_below.iter_mut().zip(&asking).for_each(|(all, child)| *all |= child);
            self.no_children.extend(outcome);
        }
        let (mut outcome, mut asking) = (nothing_below.clone(), asking_below.clone());
        for asked in &self.asked {
            asking.iter_mut().zip(&asked.by).for_each(|(all, own)| *all |= own);
            if !asked.condition.may_be_absent {
                outcome[words..].iter_mut().zip(&asked.by).for_each(|(all, own)| *all &= !own);
            }
        }
        self.nothing_below = nothing_below;
        self.asking_below = asking_below;
        (outcome, asking)
    }
}
