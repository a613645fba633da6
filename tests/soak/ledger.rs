//! The accounting of a soak: what was sent, where each message was seen, and what of that must not be.
//!
//! A message is succeeded when it is in no queue any more and a handler saw it. Unknown are those whose send had no
//! answer: each of them may be anywhere once, or nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{CALM, Fate};

/// A message that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) fate: Fate,
    pub(crate) queue: &'static str,
    pub(crate) group: Option<String>,
    /// None: the send had no answer.
    pub(crate) message_id: Option<String>,
}

/// A message that lies in a queue at the end.
#[derive(Clone, Debug)]
pub(crate) struct Lying {
    pub(crate) name: String,
    pub(crate) message_id: String,
    pub(crate) receive_count: u64,
    /// Failures of a handler that the queue recorded beside it.
    pub(crate) failures: u64,
}

/// All that was written down.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By name.
    pub(crate) sent: BTreeMap<String, Sent>,
    /// The names that handlers logged, in order, by the process that ran them.
    pub(crate) handled: Vec<(u32, String)>,
    pub(crate) dead: Vec<Lying>,
    pub(crate) remaining: Vec<Lying>,
}

/// The result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) acknowledged: usize,
    pub(crate) unknown: usize,
    /// Unknown ones that were seen nevertheless.
    pub(crate) unknown_seen: usize,
    /// Of the acknowledged.
    pub(crate) succeeded: usize,
    /// Of the acknowledged.
    pub(crate) dead_lettered: usize,
    /// Of the acknowledged.
    pub(crate) remaining: usize,
    /// Dead letters that were to succeed: other receives than failures of their own used up what they had.
    pub(crate) dead_of_interruptions: Vec<String>,
    /// Further deliveries in another life of the process than the one before: what a kill or a drain interrupted.
    pub(crate) repeated_after_restart: usize,
    /// Further deliveries in the same life: failures, what shared a batch with them, and what a crash was looked for in.
    pub(crate) repeated_beside_failure: usize,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

