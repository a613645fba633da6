//! Load on one queue: so many connections, each in a loop of its own, for a limited time; what it took and what it cost.
//!
//! A thread per connection and blocking reads: the generator does little per request, the same for every server.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::http::Connection;
use super::procfs;
use super::queue::{BATCH, Many, Queue, Receipts};
use super::server::Server;

/// What is left to the server's background work before its processor time is read.
const SETTLE: Duration = Duration::from_millis(30);

/// What every connection does in a loop. The order is the order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// `SendMessage`.
    Send,
    /// `SendMessageBatch` of ten.
    SendBatch,
    /// `ReceiveMessage` of up to ten and one `DeleteMessageBatch` for them, until the queue is empty.
    ReceiveDelete,
    /// `SendMessage`, `ReceiveMessage` of one, `DeleteMessage`: a message's whole life.
    Mixed,
}

impl Work {
    pub(super) const ALL: [Self; 4] = [Self::Send, Self::SendBatch, Self::ReceiveDelete, Self::Mixed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::SendBatch => "send-batch",
            Self::ReceiveDelete => "receive+delete",
            Self::Mixed => "mixed",
        }
    }
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Time(Duration),
    /// So many messages, shared out evenly.
    Messages(usize),
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) messages: u64,
    /// How often the loops went round.
    pub(super) steps: u64,
    pub(super) per_second: f64,
    pub(super) cpu_us_per_message: f64,
    /// What the load itself took of the same cores.
    pub(super) generator_us_per_message: f64,
    /// Of a request, or of the two or three that belong together.
    pub(super) p50_us: u32,
    pub(super) p99_us: u32,
}

/// What one connection did.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    latencies_us: Vec<u32>,
}

/// Runs a load. Every answer is checked; the first wrong one ends it with an error.
pub(super) fn run(
    server: &Server,
    queue: &Queue,
    work: Work,
    connections: usize,
    until: Until,
) -> Result<Outcome, String> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(queue.address)?);
    }
    let start = Barrier::new(connections + 1);
    let cpu_before = procfs::cpu_time(server.pid())?;
    let own_before = procfs::own_cpu_time()?;
    let (begun, tallies) = thread::scope(|scope| {
        let start = &start;
        let share = |_| match until {
            Until::Messages(all) => Until::Messages(all.div_ceil(connections)),
            time => time,
        };
        let workers: Vec<_> = open
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                let until = share(index);
                scope.spawn(move || {
                    start.wait();
                    work_on(queue, connection, work, until)
                })
            })
            .collect();
        start.wait();
        let begun = Instant::now();
        let ended =
            |worker: thread::ScopedJoinHandle<'_, _>| worker.join().unwrap_or_else(|_| Err("a worker panicked".into()));
        (begun, workers.into_iter().map(ended).collect::<Result<Vec<Tally>, String>>())
    });
    let elapsed = begun.elapsed();
    let tallies = tallies.map_err(|error| format!("{}, {}: {error}", server.kind.name(), work.name()))?;
    let own = procfs::own_cpu_time()?.saturating_sub(own_before);
    thread::sleep(SETTLE);
    let cpu = procfs::cpu_time(server.pid())?.saturating_sub(cpu_before);
    Ok(outcome(tallies, elapsed, cpu, own))
}

fn outcome(tallies: Vec<Tally>, elapsed: Duration, cpu: Duration, own: Duration) -> Outcome {
    let messages: u64 = tallies.iter().map(|tally| tally.messages).sum();
    let mut latencies: Vec<u32> = tallies.into_iter().flat_map(|tally| tally.latencies_us).collect();
    latencies.sort_unstable();
    Outcome {
        messages,
        steps: latencies.len() as u64,
        per_second: messages as f64 / elapsed.as_secs_f64(),
        cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages as f64,
        generator_us_per_message: own.as_secs_f64() * 1e6 / messages as f64,
        p50_us: percentile(&latencies, 50),
        p99_us: percentile(&latencies, 99),
    }
}

/// Of sorted values; 0 when there are none.
pub(super) fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0)
}

fn work_on(queue: &Queue, mut connection: Connection, work: Work, until: Until) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut receipts = Receipts::default();
    let begun = Instant::now();
    let is_over = |tally: &Tally| match until {
        Until::Time(limit) => begun.elapsed() >= limit,
        Until::Messages(count) => tally.messages >= count as u64,
    };
    while !is_over(&tally) {
        let step_begun = Instant::now();
        let messages = match work {
            Work::Send => queue.send(&mut connection).map(|()| 1)?,
            Work::SendBatch => queue.send_batch(&mut connection).map(|()| BATCH)?,
            Work::ReceiveDelete => {
                let received = queue.receive(&mut connection, Many::Ten, &mut receipts)?;
                if received == 0 {
                    break;
                }
                queue.delete(&mut connection, &mut receipts)?;
                received
            }
            Work::Mixed => {
                queue.send(&mut connection)?;
                let received = queue.receive(&mut connection, Many::One, &mut receipts)?;
                queue.delete(&mut connection, &mut receipts)?;
                received
            }
        };
        tally.messages += messages as u64;
        tally.latencies_us.push(u32::try_from(step_begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (51, 100));
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (7, 0));
    }

    #[test]
    fn an_outcome_adds_the_connections_up() {
        let tally = |messages, latencies_us| Tally { messages, latencies_us };
        let (elapsed, cpu, own) = (Duration::from_secs(2), Duration::from_millis(4), Duration::from_millis(2));
        let both = outcome(vec![tally(30, vec![5, 1]), tally(10, vec![3])], elapsed, cpu, own);
        assert_eq!((both.messages, both.per_second, both.cpu_us_per_message), (40, 20.0, 100.0));
        assert_eq!(both.generator_us_per_message, 50.0);
        assert_eq!((both.steps, both.p50_us, both.p99_us), (3, 3, 5));
    }
}
