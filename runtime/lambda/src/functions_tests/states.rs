//! Code that cannot run, updates at once, and code that nobody needs any more.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_function_that_cannot_run_says_why_and_can_be_mended() {
    for (text, reason) in [("broken", "it exports no handler"), ("panics", "internal error: making it ready panicked")]
    {
        let worker = Worker::empty().await;
        assert_eq!(worker.make(json!({"Code": {"ZipFile": code(text)}, "Publish": true})).await.status, 201);
        worker.settled("orders").await;
        for qualifier in ["$LATEST", "1"] {
            let shown = worker.read(&format!("orders/configuration?Qualifier={qualifier}")).await.json;
            assert_eq!(
                (&shown["State"], &shown["StateReasonCode"]),
                (&json!("Failed"), &json!("InvalidConfiguration"))
            );
            assert_eq!(shown["StateReason"], reason);
            assert_eq!(shown.get("LastUpdateStatus"), None);
        }
        assert_eq!(worker.functions.calls(), ["load orders $LATEST"], "the version has the same code");
        assert!(worker.functions.routes("orders").is_empty());
        let invoked = worker.of(Method::POST, "orders/invocations", json!({})).await;
        assert_refused(&invoked, 409, CONFLICT, "The function is currently in the following state: Failed");
        let published = worker.of(Method::POST, "orders/versions", json!({})).await;
        assert_refused(&published, 409, CONFLICT, "in the following state: Failed");
        assert_eq!(worker.upload("good", json!({})).await.status, 200);
        worker.settled("orders").await;
        let shown = worker.configured("orders").await;
        assert_eq!((&shown["State"], &shown["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
        assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_update_changes_nothing_and_says_why() {
    let worker = Worker::with_orders().await;
    let before = worker.configured("orders").await;
    let build = worker.functions.latest("orders");
    assert_eq!(worker.upload("broken", json!({})).await.json["LastUpdateStatus"], "InProgress");
    worker.settled("orders").await;
    let mut after = worker.configured("orders").await;
    assert_eq!(after["LastUpdateStatus"], "Failed");
    assert_eq!(after["LastUpdateStatusReason"], "it exports no handler");
    assert_eq!(after["LastUpdateStatusReasonCode"], "InvalidConfiguration");
    for member in ["LastUpdateStatusReason", "LastUpdateStatusReasonCode"] {
        after.as_object_mut().unwrap().remove(member);
    }
    after["LastUpdateStatus"] = json!("Successful");
    assert_eq!(after, before, "all else is as it was");
    assert_eq!(worker.functions.latest("orders"), build);
    assert_eq!(worker.functions.builds("orders"), 1);
    worker.upload("good", json!({})).await;
    worker.settled("orders").await;
    assert_eq!(worker.configured("orders").await["LastUpdateStatus"], "Successful");
    assert_ne!(worker.functions.latest("orders"), build);
}

#[tokio::test(start_paused = true)]
async fn one_update_at_a_time() {
    let worker = Worker::empty().await;
    worker.functions.door.send_replace(false);
    worker.make(json!({})).await;
    let text = format!("The operation cannot be performed at this time. An update is in progress for resource: {ARN}");
    let refused = async || {
        let body = json!({"Timeout": 5});
        assert_refused(&worker.upload("two", json!({})).await, 409, CONFLICT, &text);
        assert_refused(&worker.of(Method::PUT, "orders/configuration", body).await, 409, CONFLICT, &text);
        assert_refused(&worker.of(Method::POST, "orders/versions", json!({})).await, 409, CONFLICT, &text);
    };
    refused().await;
    let pending = worker.of(Method::POST, "orders/invocations", json!({})).await;
    assert_refused(&pending, 409, CONFLICT, "The function is currently in the following state: Pending");
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;
    worker.functions.door.send_replace(false);
    worker.upload("two", json!({})).await;
    refused().await;
    assert_eq!(worker.of(Method::POST, "orders/invocations", json!({})).await.status, 200, "the old one runs on");
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;

    worker.functions.door.send_replace(false);
    let updates = ["a", "b", "c", "d"].map(|text| worker.upload(text, json!({})));
    let statuses: Vec<u16> = futures::future::join_all(updates).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3, "{statuses:?}");
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;
}

#[tokio::test(start_paused = true)]
async fn a_function_may_be_deleted_and_made_again_while_it_is_made_ready() {
    let worker = Worker::empty().await;
    worker.functions.door.send_replace(false);
    worker.make(json!({})).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(worker.of(Method::DELETE, "orders", Value::Null).await.status, 204);
    assert_eq!(worker.make(json!({"Code": {"ZipFile": code("two")}})).await.status, 201);
    worker.functions.door.send_replace(true);
    worker.settled("orders").await;
    assert_eq!(worker.configured("orders").await["CodeSha256"], crate::functions::code_sha256(b"\0asmtwo"));
    assert_eq!(worker.functions.routes("orders"), ["$LATEST -> $LATEST"]);
    assert_eq!(worker.functions.builds("orders"), 1, "what was overtaken is unloaded");
}

#[tokio::test]
async fn code_that_no_version_needs_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::bare(Some(folder.path())).await;
    worker.registry.start_all().await;
    worker.make(json!({})).await;
    worker.settled("orders").await;
    let files = || {
        let files = std::fs::read_dir(folder.path().join("code")).unwrap();
        // One may be removed after it was listed.
        let read = files.filter_map(|file| std::fs::read(file.unwrap().path()).ok());
        read.map(|bytes| String::from_utf8(bytes).unwrap()[4..].to_owned())
    };
    let sorted = || {
        let mut files: Vec<String> = files().collect();
        files.sort();
        files
    };
    let become_these = async |expected: &[&str]| {
        for _ in 0..5000 {
            if sorted() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{:?}, not {expected:?}", sorted());
    };
    become_these(&["one"]).await;
    worker.upload("two", json!({})).await;
    worker.settled("orders").await;
    become_these(&["two"]).await;
    worker.publish("v1").await;
    worker.upload("three", json!({})).await;
    worker.settled("orders").await;
    become_these(&["three", "v1"]).await;
    worker.upload("broken", json!({})).await;
    worker.settled("orders").await;
    become_these(&["three", "v1"]).await;
    assert_eq!(worker.make(json!({"FunctionName": "other", "Code": {"ZipFile": code("v1")}})).await.status, 201);
    worker.settled("other").await;
    worker.of(Method::DELETE, "orders", Value::Null).await;
    become_these(&["v1"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_code_can_be_had_where_get_function_says() {
    let worker = Worker::with_orders().await;
    let mut headers = hyper::HeaderMap::new();
    headers.insert("host", "localhost:4711".parse().unwrap());
    let got = worker.send(Method::GET, &format!("{FUNCTIONS}/orders"), &headers, "").await;
    let got: Value = serde_json::from_slice(got.body()).unwrap();
    let location = got["Code"]["Location"].as_str().unwrap().to_owned();
    let path = location.strip_prefix("http://localhost:4711").unwrap();
    assert!(worker.service.is_open(&Method::GET, path) && crate::claims(path));
    assert!(!worker.service.is_open(&Method::POST, path));
    assert!(!worker.service.is_open(&Method::GET, &format!("{FUNCTIONS}/orders")));
    let blob = worker.send(Method::GET, path, &headers, "").await;
    assert_eq!((blob.status().as_u16(), &blob.body()[..]), (200, &b"\0asmone"[..]));
    assert_eq!(blob.headers()["content-type"], "application/octet-stream");
    let nowhere = worker.call(Method::GET, &format!("{path}0"), "").await;
    assert_refused(&nowhere, 404, NOT_FOUND, "The resource you requested does not exist.");
    headers.insert("host", "evil/path".parse().unwrap());
    let got = worker.send(Method::GET, &format!("{FUNCTIONS}/orders"), &headers, "").await;
    let got: Value = serde_json::from_slice(got.body()).unwrap();
    assert!(got["Code"]["Location"].as_str().unwrap().starts_with("http://127.0.0.1:9324/2015-03-31/code/"));
}

#[tokio::test(start_paused = true)]
async fn only_code_comes_in_long_requests() {
    let worker = Worker::empty().await;
    for (method, path, max_bytes, error, text) in [
        (
            Method::POST,
            FUNCTIONS.to_owned(),
            70_167_211,
            "RequestEntityTooLargeException",
            "Request must be smaller than 70167211 bytes for the CreateFunction operation",
        ),
        (
            Method::PUT,
            format!("{FUNCTIONS}/orders/code"),
            70_167_211,
            "RequestEntityTooLargeException",
            "Request must be smaller than 70167211 bytes for the UpdateFunctionCode operation",
        ),
        (
            Method::PUT,
            format!("{FUNCTIONS}/orders/configuration"),
            1 << 20,
            "RequestEntityTooLargeException",
            "Request must be smaller than 1048576 bytes for the UpdateFunctionConfiguration operation",
        ),
        (
            Method::POST,
            format!("{FUNCTIONS}/orders/invocations"),
            6_291_456 + (1 << 16),
            "RequestTooLargeException",
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
    ] {
        assert_eq!(worker.service.body_max_bytes(&method, &path), max_bytes, "{path}");
        let refused = worker.service.refuse_body(&method, &path);
        assert_eq!((refused.status().as_u16(), &refused.headers()["x-amzn-errortype"]), (413, &error.parse().unwrap()));
        assert!(String::from_utf8_lossy(refused.body()).contains(text));
    }
    assert_eq!(worker.service.body_max_bytes(&Method::GET, "/2099-01-01/x"), 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_limits_and_says_what_it_uses() {
    let worker = Worker::with_orders().await;
    let reply = worker.call(Method::GET, "/2016-08-19/account-settings", "").await;
    assert_eq!(reply.json["AccountUsage"], json!({"TotalCodeSize": 7, "FunctionCount": 1}));
    assert_eq!(reply.json["AccountLimit"]["CodeSizeZipped"], 52_428_800);
    assert_eq!(reply.json["AccountLimit"]["ConcurrentExecutions"], 1000);
}

#[tokio::test(start_paused = true)]
async fn terraform_gets_what_it_asks_of_every_function() {
    let worker = Worker::with_orders().await;
    let get = async |path: &str| worker.call(Method::GET, path, "").await;
    let reply = get("/2020-06-30/functions/orders/code-signing-config").await;
    assert_eq!((reply.status, reply.json), (200, json!({"FunctionName": "orders"})));
    let reply = get("/2021-07-20/functions/orders/runtime-management-config").await;
    assert_eq!(reply.json, json!({"UpdateRuntimeOn": "Auto", "FunctionArn": ARN}));
    let reply = get("/2024-08-31/functions/orders/recursion-config").await;
    assert_eq!(reply.json, json!({"RecursiveLoop": "Terminate"}));
    let reply = get("/2019-09-25/functions/orders/event-invoke-config").await;
    assert_refused(&reply, 404, NOT_FOUND, "The resource you requested does not exist.");
    for path in ["2020-06-30/functions/nope/code-signing-config", "2024-08-31/functions/nope/recursion-config"] {
        assert_refused(&get(&format!("/{path}")).await, 404, NOT_FOUND, "Function not found");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_the_account() {
    let worker = Worker::empty().await;
    assert!(worker.service.answer_form("AssumeRole").is_none());
    let answer = worker.service.answer_form("GetCallerIdentity").unwrap();
    assert_eq!(answer.headers()["content-type"], "text/xml");
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(body.contains("<Account>000000000000</Account>") && !body.contains("> <"), "{body}");
}
