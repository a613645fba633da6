//! `cargo xtask bench invoke` (or `handlers`): what a call costs in wasmill's sandbox, beside the same component called by wasmtime alone.
//!
//! As in the other benches the cells take turns, ratios are taken within one round, and nothing is judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::drain::median;
use super::report::{Lines, against, shown};
use crate::layout::{self, Layout};
use crate::runtimes;
use crate::step;

const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 3;
/// What AWS's documentation shows, and the dearest import that is common.
const POWERTOOLS: &str = "aws-lambda-powertools==3.31.0";

const PYTHON_HANDLER: &str = "\
def lambda_handler(event, context):
    failed = [record[\"messageId\"] for record in event[\"Records\"] if not record[\"body\"]]
    return {\"batchItemFailures\": [{\"itemIdentifier\": message_id} for message_id in failed]}
";
const POWERTOOLS_HANDLER: &str = "\
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

processor = BatchProcessor(event_type=EventType.SQS)


def handle(record):
    if not record.body:
        raise ValueError(\"nothing to do\")


def lambda_handler(event, context):
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
";
const SCRIPT: &str = "\
module.exports.handler = async (event) => ({
  batchItemFailures: event.Records.filter((record) => !record.body).map((record) => ({ itemIdentifier: record.messageId })),
});
";

/// The command line after `invoke`.
#[derive(Debug)]
pub(crate) struct Options {
    rounds: usize,
}

impl Options {
    /// Reads the arguments; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [] => Ok(Self { rounds: ROUNDS }),
            [quick] if quick == "--quick" => Ok(Self { rounds: QUICK_ROUNDS }),
            [unknown, ..] => Err(format!("bench invoke does not know {unknown}; it is bench invoke [--quick]")),
        }
    }
}

/// A handler that is called.
struct Guest {
    name: &'static str,
    /// Calls of each round: in fresh instances, and in one that is kept.
    calls: (usize, usize),
    file: PathBuf,
    app: Option<PathBuf>,
    script: Option<PathBuf>,
    handler: &'static str,
    /// The most that ours may cost beside wasmtime's, fresh and warm.
    most: (Option<f64>, Option<f64>),
    /// The most that ours may cost in a fresh instance when nothing else runs, in ms: a cold start. (Where all cores write to
    /// fresh memory of one process they interrupt each other at every page; wasmtime alone does, too.)
    alone_max_ms: Option<f64>,
}

/// Processor time per call in µs, by start and whose; in the order of the rounds.
type Found = BTreeMap<(String, String), Vec<f64>>;

/// Runs the whole bench; the table of what came of it.
pub(super) fn run(layout: &Layout, options: &Options) -> Result<String, String> {
    let guests = prepare(layout)?;
    step::step("building what calls handlers (the first time takes a quarter of an hour)");
    let example = ["build", "--release", "--locked", "--package", "wasmill-sandbox", "--example", "speed"];
    step::run(layout::cargo().arg("--quiet").args(example))?;
    let program = layout.target.join("release/examples/speed");
    let mut out = Lines::default();
    let titles = ["fresh", "wasmtime", "ratio", "warm", "wasmtime", "ratio", "fresh, alone"].map(str::to_owned);
    out.row("CPU us per call, ten records", titles.into_iter());
    for guest in &guests {
        step::step(&format!("calling {}", guest.name));
        row(&mut out, guest, &measure(&program, guest, options)?);
    }
    Ok(out.into_text())
}

