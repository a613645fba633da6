//! The table of cells: every work at every number of connections on every server, by turns, several rounds, medians.
//!
//! All servers stand all the while and idle when it is not their turn, so that each cell's rounds are spread over the
//! whole run: what the machine does meanwhile hits all alike.

use std::collections::BTreeMap;

use super::http::Connection;
use super::load::{self, Outcome, Until, Work};
use super::options::Options;
use super::queue::Queue;
use super::server::{Kind, Server};
use crate::step;

/// More connections than so many make one step of a slow server take longer than a round.
const SLOW_CONNECTIONS_MAX: usize = 16;

/// The cells' medians.
pub(super) type Table = BTreeMap<(Work, usize, Kind), Outcome>;

/// Measures every cell.
pub(super) fn measure(options: &Options, servers: &[Server]) -> Result<Table, String> {
    let warmest = options.connections.iter().copied().max().unwrap_or(1).min(16);
    for server in servers {
        visit(server, warmest, options.warm_up / 4, "warm-up")?;
    }
    let mut rounds: BTreeMap<(Work, usize, Kind), Vec<Outcome>> = BTreeMap::new();
    for round in 0..options.rounds {
        for connections in &options.connections {
            step::step(&format!("round {} of {}, {connections} connections", round + 1, options.rounds));
            for turn in 0..servers.len() {
                // Nobody is always the first after the pause.
                let server = &servers[(turn + round) % servers.len()];
                if server.kind.is_slow() && *connections > SLOW_CONNECTIONS_MAX {
                    continue;
                }
                let name = format!("bench-{round}-{connections}");
                for (work, outcome) in visit(server, *connections, options.round, &name)? {
                    rounds.entry((work, *connections, server.kind)).or_default().push(outcome);
                }
            }
        }
    }
    Ok(rounds.into_iter().map(|(cell, outcomes)| (cell, median(&outcomes))).collect())
}

/// All works on one server, in an order that makes each find what it needs: sends fill the queue that receives empty.
fn visit(
    server: &Server,
    connections: usize,
    time: std::time::Duration,
    name: &str,
) -> Result<Vec<(Work, Outcome)>, String> {
    let told = |error: String| format!("{}: {error}", server.kind.name());
    let mut control = Connection::open(server.address).map_err(told)?;
    let queue = Queue::create(&mut control, server.address, name).map_err(told)?;
    let mut outcomes = Vec::with_capacity(Work::ALL.len());
    let mut held = 0;
    for work in Work::ALL {
        let outcome = load::run(server, &queue, work, connections, Until::Time(time))?;
        if !server.kind.keeps_messages() {
            outcomes.push((work, outcome));
            continue;
        }
        match work {
            Work::Send | Work::SendBatch => held += outcome.messages,
            Work::ReceiveDelete => held -= outcome.messages,
            // A receive that found nothing leaves what was sent before it.
            Work::Mixed => held += outcome.steps - outcome.messages,
        }
        outcomes.push((work, outcome));
        // Every message is accounted for.
        let depth = queue.depth(&mut control).map_err(told)?;
        if depth != held {
            let wrong = format!("after {} the queue holds {depth} messages, not {held}", work.name());
            if server.kind.is_ours() {
                return Err(told(wrong));
            }
            // moto, now and then, with many connections at once: what it cost stays what it cost.
            step::step(&told(wrong));
            held = depth;
        }
    }
    queue.destroy(&mut control).map_err(told)?;
    Ok(outcomes)
}

/// Each number's own median.
pub(super) fn median(outcomes: &[Outcome]) -> Outcome {
    let of = |number: fn(&Outcome) -> f64| {
        let mut values: Vec<f64> = outcomes.iter().map(number).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Outcome {
        messages: outcomes.iter().map(|outcome| outcome.messages).sum(),
        steps: outcomes.iter().map(|outcome| outcome.steps).sum(),
        per_second: of(|outcome| outcome.per_second),
        cpu_us_per_message: of(|outcome| outcome.cpu_us_per_message),
        generator_us_per_message: of(|outcome| outcome.generator_us_per_message),
        p50_us: of(|outcome| f64::from(outcome.p50_us)) as u32,
        p99_us: of(|outcome| f64::from(outcome.p99_us)) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_number_by_number() {
        let outcome =
            |cpu_us_per_message, p50_us| Outcome { messages: 1, cpu_us_per_message, p50_us, ..Outcome::default() };
        let median = median(&[outcome(9.0, 1), outcome(2.0, 7), outcome(4.0, 3), outcome(f64::NAN, 3)]);
        assert_eq!((median.messages, median.cpu_us_per_message, median.p50_us), (4, 4.0, 3));
    }
}
