//! `cargo xtask soak`: the real worker under load and faults for a while, then the account of every message, and of the
//! worker's memory.
//!
//! `plan.rs` is what the seed says of faults, `memory.rs` the verdict on memory; the messages, the senders and the accounting are
//! `support`'s. The units of these run in every test run; the soak itself when it is asked for.

#![expect(clippy::unwrap_used, reason = "tests")]

mod memory;
mod plan;

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memory::Trend;
use plan::Fault;
use rustix::process::Signal;
use support::config::ON_DISK;
use support::ledger::{Account, Ended, Ledger};
use support::look;
use support::seed::seed;
use support::senders::Stream;
use support::workload::Workload;
use support::{Home, Wasmill};
use tokio::sync::watch;

const SENDERS: u64 = 3;
/// Between two calls of a sender.
const PAUSE: Duration = Duration::from_millis(80);
const VISIBILITY_SECONDS: u32 = 5;
const MAX_RECEIVE_COUNT: u64 = 3;
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// What is left at the end of the load is handled within this time, poison included.
const DRAINED_WITHIN: Duration = Duration::from_secs(180);
/// How many of a list a failure shows.
const SHOWN: usize = 20;

fn config(life: u32) -> String {
    // What survives power loss survives a kill, too, by another path.
    let durability = if life.is_multiple_of(2) { "os" } else { "fsync" };
    ON_DISK.replace("\"os\"", &format!("\"{durability}\""))
        + &Workload::usual().config(VISIBILITY_SECONDS, MAX_RECEIVE_COUNT)
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
        let (log, end) = match fault {
            Fault::Reload => {
                worker.signal(Signal::HUP);
                self.reloads += 1;
                return worker;
            }
            // The senders do not know of it: a kill is to find them, and handlers, at work.
            Fault::Kill => {
                self.kills += 1;
                let killed = Instant::now();
                (worker.kill().await, Ended::Killed(killed))
            }
            Fault::Drain => {
                self.drains += 1;
                (worker.stop().await, Ended::Drained)
            }
        };
        self.endpoint.send_replace(None);
        self.ledger.lock().unwrap().end_life(&log, end);
        self.life += 1;
        self.start().await
    }
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
        ("refused", account.refused.to_string()),
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
    let workload = Arc::new(Workload::usual());
    for sender in 0..SENDERS {
        let stream = Stream { workload: Arc::clone(&workload), seed, sender, pause: PAUSE };
        senders.spawn(stream.send_for_ever(Arc::clone(&run.ledger), watched.clone()));
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
    look::wait_until_empty(&worker, &workload.queues(), DRAINED_WITHIN).await;
    for source in &workload.sources {
        let remaining = look::messages(&worker, &source.name).await;
        let dead = look::messages(&worker, &source.dead).await;
        let mut ledger = run.ledger.lock().unwrap();
        ledger.remaining.extend(remaining);
        ledger.dead.extend(dead);
    }
    worker.assert_sound().await;
    let log = worker.stop().await;
    run.ledger.lock().unwrap().end_life(&log, Ended::Drained);
    judge(&run, seconds);
}

fn judge(run: &Run, seconds: u64) {
    let ledger = run.ledger.lock().unwrap();
    let account = ledger.settle(MAX_RECEIVE_COUNT);
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
