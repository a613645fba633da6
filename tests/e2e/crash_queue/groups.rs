//! What no history of a FIFO queue may show: a group out of order, or with two holders.

use std::collections::BTreeMap;

use super::checker::{Checker, Got, Message, Rule};
use super::history::{At, Send, Span};

/// One message of a group, as far as it certainly is one.
struct Member<'a> {
    key: &'a str,
    sequence: u128,
    /// From then on it is in the queue.
    there_since: At,
    message: &'a Message<'a>,
}

pub(super) fn check(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for members in groups(checker).values() {
        check_numbers(members, &mut found);
        check_order(members, &mut found);
        check_holders(checker, members, &mut found);
    }
    for (rule, key, what) in found {
        checker.accuse(rule, &key, what);
    }
}

type Found = Vec<(Rule, String, String)>;

/// The members of each group of each queue that they were sent to, by their numbers.
fn groups<'a>(checker: &'a Checker<'a>) -> BTreeMap<(&'a str, &'a str), Vec<Member<'a>>> {
    let mut groups: BTreeMap<_, Vec<Member<'_>>> = BTreeMap::new();
    for (key, message) in &checker.messages {
        let Some(first) = message.sends.first() else { continue };
        let Some(group) = first.group.as_deref().filter(|_| checker.history.queue(first.queue).is_fifo) else {
            continue;
        };
        let at_home = |got: &&Got<'_>| got.receive.queue == first.queue;
        let of_send = message.sends.iter().find_map(|send| send.sequence);
        let of_delivery = message.deliveries.iter().find(at_home).and_then(|got| got.delivery.sequence);
        // Moved back, it has another number and stands at the end of the line: no rule speaks of it.
        let first_id = message.sends.iter().find(|send| send.span.is_done()).map(|send| send.message_id.as_str());
        let first_id = first_id.or_else(|| message.deliveries.first().map(|got| got.delivery.message_id.as_str()));
        let was_moved = message.deliveries.iter().any(|got| Some(got.delivery.message_id.as_str()) != first_id);
        let Some(sequence) = of_send.or(of_delivery).filter(|_| !was_moved) else { continue };
        // Of tries without an answer one may have counted: the last is the latest that can have.
        let done = message.sends.iter().filter(|send| send.span.is_done()).map(|send| send.span.ended).min();
        let there_since = done.or_else(|| message.sends.iter().map(|send| send.span.ended).max()).unwrap_or(0);
        let member = Member { key, sequence, there_since, message };
        groups.entry((first.queue, group)).or_default().push(member);
    }
    for members in groups.values_mut() {
        members.sort_by_key(|member| member.sequence);
    }
    groups
}

/// Who was acknowledged before another was sent has the lower number.
fn check_numbers(members: &[Member<'_>], found: &mut Found) {
    let mut latest_asked: Option<(At, &str)> = None;
    for member in members {
        let first_done = |send: &&&Send| send.span.is_done() && member.message.sends.len() == 1;
        let Some(send) = member.message.sends.iter().find(first_done) else { continue };
        if let Some((asked, other)) = latest_asked.filter(|(asked, _)| send.span.ended < *asked) {
            let what = format!("acknowledged before {other} was sent at {asked}, and numbered after it");
            found.push((Rule::Ordered, member.key.to_owned(), what));
        }
        if latest_asked.is_none_or(|(asked, _)| send.span.asked > asked) {
            latest_asked = Some((send.span.asked, member.key));
        }
    }
}

/// Whoever comes finds all before it gone, or beside it and ahead.
fn check_order(members: &[Member<'_>], found: &mut Found) {
    for (place, member) in members.iter().enumerate() {
        let home = member.message.sends[0].queue;
        for got in member.message.deliveries.iter().filter(|got| got.receive.queue == home) {
            for earlier in &members[..place] {
                if overtakes(got, earlier, home) {
                    let what = format!("receive {} got it, past {}", got.delivery.receive, earlier.key);
                    found.push((Rule::Ordered, member.key.to_owned(), what));
                }
            }
        }
    }
}

fn overtakes(got: &Got<'_>, earlier: &Member<'_>, home: &str) -> bool {
    let Span { asked, ended, .. } = *got.span();
    if earlier.there_since > asked {
        return false;
    }
    let message = earlier.message;
    if message.deletes.iter().any(|(_, delete)| delete.span.may_be_done() && delete.span.asked < ended) {
        return false;
    }
    let is_ahead = |other: &Got<'_>| other.delivery.receive == got.delivery.receive && other.number < got.number;
    if message.deliveries.iter().any(is_ahead) {
        return false;
    }
    let is_dead = message.deliveries.iter().any(|other| other.receive.queue != home);
    let comes_again = message.deliveries.iter().any(|other| other.receive.queue == home && other.span().asked >= ended);
    !is_dead || comes_again
}

/// While one receive holds a message of a group, no other gets what comes after it. What comes before it may be given to
/// another (sqs-semantics §6, the rule of partial visibility).
fn check_holders(checker: &Checker<'_>, members: &[Member<'_>], found: &mut Found) {
    let mut all: Vec<(&Member<'_>, &Got<'_>)> = Vec::new();
    for member in members {
        // Among dead letters they stand in the order in which they died.
        let home = member.message.sends[0].queue;
        let deliveries = member.message.deliveries.iter().filter(|got| got.receive.queue == home);
        all.extend(deliveries.map(|got| (member, got)));
    }
    all.sort_by_key(|(_, got)| got.span().ended);
    for (place, (taker, second)) in all.iter().enumerate() {
        for (holder, first) in &all[..place] {
            let is_after = holder.sequence < taker.sequence && first.delivery.receive != second.delivery.receive;
            let let_go = |member: &Member<'_>, until: At| {
                let mut deletes = member.message.deletes.iter();
                deletes.any(|(_, delete)| delete.span.may_be_done() && delete.span.asked < until)
            };
            if is_after
                && !let_go(holder, second.span().ended)
                && checker.excludes(holder.message, first, taker.message, second)
            {
                let (by, to) = (first.delivery.receive, second.delivery.receive);
                let what = format!("the group was held by receive {by} of {}, and given to receive {to}", holder.key);
                found.push((Rule::Held, taker.key.to_owned(), what));
            }
        }
    }
}
