//! What follows from the facts: pure functions, so that each rule is a row of a test.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use wasmill_queue::QueueError;

use crate::config::{DEFAULT_VISIBILITY_TIMEOUT_SECONDS, FunctionSpec, MappingSpec, QueueSpec};

/// Lambda's advice: fewer receives do not outlast a throttled moment.
const RECEIVES_ADVISED: u32 = 5;
/// Lambda's advice: the visibility timeout in timeouts of the function.
const TIMEOUTS_ADVISED: u64 = 6;
/// SQS's own, of a queue that says nothing.
const DEFAULT_RETENTION_SECONDS: u64 = 345_600;

/// Something that will hurt, and its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// The mapping or the function, as the config has it.
    pub(super) key: String,
    pub(super) what: String,
    pub(super) mend: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "live: {}: {}\n    mend: {}", self.key, self.what, self.mend)
    }
}

/// What a queue is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) visibility_seconds: u64,
    pub(super) retention_seconds: u64,
    /// Its ARN.
    pub(super) dead_letter_queue: Option<String>,
    pub(super) max_receive_count: u32,
}

impl Attributes {
    /// As a service tells them.
    pub(super) fn of(attributes: &BTreeMap<String, String>) -> Self {
        let number = |name: &str, default| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        let redrive = attributes.get("RedrivePolicy").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let redrive = redrive.unwrap_or_default();
        // Old clients wrote the count as a text, and it is told as it was written.
        let count = redrive["maxReceiveCount"].as_u64().or_else(|| redrive["maxReceiveCount"].as_str()?.parse().ok());
        Self {
            visibility_seconds: number("VisibilityTimeout", u64::from(DEFAULT_VISIBILITY_TIMEOUT_SECONDS)),
            retention_seconds: number("MessageRetentionPeriod", DEFAULT_RETENTION_SECONDS),
            dead_letter_queue: redrive["deadLetterTargetArn"].as_str().map(str::to_owned),
            max_receive_count: count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        }
    }

    /// As the config has them, of a queue that is not there yet.
    pub(super) fn of_spec(spec: &QueueSpec) -> Self {
        let pairs = spec.plain_attributes().into_iter().chain(spec.redrive_attribute());
        Self::of(&pairs.collect())
    }
}

/// A call that a mapping needs and that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) permission: &'static str,
    pub(super) error: QueueError,
}

/// What is known of one mapping.
#[derive(Clone, Debug)]
pub(super) struct Facts<'c> {
    pub(super) mapping: &'c MappingSpec,
    pub(super) function: &'c FunctionSpec,
    /// None: it could not be asked.
    pub(super) source: Option<Attributes>,
    pub(super) dead_letters: Option<Attributes>,
    /// The queue names one that is not there.
    pub(super) lacks_dead_letter_queue: bool,
    pub(super) refusals: Vec<Refusal>,
    /// The handler's code has the word.
    pub(super) handler_tells_failures: bool,
    /// Of a sample, whether each body is a JSON object.
    pub(super) bodies: Vec<bool>,
}

impl<'c> Facts<'c> {
    /// Nothing is known yet.
    pub(super) fn of(mapping: &'c MappingSpec, function: &'c FunctionSpec) -> Self {
        Self {
            mapping,
            function,
            source: None,
            dead_letters: None,
            lacks_dead_letter_queue: false,
            refusals: Vec::new(),
            handler_tells_failures: false,
            bodies: Vec::new(),
        }
    }
}

