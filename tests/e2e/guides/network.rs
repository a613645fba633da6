//! The ports that the guides name, although other processes of the machine may have them: a network of the test's own.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use support::wait::holds;
use support::{PATIENCE, eventually};
use tokio::sync::Mutex;

/// Set for a test that runs in a network of its own.
const MARK: &str = "WASMILL_TEST_OWN_NETWORK";

/// What SQS and Lambda's API are on, and what people and monitors ask.
pub(super) const PORTS: [u16; 2] = [9324, 9325];

/// How a network is asked for: as root, and as anybody else where that is allowed. Whatever is started in it ends with it.
const WAYS: [&[&str]; 2] =
    [&["--net", "--pid", "--fork", "--kill-child"], &["--map-root-user", "--net", "--pid", "--fork", "--kill-child"]];

/// The machine's network has each port once.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// Runs a test where [`PORTS`] are free: this same test, by its whole name, as a process in a network of its own. Where the
/// machine allows none, here, if they are free here.
pub(super) async fn with_documented_ports(test: &str, body: impl AsyncFnOnce()) {
    if env::var_os(MARK).is_some() {
        return body().await;
    }
    let Some(way) = WAYS.into_iter().find(|way| is_allowed(way)) else {
        let _turn = MACHINE.lock().await;
        eventually(PATIENCE, async || {
            let taken = PORTS.into_iter().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err());
            holds(taken.is_none(), || {
                format!("{test} needs the ports {PORTS:?}: somebody has {taken:?}, and `unshare --net` gives no others")
            })
        })
        .await;
        return body().await;
    };
    let mut own = Command::new("unshare");
    own.args(way).args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(env::current_exe().unwrap());
    own.args(["--exact", test, "--nocapture"]).env(MARK, "1");
    // Each step in there has a limit.
    let finished = own.output().unwrap();
    let printed = String::from_utf8_lossy(&[finished.stdout, finished.stderr].concat()).into_owned();
    assert!(finished.status.success(), "{:?}\n{printed}", finished.status);
    assert!(printed.contains("test result: ok. 1 passed"), "no such test: {test}\n{printed}");
}

fn is_allowed(way: &[&str]) -> bool {
    let asked = Command::new("unshare").args(way).args(["ip", "link", "set", "lo", "up"]).output();
    asked.is_ok_and(|answer| answer.status.success())
}
