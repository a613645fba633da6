//! Message move tasks: started, stepped and cancelled at any moment, as `mover.rs` would.

use super::disk::{id_text, queue_name};
use super::naive::{KnownTask, Life};
use super::world::{Pending, World, saw};
use crate::arn::{Identity, QueueArn};
use crate::effect::{Effect, MoveKind, QueueId, Seq};
use crate::error::MoveTaskError;
use crate::move_task::MoveTaskStatus;
use crate::tasks::Wanted;

fn arn(queue: QueueId) -> QueueArn {
    Identity::default().arn(&queue_name(queue, queue > 3))
}

impl World {
    pub(super) fn start_task(&mut self, source: QueueId, destination: Option<QueueId>) {
        if !self.may_manage() {
            return;
        }
        let id = format!("task {}", self.next_id);
        self.next_id += 1;
        let to = destination.map(arn);
        let planned = self.state.start_task(id.clone(), &arn(source), to.as_ref(), None, self.naive.now);
        let open = |queue| self.naive.open(queue).is_some();
        let fits = |to: QueueId| to != source && self.naive.is_fifo(to) == self.naive.is_fifo(source);
        let gives_up_to_it = self
            .naive
            .queues
            .iter()
            .any(|queue| !queue.is_dropping && queue.redrive.is_some_and(|(target, _)| target == source));
        let runs = self.naive.tasks.iter().any(|task| task.source == source && task.is_active());
        let effects = match planned {
            Err(MoveTaskError::NoSuchSource) => return assert!(!open(source)),
            Err(MoveTaskError::NoSuchDestination) => return assert!(destination.is_some_and(|to| !open(to))),
            Err(MoveTaskError::WrongDestination(_)) => return assert!(destination.is_some_and(|to| !fits(to))),
            Err(MoveTaskError::NotADeadLetterQueue) => return assert!(!gives_up_to_it),
            Err(MoveTaskError::AlreadyRunning) => return assert!(runs),
            Err(other) => panic!("{other}"),
            Ok(effects) => effects,
        };
        assert!(open(source) && gives_up_to_it && !runs && destination.is_none_or(|to| open(to) && fits(to)));
        let Some(Effect::PutTask(task)) = effects.last() else { panic!("{effects:?}") };
        assert_eq!((&task.id, task.source, task.below), (&id, source, self.state.next_seq()));
        assert_eq!(task.to_move, self.naive.visible(source).len() as u64);
        self.submit(Pending { effects, is_management: true, ..Pending::default() });
    }

    pub(super) fn cancel_task(&mut self) {
        let Some(task) = self.naive.tasks.iter().find(|task| task.is_active()).cloned() else { return };
        if !self.may_manage() {
            return;
        }
        let planned = self.state.cancel_task(&arn(task.source), &task.id);
        match planned {
            Err(MoveTaskError::NoSuchSource) => assert!(self.naive.open(task.source).is_none()),
            Err(MoveTaskError::NotRunning) => assert_eq!(task.status, MoveTaskStatus::Cancelling),
            Err(other) => panic!("{other}"),
            Ok((moved, effect)) => {
                assert_eq!((task.status, task.moved), (MoveTaskStatus::Running, moved));
                self.submit(Pending { effects: vec![effect], is_management: true, ..Pending::default() });
            }
        }
    }

    /// One step, as the mover takes it: the next when the last is durable.
    pub(super) fn step_task(&mut self, max: usize) {
        let Some(task) = self.naive.tasks.iter().find(|task| task.is_active()).cloned() else { return };
        if self.pending.iter().any(|pending| pending.task.as_ref() == Some(&task.id)) {
            return;
        }
        assert!(self.state.active_tasks().contains(&task.id));
        let row = self.state.task(&task.id).unwrap().clone();
        let movable = self.state.movable(&row, 0, max, self.naive.now);
        let expected = self.naive.visible(task.source).into_iter().filter(|seq| *seq < task.below).take(max);
        let expected: Vec<Seq> = expected.filter(|_| self.naive.open(task.source).is_some()).collect();
        assert_eq!(movable, expected, "what can be received, oldest first");
        if task.status == MoveTaskStatus::Cancelling {
            return self.end_task(task, MoveTaskStatus::Cancelled);
        }
        if movable.is_empty() {
            return self.end_task(task, MoveTaskStatus::Completed);
        }
        let to = |seq: &Seq| {
            let to = task.destination.or_else(|| self.naive.message(*seq).unwrap().source);
            to.filter(|to| self.naive.open(*to).is_some())
        };
        let destinations: Option<Vec<QueueId>> = movable.iter().map(to).collect();
        let Some(destinations) = destinations else { return self.end_task(task, MoveTaskStatus::Failed) };
        let wanted = movable.iter().zip(&destinations).zip(self.next_id..);
        let wanted = wanted.map(|((seq, to), id)| Wanted { seq: *seq, to: *to, id: id_text(id) }).collect();
        self.next_id += movable.len() as u128;
        let mut effects = Vec::new();
        let moved = self.state.move_some(&task.id, wanted, self.naive.now, &mut effects);
        assert_eq!(moved, movable.len() as u64);
        self.check_moves(&task, &effects, &movable, &destinations);
        for seq in movable {
            self.naive.message_mut(seq).unwrap().life = Life::Moving;
        }
        self.submit(Pending { effects, task: Some(task.id), ..Pending::default() });
    }

    fn check_moves(&self, task: &KnownTask, effects: &[Effect], seqs: &[Seq], destinations: &[QueueId]) {
        assert_eq!(effects.len(), seqs.len() + 1);
        for ((effect, seq), to) in effects.iter().zip(seqs).zip(destinations) {
            let Effect::Move(step) = effect else { panic!("{effect:?}") };
            assert_eq!((step.seq, step.from, step.to), (*seq, task.source, *to));
            let MoveKind::Redrive { renewal, .. } = &step.kind else { panic!("{step:?}") };
            assert!(renewal.seq > *seq && renewal.enqueued_tick_ms == self.naive.now.tick_ms);
        }
        let Some(Effect::TaskProgress { moved, .. }) = effects.last() else { panic!("{effects:?}") };
        assert_eq!(*moved, task.moved + seqs.len() as u64);
    }

    fn end_task(&mut self, task: KnownTask, status: MoveTaskStatus) {
        saw(status.as_str());
        let effects = vec![Effect::TaskStatus { id: task.id.clone(), status, failure_reason: None }];
        self.submit(Pending { effects, task: Some(task.id), ..Pending::default() });
    }

    pub(super) fn check_tasks(&self) {
        assert_eq!(self.state.tasks.len(), self.naive.tasks.len());
        for known in &self.naive.tasks {
            let task = self.state.task(&known.id).unwrap();
            let shown = (task.source, task.status, task.moved, task.below);
            assert_eq!(shown, (known.source, known.status, known.moved, known.below));
            let of_it = self.naive.tasks.iter().filter(|other| other.source == known.source);
            assert!(of_it.clone().count() <= 10, "the oldest make room");
            assert!(of_it.filter(|other| other.is_active()).count() <= 1, "one at a time");
        }
    }
}
