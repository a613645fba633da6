//! Aliases, and where they lead.

use super::*;

async fn with_versions() -> Worker {
    let worker = Worker::with_orders().await;
    for text in ["v1", "v2"] {
        worker.publish(text).await;
    }
    worker
}

#[tokio::test(start_paused = true)]
async fn an_alias_is_made_read_changed_listed_and_deleted() {
    let worker = with_versions().await;
    let body = json!({"Name": "live", "FunctionVersion": "1", "Description": "d"});
    let made = worker.of(Method::POST, "orders/aliases", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let arn = format!("{ARN}:live");
    let mut shown = made.json.clone();
    assert_eq!(shown["RevisionId"].take().as_str().unwrap().len(), 36);
    let expected =
        json!({"AliasArn": arn, "Name": "live", "FunctionVersion": "1", "Description": "d", "RevisionId": null});
    assert_eq!(shown, expected);
    assert_eq!(worker.read("orders/aliases/live").await.json, made.json);
    let through = worker.read("orders:live").await.json["Configuration"].clone();
    assert_eq!((&through["FunctionArn"], &through["Version"]), (&json!(arn), &json!("1")));

    let weights = json!({"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.2}}});
    let changed = worker.of(Method::PUT, "orders/aliases/live", weights.clone()).await;
    assert_eq!((changed.status, &changed.json["RoutingConfig"]), (200, &weights["RoutingConfig"]));
    assert_eq!(changed.json["Description"], "d");
    assert_ne!(changed.json["RevisionId"], made.json["RevisionId"]);
    assert!(worker.functions.routes("orders").contains(&"live -> 1 + 0.2 of 2".to_owned()));
    for clear in [json!({}), json!({"AdditionalVersionWeights": {}})] {
        worker.of(Method::PUT, "orders/aliases/live", weights.clone()).await;
        let body = json!({"RoutingConfig": clear});
        let changed = worker.of(Method::PUT, "orders/aliases/live", body).await;
        assert_eq!(changed.json.get("RoutingConfig"), None, "{clear}");
    }
    let moved = worker.of(Method::PUT, "orders/aliases/live", json!({"FunctionVersion": "2", "Description": ""})).await;
    assert_eq!((&moved.json["FunctionVersion"], &moved.json["Description"]), (&json!("2"), &json!("")));
    assert!(worker.functions.routes("orders").contains(&"live -> 2".to_owned()));
    let stale = json!({"FunctionVersion": "1", "RevisionId": made.json["RevisionId"]});
    let refused = worker.of(Method::PUT, "orders/aliases/live", stale).await;
    assert_refused(&refused, 412, "PreconditionFailedException", "The Revision Id provided does not match");

    worker.of(Method::POST, "orders/aliases", json!({"Name": "a", "FunctionVersion": "$LATEST"})).await;
    let listed = async |query: &str| {
        let reply = worker.read(&format!("orders/aliases{query}")).await;
        let aliases = reply.json["Aliases"].as_array().unwrap().clone();
        aliases.iter().map(|alias| alias["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["a", "live"]);
    assert_eq!(listed("?MaxItems=1").await, ["a"]);
    assert_eq!(listed("?Marker=a").await, ["live"]);
    assert_eq!(listed("?FunctionVersion=2").await, ["live"]);
    assert_eq!(worker.of(Method::DELETE, "orders/aliases/live", Value::Null).await.status, 204);
    assert_eq!(worker.of(Method::DELETE, "orders/aliases/live", Value::Null).await.status, 204);
    let text = format!("Cannot find alias arn: {arn}");
    assert_refused(&worker.read("orders/aliases/live").await, 404, NOT_FOUND, &text);
    assert_refused(&worker.of(Method::PUT, "orders/aliases/live", json!({})).await, 404, NOT_FOUND, &text);
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST", "1 -> 1", "2 -> 2", "a -> $LATEST"]);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_an_alias_has_awss_text() {
    let worker = with_versions().await;
    let create = async |change: Value| {
        let mut body = json!({"Name": "live", "FunctionVersion": "1"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        worker.of(Method::POST, "orders/aliases", body).await
    };
    let weights = |weights: Value| json!({"RoutingConfig": {"AdditionalVersionWeights": weights}});
    for (change, status, error, text) in [
        (json!({"Name": "123"}), 400, VALIDATION, "pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        (json!({"Name": "a b"}), 400, VALIDATION, "Value 'a b' at 'name'"),
        (json!({"Name": null}), 400, VALIDATION, "Value null at 'name'"),
        (json!({"Name": "x".repeat(129)}), 400, VALIDATION, "less than or equal to 128"),
        (json!({"FunctionVersion": null}), 400, VALIDATION, "Value null at 'functionVersion'"),
        (json!({"FunctionVersion": "live"}), 400, VALIDATION, "Value 'live' at 'functionVersion'"),
        (json!({"FunctionVersion": "9"}), 404, NOT_FOUND, &*format!("Function not found: {ARN}:9")),
        (
            weights(json!({"2": 0.1, "3": 0.1})),
            400,
            INVALID,
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            weights(json!({"1": 0.1})),
            400,
            INVALID,
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        (weights(json!({"9": 0.1})), 404, NOT_FOUND, "Function not found"),
        (weights(json!({"$LATEST": 0.1})), 400, VALIDATION, "Map keys must satisfy constraint"),
        (weights(json!({"2": 1.1})), 400, VALIDATION, "Member must have value less than or equal to 1.0"),
        (weights(json!({"2": -0.1})), 400, VALIDATION, "Member must have value greater than or equal to 0.0"),
        (weights(json!({"2": "a"})), 400, "SerializationException", "can not be converted to Double"),
        (
            json!({"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}}),
            400,
            INVALID,
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
    ] {
        assert_refused(&create(change.clone()).await, status, error, text);
    }
    assert_eq!(create(json!({})).await.status, 201);
    let exists = format!("Alias already exists: {ARN}:live");
    assert_refused(&create(json!({})).await, 409, CONFLICT, &exists);
    let body = json!({"Name": "live", "FunctionVersion": "1"});
    assert_refused(&worker.of(Method::POST, "nope/aliases", body).await, 404, NOT_FOUND, "Function not found");
}

#[tokio::test(start_paused = true)]
async fn an_alias_waits_for_its_version_and_never_leads_to_one_that_cannot_run() {
    let worker = Worker::with_orders().await;
    worker.functions.door.send_replace(false);
    assert_eq!(worker.upload("v1", json!({"Publish": true})).await.json["Version"], "1");
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    let refused = worker.of(Method::POST, "orders/aliases", alias.clone()).await;
    assert_refused(&refused, 409, CONFLICT, "An update is in progress for resource");
    let made = tokio::spawn({
        let service = worker.service.clone();
        let body = alias.to_string();
        async move {
            let path = format!("{FUNCTIONS}/orders/aliases");
            service.handle(&Method::POST, &path, &hyper::HeaderMap::new(), body.into()).await.status()
        }
    });
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert!(!made.is_finished());
    worker.functions.door.send_replace(true);
    assert_eq!(made.await.unwrap(), 201);
    assert!(worker.functions.routes("orders").contains(&"live -> 1".to_owned()));

    worker.upload("broken", json!({"Publish": true})).await;
    worker.settled("orders").await;
    let text = "Function version 2 cannot run: it exports no handler";
    let refused = worker.of(Method::PUT, "orders/aliases/live", json!({"FunctionVersion": "2"})).await;
    assert_refused(&refused, 400, INVALID, text);
    assert!(worker.functions.routes("orders").contains(&"live -> 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_tag_leads_copies_of_batches_to_a_version_that_is_there() {
    let worker = with_versions().await;
    let path = format!("/2017-03-31/tags/{}", ARN.replace(':', "%3A"));
    let shadows = || worker.functions.routes("orders").into_iter().find(|route| route.starts_with("wasmill:shadow"));
    for (version, route) in [("2", Some("wasmill:shadow -> 2".to_owned())), ("9", None), ("x", None)] {
        let tags = json!({"Tags": {"wasmill:shadow": version}}).to_string();
        assert_eq!(worker.call(Method::POST, &path, &tags).await.status, 204);
        assert_eq!(shadows(), route, "{version}");
    }
    let tags = json!({"Tags": {"wasmill:shadow": "1"}}).to_string();
    worker.call(Method::POST, &path, &tags).await;
    assert!(shadows().is_some());
    assert_eq!(worker.call(Method::DELETE, &format!("{path}?tagKeys=wasmill:shadow"), "").await.status, 204);
    assert_eq!(shadows(), None);
}
