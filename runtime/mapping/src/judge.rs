//! From a handler's answer to one verdict per record: Lambda's response contract (esm-semantics §6), and the extra keys
//! that Lambda ignores. Pure; the whole answer is judged before anything is settled.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmill_event::{Fault, FaultKind, Reply, Verdict};

const FAILURES: &str = "batchItemFailures";

/// The verdicts on a batch and what is worth saying about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// One per record, in order.
    pub verdicts: Vec<Verdict>,
    /// Why the whole batch failed, if it did.
    pub fault: Option<Fault>,
    /// A likely mistake in the handler that Lambda passes over in silence.
    pub suspicion: Option<Suspicion>,
}

/// What a handler's author should hear of although the contract lets it pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspicion {
    /// Failures were reported without `ReportBatchItemFailures`: Lambda deletes those messages, and so do we.
    FailuresIgnored {
        /// How many were reported.
        count: usize,
    },
    /// The response has no `batchItemFailures` but a key that looks like it.
    MisspeltKey {
        /// The key.
        key: String,
    },
}

/// Judges an answer. `message_ids` are those of the batch, in order; `reports_item_failures` is whether the mapping has
/// `ReportBatchItemFailures`.
#[must_use]
pub fn judge(message_ids: &[&str], reports_item_failures: bool, answer: Result<Reply, Fault>) -> Judgement {
    let judged = match answer {
        Err(fault) => Err(fault),
        Ok(Reply::Verdicts(verdicts)) => by_verdicts(message_ids, verdicts).map(|verdicts| (verdicts, None)),
        Ok(Reply::Json(text)) if reports_item_failures => by_response(message_ids, &text),
        Ok(Reply::Json(text)) => Ok((all_done(message_ids), ignored_failures(&text))),
    };
    match judged {
        Ok((verdicts, suspicion)) => Judgement { verdicts, fault: None, suspicion },
        Err(fault) => {
            let verdicts = vec![Verdict::Retry { after_seconds: None }; message_ids.len()];
            Judgement { verdicts, fault: Some(fault), suspicion: None }
        }
    }
}

fn all_done(message_ids: &[&str]) -> Vec<Verdict> {
    vec![Verdict::Done; message_ids.len()]
}

fn bad(message: String) -> Fault {
    Fault::new(FaultKind::BadReply, message)
}

/// The typed world: as many verdicts as records, or the batch fails.
fn by_verdicts(message_ids: &[&str], verdicts: Vec<Verdict>) -> Result<Vec<Verdict>, Fault> {
    if verdicts.len() != message_ids.len() {
        return Err(bad(format!("{} verdicts for {} messages", verdicts.len(), message_ids.len())));
    }
    let pairs: Vec<(&str, Verdict)> = message_ids.iter().copied().zip(verdicts).collect();
    let failed: BTreeMap<&str, Verdict> =
        pairs.iter().rev().filter(|(_, verdict)| *verdict != Verdict::Done).cloned().collect();
    Ok(spread(message_ids, &failed))
}

/// A Lambda response under `ReportBatchItemFailures`: the table of esm-semantics §6.2, row by row.
fn by_response(message_ids: &[&str], text: &str) -> Result<(Vec<Verdict>, Option<Suspicion>), Fault> {
    if text.trim().is_empty() {
        return Ok((all_done(message_ids), None));
    }
    let response: Value =
        serde_json::from_str(text).map_err(|error| bad(format!("the response is not JSON: {error}")))?;
    let object = match &response {
        Value::Null => return Ok((all_done(message_ids), None)),
        Value::Object(object) => object,
        other => return Err(bad(format!("the response is {}, not an object", kind_of(other)))),
    };
    let items = match object.get(FAILURES) {
        None => {
            let suspicion = object
                .keys()
                .find(|key| looks_like_failures(key))
                .map(|key| Suspicion::MisspeltKey { key: key.clone() });
            return Ok((all_done(message_ids), suspicion));
        }
        Some(Value::Null) => return Ok((all_done(message_ids), None)),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(bad(format!("{FAILURES} is {}, not a list", kind_of(other)))),
    };
    let mut failed = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let (id, verdict) =
            item_failure(message_ids, item).map_err(|problem| bad(format!("{FAILURES}[{index}]: {problem}")))?;
        // The same id twice is one failure: the first to say so counts.
        failed.entry(id).or_insert(verdict);
    }
    Ok((spread(message_ids, &failed), None))
}

