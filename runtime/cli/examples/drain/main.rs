//! Drains the built-in queue through a mapping into a handler, beside what the store and wasmtime take on their own for
//! the same messages: what `cargo xtask bench drain` starts and reads.
//!
//! `drain FOLDER HANDLER MESSAGES ROUNDS SENDS [CELL]`: makes its store in FOLDER, takes every cell in turn in each round,
//! and prints a line for each: `drain ROUND CELL BATCH CPU_US_PER_MESSAGE MESSAGES_PER_SECOND`; last
//! `latency P50_US P99_US` of SENDS single messages. With a CELL it is that one only, for a profiler.
//!
//! Judging and medians are absent: they are the reader's. No log is subscribed to.

#[path = "../shared/broker.rs"]
mod broker;
mod cells;
mod latency;
mod pure;
mod raw;
#[path = "../shared/records.rs"]
mod records;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::cells::Bench;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The batch sizes: what a mapping has without a window, and with one.
const BATCHES: [u32; 2] = [10, 1_000];

/// What is measured. Every one handles the same messages, in the same batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Receives and deletes only, of a queue in memory.
    State,
    /// Receives and deletes only.
    Store,
    /// Two filters, put to records that they are made for.
    Filter,
    /// The batches' events, as JSON.
    Encode,
    /// wasmtime called with the batches' events, and nothing else.
    Wasmtime,
    /// The same through our sandbox.
    Sandbox,
    /// A mapping, from the store through the sandbox and back.
    Mapping,
}

impl Cell {
    const ALL: [Self; 7] =
        [Self::State, Self::Store, Self::Filter, Self::Encode, Self::Wasmtime, Self::Sandbox, Self::Mapping];

    fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Store => "store",
            Self::Filter => "filter",
            Self::Encode => "encode",
            Self::Wasmtime => "wasmtime",
            Self::Sandbox => "sandbox",
            Self::Mapping => "mapping",
        }
    }
}

/// What came of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) messages: usize,
    pub(crate) cpu: Duration,
    pub(crate) elapsed: Duration,
}

struct Arguments {
    folder: PathBuf,
    handler: PathBuf,
    messages: usize,
    rounds: usize,
    sends: usize,
    only: Option<Cell>,
}

fn main() -> ExitCode {
    let ran = arguments().and_then(|arguments| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(&arguments))
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails too.
            let _ = writeln!(std::io::stderr(), "drain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<Arguments> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
    let (folder, handler) = (next("FOLDER")?.into(), next("HANDLER")?.into());
    let [messages, rounds, sends] = [next("MESSAGES")?, next("ROUNDS")?, next("SENDS")?];
    let only = match words.next() {
        None => None,
        Some(name) => {
            let cell = Cell::ALL.into_iter().find(|cell| cell.name() == name);
            Some(cell.ok_or_else(|| format!("there is no cell {name}"))?)
        }
    };
    let (messages, rounds, sends) = (messages.parse()?, rounds.parse()?, sends.parse()?);
    Ok(Arguments { folder, handler, messages, rounds, sends, only })
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    let bench = Bench::open(&arguments.folder, &arguments.handler, arguments.messages).await?;
    let cells: Vec<Cell> =
        Cell::ALL.into_iter().filter(|cell| arguments.only.is_none_or(|only| only == *cell)).collect();
    for round in 0..arguments.rounds {
        for batch in BATCHES {
            for turn in 0..cells.len() {
                // Nobody is always the first.
                let cell = cells[(turn + round) % cells.len()];
                let cost = match cell {
                    Cell::State => bench.state(batch).await?,
                    Cell::Store => bench.store(batch).await?,
                    Cell::Filter => pure::filter(arguments.messages)?,
                    Cell::Encode => bench.encode(batch)?,
                    Cell::Wasmtime => bench.wasmtime(batch).await?,
                    Cell::Sandbox => bench.sandbox(batch).await?,
                    Cell::Mapping => bench.mapping(batch).await?,
                };
                let cpu_us = cost.cpu.as_secs_f64() * 1e6 / cost.messages as f64;
                let per_second = cost.messages as f64 / cost.elapsed.as_secs_f64();
                say(&format!("drain {round} {} {batch} {cpu_us:.3} {per_second:.0}", cell.name()))?;
            }
        }
    }
    if arguments.sends > 0 {
        let (p50, p99) = latency::measure(&bench, arguments.sends).await?;
        say(&format!("latency {} {}", p50.as_micros(), p99.as_micros()))?;
    }
    bench.close().await;
    Ok(())
}

fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
