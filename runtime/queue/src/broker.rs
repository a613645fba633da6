//! All queues of one process: opening, creating, deleting, finding and closing them.
//!
//! Management verbs run one at a time and to their end, also when their caller goes away. What happens to messages is not
//! here: that is `local.rs` over `seam.rs`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::alarm;
use crate::arn::{Identity, QueueArn};
use crate::attributes::{Settings, asks_for_fifo};
use crate::chaos::ChaosOptions;
use crate::clock::{Clock, Now};
use crate::commit::Committer;
use crate::contents::Contents;
use crate::effect::{QueueId, QueueRow, Seq};
use crate::error::{CreateQueueError, MoveTaskError, QueueError, StorageError};
use crate::local::LocalQueue;
use crate::metrics::Metrics;
use crate::move_task::MoveTask;
use crate::mover;
use crate::receipt::Receipts;
use crate::seam::{Reporter, Seam, Storage, Wait};
use crate::state::State;
use crate::store::{self, Durability, OpenError, Store};
use crate::timeline::Timeline;

/// The most queues one process keeps.
const QUEUES_MAX: usize = 10_000;
const QUEUE_NAME_MAX: usize = 80;
/// Recently sent messages kept in memory beside the store.
const CONTENTS_MAX_BYTES: usize = 8 << 20;
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
    /// What the clock rides: tokio's time, or time that can be skipped.
    pub timeline: Timeline,
    /// The faults that the queues are to have; none: they have none.
    pub chaos: Option<ChaosOptions>,
    /// Where the metrics are.
    pub metrics: Metrics,
}

/// All queues of one process. A cheap handle.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Seam>,
}

impl Broker {
    /// Opens or makes the queues. Reads the whole index; must run inside a tokio runtime.
    ///
    /// # Errors
    /// The data directory cannot be used, is locked by another process, or is of a later format.
    pub async fn open(options: BrokerOptions) -> Result<Self, OpenError> {
        let BrokerOptions { data_dir, durability, identity, clock, timeline, chaos, metrics } = options;
        let fresh_id = *uuid::Uuid::new_v4().as_bytes();
        let Some(data_dir) = data_dir else {
            let state = State::new(identity.clone(), 1);
            let clock = clock.unwrap_or_else(|| Clock::system(None)).on(timeline);
            let contents = Contents::new(usize::MAX);
            let receipts = Receipts::new(fresh_id);
            let inner = Seam::new(identity, clock, receipts, contents, metrics, state, Storage::Memory, 1);
            return Ok(Self::launch(Arc::new(inner.with(chaos))));
        };
        let unusable = {
            let path = data_dir.clone();
            move |reason: String| OpenError::Unusable { path: path.clone(), reason }
        };
        let opened = tokio::task::spawn_blocking(move || store::open(&data_dir, durability, fresh_id))
            .await
            .map_err(|error| unusable(error.to_string()))??;
        let clock = clock.unwrap_or_else(|| Clock::system(opened.mark.as_ref())).on(timeline);
        let now = clock.now();
        let mut state = State::new(identity.clone(), opened.next_seq);
        for row in &opened.queues {
            state.put_queue(row, stored_settings(row), now);
        }
        let writer = opened.writer;
        let (state, writer, orphans) = tokio::task::spawn_blocking(move || {
            let orphans = restore(&writer, &mut state, now)?;
            Ok::<_, rusqlite::Error>((state, writer, orphans))
        })
        .await
        .map_err(|error| unusable(error.to_string()))?
        .map_err(|error| unusable(error.to_string()))?;
        tracing::info!(queues = state.queue_count(), messages = state.message_count(), "queues opened");

        let mut start_error = None;
        let inner = Arc::new_cyclic(|weak: &Weak<Seam>| {
            let storage = match Committer::start(writer, Reporter(weak.clone()), metrics.of_store()) {
                Ok(committer) => Storage::Disk { committer, reader: Arc::new(Mutex::new(opened.reader)) },
                Err(error) => {
                    start_error = Some(error);
                    Storage::Memory
                }
            };
            let contents = Contents::new(CONTENTS_MAX_BYTES);
            let receipts = Receipts::new(opened.store_id);
            Seam::new(identity, clock, receipts, contents, metrics, state, storage, opened.next_queue).with(chaos)
        });
        if let Some(error) = start_error {
            return Err(unusable(format!("its threads could not be started: {error}")));
        }
        for row in &opened.queues {
            inner.introduce(row.id, &row.name);
        }
        inner.remove_orphans(orphans);
        let unfinished = inner.lock_state().active_tasks();
        for task in unfinished {
            mover::launch(&inner, task);
        }
        Ok(Self::launch(inner))
    }

    fn launch(inner: Arc<Seam>) -> Self {
        inner.metrics.watch(Arc::downgrade(&inner));
        tokio::spawn(alarm::run(Arc::downgrade(&inner), Arc::clone(&inner.alarm), Arc::clone(&inner.clock)));
        Self { inner }
    }

