//! `/api/functions`: what a function is now, what each of its versions made of its batches, what its shadow found, and what its
//! handlers said last.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::AdminState;
use super::queues::answer;
use crate::functions::{Found, Functions, LATEST};
use crate::telemetry;

/// The most lines of a function's log that are shown.
const LINES_MAX: usize = 200;

pub(super) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/api/functions", get(list))
        .route("/api/functions/{name}", get(one))
        .route("/api/functions/{name}/logs", get(logs))
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

/// The last lines that a function's handlers wrote, the oldest first.
async fn logs(State(state): State<AdminState>, Path(name): Path<String>) -> Response {
    if !state.functions.names().contains(&name) {
        return answer(StatusCode::NOT_FOUND, &json!({ "error": format!("there is no function {name:?}") }));
    }
    let lines: Vec<Value> = telemetry::recent_lines(&name, LINES_MAX)
        .into_iter()
        .map(|line| {
            json!({"unix_ms": line.unix_ms, "version": line.version, "request_id": line.request_id,
                   "stream": line.stream, "text": line.text})
        })
        .collect();
    answer(StatusCode::OK, &json!({ "lines": lines }))
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
    let latest = functions.draw(name, LATEST).map(|drawn| drawn.function);
    let latest = latest.map(|function| {
        json!({
            "kind": function.kind().as_str(),
            "code_sha256": function.sha256(),
            "timeout_seconds": function.timeout().as_secs_f64(),
            "memory_size_mib": function.memory_mib(),
        })
    });
    Some(json!({
        "name": name,
        "latest": latest,
        "concurrent_executions": functions.permits(name).map(|permits| permits.limit()),
        "versions": versions,
        "shadow": functions.shadow(name).map(shadow),
    }))
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
