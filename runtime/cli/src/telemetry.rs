//! Logs and the metrics registry. Both are made once, here, and handed down; nothing else in wasmill is global.
//!
//! Logs go to stderr: text for people on a terminal, one JSON object per line elsewhere. `WASMILL_LOG` filters them
//! (`debug`, `info,wasmill_mapping=debug`, …). A handler's own line (target [`HANDLER_TARGET`]) stands as it was written
//! beside the function, version and request id it belongs to. How an event looks is in `telemetry/lines.rs`. Traces are in
//! `telemetry/traces.rs`. Absent: log files and rotation, which are the supervisor's.

mod lines;
mod process;
mod recent;
pub(crate) mod traces;

use std::io::{IsTerminal, stderr};

use prometheus::{IntGauge, Opts, Registry};
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;

use crate::args::LogFormat;
use crate::config::Env;
use crate::error::CliError;
use crate::telemetry::lines::{ForMachines, ForPeople};
use crate::telemetry::process::ProcessMetrics;
pub(crate) use crate::telemetry::recent::Line;
use crate::telemetry::recent::Recent;

/// The target under which the sandbox logs what handlers print.
pub(crate) const HANDLER_TARGET: &str = "wasmill::handler";
/// The target under which the sandbox tells when an invocation began and what it took, as Lambda's START, END and REPORT lines do.
const REPORT_TARGET: &str = "wasmill::report";

/// The variable that filters logs.
pub(crate) const FILTER_VARIABLE: &str = "WASMILL_LOG";
/// Ours at info; what we stand on speaks up only when something is wrong.
const DEFAULT_FILTER: &str = "info,aws_config=warn,aws_credential_types=warn,aws_sdk_sqs=warn,\
     aws_smithy_http_client=warn,aws_smithy_runtime=warn,cranelift_codegen=warn,h2=warn,hyper=warn,\
     hyper_util=warn,rustls=warn,tower=warn,wasmtime=warn";

/// Starts logging to stderr; to be called once, before anything logs. A usage error if `WASMILL_LOG` is no filter.
pub(crate) fn init(format: LogFormat, env: Env<'_>) -> Result<(), CliError> {
    let is_terminal = stderr().is_terminal();
    let as_json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // https://no-color.org: any value but the empty one.
    let in_color = is_terminal && env("NO_COLOR").is_none_or(|value| value.is_empty());
    let filter = filter(env(FILTER_VARIABLE).as_deref())?;
    tracing::subscriber::set_global_default(subscriber(as_json, in_color, filter, stderr))
        .map_err(|error| CliError::internal(format!("logging was started twice: {error}")))
}

/// A new registry that already says which wasmill it is: `wasmill_build_info{version="…"} 1`.
pub(crate) fn registry() -> Result<Registry, CliError> {
    let refused = |error| CliError::internal(format!("the metrics registry cannot be made: {error}"));
    let registry = Registry::new();
    let options = Opts::new("wasmill_build_info", "Constantly 1; the label says which version runs.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let build_info = IntGauge::with_opts(options).map_err(refused)?;
    build_info.set(1);
    registry.register(Box::new(build_info)).map_err(refused)?;
    registry.register(Box::new(ProcessMetrics::new().map_err(refused)?)).map_err(refused)?;
    Ok(registry)
}

/// The last lines that a function's handlers wrote, the oldest first; none where nothing logs.
pub(crate) fn recent_lines(function: &str, max: usize) -> Vec<Line> {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Recent>().map(|recent| recent.of(function, max)).unwrap_or_default()
    })
}

/// By levels and targets only: the filter that also knows spans and their fields brings an engine of regular expressions along.
fn filter(written: Option<&str>) -> Result<Targets, CliError> {
    let directives = written.filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    directives.parse::<Targets>().map_err(|error| {
        CliError::usage(format!("{directives:?} does not say what to log: {error}"))
            .at(format!("the environment variable {FILTER_VARIABLE}"))
            .with_mend(
                "write a level (error, warn, info, debug, trace) or target=level pairs, such as info,wasmill=debug",
            )
    })
}

