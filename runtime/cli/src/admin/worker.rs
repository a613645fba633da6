//! `/api/mappings`: how the worker's mappings are.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::AdminState;
use super::queues::answer;

/// What a worker shows of itself: a list, made when it is asked for.
pub(crate) type Listing = std::sync::Arc<dyn Fn() -> Vec<Value> + Send + Sync>;

pub(super) fn routes() -> Router<AdminState> {
    Router::new().route("/api/mappings", get(mappings))
}

async fn mappings(State(state): State<AdminState>) -> Response {
    answer(StatusCode::OK, &json!({ "mappings": (state.mappings)() }))
}
