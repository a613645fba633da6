//! Disks that misbehave on command: syncs that wait or fail, a small full one. What a machine cannot do is told, and
//! the test is left out.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::command::wrapped;
use crate::shims::{left_out, shim};
use crate::wait::{PATIENCE, eventually, holds};
use crate::worker::{Home, Wasmill};

/// A home whose programs' syncs can be made to wait or to fail.
#[derive(Clone, Debug)]
pub struct Syncs {
    home: Home,
    shim: PathBuf,
}

impl Syncs {
    /// None as with [`shim`].
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        let shim = shim("sync", test)?;
        let home = Home::new();
        std::fs::create_dir(home.path().join("syncs")).unwrap();
        Some(Self { home, shim })
    }

    /// Where the programs run.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Gives the disk to a program that is to be started.
    pub fn lend(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("SYNC_SHIM", self.home.path().join("syncs"));
    }

    /// Starts a server on it, and waits until it is ready.
    pub async fn serve(&self, durability: &str) -> Wasmill {
        let arguments = ["--data-dir", "data", "--listen", "127.0.0.1:0", "--durability", durability];
        let mut server = self.home.launch_serve_as(&arguments, |mut command| {
            self.lend(&mut command);
            command
        });
        server.wait_until_ready().await;
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("syncs").join(name)
    }

    /// From now on syncs do that: `hold`, `slow` or `fail`.
    pub fn set(&self, what: &str) {
        std::fs::write(self.file(what), "").unwrap();
    }

    /// From now on they do not.
    pub fn unset(&self, what: &str) {
        std::fs::remove_file(self.file(what)).unwrap();
    }

    /// How many there were, the one under way included.
    pub fn count(&self) -> u64 {
        std::fs::metadata(self.file("calls")).map_or(0, |calls| calls.len())
    }

    /// Waits for a sync to begin.
    pub async fn wait_for_more_than(&self, count: u64) {
        eventually(PATIENCE, async || holds(self.count() > count, || format!("still {count} syncs"))).await;
    }
}

/// A small file system of its own, which lives as long as this does.
#[derive(Debug)]
pub struct SmallDisk {
    home: Home,
    /// Sits in the namespace where it is mounted.
    keeper: Child,
    is_root: bool,
}

impl SmallDisk {
    /// None, with a line on stderr, where nobody may mount one: that takes root, or user namespaces.
    pub async fn new(test: &str, mib: u32) -> Option<Self> {
        let home = Home::new();
        let folder = home.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let mut keeper = Command::new("unshare");
        if !is_root {
            keeper.arg("--map-root-user");
        }
        let script = "mount -t tmpfs -o size=\"$1\"m tmpfs \"$2\" && touch \"$3\" && exec sleep 600";
        let mounted = home.path().join("mounted");
        keeper.args(["--mount", "sh", "-c", script, "sh", &mib.to_string()]).arg(&folder).arg(&mounted);
        let Ok(keeper) = keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            left_out(test, "for want of unshare(1)");
            return None;
        };
        let mut disk = Self { home, keeper, is_root };
        let is_mounted = eventually(PATIENCE, async || {
            let refused = disk.keeper.try_wait().unwrap().is_some();
            holds(refused || mounted.is_file(), || "nothing is mounted".to_owned()).map(|()| !refused)
        })
        .await;
        if !is_mounted {
            left_out(test, "nobody may mount a file system here: run it as root, or allow user namespaces");
        }
        is_mounted.then_some(disk)
    }

    /// Where the programs run.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The folder for data on it, seen only by programs that are started with it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.path().join("disk/data")
    }

    /// The command that starts a program which sees it.
    #[must_use]
    pub fn lend(&self, command: &Command) -> Command {
        let target = self.keeper.id().to_string();
        let mut enter = vec!["nsenter", "--target", &target, "--mount"];
        if !self.is_root {
            enter.extend(["--user", "--preserve-credentials"]);
        }
        wrapped(&enter, command)
    }

    /// Leaves not a byte of room.
    pub fn fill(&self) {
        self.run("head -c 1G /dev/zero > \"$1\"");
    }

    /// Gives the room back.
    pub fn free(&self) {
        self.run("rm -f \"$1\"");
    }

    /// Runs a script on the file that takes the room. That it ends with a full disk is no failure.
    fn run(&self, script: &str) {
        // Named from the root: a folder that was entered before is that of the disk below.
        let ballast = self.home.path().join("disk/ballast");
        let mut command = self.lend(Command::new("sh").args(["-c", script, "sh"]).arg(ballast));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().unwrap();
    }

    /// Serves with the data on that disk.
    pub async fn serve(&self) -> Wasmill {
        let data = self.data();
        let arguments = ["--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--durability", "fsync"];
        let mut server = self.home.launch_serve_as(&arguments, |command| self.lend(&command));
        server.wait_until_ready().await;
        server
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
