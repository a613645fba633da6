//! `cargo xtask soak`: the real worker under load and faults for a while, then the account of every message, and of the
//! worker's memory.
//!
//! `plan.rs` is what the seed says, `load.rs` the senders, `ledger.rs` the accounting, `memory.rs` the verdict on memory.
//! The units of these run in every test run; the soak itself when it is asked for.

#![expect(clippy::unwrap_used, reason = "tests")]

mod ledger;
mod load;
mod memory;
mod plan;

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::{Account, Ledger, Lying};
use memory::Trend;
use plan::{Fault, QUEUES, WORK};
use rustix::process::Signal;
use serde_json::Value;
use support::config::{ON_DISK, function, mapping, queue};
use support::log::Log;
use support::seed::seed;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Wasmill, eventually};
use tokio::sync::watch;

const SENDERS: u64 = 3;
const MAX_RECEIVE_COUNT: u64 = 3;
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// What is left at the end of the load is handled within this time, poison included.
const DRAINED_WITHIN: Duration = Duration::from_secs(180);
/// How many of a list a failure shows.
const SHOWN: usize = 20;

fn config(life: u32) -> String {
    // What survives power loss survives a kill, too, by another path.
    let durability = if life.is_multiple_of(2) { "os" } else { "fsync" };
    let mut config = ON_DISK.replace("\"os\"", &format!("\"{durability}\""));
    for (name, dead) in QUEUES {
        config += &queue(dead, "");
        let redrive = format!("{{ dead_letter_target_arn = \"{dead}\", max_receive_count = {MAX_RECEIVE_COUNT} }}");
        config += &queue(name, &format!("visibility_timeout = 5\nredrive_policy = {redrive}"));
        let function_name = name.trim_end_matches(".fifo");
        // Only the work is meant to take too long: a machine that is slow for a moment is no fault of the others.
        let timeout = if name == WORK { 2 } else { 20 };
        let keys = format!("timeout = {timeout}\nmemory_size = 64\nreserved_concurrent_executions = 6");
        config += &function(function_name, "faulty", &keys);
        // However many of a batch crash, each of them is found.
        config += &mapping(name, function_name, "bisect_max_invocations = 100\nretry_policy = \"immediate\"");
    }
    config
}

/// One process after the other, and what was seen of them.
struct Run {
    home: Home,
    ledger: Arc<Mutex<Ledger>>,
    endpoint: watch::Sender<Option<String>>,
    life: u32,
    /// Of each life.
    samples_kib: BTreeMap<u32, Vec<u64>>,
    kills: usize,
    drains: usize,
    reloads: usize,
}

impl Run {
    async fn start(&self) -> Wasmill {
        let worker = self.home.run(&config(self.life)).await;
        self.endpoint.send_replace(Some(worker.endpoint()));
        worker
    }

