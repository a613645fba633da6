//! `cargo xtask test`: sets up all that the tests need, runs every one, and closes with a summary.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::clients::Clients;
use crate::fuzz;
use crate::guest_toolchain::GuestToolchain;
use crate::layout::{self, Layout};
use crate::runtimes;
use crate::soak;
use crate::step;
use crate::torture;

/// The command line of the verb.
#[derive(Default)]
pub(crate) struct Options {
    long: bool,
    guests: Option<PathBuf>,
    /// Handed to `cargo test` as they are.
    passed_on: Vec<String>,
}

impl Options {
    /// Reads the arguments after the verb; the error is one line.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--long" => options.long = true,
                "--guests" => options.guests = Some(PathBuf::from(arguments.next().ok_or("--guests needs a folder")?)),
                "--" => options.passed_on = arguments.by_ref().cloned().collect(),
                unknown => return Err(format!("test does not know {unknown}")),
            }
        }
        Ok(options)
    }
}

/// Runs everything. An error means that a test failed, or that some could not be run where none may be left out.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<(), String> {
    let begun = Instant::now();
    let guests = match &options.guests {
        Some(dir) => layout::absolute(dir)?,
        None => layout.prebuilt_guests(),
    };
    if !guests.join("orders.wasm").is_file() {
        return Err(format!("no handlers in {}; build them with `cargo xtask guests --out DIR`", guests.display()));
    }
    let clients = Clients::prepare(layout)?;

    let runtimes = prepare_runtimes(layout)?;

    step::step("building the workspace");
    step::run(layout::cargo().args(["build", "--workspace", "--locked"]))?;

    let mut tests = layout::cargo();
    tests
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .args(&options.passed_on)
        .env("WASMILL_TEST_BIN", &layout.wasmill)
        .env("WASMILL_TEST_GUESTS", &guests)
        .env_remove("WASMILL_TEST_LONG");
    if options.long {
        tests.env("WASMILL_TEST_LONG", "1");
    }
    match &runtimes {
        Some(runtimes) => tests.env("WASMILL_TEST_RUNTIMES", runtimes),
        None => tests.env_remove("WASMILL_TEST_RUNTIMES"),
    };
    if runtimes.is_some() {
        // What built the runtimes runs their own tests, too.
        let guests = layout.root.join("runtime/guests");
        step::step("running the tests of the Python and the JavaScript runtime");
        let python_tests = guests.join("python/tests");
        step::run(Command::new("python3").args(["-m", "unittest", "discover", "-s"]).arg(python_tests))?;
        step::run(Command::new("node").arg("--test").arg(guests.join("js/tests")).stdout(Stdio::null()))?;
    }
    step::step("running the tests of the crate that handlers in Rust are written with");
    let mut tally = run_tests(
        layout::cargo()
            .args(["test", "--locked", "--no-fail-fast", "--package", "wasmill-handler", "--manifest-path"])
            .arg(layout.root.join("handlers/Cargo.toml"))
            .env("CARGO_TARGET_DIR", &layout.target),
    )?;
    clients.name_in(&mut tests);
    name_toolchains(layout, &mut tests)?;
    step::step(&format!("running the tests with the handlers in {}", guests.display()));
    tally.add(&run_tests(&mut tests)?);
    if options.long {
        fuzz::run(layout)?;
        soak::run(layout, &soak::Options::default())?;
        torture::run(layout, &torture::Options::short())?;
    }

    let seconds = begun.elapsed().as_secs();
    let mut left_out = clients.left_out();
    if runtimes.is_none() {
        left_out.push_str("; left out: handlers in Python and JavaScript");
    }
    if !guests.join("orders-go.wasm").is_file() {
        left_out.push_str("; left out: handlers in Go, which `cargo xtask guests` builds");
    }
    let Tally { passed, failed, ignored, succeeded } = tally;
    step::step(&format!("{passed} passed, {failed} failed, {ignored} ignored, in {seconds} s{left_out}"));
    if succeeded { Ok(()) } else { Err("not all tests are green; the failures are above".to_owned()) }
}

