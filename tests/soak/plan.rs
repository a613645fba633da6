//! What a soak will do, drawn from its seed before it begins: which messages each sender sends, and when which fault
//! comes. The same seed and length give the same plan; how far a sender gets in it is the machine's to say.

use serde_json::{Value, json};
use support::seed::Chance;

/// The queue whose handler never crashes: no message of it may be handled twice in one life of the process.
pub(crate) const CALM: &str = "calm";
/// The queue of every misbehaviour.
pub(crate) const WORK: &str = "work";
/// The queue whose groups stay in order.
pub(crate) const ORDERS: &str = "orders.fifo";
/// Every source queue, with its dead-letter queue.
pub(crate) const QUEUES: [(&str, &str); 3] = [(CALM, "calm-dead"), (WORK, "work-dead"), (ORDERS, "orders-dead.fifo")];
pub(crate) const MESSAGES_PER_BATCH: usize = 10;

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Handled, if need be at its second receive.
    Succeeds,
    /// Dead-lettered: it fails, traps, takes too long or too much memory each time.
    Poison,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its name in the accounting; the body carries it.
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) fate: Fate,
    pub(crate) delay_seconds: i32,
    /// For the FIFO queue.
    pub(crate) group: Option<String>,
}

/// One call of `SendMessageBatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) queue: &'static str,
    pub(crate) messages: Vec<Planned>,
}

/// The sender's batch of this number.
pub(crate) fn batch(seed: u64, sender: u64, number: u64) -> Batch {
    let mut chance = Chance::new(seed ^ (sender << 40) ^ number).fork();
    let queue = QUEUES[usize::try_from(chance.below(3)).unwrap()].0;
    let messages = (0..MESSAGES_PER_BATCH).map(|place| {
        let name = format!("{queue}/{sender}/{number}/{place}");
        let (fate, deed) = deed(queue, &mut chance);
        let body = Value::from(vec![json!({"do": "echo_to_log", "name": name}), deed]).to_string();
        let delay_seconds = if queue != ORDERS && chance.percent(5) { 1 } else { 0 };
        // Poison would hold up its group until it is dead, and those behind it would be received with it.
        let group = match fate {
            Fate::Succeeds => format!("{sender}-{}", chance.below(4)),
            Fate::Poison => name.clone(),
        };
        Planned { name, body, fate, delay_seconds, group: (queue == ORDERS).then_some(group) }
    });
    Batch { queue, messages: messages.collect() }
}

fn deed(queue: &str, chance: &mut Chance) -> (Fate, Value) {
    let of_thousand = chance.below(1000);
    let slow = json!({"do": "sleep_ms", "ms": chance.within(20, 100)});
    let recovers = json!({"do": "fail_until_receive_count", "count": 2});
    match (queue, of_thousand) {
        (CALM, 0..100) => (Fate::Succeeds, slow),
        (WORK, 0..100) => (Fate::Succeeds, slow),
        (WORK, 100..150) | (ORDERS, 0..10) => (Fate::Succeeds, recovers),
        (WORK, 150..170) | (ORDERS, 10..20) => (Fate::Poison, json!({"do": "fail"})),
        (WORK, 170..180) | (ORDERS, 20..25) => (Fate::Poison, json!({"do": "trap"})),
        (WORK, 180..183) => (Fate::Poison, json!({"do": "eat_memory"})),
        // Beyond the function's timeout.
        (WORK, 183..184) => (Fate::Poison, json!({"do": "sleep_ms", "ms": 60_000})),
        _ => (Fate::Succeeds, json!({})),
    }
}

/// What is done to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a start on the same folder.
    Kill,
    /// SIGTERM, and a start when the drain has ended.
    Drain,
    /// SIGHUP, which ends nothing.
    Reload,
}

/// A fault and its moment, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    pub(crate) fault: Fault,
}

/// The faults of a soak of this length, in order. From 30 % to 80 % of it the process is only told to read its config
/// again: this is the stretch in which its memory is watched.
pub(crate) fn events(seed: u64, seconds: u64) -> Vec<Event> {
    let mut chance = Chance::new(!seed);
    let (end_ms, mut at_ms) = (seconds * 1000, 0);
    let mut events = Vec::new();
    loop {
        at_ms += chance.within(1500, 6000);
        if at_ms >= end_ms {
            return events;
        }
        let is_quiet = (seconds * 300..seconds * 800).contains(&at_ms);
        let fault = match chance.below(100) {
            _ if is_quiet => Fault::Reload,
            0..55 => Fault::Kill,
            55..80 => Fault::Drain,
            _ => Fault::Reload,
        };
        events.push(Event { at_ms, fault });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages_and_faults_and_another_gives_others() {
        assert_eq!(batch(7, 1, 20), batch(7, 1, 20));
        assert_ne!(batch(7, 1, 20), batch(8, 1, 20));
        assert_ne!(batch(7, 1, 20).messages[0].name, batch(7, 2, 20).messages[0].name);
        assert_eq!(events(7, 120), events(7, 120));
        assert_ne!(events(7, 120), events(8, 120));
    }

    #[test]
    fn a_plan_has_every_queue_and_fate_and_a_name_for_each_message() {
        let batches: Vec<Batch> = (0..300).map(|number| batch(1, 0, number)).collect();
        let messages: Vec<&Planned> = batches.iter().flat_map(|batch| &batch.messages).collect();
        assert_eq!(messages.iter().map(|message| &message.name).collect::<BTreeSet<_>>().len(), 3000);
        for (queue, _) in QUEUES {
            let of_queue = || batches.iter().filter(|batch| batch.queue == queue).flat_map(|batch| &batch.messages);
            assert!(of_queue().any(|message| message.fate == Fate::Succeeds));
            assert_eq!(of_queue().any(|message| message.fate == Fate::Poison), queue != CALM);
            assert!(of_queue().all(|message| message.group.is_some() == (queue == ORDERS)));
        }
        for deed in ["fail", "trap", "eat_memory", "60000", "fail_until"] {
            assert!(messages.iter().any(|message| message.body.contains(deed)), "{deed}");
        }
    }

    #[test]
    fn the_quiet_stretch_ends_no_process_and_the_rest_has_kills_and_drains() {
        for seed in 0..50 {
            let events = events(seed, 600);
            assert!(events.windows(2).all(|two| two[0].at_ms < two[1].at_ms));
            let (quiet, other): (Vec<&Event>, Vec<&Event>) =
                events.iter().partition(|event| (180_000..480_000).contains(&event.at_ms));
            assert!(quiet.iter().all(|event| event.fault == Fault::Reload));
            for fault in [Fault::Kill, Fault::Drain, Fault::Reload] {
                assert!(other.iter().any(|event| event.fault == fault), "seed {seed}: no {fault:?}");
            }
        }
    }
}
