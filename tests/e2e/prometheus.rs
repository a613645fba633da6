//! A real Prometheus scrapes a worker under load: every panel of the dashboard in `config/grafana` has data, and every alert
//! rule in `config/prometheus` can be evaluated.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::clients::Client;
use support::command::run;
use support::config::{ON_DISK, function, mapping, plain_mapping, queue, queue_with_dlq};
use support::wait::holds;
use support::worker::lasting_port;
use support::{PATIENCE, Sqs, Wasmill, eventually, http, places};

/// The rate interval that Grafana would choose for a scrape a second.
const RATE_INTERVAL: &str = "20s";

/// What must never be shown by a worker that is well, and is so here.
const QUIET: [&str; 6] = [
    "WasmillDown",
    "WasmillStoreFailed",
    "WasmillStoreRefuses",
    "WasmillMappingDown",
    "WasmillMessagesExpired",
    "WasmillVerdictsNotCarriedOut",
];

/// A running Prometheus. Dropping it ends it.
struct Prometheus {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// One that scrapes these workers each second and knows our alert rules; none where the machine has none.
    fn start(test: &str, workers: &[&Wasmill]) -> Option<Self> {
        let mut command = Client::Prometheus.program(test)?;
        let folder = tempfile::Builder::new().prefix("wasmill-prometheus-").tempdir().unwrap();
        let targets: Vec<String> =
            workers.iter().map(|worker| worker.admin_url().trim_start_matches("http://").to_owned()).collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [places::repository().join("config/prometheus/alerts.yml")],
            "scrape_configs": [{"job_name": "wasmill", "static_configs": [{"targets": targets}]}],
        });
        // JSON is YAML.
        let config_file = folder.path().join("prometheus.yml");
        std::fs::write(&config_file, config.to_string()).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lasting_port()));
        command
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Some(Self { address, child: command.spawn().unwrap(), _folder: folder })
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        let answer = http::get(self.address, path).await?;
        let body = answer.json();
        if answer.status == 200 && body["status"] == "success" { Ok(body["data"].clone()) } else { Err(answer.body) }
    }

    /// The values of an instant query.
    async fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.ask(&format!("/api/v1/query?query={}", percent_encoded(expression))).await?;
        let series = data["result"].as_array().ok_or_else(|| format!("no vector: {data}"))?;
        Ok(series.iter().filter_map(|one| one["value"][1].as_str()?.parse().ok()).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

/// Each panel's title with its expressions, as Grafana would ask them of everything.
fn panels() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(places::repository().join("config/grafana/wasmill.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let shown = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    shown
        .map(|panel| {
            let expressions = panel["targets"].as_array().unwrap().iter().map(|target| {
                let asked = target["expr"].as_str().unwrap().replace("$__rate_interval", RATE_INTERVAL);
                let asked = ["instance", "queue", "function"]
                    .iter()
                    .fold(asked, |asked, variable| asked.replace(&format!("${variable}"), ".*"));
                assert!(!asked.contains('$'), "a variable that this test does not know: {asked}");
                asked
            });
            (panel["title"].as_str().unwrap().to_owned(), expressions.collect())
        })
        .collect()
}

/// A bit of everything that a worker can be asked to do, round after round.
async fn keep_busy(sqs: Sqs) {
    let ok = r#"{"type":"order","do":"print","text":"ok\n"}"#;
    let fails = r#"{"type":"order","do":"fail"}"#;
    let reason = r#"{"type":"order","do":"fail","deadLetterReason":"no such item"}"#;
    let trap = r#"{"type":"order","do":"trap"}"#;
    let other = r#"{"type":"note"}"#;
    loop {
        let orders = [ok, ok, ok, ok, ok, fails, reason, trap, other].map(str::to_owned);
        sqs.send_batch("orders", &orders).await;
        sqs.send_batch("windowed", &[ok, ok, ok, ok].map(str::to_owned)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn every_panel_has_data_and_every_alert_is_evaluated() {
    let test = "every_panel_has_data_and_every_alert_is_evaluated";
    let config = ON_DISK.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &queue("windowed", "")
        + &function("worker", "faulty", "timeout = 20\nreuse = true")
        + &mapping(
            "orders",
            "worker",
            r#"filter_criteria = { filters = [ { pattern = '{"body":{"type":["order"]}}' } ] }"#,
        )
        + &plain_mapping("windowed", "worker", "batch_size = 20\nmaximum_batching_window_in_seconds = 1");
    let mut worker = Wasmill::start(&config).await;
    let Some(prometheus) = Prometheus::start(test, &[&worker]) else { return };
    let load = tokio::spawn(keep_busy(worker.sqs()));

    for (title, expressions) in panels() {
        for expression in expressions {
            eventually(PATIENCE, async || {
                let values = prometheus.query(&expression).await?;
                let has_data = values.iter().any(|value| !value.is_nan());
                holds(has_data, || format!("panel {title:?} has no data: {expression} gave {values:?}"))
            })
            .await;
        }
    }

    // What goes wrong here is seen, and what does not is not.
    let firing = eventually(PATIENCE, async || {
        let data = prometheus.ask("/api/v1/rules?type=alert").await?;
        let rules: Vec<&Value> =
            data["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        holds(rules.len() >= 18, || format!("only {} rules", rules.len()))?;
        for rule in &rules {
            holds(rule["health"] == "ok", || format!("a rule was not evaluated: {rule}"))?;
        }
        let names = |rule: &&&Value| rule["state"] == "firing";
        let firing: Vec<String> =
            rules.iter().filter(names).map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
        let seen = ["WasmillDeadLetters", "WasmillPoison"].iter().all(|name| firing.iter().any(|one| one == name));
        holds(seen, || format!("firing: {firing:?}"))?;
        Ok(firing)
    })
    .await;
    assert!(!QUIET.iter().any(|name| firing.iter().any(|one| one == name)), "{firing:?}");
    assert!(!load.is_finished());
    load.abort();
    worker.assert_sound().await;
}

#[test]
fn the_alert_rules_and_the_example_pass_promtool() {
    let folder = places::repository().join("config/prometheus");
    for (what, file) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let Some(mut promtool) = Client::Promtool.program("the_alert_rules_and_the_example_pass_promtool") else {
            return;
        };
        let checked = run(promtool.arg("check").arg(what).arg(folder.join(file)), "");
        let said = checked.assert_succeeds();
        assert!(said.contains("SUCCESS: 18 rules found"), "{said}");
    }
}

/// Each name that the dashboard and the alerts ask for is one that a worker really has: a misspelt one in an alert would
/// only ever be silent.
#[tokio::test]
async fn every_metric_that_is_asked_for_exists_and_every_metric_is_named_by_the_rules_of_the_house() {
    let config = ON_DISK.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &function("worker", "faulty", "reuse = true")
        + &mapping("orders", "worker", r#"filter_criteria = { filters = [ { pattern = '{"body":{"a":["b"]}}' } ] }"#);
    let worker = Wasmill::start(&config).await;
    worker.sqs().send("orders", "{}").await;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 1).await;
    let text = worker.get("/metrics").await.unwrap().body;
    let families: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, kind) in &families {
        assert!(name.starts_with("wasmill_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name} is a {kind}");
        let unit_is_base = !["_ms", "_millis", "_mib", "_kb", "_minutes"].iter().any(|unit| name.contains(unit));
        assert!(unit_is_base, "{name}");
    }
    let alerts = std::fs::read_to_string(places::repository().join("config/prometheus/alerts.yml")).unwrap();
    let asked = panels().into_iter().flat_map(|(_, expressions)| expressions).chain([alerts]);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for expression in asked {
        for word in expression.split(|c| !is_part(c)).filter(|word| word.starts_with("wasmill_")) {
            let family = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(families.iter().any(|(name, _)| *name == family), "nobody has {word}: {expression}");
        }
    }
}
