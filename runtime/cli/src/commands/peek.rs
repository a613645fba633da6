//! `wasmill queue peek`: messages as they lie in the built-in queue, through the admin listener's API; of any other SQS
//! service only by receiving them, which has to be asked for.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use wasmill_queue::{Message, Queue, QueueError, ReceiveRequest};

use crate::admin::attributes_json;
use crate::args::{PeekArgs, StateArg};
use crate::commands::queue::{connect, failed, find};
use crate::commands::{admin_client, print_line, print_note};
use crate::error::CliError;
use crate::utc::Utc;

/// The most that one receive of SQS hands out.
const RECEIVE_MAX: u32 = 10;

/// Shows messages.
pub(super) async fn peek(args: &PeekArgs) -> Result<(), CliError> {
    let messages = messages(args).await?;
    if args.json {
        return print_line(json!(messages));
    }
    for message in &messages {
        print_message(message)?;
    }
    Ok(())
}

/// Messages, each as the admin listener's API shows it.
pub(super) async fn messages(args: &PeekArgs) -> Result<Vec<Value>, CliError> {
    if args.receive { receive(args).await } else { look(args).await }
}

/// Page by page, as a page ends early where bodies are long.
async fn look(args: &PeekArgs) -> Result<Vec<Value>, CliError> {
    let name = args.queue.rsplit('/').next().unwrap_or_default();
    let place = || format!("queue {name} at {}", args.admin_url);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(CliError::usage(format!("{:?} is neither a queue's name nor its URL", args.queue)));
    }
    let state = match args.state {
        None => "",
        Some(StateArg::Visible) => "&state=visible",
        Some(StateArg::InFlight) => "&state=in_flight",
        Some(StateArg::Delayed) => "&state=delayed",
    };
    let mut messages: Vec<Value> = Vec::new();
    let mut after = None;
    while messages.len() < args.max as usize {
        let left = args.max as usize - messages.len();
        let from = after.map(|position: u64| format!("&after={position}")).unwrap_or_default();
        let path = format!("/api/queues/{name}/messages?max={left}{state}{from}");
        let (status, mut page) = admin_client::get(&args.admin_url, &path).await?;
        let said = |page: &Value| page["error"].as_str().map_or_else(|| format!("HTTP {status}"), str::to_owned);
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let mend = "`wasmill queue ls` lists the queues that are there";
                return Err(CliError::unavailable(said(&page)).at(place()).with_mend(mend));
            }
            _ => return Err(CliError::failure(said(&page)).at(place())),
        }
        let Value::Array(found) = page["messages"].take() else {
            return Err(CliError::failure("the admin listener answered without messages").at(place()));
        };
        messages.extend(found);
        after = page["next"].as_u64();
        if after.is_none() {
            break;
        }
    }
    Ok(messages)
}

/// Receives, then gives everything back at once.
async fn receive(args: &PeekArgs) -> Result<Vec<Value>, CliError> {
    let url = &args.endpoint_url;
    let at_queue = |error: &QueueError| failed(error, url, Some(&args.queue));
    let service = connect(url).await?;
    let queue = find(&service, &args.queue, url).await?;
    let mut received: Vec<Message> = Vec::new();
    let mut problem = None;
    while received.len() < args.max as usize {
        let left = args.max - received.len() as u32;
        let request = ReceiveRequest {
            max_messages: left.min(RECEIVE_MAX),
            wait: Duration::ZERO,
            visibility_timeout_seconds: Some(args.visibility_timeout),
            attempt_id: None,
        };
        match queue.receive(request).await {
            Ok(messages) if messages.is_empty() => break,
            Ok(messages) => received.extend(messages),
            // What came before is shown, and given back, all the same.
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    if let Some(error) = problem.filter(|_| received.is_empty()) {
        return Err(at_queue(&error));
    }
    let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
    let given_back = queue.release(&receipts).await.is_ok_and(|results| results.iter().all(Result::is_ok));
    if !received.is_empty() {
        let hidden = if given_back { String::new() } else { format!(", or hidden for {} s", args.visibility_timeout) };
        print_note(format_args!(
            "the messages were received and given back{hidden}: the receive count of each went up by one"
        ));
    }
    Ok(received.iter().map(message_json).collect())
}

/// The same names as in the admin listener's API, as far as a receive tells them.
fn message_json(message: &Message) -> Value {
    let system = &message.system;
    json!({
        "message_id": message.id.as_str(),
        "state": "visible",
        "receive_count": system.receive_count,
        "sent_unix_ms": system.sent_unix_ms,
        "first_received_unix_ms": system.first_received_unix_ms,
        "sender_id": system.sender_id,
        "group_id": system.group_id,
        "deduplication_id": system.deduplication_id,
        "sequence_number": system.sequence_number,
        "trace_header": system.trace_header,
        "dead_letter_source_arn": system.dead_letter_source_arn,
        "md5_of_body": message.md5_of_body,
        "attributes": attributes_json(&message.attributes),
        "body": message.body,
    })
}

/// One line about the message, one for each thing that it has besides, then its body.
fn print_message(message: &Value) -> Result<(), CliError> {
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    let hidden = match message["visible_in_ms"].as_u64() {
        Some(left_ms) if left_ms > 0 => format!(" for {} s", left_ms.div_ceil(1000)),
        _ => String::new(),
    };
    let received = message["receive_count"].as_u64().unwrap_or_default();
    print_line(format_args!("{}  {}{hidden}  received {received}×", text("message_id"), text("state")))?;
    for key in ["group_id", "deduplication_id", "sequence_number", "dead_letter_source_arn", "dead_letter_reason"] {
        if !text(key).is_empty() {
            print_line(format_args!("  {key}: {}", text(key)))?;
        }
    }
    for (name, value) in message["attributes"].as_object().into_iter().flatten() {
        let shown = value["text"].as_str().or_else(|| value["base64"].as_str()).unwrap_or_default();
        print_line(format_args!("  {name} ({}): {shown}", value["data_type"].as_str().unwrap_or_default()))?;
    }
    for attempt in message["attempts"].as_array().into_iter().flatten() {
        print_attempt(attempt)?;
    }
    print_line(text("body"))
}

/// One line about a failed attempt, then where it was and what it logged.
fn print_attempt(attempt: &Value) -> Result<(), CliError> {
    let text = |key: &str| attempt[key].as_str().unwrap_or_default();
    let number = |key: &str| attempt[key].as_u64().unwrap_or_default();
    let version = match text("code_sha256").get(..12) {
        Some(digits) => format!("{} (code {digits})", text("function_version")),
        None => text("function_version").to_owned(),
    };
    print_line(format_args!(
        "  attempt {} at {}, after {} ms: {}: {}",
        number("receive_count"),
        Utc(number("ended_unix_ms")),
        number("duration_ms"),
        text("kind"),
        text("message")
    ))?;
    print_line(format_args!("    {} {version}, request {}", text("function"), text("request_id")))?;
    for frame in text("backtrace").lines() {
        print_line(format_args!("    in {frame}"))?;
    }
    for line in text("log_tail").lines() {
        print_line(format_args!("    | {line}"))?;
    }
    Ok(())
}
