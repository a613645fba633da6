//! Group commit: one thread that writes whatever has piled up in one transaction, then answers all who wait.
//!
//! No artificial delay for those who wait: groups arise by themselves while a commit is under way. What nobody waits for
//! (a delivery) lingers a few milliseconds while groups go by, and is not written at all when the message is handed out
//! again or leaves meanwhile. Decisions are absent; the outcome is reported to an `Observer`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::ClockMark;
use crate::effect::{DeliveryState, Effect, MoveKind, Seq};
use crate::error::StorageError;
use crate::housekeeping::{self, Nudge};
use crate::metrics::StoreMetrics;
use crate::store::Store;

const GROUP_MAX_OPERATIONS: usize = 4096;
/// A purge of millions is written in steps: everybody else's commits come in between.
const GROUP_MAX_EFFECTS: usize = 16_384;
const LINGER: Duration = Duration::from_millis(10);
/// How far the clock may run on before its mark is written again.
const MARK_EVERY_MS: u64 = 1000;
/// More messages than can be sent until the next mark: a number is never given twice, even after a crash.
const NUMBERS_PER_MARK: u64 = 10_000_000;
/// By so much the log grows between two nudges to the housekeeper. A checkpoint costs two syncs, and what was changed
/// many times since the last one is copied once.
const LOG_PAGES_PER_NUDGE: u64 = 4000;
const PAGE_BYTES: usize = 4096;
/// A full disk is said once, and again after so long.
const TELL_FULL_EVERY: Duration = Duration::from_secs(60);

pub(crate) type Answer = Result<(), StorageError>;

/// The effects of one verb and who waits for them.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) effects: Vec<Effect>,
    pub(crate) waiter: Option<oneshot::Sender<Answer>>,
    /// False for what may linger.
    pub(crate) urgent: bool,
    /// What its bodies take of the room for sends, until they are written.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// An operation that was not taken, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) effects: Vec<Effect>,
    pub(crate) reason: StorageError,
}

/// Who is told what became of operations, before those who wait are answered.
pub(crate) trait Observer: Send + 'static {
    fn committed(&self, operations: &[Operation]);
    fn aborted(&self, operation: &Operation);
    /// The clock, and the number of the next message; none before the given tick.
    fn mark(&self, not_before_tick_ms: u64) -> Option<(ClockMark, Seq)>;
}

#[derive(Debug, Default)]
struct Inbox {
    operations: Vec<Operation>,
    /// Some of the operations are waited for.
    urgent: bool,
    /// The latest delivery of each message that nobody waits for.
    lingering: HashMap<Seq, DeliveryState>,
    /// When the first of what lingers came.
    lingers_since: Option<Instant>,
    /// The committing thread sleeps: without this every operation would cost a system call to wake it.
    is_idle: bool,
    closed: bool,
    failed: Option<StorageError>,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    /// The housekeeper has copied a long log as far as it could.
    log_may_begin_anew: AtomicBool,
}

/// The handle to the committing thread.
#[derive(Debug)]
pub(crate) struct Committer {
    file: PathBuf,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(crate) fn start(store: Store, observer: impl Observer, metrics: StoreMetrics) -> std::io::Result<Self> {
        let file = store.path().to_owned();
        let shared = Arc::new(Shared::default());
        let (nudge, nudges) = sync_channel(1);
        let keeper_path = store.path().to_owned();
        let keeper_shared = Arc::clone(&shared);
        let keeper = thread::Builder::new().name("queue-housekeeper".into()).spawn(move || {
            let may_write = || keeper_shared.failure().is_none();
            housekeeping::run(&keeper_path, &nudges, &keeper_shared.log_may_begin_anew, may_write);
        })?;
        let loop_shared = Arc::clone(&shared);
        let thread = thread::Builder::new().name("queue-commit".into()).spawn(move || {
            let _last_will = LastWill(Arc::clone(&loop_shared));
            let mut writer = Writer {
                store,
                observer,
                metrics,
                nudge: Some(nudge),
                nudged_at_pages: 0,
                marked_tick_ms: 0,
                told_full_at: None,
            };
            while let Some(operations) = loop_shared.next_group() {
                writer.commit(operations, &loop_shared);
            }
            writer.finish(&loop_shared);
            if keeper.join().is_err() {
                tracing::error!("the queue's housekeeper panicked");
            }
            // Only now: with the store goes the lock on the directory, which the housekeeper works in too.
            drop(writer);
        })?;
        Ok(Self { file, shared, thread: Mutex::new(Some(thread)) })
    }

