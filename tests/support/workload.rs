//! What the senders of a soak or a torture send, drawn from a seed: which messages, to which queue, and what becomes of each.
//! The same seed gives the same messages; how far a sender gets is the machine's to say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::{function, mapping, queue};
use crate::seed::Chance;

/// What a handler prints before a message's name. It says nothing else by itself.
const HANDLED: &str = "handled ";

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Handled, if need be at its second receive.
    Succeeds,
    /// Dead-lettered: it fails, traps, takes too long or too much memory each time.
    Poison,
}

/// How the messages of a queue behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// None ever fails: no message of it may be handled twice in one life of the process.
    Calm,
    /// Every misbehaviour there is.
    Work,
    /// Each message crashes its handler, each time, in one way or another.
    Crashing,
    /// A FIFO queue: groups that stay in order, and some poison, each in a group of its own.
    Orders,
}

/// A source queue, its dead-letter queue, and the function that it is mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Where its poison ends.
    pub dead: String,
    /// Its function's name.
    pub function: String,
    /// How its messages behave.
    pub mix: Mix,
}

impl Source {
    /// One with a function of its own, and with `-dead` at the end of its dead-letter queue's name.
    #[must_use]
    pub fn new(name: &str, mix: Mix) -> Self {
        let (stem, ending) = name.strip_suffix(".fifo").map_or((name, ""), |stem| (stem, ".fifo"));
        Self { name: name.to_owned(), dead: format!("{stem}-dead{ending}"), function: stem.to_owned(), mix }
    }

    /// One that shares a function.
    #[must_use]
    pub fn of_function(name: &str, mix: Mix, function: &str) -> Self {
        Self { function: function.to_owned(), ..Self::new(name, mix) }
    }

    /// The queue with its dead-letter queue, for a configuration.
    fn queues(&self, visibility_seconds: u32, max_receive_count: u64) -> String {
        let redrive =
            format!("{{ dead_letter_target_arn = \"{}\", max_receive_count = {max_receive_count} }}", self.dead);
        let keys = format!("visibility_timeout = {visibility_seconds}\nredrive_policy = {redrive}");
        queue(&self.dead, "") + &queue(&self.name, &keys)
    }
}

/// All sources, and what the messages for them are like.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Each batch is for one of them.
    pub sources: Vec<Source>,
    /// Messages per call of `SendMessageBatch`, at most ten.
    pub batch_messages: usize,
    /// So many bodies of a hundred are padded …
    pub padded_percent: u64,
    /// … half of them to this length, the others to something between it and its half.
    pub body_bytes_max: usize,
}

impl Workload {
    /// A queue of each manner, with small messages in tens.
    #[must_use]
    pub fn usual() -> Self {
        let sources = [("calm", Mix::Calm), ("work", Mix::Work), ("orders.fifo", Mix::Orders)];
        Self::of(sources.map(|(name, mix)| Source::new(name, mix)).into())
    }

    /// Small messages in tens for these.
    #[must_use]
    pub fn of(sources: Vec<Source>) -> Self {
        Self { sources, batch_messages: 10, padded_percent: 0, body_bytes_max: 0 }
    }

    /// The names of the sources.
    #[must_use]
    pub fn queues(&self) -> Vec<&str> {
        self.sources.iter().map(|source| source.name.as_str()).collect()
    }

    /// Every queue, function and mapping, for a configuration.
    #[must_use]
    pub fn config(&self, visibility_seconds: u32, max_receive_count: u64) -> String {
        self.queues_config(visibility_seconds, max_receive_count) + &self.functions(str::to_owned)
    }

    /// Every queue, for a configuration.
    #[must_use]
    pub fn queues_config(&self, visibility_seconds: u32, max_receive_count: u64) -> String {
        self.sources.iter().map(|source| source.queues(visibility_seconds, max_receive_count)).collect()
    }