/// What will hurt of one mapping.
pub(super) fn of_mapping(facts: &Facts<'_>) -> Vec<Advice> {
    let mut found = Vec::new();
    let mut advise = |what: String, mend: String| found.push(Advice { key: facts.mapping.key.clone(), what, mend });
    for Refusal { permission, error } in &facts.refusals {
        let mend = match error {
            QueueError::NoSuchQueue => "create the queue, or correct event_source_arn".to_owned(),
            QueueError::Unavailable(_) => {
                "check the network and [aws] endpoint_url, and that the service runs".to_owned()
            }
            _ => format!("allow {permission} on the queue to whom the worker runs as, or correct its credentials"),
        };
        advise(format!("{permission} was tried, and failed: {error}"), mend);
    }
    if let Some(source) = &facts.source {
        of_times(facts, source, &mut advise);
        of_dead_letters(facts, source, &mut advise);
    }
    if facts.handler_tells_failures && !facts.mapping.report_batch_item_failures {
        advise(
            "the handler speaks of batchItemFailures, and they do not count here: messages that it names as failed are \
             deleted"
                .to_owned(),
            "add function_response_types = [\"ReportBatchItemFailures\"]".to_owned(),
        );
    }
    let others = |wants_json: bool| facts.bodies.iter().filter(|is_json| **is_json != wants_json).count();
    for (index, pattern) in facts.mapping.filter_patterns.iter().enumerate() {
        let Some(wants_json) = wants_json(pattern) else { continue };
        if others(wants_json) > 0 {
            let kind = if wants_json { "JSON objects" } else { "plain text" };
            advise(
                format!(
                    "filters[{index}] wants bodies that are {kind}, and {} of {} in the queue are not: it never matches \
                     those",
                    others(wants_json),
                    facts.bodies.len()
                ),
                "correct the pattern, or the senders; `wasmill check --against QUEUE` tells what becomes of each"
                    .to_owned(),
            );
        }
    }
    found
}

fn of_times(facts: &Facts<'_>, source: &Attributes, advise: &mut impl FnMut(String, String)) {
    let (timeout, window) = (whole_seconds(facts.function.timeout), whole_seconds(facts.mapping.window));
    let visibility = source.visibility_seconds;
    if visibility < timeout + window {
        advise(
            format!(
                "a message may be held for {} s (window {window} s, timeout {timeout} s), and the queue's visibility \
                 timeout is {visibility} s: it runs twice if this process or its network fails meanwhile, and on Lambda \
                 anyway",
                timeout + window
            ),
            format!(
                "raise the queue's visibility timeout to {} s (six timeouts and the window, as Lambda advises)",
                TIMEOUTS_ADVISED * timeout + window
            ),
        );
    }
}

fn of_dead_letters(facts: &Facts<'_>, source: &Attributes, advise: &mut impl FnMut(String, String)) {
    let Some(target) = &source.dead_letter_queue else {
        let what =
            "the queue has no dead-letter queue: what keeps failing comes back until it expires, and is then gone";
        return advise(what.to_owned(), "give the queue a redrive_policy".to_owned());
    };
    if facts.lacks_dead_letter_queue {
        let what =
            format!("the dead-letter queue {target} is not there: what keeps failing comes back until it expires");
        return advise(what, "create it, or correct the queue's redrive policy".to_owned());
    }
    if (1..RECEIVES_ADVISED).contains(&source.max_receive_count) {
        let count = source.max_receive_count;
        advise(
            format!("after {count} receives a message is dead, which a short outage of what the handler calls uses up"),
            format!("raise max_receive_count to {RECEIVES_ADVISED} or more"),
        );
    }
    if let Some(dead) = &facts.dead_letters
        && dead.retention_seconds < source.retention_seconds
    {
        advise(
            format!(
                "the dead-letter queue keeps messages for {} s, the queue for {} s, and a dead letter's age counts from when \
                 it was first sent: it may expire before anybody sees it",
                dead.retention_seconds, source.retention_seconds
            ),
            "raise the dead-letter queue's message_retention_period, best to 1209600 s".to_owned(),
        );
    }
}

