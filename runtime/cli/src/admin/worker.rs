//! `/api/mappings` and `/api/functions/NAME/logs`: how the worker's mappings are, and what its functions said last. It only looks.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::AdminState;
use crate::telemetry;

/// What a worker shows of itself: a list, made when it is asked for.
pub(crate) type Listing = std::sync::Arc<dyn Fn() -> Vec<Value> + Send + Sync>;

/// The most lines of a function's log that are shown.
const LINES_MAX: usize = 200;

pub(super) fn routes() -> Router<AdminState> {
    Router::new().route("/api/mappings", get(mappings)).route("/api/functions/{name}/logs", get(logs))
}

async fn mappings(State(state): State<AdminState>) -> Response {
    answer(StatusCode::OK, &json!({ "mappings": (state.mappings)() }))
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

fn answer(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
