//! What no history of a queue may show, whatever was killed meanwhile. Rules that concern one message each; those for the
//! groups of FIFO queues are in `groups.rs`.
//!
//! The checker accuses only of what is certain: an operation took effect at some moment while it was under way, and one
//! without an answer may have done so or not. What a queue may forget in a crash is stated in `forgotten`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::groups;
use super::history::{At, Change, Crash, Delete, Delivery, History, Receive, Send, Span};

/// Readings of the queue's clock are whole milliseconds, and a restart may cost it one or two.
const CLOCK_SLACK: At = 20_000;
/// What nobody waits for may be left out of a commit for 10 ms: twice that, for whoever asks late.
const LINGER: At = 20_000;
/// By then it is written even where there are no other commits; a loaded machine may take this long.
const COMMIT_WINDOW_MAX: At = 2_000_000;
/// Sends of one deduplication id are one message for five minutes.
const DEDUPLICATION_WINDOW: At = 300_000_000;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) key: String,
    pub(super) what: String,
}

/// The promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// What was acknowledged is received, until it is deleted.
    Lost,
    /// What was acknowledged as deleted or purged does not come back.
    Revived,
    /// Nothing comes that was not sent, or from a queue where it cannot be.
    Invented,
    /// A message comes as it was sent.
    Mangled,
    /// Nobody gets a message inside another's confirmed visibility.
    Shared,
    /// Nothing comes before its delay has passed.
    Early,
    /// Receive counts rise with each receive, and by no more than the receives there were.
    Counted,
    /// A dead letter goes after as many receives as the policy says, not before, and never back by itself.
    DeadLettered,
    /// Sends of one deduplication id are one message.
    Deduplicated,
    /// Move tasks end, and what they move is in one place at a time.
    Moved,
    /// A FIFO group comes in the order in which it was sent.
    Ordered,
    /// A FIFO group has one holder at most.
    Held,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.key, self.what)
    }
}

/// Everything that is known of one message.
#[derive(Default)]
pub(super) struct Message<'a> {
    pub(super) sends: Vec<&'a Send>,
    /// By when they ended.
    pub(super) deliveries: Vec<Got<'a>>,
    pub(super) deletes: Vec<(usize, &'a Delete)>,
    pub(super) changes: Vec<(usize, &'a Change)>,
}

/// A delivery, its place in the history, and its receive.
#[derive(Clone, Copy)]
pub(super) struct Got<'a> {
    pub(super) number: usize,
    pub(super) delivery: &'a Delivery,
    pub(super) receive: &'a Receive,
}

impl Got<'_> {
    pub(super) fn span(&self) -> &Span {
        &self.receive.span
    }
}

/// The history, sorted by message, with what must be looked up often.
pub(super) struct Checker<'a> {
    pub(super) history: &'a History,
    pub(super) messages: BTreeMap<&'a str, Message<'a>>,
    /// For each crash, when the last thing was asked for that is certainly on disk.
    sealed: Vec<(Crash, At)>,
    violations: Vec<Violation>,
}

/// All that is wrong with a history.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut checker = Checker::new(history);
    for (key, message) in std::mem::take(&mut checker.messages) {
        checker.check_message(key, &message);
        checker.messages.insert(key, message);
    }
    for task in &history.task_ends {
        if task.status != "COMPLETED" && task.status != "CANCELLED" {
            checker.accuse(Rule::Moved, task.source, format!("a move task is {} in the end", task.status));
        }
    }
    groups::check(&mut checker);
    checker.violations
}

impl<'a> Checker<'a> {
    fn new(history: &'a History) -> Self {
        let mut messages: BTreeMap<&str, Message<'_>> = BTreeMap::new();
        for send in &history.sends {
            messages.entry(&send.key).or_default().sends.push(send);
        }
        for (number, delivery) in history.deliveries.iter().enumerate() {
            let got = Got { number, delivery, receive: history.receive_of(delivery) };
            messages.entry(&delivery.key).or_default().deliveries.push(got);
        }
        let key_of = |delivery: usize| history.deliveries[delivery].key.as_str();
        for delete in &history.deletes {
            messages.entry(key_of(delete.delivery)).or_default().deletes.push((delete.delivery, delete));
        }
        for change in &history.changes {
            messages.entry(key_of(change.delivery)).or_default().changes.push((change.delivery, change));
        }
        for message in messages.values_mut() {
            message.deliveries.sort_by_key(|got| got.span().ended);
            message.changes.sort_by_key(|(_, change)| change.span.asked);
        }
        let mut checker = Self { history, messages, sealed: Vec::new(), violations: Vec::new() };
        checker.sealed = history.crashes.iter().map(|crash| (*crash, checker.sealed_before(*crash))).collect();
        checker
    }

