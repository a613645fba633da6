//! Our spans in OpenTelemetry's words: its semantic conventions for messaging, FaaS and HTTP, and `wasmill.…` for what they have
//! no word for. Names of spans hold names of queues and functions, nothing of a message.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use wasmill_event::{
    About, BatchSpan, Fault, InvocationSpan, Outcome, RequestSpan, SettlingSpan, Site, Span, TraceContext,
};

/// How spans are put.
#[derive(Debug)]
pub(super) struct Semantics {
    scope: InstrumentationScope,
}

impl Semantics {
    pub(super) fn new() -> Self {
        let scope = InstrumentationScope::builder("wasmill").with_version(env!("CARGO_PKG_VERSION"));
        Self { scope: scope.build() }
    }

    /// A span as it is exported.
    pub(super) fn exported(&self, span: Span) -> SpanData {
        let Span { context, parent, state, began, ended, about } = span;
        let parent_span_is_remote = parent.is_some() && matches!(about, About::Batch(_));
        let mut links = SpanLinks::default();
        if let About::Batch(BatchSpan { links: found, links_left_out, .. }) = &about {
            links.links = found.iter().map(link).collect();
            links.dropped_count = u32::try_from(*links_left_out).unwrap_or(u32::MAX);
        }
        let Said { kind, name, attributes, status } = said(about);
        SpanData {
            span_context: span_context(context, state.as_deref(), false),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote,
            span_kind: kind,
            name,
            start_time: began,
            end_time: ended,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn span_context(context: TraceContext, state: Option<&str>, is_remote: bool) -> SpanContext {
    let flags = if context.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    // A state that cannot be read is nobody's.
    let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (trace_id, span_id) = (TraceId::from_bytes(context.trace_id), SpanId::from_bytes(context.span_id));
    SpanContext::new(trace_id, span_id, flags, is_remote, state)
}

fn link(link: &wasmill_event::Link) -> Link {
    let producer = &link.producer;
    let context = span_context(producer.context, producer.state.as_deref(), true);
    Link::new(context, vec![KeyValue::new("messaging.message.id", link.message_id.clone())], 0)
}

struct Said {
    kind: SpanKind,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    status: Status,
}

fn said(about: About) -> Said {
    match about {
        About::Batch(of) => batch(of),
        About::Window { site, records } => {
            let mut attributes = messaging(&site, "receive");
            attributes.push(count("messaging.batch.message_count", records));
            let name = format!("receive {}", site.queue).into();
            Said { kind: SpanKind::Client, name, attributes, status: Status::Unset }
        }
        About::Invocation(of) => invocation(of),
        About::Settling(of) => settling(&of),
        About::Request(of) => request(of),
    }
}

fn batch(of: BatchSpan) -> Said {
    let mut attributes = messaging(&of.site, "process");
    match of.message_id {
        Some(id) => attributes.push(KeyValue::new("messaging.message.id", id)),
        None => attributes.push(count("messaging.batch.message_count", of.records)),
    }
    attributes.push(count("wasmill.records.done", of.verdicts.done));
    attributes.push(count("wasmill.records.retry", of.verdicts.retry));
    attributes.push(count("wasmill.records.dead_letter", of.verdicts.dead_letter));
    attributes.push(count("wasmill.records.release", of.verdicts.release));
    let status = failed(of.fault.as_ref(), &mut attributes);
    Said { kind: SpanKind::Consumer, name: format!("process {}", of.site.queue).into(), attributes, status }
}

fn invocation(of: InvocationSpan) -> Said {
    let InvocationSpan { site, request_id, version, records, bisect_step, outcome } = of;
    let mut attributes = vec![
        KeyValue::new("faas.name", site.function.clone()),
        KeyValue::new("faas.version", version),
        KeyValue::new("faas.invocation_id", request_id),
        KeyValue::new("faas.trigger", "pubsub"),
        count("messaging.batch.message_count", records),
    ];
    if bisect_step > 0 {
        attributes.push(KeyValue::new("wasmill.bisect.step", i64::from(bisect_step)));
    }
    let status = match outcome {
        Outcome::Answered => Status::Unset,
        Outcome::Failed(fault) => failed(Some(&fault), &mut attributes),
        Outcome::Abandoned => {
            attributes.push(KeyValue::new("error.type", "abandoned"));
            Status::error("the worker stopped")
        }
    };
    Said { kind: SpanKind::Internal, name: format!("invoke {}", site.function).into(), attributes, status }
}

fn settling(of: &SettlingSpan) -> Said {
    let mut attributes = messaging(&of.site, "settle");
    attributes.push(count("wasmill.settle.deleted", of.deleted));
    attributes.push(count("wasmill.settle.returned", of.returned));
    attributes.push(count("wasmill.settle.dead_lettered", of.dead_lettered));
    attributes.push(count("wasmill.settle.released", of.released));
    let status = match of.refused {
        0 => Status::Unset,
        refused => {
            attributes.push(count("wasmill.settle.refused", refused));
            attributes.push(KeyValue::new("error.type", "settle_failed"));
            Status::error(format!("the queue did not take it for {refused} messages"))
        }
    };
    Said { kind: SpanKind::Client, name: format!("settle {}", of.site.queue).into(), attributes, status }
}

fn request(of: RequestSpan) -> Said {
    let RequestSpan { method, scheme, host, port, answer } = of;
    let mut attributes = vec![
        KeyValue::new("http.request.method", method.unwrap_or("_OTHER")),
        KeyValue::new("url.scheme", scheme),
        KeyValue::new("server.address", host),
        KeyValue::new("server.port", i64::from(port)),
    ];
    let status = match answer {
        Ok(status) => {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
            if status >= 400 {
                attributes.push(KeyValue::new("error.type", status.to_string()));
                Status::error("")
            } else {
                Status::Unset
            }
        }
        Err(word) => {
            attributes.push(KeyValue::new("error.type", word));
            Status::error("")
        }
    };
    Said { kind: SpanKind::Client, name: method.unwrap_or("HTTP").into(), attributes, status }
}

fn messaging(site: &Site, operation: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", site.queue.clone()),
        KeyValue::new("wasmill.mapping", site.mapping.clone()),
    ]
}

fn failed(fault: Option<&Fault>, attributes: &mut Vec<KeyValue>) -> Status {
    let Some(fault) = fault else { return Status::Unset };
    attributes.push(KeyValue::new("error.type", fault.kind.as_str()));
    Status::error(fault.message.clone())
}

fn count(name: &'static str, count: usize) -> KeyValue {
    KeyValue::new(name, Value::I64(i64::try_from(count).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use wasmill_event::{FaultKind, Producer, Verdicts};

    use super::*;

    const CONTEXT: TraceContext = TraceContext { trace_id: [1; 16], span_id: [2; 8], is_sampled: true };

    fn site() -> Arc<Site> {
        Arc::new(Site { mapping: "q/f".into(), queue: "q".into(), function: "f".into() })
    }

    fn exported(about: About) -> SpanData {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        let (ended, parent, state) = (began + Duration::from_secs(1), Some([3; 8]), Some("v=1".into()));
        Semantics::new().exported(Span { context: CONTEXT, parent, state, began, ended, about })
    }

    fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
        span.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.to_string())).collect()
    }

    #[test]
    fn a_batch_of_one_names_its_message_and_its_parent_is_elsewhere() {
        let producer = |state: &str| Producer { context: CONTEXT, is_decided: true, state: Some(state.into()) };
        let link = |state| wasmill_event::Link { producer: producer(state), message_id: "m".into() };
        let span = exported(About::Batch(BatchSpan {
            site: site(),
            records: 1,
            message_id: Some("m".into()),
            links: vec![link("v=1"), link("no state")],
            links_left_out: 3,
            verdicts: Verdicts { dead_letter: 1, ..Verdicts::default() },
            fault: Some(Fault::new(FaultKind::Timeout, "timed out after 3.00 seconds")),
        }));
        assert_eq!(
            (&*span.name, &span.span_kind, span.parent_span_is_remote),
            ("process q", &SpanKind::Consumer, true)
        );
        assert_eq!(span.status, Status::error("timed out after 3.00 seconds"));
        let found = attributes(&span);
        assert_eq!((found["messaging.message.id"].as_str(), found["error.type"].as_str()), ("m", "timeout"));
        assert_eq!(
            (found.contains_key("messaging.batch.message_count"), found["wasmill.records.dead_letter"].as_str()),
            (false, "1")
        );
        assert_eq!((span.links.len(), span.links.dropped_count), (2, 3));
        let states: Vec<String> = span.links.iter().map(|link| link.span_context.trace_state().header()).collect();
        assert_eq!(states, ["v=1", ""]);
        assert_eq!(span.span_context.trace_state().header(), "v=1");
    }

    #[test]
    fn an_invocation_that_was_given_up_and_a_queue_that_says_no_are_errors() {
        let invocation = |outcome| {
            let (request_id, version) = ("r".to_owned(), "3".into());
            About::Invocation(InvocationSpan { site: site(), request_id, version, records: 2, bisect_step: 0, outcome })
        };
        let given_up = exported(invocation(Outcome::Abandoned));
        assert_eq!((&*given_up.name, given_up.parent_span_is_remote), ("invoke f", false));
        assert_eq!(attributes(&given_up)["error.type"], "abandoned");
        assert!(matches!(given_up.status, Status::Error { .. }));
        let answered = exported(invocation(Outcome::Answered));
        assert_eq!(
            (answered.status.clone(), attributes(&answered).contains_key("wasmill.bisect.step")),
            (Status::Unset, false)
        );
        let settling = |refused| {
            exported(About::Settling(SettlingSpan {
                site: site(),
                deleted: 2,
                returned: 0,
                dead_lettered: 0,
                released: 0,
                refused,
            }))
        };
        assert_eq!(settling(0).status, Status::Unset);
        let failed = settling(2);
        assert_eq!(
            (attributes(&failed)["wasmill.settle.refused"].as_str(), failed.status == Status::Unset),
            ("2", false)
        );
    }

    #[test]
    fn a_request_is_an_error_when_it_failed_or_was_answered_so() {
        let request = |method, answer| {
            exported(About::Request(RequestSpan {
                method,
                scheme: "https".into(),
                host: "h".into(),
                port: 443,
                answer,
            }))
        };
        let fine = request(Some("POST"), Ok(204));
        assert_eq!((&*fine.name, &fine.status, &fine.span_kind), ("POST", &Status::Unset, &SpanKind::Client));
        assert_eq!(attributes(&request(Some("GET"), Ok(503)))["error.type"], "503");
        let odd = request(None, Err("dns"));
        assert_eq!((&*odd.name, attributes(&odd)["http.request.method"].as_str()), ("HTTP", "_OTHER"));
        assert_eq!((attributes(&odd)["error.type"].as_str(), odd.status == Status::Unset), ("dns", false));
    }
}
