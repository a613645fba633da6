//! Lines of the threat model that take the real binary, and a real browser, and that no other test is about.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};
use support::browser::Browser;
use support::command::{wasmill_with_input, wrapped};
use support::config::{IN_MEMORY, ON_DISK, function, mapping, queue, queue_with_dlq};
use support::http::exchange;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Wasmill, eventually, places};

const SECRET: &str = "correct-horse";

/// A queue with a message in it that nobody takes, and a function with a secret.
async fn with_secrets() -> Wasmill {
    let variables = format!("environment = {{ API_KEY = \"{SECRET}\" }}");
    let worker =
        Wasmill::start(&(IN_MEMORY.to_owned() + &queue("orders", "") + &function("worker", "faulty", &variables)))
            .await;
    worker.sqs().send("orders", SECRET).await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_name_was_pointed_at_loopback_reads_and_changes_nothing() {
    let test = "a_page_whose_name_was_pointed_at_loopback_reads_and_changes_nothing";
    let map = "--host-resolver-rules=MAP attacker.example 127.0.0.1";
    let Some(browser) = Browser::start_with(test, &[map]).await else { return };
    let mut worker = with_secrets().await;
    let sqs = format!("http://attacker.example:{}", worker.sqs_address().port());
    let admin = worker.admin_url().replace("127.0.0.1", "attacker.example");

    // Every one of these is of the page's own origin: with a GET no browser says whose it is.
    let of_sqs = [
        "/?Action=ListQueues",
        "/000000000000/orders?Action=ReceiveMessage",
        "/000000000000/orders?Action=PurgeQueue",
        "/2015-03-31/functions/",
    ];
    let of_admin = ["/metrics", "/api/queues/orders/messages", "/"];
    for (origin, paths) in [(sqs, &of_sqs[..]), (admin, &of_admin)] {
        browser.open(&format!("{origin}{}", paths[0])).await;
        let page = browser.script("return document.documentElement.outerHTML").await;
        assert!(!page.as_str().unwrap().contains("/orders"), "{page}");
        assert_eq!(browser.script("return location.origin").await, origin.as_str());
        for path in paths {
            // A page may write into the language what it likes, but cannot leave it out.
            for with in ["{}", "{headers: {'accept-language': ''}}", "{method: 'POST', body: ''}"] {
                let script = format!("return fetch({}, {with}).then(answer => answer.status, String)", json!(path));
                assert_eq!(browser.script(&script).await, 403, "{path}: {script}");
            }
        }
    }
    // To an image of another page the browser says nothing either, but at an address of loopback it says whose it is.
    let image = "return new Promise(done => {
        const image = new Image();
        image.onerror = () => done(true);
        image.src = arguments[0];
    })";
    let purge = format!("http://{}/000000000000/orders?Action=PurgeQueue", worker.sqs_address());
    browser.script(&image.replace("arguments[0]", &json!(purge).to_string())).await;
    assert_eq!(worker.sqs().counts("orders").await, Counts::visible(1));
    worker.assert_sound().await;
}

#[tokio::test]
async fn lambdas_api_and_the_query_protocol_answer_no_page_by_get_and_every_program() {
    let worker = with_secrets().await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        exchange(worker.sqs_address(), "GET", path, headers, b"").await.unwrap()
    };
    let (german, rebound) = (("accept-language", "de"), ("host", "attacker.example"));
    for path in ["/?Action=ListQueues", "/2015-03-31/functions/"] {
        let refused = ask(path, &[rebound, german]).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
        assert!(refused.body.contains("allowed_origins") && !refused.body.contains(SECRET), "{}", refused.body);
        for program in [&[rebound][..], &[german]] {
            assert_eq!(ask(path, program).await.status, 200, "{path} {program:?}");
        }
    }
}

