//! `cargo xtask bench`: what wasmill costs, beside its peers from the registries and beside its own parts alone.
//!
//! A bench per question: `queue` (this file), `drain`, `invoke`, `latency`, `backlog`, `scale`; without a name all of them, one
//! after the other, with the machine that they ran on. On a machine that does other things too, processor time per message
//! and ratios within one run are what counts; messages per second are not. Judging is absent: the numbers stand beside their
//! targets, and the exit status is 0.

mod backlog;
mod baseline;
mod cells;
mod drain;
mod draining;
mod every;
mod handlers;
mod http;
mod latency;
mod load;
mod options;
mod peers;
mod probes;
mod procfs;
mod queue;
mod report;
mod scale;
mod server;
mod worker;

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use self::options::Options;
use self::probes::{Depth, Memory};
use self::server::{Kind, Programs, Server};
use crate::layout::Layout;
use crate::step;

/// What can be measured.
#[derive(Debug)]
pub(crate) enum Bench {
    Every(every::Options),
    Queue(Options),
    Drain(drain::Options),
    Handlers(handlers::Options),
    Latency(latency::Options),
    Backlog(backlog::Options),
    Scale(scale::Options),
}

impl Bench {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let Some((what, rest)) = arguments.split_first().filter(|(what, _)| !what.starts_with('-')) else {
            return every::Options::parse(arguments).map(Self::Every);
        };
        match what.as_str() {
            "queue" => Options::parse(rest).map(Self::Queue),
            "drain" => drain::Options::parse(rest).map(Self::Drain),
            "invoke" | "handlers" => handlers::Options::parse(rest).map(Self::Handlers),
            "latency" => latency::Options::parse(rest).map(Self::Latency),
            "backlog" => backlog::Options::parse(rest).map(Self::Backlog),
            "scale" => scale::Options::parse(rest).map(Self::Scale),
            other => Err(format!(
                "bench does not know {other}; it is bench [queue|drain|invoke|latency|backlog|scale] [--quick]"
            )),
        }
    }
}

/// Runs what is asked for, and prints the table of it.
pub(crate) fn run(layout: &Layout, bench: &Bench) -> Result<(), String> {
    let begun = Instant::now();
    let text = measured(layout, bench)?;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("stdout cannot be written: {error}"))?;
    step::step(&format!("measured in {} s", begun.elapsed().as_secs()));
    Ok(())
}

/// Runs a bench; its table.
fn measured(layout: &Layout, bench: &Bench) -> Result<String, String> {
    match bench {
        Bench::Every(options) => every::run(layout, options),
        Bench::Queue(options) => run_queue(layout, options),
        Bench::Drain(options) => drain::run(layout, options),
        Bench::Handlers(options) => handlers::run(layout, options),
        Bench::Latency(options) => latency::run(layout, options),
        Bench::Backlog(options) => backlog::run(layout, options),
        Bench::Scale(options) => scale::run(layout, options),
    }
}

/// Lets the system finish what it has of ours to write: else the next to be measured pays for what the last one left.
fn settle() -> Result<(), String> {
    step::step("waiting for what is still to be written");
    step::run(&mut Command::new("sync"))?;
    thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// `--quick` or nothing: what most benches take.
fn quick_only(name: &str, arguments: &[String]) -> Result<bool, String> {
    match arguments {
        [] => Ok(false),
        [quick] if quick == "--quick" => Ok(true),
        [unknown, ..] => Err(format!("bench {name} does not know {unknown}; it is bench {name} [--quick]")),
    }
}

/// All that was measured.
#[derive(Debug)]
struct Results {
    kinds: Vec<Kind>,
    cells: cells::Table,
    /// p50 and p99 in µs.
    long_polls: Vec<(Kind, (u32, u32))>,
    memory: Vec<(Kind, Memory)>,
    start_up_ms: Vec<(Kind, f64)>,
    baseline: baseline::Baseline,
    depths: Vec<(Kind, Depth)>,
}

/// Runs the whole bench; the table of what came of it.
fn run_queue(layout: &Layout, options: &Options) -> Result<String, String> {
    let wasmill = baseline::wasmill(layout, options.wasmill.as_deref())?;
    let programs = peers::prepare(layout, wasmill, &options.peers)?;
    let programs = Programs { http_alone: Some(baseline::http_alone(layout)?), ..programs };
    let kinds = present(&programs, options.kinds());
    if !kinds.iter().any(|kind| kind.keeps_messages()) {
        return Err("there is no server to measure".to_owned());
    }
    let results = measure(layout, options, &programs, kinds)?;
    if let Some(path) = &options.out {
        fs::write(path, report::json(&results)).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        step::step(&format!("written to {}", path.display()));
    }
    Ok(report::text(options, &results))
}

/// Those of the servers that can be had.
fn present(programs: &Programs, mut kinds: Vec<Kind>) -> Vec<Kind> {
    kinds.retain(|kind| match kind {
        Kind::Fauxqs => programs.fauxqs.is_some(),
        Kind::Moto => programs.moto.is_some(),
        Kind::HttpAlone => programs.http_alone.is_some(),
        Kind::InMemory | Kind::Os | Kind::Fsync => true,
    });
    kinds
}

fn measure(layout: &Layout, options: &Options, programs: &Programs, kinds: Vec<Kind>) -> Result<Results, String> {
    let started = kinds.iter().map(|kind| Server::start(programs, *kind));
    let servers: Vec<Server> = started.collect::<Result<_, _>>()?;
    step::step("warming up");
    let cells = cells::measure(options, &servers)?;
    step::step("waiting receives");
    let queues: Vec<&Server> = servers.iter().filter(|server| server.kind.keeps_messages()).collect();
    let long_polls = of_each(&queues, |server| Ok((server.kind, probes::long_polls(server, options.long_polls)?)))?;
    drop(servers);
    let queues: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.keeps_messages()).collect();
    step::step("memory");
    let memory = of_each(&queues, |kind| Ok((*kind, probes::memory(programs, *kind, options.held)?)))?;
    step::step("start-up");
    let start_up_ms = of_each(&queues, |kind| Ok((*kind, probes::start_up(programs, *kind, options.starts)?)))?;
    let baseline = baseline::measure(layout, &programs.folder, options.starts)?;
    step::step("cost at depth");
    let ours: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_ours()).collect();
    let depths = of_each(&ours, |kind| Ok((*kind, probes::depth(programs, *kind, options)?)))?;
    Ok(Results { kinds, cells, long_polls, memory, start_up_ms, baseline, depths })
}

fn of_each<T, U>(all: &[T], measure: impl Fn(&T) -> Result<U, String>) -> Result<Vec<U>, String> {
    all.iter().map(measure).collect()
}
