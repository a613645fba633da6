//! `cargo xtask bench scale`: what a message costs when there is more of everything: worker processes on one queue, mappings
//! and functions in one worker. Judged by processor time per message beside that of one.

use std::thread;
use std::time::{Duration, Instant};

use super::draining::{self, Cost};
use super::http::{Connection, write_request};
use super::report::{Lines, shown};
use super::server::{Kind, Programs, Server, free_address};
use super::worker::{self, Plan};
use super::{baseline, peers, procfs, queue};
use crate::layout::Layout;
use crate::step;

const WORKERS: [usize; 3] = [1, 2, 4];
const MAPPINGS: [usize; 3] = [1, 10, 100];
const FUNCTIONS: [usize; 3] = [1, 100, 1_000];
/// Work has ended when no processor time was used for so long; a tick of an idle process is let pass.
const QUIET: Duration = Duration::from_millis(300);
const IDLE_TICKS: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);
/// A mapping starts with its queue's attributes, a function with its code: before that nothing is measured.
const SETTLE: Duration = Duration::from_secs(1);

/// How much is measured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    messages: usize,
    rounds: usize,
}

impl Options {
    /// Reads the arguments after `scale`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let whole = Self { messages: 20_000, rounds: 3 };
        let quick = Self { messages: 5_000, rounds: 1 };
        super::quick_only("scale", arguments).map(|is_quick| if is_quick { quick } else { whole })
    }
}

/// What came of a worker with many queues.
#[derive(Debug, Clone, Copy)]
struct Many {
    cpu_us_per_message: f64,
    resident_kib: u64,
    start_up: Duration,
}

/// Runs the whole bench; the table of what came of it.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let wasmill = baseline::build_wasmill(layout)?;
    let programs = peers::prepare(layout, wasmill, &[])?;
    let mut out = Lines::default();
    processes(&mut out, layout, options, &programs)?;
    let of_mappings = MAPPINGS.map(|mappings| (mappings, 1));
    let of_functions = FUNCTIONS.map(|functions| (functions, functions));
    for (title, what, sizes) in
        [("mappings of a function", "mappings", of_mappings), ("functions, a mapping each", "functions", of_functions)]
    {
        out.gap();
        let found = sizes.map(|(queues, functions)| {
            step::step(&format!("{queues} {what}"));
            many(layout, options, &programs, queues, functions)
        });
        let found: Vec<Many> = found.into_iter().collect::<Result<_, _>>()?;
        out.row(title, sizes.iter().map(|(queues, _)| queues.to_string()));
        out.row("  CPU us per message", beside_first(&found, |many| many.cpu_us_per_message));
        out.row("  resident, MiB", found.iter().map(|many| format!("{:.0}", many.resident_kib as f64 / 1024.0)));
        out.row("  start to answer, ms", found.iter().map(|many| format!("{:.0}", many.start_up.as_secs_f64() * 1e3)));
    }
    Ok(out.into_text())
}

fn beside_first<T>(found: &[T], of: impl Fn(&T) -> f64) -> impl Iterator<Item = String> {
    let first = found.first().map(&of);
    found.iter().enumerate().map(move |(index, one)| {
        let ratio = first.filter(|_| index > 0).map(|first| of(one) / first);
        format!("{}{}", shown(of(one)), ratio.map(|ratio| format!(" ({ratio:.2}x)")).unwrap_or_default())
    })
}

