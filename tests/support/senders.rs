//! The senders of a soak or a torture: each sends its stream of the workload, a call at a time, and writes down what was
//! acknowledged.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::sync::watch;

use crate::ledger::{Answer, Ledger, Sent};
use crate::sqs::Sqs;
use crate::workload::{Batch, Planned, Workload};

/// How a full disk is answered: nothing of the call was taken.
const REFUSED_STATUS: u16 = 503;

/// Where the worker is at the moment. None: it is down.
pub type Endpoint = watch::Receiver<Option<String>>;

/// A sender's stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Of what.
    pub workload: Arc<Workload>,
    /// From this seed.
    pub seed: u64,
    /// The number of the sender.
    pub sender: u64,
    /// Between two calls.
    pub pause: Duration,
}

impl Stream {
    /// Sends until nobody tells any more where to.
    pub async fn send_for_ever(self, ledger: Arc<Mutex<Ledger>>, mut endpoint: Endpoint) {
        let mut client: Option<Sqs> = None;
        for number in 0.. {
            let at = endpoint.wait_for(Option::is_some).await.map(|at| at.clone().unwrap_or_default());
            let Ok(at) = at else { return };
            let sqs = match client.take() {
                Some(sqs) if sqs.endpoint() == at => sqs,
                _ => Sqs::without_retries(&at),
            };
            send(&sqs, &self.workload.batch(self.seed, self.sender, number), &ledger).await;
            client = Some(sqs);
            tokio::time::sleep(self.pause).await;
        }
    }
}

/// Sends one batch, once, and writes down what came of it.
pub async fn send(sqs: &Sqs, batch: &Batch, ledger: &Mutex<Ledger>) {
    // Written down before: a handler may have it before the answer is here.
    for message in &batch.messages {
        let sent =
            Sent { fate: message.fate, is_calm: batch.is_calm, group: message.group.clone(), answer: Answer::None };
        ledger.lock().unwrap().sent.insert(message.name.clone(), sent);
    }
    let entries = batch.messages.iter().enumerate().map(|(place, message)| entry(place, message)).collect();
    let call = sqs.client().send_message_batch().queue_url(sqs.url(&batch.queue)).set_entries(Some(entries));
    let note = |place: usize, answer: Answer| {
        let mut ledger = ledger.lock().unwrap();
        ledger.sent.get_mut(&batch.messages[place].name).unwrap().answer = answer;
    };
    match call.send().await {
        Ok(answer) => {
            for entry in answer.successful() {
                note(entry.id().parse().unwrap(), Answer::Id(entry.message_id().to_owned()));
            }
            for entry in answer.failed() {
                note(entry.id().parse().unwrap(), Answer::Refused);
            }
        }
        Err(SdkError::ServiceError(refusal)) if refusal.raw().status().as_u16() == REFUSED_STATUS => {
            (0..batch.messages.len()).for_each(|place| note(place, Answer::Refused));
        }
        Err(SdkError::ServiceError(refusal)) if refusal.raw().status().is_client_error() => {
            panic!("a sound request was refused: {refusal:?}");
        }
        // Without an answer all of them are unknown.
        Err(_) => {}
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
