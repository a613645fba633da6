//! What is known of a simulated run, beside the mapping: which verdicts were given, and what follows from them.
//!
//! * A message is deleted only after a verdict that says so, and buried only after one that says that.
//! * In the end every message was done or is in the dead-letter queue, once; there without a verdict only after its receives.
//! * No more invocations run than there are permits, a sibling's too, and no batch is longer than it may be.
//! * In a message group nothing runs before all before it are done, dead, or in front of it in its batch.
//! * What was done does not run again, unless the mapping was started anew, the queue handed it out twice or the lease
//!   was lost.
//! * Calls are bounded: nothing is asked in a loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use wasmill_event::{Record, Verdict};
use wasmill_queue::{Message, ReceiptHandle};

use super::Rng;
use super::profile::Profile;

pub(super) type Shared = Arc<Mutex<World>>;

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) profile: Profile,
    pub(super) in_trouble: bool,
    pub(super) trace: Vec<String>,
    pub(super) wrong: Vec<String>,
    pub(super) calls: u64,
    began: Instant,
    /// By receipt: the body. Bodies are unique.
    receipts: BTreeMap<String, String>,
    receives: BTreeMap<String, u32>,
    pub(super) done: BTreeSet<String>,
    /// Done since the last start of the mapping, and received before that.
    done_here: BTreeSet<String>,
    dead: BTreeSet<String>,
    /// Ran although one before it had neither been done nor was in front of it: that one must have died.
    jumped: BTreeSet<(String, String)>,
    running: u32,
    sibling_running: u32,
    groups_running: BTreeMap<String, u32>,
}

