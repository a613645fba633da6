//! Messages of up to 1 MiB to the byte, one per call, while the process is killed now and then.

use std::time::Duration;

use support::seed::Chance;
use support::workload::Workload;

use crate::crashes::on_disk;
use crate::report::Outcome;
use crate::stage::{Setup, Stage, Task};
use crate::usage::Bounds;

const SENDERS: u64 = 4;
const PAUSE: Duration = Duration::from_millis(40);
/// Batches of 6 MiB are copied into guests and parsed there, by several functions at once.
const MORE_MIB: u64 = 400;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let workload = Workload { batch_messages: 1, padded_percent: 90, body_bytes_max: 1 << 20, ..Workload::usual() };
    let mut stage = Stage::open(Setup::new(workload, on_disk)).await;
    stage.send(task.seed, SENDERS, PAUSE);
    let mut chance = Chance::new(!task.seed);
    for moment in task.moments(&mut chance, 1500, 5000) {
        stage.wait_until(moment).await;
        stage.kill().await;
    }
    stage.wait_until(task.load).await;
    Some(stage.close(Bounds { more_mib: MORE_MIB, ..Bounds::default() }).await)
}
