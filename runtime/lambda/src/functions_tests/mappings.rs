//! Where mappings meet functions.

use std::time::Duration;

use super::*;
use crate::mapping::MappingState;
use crate::scripted::{QUEUE, until};

async fn map(worker: &Worker, function: &str) -> Reply {
    worker.create(&json!({"EventSourceArn": QUEUE, "FunctionName": function}).to_string()).await
}

#[tokio::test(start_paused = true)]
async fn a_mapping_leads_to_a_function_a_version_or_an_alias_that_is_there() {
    let worker = Worker::with_orders().await;
    worker.publish("v1").await;
    for function in ["nope", "orders:2", "orders:live"] {
        assert_refused(&map(&worker, function).await, 400, INVALID, "Function does not exist");
    }
    worker.of(Method::POST, "orders/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await;
    for function in ["orders", "orders:1", "orders:live"] {
        let mapping = map(&worker, function).await;
        assert_eq!(mapping.status, 202, "{mapping:?}");
        assert_eq!(mapping.json["FunctionArn"], format!("{}{function}", ARN.strip_suffix("orders").unwrap()));
        worker.rests(mapping.uuid(), MappingState::Enabled).await;
    }
    assert_refused(&map(&worker, "orders:$LATEST").await, 409, CONFLICT, "already exists");
}

#[tokio::test(start_paused = true)]
async fn a_function_may_not_take_longer_than_messages_stay_hidden() {
    let worker = Worker::with_orders().await;
    worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 31})).await;
    worker.settled("orders").await;
    worker.publish("v1").await;
    worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 3})).await;
    worker.settled("orders").await;
    worker.publish("v2").await;
    let text = "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds";
    assert_refused(&map(&worker, "orders:1").await, 400, INVALID, text);
    let weights = json!({"AdditionalVersionWeights": {"1": 0.1}});
    let alias = json!({"Name": "live", "FunctionVersion": "2", "RoutingConfig": weights});
    worker.of(Method::POST, "orders/aliases", alias).await;
    assert_refused(&map(&worker, "orders:live").await, 400, INVALID, text);
    assert_eq!(map(&worker, "orders").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_outlives_its_function_stops_says_why_and_begins_again_with_the_next() {
    let worker = Worker::with_orders().await;
    let uuid = map(&worker, "orders").await.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    assert_eq!(worker.engine.running(), ["orders 10"]);
    worker.of(Method::DELETE, "orders", Value::Null).await;
    until(|| worker.engine.running().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let mapping = worker.get(uuid).await;
    assert_eq!(mapping.state(), "Enabled");
    assert_eq!(mapping.json["LastProcessingResult"], "PROBLEM: Function does not exist");

    worker.functions.door.send_replace(false);
    worker.make(json!({})).await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    let problem = worker.get(uuid).await.json["LastProcessingResult"].clone();
    assert_eq!(problem, "PROBLEM: the function is Pending: The function is being created.");
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;
    until(|| !worker.engine.running().is_empty()).await;
    assert_eq!(worker.get(uuid).await.json.get("LastProcessingResult"), None);

    worker.of(Method::DELETE, "orders", Value::Null).await;
    until(|| worker.engine.running().is_empty()).await;
    assert_eq!(worker.delete(uuid).await.status, 202);
    until(|| worker.registry.get(uuid).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_made_before_its_function_is_ready_begins_when_it_is() {
    let worker = Worker::empty().await;
    worker.functions.door.send_replace(false);
    worker.make(json!({})).await;
    let uuid = map(&worker, "orders").await.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    assert!(worker.engine.running().is_empty());
    let problem = worker.get(uuid).await.json["LastProcessingResult"].clone();
    assert_eq!(problem, "PROBLEM: the function is Pending: The function is being created.");
    let begun = tokio::time::Instant::now();
    worker.functions.door.send_replace(true);
    until(|| !worker.engine.running().is_empty()).await;
    assert!(begun.elapsed() < Duration::from_millis(500), "it does not wait for its next try");
    assert_eq!(worker.get(uuid).await.json.get("LastProcessingResult"), None);
}

#[tokio::test(start_paused = true)]
async fn the_version_that_a_mapping_names_is_kept() {
    let worker = Worker::with_orders().await;
    worker.publish("v1").await;
    let uuid = map(&worker, "orders:1").await.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    for text in ["v2", "v3", "v4", "v5"] {
        worker.publish(text).await;
    }
    let routes = ["$LATEST -> $LATEST", "1 -> 1", "3 -> 3", "4 -> 4", "5 -> 5"];
    assert_eq!(worker.functions.routes("orders"), routes);
    worker.delete(uuid).await;
    until(|| worker.registry.get(uuid).is_none()).await;
    worker.publish("v6").await;
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST", "4 -> 4", "5 -> 5", "6 -> 6"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_does_not_touch_the_mappings() {
    let worker = Worker::with_orders().await;
    let uuid = map(&worker, "orders").await.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    worker.engine.calls();
    for text in ["two", "broken"] {
        worker.upload(text, json!({})).await;
        worker.settled("orders").await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(worker.engine.calls().is_empty());
    assert_eq!(worker.get(uuid).await.json.get("LastProcessingResult"), None);
}