/// What will hurt when all functions are busy.
pub(super) fn of_functions(
    functions: &[FunctionSpec],
    mappings: &[MappingSpec],
    memory_mib: Option<u64>,
) -> Vec<Advice> {
    let mut found = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        let of_function = mappings.iter().filter(|mapping| mapping.enabled && mapping.function_name == function.name);
        let wanted: u32 = of_function.filter_map(|mapping| mapping.maximum_concurrency).sum();
        let permits = function.reserved_concurrent_executions;
        if wanted > permits {
            found.push(Advice {
                key: format!("function[{index}]"),
                what: format!(
                    "the mappings of {} may hold {wanted} permits together, and it has {permits}: they wait for each other",
                    function.name
                ),
                mend: "lower their maximum_concurrency, or raise reserved_concurrent_executions".to_owned(),
            });
        }
    }
    let most_mib = |function: &FunctionSpec| {
        u64::from(function.reserved_concurrent_executions) * u64::from(function.memory_size_mib)
    };
    let together: u64 = functions.iter().map(most_mib).sum();
    if let Some(memory) = memory_mib.filter(|memory| together > *memory) {
        found.push(Advice {
            key: "function".to_owned(),
            what: format!(
                "with all permits in use the functions may take {together} MiB, and the machine has {memory} MiB"
            ),
            mend: "lower reserved_concurrent_executions or memory_size where one invocation comes near its limit"
                .to_owned(),
        });
    }
    found
}

