//! `queue redrive`: dead letters go back to where they came from, or to where they are told to.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::command::{run, wasmill_command};
use support::config::{IN_MEMORY, queue, queue_with_dlq};
use support::sqs::arn;
use support::{Counts, Finished, Home, PATIENCE, Wasmill, wasmill};

const FEW: usize = 3;
/// More than one a second can move while the test runs.
const SLOW: usize = 200;

/// A server with a queue whose messages are all in its dead-letter queue.
async fn with_dead_letters(count: usize) -> Wasmill {
    let bodies: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    with_dead_bodies(&bodies).await
}

/// The same, with these bodies.
async fn with_dead_bodies(bodies: &[String]) -> Wasmill {
    let config = IN_MEMORY.to_owned() + &queue_with_dlq("orders", 0, 1) + &queue("elsewhere", "");
    let server = Home::new().run(&config).await;
    let sqs = server.sqs();
    for chunk in bodies.chunks(10) {
        sqs.send_batch("orders", chunk).await;
        // With a visibility timeout of 0 they come back at once, and the second receive is one too many.
        assert_eq!(sqs.receive("orders", 0).await.len(), chunk.len());
        assert!(sqs.receive("orders", 0).await.is_empty());
    }
    assert_eq!(sqs.counts("orders-dlq").await, Counts::visible(bodies.len()));
    server
}

