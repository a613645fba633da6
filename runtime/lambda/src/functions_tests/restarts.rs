//! What is there after a restart, whatever happened before it.

use std::fs;
use std::path::Path;

use super::*;

async fn open(folder: &Path) -> Worker {
    let worker = Worker::bare(Some(folder)).await;
    worker.registry.start_all().await;
    worker
}

#[tokio::test]
async fn functions_versions_aliases_and_all_else_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let worker = open(folder.path()).await;
    worker
        .make(json!({"Publish": true, "Tags": {"a": "b"}, "Handler": "h", "Environment": {"Variables": {"A1": "b"}}}))
        .await;
    worker.settled("orders").await;
    worker.publish("v2").await;
    let weights = json!({"AdditionalVersionWeights": {"2": 0.25}});
    worker
        .of(Method::POST, "orders/aliases", json!({"Name": "live", "FunctionVersion": "1", "RoutingConfig": weights}))
        .await;
    worker.of(Method::POST, "orders/policy", json!({"StatementId": "s", "Action": "a", "Principal": "*"})).await;
    let reserved = json!({"ReservedConcurrentExecutions": 5});
    worker.call(Method::PUT, "/2017-10-31/functions/orders/concurrency", &reserved.to_string()).await;
    let paths =
        ["orders/configuration", "orders/versions", "orders/aliases", "orders/policy", "orders:live/configuration"];
    let mut before = Vec::new();
    for path in paths {
        before.push(worker.read(path).await.json);
    }
    let routes = worker.functions.routes("orders");
    drop(worker);

    let worker = Worker::bare(Some(folder.path())).await;
    let pending = worker.configured("orders").await;
    assert_eq!((&pending["State"], &pending["StateReasonCode"]), (&json!("Pending"), &json!("Restoring")));
    assert_refused(&worker.upload("x", json!({})).await, 409, CONFLICT, "in progress");
    worker.registry.start_all().await;
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(worker.read(path).await.json, before, "{path}");
    }
    assert_eq!(worker.functions.routes("orders"), routes);
    let mut calls = worker.functions.calls();
    calls.sort();
    assert_eq!(calls, ["load orders $LATEST", "load orders 1", "load orders 2", "reserve orders 5"]);
    assert_eq!(worker.read("orders").await.json["Tags"], json!({"a": "b"}));
    assert_eq!(worker.publish("v3").await, "3", "numbers go on");
}

#[tokio::test]
async fn functions_are_loaded_before_mappings_begin() {
    let folder = tempfile::tempdir().unwrap();
    let worker = open(folder.path()).await;
    worker.make(json!({})).await;
    worker.settled("orders").await;
    let body = json!({"EventSourceArn": crate::scripted::QUEUE, "FunctionName": "orders"});
    assert_eq!(worker.create(&body.to_string()).await.status, 202);
    drop(worker);
    let worker = Worker::bare(Some(folder.path())).await;
    assert_eq!(worker.registry.start_all().await, []);
    assert_eq!(worker.engine.calls(), ["run orders 10"]);
}

#[tokio::test]
async fn an_update_that_a_crash_cut_short_is_made_by_the_next_start() {
    for (text, status, code_after) in [("two", "Successful", "two"), ("broken", "Failed", "one")] {
        let folder = tempfile::tempdir().unwrap();
        let worker = open(folder.path()).await;
        worker.make(json!({})).await;
        worker.settled("orders").await;
        worker.functions.door.send_replace(false);
        worker.upload(text, json!({})).await;
        let crashed = tempfile::tempdir().unwrap();
        copy(folder.path(), crashed.path());
        let worker = open(crashed.path()).await;
        let shown = worker.configured("orders").await;
        assert_eq!(shown["LastUpdateStatus"], status);
        let hash = crate::functions::code_sha256(format!("\0asm{code_after}").as_bytes());
        assert_eq!((&shown["State"], &shown["CodeSha256"]), (&json!("Active"), &json!(hash)));
        if status == "Failed" {
            drop(worker);
            let shown = open(crashed.path()).await.configured("orders").await;
            assert_eq!(shown["LastUpdateStatusReason"], "it exports no handler", "it is still told");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { copy(&entry.path(), &to) } else { drop(fs::copy(entry.path(), to)) }
    }
}

#[tokio::test]
async fn code_that_a_crash_left_without_a_record_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let worker = open(folder.path()).await;
    worker.make(json!({})).await;
    worker.settled("orders").await;
    drop(worker);
    let code = folder.path().join("code");
    let named = fs::read_dir(&code).unwrap().next().unwrap().unwrap().file_name();
    // A crash between the code and its record, and one while the code was written.
    fs::write(code.join("ab".repeat(32)), "x").unwrap();
    fs::write(code.join(format!("{}.new", "cd".repeat(32))), "x").unwrap();
    let worker = open(folder.path()).await;
    for _ in 0..5000 {
        if fs::read_dir(&code).unwrap().count() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let left: Vec<_> = fs::read_dir(&code).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [named]);
    assert_eq!(worker.configured("orders").await["State"], "Active");
}

#[tokio::test]
async fn code_that_is_damaged_or_gone_is_told_and_mended_by_an_upload() {
    for damage in [|path: &Path| fs::write(path, "x").unwrap(), |path: &Path| fs::remove_file(path).unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let worker = open(folder.path()).await;
        worker.make(json!({})).await;
        worker.settled("orders").await;
        drop(worker);
        let file = fs::read_dir(folder.path().join("code")).unwrap().next().unwrap().unwrap().path();
        damage(&file);
        let worker = open(folder.path()).await;
        let shown = worker.configured("orders").await;
        assert_eq!(shown["State"], "Failed");
        let reason = shown["StateReason"].as_str().unwrap();
        assert!(reason.contains(&file.display().to_string()) && reason.contains("upload it again"), "{reason}");
        worker.upload("one", json!({})).await;
        worker.settled("orders").await;
        assert_eq!(worker.configured("orders").await["State"], "Active");
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let worker = open(folder.path()).await;
    worker.make(json!({})).await;
    worker.settled("orders").await;
    let before = worker.read("orders/configuration").await.json;
    fs::create_dir(folder.path().join("lambda.json.new")).unwrap();
    let text = "Nothing was changed: the state file";
    assert_refused(&worker.upload("two", json!({})).await, 500, "ServiceException", text);
    assert_refused(&worker.make(json!({"FunctionName": "other"})).await, 500, "ServiceException", text);
    assert_refused(&worker.of(Method::DELETE, "orders", Value::Null).await, 500, "ServiceException", text);
    let alias = json!({"Name": "live", "FunctionVersion": "$LATEST"});
    assert_refused(&worker.of(Method::POST, "orders/aliases", alias).await, 500, "ServiceException", text);
    assert_eq!(worker.read("orders/configuration").await.json, before);
    assert_eq!(worker.read("other").await.status, 404);
    fs::remove_dir(folder.path().join("lambda.json.new")).unwrap();
    fs::remove_dir_all(folder.path().join("code")).unwrap();
    fs::write(folder.path().join("code"), "a file").unwrap();
    let refused = worker.upload("three", json!({})).await;
    assert_refused(&refused, 500, "ServiceException", "Nothing was changed: the code cannot be written to");
}