/// Makes the handlers.
fn prepare(layout: &Layout) -> Result<[Guest; 4], String> {
    runtimes::run(layout, &runtimes::Options::default())?;
    step::step("building wasmill");
    step::run(layout::cargo().args(["build", "--quiet", "--locked", "--package", "wasmill"]))?;
    let folder = layout.target.join("bench/handlers");
    let (plain, powertools) = (folder.join("plain"), folder.join("powertools"));
    write(&plain.join("handler.py"), PYTHON_HANDLER)?;
    write(&folder.join("script.js"), SCRIPT)?;
    let bin = layout.target.join("runtime-python/bin");
    if !powertools.join("handler.py").is_file() {
        fs::create_dir_all(&powertools).map_err(|error| format!("cannot make {}: {error}", powertools.display()))?;
        let mut pip = Command::new(bin.join("python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "--target",
        ]);
        step::run(pip.arg(&powertools).arg(POWERTOOLS))?;
    }
    write(&powertools.join("handler.py"), POWERTOOLS_HANDLER)?;
    let snapshot = folder.join("powertools.wasm");
    step::step("taking the snapshot of an app");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(bin).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).map_err(|error| format!("PATH cannot be set: {error}"))?;
    let mut build = Command::new(&layout.wasmill);
    step::run(build.arg("build").arg(&powertools).arg("--out").arg(&snapshot).env("PATH", path))?;
    let of = runtimes::default_folder(layout);
    let handler = "handler.lambda_handler";
    Ok([
        Guest {
            name: "Rust",
            calls: (2_000, 5_000),
            file: layout.prebuilt_guests().join("faulty.wasm"),
            app: None,
            script: None,
            handler: "-",
            most: (Some(1.5), Some(1.5)),
            alone_max_ms: None,
        },
        Guest {
            name: "QuickJS",
            calls: (200, 1_000),
            file: of.join("js.wasm"),
            app: None,
            script: Some(folder.join("script.js")),
            handler: "handler.handler",
            most: (None, Some(1.3)),
            alone_max_ms: None,
        },
        Guest {
            name: "Python",
            calls: (20, 1_000),
            file: of.join("python.wasm"),
            app: Some(plain),
            script: None,
            handler,
            most: (None, Some(1.3)),
            alone_max_ms: None,
        },
        Guest {
            name: "Python, Powertools built in",
            calls: (50, 500),
            file: snapshot,
            app: Some(powertools),
            script: None,
            handler,
            most: (None, None),
            alone_max_ms: Some(10.0),
        },
    ])
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn measure(program: &Path, guest: &Guest, options: &Options) -> Result<Found, String> {
    let mut speed = Command::new(program);
    let (fresh, warm) = guest.calls;
    speed.args([options.rounds, fresh, warm].map(|number| number.to_string())).arg(&guest.file);
    for path in [&guest.app, &guest.script] {
        match path {
            Some(path) => speed.arg(path),
            None => speed.arg("-"),
        };
    }
    let said = step::read(speed.arg(guest.handler))?;
    let mut found = Found::new();
    for line in said.lines() {
        let unknown = || format!("the program said what is not understood: {line}");
        let [_, _, start, whose, us] = *line.split(' ').collect::<Vec<_>>() else { return Err(unknown()) };
        let us = us.parse().map_err(|_| unknown())?;
        found.entry((start.to_owned(), whose.to_owned())).or_default().push(us);
    }
    Ok(found)
}

fn row(out: &mut Lines, guest: &Guest, found: &Found) {
    let of = |start: &str, whose: &str| {
        found.get(&(start.to_owned(), whose.to_owned())).map(Vec::as_slice).unwrap_or_default()
    };
    let mut cells = Vec::new();
    for (start, most) in [("fresh", guest.most.0), ("warm", guest.most.1)] {
        let (ours, raw) = (of(start, "ours"), of(start, "raw"));
        let ratio = median(ours.iter().zip(raw).map(|(ours, raw)| ours / raw));
        cells.push(shown(median(ours.iter().copied())));
        cells.push(shown(median(raw.iter().copied())));
        cells.push(format!("{ratio:.2}{}", most.map(|most| against(ratio, most)).unwrap_or_default()));
    }
    let alone_us = median(of("alone", "ours").iter().copied());
    let target = guest.alone_max_ms.map(|most_ms| against(alone_us, most_ms * 1e3));
    cells.push(format!("{}{}", shown(alone_us), target.unwrap_or_default()));
    out.row(&format!("  {}", guest.name), cells.into_iter());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_or_refused() {
        let parse = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(parse(&[]).is_ok_and(|options| options.rounds == ROUNDS));
        assert!(parse(&["--quick"]).is_ok_and(|options| options.rounds == QUICK_ROUNDS));
        assert!(parse(&["--slow"]).is_err_and(|error| error.contains("does not know --slow")));
    }
}
