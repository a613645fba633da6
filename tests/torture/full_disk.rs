//! A disk that is full to the last byte, and then is not, again and again; the process is killed while it is full, too. It starts
//! when there is room: on a disk with no byte left a start ends with exit code 4, and says why.

use std::sync::Arc;

use support::config::ON_DISK;
use support::disks::SmallDisk;
use support::seed::Chance;
use support::workload::Workload;

use crate::report::Outcome;
use crate::stage::{MAX_RECEIVE_COUNT, PAUSE, Setup, Stage, Task, VISIBILITY_SECONDS};
use crate::usage::Bounds;

const DISK_MIB: u32 = 48;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let disk = Arc::new(SmallDisk::new("full_disk", DISK_MIB).await?);
    let workload = Workload { padded_percent: 20, body_bytes_max: 20_000, ..Workload::usual() };
    let data = disk.data().display().to_string();
    let top = ON_DISK.replace("\"data\"", &format!("\"{data}\"")).replace("\"os\"", "\"fsync\"");
    let below = workload.config(VISIBILITY_SECONDS, MAX_RECEIVE_COUNT);
    let lent = Arc::clone(&disk);
    let setup = Setup {
        home: disk.home().clone(),
        workload,
        config: Box::new(move |_| format!("{top}{below}")),
        adapt: Box::new(move |command| lent.lend(&command)),
    };
    let mut stage = Stage::open(setup).await;
    stage.send(task.seed, 3, PAUSE);
    let mut chance = Chance::new(!task.seed);
    let mut is_full = false;
    for moment in task.moments(&mut chance, 300, 1500) {
        stage.wait_until(moment).await;
        is_full = !is_full;
        if is_full {
            disk.fill();
            stage.count("full", 1);
        } else {
            disk.free();
        }
        if chance.percent(25) {
            stage.worker().signal(rustix::process::Signal::KILL);
            disk.free();
            is_full = false;
            stage.kill().await;
        }
    }
    stage.wait_until(task.load).await;
    disk.free();
    Some(stage.close(Bounds::default()).await)
}
