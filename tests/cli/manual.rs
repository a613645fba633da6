//! Completions and man pages: made of the command line, so they have its commands and flags.

use support::{Home, wasmill};

#[test]
fn each_shell_gets_completions_that_name_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = wasmill(["completions", shell]);
        let text = script.assert_succeeds();
        assert!(["redrive", "save-events", "import"].iter().all(|word| text.contains(word)), "{shell}: {text}");
    }
    wasmill(["completions", "ksh"]).assert_fails(2, &["possible values: bash"]);
}

#[test]
fn bash_can_read_its_own() {
    let script = wasmill(["completions", "bash"]).stdout;
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", "eval \"$(cat)\"; complete -p wasmill"]);
    let checked = support::command::run(&mut bash, &script);
    assert!(checked.assert_succeeds().contains("-F _wasmill"), "{checked}");
}

#[test]
fn each_command_gets_a_page() {
    let home = Home::new();
    let folder = home.path().join("man/man1");
    let written = wasmill(["man".as_ref(), folder.as_os_str()]);
    assert!(written.assert_succeeds().contains("man -l"), "{written}");
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("wasmill.1").contains("wasmill\\-import(1)"), "{}", page("wasmill.1"));
    let send = page("wasmill-queue-send.1");
    assert!(send.contains("Exit codes") && send.contains("delay"), "{send}");
    home.write("taken", "");
    let taken = home.path().join("taken");
    wasmill(["man".as_ref(), taken.as_os_str()]).assert_fails(4, &["cannot be written", "taken"]);
}