impl World {
    pub(super) fn new(rng: Rng, profile: Profile) -> Self {
        Self {
            rng,
            profile,
            in_trouble: true,
            trace: Vec::new(),
            wrong: Vec::new(),
            calls: 0,
            began: Instant::now(),
            receipts: BTreeMap::new(),
            receives: BTreeMap::new(),
            done: BTreeSet::new(),
            done_here: BTreeSet::new(),
            dead: BTreeSet::new(),
            jumped: BTreeSet::new(),
            running: 0,
            sibling_running: 0,
            groups_running: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, what: impl AsRef<str>) {
        let at = self.began.elapsed().as_millis();
        self.trace.push(format!("{at:>8} {}", what.as_ref()));
    }

    pub(super) fn is_wrong(&mut self, what: String) {
        self.note(format!("WRONG {what}"));
        self.wrong.push(what);
    }

    /// True in so many of a hundred while there is trouble.
    pub(super) fn chance(&mut self, share: u64) -> bool {
        self.in_trouble && self.rng.percent(share)
    }

    pub(super) fn body_of(&self, receipt: &ReceiptHandle) -> String {
        self.receipts.get(receipt.as_str()).cloned().unwrap_or_else(|| "?".to_owned())
    }

    pub(super) fn received(&mut self, messages: &[Message]) {
        for message in messages {
            self.receipts.insert(message.receipt.as_str().to_owned(), message.body.clone());
            *self.receives.entry(message.body.clone()).or_default() += 1;
        }
    }

    pub(super) fn deletes(&mut self, receipt: &ReceiptHandle) {
        let body = self.body_of(receipt);
        let is_filtered = self.profile.has_filter && !self.profile.keeps_filtered && body.contains("skip");
        if !self.done.contains(&body) && !is_filtered {
            self.is_wrong(format!("{body} deleted without a verdict"));
        }
    }

    pub(super) fn buries(&mut self, body: &str) {
        if !self.dead.contains(body) {
            self.is_wrong(format!("{body} buried without a verdict"));
        }
    }

    /// A mapping forgets what it remembered.
    pub(super) fn restarted(&mut self) {
        self.note("restarted");
        self.done_here.clear();
    }

    /// An invocation begins.
    pub(super) fn begins(&mut self, records: &[Record]) {
        let bodies: Vec<&str> = records.iter().map(|record| record.body.as_str()).collect();
        self.note(format!("run {bodies:?}"));
        self.running += 1;
        self.within_permits();
        if records.is_empty() || records.len() > self.profile.batch_size as usize {
            self.is_wrong(format!("{} records", records.len()));
        }
        let faults = self.profile.faults.clone();
        // A renewal that fails or comes too late.
        let is_late = faults.slow > 0 && self.profile.visibility_s < 12;
        let loses_leases = faults.change_fails > 0 || faults.change_lost > 0 || is_late;
        for (index, body) in bodies.iter().enumerate() {
            if self.profile.has_filter && body.contains("skip") {
                self.is_wrong(format!("{body} was filtered out and ran"));
            }
            if self.done_here.contains(*body) && faults.duplicates == 0 && !loses_leases {
                self.is_wrong(format!("{body} was done and ran again"));
            }
            if self.profile.is_fifo {
                self.in_order(body, &bodies[..index]);
            }
        }
        if self.profile.is_fifo {
            for group in groups_of(records) {
                let running = self.groups_running.entry(group.clone()).or_default();
                *running += 1;
                if *running > 1 && !loses_leases {
                    self.is_wrong(format!("two batches of group {group} at a time"));
                }
            }
        }
    }

    fn within_permits(&mut self) {
        let (running, beside, permits) = (self.running, self.sibling_running, self.profile.permits);
        if running + beside > permits || running > self.profile.maximum_concurrency.unwrap_or(permits) {
            self.is_wrong(format!("{running} invocations and {beside} of the sibling with {permits} permits"));
        }
    }

    pub(super) fn sibling_begins(&mut self, records: usize) {
        self.note(format!("sibling runs {records}"));
        self.sibling_running += 1;
        self.within_permits();
    }

    pub(super) fn sibling_ends(&mut self) {
        self.sibling_running -= 1;
    }

    fn in_order(&mut self, body: &str, in_front: &[&str]) {
        let (group, number) = group_and_number(body);
        for earlier in 0..number {
            for before in [format!("{group}:{earlier}"), format!("{group}:{earlier}:skip")] {
                let is_known = self.receives.contains_key(&before);
                let is_settled = self.done.contains(&before) || (self.profile.has_filter && before.contains("skip"));
                if is_known && !is_settled && !in_front.contains(&before.as_str()) {
                    self.jumped.insert((before, body.to_owned()));
                }
            }
        }
    }

    /// An invocation has answered. What the verdicts come to is worked out here once more.
    pub(super) fn answers(&mut self, records: &[Record], verdicts: Option<&[Verdict]>) {
        if let Some(verdicts) = verdicts {
            let mut stopped: BTreeSet<String> = BTreeSet::new();
            for (record, verdict) in records.iter().zip(verdicts) {
                let (group, _) = group_and_number(&record.body);
                if self.profile.is_fifo && stopped.contains(&group) {
                    continue;
                }
                match verdict {
                    Verdict::Done => {
                        self.done.insert(record.body.clone());
                        self.done_here.insert(record.body.clone());
                        continue;
                    }
                    Verdict::DeadLetter { .. } => drop(self.dead.insert(record.body.clone())),
                    Verdict::Retry { .. } | Verdict::Release => {}
                }
                stopped.insert(group);
            }
        }
        let what = verdicts.map_or_else(|| "crash".to_owned(), |verdicts| format!("{verdicts:?}"));
        self.note(format!("answer {what}"));
    }

    /// An invocation is over, or was cut off.
    pub(super) fn ends(&mut self, records: &[Record]) {
        self.running -= 1;
        for group in groups_of(records) {
            if let Some(running) = self.groups_running.get_mut(&group) {
                *running -= 1;
            }
        }
    }

    /// Nothing is left in the queue: what must have become of the messages.
    pub(super) fn is_over(&mut self, sent: &[String], dead: &[String]) {
        let in_dead: BTreeSet<&String> = dead.iter().collect();
        if in_dead.len() != dead.len() {
            self.is_wrong(format!("twice in the dead-letter queue: {dead:?}"));
        }
        for body in sent {
            let is_dead = in_dead.contains(body);
            let was_deleted = self.done.contains(body)
                || (self.profile.has_filter && !self.profile.keeps_filtered && body.contains("skip"));
            if !is_dead && !was_deleted {
                self.is_wrong(format!("{body} is gone without a verdict"));
            }
            let receives = self.receives.get(body).copied().unwrap_or_default();
            if is_dead && !self.dead.contains(body) && receives < self.profile.max_receive_count {
                self.is_wrong(format!("{body} is dead after {receives} receives and no verdict"));
            }
        }
        for (before, body) in self.jumped.clone() {
            if !in_dead.contains(&before) {
                self.is_wrong(format!("{body} ran before {before}"));
            }
        }
        let seconds = self.began.elapsed().as_secs();
        let most = 40 * seconds + 400 * sent.len() as u64;
        if self.calls > most {
            self.is_wrong(format!("{} calls in {seconds} s for {} messages", self.calls, sent.len()));
        }
    }
}

fn groups_of(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| group_and_number(&record.body).0).collect()
}

/// Bodies are `GROUP:NUMBER`, or `GROUP:NUMBER:skip`.
fn group_and_number(body: &str) -> (String, u64) {
    let mut parts = body.split(':');
    let group = parts.next().unwrap_or_default().to_owned();
    (group, parts.next().and_then(|number| number.parse().ok()).unwrap_or_default())
}