    /// When the last commit before a crash was asked for that certainly was one: it has everything that did not linger.
    /// Only what certainly wrote something counts: a first send.
    fn sealed_before(&self, crash: Crash) -> At {
        let sends = self.history.sends.iter().filter(|send| send.span.is_done() && send.span.ended <= crash.gone);
        let first_tries = sends.filter(|send| self.messages[send.key.as_str()].sends.len() == 1);
        first_tries.map(|send| send.span.asked).max().unwrap_or(0)
    }

    pub(super) fn accuse(&mut self, rule: Rule, key: &str, what: String) {
        self.violations.push(Violation { rule, key: key.to_owned(), what });
    }

    /// Whether a crash before `until` may have made the queue forget a receive. On a standard queue it is written soon
    /// after it was answered, on a FIFO queue before.
    pub(super) fn forgotten(&self, queue: &str, span: &Span, until: At) -> bool {
        if self.history.queue(queue).is_fifo {
            return false;
        }
        let crash = self.sealed.iter().find(|(crash, _)| crash.gone >= span.ended);
        crash.is_some_and(|(crash, sealed)| {
            crash.killed < until && *sealed < span.ended + LINGER && crash.killed < span.ended + COMMIT_WINDOW_MAX
        })
    }

    /// Until when a delivery certainly hides its message from a receive that is under way in `from..=to`.
    pub(super) fn held_until(&self, message: &Message<'_>, got: &Got<'_>, from: At, to: At) -> At {
        let mut until = got.span().asked + got.receive.visibility;
        // On a standard queue an older handle still changes the visibility of a message that was received again since.
        let by_any_handle = !self.history.queue(got.receive.queue).is_fifo;
        for (delivery, change) in &message.changes {
            if !change.span.may_be_done() || change.span.asked >= to {
                continue;
            }
            let changed = change.span.asked + change.visibility;
            let is_its_own = *delivery == got.number;
            // One that came when the time may have been over is of no use: somebody else may have got the message first.
            let in_time = change.span.ended + CLOCK_SLACK < until;
            let is_certain = change.span.is_done() && change.span.ended <= from && in_time;
            if is_its_own && is_certain {
                until = changed;
            } else if is_its_own || by_any_handle {
                until = until.min(changed);
            }
        }
        until.saturating_sub(CLOCK_SLACK)
    }

    fn check_message(&mut self, key: &str, message: &Message<'_>) {
        if message.sends.is_empty() {
            self.accuse(Rule::Invented, key, "it was never sent".to_owned());
            return;
        }
        if let Some(got) = message.deliveries.iter().find(|got| !got.delivery.is_intact) {
            self.accuse(Rule::Mangled, key, format!("receive {} got something else", got.delivery.receive));
        }
        self.check_lost(key, message);
        self.check_revived(key, message);
        self.check_places(key, message);
        self.check_shared(key, message);
        self.check_counts(key, message);
        self.check_identity(key, message);
    }

    fn check_lost(&mut self, key: &str, message: &Message<'_>) {
        let is_acknowledged = message.sends.iter().any(|send| send.span.is_done());
        let may_be_deleted = message.deletes.iter().any(|(_, delete)| delete.span.may_be_done());
        let queue = message.sends[0].queue;
        let sent = message.sends[0].span;
        let may_be_purged = |purge: &Span| purge.may_be_done() && purge.ended > sent.asked;
        let purged = self.history.purges.iter().any(|purge| purge.queue == queue && may_be_purged(&purge.span));
        if is_acknowledged && !may_be_deleted && !purged {
            let times = message.deliveries.len();
            self.accuse(Rule::Lost, key, format!("received {times} times, never deleted, and gone in the end"));
        }
    }