    /// The store's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Queues an operation. The order of calls is the order on disk.
    pub(crate) fn submit(&self, operation: Operation) -> Result<(), Refused> {
        let mut inbox = self.shared.lock();
        let refusal = inbox.failed.clone().or_else(|| inbox.closed.then_some(StorageError::Closed));
        if let Some(reason) = refusal {
            return Err(Refused { effects: operation.effects, reason });
        }
        let wakes = inbox.take_in(operation) && inbox.is_idle;
        // Who comes next before it is awake need not wake it again.
        inbox.is_idle &= !wakes;
        drop(inbox);
        if wakes {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Why nothing is taken any more, if so.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.shared.failure()
    }

    /// Writes what is queued, puts the file in order and ends the thread. Blocks until that is done, whoever began it.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the queue's commit thread panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<StorageError> {
        self.lock().failed.clone()
    }

    /// Waits for operations; none once closed and drained.
    fn next_group(&self) -> Option<Vec<Operation>> {
        let mut inbox = self.lock();
        loop {
            while !inbox.is_due() {
                inbox.is_idle = true;
                inbox = match inbox.lingers_since {
                    None => self.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                    Some(since) => {
                        let left = LINGER.saturating_sub(since.elapsed());
                        self.wake.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                inbox.is_idle = false;
            }
            let group = inbox.take_out();
            // What lingered may all have left meanwhile.
            if !group.is_empty() || inbox.closed {
                return Some(group).filter(|group| !group.is_empty());
            }
        }
    }
}

impl Inbox {
    /// Adds an operation. True when the committing thread must hear of it.
    fn take_in(&mut self, operation: Operation) -> bool {
        let may_linger = !operation.urgent && operation.waiter.is_none();
        if may_linger && operation.effects.iter().all(|effect| matches!(effect, Effect::Delivery { .. })) {
            for effect in operation.effects {
                if let Effect::Delivery { seq, state } = effect {
                    self.lingering.insert(seq, state);
                }
            }
            return self.begin_to_linger();
        }
        let mut overtakes = Vec::new();
        for effect in &operation.effects {
            match effect {
                // The later one counts, or none does any more.
                Effect::Delivery { seq, .. } | Effect::Remove { seq, .. } => {
                    self.lingering.remove(seq);
                }
                // What it carries to the other queue must be written before it.
                Effect::Move(step) => overtakes.extend(self.lingering.remove_entry(&step.seq)),
                _ => {}
            }
        }
        self.operations.extend(deliveries(overtakes));
        self.urgent |= operation.urgent;
        self.operations.push(operation);
        self.urgent || self.begin_to_linger()
    }

    /// True when nothing lingered before.
    fn begin_to_linger(&mut self) -> bool {
        let is_first = self.lingers_since.is_none();
        self.lingers_since.get_or_insert_with(Instant::now);
        is_first
    }

    fn has_lingered(&self) -> bool {
        self.lingers_since.is_some_and(|since| since.elapsed() >= LINGER)
    }

    fn is_due(&self) -> bool {
        self.urgent || self.closed || self.operations.len() >= GROUP_MAX_OPERATIONS || self.has_lingered()
    }

    /// The next group.
    fn take_out(&mut self) -> Vec<Operation> {
        if self.closed || self.has_lingered() {
            self.lingers_since = None;
            let lingered = deliveries(self.lingering.drain());
            self.operations.extend(lingered);
        }
        let taken = group_length(&self.operations);
        if taken == self.operations.len() {
            self.urgent = false;
            return std::mem::take(&mut self.operations);
        }
        // What is left over has waited long enough.
        self.urgent = true;
        let later = self.operations.split_off(taken);
        std::mem::replace(&mut self.operations, later)
    }
}

/// How many operations make the next group: one at least.
fn group_length(operations: &[Operation]) -> usize {
    let mut effects = 0;
    let fitting = operations.iter().take(GROUP_MAX_OPERATIONS).take_while(|operation| {
        effects += operation.effects.len();
        effects <= GROUP_MAX_EFFECTS
    });
    fitting.count().max(operations.len().min(1))
}

/// Deliveries as one operation; none of none.
fn deliveries(of: impl IntoIterator<Item = (Seq, DeliveryState)>) -> Option<Operation> {
    let effects: Vec<Effect> = of.into_iter().map(|(seq, state)| Effect::Delivery { seq, state }).collect();
    (!effects.is_empty()).then_some(Operation { effects, waiter: None, urgent: false, _room: None })
}

/// Answers everybody should the committing thread panic: nobody may wait for a thread that is not there.
struct LastWill(Arc<Shared>);

impl Drop for LastWill {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let failure = StorageError::Failed("its commit thread panicked".to_owned());
        let mut inbox = self.0.lock();
        inbox.failed = Some(failure.clone());
        for operation in std::mem::take(&mut inbox.operations) {
            answer(operation, &Err(failure.clone()));
        }
    }
}

struct Writer<O> {
    store: Store,
    observer: O,
    metrics: StoreMetrics,
    /// Dropped at the end, which ends the housekeeper.
    nudge: Option<SyncSender<Nudge>>,
    /// How long the log was at the last nudge.
    nudged_at_pages: u64,
    marked_tick_ms: u64,
    /// When it was last said that sends are refused.
    told_full_at: Option<Instant>,
}

impl<O: Observer> Writer<O> {
    fn commit(&mut self, operations: Vec<Operation>, shared: &Shared) {
        let (operations, without_room) = self.turn_away(operations);
        self.metrics.refused(without_room.len());
        self.give_up(without_room, &StorageError::Full, shared);
        if operations.is_empty() {
            return;
        }
        let begun = Instant::now();
        // After a failed sync a later one may succeed and prove nothing.
        let written = shared.failure().map_or_else(|| self.write(&operations, shared), Err);
        match written {
            Ok(()) => {
                self.metrics.committed(operations.len(), begun.elapsed());
                self.observer.committed(&operations);
                for operation in operations {
                    answer(operation, &Ok(()));
                }
            }
            Err(StorageError::Full) if operations.len() > 1 => {
                // Alone, the small and the freeing ones may still fit.
                for operation in operations {
                    self.commit(vec![operation], shared);
                }
            }
            Err(error) => self.give_up(operations, &error, shared),
        }
    }

