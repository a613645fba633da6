//! What a server costs, read from `/proc`: processor time and resident memory of a process and all its descendants.
//!
//! Linux only, like the rest of the bench. Samples over time are absent: who measures reads before and after.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

/// `/proc` counts processor time in hundredths of a second (`USER_HZ`), whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that a process and its descendants have used, user and system, every thread of theirs.
pub(super) fn cpu_time(root: u32) -> Result<Duration, String> {
    let ticks: u64 = family(root)?.iter().map(|process| process.cpu_ticks).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The processor time of this process alone: of the load that it makes.
pub(super) fn own_cpu_time() -> Result<Duration, String> {
    let own = read(std::process::id()).ok_or("/proc does not tell this process's time")?;
    Ok(Duration::from_millis(own.cpu_ticks * 1000 / TICKS_PER_SECOND))
}

/// The resident memory of a process and its descendants in KiB.
pub(super) fn resident_kib(root: u32) -> Result<u64, String> {
    family(root)?.iter().map(|process| status_kib(process.pid, "VmRSS:")).sum()
}

struct Process {
    pid: u32,
    parent: u32,
    cpu_ticks: u64,
}

/// A process and its descendants. An error when it is not there any more.
fn family(root: u32) -> Result<Vec<Process>, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc cannot be read: {error}"))?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // One that ends while it is looked at is left out.
    let mut all: HashMap<u32, Process> = pids.filter_map(read).map(|process| (process.pid, process)).collect();
    let mut members = HashSet::from([root]);
    loop {
        let known = members.len();
        members.extend(
            all.values()
                .filter(|process| members.contains(&process.parent))
                .map(|process| process.pid)
                .collect::<Vec<_>>(),
        );
        if members.len() == known {
            break;
        }
    }
    let family: Vec<Process> = members.iter().filter_map(|pid| all.remove(pid)).collect();
    if family.iter().any(|process| process.pid == root) { Ok(family) } else { Err(format!("process {root} ended")) }
}

fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in brackets and may hold anything, so what follows the last one counts.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // State, parent, …; user and system time are fields 14 and 15 of all.
    Some(Process { pid, parent: u32::try_from(number(1)?).ok()?, cpu_ticks: number(11)? + number(12)? })
}

fn status_kib(pid: u32, key: &str) -> Result<u64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| format!("/proc/{pid}/status has no {key}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::process::{self, Command};
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_of_this_process_and_memory_of_a_child_are_seen() {
        let begun = Instant::now();
        let before = cpu_time(process::id()).unwrap();
        while cpu_time(process::id()).unwrap() < before + Duration::from_millis(20) {
            assert!(begun.elapsed() < Duration::from_secs(60), "processor time does not move");
        }
        let alone = resident_kib(process::id()).unwrap();
        assert!(alone > 100);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let with_child = family(process::id()).unwrap().iter().any(|process| process.pid == child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(with_child);
        assert!(cpu_time(child.id()).is_err(), "an ended process is an error, not zero");
    }
}