    /// Waits, and looks at the memory meanwhile.
    async fn watch_until(&mut self, worker: &Wasmill, moment: Instant) {
        while Instant::now() < moment {
            self.samples_kib.entry(self.life).or_default().push(worker.resident_kib());
            tokio::time::sleep(SAMPLE_EVERY.min(moment.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn suffer(&mut self, worker: Wasmill, fault: Fault) -> Wasmill {
        let log = match fault {
            Fault::Reload => {
                worker.signal(Signal::HUP);
                self.reloads += 1;
                return worker;
            }
            // The senders do not know of it: a kill is to find them, and handlers, at work.
            Fault::Kill => {
                self.kills += 1;
                worker.kill().await
            }
            Fault::Drain => {
                self.drains += 1;
                worker.stop().await
            }
        };
        self.endpoint.send_replace(None);
        self.note_handled(&log);
        self.life += 1;
        self.start().await
    }

    fn note_handled(&self, log: &Log) {
        let mut ledger = self.ledger.lock().unwrap();
        for line in log.pick(|line| line.field("target") == "wasmill::handler") {
            // A panic's words are lines, too.
            if let Some(name) = name_in(line.message()) {
                ledger.handled.push((self.life, name));
            }
        }
    }
}

/// The message's name in a body.
fn name_in(body: &str) -> Option<String> {
    serde_json::from_str::<Value>(body).ok()?[0]["name"].as_str().map(str::to_owned)
}

/// All messages of a queue, without receiving them.
async fn peek(worker: &Wasmill, queue: &str) -> Vec<Lying> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let answer = worker.get(&format!("/api/queues/{queue}/messages?max=1000{after}")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        for message in page["messages"].as_array().unwrap() {
            let body = message["body"].as_str().unwrap();
            found.push(Lying {
                name: name_in(body).unwrap_or_else(|| body.to_owned()),
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

/// Waits until the queues are empty, or no longer: what remains is counted.
async fn drain(worker: &Wasmill) {
    let (sqs, begun) = (worker.sqs(), Instant::now());
    eventually(DRAINED_WITHIN + PATIENCE, async || {
        let mut are_empty = true;
        for (queue, _) in QUEUES {
            are_empty &= sqs.counts(queue).await == Counts::EMPTY;
        }
        holds(are_empty || begun.elapsed() > DRAINED_WITHIN, || "the queues are not empty".to_owned())
    })
    .await;
}

fn table(run: &Run, account: &Account, sent: usize, trend: Option<Trend>) -> String {
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    let memory = trend.map_or("too short to tell".to_owned(), |trend| {
        format!("{} first third, {} last third", mib(trend.first_kib), mib(trend.last_kib))
    });
    let rows = [
        ("sent", sent.to_string()),
        ("acknowledged", account.acknowledged.to_string()),
        ("succeeded", account.succeeded.to_string()),
        ("dead-lettered", account.dead_lettered.to_string()),
        ("  of which interrupted", account.dead_of_interruptions.len().to_string()),
        ("remaining", account.remaining.to_string()),
        ("unknown", format!("{}, of which {} were seen", account.unknown, account.unknown_seen)),
        ("repeated after restart", account.repeated_after_restart.to_string()),
        ("repeated beside failure", account.repeated_beside_failure.to_string()),
        ("kills", run.kills.to_string()),
        ("drains", run.drains.to_string()),
        ("restarts", run.life.to_string()),
        ("reloads", run.reloads.to_string()),
        ("RSS", memory),
    ];
    rows.iter().map(|(name, value)| format!("  {name:<24} {value}\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `cargo xtask soak`"]
async fn soak() {
    let seed = seed("soak");
    let seconds = env::var("WASMILL_SOAK_SECONDS").map_or(120, |text| text.parse().unwrap());
    let (endpoint, watched) = watch::channel(None);
    let mut run = Run {
        home: Home::new(),
        ledger: Arc::default(),
        endpoint,
        life: 0,
        samples_kib: BTreeMap::new(),
        kills: 0,
        drains: 0,
        reloads: 0,
    };
    let mut worker = run.start().await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(load::send_for_ever(seed, sender, Arc::clone(&run.ledger), watched.clone()));
    }
    drop(watched);
    let begun = Instant::now();
    for event in plan::events(seed, seconds) {
        run.watch_until(&worker, begun + Duration::from_millis(event.at_ms)).await;
        worker = run.suffer(worker, event.fault).await;
    }
    run.watch_until(&worker, begun + Duration::from_secs(seconds)).await;
    // The senders end with the call they are in; those that wait for a worker end, too.
    run.endpoint.send_replace(None);
    run.endpoint = watch::Sender::new(None);
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    drain(&worker).await;
    for (queue, dead) in QUEUES {
        let (remaining, dead) = (peek(&worker, queue).await, peek(&worker, dead).await);
        let mut ledger = run.ledger.lock().unwrap();
        ledger.remaining.extend(remaining);
        ledger.dead.extend(dead);
    }
    worker.assert_sound().await;
    let log = worker.stop().await;
    run.note_handled(&log);
    judge(&run, seconds);
}

fn judge(run: &Run, seconds: u64) {
    let ledger = run.ledger.lock().unwrap();
    let account = ledger::settle(&ledger, MAX_RECEIVE_COUNT);
    let trend = run.samples_kib.values().max_by_key(|samples| samples.len()).and_then(|samples| Trend::of(samples));
    let told = table(run, &account, ledger.sent.len(), trend);
    let mut told = format!("soak of {seconds} s:\n{told}");
    for story in account.dead_of_interruptions.iter().take(SHOWN) {
        told += &format!("  interrupted and dead-lettered: {story}\n");
    }
    // Not through the macros, whose output a passing test hides.
    let _ = write!(std::io::stderr(), "{told}");
    let wrong = &account.wrong;
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(SHOWN)]);
    let settled = account.succeeded + account.dead_lettered + account.remaining;
    assert_eq!(account.acknowledged, settled);
    assert_eq!(account.remaining, 0, "not handled within {DRAINED_WITHIN:?} after the load ended");
    assert!(account.succeeded > 0, "the soak has tested nothing");
    assert!(trend.is_none_or(Trend::is_flat), "the memory grew: {trend:?}");
}
