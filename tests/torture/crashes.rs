//! SIGKILL and drains at random moments, while one function crashes at every message and others do all that handlers
//! do wrong.

use support::config::ON_DISK;
use support::seed::Chance;
use support::workload::{Mix, Source, Workload};

use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

/// What survives power loss survives a kill, too, by another path.
pub(crate) fn on_disk(life: u32) -> String {
    let durability = if life.is_multiple_of(2) { "os" } else { "fsync" };
    ON_DISK.replace("\"os\"", &format!("\"{durability}\""))
}

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let mut workload = Workload::usual();
    workload.sources.push(Source::new("crash", Mix::Crashing));
    let mut stage = Stage::open(Setup::new(workload, on_disk)).await;
    stage.send(task.seed, 3, PAUSE);
    let mut chance = Chance::new(!task.seed);
    for moment in task.moments(&mut chance, 700, 4000) {
        stage.wait_until(moment).await;
        if chance.percent(75) { stage.kill().await } else { stage.drain().await }
    }
    stage.wait_until(task.load).await;
    Some(stage.close(Bounds::default()).await)
}
