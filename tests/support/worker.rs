//! wasmill as a running child process: `run` or `queue serve` on free ports, its log read along, ended by a signal.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command::wasmill_command;
use crate::http::{self, Answer};
use crate::log::Log;
use crate::metrics;
use crate::sqs::Sqs;
use crate::wait::{PATIENCE, eventually, holds};

/// A folder for a configuration and its data, gone when the last clone is. What is started in it again finds what was
/// left there.
#[derive(Clone, Debug)]
pub struct Home {
    folder: Arc<TempDir>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: Arc::new(tempfile::Builder::new().prefix("wasmill-test-").tempdir().unwrap()) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a worker with this configuration and waits until it is ready.
    pub async fn run(&self, config: &str) -> Wasmill {
        let mut worker = self.launch(config);
        worker.wait_until_ready().await;
        worker
    }

    /// Starts a worker with this configuration and waits for nothing.
    #[must_use]
    pub fn launch(&self, config: &str) -> Wasmill {
        let config = self.write("wasmill.toml", config);
        self.launch_file(&config)
    }

    /// Starts a worker with this configuration by a command that `adapt` makes of the usual one, and waits until it is
    /// ready.
    pub async fn run_as(&self, config: &str, adapt: impl FnOnce(&mut Command)) -> Wasmill {
        let adapt = |mut command: Command| {
            adapt(&mut command);
            command
        };
        self.run_by(config, adapt).await
    }

    /// The same with another command: what `adapt` makes must become wasmill (`exec`), so that signals reach it.
    pub async fn run_by(&self, config: &str, adapt: impl FnOnce(Command) -> Command) -> Wasmill {
        let config = self.write("wasmill.toml", config);
        let command = wasmill_command(["run".as_ref(), "--config".as_ref(), config.as_os_str()]);
        let mut worker = self.spawn(adapt(command));
        worker.wait_until_ready().await;
        worker
    }

    /// Starts a worker with a folder of configurations by a command that `adapt` makes of the usual one, and waits until it
    /// is ready.
    pub async fn run_folder_as(&self, folder: &Path, adapt: impl FnOnce(&mut Command)) -> Wasmill {
        let mut command = wasmill_command(["run".as_ref(), "--config".as_ref(), folder.as_os_str()]);
        adapt(&mut command);
        let mut worker = self.spawn(command);
        worker.wait_until_ready().await;
        worker
    }

    /// Starts a worker with a configuration that is there already, and waits for nothing.
    #[must_use]
    pub fn launch_file(&self, config: &Path) -> Wasmill {
        self.spawn(wasmill_command(["run".as_ref(), "--config".as_ref(), config.as_os_str()]))
    }

    /// Runs `wasmill dev` with this configuration and these flags, and waits until it is ready.
    pub async fn dev(&self, config: &str, flags: &[&str]) -> Wasmill {
        let config = self.write("wasmill.toml", config);
        let mut command = wasmill_command(["dev".as_ref(), "--config".as_ref(), config.as_os_str()]);
        // What `dev` logs by itself does not say where it listens.
        command.args(flags).env("WASMILL_LOG", "info");
        let mut worker = self.spawn(command);
        worker.wait_until_ready().await;
        worker
    }

    /// Runs `wasmill queue serve` with these arguments and waits until it is ready.
    pub async fn serve(&self, arguments: &[&str]) -> Wasmill {
        let mut server = self.launch_serve(arguments);
        server.wait_until_ready().await;
        server
    }

    /// The same for a server that asks for signatures made with this key.
    pub async fn serve_guarded(&self, arguments: &[&str], key_id: &str, secret: &str) -> Wasmill {
        let arguments = ["queue", "serve", "--admin-listen", "127.0.0.1:0"].iter().chain(arguments);
        let mut command = wasmill_command(arguments);
        command.env("WASMILL_ACCESS_KEY_ID", key_id).env("WASMILL_SECRET_ACCESS_KEY", secret);
        let mut server = self.spawn(command);
        server.wait_until_ready().await;
        server
    }

    /// Starts `wasmill queue serve` with these arguments and waits for nothing.
    #[must_use]
    pub fn launch_serve(&self, arguments: &[&str]) -> Wasmill {
        self.launch_serve_as(arguments, |command| command)
    }

    /// Starts `wasmill queue serve` with these arguments by a command that `adapt` makes of the usual one, and waits for
    /// nothing. What it makes must become wasmill (`exec`), so that signals reach it.
    #[must_use]
    pub fn launch_serve_as(&self, arguments: &[&str], adapt: impl FnOnce(Command) -> Command) -> Wasmill {
        let arguments = ["queue", "serve", "--admin-listen", "127.0.0.1:0"].iter().chain(arguments);
        self.spawn(adapt(wasmill_command(arguments)))
    }

