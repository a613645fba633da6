//! Clients that vanish without a word: the cable between them and the worker is cut, so no packet says that they are gone, and what the
//! worker writes is never acknowledged. Their connections are given up in time, and nobody else notices.

use std::time::Duration;

use support::config::ON_DISK;
use support::seed::Chance;
use support::wire::Wire;
use support::workload::Workload;

use crate::connections::{newcomers, request};
use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

/// Per cut.
const CLIENTS: usize = 150;
/// A head or a body is waited for a minute, and then an answer that nobody acknowledges may take a while.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(110);
/// Beyond loopback everybody signs. These are the keys that the senders have.
const AUTH: &str = "[auth]\ncredentials = [{ access_key_id = \"test\", secret_access_key = \"test\" }]\n";

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let mut wire = Wire::new("half_open")?;
    let workload = Workload::usual();
    let listen = format!("[local_queue]\nlisten = \"{}:0\"", wire.address());
    let top = ON_DISK.replace("[local_queue]\nlisten = \"127.0.0.1:0\"", &listen) + AUTH;
    let mut stage = Stage::open(Setup::new(workload, move |_| top.clone())).await;
    stage.send(task.seed, 3, PAUSE);
    let mut chance = Chance::new(!task.seed);
    let clients = task.sized(CLIENTS, 30);
    let whole = request("ListQueues", "{}");
    let long = whole.replace("content-length: 2", "content-length: 100000");
    let beginnings = ["", &whole[..40], &whole, &long];
    let mut vanished = 0;
    for moment in task.moments(&mut chance, 800, 2500) {
        stage.wait_until(moment).await;
        let port = stage.worker().sqs_address().port();
        wire.connect(port, clients, &beginnings);
        wire.cut();
        vanished += clients;
        stage.count("vanished", clients);
        if let Err(what) = newcomers(stage.worker(), 403).await {
            stage.accuse(what);
        }
        wire.mend();
    }
    stage.wait_until(task.load).await;
    stage.note(format!("{} files were open when {vanished} clients had vanished", stage.worker().open_fds()));
    // A smoke does not wait for a minute until they are given up.
    let more_files = if task.is_smoke { vanished as u64 } else { 0 };
    let usual = Bounds::default();
    let bounds = Bounds { more_files: usual.more_files + more_files, within: GIVEN_UP_WITHIN, ..usual };
    Some(stage.close(bounds).await)
}
