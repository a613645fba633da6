//! `queue ls | stats | send | purge` against `queue serve`, for people and for scripts.

use serde_json::{Value, json};
use support::command::{run, wasmill_command, wasmill_with_input};
use support::config::IN_MEMORY;
use support::sqs::ACCOUNT;
use support::worker::lasting_port;
use support::{Counts, Finished, Home, Sqs, Wasmill, wasmill};

async fn serve() -> Wasmill {
    Home::new().serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await
}

/// `wasmill queue …` at a server's address.
fn queue(server: &Wasmill, arguments: &[&str]) -> Finished {
    let endpoint = server.endpoint();
    wasmill(["queue"].iter().chain(arguments).chain(&["--endpoint-url", endpoint.as_str()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_listed_counted_filled_and_purged() {
    let server = serve().await;
    let sqs = server.sqs();
    assert_eq!(queue(&server, &["ls"]).assert_succeeds(), "");
    for name in ["orders", "orders-dlq"] {
        sqs.create(name, &[]).await;
    }
    assert_eq!(queue(&server, &["ls"]).assert_succeeds(), "orders\norders-dlq\n");
    let url = |name: &str| format!("{}/{ACCOUNT}/{name}", server.endpoint());
    let listed = queue(&server, &["ls", "--json"]).json();
    let row = |name: &str| json!({"name": name, "url": url(name)});
    assert_eq!(listed, json!([row("orders"), row("orders-dlq")]));

    let body = "{\"id\": 1.0, \"text\": \"中文 🦀\"}";
    let sent = queue(&server, &["send", "orders", body, "--attribute", "kind=a=b", "--json"]).json();
    let id = sent["message_id"].as_str().unwrap().to_owned();
    let printed = queue(&server, &["send", &url("orders"), "later", "--delay-seconds", "900"]);
    assert_eq!(printed.assert_succeeds().trim_end().len(), 36, "{printed}");
    assert_eq!(sqs.counts("orders").await, Counts { visible: 1, in_flight: 0, delayed: 1 });

    let stats = queue(&server, &["stats", "orders", "--json"]).json();
    let found = &stats[0];
    assert_eq!((&found["name"], &found["visible"], &found["delayed"]), (&json!("orders"), &json!(1), &json!(1)));
    assert_eq!(found["attributes"]["VisibilityTimeout"], "30");
    let table = queue(&server, &["stats"]);
    let rows: Vec<Vec<&str>> = table.assert_succeeds().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["QUEUE", "VISIBLE", "IN", "FLIGHT", "DELAYED"]);
    assert_eq!(rows[1..], [["orders", "1", "0", "1"], ["orders-dlq", "0", "0", "0"]]);

    let message = sqs.receive("orders", 0).await.remove(0);
    assert_eq!((message.message_id(), message.body()), (Some(id.as_str()), Some(body)));
    let attributes = message.message_attributes().unwrap();
    assert_eq!(attributes["kind"].string_value(), Some("a=b"));

    assert_eq!(queue(&server, &["purge", "orders"]).assert_succeeds(), "purged orders\n");
    assert_eq!(sqs.counts("orders").await, Counts::EMPTY);
    assert_eq!(queue(&server, &["purge", "orders-dlq", "--json"]).json(), json!({"purged": "orders-dlq"}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_queue_of_the_config_takes_groups_and_deduplication_ids() {
    let keys = "deduplication_scope = \"messageGroup\"\ntags = { team = \"blue\" }\n\
                redrive_policy = { dead_letter_target_arn = \"dead.fifo\", max_receive_count = 3 }";
    let allow = "redrive_allow_policy = { redrive_permission = \"byQueue\", source_queue_arns = [\"orders.fifo\"] }";
    let config = IN_MEMORY.to_owned()
        + &support::config::queue("orders.fifo", keys)
        + &support::config::queue("dead.fifo", allow);
    let server = Home::new().run(&config).await;
    let shown = server.get("/api/queues/orders.fifo").await.unwrap();
    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    let attributes = &shown["attributes"];
    assert_eq!((&attributes["FifoQueue"], &attributes["DeduplicationScope"]), (&json!("true"), &json!("messageGroup")));
    assert_eq!(shown["tags"], json!({"team": "blue"}));

    let send = |group: &str, deduplication: &str| {
        let ids = ["--group-id", group, "--deduplication-id", deduplication, "--json"];
        queue(&server, &[&["send", "orders.fifo", "x"], &ids[..]].concat()).json()
    };
    let first = send("g1", "d1");
    assert!(!first["sequence_number"].as_str().unwrap().is_empty(), "{first}");
    assert_eq!(send("g1", "d1")["message_id"], first["message_id"], "a duplicate is answered as the first was");
    assert_ne!(send("g2", "d1")["message_id"], first["message_id"], "in another group it is none");
    let admin_url = server.admin_url();
    let peeked = wasmill(["queue", "peek", "orders.fifo", "--json", "--admin-url", admin_url.as_str()]).json();
    let groups: Vec<&Value> = peeked.as_array().unwrap().iter().map(|message| &message["group_id"]).collect();
    assert_eq!(groups, [&json!("g1"), &json!("g2")]);
    queue(&server, &["send", "orders.fifo", "x"]).assert_fails(1, &["MessageGroupId", "where: queue orders.fifo at "]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_from_a_file_or_from_stdin_as_it_is() {
    let server = serve().await;
    let sqs = server.sqs();
    sqs.create("orders", &[]).await;
    let home = Home::new();
    let body = "{\n  \"id\": 1\n}\n";
    let path = home.write("body.json", body);
    queue(&server, &["send", "orders", "--body-file", path.to_str().unwrap()]).assert_succeeds();
    let endpoint = server.endpoint();
    let from_stdin = ["queue", "send", "orders", "--body-file", "-", "--endpoint-url", endpoint.as_str()];
    wasmill_with_input(from_stdin, body).assert_succeeds();
    let received = sqs.receive("orders", 0).await;
    assert_eq!(received.iter().filter_map(|message| message.body()).collect::<Vec<_>>(), [body, body]);

    let binary = home.write("binary", b"\xff\xfe");
    let refused = queue(&server, &["send", "orders", "--body-file", binary.to_str().unwrap()]);
    refused.assert_fails(2, &["not UTF-8"]);
    let long = home.write("long", "x".repeat((1 << 20) + 1));
    queue(&server, &["send", "orders", "--body-file", long.to_str().unwrap()]).assert_fails(2, &["longer than 1 MiB"]);
    queue(&server, &["send", "orders", ""]).assert_fails(1, &["MessageBody", "where: queue orders at "]);
    assert_eq!(sqs.counts("orders").await, Counts::in_flight(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_does_not_exist_ends_with_4_and_what_to_do() {
    let server = serve().await;
    for arguments in [&["stats", "nowhere"] as &[&str], &["send", "nowhere", "x"], &["purge", "nowhere"]] {
        let refused = queue(&server, arguments);
        let place = format!("where: queue nowhere at {}", server.endpoint());
        refused.assert_fails(4, &["does not exist", &place, "`wasmill queue ls`"]);
    }
    server.stop().await;
}

#[test]
fn an_endpoint_that_is_down_ends_with_4_and_what_to_do() {
    let endpoint = format!("http://127.0.0.1:{}", lasting_port());
    for arguments in [&["ls"] as &[&str], &["stats"], &["stats", "q"], &["send", "q", "x"], &["purge", "q"]] {
        let refused = wasmill(["queue"].iter().chain(arguments).chain(&["--endpoint-url", endpoint.as_str()]));
        refused.assert_fails(4, &["no connection: Connection refused", endpoint.as_str(), "wasmill queue serve"]);
        assert!(refused.took.as_secs() < 60, "{refused}");
    }
    let refused = wasmill(["queue", "ls", "--endpoint-url", "localhost:9324"]);
    refused.assert_fails(2, &["is not an endpoint URL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_key_is_open_to_others_and_shut_without_it() {
    let (key_id, secret) = ("AKIAWASMILLTEST", "a-secret-that-nobody-knows");
    let everywhere = ["--in-memory", "--listen", "0.0.0.0:0"];
    let server = Home::new().serve_guarded(&everywhere, key_id, secret).await;
    let endpoint = format!("http://127.0.0.1:{}", server.sqs_address().port());
    Sqs::signing(&endpoint, key_id, secret).create("orders", &[]).await;
    let queue = |arguments: &[&str], key: Option<(&str, &str)>| {
        let mut command =
            wasmill_command(["queue"].iter().chain(arguments).chain(&["--endpoint-url", endpoint.as_str()]));
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        if let Some((key_id, secret)) = key {
            command.env("AWS_ACCESS_KEY_ID", key_id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        run(&mut command, "")
    };
    let ours = Some((key_id, secret));
    assert_eq!(queue(&["ls"], ours).assert_succeeds(), "orders\n");
    queue(&["send", "orders", "größe"], ours).assert_succeeds();
    let stats = queue(&["stats", "orders", "--json"], ours).json();
    assert_eq!(stats[0]["visible"], 1);
    for (key, code) in [
        (None, "InvalidClientTokenId"),
        (Some(("AKIANOBODY", secret)), "InvalidClientTokenId"),
        (Some((key_id, "another-secret")), "SignatureDoesNotMatch"),
    ] {
        for arguments in [&["ls"] as &[&str], &["purge", "orders"], &["send", "orders", "x"]] {
            queue(arguments, key).assert_fails(1, &[code, "AWS_SECRET_ACCESS_KEY"]);
        }
    }
    let log = server.stop().await;
    assert!(log.pick(|line| line.text.contains(secret)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_from_a_folder_is_there_again_after_a_restart() {
    let home = Home::new();
    let arguments = ["--data-dir", "kept", "--listen", "127.0.0.1:0"];
    let server = home.serve(&arguments).await;
    server.sqs().create("orders", &[]).await;
    let id = queue(&server, &["send", "orders", "x"]).assert_succeeds().trim_end().to_owned();
    server.stop().await;
    let server = home.serve(&arguments).await;
    let stats: Value = queue(&server, &["stats", "--json"]).json();
    assert_eq!((&stats[0]["name"], &stats[0]["visible"]), (&json!("orders"), &json!(1)));
    let message = Sqs::at(&server.endpoint()).receive("orders", 0).await.remove(0);
    assert_eq!(message.message_id(), Some(id.as_str()));
    server.stop().await;
}
