//! A cable that can be cut: clients in a network of their own, whose packets are lost from one moment on. Neither side is told.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::command::{Finished, run};
use crate::shims::left_out;

/// The network at the other end.
#[derive(Debug)]
pub struct Wire {
    /// Sits in it.
    keeper: Child,
    clients: Vec<Child>,
    near: String,
    far: String,
    address: Ipv4Addr,
    /// The last byte of the far end's address.
    host: u8,
}

impl Wire {
    /// None, with a line on stderr, where nobody may lay one: that takes root, ip(8), nsenter(1) and bash.
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", "echo in && exec sleep 600"]);
        let keeper = unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut keeper) = keeper else {
            left_out(test, "for want of unshare(1)");
            return None;
        };
        // It ends without a word where it may not.
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        // The process's own: tests may run side by side.
        let [high, low] = u16::try_from(std::process::id() % 65_536).unwrap().to_be_bytes();
        let (near, far) = (format!("wm{high}-{low}a"), format!("wm{high}-{low}b"));
        let third = low & !3;
        let address = Ipv4Addr::new(10, high, third, 1);
        let mut wire = Self { keeper, clients: Vec::new(), near, far, address, host: 1 };
        let keeper = wire.keeper.id().to_string();
        let laid = ip(&["link", "add", &wire.near, "type", "veth", "peer", "name", &wire.far, "netns", &keeper])
            && ip(&["addr", "add", &format!("{address}/24"), "dev", &wire.near])
            && ip(&["link", "set", &wire.near, "up"])
            && wire.plug_in();
        if !laid {
            left_out(test, "nobody may lay a network cable here: run it as root, with iproute2");
        }
        laid.then_some(wire)
    }

    /// The near end's address, where a server listens.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Connects that often from the far end and writes these beginnings of requests, in turn. Nothing is read, and nothing
    /// is closed.
    ///
    /// # Panics
    /// When it cannot.
    pub fn connect(&mut self, port: u16, count: usize, beginnings: &[&str]) {
        // The words are the script's arguments, so that nothing in them is taken for bash's.
        let script = "
            address=$1 port=$2 count=$3; shift 3
            for ((number = 0; number < count; number++)); do
                exec {stream}<>/dev/tcp/$address/$port || exit 1
                turn=$((number % $# + 1)); printf %s \"${!turn}\" >&$stream
            done
            echo connected; exec sleep 600";
        let mut command = self.inside();
        command.args(["bash", "-c", script, "bash", &self.address.to_string(), &port.to_string(), &count.to_string()]);
        let mut client = command.args(beginnings).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut said).unwrap();
        self.clients.push(client);
        assert_eq!(said.trim(), "connected");
    }

    /// Cuts the cable, and ends the clients, of which nobody at the near end hears.
    ///
    /// # Panics
    /// When it cannot.
    pub fn cut(&mut self) {
        assert!(self.far_ip(&["link", "set", &self.far, "down"]), "the cable cannot be cut");
        self.end_clients();
    }

    /// Mends it for other clients. Those of before stay lost.
    ///
    /// # Panics
    /// When it cannot.
    pub fn mend(&mut self) {
        assert!(self.plug_in(), "the cable cannot be mended");
    }

    /// Under another address each time: what the kernel would still send for clients that are gone has none to come from.
    fn plug_in(&mut self) -> bool {
        self.host = if self.host == 254 { 2 } else { self.host + 1 };
        let [first, second, third, _] = self.address.octets();
        let address = format!("{first}.{second}.{third}.{}/24", self.host);
        self.far_ip(&["addr", "flush", "dev", &self.far])
            && self.far_ip(&["addr", "add", &address, "dev", &self.far])
            && self.far_ip(&["link", "set", &self.far, "up"])
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.keeper.id().to_string(), "--net"]);
        command
    }

    fn far_ip(&self, arguments: &[&str]) -> bool {
        let mut command = self.inside();
        run(command.arg("ip").args(arguments), "").code == Some(0)
    }

    fn end_clients(&mut self) {
        for mut client in self.clients.drain(..) {
            // It may have ended.
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// Whether `ip` did it. On a machine without it, it did not.
fn ip(arguments: &[&str]) -> bool {
    let is_there = Command::new("ip").arg("-V").stdin(Stdio::null()).output().is_ok();
    is_there && matches!(run(Command::new("ip").args(arguments), ""), Finished { code: Some(0), .. })
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end_clients();
        // Else it stays for as long as the kernel waits for what was lost.
        ip(&["link", "del", &self.near]);
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
