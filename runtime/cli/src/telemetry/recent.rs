//! The last lines that handlers wrote, kept in memory for whoever looks at a function. Part of the log subscriber: what the log
//! filters out is not here either.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::HANDLER_TARGET;

/// Of all functions together. Lines are at most as long as a log line may be.
const LINES_MAX: usize = 2000;
/// Of one line; the log has the rest.
const LINE_BYTES_MAX: usize = 1 << 10;

/// A line as a handler wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) unix_ms: u64,
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) request_id: String,
    pub(crate) stream: String,
    pub(crate) text: String,
}

/// The layer that keeps them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lines: Mutex<VecDeque<Line>>,
}

impl Recent {
    /// A function's last lines, the oldest first.
    pub(super) fn of(&self, function: &str, max: usize) -> Vec<Line> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Line> =
            lines.iter().rev().filter(|line| line.function == function).take(max).cloned().collect();
        found.reverse();
        found
    }
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != HANDLER_TARGET {
            return;
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let mut line = Line { unix_ms, ..Line::default() };
        event.record(&mut line);
        line.text.truncate(line.text.floor_char_boundary(LINE_BYTES_MAX));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => self.function = value.to_owned(),
            "version" => self.version = value.to_owned(),
            "request_id" => self.request_id = value.to_owned(),
            "stream" => self.stream = value.to_owned(),
            "message" => self.text = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A formatted message is no text to tracing, and its debug form is the message.
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_last_lines_of_each_function_are_kept_and_nothing_else() {
        let subscriber = tracing_subscriber::registry().with(Recent::default());
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..LINES_MAX + 5 {
                tracing::info!(target: HANDLER_TARGET, function = "f", version = "7", request_id = "r", stream = "stdout", "line {n}");
            }
            tracing::info!(target: HANDLER_TARGET, function = "g", "\"quoted\" {}", "é".repeat(1000));
            tracing::info!(function = "f", "our own");
            let kept = |function: &str, max| {
                tracing::dispatcher::get_default(|dispatch| {
                    dispatch.downcast_ref::<Recent>().unwrap().of(function, max)
                })
            };
            let last: Vec<String> = kept("f", 2).into_iter().map(|line| line.text).collect();
            assert_eq!(last, [format!("line {}", LINES_MAX + 3), format!("line {}", LINES_MAX + 4)]);
            assert_eq!(kept("f", usize::MAX).len(), LINES_MAX - 1, "the others made room for it");
            let line = kept("g", 1).remove(0);
            assert!(line.text.starts_with("\"quoted\" éé") && line.text.len() <= LINE_BYTES_MAX && line.unix_ms > 0);
        });
    }
}
