//! SQS events of a function, and `AWS::Lambda::EventSourceMapping`, to `[[event_source_mapping]]`.

use std::collections::BTreeMap;

use super::functions::Functions;
use super::names::{function_of, has_qualifier, queue_name};
use super::node::Node;
use super::properties::{Properties, Scope};
use super::queues::Queues;
use super::template::Resource;
use super::write::{Entry, Literal};

const REPORT_BATCH_ITEM_FAILURES: &str = "ReportBatchItemFailures";

/// The config's mappings.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    /// By queue and function.
    entries: BTreeMap<(String, String), Entry>,
}

impl Mappings {
    /// In the order of their queues' names.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The `Events` of a function.
    pub(super) fn read_events(
        &mut self,
        scope: Scope<'_>,
        events: Properties<'_>,
        function: &str,
        queues: &mut Queues,
    ) {
        for (name, event, place) in events.into_entries() {
            let event = match scope.evaluator.head(&event) {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(unknown) => {
                    scope.notes.differs(place, unknown.0);
                    continue;
                }
            };
            let kind = event.get("Type").and_then(Node::text).unwrap_or_default();
            if kind != "SQS" {
                let why = format!("an event of type {kind}: only SQS queues feed a function here");
                scope.notes.differs(place, why);
                continue;
            }
            let entries = event.get("Properties").map_or(&[] as &[_], Node::entries);
            let properties = Properties::of(scope, &place, entries);
            let comment = format!("{}, event {name}", events_owner(&place));
            self.read_one(properties, "Queue", function, &comment, queues);
        }
    }

    /// The mappings that are resources of their own.
    pub(super) fn read_resources(
        &mut self,
        scope: Scope<'_>,
        active: &BTreeMap<&str, &Resource>,
        functions: &Functions,
        queues: &mut Queues,
    ) {
        let kind = "AWS::Lambda::EventSourceMapping";
        for (id, resource) in active.iter().filter(|(_, resource)| resource.kind == kind) {
            let mut properties = Properties::of(scope, id, &resource.properties);
            let Some(written) = properties.text("FunctionName") else {
                scope.notes.differs(*id, "its function is not known, so the mapping is left out");
                continue;
            };
            let function = function_of(&written);
            if !functions.has(function) {
                let why = format!("its function {function} is not here, so the mapping is left out");
                scope.notes.differs(*id, why);
                continue;
            }
            if has_qualifier(&written) {
                scope.notes.aside(format!("{id}.FunctionName"), "a worker runs one version of a function");
            }
            self.read_one(properties, "EventSourceArn", function, id, queues);
        }
    }

    fn read_one(
        &mut self,
        mut properties: Properties<'_>,
        source_key: &str,
        function: &str,
        comment: &str,
        queues: &mut Queues,
    ) {
        let scope = properties.scope();
        let place = properties.place().to_owned();
        let Some(arn) = properties.text(source_key) else {
            scope.notes.differs(place, "its queue is not known, so the mapping is left out");
            return;
        };
        let mut entry = Entry { comments: vec![comment.to_owned()], ..Entry::default() };
        let Some(source) = source_of(scope, &arn) else {
            let why = format!("{arn:?} is not the ARN of an SQS queue, so the mapping is left out");
            scope.notes.differs(place, why);
            return;
        };
        let mut is_enabled = properties.boolean("Enabled");
        if source.is_remote {
            let why = "a queue of Amazon SQS that the template does not make: disabled, so that nothing is taken from it \
                       unawares";
            scope.notes.differs(&place, why);
            entry.comments.push("A queue of Amazon SQS: enable it if its messages are to be handled here.".to_owned());
            is_enabled = Some(false);
        } else {
            queues.ensure(scope, &place, &source.written);
        }
        entry.set("event_source_arn", Some(Literal::text(&source.written)));
        entry.set("function_name", Some(Literal::text(function)));
        entry.set("batch_size", properties.integer("BatchSize", 1..=10_000, "").map(Literal::Number));
        let window = properties.integer("MaximumBatchingWindowInSeconds", 0..=300, " s");
        entry.set("maximum_batching_window_in_seconds", window.map(Literal::Number));
        entry.set("function_response_types", response_types(&mut properties));
        entry.set("scaling_config", scaling(&mut properties));
        entry.set("filter_criteria", filters(&mut properties));
        entry.set("enabled", is_enabled.filter(|enabled| !enabled).map(Literal::Boolean));
        properties.leave(&[
            ("KmsKeyArn", false, "filters are not encrypted here"),
            ("MetricsConfig", false, "every mapping is counted under /metrics"),
            ("ProvisionedPollerConfig", true, "pollers are as many as there are permits: see scaling_config"),
            ("Tags", false, "nothing here shows it"),
            ("StartingPosition", false, "is for streams"),
            ("DestinationConfig", true, "Lambda takes none for SQS: the queue's dead-letter queue counts"),
        ]);
        properties.finish();
        let pair = (source.written, function.to_owned());
        if self.entries.contains_key(&pair) {
            let why = format!("queue {} feeds function {function} already, so this mapping is left out", pair.0);
            scope.notes.differs(place, why);
            return;
        }
        self.entries.insert(pair, entry);
    }
}

