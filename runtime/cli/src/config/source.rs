//! The config file while it is read: its text, what was found in it so far, and values that remember where they stand.
//!
//! Absent: how a table is read; that is `reader.rs`.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::expand::{ExpandError, expand};
use super::finding::{Finding, Origin, Position};

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

/// The file being read, and what was found in it so far.
pub(super) struct Source<'a> {
    file: PathBuf,
    text: &'a str,
    is_written: bool,
    env: Env<'a>,
    top_level: &'static [&'static str],
    mistakes: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

impl<'a> Source<'a> {
    /// `file` is only for messages; `text` is its content. `top_level` are the keys that stand above every section: in
    /// TOML such a key, written below a header, silently joins that section, and the message should say so.
    pub(super) fn new(file: &Path, text: &'a str, env: Env<'a>, top_level: &'static [&'static str]) -> Self {
        let (mistakes, warnings) = (RefCell::default(), RefCell::default());
        Self { file: file.to_owned(), text, is_written: true, env, top_level, mistakes, warnings }
    }

    /// The text was made of the file, and is not what is in it: findings name no lines.
    pub(super) fn made(self) -> Self {
        Self { is_written: false, ..self }
    }

    /// The document, or `None` with its first syntax error recorded: the ones behind it are mostly its echo.
    pub(super) fn parse(&self) -> Option<DeTable<'a>> {
        let error = match DeTable::parse(self.text) {
            Ok(root) => return Some(root.into_inner()),
            Err(error) => error,
        };
        let at = self.position(error.span().unwrap_or_default());
        let what = format!("not valid TOML: {}", error.message().replace('\n', ", "));
        let mend = "correct the syntax; the keys are checked once the file is valid TOML";
        self.mistake(&Place { key: String::new(), at }, what, mend);
        None
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

    /// Ends the reading: all mistakes, and the warnings in the order of their lines.
    pub(super) fn finish(self) -> (Vec<Finding>, Vec<Finding>) {
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.at);
        (self.mistakes.into_inner(), warnings)
    }

    /// The place for whoever judges its value after the file was read.
    pub(super) fn origin(&self, place: &Place) -> Origin {
        Origin::new(&self.file, self.is_written.then_some(place.at), &place.key)
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
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Position { line, column: before[line_start..].chars().count() + 1 }
    }
}
