//! A worker on queues that others have built: what a mapping promises holds on a service that shares no line with ours.
//!
//! What a peer does otherwise than Amazon SQS is said at the test that has to know it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use rustix::process::Signal;
use serde_json::json;
use support::config::{function, mapping};
use support::peers::Peer;
use support::{Counts, PATIENCE, Sqs, Wasmill};

use crate::partial_failure::ten_of_which_three_fail;

/// Each of these against each peer.
macro_rules! on_each_peer {
    ($($test:ident)+) => {
        mod moto {
            $(#[tokio::test]
            async fn $test() {
                super::$test(support::peers::Peer::Moto, concat!("moto::", stringify!($test))).await;
            })+
        }
        mod fauxqs {
            $(#[tokio::test]
            async fn $test() {
                super::$test(support::peers::Peer::Fauxqs, concat!("fauxqs::", stringify!($test))).await;
            })+
        }
    };
}

on_each_peer! {
    hundreds_of_messages_are_handled_once_each_and_deleted
    what_failed_comes_back_until_it_is_a_dead_letter_and_the_rest_is_deleted
    a_window_gathers_and_what_no_filter_matches_is_deleted
    a_handler_that_outlasts_the_visibility_timeout_runs_once
    after_a_failed_message_its_group_is_handled_again_from_there_and_in_order
    a_dead_letter_by_verdict_is_sent_with_its_reason_and_deleted
    sigterm_lets_what_runs_finish_and_leaves_the_rest_in_the_queue
}

/// A function of as many permits as the peer stands. moto's calls are not atomic: of two receives at a time both may get a
/// message, of two deletes at a time one may undo the other, and a delete may undo a send. So it is asked by one poll at a
/// time, after everything was sent.
fn function_on(peer: Peer, name: &str, guest: &str) -> String {
    let permits = match peer {
        Peer::Moto => 1,
        Peer::Fauxqs => 8,
    };
    function(name, guest, &format!("timeout = 60\nreserved_concurrent_executions = {permits}"))
}

/// A worker's configuration up to its functions.
fn worker_at(sqs: &Sqs) -> String {
    let endpoint = sqs.endpoint();
    format!("[admin]\nlisten = \"127.0.0.1:0\"\n[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n")
}

/// Creates a queue with a dead-letter queue.
async fn create(sqs: &Sqs, name: &str, visibility_timeout: &str, max_receive_count: u32) {
    use QueueAttributeName as Name;
    let stem = name.trim_end_matches(".fifo");
    let fifo: &[_] = if stem == name { &[] } else { &[(Name::FifoQueue, "true")] };
    let dlq = format!("{stem}-dlq{}", &name[stem.len()..]);
    sqs.create(&dlq, fifo).await;
    let policy = json!({"deadLetterTargetArn": sqs.arn(&dlq), "maxReceiveCount": max_receive_count}).to_string();
    let mut attributes = vec![(Name::VisibilityTimeout, visibility_timeout), (Name::RedrivePolicy, policy.as_str())];
    attributes.extend_from_slice(fifo);
    sqs.create(name, &attributes).await;
}

async fn send_all(sqs: &Sqs, queue: &str, bodies: &[String]) {
    for ten in bodies.chunks(10) {
        sqs.send_batch(queue, ten).await;
    }
}

async fn verdicts(worker: &Wasmill, verdict: &str) -> u32 {
    worker.metric("wasmill_mapping_verdicts_total", &[("verdict", verdict)]).await as u32
}

/// Waits until so many were judged done, then until a queue is empty: what is done is deleted soon after.
async fn wait_until_done(worker: &Wasmill, sqs: &Sqs, queue: &str, count: u32) {
    let done = [("verdict", "done")];
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &done, count).await;
    sqs.wait_for_counts(PATIENCE, queue, Counts::EMPTY).await;
}

async fn hundreds_of_messages_are_handled_once_each_and_deleted(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    for name in ["by-url", "by-arn"] {
        create(&sqs, name, "60", 3).await;
    }
    let config = worker_at(&sqs)
        + &function_on(peer, "by-url", "orders")
        + &function_on(peer, "by-arn", "orders")
        + &mapping(&sqs.url("by-url"), "by-url", "")
        + &mapping(&sqs.arn("by-arn"), "by-arn", "");
    // fauxqs refuses what takes two units of UTF-16, an emoji for one; Amazon SQS takes it.
    let order = |n: u32| json!({"id": format!("o-{n}"), "sku": "tea 中文", "quantity": 2}).to_string();
    let orders: Vec<String> = (0..300).map(order).collect();
    for queue in ["by-url", "by-arn"] {
        send_all(&sqs, queue, &orders).await;
    }
    let mut worker = Wasmill::start(&config).await;
    wait_until_done(&worker, &sqs, "by-url", 600).await;
    for queue in ["by-url", "by-arn"] {
        sqs.wait_for_counts(PATIENCE, queue, Counts::EMPTY).await;
        assert_eq!(sqs.counts(&format!("{queue}-dlq")).await, Counts::EMPTY);
        for n in 0..300 {
            let line = format!("order o-{n}: charged 2 x tea 中文");
            assert_eq!(worker.log().said(queue, &line).len(), 1, "{queue}: {line}");
        }
    }
    assert_eq!(worker.log().events("could not be carried out").len(), 0);
    worker.assert_sound().await;
}

