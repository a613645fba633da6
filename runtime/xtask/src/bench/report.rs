//! The results of `bench queue` for people, and for programs, as JSON. The targets stand here, beside what they are about.

use std::fmt::Write as _;

use super::Results;
use super::load::{Outcome, Work};
use super::options::Options;
use super::probes::SHALLOW;
use super::server::Kind;

/// Where shares of fauxqs's processor time are compared.
const SHARE_CONNECTIONS: usize = 16;
/// At most this share of fauxqs's processor time per message: in memory, and durable against a kill.
const SHARE_TARGETS: [(Work, f64, f64); 4] = [
    (Work::Send, 0.29, 0.42),
    (Work::SendBatch, 0.45, 0.65),
    (Work::ReceiveDelete, 0.34, 0.48),
    (Work::Mixed, 0.25, 0.35),
];
const DURABLE_MEMORY_MAX_MB: f64 = 45.0;
const START_UP_MAX_RATIO: f64 = 2.0;
/// Of what a message costs in a short queue, in a long one.
pub(super) const DEPTH_MAX_RATIO: f64 = 1.2;
const LABEL_WIDTH: usize = 34;
const COLUMN_WIDTH: usize = 24;

/// The tables.
pub(super) fn text(options: &Options, results: &Results) -> String {
    let mut out = Lines::default();
    for (title, number) in NUMBERS {
        out.row(title, results.kinds.iter().map(|kind| kind.name().to_owned()));
        for work in Work::ALL {
            for connections in &options.connections {
                let label = format!("  {}, {connections} conn.", work.name());
                let cell = |kind: &Kind| {
                    results.cells.get(&(work, *connections, *kind)).map_or_else(String::new, |cell| shown(number(cell)))
                };
                out.row(&label, results.kinds.iter().map(cell));
            }
        }
        out.gap();
    }
    shares(&mut out, results);
    beside_http(&mut out, results);
    out.row("sent to received by a waiting receive", names(&results.long_polls));
    out.row("  p50 / p99, ms", results.long_polls.iter().map(|(_, (p50, p99))| format!("{} / {}", ms(*p50), ms(*p99))));
    out.gap();
    out.row("resident memory, MB", names(&results.memory));
    out.row("  messages of 256 B", results.memory.iter().map(|(_, memory)| memory.messages.to_string()));
    out.row(
        "  before / with them",
        results.memory.iter().map(|(kind, memory)| {
            let filled = mb(memory.filled_kib);
            let mark = if matches!(kind, Kind::Os | Kind::Fsync) {
                against(filled, DURABLE_MEMORY_MAX_MB)
            } else {
                String::new()
            };
            format!("{:.1} / {filled:.1}{mark}", mb(memory.empty_kib))
        }),
    );
    out.gap();
    let floor = floor_ms(results);
    out.row("start to first answer, ms", names(&results.start_up_ms));
    out.row(
        "  median",
        results.start_up_ms.iter().map(|(kind, ms)| {
            let mark = if matches!(kind, Kind::Os | Kind::Fsync) {
                against(*ms, START_UP_MAX_RATIO * floor)
            } else {
                String::new()
            };
            format!("{ms:.1}{mark}")
        }),
    );
    let _ = writeln!(
        out.0,
        "  beside it: a program that does nothing {:.1}, one that opens a new store {:.1}",
        results.baseline.nothing_ms, results.baseline.store_ms
    );
    out.gap();
    out.row("mixed at depth, CPU us per message", names(&results.depths));
    out.row(
        &format!("  {SHALLOW} queued"),
        results.depths.iter().map(|(_, depth)| shown(depth.shallow_cost.cpu_us_per_message)),
    );
    if let Some((_, depth)) = results.depths.first() {
        out.row(
            &format!("  {} queued", depth.deep),
            results.depths.iter().map(|(_, depth)| {
                let ratio = depth.deep_cost.cpu_us_per_message / depth.shallow_cost.cpu_us_per_message;
                format!("{}{}", shown(depth.deep_cost.cpu_us_per_message), against(ratio, DEPTH_MAX_RATIO))
            }),
        );
    }
    out.0
}

/// The columns of what was not measured on all.
fn names<T>(measured: &[(Kind, T)]) -> impl Iterator<Item = String> {
    measured.iter().map(|(kind, _)| kind.name().to_owned())
}

type Number = fn(&Outcome) -> f64;

const NUMBERS: [(&str, Number); 5] = [
    ("CPU us per message", |cell| cell.cpu_us_per_message),
    ("the load's own CPU us per message", |cell| cell.generator_us_per_message),
    ("messages/s", |cell| cell.per_second),
    ("p50, ms", |cell| f64::from(cell.p50_us) / 1e3),
    ("p99, ms", |cell| f64::from(cell.p99_us) / 1e3),
];

/// What a new store's opening adds to a program that does nothing is in the opener's time already.
fn floor_ms(results: &Results) -> f64 {
    results.baseline.store_ms.max(results.baseline.nothing_ms)
}

/// Of fauxqs's processor time per message, when it was measured.
fn share(results: &Results, work: Work, kind: Kind) -> Option<f64> {
    ratio(results, work, kind, Kind::Fauxqs)
}

fn ratio(results: &Results, work: Work, kind: Kind, to: Kind) -> Option<f64> {
    let cost = |kind| results.cells.get(&(work, SHARE_CONNECTIONS, kind)).map(|cell| cell.cpu_us_per_message);
    Some(cost(kind)? / cost(to)?)
}

