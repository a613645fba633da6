//! Tags, permits and policies.

use super::*;

#[tokio::test(start_paused = true)]
async fn functions_have_tags() {
    let worker = Worker::with_orders().await;
    let path = format!("/2017-03-31/tags/{}", ARN.replace(':', "%3A"));
    let tags = async || worker.call(Method::GET, &path, "").await.json["Tags"].clone();
    assert_eq!(tags().await, json!({}));
    let add = |tags: Value| json!({"Tags": tags}).to_string();
    assert_eq!(worker.call(Method::POST, &path, &add(json!({"a": "1", "b": "2"}))).await.status, 204);
    assert_eq!(worker.call(Method::DELETE, &format!("{path}?tagKeys=a&tagKeys=c"), "").await.status, 204);
    assert_eq!(tags().await, json!({"b": "2"}));
    assert_eq!(worker.read("orders").await.json["Tags"], json!({"b": "2"}));
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (n.to_string(), json!(""))).collect();
    let refused = worker.call(Method::POST, &path, &add(many.into())).await;
    assert_refused(&refused, 400, INVALID, "Number of tags exceeds resource tag limit.");
    assert_eq!(tags().await, json!({"b": "2"}));
    let text = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
    assert_refused(&worker.call(Method::GET, &format!("{path}%3A1"), "").await, 400, INVALID, text);
    assert_refused(&worker.call(Method::GET, &format!("{path}x"), "").await, 404, NOT_FOUND, "Function not found");
}

#[tokio::test(start_paused = true)]
async fn permits_are_reserved_and_given_back() {
    let worker = Worker::with_orders().await;
    let put = "/2017-10-31/functions/orders/concurrency";
    let get = "/2019-09-30/functions/orders/concurrency";
    assert_eq!(worker.call(Method::GET, get, "").await.json, json!({}));
    let body = json!({"ReservedConcurrentExecutions": 5});
    let reply = worker.call(Method::PUT, put, &body.to_string()).await;
    assert_eq!((reply.status, reply.json), (200, body.clone()));
    assert_eq!(worker.call(Method::GET, get, "").await.json, body);
    assert_eq!(worker.read("orders").await.json["Concurrency"], body);
    assert_eq!(worker.functions.calls(), ["reserve orders 5"]);
    assert_eq!(worker.call(Method::DELETE, put, "").await.status, 204);
    assert_eq!(worker.functions.calls(), ["reserve orders default"]);
    assert_eq!(worker.call(Method::GET, get, "").await.json, json!({}));
    assert_refused(&worker.call(Method::PUT, put, "{}").await, 400, VALIDATION, "'reservedConcurrentExecutions'");
    let negative = worker.call(Method::PUT, put, r#"{"ReservedConcurrentExecutions":-1}"#).await;
    assert_refused(&negative, 400, VALIDATION, "greater than or equal to 0");
    let path = "/2017-10-31/functions/nope/concurrency";
    assert_refused(&worker.call(Method::PUT, path, &body.to_string()).await, 404, NOT_FOUND, "Function not found");
}

#[tokio::test(start_paused = true)]
async fn policies_are_kept_and_shown() {
    let worker = Worker::with_orders().await;
    worker.publish("v1").await;
    let nothing = "The resource you requested does not exist.";
    assert_refused(&worker.read("orders/policy").await, 404, NOT_FOUND, nothing);
    let permission = json!({
        "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::b", "SourceAccount": "000000000000",
    });
    let reply = worker.of(Method::POST, "orders/policy", permission.clone()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let statement: Value = serde_json::from_str(reply.json["Statement"].as_str().unwrap()).unwrap();
    let expected = json!({
        "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction", "Resource": ARN,
        "Condition": {
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}, "StringEquals": {"AWS:SourceAccount": "000000000000"}
        },
    });
    assert_eq!(statement, expected);
    assert_refused(
        &worker.of(Method::POST, "orders/policy", permission).await,
        409,
        CONFLICT,
        "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing",
    );
    for (id, principal, shown) in [
        ("all", "*", json!("*")),
        ("account", "123456789012", json!({"AWS": "arn:aws:iam::123456789012:root"})),
        ("role", "arn:aws:iam::123456789012:role/r", json!({"AWS": "arn:aws:iam::123456789012:role/r"})),
    ] {
        let body = json!({"StatementId": id, "Action": "lambda:*", "Principal": principal});
        let reply = worker.of(Method::POST, "orders/policy?Qualifier=1", body).await;
        let statement: Value = serde_json::from_str(reply.json["Statement"].as_str().unwrap()).unwrap();
        assert_eq!((&statement["Principal"], &statement["Resource"]), (&shown, &json!(format!("{ARN}:1"))));
    }
    let policy = worker.read("orders/policy").await.json;
    let document: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(document, json!({"Version": "2012-10-17", "Id": "default", "Statement": [expected]}));
    let qualified = worker.read("orders/policy?Qualifier=1").await.json;
    let document: Value = serde_json::from_str(qualified["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(document["Statement"].as_array().unwrap().len(), 3);

    let remove = async |path: &str| worker.of(Method::DELETE, path, Value::Null).await;
    let refused = remove("orders/policy/nope").await;
    assert_refused(&refused, 404, NOT_FOUND, "Statement nope is not found in resource policy.");
    assert_refused(&remove("orders/policy/s3?RevisionId=x").await, 412, "PreconditionFailedException", "Revision Id");
    let revision = policy["RevisionId"].as_str().unwrap();
    assert_eq!(remove(&format!("orders/policy/s3?RevisionId={revision}")).await.status, 204);
    assert_refused(&worker.read("orders/policy").await, 404, NOT_FOUND, nothing);
    assert_refused(&remove("orders/policy/s3").await, 404, NOT_FOUND, nothing);
    assert_eq!(worker.read("orders/policy?Qualifier=1").await.status, 200);

    let post = async |body: Value| worker.of(Method::POST, "orders/policy", body).await;
    assert_refused(&post(json!({"StatementId": "s"})).await, 400, VALIDATION, "2 validation errors detected");
    let body = json!({"StatementId": "a b", "Action": "a", "Principal": "*"});
    assert_refused(&post(body).await, 400, VALIDATION, "Value 'a b' at 'statementId'");
    let body = json!({"StatementId": "s", "Action": "a", "Principal": "*", "RevisionId": "x"});
    assert_refused(&post(body).await, 412, "PreconditionFailedException", "Revision Id");
    assert_refused(&worker.read("orders/policy").await, 404, NOT_FOUND, nothing);
    let body = json!({"StatementId": "s", "Action": "x".repeat(20_480), "Principal": "*"});
    assert_refused(&post(body).await, 400, INVALID, "The final policy size is bigger than the limit (20480).");
    assert_refused(&worker.read("orders/policy?Qualifier=9").await, 404, NOT_FOUND, "Function not found");
}
