//! `check` does all of `run` but the running.

use serde_json::{Value, json};
use support::config::{ON_DISK, function, mapping, queue};
use support::{Home, wasmill, wasmill_with_config};

#[tokio::test]
async fn check_binds_no_port_and_locks_no_directory() {
    let home = Home::new();
    let config = ON_DISK.to_owned()
        + &queue("orders", "")
        + &function("orders", "orders", "")
        + &mapping("orders", "orders", "");
    let mut worker = home.run(&config).await;
    // The same data directory, and ports that are taken.
    let admin = worker.log().events("metrics and health listening")[0].field("address").to_owned();
    let taken = config.replacen("127.0.0.1:0", &worker.sqs_address().to_string(), 1).replacen("127.0.0.1:0", &admin, 1);
    let config = home.write("taken.toml", taken);
    let checked = wasmill_with_config("check", &config);
    assert_eq!(checked.assert_succeeds(), format!("{}: no mistakes\n", config.display()));
    worker.assert_sound().await;
    worker.stop().await;
}

#[test]
fn check_leaves_nothing_behind() {
    let home = Home::new();
    let config = home.write("wasmill.toml", ON_DISK.to_owned() + &function("orders", "orders", ""));
    wasmill_with_config("check", &config).assert_succeeds();
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["wasmill.toml"]);
}

#[test]
fn warnings_are_told_and_are_no_mistakes() {
    let home = Home::new();
    let config = ON_DISK.to_owned()
        + &queue("orders", "visibility_timeout = 5")
        + &function("orders", "orders", "timeout = 6")
        + &mapping("orders", "orders", "");
    let lenient = home.write("lenient.toml", &config);
    let warned = wasmill_with_config("check", &lenient);
    let text = warned.assert_succeeds();
    assert!(text.starts_with("warning: ") && text.ends_with(": no mistakes\n"), "{text}");
    assert!(text.contains("function[0].timeout: 6 s is more than the visibility timeout"), "{text}");

    let warned = wasmill(["check".as_ref(), "--json".as_ref(), "--config".as_ref(), lenient.as_os_str()]).json();
    assert_eq!(warned["mistakes"], json!([]));
    assert_eq!(warned["warnings"][0]["key"], "function[0].timeout");

    let strict = home.write("strict.toml", format!("strict_lambda = true\n{config}"));
    let refused = wasmill_with_config("check", &strict);
    refused.assert_fails(3, &["function[0].timeout", "strict_lambda"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_hurt_is_found_by_asking_the_queue_and_nothing_changes() {
    let home = Home::new();
    let port = support::worker::lasting_port();
    let config = format!("local_queue = {{ listen = \"127.0.0.1:{port}\" }}\nadmin = {{ listen = \"127.0.0.1:0\" }}\n")
        + &support::config::queue_with_dlq("orders", 30, 5)
        + &function("orders", "orders", "timeout = 5\nreserved_concurrent_executions = 2")
        + &mapping("orders", "orders", "");
    let file = home.write("w.toml", &config);
    let check = |more: &[&str]| {
        let arguments = ["check", "--config", file.to_str().unwrap(), "--live"];
        wasmill(arguments.iter().chain(more))
    };
    // Nothing runs: the config says it all.
    assert!(check(&[]).assert_succeeds().ends_with("live: nothing was found that would hurt\n"));
    let worker = home.run(&config).await;
    let client = worker.sqs().client().clone();
    let url = |queue: &str| format!("{}/000000000000/{queue}", worker.endpoint());
    let set = async |queue: &str, name: &str, value: &str| {
        let call = client.set_queue_attributes().queue_url(url(queue));
        call.attributes(name.into(), value).send().await.unwrap();
    };
    set("orders", "VisibilityTimeout", "4").await;
    set("orders-dlq", "MessageRetentionPeriod", "60").await;
    let found = check(&[]);
    assert_eq!(found.code, Some(1), "{found}");
    for part in [
        "live: event_source_mapping[0]: a message may be held for 5 s",
        "visibility timeout is 4 s",
        "keeps messages for 60 s",
        "    mend: raise the queue's visibility timeout to 30 s",
    ] {
        assert!(found.stdout.contains(part), "{part}: {found}");
    }
    let told = check(&["--json"]);
    let last: Value = serde_json::from_str(told.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["live"].as_array().unwrap().len(), 2, "{told}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_on_a_queue_of_another_service_are_tried() {
    let home = Home::new();
    let guarded =
        home.serve_guarded(&["--in-memory", "--listen", "127.0.0.1:0"], "AKIAKNOWN", "a-secret-of-length").await;
    let known = support::Sqs::signing(&guarded.endpoint(), "AKIAKNOWN", "a-secret-of-length");
    known.client().create_queue().queue_name("orders").send().await.unwrap();
    let source = format!("{}/000000000000/orders", guarded.endpoint());
    let config = "cache_dir = \"cache\"\n[aws]\nregion = \"us-east-1\"\n".to_owned()
        + &function("orders", "orders", "reserved_concurrent_executions = 2")
        + &mapping(&source, "orders", "");
    let file = home.write("w.toml", config);
    let check = |key: &str, secret: &str| {
        let arguments = ["check", "--config", file.to_str().unwrap(), "--live"];
        let mut command = support::command::wasmill_command(arguments);
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
        support::command::run(&mut command, "")
    };
    let refused = check("AKIASTRANGER", "another-secret");
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stdout.contains("sqs:GetQueueAttributes was tried, and failed"), "{refused}");
    // The one who is let in only hears what the queue lacks.
    let let_in = check("AKIAKNOWN", "a-secret-of-length");
    let found: Vec<&str> = let_in.stdout.lines().filter(|line| line.starts_with("live: ")).collect();
    assert!(found.len() == 1 && found[0].contains("no dead-letter queue"), "{let_in}");
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_tried_on_messages_that_are_there_and_nothing_is_received() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &queue("orders", "") + &function("orders", "orders", "");
    let worker = home.run(&config).await;
    let sqs = worker.sqs();
    let bodies = [r#"{"kind":"order"}"#, r#"{"kind":"refund"}"#, "no JSON"].map(str::to_owned);
    let ids = sqs.send_batch("orders", &bodies).await;
    let filter = r#"filter_criteria = { filters = [ { pattern = '{"body":{"kind":["order"]}}' } ] }"#;
    let wanted = home.write("wanted.toml", config + &mapping("orders", "orders", filter));
    let check = |queue: &str, more: &[&str]| {
        let mut arguments = vec!["check", "--config", wanted.to_str().unwrap(), "--against", queue, "--admin-url"];
        let admin_url = worker.admin_url();
        arguments.push(&admin_url);
        arguments.extend(more);
        wasmill(arguments)
    };
    let told = check("orders", &[]);
    let text = told.assert_succeeds();
    assert!(text.contains("1 would be handled") && text.contains("2 would be deleted"), "{text}");
    assert!(text.contains(&ids[1]) && text.contains(&ids[2]), "{text}");
    assert_eq!(sqs.counts("orders").await, support::Counts::visible(3));
    assert_eq!(support::sqs::receive_count(&sqs.receive("orders", 0).await[0]), "1");
    check("elsewhere", &[]).assert_fails(2, &["no mapping"]);
    worker.stop().await;
}
