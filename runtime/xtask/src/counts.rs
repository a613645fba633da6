//! `cargo xtask counts`: counts the instructions of the hot paths under Callgrind, and holds them against the counts that were
//! accepted.
//!
//! What is counted is `cli/examples/counts/`, on the profile that everything is tested on, so that nothing is built twice: a
//! count tells change, not speed. It has no noise to speak of, where a time on a shared machine has little else: from one run
//! to the next it is the same within 0.2 %; on disk, where pages are split by what ids happen to be, and of a call through the
//! sandbox, whose threads wait for each other, within 2 %.
//!
//! Other machines count alike: Valgrind shows every program the same processor (a Haswell), whatever it runs on, and hides the
//! rest. Its instructions are counted in Rust's code alone and in all code. All of it is judged where C compiler, libc and
//! Valgrind are those of the baseline; elsewhere Rust's alone, which is most of it. With another compiler of Rust, on another
//! kind of machine or one without AVX2, nothing can be told, and that is said.

mod baseline;
mod callgrind;

use std::fs;

use self::baseline::{Baseline, Counts, Machine};
use self::callgrind::Callgrind;
use crate::layout::{self, Layout};
use crate::step;

/// More than so much above what was accepted is a failure; as much below is said.
const TOLERANCE_PERCENT: f64 = 5.0;
/// What is above is counted again so often: only what stays there is.
const SECOND_LOOKS: usize = 2;
/// What is accepted is the middle one of so many.
const ACCEPTED_OF: usize = 3;

/// The command line of the verb.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    accept: bool,
}

impl Options {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--accept" => options.accept = true,
                unknown => return Err(format!("counts does not know {unknown}")),
            }
        }
        Ok(options)
    }
}

/// Counts everything. The error says what became slower; with `--accept` nothing does, and the counts are kept.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    let file = baseline::file(layout);
    let accepted = if options.accept { None } else { Some(Baseline::read(&file)?) };
    let callgrind = Callgrind::prepare(layout)?;
    let machine = Machine::this(&callgrind)?;
    if let Some(why) = accepted.as_ref().and_then(|accepted| accepted.machine.tells_nothing_to(&machine)) {
        step::step(&format!("instructions are not counted: {why}"));
        return Ok(());
    }
    step::step("building what is counted");
    let mut build = layout::cargo();
    // Code is laid out, and so inlined, otherwise where it is to be compiled again in pieces.
    build.args(["build", "--workspace", "--example", "counts", "--locked"]).env("CARGO_INCREMENTAL", "0");
    step::run(&mut build)?;
    let program = layout.target.join("debug/examples/counts");

    let Some(accepted) = accepted else {
        let mut counts = Vec::new();
        for name in callgrind::benchmarks(&program)? {
            let counted: Result<Vec<_>, _> =
                (0..ACCEPTED_OF).map(|_| callgrind.count(layout, &program, &name)).collect();
            let count = Counts::middle(&counted?);
            step::step(&format!("{name}: {} instructions", count.all));
            counts.push((name, count));
        }
        Baseline { machine, counts }.write(&file)?;
        step::step(&format!("accepted, in {}: commit it with what changed", file.display()));
        return Ok(());
    };
    let is_exact = accepted.machine.c == machine.c;
    if !is_exact {
        step::step(&format!(
            "the baseline is from {}, this is {}: only Rust's code is judged",
            accepted.machine.c, machine.c
        ));
    }
    let judged = |counts: Counts| if is_exact { counts.all } else { counts.rust };
    let mut changes = Vec::new();
    for name in callgrind::benchmarks(&program)? {
        let Some(before) = accepted.of(&name) else {
            changes.push(Err(format!("{name} has no accepted count")));
            continue;
        };
        let mut now = callgrind.count(layout, &program, &name)?;
        for _ in 0..SECOND_LOOKS {
            if Change::between(judged(before), judged(now)) == Change::Worse {
                now = now.least(callgrind.count(layout, &program, &name)?);
            }
        }
        let (before, now) = (judged(before), judged(now));
        let line = told(&name, before, now);
        step::step(&line);
        match Change::between(before, now) {
            Change::Worse => changes.push(Err(line)),
            Change::Better => changes.push(Ok(line)),
            Change::None => {}
        }
    }
    let gone =
        accepted.counts.iter().filter(|(name, _)| !callgrind::benchmarks(&program).is_ok_and(|all| all.contains(name)));
    changes.extend(gone.map(|(name, _)| Err(format!("{name} has an accepted count and is no more"))));
    verdict(&changes)
}

/// What came of one benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Worse,
    Better,
}

impl Change {
    fn between(before: u64, now: u64) -> Self {
        match percent(before, now) {
            more if more > TOLERANCE_PERCENT => Self::Worse,
            less if less < -TOLERANCE_PERCENT => Self::Better,
            _ => Self::None,
        }
    }
}

fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

fn told(name: &str, before: u64, now: u64) -> String {
    format!("{name}: {now} instructions, {:+.1} % on the accepted {before}", percent(before, now))
}

/// The changes beyond the tolerance as one verdict: an `Err` among them is a failure.
fn verdict(changes: &[Result<String, String>]) -> Result<(), String> {
    let worse: Vec<&str> = changes.iter().filter_map(|change| change.as_ref().err()).map(String::as_str).collect();
    let accept = "`cargo xtask counts --accept`, then commit the file";
    if !worse.is_empty() {
        return Err(format!(
            "a hot path takes more than {TOLERANCE_PERCENT} % more instructions than were accepted:\n  {}\n\
             Find out why with `git bisect` and callgrind_annotate; if it is worth it, accept it: {accept}",
            worse.join("\n  ")
        ));
    }
    let better = changes.iter().filter(|change| change.is_ok()).count();
    if better > 0 {
        step::step(&format!("{better} of them far below what was accepted: {accept} keeps it so"));
    }
    Ok(())
}

/// A folder for one run, empty.
fn empty(folder: &std::path::Path) -> Result<(), String> {
    let cannot = |error| format!("cannot make {}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(cannot)?;
    }
    fs::create_dir_all(folder).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_is_a_change_and_five_is_none() {
        for (now, change) in [
            (100_000, Change::None),
            (104_999, Change::None),
            (105_001, Change::Worse),
            (95_001, Change::None),
            (94_999, Change::Better),
        ] {
            assert_eq!(Change::between(100_000, now), change, "{now}");
        }
    }

    #[test]
    fn what_is_worse_is_told_with_how_much_and_how_to_accept_it_and_what_is_better_passes() {
        let line = told("send-memory", 1000, 1070);
        assert_eq!(line, "send-memory: 1070 instructions, +7.0 % on the accepted 1000");
        let failed = verdict(&[Ok(told("filter", 1000, 900)), Err(line.clone())]);
        let message = failed.err().unwrap_or_default();
        assert!(message.contains(&line) && message.contains("cargo xtask counts --accept"), "{message}");
        assert!(!message.contains("filter"), "{message}");
        assert_eq!(verdict(&[Ok(told("filter", 1000, 900))]), Ok(()));
        assert_eq!(verdict(&[]), Ok(()));
    }

    #[test]
    fn the_command_line_is_read_or_refused() {
        let read = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]), Ok(Options { accept: false }));
        assert_eq!(read(&["--accept"]), Ok(Options { accept: true }));
        assert_eq!(read(&["--acept"]).err().as_deref(), Some("counts does not know --acept"));
    }
}
