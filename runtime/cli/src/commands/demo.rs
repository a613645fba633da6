//! `wasmill demo`: the guided first run. A stream of orders through the real built-in queue, the real mapping and the
//! `orders` handler in its sandbox; some fail once, some are poison, one hangs. What it prints of them is what the
//! mapping reported, never canned text.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wasmill_event::Verdict;
use wasmill_mapping::{BatchReport, Observer};
use wasmill_queue::{Broker, LocalQueue as Queue, OutgoingMessage, Queue as _, ReceiveRequest};

use crate::assemble::{self, Worker};
use crate::commands::print_line;
use crate::config::{
    self, Config, Durability, FunctionSpec, LocalQueue, MappingSource, MappingSpec, QueueSpec, RedriveSpec, Sandbox,
    Trial,
};
use crate::error::CliError;
use crate::shutdown::Signals;

const ORDERS_WASM: &[u8] = include_bytes!("../../../../handlers/prebuilt/orders.wasm");
const QUEUE: &str = "orders";
const DEAD_LETTERS: &str = "orders-dlq";
const VISIBILITY_S: u32 = 2;
const MAX_RECEIVE_COUNT: u32 = 3;
/// The stream: one order each 25 ms.
const STREAMED: usize = 200;
const STREAM_PAUSE: Duration = Duration::from_millis(25);
/// Sent at once, after the stream.
const BURST: usize = 3000;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// The order that hangs takes its whole batch with it, so it comes when the flaky ones are through.
const CALM: Duration = Duration::from_millis(2500);
const LONGEST: Duration = Duration::from_secs(29);
const MESSAGES_PER_SEND: usize = 10;

/// Runs it to its end.
pub(crate) async fn demo() -> Result<ExitCode, CliError> {
    let folder = DemoFolder::make()?;
    let signals = Signals::install().map_err(|error| CliError::internal(format!("no signals: {error}")))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let clock: Arc<Mutex<Option<Broker>>> = Arc::default();
    let observer = observer(Arc::clone(&seen), Arc::clone(&clock));
    let worker = assemble::start(assemble::prepare(config(&folder.0)).await?, &observer).await?;
    let Some(broker) = worker.broker.clone() else { return Err(CliError::internal("the demo has no queue")) };
    *lock(&clock) = Some(broker.clone());
    introduce(&worker)?;

    let outcome = tokio::select! {
        biased;
        () = signals.drain_requested() => Err(CliError::failure("interrupted")),
        outcome = tell(&broker, &seen) => outcome,
    };
    worker.drain(Duration::from_secs(2)).await;
    outcome
}

fn introduce(worker: &Worker) -> Result<(), CliError> {
    print_line("wasmill demo: orders → built-in queue → orders.wasm in a sandbox, a fresh instance per batch")?;
    print_line(format_args!(
        "visibility timeout {VISIBILITY_S} s, function timeout 1 s, dead-letter queue after {MAX_RECEIVE_COUNT} receives"
    ))?;
    if let Some(sqs) = worker.sqs_address {
        print_line(format_args!("while it runs: wasmill queue stats --endpoint-url http://{sqs}"))?;
    }
    print_line(format_args!("               curl http://{}/metrics\n", worker.admin_address))
}

/// Sends the orders, shows the progress, sums up.
async fn tell(broker: &Broker, seen: &Arc<Mutex<Seen>>) -> Result<ExitCode, CliError> {
    let queue = find(broker, QUEUE)?;
    let dead_letters = find(broker, DEAD_LETTERS)?;
    let started = Instant::now();
    let sent = Arc::new(Mutex::new(BTreeMap::new()));
    let sending = send_all(queue, Arc::clone(&sent), Arc::clone(seen));
    tokio::pin!(sending);
    let mut next_progress = started + PROGRESS_EVERY;
    let mut burst = None;
    loop {
        tokio::select! {
            biased;
            done = &mut sending, if burst.is_none() => burst = Some(done?),
            () = sleep_until(next_progress) => {
                next_progress += PROGRESS_EVERY;
                let buried = describe(&dead_letters)?;
                print_line(lock(seen).progress(started.elapsed(), buried))?;
            }
            () = sleep(Duration::from_millis(20)), if burst.is_some() => {}
        }
        let buried = describe(&dead_letters)?;
        let settled = lock(seen).succeeded + buried;
        if burst.is_some() && settled >= lock(&sent).len() {
            break;
        }
        if started.elapsed() > LONGEST {
            let missing = lock(&sent).len().saturating_sub(settled);
            return Err(CliError::failure(format!("{missing} orders were not settled within {} s", LONGEST.as_secs())));
        }
    }
    let burst_s = burst.unwrap_or_default().as_secs_f64();
    let sent = lock(&sent).clone();
    summarise(&dead_letters, &sent, seen, started.elapsed(), burst_s).await
}

