//! Sandboxes, calls and captured log lines for the tests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use prometheus::{Encoder, Registry, TextEncoder};
use tower::Service;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};
use wasmill_event::{Account, Fault, Invocation, Payload, Reply};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, LoadError, Metrics, Sandbox};

/// A sandbox with its registry.
pub(crate) struct House {
    pub(crate) sandbox: Sandbox,
    registry: Registry,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(EngineConfig::default())
    }

    /// `config` with few instances, so that many tests can have a sandbox at once.
    pub(crate) fn with(config: EngineConfig) -> Self {
        capture();
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let max_instances = config.max_instances.min(8);
        Self { sandbox: Sandbox::new(EngineConfig { max_instances, ..config }, metrics).unwrap(), registry }
    }

    pub(crate) fn load(&self, code: Code) -> Function {
        self.sandbox.load(spec(code)).unwrap()
    }

    pub(crate) fn refuse(&self, code: Code) -> String {
        let error: LoadError = self.sandbox.load(spec(code)).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains('\n'), "not one line: {message}");
        message
    }

    /// The value of one sample of `/metrics`, such as `name{label="x"}`; 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// A function of 3 s and 16 MiB.
pub(crate) fn spec(code: Code) -> FunctionSpec {
    FunctionSpec {
        memory_mib: 16,
        environment: vec![("TABLE".into(), "späti".into())],
        ..FunctionSpec::new("orders", code)
    }
}

pub(crate) fn invocation(request_id: &str, event: &str) -> Invocation {
    Invocation {
        request_id: request_id.into(),
        payload: Payload::Json(event.into()),
        trace_id: Some("Root=1-67891233-abcdef012345678912345678".into()),
        trace: None,
        account: Account::default(),
    }
}

pub(crate) async fn call(function: &Function, request_id: &str, event: &str) -> Result<Reply, Fault> {
    function.clone().call(invocation(request_id, event)).await
}

/// The text of a reply that must be JSON text.
pub(crate) fn text(reply: Result<Reply, Fault>) -> String {
    match reply {
        Ok(Reply::Json(text)) => text,
        other => panic!("expected text, got {other:?}"),
    }
}

/// Waits until something is so; fails after five seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen within five seconds: {what}");
}

/// One captured log line: its fields, the text as `message`, and `target` and `level`.
pub(crate) type Line = BTreeMap<String, String>;

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// What handlers said during one request, in order.
pub(crate) fn said(request_id: &str) -> Vec<Line> {
    of_request("wasmill::handler", request_id)
}

/// What was reported of one request.
pub(crate) fn reported(request_id: &str) -> Vec<Line> {
    of_request("wasmill::report", request_id)
}

fn of_request(target: &str, request_id: &str) -> Vec<Line> {
    let is_wanted = |line: &Line| line["target"] == target && line.get("request_id").is_some_and(|id| id == request_id);
    lines().into_iter().filter(is_wanted).collect()
}

/// Every line captured so far.
pub(crate) fn lines() -> Vec<Line> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Guests run on threads of their own, so the subscriber has to be the process's.
fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
}

struct Capture;

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wasmill")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Line::new());
        event.record(&mut fields);
        fields.0.insert("target".into(), event.metadata().target().into());
        fields.0.insert("level".into(), event.metadata().level().to_string());
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields(Line);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}
