//! A wall clock that jumps by hours and months, both ways, while messages are in flight, delayed and waited for, and across
//! kills.

use support::seed::Chance;
use support::shims::WallClock;
use support::workload::Workload;

use crate::crashes::on_disk;
use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// How far from the machine's time: within a visibility timeout, beyond it, beyond FIFO's five minutes, beyond what a message is kept.
const OFFSETS: [i64; 10] = [0, 2, -2, 600, -600, HOUR, -11 * HOUR, 5 * DAY, -3 * DAY, 400 * DAY];

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let mut setup = Setup::new(Workload::usual(), on_disk);
    let clock = WallClock::new(&setup.home, "clock_jumps")?;
    let lent = clock.clone();
    setup.adapt = Box::new(move |mut command| {
        lent.lend(&mut command);
        command
    });
    let mut stage = Stage::open(setup).await;
    stage.send(task.seed, 3, PAUSE);
    let mut chance = Chance::new(!task.seed);
    for moment in task.moments(&mut chance, 150, 900) {
        stage.wait_until(moment).await;
        clock.set(OFFSETS[usize::try_from(chance.below(OFFSETS.len() as u64)).unwrap()]);
        stage.count("jumps", 1);
        if chance.percent(15) {
            stage.kill().await;
        }
    }
    stage.wait_until(task.load).await;
    Some(stage.close(Bounds::default()).await)
}