/// Everything below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn what_a_worker_keeps_is_for_its_own_user() {
    let home = Home::new();
    let config = ON_DISK.to_owned()
        + &queue("orders", "")
        + &queue("quiet", "")
        + &function("worker", "faulty", "timeout = 1")
        + &mapping("orders", "worker", "");
    // Even of a user who lets everybody read and write.
    let open = ["sh", "-c", "umask 000 && exec \"$@\"", "sh"];
    let worker = home.run_as(&config, |command| *command = wrapped(&open, command)).await;
    let sqs = worker.sqs();
    sqs.send("orders", "x").await;
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    sqs.send("quiet", SECRET).await;
    let mapping = json!({"EventSourceArn": sqs.arn("quiet"), "FunctionName": "worker", "Enabled": false}).to_string();
    let path = "/2015-03-31/event-source-mappings";
    let made = exchange(worker.sqs_address(), "POST", path, &[], mapping.as_bytes()).await.unwrap();
    assert_eq!(made.status, 202, "{}", made.body);

    let data = home.path().join("data");
    let found: Vec<_> = files(&data).into_iter().chain([data.clone()]).collect();
    for path in &found {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
    for name in ["queue.sqlite", "state.json", "in-flight"] {
        let is_there = found.iter().any(|path| path.file_name().is_some_and(|file| file == name));
        assert!(is_there, "there is no {name} among {found:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_prints_forges_no_line_of_the_log_and_steers_no_terminal() {
    let forged =
        json!({"level": "ERROR", "target": "wasmill::audit", "message": "change asked for", "action": "DeleteQueue"});
    let said =
        format!("before\r\u{1b}[2Jafter\n{forged}\n2026-01-01T00:00:00.000Z ERROR wasmill::audit: DeleteQueue\n");
    let tell = json!([{"do": "print", "text": said}]).to_string();
    let config = IN_MEMORY.to_owned()
        + &queue("orders", "")
        + &function("worker", "faulty", "timeout = 1")
        + &mapping("orders", "worker", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    sqs.send("orders", &tell).await;
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let lines: Vec<String> = worker.stop().await.pick(|_| true).into_iter().map(|line| line.text).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("DeleteQueue")).count(), 2, "{lines:?}");
    for line in &lines {
        let fields: Value = serde_json::from_str(line).unwrap();
        assert!(fields["target"] != "wasmill::audit" && fields["action"].is_null(), "{line}");
        assert!(!line.contains(['\r', '\u{1b}']), "{line:?}");
    }

    let event = json!({"Records": [{"messageId": "m-1", "body": tell, "attributes": {}}]}).to_string();
    let handler = places::guest("faulty");
    let arguments = ["--log-format", "text", "invoke", handler.to_str().unwrap(), "--event", "-"];
    let invoked = wasmill_with_input(arguments, &event);
    invoked.assert_succeeds();
    let forged: Vec<&str> = invoked.stderr.lines().filter(|line| line.contains("DeleteQueue")).collect();
    assert_eq!(forged.len(), 2, "{invoked}");
    for line in forged {
        // A handler's line stands behind the name of its function.
        assert!(line.contains(" INFO faulty:$LATEST "), "{line}");
    }
    assert!(
        invoked.stderr.contains("before\\r\\u{1b}[2Jafter") && !invoked.stderr.contains(['\r', '\u{1b}']),
        "{invoked}"
    );
}

#[tokio::test]
async fn what_messages_say_makes_no_series_of_metrics() {
    let config = IN_MEMORY.to_owned()
        + &queue("orders", "visibility_timeout = 600")
        + &function("worker", "faulty", "timeout = 1")
        + &mapping("orders", "worker", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let series = async || {
        let text = worker.get("/metrics").await.unwrap().body;
        let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let send = async |group: &str| {
        let value =
            MessageAttributeValue::builder().data_type(format!("String.{group}")).string_value("x").build().unwrap();
        let crash = json!([{"do": "error", "text": format!("of {group}")}]).to_string();
        for body in [crash.as_str(), "x"] {
            let send = sqs.client().send_message().queue_url(sqs.url("orders")).message_body(body);
            let send = send.message_group_id(group).message_attributes(group, value.clone());
            send.send().await.unwrap();
        }
    };
    send("first").await;
    let judged = async |records| {
        worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &[], records).await;
    };
    judged(2).await;
    let before = series().await;
    for tenant in 0..30 {
        send(&format!("tenant-{tenant}")).await;
    }
    judged(62).await;
    let after = series().await;
    assert!(!after.iter().any(|name| name.contains("tenant")), "{after:?}");
    assert_eq!(after.len(), before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_a_message_is_text_in_the_console() {
    let test = "markup_in_a_message_is_text_in_the_console";
    let Some(browser) = Browser::start(test).await else { return };
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 1, 1)
        + &function("worker", "faulty", "timeout = 1")
        + &mapping("orders", "worker", "batch_size = 1");
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let markup = "\"'><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
    let tell = json!([{"do": "print", "text": format!("{markup}\n")}, {"do": "error", "text": markup}]).to_string();
    let value = MessageAttributeValue::builder().data_type("String").string_value(markup).build().unwrap();
    let send = sqs.client().send_message().queue_url(sqs.url("orders")).message_body(tell);
    send.message_group_id("<b>group</b>").message_attributes("kind", value).send().await.unwrap();
    sqs.wait_for_counts(PATIENCE, "orders-dlq", Counts::visible(1)).await;

    browser.open(&worker.admin_url()).await;
    for place in ["queues", "queues/orders-dlq", "mappings", "functions", "functions/worker"] {
        browser.script(&format!("location.hash = '#/{place}'")).await;
        if place == "queues/orders-dlq" || place == "functions/worker" {
            eventually(PATIENCE, async || {
                let open = "document.querySelectorAll('[data-row], details').forEach(row => { row.open = true; });
                            return document.body.textContent";
                let text = browser.script(open).await;
                holds(text.as_str().unwrap_or_default().contains("onerror="), || format!("{place}: {text}"))
            })
            .await;
        }
        let found = "const bold = [...document.querySelectorAll('b')].filter(b => b.textContent === 'group');
                     return [document.title, document.querySelectorAll('img[src=x], body script').length, bold.length]";
        let found = browser.script(found).await;
        assert!(found[0] != "owned" && found[1] == 0 && found[2] == 0, "{place}: {found}");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_client_can_neither_forge_nor_stretch_a_line_of_the_audit_log() {
    let worker = with_secrets().await;
    let forged = "x\n{\"target\":\"wasmill::audit\",\"action\":\"DeleteQueue\",\"outcome\":\"ok\"}\n";
    let name = forged.to_owned() + &"y".repeat(100_000);
    let body = json!({"QueueName": name, "Attributes": {forged: forged}}).to_string();
    let headers = [("x-amz-target", "AmazonSQS.CreateQueue"), ("content-type", "application/x-amz-json-1.0")];
    let answer = exchange(worker.sqs_address(), "POST", "/", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.body);
    let path = format!("/2015-03-31/functions/{}", "y".repeat(10_000));
    let answer = exchange(worker.sqs_address(), "DELETE", &path, &[], b"").await.unwrap();
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    let audited = worker.stop().await.pick(|line| line.text.contains("wasmill::audit"));
    let actions: Vec<&str> = audited.iter().map(|line| line.field("action")).collect();
    assert_eq!(actions, ["CreateQueue", "DeleteFunction"]);
    for line in &audited {
        assert!(line.field("outcome") != "ok" && line.text.len() < 1024, "{}", line.text);
    }
}
