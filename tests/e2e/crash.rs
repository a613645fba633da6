//! SIGKILL in the middle of a stream, again and again: no acknowledged send is lost, no acknowledged delete undone.
//!
//! Two streams run against one process. On `stream` the SDK sends and a mapping consumes. On `pile` the SDK does both,
//! so that its deletes are acknowledged to the test. Every id is written down, and all are counted in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use serde_json::{Value, json};
use support::config::{ON_DISK, function, mapping, queue};
use support::log::Log;
use support::sqs::entries;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Sqs, eventually, places};

/// Of both queues: short, so that what a killed process held is soon there again.
const VISIBILITY: Duration = Duration::from_secs(2);

/// What the test has written down.
#[derive(Default)]
struct Ledger {
    /// Every body that was sent, acknowledged or not.
    tried: BTreeSet<String>,
    /// The bodies on `stream` whose send was acknowledged.
    stream_acked: BTreeSet<String>,
    /// The messages on `pile` whose send was acknowledged.
    pile_acked: BTreeSet<String>,
    /// The messages on `pile` that were received.
    pile_received: BTreeSet<String>,
    /// The messages on `pile` whose delete was acknowledged, in that order.
    pile_deleted: BTreeMap<String, usize>,
    /// What must not have happened.
    revived: Vec<String>,
}

/// The clients of one round, which end at the first call that fails or when they are told to.
#[derive(Clone)]
struct Clients {
    sqs: Sqs,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    /// Acknowledged calls in this round.
    acked: Arc<AtomicUsize>,
}

impl Clients {
    fn new(endpoint: &str, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let sqs = Sqs::without_retries(endpoint);
        Self { sqs, ledger: Arc::clone(ledger), stop: Arc::default(), acked: Arc::default() }
    }

    /// Sends batches of ten to `stream`. Every tenth message fails at its first delivery, and every tenth takes so long
    /// that a backlog builds up: what is to be lost must be there.
    async fn send_to_stream(self, name: String) {
        for number in 0.. {
            let body = |place: usize| {
                let echo = json!({"do": "echo_to_log", "id": format!("{name}-{number}-{place}")});
                let commands = match place {
                    0 => vec![echo, json!({"do": "fail_until_receive_count", "count": 2})],
                    1 => vec![echo, json!({"do": "sleep_ms", "ms": 30})],
                    _ => vec![echo],
                };
                Value::from(commands).to_string()
            };
            let bodies: Vec<String> = (0..10).map(body).collect();
            let Some(acked) = self.send("stream", &bodies).await else { return };
            self.ledger.lock().unwrap().stream_acked.extend(acked.into_values());
        }
    }

    /// Sends batches of ten to `pile`.
    async fn send_to_pile(self, name: String) {
        for number in 0.. {
            let bodies: Vec<String> = (0..10).map(|place| format!("{name}-{number}-{place}")).collect();
            let Some(acked) = self.send("pile", &bodies).await else { return };
            self.ledger.lock().unwrap().pile_acked.extend(acked.into_keys());
        }
    }

    /// Sends a batch; gives the acknowledged bodies by message id. None: it is over.
    async fn send(&self, queue: &str, bodies: &[String]) -> Option<BTreeMap<String, String>> {
        self.ledger.lock().unwrap().tried.extend(bodies.iter().cloned());
        let call = self.sqs.client().send_message_batch().queue_url(self.sqs.url(queue));
        let sent = call.set_entries(Some(entries(bodies))).send().await.ok()?;
        assert!(sent.failed().is_empty(), "{:?}", sent.failed());
        let acked = sent.successful().iter().map(|entry| {
            let place: usize = entry.id().parse().unwrap();
            (entry.message_id().to_owned(), bodies[place].clone())
        });
        let acked: BTreeMap<String, String> = acked.collect();
        assert_eq!(acked.len(), bodies.len());
        self.count()?;
        // A stream, not a flood: the queue is not to be measured here.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some(acked)
    }