/// `Orders` of `Orders.Events.FromQueue`.
fn events_owner(place: &str) -> &str {
    place.split('.').next().unwrap_or(place)
}

/// A queue as a mapping names it.
struct Source {
    written: String,
    /// Amazon's.
    is_remote: bool,
}

fn source_of(scope: Scope<'_>, arn: &str) -> Option<Source> {
    let evaluator = scope.evaluator;
    // A queue's URL, which `Ref` gives, is not what AWS wants here, and says as much.
    let own_url = evaluator.endpoint_url().and_then(|url| arn.strip_prefix(url)).map(|path| path.rsplit('/').next());
    if let Some(Some(name)) = own_url {
        return Some(Source { written: name.to_owned(), is_remote: false });
    }
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "sqs", _, _, name] = parts.as_slice() else { return None };
    if queue_name(name, false) != *name {
        return None;
    }
    let is_remote = evaluator.queue_arn(name) != arn;
    Some(Source { written: if is_remote { arn.to_owned() } else { (*name).to_owned() }, is_remote })
}

fn response_types(properties: &mut Properties<'_>) -> Option<Literal> {
    let scope = properties.scope();
    let place = format!("{}.FunctionResponseTypes", properties.place());
    let mut types = Vec::new();
    for item in properties.list("FunctionResponseTypes") {
        match scope.evaluator.whole(&item).map(|found| found.and_then(|found| found.text())) {
            Ok(Some(text)) if text == REPORT_BATCH_ITEM_FAILURES => types.push(Literal::text(text)),
            Ok(Some(text)) => scope.notes.differs(&place, format!("{text} is not a response type")),
            Ok(None) => {}
            Err(unknown) => scope.notes.differs(&place, unknown.0),
        }
    }
    types.truncate(1);
    (!types.is_empty()).then_some(Literal::List(types))
}

fn scaling(properties: &mut Properties<'_>) -> Option<Literal> {
    let mut scaling = properties.properties("ScalingConfig")?;
    let maximum = scaling.integer("MaximumConcurrency", 2..=1000, "");
    scaling.finish();
    Some(Literal::Table(vec![("maximum_concurrency".to_owned(), Literal::Number(maximum?))]))
}

fn filters(properties: &mut Properties<'_>) -> Option<Literal> {
    let scope = properties.scope();
    let mut criteria = properties.properties("FilterCriteria")?;
    let filters = criteria.list("Filters");
    let place = format!("{}.Filters", criteria.place());
    criteria.finish();
    let mut patterns = Vec::new();
    for filter in &filters {
        let pattern = scope.evaluator.head(filter).map(|filter| filter.and_then(|f| f.get("Pattern").cloned()));
        match pattern.and_then(|pattern| pattern.map_or(Ok(None), |pattern| scope.evaluator.whole(&pattern))) {
            Ok(Some(Node::Text(text))) => {
                patterns.push(Literal::Table(vec![("pattern".to_owned(), Literal::Text(text))]));
            }
            Ok(Some(other)) => {
                scope.notes.differs(&place, format!("a pattern is a JSON text, and this one is {}", other.kind()));
            }
            Ok(None) => {}
            Err(unknown) => scope.notes.differs(&place, unknown.0),
        }
    }
    if patterns.is_empty() {
        return None;
    }
    Some(Literal::Table(vec![("filters".to_owned(), Literal::List(patterns))]))
}
