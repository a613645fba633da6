//! SIGKILL at random moments while many clients use the built-in queue: everything that was acknowledged is held against
//! everything that was received.
//!
//! `load.rs` are the clients, `desk.rs` is what they share, `history.rs` what they wrote down, `checker.rs` and `groups.rs` what must not be found in
//! it. When the process is killed is chance: the printed seed repeats what the clients do, not what the machine does.

mod checker;
mod checker_tests;
mod desk;
mod groups;
mod history;
mod load;

use std::io::Write;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName::{FifoQueue, RedrivePolicy};
use desk::Desk;
use history::{Crash, DeadLetters, History, QueueSpec};
use load::{Caller, PURGED};
use serde_json::json;
use support::seed::{Chance, seed};
use support::sqs::arn;
use support::wait::holds;
use support::{Counts, Home, PATIENCE, Sqs, eventually, places};

const ROUNDS_PER_CAMPAIGN: u64 = 20;
const LONG_CAMPAIGNS: u64 = 50;
const MAX_RECEIVE_COUNT: u32 = 3;
/// How many broken promises a failure tells the story of.
const SHOWN: usize = 5;

/// The queues, dead-letter queues first.
fn queues() -> Vec<QueueSpec> {
    let spec = |name: &'static str, dead: Option<&'static str>| QueueSpec {
        name,
        is_fifo: name.ends_with(".fifo"),
        dead_letters: dead.map(|queue| DeadLetters { queue, max_receive_count: MAX_RECEIVE_COUNT }),
    };
    vec![
        spec("dead", None),
        spec("dead.fifo", None),
        spec("work", Some("dead")),
        spec("orders.fifo", Some("dead.fifo")),
        spec(PURGED, None),
    ]
}

async fn create(sqs: &Sqs, queue: &QueueSpec) {
    let mut attributes = Vec::new();
    if queue.is_fifo {
        attributes.push((FifoQueue, "true".to_owned()));
    }
    if let Some(dead) = queue.dead_letters {
        let policy = json!({"deadLetterTargetArn": arn(dead.queue), "maxReceiveCount": dead.max_receive_count});
        attributes.push((RedrivePolicy, policy.to_string()));
    }
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
    sqs.create(queue.name, &attributes).await;
}

/// The arguments of a server on the folder `data`; what survives power loss survives a kill, too, by another path.
fn arguments(round: u64) -> [&'static str; 6] {
    let durability = if round.is_multiple_of(2) { "os" } else { "fsync" };
    ["--data-dir", "data", "--listen", "127.0.0.1:0", "--durability", durability]
}

async fn campaign(seed: u64) {
    let mut chance = Chance::new(seed);
    let home = Home::new();
    let specs = queues();
    let desk = Desk::new(History { queues: specs.clone(), ..History::default() });
    for round in 0..ROUNDS_PER_CAMPAIGN {
        if round > 0 && chance.percent(15) {
            // Killed while it starts.
            let server = home.launch_serve(&arguments(round));
            tokio::time::sleep(Duration::from_millis(chance.below(120))).await;
            let killed = desk.now();
            server.kill().await;
            desk.history().crashes.push(Crash { killed, gone: desk.now() });
        }
        let server = home.serve(&arguments(round)).await;
        for queue in &specs {
            // Also where they are already: the same again is the same queue.
            create(&server.sqs(), queue).await;
        }
        let mut caller = Caller::new(&desk, &server.endpoint(), chance.fork());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(caller.another().settle_held());
        tasks.spawn(caller.another().hold_for_ever("work"));
        for queue in ["work", "work", "orders.fifo", "orders.fifo", PURGED] {
            tasks.spawn(caller.another().send_for_ever(queue));
        }
        for queue in ["work", "work", "work", "orders.fifo", "orders.fifo", "orders.fifo", PURGED, "dead", "dead.fifo"]
        {
            tasks.spawn(caller.another().consume_for_ever(queue));
        }
        tasks.spawn(caller.another().move_dead_letters("dead"));
        tasks.spawn(caller.another().move_dead_letters("dead.fifo"));
        tasks.spawn(caller.another().purge_now_and_then(PURGED));
        tokio::time::sleep(Duration::from_millis(chance.within(100, 900))).await;
        let killed = desk.now();
        server.kill().await;
        desk.history().crashes.push(Crash { killed, gone: desk.now() });
        caller.stop();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }

    let server = home.serve(&arguments(1)).await;
    let sqs = server.sqs();
    let caller = Caller::new(&desk, &server.endpoint(), chance.fork());
    eventually(PATIENCE, async || {
        let ends = caller.task_ends(&["dead", "dead.fifo"]).await;
        let unfinished = ends.iter().find(|end| end.status == "RUNNING" || end.status == "CANCELLING");
        holds(unfinished.is_none(), || format!("{unfinished:?}"))
    })
    .await;
    // Messages before their dead letters: what is being moved is in one of them.
    eventually(PATIENCE, async || {
        let mut left = Vec::new();
        for queue in specs.iter().rev() {
            caller.drain(&[queue.name]).await;
        }
        for queue in &specs {
            let counts = sqs.counts(queue.name).await;
            left.extend((counts != Counts::EMPTY).then_some((queue.name, counts)));
        }
        holds(left.is_empty(), || format!("{left:?}"))
    })
    .await;
    let ends = caller.task_ends(&["dead", "dead.fifo"]).await;
    server.stop().await;

    let mut history = desk.history();
    history.task_ends = ends;
    judge(&history);
}

fn judge(history: &History) {
    let violations = checker::check(history);
    let mut told: Vec<String> = Vec::new();
    for violation in violations.iter().take(SHOWN) {
        told.push(format!("{violation}\n{}", history.story(&violation.key)));
    }
    assert!(violations.is_empty(), "{} broken promises, the first of them:\n{}", violations.len(), told.join("\n"));
    // The test has tested something.
    let acknowledged = history.sends.iter().filter(|send| send.span.is_done()).count();
    let unanswered = history.sends.iter().filter(|send| !send.span.is_done()).count();
    let dead = history.deliveries.iter().filter(|got| history.receive_of(got).queue.starts_with("dead")).count();
    let moves = history.tasks.iter().filter(|task| task.span.is_done()).count();
    let purges = history.purges.iter().filter(|purge| purge.span.is_done()).count();
    // Whether a kill finds a send half done is the machine's to say: twenty kills have met none.
    let least = [("acknowledged sends", acknowledged, 500), ("sends without an answer", unanswered, 0)];
    let least = least.into_iter().chain([("dead letters", dead, 10), ("moves", moves, 2), ("purges", purges, 1)]);
    let mut tally = Vec::new();
    for (what, found, least) in least {
        assert!(found >= least, "only {found} {what}");
        tally.push(format!("{found} {what}"));
    }
    let received = history.deliveries.len();
    // Not through the macros, whose output a passing test hides.
    let _ = writeln!(
        std::io::stderr(),
        "killed {} times: {}, {received} received",
        history.crashes.len(),
        tally.join(", ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_queue_keeps_every_promise_it_has_acknowledged() {
    let test = "killed_at_any_moment_the_queue_keeps_every_promise_it_has_acknowledged";
    let first = seed(test);
    for campaign_number in 0..if places::is_long() { LONG_CAMPAIGNS } else { 1 } {
        campaign(first.wrapping_add(campaign_number)).await;
    }
}
