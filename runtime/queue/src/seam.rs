//! The seam between the pure machine and the store.
//!
//! Every verb runs the same way: under one short lock the machine decides and the effects are queued for the store, in
//! one order for both; then the caller waits, if it has to, for the group commit; the committer reports back and only
//! then do new messages become visible and old ones vanish. Without a data directory the report is immediate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::alarm::{Alarm, Signal};
use crate::arn::{Identity, QueueArn};
use crate::attributes::Settings;
use crate::chaos::{Chaos, ChaosOptions};
use crate::clock::{Clock, ClockMark, Now};
use crate::commit::{Answer, Committer, Observer, Operation};
use crate::contents::Contents;
use crate::effect::{Effect, QueueId, QueueRow, Seq};
use crate::error::{SettingError, StorageError};
use crate::history::FailedAttempt;
use crate::metrics::{Metrics, QueueMetrics};
use crate::receipt::Receipts;
use crate::redrive;
use crate::settled::Settled;
use crate::state::State;
use crate::store::Reader;

/// All messages of queues without a store, overhead included.
const MEMORY_MAX_BYTES: usize = 1 << 30;
/// Bodies of sends that wait for their commit. Senders beyond it wait for room.
pub(crate) const SEND_BUDGET_KIB: u32 = 64 << 10;

/// A queue is FIFO when its name says so, and only then.
const FIFO_SUFFIX: &str = ".fifo";
/// So many effects are one operation. Where more of them are removals, those are cut into several.
const OPERATION_EFFECTS_MAX: usize = 4096;
/// How long a deleted queue's name stays blocked where that is asked for (sqs-semantics §3).
const NAME_BLOCKED_MS: u64 = 60_000;

/// What all handles of a queue share.
#[derive(Debug)]
pub(crate) struct QueueShared {
    pub(crate) id: QueueId,
    pub(crate) name: String,
    pub(crate) arn: QueueArn,
    /// A queue's type never changes.
    pub(crate) is_fifo: bool,
    pub(crate) signal: Signal,
    pub(crate) metrics: QueueMetrics,
}

/// Where messages are kept.
#[derive(Debug)]
pub(crate) enum Storage {
    /// In this process only: what is planned is settled at once.
    Memory,
    /// In a data directory.
    Disk { committer: Committer, reader: Arc<Mutex<Reader>> },
}

/// Everything that the queues of a process share.
#[derive(Debug)]
pub(crate) struct Seam {
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<Clock>,
    pub(crate) receipts: Receipts,
    pub(crate) contents: Mutex<Contents>,
    pub(crate) metrics: Metrics,
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) send_budget: Arc<Semaphore>,
    pub(crate) state: Mutex<State>,
    pub(crate) queues: RwLock<BTreeMap<QueueId, Arc<QueueShared>>>,
    pub(crate) storage: Storage,
    /// The number of the next queue; held over a whole management verb, so that they run one at a time.
    pub(crate) management: tokio::sync::Mutex<QueueId>,
    /// The faults that are injected, if any are.
    pub(crate) chaos: Option<Chaos>,
    pub(crate) closing: AtomicBool,
    pub(crate) blocks_deleted_names: AtomicBool,
    /// Names of queues that were deleted lately, and when.
    deleted_names: Mutex<BTreeMap<String, u64>>,
}

/// A verb whose effects are on their way to disk.
#[must_use = "an acknowledgement that is not waited for must be dropped in so many words"]
pub(crate) enum Ack {
    Done,
    Pending(oneshot::Receiver<Answer>),
}

impl Ack {
    /// Waits until the effects are durable.
    pub(crate) async fn durable(self) -> Answer {
        match self {
            Self::Done => Ok(()),
            Self::Pending(answer) => answer.await.unwrap_or(Err(StorageError::Closed)),
        }
    }
}

