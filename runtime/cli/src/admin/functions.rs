//! `/api/functions`: what a function is now, what each version of it made of its batches, and what its shadow found.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::AdminState;
use super::queues::answer;
use crate::functions::{Drawn, Found, Functions, LATEST};

pub(super) fn routes() -> Router<AdminState> {
    Router::new().route("/api/functions", get(list)).route("/api/functions/{name}", get(one))
}

async fn list(State(state): State<AdminState>) -> Response {
    let functions = &state.functions;
    let all: Vec<Value> = functions.names().iter().filter_map(|name| shown(functions, name)).collect();
    answer(StatusCode::OK, &json!({ "functions": all }))
}

async fn one(State(state): State<AdminState>, Path(name): Path<String>) -> Response {
    match shown(&state.functions, &name) {
        Some(function) => answer(StatusCode::OK, &function),
        None => answer(StatusCode::NOT_FOUND, &json!({ "error": format!("there is no function {name}") })),
    }
}

/// None when there is no such function.
fn shown(functions: &Functions, name: &str) -> Option<Value> {
    let versions: Vec<Value> = functions
        .counted(name)?
        .into_iter()
        .map(|(version, counted)| {
            json!({
                "version": version,
                "batches": {"ok": counted.batches_ok, "failed": counted.batches_failed},
                "records": {"ok": counted.records_done, "failed": counted.records_failed},
            })
        })
        .collect();
    let mut shown = json!({"name": name, "versions": versions, "shadow": functions.shadow(name).map(shadow)});
    if let Some(Drawn { function, version, .. }) = functions.draw(name, LATEST) {
        shown["version"] = json!(version);
        shown["code_sha256"] = json!(function.sha256());
        shown["kind"] = json!(function.kind().as_str());
        shown["timeout_seconds"] = json!(function.timeout().as_secs_f64());
        shown["memory_size_mib"] = json!(function.memory_mib());
    }
    Some(shown)
}

fn shadow(found: Found) -> Value {
    let latest = found.latest.into_iter().map(|(mapping, request_id, one)| {
        json!({
            "mapping": mapping, "request_id": request_id,
            "message_id": &*one.message_id, "verdict": one.verdict, "shadow": one.shadow,
        })
    });
    json!({
        "version": found.version,
        "batches": found.batches,
        "records": found.records,
        "different": found.different,
        "passed_over": found.passed_over,
        "latest": latest.collect::<Vec<_>>(),
    })
}
