//! The guides: what they link to is there.

use std::path::{Path, PathBuf};

use support::places;

/// Every Markdown file of the repository.
fn guides(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            // What was built, installed or cloned is not the repository's.
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                found.extend(guides(&path));
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The lines outside of code blocks, without code in them.
fn prose(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line.split('`').step_by(2).collect());
        }
    }
    lines
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
    for guide in guides(&places::repository()) {
        let text = std::fs::read_to_string(&guide).unwrap();
        for target in prose(&text).iter().flat_map(|line| targets(line)) {
            links += 1;
            wrong.extend(broken(&guide, &target));
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
    let line = "see [`a`](b.md#c) and [d](e), <img src=\"f.png\">";
    assert_eq!(prose(line).iter().flat_map(|line| targets(line)).collect::<Vec<_>>(), ["b.md#c", "e", "f.png"]);
}