    /// Sets aside the sends for which the disk has no room, and keeps everything else.
    fn turn_away(&mut self, operations: Vec<Operation>) -> (Vec<Operation>, Vec<Operation>) {
        let sends = |operation: &Operation| operation.effects.iter().any(is_send);
        if !operations.iter().any(sends) {
            return (operations, Vec::new());
        }
        let pages: usize = operations.iter().flat_map(|operation| &operation.effects).map(pages).sum();
        if self.store.has_room_for((pages * PAGE_BYTES) as u64) {
            return (operations, Vec::new());
        }
        self.nudge(Nudge::RoomIsShort);
        self.tell_full();
        operations.into_iter().partition(|operation| !sends(operation))
    }

    /// Says that sends are refused, now and then as long as they are.
    fn tell_full(&mut self) {
        if self.told_full_at.is_none_or(|told| told.elapsed() >= TELL_FULL_EVERY) {
            self.told_full_at = Some(Instant::now());
            tracing::warn!("the disk of the built-in queue is full: sends are refused until there is room");
        }
    }

    fn write(&mut self, operations: &[Operation], shared: &Shared) -> Answer {
        if shared.log_may_begin_anew.swap(false, Ordering::Acquire)
            && let Err(error) = self.store.begin_log_anew()
        {
            tracing::warn!(%error, "the log of the queue's store could not be begun anew, it is tried again");
        }
        let keep = needed(operations);
        let effects = operations.iter().flat_map(|operation| &operation.effects);
        let kept = effects.zip(&keep).filter_map(|(effect, keep)| keep.then_some(effect));
        let mark = self.observer.mark(self.marked_tick_ms + MARK_EVERY_MS);
        self.store.write(kept, mark.as_ref().map(|(mark, next_seq)| (mark, next_seq + NUMBERS_PER_MARK)))?;
        if let Some((mark, _)) = mark {
            self.marked_tick_ms = mark.tick_ms;
        }
        let log_pages = self.store.log_pages();
        if log_pages < self.nudged_at_pages {
            // It was begun anew meanwhile.
            self.nudged_at_pages = 0;
        }
        if log_pages - self.nudged_at_pages >= LOG_PAGES_PER_NUDGE {
            self.nudged_at_pages = log_pages;
            self.nudge(Nudge::LogIsLong);
        }
        Ok(())
    }

    fn nudge(&self, why: Nudge) {
        // A full channel means that a nudge is already waiting.
        let _ = self.nudge.as_ref().map(|nudge| nudge.try_send(why));
    }

    fn give_up(&self, operations: Vec<Operation>, error: &StorageError, shared: &Shared) {
        if let StorageError::Failed(reason) = error
            && shared.failure().is_none()
        {
            tracing::error!(reason, "the queue's store failed: nothing is acknowledged until a restart");
            shared.lock().failed = Some(error.clone());
        }
        for operation in operations {
            self.observer.aborted(&operation);
            answer(operation, &Err(error.clone()));
        }
    }

