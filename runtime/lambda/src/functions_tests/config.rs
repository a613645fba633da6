//! What the config owns.

use super::*;
use crate::functions::FunctionOverride;

async fn own(worker: &Worker, functions: &[(&str, u32)]) -> crate::functions::FunctionOwnership {
    let owned = functions.iter().map(|(name, timeout)| worker.functions.owned(name, *timeout)).collect();
    worker.registry.functions().unwrap().own(owned).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_function_of_the_config_is_a_function() {
    let worker = Worker::empty().await;
    let ownership = own(&worker, &[("orders", 3)]).await;
    assert_eq!(ownership.created, ["orders"]);
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST"]);
    let got = worker.read("orders").await.json;
    assert_eq!(got["Code"], json!({"RepositoryType": "Config"}));
    let shown = &got["Configuration"];
    assert_eq!((&shown["State"], &shown["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!((&shown["CodeSize"], &shown["Runtime"]), (&json!(70), &json!("wasm")));
    assert_eq!(shown["Role"], "arn:aws:iam::000000000000:role/wasmill");
    let invoked = worker.of(Method::POST, "orders/invocations", json!({"a": 1})).await;
    assert_eq!((invoked.status, invoked.json), (200, json!({"a": 1})));
    let deleted = worker.of(Method::DELETE, "orders", Value::Null).await;
    assert_refused(
        &deleted,
        400,
        INVALID,
        "The config file names function orders, and owns it: delete its [[function]]",
    );
    let published = worker.of(Method::POST, "orders/versions", json!({})).await;
    assert_refused(&published, 400, INVALID, "upload it with UpdateFunctionCode, then publish it");
    let changed = worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 9})).await;
    assert_refused(&changed, 400, INVALID, "change it there, or upload other code first");
    let described = worker.of(Method::PUT, "orders/configuration", json!({"Description": "d"})).await;
    assert_eq!(described.status, 200);
    worker.settled("orders").await;
    assert_eq!(worker.configured("orders").await["Description"], "d");
}

#[tokio::test(start_paused = true)]
async fn uploaded_code_runs_until_the_config_is_read_again() {
    let worker = Worker::empty().await;
    own(&worker, &[("orders", 3)]).await;
    let configs = worker.functions.latest("orders");
    let before = worker.configured("orders").await;
    assert_eq!(worker.publish("mine").await, "1");
    assert_ne!(worker.functions.latest("orders"), configs);
    assert_eq!(worker.functions.builds("orders"), 3, "the config's build stays");
    worker.of(Method::POST, "orders/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await;
    worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 9})).await;
    worker.settled("orders").await;

    let ownership = own(&worker, &[("orders", 3)]).await;
    let overridden: Vec<_> =
        ownership.overridden.iter().map(|o| (o.key, o.stored.as_str(), o.config.as_str())).collect();
    let mine = crate::functions::code_sha256(b"\0asmmine");
    let theirs = before["CodeSha256"].as_str().unwrap();
    assert_eq!(overridden, [("CodeSha256", mine.as_str(), theirs), ("Timeout", "9", "3")]);
    assert_eq!(worker.functions.latest("orders"), configs);
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST", "1 -> 1", "live -> 1"]);
    assert_eq!(own(&worker, &[("orders", 3)]).await, crate::functions::FunctionOwnership::default());

    // Another build of the config's takes its place at once.
    own(&worker, &[("orders", 5)]).await;
    assert_eq!(worker.functions.latest("orders"), "config-5");
    assert_eq!(worker.configured("orders").await["Timeout"], 5);
    assert_eq!(worker.functions.builds("orders"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_under_way_is_overtaken_by_the_config() {
    let worker = Worker::empty().await;
    own(&worker, &[("orders", 3)]).await;
    worker.functions.door.send_replace(false);
    worker.upload("mine", json!({})).await;
    own(&worker, &[("orders", 3)]).await;
    worker.functions.door.send_replace(true);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(worker.functions.latest("orders"), "config-3");
    assert_eq!(worker.functions.builds("orders"), 1);
    assert_eq!(worker.configured("orders").await["LastUpdateStatus"], "Successful");
}

#[tokio::test(start_paused = true)]
async fn the_config_takes_over_what_the_api_made_and_lets_go_of_what_it_no_longer_names() {
    let worker = Worker::with_orders().await;
    worker.make(json!({"FunctionName": "other"})).await;
    worker.settled("other").await;
    let body = json!({"ReservedConcurrentExecutions": 5});
    worker.call(Method::PUT, "/2017-10-31/functions/orders/concurrency", &body.to_string()).await;
    let ownership = own(&worker, &[("orders", 3)]).await;
    assert!(ownership.created.is_empty() && ownership.deleted.is_empty());
    let reserved = FunctionOverride {
        function: "orders".into(),
        key: "ReservedConcurrentExecutions",
        stored: "5".into(),
        config: "(not set)".into(),
    };
    assert!(ownership.overridden.contains(&reserved), "{ownership:?}");
    let ownership = own(&worker, &[]).await;
    assert_eq!(ownership.deleted, ["orders"]);
    assert_eq!(worker.read("orders").await.status, 404);
    assert_eq!(worker.read("other").await.status, 200);
}
