//! Dead letters on a remote queue whose deletes fail: what is in the dead-letter queue must not be sent there again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use wasmill_queue::{DeadLetter, OutgoingMessage, Queue, QueueError, ReceiveRequest};
use wasmill_sqs::{RemoteOptions, RemoteSqs, SqsOptions, SqsService, router};

use crate::support::broker;

/// Our own service behind something that refuses every delete and counts the sends.
struct Refusing {
    /// Status and body of the answer to a `DeleteMessageBatch`.
    answer: (StatusCode, &'static str),
    sends: AtomicUsize,
}

async fn refuse_deletes(State(refusing): State<Arc<Refusing>>, request: Request, next: Next) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match target {
        "AmazonSQS.DeleteMessageBatch" => {
            let (status, body) = refusing.answer;
            return (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response();
        }
        "AmazonSQS.SendMessageBatch" => {
            refusing.sends.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    }
    next.run(request).await
}

async fn dead_letter_without_delete(answer: (StatusCode, &'static str)) {
    let broker = broker(None).await;
    broker.create_queue("dead", &[], &[]).await.unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":9}"#;
    let orders = broker.create_queue("orders", &[("RedrivePolicy".into(), policy.into())], &[]).await.unwrap();
    orders.send(vec![OutgoingMessage { body: "poison".into(), ..OutgoingMessage::default() }]).await.unwrap();

    let refusing = Arc::new(Refusing { answer, sends: AtomicUsize::new(0) });
    let service = Arc::new(SqsService::new(broker.clone(), &SqsOptions::default()).unwrap());
    let app: Router = router(service).layer(middleware::from_fn_with_state(Arc::clone(&refusing), refuse_deletes));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let options = RemoteOptions { endpoint_url, region: Some("us-east-1".into()), anonymous_local: true };
    let queue = RemoteSqs::connect(options).await.unwrap().queue_by_name("orders").await.unwrap();
    let request =
        ReceiveRequest { max_messages: 10, wait: Duration::ZERO, visibility_timeout_seconds: None, attempt_id: None };
    let message = queue.receive(request).await.unwrap().remove(0);
    let letter = DeadLetter { message, reason: "poison".into(), function_version: "1".into(), attempt: None };
    let results = queue.dead_letter(vec![letter]).await.unwrap();
    // A passing error would have the settling try again, and every try sends a copy.
    assert!(
        matches!(&results[..], [Err(QueueError::Refused { code, .. })] if code == "DeadLetterNotDeleted"),
        "{results:?}"
    );
    assert_eq!(refusing.sends.load(Ordering::Relaxed), 1);
    assert_eq!(broker.queue("dead").unwrap().describe().unwrap().visible, 1);
    assert_eq!(orders.describe().unwrap().in_flight, 1, "it returns to its queue");
    server.abort();
}

#[tokio::test]
async fn a_letter_whose_delete_fails_for_now_is_not_sent_twice() {
    let failed =
        r#"{"Successful":[],"Failed":[{"Id":"0","Code":"InternalError","Message":"sorry","SenderFault":false}]}"#;
    dead_letter_without_delete((StatusCode::OK, failed)).await;
}

#[tokio::test]
async fn a_letter_whose_delete_is_refused_is_not_sent_twice() {
    let denied = r#"{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"no"}"#;
    dead_letter_without_delete((StatusCode::BAD_REQUEST, denied)).await;
}
