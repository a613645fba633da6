//! The checker against histories made by hand: each bad one must be caught by its own rule, each odd but lawful one passed.
//!
//! Times are in milliseconds here.

use super::checker::{Rule, check};
use super::history::{
    Change, Crash, DeadLetters, Delete, Delivery, Fate, History, MoveTask, Purge, QueueSpec, Receive, Send, Span,
    TaskEnd,
};

const MS: u64 = 1000;

fn span(asked_ms: u64, ended_ms: u64) -> Span {
    Span { asked: asked_ms * MS, ended: ended_ms * MS, fate: Fate::Done }
}

/// A history that is told line by line. Every operation takes a millisecond, unless it says more.
struct Told(History);

fn told() -> Told {
    let to = |queue| Some(DeadLetters { queue, max_receive_count: 2 });
    let standard = |name, dead_letters| QueueSpec { name, is_fifo: false, dead_letters };
    let fifo = |name, dead_letters| QueueSpec { name, is_fifo: true, dead_letters };
    let queues = vec![
        standard("q", to("dead")),
        standard("dead", None),
        fifo("q.fifo", to("dead.fifo")),
        fifo("dead.fifo", None),
    ];
    Told(History { queues, ..History::default() })
}

impl Told {
    fn send(mut self, at: u64, key: &str) -> Self {
        let (queue, group) = if key.starts_with('f') { ("q.fifo", Some("g".to_owned())) } else { ("q", None) };
        let sequence = group.is_some().then_some(u128::from(at));
        let message_id = format!("id-{key}");
        let send = Send { span: span(at, at + 1), queue, key: key.to_owned(), group, delay: 0, message_id, sequence };
        self.0.sends.push(send);
        self
    }

    fn receive(mut self, asked: u64, ended: u64, queue: &'static str, keys: &[(&str, u32)]) -> Self {
        self.0.receives.push(Receive { span: span(asked, ended), queue, visibility: 1000 * MS });
        for (key, receive_count) in keys {
            let send = self.0.sends.iter().find(|send| send.key == *key);
            let message_id = format!("id-{key}");
            let delivery = Delivery {
                receive: self.0.receives.len() - 1,
                key: (*key).to_owned(),
                message_id,
                receive_count: *receive_count,
                sequence: send.and_then(|send| send.sequence),
                is_intact: true,
            };
            self.0.deliveries.push(delivery);
        }
        self
    }

    fn get(self, at: u64, key: &str, count: u32) -> Self {
        let queue = if key.starts_with('f') { "q.fifo" } else { "q" };
        self.receive(at, at + 1, queue, &[(key, count)])
    }

    /// Deletes by the latest handle.
    fn delete(self, at: u64, key: &str) -> Self {
        let delivery = self.0.deliveries.iter().rposition(|delivery| delivery.key == key).unwrap();
        self.delete_by(at, delivery)
    }

    fn delete_by(mut self, at: u64, delivery: usize) -> Self {
        self.0.deletes.push(Delete { span: span(at, at + 1), delivery });
        self
    }

    fn hide(mut self, at: u64, key: &str, ms: u64) -> Self {
        let delivery = self.0.deliveries.iter().rposition(|delivery| delivery.key == key).unwrap();
        self.0.changes.push(Change { span: span(at, at + 1), delivery, visibility: ms * MS });
        self
    }

    fn crash(mut self, at: u64) -> Self {
        self.0.crashes.push(Crash { killed: at * MS, gone: (at + 1) * MS });
        self
    }

    fn purge(mut self, at: u64) -> Self {
        self.0.purges.push(Purge { span: span(at, at + 1), queue: "q" });
        self
    }

    fn task(mut self, at: u64, status: &str) -> Self {
        self.0.tasks.push(MoveTask { span: span(at, at + 1), source: "dead" });
        self.0.task_ends.push(TaskEnd { source: "dead", status: status.to_owned() });
        self
    }

    fn but(mut self, change: impl FnOnce(&mut History)) -> Self {
        change(&mut self.0);
        self
    }

