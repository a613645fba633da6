//! The message groups of one queue, by number: the tenants of a standard queue, the ordered groups of a FIFO queue.
//!
//! A message carries its group's number instead of its name, so that a backlog costs four bytes a message for it. A number
//! is given to another name once its last message has left.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A group's number: an index, kept small by reuse.
pub(crate) type GroupNumber = u32;

/// What messages without a group id belong to, all together.
pub(crate) const NO_GROUP: GroupNumber = 0;

#[derive(Debug, Default)]
struct Slot {
    name: Option<Arc<str>>,
    members: u64,
}

#[derive(Debug)]
pub(crate) struct Groups {
    numbers: BTreeMap<Arc<str>, GroupNumber>,
    slots: Vec<Slot>,
    free: Vec<GroupNumber>,
}

impl Default for Groups {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), slots: vec![Slot::default()], free: Vec::new() }
    }
}

impl Groups {
    /// Counts a message into the group of that name.
    pub(crate) fn join(&mut self, name: Option<&str>) -> GroupNumber {
        let number = match name {
            None => NO_GROUP,
            Some(name) => self.numbers.get(name).copied().unwrap_or_else(|| self.open(name)),
        };
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.members += 1;
        }
        number
    }

    fn open(&mut self, name: &str) -> GroupNumber {
        let name: Arc<str> = name.into();
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // As many groups as messages at most, and those are fewer: their index would not fit the memory.
            GroupNumber::try_from(self.slots.len() - 1).unwrap_or(NO_GROUP)
        });
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.name = Some(Arc::clone(&name));
        }
        self.numbers.insert(name, number);
        number
    }

    /// Counts a message out. True when it was its group's last: the number is then free for another name.
    pub(crate) fn leave(&mut self, number: GroupNumber) -> bool {
        let Some(slot) = self.slots.get_mut(number as usize) else { return false };
        slot.members = slot.members.saturating_sub(1);
        if number == NO_GROUP || slot.members > 0 {
            return false;
        }
        if let Some(name) = slot.name.take() {
            self.numbers.remove(&name);
            self.free.push(number);
        }
        true
    }

    /// The group's name; none for [`NO_GROUP`].
    pub(crate) fn name(&self, number: GroupNumber) -> Option<&Arc<str>> {
        self.slots.get(number as usize).and_then(|slot| slot.name.as_ref())
    }

    /// How many named groups have messages.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_once_its_last_message_left() {
        let mut groups = Groups::default();
        let (a, b) = (groups.join(Some("a")), groups.join(Some("b")));
        assert_eq!((groups.join(Some("a")), groups.join(None)), (a, NO_GROUP));
        assert!(!groups.leave(a));
        assert_eq!(groups.name(a).map(|name| &**name), Some("a"));
        assert!(groups.leave(a));
        assert_eq!((groups.name(a), groups.len()), (None, 1));
        assert_eq!(groups.join(Some("c")), a);
        assert!(!groups.leave(NO_GROUP), "who has no group shares one for ever");
        assert_ne!(b, a);
    }
}
