//! The counts that were accepted, with what they were counted on: a file for people to read and to see changes of.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::callgrind::Callgrind;
use crate::layout::Layout;
use crate::step;

const HEADER: &str = "\
# Instructions of the hot paths, of all code and of Rust's alone, and what they were counted on.
# `cargo xtask counts` holds against them, `cargo xtask counts --accept` writes them.
";

/// Where it is kept: beside what is counted.
pub(super) fn file(layout: &Layout) -> PathBuf {
    layout.root.join("runtime/cli/examples/counts/baseline.txt")
}

/// Instructions of one benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u64,
    /// Without libc, SQLite and compiled guests.
    pub(super) rust: u64,
}

impl Counts {
    /// The middle one of each.
    pub(super) fn middle(counts: &[Self]) -> Self {
        let middle = |of: fn(&Self) -> u64| {
            let mut numbers: Vec<u64> = counts.iter().map(of).collect();
            numbers.sort_unstable();
            numbers.get(numbers.len() / 2).copied().unwrap_or_default()
        };
        Self { all: middle(|counts| counts.all), rust: middle(|counts| counts.rust) }
    }

    /// The smaller of each.
    pub(super) fn least(self, other: Self) -> Self {
        Self { all: self.all.min(other.all), rust: self.rust.min(other.rust) }
    }
}

/// What a count depends on beside the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// Rust's compiler and what it compiles for.
    pub(super) rust: String,
    /// C's compiler, libc and Valgrind.
    pub(super) c: String,
    /// Whether Valgrind shows the processor that it can show at best.
    pub(super) has_avx2: bool,
}

impl Machine {
    /// The one this runs on.
    pub(super) fn this(callgrind: &Callgrind) -> Result<Self, String> {
        let rustc = step::read(Command::new("rustc").arg("-vV"))?;
        let version = rustc.lines().next().unwrap_or_default();
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let cc = first_line(step::read(Command::new("cc").arg("--version"))?);
        let libc = first_line(step::read(Command::new("getconf").arg("GNU_LIBC_VERSION"))?);
        let processor =
            fs::read_to_string("/proc/cpuinfo").map_err(|error| format!("cannot read /proc/cpuinfo: {error}"))?;
        let has_avx2 = processor.split_whitespace().any(|flag| flag == "avx2");
        Ok(Self { rust: format!("{version} {host}"), c: format!("{cc}, {libc}, {}", callgrind.version), has_avx2 })
    }

    /// Why counts of this machine tell nothing about those of the other.
    pub(super) fn tells_nothing_to(&self, other: &Self) -> Option<String> {
        if self.rust != other.rust {
            return Some(format!("the baseline is from {}, this is {}", self.rust, other.rust));
        }
        (self.has_avx2 != other.has_avx2).then(|| "this processor has no AVX2, that of the baseline had".to_owned())
    }
}

/// The whole file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Baseline {
    pub(super) machine: Machine,
    pub(super) counts: Vec<(String, Counts)>,
}

impl Baseline {
    pub(super) fn of(&self, name: &str) -> Option<Counts> {
        self.counts.iter().find(|(known, _)| known == name).map(|(_, counts)| *counts)
    }

    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text).map_err(|line| format!("{}: cannot read the line {line:?}", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), String> {
        fs::write(file, self.text()).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn text(&self) -> String {
        let Machine { rust, c, has_avx2 } = &self.machine;
        let avx2 = if *has_avx2 { "yes" } else { "no" };
        let mut text = format!("{HEADER}rust: {rust}\nc: {c}\navx2: {avx2}\n");
        for (name, Counts { all, rust }) in &self.counts {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name}: {all} {rust}");
        }
        text
    }

    /// The error is the line that it stumbled over.
    fn parse(text: &str) -> Result<Self, String> {
        let mut machine = Machine { rust: String::new(), c: String::new(), has_avx2: false };
        let mut counts = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (key, value) = line.split_once(": ").ok_or_else(|| line.to_owned())?;
            match key {
                "rust" => value.clone_into(&mut machine.rust),
                "c" => value.clone_into(&mut machine.c),
                "avx2" => machine.has_avx2 = value == "yes",
                name => {
                    let numbers =
                        value.split_once(' ').and_then(|(all, rust)| Some((all.parse().ok()?, rust.parse().ok()?)));
                    let (all, rust) = numbers.filter(|(all, _)| *all > 0).ok_or_else(|| line.to_owned())?;
                    counts.push((name.to_owned(), Counts { all, rust }));
                }
            }
        }
        Ok(Self { machine, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { rust: "rustc 1.95.0 x86_64".to_owned(), c: "cc 12, glibc 2.36".to_owned(), has_avx2: true }
    }

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_named() {
        let counts =
            vec![("send".to_owned(), Counts { all: 20, rust: 12 }), ("filter".to_owned(), Counts { all: 9, rust: 8 })];
        let baseline = Baseline { machine: machine(), counts };
        assert_eq!(baseline.of("filter"), Some(Counts { all: 9, rust: 8 }));
        assert_eq!(baseline.of("encode"), None);
        assert_eq!(Baseline::parse(&baseline.text()), Ok(baseline));
        for wrong in ["send 20 12", "send: 20", "send: many 12", "send: 0 0"] {
            assert_eq!(Baseline::parse(wrong), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn the_middle_and_the_least_are_of_each_number() {
        let counts = [(30, 1), (10, 3), (20, 2)].map(|(all, rust)| Counts { all, rust });
        assert_eq!(Counts::middle(&counts), Counts { all: 20, rust: 2 });
        assert_eq!(counts[0].least(counts[1]), Counts { all: 10, rust: 1 });
    }

    #[test]
    fn another_compiler_or_a_lesser_processor_tells_nothing_and_another_libc_does() {
        assert_eq!(machine().tells_nothing_to(&Machine { c: "cc 13, glibc 2.39".to_owned(), ..machine() }), None);
        for other in
            [Machine { rust: "rustc 1.96.0 x86_64".to_owned(), ..machine() }, Machine { has_avx2: false, ..machine() }]
        {
            assert!(machine().tells_nothing_to(&other).is_some(), "{other:?}");
        }
    }
}