fn subscriber<W>(as_json: bool, in_color: bool, filter: Targets, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let base = tracing_subscriber::registry().with(filter).with(Recent::default());
    let lines = tracing_subscriber::fmt::layer().with_ansi(in_color).with_writer(writer);
    if as_json {
        Box::new(base.with(lines.fmt_fields(JsonFields::new()).event_format(ForMachines::new())))
    } else {
        Box::new(base.with(lines.event_format(ForPeople)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use prometheus::TextEncoder;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(as_json: bool, in_color: bool, directives: Option<&str>, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let made = subscriber(as_json, in_color, filter(directives).unwrap(), move || writer.clone());
        tracing::subscriber::with_default(made, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn handler_line() {
        tracing::info!(
            target: HANDLER_TARGET,
            function = "orders",
            version = "$LATEST",
            request_id = "8f1c",
            "order \"7\" \x1b[31mred\ttab"
        );
    }

    #[test]
    fn a_handlers_line_stands_last_and_as_written() {
        let text = logged(false, false, None, handler_line);
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-11-23T08:15:00.123Z".len(), "{time}");
        assert_eq!(rest, " INFO orders:$LATEST 8f1c | order \"7\" \\u{1b}[31mred\ttab\n");
    }

    #[test]
    fn json_lines_carry_the_same_fields() {
        let text = logged(true, false, None, handler_line);
        let event: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(text.lines().count(), 1);
        for (field, value) in [
            ("level", "INFO"),
            ("target", HANDLER_TARGET),
            ("message", "order \"7\" \x1b[31mred\ttab"),
            ("function", "orders"),
            ("version", "$LATEST"),
            ("request_id", "8f1c"),
        ] {
            assert_eq!(event[field], value, "{field}");
        }
    }

    #[test]
    fn an_invocations_report_reads_like_a_line_of_its_handler() {
        let text = logged(false, false, Some("wasmill::report=debug"), || {
            tracing::debug!(target: REPORT_TARGET, request_id = "8f1c", function = "orders", version = "3", start = "cold", "REPORT");
        });
        assert!(text.ends_with(" DEBUG orders:3 8f1c | REPORT start=cold\n"), "{text}");
        assert_eq!(logged(false, false, None, || tracing::debug!(target: REPORT_TARGET, "REPORT")), "");
    }

    #[test]
    fn a_handlers_json_line_can_be_queried_and_is_there_as_written() {
        let written = r#"{"level":"INFO","order_id":"o-1","total": 1e400,"tags":["a"]}"#;
        let log = || tracing::info!(target: HANDLER_TARGET, function = "orders", "{written}");
        let text = logged(true, false, None, log);
        assert!(text.trim_end().ends_with(&format!(",\"json\":{written}}}")), "{text}");
        let text = text.replace("1e400", "1");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["json"]["order_id"], "o-1");
        assert_eq!(event["message"], written.replace("1e400", "1"));
        for no_object in ["{not json}", "{\"a\":1} and more", "[1]", "17", ""] {
            let log = || tracing::info!(target: HANDLER_TARGET, function = "orders", "{no_object}");
            let event: serde_json::Value = serde_json::from_str(&logged(true, false, None, log)).unwrap();
            assert_eq!((&event["json"], &event["message"]), (&serde_json::Value::Null, &no_object.into()));
        }
    }

    #[test]
    fn numbers_and_words_keep_their_kind_in_json() {
        let log = || tracing::warn!(count = 3_u64, share = 0.5, good = true, name = "x\"y", "said");
        let event: serde_json::Value = serde_json::from_str(&logged(true, false, None, log)).unwrap();
        assert_eq!((&event["count"], &event["share"], &event["good"]), (&3.into(), &0.5.into(), &true.into()));
        assert_eq!((event["name"].as_str(), event["message"].as_str()), (Some("x\"y"), Some("said")));
    }

    #[test]
    fn events_and_their_spans_are_one_line_each() {
        let text = logged(false, false, None, || {
            let span = tracing::info_span!("batch", mapping = "orders");
            let _inside = span.enter();
            let cause = std::io::Error::other("disk full\nline two");
            tracing::warn!(count = 3, name = "two words", error = &cause as &dyn std::error::Error, "cannot settle");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let (_, rest) = text.split_once(' ').unwrap();
        assert_eq!(
            rest,
            " WARN wasmill::telemetry::tests: cannot settle count=3 name=\"two words\" \
             error=\"disk full\\nline two\" batch{mapping=\"orders\"}\n"
        );
    }

    #[test]
    fn color_is_only_for_terminals() {
        assert!(!logged(false, false, None, || tracing::info!("plain")).contains('\x1b'));
        assert!(logged(false, true, None, || tracing::error!("red")).contains("\x1b[31mERROR\x1b[0m"));
    }

    #[test]
    fn the_filter_defaults_to_info_and_quiet_neighbours() {
        let log = || {
            tracing::debug!("ours, detailed");
            tracing::info!(target: "aws_config::meta", "theirs, chatty");
            tracing::warn!(target: "aws_config::meta", "theirs, worried");
        };
        let text = logged(false, false, None, log);
        assert!(!text.contains("detailed") && !text.contains("chatty") && text.contains("worried"), "{text}");
        assert!(logged(false, false, Some("debug"), log).contains("detailed"));
        assert!(logged(false, false, Some("  "), log).contains("worried"));
    }

    #[test]
    fn a_bad_filter_is_a_usage_error() {
        let error = filter(Some("info,=x=")).unwrap_err();
        assert_eq!(error.kind().code(), 2);
        assert!(error.to_string().contains("WASMILL_LOG"), "{error}");
    }

    #[test]
    fn the_registry_says_which_wasmill_it_is() {
        let text = TextEncoder::new().encode_to_string(&registry().unwrap().gather()).unwrap();
        assert!(text.contains(concat!("wasmill_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")), "{text}");
    }
}
