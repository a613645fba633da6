//! The config file while it is read: its text, what was found in it so far, and values that remember where they stand.
//!
//! Absent: how a table is read; that is `reader.rs`.

use std::cell::{Ref, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::de::DeTable;

use super::document::{self, Origin, Text};
use super::expand::{ExpandError, expand, variables};
use super::finding::{Finding, Origin as FindingOrigin, Position};
use super::record::Record;

/// Looks an environment variable up; a parameter, so that tests need not touch the process.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A key and where it stands: what a finding points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Dotted path.
    pub(super) key: String,
    /// Where its value begins, or the header of its section if it is not written.
    pub(super) at: Position,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    /// The value, expanded and checked.
    pub(super) value: T,
    /// Where it stands.
    pub(super) place: Place,
    /// The text as written, if it was expanded from the environment: shown instead of a value that may be a secret.
    written: Option<String>,
}

impl<T> Located<T> {
    /// A value that was not expanded from the environment; a default stands where its section begins.
    pub(super) fn new(value: T, place: Place) -> Self {
        Self { value, place, written: None }
    }

    /// Whether the environment took part in it.
    pub(super) fn is_from_env(&self) -> bool {
        self.written.is_some()
    }

    /// The same place, another value.
    pub(super) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: convert(self.value), place: self.place, written: self.written }
    }
}

impl Located<String> {
    /// The value in quotes, fit for a message: what came from the environment is shown as it was written.
    pub(super) fn shown(&self) -> String {
        match &self.written {
            Some(written) => format!("{written:?} (after expansion)"),
            None => format!("{:?}", self.value),
        }
    }
}

/// What is being read, and what was found in it so far.
pub(super) struct Source<'a> {
    /// Names what no text says: a file that is empty has no place in it.
    file: PathBuf,
    texts: &'a [Text],
    env: Env<'a>,
    top_level: &'static [&'static str],
    probe: Option<Probe>,
    mistakes: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    records: RefCell<Vec<Record>>,
}

/// A reading of nothing, to learn which keys there are: every section counts as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// What may be a table is taken for the other thing it may be.
    Words,
    /// What may be a table is taken for one.
    Tables,
}

