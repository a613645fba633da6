//! Why a message's attempts failed: kept beside it until it leaves, and taken along to its dead-letter queue. Pure.
//!
//! Bounded: the last ten attempts, and 8 KiB of JSON per message. Where that is too little, older attempts lose their logs
//! first, then their backtraces, then they are forgotten; the latest keeps the most.

use serde_json::{Value, json};

const ATTEMPTS_MAX: usize = 10;
/// As it is stored.
const HISTORY_BYTES_MAX: usize = 8 << 10;
const NAME_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 1 << 10;
const BACKTRACE_BYTES_MAX: usize = 2 << 10;
const LOG_TAIL_BYTES_MAX: usize = 3 << 10;

/// One attempt at a message that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When its verdict was in, Unix time in milliseconds. The built-in queue writes its own clock's.
    pub ended_unix_ms: u64,
    /// From the batch to its verdicts.
    pub duration_ms: u64,
    /// How often the message had been received, this time included.
    pub receive_count: u32,
    /// The invocation's.
    pub request_id: String,
    /// The function's name.
    pub function: String,
    /// Its version.
    pub function_version: String,
    /// SHA-256 of its code in hex; empty when nothing ran.
    pub code_sha256: String,
    /// The kind of fault, in snake case; `item_failure` when the handler gave this message back.
    pub kind: String,
    /// What happened, one line.
    pub message: String,
    /// The handler's functions when it trapped, a line each, innermost first; may be empty.
    pub backtrace: String,
    /// The last lines that the handler logged; may be empty.
    pub log_tail: String,
}

impl FailedAttempt {
    /// As it is stored and shown.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "ended_unix_ms": self.ended_unix_ms,
            "duration_ms": self.duration_ms,
            "receive_count": self.receive_count,
            "request_id": self.request_id,
            "function": self.function,
            "function_version": self.function_version,
            "code_sha256": self.code_sha256,
            "kind": self.kind,
            "message": self.message,
            "backtrace": self.backtrace,
            "log_tail": self.log_tail,
        })
    }

    /// What is missing is empty.
    fn from_json(value: &Value) -> Self {
        let number = |key: &str| value[key].as_u64().unwrap_or_default();
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Self {
            ended_unix_ms: number("ended_unix_ms"),
            duration_ms: number("duration_ms"),
            receive_count: u32::try_from(number("receive_count")).unwrap_or(u32::MAX),
            request_id: text("request_id"),
            function: text("function"),
            function_version: text("function_version"),
            code_sha256: text("code_sha256"),
            kind: text("kind"),
            message: text("message"),
            backtrace: text("backtrace"),
            log_tail: text("log_tail"),
        }
    }

    /// Cuts each text to what may be kept of it.
    fn bounded(mut self) -> Self {
        let names = [
            &mut self.request_id,
            &mut self.function,
            &mut self.function_version,
            &mut self.code_sha256,
            &mut self.kind,
        ];
        names.into_iter().for_each(|name| keep_beginning(name, NAME_BYTES_MAX));
        keep_beginning(&mut self.message, MESSAGE_BYTES_MAX);
        keep_beginning(&mut self.backtrace, BACKTRACE_BYTES_MAX);
        keep_end(&mut self.log_tail, LOG_TAIL_BYTES_MAX);
        self
    }
}

/// A message's failed attempts, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    attempts: Vec<FailedAttempt>,
}

impl History {
    /// Reads what is stored. What cannot be read is no history.
    pub(crate) fn from_text(text: &str) -> Self {
        let rows: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        Self { attempts: rows.iter().map(FailedAttempt::from_json).collect() }
    }

    /// As it is stored.
    pub(crate) fn to_text(&self) -> String {
        Value::Array(self.attempts.iter().map(FailedAttempt::to_json).collect()).to_string()
    }

    /// Adds the latest attempt and forgets what there is no room for.
    pub(crate) fn add(&mut self, attempt: FailedAttempt) {
        self.attempts.push(attempt.bounded());
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_MAX);
        self.attempts.drain(..surplus);
        while self.to_text().len() > HISTORY_BYTES_MAX {
            self.shrink();
        }
    }

    /// Forgets the least of what is left. Characters that JSON escapes may make the latest too long by itself: then its own texts
    /// are halved.
    fn shrink(&mut self) {
        let Some((latest, older)) = self.attempts.split_last_mut() else { return };
        if let Some(one) = older.iter_mut().find(|one| !one.log_tail.is_empty()) {
            one.log_tail.clear();
        } else if let Some(one) = older.iter_mut().find(|one| !one.backtrace.is_empty()) {
            one.backtrace.clear();
        } else if !older.is_empty() {
            self.attempts.remove(0);
        } else {
            let half = latest.log_tail.len() / 2;
            keep_end(&mut latest.log_tail, half);
            for text in [&mut latest.backtrace, &mut latest.message] {
                let half = text.len() / 2;
                keep_beginning(text, half);
            }
        }
    }

    pub(crate) fn into_attempts(self) -> Vec<FailedAttempt> {
        self.attempts
    }

    pub(crate) fn attempts(&self) -> &[FailedAttempt] {
        &self.attempts
    }
}

fn keep_beginning(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

fn keep_end(text: &mut String, bytes_max: usize) {
    let from = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
    text.drain(..from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, log_bytes: usize) -> FailedAttempt {
        FailedAttempt {
            receive_count: number,
            kind: "trap".into(),
            message: "unreachable".into(),
            backtrace: "a\nb".into(),
            log_tail: "x".repeat(log_bytes),
            ..FailedAttempt::default()
        }
    }

    #[test]
    fn the_last_ten_are_kept() {
        let mut history = History::default();
        (1..=12).for_each(|number| history.add(attempt(number, 0)));
        let counts: Vec<u32> = history.attempts().iter().map(|one| one.receive_count).collect();
        assert_eq!(counts, (3..=12).collect::<Vec<_>>());
        assert_eq!(History::from_text(&history.to_text()), history);
    }

    #[test]
    fn older_attempts_lose_their_logs_before_the_latest_loses_anything() {
        let mut history = History::default();
        (1..=5).for_each(|number| history.add(attempt(number, 3000)));
        assert!(history.to_text().len() <= HISTORY_BYTES_MAX);
        let logs: Vec<usize> = history.attempts().iter().map(|one| one.log_tail.len()).collect();
        assert_eq!(logs, [0, 0, 0, 3000, 3000]);
        assert!(history.attempts().iter().all(|one| one.backtrace == "a\nb"));
    }

    #[test]
    fn whatever_a_handler_says_it_fits_and_is_cut_at_characters() {
        let mut history = History::default();
        for text in ["\u{1}".repeat(9000), "é".repeat(9001), "🦀".repeat(5000), "a".repeat(1 << 20)] {
            let long = FailedAttempt {
                message: text.clone(),
                backtrace: text.clone(),
                log_tail: format!("{text}!"),
                request_id: text.clone(),
                function: text.clone(),
                ..attempt(1, 0)
            };
            history.add(long);
            assert!(history.to_text().len() <= HISTORY_BYTES_MAX);
            let latest = history.attempts().last().map(|one| one.log_tail.ends_with('!'));
            assert_eq!(latest, Some(true), "the end of a log says the most");
            assert_eq!(History::from_text(&history.to_text()), history);
        }
    }

    #[test]
    fn what_is_no_history_is_an_empty_one() {
        assert_eq!(History::from_text("{"), History::default());
        assert_eq!(History::from_text("[7]").attempts(), [FailedAttempt::default()]);
    }
}
