//! SQS as others have built it, for a worker to poll: each a child process on a free port, killed when dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::clients::Client;
use crate::sqs::{ACCOUNT, Sqs};
use crate::wait::eventually;
use crate::worker::lasting_port;

/// Python takes its time to import all of AWS.
const START_MAX: Duration = Duration::from_secs(120);

/// Whose SQS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// moto's server, of Python.
    Moto,
    /// fauxqs, of Node.js.
    Fauxqs,
}

/// A running one.
#[derive(Debug)]
pub struct PeerServer {
    peer: Peer,
    address: SocketAddr,
    child: Child,
}

impl Peer {
    /// Starts one and waits until it listens; none with a line on stderr if the machine does not have it.
    ///
    /// # Panics
    /// When it does not start, or when there is none and `CI=true`.
    pub async fn start(self, test: &str) -> Option<PeerServer> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lasting_port()));
        let mut command = self.command(test, address)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = PeerServer { peer: self, address, child: command.spawn().unwrap() };
        eventually(START_MAX, async || {
            let ended = server.child.try_wait().unwrap();
            assert_eq!(ended, None, "{self:?} ended at once");
            TcpStream::connect(address).await.map(drop).map_err(|error| format!("{self:?} does not listen: {error}"))
        })
        .await;
        Some(server)
    }

    fn command(self, test: &str, address: SocketAddr) -> Option<Command> {
        let port = address.port().to_string();
        match self {
            Self::Moto => {
                let mut command = Client::Moto.program(test)?;
                command.args(["--host", "127.0.0.1", "--port", &port]);
                Some(command)
            }
            Self::Fauxqs => {
                let mut command = Client::Fauxqs.program(test)?;
                command.arg(Client::Fauxqs.modules(test)?.join("fauxqs/dist/cli.js"));
                // A line per request would be most of its work.
                command.env("FAUXQS_PORT", &port).env("FAUXQS_LOGGER", "false");
                Some(command)
            }
        }
    }

    /// The account of its queues.
    fn account(self) -> &'static str {
        match self {
            Self::Moto => "123456789012",
            Self::Fauxqs => ACCOUNT,
        }
    }
}

impl PeerServer {
    /// A new client of it.
    #[must_use]
    pub fn sqs(&self) -> Sqs {
        Sqs::at(&format!("http://{}", self.address)).of_account(self.peer.account())
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
