//! The accounting of a soak or a torture: what was sent, where each message was seen, and what of that must not be.
//!
//! A message is succeeded when it is in no queue any more and a handler saw it. Unknown are those whose send had no
//! answer: each of them may be anywhere once, or nowhere. Refused ones must be nowhere.
//!
//! **What may come twice.** A message that never fails is handled again only if the process was killed before its delete can have been
//! on disk ([`SETTLED_WITHIN`]), or if its source lied about it, once per lie. One that fails or shares a batch with a failure is
//! handled again as often as its queue allows. Within a FIFO group first deliveries are in the order of the sends, and so are last
//! ones: what is handled again is followed by what stands behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::log::{Line, Log};
use crate::workload::{Fate, name_in_line};

/// From a handler's line to the end of its batch and its delete on disk, on a machine that has other work, too. A kill later
/// than that must not bring the message back.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// How a send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not at all: it may have been done or not.
    None,
    /// With a no.
    Refused,
    /// With the message's id.
    Id(String),
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What is to become of it.
    pub fate: Fate,
    /// Whether no message of its queue ever fails.
    pub is_calm: bool,
    /// On a FIFO queue.
    pub group: Option<String>,
    /// What the sender knows.
    pub answer: Answer,
}

/// One delivery of a message to a handler.
#[derive(Clone, Debug)]
pub struct Handled {
    /// In which process, from 0.
    pub life: u32,
    /// When the handler's line was read.
    pub at: Instant,
    /// Which message.
    pub name: String,
}

/// How a life of the process ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// By SIGKILL, sent then.
    Killed(Instant),
    /// By a drain that ended in time: whatever was in hand is settled.
    Drained,
}

/// A message that lies in a queue at the end.
#[derive(Clone, Debug)]
pub struct Lying {
    /// Its name, or its body if it has none.
    pub name: String,
    /// Under which id.
    pub message_id: String,
    /// How often it was received.
    pub receive_count: u64,
    /// Failures of a handler that the queue recorded beside it.
    pub failures: u64,
}

/// All that was written down.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By name.
    pub sent: BTreeMap<String, Sent>,
    /// In the order of the handlers' lines.
    pub handled: Vec<Handled>,
    /// The ends of the lives that have ended, in order.
    pub ends: Vec<Ended>,
    /// How often a source lied about a message, such that it is delivered once more each time.
    pub lies: BTreeMap<String, u64>,
    /// What lies in dead-letter queues.
    pub dead: Vec<Lying>,
    /// What lies in source queues.
    pub remaining: Vec<Lying>,
}

/// The result.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Sends with an id.
    pub acknowledged: usize,
    /// Sends without an answer.
    pub unknown: usize,
    /// Unknown ones that were seen nevertheless.
    pub unknown_seen: usize,
    /// Sends that were refused.
    pub refused: usize,
    /// Of the acknowledged.
    pub succeeded: usize,
    /// Of the acknowledged.
    pub dead_lettered: usize,
    /// Of the acknowledged.
    pub remaining: usize,
    /// Dead letters that were to succeed: other receives than failures of their own used up what they had.
    pub dead_of_interruptions: Vec<String>,
    /// Further deliveries in another life of the process than the one before: what a kill or a drain interrupted.
    pub repeated_after_restart: usize,
    /// Further deliveries in the same life: failures, what shared a batch with them, and what a crash was looked for in.
    pub repeated_beside_failure: usize,
    /// Further deliveries of what never fails, each because the source had lied.
    pub repeated_by_lies: usize,
    /// What must not be.
    pub wrong: Vec<String>,
}

impl Ledger {
    /// Writes down how a life ended, and what its handlers said they handled.
    pub fn end_life(&mut self, log: &Log, end: Ended) {
        let life = u32::try_from(self.ends.len()).unwrap();
        for line in log.pick(Line::is_of_handler) {
            if let Some(name) = name_in_line(line.message()) {
                self.handled.push(Handled { life, at: line.seen_at, name: name.to_owned() });
            }
        }
        self.ends.push(end);
    }

