//! What takes messages from a queue: a wasmill worker and bbc's `sqs-consumer`, how they are set up and started.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::{Programs, Watched};
use crate::layout::Layout;
use crate::node;
use crate::step;

/// The handler of every worker: it reads the event, and for a message that is no JSON does nothing.
pub(super) const HANDLER: &str = "faulty.wasm";
/// Handlers of a function, and consumers of a process, at a time.
pub(super) const CONCURRENCY: usize = 16;
/// Handlers of all functions of a worker: what one process can have is 10,000.
const CONCURRENCY_OF_ALL: usize = 4_000;
const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Where sqs-consumer is; none, with a line that says what to do, where it cannot be had.
pub(super) fn sqs_consumer_paths(layout: &Layout) -> Option<Vec<PathBuf>> {
    node::CLIENTS
        .prepare(layout, "sqs-consumer")
        .inspect_err(|mend| step::step(&format!("sqs-consumer is left out; to measure it, {mend}")))
        .ok()
}

/// Node.js with that many consumers in it. `paths` are Node's own and its modules'.
pub(super) fn sqs_consumer(layout: &Layout, paths: &[PathBuf], url: &str) -> Command {
    let script: &Path = &layout.root.join("tests/clients/node/drain.mjs");
    let program = paths.first().map_or(Path::new("node"), PathBuf::as_path);
    let mut command = Command::new(program);
    command.arg(script).args(paths.get(1)).args([url, &CONCURRENCY.to_string()]);
    command
}

/// The queues of a worker, and which function takes them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Where the worker's own queues are reached, and kept; none for a worker on another server.
    pub(super) own_queues: Option<(SocketAddr, &'a Path)>,
    /// Names of its own queues, or URLs.
    pub(super) queues: Vec<String>,
    pub(super) functions: usize,
}

impl Plan<'_> {
    /// A worker on one queue of another server.
    pub(super) fn remote(urls: &[String]) -> Self {
        Self { own_queues: None, queues: urls.to_vec(), functions: 1 }
    }

    /// The configuration, and the program that runs it.
    pub(super) fn command(&self, layout: &Layout, programs: &Programs, name: &str) -> Result<Command, String> {
        let file = programs.folder.join(format!("{name}.toml"));
        fs::write(&file, self.config(&layout.prebuilt_guests().join(HANDLER)))
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        let mut command = Command::new(&programs.wasmill);
        command.args(["run", "--config"]).arg(&file);
        Ok(command)
    }

    fn config(&self, code: &Path) -> String {
        let mut text = "cache_dir = \"worker-cache\"\n[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        // Writing to memory does not fail.
        let _ = match self.own_queues {
            None => writeln!(text, "[aws]\nregion = \"us-east-1\""),
            Some((address, data)) => writeln!(
                text,
                "[local_queue]\nlisten = \"{address}\"\ndata_dir = \"{}\"\ndurability = \"os\"",
                data.display()
            ),
        };
        let concurrency = CONCURRENCY.min(CONCURRENCY_OF_ALL / self.functions).max(1);
        for function in 0..self.functions {
            let _ = writeln!(
                text,
                "[[function]]\nname = \"f{function}\"\ncode = \"{}\"\ntimeout = 30\n\
                 reserved_concurrent_executions = {concurrency}",
                code.display()
            );
        }
        for (index, queue) in self.queues.iter().enumerate() {
            if self.own_queues.is_some() {
                let _ = writeln!(text, "[[queue]]\nname = \"{queue}\"\nvisibility_timeout = 600");
            }
            let _ = writeln!(
                text,
                "[[event_source_mapping]]\nevent_source_arn = \"{queue}\"\nfunction_name = \"f{}\"\nbatch_size = 10\n\
                 function_response_types = [\"ReportBatchItemFailures\"]",
                index % self.functions
            );
        }
        text
    }
}

/// Starts one; what it says goes into a file, which is given too.
pub(super) fn start(programs: &Programs, mut command: Command, name: &str) -> Result<(Watched, PathBuf), String> {
    let log = programs.folder.join(format!("{name}.log"));
    let file = || File::create(&log).map_err(|error| format!("{} cannot be written: {error}", log.display()));
    command.stdin(Stdio::null()).stdout(file()?).stderr(file()?).envs(CREDENTIALS);
    Ok((Watched::spawn(&mut command, name)?, log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_shared_out_among_the_functions() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let queues = vec!["q0".to_owned(), "q1".to_owned(), "q2".to_owned()];
        let plan = Plan { own_queues: Some((address, Path::new("data"))), queues, functions: 2 };
        let config = plan.config(Path::new("x.wasm"));
        assert_eq!(config.matches("[[function]]").count(), 2);
        assert_eq!(config.matches("[[queue]]").count(), 3);
        assert!(config.contains("event_source_arn = \"q2\"\nfunction_name = \"f0\""), "{config}");
    }
}
