//! The threat model: each of its lines is held by tests that are there, or says that nothing holds it. And what of the supply
//! chain a test can hold: where `unsafe` may stand, what may enter, and that it is pinned.

use std::path::{Path, PathBuf};

use support::places;

const MODEL: &str = "runtime/THREATS.md";
const NOT_DEFENDED: &str = "not defended";

fn read(path: &str) -> String {
    let path = places::repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables: the first cell, and the last one, which says what holds it.
fn rows(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = lines.map(|line| line.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells.len() > 1 && cells.last().is_some_and(|last| last != "held by"));
    rows.map(|cells| (cells[0].clone(), cells[cells.len() - 1].clone())).collect()
}

/// The file of a test, as the model names it: from the repository's root, or from `runtime/`.
fn file(name: &str) -> Option<PathBuf> {
    let root = places::repository();
    [root.join(name), root.join("runtime").join(name)].into_iter().find(|path| path.is_file())
}

/// Whether there is a test of that name: a function with an attribute that makes it one.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else { return false };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

/// What is wrong with what is said to hold a line: `` `file`: `test`, `test`; `file`: … ``, or words that it is not defended.
fn wrong(held_by: &str) -> Vec<String> {
    let named: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
    if named.is_empty() {
        let is_said = held_by.contains(NOT_DEFENDED);
        return if is_said {
            Vec::new()
        } else {
            vec![format!("no test, and not said to be {NOT_DEFENDED}: {held_by}")]
        };
    }
    let mut wrong = Vec::new();
    let mut current: Option<(&str, String, usize)> = None;
    for name in named {
        if name.ends_with(".rs") {
            wrong.extend(
                current.take().filter(|(_, _, tests)| *tests == 0).map(|(file, _, _)| format!("{file}: no test named")),
            );
            match file(name) {
                Some(path) => current = Some((name, std::fs::read_to_string(path).unwrap(), 0)),
                None => wrong.push(format!("there is no file {name}")),
            }
        } else if let Some((file, text, tests)) = &mut current {
            *tests += 1;
            if !is_test(text, name) {
                wrong.push(format!("{file} has no test {name}"));
            }
        } else {
            wrong.push(format!("{name} is in no file"));
        }
    }
    wrong.extend(current.filter(|(_, _, tests)| *tests == 0).map(|(file, _, _)| format!("{file}: no test named")));
    wrong
}

#[test]
fn every_line_of_the_threat_model_is_held_by_tests_or_said_not_to_be_defended() {
    let text = read(MODEL);
    let rows = rows(&text);
    let wrong: Vec<String> = rows
        .iter()
        .flat_map(|(threat, held_by)| wrong(held_by).into_iter().map(move |wrong| format!("{threat}: {wrong}")))
        .collect();
    assert!(wrong.is_empty(), "{MODEL}:\n{}", wrong.join("\n"));
    assert!(rows.len() > 40, "only {} lines were found", rows.len());
    let undefended = rows.iter().filter(|(_, held_by)| held_by.contains(NOT_DEFENDED)).count();
    assert!(undefended > 5, "who defends against everything has not looked");
    assert!(text.lines().count() <= 150, "nobody reads more");
}

#[test]
fn a_line_that_nothing_holds_is_found() {
    let own = "`tests/cli/threats.rs`: `a_line_that_nothing_holds_is_found`";
    for (held_by, is_right) in [
        (own, true),
        ("not defended: it is plain HTTP", true),
        (
            &format!(
                "{own}; `sandbox/src/cache.rs`: `verification_refuses_changed_content_and_files_that_others_can_write_to`"
            ),
            true,
        ),
        ("", false),
        ("the tests", false),
        ("`tests/cli/threats.rs`: `rows`", false),
        ("`tests/cli/threats.rs`", false),
        (&format!("`tests/cli/threats.rs`; {own}"), false),
        ("`tests/cli/nowhere.rs`: `a_line_that_nothing_holds_is_found`", false),
        ("`a_line_that_nothing_holds_is_found`", false),
    ] {
        assert_eq!(wrong(held_by).is_empty(), is_right, "{held_by}: {:?}", wrong(held_by));
    }
    let table = "| threat | answer | held by |\n|---|---|---|\n| a | b | c |\n";
    assert_eq!(rows(table), [("a".to_owned(), "c".to_owned())]);
}

/// Every Rust file of ours below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_built = path.ends_with("target") || path.ends_with("node_modules");
        if path.is_dir() && !is_built {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn unsafe_code_stands_in_the_one_file_that_maps_checked_modules() {
    let root = places::repository();
    let keyword = ["un", "safe"].concat();
    let uses = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.filter(|line| {
            [" {", " fn", " impl", "(no_mangle"].iter().any(|end| line.contains(&format!("{keyword}{end}")))
        })
        .count()
    };
    let mut found = Vec::new();
    for path in ["runtime", "tests"].iter().flat_map(|folder| sources(&root.join(folder))) {
        let text = std::fs::read_to_string(&path).unwrap();
        if uses(&text) > 0 {
            let reasons = text.matches(&format!("#[expect({keyword}_code, reason = ")).count();
            found.push((path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), uses(&text), reasons));
        }
    }
    assert_eq!(found, [("runtime/sandbox/src/cache.rs".to_owned(), 2, 2)]);
    assert!(read("Cargo.toml").contains(&format!("{keyword}_code = \"deny\"")));
    let members: Vec<String> = read("Cargo.toml")
        .lines()
        .find(|line| line.starts_with("members = "))
        .unwrap()
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    for member in members {
        assert!(read(&format!("{member}/Cargo.toml")).contains("[lints]\nworkspace = true"), "{member}");
    }
}