/// Builds what runs handlers in Python and JavaScript. On CI it may not be missing; elsewhere a line says what is left out.
fn prepare_runtimes(layout: &Layout) -> Result<Option<PathBuf>, String> {
    match runtimes::run(layout, &runtimes::Options::default()) {
        Ok(()) => Ok(Some(runtimes::default_folder(layout))),
        Err(mend) if env::var("CI").is_ok_and(|ci| ci == "true") => Err(mend),
        Err(mend) => {
            step::step(&format!("the tests of handlers in Python and JavaScript are left out: {mend}"));
            Ok(None)
        }
    }
}

/// Names what compiles handlers to the tests of `wasmill build`: folders of programs, and for Rust an environment, a variable a
/// line. On CI all of it is there, as the handlers were built with it.
fn name_toolchains(layout: &Layout, tests: &mut Command) -> Result<(), String> {
    let folders = ["runtime-python", "guest-go", "guest-zig"].map(|folder| layout.target.join(folder).join("bin"));
    let there = env::join_paths(folders.iter().filter(|folder| folder.is_dir()));
    tests.env("WASMILL_TEST_TOOLCHAINS", there.map_err(|error| format!("a folder has a strange name: {error}"))?);
    let Some(rust) = GuestToolchain::existing(layout) else { return Ok(()) };
    let mut lines = vec![format!("CARGO_TARGET_DIR={}", layout.target.join("guests-build").display())];
    for (name, value) in rust.environment("wasm32-wasip2")? {
        lines.push(format!("{name}={}", value.to_string_lossy()));
    }
    tests.env("WASMILL_TEST_RUST", lines.join("\n"));
    Ok(())
}

/// What the test binaries reported, added up.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Cargo's own verdict, which also knows of tests that did not compile.
    succeeded: bool,
}

/// Runs `cargo test` and passes its stdout on line by line, reading along.
fn run_tests(tests: &mut Command) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut child = tests.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot run cargo test: {error}"))?;
    if let Some(output) = child.stdout.take() {
        pass_on(BufReader::new(output), io::stdout(), &mut tally)
            .map_err(|error| format!("lost the tests' output: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo test: {error}"))?;
    tally.succeeded = status.success();
    Ok(tally)
}

fn pass_on(mut from: impl BufRead, mut to: impl Write, tally: &mut Tally) -> io::Result<()> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        tally.count(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

impl Tally {
    /// Adds another run's.
    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.succeeded &= other.succeeded;
    }

    /// Adds one binary's closing line: `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_passed_on_and_the_closing_lines_are_added_up() {
        let output = "running 2 tests\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.52s\n\
                      test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\nno newline";
        let (mut passed_on, mut tally) = (Vec::new(), Tally::default());
        assert!(pass_on(output.as_bytes(), &mut passed_on, &mut tally).is_ok());
        assert_eq!(passed_on, output.as_bytes());
        assert_eq!((tally.passed, tally.failed, tally.ignored), (15, 2, 1));
    }

    #[test]
    fn one_failed_run_of_two_is_a_failure() {
        let green = Tally { passed: 2, failed: 0, ignored: 1, succeeded: true };
        // It did not compile: nothing was counted.
        let mut all = Tally::default();
        all.add(&green);
        assert_eq!((all.passed, all.failed, all.ignored, all.succeeded), (2, 0, 1, false));
        let mut all = Tally { succeeded: true, ..Tally::default() };
        all.add(&green);
        all.add(&green);
        assert_eq!((all.passed, all.ignored, all.succeeded), (4, 2, true));
    }

    #[test]
    fn the_command_line_is_read_or_refused() {
        let read = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let options = read(&["--guests", "built", "--long", "--", "e2e", "--long"]);
        let options = options.map(|o| (o.long, o.guests, o.passed_on));
        assert_eq!(options, Ok((true, Some("built".into()), vec!["e2e".to_owned(), "--long".to_owned()])));
        assert_eq!(read(&["--guests"]).err().as_deref(), Some("--guests needs a folder"));
        assert_eq!(read(&["--lnog"]).err().as_deref(), Some("test does not know --lnog"));
    }
}
