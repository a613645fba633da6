//! The queue, the flat list beside it, and what must hold after every step.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::Registry;
use tempfile::TempDir;

use super::Op;
use crate::arn::Identity;
use crate::broker::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::fixtures::{START_UNIX_MS, create};
use crate::local::LocalQueue;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::peek::{MessageState, PeekRequest};
use crate::store::{Durability, OpenError};
use crate::timeline::Timeline;

/// A queue of each type, and its dead-letter queue behind it.
pub(super) const QUEUES: [&str; 4] = ["s", "s-dead", "f.fifo", "f-dead.fifo"];
pub(super) const MAX_RECEIVES: u32 = 2;

/// One message, known by its body: a redrive gives it another id.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) body: String,
    pub(super) id: String,
    pub(super) queue: usize,
    pub(super) group: Option<String>,
    pub(super) count: u32,
    /// Where it stands in a FIFO queue.
    pub(super) place: u64,
    pub(super) hidden_until_ms: u64,
    pub(super) is_dead: bool,
    /// The handle of its latest delivery, unless that was given back.
    pub(super) receipt: Option<String>,
}

pub(super) struct World {
    pub(super) directory: TempDir,
    pub(super) broker: Broker,
    pub(super) known: Vec<Known>,
    /// Deduplication id, message id, when it was sent.
    pub(super) originals: Vec<(u8, String, u64)>,
    pub(super) handed_out: Vec<(usize, Message)>,
    pub(super) purged_ms: BTreeMap<usize, u64>,
    pub(super) now_ms: u64,
    pub(super) places: u64,
}

async fn open(directory: &TempDir, unix_ms: u64) -> Broker {
    loop {
        let options = BrokerOptions {
            data_dir: Some(directory.path().to_owned()),
            durability: Durability::Os,
            identity: Identity::default(),
            clock: Some(Clock::starting_at(unix_ms)),
            timeline: Timeline::real(),
            chaos: None,
            metrics: Metrics::register(&Registry::new()).unwrap(),
        };
        match Broker::open(options).await {
            Ok(broker) => return broker,
            // Dropped without being closed: what it had queued is being written.
            Err(OpenError::Locked(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(other) => panic!("{other}"),
        }
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let broker = open(&directory, START_UNIX_MS).await;
        for (name, dead) in [("s", "s-dead"), ("f.fifo", "f-dead.fifo")] {
            let arn = broker.identity().arn(dead);
            let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVES}}}"#);
            let fifo = if name == "f.fifo" { &[("FifoQueue", "true")][..] } else { &[] };
            let common = [fifo, &[("VisibilityTimeout", "600"), ("MessageRetentionPeriod", "1209600")]].concat();
            create(&broker, dead, &common).await;
            create(&broker, name, &[&common[..], &[("RedrivePolicy", &policy)]].concat()).await;
        }
        Self {
            directory,
            broker,
            known: Vec::new(),
            originals: Vec::new(),
            handed_out: Vec::new(),
            purged_ms: BTreeMap::new(),
            now_ms: 0,
            places: 0,
        }
    }

    pub(super) fn queue(&self, index: usize) -> LocalQueue {
        self.broker.queue(QUEUES[index]).unwrap()
    }

    pub(super) fn next_place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    pub(super) fn find(&mut self, body: &str) -> &mut Known {
        self.known.iter_mut().find(|known| known.body == body).unwrap()
    }

    pub(super) fn is_visible(&self, known: &Known) -> bool {
        known.hidden_until_ms <= self.now_ms
    }

    /// What may be received, in its order; on a FIFO queue nothing that stands behind a message that is hidden.
    pub(super) fn receivable(&self, queue: usize) -> Vec<Known> {
        let held = |known: &Known| {
            let same = |other: &&Known| other.queue == queue && other.group == known.group;
            let before = self.known.iter().filter(same).filter(|other| other.place < known.place);
            is_fifo(queue) && before.into_iter().any(|other| !self.is_visible(other))
        };
        let free = self.known.iter().filter(|known| known.queue == queue && self.is_visible(known) && !held(known));
        let mut free: Vec<Known> = free.cloned().collect();
        free.sort_by_key(|known| known.place);
        free
    }

    pub(super) async fn step(&mut self, op: &Op) {
        match op {
            Op::Send { queue, group, deduplication } => self.send(*queue, *group, deduplication).await,
            Op::Receive { queue, max, looks_only } => self.receive(*queue, *max, *looks_only).await,
            Op::Delete { receipt } => self.delete(*receipt).await,
            Op::Hide { receipt, seconds } => self.hide(*receipt, *seconds).await,
            Op::Release { receipt } => self.release(*receipt).await,
            Op::Bury { receipt } => self.bury(*receipt).await,
            Op::Purge { queue } => self.purge(*queue).await,
            Op::Redrive { queue, reopens } => self.redrive(*queue, *reopens).await,
            Op::Reopen { in_order, away_ms } => self.reopen(*in_order, *away_ms).await,
        }
        self.settle().await;
        self.check().await;
    }

    /// Waits for what nobody waits for: a change of tags is written after all that was planned before it.
    pub(super) async fn settle(&self) {
        self.queue(0).tag(&[]).await.unwrap();
    }

    pub(super) async fn reopen(&mut self, in_order: bool, away_ms: u64) {
        if in_order {
            self.broker.close().await;
        }
        self.now_ms += away_ms;
        self.purged_ms.clear();
        // A few milliseconds have passed in truth.
        let unix_ms = self.broker.now().tick_ms + away_ms;
        // Nobody may hold the old one while the new one is opened.
        let resting = Broker::open(BrokerOptions {
            data_dir: None,
            durability: Durability::Os,
            identity: Identity::default(),
            clock: None,
            timeline: Timeline::real(),
            chaos: None,
            metrics: Metrics::register(&Registry::new()).unwrap(),
        });
        self.broker = resting.await.unwrap();
        self.broker = open(&self.directory, unix_ms).await;
    }

    /// What a peek shows, by body.
    pub(super) async fn shown(&self, queue: usize) -> BTreeMap<String, Shown> {
        let peeked = self.queue(queue).peek(&PeekRequest { max_messages: 1000, ..PeekRequest::default() }).await;
        let shown = peeked.unwrap().into_iter().map(|one| {
            let is_dead = one.system.dead_letter_source_arn.is_some();
            let (count, group) = (one.system.receive_count, one.system.group_id);
            (one.body, Shown { id: one.id.to_string(), state: one.state, count, group, is_dead })
        });
        shown.collect()
    }

    async fn check(&self) {
        for (queue, name) in QUEUES.into_iter().enumerate() {
            let of_it = self.known.iter().filter(|known| known.queue == queue);
            let expected: BTreeMap<String, Shown> = of_it
                .map(|known| {
                    let state = if self.is_visible(known) { MessageState::Visible } else { MessageState::InFlight };
                    let Known { id, count, group, is_dead, .. } = known.clone();
                    (known.body.clone(), Shown { id, state, count, group, is_dead })
                })
                .collect();
            assert_eq!(self.shown(queue).await, expected, "{name}");
            let visible = expected.values().filter(|shown| shown.state == MessageState::Visible).count() as u64;
            let told = self.queue(queue).describe().unwrap();
            assert_eq!((told.visible, told.in_flight, told.delayed), (visible, expected.len() as u64 - visible, 0));
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) state: MessageState,
    pub(super) count: u32,
    pub(super) group: Option<String>,
    pub(super) is_dead: bool,
}

pub(super) fn is_fifo(queue: usize) -> bool {
    QUEUES[queue].ends_with(".fifo")
}