    /// Every function and mapping, for a configuration in which a queue is called something else than its name.
    #[must_use]
    pub fn functions(&self, address: impl Fn(&str) -> String) -> String {
        let functions: BTreeMap<&str, Mix> =
            self.sources.iter().map(|source| (source.function.as_str(), source.mix)).collect();
        let functions = functions.into_iter().map(|(name, mix)| {
            // Only the work is meant to take too long: a machine that is slow for a moment is no fault of the others.
            let timeout = if mix == Mix::Work { 2 } else { 20 };
            let keys = format!("timeout = {timeout}\nmemory_size = 64\nreserved_concurrent_executions = 6");
            function(name, "faulty", &keys)
        });
        // However many of a batch crash, each of them is found.
        let keys = "bisect_max_invocations = 100\nretry_policy = \"immediate\"";
        let mappings = self.sources.iter().map(|source| mapping(&address(&source.name), &source.function, keys));
        functions.chain(mappings).collect()
    }

    /// The sender's batch of this number.
    #[must_use]
    pub fn batch(&self, seed: u64, sender: u64, number: u64) -> Batch {
        let mut chance = Chance::new(seed ^ (sender << 40) ^ number).fork();
        let source = &self.sources[usize::try_from(chance.below(self.sources.len() as u64)).unwrap()];
        // A function that fails time and again is called less and less, so a few take as long as all the others.
        let count = if source.mix == Mix::Crashing { 1 } else { self.batch_messages };
        let messages = (0..count).map(|place| {
            let name = format!("{}/{sender}/{number}/{place}", source.name);
            let (fate, deed) = deed(source.mix, &mut chance);
            let mut body = vec![json!({"do": "print", "text": format!("{HANDLED}{name}\n")}), deed];
            // Nothing is drawn where nothing is padded: the stream of small messages stays what it is.
            if self.padded_percent > 0 && chance.percent(self.padded_percent) {
                body.push(self.pad(&body, &mut chance));
            }
            let is_fifo = source.mix == Mix::Orders;
            let delay_seconds = if !is_fifo && chance.percent(5) { 1 } else { 0 };
            // Poison would hold up its group until it is dead, and those behind it would be received with it.
            let group = match fate {
                Fate::Succeeds => format!("{sender}-{}", chance.below(4)),
                Fate::Poison => name.clone(),
            };
            let body = Value::from(body).to_string();
            Planned { name, body, fate, delay_seconds, group: is_fifo.then_some(group) }
        });
        Batch { queue: source.name.clone(), is_calm: source.mix == Mix::Calm, messages: messages.collect() }
    }

    /// What makes a body as long as it shall be.
    fn pad(&self, body: &[Value], chance: &mut Chance) -> Value {
        let max = self.body_bytes_max as u64;
        let length = if chance.percent(50) { max } else { chance.within(max / 2, max) };
        let empty = Value::from([body, &[json!({"pad": ""})]].concat()).to_string().len();
        json!({"pad": "x".repeat(usize::try_from(length).unwrap().saturating_sub(empty))})
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name in the accounting; the body carries it.
    pub name: String,
    /// What the handler obeys.
    pub body: String,
    /// What is to become of it.
    pub fate: Fate,
    /// On a standard queue.
    pub delay_seconds: i32,
    /// For the FIFO queue.
    pub group: Option<String>,
}

/// One call of `SendMessageBatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where to.
    pub queue: String,
    /// Whether no message of that queue ever fails.
    pub is_calm: bool,
    /// In order.
    pub messages: Vec<Planned>,
}

/// The message's name in its body.
#[must_use]
pub fn name_in_body(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    name_in_line(body[0]["text"].as_str()?.trim_end()).map(str::to_owned)
}

/// The message's name in a line that a handler wrote. A panic's words are lines, too.
#[must_use]
pub fn name_in_line(line: &str) -> Option<&str> {
    line.strip_prefix(HANDLED)
}

