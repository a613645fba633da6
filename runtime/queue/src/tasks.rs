//! Message move tasks in the machine: what runs, what it may take next (sqs-semantics §8). Pure; `mover.rs` drives it.

use crate::arn::QueueArn;
use crate::clock::Now;
use crate::effect::{Effect, Move, MoveKind, QueueId, Seq, TaskRow};
use crate::error::MoveTaskError;
use crate::message::MessageId;
use crate::move_task::{MoveTask, MoveTaskStatus};
use crate::shelf::Leaving;
use crate::state::{State, renewal};

/// So many tasks of a source are remembered, the latest ones.
const TASKS_KEPT: usize = 10;

/// One message that a task wants to move: which, to what queue, and its id from there on.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) seq: Seq,
    pub(crate) to: QueueId,
    pub(crate) id: MessageId,
}

impl State {
    /// Puts back a task that the store kept.
    pub(crate) fn restore_task(&mut self, task: TaskRow) {
        self.tasks.insert(task.id.clone(), task);
    }

    /// The number of a queue of this process by its ARN.
    pub(crate) fn find_arn(&self, arn: &QueueArn) -> Option<QueueId> {
        let ours = arn.region() == self.identity.region && arn.account() == self.identity.account;
        self.find(arn.name()).filter(|_| ours)
    }

    /// Plans the beginning of a task; the oldest that is over makes room for it.
    pub(crate) fn start_task(
        &mut self,
        id: String,
        source: &QueueArn,
        destination: Option<&QueueArn>,
        max_per_second: Option<u32>,
        now: Now,
    ) -> Result<Vec<Effect>, MoveTaskError> {
        let source_id = self.find_arn(source).ok_or(MoveTaskError::NoSuchSource)?;
        if let Some(destination) = destination {
            self.find_arn(destination).ok_or(MoveTaskError::NoSuchDestination)?;
            if destination == source {
                return Err(MoveTaskError::WrongDestination("the source and the destination are the same queue"));
            }
            if destination.name().ends_with(".fifo") != source.name().ends_with(".fifo") {
                return Err(MoveTaskError::WrongDestination("one queue is FIFO and the other is not"));
            }
        }
        if self.sources_of(source).is_empty() {
            return Err(MoveTaskError::NotADeadLetterQueue);
        }
        let to_move = self.counts(source_id, now).map_or(0, |counts| counts.visible);
        let earlier = self.tasks_of(source_id);
        if earlier.iter().any(|task| task.is_active()) {
            return Err(MoveTaskError::AlreadyRunning);
        }
        let task = TaskRow {
            id,
            source: source_id,
            destination: destination.cloned(),
            max_per_second,
            status: MoveTaskStatus::Running,
            moved: 0,
            to_move,
            started_unix_ms: now.unix_ms,
            below: self.next_seq,
            failure_reason: None,
        };
        let surplus = earlier.iter().skip(TASKS_KEPT - 1).map(|task| Effect::DropTask { id: task.id.clone() });
        Ok(surplus.chain([Effect::PutTask(task)]).collect())
    }

    /// A source's tasks, the latest first.
    fn tasks_of(&self, source: QueueId) -> Vec<&TaskRow> {
        let mut tasks: Vec<&TaskRow> = self.tasks.values().filter(|task| task.source == source).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse((task.started_unix_ms, task.below)));
        tasks
    }

    /// The same, as owners see them.
    pub(crate) fn list_tasks(&self, source: &QueueArn) -> Result<Vec<MoveTask>, MoveTaskError> {
        let id = self.find_arn(source).ok_or(MoveTaskError::NoSuchSource)?;
        let shown = |task: &TaskRow| MoveTask {
            id: task.id.clone(),
            source: source.clone(),
            destination: task.destination.clone(),
            max_per_second: task.max_per_second,
            status: task.status,
            moved: task.moved,
            to_move: task.to_move,
            started_unix_ms: task.started_unix_ms,
            failure_reason: task.failure_reason.clone(),
        };
        Ok(self.tasks_of(id).into_iter().take(TASKS_KEPT).map(shown).collect())
    }

    /// The tasks that have something to do.
    pub(crate) fn active_tasks(&self) -> Vec<String> {
        self.tasks.values().filter(|task| task.is_active()).map(|task| task.id.clone()).collect()
    }

    pub(crate) fn task(&self, id: &str) -> Option<&TaskRow> {
        self.tasks.get(id)
    }

    /// Plans that a task stops. Answers how many messages it has moved by now.
    pub(crate) fn cancel_task(&self, source: &QueueArn, id: &str) -> Result<(u64, Effect), MoveTaskError> {
        let source = self.find_arn(source).ok_or(MoveTaskError::NoSuchSource)?;
        let task = self.task(id).filter(|task| task.source == source).ok_or(MoveTaskError::NoSuchTask)?;
        if task.status != MoveTaskStatus::Running {
            return Err(MoveTaskError::NotRunning);
        }
        let status = MoveTaskStatus::Cancelling;
        Ok((task.moved, Effect::TaskStatus { id: id.to_owned(), status, failure_reason: None }))
    }

    /// The numbers of the messages that a task may move next, from `from` on.
    pub(crate) fn movable(&mut self, task: &TaskRow, from: Seq, max: usize, now: Now) -> Vec<Seq> {
        let Some(queue) = self.queues.get_mut(&task.source).filter(|queue| !queue.dropping) else { return Vec::new() };
        queue.shelf.advance(now.tick_ms);
        queue.shelf.visible_from(from, task.below, max)
    }

    /// Plans the moves that are still possible. Answers how many those are.
    pub(crate) fn move_some(&mut self, id: &str, wanted: Vec<Wanted>, now: Now, effects: &mut Vec<Effect>) -> u64 {
        let Some((source, moved_before)) = self.task(id).map(|task| (task.source, task.moved)) else { return 0 };
        let mut moved = 0;
        for Wanted { seq, to, id } in wanted {
            if self.queue(to).is_none() {
                continue;
            }
            let Self { queues, next_seq, .. } = self;
            let Some(queue) = queues.get_mut(&source).filter(|queue| queue.shelf.is_visible(seq)) else { continue };
            queue.shelf.set_leaving(seq, Leaving::Moved);
            let kind = MoveKind::Redrive { id, renewal: renewal(next_seq, now) };
            effects.push(Effect::Move(Move { seq, from: source, to, kind }));
            moved += 1;
        }
        if moved > 0 {
            effects.push(Effect::TaskProgress { id: id.to_owned(), moved: moved_before + moved });
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arn::Identity;
    use crate::settled::Settled;

    #[test]
    fn what_is_over_stays_as_it_ended_when_it_is_told_to_stop_in_the_same_moment() {
        let now = Now { tick_ms: 0, unix_ms: 0 };
        let mut state = State::new(Identity::default(), 1);
        state.restore_task(TaskRow {
            id: "t".to_owned(),
            source: 1,
            destination: None,
            max_per_second: None,
            status: MoveTaskStatus::Running,
            moved: 0,
            to_move: 0,
            started_unix_ms: 0,
            below: 1,
            failure_reason: None,
        });
        for status in [MoveTaskStatus::Completed, MoveTaskStatus::Cancelling] {
            let effect = Effect::TaskStatus { id: "t".to_owned(), status, failure_reason: None };
            state.committed(&effect, now, &mut Settled::default());
        }
        assert_eq!(state.task("t").map(|task| task.status), Some(MoveTaskStatus::Completed));
        assert!(state.active_tasks().is_empty(), "its source takes another");
    }
}
