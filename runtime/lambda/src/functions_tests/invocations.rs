//! Invoke, in its three types.

use std::time::Duration;

use hyper::{HeaderMap, Response};

use super::*;
use crate::scripted::until;
use crate::scripted_functions::Say;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

impl Worker {
    async fn invoke(&self, path: &str, pairs: &[(&'static str, &str)], event: &str) -> Response<bytes::Bytes> {
        let path = format!("{FUNCTIONS}/{path}");
        self.send(Method::POST, &path, &headers(pairs), event.as_bytes().to_vec()).await
    }

    fn say(&self, says: &[Say]) {
        self.functions.says.lock().unwrap().extend(says.iter().cloned());
    }
}

fn shown(response: &Response<bytes::Bytes>) -> (u16, String) {
    (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_answers_what_the_function_answers_and_which_version_it_was() {
    let worker = Worker::with_orders().await;
    worker.publish("v1").await;
    worker.of(Method::POST, "orders/aliases", json!({"Name": "live", "FunctionVersion": "1"})).await;
    worker.functions.calls();
    let event = "{ \"spaces\" : 1.0 }";
    for (path, version, call) in [
        ("orders/invocations", "$LATEST", "invoke orders $LATEST"),
        ("orders/invocations?Qualifier=1", "1", "invoke orders 1"),
        ("orders:live/invocations", "1", "invoke orders live"),
        (
            "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aorders/invocations",
            "$LATEST",
            "invoke orders $LATEST",
        ),
    ] {
        let response = worker.invoke(path, &[], event).await;
        assert_eq!(shown(&response), (200, event.to_owned()), "{path}");
        assert_eq!(response.headers()["x-amz-executed-version"], version);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(!response.headers().contains_key("x-amz-function-error"));
        assert!(!response.headers().contains_key("x-amz-log-result"));
        assert_eq!(worker.functions.calls(), [call]);
    }
    assert_eq!(shown(&worker.invoke("orders/invocations", &[], "").await).1, "{}");

    let response = worker.invoke("orders/invocations", &[("x-amz-log-type", "Tail")], "1").await;
    let log = STANDARD.decode(response.headers()["x-amz-log-result"].as_bytes()).unwrap();
    let request_id = response.headers()["x-amzn-requestid"].to_str().unwrap();
    assert_eq!(String::from_utf8(log).unwrap(), format!("START RequestId: {request_id} Version: $LATEST\n"));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_is_an_answer_and_one_that_is_not_invoked_an_error() {
    let worker = Worker::with_orders().await;
    worker.say(&[Say::Fail]);
    let response = worker.invoke("orders/invocations", &[], "{}").await;
    let body = r#"{"errorMessage":"no such order","errorType":"ValueError","stackTrace":["line 1"]}"#;
    assert_eq!(shown(&response), (200, body.to_owned()));
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");

    worker.say(&[Say::Throttle]);
    let response = worker.invoke("orders/invocations", &[], "{}").await;
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(body, json!({"Type": "User", "message": "Rate Exceeded.", "Reason": reason}));
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (429, &"TooManyRequestsException".parse().unwrap())
    );

    worker.say(&[Say::NotReady]);
    let response = worker.of(Method::POST, "orders/invocations", json!({})).await;
    assert_refused(&response, 502, "ResourceNotReadyException", "its build is on its way");
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_call_has_awss_status_and_text() {
    let worker = Worker::with_orders().await;
    let large = format!("\"{}\"", "x".repeat(6_291_455));
    let event = format!("\"{}\"", "x".repeat(1_048_575));
    let kind = |kind| ("x-amz-invocation-type", kind);
    for (path, headers, body, status, error, text) in [
        (
            "nope",
            vec![],
            "{}",
            404,
            NOT_FOUND,
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope",
        ),
        ("orders:live", vec![], "{}", 404, NOT_FOUND, &*format!("Function not found: {ARN}:live")),
        ("nope", vec![kind("DryRun")], "{}", 404, NOT_FOUND, "Function not found"),
        ("nope", vec![kind("Event")], "{}", 404, NOT_FOUND, "Function not found"),
        ("orders", vec![], "text", 400, "InvalidRequestContentException", "Could not parse request body into json: "),
        ("orders", vec![kind("Event")], "{", 400, "InvalidRequestContentException", "Could not parse request body"),
        (
            "orders",
            vec![],
            &large,
            413,
            "RequestTooLargeException",
            "Request must be smaller than 6291456 bytes for the",
        ),
        ("orders", vec![kind("Event")], &event, 413, "RequestTooLargeException", "1048577 byte payload is too large"),
        ("orders", vec![kind("Sometimes")], "{}", 400, VALIDATION, "Value 'Sometimes' at 'invocationType'"),
        ("orders", vec![("x-amz-client-context", "e30=")], "{}", 400, INVALID, "x-amz-client-context is not available"),
    ] {
        let response = worker.invoke(&format!("{path}/invocations"), &headers, body).await;
        let name = response.headers()["x-amzn-errortype"].to_str().unwrap();
        let answer = shown(&response).1;
        assert_eq!((response.status().as_u16(), name), (status, error), "{answer}");
        assert!(answer.contains(text), "{answer} does not say {text:?}");
    }
    assert!(worker.functions.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_invokes_nothing() {
    let worker = Worker::with_orders().await;
    let response = worker.invoke("orders/invocations", &[("x-amz-invocation-type", "DryRun")], "{}").await;
    assert_eq!(shown(&response), (204, String::new()));
    assert!(worker.functions.calls().is_empty());
}

const EVENT: &[(&str, &str)] = &[("x-amz-invocation-type", "Event")];

#[tokio::test(start_paused = true)]
async fn an_event_is_accepted_at_once_and_tried_three_times() {
    let worker = Worker::with_orders().await;
    let attempts = || worker.functions.calls().len();
    assert_eq!(shown(&worker.invoke("orders/invocations", EVENT, "{}").await), (202, String::new()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(attempts(), 1, "it was done");
    worker.say(&[Say::Fail, Say::Fail, Say::Fail, Say::Fail]);
    worker.invoke("orders/invocations", EVENT, "{}").await;
    for (after_seconds, expected) in [(1, 1), (58, 0), (2, 1), (118, 0), (2, 1), (3600, 0)] {
        tokio::time::sleep(Duration::from_secs(after_seconds)).await;
        assert_eq!(attempts(), expected, "after {after_seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_can_take_is_kept_for_hours() {
    let worker = Worker::with_orders().await;
    worker.say(&vec![Say::Throttle; 20]);
    worker.say(&[Say::NotReady, Say::Fail]);
    worker.invoke("orders/invocations", EVENT, "{}").await;
    until(|| worker.functions.says.lock().unwrap().len() < 21).await;
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(worker.functions.calls().len(), 23, "throttled, not ready, failed, done");
    worker.say(&vec![Say::Throttle; 1000]);
    worker.invoke("orders/invocations", EVENT, "{}").await;
    tokio::time::sleep(Duration::from_secs(7 * 3600)).await;
    let tried = worker.functions.calls().len();
    assert!((70..90).contains(&tried), "{tried}");
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(worker.functions.calls().is_empty(), "it was given up");
}

#[tokio::test(start_paused = true)]
async fn events_have_a_bound_and_go_with_their_function_and_with_the_worker() {
    let worker = Worker::with_orders().await;
    worker.say(&vec![Say::Fail; 1000]);
    for _ in 0..1000 {
        assert_eq!(worker.invoke("orders/invocations", EVENT, "{}").await.status(), 202);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let full = worker.invoke("orders/invocations", EVENT, "{}").await;
    assert_eq!(full.status(), 429);
    assert!(shown(&full).1.contains("ConcurrentInvocationLimitExceeded"));
    worker.of(Method::DELETE, "orders", Value::Null).await;
    worker.functions.calls();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(worker.functions.calls().is_empty());

    worker.make(json!({})).await;
    worker.settled("orders").await;
    worker.say(&[Say::Fail]);
    assert_eq!(worker.invoke("orders/invocations", EVENT, "{}").await.status(), 202);
    tokio::time::sleep(Duration::from_secs(1)).await;
    worker.functions.calls();
    worker.registry.close();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(worker.functions.calls().is_empty());
    let refused = worker.invoke("orders/invocations", EVENT, "{}").await;
    assert!(shown(&refused).1.contains("the worker is stopping"));
    assert_refused(&worker.upload("two", json!({})).await, 500, "ServiceException", "the worker is stopping");
}

#[tokio::test(start_paused = true)]
async fn large_events_have_a_bound_together() {
    let worker = Worker::with_orders().await;
    worker.say(&vec![Say::Fail; 100]);
    let event = format!("\"{}\"", "x".repeat(1_048_574));
    for _ in 0..64 {
        assert_eq!(worker.invoke("orders/invocations", EVENT, &event).await.status(), 202);
    }
    assert_eq!(worker.invoke("orders/invocations", EVENT, "{}").await.status(), 429);
}
