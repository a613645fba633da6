//! The functions over scripted engines: every operation, what each refuses, restarts, updates that fail, and what the
//! config owns.

#![expect(clippy::unwrap_used, reason = "tests")]

mod aliases;
mod changes;
mod config;
mod invocations;
mod mappings;
mod permissions;
mod restarts;
mod states;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};

use crate::scripted::{Reply, Worker};

const FUNCTIONS: &str = "/2015-03-31/functions";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:orders";
const ROLE: &str = "arn:aws:iam::000000000000:role/orders";
const INVALID: &str = "InvalidParameterValueException";
const VALIDATION: &str = "ValidationException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";

/// A module whose text says what becomes of it.
fn code(text: &str) -> String {
    STANDARD.encode([b"\0asm", text.as_bytes()].concat())
}

fn with(change: &Value) -> String {
    let mut body = json!({"FunctionName": "orders", "Role": ROLE, "Code": {"ZipFile": code("one")}});
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string()
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, error: &str, text: &str) {
    assert_eq!((reply.status, reply.error.as_deref()), (status, Some(error)), "{reply:?}");
    assert!(reply.message().contains(text), "{reply:?} does not say {text:?}");
}

impl Worker {
    /// In memory, with no function, started.
    async fn empty() -> Self {
        let worker = Self::bare(None).await;
        worker.registry.start_all().await;
        worker
    }

    /// The same with the function `orders`, loaded.
    async fn with_orders() -> Self {
        let worker = Self::empty().await;
        assert_eq!(worker.make(json!({})).await.status, 201);
        worker.settled("orders").await;
        worker.functions.calls();
        worker
    }

    async fn make(&self, change: Value) -> Reply {
        self.call(Method::POST, FUNCTIONS, &with(&change)).await
    }

    async fn of(&self, method: Method, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call(method, &format!("{FUNCTIONS}/{path}"), &body).await
    }

    async fn read(&self, path: &str) -> Reply {
        self.of(Method::GET, path, Value::Null).await
    }

    async fn configured(&self, name: &str) -> Value {
        self.read(&format!("{name}/configuration")).await.json
    }

    async fn upload(&self, text: &str, more: Value) -> Reply {
        let mut body = json!({"ZipFile": code(text)});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.of(Method::PUT, "orders/code", body).await
    }

    /// Waits until nothing of a function is on its way.
    async fn settled(&self, name: &str) {
        for _ in 0..10_000 {
            let versions = self.read(&format!("{name}/versions")).await.json;
            let rests = |version: &Value| version["State"] != "Pending" && version["LastUpdateStatus"] != "InProgress";
            if versions["Versions"].as_array().is_none_or(|versions| versions.iter().all(rests)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("{name} did not come to rest");
    }

    /// New code for `orders`, loaded and published.
    async fn publish(&self, text: &str) -> String {
        let reply = self.upload(text, json!({"Publish": true})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.settled("orders").await;
        reply.json["Version"].as_str().unwrap().to_owned()
    }
}
