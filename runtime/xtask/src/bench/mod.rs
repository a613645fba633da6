//! `cargo xtask bench queue`: what the built-in queue costs, beside its peers from the registries, in one interleaved run.
//! `cargo xtask bench drain` (`drain.rs`): what draining a queue through a handler costs; `bench handlers` (`handlers.rs`): a call.
//!
//! On a machine that does other things too, processor time per message and ratios within one run are what counts;
//! messages per second are not. Judging is absent: the numbers stand beside their targets, and the exit status is 0.

mod baseline;
mod cells;
mod drain;
mod handlers;
mod http;
mod load;
mod options;
mod peers;
mod probes;
mod procfs;
mod queue;
mod report;
mod server;

use std::fs;
use std::time::Instant;

use self::options::Options;
use self::probes::{Depth, Memory};
use self::server::{Kind, Programs, Server};
use crate::layout::Layout;
use crate::step;

/// What can be measured.
#[derive(Debug)]
pub(crate) enum Bench {
    Queue(Options),
    Drain(drain::Options),
    Handlers(handlers::Options),
}

impl Bench {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [what, rest @ ..] if what == "drain" => drain::Options::parse(rest).map(Self::Drain),
            [what, rest @ ..] if what == "handlers" => handlers::Options::parse(rest).map(Self::Handlers),
            _ => Options::parse(arguments).map(Self::Queue),
        }
    }
}

/// Runs what is asked for.
pub(crate) fn run(layout: &Layout, bench: &Bench) -> Result<(), String> {
    match bench {
        Bench::Queue(options) => run_queue(layout, options),
        Bench::Drain(options) => drain::run(layout, options),
        Bench::Handlers(options) => handlers::run(layout, options),
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

/// Runs the whole bench and prints what came of it.
fn run_queue(layout: &Layout, options: &Options) -> Result<(), String> {
    let begun = Instant::now();
    let wasmill = baseline::build_wasmill(layout)?;
    let mut programs = peers::prepare(layout, wasmill, &options.peers)?;
    let kinds = present(&mut programs, options)?;
    let results = measure(layout, options, &programs, kinds)?;
    report::print(options, &results)?;
    if let Some(path) = &options.out {
        fs::write(path, report::json(&results)).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        step::step(&format!("written to {}", path.display()));
    }
    step::step(&format!("measured in {} s", begun.elapsed().as_secs()));
    Ok(())
}

/// The servers that can be had.
fn present(programs: &mut Programs, options: &Options) -> Result<Vec<Kind>, String> {
    let mut kinds = options.kinds();
    kinds.retain(|kind| match kind {
        Kind::Fauxqs => programs.fauxqs.is_some(),
        Kind::Moto => programs.moto.is_some(),
        Kind::InMemory | Kind::Os | Kind::Fsync => true,
    });
    if kinds.is_empty() { Err("there is no server to measure".to_owned()) } else { Ok(kinds) }
}

fn measure(layout: &Layout, options: &Options, programs: &Programs, kinds: Vec<Kind>) -> Result<Results, String> {
    let started = kinds.iter().map(|kind| Server::start(programs, *kind));
    let servers: Vec<Server> = started.collect::<Result<_, _>>()?;
    step::step("warming up");
    let cells = cells::measure(options, &servers)?;
    step::step("waiting receives");
    let long_polls = of_each(&servers, |server| Ok((server.kind, probes::long_polls(server, options.long_polls)?)))?;
    drop(servers);
    step::step("memory");
    let memory = of_each(&kinds, |kind| Ok((*kind, probes::memory(programs, *kind, options.held)?)))?;
    step::step("start-up");
    let start_up_ms = of_each(&kinds, |kind| Ok((*kind, probes::start_up(programs, *kind, options.starts)?)))?;
    let baseline = baseline::measure(layout, &programs.folder, options.starts)?;
    step::step("cost at depth");
    let ours: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_ours()).collect();
    let depths = of_each(&ours, |kind| Ok((*kind, probes::depth(programs, *kind, options)?)))?;
    Ok(Results { kinds, cells, long_polls, memory, start_up_ms, baseline, depths })
}

fn of_each<T, U>(all: &[T], measure: impl Fn(&T) -> Result<U, String>) -> Result<Vec<U>, String> {
    all.iter().map(measure).collect()
}