async fn what_failed_comes_back_until_it_is_a_dead_letter_and_the_rest_is_deleted(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "orders", "3", 2).await;
    let config = worker_at(&sqs)
        + &function_on(peer, "orders", "faulty")
        + &mapping(&sqs.url("orders"), "orders", "batch_size = 10");
    let (bodies, failing) = ten_of_which_three_fail();
    let ids = sqs.send_batch("orders", &bodies).await;
    let mut worker = Wasmill::start(&config).await;
    for place in failing {
        let seen = worker.log().wait_for_said(PATIENCE, "orders", &bodies[place], 2).await;
        // The timeout of three seconds began with the receive, before the handler did.
        let back_after = seen[1].seen_at - seen[0].seen_at;
        assert!(back_after >= Duration::from_secs(2), "message {place} came back after {back_after:?}");
    }
    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 3).await;
    let dead: BTreeMap<&str, &str> =
        dead.iter().map(|message| (message.message_id().unwrap(), message.body().unwrap())).collect();
    assert_eq!(dead, failing.iter().map(|place| (ids[*place].as_str(), bodies[*place].as_str())).collect());
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    for (place, body) in bodies.iter().enumerate() {
        let deliveries = if failing.contains(&place) { 2 } else { 1 };
        assert_eq!(worker.log().said("orders", body).len(), deliveries, "deliveries of message {place}");
    }
    assert_eq!((verdicts(&worker, "done").await, verdicts(&worker, "retry").await), (7, 6));
    worker.assert_sound().await;
}

async fn a_window_gathers_and_what_no_filter_matches_is_deleted(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "orders", "10", 10).await;
    let of_kind = |kind: &str, count: u32| -> Vec<String> {
        (0..count).map(|n| json!({"do": "echo_to_log", "kind": kind, "n": n}).to_string()).collect()
    };
    let (orders, refunds) = (of_kind("order", 150), of_kind("refund", 50));
    send_all(&sqs, "orders", &orders).await;
    send_all(&sqs, "orders", &refunds).await;
    let keys = "batch_size = 60\nmaximum_batching_window_in_seconds = 3\n\
                filter_criteria = { filters = [ { pattern = '{\"body\":{\"kind\":[\"order\"]}}' } ] }";
    let config =
        worker_at(&sqs) + &function_on(peer, "orders", "faulty") + &mapping(&sqs.url("orders"), "orders", keys);
    let mut worker = Wasmill::start(&config).await;
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let matches = async |filter| worker.metric("wasmill_mapping_filter_matches_total", &[("filter", filter)]).await;
    let matched = (matches("0").await as u32, matches("none").await as u32);
    // A window is filled by several receives at a time, of which moto's get some messages twice.
    let twice = peer == Peer::Moto;
    assert!(matched == (150, 50) || twice && matched >= (150, 50), "{matched:?}");
    let largest = worker.log().said_by_request("orders").values().map(|said| said.lines().count()).max();
    assert!(largest > Some(10), "no batch was larger than what one receive brings: {largest:?}");
    for body in &orders {
        let times = worker.log().said("orders", body).len();
        assert!(times == 1 || twice && times > 1, "{times} times: {body}");
    }
    for body in &refunds {
        assert_eq!(worker.log().said("orders", body).len(), 0, "{body}");
    }
    assert_eq!(sqs.counts("orders-dlq").await, Counts::EMPTY);
    worker.assert_sound().await;
}

async fn a_handler_that_outlasts_the_visibility_timeout_runs_once(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "orders", "2", 5).await;
    let config = worker_at(&sqs) + &function_on(peer, "slow", "faulty") + &mapping(&sqs.url("orders"), "slow", "");
    let body =
        |n: u32| json!([{"do": "print", "text": format!("at {n}\n")}, {"do": "sleep_ms", "ms": 800}]).to_string();
    let bodies: Vec<String> = (0..10).map(body).collect();
    sqs.send_batch("orders", &bodies).await;
    let mut worker = Wasmill::start(&config).await;
    wait_until_done(&worker, &sqs, "orders", 10).await;
    for n in 0..10 {
        assert_eq!(worker.log().said("slow", &format!("at {n}")).len(), 1, "message {n}");
    }
    assert!(worker.metric("wasmill_mapping_leases_renewed_total", &[]).await >= 10.0);
    assert_eq!(worker.metric("wasmill_mapping_leases_lost_total", &[]).await as u32, 0);
    assert_eq!(worker.metric("wasmill_mapping_received_total", &[]).await as u32, 10);
    worker.assert_sound().await;
}

