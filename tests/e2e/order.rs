//! A FIFO queue behind a mapping: each group in order, past failures and crashes, groups beside each other.

use support::config::{IN_MEMORY, function, mapping, queue};
use support::{Counts, PATIENCE, Wasmill};

async fn send(worker: &Wasmill, group: &str, body: &str) {
    let sqs = worker.sqs();
    let call = sqs.client().send_message().queue_url(sqs.url("orders.fifo")).message_body(body);
    call.message_group_id(group).message_deduplication_id(body).send().await.unwrap();
}

#[tokio::test]
async fn after_a_failed_message_its_group_is_handled_again_from_there_and_in_order() {
    let config = IN_MEMORY.to_owned()
        + &queue("orders.fifo", "visibility_timeout = 1")
        + &function("orders", "faulty", "")
        + &mapping("orders.fifo", "orders", "");
    let worker = Wasmill::start(&config).await;
    let step = |group: &str, n: usize, more: &str| {
        format!(r#"[{{"do":"echo_to_log"}},{{"do":"env","name":"{group}{n}"}}{more}]"#)
    };
    // The second of group a fails at its first two receives, the third is said to be done each time.
    let fails = r#",{"do":"fail_until_receive_count","count":3}"#;
    let bodies: Vec<(String, String)> = (0..4)
        .flat_map(|n| ["a", "b"].map(|group| (group, n)))
        .map(|(group, n)| (group.to_owned(), step(group, n, if (group, n) == ("a", 1) { fails } else { "" })))
        .collect();
    for (group, body) in &bodies {
        send(&worker, group, body).await;
    }
    worker.sqs().wait_for_counts(PATIENCE, "orders.fifo", Counts::EMPTY).await;
    let last = |group: &str, n: usize| {
        let body = &bodies.iter().filter(|(of, _)| of == group).nth(n).unwrap().1;
        worker.log().said("orders", body).last().unwrap().seen_at
    };
    for group in ["a", "b"] {
        for n in 1..4 {
            assert!(last(group, n - 1) <= last(group, n), "{group}{n} was settled before the one in front of it");
        }
    }
    let second = &bodies.iter().filter(|(of, _)| of == "a").nth(1).unwrap().1;
    assert_eq!(worker.log().said("orders", second).len(), 3);
    worker.stop().await;
}

#[tokio::test]
async fn batches_of_one_group_each_are_handled_beside_each_other() {
    let config = IN_MEMORY.to_owned() + &queue("orders.fifo", "") + &function("orders", "faulty", "");
    let worker = Wasmill::start(&(config + &mapping("orders.fifo", "orders", "fifo_batching = \"per_group\""))).await;
    for n in 0..20 {
        send(&worker, &format!("g{}", n % 4), &format!("plain-{n}")).await;
    }
    worker.sqs().wait_for_counts(PATIENCE, "orders.fifo", Counts::EMPTY).await;
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &[("verdict", "done")]).await as u32, 20);
    worker.stop().await;
}
