//! The asynchronous and the typed way in.

use std::sync::Arc;

use tower::ServiceExt;
use wasmill_event::{Account, Fault, FaultKind, Invocation, Payload, Record, Reply, SystemValue, Verdict};
use wasmill_sandbox::{Function, FunctionKind};

use crate::support::{House, call, text};
use crate::wat::{json_async_echo, typed};

fn record(body: &str) -> Record {
    Record {
        message_id: "059f36b4-87a3-44ab-83d2-661975830a7d".into(),
        receipt_handle: "r".into(),
        body: body.into(),
        attributes: vec![("SentTimestamp", SystemValue::Number(1))],
        message_attributes: Vec::new(),
        md5_of_message_attributes: None,
        md5_of_body: "e4e68fb7bd0e697a0ae8f1bb342846b3".into(),
        event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders".into(),
        aws_region: "us-east-1".into(),
    }
}

async fn judge(function: &Function, bodies: &[&str]) -> Result<Reply, Fault> {
    let records = Arc::new(bodies.iter().copied().map(record).collect());
    let payload = Payload::Batch { records, windowed: false };
    function
        .clone()
        .oneshot(Invocation {
            request_id: "typed-1".into(),
            payload,
            trace_id: None,
            trace: None,
            account: Account::default(),
        })
        .await
}

#[tokio::test]
async fn an_asynchronous_export_is_called_on_an_engine_of_its_own() {
    let house = House::new();
    let function = house.load(json_async_echo("async"));
    assert_eq!(function.kind(), FunctionKind::LambdaJsonAsync);
    for event in ["{}", "{\"Records\":[]}"] {
        assert_eq!(text(call(&function, "async-1", event).await), event);
    }
}

#[tokio::test]
async fn the_typed_world_answers_one_verdict_per_message() {
    let house = House::new();
    let function = house.load(typed("typed"));
    assert_eq!(function.kind(), FunctionKind::Messages);
    let reply = judge(&function, &["done", "retry", "5", "x: nobody wants it", "leave"]).await;
    let expected = vec![
        Verdict::Done,
        Verdict::Retry { after_seconds: None },
        Verdict::Retry { after_seconds: Some(5) },
        Verdict::DeadLetter { reason: "x: nobody wants it".into() },
        Verdict::Release,
    ];
    assert_eq!(reply, Ok(Reply::Verdicts(expected)));
    assert_eq!(judge(&function, &[]).await, Ok(Reply::Verdicts(Vec::new())));
    let fault = judge(&function, &["d", "error: all of it"]).await;
    assert_eq!(fault, Err(Fault::new(FaultKind::Handler, "error: all of it")));
}

#[tokio::test]
async fn a_typed_handler_cannot_be_called_with_an_event_that_is_no_batch() {
    let house = House::new();
    let fault = call(&house.load(typed("typed")), "typed-2", "{}").await;
    assert!(matches!(&fault, Err(fault) if fault.message.contains("takes messages")), "{fault:?}");
}
