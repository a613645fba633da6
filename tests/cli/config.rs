//! `wasmill config`, folders of config files, and variables that override them.

use serde_json::{Value, json};
use support::command::{run, wasmill_command};
use support::{Home, places, wasmill};

#[test]
fn what_is_set_is_shown_with_where_it_is_from() {
    let config = places::repository().join("config/full.toml");
    let arguments = ["config".as_ref(), "show".as_ref(), "--config".as_ref(), config.as_os_str()];
    let mut command = wasmill_command(arguments);
    command.env("QUEUE_SECRET", "hunter2-hunter2-hunter2").env("WASMILL__DRAIN_GRACE_SECONDS", "5");
    let shown = run(&mut command, "");
    let text = shown.assert_succeeds();
    assert!(!text.contains("hunter2"), "{text}");
    for part in [
        "drain_grace_seconds = 5  # environment WASMILL__DRAIN_GRACE_SECONDS\n",
        "auth.credentials[0].secret_access_key = (secret)  # ",
        "full.toml:",
        "event_source_mapping[1].batch_size = 10  # default\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let all: Value = run(command.arg("--json"), "").json();
    let grace = all.as_array().unwrap().iter().find(|setting| setting["key"] == "drain_grace_seconds").unwrap();
    assert_eq!((&grace["value"], &grace["origin"]), (&json!(5), &json!("environment")));
}

#[test]
fn a_config_with_mistakes_is_not_shown() {
    let home = Home::new();
    let config = home.write("w.toml", "regoin = \"x\"\n");
    let shown = wasmill(["config".as_ref(), "show".as_ref(), "--config".as_ref(), config.as_os_str()]);
    shown.assert_fails(3, &["regoin: unknown key"]);
    let mut command = wasmill_command(["check".as_ref(), "--config".as_ref(), home.path().as_os_str()]);
    command.env("WASMILL__LOCAL_QUEUE__LISTN", "127.0.0.1:1");
    run(&mut command, "").assert_fails(3, &["regoin", "did you mean WASMILL__LOCAL_QUEUE__LISTEN?"]);
}

#[test]
fn the_schema_is_json() {
    let schema = wasmill(["config", "schema"]).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["queue"]["items"]["required"], json!(["name"]));
}

#[tokio::test]
async fn a_worker_runs_a_folder_of_configs_with_a_variable_over_it() {
    let home = Home::new();
    home.write("conf/10-base.toml", support::config::IN_MEMORY.replace("127.0.0.1:0", "127.0.0.1:1"));
    home.write("conf/20-queue.toml", support::config::queue("orders", ""));
    let folder = home.path().join("conf");
    let mut worker = home
        .run_folder_as(&folder, |command| {
            command.env("WASMILL__LOCAL_QUEUE__LISTEN", "127.0.0.1:0").env("WASMILL__ADMIN__LISTEN", "127.0.0.1:0");
        })
        .await;
    worker.sqs().send("orders", "1").await;
    worker.assert_sound().await;
    worker.stop().await;
}
