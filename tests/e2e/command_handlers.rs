//! WASI commands as handlers, as a component and as a preview-1 module: event on stdin, response on stdout, exit code.

use serde_json::{Value, json};
use support::config::{IN_MEMORY, function, mapping, queue, queue_with_dlq};
use support::wait::holds;
use support::{Counts, PATIENCE, Wasmill, eventually};

use crate::happy::{assert_echoed, delicate_bodies};
use crate::partial_failure::ten_of_which_three_fail;

#[tokio::test]
async fn a_command_component_is_a_handler() {
    commands_are_handlers("command").await;
}

#[tokio::test]
async fn a_preview_1_command_is_a_handler() {
    commands_are_handlers("command-p1").await;
}

async fn commands_are_handlers(guest: &str) {
    let config = IN_MEMORY.to_owned()
        + &queue("bodies", "")
        + &queue_with_dlq("batch", 2, 1)
        + &queue_with_dlq("exits", 2, 1)
        + &function("echo", guest, "timeout = 20")
        + &function("batch", guest, "timeout = 20")
        + &function("exits", guest, "timeout = 2\nenvironment = { TABLE = \"orders\" }")
        + &mapping("bodies", "echo", "batch_size = 1")
        + &mapping("batch", "batch", "")
        + &mapping("exits", "exits", "batch_size = 1");
    let mut worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let (ten, failing) = ten_of_which_three_fail();
    let ids = sqs.send_batch("batch", &ten).await;
    let exits = exits(guest);
    for (_, commands, _) in &exits {
        sqs.send("exits", &commands.to_string()).await;
    }
    let bodies = delicate_bodies();
    for body in &bodies {
        sqs.send("bodies", body).await;
    }

    assert_echoed(&worker, "echo", &bodies).await;
    sqs.wait_for_counts(PATIENCE, "bodies", Counts::EMPTY).await;

    let dead = sqs.receive_all(PATIENCE, "batch-dlq", 3).await;
    let mut dead: Vec<&str> = dead.iter().filter_map(|message| message.message_id()).collect();
    dead.sort_unstable();
    let mut expected = failing.map(|place| ids[place].as_str());
    expected.sort_unstable();
    assert_eq!(dead, expected);
    assert_eq!(sqs.counts("batch").await, Counts::EMPTY);

    let failures = exits.iter().filter(|(_, _, fault)| fault.is_some()).count();
    sqs.wait_for_counts(PATIENCE, "exits-dlq", Counts::visible(failures)).await;
    assert_eq!(sqs.counts("exits").await, Counts::EMPTY);
    for (name, _, expected) in &exits {
        let said = worker.log().said("exits", name);
        assert_eq!(said.len(), 1, "{name}");
        let request = said[0].field("request_id").to_owned();
        let fault = worker.log().events("batch failed").into_iter().find(|line| line.field("request_id") == request);
        let found = fault.as_ref().map(|line| (line.field("fault"), line.field("reason")));
        match (found, expected) {
            (None, None) => {}
            (Some((fault, reason)), Some((expected, part))) if fault == *expected && reason.contains(part) => {}
            _ => panic!("{name}: {found:?}, expected {expected:?}"),
        }
    }
    worker.assert_sound().await;
}

/// A way for a command to end: a line that it logs, what it is told, and the fault with a part of its reason, if any.
type Exit = (&'static str, Value, Option<(&'static str, &'static str)>);

fn exits(guest: &str) -> Vec<Exit> {
    let told = |name: &str, command: Value| json!([{"do": "print", "text": format!("{name}\n")}, command]);
    // WASI 0.2 lets a component say only whether it failed; its libc makes every other status a 1.
    let status = if guest == "command" { "status 1" } else { "status 3" };
    vec![
        ("answers nothing", told("answers nothing", json!({"do": "exit", "code": 0})), None),
        ("answers null", told("answers null", json!({"do": "answer", "text": "null"})), None),
        ("exits with 3", told("exits with 3", json!({"do": "exit", "code": 3})), Some(("handler_error", status))),
        (
            "exits with its reason",
            told("exits with its reason", json!({"do": "error", "text": "no database"})),
            Some(("handler_error", "no database")),
        ),
        ("answers bytes", told("answers bytes", json!({"do": "garbage"})), Some(("bad_reply", ""))),
        ("panics", told("panics", json!({"do": "trap"})), Some(("trap", "told to trap"))),
        ("spins", told("spins", json!({"do": "spin"})), Some(("timeout", "2.00 seconds"))),
    ]
}

#[tokio::test]
async fn a_command_finds_its_context_and_only_its_own_variables_in_the_environment() {
    let environment = "timeout = 7\nmemory_size = 64\nenvironment = { TABLE = \"${TABLE:-orders}\" }";
    let config = IN_MEMORY.to_owned()
        + &queue("jobs", "")
        + &function("told", "command", environment)
        + &mapping("jobs", "told", "");
    let worker = Wasmill::start(&config).await;
    let ask = |name: &str| json!({"do": "env", "name": name});
    let body = json!([{"do": "context"}, ask("TABLE"), ask("HOME"), ask("AWS_SECRET_ACCESS_KEY"), ask("GUESTS")]);
    worker.sqs().send("jobs", &body.to_string()).await;
    let said = eventually(PATIENCE, async || {
        let said = worker.log().said_by("told");
        holds(said.len() >= 5, || format!("{} of 5 lines", said.len()))?;
        Ok(said)
    })
    .await;
    let context: Value = serde_json::from_str(said[0].message()).unwrap();
    assert_eq!(context["requestId"], said[0].field("request_id"));
    assert_eq!(context["functionName"], "told");
    assert_eq!(context["functionVersion"], "$LATEST");
    assert_eq!(context["memoryLimitMb"], 64);
    assert_eq!(context["region"], "us-east-1");
    let lines: Vec<&str> = said[1..].iter().map(|line| line.message()).collect();
    assert_eq!(
        lines,
        ["TABLE=orders", "HOME is not set", "AWS_SECRET_ACCESS_KEY is not set", "GUESTS is not set"],
        "of wasmill's own environment a handler sees nothing"
    );
}
