//! All queues of one process: opening them, managing them, and the seam between the pure machine and the store.
//!
//! Every verb runs the same way: under one short lock the machine decides and the effects are queued for the store, in
//! one order for both; then the caller waits, if it has to, for the group commit; the committer reports back and only
//! then do new messages become visible and old ones vanish. Without a data directory the report is immediate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::alarm::{self, Alarm, Signal};
use crate::arn::Identity;
use crate::attributes::Settings;
use crate::clock::{Clock, ClockMark, Now};
use crate::commit::{Answer, Committer, Observer, Operation};
use crate::contents::Contents;
use crate::effect::{Effect, QueueId, QueueRow, Seq};
use crate::error::{CreateQueueError, QueueError, SettingError, StorageError};
use crate::local::{LocalQueue, QueueShared};
use crate::metrics::Metrics;
use crate::receipt::Receipts;
use crate::redrive;
use crate::state::{Settled, State};
use crate::store::{self, Durability, OpenError, Reader};

/// The most queues one process keeps.
const QUEUES_MAX: usize = 10_000;
const QUEUE_NAME_MAX: usize = 80;
/// All messages of queues without a store, overhead included.
const MEMORY_MAX_BYTES: usize = 1 << 30;
/// Recently sent messages kept in memory beside the store.
const CONTENTS_MAX_BYTES: usize = 16 << 20;
/// Bodies of sends that wait for their commit. Senders beyond it wait for room.
pub(crate) const SEND_BUDGET_KIB: u32 = 64 << 10;

/// How to open the process's queues.
#[derive(Debug)]
pub struct BrokerOptions {
    /// Where they are kept; none: in memory.
    pub data_dir: Option<PathBuf>,
    /// How hard an acknowledgement is; without a data directory it does not matter.
    pub durability: Durability,
    /// What their ARNs say.
    pub identity: Identity,
    /// In tests a clock that starts at a given time; none: the machine's, going on from the store's mark.
    pub clock: Option<Clock>,
    /// Where the metrics are.
    pub metrics: Metrics,
}

/// All queues of one process. A cheap handle.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
enum Storage {
    Memory,
    Disk { committer: Committer, reader: Arc<Mutex<Reader>> },
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<Clock>,
    pub(crate) receipts: Receipts,
    pub(crate) contents: Mutex<Contents>,
    pub(crate) metrics: Metrics,
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) send_budget: Arc<Semaphore>,
    state: Mutex<State>,
    queues: RwLock<BTreeMap<QueueId, Arc<QueueShared>>>,
    storage: Storage,
    /// The number of the next queue; held over a whole management verb, so that they run one at a time.
    management: tokio::sync::Mutex<QueueId>,
    closing: AtomicBool,
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

impl Broker {
    /// Opens or makes the queues. Reads the whole index; must run inside a tokio runtime.
    ///
    /// # Errors
    /// The data directory cannot be used, is locked by another process, or is of a later format.
    pub async fn open(options: BrokerOptions) -> Result<Self, OpenError> {
        let BrokerOptions { data_dir, durability, identity, clock, metrics } = options;
        let fresh_id = *uuid::Uuid::new_v4().as_bytes();
        let Some(data_dir) = data_dir else {
            let state = State::new(identity.clone(), 1);
            let clock = clock.unwrap_or_else(|| Clock::system(None));
            let contents = Contents::new(usize::MAX);
            let inner =
                Inner::new(identity, clock, Receipts::new(fresh_id), contents, metrics, state, Storage::Memory, 1);
            return Ok(Self::launch(Arc::new(inner)));
        };
        let unusable = {
            let path = data_dir.clone();
            move |reason: String| OpenError::Unusable { path: path.clone(), reason }
        };
        let opened = tokio::task::spawn_blocking(move || store::open(&data_dir, durability, fresh_id))
            .await
            .map_err(|error| unusable(error.to_string()))??;
        let clock = clock.unwrap_or_else(|| Clock::system(opened.mark.as_ref()));
        let now = clock.now();
        let mut state = State::new(identity.clone(), opened.next_seq);
        for row in &opened.queues {
            state.put_queue(row, stored_settings(row));
        }
        let writer = opened.writer;
        let (state, writer) = tokio::task::spawn_blocking(move || {
            writer.load_index(|row| state.restore(row, now)).map(|()| (state, writer))
        })
        .await
        .map_err(|error| unusable(error.to_string()))?
        .map_err(|error| unusable(error.to_string()))?;
        tracing::info!(queues = state.queue_count(), messages = state.message_count(), "queues opened");

        let mut start_error = None;
        let inner = Arc::new_cyclic(|weak: &Weak<Inner>| {
            let storage = match Committer::start(writer, Reporter(weak.clone())) {
                Ok(committer) => Storage::Disk { committer, reader: Arc::new(Mutex::new(opened.reader)) },
                Err(error) => {
                    start_error = Some(error);
                    Storage::Memory
                }
            };
            let contents = Contents::new(CONTENTS_MAX_BYTES);
            let receipts = Receipts::new(opened.store_id);
            Inner::new(identity, clock, receipts, contents, metrics, state, storage, opened.next_queue)
        });
        if let Some(error) = start_error {
            return Err(unusable(format!("its threads could not be started: {error}")));
        }
        for row in &opened.queues {
            inner.introduce(row.id, &row.name);
        }
        Ok(Self::launch(inner))
    }

