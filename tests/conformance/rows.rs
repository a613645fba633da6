//! Rules as rows: one row, one rule, its source beside it. A table is run to its end and tells all rows that fail.

use serde_json::Value;

use crate::client::{Api, shown};
use crate::errors::Kind;

/// A request that is refused.
pub(crate) struct Refusal {
    /// Where the rule is written: a section of sqs-semantics, and what it names there.
    pub(crate) source: &'static str,
    pub(crate) action: &'static str,
    pub(crate) members: Value,
    pub(crate) kind: Kind,
    /// AWS's exact text; empty where AWS's is not known and ours may say what it likes, but something.
    pub(crate) message: String,
}

/// One row, to be written on one line.
pub(crate) fn refusal(
    source: &'static str,
    action: &'static str,
    members: Value,
    kind: Kind,
    message: impl Into<String>,
) -> Refusal {
    Refusal { source, action, members, kind, message: message.into() }
}

/// Asks for every row.
///
/// # Panics
/// With each row that was not refused as it says.
pub(crate) async fn assert_refused(api: &Api, rows: &[Refusal]) {
    let mut failures = Vec::new();
    for row in rows {
        let problem = match api.call(row.action, &row.members).await {
            Ok(answer) => Some(format!("not refused: {answer}")),
            Err(refused) => match refused.differs_from(row.kind) {
                Some(difference) => Some(difference),
                None if row.message.is_empty() && !refused.message.is_empty() => None,
                None if refused.message == row.message => None,
                None => Some(format!("expected {:?}, came {:?}", row.message, refused.message)),
            },
        };
        if let Some(problem) = problem {
            failures.push(format!("{} {} {}\n    {problem}", row.source, row.action, shown(&row.members)));
        }
    }
    assert!(failures.is_empty(), "{} of {} rows fail:\n{}", failures.len(), rows.len(), failures.join("\n"));
}
