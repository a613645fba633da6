//! The senders of a soak: each sends its stream of the plan, a call at a time, and writes down what was acknowledged.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use support::Sqs;
use tokio::sync::watch;

use crate::ledger::{Ledger, Sent};
use crate::plan::{self, Batch, Planned};

const PAUSE: Duration = Duration::from_millis(80);

/// Where the worker is at the moment. None: it is down.
pub(crate) type Endpoint = watch::Receiver<Option<String>>;

/// Sends until nobody tells any more where to.
pub(crate) async fn send_for_ever(seed: u64, sender: u64, ledger: Arc<Mutex<Ledger>>, mut endpoint: Endpoint) {
    let mut client: Option<Sqs> = None;
    for number in 0.. {
        let Ok(at) = endpoint.wait_for(Option::is_some).await.map(|at| at.clone().unwrap_or_default()) else { return };
        let sqs = match client.take() {
            Some(sqs) if sqs.endpoint() == at => sqs,
            _ => Sqs::without_retries(&at),
        };
        send(&sqs, &plan::batch(seed, sender, number), &ledger).await;
        client = Some(sqs);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn send(sqs: &Sqs, batch: &Batch, ledger: &Mutex<Ledger>) {
    // Written down before: a handler may have it before the answer is here.
    for message in &batch.messages {
        let group = message.group.clone();
        let sent = Sent { fate: message.fate, queue: batch.queue, group, message_id: None };
        ledger.lock().unwrap().sent.insert(message.name.clone(), sent);
    }
    let entries = batch.messages.iter().enumerate().map(|(place, message)| entry(place, message)).collect();
    let call = sqs.client().send_message_batch().queue_url(sqs.url(batch.queue)).set_entries(Some(entries));
    // Without an answer all of them are unknown.
    let Ok(answer) = call.send().await else { return };
    assert!(answer.failed().is_empty(), "{:?}", answer.failed());
    let mut ledger = ledger.lock().unwrap();
    for entry in answer.successful() {
        let message = &batch.messages[entry.id().parse::<usize>().unwrap()];
        let sent = ledger.sent.get_mut(&message.name).unwrap();
        sent.message_id = Some(entry.message_id().to_owned());
    }
}

fn entry(place: usize, message: &Planned) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(&message.body);
    let entry = match &message.group {
        Some(group) => entry.message_group_id(group).message_deduplication_id(message.name.replace('/', "-")),
        None => entry.delay_seconds(message.delay_seconds),
    };
    entry.build().unwrap()
}