/// One item: whose failure it is, and what is asked for.
fn item_failure<'a>(message_ids: &[&'a str], item: &Value) -> Result<(&'a str, Verdict), String> {
    let identifier = match item.get("itemIdentifier") {
        Some(Value::String(identifier)) if !identifier.is_empty() => identifier,
        Some(Value::String(_)) => return Err("itemIdentifier is empty".to_owned()),
        Some(other) => return Err(format!("itemIdentifier is {}, not a text", kind_of(other))),
        None => return Err("it has no itemIdentifier".to_owned()),
    };
    let id = message_ids
        .iter()
        .find(|id| *id == identifier)
        .ok_or_else(|| format!("no message of this batch has the id {identifier:?}"))?;
    // Typed handlers write `null` for what they do not ask for.
    let asked = |key: &str| item.get(key).filter(|value| !value.is_null());
    let verdict = match (asked("deadLetterReason"), asked("retryAfterSeconds")) {
        (Some(Value::String(reason)), _) => Verdict::DeadLetter { reason: reason.clone() },
        (Some(other), _) => return Err(format!("deadLetterReason is {}, not a text", kind_of(other))),
        (None, None) => Verdict::Retry { after_seconds: None },
        (None, Some(seconds)) => Verdict::Retry { after_seconds: Some(whole_seconds(seconds)?) },
    };
    Ok((id, verdict))
}

/// Fractions are rounded up; what is beyond SQS's twelve hours is cut when it is applied.
fn whole_seconds(value: &Value) -> Result<u32, String> {
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0);
    let seconds = seconds.ok_or_else(|| format!("retryAfterSeconds is {value}, not a number of seconds from 0"))?;
    Ok(seconds.ceil().min(f64::from(u32::MAX)) as u32)
}

/// One verdict per record. A message that is in the batch twice fails as a whole.
fn spread(message_ids: &[&str], failed: &BTreeMap<&str, Verdict>) -> Vec<Verdict> {
    message_ids.iter().map(|id| failed.get(id).cloned().unwrap_or(Verdict::Done)).collect()
}

/// Failures that a mapping without `ReportBatchItemFailures` does not look at.
fn ignored_failures(text: &str) -> Option<Suspicion> {
    if !text.contains(FAILURES) {
        return None;
    }
    let response: Value = serde_json::from_str(text).ok()?;
    let count = response.get(FAILURES)?.as_array()?.len();
    (count > 0).then_some(Suspicion::FailuresIgnored { count })
}

