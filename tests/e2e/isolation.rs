//! Handlers that misbehave: their messages are not lost, nobody else is held up, and the process stays sound.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use support::config::{IN_MEMORY, function, mapping, queue, queue_with_dlq};
use support::{Counts, PATIENCE, Wasmill};

#[tokio::test]
async fn a_handler_that_never_returns_holds_up_nobody_else() {
    let spinners = 6;
    let config = IN_MEMORY.to_owned()
        + &queue("stuck", "visibility_timeout = 300")
        + &queue("polite", "")
        + &function("spinner", "faulty", "timeout = 6")
        + &function("polite", "faulty", "timeout = 20")
        + &mapping("stuck", "spinner", "batch_size = 1")
        + &mapping("polite", "polite", "");
    let mut worker = Wasmill::start(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    let spin = json!([{"do": "print", "text": "spinning\n"}, {"do": "spin"}]).to_string();
    sqs.send_batch("stuck", &vec![spin; spinners]).await;
    // More of them than there are threads that run handlers.
    log.wait_for_said(PATIENCE, "spinner", "spinning", spinners).await;
    for n in 0..10 {
        sqs.send("polite", &json!({"do": "print", "text": format!("served {n}\n")}).to_string()).await;
    }
    let mut served_at = Vec::new();
    for n in 0..10 {
        served_at.push(log.wait_for_said(PATIENCE, "polite", &format!("served {n}"), 1).await[0].seen_at);
    }

    worker.wait_for_metric(PATIENCE, "wasmill_mapping_invocations_total", &[("outcome", "timeout")], 6).await;
    let timeouts = log.events("batch failed");
    assert!(timeouts.iter().all(|line| line.field("fault") == "timeout" && line.field("mapping") == "stuck/spinner"));
    let last_timeout = timeouts.iter().map(|line| line.seen_at).max().unwrap();
    assert!(served_at.iter().all(|served| *served < last_timeout), "served while others were still spinning");
    sqs.wait_for_counts(PATIENCE, "stuck", Counts::in_flight(spinners)).await;
    sqs.wait_for_counts(PATIENCE, "polite", Counts::EMPTY).await;
    worker.assert_sound().await;
}

/// A way to misbehave: its name, the commands for it, and the fault that it must be recorded as.
fn misdeeds() -> Vec<(&'static str, serde_json::Value, &'static str)> {
    vec![
        ("spins", json!({"do": "spin"}), "timeout"),
        ("sleeps on", json!({"do": "sleep_ms", "ms": 60_000}), "timeout"),
        ("panics", json!({"do": "trap"}), "trap"),
        ("recurses for ever", json!({"do": "recursion"}), "trap"),
        ("eats memory", json!({"do": "eat_memory"}), "out_of_memory"),
        ("leaves", json!({"do": "exit", "code": 3}), "handler_error"),
        ("gives an error", json!({"do": "error", "text": "no database"}), "handler_error"),
        ("answers too much", json!({"do": "big_reply", "bytes": 5000}), "reply_too_large"),
        ("answers no JSON", json!({"do": "answer", "text": "<html>502</html>"}), "bad_reply"),
        ("answers torn JSON", json!({"do": "answer", "text": "{\"batchItemFailures\":["}), "bad_reply"),
        ("answers a list", json!({"do": "answer", "text": "[]"}), "bad_reply"),
        (
            "names a stranger",
            json!({"do": "answer", "text": "{\"batchItemFailures\":[{\"itemIdentifier\":\"nobody\"}]}"}),
            "bad_reply",
        ),
        ("names nobody", json!({"do": "answer", "text": "{\"batchItemFailures\":[{}]}"}), "bad_reply"),
    ]
}

#[tokio::test]
async fn messages_of_misbehaving_handlers_end_in_the_dead_letter_queue_with_their_fault_on_record() {
    let limits = "timeout = 2\nmemory_size = 16\nmax_response_bytes = 4096";
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("hostile", 3, 1)
        + &queue("polite", "")
        + &function("hostile", "faulty", limits)
        + &function("polite", "faulty", "timeout = 20")
        + &mapping("hostile", "hostile", "batch_size = 1")
        + &mapping("polite", "polite", "");
    let mut worker = Wasmill::start(&config).await;
    let (sqs, log) = (worker.sqs(), worker.log().clone());
    let mut bodies = BTreeMap::new();
    for (name, commands, _) in misdeeds() {
        let body = json!([{"do": "print", "text": format!("it {name}\n")}, commands]).to_string();
        bodies.insert(sqs.send("hostile", &body).await, body);
    }

    let dead = sqs.receive_all(PATIENCE, "hostile-dlq", bodies.len()).await;
    let dead: BTreeMap<String, String> =
        dead.into_iter().map(|message| (message.message_id.unwrap(), message.body.unwrap())).collect();
    assert_eq!(dead, bodies, "every one, and as it was sent");
    assert_eq!(sqs.counts("hostile").await, Counts::EMPTY);
    let faults = log.events("batch failed");
    for (name, _, expected) in misdeeds() {
        let said = log.said("hostile", &format!("it {name}"));
        assert_eq!(said.len(), 1, "a handler that {name} runs once");
        let fault = faults.iter().find(|line| line.field("request_id") == said[0].field("request_id")).unwrap();
        assert_eq!(fault.field("fault"), expected, "a handler that {name}: {}", fault.text);
        assert!(!fault.field("reason").is_empty(), "{}", fault.text);
    }

    sqs.send("polite", &json!({"do": "print", "text": "still here\n"}).to_string()).await;
    log.wait_for_said(PATIENCE, "polite", "still here", 1).await;
    worker.assert_sound().await;
}

#[tokio::test]
async fn one_poisonous_message_fails_its_batch_and_none_is_lost() {
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("mixed", 2, 2)
        + &function("orders", "faulty", "")
        + &mapping("mixed", "orders", "");
    let mut worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let mut bodies: Vec<String> = (0..9).map(|n| json!({"do": "echo_to_log", "n": n}).to_string()).collect();
    bodies.push(json!([{"do": "echo_to_log"}, {"do": "trap"}]).to_string());
    let ids = sqs.send_batch("mixed", &bodies).await;

    // Which of the nine shared a batch with the tenth is not promised; that none vanishes without having run is.
    sqs.wait_for_counts(PATIENCE, "mixed", Counts::EMPTY).await;
    let dead = sqs.counts("mixed-dlq").await.visible;
    let dead_ids: Vec<String> =
        sqs.receive_all(PATIENCE, "mixed-dlq", dead).await.into_iter().filter_map(|dead| dead.message_id).collect();
    assert!(dead_ids.contains(&ids[9]), "the poisonous one is a dead letter: {dead_ids:?}");
    let deleted = worker.metric("wasmill_queue_deleted_total", &[("queue", "mixed")]).await as usize;
    assert_eq!(deleted + dead_ids.len(), 10, "deleted {deleted}, dead {dead_ids:?}");
    for body in &bodies {
        assert!(!worker.log().said("orders", body).is_empty(), "{body} never ran");
    }
    worker.assert_sound().await;
}

#[tokio::test]
async fn a_handler_that_floods_its_output_is_cut_short_and_succeeds() {
    let config = IN_MEMORY.to_owned()
        + &queue("chatty", "")
        + &function("chatty", "faulty", "timeout = 20\nmax_log_bytes = 10000")
        + &mapping("chatty", "chatty", "");
    let worker = Wasmill::start(&config).await;
    let flood = json!([
        {"do": "flood_output", "bytes": 3_000_000, "line_bytes": 100},
        {"do": "flood_output", "bytes": 3_000_000, "line_bytes": 0, "to": "stderr"},
    ]);
    worker.sqs().send("chatty", &flood.to_string()).await;
    worker.wait_for_metric(PATIENCE, "wasmill_queue_deleted_total", &[], 1).await;
    let dropped = worker.log().wait_for_said(
        Duration::from_secs(5),
        "chatty",
        "5990000 bytes of output dropped: an invocation may log 10000 bytes",
        1,
    );
    assert_eq!(dropped.await[0].field("level"), "WARN");
    let logged: usize = worker.log().said_by("chatty").iter().map(|line| line.message().len()).sum();
    assert!(logged < 11_000, "{logged} bytes were logged");
}
