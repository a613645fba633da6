//! What of a template was not taken, each with the reason.

use std::cell::RefCell;
use std::fmt;

/// Something that the config does not say although the template does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where in the template: a logical id and what is in it, such as `Orders.Policies`.
    pub(crate) place: String,
    /// Why it was not taken, or what was taken instead.
    pub(crate) why: String,
    /// Whether what runs differs for it. Roles, log groups and descriptions do not matter here.
    pub(crate) matters: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// Notes as they are taken.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Note>>);

impl Notes {
    /// What runs differs from what the template says.
    pub(super) fn differs(&self, place: impl Into<String>, why: impl Into<String>) {
        self.push(Note { place: place.into(), why: why.into(), matters: true });
    }

    /// Left out, and nothing that runs here differs for it.
    pub(super) fn aside(&self, place: impl Into<String>, why: impl Into<String>) {
        self.push(Note { place: place.into(), why: why.into(), matters: false });
    }

    /// All of them: first what matters, then the rest, both in the order in which they were found.
    pub(super) fn finish(self) -> Vec<Note> {
        let mut notes = self.0.into_inner();
        notes.sort_by_key(|note| !note.matters);
        notes
    }

    /// What several functions have from one place is said once.
    fn push(&self, note: Note) {
        let mut notes = self.0.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_comes_first_and_nothing_twice() {
        let notes = Notes::default();
        notes.aside("Orders.Role", "there are no roles");
        notes.differs("Orders.Layers", "no layers");
        notes.aside("Orders.Role", "there are no roles");
        let lines: Vec<String> = notes.finish().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["Orders.Layers: no layers", "Orders.Role: there are no roles"]);
    }
}
