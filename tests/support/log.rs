//! A child's stderr, line by line as it comes: wasmill's JSON log, with the moment at which each line was seen.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait::eventually;

/// What the log says of a line that a handler wrote.
const HANDLER_TARGET: &str = "wasmill::handler";

/// How many lines a failed test shows.
const SHOWN_LINES: usize = 80;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the test read it: never before it was written.
    pub seen_at: Instant,
    /// As written.
    pub text: String,
    fields: Value,
}

impl Line {
    /// A field's text; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    /// A field's number; none if it is no number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields[name].as_u64()
    }

    /// The message, which for a handler's line is the line.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("message")
    }

    fn is_of_handler(&self) -> bool {
        self.field("target") == HANDLER_TARGET
    }
}

/// A log that grows. Clones read the same one.
#[derive(Clone, Debug, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Log {
    /// Follows a stream to its end, on a thread of its own.
    pub fn follow(stream: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let log = Self::default();
        let writer = log.clone();
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                let fields = serde_json::from_str(&text).unwrap_or(Value::Null);
                let line_read = Line { seen_at: Instant::now(), text, fields };
                writer.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line_read);
                line.clear();
            }
        });
        (log, reader)
    }

    /// The lines that `wanted` picks, in order.
    pub fn pick(&self, mut wanted: impl FnMut(&Line) -> bool) -> Vec<Line> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// wasmill's own lines whose message contains `part`.
    #[must_use]
    pub fn events(&self, part: &str) -> Vec<Line> {
        self.pick(|line| !line.is_of_handler() && line.message().contains(part))
    }

    /// The lines that handlers of this function wrote.
    #[must_use]
    pub fn said_by(&self, function: &str) -> Vec<Line> {
        self.pick(|line| line.is_of_handler() && line.field("function") == function)
    }

    /// Where handlers of this function wrote exactly this line.
    #[must_use]
    pub fn said(&self, function: &str, text: &str) -> Vec<Line> {
        self.pick(|line| line.is_of_handler() && line.field("function") == function && line.message() == text)
    }

    /// What each invocation of a function wrote: its lines, joined by newlines, by request id.
    #[must_use]
    pub fn said_by_request(&self, function: &str) -> BTreeMap<String, String> {
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for line in self.said_by(function) {
            said.entry(line.field("request_id").to_owned())
                .and_modify(|text| {
                    text.push('\n');
                    text.push_str(line.message());
                })
                .or_insert_with(|| line.message().to_owned());
        }
        said
    }

    /// Waits until handlers of this function wrote exactly this line `times` times, and gives the lines.
    pub async fn wait_for_said(&self, within: Duration, function: &str, text: &str, times: usize) -> Vec<Line> {
        eventually(within, async || {
            let said = self.said(function, text);
            if said.len() >= times {
                return Ok(said);
            }
            Err(format!("{function} wrote {text:?} {} of {times} times", said.len()))
        })
        .await
    }

    /// Waits for wasmill's own line whose message contains `part`, and gives the first.
    pub async fn wait_for_event(&self, within: Duration, part: &str) -> Line {
        eventually(within, async || {
            self.events(part).into_iter().next().ok_or_else(|| format!("the log has no {part:?}"))
        })
        .await
    }

    /// The last lines, for a test that fails.
    #[must_use]
    pub fn end(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        let shown = shown.iter().map(|line| line.text.chars().take(1000).collect::<String>());
        shown.collect::<Vec<_>>().join("\n")
    }
}
