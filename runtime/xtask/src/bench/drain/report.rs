//! The results for people. The targets stand here, beside what they are about.

use super::consumers::Consumers;
use super::in_process::{BATCHES, CELLS, Cost, ENCODE, InProcess, MAPPING, SANDBOX, STORE, WASMTIME};
use super::median;
use super::options::Options;
use crate::bench::report::{Lines, against, shown};
use crate::bench::worker::CONCURRENCY;

/// The targets are for batches of this size.
const TARGET_BATCH: u32 = 10;
/// Of the store's and wasmtime's processor time together.
const CPU_MAX_RATIO: f64 = 1.5;
/// Of the messages that the store alone can give in the same time.
const RATE_MIN_SHARE: f64 = 0.6;
/// Of sqs-consumer's processor time.
const CPU_MAX_SHARE: f64 = 0.25;
/// Times sqs-consumer's messages.
const RATE_MIN_RATIO: f64 = 3.0;
const P50_MAX_MS: f64 = 1.0;

type Number = fn(Cost) -> f64;

const NUMBERS: [(&str, Number); 2] =
    [("CPU us per message", |cost| cost.cpu_us_per_message), ("messages/s", |cost| cost.per_second)];

/// The tables.
pub(super) fn text(options: &Options, in_process: Option<&InProcess>, consumers: Option<&Consumers>) -> String {
    let mut out = Lines::default();
    if let Some(found) = in_process {
        parts(&mut out, options, found);
    }
    if let Some(found) = consumers {
        over_http(&mut out, options, found);
    }
    out.into_text()
}

fn parts(out: &mut Lines, options: &Options, found: &InProcess) {
    out.row(
        &format!("in process, os, {} messages", options.messages),
        BATCHES.iter().map(|batch| format!("batch {batch}")),
    );
    for (title, number) in NUMBERS {
        out.row(title, std::iter::empty());
        for cell in CELLS {
            let label = if cell == MAPPING { format!("  {cell}") } else { format!("  {cell} alone") };
            out.row(&label, BATCHES.iter().map(|batch| shown(found.median(*batch, [cell], |[cost]| number(cost)))));
        }
    }
    let rest = |batch: &u32| {
        found.median(*batch, [MAPPING, STORE, ENCODE, SANDBOX], |[all, store, encode, sandbox]| {
            all.cpu_us_per_message - store.cpu_us_per_message - encode.cpu_us_per_message - sandbox.cpu_us_per_message
        })
    };
    // What is neither the queue's, nor the event's, nor the sandbox's: permit, lease, window, judge, settling.
    out.row("CPU us of the rest of a mapping", BATCHES.iter().map(|batch| shown(rest(batch))));
    let cpu =
        |[all, store, guest]: [Cost; 3]| all.cpu_us_per_message / (store.cpu_us_per_message + guest.cpu_us_per_message);
    for (label, guest) in [("CPU / (store + wasmtime)", WASMTIME), ("CPU / (store + sandbox)", SANDBOX)] {
        let cell = |batch: &u32| {
            let ratio = found.median(*batch, [MAPPING, STORE, guest], cpu);
            let is_target = *batch == TARGET_BATCH && guest == WASMTIME;
            format!("{ratio:.2}{}", if is_target { against(ratio, CPU_MAX_RATIO) } else { String::new() })
        };
        out.row(label, BATCHES.iter().map(cell));
    }
    let share = |batch: &u32| {
        let share = found.median(*batch, [MAPPING, STORE], |[all, store]| all.per_second / store.per_second);
        let mark = if *batch == TARGET_BATCH { at_least(share, RATE_MIN_SHARE) } else { String::new() };
        format!("{share:.2}{mark}")
    };
    out.row("messages/s / store alone", BATCHES.iter().map(share));
    out.gap();
    if let Some((p50, p99)) = found.latency_us {
        let (p50, p99) = (p50 / 1e3, p99 / 1e3);
        out.row("sent to handled, idle", ["p50, ms", "p99, ms"].into_iter().map(str::to_owned));
        out.row("  in process, os", [format!("{p50:.2}{}", against(p50, P50_MAX_MS)), format!("{p99:.2}")].into_iter());
        out.gap();
    }
}

fn over_http(out: &mut Lines, options: &Options, found: &Consumers) {
    let names = ["wasmill run".to_owned(), format!("sqs-consumer x {CONCURRENCY}")];
    out.row(&format!("HTTP, os, {} messages, by 10", options.http_messages), names.into_iter());
    let both = [&found.ours, &found.theirs];
    let cpu = both.map(|rounds| shown(median(rounds.iter().map(|cost| cost.cpu_us_per_message))));
    let rate = both.map(|rounds| shown(median(rounds.iter().map(|cost| cost.per_second))));
    out.row("  CPU us per message", cpu.into_iter());
    out.row("  messages/s", rate.into_iter());
    if found.theirs.is_empty() {
        return;
    }
    let share = found.median(|ours, theirs| ours.cpu_us_per_message / theirs.cpu_us_per_message);
    let times = found.median(|ours, theirs| ours.per_second / theirs.per_second);
    out.row("  share of its CPU", std::iter::once(format!("{share:.3}{}", against(share, CPU_MAX_SHARE))));
    out.row("  times its messages/s", std::iter::once(format!("{times:.2}{}", at_least(times, RATE_MIN_RATIO))));
}

fn at_least(value: f64, least: f64) -> String {
    if value >= least { format!(" (>= {least:.2})") } else { format!(" (< {least:.2}!)") }
}
