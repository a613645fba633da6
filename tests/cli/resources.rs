//! What the machine does not give: a taken port, a locked or unwritable directory, a queue or a service that is not
//! there. Each ends with 4, one clear message, and nothing half-started.

use std::net::TcpListener;

use serde_json::json;
use support::config::{IN_MEMORY, ON_DISK, function, mapping, queue};
use support::sqs::arn;
use support::worker::lasting_port;
use support::{Finished, Home, wasmill, wasmill_with_config};

fn run(home: &Home, name: &str, config: &str) -> Finished {
    let config = home.write(name, config);
    wasmill_with_config("run", &config)
}

#[test]
fn a_taken_port_is_named_with_its_key() {
    let home = Home::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let mend = "stop the process that has it, or choose another port";
    let sqs = IN_MEMORY.replacen("127.0.0.1:0", &taken, 1);
    let place = format!("where: {taken} ([local_queue] listen; without a config, --listen)");
    run(&home, "sqs.toml", &sqs).assert_fails(4, &["cannot listen", &place, mend]);
    let admin = format!("[admin]\nlisten = \"{taken}\"\n");
    let place = format!("where: {taken} ([admin] listen; without a config, --admin-listen)");
    run(&home, "admin.toml", &admin).assert_fails(4, &["cannot listen", &place, mend]);

    let served = wasmill(["queue", "serve", "--in-memory", "--listen", &taken, "--admin-listen", "127.0.0.1:0"]);
    served.assert_fails(4, &["cannot listen", &taken, mend]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_in_use_is_refused_and_its_owner_is_not_disturbed() {
    let home = Home::new();
    let config = ON_DISK.to_owned() + &queue("orders", "");
    let mut owner = home.run(&config).await;
    let id = owner.sqs().send("orders", "x").await;
    let refused = run(&home, "second.toml", &config);
    refused.assert_fails(4, &["data", "stop the other process, or give this one a data_dir of its own"]);
    let data_dir = home.path().join("data").display().to_string();
    let on_free_ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let served = wasmill(["queue", "serve", "--data-dir", &data_dir].iter().chain(&on_free_ports));
    served.assert_fails(4, &["stop the other process"]);

    owner.assert_sound().await;
    let message = owner.sqs().receive("orders", 0).await.remove(0);
    assert_eq!(message.message_id(), Some(id.as_str()));
    owner.stop().await;
}

#[test]
fn a_data_directory_that_is_none_or_is_damaged_is_refused_with_what_to_do() {
    let home = Home::new();
    let data_dir = home.write("data", "").display().to_string();
    let serve = || {
        let on_free_ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        wasmill(["queue", "serve", "--data-dir", &data_dir].iter().chain(&on_free_ports))
    };
    serve().assert_fails(4, &[&data_dir, "mend: name a directory"]);
    std::fs::remove_file(&data_dir).unwrap();
    home.write("data/queue.sqlite", "not what it was");
    serve().assert_fails(4, &[&data_dir, "file is not a database", "mend: put a copy of queue.sqlite in its place"]);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused() {
    // Below a regular file nobody can write, and in /proc nobody can make a folder: not even root. The one is seen by
    // looking, so it is a mistake of the configuration; the other only by trying.
    let home = Home::new();
    home.write("file", "");
    let below_a_file = ON_DISK.replace("\"data\"", "\"file/data\"");
    run(&home, "file.toml", &below_a_file)
        .assert_fails(3, &["local_queue.data_dir: \"file/data\"", "correct the path"]);
    let data_dir = home.path().join("file/data").display().to_string();
    let on_free_ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let served = wasmill(["queue", "serve", "--data-dir", &data_dir].iter().chain(&on_free_ports));
    served.assert_fails(4, &[&data_dir, "check that the directory can be written"]);

    let in_proc = ON_DISK.replace("\"data\"", "\"/proc/wasmill-data\"");
    let refused = run(&home, "proc.toml", &in_proc);
    refused.assert_fails(4, &["/proc/wasmill-data", "check that the directory can be written"]);
}

#[test]
fn a_data_directory_that_holds_no_queue_of_ours_is_refused_and_left_alone() {
    let home = Home::new();
    let content = "somebody's notes, and by no means a database".repeat(200);
    let path = home.write("data/queue.sqlite", &content);
    let refused = run(&home, "wasmill.toml", ON_DISK);
    refused.assert_fails(4, &["data"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), content);
}

/// A worker on a queue of a service at `endpoint`.
fn remote_worker(endpoint: &str, source: &str) -> String {
    format!("[admin]\nlisten = \"127.0.0.1:0\"\n[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n")
        + &function("orders", "orders", "")
        + &mapping(source, "orders", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_queue_that_does_not_exist_is_named() {
    let home = Home::new();
    let server = home.serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    for source in [arn("nowhere"), server.sqs().url("nowhere")] {
        let refused = run(&home, "worker.toml", &remote_worker(&server.endpoint(), &source));
        let place = format!("where: event source {source}");
        refused.assert_fails(4, &["does not exist", &place, "create it, or correct event_source_arn"]);
    }
    server.stop().await;
}

#[test]
fn a_remote_service_that_is_down_is_named() {
    let home = Home::new();
    let endpoint = format!("http://127.0.0.1:{}", lasting_port());
    let refused = run(&home, "worker.toml", &remote_worker(&endpoint, &arn("orders")));
    refused.assert_fails(4, &["where: event source ", "check the network, [aws] endpoint_url and the credentials"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_leaves_the_queue_as_it_was() {
    // A worker that cannot start must not have received anything.
    let home = Home::new();
    let queue_only = ON_DISK.to_owned() + &queue("orders", "");
    let server = home.run(&queue_only).await;
    let id = server.sqs().send("orders", &json!({"id": "o-1"}).to_string()).await;
    server.stop().await;
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let worker = queue_only.replacen("127.0.0.1:0", &taken, 1)
        + &function("orders", "orders", "")
        + &mapping("orders", "orders", "");
    run(&home, "worker.toml", &worker).assert_fails(4, &["cannot listen"]);
    let server = home.run(&queue_only).await;
    let message = server.sqs().receive_all(support::PATIENCE, "orders", 1).await.remove(0);
    assert_eq!(message.message_id(), Some(id.as_str()));
    assert_eq!(support::sqs::receive_count(&message), "1");
    server.stop().await;
}