    /// Judges it. `max_receive_count` is that of every queue.
    #[must_use]
    pub fn settle(&self, max_receive_count: u64) -> Account {
        let mut account = Account::default();
        let seen: BTreeSet<&str> = self.handled.iter().map(|handled| handled.name.as_str()).collect();
        let dead = self.by_name(&self.dead, &mut account, "dead letter");
        let remaining = self.by_name(&self.remaining, &mut account, "left in its queue");
        for (name, sent) in &self.sent {
            let (dead, left) = (dead.get(name.as_str()), remaining.contains_key(name.as_str()));
            let is_anywhere = seen.contains(name.as_str()) || dead.is_some() || left;
            match sent.answer {
                Answer::None => {
                    account.unknown += 1;
                    account.unknown_seen += usize::from(is_anywhere);
                }
                Answer::Refused => {
                    account.refused += 1;
                    if is_anywhere {
                        account.wrong.push(format!("{name} was refused, and is there nevertheless"));
                    }
                }
                Answer::Id(_) => {
                    account.acknowledged += 1;
                    match (dead.is_some(), left) {
                        (true, true) => account.wrong.push(format!("{name} is in its queue and a dead letter")),
                        (true, false) => account.dead_lettered += 1,
                        (false, true) => account.remaining += 1,
                        (false, false) if !seen.contains(name.as_str()) => {
                            account.wrong.push(format!("{name} was acknowledged and is lost: no handler saw it"));
                        }
                        (false, false) if sent.fate == Fate::Poison => {
                            account.wrong.push(format!("{name} is poison, and is gone without being a dead letter"));
                        }
                        (false, false) => account.succeeded += 1,
                    }
                }
            }
            if let Some(dead) = dead.filter(|_| sent.fate == Fate::Succeeds) {
                let story = format!("{name}: received {} times, failed {}", dead.receive_count, dead.failures);
                if dead.failures < max_receive_count {
                    account.dead_of_interruptions.push(story);
                } else {
                    account.wrong.push(format!("a dead letter that was to succeed: {story}"));
                }
            }
        }
        self.judge_deliveries(&mut account);
        account
    }

    fn by_name<'a>(&self, lying: &'a [Lying], account: &mut Account, place: &str) -> BTreeMap<&'a str, &'a Lying> {
        let mut found = BTreeMap::new();
        for message in lying {
            let name = message.name.as_str();
            match self.sent.get(name).map(|sent| &sent.answer) {
                None => account.wrong.push(format!("{place}, and never sent: {name:?}")),
                Some(Answer::Id(id)) if *id != message.message_id => {
                    account.wrong.push(format!("{place} under another message id: {name} as {}", message.message_id));
                }
                Some(_) => {}
            }
            if found.insert(name, message).is_some() {
                account.wrong.push(format!("{place} twice: {name}"));
            }
        }
        found
    }

    fn judge_deliveries(&self, account: &mut Account) {
        let mut of_message: BTreeMap<&str, Vec<(usize, &Handled)>> = BTreeMap::new();
        for (number, handled) in self.handled.iter().enumerate() {
            of_message.entry(&handled.name).or_default().push((number, handled));
        }
        let mut of_group: BTreeMap<(&str, &str), Vec<Turn<'_>>> = BTreeMap::new();
        for (name, deliveries) in &of_message {
            let Some(sent) = self.sent.get(*name) else {
                account.wrong.push(format!("handled, and never sent: {name:?}"));
                continue;
            };
            let mut lies = self.lies.get(*name).copied().unwrap_or(0);
            for (before, after) in deliveries.iter().zip(&deliveries[1..]) {
                self.judge_repetition(name, sent, (before.1, after.1), &mut lies, account);
            }
            if let (Some(group), Some((queue, place))) = (&sent.group, place(name)) {
                let (first, last) = (deliveries[0].0, deliveries[deliveries.len() - 1].0);
                of_group.entry((queue, group)).or_default().push(Turn { place, name, first, last });
            }
        }
        for ((queue, group), mut turns) in of_group {
            turns.sort_by_key(|turn| turn.place);
            for two in turns.windows(2) {
                for (which, earlier, later) in
                    [("first", two[0].first, two[1].first), ("last", two[0].last, two[1].last)]
                {
                    if earlier > later {
                        let (name, behind) = (two[0].name, two[1].name);
                        let what =
                            format!("{name} came behind {behind} of its group {group} in {queue} ({which} time)");
                        account.wrong.push(what);
                    }
                }
            }
        }
    }

    fn judge_repetition(
        &self,
        name: &str,
        sent: &Sent,
        (before, after): (&Handled, &Handled),
        lies: &mut u64,
        account: &mut Account,
    ) {
        let is_same_life = before.life == after.life;
        if !sent.is_calm {
            let tally =
                if is_same_life { &mut account.repeated_beside_failure } else { &mut account.repeated_after_restart };
            *tally += 1;
            return;
        }
        let forbidden = match self.ends.get(before.life as usize) {
            _ if is_same_life => Some("in one life without any failure".to_owned()),
            Some(Ended::Drained) => Some("although a drain had ended the life in which it was handled".to_owned()),
            Some(Ended::Killed(killed)) => {
                let since = killed.saturating_duration_since(before.at);
                (since > SETTLED_WITHIN).then(|| format!("although the kill came {since:?} after the first time"))
            }
            None => Some("in another life, although its own has not ended".to_owned()),
        };
        match forbidden {
            None => account.repeated_after_restart += 1,
            Some(_) if *lies > 0 => {
                *lies -= 1;
                account.repeated_by_lies += 1;
            }
            Some(why) => account.wrong.push(format!("{name} was handled twice {why}")),
        }
    }
}

