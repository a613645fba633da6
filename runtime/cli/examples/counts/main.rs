//! Goes the hot paths one by one, for `cargo xtask counts` to count their instructions under Callgrind.
//!
//! `counts BENCHMARK FOLDER`: prepares the benchmark, which may use FOLDER, then does its work inside [`counted`]: once, or
//! several times, of which the middle one counts, where threads wait for each other. Everything else (opening a store,
//! compiling a guest, warming up) stands outside of it and is not counted. The work is the same each time: as much of it,
//! of the same sizes, one thing after the other, and nothing in it depends on how long anything takes.
//!
//! Measuring and judging are absent: they are the caller's. `counts` alone prints the benchmarks' names.

#[path = "../shared/broker.rs"]
mod broker;
mod pure;
mod queue;
#[path = "../shared/records.rs"]
mod records;
mod sandbox;

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use wasmill_sandbox::Reuse;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A benchmark: its name, and what prepares and does it.
type Benchmark = (&'static str, fn(&Path) -> Outcome<()>);

const BENCHMARKS: [Benchmark; 10] = [
    ("send-memory", |_| queue::send(None)),
    ("receive-memory", |_| queue::receive(None)),
    ("delete-memory", |_| queue::delete(None)),
    ("send-disk", |folder| queue::send(Some(folder))),
    ("receive-disk", |folder| queue::receive(Some(folder))),
    ("delete-disk", |folder| queue::delete(Some(folder))),
    ("filter", |_| pure::filter()),
    ("encode", |_| pure::encode()),
    ("invoke-fresh", |folder| sandbox::invoke(None, folder)),
    ("invoke-warm", |folder| sandbox::invoke(Some(&Reuse::default()), folder)),
];

fn main() -> ExitCode {
    let ran = run(&std::env::args().skip(1).collect::<Vec<_>>());
    let Err(error) = ran else { return ExitCode::SUCCESS };
    // Nobody is left to tell when this fails too.
    let _ = writeln!(std::io::stderr(), "counts: {error}");
    ExitCode::FAILURE
}

fn run(arguments: &[String]) -> Outcome<()> {
    match arguments {
        [] => {
            let mut out = std::io::stdout().lock();
            BENCHMARKS.iter().try_for_each(|(name, _)| writeln!(out, "{name}"))?;
            Ok(())
        }
        [name, folder] => {
            let found = BENCHMARKS.iter().find(|(known, _)| known == name);
            let (_, go) = found.ok_or_else(|| format!("there is no benchmark {name}"))?;
            go(Path::new(folder))
        }
        _ => Err("usage: counts [BENCHMARK FOLDER]".into()),
    }
}

/// Does the work that is counted: Callgrind begins at its first instruction and ends at its last, on all threads. One
/// function for all benchmarks, never inlined, that it may be found by its name.
#[inline(never)]
pub(crate) fn counted(work: &mut dyn FnMut()) {
    black_box(work)();
}
