//! `cargo xtask`: the project's own chores, one file per verb.
//!
//! Each verb does all its own set-up on a machine that has cargo only. Absent on purpose: dependencies (an answer takes
//! seconds on a fresh machine), writing outside the target folder and `--out`, and installing anything system-wide.
//!
//! What a chore says goes to stderr, a line per step; stdout belongs to the programs it runs.

mod bench;
mod clients;
mod counts;
mod debian;
mod demo;
mod fuzz;
mod guest_toolchain;
mod guests;
mod inputs;
mod layout;
mod node;
mod python;
mod runtimes;
mod soak;
mod step;
mod test;
mod torture;

use std::env;
use std::process::ExitCode;

use layout::Layout;

const HELP: &str = "\
cargo xtask VERB

  demo [ARGS]       builds wasmill and runs `wasmill demo ARGS`: the guided first run
  test              builds everything and runs every test
      --long          the long forms too: fuzzing, soak, torture, many seeds
      --guests DIR    with the handlers in DIR (default: handlers/prebuilt)
      -- ARGS         hands ARGS to `cargo test`, e.g. a test's name
  soak              the worker under load, kills, drains and bad handlers, then the account of every message and of its memory
      --seconds N     for so long (default: 120)
      --seed S        the same messages and faults again
  counts            instructions of the hot paths under Callgrind, against those that were accepted: 5 % more is a failure
      --accept        accepts what is counted now
  torture           the worker in one bad place after the other, and after each the account of every message, memory, files and threads
      --minutes N     for about so long (default: 10)
      --seed S        the same plan again
      --only NAME     one scenario
  guests            builds the handlers of handlers/ from source; those in C, Go and Zig need Python 3
      --out DIR       puts them there (default: guests/ in the target folder)
  runtimes          builds the interpreters that run handlers in Python and JavaScript, unless they are there already
      --out DIR       puts them there (default: runtimes/ beside the built wasmill, where it looks for them)
  bench             all benches, one after the other; the tables also go into bench/report.txt in the target folder
      --quick         a quarter of it
  bench queue       what the built-in queue costs, beside its peers from the registries, in one interleaved run
      --quick         about a minute instead of six
      --seconds N     measures each cell for so long in all
      --peers LIST    of fauxqs,moto; or none
      --only LIST     of ours: in-memory,os,fsync
      --connections LIST   e.g. 1,16,64
      --out FILE      writes the numbers as JSON too
  bench drain       what a mapping costs that drains a queue, beside the store and wasmtime alone, and sqs-consumer
      --quick         fewer messages and rounds
      --only PART     in-process or http
      --wasmill FILE  over HTTP with that build
  bench invoke      what a call of a handler costs in Rust, JavaScript and Python, beside wasmtime alone (also: bench handlers)
      --quick         fewer rounds
  bench latency     from a send to its message's being handled, idle and under load, beside sqs-consumer
      --quick         fewer messages
  bench backlog     what millions of messages cost to fill, keep, start with and drain, beside the peers
      --quick         thousands
  bench scale       what a message costs with more workers, mappings and functions
      --quick         fewer messages

Exit status: 0 when all went well, 1 when a step or a test failed, 2 for a wrong command line; `demo` passes on its own.";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let verb = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match verb.as_deref() {
        Some("demo") => Layout::find().and_then(|layout| demo::run(&layout, &rest)),
        Some("test") => match test::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| test::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("soak") => match soak::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| soak::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("counts") => match counts::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| counts::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("torture") => match torture::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| torture::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("guests") => match guests::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| guests::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("runtimes") => match runtimes::Options::parse(&rest) {
            Ok(options) => Layout::find().and_then(|layout| runtimes::run(&layout, &options)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("bench") => match bench::Bench::parse(&rest) {
            Ok(bench) => Layout::find().and_then(|layout| bench::run(&layout, &bench)),
            Err(mistake) => return wrong_command_line(&mistake),
        },
        Some("help" | "--help" | "-h") => {
            step::say(HELP);
            return ExitCode::SUCCESS;
        }
        Some(unknown) => return wrong_command_line(&format!("no such verb: {unknown}")),
        None => return wrong_command_line("a verb is missing"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            step::say(&format!("xtask: error: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn wrong_command_line(mistake: &str) -> ExitCode {
    step::say(&format!("xtask: error: {mistake}\n\n{HELP}"));
    ExitCode::from(2)
}