    fn finish(&mut self, shared: &Shared) {
        if shared.failure().is_none()
            && let Some((mark, next_seq)) = self.observer.mark(0)
            && let Err(error) = self.store.write(std::iter::empty(), Some((&mark, next_seq)))
        {
            tracing::warn!(%error, "the clock's mark could not be written");
        }
        self.nudge = None;
    }
}

/// What brings text: it is turned away while the disk has no room, and can be tried again or done without.
fn is_send(effect: &Effect) -> bool {
    match effect {
        Effect::Insert(_) | Effect::Explain { .. } => true,
        Effect::Move(step) => matches!(step.kind, MoveKind::Redrive { .. }),
        _ => false,
    }
}

/// Roughly how many pages of the log an effect takes.
fn pages(effect: &Effect) -> usize {
    match effect {
        Effect::Insert(insert) => 1 + insert.content.body.len() / PAGE_BYTES,
        Effect::Explain { .. } => 3,
        _ => 1,
    }
}

/// Which effects must be written, in order: not a delivery that a later one of the group replaces or that the message's
/// leaving makes pointless.
fn needed(operations: &[Operation]) -> Vec<bool> {
    let mut overtaken: HashSet<Seq> = HashSet::new();
    let mut keep: Vec<bool> = operations
        .iter()
        .rev()
        .flat_map(|operation| operation.effects.iter().rev())
        .map(|effect| match effect {
            Effect::Delivery { seq, .. } => overtaken.insert(*seq),
            Effect::Remove { seq, .. } => {
                overtaken.insert(*seq);
                true
            }
            _ => true,
        })
        .collect();
    keep.reverse();
    keep
}

fn answer(operation: Operation, answer: &Answer) {
    if let Some(waiter) = operation.waiter {
        // The caller may have gone away; what it asked for was done all the same.
        let _ = waiter.send(answer.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Move;

    fn lazy(effects: Vec<Effect>) -> Operation {
        Operation { effects, waiter: None, urgent: false, _room: None }
    }

    fn delivery(seq: Seq) -> Effect {
        Effect::Delivery { seq, state: DeliveryState::default() }
    }

    fn inbox_with(operations: impl IntoIterator<Item = Operation>) -> Inbox {
        let mut inbox = Inbox::default();
        for operation in operations {
            inbox.take_in(operation);
        }
        inbox
    }

    fn urgent(effects: Vec<Effect>) -> Operation {
        Operation { urgent: true, ..lazy(effects) }
    }

    #[test]
    fn deliveries_stay_behind_when_a_group_leaves_and_vanish_with_their_message() {
        let mut inbox = inbox_with([lazy(vec![delivery(1), delivery(2), delivery(1)])]);
        assert!(!inbox.is_due(), "nobody waits for a delivery");
        inbox.take_in(urgent(vec![Effect::Remove { queue: 1, seq: 1 }]));
        assert!(inbox.is_due());
        let group = inbox.take_out();
        assert!(matches!(group.as_slice(), [one] if matches!(one.effects[..], [Effect::Remove { seq: 1, .. }])));
        assert!(!inbox.is_due(), "the rest goes on lingering");
        inbox.closed = true;
        let last = inbox.take_out();
        assert!(matches!(last.as_slice(), [one] if matches!(one.effects[..], [Effect::Delivery { seq: 2, .. }])));
    }

    #[test]
    fn what_moves_takes_its_delivery_along_first() {
        let kind = MoveKind::DeadLetter { source_arn: String::new(), reason: None, renewal: None };
        let step = Move { seq: 1, from: 1, to: 2, kind };
        let mut inbox = inbox_with([lazy(vec![delivery(1), delivery(2)]), urgent(vec![Effect::Move(step)])]);
        let group = inbox.take_out();
        assert!(matches!(
            group.as_slice(),
            [before, after] if matches!(before.effects[..], [Effect::Delivery { seq: 1, .. }])
                && matches!(after.effects[..], [Effect::Move(_)])
        ));
        assert_eq!(inbox.lingering.len(), 1);
    }

    #[test]
    fn only_the_first_of_many_wakes_a_sleeper_for_what_lingers() {
        let mut inbox = Inbox::default();
        assert!(inbox.take_in(lazy(vec![delivery(1)])), "it must set its alarm");
        assert!(!inbox.take_in(lazy(vec![delivery(2)])));
        assert!(inbox.take_in(urgent(vec![Effect::Remove { queue: 1, seq: 1 }])));
    }

    #[test]
    fn a_group_is_cut_before_it_has_too_many_effects() {
        let removals = |count: u64| lazy((0..count).map(|seq| Effect::Remove { queue: 1, seq }).collect());
        assert_eq!(group_length(&[removals(16_000), removals(384), removals(1)]), 2);
        assert_eq!(group_length(&[removals(20_000), removals(1)]), 1, "one at least");
    }

    #[test]
    fn a_delivery_is_not_written_when_a_later_one_or_the_messages_leaving_is_in_the_group() {
        let group = [
            lazy(vec![delivery(1), delivery(2), delivery(3)]),
            lazy(vec![delivery(2)]),
            lazy(vec![Effect::Remove { queue: 1, seq: 1 }]),
        ];
        assert_eq!(needed(&group), [false, false, true, true, true]);
    }
}
