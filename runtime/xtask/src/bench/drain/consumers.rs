//! The half over HTTP: `wasmill run` and bbc's `sqs-consumer` by turns, each on a queue of the same server.

use super::median;
use super::options::Options;
use crate::bench::draining::{Cost, drain};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::worker::{self, Plan};
use crate::layout::Layout;
use crate::step;

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
    let node = worker::sqs_consumer_paths(layout);
    let server = Server::start(programs, Kind::Os)?;
    let messages = options.http_messages;
    let mut found = Consumers::default();
    for round in 0..options.rounds {
        step::step(&format!("draining over HTTP, round {} of {}", round + 1, options.rounds));
        let ours = |url: &str| Plan::remote(&[url.to_owned()]).command(layout, programs, "drain");
        found.ours.push(drain(&server, programs, messages, 1, &format!("wasmill-{round}"), ours)?);
        if let Some(paths) = &node {
            let theirs = |url: &str| Ok(worker::sqs_consumer(layout, paths, url));
            found.theirs.push(drain(&server, programs, messages, 1, &format!("sqs-consumer-{round}"), theirs)?);
        }
    }
    Ok(found)
}
