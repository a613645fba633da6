//! The command line of `cargo xtask bench queue`, and how much work each form of it means.

use std::path::PathBuf;
use std::time::Duration;

use super::server::Kind;

const USAGE: &str = "bench queue [--quick] [--seconds N] [--peers fauxqs,moto|none] [--only in-memory,os,fsync] \
                     [--connections 1,16,64] [--wasmill FILE] [--out FILE.json]";
const CONNECTIONS_MAX: usize = 1024;
const SECONDS_MAX: f64 = 60.0;

/// What is measured, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(super) ours: Vec<Kind>,
    pub(super) peers: Vec<Kind>,
    pub(super) connections: Vec<usize>,
    /// Each cell is measured so often, by turns with all others; the median counts.
    pub(super) rounds: usize,
    /// One cell, once.
    pub(super) round: Duration,
    pub(super) warm_up: Duration,
    /// Messages queued for the memory that they take.
    pub(super) held: usize,
    /// The greater depth at which a message's cost is measured.
    pub(super) deep: usize,
    pub(super) long_polls: usize,
    pub(super) starts: usize,
    /// A built `wasmill` that is taken as it is.
    pub(super) wasmill: Option<PathBuf>,
    pub(super) out: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `queue`; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut arguments = arguments.iter().map(String::as_str);
        let mut options = Self::whole();
        let mut seconds = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; it is {USAGE}"));
            match argument {
                "--quick" => {
                    let Self { ours, peers, wasmill, out, .. } = options;
                    options = Self { ours, peers, wasmill, out, ..Self::quick() };
                }
                "--seconds" => seconds = Some(value()?),
                "--peers" => options.peers = kinds(value()?, &Kind::PEERS, "--peers")?,
                "--only" => options.ours = kinds(value()?, &Kind::OURS, "--only")?,
                "--connections" => options.connections = counts(value()?)?,
                "--wasmill" => options.wasmill = Some(PathBuf::from(value()?)),
                "--out" => options.out = Some(PathBuf::from(value()?)),
                unknown => return Err(format!("bench queue does not know {unknown}; it is {USAGE}")),
            }
        }
        if let Some(seconds) = seconds {
            options.round = Duration::from_secs_f64(cell_seconds(seconds)? / options.rounds as f64);
        }
        Ok(options)
    }

    fn whole() -> Self {
        Self {
            ours: Kind::OURS.to_vec(),
            peers: Kind::PEERS.to_vec(),
            connections: vec![1, 16, 64],
            rounds: 3,
            round: Duration::from_millis(500),
            warm_up: Duration::from_millis(1500),
            held: 100_000,
            deep: 1_000_000,
            long_polls: 100,
            starts: 7,
            wasmill: None,
            out: None,
        }
    }

    /// About a minute: one number of connections, and the rest small.
    fn quick() -> Self {
        Self {
            connections: vec![16],
            round: Duration::from_millis(300),
            warm_up: Duration::from_millis(800),
            deep: 100_000,
            long_polls: 30,
            starts: 3,
            ..Self::whole()
        }
    }

    /// Every server, in the order of the columns.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.ours.iter().chain(&[Kind::HttpAlone]).chain(&self.peers).copied().collect()
    }
}

fn kinds(names: &str, known: &[Kind], option: &str) -> Result<Vec<Kind>, String> {
    if names == "none" {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for name in names.split(',') {
        let kind = known.iter().find(|kind| kind.name() == name);
        found.push(*kind.ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(|kind| kind.name()).collect();
            format!("{option} takes {} or none, not {name:?}", known.join(","))
        })?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn counts(text: &str) -> Result<Vec<usize>, String> {
    let count = |text: &str| text.parse().ok().filter(|count| (1..=CONNECTIONS_MAX).contains(count));
    let counts: Option<Vec<usize>> = text.split(',').map(count).collect();
    counts.ok_or_else(|| format!("--connections takes numbers from 1 to {CONNECTIONS_MAX}, not {text:?}"))
}

fn cell_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=SECONDS_MAX).contains(seconds));
    seconds.ok_or_else(|| format!("--seconds takes the seconds per cell, 0.1 to {SECONDS_MAX}, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(parse(""), Ok(Options::whole()));
        let expected = Options {
            ours: vec![Kind::InMemory, Kind::Os],
            peers: vec![],
            connections: vec![4, 8],
            round: Duration::from_secs(2),
            out: Some("o.json".into()),
            ..Options::whole()
        };
        let line = "--only os,in-memory --seconds 6 --peers none --connections 4,8 --out o.json";
        assert_eq!(parse(line), Ok(expected));
        assert_eq!(
            parse("--peers none --quick").map(|options| (options.peers, options.connections)),
            Ok((vec![], vec![16]))
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--fast", "does not know --fast"),
            ("--out", "--out needs a value"),
            ("--peers elasticmq", "fauxqs,moto or none"),
            ("--only fauxqs", "in-memory,os,fsync"),
            ("--connections 0", "from 1 to"),
            ("--seconds soon", "seconds per cell"),
        ] {
            assert!(parse(line).is_err_and(|error| error.contains(part)), "{line}");
        }
    }
}
