//! Runs message move tasks: a few messages at a time, each step durable before the next, at the task's rate.
//!
//! A task is resumed at start where the last durable step left it. It reads messages in the order they were sent and
//! takes each that may be received at that moment; what is in flight stays. What is decided is the machine's (`tasks.rs`).

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use crate::arn::QueueArn;
use crate::effect::{Effect, QueueId, Seq, TaskRow};
use crate::error::StorageError;
use crate::message::MessageId;
use crate::move_task::MoveTaskStatus;
use crate::seam::{Seam, Wait};
use crate::tasks::Wanted;
use crate::timeline::{Task, Timeline, Work};

/// The most messages of one step.
const STEP_MAX: u32 = 100;
/// Steps a second of a task that has a rate.
const STEPS_PER_SECOND: u32 = 10;
/// How long a task waits after a step that the store did not take.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// AWS's words for what ends a task.
const NO_SUCH_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue";
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";

enum Step {
    Moved { messages: u64, max_per_second: Option<u32> },
    Over,
}

/// Runs a task in the background until it is over or the queues are closed.
pub(crate) fn launch(seam: &Arc<Seam>, id: String) {
    let timeline = seam.clock.timeline().clone();
    let work = timeline.work(Task::Step);
    tokio::spawn(run(Arc::downgrade(seam), timeline, work, id));
}

async fn run(seam: Weak<Seam>, timeline: Timeline, work: Work, id: String) {
    let mut from = 0;
    let begun = timeline.now();
    let mut moved: u64 = 0;
    loop {
        let Some(inner) = seam.upgrade().filter(|inner| !inner.is_closing()) else { return };
        let wake_at = match step(&inner, &id, &mut from).await {
            Ok(Step::Over) => return,
            Ok(Step::Moved { messages, max_per_second: None }) => {
                moved += messages;
                timeline.now()
            }
            Ok(Step::Moved { messages, max_per_second: Some(rate) }) => {
                moved += messages;
                begun + Duration::from_secs_f64(moved as f64 / f64::from(rate.max(1)))
            }
            Err(StorageError::Closed | StorageError::Failed(_)) => return,
            Err(error @ StorageError::Full) => {
                tracing::warn!(task = id, %error, "a message move task waits");
                timeline.now() + AFTER_FAILURE
            }
        };
        drop(inner);
        work.rest(timeline.sleep_until(wake_at)).await;
    }
}

async fn step(seam: &Arc<Seam>, id: &str, from: &mut Seq) -> Result<Step, StorageError> {
    let (task, seqs) = {
        let mut state = seam.lock_state();
        let Some(task) = state.task(id).cloned() else { return Ok(Step::Over) };
        let per_step = task.max_per_second.map_or(STEP_MAX, |rate| (rate / STEPS_PER_SECOND).clamp(1, STEP_MAX));
        let now = seam.clock.now();
        let seqs = state.movable(&task, *from, per_step as usize, now);
        (task, seqs)
    };
    if task.status == MoveTaskStatus::Cancelling {
        return end(seam, id, MoveTaskStatus::Cancelled, None).await;
    }
    let Some(last) = seqs.last().copied() else { return end(seam, id, MoveTaskStatus::Completed, None).await };
    let wanted = match destinations(seam, &task, seqs).await? {
        Ok(wanted) => wanted,
        Err(reason) => return end(seam, id, MoveTaskStatus::Failed, Some(reason.to_owned())).await,
    };
    let (messages, ack) = seam
        .plan(Wait::Durable, |state, now, effects| Ok::<_, StorageError>(state.move_some(id, wanted, now, effects)))?;
    ack.durable().await?;
    *from = last + 1;
    Ok(Step::Moved { messages, max_per_second: task.max_per_second })
}

async fn end(
    seam: &Seam,
    id: &str,
    status: MoveTaskStatus,
    failure_reason: Option<String>,
) -> Result<Step, StorageError> {
    tracing::info!(task = id, status = status.as_str(), reason = failure_reason, "a message move task is over");
    seam.submit(vec![Effect::TaskStatus { id: id.to_owned(), status, failure_reason }]).await?;
    Ok(Step::Over)
}

/// Where each message goes, or why the task cannot go on.
async fn destinations(
    seam: &Arc<Seam>,
    task: &TaskRow,
    seqs: Vec<Seq>,
) -> Result<Result<Vec<Wanted>, &'static str>, StorageError> {
    let wanted = |seq, to| Wanted { seq, to, id: MessageId::new(uuid::Uuid::new_v4().to_string()) };
    if let Some(arn) = &task.destination {
        let to = seam.lock_state().find_arn(arn);
        return Ok(to.ok_or(NO_SUCH_QUEUE).map(|to| seqs.into_iter().map(|seq| wanted(seq, to)).collect()));
    }
    let mut all = Vec::with_capacity(seqs.len());
    for (seq, source) in sources(seam, seqs).await? {
        match queue_of(seam, source) {
            Ok(to) => all.push(wanted(seq, to)),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(all))
}

fn queue_of(seam: &Seam, source: Option<String>) -> Result<QueueId, &'static str> {
    let arn = source.and_then(|text| QueueArn::parse(&text).ok()).ok_or(NO_SOURCE)?;
    seam.lock_state().find_arn(&arn).ok_or(NO_SUCH_QUEUE)
}

/// The queues that gave the messages up; messages that are gone are left out.
async fn sources(seam: &Arc<Seam>, seqs: Vec<Seq>) -> Result<Vec<(Seq, Option<String>)>, StorageError> {
    let Some(reader) = seam.reader() else {
        let contents = seam.contents();
        let source = |seq| contents.get(seq).map(|content| (seq, content.dead_letter_source_arn.clone()));
        return Ok(seqs.into_iter().filter_map(source).collect());
    };
    let read = tokio::task::spawn_blocking(move || {
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sources = Vec::with_capacity(seqs.len());
        for seq in seqs {
            sources.extend(reader.dead_letter_source(seq)?.map(|source| (seq, source)));
        }
        Ok(sources)
    });
    read.await.map_err(|error| StorageError::Failed(error.to_string()))?
}
