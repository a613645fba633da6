//! One seed's run, from its profile to the last look at the queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Record, Reply, Verdict};
use wasmill_queue::{LocalQueue, OutgoingMessage, Queue, ReceiveRequest};

use crate::door::Remote;
use crate::filter::Filters;
use crate::intake::OnFiltered;
use crate::invoke::Handler;
use crate::line_tests::Bench;
use crate::mapping::{Mapping, MappingOptions, start};
use crate::permits::Permits;

use super::Rng;
use super::profile::Profile;
use super::rough::Rough;
use super::world::{Shared, World};

/// How long there is trouble, at least.
const TROUBLE: Duration = Duration::from_secs(120);
/// How long the queue may take to become empty once all is well: many receives of the longest visibility timeout.
const RECOVERY_MAX: Duration = Duration::from_secs(4 * 3600);

pub(super) async fn run(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut rng = Rng(seed);
    let profile = Profile::of(&mut rng);
    let bench = Bench::with_kind(profile.is_fifo, profile.visibility_s, profile.max_receive_count).await;
    let world: Shared = Arc::new(Mutex::new(World::new(rng, profile.clone())));
    world.lock().unwrap().note(format!("{profile:?}"));
    let permits = Permits::new(profile.permits);
    let mut mapping = begin(&bench, &world, &permits);
    let sibling = if profile.has_sibling { Some(Sibling::start(&bench, &world, &permits).await) } else { None };
    let mut sent = Vec::new();
    let mut restarts = profile.restarts;
    let until = Instant::now() + TROUBLE;
    while Instant::now() < until || (sent.len() as u64) < profile.messages {
        let (pause_ms, count, restarts_now, grace_s) = {
            let rng = &mut world.lock().unwrap().rng;
            (rng.between(1, 9000), rng.between(0, 8), rng.percent(15), rng.between(0, 30))
        };
        sleep(Duration::from_millis(pause_ms)).await;
        let count = count.min(profile.messages - sent.len() as u64);
        send(&bench, &world, count, &mut sent).await;
        if let Some(sibling) = &sibling {
            sibling.send(count).await;
        }
        if restarts > 0 && restarts_now {
            restarts -= 1;
            end(&mapping, &permits, &world, Duration::from_secs(grace_s)).await;
            world.lock().unwrap().restarted();
            mapping = begin(&bench, &world, &permits);
        }
    }
    {
        let mut world = world.lock().unwrap();
        world.in_trouble = false;
        world.note("all is well");
    }
    let recovery = Instant::now();
    while bench.counts() != (0, 0, 0) || sibling.as_ref().is_some_and(|sibling| !sibling.is_idle()) {
        if recovery.elapsed() > RECOVERY_MAX {
            let counts = bench.counts();
            world.lock().unwrap().is_wrong(format!("not empty after {RECOVERY_MAX:?}: {counts:?}"));
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    // What is settled last may have a verdict to come.
    sleep(Duration::from_secs(60)).await;
    let on_wheel = mapping.leases.on_wheel();
    if on_wheel > 0 {
        world.lock().unwrap().is_wrong(format!("{on_wheel} leases on the wheel of an idle mapping"));
    }
    if let Some(sibling) = &sibling {
        // First: the permits of both are counted when the mapping has ended.
        sibling.mapping.drain(Duration::from_secs(60)).await;
    }
    end(&mapping, &permits, &world, Duration::from_secs(60)).await;
    let dead = dead_bodies(&bench).await;
    let mut world = world.lock().unwrap();
    world.is_over(&sent, &dead);
    (std::mem::take(&mut world.trace), std::mem::take(&mut world.wrong))
}

/// Another mapping of the function, whose queue and batches are well.
struct Sibling {
    queue: LocalQueue,
    mapping: Mapping,
}

impl Sibling {
    async fn start(bench: &Bench, world: &Shared, permits: &Permits) -> Self {
        let queue = bench.broker.create_queue("sibling", &[], &[]).await.unwrap();
        let is_remote = world.lock().unwrap().rng.percent(50);
        let behind: Arc<dyn Queue> = if is_remote { Arc::new(Remote::new(&queue)) } else { Arc::new(queue.clone()) };
        let world = Arc::clone(world);
        let handler = BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
            let Payload::Batch { records, .. } = invocation.payload else { panic!("a mapping sends batches") };
            world.lock().unwrap().sibling_begins(records.len());
            let world = Arc::clone(&world);
            async move {
                sleep(Duration::from_millis(700)).await;
                world.lock().unwrap().sibling_ends();
                Ok(Reply::Json(String::new()))
            }
        }));
        Self { mapping: start(bench.options(behind, permits, handler)), queue }
    }

    async fn send(&self, count: u64) {
        let message = |n: u64| OutgoingMessage { body: n.to_string(), ..OutgoingMessage::default() };
        self.queue.send((0..count).map(message).collect()).await.unwrap();
    }

    fn is_idle(&self) -> bool {
        let counts = self.queue.describe().unwrap();
        (counts.visible, counts.in_flight) == (0, 0)
    }
}