    fn spawn(&self, mut command: Command) -> Wasmill {
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (log, reader) = Log::follow(child.stderr.take().unwrap());
        Wasmill { child, log, reader: Some(reader), sqs: None, admin: None, ended: None, _home: self.clone() }
    }
}

/// The running child. Dropping it kills it; a test that fails shows the end of its log.
#[derive(Debug)]
pub struct Wasmill {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
    sqs: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    ended: Option<ExitStatus>,
    _home: Home,
}

impl Wasmill {
    /// Runs a worker with this configuration, in a folder of its own, and waits until it is ready.
    pub async fn start(config: &str) -> Self {
        Home::new().run(config).await
    }

    /// What it wrote to stderr so far.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where clients of the AWS APIs connect: those of SQS, and of Lambda.
    #[must_use]
    pub fn sqs_address(&self) -> SocketAddr {
        self.sqs.unwrap()
    }

    /// The service's URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.sqs_address())
    }

    /// The URL of the listener for people and monitors.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin.unwrap())
    }

    /// A new client of its queue.
    #[must_use]
    pub fn sqs(&self) -> Sqs {
        Sqs::at(&self.endpoint())
    }

    /// Asks the listener for people and monitors.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        http::get(self.admin.ok_or("it has no admin address yet")?, path).await
    }

    /// Tells the listener for people and monitors something.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn post(&self, path: &str, body: &str) -> Result<Answer, String> {
        let address = self.admin.ok_or("it has no admin address yet")?;
        http::exchange(address, "POST", path, &[], body.as_bytes()).await
    }

    /// A metric, added up over the samples that have these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        metrics::sum(&self.get("/metrics").await.unwrap().body, name, labels)
    }

    /// Waits until a metric has this value.
    pub async fn wait_for_metric(&self, within: Duration, name: &str, labels: &[(&str, &str)], expected: u32) {
        eventually(within, async || {
            let found = self.metric(name, labels).await;
            holds((found - f64::from(expected)).abs() < 1e-9, || format!("{name} is {found}, expected {expected}"))
        })
        .await;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The memory that it has in RAM, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    /// How many file descriptors it has open.
    #[must_use]
    pub fn open_fds(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count() as u64
    }

    /// A number of `/proc/PID/status`.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for its end, and for the end of its log.
    pub async fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let status =
            eventually(within, async || self.exit_status().ok_or_else(|| "the process has not ended".to_owned())).await;
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }

    /// Kills it as `kill -9` does; gives its log.
    pub async fn kill(mut self) -> Log {
        self.signal(Signal::KILL);
        self.wait_exit(PATIENCE).await;
        self.log.clone()
    }

    /// Asks it to drain, and asserts that it does.
    pub async fn stop(mut self) -> Log {
        self.signal(Signal::TERM);
        let status = self.wait_exit(PATIENCE).await;
        assert_eq!(status.code(), Some(0), "{}", self.log.end());
        self.log.clone()
    }

    /// Asserts that it lives, and that it says it is healthy and ready.
    pub async fn assert_sound(&mut self) {
        assert_eq!(self.exit_status(), None, "the process has ended");
        for path in ["/healthz", "/readyz"] {
            let answer = self.get(path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Panics
    /// When the process ends before.
    pub async fn wait_until_ready(&mut self) {
        if !self.becomes_ready().await {
            panic!("wasmill ended with {:?} before it was ready", self.ended);
        }
    }

    /// Waits until `/readyz` says so, or until it ends: then false.
    pub async fn becomes_ready(&mut self) -> bool {
        eventually(PATIENCE, async || {
            if self.exit_status().is_some() {
                return Ok(false);
            }
            self.sqs = self.address("SQS listening").or_else(|| self.address("Lambda's API listening"));
            self.admin = self.address("metrics and health listening");
            let answer = self.get("/readyz").await?;
            holds(answer.status == 200, || format!("not ready: {}", answer.body))?;
            Ok(true)
        })
        .await
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    fn address(&self, event: &str) -> Option<SocketAddr> {
        self.log.events(event).first().map(|line| line.field("address").parse().unwrap())
    }
}

impl Drop for Wasmill {
    fn drop(&mut self) {
        if self.exit_status().is_none() {
            // It may end in between.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown with the failed test")]
            {
                eprintln!("--- the end of wasmill's log\n{}\n---", self.log.end());
            }
        }
    }
}

/// A free port that stays free: the system gives none of these to connections or to port 0.
#[must_use]
pub fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 9000).unwrap();
    for _ in 0..1000 {
        let port = 20_000 + (of_process + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from 20000 to 29999");
}
