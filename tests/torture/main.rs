//! `cargo xtask torture`: the whole worker in one bad place after the other, each from a seed, and after each the account of every message,
//! of memory, files and threads.
//!
//! A scenario is a file: it says what is done to the worker while the senders of `support::senders` send. `stage.rs` is where it plays, `usage.rs`
//! what must be given back, `report.rs` the table. What may be lost or come twice is said in `support::ledger`. In a usual test run each
//! scenario is tried in small for some seconds.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod clock_jumps;
mod connections;
mod crashes;
mod full_disk;
mod half_open;
mod large_messages;
mod liar;
mod lying_source;
mod many_mappings;
mod report;
mod slow_clients;
mod slow_disk;
mod stage;
mod usage;

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use report::{Outcome, Visit};
use stage::Task;
use support::seed::{Chance, SEED_VARIABLE, seed};

/// How long the senders send at each visit, and how long a smoke's do.
const LOAD: Duration = Duration::from_secs(12);
const LOAD_MIN: Duration = Duration::from_secs(5);
const SMOKE_LOAD: Duration = Duration::from_secs(2);

type Playing = Pin<Box<dyn Future<Output = Option<Outcome>>>>;

struct Scenario {
    name: &'static str,
    play: fn(Task) -> Playing,
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: stringify!($name),
            play: |task| Box::pin($name::run(task)),
        }),*];

        mod smoke {
            $(#[test]
            fn $name() {
                super::smoke(stringify!($name));
            })*
        }
    };
}

scenarios! {
    crashes full_disk slow_disk clock_jumps large_messages many_mappings connections slow_clients half_open lying_source
}

/// Plays a scenario, on threads of its own. Its panic is an outcome, too.
fn visit(scenario: &Scenario, task: Task) -> Visit {
    let play = scenario.play;
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(task))
    });
    let outcome = thread.join().map_err(|words| {
        let text = words.downcast_ref::<String>().cloned();
        text.or_else(|| words.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    let visit = Visit { scenario: scenario.name, seed: task.seed, outcome };
    if let Some(folder) = visit.keep_logs() {
        say(&format!("the worker's logs are in {}", folder.display()));
    }
    visit
}

fn smoke(name: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    let task = Task { seed: seed(name), load: SMOKE_LOAD, is_smoke: true };
    let visit = visit(scenario, task);
    let is_good = visit.is_good();
    say(&report::markdown(name, &[visit]));
    assert!(is_good, "{name} found something; see above");
}

fn say(text: &str) {
    // Not through the macros, whose output a passing test hides.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The seed of a scenario's visit: the given one in the first round, so that `--only` with it plays the same again.
fn seed_of(given: u64, round: u64, scenario: usize) -> u64 {
    if round == 0 { given } else { Chance::new(given ^ (round << 32) ^ scenario as u64).within(1, 1 << 40) }
}

#[test]
#[ignore = "takes minutes: `cargo xtask torture`"]
fn torture() {
    let given = seed("torture");
    let within = Duration::from_secs(60 * env::var("WASMILL_TORTURE_MINUTES").map_or(10, |text| text.parse().unwrap()));
    let only = env::var("WASMILL_TORTURE_ONLY").ok();
    let chosen: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| only.as_ref().is_none_or(|only| only == scenario.name)).collect();
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    assert!(!chosen.is_empty(), "no such scenario; there are {}", names.join(", "));
    // About as long again is taken by what is left after the load.
    let load = (within / u32::try_from(chosen.len()).unwrap() / 2).clamp(LOAD_MIN, LOAD);
    let (begun, mut visits) = (Instant::now(), Vec::new());
    'time: for round in 0.. {
        for (number, scenario) in chosen.iter().enumerate() {
            if round > 0 && begun.elapsed() + 2 * load > within {
                break 'time;
            }
            let task = Task { seed: seed_of(given, round, number), load, is_smoke: false };
            say(&format!("torture: {} with seed {}", scenario.name, task.seed));
            let visit = visit(scenario, task);
            if !visit.is_good() {
                say(&format!(
                    "torture: {} failed; again with: cargo xtask torture --only {} --seed {}",
                    scenario.name, scenario.name, task.seed
                ));
            }
            visits.push(visit);
        }
    }
    let title = format!("# Torture of {} s, {SEED_VARIABLE}={given}", begun.elapsed().as_secs());
    let table = report::markdown(&title, &visits);
    say(&table);
    if let Some(path) = env::var_os("WASMILL_TORTURE_REPORT").map(PathBuf::from) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &table).unwrap();
        say(&format!("the table is in {}", path.display()));
    }
    let bad: Vec<&str> = visits.iter().filter(|visit| !visit.is_good()).map(|visit| visit.scenario).collect();
    assert!(bad.is_empty(), "something was found by {}; see above", bad.join(", "));
}
