//! A worker whose queues are behind a server that throttles, fails, cuts connections, hands out messages twice, does not do the deletes
//! that it says it did, and refuses receipt handles (`liar.rs`); and the worker is killed.
//!
//! What never fails is handled once more per lie about it, at most. Dead letters are the real server's, by its receive counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::config::ON_DISK;
use support::ledger::{Answer, Ended, Ledger};
use support::look;
use support::seed::Chance;
use support::senders::Stream;
use support::workload::Workload;
use support::{Home, PATIENCE, Wasmill};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::liar::Liar;
use crate::report::Outcome;
use crate::stage::{PAUSE, Task, VISIBILITY_SECONDS};
use crate::usage::{Bounds, Usage};

/// Lies use up receives, too.
const MAX_RECEIVE_COUNT: u64 = 12;
const DRAINED_WITHIN: Duration = Duration::from_secs(150);
const SENDERS: u64 = 3;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let workload = Arc::new(Workload::usual());
    let queues = workload.queues_config(VISIBILITY_SECONDS, MAX_RECEIVE_COUNT);
    let server = Home::new().run(&format!("{ON_DISK}{queues}")).await;
    let liar = Liar::before(server.sqs_address(), !task.seed).await;
    let config = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[aws]\nregion = \"us-east-1\"\nendpoint_url = \"http://{}\"\n{}",
        liar.address,
        workload.functions(|queue| format!("http://{}/000000000000/{queue}", liar.address)),
    );
    let home = Home::new();
    let mut worker = home.run(&config).await;
    let (begun, idle) = (Instant::now(), Usage::of(&worker));
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let (endpoint, watched) = watch::channel(Some(server.endpoint()));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let stream = Stream { workload: Arc::clone(&workload), seed: task.seed, sender, pause: 2 * PAUSE };
        senders.spawn(stream.send_for_ever(Arc::clone(&ledger), watched.clone()));
    }
    drop(watched);
    let (mut chance, mut kills, mut logs) = (Chance::new(task.seed), 0, Vec::new());
    for moment in task.moments(&mut chance, 2000, 6000) {
        tokio::time::sleep((begun + moment).saturating_duration_since(Instant::now())).await;
        let killed = Instant::now();
        let log = worker.kill().await;
        ledger.lock().unwrap().end_life(&log, Ended::Killed(killed));
        logs.push(log);
        kills += 1;
        worker = home.run(&config).await;
    }
    tokio::time::sleep((begun + task.load).saturating_duration_since(Instant::now())).await;
    endpoint.send_replace(None);
    drop(endpoint);
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    liar.confess();
    look::wait_until_empty(&server, &workload.queues(), DRAINED_WITHIN).await;
    let took = begun.elapsed();
    let mut wrong = Vec::new();
    // A client of AWS keeps connections for a minute and a half.
    let bounds = Bounds { more_files: 60, ..Bounds::default() };
    let end = idle.wait_for_return(&worker, bounds, &mut wrong).await;
    let log = stop(worker, &mut wrong).await;
    note_what_lies(&server, &workload, &ledger).await;
    server.stop().await;
    let mut ledger = ledger.lock().unwrap();
    ledger.end_life(&log, Ended::Drained);
    logs.push(log);
    note_lies(&mut ledger, &liar);
    let mut faults = liar.book.lock().unwrap().tricks.clone();
    faults.insert("kills", kills);
    let (sent, account) = (ledger.sent.len(), ledger.settle(MAX_RECEIVE_COUNT));
    Some(Outcome { took, sent, account, faults, notes: Vec::new(), wrong, idle, end, logs }.judged())
}

/// A drain waits for long polls.
async fn stop(mut worker: Wasmill, wrong: &mut Vec<String>) -> support::log::Log {
    worker.assert_sound().await;
    worker.signal(rustix::process::Signal::TERM);
    let status = worker.wait_exit(PATIENCE).await;
    if status.code() != Some(0) {
        wrong.push(format!("the drain ended with {status:?}"));
    }
    worker.log().clone()
}

async fn note_what_lies(server: &Wasmill, workload: &Workload, ledger: &Mutex<Ledger>) {
    for source in &workload.sources {
        let remaining = look::messages(server, &source.name).await;
        let dead = look::messages(server, &source.dead).await;
        let mut ledger = ledger.lock().unwrap();
        ledger.remaining.extend(remaining);
        ledger.dead.extend(dead);
    }
}

/// The liar knows messages by id, the ledger by name.
fn note_lies(ledger: &mut Ledger, liar: &Liar) {
    let names: BTreeMap<&str, &String> = ledger
        .sent
        .iter()
        .filter_map(|(name, sent)| match &sent.answer {
            Answer::Id(id) => Some((id.as_str(), name)),
            Answer::None | Answer::Refused => None,
        })
        .collect();
    let book = liar.book.lock().unwrap();
    let lies = book.lies.iter().filter_map(|(id, times)| Some(((*names.get(id.as_str())?).clone(), *times)));
    ledger.lies = lies.collect();
}