    #[track_caller]
    fn breaks(self, rule: Rule) {
        let mut rules: Vec<Rule> = check(&self.0).into_iter().map(|violation| violation.rule).collect();
        rules.dedup();
        assert_eq!(rules, [rule], "{:?}", check(&self.0));
    }

    #[track_caller]
    fn holds(self) {
        assert_eq!(check(&self.0), []);
    }
}

fn last<T>(items: &mut [T]) -> &mut T {
    items.last_mut().unwrap()
}

// --- acknowledged is acknowledged

#[test]
fn a_message_that_is_gone_without_a_delete_was_lost() {
    told().send(0, "a").get(10, "a", 1).delete(20, "a").holds();
    told().send(0, "a").breaks(Rule::Lost);
    told().send(0, "a").get(10, "a", 1).breaks(Rule::Lost);
    let refused = |history: &mut History| last(&mut history.deletes).span.fate = Fate::Refused;
    told().send(0, "a").get(10, "a", 1).delete(20, "a").but(refused).breaks(Rule::Lost);
}

#[test]
fn what_got_no_answer_may_be_done_or_not() {
    let unknown_send = |history: &mut History| last(&mut history.sends).span.fate = Fate::Unknown;
    told().send(0, "a").but(unknown_send).holds();
    told().send(0, "a").but(unknown_send).get(10, "a", 1).delete(20, "a").holds();
    let unknown_delete = |history: &mut History| last(&mut history.deletes).span.fate = Fate::Unknown;
    told().send(0, "a").get(10, "a", 1).delete(20, "a").but(unknown_delete).holds();
    told().send(0, "a").get(10, "a", 1).delete(20, "a").but(unknown_delete).get(1100, "a", 2).holds();
}

#[test]
fn what_was_deleted_or_purged_stays_away() {
    told().send(0, "a").get(10, "a", 1).delete(20, "a").get(1500, "a", 2).breaks(Rule::Revived);
    told().send(0, "a").purge(10).holds();
    told().send(0, "a").purge(10).get(20, "a", 1).delete(30, "a").breaks(Rule::Revived);
    told().purge(10).send(20, "a").breaks(Rule::Lost);
    let slow_purge = |history: &mut History| last(&mut history.purges).span.ended = 40 * MS;
    told().send(20, "a").purge(10).but(slow_purge).get(30, "a", 1).delete(35, "a").holds();
}

#[test]
fn a_handle_that_came_too_late_deletes_nothing_and_one_of_before_a_crash_still_does() {
    let late = told().send(0, "a").get(10, "a", 1).get(1100, "a", 2).delete_by(1200, 0);
    late.send(2150, "b")
        .get(2200, "a", 3)
        .delete(2210, "a")
        .get(2220, "b", 1)
        .delete(2230, "b")
        .but(lift_policies)
        .holds();
    // By a handle whose message was given to somebody else, who then deletes nothing either.
    let given_away = told().send(0, "a").get(10, "a", 1).hide(20, "a", 0).get(30, "a", 2).delete_by(40, 0);
    given_away.get(1100, "a", 3).delete(1110, "a").but(lift_policies).holds();
    let held_over = told().send(0, "a").get(10, "a", 1).send(40, "b").get(42, "b", 1).delete(45, "b").crash(50);
    held_over.delete_by(100, 0).get(1500, "a", 2).breaks(Rule::Revived);
}

fn lift_policies(history: &mut History) {
    for queue in &mut history.queues {
        queue.dead_letters = None;
    }
}

#[test]
fn what_comes_was_sent_there_and_as_it_comes() {
    told().get(10, "a", 1).breaks(Rule::Invented);
    told().send(20, "a").get(10, "a", 1).delete(30, "a").breaks(Rule::Invented);
    told().send(0, "a").receive(10, 11, "dead.fifo", &[("a", 1)]).delete(20, "a").breaks(Rule::Invented);
    let mangle = |history: &mut History| last(&mut history.deliveries).is_intact = false;
    told().send(0, "a").get(10, "a", 1).but(mangle).delete(20, "a").breaks(Rule::Mangled);
}

