//! Looking into a running worker's queues, without receiving from them.

use std::time::{Duration, Instant};

use crate::ledger::Lying;
use crate::sqs::Counts;
use crate::wait::{PATIENCE, eventually, holds};
use crate::worker::Wasmill;
use crate::workload::name_in_body;

/// A queue of ours, to which a message is sent when everything before it is to be on disk.
const BARRIER: &str = "barrier";

/// All messages of a queue.
pub async fn messages(worker: &Wasmill, queue: &str) -> Vec<Lying> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let answer = worker.get(&format!("/api/queues/{queue}/messages?max=1000{after}")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        for message in page["messages"].as_array().unwrap() {
            let body = message["body"].as_str().unwrap();
            found.push(Lying {
                name: name_in_body(body).unwrap_or_else(|| body.chars().take(100).collect()),
                message_id: message["message_id"].as_str().unwrap().to_owned(),
                receive_count: message["receive_count"].as_u64().unwrap(),
                failures: message["attempts"].as_array().unwrap().len() as u64,
            });
        }
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

/// Waits until the queues are empty, or no longer: what remains is the caller's to count. What was on its way to a dead-letter queue has
/// arrived then: a message on the way is in no queue until the move is on disk.
pub async fn wait_until_empty(worker: &Wasmill, queues: &[&str], within: Duration) {
    let (sqs, begun) = (worker.sqs(), Instant::now());
    eventually(within + PATIENCE, async || {
        let mut are_empty = true;
        for queue in queues {
            // One that has some need not know of the others.
            are_empty = are_empty && sqs.counts(queue).await == Counts::EMPTY;
        }
        holds(are_empty || begun.elapsed() > within, || "the queues are not empty".to_owned())
    })
    .await;
    // What was planned before is on disk before this is.
    sqs.create(BARRIER, &[]).await;
    sqs.send(BARRIER, "everything before").await;
}
