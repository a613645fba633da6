//! The files that deploy wasmill, held against what they must agree with: the config reader, the operators' guide, the drain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::command::{run, wasmill_command};
use support::places;

/// `drain_grace_seconds`, a long poll, calls that are not answered: as "SIGTERM" in the operators' guide says.
const DRAIN_SECONDS: u64 = 30 + 20 + 35;

fn folder() -> PathBuf {
    places::repository().join("config/deploy")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder whose names end so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// The number behind `key` in the one line that begins with it.
fn number(text: &str, key: &str) -> u64 {
    let values: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix(key)).collect();
    assert_eq!(values.len(), 1, "{key} stands once in:\n{text}");
    values[0].trim().trim_end_matches('s').parse().unwrap()
}

/// The actions that an IAM statement allows: one, or a list.
fn actions(statement: &Value) -> Vec<String> {
    match &statement["Action"] {
        Value::String(action) => vec![action.clone()],
        Value::Array(actions) => actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
        other => panic!("no Action: {other}"),
    }
}

/// What the operators' guide says that Amazon SQS needs: each name in backticks that begins with `sqs:`.
fn documented_actions() -> BTreeSet<String> {
    let guide = std::fs::read_to_string(places::repository().join("config/OPERATING.md")).unwrap();
    let begin = guide.find("* **Amazon SQS** needs").unwrap();
    let item = &guide[begin..];
    let end = item[1..].find("\n* ").map_or(item.len(), |end| end + 1);
    item[..end].split('`').filter(|word| word.starts_with("sqs:")).map(str::to_owned).collect()
}

#[test]
fn check_finds_no_mistake_in_the_configs() {
    let configs = files(&folder(), "toml");
    assert_eq!(configs.len(), 4, "{configs:?}");
    for config in configs {
        let mut command = wasmill_command(["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
        command.env("HANDLERS", places::guests()).env("CACHE_DIRECTORY", places::module_cache());
        let checked = run(&mut command, "");
        assert_eq!(checked.assert_succeeds(), format!("{}: no mistakes\n", config.display()));
        let text = std::fs::read_to_string(&config).unwrap();
        let grace = text.lines().find_map(|line| line.strip_prefix("drain_grace_seconds = "));
        assert!(grace.is_none_or(|seconds| seconds == "30"), "{}: the sums below take 30", config.display());
    }
}

#[test]
fn the_worker_may_do_what_the_guide_lists_and_no_more() {
    let policy: Value = serde_json::from_str(&read("iam/worker-policy.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let allowed: BTreeSet<String> = statements.iter().flat_map(actions).collect();
    assert_eq!(allowed, documented_actions());
    for statement in statements {
        let resource = statement["Resource"].as_str().unwrap();
        assert!(resource.starts_with("arn:aws:sqs:") && !resource.contains('*'), "{resource}");
        // Nothing but sends to the dead-letter queue, and no sends to the source.
        let sends = actions(statement) == ["sqs:SendMessage"];
        assert_eq!(resource.ends_with("-dlq"), sends, "{statement}");
        assert!(sends || !actions(statement).iter().any(|action| action == "sqs:SendMessage"), "{statement}");
    }
    let scaler: Value = serde_json::from_str(&read("iam/scaler-policy.json")).unwrap();
    let allowed: Vec<String> = scaler["Statement"].as_array().unwrap().iter().flat_map(actions).collect();
    assert_eq!(allowed, ["sqs:GetQueueAttributes"]);
}

#[test]
fn nothing_kills_a_worker_that_drains() {
    for name in ["kubernetes/worker/worker.yaml", "kubernetes/sidecar/sidecar.yaml"] {
        let manifest = read(name);
        let grace = number(&manifest, "terminationGracePeriodSeconds:");
        let before = number(&manifest, "seconds:");
        assert!(manifest.contains("preStop:"), "{name}");
        assert!(grace > DRAIN_SECONDS + before, "{name}: {grace} s with a preStop of {before} s");
    }
    let unit = number(&read("systemd/wasmill.service"), "TimeoutStopSec=");
    assert!(unit > DRAIN_SECONDS, "the unit: {unit} s");
    let compose = number(&read("compose/compose.yaml"), "stop_grace_period:");
    assert!(compose > DRAIN_SECONDS, "compose: {compose} s");
}

#[test]
fn the_autoscaler_asks_for_a_metric_that_there_is() {
    let hpa = read("kubernetes/worker/hpa.yaml");
    let source = std::fs::read_to_string(places::repository().join("runtime/queue/src/metrics/scrape.rs")).unwrap();
    let name = hpa.lines().find_map(|line| line.trim().strip_prefix("name: wasmill_")).unwrap();
    assert!(source.contains(&format!("\"wasmill_{name}\"")), "wasmill_{name}");
    for label in ["queue", "state", "visible", "in_flight"] {
        assert!(hpa.contains(label) && source.contains(&format!("\"{label}\"")), "{label}");
    }
}