/// The stream, the burst, the one that hangs. Notes each message's order; gives how long the burst took to be done.
async fn send_all(
    queue: Queue,
    sent: Arc<Mutex<BTreeMap<String, String>>>,
    seen: Arc<Mutex<Seen>>,
) -> Result<Duration, CliError> {
    for number in 1..=STREAMED {
        let order = streamed_order(number);
        send(&queue, vec![(format!("o-{number}"), order)], &sent).await?;
        sleep(STREAM_PAUSE).await;
    }
    let before = lock(&seen).succeeded;
    let started = Instant::now();
    let orders: Vec<usize> = (STREAMED + 1..=STREAMED + BURST).collect();
    for tens in orders.chunks(MESSAGES_PER_SEND) {
        let tens = tens.iter().map(|number| (format!("o-{number}"), order(*number, "ok"))).collect();
        send(&queue, tens, &sent).await?;
    }
    while lock(&seen).succeeded < before + BURST && started.elapsed() < LONGEST {
        sleep(Duration::from_millis(5)).await;
    }
    let burst = started.elapsed();
    print_line(format_args!(
        "          a burst of {BURST} orders: sent, handled and deleted in {:.2} s",
        burst.as_secs_f64()
    ))?;
    sleep(CALM).await;
    let hangs = STREAMED + BURST + 1;
    send(&queue, vec![(format!("o-{hangs}"), order(hangs, "hangs"))], &sent).await?;
    Ok(burst)
}

