//! Two hundred queues, each with a dead-letter queue and a mapping, over a handful of functions, and kills.

use support::seed::Chance;
use support::workload::{Mix, Source, Workload};

use crate::crashes::on_disk;
use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

const MAPPINGS: usize = 200;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let sources = (0..task.sized(MAPPINGS, 60)).map(|number| match number % 4 {
        0 | 1 => Source::of_function(&format!("calm-{number}"), Mix::Calm, &format!("calm-{}", number % 2)),
        2 => Source::of_function(&format!("work-{number}"), Mix::Work, "work"),
        _ => Source::of_function(&format!("orders-{number}.fifo"), Mix::Orders, "orders"),
    });
    let mut stage = Stage::open(Setup::new(Workload::of(sources.collect()), on_disk)).await;
    stage.send(task.seed, 4, PAUSE);
    let mut chance = Chance::new(!task.seed);
    for moment in task.moments(&mut chance, 1500, 5000) {
        stage.wait_until(moment).await;
        if chance.percent(70) { stage.kill().await } else { stage.drain().await }
    }
    stage.wait_until(task.load).await;
    Some(stage.close(Bounds::default()).await)
}
