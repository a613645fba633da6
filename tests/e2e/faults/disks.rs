//! Disks that misbehave on command: syncs that wait or fail, a small full one. What a machine cannot do is told, and
//! the test is left out.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use support::command::{run, wrapped};
use support::wait::holds;
use support::{Home, PATIENCE, Wasmill, eventually, places};

/// Says that a test is left out, and why.
fn left_out(test: &str, why: &str) {
    // Not through the macros, whose output a passing test hides.
    let _ = writeln!(std::io::stderr(), "left out: {test}, {why}");
}

/// A home whose programs' syncs can be made to wait or to fail.
pub(super) struct Syncs {
    home: Home,
    shim: &'static Path,
}

impl Syncs {
    /// None, with a line on stderr, on a machine that cannot compile C. CI must.
    pub(super) fn new(test: &str) -> Option<Self> {
        static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(shim) = SHIM.get_or_init(compile) else {
            assert!(env::var("CI").as_deref() != Ok("true"), "no C compiler for {test}");
            left_out(test, "for want of a C compiler: install cc");
            return None;
        };
        let home = Home::new();
        std::fs::create_dir(home.path().join("syncs")).unwrap();
        Some(Self { home, shim })
    }

    pub(super) async fn serve(&self, durability: &str) -> Wasmill {
        let arguments = ["--data-dir", "data", "--listen", "127.0.0.1:0", "--durability", durability];
        let mut server = self.home.launch_serve_as(&arguments, |mut command| {
            command.env("LD_PRELOAD", self.shim).env("SYNC_SHIM", self.home.path().join("syncs"));
            command
        });
        server.wait_until_ready().await;
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("syncs").join(name)
    }

    /// From now on syncs do that: `hold`, `slow` or `fail`.
    pub(super) fn set(&self, what: &str) {
        std::fs::write(self.file(what), "").unwrap();
    }

    pub(super) fn unset(&self, what: &str) {
        std::fs::remove_file(self.file(what)).unwrap();
    }

    /// How many there were, the one under way included.
    pub(super) fn count(&self) -> u64 {
        std::fs::metadata(self.file("calls")).map_or(0, |calls| calls.len())
    }

    /// Waits for a sync to begin.
    pub(super) async fn wait_for_more_than(&self, count: u64) {
        eventually(PATIENCE, async || holds(self.count() > count, || format!("still {count} syncs"))).await;
    }
}

/// Builds the shim beside the binary under test.
fn compile() -> Option<PathBuf> {
    let source = places::repository().join("tests/e2e/faults/sync_shim.c");
    let shim = places::module_cache().join("sync_shim.so");
    let fresh = places::module_cache().join(format!("sync_shim.{}.so", std::process::id()));
    Command::new("cc").arg("--version").stdin(Stdio::null()).output().ok()?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&fresh).arg(&source).arg("-ldl");
    run(&mut cc, "").assert_succeeds();
    std::fs::rename(&fresh, &shim).unwrap();
    Some(shim)
}

/// A small file system of its own, which lives as long as this does.
pub(super) struct SmallDisk {
    home: Home,
    /// Sits in the namespace where it is mounted.
    keeper: Child,
    is_root: bool,
}

impl SmallDisk {
    /// None, with a line on stderr, where nobody may mount one: that takes root, or user namespaces.
    pub(super) async fn new(test: &str, mib: u32) -> Option<Self> {
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

    /// Serves with the data on that disk.
    pub(super) async fn serve(&self) -> Wasmill {
        let data = self.home.path().join("disk/data");
        let arguments = ["--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--durability", "fsync"];
        let target = self.keeper.id().to_string();
        let mut server = self.home.launch_serve_as(&arguments, |command| {
            let mut enter = vec!["nsenter", "--target", &target, "--mount"];
            if !self.is_root {
                enter.extend(["--user", "--preserve-credentials"]);
            }
            wrapped(&enter, &command)
        });
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
