//! What clients asked of a queue and what they were answered, with the moments at which they asked and knew.
//!
//! An operation took effect at some moment between `asked` and `ended`, if it did; nothing more is known from outside.

/// Microseconds since the history began.
pub(super) type At = u64;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Acknowledged.
    Done,
    /// Answered with a no: it did nothing.
    Refused,
    /// No answer came: it may have been done or not.
    Unknown,
}

/// When an operation was under way, and how it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) asked: At,
    pub(super) ended: At,
    pub(super) fate: Fate,
}

impl Span {
    pub(super) fn is_done(&self) -> bool {
        self.fate == Fate::Done
    }

    pub(super) fn may_be_done(&self) -> bool {
        self.fate != Fate::Refused
    }
}

/// A queue, and where its dead letters go.
#[derive(Clone, Debug)]
pub(super) struct QueueSpec {
    pub(super) name: &'static str,
    pub(super) is_fifo: bool,
    pub(super) dead_letters: Option<DeadLetters>,
}

/// A redrive policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadLetters {
    pub(super) queue: &'static str,
    pub(super) max_receive_count: u32,
}

/// One try to send one message. The body is the key: one body is sent again only as the same message, with the same
/// deduplication id, after a try that got no answer.
#[derive(Clone, Debug)]
pub(super) struct Send {
    pub(super) span: Span,
    pub(super) queue: &'static str,
    pub(super) key: String,
    pub(super) group: Option<String>,
    pub(super) delay: At,
    /// Of one that is done.
    pub(super) message_id: String,
    /// Of one that is done, on a FIFO queue.
    pub(super) sequence: Option<u128>,
}

/// One call that receives.
#[derive(Clone, Debug)]
pub(super) struct Receive {
    pub(super) span: Span,
    pub(super) queue: &'static str,
    /// How long what it got is hidden.
    pub(super) visibility: At,
}

/// One message that a receive got.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// Which receive.
    pub(super) receive: usize,
    pub(super) key: String,
    pub(super) message_id: String,
    pub(super) receive_count: u32,
    pub(super) sequence: Option<u128>,
    /// Whether body, attributes and group are what was sent.
    pub(super) is_intact: bool,
}

/// One delete by the handle of a delivery.
#[derive(Clone, Debug)]
pub(super) struct Delete {
    pub(super) span: Span,
    pub(super) delivery: usize,
}

/// One change of visibility by the handle of a delivery.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) span: Span,
    pub(super) delivery: usize,
    pub(super) visibility: At,
}

/// One purge.
#[derive(Clone, Debug)]
pub(super) struct Purge {
    pub(super) span: Span,
    pub(super) queue: &'static str,
}

/// One start of a message move task, back to where the dead letters came from.
#[derive(Clone, Debug)]
pub(super) struct MoveTask {
    pub(super) span: Span,
    pub(super) source: &'static str,
}

/// What the list of move tasks said in the end.
#[derive(Clone, Debug)]
pub(super) struct TaskEnd {
    pub(super) source: &'static str,
    pub(super) status: String,
}

/// One SIGKILL: sent at `killed`, and at `gone` the process was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) killed: At,
    pub(super) gone: At,
}

/// Everything. It ends with the queues drained: whatever could be received was received and deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) queues: Vec<QueueSpec>,
    pub(super) sends: Vec<Send>,
    pub(super) receives: Vec<Receive>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) deletes: Vec<Delete>,
    pub(super) changes: Vec<Change>,
    pub(super) purges: Vec<Purge>,
    pub(super) tasks: Vec<MoveTask>,
    pub(super) task_ends: Vec<TaskEnd>,
    pub(super) crashes: Vec<Crash>,
}

impl History {
    pub(super) fn queue(&self, name: &str) -> &QueueSpec {
        self.queues.iter().find(|queue| queue.name == name).unwrap()
    }

    /// The receive that got a delivery.
    pub(super) fn receive_of(&self, delivery: &Delivery) -> &Receive {
        &self.receives[delivery.receive]
    }

    /// All that happened to one message, in order, for people.
    pub(super) fn story(&self, key: &str) -> String {
        let mut lines: Vec<(At, String)> = Vec::new();
        let mut tell = |span: &Span, what: String| {
            lines.push((span.asked, format!("{:>12} to {:>12}  {what}: {:?}", span.asked, span.ended, span.fate)));
        };
        for send in self.sends.iter().filter(|send| send.key == key) {
            let Send { queue, message_id, sequence, delay, .. } = send;
            tell(&send.span, format!("send to {queue}, delay {delay}, id {message_id:?}, sequence {sequence:?}"));
        }
        let is_its = |delivery: usize| self.deliveries[delivery].key == key;
        for delivery in self.deliveries.iter().filter(|delivery| delivery.key == key) {
            let Receive { span, queue, visibility } = self.receive_of(delivery);
            let Delivery { receive, receive_count, message_id, .. } = delivery;
            let what =
                format!("receive {receive} from {queue} for {visibility}, count {receive_count}, id {message_id}");
            tell(span, what);
        }
        for delete in self.deletes.iter().filter(|delete| is_its(delete.delivery)) {
            tell(&delete.span, format!("delete of receive {}", self.deliveries[delete.delivery].receive));
        }
        for change in self.changes.iter().filter(|change| is_its(change.delivery)) {
            let receive = self.deliveries[change.delivery].receive;
            tell(&change.span, format!("hide for {} more, of receive {receive}", change.visibility));
        }
        let (first, last) = lines.iter().fold((At::MAX, 0), |(first, last), (at, _)| (first.min(*at), last.max(*at)));
        for crash in self.crashes.iter().filter(|crash| crash.gone >= first && crash.killed <= last) {
            lines.push((crash.killed, format!("{:>12} to {:>12}  SIGKILL", crash.killed, crash.gone)));
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line + "\n").collect()
    }
}
