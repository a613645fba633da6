//! Filter criteria: which messages a mapping's handler is to see (esm-semantics §5).
//!
//! ```text
//! pattern texts ──pattern.rs, operators.rs──▶ conditions by path ──plan.rs──▶ one tree of fields
//!                                                                record ──matching.rs──▶ first filter that matches
//! ```
//! The language is EventBridge's as Lambda applies it: fields are joined by "and", the members of a list by "or",
//! filters by "or", `$or` anywhere; what is asked of several fields of an array's elements must hold in one element.
//! Patterns are checked when they are loaded. A record is looked through once for all filters, its body is read as it
//! stands and only if a pattern asks about it; no event is built. Not here: what becomes of a message that no filter
//! matches.
//!
//! **Bounds.** Nothing searches or goes back, so crafted messages cost what their length costs: every byte is read
//! once (a body that is no JSON after all, once more as a text), every value is put to each condition on its own
//! field, and every object to the rows of bits of `plan.rs`, whose number is the alternatives that the `$or`s
//! multiply to. Patterns are held to 4096 characters, 100 levels, 1000 alternatives each, and conditions ×
//! alternatives of all together to 250,000.

mod condition;
mod json;
mod matching;
#[cfg(test)]
mod model;
mod operators;
mod pattern;
mod plan;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use wasmill_event::Record;
use wasmill_queue::{Message, QueueArn};

use crate::record::{self, Origin};
use operators::Problem;
use pattern::Pattern;
use plan::Plan;

/// Lambda's quota is 5 and can be raised to 10.
const FILTERS_MAX: usize = 10;
const PATTERN_CHARS_MAX: usize = 4096;
/// Conditions × alternatives over all filters: what an object of a body may cost, in bits.
const COMPLEXITY_MAX: usize = 250_000;

const SCALAR_MEMBERS: [&str; 8] = [
    "messageId",
    "receiptHandle",
    "body",
    "md5OfBody",
    "md5OfMessageAttributes",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
];
const ATTRIBUTE_MEMBERS: [&str; 3] = ["stringValue", "binaryValue", "dataType"];

/// A mapping's `FilterCriteria`: a message is for the handler if any of the patterns matches it, or if there are none.
#[derive(Debug, Default)]
pub struct Filters {
    plan: Plan,
    count: usize,
    lints: Vec<String>,
}

/// A pattern that was refused. It displays as AWS's text, the filter's place and the detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Which of the patterns, from 0.
    pub index: usize,
    /// For people: where in the pattern, what is wrong and how to mend it.
    pub detail: String,
}

impl FilterError {
    /// What AWS says to every pattern it refuses (esm-semantics §5.4); its code is `InvalidParameterValueException`.
    pub const MESSAGE: &'static str = "Invalid filter pattern definition.";
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Filters[{}]: {}", Self::MESSAGE, self.index, self.detail)
    }
}

impl std::error::Error for FilterError {}

impl Filters {
    /// Reads the texts of `FilterCriteria.Filters[].Pattern`: up to 10, each of up to 4096 characters.
    ///
    /// # Errors
    /// The first pattern that is refused (esm-semantics §5.4), or that goes beyond the bounds above.
    pub fn parse(patterns: &[impl AsRef<str>]) -> Result<Self, FilterError> {
        let mut read = Vec::new();
        let (mut conditions, mut alternatives) = (0, 0);
        for (index, text) in patterns.iter().map(AsRef::as_ref).enumerate() {
            let refuse = |detail: String| Err(FilterError { index, detail });
            if index == FILTERS_MAX {
                return refuse(format!("a mapping has at most {FILTERS_MAX} filters: join some with \"$or\""));
            }
            if text.chars().nth(PATTERN_CHARS_MAX).is_some() {
                return refuse(format!("the pattern is longer than {PATTERN_CHARS_MAX} characters"));
            }
            let pattern = pattern::read(text).map_err(|problem| FilterError { index, detail: detail(&problem) })?;
            conditions += pattern.leaves.len();
            alternatives += pattern.alternatives.len();
            if conditions * alternatives > COMPLEXITY_MAX {
                let what = "conditions times the ways that their \"$or\"s multiply to are more than";
                return refuse(format!("the filters up to this one ask too much: their {what} {COMPLEXITY_MAX}"));
            }
            read.push(pattern);
        }
        let lints = read.iter().enumerate().flat_map(|(index, pattern)| lints(index, pattern)).collect();
        Ok(Self { count: read.len(), lints, plan: Plan::new(read) })
    }

    /// Whether there is no filter, so that every message is for the handler.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many filters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The first filter that matches the record, by index; none when none does: the message is not for the handler.
    /// Without filters everything matches, which is then said as 0.
    #[must_use]
    pub fn first_match(&self, record: &Record) -> Option<usize> {
        if self.is_empty() { Some(0) } else { matching::first_match(&self.plan, record) }
    }

    /// Whether a message of a queue is for the function: what a mapping would decide.
    #[must_use]
    pub fn match_message(&self, message: &Message, queue: &QueueArn) -> bool {
        let (record, _, _) = record::from_message(message.clone(), &Origin::new(queue));
        self.first_match(&record).is_some()
    }

    /// What is worth a warning, one line each: operators that Lambda may refuse because its documentation does not
    /// list them, and conditions on members that no record has.
    #[must_use]
    pub fn lints(&self) -> &[String] {
        &self.lints
    }
}

fn detail(problem: &Problem) -> String {
    if problem.at.is_empty() { problem.what.clone() } else { format!("{}: {}", problem.at, problem.what) }
}

fn lints(index: usize, pattern: &Pattern) -> Vec<String> {
    let doubtful = pattern.doubts.iter().map(|doubt| {
        format!(
            "Filters[{index}] {}: AWS Lambda may refuse {}, which its documentation does not list",
            doubt.at, doubt.operator
        )
    });
    let pointless = pattern.leaves.iter().filter(|leaf| !can_be_there(&leaf.path)).map(|leaf| {
        let sure = if leaf.condition.may_be_absent { "always so" } else { "never so" };
        format!("Filters[{index}] {}: no record has a member of that name and kind: this is {sure}", leaf.at)
    });
    doubtful.chain(pointless).collect()
}

/// Whether a record of Lambda's event (esm-semantics §3) can have a value there.
fn can_be_there(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["body", ..] | ["attributes", _] => true,
        ["messageAttributes", _, member] => ATTRIBUTE_MEMBERS.contains(member),
        [member] => SCALAR_MEMBERS.contains(member),
        _ => false,
    }
}