#[test]
fn a_delay_passes_first() {
    let delay = |history: &mut History| last(&mut history.sends).delay = 500 * MS;
    told().send(0, "a").but(delay).get(100, "a", 1).delete(200, "a").breaks(Rule::Early);
    told().send(0, "a").but(delay).get(500, "a", 1).delete(600, "a").holds();
    told().send(0, "a").but(delay).receive(10, 501, "q", &[("a", 1)]).delete(600, "a").holds();
}

// --- visibility

#[test]
fn nobody_gets_what_another_holds() {
    told().send(0, "a").get(10, "a", 1).get(500, "a", 2).delete(600, "a").breaks(Rule::Shared);
    told().send(0, "a").get(10, "a", 1).get(1011, "a", 2).delete(1100, "a").holds();
    // A long poll that began before and ended after.
    told().send(0, "a").get(10, "a", 1).receive(5, 1012, "q", &[("a", 2)]).delete(1100, "a").holds();
    told().send(0, "a").get(10, "a", 1).receive(5, 500, "q", &[("a", 2)]).delete(600, "a").breaks(Rule::Shared);
    told().send(0, "a").receive(10, 11, "q", &[("a", 1), ("a", 2)]).delete(600, "a").breaks(Rule::Shared);
}

#[test]
fn a_change_of_visibility_counts_when_it_is_acknowledged_and_may_before() {
    told().send(0, "a").get(10, "a", 1).hide(20, "a", 0).get(30, "a", 2).delete(40, "a").holds();
    told().send(0, "a").get(10, "a", 1).hide(900, "a", 500).get(1200, "a", 2).delete(1300, "a").breaks(Rule::Shared);
    let unknown = |history: &mut History| last(&mut history.changes).span.fate = Fate::Unknown;
    told().send(0, "a").get(10, "a", 1).hide(900, "a", 500).but(unknown).get(1200, "a", 2).delete(1300, "a").holds();
    let kept = told().send(0, "a").get(10, "a", 1).send(40, "b").get(45, "b", 1).delete(46, "b").hide(900, "a", 500);
    kept.crash(902).get(1200, "a", 2).delete(1300, "a").breaks(Rule::Shared);
    let refused = |history: &mut History| last(&mut history.changes).span.fate = Fate::Refused;
    let early = told().send(0, "a").get(10, "a", 1).hide(20, "a", 0).but(refused);
    early.get(30, "a", 2).delete(40, "a").breaks(Rule::Shared);
}

#[test]
fn a_crash_may_make_a_standard_queue_forget_its_last_receives_and_no_others() {
    told().send(0, "a").get(10, "a", 1).crash(15).get(100, "a", 1).delete(200, "a").holds();
    // A send that was acknowledged some time after the receive: the receive was written with it, or before.
    let sealed = || told().send(0, "a").get(10, "a", 1).send(40, "b").crash(45).get(90, "b", 1).delete(95, "b");
    let too_early = told().send(0, "a").get(10, "a", 1).send(20, "b").crash(25).get(90, "b", 1).delete(95, "b");
    too_early.get(100, "a", 1).delete(200, "a").holds();
    sealed().get(100, "a", 2).delete(200, "a").breaks(Rule::Shared);
    sealed().get(1100, "a", 1).delete(1200, "a").breaks(Rule::Counted);
    // So long ago that it must have been written.
    let long_hidden = |history: &mut History| history.receives[0].visibility = 10_000 * MS;
    let long_ago = told().send(0, "a").get(10, "a", 1).but(long_hidden).crash(2100);
    long_ago.get(2200, "a", 2).delete(2300, "a").breaks(Rule::Shared);
    told().send(0, "f").get(10, "f", 1).crash(15).get(100, "f", 2).delete(200, "f").breaks(Rule::Shared);
}

#[test]
fn an_older_handle_may_change_the_visibility_of_a_standard_queues_message_and_of_no_other() {
    let by_old_handle = |history: &mut History| last(&mut history.changes).delivery = 0;
    let forgotten = told().send(0, "a").get(10, "a", 1).crash(15).get(100, "a", 1);
    forgotten.hide(200, "a", 0).but(by_old_handle).get(300, "a", 2).delete(400, "a").holds();
    let twice = |key: &str| told().send(0, key).get(10, key, 1).get(1100, key, 2).but(lift_policies);
    let shown = |key: &str| twice(key).hide(1200, key, 0).but(by_old_handle).get(1300, key, 3).delete(1400, key);
    shown("a").holds();
    shown("f").breaks(Rule::Shared);
}

