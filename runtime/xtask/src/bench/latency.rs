//! `cargo xtask bench latency`: from a message's send to its being handled and gone, idle and under load.
//!
//! Seen from outside and the same way for everybody. Idle: one message at a time, until the queue says that it is empty.
//! Under load: by Little's law, the mean number of messages in the queue over the rate at which they come is the mean time
//! that one spends there. Each is given half of what it could handle, or what the generator can send, and the table says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::http::Connection;
use super::load::{self, Until, Work, percentile};
use super::queue::Queue;
use super::report::{Lines, shown};
use super::server::{Kind, Programs, Server, free_address};
use super::worker::{self, Plan};
use super::{baseline, peers};
use crate::layout::Layout;
use crate::step;

const NAME: &str = "latency";
/// What a consumer is given to be waiting again.
const BEFORE_SEND: Duration = Duration::from_millis(20);
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
/// Under load the queue is looked at so often.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(2);
const WARM_UP: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that send under load, and the most that they are asked for together: less than half of what they can.
const SENDERS: usize = 2;
const RATE_MAX: f64 = 3_000.0;

/// How much is measured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    sends: usize,
    /// Handled as fast as can be, to know what half of it is.
    burst: usize,
    under_load: Duration,
}

impl Options {
    /// Reads the arguments after `latency`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let whole = Self { sends: 300, burst: 20_000, under_load: Duration::from_secs(8) };
        let quick = Self { sends: 50, burst: 4_000, under_load: Duration::from_secs(2) };
        super::quick_only("latency", arguments).map(|is_quick| if is_quick { quick } else { whole })
    }
}

/// What came of one consumer.
struct Found {
    name: &'static str,
    p50_us: u32,
    p99_us: u32,
    /// Messages per second: asked for, and sent.
    wanted: f64,
    sent: f64,
    mean_ms: f64,
}

/// Runs the whole bench; the table of what came of it.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let wasmill = baseline::build_wasmill(layout)?;
    let programs = peers::prepare(layout, wasmill, &[])?;
    let mut all = vec![own_queue(layout, options, &programs)?];
    let server = Server::start(&programs, Kind::Os)?;
    let remote = |url: &str| Plan::remote(&[url.to_owned()]).command(layout, &programs, NAME);
    let over_http = |name, queue: &str, command: &dyn Fn(&str) -> Result<std::process::Command, String>| {
        let mut control = Connection::open(server.address)?;
        let queue = Queue::create(&mut control, server.address, queue)?;
        // Until it was measured.
        let (_process, _) = worker::start(&programs, command(queue.url())?, NAME)?;
        visit(name, options, &server, &queue)
    };
    all.push(over_http("wasmill, HTTP", "latency-ours", &remote)?);
    if let Some(paths) = worker::sqs_consumer_paths(layout) {
        all.push(over_http("sqs-consumer, HTTP", "latency-theirs", &|url: &str| {
            Ok(worker::sqs_consumer(layout, &paths, url))
        })?);
    }
    Ok(table(&all))
}

/// A worker with a queue of its own: one process, as `wasmill dev` is.
fn own_queue(layout: &Layout, options: &Options, programs: &Programs) -> Result<Found, String> {
    let address = free_address()?;
    let data = programs.folder.join("latency-data");
    // What a run that was broken off has left.
    let _ = std::fs::remove_dir_all(&data);
    let plan = Plan { own_queues: Some((address, &data)), queues: vec![NAME.to_owned()], functions: 1 };
    let server = Server::of_worker(programs, plan.command(layout, programs, NAME)?, address, data.clone())?;
    let mut control = Connection::open(address)?;
    let queue = Queue::find(&mut control, address, NAME)?;
    visit("wasmill, own queue", options, &server, &queue)
}

