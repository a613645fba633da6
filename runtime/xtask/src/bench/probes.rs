//! What is measured apart from the table of cells: waiting receives, memory, start-up, and cost at depth.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::cells;
use super::http::Connection;
use super::load::{self, Outcome, Until, Work, percentile};
use super::options::Options;
use super::procfs;
use super::queue::{Queue, Receipts};
use super::server::{Kind, Programs, Server};
use crate::step;

/// What a receiver is given to be waiting before the message is sent.
const BEFORE_SEND: Duration = Duration::from_millis(5);
const FILLERS: usize = 4;
/// What a server is given to put in order what was sent, before its memory is read.
const REST: Duration = Duration::from_secs(1);
/// A slow peer holds fewer messages and starts less often.
const SLOW_HELD: usize = 500;
const SLOW_STARTS: usize = 3;
/// The lesser depth at which a message's cost is measured.
pub(super) const SHALLOW: usize = 1_000;
const DEPTH_CONNECTIONS: usize = 16;

/// From the moment a send begins to the moment a receive that waited has its message: p50 and p99 in µs.
pub(super) fn long_polls(server: &Server, count: usize) -> Result<(u32, u32), String> {
    let told = |error: String| format!("{}, long poll: {error}", server.kind.name());
    let count = if server.kind.is_slow() { count / 5 } else { count };
    let mut sender = Connection::open(server.address).map_err(told)?;
    let queue = Queue::create(&mut sender, server.address, "bench-long-poll").map_err(told)?;
    let mut latencies_us = Vec::with_capacity(count);
    thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let (arrived, arrivals) = mpsc::channel();
        let queue = &queue;
        let receiver = scope.spawn(move || {
            let mut connection = Connection::open(queue.address)?;
            let mut receipts = Receipts::default();
            for _ in 0..count {
                // Who asked for it may have given up: then so does this.
                if ready.send(()).is_err() {
                    break;
                }
                let received = queue.receive_waiting(&mut connection, &mut receipts)?;
                let at = Instant::now();
                if received != 1 {
                    return Err(format!("{received} messages came"));
                }
                let _ = arrived.send(at);
                queue.delete(&mut connection, &mut receipts)?;
            }
            Ok::<(), String>(())
        });
        for _ in 0..count {
            if is_ready.recv().is_err() {
                break;
            }
            thread::sleep(BEFORE_SEND);
            let sent = Instant::now();
            queue.send(&mut sender)?;
            let Ok(arrived) = arrivals.recv() else { break };
            let micros = arrived.saturating_duration_since(sent).as_micros();
            latencies_us.push(u32::try_from(micros).unwrap_or(u32::MAX));
        }
        receiver.join().unwrap_or_else(|_| Err("the receiver panicked".to_owned()))
    })
    .map_err(told)?;
    queue.destroy(&mut sender).map_err(told)?;
    latencies_us.sort_unstable();
    Ok((percentile(&latencies_us, 50), percentile(&latencies_us, 99)))
}

/// Resident memory of a server that has just started, and with messages queued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) messages: usize,
    pub(super) empty_kib: u64,
    pub(super) filled_kib: u64,
}

/// Fills a server of its own.
pub(super) fn memory(programs: &Programs, kind: Kind, held: usize) -> Result<Memory, String> {
    let messages = if kind.is_slow() { held.min(SLOW_HELD) } else { held };
    let server = Server::start(programs, kind)?;
    let empty_kib = procfs::resident_kib(server.pid())?;
    fill(&server, "bench-memory", messages)?;
    thread::sleep(REST);
    Ok(Memory { messages, empty_kib, filled_kib: procfs::resident_kib(server.pid())? })
}

/// A new queue with so many messages in it.
pub(super) fn fill(server: &Server, name: &str, messages: usize) -> Result<Queue, String> {
    let mut control = Connection::open(server.address)?;
    let queue = Queue::create(&mut control, server.address, name)?;
    load::run(server, &queue, Work::SendBatch, FILLERS, Until::Messages(messages))?;
    let depth = queue.depth(&mut control)?;
    if depth < messages as u64 {
        return Err(format!("{} holds {depth} messages of {messages}", server.kind.name()));
    }
    Ok(queue)
}

/// From the start of the process to its first answer, in ms: the median of several.
pub(super) fn start_up(programs: &Programs, kind: Kind, starts: usize) -> Result<f64, String> {
    let starts = if kind.is_slow() { SLOW_STARTS.min(starts) } else { starts };
    let mut times = Vec::with_capacity(starts);
    for _ in 0..starts {
        times.push(Server::start(programs, kind)?.start_up.as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

/// From the start to the end of a program that does nothing or only opens a store, in ms: the median of several.
pub(super) fn run_time(program: &Path, arguments: impl Fn(usize) -> Vec<String>, starts: usize) -> Result<f64, String> {
    let mut times = Vec::with_capacity(starts);
    for index in 0..starts {
        let mut command = Command::new(program);
        command.args(arguments(index)).stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        step::run(&mut command)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A message's whole life on a short queue and on a long one.
#[derive(Debug, Clone)]
pub(super) struct Depth {
    pub(super) deep: usize,
    pub(super) shallow_cost: Outcome,
    pub(super) deep_cost: Outcome,
}

/// Two servers of the same kind, one with a short queue and one with a long one, by turns: a message is sent to the end
/// and another received from the front, so the depth stays.
pub(super) fn depth(programs: &Programs, kind: Kind, options: &Options) -> Result<Depth, String> {
    let (shallow, deep) = (Server::start(programs, kind)?, Server::start(programs, kind)?);
    let queues =
        [(&shallow, fill(&shallow, "bench-depth", SHALLOW)?), (&deep, fill(&deep, "bench-depth", options.deep)?)];
    thread::sleep(REST);
    let mut outcomes = [Vec::new(), Vec::new()];
    for _ in 0..=options.rounds {
        for ((server, queue), outcomes) in queues.iter().zip(&mut outcomes) {
            outcomes.push(load::run(server, queue, Work::Mixed, DEPTH_CONNECTIONS, Until::Time(options.round))?);
        }
    }
    // The first round warms up.
    let [shallow_cost, deep_cost] = outcomes.map(|outcomes| cells::median(&outcomes[1..]));
    Ok(Depth { deep: options.deep, shallow_cost, deep_cost })
}
