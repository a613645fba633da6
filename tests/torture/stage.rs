//! Where a scenario plays: one worker after the other on one folder, the senders, and the account at the end.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::ledger::{Ended, Ledger};
use support::log::Log;
use support::look;
use support::seed::Chance;
use support::senders::Stream;
use support::workload::Workload;
use support::{Home, Wasmill};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::report::Outcome;
use crate::usage::{Bounds, Usage};

/// Of every source queue.
pub(crate) const MAX_RECEIVE_COUNT: u64 = 3;
/// Of every source queue: what a killed process held is soon there again.
pub(crate) const VISIBILITY_SECONDS: u32 = 5;
/// What is left when the senders stop is handled within this time, poison included.
const DRAINED_WITHIN: Duration = Duration::from_secs(150);
/// Between two calls of a sender.
pub(crate) const PAUSE: Duration = Duration::from_millis(80);

/// What a scenario is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// All that is planned comes from it.
    pub(crate) seed: u64,
    /// How long the senders send and the faults come.
    pub(crate) load: Duration,
    /// Everything in small: part of every test run.
    pub(crate) is_smoke: bool,
}

impl Task {
    /// Moments in the load, each so many milliseconds after the one before. Those of a longer load begin with those of
    /// a shorter one.
    pub(crate) fn moments(&self, chance: &mut Chance, from_ms: u64, to_ms: u64) -> Vec<Duration> {
        let mut moments = Vec::new();
        let mut at_ms = 0;
        loop {
            at_ms += chance.within(from_ms, to_ms);
            let at = Duration::from_millis(at_ms);
            if at >= self.load {
                return moments;
            }
            moments.push(at);
        }
    }

    /// The smaller number in a smoke.
    pub(crate) fn sized(&self, usual: usize, smoke: usize) -> usize {
        if self.is_smoke { smoke } else { usual }
    }
}

type Config = Box<dyn Fn(u32) -> String + Send + Sync>;
type Adapt = Box<dyn Fn(Command) -> Command + Send + Sync>;

/// How workers are started.
pub(crate) struct Setup {
    pub(crate) home: Home,
    pub(crate) workload: Workload,
    /// By the number of the life.
    pub(crate) config: Config,
    /// Makes the command of the usual one.
    pub(crate) adapt: Adapt,
}

impl Setup {
    /// The workload's queues, each with a function and a mapping, below what `top` says of the life.
    pub(crate) fn new(workload: Workload, top: impl Fn(u32) -> String + Send + Sync + 'static) -> Self {
        let below = workload.config(VISIBILITY_SECONDS, MAX_RECEIVE_COUNT);
        let config = Box::new(move |life| top(life) + &below);
        Self { home: Home::new(), workload, config, adapt: Box::new(|command| command) }
    }
}

/// The stage.
pub(crate) struct Stage {
    setup: Setup,
    workload: Arc<Workload>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    endpoint: watch::Sender<Option<String>>,
    senders: JoinSet<()>,
    worker: Wasmill,
    life: u32,
    begun: Instant,
    idle: Usage,
    faults: BTreeMap<&'static str, usize>,
    notes: Vec<String>,
    wrong: Vec<String>,
    /// Of the lives that have ended.
    logs: Vec<Log>,
}

impl Stage {
    /// Starts the first worker.
    pub(crate) async fn open(setup: Setup) -> Self {
        let worker = setup.home.run_by(&(setup.config)(0), &setup.adapt).await;
        let idle = Usage::of(&worker);
        let endpoint = watch::Sender::new(Some(worker.endpoint()));
        Self {
            workload: Arc::new(setup.workload.clone()),
            setup,
            ledger: Arc::default(),
            endpoint,
            senders: JoinSet::new(),
            worker,
            life: 0,
            begun: Instant::now(),
            idle,
            faults: BTreeMap::new(),
            notes: Vec::new(),
            wrong: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// Starts senders, each with a stream of its own.
    pub(crate) fn send(&mut self, seed: u64, senders: u64, pause: Duration) {
        for sender in 0..senders {
            let stream = Stream { workload: Arc::clone(&self.workload), seed, sender, pause };
            self.senders.spawn(stream.send_for_ever(Arc::clone(&self.ledger), self.endpoint.subscribe()));
        }
    }

    pub(crate) fn worker(&self) -> &Wasmill {
        &self.worker
    }

    /// Waits for a moment, counted from the start.
    pub(crate) async fn wait_until(&self, moment: Duration) {
        tokio::time::sleep((self.begun + moment).saturating_duration_since(Instant::now())).await;
    }

    /// Counts a fault for the report.
    pub(crate) fn count(&mut self, fault: &'static str, times: usize) {
        *self.faults.entry(fault).or_default() += times;
    }

    /// A line for the report.
    pub(crate) fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// Something that must not be.
    pub(crate) fn accuse(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// SIGKILL, which finds senders and handlers at work, and a start on the same folder.
    pub(crate) async fn kill(&mut self) {
        self.count("kills", 1);
        let killed = Instant::now();
        self.worker.signal(rustix::process::Signal::KILL);
        self.replace(Ended::Killed(killed)).await;
    }

    /// SIGTERM, and a start when the drain has ended.
    pub(crate) async fn drain(&mut self) {
        self.count("drains", 1);
        self.worker.signal(rustix::process::Signal::TERM);
        self.replace(Ended::Drained).await;
    }

    async fn replace(&mut self, end: Ended) {
        let status = self.worker.wait_exit(support::PATIENCE).await;
        if matches!(end, Ended::Drained) && status.code() != Some(0) {
            self.accuse(format!("the drain ended with {status:?}"));
        }
        self.endpoint.send_replace(None);
        self.ledger.lock().unwrap().end_life(self.worker.log(), end);
        self.logs.push(self.worker.log().clone());
        self.life += 1;
        self.worker = self.setup.home.run_by(&(self.setup.config)(self.life), &self.setup.adapt).await;
        self.endpoint.send_replace(Some(self.worker.endpoint()));
    }

    /// Lets the senders end, each with the call it is in.
    pub(crate) async fn stop_senders(&mut self) {
        self.endpoint.send_replace(None);
        // Those that wait for a worker end when nobody can tell any more where one is.
        self.endpoint = watch::Sender::new(None);
        while let Some(ended) = self.senders.join_next().await {
            ended.unwrap();
        }
    }

    /// Ends it: what is in the queues is handled, then everything is counted.
    pub(crate) async fn close(mut self, bounds: Bounds) -> Outcome {
        self.stop_senders().await;
        look::wait_until_empty(&self.worker, &self.workload.queues(), DRAINED_WITHIN).await;
        for source in &self.workload.sources {
            let remaining = look::messages(&self.worker, &source.name).await;
            let dead = look::messages(&self.worker, &source.dead).await;
            let mut ledger = self.ledger.lock().unwrap();
            ledger.remaining.extend(remaining);
            ledger.dead.extend(dead);
        }
        let took = self.begun.elapsed();
        let end = self.idle.wait_for_return(&self.worker, bounds, &mut self.wrong).await;
        self.worker.assert_sound().await;
        let log = self.worker.stop().await;
        self.logs.push(log.clone());
        let mut ledger = self.ledger.lock().unwrap();
        ledger.end_life(&log, Ended::Drained);
        Outcome {
            took,
            sent: ledger.sent.len(),
            account: ledger.settle(MAX_RECEIVE_COUNT),
            faults: self.faults,
            notes: self.notes,
            wrong: self.wrong,
            idle: self.idle,
            end,
            logs: self.logs,
        }
        .judged()
    }
}