    fn launch(inner: Arc<Inner>) -> Self {
        inner.metrics.watch(Arc::downgrade(&inner));
        tokio::spawn(alarm::run(Arc::downgrade(&inner), Arc::clone(&inner.alarm), Arc::clone(&inner.clock)));
        Self { inner }
    }

    /// The region and account of these queues.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The queues' clock, for comparing with the timestamps that they give.
    #[must_use]
    pub fn now(&self) -> Now {
        self.inner.clock.now()
    }

    /// Makes a queue. One of that name is answered as it is if the given attributes agree with it; attributes that are
    /// not given do not matter (sqs-semantics §3).
    ///
    /// # Errors
    /// The name or an attribute is wrong, the queue exists and differs, or the disk did not take it.
    pub async fn create_queue(
        &self,
        name: &str,
        attributes: &[(String, String)],
        tags: &[(String, String)],
    ) -> Result<LocalQueue, CreateQueueError> {
        check_queue_name(name)?;
        let (broker, name, attributes, tags) = (self.clone(), name.to_owned(), attributes.to_vec(), tags.to_vec());
        to_its_end(async move { broker.create(name, &attributes, tags).await }).await
    }

    async fn create(
        &self,
        name: String,
        attributes: &[(String, String)],
        tags: Vec<(String, String)>,
    ) -> Result<LocalQueue, CreateQueueError> {
        let mut next_queue = self.inner.lock_management().await;
        if let Ok(queue) = self.queue(&name) {
            let current = queue.settings().unwrap_or_default();
            for (attribute, value) in attributes {
                let mut wanted = current.clone();
                wanted.set(attribute, value)?;
                if wanted != current {
                    return Err(CreateQueueError::NameExists { attribute: attribute.clone() });
                }
            }
            return Ok(queue);
        }
        if self.inner.lock_state().queue_count() >= QUEUES_MAX {
            return Err(CreateQueueError::TooManyQueues { max: QUEUES_MAX });
        }
        let settings = self.inner.changed_settings(Settings::default(), attributes, None)?;
        let unix_s = self.inner.clock.now().unix_ms / 1000;
        let row = QueueRow {
            id: *next_queue,
            name: name.clone(),
            settings: stored_pairs(&settings),
            tags,
            created_unix_s: unix_s,
            modified_unix_s: unix_s,
        };
        self.inner.persist_queue(row, settings).await?;
        let id = *next_queue;
        *next_queue += 1;
        Ok(self.inner.introduce(id, &name))
    }

    /// Deletes a queue and all its messages.
    ///
    /// # Errors
    /// There is none of that name, or the disk did not take it.
    pub async fn delete_queue(&self, name: &str) -> Result<(), QueueError> {
        let (broker, name) = (self.clone(), name.to_owned());
        to_its_end(async move { broker.delete(&name).await }).await
    }

    async fn delete(&self, name: &str) -> Result<(), QueueError> {
        let inner = &self.inner;
        let _one_at_a_time = inner.lock_management().await;
        let id = self.queue(name)?.id();
        let ((), ack) = inner.plan(Wait::Durable, |state, _, effects| {
            effects.push(state.drop_queue(id)?);
            Ok::<(), QueueError>(())
        })?;
        ack.durable().await?;
        let queue = inner.queues.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(queue) = queue {
            queue.signal.wake_all();
            inner.metrics.forget(&queue.name);
        }
        Ok(())
    }

    /// A queue by name.
    ///
    /// # Errors
    /// There is none.
    pub fn queue(&self, name: &str) -> Result<LocalQueue, QueueError> {
        let id = self.inner.lock_state().find(name).ok_or(QueueError::NoSuchQueue)?;
        let shared = self.inner.find_queue(id).ok_or(QueueError::NoSuchQueue)?;
        Ok(LocalQueue::new(shared, &self.inner))
    }

