//! A toy disk: effects do on it what their SQL does in `store.rs`, and a machine is rebuilt from it after a crash.

use std::collections::BTreeMap;

use super::naive::KnownQueue;
use crate::arn::Identity;
use crate::attempts::Attempt;
use crate::attributes::{DeduplicationScope, FifoSettings, Settings};
use crate::clock::Now;
use crate::contract::RedrivePolicy;
use crate::duplicates::Original;
use crate::effect::{
    AttemptRow, Content, DeliveryState, Effect, IndexRow, Insert, Move, MoveKind, OriginalRow, QueueId, QueueRow, Seq,
    TaskRow,
};
use crate::message::MessageId;
use crate::state::State;

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: u128,
    pub(super) queue: QueueId,
    pub(super) group: Option<u8>,
    pub(super) source: Option<QueueId>,
    pub(super) enqueued_ms: u64,
    pub(super) first_visible_ms: u64,
    pub(super) delivery: Option<DeliveryState>,
}

impl Row {
    pub(super) fn delivery(&self) -> DeliveryState {
        self.delivery.unwrap_or(DeliveryState { visible_tick_ms: self.first_visible_ms, ..DeliveryState::default() })
    }
}

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) messages: BTreeMap<Seq, Row>,
    pub(super) queues: BTreeMap<QueueId, KnownQueue>,
    pub(super) originals: BTreeMap<(QueueId, Seq), OriginalRow>,
    pub(super) attempts: BTreeMap<(QueueId, String), Attempt>,
    pub(super) tasks: BTreeMap<String, TaskRow>,
}

pub(super) fn queue_name(id: QueueId, is_fifo: bool) -> String {
    if is_fifo { format!("f{id}.fifo") } else { format!("q{id}") }
}

/// The number of the queue of that ARN: the digit in its name.
pub(super) fn queue_of_arn(arn: &str) -> QueueId {
    let name = arn.rsplit(':').next().unwrap();
    name.trim_start_matches(['q', 'f']).trim_end_matches(".fifo").parse().unwrap()
}

pub(super) fn settings(queue: &KnownQueue) -> Settings {
    let redrive = queue.redrive.map(|(target, max_receive_count)| RedrivePolicy {
        dead_letter_target_arn: Identity::default().arn(&queue_name(target, target > 3)),
        max_receive_count,
    });
    let created_scope = if queue.per_group { DeduplicationScope::MessageGroup } else { DeduplicationScope::Queue };
    Settings {
        visibility_timeout_s: queue.visibility_s,
        delay_s: queue.delay_s,
        retention_s: queue.retention_s,
        redrive,
        fifo: queue.is_fifo.then_some(FifoSettings { created_scope, ..FifoSettings::default() }),
        ..Settings::default()
    }
}

pub(super) fn queue_row(queue: &KnownQueue) -> QueueRow {
    QueueRow {
        id: queue.id,
        name: queue_name(queue.id, queue.is_fifo),
        settings: Vec::new(),
        tags: Vec::new(),
        created_unix_s: 0,
        modified_unix_s: 0,
    }
}

pub(super) fn content(id: u128, group: Option<u8>) -> Content {
    Content {
        id: id_text(id),
        body: "body".to_owned(),
        attributes: Vec::new(),
        sender_id: String::new(),
        sent_unix_ms: 0,
        trace_header: None,
        group_id: group.map(|group| group.to_string()),
        deduplication_id: None,
        dead_letter_source_arn: None,
        body_md5: [0; 16],
        dead_letter_reason: None,
    }
}

pub(super) fn id_text(id: u128) -> MessageId {
    MessageId::new(uuid::Uuid::from_u128(id).to_string())
}

fn id_of(text: &MessageId) -> u128 {
    uuid::Uuid::parse_str(text.as_str()).unwrap().as_u128()
}

