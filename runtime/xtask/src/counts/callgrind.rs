//! Running a benchmark under Callgrind and reading what it counted.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::baseline::Counts;
use super::empty;
use crate::debian;
use crate::layout::Layout;
use crate::step;

/// The function whose work is counted: on entering it everything is set to zero, on leaving it everything is written out.
const COUNTED: &str = "counts::counted";

/// Valgrind, ready to run.
pub(super) struct Callgrind {
    /// As it calls itself.
    pub(super) version: String,
    valgrind: PathBuf,
    /// Where its tools are, if it was unpacked somewhere else than it was built for.
    tools: Option<PathBuf>,
    launcher: PathBuf,
}

impl Callgrind {
    /// Finds the machine's Valgrind or fetches Debian's, and builds the launcher.
    pub(super) fn prepare(layout: &Layout) -> Result<Self, String> {
        let (valgrind, tools) = find(layout)?;
        let folder = layout.target.join("counts");
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let launcher = folder.join("without_auxv");
        let source = layout.root.join("runtime/xtask/src/counts/without_auxv.c");
        step::run(Command::new("cc").args(["-O1", "-Wall", "-Werror", "-o"]).arg(&launcher).arg(source))?;
        let mut callgrind = Self { version: String::new(), valgrind, tools, launcher };
        step::read(callgrind.command().arg("--version"))?.trim().clone_into(&mut callgrind.version);
        Ok(callgrind)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.launcher);
        // What a machine's own settings are is none of the benchmark's.
        command.arg(&self.valgrind).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        if let Some(tools) = &self.tools {
            command.env("VALGRIND_LIB", tools);
        }
        command
    }

    /// Counts one benchmark: of its rounds the middle one. Where threads wait for each other a round is now and then a tenth
    /// shorter than all others, so the smallest would be chance.
    pub(super) fn count(&self, layout: &Layout, program: &Path, name: &str) -> Result<Counts, String> {
        let folder = layout.target.join("counts").join(name);
        empty(&folder)?;
        let files = folder.join("files");
        empty(&files)?;
        let out = folder.join("callgrind.out");
        let mut command = self.command();
        command.args(["--tool=callgrind", "--compress-strings=no"]);
        command.args([format!("--zero-before={COUNTED}"), format!("--dump-after={COUNTED}")]);
        command.arg(format!("--callgrind-out-file={}", out.display()));
        step::read(command.arg(program).arg(name).arg(&files))?;
        let mut rounds = Vec::new();
        while let Ok(text) = fs::read_to_string(out.with_extension(format!("out.{}", rounds.len() + 1))) {
            rounds.push(read(&text).map_err(|what| format!("cannot read what Callgrind wrote of {name}: {what}"))?);
        }
        if rounds.is_empty() {
            return Err(format!("Callgrind did not find the function {COUNTED} in {name}"));
        }
        Ok(Counts::middle(&rounds))
    }
}

/// The names of all benchmarks.
pub(super) fn benchmarks(program: &Path) -> Result<Vec<String>, String> {
    Ok(step::read(&mut Command::new(program))?.lines().map(str::to_owned).collect())
}

fn find(layout: &Layout) -> Result<(PathBuf, Option<PathBuf>), String> {
    if step::read(Command::new("valgrind").arg("--version")).is_ok() {
        return Ok(("valgrind".into(), None));
    }
    let usr = debian::programs(&layout.target.join("valgrind"), &["valgrind"])
        .map_err(|error| format!("no valgrind here, install it; {error}"))?;
    Ok((usr.join("bin/valgrind"), Some(usr.join("libexec/valgrind"))))
}

/// Adds up one dump: lines of cost, each below the function that it is of. The line after a `calls=` is what a callee cost, which is
/// counted there.
fn read(dump: &str) -> Result<Counts, String> {
    let (mut counts, mut total) = (Counts { all: 0, rust: 0 }, None);
    let (mut is_rust, mut is_callees) = (false, false);
    for line in dump.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            // Names of C have no path.
            is_rust = function.contains("::");
        } else if line.starts_with("calls=") {
            is_callees = true;
        } else if let Some(sum) = line.strip_prefix("totals: ") {
            total = sum.trim().parse().ok();
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            if std::mem::take(&mut is_callees) {
                continue;
            }
            let cost = line.split_whitespace().nth(1).unwrap_or("0");
            let cost: u64 = cost.parse().map_err(|_| format!("the line {line:?}"))?;
            counts.all += cost;
            counts.rust += if is_rust { cost } else { 0 };
        }
    }
    if total == Some(counts.all) {
        Ok(counts)
    } else {
        Err(format!("its total is {total:?}, its lines make {}", counts.all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
events: Ir
fn=wasmill_queue::state::State::send
12 700
cfn=malloc
calls=3 0
+2 250
* 10
fn=malloc
0 250

fn=0x00000000deadbeef
0 4
totals: 964
";

    #[test]
    fn each_function_has_its_own_cost_and_not_its_callees() {
        assert_eq!(read(DUMP), Ok(Counts { all: 964, rust: 710 }));
    }

    #[test]
    fn a_dump_that_does_not_add_up_is_refused() {
        assert!(read(&DUMP.replace("totals: 964", "totals: 965")).is_err_and(|error| error.contains("964")));
        assert!(read("events: Ir\n").is_err());
    }
}
