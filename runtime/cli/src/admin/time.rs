//! `/api/time`: the time that the built-in queue and its mappings go by, which a test may skip where `--time-control` allows it.
//!
//! A foreign page was refused before. Skipping is a POST, and each is in the audit log.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use wasmill_queue::{Advance, AdvanceError, Broker};

use super::AdminState;
use super::queues::answer;
use crate::config::suggest::nearest;
use crate::utc::Utc;

const REQUEST_BYTES_MAX: usize = 4 << 10;
const PATIENCE_DEFAULT: Duration = Duration::from_secs(10);
const PATIENCE_MAX_S: f64 = 50.0;
const SECONDS: &str = "seconds";
const UNTIL: &str = "until";
const WAIT: &str = "wait_seconds";
/// What `until` may say.
const IDLE: &str = "idle";
const OFF: &str = "time control is off: start `wasmill dev` or `wasmill queue serve` with --time-control";

pub(super) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/api/time", get(read))
        .route("/api/time/advance", post(advance).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)))
}

async fn read(State(state): State<AdminState>) -> Response {
    match steered(&state) {
        Some(broker) => answer(StatusCode::OK, &shown(broker)),
        None => refused(StatusCode::NOT_FOUND, OFF),
    }
}

async fn advance(State(state): State<AdminState>, body: Bytes) -> Response {
    let Some(broker) = steered(&state) else { return refused(StatusCode::FORBIDDEN, OFF) };
    let wanted = match parse(&body) {
        Ok(wanted) => wanted,
        Err(what) => return refused(StatusCode::BAD_REQUEST, &what),
    };
    // To its end, also when the caller goes away: what was begun is half a step otherwise.
    let skipping = tokio::spawn({
        let broker = broker.clone();
        async move { broker.advance(wanted).await }
    });
    let Ok(advanced) = skipping.await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "skipping time has failed: the log says why");
    };
    let seconds = advanced.as_ref().map_or(0.0, |advanced| advanced.by.as_secs_f64());
    let outcome = if advanced.is_ok() { "ok" } else { "refused" };
    tracing::info!(
        target: "wasmill::audit",
        service = "admin",
        action = "AdvanceTime",
        resource = "time",
        outcome,
        seconds,
        "change asked for"
    );
    match advanced {
        Ok(advanced) => {
            let mut body = shown(broker);
            body["advanced_seconds"] = json!(seconds);
            body["settled"] = json!(advanced.is_settled);
            answer(StatusCode::OK, &body)
        }
        Err(error @ (AdvanceError::TooFar | AdvanceError::TooFarInAll | AdvanceError::NotSteered)) => {
            refused(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Err(error @ AdvanceError::TooBusy { .. }) => refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn steered(state: &AdminState) -> Option<&Broker> {
    state.broker.as_ref().filter(|broker| broker.timeline().is_steered())
}

fn shown(broker: &Broker) -> Value {
    let unix_ms = broker.now().unix_ms;
    let skipped_ms = broker.timeline().shift_ms();
    json!({ "now": Utc(unix_ms).to_string(), "unix_ms": unix_ms, "skipped_seconds": skipped_ms as f64 / 1000.0 })
}

fn refused(code: StatusCode, why: &str) -> Response {
    answer(code, &json!({ "error": why }))
}

/// Reads `{"seconds": 30, "until": "idle", "wait_seconds": 10}`, of which only the first is needed.
fn parse(body: &[u8]) -> Result<Advance, String> {
    let example = r#"write such as {"seconds": 30}"#;
    let body: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON object ({error}): {example}"))?;
    let known = [SECONDS, UNTIL, WAIT];
    if let Some(unknown) = body.keys().find(|key| !known.contains(&key.as_str())) {
        let mend = match nearest(unknown, &known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", known.map(|key| format!("{key:?}")).join(", ")),
        };
        return Err(format!("there is no {unknown:?} here; {mend}"));
    }
    let seconds = body.get(SECONDS).ok_or_else(|| format!("{SECONDS:?} is missing: {example}"))?;
    let seconds = seconds.as_f64().filter(|seconds| *seconds >= 0.0 && *seconds <= f64::from(u32::MAX));
    let seconds = seconds.ok_or_else(|| format!("{SECONDS:?} is a number from 0: time never goes back"))?;
    let until_idle = match body.get(UNTIL).map(|until| until.as_str()) {
        None => false,
        Some(Some(IDLE)) => true,
        Some(_) => return Err(format!("{UNTIL:?} can only be {IDLE:?}: when no message is hidden and no timer runs")),
    };
    let patience = match body.get(WAIT) {
        None => PATIENCE_DEFAULT,
        Some(wait) => wait
            .as_f64()
            .filter(|seconds| (0.0..=PATIENCE_MAX_S).contains(seconds))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| {
                format!("{WAIT:?} is a number from 0 to {PATIENCE_MAX_S}: how long handlers are waited for")
            })?,
    };
    Ok(Advance { by: Duration::from_secs_f64(seconds), until_idle, patience })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_request_says_how_far_and_perhaps_until_when_and_how_long_it_waits() {
        let plain = Advance { by: Duration::from_millis(1500), until_idle: false, patience: PATIENCE_DEFAULT };
        assert_eq!(parse(br#"{"seconds": 1.5}"#).unwrap(), plain);
        let all = parse(br#"{"seconds": 60, "until": "idle", "wait_seconds": 0}"#).unwrap();
        assert_eq!(all, Advance { by: Duration::from_secs(60), until_idle: true, patience: Duration::ZERO });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_mend() {
        for (body, said) in [
            ("", "no JSON object"),
            ("[30]", "no JSON object"),
            ("{}", "\"seconds\" is missing"),
            (r#"{"second": 1}"#, "did you mean \"seconds\"?"),
            (r#"{"minutes": 1}"#, "there are \"seconds\", \"until\", \"wait_seconds\""),
            (r#"{"seconds": -1}"#, "time never goes back"),
            (r#"{"seconds": "1"}"#, "is a number"),
            (r#"{"seconds": 1e300}"#, "is a number"),
            (r#"{"seconds": 1, "until": "next"}"#, "can only be \"idle\""),
            (r#"{"seconds": 1, "wait_seconds": 51}"#, "from 0 to 50"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
    }
}
