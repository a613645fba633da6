//! A resource's properties while they are read: each is taken, left out with a reason, or noted as unknown.

use std::ops::RangeInclusive;

use super::intrinsics::Evaluator;
use super::node::Node;
use super::notes::Notes;
use super::template::is_true;

/// What every reader needs.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) evaluator: &'s Evaluator<'s>,
    pub(super) notes: &'s Notes,
}

/// Properties that no reader takes, and why: whether it matters, and the reason.
pub(super) type Left = (&'static str, bool, &'static str);

/// One map of properties. Take what can be taken, then [`Properties::finish`].
pub(super) struct Properties<'s> {
    scope: Scope<'s>,
    place: String,
    /// Each with the place that it is from.
    entries: Vec<(String, Node, String)>,
}

impl<'s> Properties<'s> {
    /// Those of a map at a place.
    pub(super) fn of(scope: Scope<'s>, place: &str, entries: &[(String, Node)]) -> Self {
        let entries = entries.iter().map(|(key, node)| (key.clone(), node.clone(), format!("{place}.{key}")));
        Self { scope, place: place.to_owned(), entries: entries.collect() }
    }

    /// Puts those of SAM's globals below: maps are merged, lists joined, and of the rest the own one counts.
    pub(super) fn over(mut self, globals: &[(String, Node)], globals_place: &str) -> Self {
        for (key, global) in globals {
            match self.entries.iter_mut().find(|(own, ..)| own == key) {
                Some((_, own, _)) => *own = merged(global, own),
                None => self.entries.push((key.clone(), global.clone(), format!("{globals_place}.{key}"))),
            }
        }
        self
    }

    /// Where they are.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn scope(&self) -> Scope<'s> {
        self.scope
    }

    /// A property with its outermost functions done, and its place. None: it is not written, or not known, which is noted.
    pub(super) fn take(&mut self, key: &str) -> Option<(Node, String)> {
        let (node, place) = self.take_written(key)?;
        match self.scope.evaluator.head(&node) {
            Ok(Some(Node::Null) | None) => None,
            Ok(Some(found)) => Some((found, place)),
            Err(unknown) => {
                self.scope.notes.differs(place, unknown.0);
                None
            }
        }
    }

    /// A property as it is written, and its place.
    pub(super) fn take_written(&mut self, key: &str) -> Option<(Node, String)> {
        let index = self.entries.iter().position(|(own, ..)| own == key)?;
        let (_, node, place) = self.entries.remove(index);
        Some((node, place))
    }

    /// A property with all functions in it done.
    pub(super) fn take_whole(&mut self, key: &str) -> Option<(Node, String)> {
        let (node, place) = self.take(key)?;
        match self.scope.evaluator.whole(&node) {
            Ok(found) => Some((found?, place)),
            Err(unknown) => {
                self.scope.notes.differs(place, unknown.0);
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let (node, place) = self.take(key)?;
        let text = node.text();
        if text.is_none() {
            self.scope.notes.differs(place, format!("a text is wanted here, and it is {}", node.kind()));
        }
        text
    }

    /// A whole number; one out of `range` becomes the nearest in it. `unit` reads after a number.
    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<u32>, unit: &str) -> Option<u32> {
        let (node, place) = self.take(key)?;
        let Some(number) = node.text().and_then(|text| text.trim().parse::<i64>().ok()) else {
            let shown = node.text().unwrap_or_else(|| node.kind().to_owned());
            self.scope.notes.differs(place, format!("a whole number is wanted here, and it is {shown}"));
            return None;
        };
        let (least, most) = (*range.start(), *range.end());
        let taken = u32::try_from(number.clamp(least.into(), most.into())).unwrap_or(most);
        if i64::from(taken) != number {
            self.scope.notes.differs(place, format!("{number}{unit} is not in {least}–{most}: {taken} is taken"));
        }
        Some(taken)
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.text(key).map(|text| is_true(&text))
    }

    /// A list, its items with their functions still in them.
    pub(super) fn list(&mut self, key: &str) -> Vec<Node> {
        match self.take(key) {
            Some((Node::List(items), _)) => items,
            Some((other, place)) => {
                self.scope.notes.differs(place, format!("a list is wanted here, and it is {}", other.kind()));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// A map of further properties.
    pub(super) fn properties(&mut self, key: &str) -> Option<Properties<'s>> {
        match self.take(key)? {
            (Node::Map(entries), place) => Some(Self::of(self.scope, &place, &entries)),
            (other, place) => {
                self.scope.notes.differs(place, format!("a map is wanted here, and it is {}", other.kind()));
                None
            }
        }
    }

    /// All that are left, as they are written, with their places.
    pub(super) fn into_entries(self) -> Vec<(String, Node, String)> {
        self.entries
    }

    /// What is left out, each with its reason.
    pub(super) fn leave(&mut self, left: &[Left]) {
        for (key, matters, why) in left {
            let Some((_, place)) = self.take_written(key) else { continue };
            if *matters { self.scope.notes.differs(place, *why) } else { self.scope.notes.aside(place, *why) }
        }
    }

    /// Notes what nobody took.
    pub(super) fn finish(self) {
        for (_, _, place) in self.entries {
            self.scope.notes.differs(place, "there is nothing like it here");
        }
    }
}

fn merged(global: &Node, own: &Node) -> Node {
    match (global, own) {
        (Node::Map(global), Node::Map(own_entries)) if own.as_call().is_none() => {
            let mut entries = global.clone();
            for (key, value) in own_entries {
                match entries.iter_mut().find(|(known, _)| known == key) {
                    Some((_, below)) => *below = merged(below, value),
                    None => entries.push((key.clone(), value.clone())),
                }
            }
            Node::Map(entries)
        }
        (Node::List(global), Node::List(own)) => Node::List(global.iter().chain(own).cloned().collect()),
        _ => own.clone(),
    }
}