async fn after_a_failed_message_its_group_is_handled_again_from_there_and_in_order(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "orders.fifo", "2", 10).await;
    let step = |group: &str, n: u32, fails: bool| {
        let mut step = vec![json!({"do": "echo_to_log", "group": group, "n": n})];
        if fails {
            step.push(json!({"do": "fail_until_receive_count", "count": 3}));
        }
        json!(step).to_string()
    };
    // The second of group a fails at its first two receives, the others are said to be done each time.
    let steps: Vec<(&str, String)> =
        (0..4).flat_map(|n| ["a", "b"].map(|group| (group, step(group, n, (group, n) == ("a", 1))))).collect();
    for (group, body) in &steps {
        let call = sqs.client().send_message().queue_url(sqs.url("orders.fifo")).message_body(body);
        call.message_group_id(*group).message_deduplication_id(body).send().await.unwrap();
    }
    let config =
        worker_at(&sqs) + &function_on(peer, "orders", "faulty") + &mapping(&sqs.url("orders.fifo"), "orders", "");
    let mut worker = Wasmill::start(&config).await;
    wait_until_done(&worker, &sqs, "orders.fifo", 8).await;
    let last = |body: &str| worker.log().said("orders", body).last().unwrap().seen_at;
    for group in ["a", "b"] {
        let of_group: Vec<&str> = steps.iter().filter(|(of, _)| *of == group).map(|(_, body)| body.as_str()).collect();
        for pair in of_group.windows(2) {
            assert!(last(pair[0]) <= last(pair[1]), "{} was settled before {}", pair[1], pair[0]);
        }
    }
    let second = &steps.iter().filter(|(of, _)| *of == "a").nth(1).unwrap().1;
    assert_eq!(worker.log().said("orders", second).len(), 3);
    assert_eq!(sqs.counts("orders-dlq.fifo").await, Counts::EMPTY);
    worker.assert_sound().await;
}

async fn a_dead_letter_by_verdict_is_sent_with_its_reason_and_deleted(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "orders", "300", 100).await;
    let config = worker_at(&sqs) + &function_on(peer, "orders", "faulty") + &mapping(&sqs.url("orders"), "orders", "");
    let body = |n: u32| json!([{"do": "echo_to_log", "n": n}, {"do": "fail", "deadLetterReason": "no such customer"}]);
    let bodies: Vec<String> = (0..12).map(|n| body(n).to_string()).collect();
    send_all(&sqs, "orders", &bodies).await;
    let worker = Wasmill::start(&config).await;

    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 12).await;
    let found: BTreeSet<&str> = dead.iter().filter_map(|message| message.body()).collect();
    assert_eq!(found, bodies.iter().map(String::as_str).collect());
    for message in &dead {
        let attributes = message.message_attributes().unwrap();
        for (name, value) in [
            ("WasmillReason", "no such customer".to_owned()),
            ("WasmillSourceArn", sqs.arn("orders")),
            ("WasmillFunctionVersion", "$LATEST".to_owned()),
        ] {
            assert_eq!(attributes[name].string_value(), Some(value.as_str()), "{name}");
        }
    }
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    for body in &bodies {
        assert_eq!(worker.log().said("orders", body).len(), 1, "{body}");
    }
}

async fn sigterm_lets_what_runs_finish_and_leaves_the_rest_in_the_queue(peer: Peer, test: &str) {
    let Some(server) = peer.start(test).await else { return };
    let sqs = server.sqs();
    create(&sqs, "jobs", "300", 5).await;
    let config = worker_at(&sqs)
        + &function("worker", "faulty", "timeout = 60\nreserved_concurrent_executions = 1")
        + &mapping(&sqs.url("jobs"), "worker", "batch_size = 1");
    let mut worker = Wasmill::start(&config).await;
    let job = json!([{"do": "print", "text": "begun\n"}, {"do": "sleep_ms", "ms": 3000}, {"do": "print", "text": "finished\n"}]);
    sqs.send_batch("jobs", &vec![job.to_string(); 3]).await;
    worker.log().wait_for_said(PATIENCE, "worker", "begun", 1).await;
    worker.signal(Signal::TERM);
    // A long poll that is under way is waited for.
    assert_eq!(worker.wait_exit(Duration::from_secs(45)).await.code(), Some(0));
    let log = worker.log();
    assert_eq!((log.said("worker", "begun").len(), log.said("worker", "finished").len()), (1, 1));
    sqs.wait_for_counts(PATIENCE, "jobs", Counts::visible(2)).await;
}
