//! Fair queues end to end: a tenant that floods a standard queue does not make a quiet one wait (sqs-semantics §7).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::types::{Message, SendMessageBatchRequestEntry};
use support::{Home, Sqs};

const QUEUE: &str = "shared";
/// Work per message.
const WORK: Duration = Duration::from_millis(50);
const CONSUMERS: usize = 4;
const FLOOD: usize = 100_000;
const SENDERS: usize = 4;
const QUIET_MESSAGES: usize = 100;

/// Sends batches of the flooding tenant's messages until it has its depth.
async fn flood(sqs: &Sqs) {
    let send = async |sender: usize| {
        for batch in (sender..FLOOD / 10).step_by(SENDERS) {
            let entry = |index: usize| {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
                entry.message_body(format!("flood {batch}")).message_group_id("flood").build().unwrap()
            };
            let call = sqs.client().send_message_batch().queue_url(sqs.url(QUEUE));
            let sent = call.set_entries(Some((0..10).map(entry).collect())).send().await.unwrap();
            assert!(sent.failed().is_empty(), "{:?}", sent.failed());
        }
    };
    tokio::join!(send(0), send(1), send(2), send(3));
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Takes one message after the other, works on each, deletes it. Tells how long the quiet tenant's had waited.
async fn consume(sqs: Sqs, stop: Arc<AtomicBool>) -> Vec<u128> {
    let mut dwelled_ms = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let call = sqs.client().receive_message().queue_url(sqs.url(QUEUE)).wait_time_seconds(1);
        let messages: Vec<Message> = call.send().await.unwrap().messages.unwrap_or_default();
        let received_ms = unix_ms();
        for message in messages {
            let body = message.body.unwrap();
            if let Some(sent_ms) = body.strip_prefix("quiet ") {
                dwelled_ms.push(received_ms.saturating_sub(sent_ms.parse().unwrap()));
            }
            tokio::time::sleep(WORK).await;
            let receipt = message.receipt_handle.unwrap();
            sqs.client().delete_message().queue_url(sqs.url(QUEUE)).receipt_handle(receipt).send().await.unwrap();
        }
    }
    dwelled_ms
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_tenant_does_not_wait_for_a_flood_of_a_hundred_thousand() {
    let home = Home::new();
    let server = home.serve(&["--in-memory", "--listen", "127.0.0.1:0"]).await;
    let sqs = server.sqs();
    sqs.create(QUEUE, &[]).await;
    flood(&sqs).await;
    assert_eq!(sqs.counts(QUEUE).await.visible, FLOOD);

    let stop = Arc::new(AtomicBool::new(false));
    let consumers: Vec<_> =
        (0..CONSUMERS).map(|_| tokio::spawn(consume(Sqs::at(sqs.endpoint()), Arc::clone(&stop)))).collect();
    let begun = Instant::now();
    for index in 0..QUIET_MESSAGES {
        // Not in step with the work.
        tokio::time::sleep_until((begun + Duration::from_millis(71) * index as u32).into()).await;
        let call = sqs.client().send_message().queue_url(sqs.url(QUEUE)).message_group_id("quiet");
        call.message_body(format!("quiet {}", unix_ms())).send().await.unwrap();
    }
    tokio::time::sleep(WORK * 4).await;
    stop.store(true, Ordering::Release);
    let mut dwelled_ms = Vec::new();
    for consumer in consumers {
        dwelled_ms.extend(consumer.await.unwrap());
    }

    assert_eq!(dwelled_ms.len(), QUIET_MESSAGES, "each of the quiet tenant's messages came through");
    dwelled_ms.sort_unstable();
    let p99_ms = dwelled_ms[QUIET_MESSAGES * 99 / 100 - 1];
    assert!(p99_ms <= 3 * WORK.as_millis(), "a quiet message dwelled {p99_ms} ms at p99: {dwelled_ms:?}");
    assert!(sqs.counts(QUEUE).await.visible > FLOOD / 2, "the flood was there all the time");
}