// --- counts and dead letters

#[test]
fn receive_counts_rise_and_count_receives() {
    told().send(0, "a").get(10, "a", 1).get(1100, "a", 1).delete(1200, "a").breaks(Rule::Counted);
    told().send(0, "a").get(10, "a", 2).delete(20, "a").breaks(Rule::Counted);
    let unknown = |history: &mut History| history.receives[0].span.fate = Fate::Unknown;
    told().send(0, "a").receive(5, 6, "q", &[]).but(unknown).get(1100, "a", 2).delete(1200, "a").holds();
}

#[test]
fn a_dead_letter_goes_when_it_must_and_stays_where_it_is() {
    let twice = || told().send(0, "a").get(10, "a", 1).get(1100, "a", 2);
    twice().receive(2200, 2201, "dead", &[("a", 3)]).delete(2300, "a").holds();
    twice().get(2200, "a", 3).delete(2300, "a").breaks(Rule::DeadLettered);
    let once = told().send(0, "a").get(10, "a", 1);
    once.receive(1100, 1101, "dead", &[("a", 2)]).delete(2300, "a").breaks(Rule::DeadLettered);
    let back = told().send(0, "a").get(10, "a", 1).but(|history| history.receives[0].span.fate = Fate::Unknown);
    let back = back.receive(1100, 1101, "dead", &[("a", 2)]).but(|history| history.receives[0].span.fate = Fate::Done);
    let back = back.but(|history| history.queues[0].dead_letters.as_mut().unwrap().max_receive_count = 1);
    back.get(2200, "a", 3).delete(2300, "a").breaks(Rule::DeadLettered);
    // In both places at once: deleted in one, it comes from the other.
    twice().receive(2200, 2201, "dead", &[("a", 3)]).delete(2300, "a").get(2400, "a", 2).breaks_any(Rule::Revived);
    // In neither.
    twice().breaks(Rule::Lost);
}

impl Told {
    /// Where one fault breaks several rules.
    #[track_caller]
    fn breaks_any(self, rule: Rule) {
        let violations = check(&self.0);
        assert!(violations.iter().any(|violation| violation.rule == rule), "{violations:?}");
    }
}

#[test]
fn a_move_gives_a_new_id_once_and_ends() {
    let new_id = |history: &mut History| {
        let moved = last(&mut history.deliveries);
        moved.message_id = "moved".to_owned();
    };
    let dead = || {
        let twice = told().send(0, "a").get(10, "a", 1).get(1100, "a", 2);
        twice.receive(2200, 2201, "dead", &[("a", 3)])
    };
    let moved = |status: &str| dead().task(2300, status).get(3300, "a", 1).but(new_id);
    moved("COMPLETED").delete(3400, "a").holds();
    moved("RUNNING").delete(3400, "a").breaks(Rule::Moved);
    moved("FAILED").delete(3400, "a").breaks(Rule::Moved);
    // Moved, and still there.
    let copied = moved("COMPLETED").receive(4400, 4401, "dead", &[("a", 4)]);
    copied.delete(4500, "a").breaks_any(Rule::Moved);
    let untouched = |history: &mut History| history.tasks.clear();
    moved("COMPLETED").but(untouched).delete(3400, "a").breaks(Rule::Deduplicated);
    // Moved twice by one task.
    let again =
        moved("COMPLETED").get(4400, "a", 1).but(|history| last(&mut history.deliveries).message_id = "b".into());
    again.delete(4500, "a").breaks(Rule::Moved);
    // Moved, and gone.
    dead().task(2300, "COMPLETED").breaks(Rule::Lost);
}

// --- FIFO

