//! `cargo xtask bench backlog`: what a long queue costs to fill, to keep, to start with, and to drain.
//!
//! The peers keep nothing over a restart, or hold less in a reasonable time: they are given fewer, and the table says so.

use std::thread;
use std::time::Duration;

use super::load::{self, Outcome, Until, Work};
use super::report::{DEPTH_MAX_RATIO, Lines, against, shown};
use super::server::{Kind, Server};
use super::{baseline, peers, present, probes, procfs};
use crate::layout::Layout;
use crate::step;

const CONNECTIONS: usize = 8;
/// What a server is given to put in order what was sent, before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// How much is measured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    depths: Vec<usize>,
    peer_depth: usize,
    slow_peer_depth: usize,
}

impl Options {
    /// Reads the arguments after `backlog`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let whole = Self { depths: vec![100_000, 1_000_000, 5_000_000], peer_depth: 100_000, slow_peer_depth: 2_000 };
        let quick = Self { depths: vec![10_000, 100_000], peer_depth: 10_000, slow_peer_depth: 500 };
        super::quick_only("backlog", arguments).map(|is_quick| if is_quick { quick } else { whole })
    }
}

/// What came of one server.
struct Found {
    kind: Kind,
    depth: usize,
    fill: Outcome,
    filled_kib: u64,
    stored_bytes: u64,
    /// None for those that forget.
    restart: Option<(Duration, u64)>,
    drain: Outcome,
}

/// Runs the whole bench; the table of what came of it.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let wasmill = baseline::build_wasmill(layout)?;
    let programs = peers::prepare(layout, wasmill, &Kind::PEERS)?;
    let there = present(&programs, Kind::PEERS.to_vec());
    let ours = options.depths.iter().map(|depth| (Kind::Os, *depth));
    let theirs =
        there.into_iter().map(|kind| (kind, if kind.is_slow() { options.slow_peer_depth } else { options.peer_depth }));
    let mut all = Vec::new();
    for (kind, depth) in ours.chain(theirs) {
        step::step(&format!("{depth} messages in {}", kind.name()));
        let mut server = Server::start(&programs, kind)?;
        let queue = probes::fill(&server, "backlog-warm-up", 100)?;
        let fill = load::run(&server, &queue, Work::SendBatch, CONNECTIONS, Until::Messages(depth))?;
        thread::sleep(REST);
        let filled_kib = procfs::resident_kib(server.pid())?;
        let stored_bytes = server.stored_bytes();
        let restart = if kind.is_ours() {
            server.restart(&programs)?;
            Some((server.start_up, procfs::resident_kib(server.pid())?))
        } else {
            None
        };
        let drain = load::run(&server, &queue, Work::ReceiveDelete, CONNECTIONS, Until::Messages(depth))?;
        all.push(Found { kind, depth, fill, filled_kib, stored_bytes, restart, drain });
    }
    Ok(table(&all))
}

fn table(all: &[Found]) -> String {
    let mut out = Lines::default();
    out.row("messages of 256 B", all.iter().map(|found| format!("{} {}", found.kind.name(), found.depth)));
    let mib = |bytes: f64| format!("{:.0}", bytes / f64::from(1 << 20));
    let least = all.iter().filter(|found| found.kind.is_ours()).min_by_key(|found| found.depth);
    let cost = |found: &Found, of: fn(&Found) -> f64| {
        let grown = least.filter(|least| found.kind.is_ours() && found.depth > least.depth);
        let mark = grown.map(|least| against(of(found) / of(least), DEPTH_MAX_RATIO)).unwrap_or_default();
        format!("{}{mark}", shown(of(found)))
    };
    out.row("  fill, CPU us per message", all.iter().map(|found| cost(found, |found| found.fill.cpu_us_per_message)));
    out.row("  fill, messages/s", all.iter().map(|found| shown(found.fill.per_second)));
    out.row("  resident, MiB", all.iter().map(|found| mib(found.filled_kib as f64 * 1024.0)));
    out.row("  on disk, MiB", all.iter().map(|found| mib(found.stored_bytes as f64)));
    let restarted = |found: &Found, shown: fn((Duration, u64)) -> String| found.restart.map_or("-".to_owned(), shown);
    out.row(
        "  killed, start to answer, ms",
        all.iter().map(|found| restarted(found, |(time, _)| format!("{:.0}", time.as_secs_f64() * 1e3))),
    );
    out.row(
        "  resident then, MiB",
        all.iter().map(|found| restarted(found, |(_, kib)| format!("{:.0}", kib as f64 / 1024.0))),
    );
    out.row("  drain, CPU us per message", all.iter().map(|found| cost(found, |found| found.drain.cpu_us_per_message)));
    out.row("  drain, messages/s", all.iter().map(|found| shown(found.drain.per_second)));
    out.into_text()
}