    /// The region and account of these queues.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    pub(crate) fn seam(&self) -> &Arc<Seam> {
        &self.inner
    }

    /// The time that the queues' timers run on, for those of their consumers.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        self.inner.clock.timeline()
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
        check_queue_name(name, asks_for_fifo(attributes))?;
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
            return match current.first_difference(attributes)? {
                Some(attribute) => Err(CreateQueueError::NameExists { attribute: attribute.to_owned() }),
                None => Ok(queue),
            };
        }
        if self.inner.is_name_blocked(&name) {
            return Err(CreateQueueError::DeletedRecently);
        }
        if self.inner.lock_state().queue_count() >= QUEUES_MAX {
            return Err(CreateQueueError::TooManyQueues { max: QUEUES_MAX });
        }
        let settings = self.inner.new_settings(attributes, &name)?;
        let unix_s = self.inner.clock.now().unix_ms / 1000;
        let row = QueueRow {
            id: *next_queue,
            name: name.clone(),
            settings: settings.to_stored_pairs(),
            tags,
            created_unix_s: unix_s,
            modified_unix_s: unix_s,
        };
        self.inner.persist_queue(row, settings).await?;
        let id = *next_queue;
        *next_queue += 1;
        Ok(LocalQueue::new(self.inner.introduce(id, &name), &self.inner))
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
            if let Some(chaos) = &inner.chaos {
                chaos.forget(id);
            }
            inner.note_deleted_name(&queue.name);
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

    /// Starts a message move task: from a dead-letter queue to `destination`, or each message back to where it came
    /// from. Answers the task's id. `max_per_second` is 1–500; none: as fast as it goes.
    ///
    /// # Errors
    /// A queue is not there or is not a dead-letter queue, a task of it runs, or the disk did not take it.
    pub async fn start_move_task(
        &self,
        source: &QueueArn,
        destination: Option<&QueueArn>,
        max_per_second: Option<u32>,
    ) -> Result<String, MoveTaskError> {
        let (broker, source, destination) = (self.clone(), source.clone(), destination.cloned());
        to_its_end(async move {
            let inner = &broker.inner;
            let _one_at_a_time = inner.lock_management().await;
            let id = uuid::Uuid::new_v4().to_string();
            let ((), ack) = inner.plan(Wait::Durable, |state, now, effects| {
                *effects = state.start_task(id.clone(), &source, destination.as_ref(), max_per_second, now)?;
                Ok::<(), MoveTaskError>(())
            })?;
            ack.durable().await?;
            mover::launch(inner, id.clone());
            Ok(id)
        })
        .await
    }

    /// Stops a task and answers how many messages it moved.
    ///
    /// # Errors
    /// There is no such task of that source, or it is over.
    pub async fn cancel_move_task(&self, source: &QueueArn, id: &str) -> Result<u64, MoveTaskError> {
        let (broker, source, id) = (self.clone(), source.clone(), id.to_owned());
        to_its_end(async move {
            let inner = &broker.inner;
            let _one_at_a_time = inner.lock_management().await;
            let (moved, ack) = inner.plan(Wait::Durable, |state, _, effects| {
                let (moved, effect) = state.cancel_task(&source, &id)?;
                effects.push(effect);
                Ok::<_, MoveTaskError>(moved)
            })?;
            ack.durable().await?;
            Ok(moved)
        })
        .await
    }

    /// The latest tasks of a source, the newest first, at most ten.
    ///
    /// # Errors
    /// The source queue is not there.
    pub fn move_tasks(&self, source: &QueueArn) -> Result<Vec<MoveTask>, MoveTaskError> {
        self.inner.lock_state().list_tasks(source)
    }

    /// Refuses to make a queue for 60 s after one of that name was deleted, as SQS does (sqs-semantics §3). Without it a
    /// name is free at once.
    pub fn block_deleted_names(&self) {
        self.inner.blocks_deleted_names.store(true, Ordering::Release);
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

/// Puts back what the store kept. Answers the messages whose queue was deleted before they were.
fn restore(store: &Store, state: &mut State, now: Now) -> rusqlite::Result<Vec<(QueueId, Seq)>> {
    let mut orphans = Vec::new();
    store.load_index(|row| {
        let (queue, seq) = (row.queue, row.seq);
        if !state.restore(row, now) {
            orphans.push((queue, seq));
        }
    })?;
    store.load_originals(|row| state.restore_original(&row))?;
    store.load_attempts(|row| state.restore_attempt(row))?;
    for task in store.load_tasks()? {
        state.restore_task(task);
    }
    Ok(orphans)
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

/// The suffix `.fifo` and the type go together; the suffix counts towards the length.
fn check_queue_name(name: &str, fifo: bool) -> Result<(), CreateQueueError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_name = |stem: &str| !stem.is_empty() && name.len() <= QUEUE_NAME_MAX && stem.bytes().all(allowed);
    match (name.strip_suffix(".fifo"), fifo) {
        (Some(stem), true) if is_name(stem) => Ok(()),
        (_, true) => Err(CreateQueueError::InvalidFifoName),
        (Some(_), false) => Err(CreateQueueError::FifoNameOnStandard),
        (None, false) if is_name(name) => Ok(()),
        (None, false) => Err(CreateQueueError::InvalidName),
    }
}

/// Settings as they were stored. One that this version does not take any more keeps its default, and says so.
fn stored_settings(row: &QueueRow) -> Settings {
    Settings::from_stored(&row.settings, |attribute, error| {
        tracing::warn!(queue = row.name, attribute, %error, "a stored attribute is not taken");
    })
}