/// Whether the caller waits for its effects.
#[derive(Debug)]
pub(crate) enum Wait {
    /// It does: the next group takes them.
    Durable,
    /// So does a sender. The room that its bodies take is given back when they are written, also if it goes away before.
    DurableBodies(OwnedSemaphorePermit),
    /// It does not: they may linger for company.
    Lazy,
}

impl Seam {
    #[expect(clippy::too_many_arguments, reason = "one call site per kind of storage, each field named there")]
    pub(crate) fn new(
        identity: Identity,
        clock: Clock,
        receipts: Receipts,
        contents: Contents,
        metrics: Metrics,
        state: State,
        storage: Storage,
        next_queue: QueueId,
    ) -> Self {
        Self {
            identity,
            clock: Arc::new(clock),
            receipts,
            contents: Mutex::new(contents),
            metrics,
            alarm: Arc::default(),
            send_budget: Arc::new(Semaphore::new(SEND_BUDGET_KIB as usize)),
            state: Mutex::new(state),
            queues: RwLock::default(),
            storage,
            management: tokio::sync::Mutex::new(next_queue),
            chaos: None,
            closing: AtomicBool::new(false),
            blocks_deleted_names: AtomicBool::new(false),
            deleted_names: Mutex::default(),
        }
    }

    /// The same, with faults.
    pub(crate) fn with(self, chaos: Option<ChaosOptions>) -> Self {
        Self { chaos: chaos.map(Chaos::new), ..self }
    }