/// A message's part in its group: where it stands, and which deliveries of all were its first and its last.
struct Turn<'a> {
    place: (u64, u64),
    name: &'a str,
    first: usize,
    last: usize,
}

/// A message's queue, and its place in its sender's stream: the batch's number and the place in it.
fn place(name: &str) -> Option<(&str, (u64, u64))> {
    let mut parts = name.rsplitn(4, '/');
    let (place, number) = (parts.next()?, parts.next()?);
    Some((parts.nth(1)?, (number.parse().ok()?, place.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 3;

    #[derive(Clone, Copy)]
    enum Queue {
        Calm,
        Work,
        Orders,
    }
    use Queue::{Calm, Orders, Work};

    fn sent(name: &str, queue: Queue, fate: Fate) -> (String, Sent) {
        let group = matches!(queue, Orders).then(|| "g".to_owned());
        let answer = Answer::Id(format!("id of {name}"));
        (name.to_owned(), Sent { fate, is_calm: matches!(queue, Calm), group, answer })
    }

    fn lying(name: &str, failures: u64) -> Lying {
        Lying { name: name.to_owned(), message_id: format!("id of {name}"), receive_count: MAX, failures }
    }

    fn handled(names: &[(u32, &str)]) -> Vec<Handled> {
        let at = Instant::now();
        names.iter().map(|(life, name)| Handled { life: *life, at, name: (*name).to_owned() }).collect()
    }

    fn wrong(ledger: &Ledger) -> String {
        ledger.settle(MAX).wrong.join("; ")
    }

    #[test]
    fn a_good_run_adds_up_and_explains_what_came_twice() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "left"] {
            ledger.sent.extend([sent(name, Work, Fate::Succeeds)]);
        }
        ledger.sent.extend([sent("p", Work, Fate::Poison), sent("killed", Work, Fate::Succeeds)]);
        for (name, answer) in [("no answer", Answer::None), ("no", Answer::Refused)] {
            let (name, lost) = sent(name, Work, Fate::Succeeds);
            ledger.sent.insert(name, Sent { answer, ..lost });
        }
        ledger.handled = handled(&[(0, "a"), (1, "a"), (1, "b"), (1, "p"), (1, "p"), (1, "no answer")]);
        ledger.dead = vec![lying("p", 3), lying("killed", 2)];
        ledger.remaining = vec![lying("left", 0)];
        let account = ledger.settle(MAX);
        assert_eq!(account.wrong, Vec::<String>::new());
        assert_eq!((account.acknowledged, account.unknown, account.unknown_seen, account.refused), (5, 1, 1, 1));
        assert_eq!((account.succeeded, account.dead_lettered, account.remaining), (2, 2, 1));
        assert_eq!((account.repeated_after_restart, account.repeated_beside_failure), (1, 1));
        assert_eq!(account.dead_of_interruptions, ["killed: received 3 times, failed 2"]);
    }

    #[test]
    fn each_broken_promise_is_caught() {
        let of = |name, queue, fate| Ledger { sent: [sent(name, queue, fate)].into(), ..Ledger::default() };
        assert!(wrong(&of("a", Work, Fate::Succeeds)).contains("is lost"));
        let gone = Ledger { handled: handled(&[(0, "p")]), ..of("p", Work, Fate::Poison) };
        assert!(wrong(&gone).contains("is poison, and is gone"));
        let twice = Ledger { dead: vec![lying("p", 3), lying("p", 3)], ..of("p", Work, Fate::Poison) };
        assert!(wrong(&twice).contains("dead letter twice: p"));
        let both = Ledger { dead: vec![lying("p", 3)], remaining: vec![lying("p", 3)], ..of("p", Work, Fate::Poison) };
        assert!(wrong(&both).contains("in its queue and a dead letter"));
        let blamed = Ledger { dead: vec![lying("a", 3)], ..of("a", Work, Fate::Succeeds) };
        assert!(wrong(&blamed).contains("was to succeed: a: received 3 times, failed 3"));
        let renamed = Lying { message_id: "another".to_owned(), ..lying("p", 3) };
        let renamed = Ledger { dead: vec![renamed], ..of("p", Work, Fate::Poison) };
        assert!(wrong(&renamed).contains("under another message id"));
        let invented = Ledger { dead: vec![lying("x", 0)], handled: handled(&[(0, "y")]), ..Ledger::default() };
        assert_eq!(wrong(&invented), "dead letter, and never sent: \"x\"; handled, and never sent: \"y\"");
        let mut refused = Ledger { handled: handled(&[(0, "a")]), ..of("a", Work, Fate::Succeeds) };
        refused.sent.get_mut("a").unwrap().answer = Answer::Refused;
        assert!(wrong(&refused).contains("was refused, and is there"));
    }

    #[test]
    fn what_never_fails_comes_again_only_after_a_kill_that_was_quick_or_by_a_lie() {
        let (now, late) = (Instant::now(), Instant::now() + SETTLED_WITHIN + Duration::from_secs(1));
        let ledger = |lives: [u32; 2], end: Ended| Ledger {
            sent: [sent("c", Calm, Fate::Succeeds)].into(),
            handled: handled(&[(lives[0], "c"), (lives[1], "c")]),
            ends: vec![end],
            ..Ledger::default()
        };
        assert_eq!(wrong(&ledger([0, 1], Ended::Killed(now))), "");
        assert!(wrong(&ledger([0, 1], Ended::Killed(late))).contains("although the kill came"));
        assert!(wrong(&ledger([0, 1], Ended::Drained)).contains("although a drain"));
        let mut one_life = ledger([0, 0], Ended::Drained);
        assert!(wrong(&one_life).contains("handled twice in one life"));
        one_life.lies.insert("c".to_owned(), 1);
        assert_eq!((wrong(&one_life).as_str(), one_life.settle(MAX).repeated_by_lies), ("", 1));
        one_life.handled.extend(handled(&[(0, "c")]));
        assert!(wrong(&one_life).contains("handled twice in one life"));
    }

    #[test]
    fn a_group_is_in_order_by_first_and_by_last_deliveries() {
        let [first, second] = ["orders.fifo/0/9/8", "orders.fifo/0/10/0"];
        let order = |names: &[&str]| Ledger {
            sent: [first, second].iter().map(|name| sent(name, Orders, Fate::Succeeds)).collect(),
            handled: handled(&names.iter().map(|name| (0, *name)).collect::<Vec<_>>()),
            ..Ledger::default()
        };
        assert_eq!(wrong(&order(&[first, second, first, second])), "");
        assert!(wrong(&order(&[second, first, second])).contains("(first time)"));
        assert!(wrong(&order(&[first, second, first])).contains("(last time)"));
        // A group of another queue is another group.
        let elsewhere = "more.fifo/0/8/0";
        let mut order = order(&[first, second, elsewhere]);
        order.sent.extend([sent(elsewhere, Orders, Fate::Succeeds)]);
        assert_eq!(wrong(&order), "");
    }
}