/// Processor time as a multiple of what answering alone takes.
fn beside_http(out: &mut Lines, results: &Results) {
    let beside: Vec<Kind> = results.kinds.iter().copied().filter(|kind| kind.keeps_messages()).collect();
    if beside.iter().all(|kind| ratio(results, Work::Send, *kind, Kind::HttpAlone).is_none()) {
        return;
    }
    out.row("CPU beside http-alone, 16 conn.", beside.iter().map(|kind| kind.name().to_owned()));
    for work in Work::ALL {
        let cell = |kind: &Kind| {
            let ratio = ratio(results, work, *kind, Kind::HttpAlone);
            ratio.map_or_else(String::new, |ratio| format!("{}x", shown(ratio)))
        };
        out.row(&format!("  {}", work.name()), beside.iter().map(cell));
    }
    out.gap();
}

fn shares(out: &mut Lines, results: &Results) {
    let is_shown = |kind: &Kind| kind.is_ours() || *kind == Kind::HttpAlone;
    let ours: Vec<Kind> = results.kinds.iter().copied().filter(is_shown).collect();
    if ours.iter().all(|kind| share(results, Work::Send, *kind).is_none()) {
        return;
    }
    out.row("share of fauxqs's CPU, 16 conn.", ours.iter().map(|kind| kind.name().to_owned()));
    for (work, in_memory, os) in SHARE_TARGETS {
        let cell = |kind: &Kind| {
            let Some(share) = share(results, work, *kind) else { return String::new() };
            let mark = match kind {
                Kind::InMemory => against(share, in_memory),
                Kind::Os => against(share, os),
                _ => String::new(),
            };
            format!("{share:.3}{mark}")
        };
        out.row(&format!("  {}", work.name()), ours.iter().map(cell));
    }
    out.gap();
}

pub(super) fn against(value: f64, most: f64) -> String {
    if value <= most { format!(" (<= {most:.2})") } else { format!(" (> {most:.2}!)") }
}

pub(super) fn shown(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn ms(micros: u32) -> String {
    format!("{:.2}", f64::from(micros) / 1e3)
}

fn mb(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A text table.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn row(&mut self, label: &str, cells: impl Iterator<Item = String>) {
        let _ = write!(self.0, "{label:LABEL_WIDTH$}");
        for cell in cells {
            let _ = write!(self.0, "{cell:>COLUMN_WIDTH$}");
        }
        self.gap();
    }

    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// One JSON object: numbers only, but for the names.
pub(super) fn json(results: &Results) -> String {
    let cells = results.cells.iter().map(|((work, connections, kind), cell)| {
        format!(
            r#"{{"work":"{}","connections":{connections},"server":"{}",{}}}"#,
            work.name(),
            kind.name(),
            numbers(cell)
        )
    });
    let shares = SHARE_TARGETS.iter().flat_map(|(work, ..)| {
        let of = move |kind: &Kind| {
            let share = share(results, *work, *kind).filter(|_| kind.is_ours())?;
            Some(format!(r#"{{"work":"{}","server":"{}","share":{share:.4}}}"#, work.name(), kind.name()))
        };
        results.kinds.iter().filter_map(of)
    });
    let polls = results
        .long_polls
        .iter()
        .map(|(kind, (p50, p99))| format!(r#"{{"server":"{}","p50_us":{p50},"p99_us":{p99}}}"#, kind.name()));
    let memory = results.memory.iter().map(|(kind, memory)| {
        format!(
            r#"{{"server":"{}","messages":{},"empty_kib":{},"filled_kib":{}}}"#,
            kind.name(),
            memory.messages,
            memory.empty_kib,
            memory.filled_kib
        )
    });
    let starts = results.start_up_ms.iter().map(|(kind, ms)| format!(r#"{{"server":"{}","ms":{ms:.2}}}"#, kind.name()));
    let depths = results.depths.iter().map(|(kind, depth)| {
        format!(
            r#"{{"server":"{}","shallow":{SHALLOW},"deep":{},"at_shallow":{{{}}},"at_deep":{{{}}}}}"#,
            kind.name(),
            depth.deep,
            numbers(&depth.shallow_cost),
            numbers(&depth.deep_cost)
        )
    });
    format!(
        "{{\"cells\":{},\n\"shares_of_fauxqs\":{},\n\"long_polls\":{},\n\"memory\":{},\n\"start_up\":{},\n\
         \"baseline\":{{\"nothing_ms\":{:.2},\"store_ms\":{:.2}}},\n\"depth\":{}}}\n",
        array(cells),
        array(shares),
        array(polls),
        array(memory),
        array(starts),
        results.baseline.nothing_ms,
        results.baseline.store_ms,
        array(depths)
    )
}

fn numbers(cell: &Outcome) -> String {
    let Outcome { messages, per_second, cpu_us_per_message, generator_us_per_message, p50_us, p99_us, .. } = cell;
    format!(
        r#""messages":{messages},"messages_per_second":{},"cpu_us_per_message":{},"generator_us_per_message":{},"p50_us":{p50_us},"p99_us":{p99_us}"#,
        number(*per_second),
        number(*cpu_us_per_message),
        number(*generator_us_per_message)
    )
}

/// JSON has no infinities.
fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "null".to_owned() }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(",\n"))
}