/// Worker processes that compete for one queue of one server, ours and sqs-consumer's.
fn processes(out: &mut Lines, layout: &Layout, options: &Options, programs: &Programs) -> Result<(), String> {
    let server = Server::start(programs, Kind::Os)?;
    let node = worker::sqs_consumer_paths(layout);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for workers in WORKERS {
        let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
        for round in 0..options.rounds {
            step::step(&format!("{workers} worker processes, round {} of {}", round + 1, options.rounds));
            let command = |url: &str| Plan::remote(&[url.to_owned()]).command(layout, programs, "scale");
            let name = |whose: &str| format!("{whose}-{workers}-{round}");
            our_rounds.push(draining::drain(&server, programs, options.messages, workers, &name("wasmill"), command)?);
            if let Some(paths) = &node {
                let command = |url: &str| Ok(worker::sqs_consumer(layout, paths, url));
                let name = name("sqs-consumer");
                their_rounds.push(draining::drain(&server, programs, options.messages, workers, &name, command)?);
            }
        }
        ours.push(our_rounds);
        theirs.push(their_rounds);
    }
    let median = |rounds: &Vec<Cost>, of: fn(&Cost) -> f64| super::drain::median(rounds.iter().map(of));
    out.row("worker processes on one queue", WORKERS.iter().map(usize::to_string));
    for (name, found) in [("wasmill", &ours), ("sqs-consumer", &theirs)] {
        if found.iter().any(Vec::is_empty) {
            continue;
        }
        let cpu = |rounds: &Vec<Cost>| median(rounds, |cost| cost.cpu_us_per_message);
        out.row(&format!("  {name}, CPU us per message"), beside_first(found, cpu));
        let rate = found.iter().map(|rounds| shown(median(rounds, |cost| cost.per_second)));
        out.row(&format!("  {name}, messages/s"), rate);
    }
    Ok(())
}

/// A worker with so many queues of its own, a mapping on each, which messages are sent to in turns.
fn many(
    layout: &Layout,
    options: &Options,
    programs: &Programs,
    queues: usize,
    functions: usize,
) -> Result<Many, String> {
    let address = free_address()?;
    let data = programs.folder.join("scale-data");
    // What a run that was broken off has left.
    let _ = std::fs::remove_dir_all(&data);
    let names: Vec<String> = (0..queues).map(|index| format!("scale-{index}")).collect();
    let plan = Plan { own_queues: Some((address, &data)), queues: names.clone(), functions };
    let server = Server::of_worker(programs, plan.command(layout, programs, "scale")?, address, data.clone())?;
    thread::sleep(SETTLE);
    let start_up = server.start_up;
    let mut connection = Connection::open(address)?;
    let mut costs = Vec::new();
    // The first round warms up.
    for round in 0..=options.rounds {
        let before = quiet(&server)?;
        send_in_turns(&mut connection, &server, &names, options.messages)?;
        let cpu = quiet(&server)?.saturating_sub(before);
        if round > 0 {
            costs.push(cpu.as_secs_f64() * 1e6 / options.messages as f64);
        }
    }
    let resident_kib = procfs::resident_kib(server.pid())?;
    Ok(Many { cpu_us_per_message: super::drain::median(costs), resident_kib, start_up })
}

/// Batches of ten, each to the next queue.
fn send_in_turns(
    connection: &mut Connection,
    server: &Server,
    names: &[String],
    messages: usize,
) -> Result<(), String> {
    let body = queue::body();
    let entries: Vec<String> =
        (0..queue::BATCH).map(|index| format!(r#"{{"Id":"{index}","MessageBody":"{body}"}}"#)).collect();
    let entries = entries.join(",");
    let mut request = Vec::new();
    for name in names.iter().cycle().take(messages / queue::BATCH) {
        let url = format!("http://{}/000000000000/{name}", server.address);
        let body = format!(r#"{{"QueueUrl":"{url}","Entries":[{entries}]}}"#);
        write_request(&mut request, server.address, "SendMessageBatch", &body);
        let answer = connection.call(&request)?;
        if answer.contains("\"Code\"") {
            return Err(format!("{name} did not take all messages: {answer}"));
        }
    }
    Ok(())
}

/// Waits until a server has nothing to do any more; the processor time that it has used by then.
fn quiet(server: &Server) -> Result<Duration, String> {
    let begun = Instant::now();
    let mut last = procfs::cpu_time(server.pid())?;
    while begun.elapsed() < PATIENCE {
        thread::sleep(QUIET);
        let now = procfs::cpu_time(server.pid())?;
        if now <= last + IDLE_TICKS {
            return Ok(now);
        }
        last = now;
    }
    Err(format!("the worker is still busy after {PATIENCE:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_stands_beside_what_is_one() {
        let shown: Vec<String> = beside_first(&[10.0, 12.0, 30.0], |cost| *cost).collect();
        assert_eq!(shown, ["10.00", "12.00 (1.20x)", "30.00 (3.00x)"]);
    }
}
