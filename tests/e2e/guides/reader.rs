//! A reader of the guides: a clone, terminals that are bash's, and the one program that runs in one of them and does not end.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::command::{Finished, run, set_environment};
use support::guide::Entry;
use support::wait::holds;
use support::{Home, PATIENCE, eventually, http, places};

use super::network::PORTS;

/// Runs what follows with what the terminal has exported so far, and in its folder; then remembers both.
const ENTER: &str = ". \"$TERMINAL\"\n";
const LEAVE: &str = "\nleft=$?; { export -p; printf 'cd %q\\n' \"$PWD\"; } > \"$TERMINAL\"; exit $left";

/// Variables for one command.
pub(super) type Variables = BTreeMap<String, OsString>;

/// Whoever enters the commands of a guide, one after the other.
#[derive(Debug)]
pub(super) struct Reader {
    home: Home,
    /// What each new terminal begins with.
    opening: Vec<String>,
    terminals: usize,
    /// Where the next command is entered.
    at: usize,
    server: Option<Server>,
}

/// What runs until it is stopped.
#[derive(Debug)]
struct Server {
    child: Child,
    command: String,
    terminal: usize,
    output: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub(super) struct Entered {
    /// Where it stands.
    at: String,
    /// What it printed, if it has ended.
    finished: Option<Finished>,
    /// How much the server had written before.
    server_from: usize,
}

impl Reader {
    /// With a fresh clone, and each terminal begun with these commands.
    pub(super) fn new(opening: Vec<String>) -> Self {
        let home = Home::new();
        for folder in ["config", "handlers"] {
            copy(&places::repository().join(folder), &home.path().join("clone").join(folder));
        }
        // `aws` is what its reader has installed.
        fs::create_dir_all(home.path().join("bin")).unwrap();
        if let Some(aws) = env::var_os("WASMILL_TEST_AWS") {
            std::os::unix::fs::symlink(aws, home.path().join("bin/aws")).unwrap();
        }
        Self { home, opening, terminals: 0, at: 0, server: None }
    }

    /// The top of the clone.
    pub(super) fn clone_folder(&self) -> PathBuf {
        self.home.path().join("clone")
    }

    /// A file of the clone's, which a command that is not run would have made.
    pub(super) fn put(&self, name: &str, original: &Path) {
        let path = self.clone_folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A link where it may be one: the binary is large. There already: it is the same.
        if !path.exists() && fs::hard_link(original, &path).is_err() {
            fs::copy(original, &path).unwrap();
        }
    }

    /// Enters a command, with more variables than the terminal has. One that serves has begun to when this returns.
    pub(super) async fn enter(&mut self, guide: &str, entry: &Entry, variables: &Variables) -> Entered {
        let at = format!("{guide}:{}: {}", entry.line, entry.command);
        let serves = serves(&entry.command);
        if serves {
            self.stop().await;
        }
        self.sit_down();
        if entry.comment == "in each terminal" && !self.opening.contains(&entry.command) {
            self.opening.push(entry.command.clone());
        }
        let server_from = self.server.as_ref().map_or(0, |server| server.printed().len());
        if serves {
            self.serve(&at, &entry.command, variables).await;
            return Entered { at, finished: None, server_from: 0 };
        }
        // What is given for one command is not kept.
        let leave = if variables.is_empty() { LEAVE } else { "" };
        let finished = run(&mut self.bash(self.at, &format!("{ENTER}{}{leave}", entry.command), variables), "");
        Entered { at, finished: Some(finished), server_from }
    }

    /// Waits until a command that was entered has succeeded, and this part of what it was to bring about is seen.
    pub(super) async fn see(&self, entered: &Entered, part: &str) {
        let own = match &entered.finished {
            Some(finished) => {
                assert_eq!(finished.code, Some(0), "{}\n{finished}", entered.at);
                finished.stdout.clone() + &finished.stderr
            }
            None => String::new(),
        };
        if own.contains(part) {
            return;
        }
        eventually(PATIENCE, async || {
            let printed = self.server.as_ref().map(Server::printed).unwrap_or_default();
            let since = &printed[entered.server_from.min(printed.len())..];
            holds(since.contains(part), || {
                format!("{}\n{part:?} is not to be seen in\n{own}\nnor in\n{since}", entered.at)
            })
        })
        .await;
    }

    /// Stops what runs, as Ctrl-C or SIGTERM does; it ends as it should.
    pub(super) async fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // Who develops is at the keyboard.
        let signal = if server.command.starts_with("wasmill dev") { Signal::INT } else { Signal::TERM };
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        let status = eventually(PATIENCE, async || {
            server.child.try_wait().unwrap().ok_or_else(|| format!("{} goes on after {signal:?}", server.command))
        })
        .await;
        assert_eq!(status.code(), Some(0), "{}: {}", server.command, server.printed());
    }

    async fn serve(&mut self, at: &str, command: &str, variables: &Variables) {
        let output = self.home.path().join(format!("terminal-{}.txt", self.at));
        let printed = File::create(&output).unwrap();
        let mut bash = self.bash(self.at, &format!("{ENTER}exec {command}"), variables);
        bash.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        let child = bash.spawn().unwrap();
        let server = self.server.insert(Server { child, command: command.to_owned(), terminal: self.at, output });
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS[1]));
        eventually(PATIENCE, async || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{at} ended with {ended:?}: {}", server.printed());
            let answer = http::get(admin, "/readyz").await?;
            holds(answer.status == 200, || format!("{at} is not ready: {}", answer.body))
        })
        .await;
    }

    /// Leaves a terminal in which something runs for another one.
    fn sit_down(&mut self) {
        if self.terminals > 0 && self.server.as_ref().is_none_or(|server| server.terminal != self.at) {
            return;
        }
        self.at = if self.terminals == 2 { 1 - self.at } else { self.terminals };
        if self.at < self.terminals {
            return;
        }
        self.terminals += 1;
        fs::write(self.state(self.at), format!("cd '{}'\n", self.clone_folder().display())).unwrap();
        for command in &self.opening {
            let mut bash = self.bash(self.at, &format!("{ENTER}{command}{LEAVE}"), &Variables::new());
            run(&mut bash, "").assert_succeeds();
        }
    }

    fn state(&self, terminal: usize) -> PathBuf {
        self.home.path().join(format!("terminal-{terminal}"))
    }

    fn bash(&self, terminal: usize, script: &str, variables: &Variables) -> Command {
        let mut bash = Command::new("bash");
        set_environment(&mut bash);
        let path = env::var_os("PATH").unwrap();
        let folders = [self.home.path().join("bin")].into_iter().chain(env::split_paths(&path));
        bash.env("PATH", env::join_paths(folders).unwrap()).env("TERMINAL", self.state(terminal));
        // What is given for one command comes after what the terminal has, which names all that it inherited.
        let given = variables.keys().map(|name| format!("export {name}=\"$GIVEN_{name}\"\n")).collect::<String>();
        bash.envs(variables.iter().map(|(name, value)| (format!("GIVEN_{name}"), value)));
        bash.args(["--norc", "-c", &script.replacen(ENTER, &format!("{ENTER}{given}"), 1)]);
        bash
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It may end in between.
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }
}

impl Server {
    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }
}

/// Whether a command goes on until it is stopped.
fn serves(command: &str) -> bool {
    ["wasmill dev", "wasmill run", "wasmill queue serve"].iter().any(|served| command.starts_with(served))
}

/// A folder as a clone has it: without what was built or left behind in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ["target", "data", "node_modules", ".wasmill", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
