//! A disk whose syncs take 50 ms, or do not end for seconds, while the process is killed now and then.

use std::time::Duration;

use support::config::ON_DISK;
use support::disks::Syncs;
use support::seed::Chance;
use support::workload::Workload;

use crate::report::Outcome;
use crate::stage::{MAX_RECEIVE_COUNT, PAUSE, Setup, Stage, Task, VISIBILITY_SECONDS};
use crate::usage::Bounds;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let syncs = Syncs::new("slow_disk")?;
    let workload = Workload::usual();
    let config = ON_DISK.replace("\"os\"", "\"fsync\"") + &workload.config(VISIBILITY_SECONDS, MAX_RECEIVE_COUNT);
    let lent = syncs.clone();
    let setup = Setup {
        home: syncs.home().clone(),
        workload,
        config: Box::new(move |_| config.clone()),
        adapt: Box::new(move |mut command| {
            lent.lend(&mut command);
            command
        }),
    };
    let mut stage = Stage::open(setup).await;
    stage.send(task.seed, 3, PAUSE);
    let mut chance = Chance::new(!task.seed);
    syncs.set("slow");
    for moment in task.moments(&mut chance, 500, 2500) {
        stage.wait_until(moment).await;
        syncs.set("hold");
        stage.count("holds", 1);
        tokio::time::sleep(Duration::from_millis(chance.within(50, 3000))).await;
        let is_killed = chance.percent(20);
        // Killed in a sync that does not end; the next process's own do.
        if is_killed {
            stage.worker().signal(rustix::process::Signal::KILL);
        }
        syncs.unset("hold");
        if is_killed {
            stage.kill().await;
        }
    }
    stage.wait_until(task.load).await;
    syncs.unset("slow");
    Some(stage.close(Bounds::default()).await)
}