    /// Receives from `pile` and deletes what it got, until it is over.
    async fn consume_pile(self) {
        while self.consume_some().await.is_some() {
            // Slower than the senders, so that there is always something left.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn consume_some(&self) -> Option<()> {
        let deletes_before = self.ledger.lock().unwrap().pile_deleted.len();
        let asked_at = Instant::now();
        let call = self.sqs.client().receive_message().queue_url(self.sqs.url("pile"));
        let received = call.max_number_of_messages(10).wait_time_seconds(1).send().await.ok()?.messages;
        let mut deletes = Vec::new();
        let mut ids = Vec::new();
        for message in received.unwrap_or_default() {
            let id = message.message_id.unwrap();
            self.note_received(&id, deletes_before);
            let entry = DeleteMessageBatchRequestEntry::builder().id(deletes.len().to_string());
            deletes.push(entry.receipt_handle(message.receipt_handle.unwrap()).build().unwrap());
            ids.push(id);
        }
        if deletes.is_empty() {
            return self.count();
        }
        let call = self.sqs.client().delete_message_batch().queue_url(self.sqs.url("pile"));
        let deleted = call.set_entries(Some(deletes)).send().await.ok()?;
        assert!(deleted.failed().is_empty(), "{:?}", deleted.failed());
        // After its visibility timeout somebody else may hold a message, and as on SQS the old receipt then deletes nothing.
        if asked_at.elapsed() < VISIBILITY {
            let mut ledger = self.ledger.lock().unwrap();
            for entry in deleted.successful() {
                let place = ledger.pile_deleted.len();
                ledger.pile_deleted.entry(ids[entry.id().parse::<usize>().unwrap()].clone()).or_insert(place);
            }
        }
        self.count()
    }

    /// A message whose delete was acknowledged before this receive was asked for must not come.
    fn note_received(&self, id: &str, deletes_before: usize) {
        let mut ledger = self.ledger.lock().unwrap();
        if ledger.pile_deleted.get(id).is_some_and(|place| *place < deletes_before) {
            ledger.revived.push(id.to_owned());
        }
        ledger.pile_received.insert(id.to_owned());
    }

    fn count(&self) -> Option<()> {
        self.acked.fetch_add(1, Ordering::Relaxed);
        (!self.stop.load(Ordering::Relaxed)).then_some(())
    }
}

/// The bodies that handlers were given, as they logged them.
fn handled(log: &Log) -> impl Iterator<Item = String> {
    log.said_by("consumer").into_iter().map(|line| line.message().to_owned())
}

fn config(round: usize) -> String {
    // What survives power loss survives a kill, too, by another path.
    let on_disk = if round.is_multiple_of(2) { ON_DISK.to_owned() } else { ON_DISK.replace("\"os\"", "\"fsync\"") };
    let visibility = format!("visibility_timeout = {}", VISIBILITY.as_secs());
    on_disk
        + &queue("stream", &visibility)
        + &queue("pile", &visibility)
        + &function("consumer", "faulty", "timeout = 20\nreserved_concurrent_executions = 2")
        + &mapping("stream", "consumer", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_stream_loses_no_acknowledged_send_and_revives_no_acknowledged_delete() {
    let rounds = if places::is_long() { 25 } else { 5 };
    let home = Home::new();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut seen_by_handler = BTreeSet::new();
    for round in 0..rounds {
        let worker = home.run(&config(round)).await;
        let clients = Clients::new(&worker.endpoint(), &ledger);
        let tasks = [
            tokio::spawn(clients.clone().send_to_stream(format!("r{round}a"))),
            tokio::spawn(clients.clone().send_to_stream(format!("r{round}b"))),
            tokio::spawn(clients.clone().send_to_pile(format!("r{round}c"))),
            tokio::spawn(clients.clone().send_to_pile(format!("r{round}d"))),
            tokio::spawn(clients.clone().consume_pile()),
        ];
        // Not sooner than calls of this round were acknowledged, and at another moment in each.
        eventually(PATIENCE, async || {
            let acked = clients.acked.load(Ordering::Relaxed);
            holds(acked >= 100, || format!("round {round}: {acked} acknowledged calls"))
        })
        .await;
        tokio::time::sleep(Duration::from_millis(u64::try_from(round * 137 % 500).unwrap())).await;
        let log = worker.kill().await;
        for task in tasks {
            task.await.unwrap();
        }
        seen_by_handler.extend(handled(&log));
    }

    let worker = home.run(&config(rounds)).await;
    let sqs = worker.sqs();
    let clients = Clients::new(&worker.endpoint(), &ledger);
    eventually(2 * PATIENCE, async || {
        clients.consume_some().await.unwrap();
        let (stream, pile) = (sqs.counts("stream").await, sqs.counts("pile").await);
        holds(stream == Counts::EMPTY && pile == Counts::EMPTY, || format!("stream {stream:?}, pile {pile:?}"))
    })
    .await;
    seen_by_handler.extend(handled(&worker.stop().await));

    let ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger.stream_acked.difference(&seen_by_handler).collect();
    assert!(lost.is_empty(), "{} of {} sends lost: {lost:?}", lost.len(), ledger.stream_acked.len());
    let lost: Vec<_> = ledger.pile_acked.difference(&ledger.pile_received).collect();
    assert!(lost.is_empty(), "{} of {} sends lost: {lost:?}", lost.len(), ledger.pile_acked.len());
    assert!(ledger.revived.is_empty(), "deleted and received again: {:?}", ledger.revived);
    let invented: Vec<_> = seen_by_handler.difference(&ledger.tried).collect();
    assert!(invented.is_empty(), "never sent: {invented:?}");
    // The test has tested something.
    assert!(ledger.stream_acked.len() >= rounds * 10 && ledger.pile_deleted.len() >= rounds * 10);
}