fn redrive(server: &Wasmill, arguments: &[&str]) -> Finished {
    let endpoint = server.endpoint();
    wasmill(["queue", "redrive"].iter().chain(arguments).chain(&["--endpoint-url", endpoint.as_str()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_to_their_source_and_the_end_is_waited_for() {
    let server = with_dead_letters(FEW).await;
    let sqs = server.sqs();
    let done = redrive(&server, &["orders-dlq", "--wait"]);
    assert_eq!(done.assert_succeeds(), "completed, 3 of 3 messages moved\n");
    assert_eq!(sqs.counts("orders-dlq").await, Counts::EMPTY);
    assert_eq!(sqs.counts("orders").await, Counts::visible(FEW));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_task_to_another_queue_is_started_told_and_cancelled() {
    let server = with_dead_letters(SLOW).await;
    let started = redrive(&server, &["orders-dlq", "--to", "elsewhere", "--max-per-second", "1", "--json"]).json();
    assert!(!started["task_handle"].as_str().unwrap().is_empty());
    let again = redrive(&server, &["orders-dlq"]);
    again.assert_fails(1, &["already a task running", "where: queue orders-dlq at "]);
    let cancelled = redrive(&server, &["orders-dlq", "--cancel", "--json"]).json();
    assert_eq!((&cancelled["status"], &cancelled["max_per_second"]), (&json!("CANCELLED"), &json!(1)));
    assert!(cancelled["moved"].as_u64().unwrap() < SLOW as u64, "one a second cannot be through: {cancelled}");
    redrive(&server, &["orders-dlq", "--cancel"]).assert_fails(1, &["nothing to cancel"]);

    let done = redrive(&server, &["orders-dlq", "--to", "elsewhere", "--wait", "--json"]).json();
    assert_eq!((&done["status"], &done["destination_arn"]), (&json!("COMPLETED"), &json!(arn("elsewhere"))));
    assert_eq!(server.sqs().counts("elsewhere").await, Counts::visible(SLOW));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused_with_the_services_words() {
    let server = with_dead_letters(FEW).await;
    redrive(&server, &["orders"]).assert_fails(1, &["must be configured as a Dead Letter Queue"]);
    redrive(&server, &["nowhere"]).assert_fails(4, &["does not exist", "`wasmill queue ls`"]);
    redrive(&server, &["orders-dlq", "--to", "nowhere"]).assert_fails(4, &["queue nowhere at "]);
    server.stop().await;
}

fn orders(skus: &[&str]) -> Vec<String> {
    skus.iter().enumerate().map(|(id, sku)| json!({"id": id, "sku": sku}).to_string()).collect()
}

/// Runs a redrive with its journal in a folder of its own.
fn redrive_in(home: &Home, server: &Wasmill, arguments: &[&str], editor: &str) -> Finished {
    let endpoint = server.endpoint();
    let at = ["--endpoint-url", endpoint.as_str()];
    let mut command = wasmill_command(["queue", "redrive"].iter().chain(arguments).chain(&at));
    command.env("XDG_STATE_HOME", home.path()).env("EDITOR", editor).env_remove("VISUAL");
    run(&mut command, "")
}

async fn bodies(server: &Wasmill, queue: &str) -> Vec<String> {
    let page: Value = server.get(&format!("/api/queues/{queue}/messages?max=1000")).await.unwrap().json();
    let messages = page["messages"].as_array().unwrap().iter();
    messages.map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_matches_is_moved_and_the_rest_is_there_at_once() {
    let all = orders(&["tea", "cup", "tea", "pot"]);
    let (server, home) = (with_dead_bodies(&all).await, Home::new());
    let tea = r#"{"body":{"sku":["tea"]}}"#;

    let admin = server.admin_url();
    let dry = ["orders-dlq", "--where", tea, "--dry-run", "--admin-url", admin.as_str()];
    let told = redrive_in(&home, &server, &dry, "");
    assert!(told.assert_succeeds().ends_with("would move 2 and keep 2\n"), "{told}");
    assert!(told.stdout.contains("to orders") && told.stdout.contains(&all[0]), "{told}");
    assert_eq!(bodies(&server, "orders-dlq").await, all, "nothing was received");

    let moved = redrive_in(&home, &server, &["orders-dlq", "--where", tea], "");
    assert_eq!(moved.assert_succeeds(), "2 moved, 2 kept, 0 failed\n");
    assert_eq!(server.sqs().counts("orders-dlq").await, Counts::visible(2));
    assert_eq!(bodies(&server, "orders").await, [all[0].clone(), all[2].clone()]);
    let moved = redrive_in(
        &home,
        &server,
        &["orders-dlq", "--where", r#"{"body":{"sku":["cup"]}}"#, "--to", "elsewhere", "--rate", "100", "--json"],
        "",
    );
    assert_eq!((&moved.json()["moved"], &moved.json()["kept"]), (&json!(1), &json!(1)));
    assert_eq!(bodies(&server, "elsewhere").await, [all[1].clone()]);
    assert_eq!(std::fs::read_dir(home.path().join("wasmill/redrive")).unwrap().count(), 0, "no journal is left");

    redrive_in(&home, &server, &["orders-dlq", "--where", "{"], "").assert_fails(2, &["--where", "filter pattern"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_edited_on_its_way_and_an_emptied_one_stays() {
    let (server, home) = (with_dead_bodies(&orders(&["tae", "cup"])).await, Home::new());
    let moved = redrive_in(
        &home,
        &server,
        &["orders-dlq", "--where", r#"{"body":{"sku":["tae"]}}"#, "--edit"],
        "sed -i s/tae/tea/",
    );
    assert_eq!(moved.assert_succeeds(), "1 moved, 1 kept, 0 failed\n");
    assert_eq!(bodies(&server, "orders").await, orders(&["tea"]));
    let kept = redrive_in(&home, &server, &["orders-dlq", "--edit"], "truncate -s 0");
    assert_eq!(kept.assert_succeeds(), "0 moved, 1 kept, 0 failed\n");
    let failed = redrive_in(&home, &server, &["orders-dlq", "--edit"], "false");
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(
        failed.stdout.contains("0 moved, 0 kept, 1 failed: ") && failed.stdout.contains("the editor ended"),
        "{failed}"
    );
    assert_eq!(server.sqs().counts("orders-dlq").await, Counts::visible(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_redrive_had_sent_is_not_sent_again() {
    let (server, home) = (with_dead_letters(FEW).await, Home::new());
    let page: Value = server.get("/api/queues/orders-dlq/messages").await.unwrap().json();
    let id = page["messages"][0]["message_id"].as_str().unwrap();
    let journal = "wasmill/redrive/arn-aws-sqs-us-east-1-000000000000-orders-dlq.jsonl";
    home.write(journal, format!("{{\"id\":\"{id}\",\"sent\":false}}\n{{\"id\":\"{id}\",\"sent\":true}}\n"));
    let done = redrive_in(&home, &server, &["orders-dlq", "--where", r#"{"messageId":[{"exists":true}]}"#], "");
    assert!(done.assert_succeeds().starts_with("3 moved, 0 kept, 0 failed; 1 of the moved had been sent"), "{done}");
    assert_eq!(server.sqs().counts("orders").await, Counts::visible(2));
    assert_eq!(server.sqs().counts("orders-dlq").await, Counts::EMPTY);
    assert!(!home.path().join(journal).exists());
    server.stop().await;
}

/// What a kill may leave: ten messages that are there twice, and ten that are hidden for two minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_again_and_again_loses_nothing() {
    const ALL: usize = 300;
    let (server, home) = (with_dead_letters(ALL).await, Home::new());
    let endpoint = server.endpoint();
    let everything = r#"{"messageId":[{"exists":true}]}"#;
    let arguments =
        ["queue", "redrive", "orders-dlq", "--where", everything, "--to", "elsewhere", "--endpoint-url", &endpoint];
    let kills = 3;
    for _ in 0..kills {
        let mut command = wasmill_command(arguments);
        command.args(["--rate", "60"]).env("XDG_STATE_HOME", home.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    redrive_in(&home, &server, &arguments[2..7], "").assert_succeeds();
    let hidden = server.sqs().counts("orders-dlq").await;
    assert!(hidden.visible == 0 && hidden.in_flight <= 10 * kills, "{hidden:?}");
    let arrived = bodies(&server, "elsewhere").await;
    let different: BTreeSet<&String> = arrived.iter().collect();
    assert!(different.len() + hidden.in_flight >= ALL, "lost: {} arrived, {hidden:?}", different.len());
    assert!(arrived.len() - different.len() <= 10 * kills, "{} twice", arrived.len() - different.len());
    server.sqs().wait_for_counts(PATIENCE, "elsewhere", Counts::visible(arrived.len())).await;
    server.stop().await;
}
