//! The half over HTTP: `wasmill run` and bbc's `sqs-consumer` by turns, each on a queue of the same server, which is filled
//! before they start. A server that is drained costs both the same, so it is their own processor time that is read.
//!
//! Starts and ends are left out: what counts happens between a tenth and nine tenths of the queue.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::options::Options;
use super::{HANDLER, median};
use crate::bench::http::Connection;
use crate::bench::server::{Kind, Programs, Server, Watched};
use crate::bench::{probes, procfs};
use crate::layout::Layout;
use crate::node;
use crate::step;

/// Handlers, and consumers, at a time.
pub(super) const CONCURRENCY: usize = 16;
/// Between two looks at the queue.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// From a start to nine tenths; compiling the handler is in it.
const PATIENCE: Duration = Duration::from_secs(300);
const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// What a consumer took for what it handled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) cpu_us_per_message: f64,
    pub(super) per_second: f64,
}

/// The rounds of both.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    pub(super) ours: Vec<Cost>,
    /// Empty where there is no Node.js.
    pub(super) theirs: Vec<Cost>,
}

impl Consumers {
    /// The median over the rounds of what `number` makes of both of one round.
    pub(super) fn median(&self, number: impl Fn(&Cost, &Cost) -> f64) -> f64 {
        median(self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| number(ours, theirs)))
    }
}

/// Lets both drain queues of one server.
pub(super) fn measure(layout: &Layout, options: &Options, programs: &Programs) -> Result<Consumers, String> {
    let node = node::CLIENTS
        .prepare(layout, "sqs-consumer")
        .inspect_err(|mend| step::step(&format!("sqs-consumer is left out; to measure it, {mend}")))
        .ok();
    let server = Server::start(programs, Kind::Os)?;
    let mut found = Consumers::default();
    for round in 0..options.rounds {
        step::step(&format!("draining over HTTP, round {} of {}", round + 1, options.rounds));
        let ours = |url: &str| wasmill(layout, programs, url);
        found.ours.push(visit(&server, programs, options, &format!("wasmill-{round}"), ours)?);
        if let Some(paths) = &node {
            let theirs = |url: &str| Ok(sqs_consumer(layout, paths, url));
            found.theirs.push(visit(&server, programs, options, &format!("sqs-consumer-{round}"), theirs)?);
        }
    }
    Ok(found)
}

/// Fills a queue and lets one consumer drain it.
fn visit(
    server: &Server,
    programs: &Programs,
    options: &Options,
    name: &str,
    command: impl FnOnce(&str) -> Result<Command, String>,
) -> Result<Cost, String> {
    let told = |error: String| format!("{name}: {error}");
    let messages = options.http_messages as u64;
    let queue = probes::fill(server, name, options.http_messages).map_err(told)?;
    let mut control = Connection::open(server.address).map_err(told)?;
    let log = programs.folder.join("consumer.log");
    let mut command = command(queue.url())?;
    let file = || File::create(&log).map_err(|error| format!("{} cannot be written: {error}", log.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file()?).envs(CREDENTIALS);
    let mut consumer = Watched::spawn(&mut command, name)?;
    let begun = Instant::now();
    let mut reach = |left_at_most: u64| loop {
        let left = queue.depth(&mut control).map_err(told)?;
        if left <= left_at_most {
            return Ok((left, Instant::now(), procfs::cpu_time(consumer.pid()).map_err(told)?));
        }
        if consumer.has_ended() || begun.elapsed() > PATIENCE {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{name} left {left} messages of {messages}: {}", said.trim()));
        }
        thread::sleep(BETWEEN_LOOKS);
    };
    let (left_first, first, cpu_first) = reach(messages * 9 / 10)?;
    let (left_last, last, cpu_last) = reach(messages / 10)?;
    let cost = cost(left_first - left_last, last - first, cpu_last.saturating_sub(cpu_first));
    drop(consumer);
    queue.destroy(&mut control).map_err(told)?;
    Ok(cost)
}

fn cost(messages: u64, elapsed: Duration, cpu: Duration) -> Cost {
    let messages = messages as f64;
    Cost { cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages, per_second: messages / elapsed.as_secs_f64() }
}

/// A worker whose one mapping is on that queue.
fn wasmill(layout: &Layout, programs: &Programs, url: &str) -> Result<Command, String> {
    let code = layout.prebuilt_guests().join(HANDLER);
    let config = format!(
        "cache_dir = \"drain-cache\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[aws]\nregion = \"us-east-1\"\n\
         [[function]]\nname = \"drain\"\ncode = \"{}\"\ntimeout = 30\nreserved_concurrent_executions = {CONCURRENCY}\n\
         [[event_source_mapping]]\nevent_source_arn = \"{url}\"\nfunction_name = \"drain\"\nbatch_size = 10\n\
         function_response_types = [\"ReportBatchItemFailures\"]\n",
        code.display()
    );
    let file = programs.folder.join("drain.toml");
    fs::write(&file, config).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    let mut command = Command::new(&programs.wasmill);
    command.args(["run", "--config"]).arg(&file);
    Ok(command)
}

/// Node.js with that many consumers in it. `paths` are Node's own and its modules'.
fn sqs_consumer(layout: &Layout, paths: &[PathBuf], url: &str) -> Command {
    let script: &Path = &layout.root.join("tests/clients/node/drain.mjs");
    let program = paths.first().map_or(Path::new("node"), PathBuf::as_path);
    let mut command = Command::new(program);
    command.arg(script).args(paths.get(1)).args([url, &CONCURRENCY.to_string()]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_of_what_was_handled_in_between() {
        let cost = cost(8_000, Duration::from_secs(2), Duration::from_millis(400));
        assert_eq!((cost.cpu_us_per_message, cost.per_second), (50.0, 4_000.0));
    }
}
