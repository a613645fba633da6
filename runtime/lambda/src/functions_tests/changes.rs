//! Create, read, list, update, publish, delete.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_created_function_has_everything_that_clients_expect() {
    let worker = Worker::empty().await;
    worker.functions.door.send_replace(false);
    let reply = worker
        .make(json!({
            "Runtime": "provided.al2023", "Handler": "orders.wasm", "Description": "d", "Timeout": 9, "MemorySize": 256,
            "Environment": {"Variables": {"TABLE": "orders"}}, "EphemeralStorage": {"Size": 600},
            "Architectures": ["arm64"], "TracingConfig": {"Mode": "Active"}, "Tags": {"team": "a"},
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/mine"}, "KMSKeyArn": "arn:aws:kms:::key",
            "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "Layers": [], "SnapStart": {"ApplyOn": "None"},
            "DeadLetterConfig": {"TargetArn": ""}, "PackageType": "Zip",
        }))
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let mut shown = reply.json;
    let revision = shown["RevisionId"].take();
    assert_eq!(revision.as_str().unwrap().len(), 36);
    let modified = shown["LastModified"].take();
    assert!(modified.as_str().unwrap().starts_with("20") && modified.as_str().unwrap().ends_with("+0000"));
    let expected = json!({
        "FunctionName": "orders", "FunctionArn": ARN, "Runtime": "provided.al2023", "Role": ROLE,
        "Handler": "orders.wasm", "CodeSize": 7, "Description": "d", "Timeout": 9, "MemorySize": 256,
        "LastModified": null, "CodeSha256": "M4M+SXtSlHO0NZq8y/0KScMpjQJXvl5rHwKS6kX+IDU=", "Version": "$LATEST",
        "Environment": {"Variables": {"TABLE": "orders"}}, "KMSKeyArn": "arn:aws:kms:::key",
        "TracingConfig": {"Mode": "Active"}, "RevisionId": null, "State": "Pending",
        "StateReason": "The function is being created.", "StateReasonCode": "Creating", "PackageType": "Zip",
        "Architectures": ["arm64"], "EphemeralStorage": {"Size": 600},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "RuntimeVersionConfig": {"RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:wasmill"},
        "LoggingConfig": {
            "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/mine"
        },
    });
    let hash = shown["CodeSha256"].clone();
    let mut expected = expected;
    expected["CodeSha256"] = hash.clone();
    assert_eq!(shown, expected);
    assert_eq!(hash, crate::functions::code_sha256(b"\0asmone"));
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;

    let got = worker.read("orders").await;
    assert_eq!(got.json["Configuration"]["State"], "Active");
    assert_eq!(got.json["Configuration"]["LastUpdateStatus"], "Successful");
    assert_eq!(got.json["Configuration"]["RevisionId"], revision);
    assert_eq!(got.json["Configuration"].get("StateReason"), None);
    assert_eq!(got.json["Tags"], json!({"team": "a"}));
    assert_eq!(got.json["Code"]["RepositoryType"], "S3");
    assert_eq!(worker.read("orders/configuration").await.json, got.json["Configuration"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_said_has_lambdas_defaults_and_what_is_not_set_is_not_shown() {
    let worker = Worker::with_orders().await;
    let shown = worker.configured("orders").await;
    assert_eq!((&shown["Timeout"], &shown["MemorySize"]), (&json!(3), &json!(128)));
    assert_eq!(shown["EphemeralStorage"], json!({"Size": 512}));
    assert_eq!(shown["Architectures"], json!(["x86_64"]));
    assert_eq!(shown["TracingConfig"], json!({"Mode": "PassThrough"}));
    assert_eq!(shown["LoggingConfig"], json!({"LogFormat": "Text", "LogGroup": "/aws/lambda/orders"}));
    assert_eq!(shown["Description"], "");
    for absent in ["Runtime", "Handler", "Environment", "KMSKeyArn", "VpcConfig", "Layers", "DeadLetterConfig"] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
    let got = worker.read("orders").await.json;
    assert!(got.get("Tags").is_none() && got.get("Concurrency").is_none());
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_create_has_awss_status_shape_and_text() {
    let worker = Worker::with_orders().await;
    let long = "x".repeat(65);
    let variables = |bytes: usize| json!({"Environment": {"Variables": {"KEY": "v".repeat(bytes - 3)}}});
    let tags: serde_json::Map<String, Value> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    for (change, status, error, text) in [
        (json!({}), 409, CONFLICT, "Function already exist: orders"),
        (json!({"FunctionName": null}), 400, VALIDATION, "Value null at 'functionName' failed to satisfy constraint"),
        (json!({"FunctionName": "a b"}), 400, VALIDATION, "at 'functionName' failed to satisfy constraint"),
        (json!({"FunctionName": long}), 400, VALIDATION, "Member must have length less than or equal to 64"),
        (json!({"FunctionName": "f:1"}), 400, VALIDATION, "pattern: [a-zA-Z0-9-_]+"),
        (json!({"FunctionName": "a.b"}), 400, VALIDATION, "pattern: [a-zA-Z0-9-_]+"),
        (
            json!({"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}),
            404,
            NOT_FOUND,
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (json!({"Role": null}), 400, VALIDATION, "Value null at 'role'"),
        (json!({"Role": "me"}), 400, VALIDATION, "Value 'me' at 'role' failed to satisfy constraint: Member must"),
        (json!({"Code": null}), 400, VALIDATION, "Value null at 'code'"),
        (json!({"Code": {}}), 400, INVALID, "Please provide a source for function code."),
        (json!({"Code": {"ZipFile": "IyEvYmluL3No"}}), 400, INVALID, "Could not unzip uploaded file. Please check"),
        (json!({"Code": {"S3Bucket": "b", "S3Key": "k"}}), 400, INVALID, "there is no S3"),
        (json!({"Code": {"ImageUri": "i"}}), 400, INVALID, "container images do not run"),
        (json!({"PackageType": "Image"}), 400, INVALID, "container images do not run"),
        (json!({"PackageType": "Tar"}), 400, VALIDATION, "Member must satisfy enum value set: [Zip, Image]"),
        (json!({"Runtime": "java21"}), 400, VALIDATION, "Value 'java21' at 'runtime' failed to satisfy constraint"),
        (json!({"Handler": "a b"}), 400, VALIDATION, "Value 'a b' at 'handler'"),
        (json!({"Handler": "x".repeat(129)}), 400, VALIDATION, "less than or equal to 128"),
        (json!({"Timeout": 0}), 400, VALIDATION, "Member must have value greater than or equal to 1"),
        (json!({"Timeout": 5401}), 400, VALIDATION, "Member must have value less than or equal to 5400"),
        (json!({"MemorySize": 127}), 400, VALIDATION, "greater than or equal to 128"),
        (json!({"MemorySize": 32_769}), 400, VALIDATION, "less than or equal to 32768"),
        (json!({"EphemeralStorage": {"Size": 511}}), 400, VALIDATION, "Value '511' at 'ephemeralStorage.size'"),
        (json!({"Architectures": []}), 400, VALIDATION, "Value '[]' at 'architectures'"),
        (json!({"Architectures": ["riscv"]}), 400, VALIDATION, "enum value set: [x86_64, arm64]"),
        (json!({"TracingConfig": {"Mode": "Off"}}), 400, VALIDATION, "Value 'Off' at 'tracingConfig.mode'"),
        (json!({"LoggingConfig": {"LogFormat": "XML"}}), 400, VALIDATION, "Value 'XML' at 'loggingConfig.logFormat'"),
        (json!({"KMSKeyArn": "key"}), 400, VALIDATION, "Value 'key' at 'kMSKeyArn'"),
        (variables(4097), 400, INVALID, "you have provided exceeded the 4KB limit."),
        (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), 400, INVALID, "used in this request: AWS_REGION"),
        (json!({"Environment": {"Variables": {"1A": "x"}}}), 400, VALIDATION, "Value '1A' at 'environment.variables'"),
        (json!({"Environment": {"Variables": {"A": 1}}}), 400, "SerializationException", "environment.variables.A"),
        (json!({"Layers": ["arn"]}), 400, INVALID, "Layers is not available here"),
        (json!({"VpcConfig": {"SubnetIds": ["s"]}}), 400, INVALID, "VpcConfig is not available here"),
        (json!({"DeadLetterConfig": {"TargetArn": "a"}}), 400, INVALID, "DeadLetterConfig is not available here"),
        (json!({"SnapStart": {"ApplyOn": "PublishedVersions"}}), 400, INVALID, "SnapStart is not available here"),
        (json!({"PublishTo": "LATEST_PUBLISHED"}), 400, INVALID, "PublishTo is not available here"),
        (json!({"FunctionName": "other", "Tags": tags}), 400, INVALID, "Number of tags exceeds resource tag limit."),
        (json!({"Timeout": "3"}), 400, "SerializationException", "STRING_VALUE at 'timeout'"),
    ] {
        assert_refused(&worker.make(change.clone()).await, status, error, text);
    }
    assert_eq!(worker.make(merged(json!({"FunctionName": "full"}), &variables(4096))).await.status, 201);
    assert_eq!(worker.read("").await.status, 200);
    assert!(worker.functions.calls().iter().all(|call| call.starts_with("load full")), "nothing else was loaded");
}

fn merged(mut one: Value, other: &Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

#[tokio::test(start_paused = true)]
async fn a_function_is_named_in_every_way_and_with_one_qualifier() {
    let worker = Worker::with_orders().await;
    let version = worker.publish("two").await;
    assert_eq!(version, "1");
    let encoded = ARN.replace(':', "%3A");
    for (path, arn, version) in [
        ("orders".to_owned(), ARN.to_owned(), "$LATEST"),
        (encoded.clone(), ARN.to_owned(), "$LATEST"),
        ("000000000000:function:orders".to_owned(), ARN.to_owned(), "$LATEST"),
        ("orders?Qualifier=%24LATEST".to_owned(), format!("{ARN}:$LATEST"), "$LATEST"),
        ("orders?Qualifier=1".to_owned(), format!("{ARN}:1"), "1"),
        ("orders:1".to_owned(), format!("{ARN}:1"), "1"),
        (format!("{encoded}%3A1"), format!("{ARN}:1"), "1"),
        (format!("{encoded}%3A1?Qualifier=1"), format!("{ARN}:1"), "1"),
    ] {
        let reply = worker.read(&path).await;
        assert_eq!(reply.status, 200, "{path} {reply:?}");
        let shown = &reply.json["Configuration"];
        assert_eq!((&shown["FunctionArn"], &shown["Version"]), (&json!(arn), &json!(version)), "{path}");
    }
    for (path, status, error, text) in [
        ("nope", 404, NOT_FOUND, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope"),
        ("orders?Qualifier=2", 404, NOT_FOUND, &*format!("Function not found: {ARN}:2")),
        ("orders:01", 404, NOT_FOUND, "Function not found"),
        ("orders:live", 404, NOT_FOUND, &*format!("Function not found: {ARN}:live")),
        ("orders:1?Qualifier=2", 400, INVALID, "The derived qualifier from the function name does not match the"),
        ("orders?Qualifier=a.b", 400, VALIDATION, "Value 'a.b' at 'qualifier'"),
        ("a%20b", 400, VALIDATION, "at 'functionName'"),
        (
            "arn:aws:lambda:eu-west-1:000000000000:function:orders",
            404,
            NOT_FOUND,
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (
            "arn:aws:lambda:us-east-1:111111111111:function:orders",
            404,
            NOT_FOUND,
            "Function not found: arn:aws:lambda:us-east-1:111111111111:function:orders",
        ),
    ] {
        assert_refused(&worker.read(path).await, status, error, text);
    }
    for (method, path) in [
        (Method::PUT, "orders:1/code"),
        (Method::PUT, "orders:1/configuration"),
        (Method::POST, "orders:1/versions"),
        (Method::GET, "orders:1/versions"),
        (Method::GET, "orders:1/aliases"),
    ] {
        let text = "This operation is permitted on Lambda functions only.";
        assert_refused(&worker.of(method, path, json!({})).await, 400, INVALID, text);
    }
}

#[tokio::test(start_paused = true)]
async fn functions_and_versions_are_listed_in_pages() {
    let worker = Worker::empty().await;
    for name in ["b", "a", "orders"] {
        assert_eq!(worker.make(json!({"FunctionName": name, "Publish": name == "orders"})).await.status, 201);
        worker.settled(name).await;
    }
    let names = |reply: &Reply, list: &str, member: &str| -> Vec<String> {
        let items = reply.json[list].as_array().unwrap();
        items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
    };
    let all = worker.call(Method::GET, FUNCTIONS, "").await;
    assert_eq!(names(&all, "Functions", "FunctionName"), ["a", "b", "orders"]);
    assert_eq!(all.json.get("NextMarker"), None);
    let first = worker.call(Method::GET, &format!("{FUNCTIONS}/?MaxItems=2"), "").await;
    assert_eq!(names(&first, "Functions", "FunctionName"), ["a", "b"]);
    let marker = first.json["NextMarker"].as_str().unwrap().replace('$', "%24");
    let rest = worker.call(Method::GET, &format!("{FUNCTIONS}?MaxItems=2&Marker={marker}"), "").await;
    assert_eq!(names(&rest, "Functions", "FunctionName"), ["orders"]);
    let every = worker.call(Method::GET, &format!("{FUNCTIONS}?FunctionVersion=ALL"), "").await;
    assert_eq!(names(&every, "Functions", "Version"), ["$LATEST", "$LATEST", "$LATEST", "1"]);
    assert_eq!(every.json["Functions"][3]["FunctionArn"], format!("{ARN}:1"));
    for query in ["FunctionVersion=SOME", "MaxItems=0", "MaxItems=x"] {
        assert_eq!(worker.call(Method::GET, &format!("{FUNCTIONS}?{query}"), "").await.status, 400, "{query}");
    }

    for text in ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"] {
        worker.publish(text).await;
    }
    let versions = worker.read("orders/versions?MaxItems=2").await;
    assert_eq!(names(&versions, "Versions", "Version"), ["$LATEST", "9"]);
    let marker = versions.json["NextMarker"].as_str().unwrap();
    let versions = worker.read(&format!("orders/versions?Marker={marker}")).await;
    assert_eq!(names(&versions, "Versions", "Version"), ["10", "11"], "the last three are kept");
    assert_refused(&worker.read("nope/versions").await, 404, NOT_FOUND, "Function not found");
}

#[tokio::test(start_paused = true)]
async fn an_update_of_settings_merges_and_passes_through_in_progress() {
    let worker = Worker::with_orders().await;
    let before = worker.configured("orders").await;
    worker.functions.door.send_replace(false);
    let reply = worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 7, "Runtime": "wasm"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((&reply.json["Timeout"], &reply.json["MemorySize"]), (&json!(7), &json!(128)));
    assert_eq!(reply.json["State"], "Active");
    assert_eq!(reply.json["LastUpdateStatus"], "InProgress");
    assert_eq!(reply.json["LastUpdateStatusReason"], "The function is being created.");
    assert_eq!(reply.json["LastUpdateStatusReasonCode"], "Creating");
    assert_ne!(reply.json["RevisionId"], before["RevisionId"]);
    assert_eq!(worker.configured("orders").await, reply.json);
    let old = worker.functions.latest("orders");
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;
    assert_ne!(worker.functions.latest("orders"), old, "other settings are another build");
    let after = worker.configured("orders").await;
    assert_eq!((&after["LastUpdateStatus"], &after["Timeout"]), (&json!("Successful"), &json!(7)));
    assert_eq!(after.get("LastUpdateStatusReason"), None);
    assert_eq!(worker.functions.calls(), ["load orders $LATEST", "unload orders"]);

    // What changes nothing about how it runs needs no build.
    let body = json!({"Description": "new", "Role": format!("{ROLE}2"), "KMSKeyArn": "arn:k"});
    let reply = worker.of(Method::PUT, "orders/configuration", body).await;
    assert_eq!(reply.json["LastUpdateStatus"], "InProgress");
    worker.settled("orders").await;
    assert_eq!(worker.configured("orders").await["Description"], "new");
    assert!(worker.functions.calls().is_empty());
    worker
        .of(Method::PUT, "orders/configuration", json!({"KMSKeyArn": "", "Environment": {"Variables": {"A1": "b"}}}))
        .await;
    worker.settled("orders").await;
    let shown = worker.configured("orders").await;
    assert_eq!((shown.get("KMSKeyArn"), &shown["Environment"]), (None, &json!({"Variables": {"A1": "b"}})));
    worker.of(Method::PUT, "orders/configuration", json!({"Environment": {}})).await;
    worker.settled("orders").await;
    assert_eq!(worker.configured("orders").await.get("Environment"), None);
}

#[tokio::test(start_paused = true)]
async fn updates_are_refused_in_awss_words() {
    let worker = Worker::with_orders().await;
    let revision = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API";
    let precondition = "PreconditionFailedException";
    for (path, body, status, error, text) in [
        ("nope/code", json!({"ZipFile": code("x")}), 404, NOT_FOUND, "Function not found"),
        ("nope/configuration", json!({}), 404, NOT_FOUND, "Function not found"),
        ("orders/code", json!({}), 400, INVALID, "Please provide a source for function code."),
        ("orders/code", json!({"ZipFile": "eA=="}), 400, INVALID, "Could not unzip uploaded file."),
        ("orders/code", json!({"S3Bucket": "b"}), 400, INVALID, "S3Bucket is not available here"),
        ("orders/code", json!({"ZipFile": code("x"), "RevisionId": "r"}), 412, precondition, revision),
        ("orders/configuration", json!({"RevisionId": "r"}), 412, precondition, revision),
        ("orders/configuration", json!({"Timeout": 0}), 400, VALIDATION, "'timeout'"),
        ("orders/configuration", json!({"Layers": ["a"]}), 400, INVALID, "Layers is not available here"),
    ] {
        let reply = worker.of(Method::PUT, path, body.clone()).await;
        assert_refused(&reply, status, error, text);
    }
    let revision = worker.configured("orders").await["RevisionId"].clone();
    let reply = worker.upload("two", json!({"RevisionId": revision})).await;
    assert_eq!(reply.status, 200);
    worker.settled("orders").await;
    assert_eq!(worker.upload("three", json!({"RevisionId": revision})).await.status, 412);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let worker = Worker::with_orders().await;
    let before = worker.configured("orders").await;
    let reply = worker.upload("two", json!({"DryRun": true, "Publish": true})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json["CodeSha256"], crate::functions::code_sha256(b"\0asmtwo"));
    assert_eq!(worker.configured("orders").await, before);
    assert!(worker.functions.calls().is_empty());
    assert_refused(
        &worker.upload("two", json!({"DryRun": true, "RevisionId": "r"})).await,
        412,
        "PreconditionFailedException",
        "",
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_is_published_once_for_the_same_code_and_settings() {
    let worker = Worker::empty().await;
    let reply = worker.make(json!({"Publish": true})).await;
    assert_eq!((&reply.json["Version"], &reply.json["FunctionArn"]), (&json!("1"), &json!(ARN)), "unqualified here");
    worker.settled("orders").await;
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST", "1 -> 1"]);
    let publish = async |body: Value| worker.of(Method::POST, "orders/versions", body).await;
    let same = publish(json!({"Description": "again"})).await;
    assert_eq!((same.status, &same.json["Version"]), (201, &json!("1")));
    worker.of(Method::PUT, "orders/configuration", json!({"Timeout": 4})).await;
    worker.settled("orders").await;
    let next = publish(json!({"Description": "second"})).await;
    assert_eq!((&next.json["Version"], &next.json["State"]), (&json!("2"), &json!("Pending")));
    assert_eq!(next.json["FunctionArn"], format!("{ARN}:2"));
    assert_eq!(publish(json!({"Description": "third"})).await.json["Version"], "2");
    worker.settled("orders").await;
    let second = worker.read("orders/configuration?Qualifier=2").await.json;
    assert_eq!(
        (&second["State"], &second["Timeout"], &second["Description"]),
        (&json!("Active"), &json!(4), &json!("second"))
    );
    assert_eq!(worker.read("orders/configuration?Qualifier=1").await.json["Timeout"], 3);

    let sha = worker.configured("orders").await["CodeSha256"].clone();
    assert_eq!(publish(json!({"CodeSha256": sha})).await.status, 201);
    let text = format!(
        "CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({}). Please try again",
        sha.as_str().unwrap()
    );
    assert_refused(&publish(json!({"CodeSha256": "x"})).await, 400, INVALID, &text);
    assert_refused(&publish(json!({"RevisionId": "x"})).await, 412, "PreconditionFailedException", "Revision Id");
    assert_refused(&worker.of(Method::POST, "nope/versions", json!({})).await, 404, NOT_FOUND, "Function not found");
    let reply = worker.upload("two", json!({"Publish": true})).await;
    assert_eq!((&reply.json["Version"], &reply.json["FunctionArn"]), (&json!("3"), &json!(format!("{ARN}:3"))));
}

#[tokio::test(start_paused = true)]
async fn the_last_versions_are_kept_and_those_that_aliases_name() {
    let worker = Worker::with_orders().await;
    assert_eq!(worker.publish("v1").await, "1");
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    assert_eq!(worker.of(Method::POST, "orders/aliases", alias).await.status, 201);
    for text in ["v2", "v3", "v4", "v5"] {
        worker.publish(text).await;
    }
    let routes = ["$LATEST -> $LATEST", "1 -> 1", "3 -> 3", "4 -> 4", "5 -> 5", "live -> 1"];
    assert_eq!(worker.functions.routes("orders"), routes);
    assert_eq!(worker.functions.builds("orders"), 5);
    assert_refused(&worker.read("orders:2").await, 404, NOT_FOUND, "");
    assert_eq!(worker.of(Method::DELETE, "orders/aliases/live", Value::Null).await.status, 204);
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST", "3 -> 3", "4 -> 4", "5 -> 5"]);
    assert_eq!(worker.functions.builds("orders"), 4);
}

#[tokio::test(start_paused = true)]
async fn functions_and_versions_are_deleted() {
    let worker = Worker::with_orders().await;
    worker.publish("v1").await;
    let delete = async |path: &str| worker.of(Method::DELETE, path, Value::Null).await;
    let text = "$LATEST version cannot be deleted without deleting the function.";
    assert_refused(&delete("orders?Qualifier=%24LATEST").await, 400, INVALID, text);
    worker.of(Method::POST, "orders/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await;
    assert_refused(&delete("orders:live").await, 400, INVALID, "use DeleteAlias");
    assert_refused(&delete("orders:1").await, 409, CONFLICT, "the following aliases reference it: [live]");
    assert_eq!(delete("orders/aliases/live").await.status, 204);
    assert_eq!(delete("orders:1").await.status, 204);
    assert_eq!(delete("orders:1").await.status, 204, "a version that is not there is as good as deleted");
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST"]);
    let reply = delete("orders").await;
    assert_eq!((reply.status, reply.json), (204, Value::Null));
    assert_refused(&delete("orders").await, 404, NOT_FOUND, ARN);
    assert_eq!(worker.functions.builds("orders"), 0);
    assert_eq!(worker.make(json!({})).await.status, 201, "the name is free again");
    worker.settled("orders").await;
    assert_eq!(worker.publish("again").await, "1", "it is another function");
}

#[tokio::test(start_paused = true)]
async fn settings_that_come_with_code_are_checked_and_come_into_force_together_with_it() {
    let worker = Worker::with_orders().await;
    let reply = worker.upload("two", json!({"Handler": "a b"})).await;
    assert_refused(&reply, 400, VALIDATION, "'handler'");
    let reply =
        worker.upload("two", json!({"Handler": "other.wasm", "Runtime": "provided.al2023", "Timeout": 9})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    worker.settled("orders").await;
    let shown = worker.configured("orders").await;
    let settings = (&shown["Handler"], &shown["Runtime"], &shown["Timeout"]);
    assert_eq!(settings, (&json!("other.wasm"), &json!("provided.al2023"), &json!(9)));
    assert_eq!(shown["CodeSha256"], crate::functions::code_sha256(b"\0asmtwo"));
}
