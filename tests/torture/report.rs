//! What came of the scenarios, as a table for a terminal and a file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use support::ledger::Account;
use support::log::Log;
use support::places;

use crate::usage::Usage;

/// How many of a list are shown.
const SHOWN: usize = 20;

/// What came of one scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    pub(crate) sent: usize,
    pub(crate) account: Account,
    pub(crate) faults: BTreeMap<&'static str, usize>,
    pub(crate) notes: Vec<String>,
    /// Beside what is wrong with the account.
    pub(crate) wrong: Vec<String>,
    pub(crate) idle: Usage,
    pub(crate) end: Usage,
    /// Of each life.
    pub(crate) logs: Vec<Log>,
}

impl Outcome {
    /// With everything that is wrong in one list.
    pub(crate) fn judged(mut self) -> Self {
        let account = &mut self.account;
        self.wrong.append(&mut account.wrong);
        let settled = account.succeeded + account.dead_lettered + account.remaining;
        if settled != account.acknowledged && self.wrong.is_empty() {
            self.wrong.push(format!("{} were acknowledged, {settled} are accounted for", account.acknowledged));
        }
        if account.remaining > 0 {
            self.wrong.push(format!("{} were not handled in time after the load ended", account.remaining));
        }
        if account.succeeded == 0 {
            self.wrong.push("nothing was handled: it has tested nothing".to_owned());
        }
        self
    }

    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    /// What is wrong, for people.
    pub(crate) fn accusation(&self) -> String {
        let shown = self.wrong.iter().take(SHOWN).map(|what| format!("  {what}\n"));
        format!("{} wrong:\n{}", self.wrong.len(), shown.collect::<String>())
    }
}

/// One visit of a scenario.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) scenario: &'static str,
    pub(crate) seed: u64,
    /// None: the machine cannot. The error is a panic's words.
    pub(crate) outcome: Result<Option<Outcome>, String>,
}

impl Visit {
    pub(crate) fn is_good(&self) -> bool {
        matches!(&self.outcome, Ok(None)) || matches!(&self.outcome, Ok(Some(outcome)) if outcome.is_good())
    }

    /// Keeps the logs of one that is not good; says where.
    pub(crate) fn keep_logs(&self) -> Option<PathBuf> {
        let Ok(Some(outcome)) = &self.outcome else { return None };
        if outcome.is_good() {
            return None;
        }
        let folder = places::profile_folder().join(format!("torture-logs/{}-{}", self.scenario, self.seed));
        std::fs::create_dir_all(&folder).unwrap();
        for (life, log) in outcome.logs.iter().enumerate() {
            let lines: Vec<String> = log.pick(|_| true).into_iter().map(|line| line.text).collect();
            std::fs::write(folder.join(format!("life-{life}.log")), lines.join("\n")).unwrap();
        }
        Some(folder)
    }

    fn row(&self) -> Vec<String> {
        let mut row = vec![self.scenario.to_owned(), self.seed.to_string()];
        match &self.outcome {
            Ok(Some(outcome)) => {
                let account = &outcome.account;
                let repeated = account.repeated_after_restart + account.repeated_beside_failure;
                let faults: Vec<String> =
                    outcome.faults.iter().map(|(what, times)| format!("{times} {what}")).collect();
                row.extend([
                    format!("{:.0} s", outcome.took.as_secs_f64()),
                    outcome.sent.to_string(),
                    account.acknowledged.to_string(),
                    account.succeeded.to_string(),
                    account.dead_lettered.to_string(),
                    account.remaining.to_string(),
                    format!("{} ({} seen)", account.unknown, account.unknown_seen),
                    account.refused.to_string(),
                    format!("{repeated} + {} by lies", account.repeated_by_lies),
                    faults.join(", "),
                    outcome.idle.to_string(),
                    outcome.end.to_string(),
                    if outcome.is_good() { "good".to_owned() } else { format!("{} WRONG", outcome.wrong.len()) },
                ]);
            }
            Ok(None) => row.push("left out".to_owned()),
            Err(_) => row.push("FAILED".to_owned()),
        }
        row
    }

    fn remarks(&self) -> Vec<String> {
        let told = match &self.outcome {
            Ok(None) => vec!["left out: this machine cannot".to_owned()],
            Ok(Some(outcome)) => {
                let account = &outcome.account;
                let mut told = outcome.notes.clone();
                for story in account.dead_of_interruptions.iter().take(3) {
                    told.push(format!("interrupted and dead-lettered: {story}"));
                }
                if !outcome.is_good() {
                    told.push(outcome.accusation());
                }
                told
            }
            Err(words) => vec![format!("FAILED: {words}")],
        };
        told.into_iter().map(|line| format!("* {} ({}): {line}", self.scenario, self.seed)).collect()
    }
}

const HEADS: [&str; 15] = [
    "scenario",
    "seed",
    "took",
    "sent",
    "acknowledged",
    "handled",
    "dead-lettered",
    "remaining",
    "unknown",
    "refused",
    "repeated",
    "faults",
    "idle",
    "end",
    "verdict",
];

/// All visits as a table in Markdown, and what there is to say beside it.
pub(crate) fn markdown(title: &str, visits: &[Visit]) -> String {
    let rows: Vec<Vec<String>> = visits.iter().map(Visit::row).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain([HEADS[column].len()]).max().unwrap_or_default()
    };
    let line = |cells: &[String]| {
        let cells = (0..HEADS.len()).map(|column| {
            let cell = cells.get(column).map_or("", String::as_str);
            format!(" {cell:<width$} |", width = width(column))
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let mut text = format!("{title}\n\n{}", line(&HEADS.map(str::to_owned)));
    text += &line(&(0..HEADS.len()).map(|column| "-".repeat(width(column))).collect::<Vec<_>>());
    rows.iter().for_each(|row| text += &line(row));
    text.push('\n');
    for remark in visits.iter().flat_map(Visit::remarks) {
        let _ = writeln!(text, "{remark}");
    }
    text
}
