//! The servers under test, and what drains them, as child processes: started, waited for, always killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::http::{Connection, request};
use super::queue;
use super::worker;

const START_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to connect: short beside the quickest start.
const BETWEEN_ATTEMPTS: Duration = Duration::from_micros(200);
/// Kills a server whose bench went away without doing so: the pipe to this shell closes with it.
const WATCH: &str = "read _; kill -9 \"$1\"";

/// Which server. The order is the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    InMemory,
    Os,
    Fsync,
    /// What answers without decoding, deciding or keeping anything: what the machine and HTTP cost whoever answers.
    HttpAlone,
    Fauxqs,
    Moto,
}

impl Kind {
    pub(super) const OURS: [Self; 3] = [Self::InMemory, Self::Os, Self::Fsync];
    pub(super) const PEERS: [Self; 2] = [Self::Fauxqs, Self::Moto];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InMemory => "in-memory",
            Self::Os => "os",
            Self::Fsync => "fsync",
            Self::HttpAlone => "http-alone",
            Self::Fauxqs => "fauxqs",
            Self::Moto => "moto",
        }
    }

    /// Some seconds of warm-up and single runs suffice for ours; what Python does takes its time.
    pub(super) fn is_slow(self) -> bool {
        self == Self::Moto
    }

    pub(super) fn is_ours(self) -> bool {
        Self::OURS.contains(&self)
    }

    /// Whether it is a queue at all.
    pub(super) fn keeps_messages(self) -> bool {
        self != Self::HttpAlone
    }
}

/// How to start the servers.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) wasmill: PathBuf,
    pub(super) http_alone: Option<PathBuf>,
    /// Node and the script.
    pub(super) fauxqs: Option<(PathBuf, PathBuf)>,
    /// A Python that has moto.
    pub(super) moto: Option<PathBuf>,
    /// For data and logs.
    pub(super) folder: PathBuf,
}

/// A running server. Dropping it kills it and removes what it stored.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    /// From its start to its first answer.
    pub(super) start_up: Duration,
    process: Watched,
    data: PathBuf,
}

impl Server {
    /// Starts a server and waits for its first answer.
    pub(super) fn start(programs: &Programs, kind: Kind) -> Result<Self, String> {
        let address = free_address()?;
        let data = programs.folder.join(format!("data-{}", address.port()));
        let command = command(programs, kind, address, &data)?;
        Self::begin(programs, kind, command, address, data)
    }

    /// A worker that has queues of its own, at that address and in that folder.
    pub(super) fn of_worker(
        programs: &Programs,
        command: Command,
        address: SocketAddr,
        data: PathBuf,
    ) -> Result<Self, String> {
        Self::begin(programs, Kind::Os, command, address, data)
    }

    fn begin(
        programs: &Programs,
        kind: Kind,
        command: Command,
        address: SocketAddr,
        data: PathBuf,
    ) -> Result<Self, String> {
        let begun = Instant::now();
        let (process, log) = worker::start(programs, command, kind.name())?;
        let mut server = Self { kind, address, start_up: Duration::ZERO, process, data };
        server.await_answer(begun, &log)?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills the process and starts another on what it stored. `start_up` is that of the new one.
    pub(super) fn restart(&mut self, programs: &Programs) -> Result<(), String> {
        self.process.end();
        let command = command(programs, self.kind, self.address, &self.data)?;
        let begun = Instant::now();
        let (process, log) = worker::start(programs, command, self.kind.name())?;
        self.process = process;
        self.await_answer(begun, &log)
    }

    /// What it stored takes so much of the disk.
    pub(super) fn stored_bytes(&self) -> u64 {
        let files = fs::read_dir(&self.data).into_iter().flatten();
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    fn await_answer(&mut self, begun: Instant, log: &Path) -> Result<(), String> {
        let ask = request(self.address, "ListQueues", "{}");
        while begun.elapsed() < START_MAX {
            if let Ok(mut first) = Connection::open(self.address) {
                first.call(&ask).map_err(|error| format!("{}: {error}", self.kind.name()))?;
                self.start_up = begun.elapsed();
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.child.try_wait() {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{} ended at once ({status}): {}", self.kind.name(), said.trim()));
            }
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        Err(format!("{} did not listen within {START_MAX:?}; see {}", self.kind.name(), log.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.end();
        // Not there for those that store nothing.
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// A child that does not outlive the bench, however that ends. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Watched {
    child: Child,
    watcher: Child,
}

impl Watched {
    /// Starts a program, which errors call `name`.
    pub(super) fn spawn(command: &mut Command, name: &str) -> Result<Self, String> {
        let mut child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watcher {
            Ok(watcher) => Ok(Self { child, watcher }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("sh cannot be started: {error}"))
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn end(&mut self) {
        // The watcher first: it must not outlive the number that it would kill.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that nobody listens on. Somebody could take it before the server does: then the server says so and ends.
pub(super) fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).map_err(|error| format!("no free port: {error}"))
}

fn command(programs: &Programs, kind: Kind, address: SocketAddr, data: &Path) -> Result<Command, String> {
    let missing = || format!("{} is not installed", kind.name());
    let port = address.port().to_string();
    Ok(match kind {
        Kind::InMemory | Kind::Os | Kind::Fsync => {
            let mut command = Command::new(&programs.wasmill);
            command.args(["queue", "serve", "--admin-listen", "127.0.0.1:0", "--listen", &address.to_string()]);
            match kind {
                Kind::InMemory => command.arg("--in-memory"),
                _ => command.args(["--durability", kind.name(), "--data-dir"]).arg(data),
            };
            command
        }
        Kind::HttpAlone => {
            let mut command = Command::new(programs.http_alone.as_ref().ok_or_else(missing)?);
            command.args([address.to_string(), queue::body()]);
            command
        }
        Kind::Fauxqs => {
            let (node, script) = programs.fauxqs.as_ref().ok_or_else(missing)?;
            let mut command = Command::new(node);
            // A line per request would be most of its cost.
            command.arg(script).env("FAUXQS_PORT", &port).env("FAUXQS_LOGGER", "false");
            command
        }
        Kind::Moto => {
            let python = programs.moto.as_ref().ok_or_else(missing)?;
            let mut command = Command::new(python);
            command.args(["-m", "moto.server", "--host", "127.0.0.1", "--port", &port]);
            command
        }
    })
}
