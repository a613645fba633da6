//! What a pattern asks of one field: any of a list of values and operators (esm-semantics §5.3).
//!
//! Pure, and made once: `operators.rs` reads it from the pattern. Which field, and in which object, is not said here.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::net::IpAddr;

use super::json::Scalar;
use super::text::TextTest;

/// The list in a pattern. A value satisfies it by any of its members, the field's absence by `{"exists":false}` alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pub(super) exact: Exact,
    pub(super) tests: Vec<Test>,
    pub(super) may_be_absent: bool,
}

/// Values to be equal to. Texts are compared byte for byte and numbers by their spelling: 300, 300.0 and 3.0e2 are
/// three.
#[derive(Debug, Clone, Default)]
pub(super) struct Exact {
    texts: HashSet<Box<str>>,
    numbers: HashSet<Box<str>>,
    bools: Vec<bool>,
    has_null: bool,
}

/// An operator.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// `{"exists":true}`: any value, null too.
    Present,
    Text(TextTest),
    /// JSON numbers only.
    Numeric(Range),
    /// Present, and none of these.
    AnythingBut(Exact),
    /// Present, and no text that any of these match. What is no text matches none.
    AnythingButLike(Vec<TextTest>),
}

/// Bounds of a number, read as a double; `true` where the bound itself is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Range {
    pub(super) low: Option<(f64, bool)>,
    pub(super) high: Option<(f64, bool)>,
}

/// A value that is being judged, and what was already found out about it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    scalar: Scalar<'a>,
    number: OnceCell<Option<f64>>,
    address: OnceCell<Option<IpAddr>>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(scalar: Scalar<'a>) -> Self {
        Self { scalar, number: OnceCell::new(), address: OnceCell::new() }
    }

    fn number(&self) -> Option<f64> {
        let Scalar::Number(text) = &self.scalar else { return None };
        *self.number.get_or_init(|| text.parse().ok())
    }

    fn is_like(&self, test: &TextTest) -> bool {
        let Scalar::Text(text) = &self.scalar else { return false };
        test.matches(text, || *self.address.get_or_init(|| text.parse().ok()))
    }
}

impl Condition {
    pub(super) fn holds(&self, value: &Candidate<'_>) -> bool {
        self.exact.contains(&value.scalar) || self.tests.iter().any(|test| test.holds(value))
    }
}

impl Test {
    fn holds(&self, value: &Candidate<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Text(test) => value.is_like(test),
            Self::Numeric(range) => value.number().is_some_and(|number| range.contains(number)),
            Self::AnythingBut(these) => !these.contains(&value.scalar),
            Self::AnythingButLike(tests) => !tests.iter().any(|test| value.is_like(test)),
        }
    }
}

impl Exact {
    pub(super) fn insert(&mut self, value: &Scalar<'_>) {
        match value {
            Scalar::Text(text) => {
                self.texts.insert(text.as_ref().into());
            }
            Scalar::Number(text) => {
                self.numbers.insert((*text).into());
            }
            Scalar::Bool(bool) => self.bools.push(*bool),
            Scalar::Null => self.has_null = true,
        }
    }

    fn contains(&self, value: &Scalar<'_>) -> bool {
        match value {
            Scalar::Text(text) => self.texts.contains(text.as_ref()),
            Scalar::Number(text) => self.numbers.contains(*text),
            Scalar::Bool(bool) => self.bools.contains(bool),
            Scalar::Null => self.has_null,
        }
    }
}

impl Range {
    fn contains(&self, number: f64) -> bool {
        let is_above = self.low.is_none_or(|(low, with_it)| number > low || (with_it && number == low));
        let is_below = self.high.is_none_or(|(high, with_it)| number < high || (with_it && number == high));
        is_above && is_below
    }
}