impl Disk {
    pub(super) fn new(queues: &[KnownQueue]) -> Self {
        Self {
            messages: BTreeMap::new(),
            queues: queues.iter().map(|queue| (queue.id, *queue)).collect(),
            originals: BTreeMap::new(),
            attempts: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }

    /// The machine as a process makes it that opens this disk.
    pub(super) fn open(&self, next_seq: Seq, now: Now) -> State {
        let mut state = State::new(Identity::default(), next_seq);
        for queue in self.queues.values() {
            state.put_queue(&queue_row(queue), settings(queue), now);
        }
        for (seq, row) in &self.messages {
            let (queue, enqueued_tick_ms, delivery) = (row.queue, row.enqueued_ms, row.delivery());
            let group = row.group.map(|group| group.to_string());
            assert!(state.restore(IndexRow { seq: *seq, queue, enqueued_tick_ms, group, delivery }, now));
        }
        self.originals.values().for_each(|row| state.restore_original(row));
        for ((queue, attempt_id), attempt) in &self.attempts {
            let (queue, attempt_id, attempt) = (*queue, attempt_id.clone(), attempt.clone());
            state.restore_attempt(AttemptRow { queue, attempt_id, attempt });
        }
        self.tasks.values().for_each(|task| state.restore_task(task.clone()));
        state
    }

    pub(super) fn write(&mut self, effect: &Effect) {
        match effect {
            Effect::Insert(insert) => self.insert(insert),
            Effect::Delivery { seq, state } => {
                if let Some(row) = self.messages.get_mut(seq) {
                    row.delivery = Some(*state);
                }
            }
            Effect::Remove { seq, .. } => {
                self.messages.remove(seq);
            }
            Effect::Move(step) => self.move_one(step),
            Effect::ForgetOriginals { queue, through } => {
                self.originals.retain(|(of, seq), _| of != queue || seq > through);
            }
            Effect::PutAttempt(row) => {
                self.attempts.insert((row.queue, row.attempt_id.clone()), row.attempt.clone());
            }
            Effect::ForgetAttempts { queue, through_tick_ms } => {
                self.attempts.retain(|(of, _), attempt| of != queue || attempt.made_tick_ms > *through_tick_ms);
            }
            Effect::PutTask(task) => {
                self.tasks.insert(task.id.clone(), task.clone());
            }
            Effect::TaskProgress { id, moved } => {
                self.tasks.entry(id.clone()).and_modify(|task| task.moved = *moved);
            }
            Effect::TaskStatus { id, status, failure_reason } => {
                if let Some(task) = self.tasks.get_mut(id).filter(|task| task.is_active()) {
                    task.status = *status;
                    task.failure_reason.clone_from(failure_reason);
                }
            }
            Effect::DropTask { id } => {
                self.tasks.remove(id);
            }
            // The caller knows what it holds.
            Effect::PutQueue(_) | Effect::Explain { .. } | Effect::Barrier => {}
            // Its messages go as orphans.
            Effect::DropQueue { queue } => {
                self.queues.remove(queue);
                self.originals.retain(|(of, _), _| of != queue);
                self.attempts.retain(|(of, _), _| of != queue);
                self.tasks.retain(|_, task| task.source != *queue);
            }
        }
    }

    fn insert(&mut self, insert: &Insert) {
        let Insert { queue, seq, enqueued_tick_ms, visible_tick_ms, content, duplicate_key } = insert;
        let id = id_of(&content.id);
        let row = Row {
            id,
            queue: *queue,
            group: content.group_id.as_ref().map(|group| group.parse().unwrap()),
            source: None,
            enqueued_ms: *enqueued_tick_ms,
            first_visible_ms: *visible_tick_ms,
            delivery: None,
        };
        assert!(self.messages.insert(*seq, row).is_none(), "a number was given twice");
        if let Some(key) = duplicate_key {
            let original = Original { seq: *seq, id: id.to_be_bytes(), sent_tick_ms: *enqueued_tick_ms };
            self.originals.insert((*queue, *seq), OriginalRow { queue: *queue, key: *key, original });
        }
    }

    fn move_one(&mut self, step: &Move) {
        let Some(mut row) = self.messages.remove(&step.seq) else { return };
        row.queue = step.to;
        match &step.kind {
            MoveKind::DeadLetter { source_arn, .. } => {
                row.source = Some(queue_of_arn(source_arn));
                row.delivery = row.delivery.map(|delivery| DeliveryState { visible_tick_ms: 0, ..delivery });
            }
            MoveKind::Redrive { id, .. } => {
                row.id = id_of(id);
                row.source = None;
                row.delivery = None;
            }
        }
        if let Some(renewal) = step.renewal() {
            row.enqueued_ms = renewal.enqueued_tick_ms;
            row.first_visible_ms = renewal.enqueued_tick_ms;
        }
        let seq = step.renewal().map_or(step.seq, |renewal| renewal.seq);
        assert!(self.messages.insert(seq, row).is_none(), "a number was given twice");
    }
}