impl<'a> Source<'a> {
    /// `top_level` are the keys that stand above every section: in TOML such a key, written below a header, silently
    /// joins that section, and the message should say so.
    pub(super) fn new(texts: &'a [Text], env: Env<'a>, top_level: &'static [&'static str]) -> Self {
        let file = texts.iter().find_map(|text| match &text.origin {
            Origin::File(path) | Origin::Made(path) => Some(path.clone()),
            Origin::Variable(_) => None,
        });
        let (mistakes, warnings, records) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { file: file.unwrap_or_default(), texts, env, top_level, probe: None, mistakes, warnings, records }
    }

    /// The same for a reading of nothing.
    pub(super) fn probing(self, probe: Probe) -> Self {
        Self { probe: Some(probe), ..self }
    }

    pub(super) fn probe(&self) -> Option<Probe> {
        self.probe
    }

    /// The document, or `None` with its first syntax error recorded: the ones behind it are mostly its echo.
    pub(super) fn parse(&self) -> Option<DeTable<'a>> {
        document::merge(self, self.texts)
    }

    /// Notes that a key was asked for.
    pub(super) fn record(&self, record: Record) {
        self.records.borrow_mut().push(record);
    }

    /// Says of the key that was last asked for by this path what it is without being written.
    pub(super) fn record_default(&self, key: &str, default: Value) {
        if let Some(record) = self.records.borrow_mut().iter_mut().rev().find(|record| record.key == key) {
            record.default = Some(default);
        }
    }

    /// Says of the key that was last asked for by this path which variable its default is from.
    pub(super) fn record_variable(&self, key: &str, variable: &str) {
        if let Some(record) = self.records.borrow_mut().iter_mut().rev().find(|record| record.key == key) {
            record.default_from = Some(variable.to_owned());
        }
    }

    /// Says of the key that was last asked for by this path that it must be there.
    pub(super) fn record_required(&self, key: &str) {
        if let Some(record) = self.records.borrow_mut().iter_mut().rev().find(|record| record.key == key) {
            record.is_required = true;
        }
    }

    /// The variables that a text names and that are set.
    pub(super) fn variables(&self, text: &str) -> Vec<String> {
        variables(text).into_iter().filter(|name| self.env(name).is_some_and(|value| !value.is_empty())).collect()
    }

    /// Every key that was asked for.
    pub(super) fn records(&self) -> Ref<'_, [Record]> {
        Ref::map(self.records.borrow(), Vec::as_slice)
    }

    /// Records a mistake: the config will not be used.
    pub(super) fn mistake(&self, place: &Place, what: impl Into<String>, mend: impl Into<String>) {
        self.mistakes.borrow_mut().push(self.finding(place, what.into(), mend.into()));
    }

    /// How many mistakes there are by now: whether the last key that was read made one.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Records a warning: the config works, but probably not as its author thinks.
    pub(super) fn warning(&self, place: &Place, what: impl Into<String>, mend: impl Into<String>) {
        self.warnings.borrow_mut().push(self.finding(place, what.into(), mend.into()));
    }

    /// Records a mistake in a variable that is none of wasmill's own.
    pub(super) fn variable_mistake(&self, name: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.mistakes.borrow_mut().push(FindingOrigin::new(Path::new("environment"), None, name).finding(what, mend));
    }

    /// Records a warning about a variable that is none of wasmill's own.
    pub(super) fn variable_warning(&self, name: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.warnings.borrow_mut().push(FindingOrigin::new(Path::new("environment"), None, name).finding(what, mend));
    }

    /// Ends the reading: all mistakes, and the warnings in the order of their lines.
    pub(super) fn finish(self) -> (Vec<Finding>, Vec<Finding>) {
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.at);
        (self.mistakes.into_inner(), warnings)
    }

    /// The place for whoever judges its value after the file was read.
    pub(super) fn origin(&self, place: &Place) -> FindingOrigin {
        match self.texts.get(place.at.text as usize).map(|text| &text.origin) {
            Some(Origin::File(path)) => FindingOrigin::new(path, Some(place.at), &place.key),
            Some(Origin::Made(path)) => FindingOrigin::new(path, None, &place.key),
            Some(Origin::Variable(name)) => FindingOrigin::new(Path::new(name), None, &place.key),
            None => FindingOrigin::new(&self.file, Some(place.at), &place.key),
        }
    }

    /// What the place is in.
    pub(super) fn origin_of(&self, at: Position) -> &Origin {
        const NOWHERE: &Origin = &Origin::Made(PathBuf::new());
        self.texts.get(at.text as usize).map_or(NOWHERE, |text| &text.origin)
    }

    /// Whether the place is a variable that overrides the file.
    pub(super) fn is_override(&self, at: Position) -> bool {
        matches!(self.origin_of(at), Origin::Variable(_))
    }

    /// Where another place is, said at `here`.
    pub(super) fn elsewhere(&self, there: Position, here: Position) -> String {
        match self.origin_of(there) {
            Origin::File(file) if there.text != here.text => format!("in {}:{}", file.display(), there.line),
            Origin::Variable(name) => format!("in {name}"),
            _ => format!("on line {}", there.line),
        }
    }

    /// The text with its variables put in.
    pub(super) fn expand(&self, text: &str, place: Place) -> Result<Located<String>, (Place, Vec<ExpandError>)> {
        match expand(text, self.env) {
            Ok(expanded) => {
                let written = expanded.from_env.then(|| text.to_owned());
                Ok(Located { value: expanded.value, place, written })
            }
            Err(errors) => Err((place, errors)),
        }
    }

    /// A variable of wasmill's own environment.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Whether `key` stands above every section.
    pub(super) fn is_top_level(&self, key: &str) -> bool {
        self.top_level.contains(&key)
    }

    fn finding(&self, place: &Place, what: String, mend: String) -> Finding {
        self.origin(place).finding(what, mend)
    }

    /// Where a span of bytes begins.
    pub(super) fn position(&self, span: Range<usize>) -> Position {
        document::position(self.texts, &span)
    }
}