    fn check_revived(&mut self, key: &str, message: &Message<'_>) {
        let mut gone_since: Vec<(At, &str)> = Vec::new();
        for (number, delete) in message.deletes.iter().filter(|(_, delete)| delete.span.is_done()) {
            let Some(got) = message.deliveries.iter().find(|got| got.number == *number) else { continue };
            // Too late, forgotten or given away: somebody else may hold it, and as on SQS the old handle then deletes nothing.
            let span = got.span();
            let is_another = |other: &Got<'_>| {
                other.number != got.number && other.span().ended > span.asked && other.span().asked < delete.span.ended
            };
            if message.deliveries.iter().any(is_another) {
                continue;
            }
            let in_time = delete.span.ended < self.held_until(message, got, delete.span.asked, delete.span.ended);
            if in_time && !self.forgotten(got.receive.queue, got.span(), delete.span.ended) {
                gone_since.push((delete.span.ended, "deleted"));
            }
        }
        let sent = &message.sends[0];
        for purge in self.history.purges.iter().filter(|purge| purge.queue == sent.queue && purge.span.is_done()) {
            if sent.span.ended < purge.span.asked && sent.span.is_done() {
                gone_since.push((purge.span.ended, "purged"));
            }
        }
        let Some((gone_at, how)) = gone_since.into_iter().min() else { return };
        let back = message.deliveries.iter().find(|got| got.span().asked > gone_at);
        if let Some(got) = back.filter(|got| got.span().ended < sent.span.asked + DEDUPLICATION_WINDOW) {
            self.accuse(Rule::Revived, key, format!("{how} by {gone_at}, and receive {} got it", got.delivery.receive));
        }
    }

    /// Where a message may be, when, and after how many receives.
    fn check_places(&mut self, key: &str, message: &Message<'_>) {
        let sent_to = message.sends[0].queue;
        let first_asked = message.sends.iter().map(|send| send.span.asked).min().unwrap_or(0);
        let visible_at = (first_asked + message.sends[0].delay).saturating_sub(CLOCK_SLACK);
        let policy = self.history.queue(sent_to).dead_letters;
        for (place, got) in message.deliveries.iter().enumerate() {
            let Got { delivery, receive, .. } = got;
            let receive_number = delivery.receive;
            let is_dead = policy.is_some_and(|policy| policy.queue == receive.queue);
            if receive.queue != sent_to && !is_dead {
                let what = format!("sent to {sent_to}, and receive {receive_number} got it from {}", receive.queue);
                self.accuse(Rule::Invented, key, what);
            }
            if receive.span.ended < first_asked {
                self.accuse(Rule::Invented, key, format!("receive {receive_number} got it before it was sent"));
            }
            if receive.span.ended < visible_at {
                self.accuse(Rule::Early, key, format!("receive {receive_number} got it before {visible_at}"));
            }
            let Some(policy) = policy else { continue };
            let same_id = |other: &&Got<'_>| other.delivery.message_id == delivery.message_id;
            if is_dead {
                let at_source = |other: &&Got<'_>| {
                    same_id(other) && other.receive.queue == sent_to && other.span().asked < receive.span.ended
                };
                let receives = message.deliveries.iter().filter(at_source).count();
                let most = receives + self.unanswered(&[sent_to], receive.span.ended);
                if most < policy.max_receive_count as usize {
                    let what = format!("a dead letter at receive {receive_number} after {most} receives at most");
                    self.accuse(Rule::DeadLettered, key, what);
                }
            } else if delivery.receive_count > policy.max_receive_count {
                let what = format!("receive {receive_number} is one more than the policy has");
                self.accuse(Rule::DeadLettered, key, what);
            } else {
                let was_dead = |other: &&Got<'_>| {
                    same_id(other) && other.receive.queue != sent_to && other.span().ended <= receive.span.asked
                };
                if let Some(other) = message.deliveries[..place].iter().find(was_dead) {
                    let earlier = other.delivery.receive;
                    let what = format!("dead at receive {earlier}, back by itself at receive {receive_number}");
                    self.accuse(Rule::DeadLettered, key, what);
                }
            }
        }
    }

    fn check_shared(&mut self, key: &str, message: &Message<'_>) {
        for (place, second) in message.deliveries.iter().enumerate() {
            for first in &message.deliveries[..place] {
                if first.delivery.receive == second.delivery.receive {
                    self.accuse(Rule::Shared, key, format!("receive {} got it twice", first.delivery.receive));
                } else if self.excludes(message, first, message, second) {
                    let (first, second) = (first.delivery.receive, second.delivery.receive);
                    self.accuse(Rule::Shared, key, format!("held by receive {first}, given to receive {second}"));
                }
            }
        }
    }

    /// Whether the second delivery certainly fell into the visibility of the first, or, where nobody can tell which
    /// came first, whichever of the two into that of the other.
    pub(super) fn excludes(
        &self,
        of_first: &Message<'_>,
        first: &Got<'_>,
        of_second: &Message<'_>,
        second: &Got<'_>,
    ) -> bool {
        let inside = |of_holder: &Message<'_>, holder: &Got<'_>, taker: &Got<'_>| {
            let Span { asked, ended, .. } = *taker.span();
            ended < self.held_until(of_holder, holder, asked, ended)
                && !self.forgotten(holder.receive.queue, holder.span(), ended)
        };
        let is_first_first = first.span().ended <= second.span().asked;
        inside(of_first, first, second) && (is_first_first || inside(of_second, second, first))
    }

    fn check_counts(&mut self, key: &str, message: &Message<'_>) {
        for (place, later) in message.deliveries.iter().enumerate() {
            let same_id = |got: &&Got<'_>| got.delivery.message_id == later.delivery.message_id;
            for earlier in message.deliveries[..place].iter().filter(same_id) {
                let is_ordered = earlier.span().ended <= later.span().asked;
                let rises = later.delivery.receive_count > earlier.delivery.receive_count;
                let forgotten = self.forgotten(earlier.receive.queue, earlier.span(), later.span().ended);
                if is_ordered && !rises && !forgotten {
                    let (first, second) = (earlier.delivery.receive, later.delivery.receive);
                    let what = format!("receive {second} counts no more than receive {first}");
                    self.accuse(Rule::Counted, key, what);
                }
            }
            let Span { ended, .. } = *later.span();
            let got = message.deliveries.iter().filter(same_id).filter(|got| got.span().asked < ended);
            let queues: BTreeSet<&str> = message.deliveries.iter().map(|got| got.receive.queue).collect();
            let queues: Vec<&str> = queues.into_iter().chain([message.sends[0].queue]).collect();
            let most = got.count() + self.unanswered(&queues, ended);
            if later.delivery.receive_count as usize > most {
                let what = format!("receive {} counts more than {most}", later.delivery.receive);
                self.accuse(Rule::Counted, key, what);
            }
        }
    }

    /// One message has one id and one number, but for each move a new id; and it has one of them at a time.
    fn check_identity(&mut self, key: &str, message: &Message<'_>) {
        let first_asked = message.sends[0].span.asked;
        let done = message.sends.iter().filter(|send| send.span.is_done());
        let in_window = done.filter(|send| send.span.ended < first_asked + DEDUPLICATION_WINDOW);
        let answers: BTreeSet<_> = in_window.map(|send| (send.message_id.as_str(), send.sequence)).collect();
        if answers.len() > 1 {
            self.accuse(Rule::Deduplicated, key, format!("its sends were answered with {answers:?}"));
        }
        // By first sight: when an id was known first, and last.
        let mut lives: Vec<(&str, At, At)> = Vec::new();
        let sent = answers.first().map(|(id, _)| (*id, 0, 0));
        let got =
            message.deliveries.iter().map(|got| (got.delivery.message_id.as_str(), got.span().ended, got.span().asked));
        for (id, ended, asked) in sent.into_iter().chain(got) {
            match lives.iter_mut().find(|(known, ..)| *known == id) {
                Some((_, _, last)) => *last = (*last).max(asked),
                None => lives.push((id, ended, asked)),
            }
        }
        for (place, (id, begun, _)) in lives.iter().enumerate().skip(1) {
            let is_source = |source: &str| {
                self.history.queue(message.sends[0].queue).dead_letters.is_some_and(|dead| dead.queue == source)
            };
            let tasks = self.history.tasks.iter().filter(|task| task.span.may_be_done() && is_source(task.source));
            let moves = tasks.filter(|task| task.span.asked < *begun).count();
            if moves < place {
                let rule = if moves == 0 { Rule::Deduplicated } else { Rule::Moved };
                self.accuse(rule, key, format!("{id} is its id number {}, after {moves} moves", place + 1));
            }
            if let Some((old, ..)) = lives[..place].iter().find(|(_, _, last)| last > begun) {
                self.accuse(Rule::Moved, key, format!("received as {old} after it was {id}"));
            }
        }
    }

    /// How many receives of these queues got no answer and were asked before `until`.
    fn unanswered(&self, queues: &[&str], until: At) -> usize {
        let is_one = |receive: &&Receive| {
            !receive.span.is_done() && receive.span.asked < until && queues.contains(&receive.queue)
        };
        self.history.receives.iter().filter(is_one).count()
    }
}
