//! The API as its clients use it: paths, statuses, texts, and what a mapping looks like.

#![expect(clippy::unwrap_used, reason = "tests")]

use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine::{QueueFacts, QueueTrouble};
use crate::mapping::MappingState;
use crate::scripted::{FIFO, MAPPINGS, QUEUE, Reply, Run, Worker, configuration, until};

/// A create of `orders` and `f`, with more members.
fn body(more: &Value) -> String {
    let mut body = json!({"EventSourceArn": QUEUE, "FunctionName": "f"});
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body.to_string()
}

fn assert_refused(reply: &Reply, status: u16, error: &str, text: &str) {
    assert_eq!((reply.status, reply.error.as_deref()), (status, Some(error)), "{reply:?}");
    assert!(reply.message().contains(text), "{text}: {reply:?}");
}

const INVALID: &str = "InvalidParameterValueException";
const VALIDATION: &str = "ValidationException";

#[tokio::test(start_paused = true)]
async fn a_mapping_shows_awss_minimum_and_nothing_else() {
    let worker = Worker::new().await;
    let created = worker.create(&body(&json!({}))).await;
    assert_eq!((created.status, created.state()), (202, "Creating"));
    let uuid = created.uuid();
    assert_eq!(uuid.get_version_num(), 4);
    assert!(created.json["LastModified"].is_number());
    assert!(created.json["LastModified"].as_f64().unwrap() > 1_600_000_000.0);
    let mut expected = json!({
        "UUID": uuid.to_string(),
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "EventSourceArn": QUEUE,
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "LastModified": created.json["LastModified"],
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": [],
        "EventSourceMappingArn": format!("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}"),
    });
    assert_eq!(created.json, expected);
    worker.rests(uuid, MappingState::Enabled).await;
    let got = worker.get(uuid).await;
    expected["State"] = json!("Enabled");
    assert_eq!((got.status, &got.json), (200, &expected));
    let deleted = worker.delete(uuid).await;
    expected["State"] = json!("Deleting");
    assert_eq!((deleted.status, &deleted.json), (202, &expected));
    until(|| worker.registry.get(uuid).is_none()).await;
    assert_refused(&worker.get(uuid).await, 404, "ResourceNotFoundException", "The resource you requested does not");
}

