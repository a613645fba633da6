//! Whole config files: what they resolve to, and what is said about mistakes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// A handler that exists, a queue, a function and a mapping; `extra` goes below.
const BASE: &str = r#"
[local_queue]
[[queue]]
name = "orders"
[[function]]
name = "orders"
code = "orders.wasm"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/someone".to_owned()),
        "NUMBER" => Some("7".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        _ => None,
    }
}

/// Loads `text` as a file in a folder that also holds `orders.wasm`.
fn load_text(text: &str) -> Result<Config, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.wasm"), b"\0asm").unwrap();
    parse(Path::new("wasmill.toml"), folder.path(), text, &env).finish(Vec::new())
}

fn mistakes(text: &str) -> Vec<Finding> {
    load_text(text).unwrap_err().findings().to_vec()
}

/// The only mistake of `text`: its key, line and the whole text.
#[track_caller]
fn only_mistake(text: &str) -> (String, usize, String) {
    let found = mistakes(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    (found[0].key.clone(), found[0].at.unwrap().line, found[0].to_string())
}

fn with_base(extra: &str) -> String {
    format!("{BASE}{extra}")
}

fn with_mapping(extra: &str) -> String {
    with_base(&format!("[[event_source_mapping]]\nevent_source_arn = \"orders\"\nfunction_name = \"orders\"\n{extra}"))
}

#[test]
fn five_mistakes_are_reported_at_once() {
    let found = mistakes(
        r#"region = "us-east-1"
[local_queue]
listen = "0.0.0.0:9324"

[[queue]]
name = "orders"
vizibility_timeout = 30

[[function]]
name = "orders"
code = "absent.wasm"

[[event_source_mapping]]
event_source_arn = "order"
function_name = "orders"
batch_size = 0
"#,
    );
    let seen: Vec<_> = found.iter().map(|found| (found.at.unwrap().line, found.key.as_str())).collect();
    assert_eq!(
        seen,
        [
            (3, "local_queue.listen"),
            (7, "queue[0].vizibility_timeout"),
            (11, "function[0].code"),
            (14, "event_source_mapping[0].event_source_arn"),
            (16, "event_source_mapping[0].batch_size"),
        ]
    );
    assert_eq!(found[1].mend, "did you mean visibility_timeout?");
    assert!(found[2].what.ends_with("does not exist"), "{}", found[2].what);
    assert!(found[3].mend.starts_with("did you mean \"orders\"?"), "{}", found[3].mend);
    assert_eq!(
        found[4].to_string(),
        "wasmill.toml:16:14  event_source_mapping[0].batch_size: 0 is not in 1–10000\n    \
         mend: write a whole number from 1 to 10000"
    );
}

/// The repository's own examples, read in a copy of its layout so that no handler needs to be built first.
fn load_example(name: &str) -> Config {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let copy = tempfile::tempdir().unwrap();
    let prebuilt = copy.path().join("handlers/prebuilt");
    let folder = copy.path().join("config");
    std::fs::create_dir_all(&prebuilt).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(prebuilt.join("orders.wasm"), b"\0asm").unwrap();
    let path = folder.join(name);
    std::fs::copy(examples.join(name), &path).unwrap();
    load_whole(&path).map_err(|mistakes| mistakes.to_string()).unwrap()
}

fn load_whole(path: &Path) -> Result<Config, Mistakes> {
    load(path, &env, &[])?.finish(Vec::new())
}

#[test]
fn minimal_toml_loads() {
    let config = load_example("minimal.toml");
    assert_eq!(config.warnings, []);
    let local_queue = config.local_queue.unwrap();
    assert_eq!(local_queue.listen, DEFAULT_AWS_LISTEN);
    assert!(local_queue.data_dir.unwrap().ends_with("config/data"));
    assert_eq!(local_queue.durability, Durability::Fsync);
    assert_eq!(config.admin.listen, DEFAULT_ADMIN_LISTEN);
    assert_eq!(
        config.queues[0].redrive.as_ref().unwrap().dead_letter_target_arn,
        "arn:aws:sqs:us-east-1:000000000000:orders-dlq"
    );
    assert_eq!(config.mappings[0].source, MappingSource::Local { queue_name: "orders".to_owned() });
    assert!(config.mappings[0].report_batch_item_failures);
    assert_eq!(config.drain_grace, Duration::from_secs(30));
    assert_eq!(config.cache_dir.as_deref(), Some(Path::new("/home/someone/.cache/wasmill")));
}

#[tokio::test]
async fn full_toml_loads_and_its_values_are_the_defaults() {
    let full = load_example("full.toml");
    let minimal = load_example("minimal.toml");
    assert_eq!(full.warnings, []);
    assert_eq!(
        (&full.region, &full.account_id, &full.cache_dir),
        (&minimal.region, &minimal.account_id, &minimal.cache_dir)
    );
    assert_eq!((full.strict_lambda, full.drain_grace), (minimal.strict_lambda, minimal.drain_grace));
    assert_eq!(full.admin, minimal.admin);
    assert_eq!(full.queues[0].redrive, minimal.queues[0].redrive);
    assert_eq!(full.queues[0].plain_attributes().len(), 9, "every attribute of a standard queue is written");
    assert_eq!(attributes_of_new_queue(&full.queues[0]).await, attributes_of_new_queue(&QueueSpec::new("x")).await);
    assert_eq!(full.sandbox.max_instances, minimal.sandbox.max_instances);
    assert_eq!(full.local_queue.unwrap().durability, minimal.local_queue.unwrap().durability);

    let (mut function, plain) = (full.functions[0].clone(), &minimal.functions[0]);
    assert_eq!(function.environment.0.len(), 1);
    function.environment = Environment::default();
    assert_eq!(function.ephemeral_storage_mib.take(), Some(512));
    function.code.clone_from(&plain.code);
    function.code_origin.clone_from(&plain.code_origin);
    assert_eq!(&function, plain);

    let (mut mapping, plain) = (full.mappings[0].clone(), &minimal.mappings[0]);
    assert_eq!(mapping.maximum_concurrency.take(), Some(8));
    assert_eq!(mapping.max_messages_per_second.take(), Some(500));
    assert_eq!(&mapping, plain);
    assert!(!full.mappings[1].enabled);
    assert_eq!(full.mappings[1].filter_patterns.len(), 1);
}

/// What the built-in queue makes of the attributes that are written.
async fn attributes_of_new_queue(spec: &QueueSpec) -> Vec<(&'static str, String)> {
    let broker = wasmill_queue::Broker::open(wasmill_queue::BrokerOptions {
        data_dir: None,
        durability: wasmill_queue::Durability::Fsync,
        identity: wasmill_queue::Identity::default(),
        clock: None,
        timeline: wasmill_queue::Timeline::real(),
        chaos: None,
        metrics: wasmill_queue::Metrics::register(&prometheus::Registry::new()).unwrap(),
    });
    let broker = broker.await.unwrap();
    let queue = broker.create_queue(&spec.name, &spec.creation_attributes(), &[]).await.unwrap();
    queue.describe().unwrap().attributes
}

#[test]
fn every_key_that_works_is_in_full_toml() {
    let text =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/full.toml")).unwrap();
    // An unknown key makes each section list what it knows: the reader itself says which keys work.
    let probe = "a_b_c = 1\n[local_queue]\na_b_c = 1\nstrict = { a_b_c = 1 }\n[auth]\na_b_c = 1\n\
                 credentials = [{ a_b_c = 1 }]\n[control]\na_b_c = 1\n[admin]\na_b_c = 1\n[aws]\na_b_c = 1\n[deployed]\na_b_c = 1\n[sandbox]\na_b_c = 1\n\
                 [[queue]]\na_b_c = 1\nredrive_policy = { a_b_c = 1 }\n\
                 redrive_allow_policy = { a_b_c = 1 }\n[[function]]\na_b_c = 1\nephemeral_storage = { a_b_c = 1 }\n\
                 [[event_source_mapping]]\na_b_c = 1\nscaling_config = { a_b_c = 1 }\n\
                 filter_criteria = { a_b_c = 1, filters = [{ a_b_c = 1 }] }\n";
    let lists: Vec<String> = mistakes(probe)
        .into_iter()
        .filter_map(|found| Some(found.mend.strip_prefix("the keys here are ")?.to_owned()))
        .collect();
    assert_eq!(lists.len(), 19, "one list per section");
    for key in lists.iter().flat_map(|list| list.split(", ")) {
        let written = |line: &str| {
            if line.starts_with('#') {
                // One does not go with [local_queue], the other not with a module.
                return match key {
                    "control" => line == "#   [control]",
                    "handler" => line.contains("handler = \"orders.lambda_handler\""),
                    _ => false,
                };
            }
            let line = line.trim_start_matches('[');
            line.starts_with(&format!("{key} ="))
                || line.starts_with(&format!("{key}]"))
                || line.contains(&format!(" {key} = "))
        };
        assert!(text.lines().any(written), "{key} is missing in full.toml");
    }
}

#[test]
fn a_control_listener_is_for_a_worker_without_a_built_in_queue_and_guarded_as_one_with() {
    let state = "state_dir = \"data\"\n";
    let loaded = |text: &str| load_text(text).unwrap();
    let beside_nothing = loaded(&format!("{state}[control]\nallowed_origins = [\"http://localhost:3000\"]\n"));
    let control = beside_nothing.control.unwrap();
    assert_eq!((control.listen, control.allowed_origins.len()), (DEFAULT_AWS_LISTEN, 1));
    assert!(beside_nothing.local_queue.is_none() && beside_nothing.warnings.is_empty());
    let warned = loaded("[control]\n").warnings;
    assert!(warned[0].what.contains("forgotten when the worker ends"), "{warned:?}");
    let auth =
        "[auth]\ncredentials = [{ access_key_id = \"AKIAWASMILLORDERS\", secret_access_key = \"sixteen-letters!\" }]\n";
    assert!(loaded(&format!("{state}[control]\nlisten = \"0.0.0.0:1\"\n{auth}")).control.is_some());
    for (text, part) in [
        ("[control]\nlisten = \"0.0.0.0:1\"\n".to_owned(), "needs credentials"),
        ("[control]\nlisten = \"127.0.0.1:9325\"\n".to_owned(), "would both listen on port 9325"),
        ("[control]\n[local_queue]\n".to_owned(), "serves Lambda's API already"),
        (auth.to_owned(), "there is neither"),
    ] {
        let (_, _, said) = only_mistake(&text);
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    let (found, _, said) = only_mistake(&with_mapping("provisioned_poller_config = {}"));
    assert_eq!(found, "event_source_mapping[0].provisioned_poller_config");
    assert!(said.contains("not yet"), "{said}");
}

/// A mapping from a FIFO queue.
fn of_fifo(lines: &str) -> String {
    with_mapping(lines).replace("\"orders\"\nfunction_name", "\"orders.fifo\"\nfunction_name")
        + "\n[[queue]]\nname = \"orders.fifo\""
}

#[test]
fn wrong_types_and_ranges_name_the_key() {
    for (text, key, part) in [
        (with_mapping("batch_size = 10001"), "event_source_mapping[0].batch_size", "10001 is not in 1–10000"),
        (with_mapping("batch_size = \"5\""), "event_source_mapping[0].batch_size", "\"5\" is not a whole number"),
        (with_mapping("batch_size = -1"), "event_source_mapping[0].batch_size", "-1 is not in 1–10000"),
        (
            with_mapping("batch_size = 11"),
            "event_source_mapping[0].batch_size",
            "batch window in seconds must be greater",
        ),
        (
            with_mapping("maximum_batching_window_in_seconds = 301"),
            "event_source_mapping[0].maximum_batching_window_in_seconds",
            "301 is not in 0–300 s",
        ),
        (with_mapping("weight = 0"), "event_source_mapping[0].weight", "0 is not in 1–1000"),
        (with_mapping("retry_policy = \"soon\""), "event_source_mapping[0].retry_policy", "not a retry policy"),
        (with_mapping("retry_policy = {}"), "event_source_mapping[0].retry_policy.type", "is missing"),
        (
            with_mapping("retry_policy = { type = \"exponential\", base_seconds = 9, max_seconds = 8 }"),
            "event_source_mapping[0].retry_policy.max_seconds",
            "less than base_seconds",
        ),
        (with_mapping("on_filtered = \"drop\""), "event_source_mapping[0].on_filtered", "is not one of"),
        (with_mapping("on_filtered = \"keep\""), "event_source_mapping[0]", "without filter_criteria"),
        (
            with_mapping(
                "filter_criteria = { filters = [{ pattern = '{\"body\":{}}' }] }\non_filtered = \"forward:orders\"",
            )
            .replace("{}}", "[\"x\"]}"),
            "event_source_mapping[0].on_filtered",
            "is the queue itself",
        ),
        (
            with_mapping("filter_criteria = { filters = [{ pattern = '{\"eventSource\":\"aws:sqs\"}' }] }"),
            "event_source_mapping[0].filter_criteria.filters[0].pattern",
            "Invalid filter pattern definition.",
        ),
        (with_mapping("fifo_order = \"trust\""), "event_source_mapping[0].fifo_order", "not a FIFO queue"),
        (
            of_fifo("maximum_batching_window_in_seconds = 1"),
            "event_source_mapping[0].maximum_batching_window_in_seconds",
            "no batching window",
        ),
        (of_fifo("batch_size = 11"), "event_source_mapping[0].batch_size", "the most from a FIFO queue"),
        (with_mapping("enabled = 1"), "event_source_mapping[0].enabled", "an integer is not true or false"),
        (
            with_mapping("scaling_config = { maximum_concurrency = 1 }"),
            "event_source_mapping[0].scaling_config.maximum_concurrency",
            "1 is not in 2–1000",
        ),
        (
            with_mapping("function_response_types = [\"All\"]"),
            "event_source_mapping[0].function_response_types[0]",
            "\"All\" is not a response type",
        ),
        (
            with_mapping("function_response_types = \"ReportBatchItemFailures\""),
            "event_source_mapping[0].function_response_types",
            "expected a list of strings",
        ),
        (with_base("timeout = 901"), "function[0].timeout", "901 is not in 1–900 s"),
        (with_base("timeout = 1.5"), "function[0].timeout", "a float is not a whole number"),
        (with_base("handler = \"orders.handler\""), "function[0].handler", "has its handler in it"),
        (with_base("runtime = \"ruby\""), "function[0].runtime", "is not one of \"wasm\", \"python\", \"js\""),
        (with_base("allowed_hosts = [\"example.com\"]"), "function[0].allowed_hosts[0]", "is no origin such as"),
        (with_base("allowed_networks = [\"10.0.0.0\"]"), "function[0].allowed_networks[0]", "is no network such as"),
        (
            with_base("ephemeral_storage = { size = 0 }"),
            "function[0].ephemeral_storage.size",
            "0 is not in 1–10240 MiB",
        ),
        (with_base("ephemeral_storage = {}"), "function[0].ephemeral_storage", "does not say how large"),
        (with_base("ephemeral_storage = 512"), "function[0].ephemeral_storage", "expected a table"),
        (with_base("reuse = { max_idle_seconds = 0 }"), "function[0].reuse.max_idle_seconds", "0 is not in 1–"),
        (
            with_base("environment = { A = { from_env = \"NOT_SET\" } }"),
            "function[0].environment.A.from_env",
            "\"NOT_SET\" is not set",
        ),
        (
            with_base("environment = { A = { from_file = \"nowhere\" } }"),
            "function[0].environment.A.from_file",
            "\"nowhere\" cannot be read",
        ),
        (with_base("environment = { A = {} }"), "function[0].environment.A", "does not say where the value is"),
        (with_base("memory_size = 99999999999999999999"), "function[0].memory_size", "far too large"),
        (
            with_base("environment = { AWS_REGION = \"x\" }"),
            "function[0].environment.AWS_REGION",
            "is set by wasmill itself",
        ),
        (with_base("[[queue]]\nname = \"a b\""), "queue[1].name", "is not a queue name"),
        (
            with_base("[[queue]]\nname = \"a\"\nredrive_policy = { dead_letter_target_arn = \"orders\" }"),
            "queue[1].redrive_policy.max_receive_count",
            "is missing",
        ),
        (with_base("[queues]\n"), "queues", "did you mean queue?"),
        (with_base("strict_lambda = true"), "function[0].strict_lambda", "move it above the first [section]"),
        (with_base("[sandbox]\nmax_instances = 31"), "sandbox.max_instances", "fewer than the functions may run"),
        (with_base("[admin]\nlisten = \"0.0.0.0:9325\""), "admin.listen", "allow_non_loopback = true"),
        (with_base("[admin]\nlisten = \"127.0.0.1:9324\""), "admin.listen", "different ports"),
        (with_base("[admin]\nlisten = \"localhost:9325\""), "admin.listen", "is not an address"),
        ("account_id = \"12\"".to_owned() + BASE, "account_id", "twelve digits"),
        ("[queue]\nname = \"a\"".to_owned(), "queue", "[[queue]]"),
        ("[[local_queue]]".to_owned(), "local_queue", "write [local_queue]"),
        ("[local_queue]\ndurability = \"os\"".to_owned(), "local_queue.durability", "in memory"),
        ("[[queue]]\nname = \"a\"".to_owned(), "queue[0]", "add a [local_queue] section"),
    ] {
        let (found, _, said) = only_mistake(&text);
        assert_eq!(found, key, "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn names_are_looked_up_across_sections() {
    let queue = |name: &str, dead_letter: &str| {
        let policy = format!("{{ dead_letter_target_arn = \"{dead_letter}\", max_receive_count = 3 }}");
        with_base(&format!("[[queue]]\nname = \"{name}\"\nredrive_policy = {policy}"))
    };
    let mapping = |source: &str, function: &str| {
        format!("[[event_source_mapping]]\nevent_source_arn = \"{source}\"\nfunction_name = \"{function}\"\n")
    };
    let from = |source: &str| with_base(&mapping(source, "orders"));
    let twice = with_mapping(&mapping("arn:aws:sqs:us-east-1:000000000000:orders", "orders"));
    let only_function = "[[function]]\nname = \"f\"\ncode = \"orders.wasm\"\n".to_owned();
    let (target, source, function) = (
        "queue[1].redrive_policy.dead_letter_target_arn",
        "event_source_mapping[0].event_source_arn",
        "event_source_mapping[0].function_name",
    );
    let same_queue = with_base("[[queue]]\nname = \"orders\"");
    let same_function = with_base("[[function]]\nname = \"orders\"\ncode = \"orders.wasm\"");
    for (text, key, part) in [
        (same_queue, "queue[1].name", "there is a queue \"orders\" already, on line 4"),
        (same_function, "function[1].name", "there is a function"),
        (queue("a", "b"), target, "there is no queue \"b\""),
        (queue("a", "a"), target, "the queue itself"),
        (queue("a", "arn:aws:sqs:us-east-1:111111111111:orders"), target, "not a queue of the built-in service"),
        (with_base(&mapping("orders", "order")), function, "did you mean \"orders\"?"),
        (with_base("[[event_source_mapping]]\nevent_source_arn = \"orders\""), function, "is missing"),
        (twice, "event_source_mapping[1]", "already exists: event_source_mapping[0] on line 8"),
        (from("arn:aws:sqs:eu-west-1:000000000000:orders"), source, "is not Amazon's"),
        (from("http://10.0.0.1/1/orders"), source, "does not say its region"),
        (from("http://a:hunter2@10.0.0.1/1/orders"), source, "the address carries credentials"),
        (only_function + &mapping("orders", "f"), source, "there is no [local_queue]"),
    ] {
        let (found, _, said) = only_mistake(&text);
        assert_eq!(found, key, "{said}");
        assert!(said.contains(part), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_attribute_of_a_queue_is_read() {
    let text = r#"
[local_queue]
[[queue]]
name = "orders.fifo"
fifo_queue = true
content_based_deduplication = true
deduplication_scope = "messageGroup"
fifo_throughput_limit = "perMessageGroupId"
policy = '{"Version":"2012-10-17"}'
kms_master_key_id = "alias/orders"
kms_data_key_reuse_period_seconds = 60
redrive_policy = { dead_letter_target_arn = "dead.fifo", max_receive_count = 3 }
tags = { team = "blue", cost = "" }
[[queue]]
name = "dead.fifo"
sqs_managed_sse_enabled = false
redrive_allow_policy = { redrive_permission = "byQueue", source_queue_arns = ["orders.fifo", "arn:aws:sqs:us-east-1:000000000000:b.fifo"] }
"#;
    let queues = load_text(text).map_err(|mistakes| mistakes.to_string()).unwrap().queues;
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let orders = [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "messageGroup"),
        ("FifoThroughputLimit", "perMessageGroupId"),
        ("Policy", r#"{"Version":"2012-10-17"}"#),
        ("KmsMasterKeyId", "alias/orders"),
        ("KmsDataKeyReusePeriodSeconds", "60"),
    ];
    assert_eq!(queues[0].creation_attributes(), pairs(&orders));
    assert_eq!(queues[0].tags, pairs(&[("cost", ""), ("team", "blue")]));
    let allow = r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:orders.fifo","arn:aws:sqs:us-east-1:000000000000:b.fifo"]}"#;
    let dead = [("FifoQueue", "true"), ("RedriveAllowPolicy", allow), ("SqsManagedSseEnabled", "false")];
    assert_eq!(queues[1].creation_attributes(), pairs(&dead));
}

#[test]
fn a_queues_keys_must_go_together() {
    let queue = |name: &str, keys: &str| with_base(&format!("[[queue]]\nname = \"{name}\"\n{keys}"));
    let allow = |policy: &str| queue("a", &format!("redrive_allow_policy = {policy}"));
    let eleven = (0..11).map(|n| format!("\"q{n}\"")).collect::<Vec<_>>().join(", ");
    let dead_of_base = |dead: &str, keys: &str| {
        let policy = format!("redrive_policy = {{ dead_letter_target_arn = \"{dead}\", max_receive_count = 1 }}");
        BASE.replace("[[function]]", &format!("{policy}\n[[function]]"))
            + &format!("[[queue]]\nname = \"{dead}\"\n{keys}")
    };
    for (text, key, part) in [
        (queue("a", "fifo_queue = true"), "queue[1].fifo_queue", "does not end with .fifo"),
        (queue("a.fifo", "fifo_queue = false"), "queue[1].fifo_queue", "ends with .fifo"),
        (queue("a.fifo", "fifo_queue = 1"), "queue[1].fifo_queue", "not true or false"),
        (queue("a", "content_based_deduplication = true"), "queue[1].content_based_deduplication", "FIFO queues"),
        (queue("a", "deduplication_scope = \"queue\""), "queue[1].deduplication_scope", "FIFO queues"),
        (queue("a.fifo", "deduplication_scope = \"group\""), "queue[1].deduplication_scope", "\"messageGroup\""),
        (
            queue("a.fifo", "fifo_throughput_limit = \"perMessageGroupId\""),
            "queue[1].fifo_throughput_limit",
            "only with deduplication_scope",
        ),
        (
            queue("a", "kms_master_key_id = \"k\"\nsqs_managed_sse_enabled = true"),
            "queue[1].sqs_managed_sse_enabled",
            "one kind of encryption",
        ),
        (
            queue("a", "kms_data_key_reuse_period_seconds = 59"),
            "queue[1].kms_data_key_reuse_period_seconds",
            "59 is not in 60–86400 s",
        ),
        (queue("a", "policy = \"allow\""), "queue[1].policy", "is not JSON"),
        (queue("a", "policy = \"[]\""), "queue[1].policy", "no object"),
        (queue("a", "policy = { }"), "queue[1].policy", "expected a string"),
        (queue("a", "tags = \"x\""), "queue[1].tags", "expected a table of strings"),
        (queue("a", "tags = { \"\" = \"x\" }"), "queue[1].tags.", "key is empty"),
        (allow("{ redrive_permission = \"all\" }"), "queue[1].redrive_allow_policy.redrive_permission", "allowAll"),
        (allow("{ }"), "queue[1].redrive_allow_policy.redrive_permission", "is missing"),
        (
            allow("{ redrive_permission = \"byQueue\" }"),
            "queue[1].redrive_allow_policy.source_queue_arns",
            "missing or empty",
        ),
        (
            allow("{ redrive_permission = \"denyAll\", source_queue_arns = [\"orders\"] }"),
            "queue[1].redrive_allow_policy.source_queue_arns[0]",
            "byQueue only",
        ),
        (
            allow(&format!("{{ redrive_permission = \"byQueue\", source_queue_arns = [{eleven}] }}")),
            "queue[1].redrive_allow_policy.source_queue_arns[0]",
            "more than 10",
        ),
        (
            allow("{ redrive_permission = \"byQueue\", source_queue_arns = [\"http://host/1/q\"] }"),
            "queue[1].redrive_allow_policy.source_queue_arns[0]",
            "is a URL",
        ),
        (
            dead_of_base("dead", "redrive_allow_policy = { redrive_permission = \"denyAll\" }"),
            "queue[0].redrive_policy.dead_letter_target_arn",
            "does not allow this",
        ),
        (dead_of_base("dead.fifo", ""), "queue[0].redrive_policy.dead_letter_target_arn", "is a FIFO queue"),
    ] {
        let (found, _, said) = only_mistake(&text);
        assert_eq!(found, key, "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn one_wrong_name_is_one_mistake() {
    // What refers to it by the same name is not wrong a second time.
    let text = "[local_queue]\n[[queue]]\nname = \"a b\"\n[[function]]\nname = \"f x\"\ncode = \"orders.wasm\"\n\
                [[event_source_mapping]]\nevent_source_arn = \"a b\"\nfunction_name = \"f x\"\n";
    let keys: Vec<_> = mistakes(text).into_iter().map(|found| found.key).collect();
    assert_eq!(keys, ["queue[0].name", "function[0].name"]);
}

#[test]
fn one_mistake_does_not_hide_another() {
    let text = "[local_queue]\n[[queue]]\nname = \"a\"\n\
                redrive_policy = { dead_letter_target_arn = \"b\", max_receive_count = 0 }\n\
                [[event_source_mapping]]\nevent_source_arn = \"c\"\nfunction_name = \"f\"\n";
    let keys: Vec<_> = mistakes(text).into_iter().map(|found| found.key).collect();
    assert_eq!(
        keys,
        [
            "queue[0].redrive_policy.dead_letter_target_arn",
            "queue[0].redrive_policy.max_receive_count",
            "event_source_mapping[0].event_source_arn",
            "event_source_mapping[0].function_name",
        ]
    );
}

#[test]
fn event_sources_are_local_or_remote() {
    let source = |address: &str, extra: &str| {
        let text = with_base(&format!(
            "[[event_source_mapping]]\nevent_source_arn = \"{address}\"\nfunction_name = \"orders\"\n{extra}"
        ));
        load_text(&text).map_err(|mistakes| mistakes.to_string()).unwrap().mappings.remove(0).source
    };
    let local = MappingSource::Local { queue_name: "orders".to_owned() };
    assert_eq!(source("orders", ""), local);
    assert_eq!(source("arn:aws:sqs:us-east-1:000000000000:orders", ""), local);
    assert_eq!(source("http://localhost:9324/000000000000/orders", ""), local);

    let remote = |address: RemoteAddress, region: &str, endpoint_url: Option<&str>| {
        let (region, endpoint_url) = (region.to_owned(), endpoint_url.map(str::to_owned));
        MappingSource::Remote(RemoteQueue { address, name: "orders".to_owned(), region, endpoint_url })
    };
    let arn = "arn:aws:sqs:eu-west-1:123456789012:orders";
    let by_arn = RemoteAddress::Arn { arn: arn.to_owned(), account_id: "123456789012".to_owned() };
    assert_eq!(source(arn, ""), remote(by_arn.clone(), "eu-west-1", None));
    assert_eq!(
        source(arn, "[aws]\nendpoint_url = \"http://vpc:1\""),
        remote(by_arn, "eu-west-1", Some("http://vpc:1"))
    );
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
    assert_eq!(source(url, ""), remote(RemoteAddress::Url(url.to_owned()), "eu-west-1", None));
    let elastic = "http://10.0.0.1:9324/000000000000/orders";
    assert_eq!(
        source(elastic, "[aws]\nregion = \"elasticmq\""),
        remote(RemoteAddress::Url(elastic.to_owned()), "elasticmq", Some("http://10.0.0.1:9324"))
    );
}

#[test]
fn a_worker_without_the_built_in_queue() {
    let text = "[[function]]\nname = \"f\"\ncode = \"orders.wasm\"\n[[event_source_mapping]]\n\
                event_source_arn = \"arn:aws:sqs:us-east-1:123456789012:orders\"\nfunction_name = \"f\"\n";
    let config = load_text(text).unwrap();
    assert_eq!(config.local_queue, None);
    assert!(matches!(config.mappings[0].source, MappingSource::Remote(_)));
}

#[test]
fn the_environment_reaches_strings_numbers_and_nothing_that_is_shown() {
    let config = load_text(&with_mapping("batch_size = \"${NUMBER}\"\nenabled = \"${ON:-false}\"")).unwrap();
    assert_eq!((config.mappings[0].batch_size, config.mappings[0].enabled), (7, false));

    let (_, _, said) = only_mistake(&with_base("environment = { TOKEN = \"${NOWHERE}\" }"));
    assert!(said.contains("NOWHERE is not set") && said.contains("${NOWHERE:-value}"), "{said}");

    let config = load_text(&with_base("environment = { TOKEN = \"${SECRET}\" }")).unwrap();
    assert_eq!(config.functions[0].environment.0["TOKEN"], "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));

    let (_, _, said) = only_mistake(&format!("region = \"${{SECRET}}!\"{BASE}"));
    assert!(said.contains("${SECRET}") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_timeout_above_the_visibility_timeout_warns_or_is_refused() {
    let text = with_mapping("").replace("code =", "timeout = 31\ncode =");
    let config = load_text(&text).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.warnings[0].key, "function[0].timeout");
    assert!(config.warnings[0].what.contains("31 s is more than the visibility timeout of queue \"orders\", 30 s"));

    let (key, _, said) = only_mistake(&format!("strict_lambda = true{text}"));
    assert_eq!(key, "function[0].timeout");
    assert!(said.contains("strict_lambda"), "{said}");
}

#[test]
fn a_concurrency_that_is_never_reached_warns() {
    let config = load_text(&with_mapping("scaling_config = { maximum_concurrency = 33 }")).unwrap();
    assert_eq!(config.warnings[0].key, "event_source_mapping[0].scaling_config.maximum_concurrency");
}

#[test]
fn the_instance_ceiling_follows_the_permits() {
    let config = load_text(&with_base("reserved_concurrent_executions = 100")).unwrap();
    assert_eq!(config.sandbox.max_instances, 108);
    assert!(config.sandbox.guest_threads >= 1);
    assert_eq!(load_text(BASE).unwrap().sandbox.max_instances, 64);
}

#[test]
fn broken_toml_is_reported_with_its_place() {
    let (key, line, said) = only_mistake("region = \"us-east-1\"\n[local_queue\n");
    assert_eq!((key.as_str(), line), ("", 2));
    assert!(said.contains("not valid TOML"), "{said}");
    // A broken line breaks what follows; only the first break is worth reading.
    assert_eq!(only_mistake("a = [1,\n[x\ny = \"\n").1, 3);
    assert!(only_mistake("a = 1\na = 2").2.contains("duplicate key"));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path| load_whole(path).unwrap_err().to_string();
    assert!(
        said(&folder.path().join("absent.toml")).contains("absent.toml  the config file cannot be read: No such file")
    );
    assert!(said(folder.path()).contains("no .toml file"));
    let path = folder.path().join("x.toml");
    std::fs::write(&path, b"region = \"\xff\"").unwrap();
    assert!(said(&path).contains("not UTF-8 text: byte 10"));
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(said(&path).contains("larger than"));
    std::fs::write(&path, b"").unwrap();
    assert_eq!(load_whole(&path).unwrap().mappings, []);
}

#[test]
fn without_a_home_the_cache_must_be_named() {
    let parse_homeless =
        |text: &str| parse(Path::new("x.toml"), Path::new("/etc/wasmill"), text, &|_| None).finish(Vec::new());
    assert_eq!(parse_homeless("").unwrap_err().findings()[0].key, "cache_dir");
    assert_eq!(
        parse_homeless("cache_dir = \"cache\"").unwrap().cache_dir.as_deref(),
        Some(Path::new("/etc/wasmill/cache"))
    );
}

/// `[local_queue]` with `keys`, and `[auth]` with `credentials`.
fn with_auth(keys: &str, credentials: &str) -> String {
    format!("[local_queue]\n{keys}\n[auth]\ncredentials = {credentials}\n")
}

#[test]
fn credentials_open_the_listener_and_never_print() {
    let two = r#"[
        { access_key_id = "AKIAONE", secret_access_key = "${SECRET}" },
        { access_key_id = "AKIATWO", secret_access_key = "hunter2-with-enough-characters" },
    ]"#;
    let config = load_text(&with_auth("listen = \"0.0.0.0:9324\"", two)).unwrap();
    let ids: Vec<&str> = config.access_keys.iter().map(AccessKey::id).collect();
    assert_eq!(ids, ["AKIAONE", "AKIATWO"]);
    assert_eq!(config.local_queue.as_ref().unwrap().listen.to_string(), "0.0.0.0:9324");
    let weak: Vec<&str> = config.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(weak, ["auth.credentials[0].secret_access_key"]);
    let printed = format!("{config:?} {}", config.warnings[0]);
    assert!(!printed.contains("hunter2"), "{printed}");

    let (key, _, said) = only_mistake("[local_queue]\nlisten = \"0.0.0.0:9324\"");
    assert!(key == "local_queue.listen" && said.contains("needs credentials") && said.contains("[auth]"), "{said}");
}

#[test]
fn credentials_that_cannot_work_are_named() {
    let entry = |id: &str, secret: &str| format!("{{ access_key_id = \"{id}\", secret_access_key = \"{secret}\" }}");
    let long = "hunter2-with-enough-characters";
    for (text, key, part) in [
        (with_auth("", "[]"), "auth.credentials", "holds no access key"),
        ("[local_queue]\n[auth]".to_owned(), "auth.credentials", "holds no access key"),
        (with_auth("", "\"hunter2\""), "auth.credentials", "found a string"),
        (with_auth("", "[\"hunter2\"]"), "auth.credentials[0]", "found a string"),
        (with_auth("", "[ { access_key_id = \"a\" } ]"), "auth.credentials[0].secret_access_key", "is missing"),
        (with_auth("", &format!("[{}]", entry("a/b", long))), "auth.credentials[0].access_key_id", "letters, digits"),
        (with_auth("", &format!("[{}]", entry("a", "hunter2 "))), "auth.credentials[0].secret_access_key", "no space"),
        (
            with_auth("", &format!("[{}, {}]", entry("a", long), entry("a", long))),
            "auth.credentials[1].access_key_id",
            "already, on line 4",
        ),
        (format!("[auth]\ncredentials = [{}]", entry("a", long)), "auth", "there is neither"),
        (
            with_auth("", &format!("[{}]\nsession_token = \"hunter2\"", entry("a", long))),
            "auth.session_token",
            "unknown key",
        ),
    ] {
        let (found, _, said) = only_mistake(&text);
        assert!(found == key && said.contains(part), "{text}: {found}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_is_for_tests_is_a_flag_and_no_key() {
    for (text, key) in [
        ("[local_queue]\ntime_control = true", "local_queue.time_control"),
        ("[local_queue]\nchaos = \"seed=7,duplicate=1%\"", "local_queue.chaos"),
        ("chaos = { duplicate = \"1%\" }\n[local_queue]", "chaos"),
    ] {
        let (found, _, said) = only_mistake(text);
        assert!(found == key && said.contains("a flag of `wasmill dev` and `wasmill queue serve`"), "{text}: {said}");
    }
}

#[test]
fn origins_are_what_browsers_write() {
    let origins = |written: &str| format!("[local_queue]\nallowed_origins = {written}");
    let config = load_text(&origins(r#"["http://localhost:3000"]"#)).unwrap();
    assert_eq!(config.local_queue.unwrap().allowed_origins, ["http://localhost:3000"]);
    let (key, _, said) = only_mistake(&origins(r#"["http://localhost:3000", "*"]"#));
    assert!(key == "local_queue.allowed_origins[1]" && said.contains("scheme://host"), "{said}");
}
