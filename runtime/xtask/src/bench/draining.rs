//! Lets processes drain a queue that is full, and reads what they take for it: their own processor time, since a server that
//! is drained costs everybody the same. Starts and ends are left out: what counts happens between nine tenths and one.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::http::Connection;
use super::server::{Programs, Server};
use super::{probes, procfs, worker};

/// Between two looks at the queue.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// From a start to nine tenths; compiling the handler is in it.
const PATIENCE: Duration = Duration::from_secs(300);

/// What it took to handle messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) cpu_us_per_message: f64,
    pub(super) per_second: f64,
}

/// Fills a new queue, and drains it by so many processes of a command that knows its URL.
pub(super) fn drain(
    server: &Server,
    programs: &Programs,
    messages: usize,
    processes: usize,
    name: &str,
    command: impl Fn(&str) -> Result<Command, String>,
) -> Result<Cost, String> {
    let told = |error: String| format!("{name}: {error}");
    let queue = probes::fill(server, name, messages).map_err(told)?;
    let mut control = Connection::open(server.address).map_err(told)?;
    let mut running = Vec::new();
    for index in 0..processes {
        running.push(worker::start(programs, command(queue.url())?, &format!("consumer-{index}"))?);
    }
    let messages = messages as u64;
    let begun = Instant::now();
    let mut reach = |left_at_most: u64| loop {
        let left = queue.depth(&mut control).map_err(told)?;
        if left <= left_at_most {
            let cpu = running.iter().map(|(process, _)| procfs::cpu_time(process.pid()));
            let cpu = cpu.sum::<Result<Duration, String>>().map_err(told)?;
            return Ok((left, Instant::now(), cpu));
        }
        for (process, log) in &mut running {
            if process.has_ended() || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{name} left {left} messages of {messages}: {}", said.trim()));
            }
        }
        thread::sleep(BETWEEN_LOOKS);
    };
    let (left_first, first, cpu_first) = reach(messages * 9 / 10)?;
    let (left_last, last, cpu_last) = reach(messages / 10)?;
    let cost = cost(left_first - left_last, last - first, cpu_last.saturating_sub(cpu_first));
    drop(running);
    queue.destroy(&mut control).map_err(told)?;
    Ok(cost)
}

fn cost(messages: u64, elapsed: Duration, cpu: Duration) -> Cost {
    let messages = messages as f64;
    Cost { cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages, per_second: messages / elapsed.as_secs_f64() }
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