#[test]
fn what_may_enter_is_checked_and_a_second_version_of_a_crate_needs_a_reason() {
    let deny = read(".deny.toml");
    for rule in [
        "multiple-versions = \"deny\"",
        "wildcards = \"deny\"",
        "unknown-registry = \"deny\"",
        "unknown-git = \"deny\"",
    ] {
        assert!(deny.contains(rule), "{rule}");
    }
    let (_, skipped) = deny.split_once("\nskip = [\n").unwrap();
    let skipped: Vec<&str> = skipped.lines().take_while(|line| *line != "]").collect();
    assert!(!skipped.is_empty() && skipped.iter().all(|line| line.contains("reason = \"")), "{skipped:?}");
    let gate = read(".ci/run");
    assert!(gate.matches("licenses bans sources").count() == 2 && gate.contains("--deny unmatched-skip"));
    for lock in ["Cargo.lock", "handlers/Cargo.lock"] {
        let text = read(lock);
        let packages = text.split("[[package]]").skip(1);
        for package in packages.filter(|package| package.contains("source = ")) {
            assert!(package.contains("source = \"registry+") && package.contains("checksum = "), "{lock}: {package}");
        }
    }
}

#[test]
fn what_the_runtimes_are_made_of_is_pinned_to_the_byte() {
    let python = read("runtime/xtask/src/runtimes/python.txt").replace("\\\n", " ");
    let packages: Vec<&str> = python.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(packages.len() > 1, "{packages:?}");
    for package in packages {
        assert!(package.contains("==") && package.contains("--hash=sha256:"), "{package}");
    }
    let lock = read("runtime/guests/js/package-lock.json");
    let installed = lock.matches("\"node_modules/").count();
    assert_eq!((lock.matches("\"integrity\": \"sha512-").count(), installed > 0), (installed, true));
}

#[test]
fn every_fuzz_target_is_run_and_begins_with_what_is_kept() {
    let root = places::repository();
    let names = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let targets = names("tests/fuzz/fuzz_targets");
    assert_eq!(targets, names("tests/fuzz/seeds"));
    for target in &targets {
        assert!(read("runtime/xtask/src/fuzz.rs").contains(&format!("\"{target}\"")), "{target}");
        assert!(names(&format!("tests/fuzz/seeds/{target}")).len() > 3, "{target}");
    }
}