fn visit(name: &'static str, options: &Options, server: &Server, queue: &Queue) -> Result<Found, String> {
    step::step(&format!("latency of {name}"));
    let told = |error: String| format!("{name}: {error}");
    let mut control = Connection::open(queue.address).map_err(told)?;
    let mut latencies_us = Vec::with_capacity(options.sends);
    for sent in 0..options.sends + WARM_UP {
        thread::sleep(BEFORE_SEND);
        let begun = Instant::now();
        queue.send(&mut control).map_err(told)?;
        empty(queue, &mut control).map_err(told)?;
        if sent >= WARM_UP {
            latencies_us.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
    latencies_us.sort_unstable();
    let begun = Instant::now();
    load::run(server, queue, Work::SendBatch, SENDERS, Until::Messages(options.burst)).map_err(told)?;
    empty(queue, &mut control).map_err(told)?;
    let wanted = (options.burst as f64 / begun.elapsed().as_secs_f64() / 2.0).min(RATE_MAX);
    let (sent, mean_ms) = under_load(queue, wanted, options.under_load).map_err(told)?;
    let (p50_us, p99_us) = (percentile(&latencies_us, 50), percentile(&latencies_us, 99));
    Ok(Found { name, p50_us, p99_us, wanted, sent, mean_ms })
}

fn empty(queue: &Queue, control: &mut Connection) -> Result<(), String> {
    let begun = Instant::now();
    while queue.depth(control)? > 0 {
        if begun.elapsed() > PATIENCE {
            return Err("the queue does not become empty".to_owned());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// Sends at a steady rate meanwhile. How many were sent in a second, and how long one was in the queue on average, in ms.
fn under_load(queue: &Queue, wanted: f64, time: Duration) -> Result<(f64, f64), String> {
    let is_over = AtomicBool::new(false);
    let interval = Duration::from_secs_f64(SENDERS as f64 / wanted);
    thread::scope(|scope| {
        let begun = Instant::now();
        let senders: Vec<_> = (0..SENDERS)
            .map(|index| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut connection = Connection::open(queue.address)?;
                    let mut next = begun + interval.mul_f64(index as f64 / SENDERS as f64);
                    let mut sent = 0_u64;
                    while !is_over.load(Ordering::Relaxed) {
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                        queue.send(&mut connection)?;
                        sent += 1;
                        next += interval;
                    }
                    Ok::<u64, String>(sent)
                })
            })
            .collect();
        let mut control = Connection::open(queue.address)?;
        let (mut depths, mut samples) = (0.0, 0.0);
        while begun.elapsed() < time {
            depths += queue.depth(&mut control)? as f64;
            samples += 1.0;
            thread::sleep(BETWEEN_SAMPLES);
        }
        is_over.store(true, Ordering::Relaxed);
        let mut sent = 0.0;
        for sender in senders {
            sent += sender.join().unwrap_or_else(|_| Err("a sender panicked".to_owned()))? as f64;
        }
        let rate = sent / begun.elapsed().as_secs_f64();
        Ok((rate, depths / samples / rate * 1e3))
    })
}

fn table(all: &[Found]) -> String {
    let mut out = Lines::default();
    out.row("send to handled and gone", all.iter().map(|found| found.name.to_owned()));
    let ms = |us: u32| f64::from(us) / 1e3;
    out.row("  idle, p50, ms", all.iter().map(|found| format!("{:.2}", ms(found.p50_us))));
    out.row("  idle, p99, ms", all.iter().map(|found| format!("{:.2}", ms(found.p99_us))));
    out.row("  under load, mean, ms", all.iter().map(|found| format!("{:.2}", found.mean_ms)));
    out.row(
        "  messages/s, sent of wanted",
        all.iter().map(|found| format!("{} of {}", shown(found.sent), shown(found.wanted))),
    );
    out.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_or_refused() {
        let parse = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(parse(&[]).is_ok_and(|options| options.sends == 300));
        assert!(parse(&["--quick"]).is_ok_and(|options| options.sends == 50));
        assert!(parse(&["--slow"]).is_err_and(|error| error.contains("does not know --slow")));
    }
}