fn begin(bench: &Bench, world: &Shared, permits: &Permits) -> Mapping {
    let profile = world.lock().unwrap().profile.clone();
    let rough = Rough { inner: bench.queue.clone(), world: Arc::clone(world), is_remote: profile.is_remote };
    let patterns = [r#"{"body":[{"anything-but":{"suffix":":skip"}}]}"#];
    start(MappingOptions {
        batch_size: profile.batch_size,
        window: profile.window,
        filters: if profile.has_filter { Filters::parse(&patterns).unwrap() } else { Filters::default() },
        on_filtered: if profile.keeps_filtered { OnFiltered::Keep } else { OnFiltered::Delete },
        retry_policy: profile.retry_policy,
        dead_letters_last_attempts: false,
        bisect_max_invocations: profile.bisect_max_invocations,
        per_group: profile.per_group,
        max_messages_per_second: profile.max_messages_per_second,
        reports_item_failures: profile.reports_item_failures,
        maximum_concurrency: profile.maximum_concurrency,
        ..bench.options(Arc::new(rough), permits, moody(world))
    })
}

async fn end(mapping: &Mapping, permits: &Permits, world: &Shared, grace: Duration) {
    world.lock().unwrap().note(format!("drain within {grace:?}"));
    let began = Instant::now();
    mapping.drain(grace).await;
    // A receive that is under way, then a release with its tries.
    let most = grace + Duration::from_secs(36);
    let (on_wheel, held) = (mapping.leases.on_wheel(), permits.held());
    let mut world = world.lock().unwrap();
    if began.elapsed() > most {
        world.is_wrong(format!("a drain took {:?} with a grace of {grace:?}", began.elapsed()));
    }
    // A sibling that runs on holds its own.
    if on_wheel > 0 || (held > 0 && !(world.in_trouble && world.profile.has_sibling)) {
        world.is_wrong(format!("after a drain {on_wheel} leases and {held} permits are left"));
    }
}

async fn send(bench: &Bench, world: &Shared, count: u64, sent: &mut Vec<String>) {
    for _ in 0..count {
        let body = {
            let mut world = world.lock().unwrap();
            let group = world.rng.pick(&["a", "b", "c"]);
            let skip = if world.rng.percent(15) { ":skip" } else { "" };
            let body = format!("{group}:{}{skip}", sent.len());
            world.note(format!("send {body}"));
            body
        };
        let is_fifo = world.lock().unwrap().profile.is_fifo;
        let group_id = is_fifo.then(|| body.split(':').next().unwrap().to_owned());
        let message = OutgoingMessage {
            body: body.clone(),
            group_id,
            deduplication_id: is_fifo.then(|| body.clone()),
            ..OutgoingMessage::default()
        };
        bench.queue.send(vec![message]).await.unwrap().remove(0).unwrap();
        sent.push(body);
    }
}

async fn dead_bodies(bench: &Bench) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let request = ReceiveRequest {
            max_messages: 10,
            wait: Duration::ZERO,
            visibility_timeout_seconds: Some(1000),
            attempt_id: None,
        };
        let messages = bench.dead.receive(request).await.unwrap();
        if messages.is_empty() {
            return bodies;
        }
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        bench.dead.delete(&receipts).await.unwrap();
        bodies.extend(messages.into_iter().map(|message| message.body));
    }
}

/// Ends an invocation also when it is cut off.
struct Running(Shared, Arc<Vec<Record>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().unwrap().ends(&self.1);
    }
}

enum Mood {
    Answers(Vec<Verdict>),
    Fails(FaultKind),
    Panics,
}

/// A handler that is slow, refuses, crashes and panics as the seed says, and after the trouble succeeds.
fn moody(world: &Shared) -> Handler {
    let world = Arc::clone(world);
    BoxCloneSyncService::new(service_fn(move |invocation: Invocation| {
        let Payload::Batch { records, .. } = invocation.payload else { panic!("a mapping sends batches") };
        let (takes, mood) = {
            let mut world = world.lock().unwrap();
            world.begins(&records);
            mood(&mut world, &records)
        };
        let running = Running(Arc::clone(&world), Arc::clone(&records));
        let world = Arc::clone(&world);
        async move {
            let _running = running;
            sleep(takes).await;
            let mut world = world.lock().unwrap();
            match mood {
                Mood::Answers(verdicts) => {
                    world.answers(&records, Some(&verdicts));
                    Ok(Reply::Verdicts(verdicts))
                }
                Mood::Fails(kind) => {
                    world.answers(&records, None);
                    Err(Fault::new(kind, "as the seed says"))
                }
                Mood::Panics => {
                    world.answers(&records, None);
                    drop(world);
                    std::panic::resume_unwind(Box::new("as the seed says"))
                }
            }
        }
    }))
}

fn mood(world: &mut World, records: &[Record]) -> (Duration, Mood) {
    let profile = world.profile.clone();
    if !world.in_trouble {
        return (Duration::from_millis(100), Mood::Answers(vec![Verdict::Done; records.len()]));
    }
    let is_slow = world.rng.percent(profile.slow_handler);
    let takes_ms = if is_slow { world.rng.between(5000, 90_000) } else { world.rng.between(0, 2000) };
    let poison = profile.handler_fails > 0 && records.iter().any(|record| record.body.contains('7'));
    let mood = if poison {
        Mood::Fails(FaultKind::Trap)
    } else if world.rng.percent(profile.handler_fails) {
        match world.rng.below(8) {
            0 => Mood::Fails(FaultKind::Trap),
            1 => Mood::Fails(FaultKind::Timeout),
            2 => Mood::Fails(FaultKind::Host),
            3 => Mood::Panics,
            4 => Mood::Fails(FaultKind::Handler),
            _ => {
                let mut verdict = || match world.rng.below(8) {
                    0 => Verdict::Retry { after_seconds: None },
                    1 => Verdict::Retry { after_seconds: Some(world.rng.between(0, 20) as u32) },
                    2 => Verdict::DeadLetter { reason: "as the seed says".into() },
                    3 => Verdict::Release,
                    _ => Verdict::Done,
                };
                Mood::Answers(records.iter().map(|_| verdict()).collect())
            }
        }
    } else {
        Mood::Answers(vec![Verdict::Done; records.len()])
    };
    (Duration::from_millis(takes_ms), mood)
}