fn streamed_order(number: usize) -> String {
    match number {
        60 | 120 => format!(r#"{{"id":"o-{number}","sku":"tea-green","quantity":0}}"#),
        100 => format!("order o-{number}: two green teas, please"),
        _ if number % 40 == 7 => order(number, "declined"),
        _ if number % 12 == 5 => order(number, "flaky"),
        _ => order(number, "ok"),
    }
}

fn order(number: usize, payment: &str) -> String {
    let quantity = number % 4 + 1;
    format!(r#"{{"id":"o-{number}","sku":"tea-green","quantity":{quantity},"payment":"{payment}"}}"#)
}

async fn send(
    queue: &Queue,
    orders: Vec<(String, String)>,
    sent: &Mutex<BTreeMap<String, String>>,
) -> Result<(), CliError> {
    let (names, bodies): (Vec<String>, Vec<String>) = orders.into_iter().unzip();
    let messages = bodies.into_iter().map(|body| OutgoingMessage { body, ..OutgoingMessage::default() }).collect();
    let failed = |error: wasmill_queue::QueueError| CliError::failure(format!("an order could not be sent: {error}"));
    let results = queue.send(messages).await.map_err(failed)?;
    for (name, result) in names.into_iter().zip(results) {
        let id = result.map_err(failed)?.id;
        lock(sent).insert(id.as_str().to_owned(), name);
    }
    Ok(())
}

/// What the mapping reported so far.
#[derive(Debug, Default)]
struct Seen {
    received: usize,
    succeeded: usize,
    retried: usize,
    /// Per message: why its last delivery failed.
    last_faults: BTreeMap<String, String>,
    /// From send to done.
    latencies_ms: Vec<u64>,
}

fn observer(seen: Arc<Mutex<Seen>>, clock: Arc<Mutex<Option<Broker>>>) -> Observer {
    Observer::new(move |report| {
        let now_unix_ms = lock(&clock).as_ref().map_or(0, |broker| broker.now().unix_ms);
        lock(&seen).note(report, now_unix_ms);
    })
}

impl Seen {
    fn note(&mut self, report: &BatchReport, now_unix_ms: u64) {
        self.received += report.records.len();
        for record in &report.records {
            let fault = match (&report.fault, &record.verdict) {
                (Some(fault), _) => fault.to_string(),
                (None, Verdict::Done) => {
                    self.succeeded += 1;
                    self.latencies_ms.push(now_unix_ms.saturating_sub(record.sent_unix_ms));
                    self.last_faults.remove(&*record.message_id);
                    continue;
                }
                (None, Verdict::DeadLetter { reason }) => format!("dead-letter verdict: {reason}"),
                (None, Verdict::Retry { .. } | Verdict::Release) => {
                    format!("reported in batchItemFailures, at delivery {}", record.receive_count)
                }
            };
            if !matches!(record.verdict, Verdict::DeadLetter { .. }) {
                self.retried += 1;
            }
            self.last_faults.insert(record.message_id.to_string(), fault);
        }
    }

    fn progress(&self, elapsed: Duration, dead: usize) -> String {
        let Self { received, succeeded, retried, .. } = self;
        let seconds = elapsed.as_secs_f64();
        format!(
            "{seconds:>7.1} s  received {received:>5}  succeeded {succeeded:>5}  retried {retried:>3}  dead-letter {dead:>2}"
        )
    }
}

async fn summarise(
    dead_letters: &Queue,
    sent: &BTreeMap<String, String>,
    seen: &Mutex<Seen>,
    elapsed: Duration,
    burst_s: f64,
) -> Result<ExitCode, CliError> {
    let dead = read_all(dead_letters).await?;
    let seen = lock(seen);
    let mut latencies = seen.latencies_ms.clone();
    latencies.sort_unstable();
    let percentile = |of_100: usize| latencies.get(latencies.len() * of_100 / 100).copied().unwrap_or_default();
    let Seen { received, succeeded, retried, .. } = &*seen;
    print_line(format_args!("\n{} orders in {:.1} s, every one accounted for:", sent.len(), elapsed.as_secs_f64()))?;
    print_line(format_args!("  received     {received:>6}   deliveries to the handler"))?;
    print_line(format_args!("  succeeded    {succeeded:>6}   deleted from the queue"))?;
    print_line(format_args!("  retried      {retried:>6}   returned when their visibility timeout ended"))?;
    print_line(format_args!("  dead-letter  {:>6}   in {DEAD_LETTERS}:", dead.len()))?;
    for id in &dead {
        let name = sent.get(id).map_or("an order that was not sent here", String::as_str);
        let fault = seen.last_faults.get(id).map_or("no fault was reported", String::as_str);
        print_line(format_args!("      {name:<7} {fault}"))?;
    }
    let per_second = BURST as f64 / burst_s.max(0.001);
    print_line(format_args!("  throughput   {per_second:>6.0}   messages per second during the burst"))?;
    print_line(format_args!("  send to done p50 {} ms, p99 {} ms (retries included)", percentile(50), percentile(99)))?;
    Ok(if succeeded + dead.len() == sent.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ids of all dead letters.
async fn read_all(queue: &Queue) -> Result<Vec<String>, CliError> {
    let request =
        ReceiveRequest { max_messages: 1000, wait: Duration::ZERO, visibility_timeout_seconds: None, attempt_id: None };
    let messages = queue.receive(request).await.map_err(|error| CliError::failure(error.to_string()))?;
    Ok(messages.into_iter().map(|message| message.id.as_str().to_owned()).collect())
}

fn describe(queue: &Queue) -> Result<usize, CliError> {
    let description = queue.describe().map_err(|error| CliError::failure(error.to_string()))?;
    Ok(usize::try_from(description.visible).unwrap_or(usize::MAX))
}

fn find(broker: &Broker, name: &str) -> Result<Queue, CliError> {
    broker.queue(name).map_err(|error| CliError::internal(format!("the demo's queue {name}: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker that the demo runs: what a config file of twenty lines would say.
fn config(folder: &Path) -> Config {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let local_queue = LocalQueue {
        listen: any_port,
        data_dir: Some(folder.join("data")),
        durability: Durability::Os,
        allowed_origins: Vec::new(),
        blocks_deleted_names: false,
        trial: Trial::default(),
    };
    let base = Config::of_queue(local_queue, any_port);
    let redrive = RedriveSpec {
        dead_letter_queue: DEAD_LETTERS.to_owned(),
        dead_letter_target_arn: base.queue_arn(DEAD_LETTERS),
        max_receive_count: MAX_RECEIVE_COUNT,
    };
    let function = FunctionSpec {
        timeout: Duration::from_secs(1),
        reserved_concurrent_executions: 4,
        ..FunctionSpec::new(QUEUE, folder.join("orders.wasm"))
    };
    let source = MappingSource::Local { queue_name: QUEUE.to_owned() };
    let mapping = MappingSpec::new("event_source_mapping[0]", source, function.name.clone());
    Config {
        queues: vec![
            QueueSpec {
                visibility_timeout_seconds: Some(VISIBILITY_S),
                redrive: Some(redrive),
                ..QueueSpec::new(QUEUE)
            },
            QueueSpec::new(DEAD_LETTERS),
        ],
        sandbox: Sandbox::for_permits(function.reserved_concurrent_executions),
        functions: vec![function],
        mappings: vec![mapping],
        cache_dir: config::default_cache_dir(&crate::process_env),
        ..base
    }
}

/// A folder for one demo, gone with it.
struct DemoFolder(PathBuf);

impl DemoFolder {
    fn make() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("wasmill-demo-{}", uuid::Uuid::new_v4()));
        let failed = |error: std::io::Error| {
            CliError::unavailable(format!("the demo's folder cannot be made: {error}"))
                .at(path.display())
                .with_mend("check that the temporary folder (TMPDIR) can be written and is not full")
        };
        std::fs::create_dir(&path).map_err(failed)?;
        let folder = Self(path.clone());
        std::fs::write(path.join("orders.wasm"), ORDERS_WASM).map_err(failed)?;
        Ok(folder)
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        // What is left in the temporary folder costs little.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
