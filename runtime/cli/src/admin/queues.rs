//! `/api/queues`: the built-in queue's queues and their messages as JSON. It only looks: nothing is received, counted or
//! changed by it.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wasmill_queue::{
    AttributeValue, Broker, FailedAttempt, LocalQueue, MessageAttribute, MessageState, PeekRequest, Peeked, QueueError,
};

use super::AdminState;

/// Messages on a page unless asked otherwise.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
/// A page ends once it has so much; the next one goes on there.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Looked at in one go: together at most 10 MiB.
const LOOK_MAX: usize = 10;

pub(super) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/api/queues", get(list))
        .route("/api/queues/{name}", get(one))
        .route("/api/queues/{name}/messages", get(messages))
}

async fn list(State(state): State<AdminState>) -> Response {
    let names = state.broker.as_ref().map(|broker| broker.queue_names("")).unwrap_or_default();
    // One that is deleted in this moment is left out.
    let queues: Vec<Value> = names.iter().filter_map(|name| shown(&find(&state, name).ok()?).ok()).collect();
    answer(StatusCode::OK, &json!({ "queues": queues }))
}

async fn one(State(state): State<AdminState>, Path(name): Path<String>) -> Response {
    let queue = find(&state, &name).and_then(|queue| shown(&queue));
    queue.map_or_else(|error| failed(&name, &error), |queue| answer(StatusCode::OK, &queue))
}

async fn messages(State(state): State<AdminState>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let page = match Page::parse(query.as_deref().unwrap_or_default()) {
        Ok(page) => page,
        Err(what) => return answer(StatusCode::BAD_REQUEST, &json!({ "error": what })),
    };
    let looked = match find(&state, &name) {
        Ok(queue) => look(&queue, &page).await,
        Err(error) => Err(error),
    };
    match looked {
        Ok((messages, next)) => answer(StatusCode::OK, &json!({ "messages": messages, "next": next })),
        Err(error) => failed(&name, &error),
    }
}

fn find(state: &AdminState, name: &str) -> Result<LocalQueue, QueueError> {
    let broker: &Broker = state.broker.as_ref().ok_or(QueueError::NoSuchQueue)?;
    broker.queue(name)
}

fn shown(queue: &LocalQueue) -> Result<Value, QueueError> {
    let description = queue.describe()?;
    let attributes: BTreeMap<&str, String> = description.attributes.into_iter().collect();
    let tags: BTreeMap<String, String> = queue.tags()?.into_iter().collect();
    Ok(json!({
        "name": queue.name(),
        "arn": description.arn.as_str(),
        "visible": description.visible,
        "in_flight": description.in_flight,
        "delayed": description.delayed,
        "created_unix_s": description.created_unix_s,
        "modified_unix_s": description.modified_unix_s,
        "dead_letter_sources": queue.dead_letter_sources()?,
        "attributes": attributes,
        "tags": tags,
    }))
}

/// What part of a queue is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    max: usize,
    state: Option<MessageState>,
    after: Option<u64>,
}

impl Page {
    /// Reads `max=&state=&after=`, each at most once and none of them needed.
    fn parse(query: &str) -> Result<Self, String> {
        let mut page = Self { max: PAGE_DEFAULT, state: None, after: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "max" => {
                    let max = value.parse().ok().filter(|max| (1..=PAGE_MAX).contains(max));
                    page.max = max.ok_or_else(|| format!("max is {value:?}: write a number from 1 to {PAGE_MAX}"))?;
                }
                "state" => {
                    let states = [MessageState::Visible, MessageState::InFlight, MessageState::Delayed];
                    let state = states.into_iter().find(|state| state.as_str() == value);
                    let wrong = || format!("state is {value:?}: write visible, in_flight or delayed");
                    page.state = Some(state.ok_or_else(wrong)?);
                }
                "after" => {
                    let wrong = || format!("after is {value:?}: write the position of the last message seen");
                    page.after = Some(value.parse().map_err(|_| wrong())?);
                }
                other => return Err(format!("there is no {other:?} here: write max, state or after")),
            }
        }
        Ok(page)
    }
}

/// The page's messages, and after which position the next page begins if there may be one.
async fn look(queue: &LocalQueue, page: &Page) -> Result<(Vec<Value>, Option<u64>), QueueError> {
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut after = page.after;
    while messages.len() < page.max && bytes < PAGE_BYTES_MAX {
        let asked = LOOK_MAX.min(page.max - messages.len());
        let request = PeekRequest { max_messages: asked as u32, state: page.state, after };
        let looked = queue.peek(&request).await?;
        let is_last = looked.len() < asked;
        for message in looked {
            let attribute_bytes = message.attributes.iter().map(|attribute| attribute.value.as_bytes().len());
            bytes += message.body.len() + attribute_bytes.sum::<usize>();
            after = Some(message.position);
            messages.push(message_json(&message));
        }
        if is_last {
            return Ok((messages, None));
        }
    }
    Ok((messages, after))
}