    /// The names that start with `prefix`, sorted.
    #[must_use]
    pub fn queue_names(&self, prefix: &str) -> Vec<String> {
        let state = self.inner.lock_state();
        state.names().filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
    }

    /// Why the store takes nothing any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        match &self.inner.storage {
            Storage::Memory => None,
            Storage::Disk { committer, .. } => committer.failure(),
        }
    }

    /// Ends all waits, writes what is queued and closes the store: later verbs that would change anything fail with
    /// `Closed`. Queues in memory only stop waiting.
    ///
    /// Dropping every handle without it is safe too; the directory is then free a moment later.
    pub async fn close(&self) {
        self.inner.closing.store(true, Ordering::Release);
        self.wake_everyone();
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || {
            if let Storage::Disk { committer, .. } = &inner.storage {
                committer.close();
            }
        })
        .await;
        if closed.is_err() {
            tracing::error!("the queue's store did not close in order: the next start recovers it");
        }
    }

    /// Ends all waits of receives with what they have; later receives do not wait.
    pub fn stop_waiting(&self) {
        self.inner.closing.store(true, Ordering::Release);
        self.wake_everyone();
    }

    fn wake_everyone(&self) {
        for queue in self.inner.queues.read().unwrap_or_else(PoisonError::into_inner).values() {
            queue.signal.wake_all();
        }
    }
}

impl Inner {
    #[expect(clippy::too_many_arguments, reason = "one call site per kind of storage, each field named there")]
    fn new(
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
            closing: AtomicBool::new(false),
        }
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

    /// Every queue's shared part, by number.
    pub(crate) fn all_queues(&self) -> Vec<Arc<QueueShared>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn introduce(self: &Arc<Self>, id: QueueId, name: &str) -> LocalQueue {
        let shared = Arc::new(QueueShared {
            id,
            name: name.to_owned(),
            arn: self.identity.arn(name),
            signal: Signal::default(),
            metrics: self.metrics.of_queue(name),
        });
        self.queues.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&shared));
        LocalQueue::new(shared, self)
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
        self.lock_state().put_queue(&row, settings);
        Ok(())
    }

    /// Settings with attributes set on them, the redrive target looked up. `of`: whose settings they are.
    pub(crate) fn changed_settings(
        &self,
        mut settings: Settings,
        attributes: &[(String, String)],
        of: Option<QueueId>,
    ) -> Result<Settings, SettingError> {
        for (name, value) in attributes {
            settings.set(name, value)?;
        }
        let sets_redrive = attributes.iter().any(|(name, value)| name == "RedrivePolicy" && !value.is_empty());
        if sets_redrive {
            let state = self.lock_state();
            if redrive::target(&settings, &self.identity, state.name_index(), of.unwrap_or(0)).is_none() {
                return Err(SettingError::RedrivePolicy("Dead letter target does not exist.".to_owned()));
            }
        }
        Ok(settings)
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
        let mut contents = self.contents();
        for effect in effects {
            let applied = state.committed(effect, now, &mut settled);
            match effect {
                Effect::Insert(insert) if applied => contents.insert(insert.seq, Arc::clone(&insert.content)),
                Effect::Move(step) if applied => {
                    contents.mark_dead_letter(step.seq, &step.source_arn, step.reason.as_ref());
                }
                _ => {}
            }
        }
        for seq in settled.gone {
            contents.remove(seq);
        }
        drop(contents);
        self.wake(state, &settled.stirred);
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
struct Reporter(Weak<Inner>);

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

/// Runs a management verb to its end even when its caller goes away: half of one would leave the machine and the store
/// with different ideas of what queues there are.
pub(crate) async fn to_its_end<T: Send + 'static>(verb: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(verb).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down, and the caller with it.
        Err(_) => std::future::pending().await,
    }
}

/// How often every queue is looked at for messages past their retention.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(60);

fn check_queue_name(name: &str) -> Result<(), CreateQueueError> {
    if name.ends_with(".fifo") {
        return Err(CreateQueueError::FifoUnsupported);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=QUEUE_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(CreateQueueError::InvalidName)
    }
}

fn stored_pairs(settings: &Settings) -> Vec<(String, String)> {
    settings.to_pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Settings as they were stored. One that this version does not take any more keeps its default, and says so.
fn stored_settings(row: &QueueRow) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in &row.settings {
        if let Err(error) = settings.set(name, value) {
            tracing::warn!(queue = row.name, attribute = name, %error, "a stored attribute is not taken");
        }
    }
    settings
}
