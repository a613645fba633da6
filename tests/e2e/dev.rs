//! `wasmill dev`: a handler runs from its file, and anew when the file changes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::command::wasmill_command;
use support::config::{mapping, queue};
use support::worker::lasting_port;
use support::{Home, Sqs, eventually, places};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `dev`, and what it has printed.
struct Dev {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Dev {
    fn start(home: &Home, handler: &str) -> Self {
        Self::start_with(home, &[handler, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
    }

    fn start_with(home: &Home, arguments: &[&str]) -> Self {
        let mut command = wasmill_command(["dev", "--save-events", "events"].iter().chain(arguments));
        command.current_dir(home.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        // The runtimes lie beside the binary as a rule; these lie where the tests were told.
        let data = home.path().join("share/wasmill");
        std::fs::create_dir_all(&data).unwrap();
        if let Some(runtimes) = places::runtimes() {
            std::os::unix::fs::symlink(runtimes, data.join("runtimes")).unwrap();
        }
        command.env("XDG_DATA_HOME", home.path().join("share"));
        let mut child = command.spawn().unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let (out, sink) = (child.stdout.take().unwrap(), Arc::clone(&printed));
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                *sink.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, printed }
    }

    async fn wait_for(&self, part: &str, times: usize) -> String {
        eventually(PATIENCE, async || {
            let printed = self.printed.lock().unwrap().clone();
            let seen = printed.matches(part).count();
            if seen >= times { Ok(printed) } else { Err(format!("{part:?} {seen} times, not {times}, in:\n{printed}")) }
        })
        .await
    }

    async fn sqs(&self) -> Sqs {
        let printed = self.wait_for("it is loaded anew when its files change", 1).await;
        let endpoint = printed.lines().find_map(|line| line.split_once("endpoint http://")).unwrap().1;
        Sqs::at(&format!("http://{}", endpoint.split(',').next().unwrap()))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_javascript_handler_is_loaded_anew_when_it_changes_and_stays_when_it_is_broken() {
    if places::runtimes().is_none() {
        return;
    }
    let home = Home::new();
    let handler = |verdict: &str| {
        format!(
            "export const handler = async (event) => ({{ batchItemFailures: event.Records.map((record) => \
             ({{ itemIdentifier: record.messageId, deadLetterReason: '{verdict}' }})) }});\n"
        )
    };
    home.write("greet.mjs", handler("first"));
    let dev = Dev::start(&home, "greet.mjs");
    let sqs = dev.sqs().await;
    sqs.send("greet", "1").await;
    dev.wait_for("dead letter: first", 1).await;
    home.write("greet.mjs", handler("second"));
    dev.wait_for("greet loaded anew in", 1).await;
    sqs.send("greet", "2").await;
    dev.wait_for("dead letter: second", 1).await;
    home.write("greet.mjs", "export const handler = (");
    dev.wait_for("greet stays as it was: ", 1).await;
    sqs.send("greet", "3").await;
    dev.wait_for("dead letter: second", 2).await;
    assert_eq!(std::fs::read_dir(home.path().join("events")).unwrap().count(), 3, "an event per batch");
}

#[tokio::test]
async fn a_compiled_module_is_loaded_anew_when_it_is_built_again() {
    let home = Home::new();
    home.write("orders.wasm", std::fs::read(places::guest("orders")).unwrap());
    let dev = Dev::start(&home, "orders.wasm");
    let sqs = dev.sqs().await;
    sqs.send("orders", r#"{"id":"o-1","sku":"tea-green","quantity":2}"#).await;
    dev.wait_for("  done", 1).await;
    home.write("orders.wasm", std::fs::read(places::guest("faulty")).unwrap());
    dev.wait_for("orders loaded anew in", 1).await;
    sqs.send("orders", r#"{"do":"fail"}"#).await;
    dev.wait_for("comes back (delivery 1 of 3)", 1).await;
}

#[tokio::test]
async fn a_whole_config_runs_and_is_read_anew_when_it_changes() {
    let home = Home::new();
    for code in ["orders", "faulty"] {
        home.write(&format!("{code}.wasm"), std::fs::read(places::guest(code)).unwrap());
    }
    let config = |table: &str| {
        let start = "admin = { listen = \"127.0.0.1:0\" }\nlocal_queue = { listen = \"127.0.0.1:0\" }\n";
        let parts = [
            queue("orders", ""),
            format!(
                "[[function]]\nname = \"orders\"\ncode = \"orders.wasm\"\nenvironment = {{ TABLE = \"{table}\" }}\n"
            ),
            mapping("orders", "orders", ""),
            queue("second", ""),
            "[[function]]\nname = \"second\"\ncode = \"faulty.wasm\"\n".to_owned(),
            mapping("second", "second", ""),
        ];
        format!("{start}{}", parts.join("\n"))
    };
    home.write("wasmill.toml", config("one"));
    let dev = Dev::start_with(&home, &[]);
    let sqs = dev.sqs().await;
    dev.wait_for("function second is ", 1).await;
    sqs.send("orders", r#"{"id":"o-1","sku":"tea-green","quantity":2}"#).await;
    dev.wait_for("orders/orders: batch of 1 in", 1).await;
    sqs.send("second", r#"{"do":"fail"}"#).await;
    dev.wait_for("comes back (delivery 1)", 1).await;
    home.write("faulty.wasm", std::fs::read(places::guest("orders")).unwrap());
    dev.wait_for("-- second loaded anew in", 1).await;
    home.write("wasmill.toml", config("two"));
    dev.wait_for("-- config loaded anew", 1).await;
    dev.wait_for("-- orders loaded anew in", 1).await;
    home.write("wasmill.toml", "no = config");
    dev.wait_for("-- the config stays as it was", 1).await;
    sqs.send("second", r#"{"id":"o-2","sku":"tea-green","quantity":2}"#).await;
    dev.wait_for("second/second: batch of 1 in", 2).await;
}

#[tokio::test]
async fn a_template_runs_unchanged_and_is_read_anew_when_it_changes() {
    let home = Home::new();
    home.write("build/orders.wasm", std::fs::read(places::guest("orders")).unwrap());
    let template = |count: u32| {
        format!(
            "Transform: AWS::Serverless-2016-10-31\nParameters: {{Stage: {{Type: String}}}}\nResources:\n  Orders:\n    Type: \
             AWS::SQS::Queue\n    Properties:\n      QueueName: !Sub 'orders-${{Stage}}'\n      RedrivePolicy: {{deadLetterTargetArn: \
             !GetAtt Failed.Arn, maxReceiveCount: {count}}}\n  Failed: {{Type: AWS::SQS::Queue}}\n  Consumer:\n    Type: \
             AWS::Serverless::Function\n    Properties:\n      CodeUri: build/\n      Handler: bootstrap\n      Runtime: \
             provided.al2023\n      Role: arn:aws:iam::123456789012:role/any\n      Events:\n        Batch:\n          Type: SQS\n          \
             Properties: {{Queue: !GetAtt Orders.Arn, FunctionResponseTypes: [ReportBatchItemFailures]}}\n"
        )
    };
    home.write("template.yaml", template(3));
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let dev = Dev::start_with(&home, &[&["template.yaml", "--parameter", "Stage=test"], &free[..]].concat());
    let sqs = dev.sqs().await;
    sqs.send("orders-test", r#"{"id":"o-1","sku":"tea-green","quantity":2}"#).await;
    dev.wait_for("  done", 1).await;
    sqs.send("orders-test", "two green teas, please").await;
    dev.wait_for("dead letter: ", 1).await;
    sqs.receive_all(PATIENCE, "Failed", 1).await;
    home.write("template.yaml", template(7));
    dev.wait_for("-- config loaded anew", 1).await;
    home.write("template.yaml", "Resources: [");
    dev.wait_for("-- the config stays as it was: not valid YAML", 1).await;
}

#[tokio::test]
async fn the_template_of_a_queue_its_dlq_and_a_python_function_runs_unchanged() {
    if places::runtimes().is_none() {
        return;
    }
    let home = Home::new();
    let fixture = places::repository().join("tests/fixtures/templates/sam");
    for file in ["template.yaml", "src/app.py"] {
        home.write(file, std::fs::read(fixture.join(file)).unwrap());
    }
    let listen = format!("127.0.0.1:{}", lasting_port());
    let dev = Dev::start_with(&home, &["template.yaml", "--listen", &listen, "--admin-listen", "127.0.0.1:0"]);
    let sqs = dev.sqs().await;
    // The window of a second holds both.
    sqs.send_batch("orders-dev", &[r#"{"id":"o-1"}"#.to_owned(), "no order".to_owned()]).await;
    let printed = dev.wait_for("comes back (delivery 1)", 1).await;
    assert!(printed.contains("batch of 2 in") && printed.contains("  done"), "{printed}");
}

#[test]
fn flags_of_one_handler_are_refused_beside_a_template() {
    let home = Home::new();
    home.write("template.yaml", "Resources: {Q: {Type: AWS::SQS::Queue}}\n");
    home.write("handler.py", "");
    for (arguments, parts) in [
        (["template.yaml", "--timeout", "9"], ["--timeout is for one handler", "in the template"]),
        (["template.yaml", "--parameter", "A=b"], ["no parameter A", "AWS::Region"]),
        (["handler.py", "--parameter", "A=b"], ["--parameter is for a template", "handler.py"]),
    ] {
        let ended = wasmill_command(["dev"].iter().chain(&arguments)).current_dir(home.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
}

#[test]
fn without_anything_to_run_it_says_what_to_name() {
    let home = Home::new();
    let ended = wasmill_command(["dev"]).current_dir(home.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no handler is named, and no wasmill.toml is here"));
}
