//! `wasmill new`, `build`, `invoke`: a project in each language is made, built by its own toolchain, and handles its event.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::command::wasmill_command;
use support::{Home, places};

/// The message of the projects' event that is not what is expected.
const FAILED: &str = "2e1424d4-f796-459a-8184-9c92662be6da";

/// Runs wasmill in a folder, with the toolchains that `cargo xtask test` names.
fn run(folder: &Path, arguments: &[&str], environment: &BTreeMap<String, OsString>) -> Output {
    let mut command: Command = wasmill_command(arguments);
    command.current_dir(folder).envs(environment);
    // The runtimes lie beside the binary as a rule; these lie where the tests were told.
    if let Some(runtimes) = places::runtimes() {
        let data = folder.join(".share");
        std::fs::create_dir_all(data.join("wasmill")).unwrap();
        // There from an earlier command.
        let _ = std::os::unix::fs::symlink(runtimes, data.join("wasmill/runtimes"));
        command.env("XDG_DATA_HOME", data);
    }
    command.output().unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The lines that the handler wrote.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_handler = lines.filter(|line| line["target"] == "wasmill::handler");
    of_handler.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

/// `PATH` with the toolchains in front, which have a program of this name. None where they have not: on CI they have.
fn toolchain_with(program: &str) -> Option<BTreeMap<String, OsString>> {
    let folders = env::var_os("WASMILL_TEST_TOOLCHAINS").unwrap_or_default();
    let found = env::split_paths(&folders).find(|folder| folder.join(program).is_file());
    assert!(found.is_some() || env::var_os("CI").is_none(), "{program} is not in {}", folders.display());
    let path = env::join_paths([found?].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    let mut environment = BTreeMap::from([("PATH".to_owned(), path)]);
    environment.insert("GOTOOLCHAIN".to_owned(), "local".into());
    Some(environment)
}

/// Makes a project, builds it, and invokes what was built with the project's event.
fn made_and_built(home: &Home, language: &str, toolchain: &BTreeMap<String, OsString>) -> PathBuf {
    let name = format!("my-{language}");
    succeeded(&run(home.path(), &["new", "--lang", language, &name], toolchain));
    let project = home.path().join(&name);
    let built = succeeded(&run(&project, &["build"], toolchain));
    assert!(built.starts_with(&format!("built ./{name}.wasm (")), "{built}");
    handles_its_event(&project, &format!("{name}.wasm"), toolchain);
    project
}

#[track_caller]
fn handles_its_event(project: &Path, code: &str, toolchain: &BTreeMap<String, OsString>) {
    let invoked = run(project, &["invoke", code, "--event", "event.json"], toolchain);
    let response: Value = serde_json::from_str(&succeeded(&invoked)).unwrap();
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": FAILED}]}));
    let said = said(&invoked);
    assert!(said.iter().any(|line| line.contains("handling first")), "{said:?}");
}

#[test]
fn a_rust_project_builds_with_the_crate_that_came_along() {
    let Ok(lines) = env::var("WASMILL_TEST_RUST") else {
        assert!(env::var_os("CI").is_none(), "no Rust toolchain for WebAssembly is named");
        return;
    };
    let variables = lines.lines().filter_map(|line| line.split_once('='));
    let mut toolchain: BTreeMap<String, OsString> =
        variables.map(|(name, value)| (name.to_owned(), value.into())).collect();
    // The tests' own variables are for the crate that is tested.
    toolchain.insert("CARGO".to_owned(), env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    made_and_built(&Home::new(), "rust", &toolchain);
}

#[test]
fn a_project_in_c_go_and_zig_builds() {
    for (language, program) in [("c", "python-zig"), ("zig", "python-zig"), ("go", "go")] {
        let Some(toolchain) = toolchain_with(program) else { continue };
        made_and_built(&Home::new(), language, &toolchain);
    }
}

#[test]
fn a_javascript_and_a_typescript_project_run_as_they_are_and_build() {
    if places::runtimes().is_none() {
        return;
    }
    for (language, source) in [("js", "handler.mjs"), ("ts", "handler.ts")] {
        let home = Home::new();
        let project = made_and_built(&home, language, &BTreeMap::new());
        handles_its_event(&project, source, &BTreeMap::new());
        // The module is all that is needed.
        std::fs::remove_file(project.join(source)).unwrap();
        handles_its_event(&project, &format!("my-{language}.wasm"), &BTreeMap::new());
    }
}

#[test]
fn a_python_project_builds_with_its_packages_and_nothing_of_the_build_stays_in_it() {
    let (Some(toolchain), Some(_)) = (toolchain_with("componentize-py"), places::runtimes()) else { return };
    let home = Home::new();
    succeeded(&run(home.path(), &["new", "--lang", "python", "greeter"], &toolchain));
    let project = home.path().join("greeter");
    handles_its_event(&project, "handler.py", &toolchain);
    let handler = r#"
import os, pathlib, random, time, uuid
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

TABLE = os.environ["TABLE"]
AT_START = [random.random(), str(uuid.uuid4()), time.time()]
WORDS = pathlib.Path(__file__).with_name("words.txt").read_text()
processor = BatchProcessor(event_type=EventType.SQS)


def handle(record):
    record.json_body


def lambda_handler(event, context):
    print("at start", TABLE, *AT_START, WORDS)
    print("now", random.random())
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
"#;
    std::fs::write(project.join("handler.py"), handler).unwrap();
    std::fs::write(project.join("words.txt"), "a file of the app").unwrap();
    std::fs::write(project.join("requirements.txt"), "aws-lambda-powertools==3.31.0\n").unwrap();
    let mut building = toolchain.clone();
    building.insert("TABLE".to_owned(), "of-the-build".into());
    let built = succeeded(&run(&project, &["build", "--out", "greeter.wasm"], &building));
    assert!(built.starts_with("built greeter.wasm ("), "{built}");
    for source in ["handler.py", "words.txt"] {
        std::fs::remove_file(project.join(source)).unwrap();
    }
    let mut seen = Vec::new();
    for table in ["one", "two"] {
        let variable = format!("TABLE={table}");
        let invoked =
            run(&project, &["invoke", "greeter.wasm", "--event", "event.json", "--env", &variable], &toolchain);
        let response: Value = serde_json::from_str(&succeeded(&invoked)).unwrap();
        assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": FAILED}]}));
        let said = said(&invoked);
        let at_start = said.iter().find(|line| line.starts_with("at start")).unwrap().clone();
        assert!(
            at_start.contains(&format!("at start {table} ")) && at_start.ends_with("a file of the app"),
            "{at_start}"
        );
        let now = said.iter().find(|line| line.starts_with("now")).unwrap().clone();
        let words = at_start.split(' ').skip(3).take(3).chain(now.split(' ').skip(1));
        seen.extend(words.map(str::to_owned));
    }
    let different: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(different.len(), 8, "randomness and time are each sandbox's own: {seen:?}");
}

#[test]
fn a_toolchain_that_is_missing_is_said_with_how_to_get_it() {
    let home = Home::new();
    let nothing =
        BTreeMap::from([("PATH".to_owned(), OsString::from("/nowhere")), ("WASI_SDK_PATH".to_owned(), "".into())]);
    for (language, mend) in [("c", "pip install ziglang"), ("go", "https://go.dev/dl"), ("zig", "pip install ziglang")]
    {
        let name = format!("my-{language}");
        succeeded(&run(home.path(), &["new", "--lang", language, &name], &nothing));
        let built = run(&home.path().join(&name), &["build"], &nothing);
        let err = String::from_utf8_lossy(&built.stderr);
        assert_eq!(built.status.code(), Some(4), "{err}");
        assert!(err.contains("is not installed") && err.contains(mend), "{err}");
        assert!(!home.path().join(&name).join(format!("{name}.wasm")).exists());
    }
}

#[test]
fn a_folder_that_is_there_is_never_written_over() {
    let home = Home::new();
    home.write("taken/precious.txt", "mine");
    let refused = run(home.path(), &["new", "--lang", "js", "taken"], &BTreeMap::new());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is there already"));
    assert_eq!(std::fs::read_dir(home.path().join("taken")).unwrap().count(), 1);
}