#[test]
fn sends_of_one_deduplication_id_are_one_message() {
    let first_unanswered = |history: &mut History| history.sends[0].span.fate = Fate::Unknown;
    let again = || told().send(0, "f").but(first_unanswered).crash(2).send(50, "f");
    again().get(60, "f", 1).delete(70, "f").holds();
    let other_answer = |history: &mut History| {
        history.sends[0].span.fate = Fate::Done;
        history.sends[0].message_id = "another".to_owned();
    };
    again().but(other_answer).get(60, "f", 1).delete(70, "f").breaks(Rule::Deduplicated);
    let other_message = |history: &mut History| last(&mut history.deliveries).message_id = "another".to_owned();
    again().get(60, "f", 1).but(other_message).delete(70, "f").breaks(Rule::Deduplicated);
    // Sent, deleted, sent again: it is still the same.
    again().get(60, "f", 1).delete(70, "f").send(80, "f").but(same_answer).get(90, "f", 1).breaks_any(Rule::Revived);
}

fn same_answer(history: &mut History) {
    let sequence = history.sends[1].sequence;
    last(&mut history.sends).sequence = sequence;
}

#[test]
fn a_group_comes_in_its_order() {
    let both = || told().send(0, "f1").send(5, "f2");
    let kept = both().receive(10, 11, "q.fifo", &[("f1", 1), ("f2", 1)]);
    kept.delete(20, "f1").delete(25, "f2").holds();
    let turned = both().receive(10, 11, "q.fifo", &[("f2", 1), ("f1", 1)]);
    turned.delete(20, "f1").delete(25, "f2").breaks(Rule::Ordered);
    let skipped = both().get(10, "f2", 1).delete(20, "f2").get(30, "f1", 1).delete(40, "f1");
    skipped.breaks(Rule::Ordered);
    let after_a_crash = both().get(10, "f1", 1).crash(20).get(1100, "f2", 1).delete(1110, "f2");
    after_a_crash.get(1120, "f1", 2).delete(1130, "f1").breaks(Rule::Ordered);
    let in_turn = both().get(10, "f1", 1).delete(20, "f1").get(30, "f2", 1).delete(40, "f2");
    in_turn.holds();
    let numbers =
        both().but(|history| history.sends[1].sequence = Some(0)).but(|history| history.sends[0].sequence = Some(5));
    let numbers = numbers.receive(10, 11, "q.fifo", &[("f2", 1), ("f1", 1)]).delete(20, "f1").delete(25, "f2");
    numbers.breaks(Rule::Ordered);
}

#[test]
fn a_dead_head_lets_the_next_one_pass() {
    let twice = || told().send(0, "f1").send(5, "f2").get(10, "f1", 1).get(1100, "f1", 2);
    let passed = |told: Told| told.get(2200, "f2", 1).delete(2210, "f2");
    passed(twice()).receive(2300, 2301, "dead.fifo", &[("f1", 3)]).delete(2310, "f1").holds();
    passed(told().send(0, "f1").send(5, "f2").get(10, "f1", 1))
        .get(2300, "f1", 2)
        .delete(2400, "f1")
        .breaks(Rule::Ordered);
}

#[test]
fn a_group_has_one_holder_also_across_a_crash() {
    let three = || told().send(0, "f1").send(2, "f2").send(4, "f3");
    let in_order = |told: Told| told.delete(20, "f1");
    let held = in_order(three().receive(10, 11, "q.fifo", &[("f1", 1), ("f2", 1)])).crash(30);
    // The first is deleted, the second is held: the third must wait.
    let given = held.get(100, "f3", 1).delete(110, "f3").delete(120, "f2");
    given.breaks_any(Rule::Held);
    // What comes before what is held may be given to another.
    let both = told().send(0, "f1").send(2, "f2").receive(10, 11, "q.fifo", &[("f1", 1), ("f2", 1)]);
    both.hide(20, "f1", 0).get(30, "f1", 2).delete(40, "f1").delete(50, "f2").holds();
    let waited = in_order(three().receive(10, 11, "q.fifo", &[("f1", 1), ("f2", 1)])).crash(30);
    waited.delete(40, "f2").get(100, "f3", 1).delete(110, "f3").holds();
}

// --- nothing

#[test]
fn an_empty_history_is_in_order() {
    told().holds();
}
