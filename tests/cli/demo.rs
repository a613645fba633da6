//! `wasmill demo`: it ends by itself, with a summary that adds up.

use std::time::Duration;

use support::guide::Guide;
use support::wasmill;

/// The number behind a word at the beginning of a line.
fn number(summary: &str, word: &str) -> u64 {
    let line = summary.lines().find(|line| line.trim_start().starts_with(word));
    let number = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number behind {word:?} in\n{summary}"))
}

/// A line without its numbers and without how wide it is.
fn shape(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    words
        .join(" ")
        .split(|char: char| char.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("#")
}

#[test]
fn the_demo_ends_by_itself_and_every_order_is_accounted_for() {
    let demo = wasmill(["demo"]);
    let text = demo.assert_succeeds();
    assert!(demo.took < Duration::from_secs(40), "{demo}");
    let (progress, summary) = text.split_once("every one accounted for").expect("a summary");
    let shown = progress.lines().filter(|line| line.contains(" s  received ")).count();
    assert!(shown >= 5, "progress is shown as it goes: {shown} lines\n{demo}");

    let orders: u64 = progress.lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let [received, succeeded, retried, dead] =
        ["received", "succeeded", "retried", "dead-letter"].map(|word| number(summary, word));
    assert_eq!(succeeded + dead, orders, "{demo}");
    assert!(succeeded > 0 && retried > 0 && dead > 0, "{demo}");

    // What each dead letter died of: as many lines as dead letters, and the three ways to die are among them.
    let (_, reasons) = summary.split_once("orders-dlq:\n").expect("the dead letters");
    let reasons: Vec<&str> = reasons.lines().take_while(|line| line.starts_with("      ")).collect();
    assert_eq!(reasons.len() as u64, dead, "{demo}");
    let died_of = |part: &str| reasons.iter().filter(|line| line.contains(part)).count() as u64;
    let at_once = died_of("dead-letter verdict: malformed order");
    assert!(at_once > 0 && died_of("batchItemFailures") > 0 && died_of("timed out after") > 0, "{demo}");
    // Each delivery was one of three things.
    assert_eq!(received, succeeded + retried + at_once, "{demo}");

    // The README shows a run.
    let blocks = Guide::named("README.md").blocks();
    let shown = blocks.iter().find(|block| block.text.contains("every one accounted for")).expect("a run of the demo");
    let printed: Vec<String> = text.lines().map(shape).collect();
    for line in shown.text.lines().filter(|line| line.trim() != "…") {
        assert!(printed.contains(&shape(line)), "the README shows {:?}, which is not in\n{printed:#?}", shape(line));
    }

    assert!(summary.contains("messages per second"), "{demo}");
    assert!(summary.contains("p50 ") && summary.contains("p99 "), "{demo}");
}