fn message_json(message: &Peeked) -> Value {
    let system = &message.system;
    json!({
        "position": message.position,
        "message_id": message.id.as_str(),
        "state": message.state.as_str(),
        "visible_in_ms": message.visible_in_ms,
        "receive_count": system.receive_count,
        "sent_unix_ms": system.sent_unix_ms,
        "first_received_unix_ms": (system.first_received_unix_ms > 0).then_some(system.first_received_unix_ms),
        "sender_id": system.sender_id,
        "group_id": system.group_id,
        "deduplication_id": system.deduplication_id,
        "sequence_number": system.sequence_number,
        "trace_header": system.trace_header,
        "dead_letter_source_arn": system.dead_letter_source_arn,
        "dead_letter_reason": message.dead_letter_reason,
        "attempts": message.attempts.iter().map(FailedAttempt::to_json).collect::<Vec<_>>(),
        "md5_of_body": message.md5_of_body,
        "attributes": attributes_json(&message.attributes),
        "body": message.body,
    })
}

/// A message's attributes by name, binary values as base64.
pub(crate) fn attributes_json(attributes: &[MessageAttribute]) -> Value {
    let shown = attributes.iter().map(|attribute| {
        let (kind, value) = match &attribute.value {
            AttributeValue::Text(text) => ("text", text.clone()),
            AttributeValue::Binary(bytes) => ("base64", BASE64.encode(bytes)),
        };
        (attribute.name.clone(), json!({ "data_type": attribute.data_type, kind: value }))
    });
    Value::Object(shown.collect())
}

fn failed(name: &str, error: &QueueError) -> Response {
    let (code, what) = match error {
        QueueError::NoSuchQueue => (StatusCode::NOT_FOUND, format!("there is no queue {name:?}")),
        error => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    answer(code, &json!({ "error": what }))
}

pub(super) fn answer(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use wasmill_queue::{OutgoingMessage, Queue};

    use super::*;

    fn message(body: String) -> OutgoingMessage {
        OutgoingMessage { body, ..OutgoingMessage::default() }
    }

    #[tokio::test]
    async fn a_page_ends_early_where_bodies_are_long_and_the_next_goes_on_there() {
        let queue = crate::assemble::test_broker().await.create_queue("q", &[], &[]).await.unwrap();
        let bodies: Vec<String> = (10..35).map(|number| format!("{number}{}", "x".repeat(512 << 10))).collect();
        queue.send(bodies.iter().cloned().map(message).collect()).await.unwrap();

        let page = |after| Page { max: PAGE_MAX, state: None, after };
        let (first, next) = look(&queue, &page(None)).await.unwrap();
        assert_eq!(first.len(), 20, "two looks of 5 MiB each");
        let (second, end) = look(&queue, &page(next)).await.unwrap();
        assert_eq!(end, None);
        let shown: Vec<&str> = first.iter().chain(&second).map(|message| message["body"].as_str().unwrap()).collect();
        assert_eq!(shown, bodies);
    }

    #[tokio::test]
    async fn a_message_is_shown_with_all_that_is_known_of_it() {
        let queue = crate::assemble::test_broker().await.create_queue("q", &[], &[]).await.unwrap();
        let attribute = |name: &str, data_type: &str, value| MessageAttribute {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            value,
        };
        let sent = OutgoingMessage {
            attributes: vec![
                attribute("text", "Number.int", AttributeValue::Text("7".to_owned())),
                attribute("blob", "Binary", AttributeValue::Binary(vec![0, 255])),
            ],
            trace_header: Some("Root=1".to_owned()),
            group_id: Some("tenant".to_owned()),
            delay_seconds: Some(900),
            ..message("Hello".to_owned())
        };
        queue.send(vec![sent]).await.unwrap();
        let page = Page { max: 1, state: Some(MessageState::Delayed), after: None };
        let (messages, _) = look(&queue, &page).await.unwrap();
        let shown = &messages[0];
        let expected = json!({
            "text": {"data_type": "Number.int", "text": "7"},
            "blob": {"data_type": "Binary", "base64": "AP8="},
        });
        assert_eq!(shown["attributes"], expected);
        for (key, value) in [
            ("state", json!("delayed")),
            ("receive_count", json!(0)),
            ("first_received_unix_ms", Value::Null),
            ("group_id", json!("tenant")),
            ("trace_header", json!("Root=1")),
            ("sequence_number", Value::Null),
            ("md5_of_body", json!("8b1a9953c4611296a827abf8c47804d7")),
            ("body", json!("Hello")),
        ] {
            assert_eq!(shown[key], value, "{key}");
        }
        let visible = Page { state: Some(MessageState::Visible), ..page };
        assert_eq!(look(&queue, &visible).await.unwrap().0, Vec::<Value>::new());
    }

    #[test]
    fn a_page_is_asked_for_in_words_that_are_known() {
        let page = |max, state, after| Ok(Page { max, state, after });
        for (query, expected) in [
            ("", page(PAGE_DEFAULT, None, None)),
            ("max=1", page(1, None, None)),
            ("max=1000&state=in_flight&after=7", page(1000, Some(MessageState::InFlight), Some(7))),
            ("&state=visible&", page(PAGE_DEFAULT, Some(MessageState::Visible), None)),
            ("state=delayed", page(PAGE_DEFAULT, Some(MessageState::Delayed), None)),
        ] {
            assert_eq!(Page::parse(query), expected, "{query}");
        }
        for query in ["max", "max=0", "max=1001", "max=-1", "state=gone", "state", "after=x", "after=-1", "limit=1"] {
            assert!(Page::parse(query).is_err(), "{query}");
        }
    }
}