/// A key that somebody meant as `batchItemFailures`: other case, separators, or a missing plural.
fn looks_like_failures(key: &str) -> bool {
    let letters: String = key.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    letters.starts_with("batchitemfail") || letters.starts_with("batchfail") || letters.starts_with("itemfail")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = ["a", "b", "c"];

    /// `.` done, `r` retry, `x` the whole batch failed as a bad reply.
    fn summary(report: bool, text: &str) -> String {
        let judgement = judge(&IDS, report, Ok(Reply::Json(text.into())));
        if let Some(fault) = judgement.fault {
            assert_eq!(fault.kind, FaultKind::BadReply, "{text}");
            assert!(judgement.verdicts.iter().all(|v| *v == Verdict::Retry { after_seconds: None }));
            return "x".into();
        }
        judgement.verdicts.iter().map(|verdict| if *verdict == Verdict::Done { '.' } else { 'r' }).collect()
    }

    #[test]
    fn the_response_contract_with_report_batch_item_failures() {
        // esm-semantics §6.2, in its order; then the open rows as decided there.
        let rows = [
            (r#"{"batchItemFailures":[]}"#, "..."),
            (r#"{"batchItemFailures":null}"#, "..."),
            ("{}", "..."),
            ("null", "..."),
            ("", "..."),
            (" \n", "..."),
            (r#"{"batchItemFailure":[{"itemIdentifier":"a"}]}"#, "..."),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, ".r."),
            (r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}"#, "r.r"),
            ("not json", "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}"#, "x"),
            (r#"{"batchItemFailures":[{"foo":"x"}]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"z"}]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"z"}]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#, ".r."),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b","why":1}],"more":2}"#, ".r."),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"b","retryAfterSeconds":null,"deadLetterReason":null}]}"#,
                ".r.",
            ),
            (r#"{"batchItemFailures":{}}"#, "x"),
            (r#"{"batchItemFailures":"a"}"#, "x"),
            (r#"{"batchItemFailures":["a"]}"#, "x"),
            (r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#, "x"),
            (r#""ok""#, "x"),
            ("[]", "x"),
            ("42", "x"),
            ("true", "x"),
        ];
        for (text, expected) in rows {
            assert_eq!(summary(true, text), expected, "{text}");
        }
    }

    #[test]
    fn without_report_batch_item_failures_any_answer_is_success() {
        for text in [r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, "not json", "", "[]", "null"] {
            assert_eq!(summary(false, text), "...", "{text}");
        }
    }

    #[test]
    fn a_fault_fails_the_whole_batch_with_and_without_the_flag() {
        for report in [true, false] {
            for kind in [FaultKind::Handler, FaultKind::Timeout, FaultKind::Trap, FaultKind::OutOfMemory] {
                let judgement = judge(&IDS, report, Err(Fault::new(kind, "why")));
                assert_eq!(judgement.verdicts, vec![Verdict::Retry { after_seconds: None }; 3]);
                assert_eq!(judgement.fault.map(|fault| fault.kind), Some(kind));
            }
        }
    }

    #[test]
    fn extra_keys_ask_for_a_delay_or_the_dead_letter_queue() {
        let text = r#"{"batchItemFailures":[{"itemIdentifier":"a","retryAfterSeconds":1.2},
            {"itemIdentifier":"b","deadLetterReason":"no such customer","retryAfterSeconds":3}]}"#;
        let judgement = judge(&IDS, true, Ok(Reply::Json(text.into())));
        let dead = Verdict::DeadLetter { reason: "no such customer".into() };
        assert_eq!(judgement.verdicts, [Verdict::Retry { after_seconds: Some(2) }, dead, Verdict::Done]);
        for bad in [r#""retryAfterSeconds":"5""#, r#""retryAfterSeconds":-1"#, r#""deadLetterReason":7"#] {
            let text = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"a",{bad}}}]}}"#);
            assert_eq!(summary(true, &text), "x", "{text}");
        }
    }

    #[test]
    fn the_same_message_twice_in_a_batch_fails_twice() {
        let ids = ["a", "b", "a"];
        let text = r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#;
        let retry = Verdict::Retry { after_seconds: None };
        let expected = [retry.clone(), Verdict::Done, retry.clone()];
        assert_eq!(judge(&ids, true, Ok(Reply::Json(text.into()))).verdicts, expected);
        let typed = Reply::Verdicts(vec![Verdict::Done, Verdict::Done, retry]);
        assert_eq!(judge(&ids, false, Ok(typed)).verdicts, expected);
    }

    #[test]
    fn typed_verdicts_count_without_the_flag_and_must_be_as_many_as_the_records() {
        let verdicts = vec![Verdict::Done, Verdict::Release, Verdict::Retry { after_seconds: Some(9) }];
        assert_eq!(judge(&IDS, false, Ok(Reply::Verdicts(verdicts.clone()))).verdicts, verdicts);
        let short = judge(&IDS, false, Ok(Reply::Verdicts(vec![Verdict::Done])));
        assert_eq!(short.fault.map(|fault| fault.message), Some("1 verdicts for 3 messages".into()));
    }

    #[test]
    fn likely_mistakes_are_noticed_though_they_pass() {
        let suspicion = |report, text: &str| judge(&IDS, report, Ok(Reply::Json(text.into()))).suspicion;
        let failures = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(suspicion(false, failures), Some(Suspicion::FailuresIgnored { count: 1 }));
        assert_eq!(suspicion(false, r#"{"batchItemFailures":[]}"#), None);
        for key in ["batchItemFailure", "BatchItemFailures", "batch_item_failures", "itemFailures"] {
            let text = format!(r#"{{"{key}":[]}}"#);
            assert_eq!(suspicion(true, &text), Some(Suspicion::MisspeltKey { key: key.into() }));
        }
        assert_eq!(suspicion(true, r#"{"statusCode":200}"#), None);
    }
}