fn deed(mix: Mix, chance: &mut Chance) -> (Fate, Value) {
    let of_thousand = chance.below(1000);
    let slow = json!({"do": "sleep_ms", "ms": chance.within(20, 100)});
    let recovers = json!({"do": "fail_until_receive_count", "count": 2});
    match (mix, of_thousand) {
        (Mix::Calm, 0..100) => (Fate::Succeeds, slow),
        (Mix::Work, 0..100) => (Fate::Succeeds, slow),
        (Mix::Work, 100..150) | (Mix::Orders, 0..10) => (Fate::Succeeds, recovers),
        (Mix::Work, 150..170) | (Mix::Orders, 10..20) => (Fate::Poison, json!({"do": "fail"})),
        (Mix::Work, 170..180) | (Mix::Orders, 20..25) => (Fate::Poison, json!({"do": "trap"})),
        (Mix::Work, 180..183) => (Fate::Poison, json!({"do": "eat_memory"})),
        // Beyond the function's timeout.
        (Mix::Work, 183..184) => (Fate::Poison, json!({"do": "sleep_ms", "ms": 60_000})),
        (Mix::Crashing, 0..600) => (Fate::Poison, json!({"do": "trap"})),
        (Mix::Crashing, 600..800) => (Fate::Poison, json!({"do": "recursion"})),
        (Mix::Crashing, 800..950) => (Fate::Poison, json!({"do": "eat_memory"})),
        (Mix::Crashing, _) => (Fate::Poison, json!({"do": "exit", "code": 3})),
        _ => (Fate::Succeeds, json!({})),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages_and_another_gives_others() {
        let usual = Workload::usual();
        assert_eq!(usual.batch(7, 1, 20), usual.batch(7, 1, 20));
        assert_ne!(usual.batch(7, 1, 20), usual.batch(8, 1, 20));
        assert_ne!(usual.batch(7, 1, 20).messages[0].name, usual.batch(7, 2, 20).messages[0].name);
    }

    #[test]
    fn a_plan_has_every_queue_and_fate_and_a_name_for_each_message() {
        let usual = Workload::usual();
        let batches: Vec<Batch> = (0..300).map(|number| usual.batch(1, 0, number)).collect();
        let messages: Vec<&Planned> = batches.iter().flat_map(|batch| &batch.messages).collect();
        assert_eq!(messages.iter().map(|message| &message.name).collect::<BTreeSet<_>>().len(), 3000);
        for Source { name, mix, .. } in &usual.sources {
            let of_queue = || batches.iter().filter(|batch| batch.queue == *name).flat_map(|batch| &batch.messages);
            assert!(of_queue().any(|message| message.fate == Fate::Succeeds));
            assert_eq!(of_queue().any(|message| message.fate == Fate::Poison), *mix != Mix::Calm);
            assert!(of_queue().all(|message| message.group.is_some() == (*mix == Mix::Orders)));
        }
        for deed in ["fail", "trap", "eat_memory", "60000", "fail_until"] {
            assert!(messages.iter().any(|message| message.body.contains(deed)), "{deed}");
        }
    }

    #[test]
    fn a_name_is_found_in_the_body_and_in_what_the_handler_prints_of_it() {
        let padded = Workload { padded_percent: 100, body_bytes_max: 900, ..Workload::usual() };
        let messages = padded.batch(3, 0, 0).messages;
        assert!(messages.iter().any(|message| message.body.len() == 900));
        assert!(messages.iter().all(|message| (450..=900).contains(&message.body.len())));
        let message = &messages[0];
        assert_eq!(name_in_body(&message.body).as_ref(), Some(&message.name));
        let printed = serde_json::from_str::<Value>(&message.body).unwrap()[0]["text"].as_str().unwrap().to_owned();
        assert_eq!(name_in_line(printed.trim_end()), Some(message.name.as_str()));
        assert_eq!((name_in_body("plain"), name_in_line("thread panicked")), (None, None));
    }
}
