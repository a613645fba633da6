//! `ephemeral_storage`: a handler's own `/tmp`, through the real binary, in Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::command::wasmill_command;
use support::config::{IN_MEMORY, plain_mapping, queue_with_dlq};
use support::{Home, Wasmill, eventually, places};

use crate::languages::compile_once;

const PATIENCE: Duration = Duration::from_secs(90);

/// Does what the message says, in `/tmp`, and says what it found.
const HANDLER: &str = r#"
import errno, json, os, tempfile, time

def lambda_handler(event, context):
    if "Records" not in event:
        return fill()
    for record in event["Records"]:
        name = record["body"]
        before = sorted(os.listdir("/tmp"))
        with open(f"/tmp/{name}", "w") as file:
            file.write(name)
        if name.startswith("slow"):
            time.sleep(4)
        print(f"{name} found {before}")

def fill():
    said = {"tempdir": tempfile.gettempdir()}
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 100)
        file.flush()
        said["named"] = os.path.getsize(file.name)
    os.makedirs("/tmp/a/b")
    written = 0
    try:
        with open("/tmp/a/b/large", "wb", buffering=0) as file:
            while True:
                written += file.write(b"\0" * 65536)
    except OSError as error:
        said["full"] = errno.errorcode[error.errno]
    said["written"] = written
    os.remove("/tmp/a/b/large")
    with open("/tmp/again", "wb") as file:
        file.write(b"\0" * 900_000)
    said["again"] = os.path.getsize("/tmp/again")
    try:
        os.symlink("/etc/passwd", "/tmp/link")
    except OSError as error:
        said["symlink"] = errno.errorcode[error.errno]
    said["left"] = sorted(os.listdir("/tmp"))
    return said
"#;

/// A command that makes handlers' folders below this one.
fn in_scratch(mut command: Command, scratch: &Path) -> Command {
    std::fs::create_dir_all(scratch).unwrap();
    command.env("TMPDIR", scratch);
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_python_handler_writes_until_enospc_deletes_and_writes_again() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    compile_once(&home, Some(&runtimes));
    let handler = home.write("tmp.py", HANDLER);
    let event = home.write("event.json", "{}");
    let scratch = home.path().join("scratch");
    let folder = home.path().join("data/wasmill");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&runtimes, folder.join("runtimes")).unwrap();
    let invoke = |more: &[&str]| {
        let arguments = ["invoke", handler.to_str().unwrap(), "--event", event.to_str().unwrap(), "--timeout", "60"];
        let mut command = in_scratch(wasmill_command(arguments.iter().chain(more)), &scratch);
        command.env("XDG_DATA_HOME", home.path().join("data"));
        command.output().unwrap()
    };
    let done = invoke(&["--tmp", "1"]);
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{stderr}");
    let mut said: Value = serde_json::from_slice(&done.stdout).unwrap();
    // wasi-libc makes EIO of whatever a stream is refused; the log has the reason.
    let full = said.as_object_mut().unwrap().remove("full");
    assert!(full == Some(json!("EIO")) || full == Some(json!("ENOSPC")), "{full:?}");
    assert!(stderr.contains("a handler's /tmp is full"), "{stderr}");
    let expected = json!({
        "tempdir": "/tmp", "named": 100, "written": 1 << 20, "again": 900_000, "symlink": "EPERM",
        "left": ["a", "again"],
    });
    assert_eq!(said, expected, "{stderr}");
    assert!(is_empty(&scratch), "the folder went with the process");
    // Without the flag there is none.
    let done = invoke(&[]);
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && stderr.contains("No usable temporary directory"), "{stderr}");
}

async fn wait_for_said(worker: &Wasmill, part: &str) {
    eventually(PATIENCE, async || {
        let lines = worker.log().said_by("tmp");
        match lines.iter().any(|line| line.message().contains(part)) {
            true => Ok(()),
            false => {
                Err(format!("not said: {part}; said: {:?}", lines.iter().map(|l| l.message()).collect::<Vec<_>>()))
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_warm_instance_finds_its_files_and_never_anothers() {
    let Some(runtimes) = places::runtimes() else { return };
    let home = Home::new();
    compile_once(&home, Some(&runtimes));
    let handler = home.write("tmp.py", HANDLER);
    let scratch = home.path().join("scratch");
    // What a killed process left behind is swept at the start.
    std::fs::create_dir_all(scratch.join("wasmill-tmp-1-0-0/0")).unwrap();
    std::fs::write(scratch.join("wasmill-tmp-1-0-0/lock"), "").unwrap();
    let config = format!("runtimes_dir = {runtimes:?}\n{IN_MEMORY}")
        + &queue_with_dlq("tmp", 60, 5)
        + &format!(
            "\n[[function]]\nname = \"tmp\"\ncode = {handler:?}\ntimeout = 60\nephemeral_storage = {{ size = 1 }}\n"
        )
        + &plain_mapping("tmp", "tmp", "batch_size = 1");
    let worker = home
        .run_as(&config, |command| {
            std::fs::create_dir_all(&scratch).unwrap();
            command.env("TMPDIR", &scratch);
        })
        .await;
    assert!(!scratch.join("wasmill-tmp-1-0-0").exists());
    let sqs = worker.sqs();
    sqs.send_batch("tmp", &["one".to_owned()]).await;
    wait_for_said(&worker, "one found []").await;
    sqs.send_batch("tmp", &["two".to_owned()]).await;
    wait_for_said(&worker, "two found ['one']").await;
    // Two at a time: one is in the warm instance, the other in a new one.
    sqs.send_batch("tmp", &["slow-3".to_owned(), "slow-4".to_owned()]).await;
    wait_for_said(&worker, "found ['one', 'two']").await;
    let said = worker.log().said_by("tmp");
    let found: Vec<&str> =
        said.iter().filter_map(|line| line.message().split_once("slow-")).map(|(_, said)| said).collect();
    assert!(found.iter().all(|said| !said.contains("slow-")), "{found:?}");
    wait_for_said(&worker, "4 found").await;
    wait_for_said(&worker, "3 found").await;
    let all: Vec<String> = worker.log().said_by("tmp").iter().map(|line| line.message().to_owned()).collect();
    assert!(all.iter().any(|line| line.contains("slow-") && line.ends_with("found []")), "{all:?}");
    worker.stop().await;
    assert!(is_empty(&scratch), "the folder went with the process");
}
