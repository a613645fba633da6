//! Running a program to its end: what it printed, and how it ended.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::places;

/// A command that is not through by then hangs.
const LONGEST_RUN: Duration = Duration::from_secs(120);

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// None: a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Asserts the exit code, and that stderr contains each of `parts`.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "stderr lacks {part:?}\n{self}");
        }
        assert_eq!(self.stdout, "", "a failure prints nothing on stdout\n{self}");
    }

    /// Asserts exit code 0, and gives stdout.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn assert_succeeds(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self}");
        &self.stdout
    }

    /// Asserts exit code 0, and gives stdout as JSON.
    ///
    /// # Panics
    /// When it is another, or stdout is no JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let stdout = self.assert_succeeds();
        match serde_json::from_str(stdout) {
            Ok(value) => value,
            Err(error) => panic!("stdout is not JSON: {error}\n{self}"),
        }
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, took } = self;
        write!(f, "exit code {code:?} after {took:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// `wasmill` with these arguments, in an environment that holds nothing of the tester's own settings.
pub fn wasmill_command<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(places::binary());
    command.args(arguments);
    set_environment(&mut command);
    command
}

/// The same command, given to another program to start: `nice wasmill …`. The environment stays the same.
#[must_use]
pub fn wrapped(starter: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(starter[0]);
    outer.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// Runs `wasmill` with these arguments to its end.
pub fn wasmill<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Finished {
    run(&mut wasmill_command(arguments), "")
}

/// Runs `wasmill COMMAND --config FILE` to its end.
#[must_use]
pub fn wasmill_with_config(command: &str, config: &Path) -> Finished {
    wasmill([command.as_ref(), "--config".as_ref(), config.as_os_str()])
}

/// Runs `wasmill` with these arguments and text on stdin to its end.
pub fn wasmill_with_input<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>, input: &str) -> Finished {
    run(&mut wasmill_command(arguments), input)
}

/// Runs a program to its end, with text on stdin.
///
/// # Panics
/// When it cannot be started, or does not end.
pub fn run(command: &mut Command, input: &str) -> Finished {
    let begun = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("cannot start {}: {error}", Path::new(command.get_program()).display()),
    };
    // A child that reads nothing of it is no failure of the test's.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let status = wait(&mut child, begun);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let finished = Finished { code: status.and_then(|status| status.code()), stdout, stderr, took: begun.elapsed() };
    assert!(status.is_some(), "{command:?} did not end within {LONGEST_RUN:?}\n{finished}");
    finished
}

fn wait(child: &mut Child, begun: Instant) -> Option<std::process::ExitStatus> {
    while begun.elapsed() < LONGEST_RUN {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn collect(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What every child gets: no AWS settings but made-up credentials, no log filter, a home of nobody's, the handlers'
/// folder, and compiled modules in a folder that all children share.
pub fn set_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || text.starts_with("WASMILL_") || text.starts_with("XDG_") {
            command.env_remove(&name);
        }
    }
    let cache = places::module_cache();
    command
        .env("HOME", &cache)
        .env("XDG_CACHE_HOME", &cache)
        .env("GUESTS", places::guests())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true");
}