    pub(crate) fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held over a management verb: they run one at a time.
    pub(crate) async fn lock_management(&self) -> tokio::sync::MutexGuard<'_, QueueId> {
        self.management.lock().await
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn find_queue(&self, id: QueueId) -> Option<Arc<QueueShared>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Remembers a deleted queue's name for as long as it may be blocked.
    pub(crate) fn note_deleted_name(&self, name: &str) {
        let tick_ms = self.clock.now().tick_ms;
        let mut names = self.deleted_names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, deleted_ms| tick_ms < *deleted_ms + NAME_BLOCKED_MS);
        names.insert(name.to_owned(), tick_ms);
    }

    pub(crate) fn is_name_blocked(&self, name: &str) -> bool {
        if !self.blocks_deleted_names.load(Ordering::Acquire) {
            return false;
        }
        let names = self.deleted_names.lock().unwrap_or_else(PoisonError::into_inner);
        let tick_ms = self.clock.now().tick_ms;
        names.get(name).is_some_and(|deleted_ms| tick_ms < *deleted_ms + NAME_BLOCKED_MS)
    }

    /// Every queue's shared part, by number.
    pub(crate) fn all_queues(&self) -> Vec<Arc<QueueShared>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn introduce(self: &Arc<Self>, id: QueueId, name: &str) -> Arc<QueueShared> {
        let shared = Arc::new(QueueShared {
            id,
            name: name.to_owned(),
            arn: self.identity.arn(name),
            is_fifo: name.ends_with(FIFO_SUFFIX),
            signal: Signal::default(),
            metrics: self.metrics.of_queue(name),
        });
        self.queues.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&shared));
        shared
    }

    /// Runs a verb on the machine and queues its effects, under one lock. A store that takes nothing any more is an
    /// error even where the caller would not have waited: what it was told would be forgotten.
    pub(crate) fn plan<T, E: From<StorageError>>(
        &self,
        wait: Wait,
        verb: impl FnOnce(&mut State, Now, &mut Vec<Effect>) -> Result<T, E>,
    ) -> Result<(T, Ack), E> {
        let mut effects = Vec::new();
        let mut state = self.lock_state();
        let now = self.clock.now();
        let outcome = verb(&mut state, now, &mut effects);
        if effects.is_empty() {
            return outcome.map(|outcome| (outcome, Ack::Done));
        }
        match &self.storage {
            Storage::Memory => {
                self.settle(state, now, &effects);
                outcome.map(|outcome| (outcome, Ack::Done))
            }
            Storage::Disk { committer, .. } => {
                let moves = effects.iter().any(|effect| matches!(effect, Effect::Move(_)));
                let urgent = moves || !matches!(wait, Wait::Lazy);
                let (waiter, answer) = if matches!(wait, Wait::Lazy) { None } else { Some(oneshot::channel()) }.unzip();
                let room = if let Wait::DurableBodies(room) = wait { Some(room) } else { None };
                // Only what nobody waits for goes ahead: all sends of one call come to be, or come to nothing, together.
                let is_removal = |effect: &Effect| matches!(effect, Effect::Remove { .. });
                while effects.len() > OPERATION_EFFECTS_MAX
                    && effects.iter().take(OPERATION_EFFECTS_MAX).all(is_removal)
                {
                    let later = effects.split_off(OPERATION_EFFECTS_MAX);
                    let first = std::mem::replace(&mut effects, later);
                    self.submit_now(committer, &mut state, first, now)?;
                }
                if let Err(refused) = committer.submit(Operation { effects, waiter, urgent, _room: room }) {
                    for effect in &refused.effects {
                        state.aborted(effect, now);
                    }
                    return Err(refused.reason.into());
                }
                drop(state);
                outcome.map(|outcome| (outcome, answer.map_or(Ack::Done, Ack::Pending)))
            }
        }
    }

    /// Queues effects that nobody waits for.
    fn submit_now(&self, committer: &Committer, state: &mut State, effects: Vec<Effect>, now: Now) -> Answer {
        let operation = Operation { effects, waiter: None, urgent: false, _room: None };
        committer.submit(operation).map_err(|refused| {
            for effect in &refused.effects {
                state.aborted(effect, now);
            }
            refused.reason
        })
    }

    /// Removes messages from the store that no queue has any more. Nobody waits for it, and the next start does what a
    /// crash leaves undone.
    pub(crate) fn remove_orphans(&self, orphans: Vec<(QueueId, Seq)>) {
        let Storage::Disk { committer, .. } = &self.storage else { return };
        let mut removals = orphans.into_iter().map(|(queue, seq)| Effect::Remove { queue, seq }).peekable();
        while removals.peek().is_some() {
            let effects = removals.by_ref().take(OPERATION_EFFECTS_MAX).collect();
            if committer.submit(Operation { effects, waiter: None, urgent: false, _room: None }).is_err() {
                return;
            }
        }
    }

    /// Makes effects durable that the machine is told of afterwards.
    pub(crate) async fn submit(&self, effects: Vec<Effect>) -> Answer {
        let planned = self.plan(Wait::Durable, |_, _, out| {
            *out = effects;
            Ok::<(), StorageError>(())
        });
        let ((), ack) = planned?;
        ack.durable().await
    }

    /// Stores a queue's row, then puts it into the machine.
    pub(crate) async fn persist_queue(&self, row: QueueRow, settings: Settings) -> Answer {
        self.submit(vec![Effect::PutQueue(row.clone())]).await?;
        let mut state = self.lock_state();
        let now = self.clock.now();
        state.put_queue(&row, settings, now);
        Ok(())
    }

    /// Settings of a new queue, as it is allowed to have them.
    pub(crate) fn new_settings(&self, attributes: &[(String, String)], name: &str) -> Result<Settings, SettingError> {
        let settings = Settings::of_new(attributes)?;
        self.check_redrive(&settings, &self.identity.arn(name))?;
        Ok(settings)
    }

    /// Settings with attributes set on them, as the queue `of` is allowed to have them.
    pub(crate) fn changed_settings(
        &self,
        settings: &Settings,
        attributes: &[(String, String)],
        of: &QueueArn,
    ) -> Result<Settings, SettingError> {
        let changed = settings.changed(attributes)?;
        // A policy that was allowed once is not looked at again because of something else.
        if changed.redrive != settings.redrive {
            self.check_redrive(&changed, of)?;
        }
        Ok(changed)
    }

    fn check_redrive(&self, settings: &Settings, source: &QueueArn) -> Result<(), SettingError> {
        let Some(policy) = &settings.redrive else { return Ok(()) };
        let arn = &policy.dead_letter_target_arn;
        let ours = self.identity.arn(arn.name()) == *arn;
        let state = self.lock_state();
        let target = state.find(arn.name()).filter(|_| ours).and_then(|id| state.queue(id));
        redrive::check(policy, source, target.map(|queue| &queue.settings))
    }

    /// Whether so much more may be kept where there is no store: memory has a limit too.
    pub(crate) fn check_memory(&self, bytes: usize) -> Answer {
        let fits = || self.contents().bytes().saturating_add(bytes) <= MEMORY_MAX_BYTES;
        match &self.storage {
            Storage::Memory if !fits() => Err(StorageError::Full),
            Storage::Memory | Storage::Disk { .. } => Ok(()),
        }
    }

    /// The connection that reads bodies, when there is a store.
    pub(crate) fn reader(&self) -> Option<Arc<Mutex<Reader>>> {
        match &self.storage {
            Storage::Memory => None,
            Storage::Disk { reader, .. } => Some(Arc::clone(reader)),
        }
    }

    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is durable takes effect: contents are kept or forgotten, messages appear or vanish, waiters are woken.
    fn settle<'a>(&self, mut state: MutexGuard<'_, State>, now: Now, effects: impl IntoIterator<Item = &'a Effect>) {
        let mut settled = Settled::default();
        let mut moved = Vec::new();
        let mut contents = self.contents();
        for effect in effects {
            let applied = state.committed(effect, now, &mut settled);
            match effect {
                Effect::Explain { seq, attempt } if matches!(self.storage, Storage::Memory) => {
                    contents.explain(*seq, FailedAttempt::clone(attempt));
                }
                Effect::Insert(insert) if applied => contents.insert(insert.seq, Arc::clone(&insert.content)),
                Effect::Move(step) => {
                    moved.push(step);
                    if applied {
                        contents.relocate(step);
                    }
                }
                _ => {}
            }
        }
        for seq in settled.gone {
            contents.remove(seq);
        }
        drop(contents);
        self.wake(state, &settled.stirred);
        for step in moved {
            if let Some(queue) = self.find_queue(step.from) {
                queue.metrics.moved(&step.kind);
            }
        }
        self.remove_orphans(settled.orphans);
    }

    /// Wakes those who wait on queues that have something, and sets the alarm for what these will have.
    pub(crate) fn wake(&self, state: MutexGuard<'_, State>, queues: &BTreeSet<QueueId>) {
        let news: Vec<_> =
            queues.iter().map(|id| (*id, state.is_ready(*id), state.next_visible_tick_ms(*id))).collect();
        drop(state);
        for (id, ready, upcoming) in news {
            let Some(queue) = self.find_queue(id) else { continue };
            if ready {
                queue.signal.wake_one();
            }
            self.alarm.set_if_awaited(&queue.signal, upcoming);
        }
    }
}

/// How the committer reports back without keeping the broker alive.
pub(crate) struct Reporter(pub(crate) Weak<Seam>);

impl Observer for Reporter {
    fn committed(&self, operations: &[Operation]) {
        let Some(inner) = self.0.upgrade() else { return };
        let state = inner.lock_state();
        let now = inner.clock.now();
        inner.settle(state, now, operations.iter().flat_map(|operation| &operation.effects));
    }

    fn aborted(&self, operation: &Operation) {
        let Some(inner) = self.0.upgrade() else { return };
        let mut state = inner.lock_state();
        let now = inner.clock.now();
        let stirred = operation.effects.iter().filter_map(|effect| state.aborted(effect, now)).collect();
        inner.wake(state, &stirred);
    }

    fn mark(&self, not_before_tick_ms: u64) -> Option<(ClockMark, Seq)> {
        let inner = self.0.upgrade()?;
        if inner.clock.now().tick_ms < not_before_tick_ms {
            return None;
        }
        let next_seq = inner.lock_state().next_seq();
        Some((inner.clock.mark(), next_seq))
    }
}
