//! How an event looks on stderr: one line for people, or one JSON object for machines.

use std::fmt;

use serde::de::IgnoredAny;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format};
use tracing_subscriber::registry::LookupSpan;

use super::{HANDLER_TARGET, REPORT_TARGET};

/// One event, one line: `TIME LEVEL target: message key=value`, for handlers
/// `TIME LEVEL function:version request-id | the line as written`, and alike for what is told of their invocations.
pub(super) struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);

        write_head(&mut line, *metadata.level())?;
        if metadata.target() == HANDLER_TARGET || metadata.target() == REPORT_TARGET {
            let mut take = |name: &str| fields.take(name).unwrap_or_else(|| "-".to_owned());
            let (function, version, request_id) = (take("function"), take("version"), take("request_id"));
            write!(line, "{function}:{version} {request_id}")?;
            if metadata.target() == REPORT_TARGET {
                write!(line, " | {}", fields.message)?;
                fields.write_rest(&mut line)?;
                return writeln!(line);
            }
            fields.write_rest(&mut line)?;
            return writeln!(line, " | {}", fields.message);
        }
        write!(line, "{}: {}", metadata.target(), fields.message)?;
        fields.write_rest(&mut line)?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let of_span = extensions.get::<FormattedFields<N>>().filter(|fields| !fields.is_empty());
            if let Some(of_span) = of_span {
                write!(line, " {}{{{of_span}}}", span.name())?;
            }
        }
        writeln!(line)
    }
}

fn write_head(line: &mut Writer<'_>, level: Level) -> fmt::Result {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    // Microseconds are for the JSON form; people compare milliseconds.
    let milliseconds = time.split_once('.').and_then(|(seconds, fraction)| Some((seconds, fraction.get(..3)?)));
    let time = milliseconds.map_or(time.clone(), |(seconds, fraction)| format!("{seconds}.{fraction}Z"));
    if !line.has_ansi_escapes() {
        return write!(line, "{time} {level:>5} ");
    }
    let color = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    write!(line, "\x1b[2m{time}\x1b[0m \x1b[{color}m{level:>5}\x1b[0m ")
}

/// An event's fields as text, safe for a terminal.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.rest.iter().position(|(known, _)| *known == name)?;
        Some(self.rest.remove(index).1)
    }

    fn write_rest(&self, line: &mut Writer<'_>) -> fmt::Result {
        self.rest.iter().try_for_each(|(name, value)| write!(line, " {name}={value}"))
    }

    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = printable(value);
            return;
        }
        // Quoted when it would not read as one word.
        let is_word = !value.is_empty()
            && !value.contains(|letter: char| letter.is_whitespace() || letter == '"' || letter == '=');
        let shown = if is_word { printable(value) } else { format!("\"{}\"", printable(&value.replace('"', "\\\""))) };
        self.rest.push((field.name(), shown));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.put(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// The text with control characters spelled out: what a handler or a message says must neither steer the reader's
/// terminal nor forge a second log line. Tabs are harmless and stay.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && letter != '\t' {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// One event, one JSON object, its fields on top. A handler's line is `message`, and when that is a JSON object itself, as a
/// structured logger writes it, it is `json` too, for tools that query the log.
pub(super) struct ForMachines {
    usual: Format<Json>,
}

impl ForMachines {
    pub(super) fn new() -> Self {
        Self { usual: format().json().flatten_event(true).with_current_span(true).with_span_list(false) }
    }
}

impl<S, N> FormatEvent<S, N> for ForMachines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() != HANDLER_TARGET {
            return self.usual.format_event(context, line, event);
        }
        let mut of_handler = OfHandler::default();
        event.record(&mut of_handler);
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        write!(line, "\",\"level\":\"{}\"", metadata.level())?;
        for (name, value) in of_handler.rest {
            write!(line, ",\"{name}\":{}", json_string(&value)?)?;
        }
        write!(line, ",\"target\":\"{HANDLER_TARGET}\",\"message\":{}", json_string(&of_handler.message)?)?;
        if is_json_object(&of_handler.message) {
            write!(line, ",\"json\":{}", of_handler.message)?;
        }
        line.write_str("}\n")
    }
}

fn json_string(text: &str) -> Result<String, fmt::Error> {
    serde_json::to_string(text).map_err(|_| fmt::Error)
}

fn is_json_object(line: &str) -> bool {
    // Most lines are none, and the first letter says so.
    line.starts_with('{') && line.ends_with('}') && serde_json::from_str::<IgnoredAny>(line).is_ok()
}

/// The fields of a handler's line, all of which are text.
#[derive(Default)]
struct OfHandler {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Visit for OfHandler {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.rest.push((field.name(), value.to_owned()));
        }
    }
}