#[tokio::test(start_paused = true)]
async fn what_is_set_is_echoed_and_an_empty_block_clears_it() {
    let worker = Worker::new().await;
    let settings = json!({
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": "{ \"body\": {\"a\": [1]} }"}]},
        "ScalingConfig": {"MaximumConcurrency": 7},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "MetricsConfig": {"Metrics": ["EventCount"]},
    });
    let created = worker.create(&body(&settings)).await;
    for (name, value) in settings.as_object().unwrap() {
        assert_eq!(&created.json[name], value, "{name}");
    }
    let uuid = created.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    let listed = worker.call(Method::GET, MAPPINGS, "").await;
    assert_eq!(listed.json["EventSourceMappings"][0].get("FilterCriteria"), None, "a list decrypts nothing");

    let untouched = worker.update(uuid, "{}").await;
    assert_eq!((untouched.status, untouched.state()), (202, "Updating"));
    assert_eq!(untouched.json["FilterCriteria"], settings["FilterCriteria"]);
    worker.rests(uuid, MappingState::Enabled).await;
    let clear = json!({
        "FilterCriteria": {}, "ScalingConfig": {}, "KMSKeyArn": "", "MetricsConfig": {}, "FunctionResponseTypes": [],
    });
    let cleared = worker.update(uuid, &clear.to_string()).await;
    for name in ["FilterCriteria", "ScalingConfig", "KMSKeyArn", "MetricsConfig", "ProvisionedPollerConfig"] {
        assert_eq!(cleared.json.get(name), None, "{name}");
    }
    assert_eq!(cleared.json["FunctionResponseTypes"], json!([]));
    worker.rests(uuid, MappingState::Enabled).await;

    let pollers = worker.update(uuid, r#"{"ProvisionedPollerConfig":{"MinimumPollers":3}}"#).await;
    let shown = json!({"MinimumPollers": 3, "MaximumPollers": 200});
    assert_eq!(pollers.json["ProvisionedPollerConfig"], shown);
    worker.rests(uuid, MappingState::Enabled).await;
    let cleared = worker.update(uuid, r#"{"ProvisionedPollerConfig":{}}"#).await;
    assert_eq!(cleared.json.get("ProvisionedPollerConfig"), None);
    assert!(cleared.json["LastModified"].as_f64() >= created.json["LastModified"].as_f64());
}

#[tokio::test(start_paused = true)]
async fn an_update_answers_with_the_state_that_clients_wait_on() {
    let worker = Worker::new().await;
    let uuid = worker.enabled().await;
    for (body, passes, rests) in [
        (r#"{"BatchSize":5}"#, "Updating", MappingState::Enabled),
        (r#"{"Enabled":false}"#, "Disabling", MappingState::Disabled),
        (r#"{"Enabled":true,"BatchSize":3}"#, "Enabling", MappingState::Enabled),
    ] {
        worker.engine.door.send_replace(false);
        let updated = worker.update(uuid, body).await;
        assert_eq!((updated.status, updated.state()), (202, passes), "{body}");
        let again = worker.update(uuid, body).await;
        assert_refused(
            &again,
            400,
            "ResourceInUseException",
            "Cannot update the event source mapping because it is in",
        );
        worker.engine.door.send_replace(true);
        worker.rests(uuid, rests).await;
    }
    worker.engine.door.send_replace(false);
    worker.delete(uuid).await;
    assert_refused(&worker.delete(uuid).await, 400, "ResourceInUseException", "Cannot delete the event source mapping");
    let disabled = worker.create(&body(&json!({"EventSourceArn": FIFO, "Enabled": false}))).await;
    assert_eq!((disabled.status, disabled.state()), (202, "Disabled"));
}

#[tokio::test(start_paused = true)]
async fn a_function_is_shown_as_it_was_asked_for() {
    let worker = Worker::new().await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    for (asked, shown) in [
        ("f".to_owned(), arn.to_owned()),
        ("f:$LATEST".to_owned(), format!("{arn}:$LATEST")),
        ("000000000000:function:f".to_owned(), arn.to_owned()),
        (format!("{arn}:$LATEST"), format!("{arn}:$LATEST")),
    ] {
        let created = worker.create(&json!({"EventSourceArn": QUEUE, "FunctionName": asked}).to_string()).await;
        assert_eq!(created.json["FunctionArn"], shown, "{asked}");
        worker.rests(created.uuid(), MappingState::Enabled).await;
        worker.delete(created.uuid()).await;
        until(|| worker.registry.all().is_empty()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_create_has_awss_status_shape_and_text() {
    let worker = Worker::new().await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let owned = [("f", 3), ("g", 3), ("slow", 31)].map(|(name, timeout)| worker.functions.owned(name, timeout));
    worker.registry.functions().unwrap().own(owned.into()).await.unwrap();
    worker
        .engine
        .queues
        .lock()
        .unwrap()
        .insert(arn("far"), Err(QueueTrouble::Unavailable("connection refused".into())));
    let pattern = |pattern: Value| json!({"FilterCriteria": {"Filters": [{"Pattern": pattern}]}});
    let filter = "Invalid filter pattern definition.";
    let long_name = "f".repeat(65);
    let rows = [
        (json!({"EventSourceArn": null}), 400, INVALID, "Unrecognized event source."),
        (json!({"EventSourceArn": "arn:aws:sns:us-east-1:000000000000:t"}), 400, INVALID, "Unrecognized event source."),
        (json!({"EventSourceArn": "orders"}), 400, VALIDATION, "Value 'orders' at 'eventSourceArn' failed to satisfy"),
        (
            json!({"EventSourceArn": arn("nope")}),
            400,
            INVALID,
            "NonExistentQueue. SQS Error Message: The specified queue does not exist.",
        ),
        (
            json!({"EventSourceArn": arn("far")}),
            400,
            INVALID,
            "Error occurred while ReceiveMessage. SQS Error Message: connection refused",
        ),
        (
            json!({"FunctionName": null}),
            400,
            VALIDATION,
            "Value null at 'functionName' failed to satisfy constraint: Member must not be null",
        ),
        (json!({"FunctionName": ""}), 400, VALIDATION, "Member must have length greater than or equal to 1"),
        (
            json!({"FunctionName": "a b"}),
            400,
            VALIDATION,
            "Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression",
        ),
        (json!({"FunctionName": long_name}), 400, VALIDATION, "Member must have length less than or equal to 64"),
        (json!({"FunctionName": "nope"}), 400, INVALID, "Function does not exist"),
        (
            json!({"FunctionName": "arn:aws:lambda:us-east-1:111111111111:function:f"}),
            400,
            INVALID,
            "Function does not exist",
        ),
        (
            json!({"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}),
            404,
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (json!({"FunctionName": "f:live"}), 400, INVALID, "Function does not exist"),
        (
            json!({"FunctionName": "slow"}),
            400,
            INVALID,
            "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds",
        ),
        (
            json!({"BatchSize": 10_001}),
            400,
            VALIDATION,
            "1 validation error detected: Value '10001' at 'batchSize' failed to satisfy constraint: Member must have \
             value less than or equal to 10000",
        ),
        (
            json!({"BatchSize": 0, "MaximumBatchingWindowInSeconds": 301}),
            400,
            VALIDATION,
            "2 validation errors detected: ",
        ),
        (
            json!({"BatchSize": 11}),
            400,
            INVALID,
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ),
        (json!({"EventSourceArn": FIFO, "BatchSize": 11}), 400, INVALID, "Maximum batch size is 10 for FIFO queues"),
        (
            json!({"EventSourceArn": FIFO, "MaximumBatchingWindowInSeconds": 1}),
            400,
            INVALID,
            "Batching window is not supported for FIFO queues",
        ),
        (
            json!({"FunctionResponseTypes": ["All"]}),
            400,
            VALIDATION,
            "Value '[All]' at 'functionResponseTypes' failed to satisfy constraint: Member must satisfy constraint: \
             [Member must satisfy enum value set: [ReportBatchItemFailures]]",
        ),
        (
            json!({"FunctionResponseTypes": ["ReportBatchItemFailures", "ReportBatchItemFailures"]}),
            400,
            VALIDATION,
            "Member must have length less than or equal to 1",
        ),
        (
            json!({"ScalingConfig": {"MaximumConcurrency": 1}}),
            400,
            VALIDATION,
            "at 'scalingConfig.maximumConcurrency' failed to satisfy constraint: Member must have value greater than \
             or equal to 2",
        ),
        (
            json!({"ScalingConfig": {"MaximumConcurrency": 1001}}),
            400,
            VALIDATION,
            "Member must have value less than or equal to 1000",
        ),
        (
            json!({"ProvisionedPollerConfig": {"MinimumPollers": 201}}),
            400,
            VALIDATION,
            "at 'provisionedPollerConfig.minimumPollers'",
        ),
        (
            json!({"ProvisionedPollerConfig": {"MinimumPollers": 1}}),
            400,
            INVALID,
            "MinimumPollers must be between 2 and 200",
        ),
        (json!({"ProvisionedPollerConfig": {"MaximumPollers": 1}}), 400, INVALID, "MaximumPollers must be between"),
        (
            json!({"ProvisionedPollerConfig": {"MinimumPollers": 2, "PollerGroupName": "k"}}),
            400,
            INVALID,
            "Unsupported PollerGroupName parameter",
        ),
        (
            json!({"ProvisionedPollerConfig": {"MinimumPollers": 2}, "ScalingConfig": {"MaximumConcurrency": 2}}),
            400,
            INVALID,
            "cannot both be set",
        ),
        (
            json!({"DestinationConfig": {"OnFailure": {"Destination": "x"}}}),
            400,
            INVALID,
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (json!({"StartingPosition": "LATEST"}), 400, INVALID, "Unsupported StartingPosition parameter"),
        (json!({"LoggingConfig": {"SystemLogLevel": "INFO"}}), 400, INVALID, "Unsupported LoggingConfig parameter"),
        (json!({"MetricsConfig": {"Metrics": ["KafkaMetrics"]}}), 400, INVALID, "Unsupported metric KafkaMetrics"),
        (json!({"MetricsConfig": {"Metrics": ["All"]}}), 400, VALIDATION, "at 'metricsConfig.metrics'"),
        (json!({"KMSKeyArn": "key"}), 400, VALIDATION, "at 'kMSKeyArn'"),
        (json!({"Tags": {"": "x"}}), 400, VALIDATION, "at 'tags' failed to satisfy constraint: Map keys"),
        (json!({"Tags": {"k": "v".repeat(257)}}), 400, VALIDATION, "less than or equal to 256"),
        (pattern(Value::Null), 400, INVALID, filter),
        (json!({"FilterCriteria": {"Filters": [{}]}}), 400, INVALID, filter),
        (pattern(json!("bare text")), 400, INVALID, filter),
        (pattern(json!("{\"eventSource\":\"aws:sqs\"}")), 400, INVALID, filter),
        (pattern(json!("{\"eventSource\":[]}")), 400, INVALID, filter),
        (
            pattern(json!("x".repeat(4097))),
            400,
            VALIDATION,
            "at 'filterCriteria.filters.1.member.pattern' failed to satisfy constraint: Member must have length less \
             than or equal to 4096",
        ),
        (
            json!({"BatchSize": "ten"}),
            400,
            "SerializationException",
            "STRING_VALUE at 'batchSize' can not be converted to Integer",
        ),
        (json!({"Enabled": "true"}), 400, "SerializationException", "'enabled'"),
        (json!({"ScalingConfig": 7}), 400, "SerializationException", "NUMBER_VALUE at 'scalingConfig'"),
        (json!({"Tags": ["a"]}), 400, "SerializationException", "'tags'"),
    ];
    for (more, status, error, text) in rows {
        let reply = worker.create(&body(&more)).await;
        assert_refused(&reply, status, error, text);
        let with_type = !matches!(error, VALIDATION | "SerializationException");
        assert_eq!(reply.json.get("Type").is_some(), with_type, "{reply:?}");
    }
    assert_refused(
        &worker.create("{\"BatchSize\":").await,
        400,
        "SerializationException",
        "Could not parse request body",
    );
    assert_refused(&worker.create("[]").await, 400, "SerializationException", "START_OF_LIST");
    assert!(worker.registry.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_tools_send_without_meaning_it_is_accepted() {
    let worker = Worker::new().await;
    for more in [
        json!({"FilterCriteria": {"Filters": []}}),
        json!({"FilterCriteria": {}, "ScalingConfig": {}, "ProvisionedPollerConfig": {}}),
        json!({"MetricsConfig": {"Metrics": []}}),
        json!({"DestinationConfig": {}, "Topics": [], "StartingPosition": null, "BatchSize": null, "Unheard": 1}),
        json!({"BatchSize": 10.0, "Tags": {}, "FunctionResponseTypes": [], "KMSKeyArn": ""}),
    ] {
        let created = worker.create(&body(&more)).await;
        assert_eq!(created.status, 202, "{more}: {created:?}");
        assert_eq!(created.json.as_object().unwrap().len(), 10, "the minimum: {created:?}");
        worker.rests(created.uuid(), MappingState::Enabled).await;
        worker.delete(created.uuid()).await;
        until(|| worker.registry.all().is_empty()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_mapping_of_the_same_pair_names_the_first() {
    let worker = Worker::new().await;
    let uuid = worker.enabled().await;
    let reply = worker.create(&body(&json!({}))).await;
    let text = format!(
        "An event source mapping with SQS arn (\" {QUEUE} \") and function (\" f \") already exists. Please update or \
         delete the existing mapping with UUID {uuid}"
    );
    assert_refused(&reply, 409, "ResourceConflictException", &text);
    assert_eq!(reply.json, json!({"Type": "User", "message": text}));
}

#[tokio::test(start_paused = true)]
async fn an_update_is_checked_like_a_create() {
    let worker = Worker::new().await;
    let uuid = worker.enabled().await;
    for (body, error, text) in [
        (r#"{"BatchSize":11}"#, INVALID, "Maximum batch window in seconds must be greater than 0"),
        (r#"{"BatchSize":0}"#, VALIDATION, "'batchSize'"),
        (r#"{"FunctionName":"nope"}"#, INVALID, "Function does not exist"),
        (r#"{"FunctionName":"f:2"}"#, INVALID, "Function does not exist"),
        (r#"{"FilterCriteria":{"Filters":[{"Pattern":"x"}]}}"#, INVALID, "Invalid filter pattern definition."),
        (r#"{"DestinationConfig":{"OnFailure":{}}}"#, INVALID, "Unsupported DestinationConfig"),
    ] {
        assert_refused(&worker.update(uuid, body).await, 400, error, text);
    }
    assert_eq!(worker.get(uuid).await.state(), "Enabled");
    let facts = QueueFacts { fifo: false, visibility_timeout_seconds: 2 };
    worker.engine.queues.lock().unwrap().insert(QUEUE.into(), Ok(facts));
    assert_refused(
        &worker.update(uuid, r#"{"BatchSize":5}"#).await,
        400,
        INVALID,
        "Queue visibility timeout: 2 seconds",
    );
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_ends_are_gone_can_be_disabled_cleared_and_deleted() {
    let worker = Worker::new().await;
    let uuid = worker.enabled().await;
    worker.registry.functions().unwrap().own(Vec::new()).await.unwrap();
    worker.engine.queues.lock().unwrap().clear();
    assert_eq!(worker.get(uuid).await.state(), "Enabled");
    for (body, rests) in [
        (r#"{"FilterCriteria":{}}"#, MappingState::Enabled),
        // Terraform sends everything at once.
        (r#"{"Enabled":false,"BatchSize":10,"FunctionResponseTypes":[]}"#, MappingState::Disabled),
    ] {
        assert_eq!(worker.update(uuid, body).await.status, 202, "{body}");
        worker.rests(uuid, rests).await;
    }
    assert_refused(&worker.update(uuid, r#"{"Enabled":true}"#).await, 400, INVALID, "Function does not exist");
    assert_eq!(worker.delete(uuid).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_mapping_from_running_is_shown() {
    let worker = Worker::new().await;
    *worker.engine.run.lock().unwrap() = Run::Fails("no route to host");
    let uuid = worker.create(&body(&json!({}))).await.uuid();
    worker.rests(uuid, MappingState::Enabled).await;
    assert_eq!(worker.get(uuid).await.json["LastProcessingResult"], "PROBLEM: no route to host");
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_paged() {
    let worker = Worker::new().await;
    let pairs = [(QUEUE, "f"), (QUEUE, "g"), (FIFO, "f")];
    for (queue, function) in pairs {
        worker.registry.create(configuration(queue, function)).await.unwrap();
    }
    let list = async |query: &str| worker.call(Method::GET, &format!("{MAPPINGS}{query}"), "").await;
    let count = |reply: &Reply| reply.json["EventSourceMappings"].as_array().unwrap().len();
    let queue = QUEUE.replace(':', "%3A");
    for (query, expected) in [
        (String::new(), 3),
        ("/".to_owned(), 3),
        (format!("?EventSourceArn={queue}"), 2),
        ("?FunctionName=f".to_owned(), 2),
        ("?FunctionName=f%3A%24LATEST".to_owned(), 2),
        ("?FunctionName=arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(), 2),
        (format!("?EventSourceArn={queue}&FunctionName=f"), 1),
        ("?FunctionName=h".to_owned(), 0),
        ("?MaxItems=10000".to_owned(), 3),
    ] {
        let reply = list(&query).await;
        assert_eq!((reply.status, count(&reply)), (200, expected), "{query}");
        assert_eq!(reply.json.get("NextMarker"), None, "{query}");
    }
    let first = list("?MaxItems=2").await;
    let marker = first.json["NextMarker"].as_str().unwrap();
    let second = list(&format!("?MaxItems=2&Marker={marker}")).await;
    assert_eq!((count(&first), count(&second), second.json.get("NextMarker")), (2, 1, None));
    for (query, status, error, text) in [
        ("?MaxItems=0", 400, VALIDATION, "'maxItems'"),
        ("?MaxItems=10001", 400, VALIDATION, "less than or equal to 10000"),
        ("?MaxItems=many", 400, "SerializationException", "'maxItems'"),
        ("?Marker=x", 400, INVALID, "Invalid Marker"),
        ("?EventSourceArn=orders", 400, VALIDATION, "'eventSourceArn'"),
        ("?FunctionName=us-west-2:000000000000:f", 404, "ResourceNotFoundException", "Functions from 'us-west-2'"),
        (
            "?FunctionName=111111111111:f",
            404,
            "ResourceNotFoundException",
            "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f",
        ),
    ] {
        assert_refused(&list(query).await, status, error, text);
    }
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_mapping_come_and_go() {
    let worker = Worker::new().await;
    let created = worker.create(&body(&json!({"Tags": {"team": "a", "stage": "dev"}}))).await;
    assert_eq!(created.json.get("Tags"), None, "only ListTags shows them");
    let arn = created.json["EventSourceMappingArn"].as_str().unwrap().to_owned();
    let path = format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"));
    let tags = async || worker.call(Method::GET, &path, "").await.json["Tags"].clone();
    assert_eq!(tags().await, json!({"team": "a", "stage": "dev"}));
    let tagged = worker.call(Method::POST, &path, r#"{"Tags":{"team":"b","x y":"ø"}}"#).await;
    assert_eq!((tagged.status, tagged.json), (204, Value::Null));
    assert_eq!(tags().await, json!({"team": "b", "stage": "dev", "x y": "ø"}));
    let untagged = worker.call(Method::DELETE, &format!("{path}?tagKeys=x%20y&tagKeys=stage&tagKeys=no"), "").await;
    assert_eq!(untagged.status, 204);
    assert_eq!(tags().await, json!({"team": "b"}));

    let many: serde_json::Map<String, Value> = (0..50).map(|index| (index.to_string(), json!(""))).collect();
    let refused = worker.call(Method::POST, &path, &json!({"Tags": many}).to_string()).await;
    assert_refused(&refused, 400, INVALID, "Number of tags exceeds resource tag limit.");
    assert_refused(&worker.call(Method::DELETE, &path, "").await, 400, VALIDATION, "'tagKeys'");
    assert_refused(&worker.call(Method::POST, &path, "{}").await, 400, VALIDATION, "'tags'");
}

#[tokio::test(start_paused = true)]
async fn tags_of_other_things_are_refused_by_what_they_are() {
    let worker = Worker::new().await;
    let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let mapping = |region: &str| format!("arn:aws:lambda:{region}:000000000000:event-source-mapping:{}", Uuid::nil());
    for (arn, status, error, text) in [
        (format!("{function}:live"), 400, INVALID, "Tags on function aliases and versions are not supported."),
        (format!("{function}x"), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"),
        (mapping("us-east-1"), 404, "ResourceNotFoundException", "The resource you requested does not exist."),
        (mapping("eu-west-1"), 404, "ResourceNotFoundException", "The resource you requested does not exist."),
        ("orders".to_owned(), 400, VALIDATION, "'resource'"),
    ] {
        let path = format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"));
        assert_refused(&worker.call(Method::GET, &path, "").await, status, error, text);
    }
}

#[tokio::test(start_paused = true)]
async fn every_other_operation_is_refused_by_its_name() {
    let worker = Worker::new().await;
    for (method, path, name) in [
        (Method::POST, "/2021-10-31/functions/f/url", "CreateFunctionUrlConfig"),
        (Method::GET, "/2018-10-31/layers", "ListLayers"),
        (Method::PATCH, "/2015-03-31/functions", "PATCH /2015-03-31/functions"),
        (Method::GET, "/2099-01-01/new-things", "GET /2099-01-01/new-things"),
    ] {
        let reply = worker.call(method, path, "").await;
        assert_refused(&reply, 404, "UnknownOperationException", name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_uuid_that_cannot_be_one_is_told_from_one_that_is_not_there() {
    let worker = Worker::new().await;
    for (uuid, status, error) in [
        (Uuid::nil().to_string(), 404, "ResourceNotFoundException"),
        ("x".repeat(36), 404, "ResourceNotFoundException"),
        ("short".to_owned(), 400, VALIDATION),
        ("x".repeat(37), 400, VALIDATION),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let reply = worker.call(method, &format!("{MAPPINGS}/{uuid}"), "").await;
            assert_refused(&reply, status, error, "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused() {
    let worker = Worker::new().await;
    let body = " ".repeat((1 << 20) + 1);
    let text = "Request must be smaller than 1048576 bytes for the CreateEventSourceMapping operation";
    assert_refused(&worker.create(&body).await, 413, "RequestEntityTooLargeException", text);
    assert_refused(&worker.create(&" ".repeat(1 << 20)).await, 400, VALIDATION, "'functionName'");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_stored_is_a_service_exception() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::open(Some(folder.path())).await;
    worker.registry.start_all().await;
    std::fs::create_dir(folder.path().join("lambda.json.new")).unwrap();
    let reply = worker.create(&body(&json!({}))).await;
    assert_refused(&reply, 500, "ServiceException", "Nothing was changed: the state file");
    assert_eq!(reply.json["Type"], "Service");
    assert!(worker.registry.all().is_empty());
}
