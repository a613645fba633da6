//! One message that crashes its handler: it is found, and the others of its batch are handled on their first delivery.

use support::config::{IN_MEMORY, ON_DISK, function, mapping, queue, queue_with_dlq};
use support::{Counts, Home, PATIENCE, Wasmill};

#[tokio::test]
async fn nine_of_ten_succeed_at_once_and_the_poison_is_dead_after_its_receives() {
    let keys = "batch_size = 10\nmaximum_batching_window_in_seconds = 1";
    let config = IN_MEMORY.to_owned()
        + &queue_with_dlq("orders", 1, 2)
        + &function("orders", "faulty", "")
        + &mapping("orders", "orders", keys);
    let worker = Wasmill::start(&config).await;
    let sqs = worker.sqs();
    let mut bodies: Vec<String> = (0..10).map(|n| format!("plain {n}")).collect();
    bodies[6] = r#"{"do":"trap"}"#.to_owned();
    let ids = sqs.send_batch("orders", &bodies).await;
    let dead = sqs.receive_all(PATIENCE, "orders-dlq", 1).await;
    assert_eq!(dead[0].message_id(), Some(ids[6].as_str()));
    sqs.wait_for_counts(PATIENCE, "orders", Counts::EMPTY).await;
    let verdicts = |verdict| [("verdict", verdict)];
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("done")).await as u32, 9);
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &verdicts("retry")).await as u32, 2);
    assert_eq!(worker.metric("wasmill_mapping_poison_messages_total", &[]).await as u32, 1);
    let extra = worker.metric("wasmill_mapping_bisect_invocations_total", &[]).await;
    assert!(extra <= 5.0, "{extra} further invocations for one culprit in ten");
    worker.stop().await;
}

#[tokio::test]
async fn what_was_there_at_two_deaths_of_the_process_runs_alone_and_takes_no_others_down() {
    let keys = "batch_size = 10\nmaximum_batching_window_in_seconds = 1";
    let config = ON_DISK.to_owned()
        + &queue("orders", "visibility_timeout = 1")
        + &function("orders", "faulty", "timeout = 60")
        + &mapping("orders", "orders", keys);
    let home = Home::new();
    let slow = r#"[{"do":"echo_to_log"},{"do":"sleep_ms","ms":50000}]"#.to_owned();
    let mut bodies: Vec<String> = (0..4).map(|n| format!("plain {n}")).collect();
    bodies.insert(0, slow.clone());
    let worker = home.run(&config).await;
    worker.sqs().send_batch("orders", &bodies).await;
    worker.log().wait_for_said(PATIENCE, "orders", &slow, 1).await;
    worker.kill().await;
    let worker = home.run(&config).await;
    worker.log().wait_for_said(PATIENCE, "orders", &slow, 1).await;
    assert_eq!(worker.metric("wasmill_mapping_verdicts_total", &[]).await as u32, 0, "they are in one batch still");
    worker.kill().await;

    let worker = home.run(&config).await;
    worker.log().wait_for_said(PATIENCE, "orders", &slow, 1).await;
    worker.wait_for_metric(PATIENCE, "wasmill_mapping_verdicts_total", &[("verdict", "done")], 4).await;
    worker.sqs().wait_for_counts(PATIENCE, "orders", Counts::in_flight(1)).await;
    worker.kill().await;
}