/// Whether a pattern is for bodies that are JSON objects, or for plain text; `None`: for any.
fn wants_json(pattern: &str) -> Option<bool> {
    match serde_json::from_str::<Value>(pattern).ok()?.get("body")? {
        Value::Object(_) => Some(true),
        Value::Array(_) => Some(false),
        _ => None,
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::MappingSource;

    use super::*;

    fn function() -> FunctionSpec {
        FunctionSpec { timeout: Duration::from_secs(5), ..FunctionSpec::new("orders", PathBuf::from("orders.wasm")) }
    }

    fn mapping() -> MappingSpec {
        let source = MappingSource::Local { queue_name: "orders".to_owned() };
        MappingSpec::new("event_source_mapping[0]", source, "orders")
    }

    fn sound() -> Attributes {
        let dead_letter_queue = Some("arn:aws:sqs:us-east-1:000000000000:orders-dlq".to_owned());
        Attributes { visibility_seconds: 30, retention_seconds: 60, dead_letter_queue, max_receive_count: 5 }
    }

    fn dead() -> Attributes {
        Attributes { dead_letter_queue: None, max_receive_count: 0, ..sound() }
    }

    /// What is found of a mapping that is sound but for what `spoil` does.
    fn found(
        spoil: impl FnOnce(&mut MappingSpec, &mut FunctionSpec),
        more: impl FnOnce(&mut Facts<'_>),
    ) -> Vec<String> {
        let (mut mapping, mut function) = (mapping(), function());
        spoil(&mut mapping, &mut function);
        let mut facts = Facts::of(&mapping, &function);
        (facts.source, facts.dead_letters) = (Some(sound()), Some(dead()));
        facts.handler_tells_failures = true;
        more(&mut facts);
        of_mapping(&facts).into_iter().map(|advice| advice.to_string()).collect()
    }

    #[test]
    fn each_rule_finds_what_it_is_for_and_nothing_else() {
        assert_eq!(found(|_, _| (), |_| ()), Vec::<String>::new());
        type Spoil = fn(&mut MappingSpec, &mut FunctionSpec);
        type More = fn(&mut Facts<'_>);
        let rows: [(Spoil, More, [&str; 2]); 9] = [
            (
                |mapping, _| mapping.window = Duration::from_secs(26),
                |_| (),
                ["held for 31 s (window 26 s, timeout 5 s)", "to 56 s"],
            ),
            (
                |_, function| function.timeout = Duration::from_secs(31),
                |_| (),
                ["visibility timeout is 30 s", "to 186 s"],
            ),
            (|_, _| (), |facts| facts.source = Some(dead()), ["no dead-letter queue", "redrive_policy"]),
            (
                |_, _| (),
                |facts| facts.source = Some(Attributes { max_receive_count: 4, ..sound() }),
                ["after 4 receives", "5 or more"],
            ),
            (
                |_, _| (),
                |facts| facts.dead_letters = Some(Attributes { retention_seconds: 59, ..dead() }),
                ["for 59 s, the queue for 60 s", "1209600"],
            ),
            (|_, _| (), |facts| facts.lacks_dead_letter_queue = true, ["orders-dlq is not there", "create it"]),
            (
                |mapping, _| mapping.report_batch_item_failures = false,
                |_| (),
                ["speaks of batchItemFailures", "ReportBatchItemFailures"],
            ),
            (
                |mapping, _| mapping.filter_patterns = vec![r#"{"body":{"a":["b"]}}"#.to_owned()],
                |facts| facts.bodies = vec![true, false, true],
                ["bodies that are JSON objects, and 1 of 3", "correct the pattern"],
            ),
            (
                |mapping, _| mapping.filter_patterns = vec![r#"{"body":["b"]}"#.to_owned()],
                |facts| facts.bodies = vec![true, false, true],
                ["bodies that are plain text, and 2 of 3", "correct the pattern"],
            ),
        ];
        for (spoil, more, parts) in rows {
            let found = found(spoil, more);
            assert!(found.len() == 1 && parts.iter().all(|part| found[0].contains(part)), "{parts:?}: {found:?}");
        }
    }

    #[test]
    fn a_permission_that_is_missing_is_named_and_a_service_that_is_away_is_none() {
        let refused = |error: QueueError| {
            found(|_, _| (), |facts| facts.refusals.push(Refusal { permission: "sqs:DeleteMessage", error }))
        };
        let denied = QueueError::Refused { code: "AccessDenied".to_owned(), message: "not authorized".to_owned() };
        let said = refused(denied).concat();
        assert!(
            said.contains("sqs:DeleteMessage was tried, and failed") && said.contains("allow sqs:DeleteMessage"),
            "{said}"
        );
        let said = refused(QueueError::Unavailable("no route".to_owned())).concat();
        assert!(said.contains("check the network") && !said.contains("allow"), "{said}");
    }

    #[test]
    fn functions_that_ask_for_more_than_there_is_are_found() {
        let (mut one, two) = (function(), FunctionSpec { name: "two".to_owned(), ..function() });
        let memory = |functions: &[FunctionSpec], mib| of_functions(functions, &[], Some(mib)).len();
        assert_eq!((memory(&[one.clone(), two.clone()], 8192), memory(&[one.clone(), two], 8191)), (0, 1));
        one.reserved_concurrent_executions = 8;
        let capped = |maximum, enabled| MappingSpec { maximum_concurrency: Some(maximum), enabled, ..mapping() };
        let wants = |mappings: &[MappingSpec]| of_functions(std::slice::from_ref(&one), mappings, None).len();
        assert_eq!(wants(&[capped(4, true), capped(4, true)]), 0);
        assert_eq!(wants(&[capped(4, true), capped(5, true)]), 1);
        assert_eq!(wants(&[capped(4, true), capped(5, false)]), 0);
    }

    #[test]
    fn attributes_are_read_as_services_and_configs_write_them() {
        let told = [
            ("VisibilityTimeout", "45"),
            ("MessageRetentionPeriod", "60"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:d","maxReceiveCount":"3"}"#),
        ];
        let read = Attributes::of(&told.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!((read.visibility_seconds, read.retention_seconds, read.max_receive_count), (45, 60, 3));
        assert_eq!(read.dead_letter_queue.as_deref(), Some("arn:d"));
        let spec = Attributes::of_spec(&QueueSpec { visibility_timeout_seconds: Some(7), ..QueueSpec::new("orders") });
        assert_eq!((spec.visibility_seconds, spec.retention_seconds), (7, DEFAULT_RETENTION_SECONDS));
        assert_eq!(wants_json(r#"{"messageAttributes":{"a":{"stringValue":["x"]}}}"#), None);
    }
}