/// Judges a ledger. `max_receive_count` is that of every queue.
pub(crate) fn settle(ledger: &Ledger, max_receive_count: u64) -> Account {
    let mut account = Account::default();
    let seen: BTreeSet<&str> = ledger.handled.iter().map(|(_, name)| name.as_str()).collect();
    let dead = by_name(&ledger.dead, &mut account, "dead letter", ledger);
    let remaining = by_name(&ledger.remaining, &mut account, "left in its queue", ledger);
    for (name, sent) in &ledger.sent {
        let (dead, left) = (dead.get(name.as_str()), remaining.contains_key(name.as_str()));
        if sent.message_id.is_none() {
            account.unknown += 1;
            account.unknown_seen += usize::from(seen.contains(name.as_str()) || dead.is_some() || left);
        } else {
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
        if let Some(dead) = dead.filter(|_| sent.fate == Fate::Succeeds) {
            let story = format!("{name}: received {} times, failed {}", dead.receive_count, dead.failures);
            if dead.failures < max_receive_count {
                account.dead_of_interruptions.push(story);
            } else {
                account.wrong.push(format!("a dead letter that was to succeed: {story}"));
            }
        }
    }
    judge_deliveries(ledger, &mut account);
    account
}

fn by_name<'a>(
    lying: &'a [Lying],
    account: &mut Account,
    place: &str,
    ledger: &Ledger,
) -> BTreeMap<&'a str, &'a Lying> {
    let mut found = BTreeMap::new();
    for message in lying {
        let name = message.name.as_str();
        match ledger.sent.get(name) {
            None => account.wrong.push(format!("{place}, and never sent: {name:?}")),
            Some(sent) if sent.message_id.as_ref().is_some_and(|id| *id != message.message_id) => {
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

fn judge_deliveries(ledger: &Ledger, account: &mut Account) {
    let mut last_life: BTreeMap<&str, u32> = BTreeMap::new();
    let mut last_of_group: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (life, name) in &ledger.handled {
        let Some(sent) = ledger.sent.get(name) else {
            account.wrong.push(format!("handled, and never sent: {name:?}"));
            continue;
        };
        match last_life.insert(name, *life) {
            Some(before) if before == *life && sent.queue == CALM => {
                account.wrong.push(format!("{name} was handled twice in one life without any failure"));
            }
            Some(before) if before == *life => account.repeated_beside_failure += 1,
            Some(_) => account.repeated_after_restart += 1,
            None => {
                // Its first delivery: the group's order is that of the sends.
                let (Some(group), Some(place)) = (&sent.group, place(name)) else { continue };
                if last_of_group.insert(group, place).is_some_and(|before| before > place) {
                    account.wrong.push(format!("{name} came behind a later message of its group {group}"));
                }
            }
        }
    }
}

/// A message's place in its sender's stream: the batch's number and the place in it.
fn place(name: &str) -> Option<(u64, u64)> {
    let mut parts = name.rsplit('/');
    let (place, number) = (parts.next()?, parts.next()?);
    Some((number.parse().ok()?, place.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ORDERS, WORK};

    const MAX: u64 = 3;

    fn sent(name: &str, queue: &'static str, fate: Fate) -> (String, Sent) {
        let group = (queue == ORDERS).then(|| "g".to_owned());
        (name.to_owned(), Sent { fate, queue, group, message_id: Some(format!("id of {name}")) })
    }

    fn lying(name: &str, failures: u64) -> Lying {
        Lying { name: name.to_owned(), message_id: format!("id of {name}"), receive_count: MAX, failures }
    }

    fn handled(names: &[(u32, &str)]) -> Vec<(u32, String)> {
        names.iter().map(|(life, name)| (*life, (*name).to_owned())).collect()
    }

    fn wrong(ledger: &Ledger) -> String {
        settle(ledger, MAX).wrong.join("; ")
    }

    #[test]
    fn a_good_run_adds_up_and_explains_what_came_twice() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "left"] {
            ledger.sent.extend([sent(name, WORK, Fate::Succeeds)]);
        }
        ledger.sent.extend([sent("p", WORK, Fate::Poison), sent("killed", WORK, Fate::Succeeds)]);
        let (name, lost) = sent("no answer", WORK, Fate::Succeeds);
        ledger.sent.insert(name, Sent { message_id: None, ..lost });
        ledger.handled = handled(&[(0, "a"), (1, "a"), (1, "b"), (1, "p"), (1, "p"), (1, "no answer")]);
        ledger.dead = vec![lying("p", 3), lying("killed", 2)];
        ledger.remaining = vec![lying("left", 0)];
        let account = settle(&ledger, MAX);
        assert_eq!(account.wrong, Vec::<String>::new());
        assert_eq!((account.acknowledged, account.unknown, account.unknown_seen), (5, 1, 1));
        assert_eq!((account.succeeded, account.dead_lettered, account.remaining), (2, 2, 1));
        assert_eq!((account.repeated_after_restart, account.repeated_beside_failure), (1, 1));
        assert_eq!(account.dead_of_interruptions, ["killed: received 3 times, failed 2"]);
    }

    #[test]
    fn each_broken_promise_is_caught() {
        let of = |name, queue, fate| Ledger { sent: [sent(name, queue, fate)].into(), ..Ledger::default() };
        assert!(wrong(&of("a", WORK, Fate::Succeeds)).contains("is lost"));
        let gone = Ledger { handled: handled(&[(0, "p")]), ..of("p", WORK, Fate::Poison) };
        assert!(wrong(&gone).contains("is poison, and is gone"));
        let twice = Ledger { dead: vec![lying("p", 3), lying("p", 3)], ..of("p", WORK, Fate::Poison) };
        assert!(wrong(&twice).contains("dead letter twice: p"));
        let both = Ledger { dead: vec![lying("p", 3)], remaining: vec![lying("p", 3)], ..of("p", WORK, Fate::Poison) };
        assert!(wrong(&both).contains("in its queue and a dead letter"));
        let blamed = Ledger { dead: vec![lying("a", 3)], ..of("a", WORK, Fate::Succeeds) };
        assert!(wrong(&blamed).contains("was to succeed: a: received 3 times, failed 3"));
        let renamed = Lying { message_id: "another".to_owned(), ..lying("p", 3) };
        let renamed = Ledger { dead: vec![renamed], ..of("p", WORK, Fate::Poison) };
        assert!(wrong(&renamed).contains("under another message id"));
        let invented = Ledger { dead: vec![lying("x", 0)], handled: handled(&[(0, "y")]), ..Ledger::default() };
        assert_eq!(wrong(&invented), "dead letter, and never sent: \"x\"; handled, and never sent: \"y\"");
        let calm = |second| Ledger { handled: handled(&[(0, "c"), (second, "c")]), ..of("c", CALM, Fate::Succeeds) };
        assert!(wrong(&calm(0)).contains("handled twice in one life"));
        assert_eq!(wrong(&calm(1)), "");
    }

    #[test]
    fn a_group_is_in_order_by_first_deliveries() {
        let names = ["orders.fifo/0/9/8", "orders.fifo/0/10/0"];
        let order = |handled| Ledger {
            sent: names.iter().map(|name| sent(name, ORDERS, Fate::Succeeds)).collect(),
            handled,
            ..Ledger::default()
        };
        assert_eq!(wrong(&order(handled(&[(0, names[0]), (0, names[1]), (1, names[0])]))), "");
        assert!(wrong(&order(handled(&[(0, names[1]), (0, names[0])]))).contains("behind a later message"));
    }
}
